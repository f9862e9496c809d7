"""The laws themselves: normalisation, entropy, moments and draws; refusals."""

import numpy as np
import pytest
from exact_targets import BIASED, LINE, MIXTURE, NOISY, REAL
from scipy import stats

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, gaussian, plane, targets
from statmech_ml.statistics import Estimate


@pytest.mark.parametrize("name", ["Gaussian", "mixture", "Ring"])
def test_plane_densities(name):
    """int p = 1, -int p log p = entropy and int x x^T p by the trapezoidal rule."""
    target = REAL[name]
    half = 11.0 if name == "Gaussian" else 7.0
    box = ((-half, half), (-half, half))
    if name == "Ring":  # log p has a kink at the origin, 1e-3 of the density's maximum
        target = targets.Ring(2.5, 0.3)

    def u(x):
        return -target.log_prob(x)

    assert plane.log_z(u, box).value == pytest.approx(0.0, abs=1e-8)
    h = target.entropy(rng=1)
    entropy = plane.mean(u, u, box).value
    if isinstance(h, Estimate):
        assert abs(h.z(entropy)) < 5  # false alarms below 1e-6
    else:
        assert h == pytest.approx(entropy, abs=1e-8)
    mean, C = target.mean(), target.covariance()
    for i in range(2):
        assert plane.mean(u, lambda x, i=i: x[:, i], box).value == pytest.approx(mean[i], abs=1e-7)
        for j in range(2):
            away = lambda x, i=i, j=j: (x[:, i] - mean[i]) * (x[:, j] - mean[j])  # noqa: E731
            assert plane.mean(u, away, box).value == pytest.approx(C[i, j], abs=1e-7)


def moments(target, n, seed, draw_from=None):
    """z of the means and of the products of deviations, and of -<log p> against the entropy."""
    x = (draw_from or target).sample(n, seed)
    log_p, h = target.log_prob(x), target.entropy(rng=seed)
    away = x.astype(float) - target.mean()
    pairs = np.einsum("ni,nj->nij", away, away) - target.covariance()
    i, j = np.triu_indices(x.shape[1])
    found = np.concatenate([away, pairs[:, i, j]], axis=1)
    error = found.std(axis=0) / np.sqrt(n)
    varies = error > 1e-12  # the square of a fair spin does not
    z = found.mean(axis=0)[varies] / error[varies]
    value, stderr = getattr(h, "value", h), getattr(h, "stderr", 0.0)
    spread = np.hypot(log_p.std() / np.sqrt(n), stderr)
    return np.append(z, -(log_p.mean() + value) / spread) if spread > 1e-12 else z


OTHERS = {
    "Gaussian": targets.Gaussian([1.0, -0.5], [[1.5, 0.5], [0.5, 0.6]]),
    "mixture": targets.GaussianMixture([0.55, 0.3, 0.15], MIXTURE.means, MIXTURE.covariances),
    "Product": targets.Product([stats.laplace(0.5, 0.6), stats.norm(1.0, 0.5), LINE]),
    "Ring": targets.Ring(1.5, 0.45),
    "Spins": targets.Spins([0.4, -0.8, 0.0]),
    "Ising": targets.Ising(NOISY["Ising"].model, beta=0.5),
}


@pytest.mark.parametrize("name", NOISY)
def test_draws(name, seed, assert_unbiased, assert_rejected):
    target = NOISY[name]
    n = 20_000
    if name in OTHERS:
        assert_rejected(lambda s, k: moments(target, n * k, s, OTHERS[name]), seed)
    if name == "Uniform":  # log p is constant on its draws
        x = target.sample(1000, seed)
        np.testing.assert_allclose(target.log_prob(x), -target.entropy())
        assert target.log_prob([[1.5, 0.0]])[0] == -np.inf
    assert_unbiased(lambda s, k: moments(target, n * k, s), seed)
    np.testing.assert_array_equal(target.sample(7, 3), target.sample(7, np.int64(3)))


def test_closed_forms():
    g = REAL["Gaussian"]
    assert g.entropy() == pytest.approx(gaussian.entropy(g.covariance()), rel=1e-13)
    x = g.sample(4, 1)
    exact = stats.multivariate_normal(g.mean(), g.covariance()).logpdf(x)
    np.testing.assert_allclose(g.log_prob(x), exact)
    one = targets.GaussianMixture([1.0], [g.mean()], [g.covariance()])
    np.testing.assert_allclose(one.score(x, 0.3), g.score(x, 0.3))
    states = enumeration.states(BIASED.space)
    p = np.exp(BIASED.log_prob(states))
    assert p.sum() == pytest.approx(1.0, abs=1e-14)
    assert BIASED.entropy() == pytest.approx(-(p * np.log(p)).sum(), rel=1e-13)
    np.testing.assert_allclose(targets.Spins.from_means(BIASED.mean()).fields, BIASED.fields)
    assert targets.Spins(np.zeros(4)).entropy() == pytest.approx(4 * np.log(2))


