"""Importance weights: the logarithm of their mean, its error, and whether to believe it.

An error estimated from weights whose variance is infinite is too small, however many there are, and
the effective number (sum w)^2 / sum w^2 too large. What tells is the tail: a generalised
Pareto law fitted to the largest weights has finite variance for shapes k < 1/2, and up to k = 0.7
estimates are still usable.

A. Vehtari, D. Simpson, A. Gelman, Y. Yao and J. Gabry (2024), J. Mach. Learn. Res. 25, 72
(arXiv:1507.02646), sections 3 and 6; J. Zhang and M. A. Stephens (2009),
doi:10.1198/tech.2009.08017.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]

LEAST_ESS = 50.0
"""Fewer effective weights than this give a lower bound, without an error."""

MOST_SHAPE = 0.7
"""So does a tail heavier than this."""

_PRIOR = 10.0  # weights that the prior guess of the shape, 1/2, counts for


class Weighed(NamedTuple):
    """log of the mean weight of n configurations, its error to first order, the effective number of
    weights and the shape of their tail; (n,) each."""

    log_mean: Array
    stderr: Array
    ess: Array
    shape: Array

    @property
    def collapsed(self) -> NDArray[np.bool_]:
        """Where neither value nor error can be trusted."""
        return (self.ess < LEAST_ESS) | ~(self.shape <= MOST_SHAPE)


def weigh(log_w: Array) -> Weighed:
    """From log-weights (K, n), K >= 2."""
    K = len(log_w)
    total = logsumexp(log_w, axis=0)
    share = np.exp(log_w - total)  # of each weight in the sum
    ess = 1.0 / (share**2).sum(axis=0)
    # (1 / ess - 1 / K) K / (K - 1) is the squared relative error of the mean weight.
    square = np.maximum(1.0 / ess - 1.0 / K, 0.0) * K / (K - 1)
    return Weighed(total - math.log(K), np.sqrt(square), ess, tail_shape(log_w))


def tail_shape(log_w: Array) -> Array:
    """Shape k of the tail of weights, from their logarithms (K, n): a generalised Pareto law
    fitted to the largest min(K / 5, 3 sqrt K) of each column. NaN for fewer than 25 weights, -inf
    where the largest are equal."""
    K, n = log_w.shape
    M = min(K // 5, math.ceil(3.0 * math.sqrt(K)))
    if M < 5:
        return np.full(n, np.nan)
    top = np.sort(np.partition(log_w, K - M - 1, axis=0)[K - M - 1 :], axis=0)
    w = np.exp(top - top[-1])
    y = (w[1:] - w[0]).T  # (n, M), increasing
    flat = y[:, -1] < 1e-9
    y = np.where(flat[:, None], np.arange(1.0, M + 1.0), y)
    quartile = np.maximum(y[:, int(M / 4 + 0.5) - 1], 1e-12 * y[:, -1])
    j = np.arange(1, 31 + int(math.sqrt(M)))
    b = 1.0 / y[:, -1:] + (1.0 - np.sqrt(len(j) / (j - 0.5))) / (3.0 * quartile[:, None])  # (n, J)
    k = np.log1p(-b[:, :, None] * y[:, None, :]).mean(axis=2)
    log_likelihood = M * (np.log(-b / k) - k - 1.0)
    b = (b * np.exp(log_likelihood - logsumexp(log_likelihood, axis=1)[:, None])).sum(axis=1)
    shape = np.log1p(-b[:, None] * y).mean(axis=1)
    shape = (M * shape + _PRIOR * 0.5) / (M + _PRIOR)
    return np.where(flat, -np.inf, shape)
