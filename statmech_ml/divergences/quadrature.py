"""Divergences of densities on the line by adaptive quadrature, with error bounds.

    KL = int p log(p / q),  JS = (KL(p || m) + KL(q || m)) / 2,  Fisher = int p (s_p - s_q)^2,
    W_p^p = int_0^1 |F^-1(t) - G^-1(t)|^p dt

Every result is an `Integral` (value, bound on its absolute error) of `exact.quadrature`, whose head
says what the bound can and cannot see. Log-densities are functions of arrays and need not be
normalised; -inf is zero density. Cost: some 10^4 evaluations of each.

Kullback and Leibler (1951), doi:10.1214/aoms/1177729694; Lin (1991), doi:10.1109/18.61115;
Villani, Topics in Optimal Transportation (2003), theorem 2.18.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..exact import _densities, quadrature
from ..exact.quadrature import Integral
from ._arguments import order

Function = Callable[[Any], Any]
_INF = float("inf")
_LEVELS = (1e-300, 1.0 - 2.0**-53)  # the outermost between 0 and 1 at which quantiles are read


def kl(
    log_p: Function,
    log_q: Function,
    low: float = -_INF,
    high: float = _INF,
    *,
    points: Iterable[float] = (),
    rtol: float = 1e-10,
) -> Integral:
    """KL(p || q) in nats; inf where q vanishes and p does not.

    Parameters
    ----------
    log_p, log_q
        Log-densities, not necessarily normalised. They must not underflow to -inf where p counts:
        that is a q that vanishes.
    low, high
        Ends of the interval, each finite or infinite.
    points
        Places to look at: jumps, kinks, narrow modes beside broad ones.
    rtol
        Relative error of each integral, from 1e-13 to 0.1.

    Raises
    ------
    InvalidInput
        For NaN, densities without an integral, a KL that diverges in the tails, a tolerance that is
        not reached.

    References
    ----------
    Kullback and Leibler (1951), eq. 2.4.

    >>> value, error = kl(lambda x: -(x**2) / 2, lambda x: -((x - 1) ** 2) / 2)
    >>> round(value, 9), error < 1e-8
    (0.5, True)
    """
    return _densities.kl(log_p, log_q, _rule(low, high, points, rtol))


def js(
    log_p: Function,
    log_q: Function,
    low: float = -_INF,
    high: float = _INF,
    *,
    points: Iterable[float] = (),
    rtol: float = 1e-10,
) -> Integral:
    """JS(p, q) in nats, between 0 and log 2. Parameters and errors as in `kl`.

    Lin (1991), doi:10.1109/18.61115, eq. 4.1.

    >>> round(js(lambda x: -(x**2) / 2, lambda x: -((x - 1) ** 2) / 2).value, 9)
    0.111421482
    """
    return _densities.js(log_p, log_q, _rule(low, high, points, rtol))


def fisher(
    log_p: Function,
    score_p: Function,
    score_q: Function,
    low: float = -_INF,
    high: float = _INF,
    *,
    points: Iterable[float] = (),
    rtol: float = 1e-10,
) -> Integral:
    """Fisher divergence E_p (s_p - s_q)^2 in units of 1 / x^2, without a 1/2.

    `score_p`, `score_q` are d log p / dx and d log q / dx as functions of arrays; the rest as in
    `kl`. Hyvarinen, JMLR 6, 695 (2005), eq. 2 (half of it).

    >>> round(fisher(lambda x: -(x**2) / 2, lambda x: -x, lambda x: 3 - x).value, 9)
    9.0
    """
    return _densities.fisher(log_p, score_p, score_q, _rule(low, high, points, rtol))


def wasserstein(
    quantile_p: Function,
    quantile_q: Function,
    *,
    p: float = 1.0,
    points: Iterable[float] = (),
    rtol: float = 1e-8,
) -> Integral:
    """W_p in units of x from quantile functions F^-1(t), G^-1(t) of arrays in (0, 1).

    Parameters
    ----------
    quantile_p, quantile_q
        Such as `scipy.stats.norm(1.0).ppf`; finite inside (0, 1). Beyond t = 1 - 1e-16 there are no
        more floats: an upper tail that counts there (infinite moments nearly) is not seen.
    p
        Order, >= 1.
    points
        Levels t where the quantile functions jump.
    rtol
        Relative error of W_p^p to reach.

    Raises
    ------
    InvalidInput
        For NaN, infinite quantiles inside (0, 1), or an integral that diverges.

    References
    ----------
    Villani (2003), theorem 2.18.

    >>> from scipy.special import ndtri
    >>> round(wasserstein(ndtri, lambda t: ndtri(t) - 0.7).value, 7)
    0.7
    """
    power = order(p)

    def cost(t: Any) -> np.ndarray:
        inside = np.clip(t, *_LEVELS)
        return np.asarray(np.abs(np.asarray(quantile_p(inside)) - quantile_q(inside)) ** power)

    found = quadrature.mean(lambda t: np.zeros_like(t), cost, 0.0, 1.0, points=points, rtol=rtol)
    least, value, most = (
        max(found.value + sign * found.error, 0.0) ** (1.0 / power) for sign in (-1, 0, 1)
    )
    return Integral(value, max(value - least, most - value))


def _rule(low: float, high: float, points: Iterable[float], rtol: float) -> _densities.Rule:
    settings: dict[str, Any] = {"low": low, "high": high, "points": list(points), "rtol": rtol}
    return _densities.Rule(
        partial(quadrature.log_z, **settings),
        lambda u, f, beside: quadrature.mean(u, f, beside=beside, **settings),
    )
