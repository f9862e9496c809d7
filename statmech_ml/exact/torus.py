"""The Ising model without a field on the square torus, any couplings: four sectors with signs.

An open rectangle is planar, so the correlations of the spins on its border are those of free
fermions (`_boundary.py`). The bonds that close it to a torus join opposite sides. Expanded in
them, Z is a sum over sets of h bonds that close rows and v that close columns; each bond of one
kind crosses each of the other, so fermions give every term a sign (-1)^{h v} that spins do not
have. Four sums undo it,

    1 = (-1)^{h v} (1/2) [1 + (-1)^h + (-1)^v - (-1)^{h + v}],

    Z = Z_open prod cosh(beta J) (1/2) [Pf(+,+) + Pf(-,+) + Pf(+,-) - Pf(-,-)],

where Pf(e, f) is the Pfaffian of J + G: J pairs the two ends of each closing bond, G is the matrix
of border correlations in which one end of each is multiplied by tanh(beta J), and by the sign e or
f of its kind. Pfaffians, unlike Kac and Ward's determinants, come with their signs: each is
eliminated with complete pivoting as a product of pivots, and any of them may be negative when the
couplings are random.

Domain: lattices.square(rows, columns), both sides periodic and >= 2 (on a side of length 2 the two
bonds of a pair both count); couplings of either sign, random, zero; no field; rows + columns up to
256. Time N (rows + columns)^2. As in exact.planar every value is computed twice and must agree:
doubles where they do, and decimals beyond, at low temperature with frustration.

Four Pfaffians: Kasteleyn (1961), doi:10.1016/0031-8914(61)90063-5; Potts and Ward, Prog.
Theor. Phys. 13, 38 (1955). Random couplings: Saul and Kardar (1993), doi:10.1103/PhysRevE.48.R3221.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import Values, like_input
from statmech_ml.exact._boundary import Array, derivatives, sweep
from statmech_ml.exact._series import Arithmetic, Series, bond, divide, log, multiply
from statmech_ml.exact._strip import Strip, without_field

MAX_SIDES = 256
"""Largest sum of the two sides."""


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of the whole torus, log Z, in nats.

    Parameters
    ----------
    model
        An Ising model on a periodic lattices.square, without a field: anything with a `lattice`,
        `coupling` (number or per bond), `field` and a space of spins.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`, to 1e-12 of it.

    Raises
    ------
    InvalidInput
        For other lattices and models, open sides, fields, couplings or beta that are not finite,
        and sides too long.
    StatmechError
        If the temperature is so low that 1280 digits do not resolve the frustration.

    References
    ----------
    Kasteleyn (1961), doi:10.1016/0031-8914(61)90063-5.

    Examples
    --------
    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(log_z(Ising(lattices.square(8, 8)), beta=0.44), 9)  # kaufman.log_z(8, 8, beta=0.44)
    60.076307527
    """
    return like_input(_solve(model, beta, 1)[0])


def energy(model: Any, beta: ArrayLike) -> Values:
    """Mean total energy <E> = -d log Z / d beta, in the units of the coupling.

    The derivative is carried through the recursion, to 1e-12 of <E> or of sum |J|. Parameters and
    errors as in `log_z`; costs four times as much.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(energy(Ising(lattices.square(4, 4)), beta=0.4406867935097715) / 16, 10)
    -1.5656237876
    """
    return like_input(0.0 - _solve(model, beta, 2)[1])


def _solve(model: Any, beta: ArrayLike, orders: int) -> Array:
    """log Z and its first Taylor coefficient in beta."""
    given = without_field(model, "exact.enumeration if small, else estimate with partition.ais.")
    if not (given.ring and given.closed):
        raise InvalidInput(
            f"The {given} is no torus: both sides must be periodic. It is planar, and exact.planar "
            "sums it."
        )
    if given.length + given.width > MAX_SIDES:
        raise InvalidInput(
            f"The {given} has sides that add to {given.length + given.width}, more than "
            f"{MAX_SIDES}. Uniform couplings have exact.kaufman; else estimate with partition.ais."
        )
    layout = given if given.width <= given.length else given.turn()
    return derivatives(_log_z, layout, beta, orders)