def test_ppca():
    """The course's numbers, and that the fit is a maximum."""
    S = np.diag([4.0, 2.0, 0.5, 0.25])
    fitted = targets.PPCA.fit(S, 2)
    assert fitted.variance == pytest.approx(0.375, abs=1e-14)
    assert fitted.log_likelihood(S) == pytest.approx(-5.7346456506, abs=1e-10)
    assert targets.PPCA.fit([4.0, 2.0, 0.5, 0.25], 2).log_likelihood(S) == pytest.approx(
        fitted.log_likelihood(S), abs=1e-12
    )
    generator = np.random.default_rng(5)
    Q = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    turned, mean = Q @ S @ Q.T, np.array([1.0, 0.0, -1.0, 2.0])
    best = targets.PPCA.fit(turned, 2, mean)
    assert best.log_likelihood(turned, mean) == pytest.approx(-5.7346456506, abs=1e-10)
    for _ in range(20):
        W = best.weights + 0.05 * generator.normal(size=(4, 2))
        other = targets.PPCA(W, best.variance * np.exp(0.1 * generator.normal()), mean)
        assert other.log_likelihood(turned, mean) < best.log_likelihood(turned, mean)
    x = targets.Gaussian(mean, turned).sample(50, 1)
    C = (x - x.mean(0)).T @ (x - x.mean(0)) / 50
    assert best.log_likelihood(C, x.mean(0)) == pytest.approx(best.log_prob(x).mean(), rel=1e-12)


def test_product_of_targets():
    """Factors of any size, the same one twice."""
    law = stats.gamma(2.5)
    target = targets.Product([law, REAL["Gaussian"], law])
    x = np.array([[1.0, 0.3, -0.2, 2.0]])
    guess = target.denoiser(x, 0.5)
    np.testing.assert_allclose(guess[:, 1:3], REAL["Gaussian"].denoiser(x[:, 1:3], 0.5))
    np.testing.assert_allclose(guess[:, 3:], REAL["gamma"].denoiser(x[:, 3:], 0.5))
    np.testing.assert_allclose(target.mmse(2.0), 2 * REAL["gamma"].mmse(2.0)
                               + REAL["Gaussian"].mmse(2.0))  # fmt: skip
    np.testing.assert_allclose(target.covariance()[1:3, 1:3], REAL["Gaussian"].covariance())
    drawn = target.sample(20_000, 1)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 3])[0, 1]) < 0.04  # 5.6 standard errors


NAN = float("nan")


def repeating():
    """A density that repeats itself on the line, as scipy.stats.vonmises has."""
    law, period = stats.uniform(-1.0, 2.0), 2.0
    law.pdf = lambda t: 0.5 + 0.25 * np.cos(2.0 * np.pi * t / period)
    law.support = lambda: (-np.inf, np.inf)
    return law


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: targets.Gaussian([0, 0], [[1.0, 0.5], [0.4, 1.0]]), "not symmetric"),
        (lambda: targets.Gaussian([0, 0], [[1.0, 2.0], [2.0, 1.0]]), "not positive definite"),
        (lambda: targets.Gaussian([0, 0], [[1.0, 1.0], [1.0, 1.0]]), "not positive definite"),
        (lambda: targets.Gaussian([0, 0], [[0.0, 0.0], [0.0, 0.0]]), "not positive definite"),
        (lambda: targets.Gaussian([0, 0, 0], np.eye(2)), "mean has shape"),
        (lambda: targets.Gaussian([0, 0], [1.0, 1.0]), "square matrix"),
        (lambda: targets.Gaussian([0, NAN], np.eye(2)), "NaN"),
        (lambda: targets.Gaussian([0, 0], np.array([["a"]])), "real number"),
        (lambda: targets.GaussianMixture([0.5, 0.4], [0, 1], [1, 1]), "add up to 0.9"),
        (lambda: targets.GaussianMixture([1.5, -0.5], [0, 1], [1, 1]), "positive"),
        (lambda: targets.GaussianMixture([0.5, NAN], [0, 1], [1, 1]), "positive"),
        (lambda: targets.GaussianMixture([0.5, 0.5], [0, 1, 2], [1, 1]), "means has shape"),
        (lambda: targets.GaussianMixture([0.5, 0.5], [0, 1], [1, 1, 1]), "covariances has shape"),
        (lambda: targets.GaussianMixture([0.5, 0.5], [0, 1], [1, -1]), "covariance 1 of the mix"),
        (lambda: targets.Product([]), "at least one"),
        (lambda: targets.Product(stats.norm()), "list of laws"),
        (lambda: targets.Product([stats.poisson(3.0)]), "logpdf"),
        (lambda: targets.Product([stats.cauchy()]), "finite"),
        (lambda: targets.Product([BIASED]), "targets.Spins"),
        (lambda: targets.Product([repeating()]), "not to 1"),
        (lambda: LINE.log_prob(np.ma.masked_array([[1.0]])), "masked"),
        (lambda: targets.Uniform(1.0, 1.0), "low < high"),
        (lambda: targets.Uniform([0.0, 0.0], [1.0, np.inf]), "finite"),
        (lambda: targets.Uniform([0.0, 0.0], [1.0, 1.0, 1.0]), "shape"),
        (lambda: targets.Ring(-1.0, 0.1), "radius"),
        (lambda: targets.Ring(1.0, 0.0), "width"),
        (lambda: targets.Ring(NAN, 0.1), "finite"),
        (lambda: targets.PPCA(np.eye(2), 0.1), "q < d"),
        (lambda: targets.PPCA([[1.0], [0.0]], 0.0), "variance"),
        (lambda: targets.PPCA.fit(np.eye(3), 3), "q <= 2"),
        (lambda: targets.PPCA.fit(np.eye(3), 1.5), "whole number"),
        (lambda: targets.Spins([]), "finite numbers"),
        (lambda: targets.Spins([NAN]), "finite numbers"),
        (lambda: targets.Spins.from_means([1.0]), "inside"),
        (lambda: LINE.sample(0, 1), "n must be"),
        (lambda: LINE.sample(5, None), "no default seed"),
        (lambda: LINE.log_prob([[NAN]]), "NaN"),
        (lambda: LINE.log_prob([[1.0, 2.0]]), "shape"),
        (lambda: BIASED.log_prob([[0.5, 1.0, 1.0]]), "values of Spins"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
