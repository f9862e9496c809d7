"""Planar Ising models without a field, by the correlations of the spins on their boundary.

The spins on the boundary of a planar Ising model are correlated as free fermions are: every mean of
an even number of them is the Pfaffian of their pair correlations, in order around the boundary
(Groeneveld, Boel and Kasteleyn, Physica A 93, 138 (1978)). So the matrix A of pair
correlations (antisymmetric, A_jk = <s_j s_k> for j before k) is all there is to know of the part
summed so far. With t = tanh beta J, a bond inside the boundary, between its spins a and b, changes

    Z    -> Z cosh(beta J) (1 + t A_ab),
    A_jk -> A_jk + t (A_jb A_ka - A_ja A_kb) / (1 + t A_ab),

where the diagonal entries A_aa = 1 and A_bb = -1 let the same formula serve a and b themselves; and
a new spin in front of spin a takes its place: A_ja -> t A_ja. A row of W sites costs W^3.

Frustration makes 1 + t A_ab small: it is the ratio of two partition functions, and the digits that
are lost there come back amplified later. So a value counts only when it was computed twice and
agrees (`_resolve`).
"""

from collections.abc import Callable
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    Context,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    localcontext,
)
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import StatmechError
from statmech_ml.exact._arguments import inverse_temperature
from statmech_ml.exact._series import (
    DECIMAL,
    FLOAT,
    Arithmetic,
    Series,
    bond,
    divide,
    log,
    multiply,
)
from statmech_ml.exact._strip import Strip

Array = NDArray[np.float64]

TOLERANCE = 1e-12  # relative, to which two evaluations agree
_DIGITS = (40, 80, 160, 320, 640, 1280)
_TRAPS = [InvalidOperation, DivisionByZero, Overflow]


class Swept(NamedTuple):
    """What a sweep leaves: A of the boundary (orders, n, n), and log Z (orders,)."""

    A: Series
    log_z: Series


def sweep(
    strip: Strip, beta: float, orders: int, arithmetic: Arithmetic, border: bool = False
) -> Swept:
    """Sum over a strip row by row, without the bonds that close its length.

    The boundary is the last row, columns W - 1 to 0. With `border` it is all four sides, and the
    bonds that close rows to rings are left out too: around the boundary run the first row, the
    right ends of rows 0 to L - 1, the last row backwards and the left ends of rows L - 1 to 0. They
    are stored as first row, last row, and right and left end of each row in turn.
    """
    length, width = strip.length, strip.width
    start = width if border else 0  # where the row in front is stored
    size = 2 * (length + width) if border else width
    one = arithmetic.number(1)
    A = arithmetic.zeros(orders, size, size)
    if border:  # the first row and the row in front are the same spins
        A[0, np.arange(width), width + np.arange(width)] = one
        A[0, width + np.arange(width), np.arange(width)] = -one
    inverse = arithmetic.number(beta)
    across, along = arithmetic.exact(strip.across), arithmetic.exact(strip.along)
    log_z = arithmetic.zeros(orders)
    log_z[0] = strip.across.size * arithmetic.log(arithmetic.number(2))
    for r in range(length):
        known = A[:, : 2 * (width + r + 1), : 2 * (width + r + 1)] if border else A
        if r:
            factors = arithmetic.zeros(orders, known.shape[1])
            factors[0] = one
            for c in range(width):
                t, log_cosh = bond(along[r - 1, c], inverse, orders, arithmetic)
                factors[:, start + c] = t
                log_z = log_z + log_cosh
            known[:] = multiply(multiply(known, factors[:, :, None]), factors[:, None, :])
        if border:
            right = 2 * (width + r)
            _copy(known, start + width - 1, right, -one)
            _copy(known, start, right + 1, one)
        for c in range(width if strip.ring and not border else width - 1):
            t, log_cosh = bond(across[r, c], inverse, orders, arithmetic)
            closing = c == width - 1
            a, b = (c, 0) if closing else (start + c + 1, start + c)
            p = _add_bond(known, a, b, t, closing, arithmetic)
            log_z = log_z + log_cosh + log(p, arithmetic)
    return Swept(A, log_z)