def _log_z(strip: Strip, beta: float, orders: int, arithmetic: Arithmetic) -> Series:
    """Series of log Z from the border of the open rectangle and the bonds that close it."""
    length, width = strip.length, strip.width
    A, log_z = sweep(strip, beta, orders, arithmetic, border=True)
    # The two ends of each closing bond, as `sweep` stores them: of the columns, then of the rows.
    columns = np.stack([np.arange(width), width + np.arange(width)], axis=1)
    rows = np.arange(2 * width, 2 * (length + width)).reshape(length, 2)
    order = np.concatenate([columns, rows]).ravel()
    closing = arithmetic.exact(np.concatenate([strip.along[-1], strip.across[:, -1]]))
    factors = arithmetic.zeros(orders, len(order))
    factors[0, ::2] = arithmetic.number(1)
    for i, J in enumerate(closing):
        t, log_cosh = bond(J, arithmetic.number(beta), orders, arithmetic)
        factors[:, 2 * i + 1] = t
        log_z = log_z + log_cosh
    G = A[:, order[:, None], order]
    G = multiply(multiply(G, factors[:, :, None]), factors[:, None, :])
    sectors = []
    for along, across in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        signs = np.ones(len(order), dtype=np.int64)
        signs[1 : 2 * width : 2], signs[2 * width + 1 :: 2] = along, across
        matrix = G * signs[:, None] * signs
        first = np.arange(0, len(order), 2)
        matrix[0, first, first + 1] += arithmetic.number(1)
        matrix[0, first + 1, first] -= arithmetic.number(1)
        value, log_scale, log_terms = _pfaffian(matrix, arithmetic)
        sectors.append((-value if along == across == -1 else value, log_scale, log_terms))
    top = max(log_terms for _, _, log_terms in sectors)
    total = sum(value * arithmetic.exp(log_scale - top) for value, log_scale, _ in sectors)
    log_z = log_z + log(total / 2, arithmetic)
    log_z[0] += top
    return log_z


def _pfaffian(matrix: Series, arithmetic: Arithmetic) -> tuple[Series, Any, Any]:
    """The Pfaffian of antisymmetric matrices (orders, n, n), of at most two orders.

    Pf M = M_ab (-1)^{b - a - 1} Pf M', where M' is M without a and b, less what they explain:
    M'_jk = M_jk + (M_jb M_ka - M_ja M_kb) / M_ab. The pivot M_ab is the largest entry left.

    Returns its series over a scale, the logarithm of that scale, and the logarithm of the terms
    that have cancelled in it: of the scale, had the smallest pivot been one.
    """
    orders = len(matrix)
    value = arithmetic.zeros(orders)
    value[0] = arithmetic.number(1)
    one = value.copy()
    log_scale = smallest = arithmetic.number(0)
    while matrix.shape[1]:
        n = matrix.shape[1]
        a, b = sorted(divmod(int(np.argmax(np.abs(matrix[0]))), n))
        if a == b:  # all zero: the last pivot may have a slope, the product of two has none
            value = multiply(value, matrix[:, 0, 1]) if n == 2 else 0 * value
            return value, log_scale, log_scale
        pivot = matrix[:, a, b].copy()
        size = abs(pivot[0])
        value = multiply(value, pivot / size) * (-1) ** (b - a - 1)
        log_size = arithmetic.log(size)
        log_scale, smallest = log_scale + log_size, min(smallest, log_size)
        rest = np.delete(np.arange(n), [a, b])
        u, v = matrix[:, rest, a], matrix[:, rest, b]
        v = multiply(v, divide(one, pivot)[:, None])
        matrix = matrix[:, rest[:, None], rest]
        arithmetic.update(matrix, multiply(v[:, :, None], u[:, None, :]))
    return value, log_scale, log_scale - smallest


__all__ = ["energy", "log_z"]
