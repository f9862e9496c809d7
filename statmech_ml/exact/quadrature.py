"""log Z and averages of one-dimensional densities by adaptive quadrature, with an error bound.

    Z = int exp(-u(x)) dx,   <f> = int f(x) exp(-u(x)) dx / Z

for a reduced energy u (minus the logarithm of an unnormalised density) on the line, a half line or
an interval. Everything is scaled by the lowest energy, so neither e^{-u} nor Z need be
representable.

Method: scan u for its minima and for walls (where it becomes infinite), from 1e-6 to 1e6 away from
0 or from a finite end and on while it falls; lay panels whose widths double away from each minimum,
starting from its own width, out to where the weight is negligible; compare 16 Gauss-Legendre nodes
on each panel with 16 on each half, and halve until they agree. Panels that double make algebraic
tails as cheap as Gaussian ones. All of it is computed twice, on panels with other edges.

The error is a bound in practice, not in theory: the sum over panels of the difference between the
two rules (the value is that of the finer one), the disagreement of the two computations, the tail
left out, and the rounding of u and x. What no sampled rule can see is a feature between the places
where it looks. A narrow minimum is found by its slopes and a wall by bisection, but a spike on a
broad background shows no slopes: name it in `points` if it is narrower than the scan, whose steps
are 2% of the distance from 0 or from a finite end (1/2000 of a finite interval). Name finite jumps
and kinks there too, or they cost precision and time.

Cost: 5,000 to 100,000 evaluations of u, in array calls where u takes arrays.

Reference: Davis and Rabinowitz, Methods of Numerical Integration (2nd ed., 1984), chapter 6.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number, real_array

Array = NDArray[np.float64]
Function = Callable[[Any], Any]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_EPS = float(np.finfo(float).eps)
_NEAREST, _FARTHEST = 1e-6, 1e6  # range of the scan
_LAST = 1e150  # no tail is followed beyond
_NEGLIGIBLE = -42.0  # log of a weight per octave, relative to the peak's: e^-42 = 6e-19
_COARSEST = 1e-4  # where rounding stops the halving earlier than rtol, the error still to accept
_SHIFTS = (1.0, 1.37)  # of the panels of the first and of the second computation
_MAX_MODES = 64
_MAX_ROUNDS = 64
_MAX_PANELS = 20_000


class Integral(NamedTuple):
    """A value and a bound on its absolute error (not a standard error: it is not random)."""

    value: float
    error: float


def log_z(
    reduced_energy: Function,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    points: Iterable[float] = (),
    rtol: float = 1e-10,
) -> Integral:
    """Logarithm of Z = int_low^high exp(-u(x)) dx, in nats.

    Parameters
    ----------
    reduced_energy
        u(x), dimensionless: beta times the energy. Called with a float64 array of any length; a
        function that only takes numbers is called one number at a time. +inf means zero weight.
    low, high
        Ends of the interval, each finite or infinite.
    points
        Places to look at: narrow modes beside broad ones, jumps and kinks, singularities inside.
    rtol
        Relative error of Z to reach, from 1e-13 to 0.1.

    Returns
    -------
    Integral
        (log Z, bound on its absolute error).

    Raises
    ------
    InvalidInput
        If u is nan or -inf somewhere, is +inf everywhere, the integral diverges or does not reach
        `rtol`, or an argument is out of range.

    References
    ----------
    Davis and Rabinowitz (1984), Methods of Numerical Integration, chapter 6.

    Examples
    --------
    >>> value, error = log_z(lambda x: x**2 / 2)
    >>> round(value, 12) == round(np.log(2 * np.pi) / 2, 12), error < 1e-10
    (True, True)
    """
    integrals, errors, lowest = _integrate(reduced_energy, None, low, high, points, rtol)
    Z = integrals[0]
    value = float(np.log(Z) - lowest)
    rounding = _EPS * (4.0 + abs(lowest) + abs(value))  # of u at its minimum, and of the result
    return Integral(value, float(errors[0] / Z + rounding))


def mean(
    reduced_energy: Function,
    f: Function,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    points: Iterable[float] = (),
    rtol: float = 1e-10,
) -> Integral:
    """Average <f> = int f(x) exp(-u(x)) dx / Z.

    Parameters
    ----------
    reduced_energy
        u(x), as in `log_z`.
    f
        Real function of x to be averaged, called in the same way; it is read only where the weight
        is not zero.
    low, high
        Ends of the interval, each finite or infinite.
    points
        Places to look at: narrow modes of u beside broad ones, jumps and kinks of u or f.
    rtol
        Error to reach relative to <|f|>, from 1e-13 to 0.1.

    Returns
    -------
    Integral
        (<f>, bound on its absolute error).

    Raises
    ------
    InvalidInput
        If u is nan or -inf or f is not finite somewhere, an integral diverges (the mean of a Cauchy
        density) or does not reach `rtol`, or an argument is out of range.

    References
    ----------
    Davis and Rabinowitz (1984), Methods of Numerical Integration, chapter 6.

    Examples
    --------
    >>> value, error = mean(lambda x: x**2 / 2, lambda x: x**4)
    >>> round(value, 9)
    3.0
    """
    integrals, errors, _ = _integrate(reduced_energy, f, low, high, points, rtol)
    Z, weighted, _ = integrals
    value = weighted / Z
    return Integral(
        float(value), float((errors[1] + abs(value) * errors[0]) / Z + 4 * _EPS * abs(value))
    )


# --- the integrand --------------------------------------------------------------------------------


class _Integrand:
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


def _interval(low: float, high: float, points: Iterable[float]) -> tuple[float, float, Array]:
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


def _scan(integrand: _Integrand, low: float, high: float, points: Array) -> tuple[Array, Array]:
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


def _walls(integrand: _Integrand, x: Array, u: Array) -> Array:
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


def _minima(integrand: _Integrand, x: Array, u: Array) -> Array:
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


def _width(integrand: _Integrand, centre: float, low: float, high: float) -> float:
    """Distance from `centre` at which u has changed by 1, to a factor of 2."""
    distance = max(abs(centre) * 1e-15, 1e-20) * 2.0 ** np.arange(90)
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
    integrand: _Integrand, x: Array, u: Array, side: float, peak: float, last_mode: float
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


# --- the integral ---------------------------------------------------------------------------------


def _integrate(
    reduced_energy: Function,
    f: Function | None,
    low: float,
    high: float,
    points: Iterable[float],
    rtol: float,
) -> tuple[Array, Array, float]:
    """Integrals of (1, f, |f|) e^{lowest - u}, bounds on their errors, and `lowest`."""
    low, high, extra = _interval(low, high, points)
    if not 1e-13 <= finite_number(rtol, "rtol") <= 0.1:
        raise InvalidInput(f"rtol is {rtol}, but float64 quadrature serves from 1e-13 to 0.1.")
    integrand = _Integrand(reduced_energy, f)
    layout = _survey(integrand, low, high, extra)
    first, second = (
        _adapt(integrand, _edges(layout, shift), layout.stops, rtol) for shift in _SHIFTS
    )
    integrals, errors, lowest = first
    rescale = np.exp(lowest - second[2])
    disagreement = np.abs(integrals - rescale * second[0])
    # A feature that hides from one set of nodes shows in the other.
    allowed = 10.0 * (errors + rescale * second[1]) + rtol * integrals[[0, 2, 2]]
    if np.any((disagreement > allowed)[:2]):
        scale = np.maximum(integrals[[0, 2]], np.finfo(float).tiny)
        worst = np.max(disagreement[:2] / scale)
        raise InvalidInput(
            f"two computations on different panels disagree by {worst:.1g} of the whole, so the "
            "density has a jump or a spike that the scan cannot see. Name it in points."
        )
    errors = np.maximum(errors, rescale * second[1]) + disagreement
    return integrals, errors + np.exp(layout.log_tail + lowest), lowest


class _Layout(NamedTuple):
    """What the scan found: where panels begin small, and where the last one ends."""

    low: float
    high: float
    minima: Array
    stops: Array  # ends, walls and points: always edges of panels, for u may be singular there
    scales: dict[float, float]  # width of the first panel beside each of them
    log_tail: float  # log of the weight beyond low and high


def _survey(integrand: _Integrand, low: float, high: float, points: Array) -> _Layout:
    x, u = _scan(integrand, low, high, points)
    if not np.any(np.isfinite(u)):
        raise InvalidInput(
            f"reduced_energy is +inf at all {x.size} places looked at in ({low}, {high}): the "
            "density is zero there. Give low and high, or points, where it is not."
        )
    minima, walls = _minima(integrand, x, u), _walls(integrand, x, u)
    centres = np.unique(np.append(minima, walls))
    widths = np.array([_width(integrand, centre, low, high) for centre in centres])
    peak = float(np.max(np.log(widths) - integrand.energy(centres)))

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

    scales = dict(zip(centres.tolist(), widths.tolist(), strict=True))
    scales |= dict.fromkeys(special.tolist(), 1e-30 * min(high - low, 1.0))
    stops = np.unique(np.concatenate([[low, high], walls, special]))
    return _Layout(low, high, minima, stops, scales, float(np.logaddexp.reduce(tails)))


def _edges(layout: _Layout, shift: float) -> Array:
    """Panels that double away from each origin, up to the next; `shift` moves all inner edges.

    A minimum is no edge, and the panel around it is not symmetric: next to a jump or a spike the
    scan's minimum lies closer to it than the outermost nodes of a panel lie to its edge.
    """
    low, high = layout.low, layout.high
    origins = np.unique(np.append(layout.minima, layout.stops))
    edges = [layout.stops]
    for origin, scale in layout.scales.items():
        below, above = origins[origins < origin][-1:], origins[origins > origin][:1]
        for stop, first in [(at, 0.31 * scale) for at in below] + [
            (at, 0.22 * scale) for at in above
        ]:
            reach = abs(stop - origin)
            rungs = max(0, int(np.ceil(np.log2(reach / (first * shift)))))
            steps = first * shift * 2.0 ** np.arange(rungs)
            edges.append(origin + np.copysign(steps[steps < reach], stop - origin))
    inner = np.unique(np.concatenate(edges))
    inner = inner[(inner > low) & (inner < high)]
    resolved = np.diff(inner, prepend=low) > 64 * np.spacing(np.abs(inner))
    kept = resolved | np.isin(inner, layout.stops)
    return np.concatenate([[low], inner[kept], [high]])


def _adapt(
    integrand: _Integrand, edges: Array, stops: Array, rtol: float
) -> tuple[Array, Array, float]:
    """Halve panels until one and two applications of the rule agree on each."""
    a, b = edges[:-1], edges[1:]
    whole, _, _, lowest = _rule(integrand, a, b, stops, np.inf)
    before = np.zeros(whole.shape)  # difference one halving earlier; none yet
    integrals, errors = np.zeros(3), np.zeros(3)
    for _ in range(_MAX_ROUNDS):
        middle = 0.5 * (a + b)
        ends = np.concatenate([a, middle]), np.concatenate([middle, b])
        halves, noise, jumps, found = _rule(integrand, *ends, stops, lowest)
        rescale, lowest = np.exp(found - lowest), found
        integrals, errors = rescale * integrals, rescale * errors
        whole, before = rescale * whole, rescale * before
        fine, jump, rounding = (x[:, : a.size] + x[:, a.size :] for x in (halves, jumps, noise))
        difference = np.abs(fine - whole)
        # Errors of <f> and <|f|> are measured by <|f|>: <f> itself may vanish.
        total = (integrals + fine.sum(1))[[0, 2, 2], None]

        # Halving lowers the difference a thousandfold where the density is smooth. At a singularity
        # it does so by a fixed ratio, and the rest is a geometric series; ten times that, because
        # the differences scatter with the singularity's place among the nodes.
        ratio = np.minimum(difference / np.where(before > 0, before, np.inf), 0.95)
        bound = difference * np.where(ratio > 0.02, 10.0 / (1.0 - ratio), 1.0)
        exhausted = np.maximum(difference, jump) <= rounding
        bound = np.where(exhausted, difference, np.maximum(bound, jump)) + rounding
        # A thousandth per panel: there are hundreds, of which few come close to their tolerance.
        # The integral of |f| is a scale only, and may have kinks of its own.
        done = np.all((exhausted | (bound <= 1e-3 * rtol * total))[:2], axis=0)
        # Between neighbouring floats nothing can be halved, and all that is there is in doubt.
        tight = b - a <= 64 * np.spacing(np.maximum(np.abs(a), np.abs(b)))
        bound = np.where(tight, bound + fine[[0, 2, 2]], bound)
        done |= tight
        integrals = integrals + fine[:, done].sum(1)
        errors = errors + bound[:, done].sum(1)
        share = np.max(bound / np.maximum(total, np.finfo(float).tiny), axis=0)
        worst, at = np.max(share), a[np.argmax(share)]
        # Rounding may end the halving, but must not hide an integral that diverges within it.
        if np.any(errors > max(rtol, _COARSEST) * total[:, 0]):
            break
        if np.all(done):
            return integrals, errors, lowest
        if np.count_nonzero(~done) > _MAX_PANELS:
            break
        whole, before = halves[:, np.tile(~done, 2)], np.tile(difference[:, ~done], 2)
        a, b = ends[0][np.tile(~done, 2)], ends[1][np.tile(~done, 2)]
    raise InvalidInput(
        f"the integral diverges or does not converge near x = {at:.6g}: its error there is still "
        f"{worst:.1g} of the whole, and rtol is {rtol:g}. Check that the density is integrable; "
        "name jumps and singularities in points, or ask for a larger rtol."
    )


def _rule(
    integrand: _Integrand, a: Array, b: Array, stops: Array, lowest: float
) -> tuple[Array, Array, Array, float]:
    """Integrals of (1, f, |f|) e^{lowest - u} on each panel, their rounding, jumps, and `lowest`.

    `jumps` is the error that a jump between two places makes, where most of the change on a panel
    happens between two of them. `lowest` comes back lower where u is found below it.
    """
    # Beside the nodes, the ends of each panel; but u may be singular at a stop.
    places = np.concatenate([[-1.0], _NODES, [1.0]])
    first, last = (
        np.where(np.isin(a, stops), _NODES[0], -1.0),
        np.where(np.isin(b, stops), _NODES[-1], 1.0),
    )
    x = 0.5 * (a + b)[:, None] + 0.5 * (b - a)[:, None] * np.clip(
        places, first[:, None], last[:, None]
    )
    u = integrand.energy(x.ravel())
    f = integrand.observable(x.ravel(), u).reshape(x.shape)
    u = u.reshape(x.shape)
    lowest = min(lowest, float(np.min(u)))
    density = np.exp(lowest - u)
    values = np.stack([density, f * density, np.abs(f) * density])
    sums = values[..., 1:-1] @ _WEIGHTS * (0.5 * (b - a))
    # Chebyshev, Markov and Stieltjes: up to a jump the weights sum to its place within one gap.
    change = np.abs(np.diff(values))
    sudden = np.max(change, axis=-1) > 0.5 * np.ptp(values, axis=-1)
    jumps = np.where(sudden, np.max(change * np.diff(x), axis=-1), 0.0)
    # Rounding of u and, through the slope of u, of x itself.
    seen = np.where(density > 0, u, lowest)
    farthest = np.maximum(np.abs(a), np.abs(b))
    slope = np.ptp(seen, axis=1) / np.maximum(b - a, np.spacing(farthest))
    size = np.abs(seen).max(1) + slope * farthest
    return sums, _EPS * (4.0 + size) * sums[[0, 2, 2]], jumps, lowest
