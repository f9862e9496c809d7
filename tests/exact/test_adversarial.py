"""Closed forms of adversarial training, each a second way: another formula, another quadrature, or
a derivative by finite differences.
"""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import adversarial

# An asymmetric density of data, and its score.
WEIGHTS, MEANS, WIDTHS = np.array([0.6, 0.4]), np.array([-1.0, 2.0]), np.array([0.7, 1.2])


def log_data(x):
    return np.logaddexp.reduce(np.log(WEIGHTS) + norm.logpdf(x[..., None], MEANS, WIDTHS), axis=-1)


def score_data(x):
    parts = WEIGHTS * norm.pdf(x[..., None], MEANS, WIDTHS)
    return (parts * (MEANS - x[..., None]) / WIDTHS**2).sum(-1) / parts.sum(-1)


def model(theta, width=1.1):
    """log-density and score of N(theta, width)."""
    return norm(theta, width).logpdf, lambda x: (theta - x) / width**2


def kl_to_data(theta, width):
    """KL(p_g || p_r) by the trapezoidal rule, exponentially exact for what vanishes at its ends."""
    x = np.linspace(-15.0, 15.0, 3001)
    log_g = norm.logpdf(x, theta, width)
    return float(integrate.trapezoid(np.exp(log_g) * (log_g - log_data(x)), x))


@pytest.mark.parametrize(
    ("mu", "exact"), [(1.0, 0.1114214822), (2.0, 0.3368308203), (3.0, 0.5267773065)]
)
def test_js_of_shifted_gaussians(mu, exact):
    here, there = norm(0.0, 1.0).logpdf, norm(mu, 1.0).logpdf
    js = adversarial.jensen_shannon(here, there)
    assert js.value == pytest.approx(exact, abs=1e-10)
    assert js.error < 1e-10


@pytest.mark.parametrize("mu", [0.1, 0.5, 1.0, 3.0, 8.0])
def test_best_value_is_js(mu):
    log_model = model(mu)[0]
    js, value = (
        adversarial.jensen_shannon(log_data, log_model),
        adversarial.value(log_data, log_model),
    )
    assert value.value == pytest.approx(2.0 * js.value - 2.0 * math.log(2.0), abs=1e-12)
    # The same by another rule, from D itself.
    x = np.linspace(-30.0, 30.0, 20_001)
    d = adversarial.optimal_discriminator(log_data(x), log_model(x))
    terms = np.exp(log_data(x)) * np.log(np.clip(d, 1e-300, 1.0))
    terms += np.exp(log_model(x)) * np.log1p(-np.clip(d, 0.0, 1.0 - 1e-16))
    assert value.value == pytest.approx(integrate.trapezoid(terms, x), abs=1e-9)


@pytest.mark.parametrize(("at", "width"), [(0.0, 1e-3), (0.3, 1e-4), (-2.0, 0.01)])
def test_narrow_law_beside_a_broad_one(at, width):
    """The mean under the broad law must look where the narrow one is."""
    broad, narrow = norm(0.0, 1.0), norm(at, width)
    # In units of the narrow law's own width, on both sides of its centre.
    z = np.concatenate([-np.geomspace(1e6, 1e-3, 300_001), np.geomspace(1e-3, 1e6, 300_001)])
    x = (at + width * z)[np.abs(width * z) < 40.0]
    log_p, log_q = broad.logpdf(x), narrow.logpdf(x)
    log_m = np.logaddexp(log_p, log_q) - math.log(2.0)
    parts = np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m)
    exact = 0.5 * float(integrate.trapezoid(parts, x))
    for laws in ((broad.logpdf, narrow.logpdf), (narrow.logpdf, broad.logpdf)):
        js, value = adversarial.jensen_shannon(*laws), adversarial.value(*laws)
        assert js.value == pytest.approx(exact, abs=1e-8 + js.error)
        assert 0.5 * value.value + math.log(2.0) == pytest.approx(js.value, abs=1e-11 + js.error)
    # d KL(p_g || p_r) of the broad generator shifted, by the two parts that the peak divides.
    narrow_score, broad_score = lambda x: (at - x) / width**2, np.negative
    parts = [
        adversarial.generator_gradient(
            narrow.logpdf, broad.logpdf, narrow_score, broad_score, which
        ).value
        for which in ("minimax", "non-saturating", "both")
    ]
    weight = np.exp(log_p) / (1.0 + np.exp(np.clip(log_p - log_q, -700.0, 700.0)))
    exact = -float(integrate.trapezoid(weight * (narrow_score(x) + x), x))
    assert parts[2] == pytest.approx(-at / width**2, rel=1e-9, abs=1e-6)
    assert parts[0] == pytest.approx(exact, rel=1e-6, abs=1e-6)
    assert parts[0] + parts[1] == pytest.approx(parts[2], rel=1e-9, abs=1e-6)


def bent(score, bend, size):
    return lambda x: score(x) + size * bend(x)


