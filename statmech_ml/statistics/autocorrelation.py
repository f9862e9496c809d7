"""Autocorrelation of Markov chains: autocovariance, and the integrated time by Sokal's window.

The convention everywhere is tau_int = 1/2 + sum_{t>=1} rho(t): independent draws have 1/2, the
variance of a mean of n draws is 2 tau_int var / n, and emcee's time is twice this one.

Several chains are one sample. Deviations are taken from the *pooled* mean and the autocovariances
are averaged over the chains, so chains that sit in different places show as correlation that never
decays instead of going unseen. Cost: O(n log n) by FFT.

References
----------
A. D. Sokal, "Monte Carlo Methods in Statistical Mechanics: Foundations and New Algorithms", in
Functional Integration: Basics and Applications (1997), section 3.
N. Madras, A. D. Sokal, J. Stat. Phys. 50, 109 (1988), doi:10.1007/BF01022990.
U. Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft, special

from statmech_ml.errors import InvalidInput, ShortChain

FloatArray = npt.NDArray[np.float64]
Trouble = Literal["", "short", "disagree"]

# Independent chains, or blocks, from which an error may be taken by scatter alone: it is then known
# to 1 / sqrt(2 * 19) = 16%.
MIN_INDEPENDENT = 20

# False alarms on chains that do agree: one call in ten million. Two chains must be 5.3 sigma apart.
_DISAGREEMENT_P = 1e-7


@dataclass(frozen=True)
class TauResult:
    """An integrated autocorrelation time, with its own statistical error.

    Attributes
    ----------
    tau_int
        1/2 + sum_{t=1}^{window} rho(t), in draws.
    window
        The lag at which the sum was cut; 0 where no lag could be used.
    stderr
        max(tau_int, 1/2) sqrt(2 (2 window + 1) / n), Madras and Sokal (1988), whose tau_int is no
        measure of the noise where anticorrelations cancel in it; infinite where tau_int could not
        be measured at all.
    variance
        Variance of one draw about the pooled mean, freed of the bias that the measured mean brings.
    """

    tau_int: float
    window: int
    stderr: float
    variance: float

    def __str__(self) -> str:
        return f"tau_int = {self.tau_int:.3g} +- {self.stderr:.2g} (window {self.window})"


def as_chains(x: npt.ArrayLike, name: str = "x") -> FloatArray:
    """A series as a float64 array (chain, draw); one chain may come as (draw,).

    Raises InvalidInput when it is empty, has another shape, is not real, or holds NaN or infinity.
    """
    array = np.asarray(x)
    if array.ndim == 1:
        array = array[np.newaxis]
    if array.ndim != 2 or array.size == 0:
        raise InvalidInput(
            f"{name} has shape {np.shape(x)}, but a series is (chain, draw) or (draw,) and not "
            "empty. Measure one number per draw first."
        )
    if array.dtype.kind not in "buif":
        raise InvalidInput(f"{name} has dtype {array.dtype}, but a series holds real numbers.")
    chains = np.ascontiguousarray(array, dtype=np.float64)
    bad = int(np.count_nonzero(~np.isfinite(chains)))
    if bad:
        raise InvalidInput(
            f"{name} has {bad} of {chains.size} values that are NaN or infinite, so no mean "
            "exists. Find the draws where it is not finite; dropping them would bias the answer."
        )
    return chains


def is_constant(chains: FloatArray) -> bool:
    """True when every draw of every chain is the same number."""
    return bool(chains.min() == chains.max())


def constant_message(name: str, chains: FloatArray) -> str:
    """Why a series without fluctuations gets no error bar, and what to do about it."""
    n_chains, n_draws = chains.shape
    return (
        f"{name} is {float(chains[0, 0])!r} in all {n_chains} x {n_draws} draws, so it shows no "
        "fluctuation to measure an error from (the answer is not 'plus or minus 0': anything "
        f"rarer than about 1 in {chains.size} draws would not have been seen). Check that the "
        "chain moves at all; if it does, quote the value itself as what every draw gave, draw "
        "more, or raise the temperature."
    )


def autocovariance(x: npt.ArrayLike) -> FloatArray:
    """Autocovariance of a series at every lag, averaged over chains about the pooled mean.

        gamma(t) = 1 / (C (D - t)) sum_c sum_i (x_{c,i} - xbar) (x_{c,i+t} - xbar)

    Pairs never straddle two chains. The noise grows towards large lags, where few pairs are left.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real.

    Returns
    -------
    gamma : (draw,) float64
        In units of x squared; gamma[0] is the variance.

    References
    ----------
    U. Wolff (2004), doi:10.1016/S0010-4655(03)00467-3, the estimator for several replicas.

    Examples
    --------
    >>> autocovariance([1.0, -1.0, 1.0, -1.0])
    array([ 1., -1.,  1., -1.])
    """
    chains = as_chains(x)
    n_chains, n_draws = chains.shape
    deviations = chains - chains.mean()
    size = fft.next_fast_len(2 * n_draws - 1, real=True)  # zero padding: the transform is periodic
    spectrum = fft.rfft(deviations, n=size, axis=1)
    power = np.sum(spectrum.real**2 + spectrum.imag**2, axis=0)
    pairs = n_chains * np.arange(n_draws, 0, -1)
    return np.asarray(fft.irfft(power, n=size)[:n_draws] / pairs, dtype=np.float64)


def integrated_time(x: npt.ArrayLike, c: float = 5.0, tolerance: float = 50.0) -> TauResult:
    """Integrated autocorrelation time of a series, by Sokal's automatic window.

        tau_int = 1/2 + sum_{t=1}^{W} rho(t),   W = the smallest lag with W >= c tau_int(W)

    rho carries Wolff's correction for the mean being measured from the same data, gamma(t) ->
    gamma(t) + 2 tau var / n. A series that anticorrelates (tau_int < 1/2) gets its window from
    |rho|, because there the signed sum is small long before rho is.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real.
    c
        Window in units of tau_int (emcee's c is half of it). With exponential decay the sum misses
        a fraction exp(-c).
    tolerance
        How many tau_int the draws of all chains together must hold.

    Returns
    -------
    TauResult

    Raises
    ------
    InvalidInput
        A series that never changes, or holds fewer than two draws.
    ShortChain
        The window does not fit into half a chain, or all draws together are fewer than
        tolerance * tau_int, or the chain means scatter further than tau_int allows (F test, one
        false alarm in 1e7). Its `partial` is the TauResult so far, a lower bound.

    References
    ----------
    Sokal (1997), section 3; Madras and Sokal (1988), doi:10.1007/BF01022990; Wolff (2004), eq. 49,
    doi:10.1016/S0010-4655(03)00467-3.

    Examples
    --------
    >>> import numpy as np
    >>> integrated_time(np.random.default_rng(1).normal(size=(4, 5000))).tau_int.__round__(1)
    0.5
    """
    chains = as_chains(x)
    result, trouble = measure_tau(chains, c, tolerance)
    if trouble:
        raise ShortChain(trouble_message(trouble, chains, result, tolerance), result)
    return result


def measure_tau(
    chains: FloatArray, c: float = 5.0, tolerance: float = 50.0
) -> tuple[TauResult, Trouble]:
    """`integrated_time` for callers that handle trouble themselves: the result, what is wrong."""
    n_draws, n = chains.shape[1], chains.size
    if n < 2:
        raise InvalidInput("A series of one draw has no autocorrelation. Give at least two draws.")
    if is_constant(chains):
        raise InvalidInput(constant_message("The series", chains))
    gamma = autocovariance(chains)
    last = n_draws // 2  # beyond it lags are noise: less than half of the pairs are left
    tau_of_window = np.cumsum(gamma[: last + 1]) / gamma[0] - 0.5
    window = _sokal_window(tau_of_window, c)
    if window and tau_of_window[window] < 0.5:
        window = _sokal_window(np.cumsum(np.abs(gamma[: last + 1])) / gamma[0] - 0.5, c)
    if not window:
        # Every partial sum is a lower bound of a slowly growing one; the largest says most.
        best = int(np.argmax(tau_of_window))
        return _result(gamma, best, n), "short"
    result = _result(gamma, window, n)
    if not 0.0 < result.tau_int <= n / tolerance:
        return result, "short"
    # The error is itself measured: relative variance 2 (2W + 1) / n, as chi2 / dof would have.
    dof = n / (2 * window + 1)
    if means_disagree(chains, 2.0 * result.tau_int * result.variance / n, dof):
        return result, "disagree"
    return result, ""


def _sokal_window(tau_of_window: FloatArray, c: float) -> int:
    """The smallest lag W >= 1 with W >= c tau(W); 0 when there is none."""
    closed = np.arange(tau_of_window.size) >= c * tau_of_window
    closed[:1] = False
    return int(np.argmax(closed)) if closed.any() else 0


def _result(gamma: FloatArray, window: int, n: int) -> TauResult:
    # Wolff (2004) eq. 49: the pooled mean absorbs 2 tau var / n of every autocovariance.
    absorbed = (2.0 * np.sum(gamma[: window + 1]) - gamma[0]) / n
    variance = float(gamma[0] + absorbed)
    if variance <= 0.0:  # perfect alternation in a handful of draws
        return TauResult(0.0, window, np.inf, float(gamma[0]))
    tau = float(0.5 + np.sum(gamma[1 : window + 1] + absorbed) / variance)
    stderr = max(abs(tau), 0.5) * float(np.sqrt(2.0 * (2 * window + 1) / n)) if window else np.inf
    return TauResult(tau, window, stderr, variance)


def between_chains(chains: FloatArray) -> float:
    """Variance of the grand mean by the scatter of chain means alone, C - 1 degrees of freedom."""
    return float(chains.mean(axis=1).var(ddof=1) / chains.shape[0])


def means_disagree(chains: FloatArray, variance_of_mean: float, dof: float) -> bool:
    """F test: do chain means scatter further than an error of `dof` degrees of freedom allows?"""
    n_chains = chains.shape[0]
    if n_chains == 1:
        return False
    ratio = between_chains(chains) / variance_of_mean
    return bool(special.fdtrc(n_chains - 1, dof, ratio) < _DISAGREEMENT_P)


def trouble_message(
    trouble: Trouble, chains: FloatArray, result: TauResult, tolerance: float
) -> str:
    """What was given, why tau cannot be trusted, what to do."""
    n_chains, n_draws = chains.shape
    given = f"{n_chains} chain{'s' * (n_chains > 1)} of {n_draws} draws"
    if trouble == "disagree":
        scatter = np.sqrt(between_chains(chains))
        expected = np.sqrt(2.0 * result.tau_int * result.variance / chains.size)
        return (
            f"{given} disagree: their means scatter {scatter / expected:.1f} times further than "
            f"tau_int = {result.tau_int:.3g} measured inside them explains, so each is stuck in "
            "a part of the space or has not forgotten its start. Burn in longer, draw longer, or "
            "use moves that connect the parts (clusters, replica exchange)."
        )
    if result.window == 0 or result.tau_int <= 0.0:
        return (
            f"No autocorrelation time can be measured in {given}: that is too few. Draw at least "
            f"{tolerance:g} tau_int draws in all, or {MIN_INDEPENDENT} independent chains for an "
            "error from their scatter."
        )
    return (
        f"The autocorrelation time does not fit into {given}: tau_int is at least "
        f"{result.tau_int:.3g}, and an estimate needs {tolerance:g} tau_int = "
        f"{tolerance * result.tau_int:.0f} draws in all and a summation window inside half a "
        "chain. Draw longer, thin while sampling, or use a sampler that decorrelates faster; "
        "`partial` holds the estimate so far."
    )
