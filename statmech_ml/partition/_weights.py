"""What log-weights say: the log of their mean with its error, their bound, and how many count."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ..errors import InvalidInput, StatmechError

# Log-weights that differ by less than this are equal up to the rounding of the energies.
_EQUAL = 1e-12


class LogMean(NamedTuple):
    """log of the mean weight, its error, the effective number of weights out of n."""

    value: float
    stderr: float
    ess: float
    n: int
    constant: bool


def log_mean(log_w: np.ndarray) -> LogMean:
    """log of the mean of exp(log_w), with the jackknife's error."""
    n = len(log_w)
    total = float(logsumexp(log_w))
    share = np.exp(log_w - total)
    ess = 1.0 / float((share**2).sum())
    if np.ptp(log_w) <= _EQUAL * max(1.0, abs(total)):
        # Equal weights show no error. Either the path leads nowhere, or n chains missed what
        # differs: about 1/n of the weight may hide there.
        return LogMean(total - math.log(n), 1.0 / n, float(n), n, True)
    with np.errstate(divide="ignore"):
        # log of the mean weight without each chain in turn, up to a constant
        without = np.log1p(-np.minimum(share, 1.0))
    if np.isneginf(without).any():
        return LogMean(total - math.log(n), math.inf, ess, n, False)
    variance = (n - 1) / n * float(((without - without.mean()) ** 2).sum())
    return LogMean(total - math.log(n), math.sqrt(variance), ess, n, False)


def mean_log(log_w: np.ndarray) -> tuple[float, float]:
    """Mean log-weight, a lower bound on the log of the mean, and its standard error."""
    if np.isneginf(log_w).any():
        return -math.inf, math.inf
    return float(log_w.mean()), float(log_w.std(ddof=1)) / math.sqrt(len(log_w))


def check_log_weights(given: Any, name: str) -> np.ndarray:
    """Float64 (chain,); InvalidInput for NaN or +inf, StatmechError where all are -inf."""
    try:
        log_w = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The {name} log-weights are no array of numbers: {error}.") from error
    if log_w.ndim != 1 or len(log_w) < 2:
        raise InvalidInput(
            f"The {name} log-weights have shape {log_w.shape}; an error needs at least 2 chains, "
            "(chain,)."
        )
    bad = np.isnan(log_w) | (log_w == math.inf)
    if bad.any():
        raise InvalidInput(
            f"{int(bad.sum())} of {len(log_w)} {name} log-weights are NaN or an infinite weight. "
            "Energies must be numbers; a forbidden state has energy +inf, and the reference must "
            "not allow less than the target."
        )
    if np.isneginf(log_w).all():
        raise StatmechError(
            f"All {len(log_w)} {name} weights are zero: every chain ended where the other end of "
            "the path has no weight, so nothing is known about Z. Take more levels and sweeps, "
            "or a reference that covers the target."
        )
    return log_w
