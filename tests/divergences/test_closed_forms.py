"""Closed forms, probability vectors and quadrature: what validation does not cover."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from statmech_ml.divergences import discrete, gaussian, js_from_counts, plane, quadrature
from statmech_ml.errors import InvalidInput

EYE = np.eye(2)


def uniform(low, high):
    return lambda x: np.where((x > low) & (x < high), 0.0, -np.inf)


def test_support_that_q_lacks_is_infinite():
    assert quadrature.kl(uniform(0, 2), uniform(0, 1)).value == math.inf
    assert discrete.kl([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert quadrature.kl(uniform(0, 1), uniform(0, 2)).value == pytest.approx(math.log(2))
    assert discrete.kl([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_js_of_disjoint_laws_is_log_2():
    assert quadrature.js(uniform(0, 1), uniform(2, 3)).value == pytest.approx(math.log(2))
    overlap = quadrature.js(uniform(0, 1), uniform(0.5, 1.5))  # half of each is shared
    assert overlap.value == pytest.approx(0.5 * math.log(2), abs=max(1e-9, overlap.error))


def test_underflow_in_the_far_tail_is_not_a_support():
    q = quadrature.kl(lambda x: -(x**2) / 2, lambda x: np.log(np.exp(-((x - 1) ** 2) / 2)))
    assert q.value == pytest.approx(0.5, abs=1e-9)


def test_diverging_kl_is_refused():
    with pytest.raises(InvalidInput, match="diverges"):
        quadrature.kl(lambda x: -np.log1p(x**2), lambda x: -(x**2) / 2)


def test_constants_in_log_densities_do_not_count():
    p, q = (lambda x: -(x**2) / 2), (lambda x: -np.abs(x - 0.3))
    shifted = quadrature.kl(lambda x: p(x) + 700, lambda x: q(x) - 300)
    assert shifted.value == pytest.approx(quadrature.kl(p, q).value, abs=1e-9)


def test_errors_bound_the_deviation():
    for rtol in (1e-4, 1e-8):
        found = quadrature.js(lambda x: -(x**2) / 2, lambda x: -((x - 2) ** 2) / 2, rtol=rtol)
        assert abs(found.value - 0.33683082034683) <= found.error + 1e-14
    # W2 of an exponential law of mean 1 and one of mean 2: sqrt(int log(1 - t)^2) = sqrt 2
    one = quadrature.wasserstein(lambda t: -np.log1p(-t), lambda t: -2 * np.log1p(-t), p=2)
    assert abs(one.value - math.sqrt(2)) <= max(one.error, 1e-9)


def test_plane_of_a_product_is_the_sum_of_its_factors():
    """KL is additive over independent coordinates, Fisher too."""
    p, q = (lambda x: -0.5 * (x**2).sum(-1)), (lambda x: -0.5 * ((x - [0.5, -1.0]) ** 2).sum(-1))
    box = ((-9.0, 9.5), (-10.0, 9.0))
    assert plane.kl(p, q, box).value == pytest.approx(0.125 + 0.5, abs=1e-7)
    fisher = plane.fisher(p, lambda x: -x, lambda x: [0.5, -1.0] - x, box)
    assert fisher.value == pytest.approx(1.25, abs=1e-6)


def test_gaussian_limits():
    assert gaussian.w1(0.0, 1.0, 2.0, 1.0) == 2.0
    assert gaussian.w1(0.0, 1.0, 0.0, 3.0) == pytest.approx(2 * math.sqrt(2 / math.pi))
    assert gaussian.w2([0, 0], np.zeros((2, 2)), [3, 4], np.zeros((2, 2))) == pytest.approx(5.0)
    assert gaussian.bures([[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]) == pytest.approx(
        math.sqrt(2)
    )
    assert gaussian.energy_distance(0.3, 1.1, 0.3, 1.1) == pytest.approx(0.0, abs=1e-15)
    assert gaussian.mmd_squared([0, 0], EYE, [0, 0], EYE, 1.0) == pytest.approx(0.0, abs=1e-15)
    assert gaussian.total_variation([0, 0], [3, 4], EYE) == pytest.approx(2 * ndtr(2.5) - 1)
    asymmetric = gaussian.kl([0], [[1.0]], [1], [[4.0]]), gaussian.kl([1], [[4.0]], [0], [[1.0]])
    assert gaussian.jeffreys([0], [[1.0]], [1], [[4.0]]) == pytest.approx(sum(asymmetric))


def test_bures_keeps_its_digits_between_close_matrices():
    A = np.array([[2.0, 0.3], [0.3, 1.0]])
    assert gaussian.bures(A, A * (1 + 1e-9) ** 2) == pytest.approx(1e-9 * math.sqrt(3.0), rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian.bures([[1.0, 0.0]], EYE), "square"),
        (lambda: gaussian.bures([[1.0, 0.5], [0.0, 1.0]], EYE), "not symmetric"),
        (lambda: gaussian.bures([[1.0, 2.0], [2.0, 1.0]], EYE), "eigenvalue"),
        (lambda: gaussian.bures(EYE, np.eye(3)), "fit together"),
        (lambda: gaussian.fisher([0, 0], np.zeros((2, 2)), [0, 0], EYE), "none at 0"),
        (lambda: gaussian.w2([0, 0, 0], EYE, 0.0, EYE), "fit together"),
        (lambda: gaussian.w2([np.nan, 0], EYE, 0.0, EYE), "fit together"),
        (lambda: gaussian.w1(0, 0, 0, 1), "sd_p"),
        (lambda: gaussian.mmd_squared(0, EYE, 0, EYE, -1), "bandwidth"),
        (lambda: discrete.kl([0.5, 0.6], [0.5, 0.5]), "sum to 1"),
        (lambda: discrete.js([0.5, 0.5], [1.0]), "states"),
        (lambda: discrete.total_variation([np.nan, 1.0], [0.5, 0.5]), "NaN"),
        (lambda: js_from_counts([1.5, 2.0], [0.5, 0.5]), "counts"),
        (lambda: js_from_counts([1, 0], [0.5, 0.5]), "two at least"),
        (lambda: quadrature.wasserstein(lambda t: t, lambda t: t, p=0.5), "order"),
        (lambda: quadrature.kl(lambda x: np.nan * x, lambda x: -(x**2)), "nan"),
        (lambda: plane.kl(lambda x: -x[:, 0], lambda x: -x[:, 0], ((0, 1), (0, 1))), "box|cuts"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
