"""What log-weights say: the log of their mean with its error, their bound, and how many count."""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ..errors import InvalidInput, StatmechError
from .logz import MAX_SPREAD, MIN_ESS, MIN_EVENNESS

# Log-weights that differ by less than this are equal up to the rounding of the energies.
_EQUAL = 1e-12
_FEWEST = 4  # A fit of two parameters needs more weights.


class LogMean(NamedTuple):
    """log of the mean weight, its error, the effective number of weights out of n.

    `constant` says that too few weights differ from all others for an error, `tail` is the Pareto
    shape of the largest.
    """

    value: float
    stderr: float
    ess: float
    n: int
    constant: bool
    tail: float


def log_mean(log_w: np.ndarray) -> LogMean:
    """log of the mean of exp(log_w), with the jackknife's error."""
    n = len(log_w)
    total = float(logsumexp(log_w))
    share = np.exp(log_w - total)
    ess = 1.0 / float((share**2).sum())
    constant = _nearly_constant(log_w, total)
    tail = -math.inf if constant else pareto_shape(log_w)
    with np.errstate(divide="ignore"):
        # log of the mean weight without each chain in turn, up to a constant
        without = np.log1p(-np.minimum(share, 1.0))
    stderr = math.inf
    if not np.isneginf(without).any():
        stderr = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    if constant:
        # Either the path leads nowhere, or n chains missed what differs: about 1/n of the weight
        # may hide there.
        stderr = max(stderr, 1.0 / n)
    return LogMean(total - math.log(n), stderr, ess, n, constant, tail)


def _nearly_constant(log_w: np.ndarray, total: float) -> bool:
    """Whether most weights are equal and so few differ that they do not tell their variance."""
    middle = float(np.median(log_w))  # of equal weights, where more than half are
    if not math.isfinite(middle):
        return False
    differ = int((np.abs(log_w - middle) > _EQUAL * max(1.0, abs(total))).sum())
    return differ < min(MIN_ESS, 0.5 * len(log_w))


def pareto_shape(log_w: np.ndarray) -> float:
    """Shape k of the generalised Pareto law of the largest weights; moments below 1/k exist.

    The largest min(n / 5, 3 sqrt(n)) weights, as A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J.
    Gabry, J. Mach. Learn. Res. 25, 72 (2024), arXiv:1507.02646, section 2.4 and appendix G; fitted
    by J. Zhang and M. A. Stephens, Technometrics 51, 316 (2009), doi:10.1198/tech.2009.08017. Minus
    infinity where the largest weight is that of so many that there is no tail.

    >>> n = 10_000
    >>> ranks = (np.arange(n) + 0.5) / n
    >>> round(pareto_shape(-0.5 * np.log1p(-ranks)), 2)  # P(w > t) = t^-2
    0.5
    """
    w = np.sort(np.exp(log_w - log_w.max()))
    n = len(w)
    n_tail = math.ceil(min(n / 5, 3.0 * math.sqrt(n)))
    cut = w[n - n_tail - 1]
    excess = w[w > cut] - cut
    # Weights of discrete states: the tail starts below equal ones, not inside them.
    while 0 < len(excess) <= _FEWEST:
        below = w[w < cut]
        if not len(below):
            break
        cut = below[-1]
        excess = w[w > cut] - cut
    if not len(excess):
        return -math.inf
    n = len(excess)
    if n <= _FEWEST:  # these may hold any part of the weight
        return math.inf
    m = 30 + int(math.sqrt(n))
    quartile = excess[int(n / 4 + 0.5) - 1]
    theta = 1.0 / excess[-1] + (1.0 - np.sqrt(m / (np.arange(m) + 0.5))) / (3.0 * quartile)
    k = np.log1p(-theta[:, None] * excess).mean(axis=1)
    likelihood = n * (np.log(-theta / k) - k - 1.0)
    posterior = np.exp(likelihood - logsumexp(likelihood))
    shape = float(np.log1p(-float(theta @ posterior) * excess).mean())
    # Drawn to 1/2, as if ten more weights said so.
    return (n * shape + 5.0) / (n + 10.0)


def disagree(log_z: np.ndarray) -> bool:
    """Whether independent estimates of Z, (estimate,), are too uneven for the error of their mean.

    There are too few of them for a law of their tail.
    """
    share = np.exp(log_z - logsumexp(log_z))
    even = 1.0 / float((share**2).sum()) >= MIN_EVENNESS * len(log_z)
    return not (even and float(np.std(log_z[share > 0.0], ddof=1)) <= MAX_SPREAD)


def widening(n: int) -> float:
    """Factor of an error from n independent estimates that gives z-scores unit variance.

    They are Student's t with n - 1 degrees of freedom; below four estimates they have no variance.
    """
    return math.sqrt((n - 1) / (n - 3)) if n > 3 else math.inf


def mean_log(log_w: np.ndarray) -> tuple[float, float]:
    """Mean log-weight, a lower bound on the log of the mean, and its standard error."""
    if np.isneginf(log_w).any():
        return -math.inf, math.inf
    return float(log_w.mean()), float(log_w.std(ddof=1)) / math.sqrt(len(log_w))


def as_numbers(given: Any, name: str) -> np.ndarray:
    """A float64 copy, or InvalidInput."""
    try:
        return np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The {name} are no array of numbers: {error}.") from error


def check_log_weights(given: Any, name: str) -> np.ndarray:
    """Float64 (chain,); InvalidInput for NaN or +inf, StatmechError where all are -inf.

    `name` is what errors call them, in the plural.
    """
    log_w = as_numbers(given, name)
    if log_w.ndim != 1 or len(log_w) < 2:
        raise InvalidInput(
            f"The {name} have shape {log_w.shape}; an error needs at least 2 chains, (chain,)."
        )
    bad = np.isnan(log_w) | (log_w == math.inf)
    if bad.any():
        raise InvalidInput(
            f"{int(bad.sum())} of {len(log_w)} {name} are NaN or an infinite weight. Energies must "
            "be numbers; a forbidden state has energy +inf, and the reference must not allow less "
            "than the target."
        )
    if np.isneginf(log_w).all():
        raise StatmechError(
            f"All {len(log_w)} weights are zero ({name}): every chain ended where the other end of "
            "the path has no weight, so nothing is known about Z. Take more levels and sweeps, or "
            "a reference that covers the target."
        )
    return log_w