def _copy(A: Series, spin: int, copy: int, sign: object) -> None:
    """Give the boundary a copy of one spin beside it: behind for sign 1, in front for -1."""
    A[:, copy], A[:, :, copy] = A[:, spin], A[:, :, spin]
    A[0, spin, copy], A[0, copy, spin] = sign, -sign  # type: ignore[operator]


def _add_bond(
    A: Series, a: int, b: int, t: Series, outside: bool, arithmetic: Arithmetic
) -> Series:
    """Take in the bond between boundary spins, a before b, in place; returns 1 + t A_ab.

    A bond of neighbours lies between them; one that runs `outside` of a, b and all spins between,
    around the row, turns the signs of the diagonal entries.
    """
    one = arithmetic.number(1)
    p = multiply(t, A[:, a, b])
    p[0] += one
    u, v = A[:, :, a].copy(), A[:, :, b].copy()
    u[0, a], v[0, b] = (-one, one) if outside else (one, -one)
    change = multiply(multiply(v, divide(t, p)[:, None])[:, :, None], u[:, None, :])
    arithmetic.update(A, change)
    return p


Evaluate = Callable[[Strip, float, int, Arithmetic], Series]
"""evaluate(strip, beta, orders, arithmetic) -> the series of log Z, (orders,)."""


def derivatives(evaluate: Evaluate, strip: Strip, beta: ArrayLike, orders: int) -> Array:
    """log Z and its Taylor coefficients in beta, float64 (orders, *beta.shape); see `_resolve`."""
    betas = inverse_temperature(beta)
    out = np.empty((orders, *betas.shape))
    for position in np.ndindex(*betas.shape):
        out[(slice(None), *position)] = _resolve(evaluate, strip, float(betas[position]), orders)
    return out


def _resolve(evaluate: Evaluate, strip: Strip, beta: float, orders: int) -> Array:
    """The series in floats, once two evaluations of it agree.

    First in doubles, where no sum may cancel down to 1/1000 (less on large lattices, whose log Z
    is large), against a sweep from the other end in which every t is a few roundings smaller and
    every update is off by a few: roundings that happen to agree are not a result. In log Z the
    share of a bond is t (<s s'> - t) / (1 - t^2) times the relative change of its t: at most 1/2
    where it is positive, and as large as e^{2 beta J} and negative on frustrated bonds. So the
    shares that matter add up, and what the rounding of t does is not hidden. Where doubles do not
    agree, decimals of 40, 80, ... digits, each against the one before.
    """
    couplings = np.abs(np.concatenate([strip.across, strip.along]))
    # What log Z, <E> and the variance are compared with where they are smaller.
    total, largest = float(couplings.sum()), float(couplings.max())
    scales = np.array([1.0, total, total * largest])[:orders]

    def attempt(strip: Strip, arithmetic: Arithmetic) -> Array:
        try:
            series = evaluate(strip, beta, orders, arithmetic)
        except ArithmeticError:  # a ratio of partition functions without digits
            return np.full(orders, np.nan)
        return np.array([float(x) for x in series])

    def agree(x: Array, y: Array) -> bool:
        return bool(np.all(np.abs(x - y) <= TOLERANCE * np.maximum(np.abs(x), scales)))

    double = FLOAT._replace(least=min(1e-3, 1e-2 / strip.across.size))
    perturbed = double._replace(noise=4.0 * float(np.finfo(float).eps))
    with np.errstate(all="ignore"):
        value = attempt(strip, double)
        if np.isfinite(value).all() and agree(value, attempt(strip.reverse(), perturbed)):
            return value
        previous = np.full(orders, np.nan)
        for digits in _DIGITS:
            with localcontext(Context(digits, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=_TRAPS)):
                value = attempt(strip, DECIMAL)
            if agree(value, previous):
                return value
            previous = value
    raise StatmechError(
        f"log Z of the {strip} at beta={beta:g} is not resolved with {_DIGITS[-1]} digits: the "
        "temperature is too low for its couplings. Take a smaller beta; ever closer to T = 0 log Z "
        "is -beta E_0 + log(number of ground states)."
    )
