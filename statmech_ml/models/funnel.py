"""Neal's funnel: one coordinate sets the width of all others, over orders of magnitude.

    E(v, x) = v^2 / (2 stddev^2) + sum_i [x_i^2 exp(-v) / 2 + v / 2],    i = 1 .. dim - 1,

so v ~ N(0, stddev^2) and x_i | v ~ N(0, exp(v)) at beta = 1. A step that suits the mouth is far too
long for the neck, and no fixed one serves both. At any beta, with c = (1 - beta)(dim - 1)/2,

    v ~ N(c stddev^2 / beta, stddev^2 / beta),    x_i | v ~ N(0, exp(v) / beta),
    log Z = dim/2 log(2 pi / beta) + log stddev + c^2 stddev^2 / (2 beta).

R. M. Neal, Ann. Stat. 31, 705 (2003), doi:10.1214/aos/1056562461, section 8, where stddev is 3.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import number


class FunnelArrays(NamedTuple):
    """Compiled funnel: stddev float, of v = x[0]."""

    stddev: float

    def energy(self, x):
        # Below v = -600 the neck is narrower than rounding, and exp(-v) x^2 would overflow.
        inverse = math.exp(min(-x[0], 600.0))
        total = 0.5 * (x[0] / self.stddev) * (x[0] / self.stddev)
        for i in range(1, x.shape[0]):
            total += 0.5 * (x[i] * x[i] * inverse + x[0])
        return total

    def gradient(self, x, out):
        inverse = math.exp(min(-x[0], 600.0))
        out[0] = x[0] / (self.stddev * self.stddev)
        for i in range(1, x.shape[0]):
            out[0] += 0.5 * (1.0 - x[i] * x[i] * inverse)
            out[i] = x[i] * inverse


class Funnel(Model):
    """Neal's funnel, with exact log Z and exact draws at every beta; v is the first coordinate.

    Parameters
    ----------
    dim : int, default 10
        At least 2: v and one or more coordinates whose width it sets.
    stddev : float, default 3.0
        Standard deviation of v at beta = 1.

    Raises
    ------
    InvalidInput
        For fewer than two dimensions, and a stddev that is not positive and finite.

    >>> round(Funnel(dim=2, stddev=1.0).log_z(), 9)  # log(2 pi)
    1.837877066
    """

    arrays: FunnelArrays

    def __init__(self, dim: int = 10, stddev: float = 3.0) -> None:
        space = Reals(dim)
        if dim < 2:
            raise InvalidInput(
                f"dim={dim}: a funnel needs v and at least one coordinate whose width it sets. "
                "Give dim=2 or more, or use Gaussian."
            )
        super().__init__(space, FunnelArrays(number(stddev, "stddev", positive=True)))

    def log_z(self, beta: float = 1.0) -> float:
        """log of the integral of exp(-beta E), exact. Raises InvalidInput unless beta > 0."""
        beta, stddev = number(beta, "beta", positive=True), self.arrays.stddev
        volume = 0.5 * self.space.size * math.log(2.0 * math.pi / beta) + math.log(stddev)
        return volume + (self._slope(beta) * stddev) ** 2 / (2.0 * beta)

    def draws(self, seed: int, chains: np.ndarray, beta: float = 1.0) -> np.ndarray:
        """Exact independent draws at beta, float64 (chain, dim), one stream per chain."""
        beta, stddev = number(beta, "beta", positive=True), self.arrays.stddev
        x = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, self.space.size)
        x[:, 0] = self._slope(beta) * stddev**2 / beta + x[:, 0] * stddev / math.sqrt(beta)
        x[:, 1:] *= np.exp(0.5 * x[:, :1]) / math.sqrt(beta)
        return x

    def _slope(self, beta: float) -> float:
        """c: what integrating over the x_i leaves as exp(c v)."""
        return 0.5 * (1.0 - beta) * (self.space.size - 1)

    def __repr__(self) -> str:
        return f"Funnel(dim={self.space.size}, stddev={self.arrays.stddev:g})"