@pytest.mark.parametrize("label", [1.0, 0.6])
def test_no_other_discriminator_is_better(label):
    log_model = model(0.5)[0]

    def best(x):
        return adversarial.optimal_score(log_data(x), log_model(x), label)

    top = adversarial.value(log_data, log_model, label=label).value
    assert adversarial.value(log_data, log_model, best, label).value == pytest.approx(top)
    for bend in (np.cos, np.tanh):
        # At a maximum the loss is quadratic in the deviation, the same on both sides.
        lost = [
            top - adversarial.value(log_data, log_model, bent(best, bend, e), label).value
            for e in (-0.02, 0.02)
        ]
        assert min(lost) > 1e-6
        assert abs(lost[0] - lost[1]) < 0.05 * sum(lost)


def test_label_moves_best_discriminator():
    x = np.linspace(-3.0, 4.0, 7)
    log_model = model(0.5)[0]
    for label in (1.0, 0.9, 0.3):
        d = adversarial.optimal_discriminator(log_data(x), log_model(x), label)
        score = adversarial.optimal_score(log_data(x), log_model(x), label)
        np.testing.assert_allclose(d, 1.0 / (1.0 + np.exp(-score)), rtol=1e-12)
        assert adversarial.optimal_discriminator(-3.0, -3.0, label) == pytest.approx(label / 2.0)


def test_discriminator_where_one_density_vanishes():
    for label in (1.0, 0.6):
        assert adversarial.optimal_discriminator([0.0, -np.inf], [-np.inf, 0.0], label) == (
            pytest.approx([label, 0.0])
        )
    logit = math.log(0.6 / 0.4)
    assert adversarial.optimal_score([0.0, -np.inf], [-np.inf, 0.0], 0.6) == (
        pytest.approx([logit, -np.inf])
    )
    assert adversarial.optimal_score(0.0, -np.inf) == np.inf


def test_gradients_add_to_that_of_kl():
    step = 1e-5
    theta, width = 1.5, 1.1
    log_model, score_model = model(theta, width)
    shift = (kl_to_data(theta + step, width) - kl_to_data(theta - step, width)) / (2.0 * step)
    scale = (kl_to_data(theta, width + step) - kl_to_data(theta, width - step)) / (2.0 * step)
    laws = log_data, log_model, score_data, score_model
    for exact, velocity in ((shift, None), (scale, lambda x: (x - theta) / width)):
        parts = [
            adversarial.generator_gradient(*laws, which, velocity).value
            for which in ("minimax", "non-saturating", "both")
        ]
        assert parts[2] == pytest.approx(exact, abs=1e-8)
        assert parts[0] + parts[1] == pytest.approx(parts[2], abs=1e-10)
        assert abs(parts[0] - parts[1]) > 0.05  # either alone is another gradient


@pytest.mark.parametrize("mu", [0.0, 0.3, -1.0, 3.0, 9.0])
def test_saturated_gradient_is_the_integral(mu):
    found = adversarial.generator_gradient(
        norm(mu, 1.0).logpdf, norm(0.0, 1.0).logpdf, lambda x: mu - x, lambda x: -x, "minimax"
    )
    assert adversarial.saturated_gradient(mu) == pytest.approx(found.value, rel=1e-8, abs=1e-14)


def test_saturated_gradient_vanishes_as_it_should():
    mu = np.array([1e-3, 1.0, 4.0, 10.0, 50.0])
    found = adversarial.saturated_gradient(mu) / np.exp(-(mu**2) / 8.0)
    assert found[0] == pytest.approx(-mu[0] / 2.0, rel=1e-6)
    assert np.all(np.abs(found) < mu / 2.0)
    # 1/cosh integrates to pi; the next order of sqrt(pi / 2) is (pi / mu)^2 / 2.
    assert found[-1] == pytest.approx(-math.sqrt(math.pi / 2.0), rel=(math.pi / 50.0) ** 2)


@pytest.mark.parametrize("strength", [0.5, 10.0])
def test_penalised_slope_is_the_maximum(strength):
    mu = 1.7
    w = np.linspace(0.0, 4.0, 400_001)
    best = w[np.argmax(w * mu - strength * (w - 1.0) ** 2)]
    assert adversarial.penalised_slope(mu, strength) == pytest.approx(best, abs=1e-5)
    assert adversarial.penalised_reading(mu, strength) == pytest.approx(best * mu, abs=2e-5)
    np.testing.assert_allclose(adversarial.penalised_slope([-mu, mu], strength), best, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: adversarial.optimal_discriminator(0.0, 0.0, 0.0), "label"),
        (lambda: adversarial.optimal_score(0.0, 0.0, 1.1), "label"),
        (lambda: adversarial.optimal_score("a", 0.0), "log_data"),
        (lambda: adversarial.optimal_score(math.nan, 0.0), "log_data"),
        (lambda: adversarial.optimal_discriminator([0.0, -math.inf], -math.inf), "vanish"),
        (lambda: adversarial.saturated_gradient(math.nan), "finite"),
        (lambda: adversarial.penalised_slope(1.0, 0.0), "penalty"),
        (
            lambda: adversarial.generator_gradient(
                norm.logpdf, norm.logpdf, np.negative, np.negative, "wasserstein"
            ),
            "objective",
        ),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
