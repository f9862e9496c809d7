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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kl_from_log_prob([0.0, np.nan], [0.0, 0.0]), "NaN"),
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
