"""Independent anharmonic coordinates: continuous, not Gaussian, and log Z is a quadrature.

    E(x) = sum_i [ stiffness/2 x_i^2 + anharmonicity x_i^4 + tilt x_i ]

All coordinates are alike and do not interact, so log Z is dim times that of one of them
(`exact.quadrature`). A negative stiffness makes two wells.
"""

from typing import NamedTuple

from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import number


class QuarticArrays(NamedTuple):
    """Compiled quartic; all fields are floats."""

    stiffness: float
    anharmonicity: float
    tilt: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            square = x[i] * x[i]
            total += (0.5 * self.stiffness + self.anharmonicity * square) * square
            total += self.tilt * x[i]
        return total

    def gradient(self, x, out):
        for i in range(x.shape[0]):
            out[i] = (self.stiffness + 4.0 * self.anharmonicity * x[i] * x[i]) * x[i] + self.tilt


class Quartic(Model):
    """Anharmonic coordinates, E = sum (stiffness/2 x^2 + anharmonicity x^4 + tilt x).

    Parameters
    ----------
    dim : int, default 1
    stiffness : float, default 1.0
        In units of the energy per x^2; may be negative where the anharmonicity is positive.
    anharmonicity : float, default 1.0
        At least 0.
    tilt : float, default 0.0

    Raises
    ------
    InvalidInput
        When the energy is not bounded from below, or has no minimum.

    >>> Quartic(dim=2, tilt=0.5).energy([1.0, 0.0])
    array(2.)
    """

    def __init__(
        self,
        dim: int = 1,
        stiffness: float = 1.0,
        anharmonicity: float = 1.0,
        tilt: float = 0.0,
    ) -> None:
        arrays = QuarticArrays(
            number(stiffness, "stiffness"),
            number(anharmonicity, "anharmonicity"),
            number(tilt, "tilt"),
        )
        if arrays.anharmonicity < 0.0 or (arrays.anharmonicity == 0.0 and arrays.stiffness <= 0.0):
            raise InvalidInput(
                f"anharmonicity={anharmonicity!r} with stiffness={stiffness!r}: the energy falls "
                "without bound, and Z is infinite. Give a positive anharmonicity, or none and a "
                "positive stiffness."
            )
        super().__init__(Reals(dim), arrays)

    def __repr__(self) -> str:
        terms = ", ".join(f"{name}={value:g}" for name, value in self.arrays._asdict().items())
        return f"Quartic(dim={self.space.size}, {terms})"
