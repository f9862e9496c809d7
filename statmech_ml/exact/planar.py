"""The Ising model without a field on open square lattices and cylinders, any couplings.

A planar Ising model is one of free fermions. Its spins are taken in row by row; what is carried is
the matrix of correlations of the spins in front, and log Z is a sum of logarithms, two per bond:

    log Z = N log 2 + sum_b log cosh(beta J_b) + sum_b log(1 + t_b A_b),    t_b = tanh(beta J_b),

with A_b the correlation of the two ends of bond b, across a row, before it is there (`_boundary.py`
has the recursion). It is the Pfaffian of Kasteleyn (1963), eliminated along the rows, or half the
logarithm of Kac and Ward's determinant, without either's matrix: memory W^2 and time L W^3 for a
width W, which is the shorter side, or the periodic one.

Domain: lattices.square with open boundary, or periodic in one direction (a cylinder); couplings of
either sign, random, zero; no field; width up to 512. Doubles serve while frustration costs few
digits (a +-J glass of side 32 to 128 up to beta J = 2), and unfrustrated models always. Beyond,
decimals of as many digits as it takes are used, some 50 times slower. Every value is computed
twice, and comes back only when both agree to 1e-12; what cannot be resolved raises an error.

Groeneveld, Boel and Kasteleyn (1978), Physica A 93, 138; Kasteleyn (1963), doi:10.1063/1.1703953;
Kac and Ward (1952), doi:10.1103/PhysRev.88.1332.
"""

from typing import Any

from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import Values, like_input
from statmech_ml.exact._boundary import Array, derivatives, sweep
from statmech_ml.exact._series import Arithmetic, Series
from statmech_ml.exact._strip import Strip, without_field

MAX_WIDTH = 512
"""Largest number of spins in front."""


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of the whole lattice, log Z, in nats.

    Parameters
    ----------
    model
        An Ising model on an open or cylindrical lattices.square, without a field: anything with a
        `lattice`, `coupling` (number or per bond), `field` and a space of spins.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`, to 1e-12 of it.

    Raises
    ------
    InvalidInput
        For other lattices and models, tori, fields, and couplings or beta that are not finite.
    StatmechError
        If the temperature is so low that 1280 digits do not resolve the frustration.

    References
    ----------
    Kasteleyn (1963), doi:10.1063/1.1703953.

    Examples
    --------
    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> square = Ising(lattices.square(2, 2, boundary="open"))
    >>> round(log_z(square, beta=0.5), 9)  # the ring of four: log(12 + 4 cosh 2)
    3.297642005
    """
    return like_input(_solve(model, beta, 1)[0])


def energy(model: Any, beta: ArrayLike) -> Values:
    """Mean total energy <E> = -d log Z / d beta, in the units of the coupling.

    The derivative is carried through the recursion, to 1e-12 of <E> or of sum |J|. Parameters and
    errors as in `log_z`; costs four times as much.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> chain = Ising(lattices.square(1, 5, boundary="open"))
    >>> round(energy(chain, beta=0.5), 9)  # -4 tanh(0.5)
    -1.848468629
    """
    return like_input(0.0 - _solve(model, beta, 2)[1])


def energy_variance(model: Any, beta: ArrayLike) -> Values:
    """Variance of the total energy; beta^2 of it over N is the specific heat.

    To 1e-12 of sum |J| times the largest |J|. Parameters and errors as in `log_z`; costs eight
    times as much.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> chain = Ising(lattices.square(1, 5, boundary="open"))
    >>> round(energy_variance(chain, beta=0.5), 9)  # 4 / cosh(0.5)^2
    3.145790932
    """
    return like_input(2.0 * _solve(model, beta, 3)[2])


def _solve(model: Any, beta: ArrayLike, orders: int) -> Array:
    """log Z and its Taylor coefficients in beta."""
    given = without_field(model, "exact.enumeration if small, else estimate with partition.ais.")
    if given.ring and given.closed:
        raise InvalidInput(
            f"The {given} is no planar graph. exact.torus sums it, exact.kaufman if its couplings "
            "are uniform."
        )
    turned = given.turn()
    # The frontier is the periodic side of a cylinder, else the shorter one.
    layout = turned if given.closed or (not given.ring and turned.width < given.width) else given
    if layout.width > MAX_WIDTH:
        raise InvalidInput(
            f"The {given} would be swept with {layout.width} spins in front, more than "
            f"{MAX_WIDTH}. Take a narrower lattice, or estimate log Z with partition.ais."
        )
    return derivatives(_log_z, layout, beta, orders)


def _log_z(strip: Strip, beta: float, orders: int, arithmetic: Arithmetic) -> Series:
    return sweep(strip, beta, orders, arithmetic).log_z


__all__ = ["energy", "energy_variance", "log_z"]
