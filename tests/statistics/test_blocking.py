"""Blocking: the transformation by hand, the plateau, and the automatic level."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import Estimate, blocking_error, blocking_levels, mean


def test_levels_by_hand():
    levels = blocking_levels([[1.0, 3.0, 2.0, 6.0, 100.0], [0.0, 2.0, 5.0, 5.0, 100.0]])
    np.testing.assert_array_equal(levels.length, [1, 2, 4])
    np.testing.assert_array_equal(levels.n_blocks, [10, 4, 2])
    pairs = np.array([2.0, 4.0, 1.0, 5.0])  # the fifth draw of each chain has no partner
    assert levels.stderr[1] == pytest.approx(np.std(pairs, ddof=1) / 2.0)
    assert levels.stderr[2] == pytest.approx(0.0)  # both chains have block mean 3
    np.testing.assert_allclose(levels.stderr_error, levels.stderr / np.sqrt([18.0, 6.0, 2.0]))


def test_plateau_is_the_exact_error(seed, ar1, assert_unbiased, assert_rejected):
    """AR(1) at 0.8: tau = 4.5, so the plateau is sqrt(9 / n); the first level is sqrt(1 / n)."""

    def z_at(length):
        def run(seed, scale):
            n = 2**17 * scale
            levels = blocking_levels(ar1(np.random.default_rng(seed), 0.8, (4, n // 4)))
            at = int(np.argmax(levels.length == length))
            return (levels.stderr[at] - math.sqrt(9.0 / n)) / levels.stderr_error[at]

        return run

    assert_unbiased(z_at(512), seed)
    for too_short in (1, 4, 16):
        assert_rejected(z_at(too_short), seed)


@pytest.mark.parametrize("rho", [0.0, 0.8, -0.5])
def test_automatic_error_is_honest_and_wrong_ones_are_rejected(
    seed, ar1, calibration, mutants, assert_unbiased, assert_rejected, rho
):
    def measure(rng):
        estimate = blocking_error(ar1(rng, rho, (4, 4096)))
        return estimate.z(0.0), estimate.tau_int

    check = calibration(measure)
    assert_unbiased(check(), seed)
    for name, mutant in mutants.items():
        if name != "autocorrelation ignored" or rho:
            assert_rejected(check(mutant), seed)


def test_agrees_with_the_autocorrelation_time(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.9, (4, 200_000))
    blocked, levels = blocking_error(x), blocking_levels(x)
    at = np.argmin(np.abs(levels.stderr - blocked.stderr))
    # tau goes as the square of the error; four of its own errors, about 0.2.
    bound = 8.0 * levels.stderr_error[at] / levels.stderr[at]
    assert bound < 0.25
    assert blocked.tau_int == pytest.approx(mean(x).tau_int, rel=bound)
    assert blocked.value == pytest.approx(mean(x).value, rel=1e-12)


def test_short_chain(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.99, (1, 1000))
    with pytest.raises(ShortChain, match="too short for blocking") as caught:
        blocking_error(x)
    assert isinstance(caught.value.partial, Estimate)
    assert caught.value.partial == blocking_error(x, on_short="accept")
    assert caught.value.partial.stderr > 2.0 * np.std(x) / math.sqrt(x.size)


def test_chains_that_disagree(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 4096))
    x[0] += 1.0
    with pytest.raises(ShortChain, match="scatter of the chain means") as caught:
        blocking_error(x)
    assert caught.value.partial.stderr >= 0.999 * np.std(x.mean(axis=1), ddof=1) / 2.0


def test_bad_input():
    with pytest.raises(InvalidInput, match="no fluctuation"):
        blocking_error(np.ones((2, 100)))
    with pytest.raises(InvalidInput, match="two draws"):
        blocking_error([1.0])
