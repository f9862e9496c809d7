"""Two thin shells: curved, degenerate ridges far apart, a standard trial of evidence estimators.

    E(x) = -log [ s(|x - c|) + s(|x + c|) ],    s(rho) = N(rho; radius, width^2),

with centres c = (distance/2) e_1 and -c: the density is a ridge of Gaussian profile on two
spheres. F. Feroz and M. P. Hobson, Mon. Not. R. Astron. Soc. 384, 449 (2008), section 5.2,
doi:10.1111/j.1365-2966.2007.12353.x, who take radius 2, width 0.1 and distance 7.
"""

import math
from typing import NamedTuple

from ..spaces import Reals
from ..systems import Model
from ._arguments import at_beta_one, number


class GaussianShellsArrays(NamedTuple):
    """Compiled shells; all fields are floats."""

    radius: float
    width: float
    distance: float

    def energy(self, x):
        rest = 0.0
        for i in range(1, x.shape[0]):
            rest += x[i] * x[i]
        right, left = x[0] - 0.5 * self.distance, x[0] + 0.5 * self.distance
        a = (math.sqrt(right * right + rest) - self.radius) / self.width
        b = (math.sqrt(left * left + rest) - self.radius) / self.width
        a, b = 0.5 * a * a, 0.5 * b * b
        norm = 0.5 * math.log(2.0 * math.pi) + math.log(self.width)
        return norm + min(a, b) - math.log(1.0 + math.exp(-abs(a - b)))

    def gradient(self, x, out):
        rest = 0.0
        for i in range(1, x.shape[0]):
            rest += x[i] * x[i]
        right, left = x[0] - 0.5 * self.distance, x[0] + 0.5 * self.distance
        to_right, to_left = math.sqrt(right * right + rest), math.sqrt(left * left + rest)
        a, b = (to_right - self.radius) / self.width, (to_left - self.radius) / self.width
        share = 1.0 / (1.0 + math.exp(min(0.5 * (a * a - b * b), 700.0)))  # of the shell at +c
        # At a centre itself the energy has a cusp, and no slope.
        pull_right = share * a / (self.width * to_right) if to_right > 0.0 else 0.0
        pull_left = (1.0 - share) * b / (self.width * to_left) if to_left > 0.0 else 0.0
        out[0] = pull_right * right + pull_left * left
        for i in range(1, x.shape[0]):
            out[i] = (pull_right + pull_left) * x[i]


class GaussianShells(Model):
    """Two spherical ridges of Gaussian profile, with exact log Z at beta = 1.

    Parameters
    ----------
    dim : int, default 2
    radius : float, default 2.0
    width : float, default 0.1
        Standard deviation of the profile.
    distance : float, default 7.0
        Between the two centres, along the first coordinate; all lengths in the units of x.

    Raises
    ------
    InvalidInput
        For values that are not positive and finite (the distance may be zero).

    >>> round(GaussianShells().log_z(), 6)  # log(2 * 2 pi radius)
    3.224171
    """

    def __init__(
        self, dim: int = 2, radius: float = 2.0, width: float = 0.1, distance: float = 7.0
    ) -> None:
        arrays = GaussianShellsArrays(
            number(radius, "radius", positive=True),
            number(width, "width", positive=True),
            abs(number(distance, "distance")),
        )
        super().__init__(Reals(dim), arrays)

    def log_z(self, beta: float = 1.0) -> float:
        """log(2 S I), S the area of the unit sphere and I the integral of rho^(dim-1) s(rho).

        By parts, I_n = radius I_(n-1) + (n - 1) width^2 I_(n-2) for n >= 2. Exact; beta must be 1.
        """
        at_beta_one(beta, "shells")
        radius, width, _ = self.arrays
        n = self.space.size
        z = radius / width
        before = 0.5 * math.erfc(-z / math.sqrt(2.0))
        now = radius * before + width * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        moments = [before, now]
        for k in range(2, n):
            moments.append(radius * moments[-1] + (k - 1) * width * width * moments[-2])
        log_area = math.log(2.0) + 0.5 * n * math.log(math.pi) - math.lgamma(0.5 * n)
        return math.log(2.0) + log_area + math.log(moments[n - 1])

    def __repr__(self) -> str:
        lengths = ", ".join(f"{name}={value:g}" for name, value in self.arrays._asdict().items())
        return f"GaussianShells(dim={self.space.size}, {lengths})"
