"""A tilted double well in one or more dimensions.

    E(x) = barrier * ((x_1 / minimum)^2 - 1)^2 + tilt * x_1 + stiffness / 2 * sum_{i > 1} x_i^2

The first coordinate has two minima near +-minimum, `barrier` high between them; the others are
harmonic and independent, so log Z is a one-dimensional quadrature plus Gaussians. A tilt makes the
wells unequal: a symmetric target hides sign errors.
"""

from typing import NamedTuple

from ..spaces import Reals
from ..systems import Model
from ._arguments import number


class DoubleWellArrays(NamedTuple):
    """Compiled double well; all fields are floats."""

    barrier: float
    minimum: float
    tilt: float
    stiffness: float

    def energy(self, x):
        ratio = x[0] / self.minimum
        well = ratio * ratio - 1.0
        total = self.barrier * well * well + self.tilt * x[0]
        for i in range(1, x.shape[0]):
            total += 0.5 * self.stiffness * x[i] * x[i]
        return total

    def gradient(self, x, out):
        ratio = x[0] / self.minimum
        out[0] = 4.0 * self.barrier * ratio * (ratio * ratio - 1.0) / self.minimum + self.tilt
        for i in range(1, x.shape[0]):
            out[i] = self.stiffness * x[i]


class DoubleWell(Model):
    """The tilted double well, E = barrier ((x_1/minimum)^2 - 1)^2 + tilt x_1 + harmonic rest.

    Parameters
    ----------
    barrier : float, default 2.0
        Height of the barrier at beta = 1, in units of kT.
    minimum : float, default 1.0
        Position of the minima of the untilted well.
    tilt : float, default 0.0
    dim : int, default 1
    stiffness : float, default 1.0
        Spring constant of the coordinates beyond the first.

    >>> DoubleWell(barrier=2.0).energy([[1.0], [0.0]])
    array([0., 2.])
    """

    def __init__(
        self,
        barrier: float = 2.0,
        minimum: float = 1.0,
        tilt: float = 0.0,
        dim: int = 1,
        stiffness: float = 1.0,
    ) -> None:
        barrier, minimum, stiffness = (
            number(value, name, positive=True)
            for name, value in [
                ("barrier", barrier),
                ("minimum", minimum),
                ("stiffness", stiffness),
            ]
        )
        arrays = DoubleWellArrays(barrier, minimum, number(tilt, "tilt"), stiffness)
        super().__init__(Reals(dim), arrays)
