"""Harmonic traps that change while a particle sits in them: protocols with known work and log Z.

    HarmonicTrap    u_lambda(x) = k(lambda)/2 |x|^2,    k(lambda) = (1 - lambda) k_0 + lambda k_1
    DraggedTrap     u_lambda(x) = k/2 |x - lambda d e_1|^2

with lambda, from 0 to 1, in the place that beta has in other models: `reduced_energy(x, lam)` is
u_lambda, and `energy` that of the protocol's end, lambda = 1. Energies are in units of kT. The
stiffened trap has Delta log Z = -dim/2 log(k_1/k_0); the dragged one Delta log Z = 0 whatever work
was spent, the textbook case of C. Jarzynski, Phys. Rev. Lett. 78, 2690 (1997),
doi:10.1103/PhysRevLett.78.2690, and of O. Mazonka and C. Jarzynski, arXiv:cond-mat/9912121.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import number, numbers, unit_interval


class HarmonicTrapArrays(NamedTuple):
    """Compiled stiffened trap: start, end float, the stiffness at lambda = 0 and 1."""

    start: float
    end: float

    def energy(self, x):
        return self.reduced_energy(x, 1.0)

    def reduced_energy(self, x, lam):
        square = 0.0
        for i in range(x.shape[0]):
            square += x[i] * x[i]
        return 0.5 * ((1.0 - lam) * self.start + lam * self.end) * square

    def reduced_gradient(self, x, lam, out):
        stiffness = (1.0 - lam) * self.start + lam * self.end
        for i in range(x.shape[0]):
            out[i] = stiffness * x[i]


class HarmonicTrap(Model):
    """A trap whose stiffness goes linearly from k_0 to k_1, u_lambda = k(lambda)/2 |x|^2.

    Parameters
    ----------
    stiffness : (float, float)
        k_0 and k_1, positive, in kT per unit of x^2.
    dim : int, default 1

    Raises
    ------
    InvalidInput
        Unless both are positive and finite.

    >>> trap = HarmonicTrap(stiffness=(1.0, 4.0))
    >>> float(trap.reduced_energy([2.0], 0.5))  # stiffness 2.5
    5.0
    >>> round(trap.log_z(1.0) - trap.log_z(0.0), 6)  # -log 2
    -0.693147
    """

    arrays: HarmonicTrapArrays

    def __init__(self, stiffness: Any, dim: int = 1) -> None:
        ends = numbers(np.atleast_1d(stiffness), 1, "stiffness")
        if ends.shape != (2,) or not (ends > 0.0).all():
            raise InvalidInput(
                f"stiffness={stiffness!r} must be two positive numbers, those at the start and at "
                "the end of the protocol: stiffness=(1.0, 4.0)."
            )
        super().__init__(Reals(dim), HarmonicTrapArrays(*ends.tolist()))

    def log_z(self, lam: float) -> float:
        """dim/2 log(2 pi / k(lambda)), exact; InvalidInput for lambda outside [0, 1]."""
        lam = unit_interval(lam, "a trap")
        stiffness = (1.0 - lam) * self.arrays.start + lam * self.arrays.end
        return 0.5 * self.space.size * math.log(2.0 * math.pi / stiffness)

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at lambda = 0, float64 (chain, dim), one stream per chain."""
        return _thermal(self, self.arrays.start, seed, chains)

    def slope(self, x: Any, lam: Any) -> np.ndarray:
        """du_lambda/dlambda = (k_1 - k_0)/2 |x|^2, the same at every lambda, float64 (*batch,)."""
        x = self.space.check(x)
        return np.asarray(0.5 * (self.arrays.end - self.arrays.start) * (x * x).sum(axis=-1))

    def __repr__(self) -> str:
        ends = f"({self.arrays.start:g}, {self.arrays.end:g})"
        return f"HarmonicTrap(stiffness={ends}, dim={self.space.size})"


class DraggedTrapArrays(NamedTuple):
    """Compiled dragged trap: stiffness, distance float."""

    stiffness: float
    distance: float

    def energy(self, x):
        return self.reduced_energy(x, 1.0)

    def reduced_energy(self, x, lam):
        shift = x[0] - lam * self.distance
        square = shift * shift
        for i in range(1, x.shape[0]):
            square += x[i] * x[i]
        return 0.5 * self.stiffness * square

    def reduced_gradient(self, x, lam, out):
        out[0] = self.stiffness * (x[0] - lam * self.distance)
        for i in range(1, x.shape[0]):
            out[i] = self.stiffness * x[i]


class DraggedTrap(Model):
    """A trap whose centre goes from the origin to d e_1, u_lambda = k/2 |x - lambda d e_1|^2.

    Parameters
    ----------
    stiffness : float
        k, positive, in kT per unit of x^2.
    distance : float
        d, along the first coordinate.
    dim : int, default 1

    Raises
    ------
    InvalidInput
        For a stiffness that is not positive and values that are not finite.

    >>> trap = DraggedTrap(stiffness=2.0, distance=3.0)
    >>> float(trap.reduced_energy([0.0], 1.0))
    9.0
    >>> trap.log_z(1.0) - trap.log_z(0.0)
    0.0
    """

    arrays: DraggedTrapArrays

    def __init__(self, stiffness: float, distance: float, dim: int = 1) -> None:
        arrays = DraggedTrapArrays(
            number(stiffness, "stiffness", positive=True), number(distance, "distance")
        )
        super().__init__(Reals(dim), arrays)

    def log_z(self, lam: float) -> float:
        """dim/2 log(2 pi / k) at every lambda, exact; InvalidInput for lambda outside [0, 1]."""
        unit_interval(lam, "a trap")
        return 0.5 * self.space.size * math.log(2.0 * math.pi / self.arrays.stiffness)

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at lambda = 0, float64 (chain, dim), one stream per chain."""
        return _thermal(self, self.arrays.stiffness, seed, chains)

    def slope(self, x: Any, lam: Any) -> np.ndarray:
        """du_lambda/dlambda = -k d (x_1 - lambda d), float64; lambda broadcasts with the batch."""
        x, lam = self.space.check(x), np.asarray(lam, np.float64)
        stiffness, distance = self.arrays
        return np.asarray(-stiffness * distance * (x[..., 0] - lam * distance))

    def __repr__(self) -> str:
        stiffness, distance = self.arrays
        return f"DraggedTrap(stiffness={stiffness:g}, distance={distance:g}, dim={self.space.size})"


def _thermal(model: Model, stiffness: float, seed: int, chains: np.ndarray) -> np.ndarray:
    """Normals of variance 1/stiffness about the origin."""
    normals = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, model.space.size)
    return normals / math.sqrt(stiffness)
