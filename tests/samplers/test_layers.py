"""Compiled passes over a layer: the draws and sums of plain numpy, unit by unit."""

import numpy as np
import pytest
from scipy.special import expit
from statistical import _replaced

from statmech_ml import _rng
from statmech_ml._jit import jit
from statmech_ml.samplers._cpu import layers

CHAINS = np.array([3, 0, 7], np.uint32)


def logits(n, scale=5.0, dtype=np.float64):
    return np.random.default_rng(1).normal(scale=scale, size=(3, n)).astype(dtype)


@pytest.mark.parametrize("n", [1, 63, 64, 200])
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_draws_by_the_words_of_the_stream(n, dtype):
    x = logits(n)
    out = np.empty((3, n), dtype)
    scratch = np.empty(64, np.uint32)
    layers.draw(layers.odds_of(x), np.uint64(9), CHAINS, 4, _rng.HIDDEN, scratch, out)
    u = (_rng.words(9, CHAINS, 4, _rng.HIDDEN, 0, n) + 0.5) / 2**32
    np.testing.assert_array_equal(out, u < 1 / (1 + np.exp(-x)))


def test_certain_units():
    """Log-odds that overflow, and infinite ones."""
    x = np.array([[-1e6, 1e6, -np.inf, np.inf, 800.0, -800.0]] * 3)
    out = np.empty(x.shape, np.int8)
    scratch = np.empty(64, np.uint32)
    layers.draw(layers.odds_of(x), np.uint64(9), CHAINS, 4, _rng.HIDDEN, scratch, out)
    np.testing.assert_array_equal(out, x > 0)


def probability(decide, logit):
    """Of a 1 at this log-odds: the share of the 2^32 words that give it, all below a threshold."""
    first, last = 0, 2**32
    while first < last:
        words = np.array([(first + last) // 2], np.uint32)
        middle = int(words[0])
        decide(np.array([logit], np.float32), words)
        first, last = (middle + 1, last) if words[0] else (first, middle)
    return first / 2**32


LOGITS = np.concatenate([np.linspace(-15.0, 15.0, 61), [-0.001, 0.001]]).astype(np.float32)


def worst(decide):
    """The largest relative error of the probability of the rarer value, and of what 2^-32 is."""
    errors = []
    for logit in LOGITS:
        p = probability(decide, logit)
        rarer = 1.0 - p if logit > 0 else p
        exact = expit(-abs(float(logit)))
        errors.append(max(0.0, abs(rarer - exact) - 2.0**-32) / exact)
    return max(errors)


def test_single_precision_resolves_the_rarer_value():
    """Also where it has a probability of 3e-7, on either side."""
    assert worst(layers.decide) < 4e-7


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("logits[i] > np.float32(0.0)", "logits[i] > np.float32(1e9)"),  # u < P where P is near 1
        ("np.float32(1.0) + odds", "np.float32(1.0)"),
        ("-size", "-size * np.float32(1.0001)"),
    ],
)
def test_a_coarser_decision_is_noticed(right, wrong):
    namespace = dict(layers.decide.py_func.__globals__)
    changed = _replaced(layers.decide.py_func, right, wrong, namespace)
    assert worst(jit(changed)) > 4e-6


@pytest.mark.parametrize("n", [1, 64, 200])
def test_single_precision_draws_by_the_words_of_the_stream(n):
    x = logits(n, dtype=np.float32)
    out, scratch = np.empty((3, n), np.int8), np.empty(_rng.padded(n), np.uint32)
    layers.draw_single(x, np.uint64(9), CHAINS, 4, _rng.HIDDEN, scratch, out)
    u = (_rng.words(9, CHAINS, 4, _rng.HIDDEN, 0, n) + 0.5) / 2**32
    np.testing.assert_array_equal(out, u < expit(x.astype(float)))


def test_single_precision_is_certain_of_certain_units():
    x = np.array([[-1e6, 1e6, -np.inf, np.inf, 90.0, -90.0, np.nan]] * 3, np.float32)
    out, scratch = np.empty(x.shape, np.int8), np.empty(64, np.uint32)
    layers.draw_single(x, np.uint64(9), CHAINS, 4, _rng.HIDDEN, scratch, out)
    np.testing.assert_array_equal(out, x > 0)


def test_compiled_and_plain_decisions_are_the_same():
    x = logits(3000, dtype=np.float32)[0]
    words = _rng.words(9, CHAINS, 4, _rng.HIDDEN, 0, 3000)[0]
    compiled, plain = words.copy(), words.copy()
    layers.decide(x, compiled)
    layers.decide.py_func(x, plain)
    np.testing.assert_array_equal(compiled, plain)


def test_odds_leave_their_argument_alone():
    """A model may hand out an array of its own."""
    x = logits(5)
    x.setflags(write=False)
    np.testing.assert_allclose(layers.odds_of(x), np.exp(x))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 500, 2000])
@pytest.mark.parametrize("change", [1e-3, 0.1, 3.0])
def test_climb_is_the_difference_of_softplus(n, change):
    """Added to what is there; products of thousands of factors neither overflow nor vanish."""
    x, step = logits(n), np.clip(logits(n, change), -layers.LARGEST_STEP, layers.LARGEST_STEP)
    for sign in (1.0, -1.0):
        step = sign * np.abs(step)
        odds, log_w = layers.odds_of(x), np.ones(3)
        layers.climb(odds, np.expm1(step), log_w)
        expected = 1.0 + (np.logaddexp(0, x + step) - np.logaddexp(0, x)).sum(axis=1)
        np.testing.assert_allclose(log_w, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(odds, np.exp(x + step), rtol=1e-12)


def test_climb_in_single_precision():
    """To a part in 2^-24 of each term, not of the softplus itself."""
    x, step = logits(500, dtype=np.float32), logits(500, 1e-3, np.float32)
    log_w = np.zeros(3)
    layers.climb(layers.odds_of(x), np.expm1(step), log_w)
    terms = np.logaddexp(0, x.astype(float) + step) - np.logaddexp(0, x.astype(float))
    # exp of log-odds below 20 is off by up to 20 units in the last place, the growth by a few
    assert (np.abs(log_w - terms.sum(axis=1)) < 32 * 2.0**-24 * np.abs(terms).sum(axis=1)).all()
