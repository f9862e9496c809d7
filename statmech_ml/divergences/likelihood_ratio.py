"""Divergences from draws whose log-densities (or scores) are known: averages with an error.

    KL(p || q) = E_p [log p - log q]
    JS(p, q)   = 1/2 E_p log(2 p / (p + q)) + 1/2 E_q log(2 q / (p + q))
    Fisher     = E_p |grad log p - grad log q|^2

Each is a mean over independent draws, so unbiased, and its error that of a mean. Log-densities must
be normalised. KL needs draws of p where log p / q has a variance: if q has much lighter tails than
p, rare draws decide, and the error is not to be trusted either.

Kullback and Leibler (1951), doi:10.1214/aoms/1177729694; Lin (1991), doi:10.1109/18.61115;
Hyvarinen, JMLR 6, 695 (2005), eq. 2, whose objective is half of Fisher.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InvalidInput
from ..statistics import Estimate
from ..statistics.estimate import from_tau
from ._arguments import Array, numbers, sample


def kl_from_log_prob(log_p: ArrayLike, log_q: ArrayLike) -> Estimate:
    """KL(p || q) in nats from log p(x) and log q(x), both (n,), at independent draws x of p.

    It is inf with an infinite error where q vanishes at a draw of p.

    Raises
    ------
    InvalidInput
        For NaN, +inf, arrays that do not fit, or log p = -inf: no draw of p lies there.

    References
    ----------
    Kullback and Leibler (1951), eq. 2.4.

    >>> print(kl_from_log_prob([-1.0, -1.2, -0.9, -1.1], [-1.5, -1.6, -1.6, -1.3]))
    0.45(10)
    """
    of_p, of_q = _pair(log_p, log_q, "draws of p")
    if (of_q == -np.inf).any():
        return Estimate(math.inf, math.inf, 0.5, float(len(of_q)), len(of_q))
    return _mean(of_p - of_q)


def js_from_log_prob(
    log_p_of_p: ArrayLike, log_q_of_p: ArrayLike, log_q_of_q: ArrayLike, log_p_of_q: ArrayLike
) -> Estimate:
    """JS(p, q) in nats from log p and log q at n draws of p, and log q and log p at m draws of q.

    Between 0 and log 2 up to noise. Terms are bounded above by log 2: their error exists.

    Parameters
    ----------
    log_p_of_p, log_q_of_p
        (n,), at independent draws of p; log q may be -inf.
    log_q_of_q, log_p_of_q
        (m,), at independent draws of q; log p may be -inf.

    Raises
    ------
    InvalidInput
        For NaN, +inf, arrays that do not fit, or a density that vanishes at a draw of its own.

    References
    ----------
    Lin (1991), doi:10.1109/18.61115, eq. 4.1.

    >>> print(js_from_log_prob([0.0] * 4, [-2.0, -1.0] * 2, [0.0] * 4, [-1.5, -0.5] * 2))
    0.414(48)
    """
    halves = []
    for own, other, name in (
        (log_p_of_p, log_q_of_p, "draws of p"),
        (log_q_of_q, log_p_of_q, "draws of q"),
    ):
        of_own, of_other = _pair(own, other, name)
        halves.append(_mean(math.log(2.0) - np.logaddexp(0.0, of_other - of_own)))
    value = 0.5 * (halves[0].value + halves[1].value)
    n = halves[0].n + halves[1].n
    return Estimate(value, 0.5 * math.hypot(halves[0].stderr, halves[1].stderr), 0.5, float(n), n)


def fisher_from_scores(score_p: ArrayLike, score_q: ArrayLike) -> Estimate:
    """Fisher divergence E_p |s_p - s_q|^2 from scores (n, size) or (n,) at independent draws of p.

    In units of 1 / x^2, without a factor 1/2.

    Raises
    ------
    InvalidInput
        For NaN, infinite scores, or shapes that do not fit.

    References
    ----------
    Hyvarinen (2005), JMLR 6, 695, eq. 2.

    >>> print(fisher_from_scores([[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 2.0]]))
    2.5(1.5)
    """
    of_p, of_q = sample(score_p, "score_p"), sample(score_q, "score_q")
    if of_p.shape != of_q.shape:
        raise InvalidInput(f"Scores of shape {of_p.shape} and {of_q.shape} do not fit together.")
    return _mean(((of_p - of_q) ** 2).sum(axis=1))


def _pair(own: ArrayLike, other: ArrayLike, name: str) -> tuple[Array, Array]:
    """Log-densities at the same draws, the first of the law that they are drawn from."""
    of_own = numbers(own, f"the first log-density at {name}")
    of_other = numbers(other, f"the second log-density at {name}")
    if of_own.shape != of_other.shape:
        raise InvalidInput(
            f"Log-densities at {name} have shapes {of_own.shape} and {of_other.shape}; give both "
            "at the same draws."
        )
    if not np.isfinite(of_own).all() or (of_other == np.inf).any():
        raise InvalidInput(
            f"At {name}, {int(np.count_nonzero(~np.isfinite(of_own)))} log-densities of their own "
            f"law are infinite, and {int(np.count_nonzero(of_other == np.inf))} of the other are "
            "+inf: no draw of a density can lie there. Check the order of the arguments."
        )
    return of_own, of_other


def _mean(values: Array) -> Estimate:
    return from_tau(float(values.mean()), 0.5, float(values.var(ddof=1)), len(values))
