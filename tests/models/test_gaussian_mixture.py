"""The mixture against its formula, its draws against its distribution, and what is refused."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml.errors import InvalidInput
from statmech_ml.models import GaussianMixture

WEIGHTS, MEANS = np.array([0.5, 2.0, 1.0]), np.array([[0.0, 1.0], [-1.0, 0.5], [3.0, -2.0]])
STDDEVS = np.array([[0.5, 0.7], [1.0, 1.2], [0.3, 0.4]])


def test_energy_from_the_formula():
    x = 2.0 * np.random.default_rng(0).normal(size=(50, 2))
    each = [
        np.log(w) + multivariate_normal(m, np.diag(s**2)).logpdf(x)
        for w, m, s in zip(WEIGHTS, MEANS, STDDEVS, strict=True)
    ]
    model = GaussianMixture(WEIGHTS, MEANS, STDDEVS)
    assert model.energy(x) == pytest.approx(-logsumexp(each, axis=0), rel=1e-12)
    assert model.log_z() == pytest.approx(np.log(3.5))


def test_widths_per_component():
    x = np.random.default_rng(1).normal(size=(20, 2))
    one = GaussianMixture(WEIGHTS, MEANS, [0.5, 1.0, 2.0])
    other = GaussianMixture(WEIGHTS, MEANS, np.repeat([[0.5], [1.0], [2.0]], 2, axis=1))
    assert one.energy(x).tolist() == other.energy(x).tolist()


def test_far_from_every_component_the_energy_is_finite():
    model = GaussianMixture(WEIGHTS, MEANS, STDDEVS)
    assert np.isfinite(model.energy([[1e3, -1e3]])).all()
    assert np.isfinite(model.reduced_gradient([[1e3, -1e3]], 1.0)).all()


def drawn(weights):
    """Draws of a mixture with these weights, against the distribution of another one."""
    model = GaussianMixture(weights, [[-2.0], [1.0]], [0.5, 1.0])

    def run(seed, scale):
        n, bins = 20_000 * scale, np.linspace(-4, 4, 41)
        x = model.draws(seed, np.arange(n, dtype=np.uint32))[:, 0]
        law = 0.25 * norm.cdf(bins, -2.0, 0.5) + 0.75 * norm.cdf(bins, 1.0, 1.0)
        cells = np.searchsorted(bins, x)
        law = np.concatenate([[0.0], law, [1.0]])
        return {"draws": chi_square(np.bincount(cells, minlength=42), np.diff(law))}

    return run


def test_draws_have_the_exact_distribution(seed):
    assert_distribution(drawn([1.0, 3.0]), seed)


def test_draws_with_other_weights_are_refuted(seed):
    assert_refuted(drawn([1.2, 3.0]), seed)


@pytest.mark.parametrize(
    "arguments",
    [
        ([1.0], MEANS),
        (WEIGHTS, MEANS, [1.0, 2.0]),
        (WEIGHTS, MEANS, 0.0),
        (WEIGHTS, MEANS, -1.0),
        (WEIGHTS, MEANS, np.nan),
        (WEIGHTS, MEANS, "a"),
        ([1.0, 0.0, 1.0], MEANS),
        ([1.0, -1.0, 1.0], MEANS),
        (WEIGHTS, MEANS[0]),
        (WEIGHTS, MEANS * np.nan),
        ([], []),
        (None, MEANS),
    ],
)
def test_mixtures_that_cannot_be(arguments):
    with pytest.raises(InvalidInput):
        GaussianMixture(*arguments)


def test_means_are_a_row_per_component():
    with pytest.raises(InvalidInput, match=r"means has shape \(1,\); .* such as \[\[1.0, 2.0\]\]"):
        GaussianMixture([1.0], [0.0], 0.0)


def test_log_z_is_known_at_beta_one_only():
    with pytest.raises(InvalidInput, match="beta = 1 only"):
        GaussianMixture(WEIGHTS, MEANS).log_z(2.0)
