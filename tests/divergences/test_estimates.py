"""Estimates from log-densities, scores and counts, and refusals of broken input."""

import math

import numpy as np
import pytest

from statmech_ml.divergences import (
    discrete,
    fisher_from_scores,
    js_from_counts,
    js_from_log_prob,
    kl_from_log_prob,
)
from statmech_ml.errors import InvalidInput


def test_kl_is_the_mean_log_ratio():
    found = kl_from_log_prob([0.0, -1.0, -2.0], [-1.0, -3.0, -5.0])
    assert found.value == 2.0
    assert found.stderr == pytest.approx(math.sqrt(1.0 / 3.0))


def test_a_draw_where_q_vanishes_makes_kl_infinite_and_js_finite():
    assert kl_from_log_prob([0.0, 0.0], [-1.0, -np.inf]).value == math.inf
    disjoint = js_from_log_prob([0.0] * 3, [-np.inf] * 3, [0.0] * 3, [-np.inf] * 3)
    assert disjoint.value == pytest.approx(math.log(2))
    assert js_from_log_prob([0.0, -1.0], [0.0, -1.0], [0.0, -2.0], [0.0, -2.0]).value == 0.0


def _counted(seed, scale, corrected=True):
    """JS of 1000 draws in 20 cells of equal laws: mean 0 once the bias (K - 1) / 8n is off."""
    g, n, q = np.random.default_rng(seed), 1000, np.linspace(1, 3, 20) / 40
    values = [
        js_from_counts(counts, q).value if corrected else discrete.js(counts / n, q)
        for counts in g.multinomial(n, q, size=300 * scale)
    ]
    return np.mean(values) / np.std(values) * len(values) ** 0.5


def test_js_from_counts_is_unbiased(seed, assert_unbiased, assert_rejected):
    assert_unbiased(_counted, seed)
    assert_rejected(lambda seed, scale: _counted(seed, scale, corrected=False), seed)


def _nearly_empty(seed, scale):
    """JS of 1000 draws of equal laws in 200 cells, all but 15 of which expect fewer than one."""
    g, n, q = np.random.default_rng(seed), 1000, 0.8 ** np.arange(200.0)
    q /= q.sum()
    values = [js_from_counts(x, q).value for x in g.multinomial(n, q, size=200 * scale)]
    return np.mean(values) / np.std(values) * len(values) ** 0.5


def test_cells_that_are_nearly_empty_are_pooled(seed, assert_unbiased, assert_rejected):
    assert_unbiased(_nearly_empty, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discrete, "_FEWEST", 0.0)
        assert_rejected(_nearly_empty, seed)


def test_pools_are_of_like_probability_and_those_of_none_their_own():
    counts, q = [700, 10, 750, 15, 5, 12, 8], [0.5, 0.009, 0.48, 0.006, 0.005, 0.0, 0.0]
    assert js_from_counts(counts, q) == js_from_counts([20, 30, 750, 700], [0.0, 0.02, 0.48, 0.5])
    # 50 draws expect 10 in each of five cells: two fill a pool, and the last joins the second.
    five, pooled = (
        js_from_counts([8, 12, 9, 13, 8], [0.2] * 5),
        js_from_counts([20, 30], [0.4, 0.6]),
    )
    assert five.value == pytest.approx(pooled.value, abs=1e-12)
    assert five.stderr == pytest.approx(pooled.stderr)


def test_draws_too_few_for_two_pools_are_refused():
    with pytest.raises(InvalidInput, match="39 draws in 2 cells are too few"):
        js_from_counts([20, 19], [0.5, 0.5])
    assert js_from_counts([20, 20], [0.5, 0.5]).value < 0.0  # plug-in 0, less its bias
    assert js_from_counts([5, 0], [1.0, 0.0]).value == 0.0  # nothing was pooled


def test_js_of_the_smallest_numbers_is_finite():
    """Half of the smallest is 0, and p log p / 0 was infinite."""
    least = np.nextafter(0.0, 1.0)
    assert discrete.js([least, 1.0], [0.0, 1.0]) == pytest.approx(0.0, abs=1e-300)
    assert discrete.js([least, 1.0], [least, 1.0]) == 0.0


def test_error_of_equal_laws_is_that_of_chi_square():
    """8 n JS is chi-square of K - 1 degrees of freedom; K would be the noise of Poisson counts."""
    found = js_from_counts([40, 60, 100], [0.2, 0.3, 0.5])
    assert found.stderr == pytest.approx(math.sqrt(2 * 2) / (8 * 200))
    assert js_from_counts([50], [1.0]).stderr == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kl_from_log_prob([0.0, np.nan], [0.0, 0.0]), "NaN"),
        (lambda: kl_from_log_prob(np.ma.masked_array([0.0, 1.0]), [0.0, 0.0]), "masked"),
        (lambda: kl_from_log_prob([0.0, -np.inf], [0.0, 0.0]), "order of the arguments"),
        (lambda: kl_from_log_prob([0.0, 0.0], [0.0, np.inf]), "order of the arguments"),
        (lambda: kl_from_log_prob([0.0, 0.0], [0.0]), "n >= 2"),
        (lambda: kl_from_log_prob([0.0, 0.0], [0.0, 0.0, 1.0]), "same draws"),
        (lambda: kl_from_log_prob([0.0], [0.0]), "n >= 2"),
        (lambda: js_from_log_prob([0.0, 1.0], [0.0, 1.0], [[0.0]], [[0.0]]), "shape"),
        (lambda: fisher_from_scores(np.zeros((3, 2)), np.zeros((3, 1))), "fit together"),
        (lambda: fisher_from_scores(["a", "b"], ["a", "b"]), "real numbers"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
