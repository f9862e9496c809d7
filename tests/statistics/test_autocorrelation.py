"""Autocovariance against its definition; tau_int against AR(1), where it is known exactly."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import TauResult, autocovariance, integrated_time


def exact_tau(rho):
    return 0.5 * (1.0 + rho) / (1.0 - rho)


def test_autocovariance_is_its_definition(seed):
    """Sums written out, for odd and even lengths; pairs stay inside chains."""
    rng = np.random.default_rng(seed)
    for shape in ((3, 17), (1, 8), (2, 1)):
        x = rng.normal(size=shape) + 5.0
        d = x - x.mean()
        n_draws = shape[1]
        expected = [np.mean(d[:, : n_draws - t] * d[:, t:]) for t in range(n_draws)]
        np.testing.assert_allclose(autocovariance(x), expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(autocovariance(x[0]), autocovariance(x[:1]))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("n_chains", [1, 8])
def test_tau_of_ar1(seed, ar1, assert_unbiased, assert_rejected, rho, n_chains):
    """Mean over many chains; the cut window may miss exp(-5) = 0.7%, and so much is allowed."""

    def z_of(answer, exact):
        def run(seed, scale):
            rng = np.random.default_rng(seed)
            results = [
                integrated_time(ar1(rng, rho, (n_chains, 16384 // n_chains)))
                for _ in range(50 * scale)
            ]
            tau = np.array([answer(result) for result in results])
            missed = max(0.0, abs(tau.mean() - exact) - 0.007 * exact)
            return missed * math.sqrt(tau.size) / np.std(tau)

        return run

    assert_unbiased(z_of(lambda result: result.tau_int, exact_tau(rho)), seed)
    # emcee's convention; the sum without its 1/2; the time of another process.
    assert_rejected(z_of(lambda result: 2.0 * result.tau_int, exact_tau(rho)), seed)
    if rho < 0.9:
        assert_rejected(z_of(lambda result: result.tau_int - 0.5, exact_tau(rho)), seed)
    assert_rejected(z_of(lambda result: result.tau_int, exact_tau(rho + 0.04)), seed)


def test_error_of_tau(seed, ar1):
    """Madras and Sokal's error: near the scatter over 100 chains, and rather above it."""
    rng = np.random.default_rng(seed)
    results = [integrated_time(ar1(rng, 0.8, (4, 4096))) for _ in range(100)]
    scatter = np.std([result.tau_int for result in results])
    assert 0.5 < scatter / np.mean([result.stderr for result in results]) < 1.3


@pytest.mark.parametrize("rho", [-0.2, -0.5, -0.9])
def test_anticorrelated_series(seed, ar1, assert_unbiased, assert_rejected, rho):
    """tau < 1/2: the window must outlast |rho|, or the sum is cut at one swing of the sign."""

    def z_of(answer):
        def run(seed, scale):
            x = ar1(np.random.default_rng(seed), rho, (4, 20_000 * scale))
            result = integrated_time(x)
            # The noise of the sum does not shrink with tau; each lag brings about 1 / sqrt(n).
            noise = math.sqrt((2 * result.window + 1) / x.size)
            return (answer(x, result) - exact_tau(rho)) / noise

        return run

    assert_unbiased(z_of(lambda x, result: result.tau_int), seed)
    assert_rejected(z_of(lambda x, result: 0.5), seed)
    if rho == -0.9:
        assert_rejected(z_of(lambda x, result: 0.5 + autocovariance(x)[1] / np.var(x)), seed)


@pytest.mark.peers
def test_emcee_has_twice_this_time(seed, ar1):
    emcee_time = pytest.importorskip("emcee").autocorr.integrated_time
    x = ar1(np.random.default_rng(seed), 0.9, (1, 200_000))
    theirs = float(emcee_time(x.T)[0])
    # Their window is 5 of their tau, 10 of ours. They divide every lag by n, not n - t, and do not
    # correct for the mean: both O(window / n).
    ours = integrated_time(x, c=10.0).tau_int
    assert 2 * ours == pytest.approx(theirs, rel=2e-3)
    assert ours != pytest.approx(theirs, rel=0.4)


def test_units_and_offset_do_not_matter(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.7, (4, 3000))
    a, b = integrated_time(x), integrated_time(1e6 + 1e-3 * x)
    assert b.tau_int == pytest.approx(a.tau_int, rel=1e-5)
    assert b.variance == pytest.approx(1e-6 * a.variance, rel=1e-5)


def test_short_chain_carries_what_is_known(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.99, (1, 300))  # 3 tau
    with pytest.raises(ShortChain, match="does not fit into 1 chain of 300 draws") as caught:
        integrated_time(x)
    partial = caught.value.partial
    assert isinstance(partial, TauResult)
    assert partial.tau_int > 6.0
    longer = ar1(np.random.default_rng(seed), 0.99, (1, 40_000))
    assert integrated_time(longer).tau_int > 50.0


def test_tolerance_is_counted_in_tau(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.9, (4, 500))  # about 200 tau
    assert integrated_time(x, tolerance=50.0).tau_int > 2.0
    with pytest.raises(ShortChain, match="needs 1000 tau_int"):
        integrated_time(x, tolerance=1000.0)


def test_pooled_mean_sees_what_chains_alone_do_not(seed, ar1):
    """Two chains far apart: correlation never decays, whichever way each looks from inside."""
    x = ar1(np.random.default_rng(seed), 0.5, (2, 5000))
    assert integrated_time(x).tau_int < 2.0
    with pytest.raises(ShortChain):
        integrated_time(x + np.array([[-3.0], [3.0]]))
    with pytest.raises(ShortChain, match="2 chains of 5000 draws disagree"):
        integrated_time(x + np.array([[-0.25], [0.25]]))


def test_agreeing_chains_raise_no_alarm(seed, ar1):
    """500 calls at 1e-7 each, and none of these chains is near 50 tau."""
    rng = np.random.default_rng(seed)
    for _ in range(500):
        integrated_time(ar1(rng, 0.5, (4, 400)))


@pytest.mark.parametrize("x", [np.full(100, 0.1), np.zeros((4, 50))])
def test_constant_series_is_refused(x):
    with pytest.raises(InvalidInput, match="no fluctuation"):
        integrated_time(x)


def test_perfect_alternation_is_not_certified():
    """(-1)^t has rho(t) = (-1)^t: the sum is 0 or 1/2 at will, so there is no answer."""
    with pytest.raises(ShortChain):
        integrated_time((-1.0) ** np.arange(1000))


def test_prints_with_error():
    assert str(TauResult(9.4, 47, 0.31, 1.0)) == "tau_int = 9.4 +- 0.31 (window 47)"
