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
are 2% of the distance from 0 or from a finite end (1/2000 of a finite interval). A singularity
inside the interval should be named too; jumps and kinks may be, which saves evaluations.

Cost: 5,000 to 100,000 evaluations of u, in array calls where u takes arrays.

Reference: Davis and Rabinowitz, Methods of Numerical Integration (2nd ed., 1984), chapter 6.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number
from statmech_ml.exact._survey import Array, Function, Integrand, edges, interval, survey

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_EPS = float(np.finfo(float).eps)
_COARSEST = 1e-4  # where rounding stops the halving earlier than rtol, the error still to accept
_SHIFTS = (1.0, 1.37)  # of the panels of the first and of the second computation
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
    >>> round(value, 12), error < 1e-10
    (0.918938533205, True)
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
    beside: Iterable[Function] = (),
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
    beside
        Energies of other densities that f is made of, like the q of log(p / q): they are scanned as
        u is, for f changes where they have a mode, however narrow, or a wall.
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
    integrals, errors, _ = _integrate(reduced_energy, f, low, high, points, rtol, beside)
    Z, weighted, _ = integrals
    value = weighted / Z
    return Integral(
        float(value), float((errors[1] + abs(value) * errors[0]) / Z + 4 * _EPS * abs(value))
    )


# --- the integral ---------------------------------------------------------------------------------


def _integrate(
    reduced_energy: Function,
    f: Function | None,
    low: float,
    high: float,
    points: Iterable[float],
    rtol: float,
    beside: Iterable[Function] = (),
) -> tuple[Array, Array, float]:
    """Integrals of (1, f, |f|) e^{lowest - u}, bounds on their errors, and `lowest`."""
    low, high, extra = interval(low, high, points)
    if not 1e-13 <= finite_number(rtol, "rtol") <= 0.1:
        raise InvalidInput(f"rtol is {rtol}, but float64 quadrature serves from 1e-13 to 0.1.")
    integrand = Integrand(reduced_energy, f)
    layout = survey(integrand, low, high, extra, [Integrand(other, None) for other in beside])
    first, second = (
        _adapt(integrand, edges(layout, shift), layout.stops, rtol) for shift in _SHIFTS
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


def _adapt(
    integrand: Integrand, panels: Array, stops: Array, rtol: float
) -> tuple[Array, Array, float]:
    """Halve panels until one and two applications of the rule agree on each."""
    a, b = panels[:-1], panels[1:]
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
        share = np.max((bound / np.maximum(total, np.finfo(float).tiny))[:2], axis=0)
        worst, at = np.max(share), a[np.argmax(share)]
        # Rounding may end the halving, but must not hide an integral that diverges within it.
        if np.any((errors > max(rtol, _COARSEST) * total[:, 0])[:2]):
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
    integrand: Integrand, a: Array, b: Array, stops: Array, lowest: float
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


__all__ = ["Integral", "log_z", "mean"]
