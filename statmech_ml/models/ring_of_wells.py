"""Wells on a circle in a plane: many modes, each as deep as the next until a tilt tells them apart.

    E(r, phi) = height (rho^2 - 1)^2 + barrier/2 (1 - g(rho) cos(n phi)) + tilt x,

rho = r / radius and g(rho) = 2 rho^n / (1 + rho^{2n}) = sech(n log rho), which is smooth at the
origin, 1 on the circle and 0 far from it. Without a tilt the n minima lie at E = 0 on the circle,
at phi = 2 pi k / n; halfway between two of them the energy is `barrier`, a saddle where 16 height >
n^2 barrier (the curvature along r there is (8 height - n^2 barrier / 2) / radius^2). The way over
the centre costs height + barrier / 2. log Z by `exact.plane`.
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import number


class RingOfWellsArrays(NamedTuple):
    """Compiled ring: n_wells int; radius, height, barrier, tilt floats."""

    n_wells: int
    radius: float
    height: float
    barrier: float
    tilt: float

    def energy(self, x):
        r = math.sqrt(x[0] * x[0] + x[1] * x[1])
        rho = r / self.radius
        well = rho * rho - 1.0
        total = self.height * well * well + 0.5 * self.barrier + self.tilt * x[0]
        if r > 0.0:
            inner = min(rho, 1.0 / rho)  # g is the same at rho and at 1 / rho
            power, c, s = 1.0, 1.0, 0.0
            for _ in range(self.n_wells):
                power *= inner
                c, s = (c * x[0] - s * x[1]) / r, (s * x[0] + c * x[1]) / r
            total -= self.barrier * c * power / (1.0 + power * power)
        return total

    def gradient(self, x, out):
        r = math.sqrt(x[0] * x[0] + x[1] * x[1])
        rho = r / self.radius
        pull = 4.0 * self.height * (rho * rho - 1.0) / (self.radius * self.radius)
        out[0] = pull * x[0] + self.tilt
        out[1] = pull * x[1]
        if r > 0.0:
            inner = min(rho, 1.0 / rho)
            power, c, s = 1.0, 1.0, 0.0
            for _ in range(self.n_wells):
                power *= inner
                c, s = (c * x[0] - s * x[1]) / r, (s * x[0] + c * x[1]) / r
            # Slopes of -barrier/2 g cos(n phi) along r and, over r, along phi.
            below = 1.0 + power * power
            g = power / below
            sign = 1.0 if rho <= 1.0 else -1.0
            rise = sign * (1.0 - power * power) / below
            outward = -self.barrier * self.n_wells * c * g * rise / r
            around = self.barrier * self.n_wells * s * g / r
            out[0] += (outward * x[0] - around * x[1]) / r
            out[1] += (outward * x[1] + around * x[0]) / r


class RingOfWells(Model):
    """n wells on a circle, with barriers between neighbours and a hill in the middle.

    Parameters
    ----------
    n_wells : int, default 8
        At least 2.
    radius : float, default 2.0
        Of the circle, in the units of x.
    height : float, default 10.0
        Of the hill in the middle, beside barrier / 2: how steep the walls of the valley are.
    barrier : float, default 2.0
        Between neighbouring wells, in units of kT at beta = 1.
    tilt : float, default 0.0
        Energy per unit of the first coordinate; makes the wells unequal.

    Raises
    ------
    InvalidInput
        For fewer than two wells, values that are not finite, and a radius, height or barrier that
        is not positive.

    >>> RingOfWells(n_wells=4).energy([[2.0, 0.0], [0.0, 0.0]]).round(9)  # a well, the centre
    array([ 0., 11.])
    """

    arrays: RingOfWellsArrays

    def __init__(
        self,
        n_wells: int = 8,
        radius: float = 2.0,
        height: float = 10.0,
        barrier: float = 2.0,
        tilt: float = 0.0,
    ) -> None:
        whole = isinstance(n_wells, int | np.integer) and not isinstance(n_wells, bool)
        if not whole or n_wells < 2:
            raise InvalidInput(
                f"n_wells={n_wells!r} must be a whole number of at least 2. For one well use "
                "Quartic or Gaussian."
            )
        arrays = RingOfWellsArrays(
            int(n_wells),
            number(radius, "radius", positive=True),
            number(height, "height", positive=True),
            number(barrier, "barrier", positive=True),
            number(tilt, "tilt"),
        )
        super().__init__(Reals(2), arrays)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value:g}" for name, value in self.arrays._asdict().items())
        return f"RingOfWells({settings})"
