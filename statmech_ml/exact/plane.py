"""log Z and averages of smooth two-dimensional densities, by the trapezoidal rule on a rectangle.

    Z = int int exp(-u(x, y)) dx dy,    <f> = int int f exp(-u) dx dy / Z

For an analytic density that has died away at the rectangle's edge the rule's error falls faster
than any power of the spacing, so the grid is halved until two grids agree. What the rectangle cuts
off is judged by the density on its edge and refused if it counts.

L. N. Trefethen and J. A. C. Weideman, SIAM Rev. 56, 385 (2014), doi:10.1137/130932132, sections 2
and 5. Cost: 64^2 evaluations of u, then four times as many per halving, up to 4096^2.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number
from statmech_ml.exact.quadrature import Integral

_FIRST, _FINEST = 64, 4096
_ROWS = 2**20  # points in one call of u
_EPS = float(np.finfo(float).eps)

Function = Callable[[np.ndarray], Any]
Box = tuple[tuple[float, float], tuple[float, float]]


def log_z(reduced_energy: Function, box: Box, *, rtol: float = 1e-10) -> Integral:
    """Logarithm of Z = int int exp(-u) over the plane, in nats.

    Parameters
    ----------
    reduced_energy
        u of points (n, 2), returning (n,): beta times the energy. +inf means zero weight.
    box
        ((x_low, x_high), (y_low, y_high)), finite, outside of which the density is negligible.
    rtol
        Relative error of Z to reach, from 1e-13 to 0.1.

    Returns
    -------
    Integral
        (log Z, its error: the change that the last halving made, and rounding).

    Raises
    ------
    InvalidInput
        If u is NaN or -inf somewhere, the box cuts through the density, `rtol` is not reached on
        the finest grid, or an argument is out of range.

    References
    ----------
    Trefethen and Weideman (2014), doi:10.1137/130932132.

    >>> value, error = log_z(lambda x: 0.5 * (x**2).sum(axis=-1), ((-9, 9), (-9, 9)))
    >>> round(value, 9), error < 1e-9  # log 2 pi
    (1.837877066, True)
    """
    (Z, _), change, lowest, _ = _integrate(reduced_energy, _one, box, rtol)
    value = math.log(Z) - lowest
    return Integral(value, change[0] / Z + _EPS * (4.0 + abs(lowest) + abs(value)))


def mean(
    reduced_energy: Function,
    f: Function,
    box: Box,
    *,
    beside: Iterable[Function] = (),
    rtol: float = 1e-10,
) -> Integral:
    """Average <f> = int int f exp(-u) / Z of a real function of points (n, 2) -> (n,).

    Parameters, errors and references as in `log_z`; `rtol` is relative to the root of <f^2>.
    `beside` are the energies of other densities that f is made of, like the q of log(p / q): the
    grid is then at least as fine as their own integrals need, for f changes where they have modes.

    >>> half = mean(lambda x: 0.5 * (x**2).sum(axis=-1), lambda x: x[:, 0]**2, ((-9, 9), (-9, 9)))
    >>> round(half.value, 9)
    1.0
    """
    finest = [_integrate(other, _one, box, rtol)[3] for other in beside]
    (Z, weighted), change, _, _ = _integrate(reduced_energy, f, box, rtol, max(finest, default=0))
    value = weighted / Z
    error = (change[1] + abs(value) * change[0]) / Z
    return Integral(value, error + 4.0 * _EPS * abs(value))


def _one(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x))


def _integrate(
    reduced_energy: Function, f: Function, box: Box, rtol: float, at_least: int = 0
) -> tuple[tuple[float, float], tuple[float, float], float, int]:
    """Integrals of (1, f) exp(lowest - u) on the finest grid needed, their change, lowest, and the
    points on a side of that grid, `at_least` so many."""
    if not 1e-13 <= finite_number(rtol, "rtol") <= 0.1:
        raise InvalidInput(f"rtol is {rtol}, but float64 quadrature serves from 1e-13 to 0.1.")
    sides = _sides(box)
    before: np.ndarray | None = None
    n, lowest = max(_FIRST, at_least // 2), math.inf
    while n <= _FINEST:
        sums, edge, found = _trapezoid(reduced_energy, f, sides, n)
        if before is not None:
            before = before * math.exp(found - lowest)
            change = np.abs(sums - before)
            scale = np.array([sums[0], math.sqrt(sums[0] * sums[2])])
            lowest = found
            if edge > rtol * sums[0]:
                raise InvalidInput(
                    f"The box {box} cuts through the density: the outermost layer of the grid "
                    f"holds {edge / sums[0]:.1g} of the whole. Give a larger one."
                )
            if (change[:2] <= rtol * scale).all():
                values, errors = sums[:2].tolist(), change[:2].tolist()
                return (values[0], values[1]), (errors[0], errors[1]), found, n
        before, lowest, n = sums, found, 2 * n
    raise InvalidInput(
        f"The integral over {box} does not settle: {_FINEST} x {_FINEST} points change it by "
        f"{(change[:2] / scale).max():.1g} of the whole, and rtol is {rtol:g}. Give a box that "
        "fits the density more closely, or a larger rtol; the density must be smooth."
    )


def _trapezoid(
    reduced_energy: Function, f: Function, sides: np.ndarray, n: int
) -> tuple[np.ndarray, float, float]:
    """Sums of (1, f, f^2) exp(lowest - u) over an n x n grid, the first on its edge, lowest."""
    # Midpoints: a grid with its halving shares no point, so what one misses the other may see.
    steps = (sides[:, 1] - sides[:, 0]) / n
    x, y = (low + step * (np.arange(n) + 0.5) for low, step in zip(sides[:, 0], steps, strict=True))
    sums, edge, lowest = np.zeros(3), 0.0, math.inf
    rows = max(1, _ROWS // n)
    for first in range(0, n, rows):
        part = x[first : first + rows]
        points = np.stack(np.meshgrid(part, y, indexing="ij"), axis=-1).reshape(-1, 2)
        u = np.asarray(reduced_energy(points), np.float64)
        if u.shape != (len(points),) or np.isnan(u).any() or (u == -np.inf).any():
            raise InvalidInput(
                f"u returned shape {u.shape} for points {points.shape}, or NaN or -inf among its "
                "values. It must return one number per point, +inf where the density vanishes."
            )
        here = min(lowest, float(u.min()))
        if not math.isfinite(here):
            continue
        if math.isfinite(lowest):
            sums, edge = sums * math.exp(here - lowest), edge * math.exp(here - lowest)
        lowest = here
        weight = np.exp(lowest - u)
        values = np.where(weight > 0.0, np.asarray(f(points), np.float64), 0.0)
        sums += [weight.sum(), weight @ values, weight @ values**2]
        layer = weight.reshape(len(part), n)
        edge += float(layer[:, [0, -1]].sum())
        edge += float(layer[0].sum()) * (first == 0) + float(layer[-1].sum()) * (first + rows >= n)
    if not math.isfinite(lowest):
        raise InvalidInput("u is +inf all over the box, so there is no density. Give another box.")
    area = float(steps.prod())
    return sums * area, edge * area, lowest


def _sides(box: Any) -> np.ndarray:
    try:
        sides = np.array(box, np.float64)
    except (TypeError, ValueError):
        sides = np.empty(0)
    if (
        sides.shape != (2, 2)
        or not np.isfinite(sides).all()
        or not (sides[:, 0] < sides[:, 1]).all()
    ):
        raise InvalidInput(
            f"box={box!r} is no rectangle. Give ((x_low, x_high), (y_low, y_high)), finite, low < "
            "high."
        )
    return sides


__all__ = ["log_z", "mean"]
