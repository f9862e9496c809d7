"""Where to put the panels of a quadrature: minima, walls and tails of a one-dimensional energy.

Every function of x is read through `Integrand`, which takes functions of arrays and of numbers
alike and refuses energies that no density has. `survey` scans, `edges` lays panels that double in
width away from each minimum, wall, end and named point. Its limits are those that `quadrature`
states.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import real_array

Array = NDArray[np.float64]
Function = Callable[[Any], Any]

_NEAREST, _FARTHEST = 1e-6, 1e6  # range of the scan
_LAST = 1e150  # no tail is followed beyond
_NEGLIGIBLE = -42.0  # log of a weight per octave, relative to the peak's: e^-42 = 6e-19
_MAX_MODES = 64


class Integrand:
    """Evaluates u and f on arrays, and refuses what has no integral."""

    def __init__(self, reduced_energy: Function, f: Function | None) -> None:
        self._u = _on_arrays(reduced_energy, "reduced_energy")
        self._f = None if f is None else _on_arrays(f, "f")

    def energy(self, x: Array) -> Array:
        u = self._u(x)
        bad = np.isnan(u) | (u == -np.inf)
        if np.any(bad):
            raise InvalidInput(
                f"reduced_energy({x[bad][0]:.6g}) is {u[bad][0]}, which no density has. Write it "
                "so that it neither overflows nor leaves its domain (np.logaddexp in place of log "
                "cosh, +inf where the density is zero), or give finite low and high. Name an "
                "integrable singularity in points."
            )
        return u

    def observable(self, x: Array, u: Array) -> Array:
        """f where the weight is positive, 0 elsewhere."""
        values = np.zeros_like(x)
        weighted = u < np.inf
        if self._f is not None and np.any(weighted):
            values[weighted] = self._f(x[weighted])
            bad = ~np.isfinite(values)
            if np.any(bad):
                raise InvalidInput(
                    f"f({x[bad][0]:.6g}) is {values[bad][0]}, but a mean needs finite values "
                    "wherever the density is not zero. Restrict low and high, or mend f there."
                )
        return values

    def log_octave(self, x: float) -> float:
        """log of the weight around x, |x| e^{-u}, times |f| where that exceeds 1."""
        at = np.array([x])
        u = self.energy(at)
        return float(np.log(max(1.0, abs(self.observable(at, u)[0])) * abs(x)) - u[0])


def _on_arrays(function: Function, name: str) -> Callable[[Array], Array]:
    """`function` for arrays; called one number at a time once it has refused an array."""
    if not callable(function):
        raise InvalidInput(f"{name} must be a function of x, but got {function!r}.")
    takes_arrays = True

    def call(x: Array) -> Array:
        nonlocal takes_arrays
        with np.errstate(
            all="ignore"
        ):  # an overflow to +inf is zero weight; nan is refused by the caller
            if takes_arrays:
                try:
                    values = np.asarray(function(x))
                    takes_arrays = values.shape == x.shape
                except (TypeError, ValueError):  # `if x > 0`, `math.exp(x)` and the like
                    takes_arrays = False
            if not takes_arrays:
                try:
                    values = np.array([function(each) for each in x.tolist()])
                except OverflowError as error:
                    raise InvalidInput(
                        f"{name} overflows in Python arithmetic for some x in "
                        f"[{x.min():.6g}, {x.max():.6g}]. Return inf there, or use numpy "
                        "functions, which do."
                    ) from error
        if values.shape != x.shape or values.dtype.kind not in "fiub":
            raise InvalidInput(
                f"{name} must return one real number for each x, but gave {values.dtype} of shape "
                f"{values.shape} for {x.shape}."
            )
        return values.astype(np.float64)

    return call


# --- where to look --------------------------------------------------------------------------------


def interval(low: float, high: float, points: Iterable[float]) -> tuple[float, float, Array]:
    ends = real_array([low, high], "low and high")
    if np.any(np.isnan(ends)) or not ends[0] < ends[1]:
        raise InvalidInput(f"low = {low} and high = {high} must be in this order, and numbers.")
    if np.any((np.abs(ends) > _LAST) & np.isfinite(ends)):
        raise InvalidInput(f"low = {low}, high = {high}: for an end beyond {_LAST:g} use infinity.")
    extra = real_array(list(points), "points")
    if not np.all(np.isfinite(extra) & (extra >= low) & (extra <= high)):
        raise InvalidInput(f"points {extra.tolist()} must be finite and lie in [{low}, {high}].")
    return float(low), float(high), extra


def _scan_grid(low: float, high: float, points: Array) -> Array:
    """Sorted places inside (low, high), geometric around 0 or around finite ends and points."""
    steps = np.geomspace(_NEAREST, _FARTHEST, 1201)
    if np.isfinite(low) and np.isfinite(high):
        near_end = np.geomspace(1e-9, 1e-3, 121)
        share = np.concatenate([near_end, np.linspace(0.0, 1.0, 2050), 1.0 - near_end])
        grids = [low + (high - low) * share]
    elif np.isfinite(low):
        grids = [low + steps]
    elif np.isfinite(high):
        grids = [high - steps]
    else:
        grids = [-steps, steps]
    for point in points:
        grids += [point - steps[::5], point + steps[::5]]
    grid = np.unique(np.concatenate(grids))
    return grid[(grid > low) & (grid < high) & ~np.isin(grid, points)]


def _scan(integrand: Integrand, low: float, high: float, points: Array) -> tuple[Array, Array]:
    """Places and energies, followed outward while the energy still falls there."""
    x = _scan_grid(low, high, points)
    u = integrand.energy(x)
    octave = 2.0 ** (np.arange(1, 31) / 30)
    while high == np.inf and u[-1] < u[-2] and x[-1] < _LAST:
        x = np.append(x, x[-1] * octave)
        u = np.append(u, integrand.energy(x[-30:]))
    while low == -np.inf and u[0] < u[1] and x[0] > -_LAST:
        x = np.append((x[0] * octave)[::-1], x)
        u = np.append(integrand.energy(x[:30]), u)
    return x, u


def _walls(integrand: Integrand, x: Array, u: Array) -> Array:
    """Last places of finite energy before it becomes infinite, by bisection between grid points."""
    finite = np.isfinite(u)
    change = np.flatnonzero(finite[1:] != finite[:-1])
    if change.size == 0:
        return np.zeros(0)
    inside = np.where(finite[change], x[change], x[change + 1])
    outside = np.where(finite[change], x[change + 1], x[change])
    for _ in range(100):
        middle = 0.5 * (inside + outside)
        here = np.isfinite(integrand.energy(middle))
        inside, outside = np.where(here, middle, inside), np.where(here, outside, middle)
    return inside


def _minima(integrand: Integrand, x: Array, u: Array) -> Array:
    """Local minima of u, the lowest first, each refined between its neighbours on the grid."""
    padded = np.concatenate([[np.inf], u, [np.inf]])
    left, right = padded[:-2], padded[2:]
    candidates = np.flatnonzero((u <= left) & (u <= right) & ((u < left) | (u < right)))
    candidates = candidates[np.isfinite(u[candidates])]
    candidates = np.unique(np.append(candidates, np.argmin(u)))
    candidates = candidates[np.argsort(u[candidates], kind="stable")][:_MAX_MODES]
    found = []
    for i in candidates:
        best = x[i]
        if 0 < i < x.size - 1 and np.isfinite(u[i - 1]) and np.isfinite(u[i + 1]):
            search = minimize_scalar(
                lambda at: float(integrand.energy(np.array([at]))[0]),
                bounds=(x[i - 1], x[i + 1]),
                method="bounded",
                options={"xatol": 1e-10 * (x[i + 1] - x[i - 1])},
            )
            best = search.x if search.fun < u[i] else best
        found.append(best)
    return np.array(found)


def _width(integrand: Integrand, centre: float, low: float, high: float) -> float:
    """Distance from `centre` at which u has changed by 1, to a factor of 2."""
    distance = max(abs(centre) * 1e-15, 1e-20) * 2.0 ** np.arange(90.0)
    distance = distance[distance <= _FARTHEST]
    at_centre = integrand.energy(np.array([centre]))[0]
    widths = [1.0]
    for side in (-1.0, 1.0):
        x = centre + side * distance
        inside = (x > low) & (x < high)
        changed = np.abs(integrand.energy(x[inside]) - at_centre) >= 1.0
        widths += distance[inside][changed][:1].tolist()
    return min(widths[1:], default=widths[0])


def _cut(
    integrand: Integrand, x: Array, u: Array, side: float, peak: float, last_mode: float
) -> tuple[float, float]:
    """Where a tail to infinity becomes negligible, and the log of what lies beyond."""
    distance = side * x
    heavy = (distance > 0) & (np.log(np.maximum(distance, _NEAREST)) - u - peak > _NEGLIGIBLE)
    at = side * max(_NEAREST, last_mode, np.max(distance[heavy], initial=0.0))
    while True:
        here, beyond = integrand.log_octave(at), integrand.log_octave(2.0 * at)
        if here == -np.inf:
            return float(at), here
        if here - peak < _NEGLIGIBLE and beyond < here - 0.01:
            # A geometric series of octaves, each at most 1/(1 - ratio) of the first in sum.
            return float(at), here - float(np.log(-np.expm1(beyond - here)))
        at *= 2.0
        if abs(at) > _LAST:
            raise InvalidInput(
                "the integral diverges, or its tail decays too slowly to be bounded: around "
                f"x = {at:.1g} an octave of x still weighs e^{here - peak:.0f} times the peak. A "
                "density needs an energy that grows faster than log|x|, and a mean faster than "
                "log|x f(x)|. Mend the energy, or give finite low and high."
            )


def _features(
    integrand: Integrand, x: Array, u: Array, low: float, high: float
) -> tuple[Array, Array]:
    """Minima and walls of an energy that was scanned."""
    if not np.any(np.isfinite(u)):
        raise InvalidInput(
            f"reduced_energy is +inf at all {x.size} places looked at in ({low}, {high}): the "
            "density is zero there. Give low and high, or points, where it is not."
        )
    return _minima(integrand, x, u), _walls(integrand, x, u)


class Layout(NamedTuple):
    """What the scan found: where panels begin small, and where the last one ends."""

    low: float
    high: float
    minima: Array
    stops: Array  # ends, walls and points: always edges of panels, for u may be singular there
    scales: dict[float, float]  # width of the first panel beside each of them
    log_tail: float  # log of the weight beyond low and high


def survey(
    integrand: Integrand, low: float, high: float, points: Array, beside: Iterable[Integrand] = ()
) -> Layout:
    """Scan the energy; tails to infinity are cut where what lies beyond is negligible. Panels begin
    small at the minima and walls of the energies `beside` too, which f shows."""
    x, u = _scan(integrand, low, high, points)
    minima, walls = _features(integrand, x, u, low, high)
    centres = np.unique(np.append(minima, walls))
    widths = np.array([_width(integrand, centre, low, high) for centre in centres])
    peak = float(np.max(np.log(widths) - integrand.energy(centres)))
    for other in beside:
        also = _features(other, *_scan(other, low, high, points), low, high)
        minima, walls = np.append(minima, also[0]), np.append(walls, also[1])
        new = np.unique(np.concatenate(also))
        centres = np.append(centres, new)
        widths = np.append(widths, [_width(other, centre, low, high) for centre in new])

    tails = [-np.inf]
    special = points[(points > low) & (points < high)]
    if np.isfinite(low):
        special = np.append(special, low)
    else:
        low, tail = _cut(integrand, x, u, -1.0, peak, float(np.max(widths - centres)))
        tails.append(tail)
    if np.isfinite(high):
        special = np.append(special, high)
    else:
        high, tail = _cut(integrand, x, u, 1.0, peak, float(np.max(centres + widths)))
        tails.append(tail)

    # A narrow feature close to a broad one needs its small panels on both sides of either.
    near = np.min(widths + np.abs(centres[:, None] - centres), axis=1)
    scales = dict(zip(centres.tolist(), near.tolist(), strict=True))
    scales |= dict.fromkeys(special.tolist(), 1e-30 * min(high - low, 1.0))
    stops = np.unique(np.concatenate([[low, high], walls, special]))
    return Layout(low, high, minima, stops, scales, float(np.logaddexp.reduce(tails)))


def edges(layout: Layout, shift: float) -> Array:
    """Panels that double away from each origin, up to the next; `shift` moves all inner edges.

    A minimum is no edge, and the panel around it is not symmetric: next to a jump or a spike the
    scan's minimum lies closer to it than the outermost nodes of a panel lie to its edge.
    """
    low, high = layout.low, layout.high
    origins = np.unique(np.append(layout.minima, layout.stops))
    parts = [layout.stops]
    for origin, scale in layout.scales.items():
        below, above = origins[origins < origin][-1:], origins[origins > origin][:1]
        for stop, first in [(at, 0.31 * scale) for at in below] + [
            (at, 0.22 * scale) for at in above
        ]:
            reach = abs(stop - origin)
            rungs = max(0, int(np.ceil(np.log2(reach / (first * shift)))))
            steps = first * shift * 2.0 ** np.arange(rungs)
            parts.append(origin + np.copysign(steps[steps < reach], stop - origin))
    inner = np.unique(np.concatenate(parts))
    inner = inner[(inner > low) & (inner < high)]
    resolved = np.diff(inner, prepend=low) > 64 * np.spacing(np.abs(inner))
    kept = resolved | np.isin(inner, layout.stops)
    return np.concatenate([[low], inner[kept], [high]])
