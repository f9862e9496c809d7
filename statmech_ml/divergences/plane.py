"""Divergences of smooth densities on the plane, by the trapezoidal rule on a rectangle.

    KL = int p log(p / q),  JS = (KL(p || m) + KL(q || m)) / 2,  Fisher = int p |s_p - s_q|^2

Every result is an `Integral` (value, its error) of `exact.plane`, which says what the error holds.
Log-densities take points (n, 2) to (n,) and need not be normalised. The box must hold what counts
of both: laws that a rectangle of 4096 x 4096 cells cannot resolve are refused.

References as in `divergences.quadrature`. Cost: 128^2 evaluations and upwards.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..exact import _densities, plane
from ..exact.plane import Box
from ..exact.quadrature import Integral

Function = Callable[[Any], Any]


def kl(log_p: Function, log_q: Function, box: Box, *, rtol: float = 1e-8) -> Integral:
    """KL(p || q) in nats; inf where q vanishes and p does not.

    Parameters
    ----------
    log_p, log_q
        Log-densities of points (n, 2), returning (n,); not necessarily normalised.
    box
        ((x_low, x_high), (y_low, y_high)), outside of which both densities are negligible.
    rtol
        Relative error of each integral, from 1e-13 to 0.1.

    Raises
    ------
    InvalidInput
        For NaN, a box that cuts through a density, or a tolerance that is not reached.

    References
    ----------
    Kullback and Leibler (1951), eq. 2.4.

    >>> box = ((-9, 10), (-9, 9))
    >>> p, q = (lambda x: -0.5 * (x**2).sum(-1)), (lambda x: -0.5 * ((x - [1, 0]) ** 2).sum(-1))
    >>> round(kl(p, q, box).value, 7)
    0.5
    """
    return _densities.kl(log_p, log_q, _rule(box, rtol))


def js(log_p: Function, log_q: Function, box: Box, *, rtol: float = 1e-8) -> Integral:
    """JS(p, q) in nats, between 0 and log 2. Parameters and errors as in `kl`.

    Lin (1991), doi:10.1109/18.61115, eq. 4.1.

    >>> box = ((-9, 10), (-9, 9))
    >>> p, q = (lambda x: -0.5 * (x**2).sum(-1)), (lambda x: -0.5 * ((x - [1, 0]) ** 2).sum(-1))
    >>> round(js(p, q, box).value, 7)
    0.1114215
    """
    return _densities.js(log_p, log_q, _rule(box, rtol))


def fisher(
    log_p: Function, score_p: Function, score_q: Function, box: Box, *, rtol: float = 1e-8
) -> Integral:
    """Fisher divergence E_p |s_p - s_q|^2 in units of 1 / x^2, without a 1/2.

    Scores take points (n, 2) to gradients (n, 2); the rest as in `kl`.

    >>> box = ((-9, 9), (-9, 9))
    >>> p = lambda x: -0.5 * (x**2).sum(-1)
    >>> round(fisher(p, lambda x: -x, lambda x: [3, 4] - x, box).value, 6)
    25.0
    """
    return _densities.fisher(log_p, score_p, score_q, _rule(box, rtol))


def _rule(box: Box, rtol: float) -> _densities.Rule:
    return _densities.Rule(
        partial(plane.log_z, box=box, rtol=rtol),
        lambda u, f, beside: plane.mean(u, f, box, beside=beside, rtol=rtol),
    )
