"""Integrals over x_0 given noisy x_t, many at once: Gauss-Legendre panels that know both scales.

The posterior of one coordinate is p(t) N(x; a t, v) up to a factor. Panels end at the places where
p has its mass (given as `places`, quantiles for example), at distances s, 2 s, 4 s ... from
x / a, s = sqrt(v) / a, and near the ends of the support at multiples of the length over which the
normal factor decays there. Whichever of the two factors is narrow, panels are narrow where it is.
Where the noise is the narrow one, nodes are counted from x / a: it must not drown in rounding.

P. J. Davis and P. Rabinowitz, Methods of Numerical Integration (2nd ed., 1984), section 2.7.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from statmech_ml.errors import InvalidInput

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_STEPS = np.array([0.75, 1.5, 2.5, 4.0, 6.0, 8.0, 11.0, 16.0, 40.0])
_ROUNDS = 40  # of halving
_MAX_PLACES = 300
_LITTLE = 0.1  # noise, beside the distance of the outer places
# From an end, where densities may go like a power: geometric, down to nothing.
_INWARDS = np.concatenate([0.75 * 6.0 ** -np.arange(8.0, 0.0, -1.0), _STEPS])
_AROUND = np.concatenate([-_STEPS[::-1], [0.0], _STEPS])


class Posterior(NamedTuple):
    """Of each x: log of the integral, mean of t, mean of t less x / a, and variance of t, (n,)
    each."""

    log_mass: Array
    mean: Array
    shift: Array
    variance: Array


def posterior(
    log_density: Function,
    centre: Array,
    width: Array,
    support: tuple[float, float],
    places: Array,
) -> Posterior:
    """Integrate exp(log_density(t) - (t - centre)^2 / 2 width^2) over the support, for n normal
    factors at once: `centre` and `width` are (n,)."""
    c, s = centre[:, None], width[:, None]
    origin = np.where(s < _LITTLE * (places[-1] - places[0]), c, 0.0)
    c = c - origin  # from here on all but t is counted from the origin
    low, high, known = support[0] - origin, support[1] - origin, places - origin
    first = np.maximum(low, np.minimum(known[:, :1], c - _STEPS[-1] * s))
    last = np.minimum(high, np.maximum(known[:, -1:], c + _STEPS[-1] * s))
    breaks = [first, last, c + s * _AROUND, known]
    for end, inwards in ((low, 1.0), (high, -1.0)):
        if np.isfinite(end).all():
            decay = s * s / (np.abs(c - end) + s)
            breaks.append(end + inwards * decay * _INWARDS)
    edges = np.sort(np.clip(np.concatenate(breaks, axis=1), first, last), axis=1)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    u = (0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None] + half * _NODES).reshape(len(c), -1)
    t = origin + u
    # Panels of no width, and those that rounding leaves no room in, may sit on a singular end.
    wide = np.repeat(half, len(_NODES), axis=1)[:, :, 0] > 0.0
    inside = (t > support[0]) & (t < support[1]) & wide
    log_w = np.where(inside, log_density(t) - 0.5 * ((u - c) / s) ** 2, -np.inf)
    top = log_w.max(axis=1, keepdims=True)
    w = np.exp(log_w - top) * (half * _WEIGHTS).reshape(len(c), -1)
    mass = w.sum(axis=1)
    mean = (w * u).sum(axis=1) / mass
    variance = (w * (u - mean[:, None]) ** 2).sum(axis=1) / mass
    log_mass = top[:, 0] + np.log(mass)
    return Posterior(log_mass, origin[:, 0] + mean, mean - c[:, 0], variance)


def total_mass(pdf: Function, places: Array, support: tuple[float, float]) -> float:
    """Integral of a density: over the panels between its places, and outwards from the outer two
    over panels that double, to a thousand times their distance or the ends of the support."""
    reach = (places[-1] - places[0]) * 2.0 ** np.arange(-10.0, 11.0)
    edges = np.concatenate([places[0] - reach[::-1], places, places[-1] + reach])
    edges = np.unique(np.clip(edges, *support))
    half, middle = 0.5 * np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    with np.errstate(all="ignore"):  # at singular ends
        found = (pdf(middle[:, None] + half[:, None] * _NODES) * _WEIGHTS).sum(axis=1) * half
    return float(found.sum())


def refined(pdf: Function, cdf: Function, sf: Function, places: Array, tolerance: float) -> Array:
    """Places with others between them, until panels from each to the next integrate the density to
    the distribution function within `tolerance`: kinks and singular ends get narrow ones."""
    done = places = np.unique(places)
    low, high = places[:-1], places[1:]
    for _ in range(_ROUNDS):
        half, middle = 0.5 * (high - low), 0.5 * (high + low)
        with np.errstate(all="ignore"):  # at singular ends
            found = (pdf(middle[:, None] + half[:, None] * _NODES) * _WEIGHTS).sum(axis=1) * half
        # Differences of whichever of the two functions is small.
        upper = cdf(low) > 0.5
        mass = np.where(upper, sf(low) - sf(high), cdf(high) - cdf(low))
        wrong = ~(np.abs(found - mass) < tolerance) & (low < middle) & (middle < high)
        if not wrong.any() or len(done) > _MAX_PLACES:
            break
        done = np.append(done, middle[wrong])
        low, middle, high = low[wrong], middle[wrong], high[wrong]
        low, high = np.append(low, middle), np.append(middle, high)
    return np.unique(done)


def average(
    log_weight_and_value: Callable[[Array], tuple[Array, Array]], edges: Array, rtol: float
) -> float:
    """int f w dx / int w dx, f > 0, of a function x (n,) -> (log w, f), between the outer edges.

    Panels are halved until the rule on each agrees with that on its halves: their differences then
    add up to less than rtol of the two integrals, or to what rounding leaves.
    """
    edges = np.unique(edges)
    low, high = edges[:-1], edges[1:]
    scale = float(log_weight_and_value(edges)[0].max())

    def rule(low: Array, high: Array) -> Array:
        """The two integrals over each panel, (2, n)."""
        half = 0.5 * (high - low)
        x = (0.5 * (low + high))[:, None] + half[:, None] * _NODES
        log_w, f = log_weight_and_value(x.ravel())
        w = np.exp(log_w - scale).reshape(x.shape) * _WEIGHTS * half[:, None]
        return np.stack([w.sum(axis=1), (w * f.reshape(x.shape)).sum(axis=1)])

    coarse, total = rule(low, high), np.zeros(2)
    for _ in range(_ROUNDS):
        middle = 0.5 * (low + high)
        halves = rule(np.append(low, middle), np.append(middle, high))
        n = len(low)
        fine = halves[:, :n] + halves[:, n:]
        whole = total + fine.sum(axis=1)
        # Each panel may keep its share of the error, so that all together keep to it.
        wrong = (np.abs(fine - coarse) > rtol / max(n, 64) * whole[:, None]).any(axis=0)
        total = total + fine[:, ~wrong].sum(axis=1)
        if not wrong.any():
            return float(total[1] / total[0])
        again = np.append(wrong, wrong)
        low, high = np.append(low, middle)[again], np.append(middle, high)[again]
        coarse = halves[:, again]
    raise InvalidInput(
        f"The integral over x_t does not settle to {rtol:g} in {_ROUNDS} halvings: the density "
        "has a feature that is no function of ordinary smoothness. Average over draws instead."
    )
