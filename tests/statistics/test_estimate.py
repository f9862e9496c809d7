"""Estimate and mean: how they print, what they refuse, and that their errors are honest."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import Estimate, TauResult, integrated_time, mean
from statmech_ml.statistics.autocorrelation import as_chains, measure_tau
from statmech_ml.statistics.estimate import raised_tau, with_error


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (-1.43372, 0.00124, "-1.4337(12)"),
        (951.642, 0.031, "951.642(31)"),
        (0.5, 0.00994, "0.5000(99)"),
        (0.5, 0.00996, "0.500(10)"),  # the error rounds up to the next power of ten
        (0.5, 0.0996, "0.50(10)"),
        (0.5, 0.996, "0.5(1.0)"),
        (123.44, 1.23, "123.4(1.2)"),
        (123.44, 9.96, "123(10)"),
        (1234.4, 56.0, "1234(56)"),
        (12341.0, 561.0, "12340(560)"),
        (12341.0, 99.6, "12340(100)"),
        (-12341.0, 5610.0, "-12300(5600)"),
        (3.0, 561.0, "0(560)"),
        (-0.001, 1.2, "0.0(1.2)"),
        (0.0, 1.2, "0.0(1.2)"),
        (0.0, 1.2e-9, "0.0(1.2)e-09"),
        (1.66054e-27, 1.2e-29, "1.661(12)e-27"),
        (6.02214e23, 1.2e19, "6.02214(12)e+23"),
        (2.0e9, 3.1e10, "0.2(3.1)e+10"),
        (-3.14e-5, 2.0e-6, "-0.0000314(20)"),
        (1.5, 0.0, "1.5(0)"),
        (np.float64(1.5), np.float64(0.0), "1.5(0)"),
        (1.5, 1e-30, "1.5(1.0e-30)"),
        (1.5, math.nan, "1.5(nan)"),
        (1.5, math.inf, "1.5(inf)"),
        (math.nan, 0.012, "nan(0.012)"),
        (-math.inf, 0.012, "-inf(0.012)"),
    ],
)
def test_prints_as_physicists_write(value, stderr, text):
    assert with_error(value, stderr) == text
    assert str(Estimate(value, stderr, 0.5, 10.0, 10)) == text


def test_printed_digits_carry_value_and_error(seed):
    """Reading the text back gives the error within 5% and the value within half a unit shown."""
    rng = np.random.default_rng(seed)
    for _ in range(500):
        stderr = float(10.0 ** rng.uniform(-9, 3))
        value = float(rng.normal() * stderr * 10.0 ** rng.uniform(-1, 6))
        text, _, exponent = with_error(value, stderr).partition(")")
        shown, digits = text.split("(")
        scale = 10.0 ** int(exponent[1:] or 0)
        unit = 1.0 if "." in digits or "." not in shown else 10.0 ** -len(shown.split(".")[1])
        assert float(digits) * unit * scale == pytest.approx(stderr, rel=0.05)
        assert abs(float(shown) * scale - value) <= 0.051 * stderr


def test_z_counts_errors_and_refuses_none():
    assert Estimate(1.5, 0.25, 0.5, 64.0, 64).z(1.0) == 2.0
    for stderr in (0.0, math.inf, math.nan):
        with pytest.raises(InvalidInput, match="cannot be counted in errors"):
            Estimate(1.5, stderr, 0.5, 64.0, 64).z(1.0)


def test_fields_are_consistent(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.8, (4, 4000))
    estimate = mean(x)
    assert estimate.n == x.size
    assert estimate.ess == pytest.approx(estimate.n / (2 * estimate.tau_int))
    # One part in ten thousand: the variance is corrected for the measured mean.
    assert estimate.stderr == pytest.approx(np.std(x) / math.sqrt(estimate.ess), rel=1e-3)
    assert estimate.value == pytest.approx(float(x.mean()), rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "rho"),
    [
        ((4, 2048), 0.8),
        ((1, 2048), 0.5),
        ((64, 64), 0.5),
        ((4, 2048), -0.5),
        ((64, 12), 0.9),  # too short for tau_int: the error comes from the scatter of the chains
        ((200, 1), 0.0),  # one draw per chain
    ],
)
def test_error_is_honest_and_wrong_ones_are_rejected(
    seed, ar1, calibration, mutants, assert_unbiased, assert_rejected, shape, rho
):
    def measure(rng):
        estimate = mean(ar1(rng, rho, shape))
        return estimate.z(0.0), estimate.tau_int

    check = calibration(measure)
    assert_unbiased(check(), seed)
    for name, mutant in mutants.items():
        if name != "autocorrelation ignored" or (rho and shape[1] > 20):
            assert_rejected(check(mutant), seed)


@pytest.mark.parametrize(
    ("shape", "tau"),
    [((1, 1000), 20.0), ((4, 250), 20.0), ((4, 1500), 75.0), ((1, 1000), 10.0), ((1, 100), 0.5)],
)
def test_errors_stay_honest_where_series_are_barely_long_enough(seed, ar1, shape, tau):
    """Series of 50 to 200 tau: those that are accepted have z-scores as large as others, or less.

    The measured tau alone gives 1.25 at 50 tau; and up to 50 sigma for 100 independent draws, where
    a tau near zero comes about by chance.
    """
    rng = np.random.default_rng(seed)
    z, bare = [], []
    for _ in range(1500):
        x = ar1(rng, (2 * tau - 1) / (2 * tau + 1), shape)
        result, trouble = measure_tau(as_chains(x))
        if not trouble:
            z.append(mean(x).z(0.0))
            bare.append(x.mean() / math.sqrt(2 * result.tau_int * result.variance / x.size))
    assert len(z) > 600
    noise = 1.0 / math.sqrt(2 * len(z))  # of the standard deviation of as many normal deviates
    assert 0.8 - 4 * noise < np.std(z) < 1.05 + 4 * noise
    assert np.std(z) < 0.98 * np.std(bare)
    if x.size / tau <= 50:
        assert np.std(bare) > 1.12
    assert np.abs(z).max() < 7


def test_tau_is_raised_by_twice_its_relative_variance():
    assert raised_tau(TauResult(10.0, 50, 2.0, 1.0)) == pytest.approx(10.8)
    assert raised_tau(TauResult(0.1, 3, 0.2, 1.0)) == pytest.approx(0.5)  # capped
    assert raised_tau(TauResult(3.0, 0, math.inf, 1.0)) == math.inf
    x = np.random.default_rng(0).normal(size=(4, 200_000))
    assert mean(x).tau_int == pytest.approx(integrated_time(x).tau_int, rel=1e-4)


def test_constant_series_is_refused_whatever_the_policy():
    x = np.full((4, 1000), -2048.0)
    for policy in ("raise", "accept"):
        with pytest.raises(InvalidInput, match=r"-2048\.0 in all 4 x 1000 draws"):
            mean(x, on_short=policy)


def test_short_chain_carries_a_conservative_estimate(seed):
    # One swing from end to end. A correlated random series this short sometimes looks uncorrelated.
    noise = np.random.default_rng(seed).normal(size=(1, 300))
    x = np.cos(np.linspace(0.0, np.pi, 300)) + 0.1 * noise
    with pytest.raises(ShortChain, match="does not fit into 1 chain of 300") as caught:
        mean(x)
    partial = caught.value.partial
    assert isinstance(partial, Estimate)
    assert partial == mean(x, on_short="accept")
    assert partial.stderr > 2.0 * np.std(x) / math.sqrt(x.size)


def test_accepted_errors_cover(seed, ar1):
    """Ten tau_int, five times too few: the error still holds within a factor two."""
    rng = np.random.default_rng(seed)
    runs = [(x, mean(x, on_short="accept")) for x in (ar1(rng, 0.9, (1, 95)) for _ in range(400))]
    assert np.std([e.z(0.0) for _, e in runs]) < 2.0
    assert np.std([x.mean() / (np.std(x) / math.sqrt(x.size)) for x, _ in runs]) > 3.0


def test_chains_that_disagree_are_refused_and_inflate_the_accepted_error(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 2000))
    x[3] += 0.5
    with pytest.raises(ShortChain, match="disagree") as caught:
        mean(x)
    scatter = np.std(x.mean(axis=1), ddof=1) / 2.0
    assert caught.value.partial.stderr >= 0.999 * scatter
    # Chains each around their own mean, as if there were nothing between them, see nothing.
    assert mean(x - x.mean(axis=1, keepdims=True)).stderr < 0.5 * scatter


def test_frozen_chains_are_not_taken_for_independent_draws():
    x = np.repeat(np.arange(40.0)[:, None], 100, axis=1)
    with pytest.raises(ShortChain):
        mean(x)


def test_nothing_known_is_an_infinite_error():
    estimate = mean([1.0, 2.0], on_short="accept")
    assert (estimate.value, estimate.stderr, estimate.ess) == (1.5, math.inf, 0.0)
    with pytest.raises(ShortChain, match=r"too few.*50 tau_int draws in all"):
        mean([1.0, 2.0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "shape"),
        (np.zeros((2, 3, 4)), "shape"),
        ([1.0, np.nan, 2.0], "1 of 3 values"),
        ([1.0, np.inf, 2.0], "1 of 3 values"),
        ([1.0, 2.0j], "real numbers"),
        (["a", "b"], "real numbers"),
        ([1.0], "one draw"),
    ],
)
def test_bad_input(x, message):
    with pytest.raises(InvalidInput, match=message):
        mean(x)


def test_unknown_policy():
    with pytest.raises(InvalidInput, match="on_short='ignore'"):
        mean(np.arange(10.0), on_short="ignore")


def test_integer_series():
    x = np.random.default_rng(0).integers(0, 2, size=(2, 5000), dtype=np.int8)
    assert abs(mean(x).z(0.5)) < 4
