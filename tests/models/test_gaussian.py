"""Gaussians with a covariance, against scipy and against those without; and what is refused."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from statmech_ml.errors import InvalidInput
from statmech_ml.models import Gaussian

C = np.array([[1.0, 0.6, 0.1], [0.6, 2.0, -0.5], [0.1, -0.5, 0.7]])
MEAN = np.array([0.5, -1.0, 0.0])


def test_density_of_a_correlated_gaussian():
    x = np.random.default_rng(0).normal(size=(40, 3))
    model = Gaussian(MEAN, covariance=C)
    for beta in (1.0, 0.4):
        expected = multivariate_normal(MEAN, C / beta).logpdf(x)
        assert -beta * model.energy(x) - model.log_z(beta) == pytest.approx(expected, rel=1e-11)


def test_a_diagonal_covariance_is_independence():
    x = np.random.default_rng(1).normal(size=(20, 3))
    widths = np.array([0.5, 1.0, 2.0])
    one, other = Gaussian(MEAN, widths), Gaussian(MEAN, covariance=np.diag(widths**2))
    assert one.energy(x) == pytest.approx(other.energy(x), rel=1e-13)
    assert one.log_z(0.7) == pytest.approx(other.log_z(0.7), rel=1e-13)
    chains = np.arange(5, dtype=np.uint32)
    assert one.draws(3, chains) == pytest.approx(other.draws(3, chains), rel=1e-13)
    assert one.stddev == pytest.approx(other.stddev)


def moments(covariance):
    """z of the means and of all second moments of draws of another Gaussian with mean MEAN."""

    def run(seed, scale):
        n = 20_000 * scale
        x = Gaussian(MEAN, covariance=covariance).draws(seed, np.arange(n, dtype=np.uint32)) - MEAN
        first = x.mean(axis=0) / np.sqrt(np.diag(C) / n)
        products = np.einsum("ni,nj->ij", x, x) / n
        spread = np.sqrt((np.outer(np.diag(C), np.diag(C)) + C**2) / n)
        return np.concatenate([first, ((products - C) / spread)[np.triu_indices(3)]])

    return run


def test_draws_have_the_covariance(seed, assert_unbiased, assert_rejected):
    assert_unbiased(moments(C), seed)
    assert_rejected(moments(np.diag(np.diag(C))), seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariance": C, "stddev": 1.0}, "Give one"),
        ({"covariance": C[:2]}, "square"),
        ({"covariance": [[1.0, 0.5], [0.4, 1.0]]}, "not symmetric"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "lowest eigenvalue is -1"),
        ({"covariance": [[1.0, 1.0], [1.0, 1.0]]}, "not positive definite"),
        ({"covariance": np.nan * C}, "NaN"),
        ({"covariance": 1.0}, "non-empty dimension"),
        ({"covariance": "a"}, "no array of numbers"),
        ({"covariance": C, "mean": [0.0, 1.0]}, "do not fit"),
        ({"covariance": C, "dim": 2}, "do not fit"),
        ({"stddev": 0.0}, "positive"),
        ({"stddev": [1.0, np.inf]}, "finite"),
        ({"mean": [0.0, 1.0], "stddev": [1.0, 1.0, 1.0]}, "do not fit"),
    ],
)
def test_gaussians_that_cannot_be(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Gaussian(**arguments)
