"""The hybrid Rosenbrock density: curved narrow ridges in any dimension, with known normalisation.

    E(x) = a (x_0 - mu)^2 + b sum_j sum_i (x_{j,i} - x_{j,i-1}^2)^2,    x_{j,0} = x_0,

j = 1 .. blocks and i = 1 .. length. Every coordinate is a Gaussian given the one before it,

    x_0 ~ N(mu, 1 / (2 a beta)),    x_{j,i} | x_{j,i-1} ~ N(x_{j,i-1}^2, 1 / (2 b beta)),

so log Z(beta) = n/2 log(pi / beta) - 1/2 log a - (n - 1)/2 log b and exact draws cost n normals.
The polynomial "Rosenbrock function" of optimisers has a closed form for n = 2 only, where it is
this one.

F. Pagani, M. Wiegand and S. Nadarajah, Scand. J. Stat. 49, 657 (2022), doi:10.1111/sjos.12532,
section 3, whose two-dimensional example is the default.
"""

import math
from typing import NamedTuple

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import number


class RosenbrockArrays(NamedTuple):
    """Compiled density: a, b, mu floats; length int, the coordinates of a block."""

    a: float
    b: float
    mu: float
    length: int

    def energy(self, x):
        total = self.a * (x[0] - self.mu) * (x[0] - self.mu)
        for k in range(1, x.shape[0]):
            before = x[0] if (k - 1) % self.length == 0 else x[k - 1]
            away = x[k] - before * before
            total += self.b * away * away
        return total

    def gradient(self, x, out):
        out[0] = 2.0 * self.a * (x[0] - self.mu)
        for k in range(1, x.shape[0]):
            out[k] = 0.0
        for k in range(1, x.shape[0]):
            origin = 0 if (k - 1) % self.length == 0 else k - 1
            slope = 2.0 * self.b * (x[k] - x[origin] * x[origin])
            out[k] += slope
            out[origin] -= 2.0 * slope * x[origin]


class Rosenbrock(Model):
    """The hybrid Rosenbrock density, with exact log Z and exact draws at every beta.

    Parameters
    ----------
    a : float, default 0.05
        Stiffness of the first coordinate.
    b : float, default 5.0
        Stiffness across the ridge: the larger, the narrower.
    mu : float, default 1.0
        Mean of the first coordinate.
    blocks, length : int, default 1
        Ridges that start from the first coordinate, and coordinates in each: blocks * length + 1
        dimensions in all.

    Raises
    ------
    InvalidInput
        For stiffnesses that are not positive, values that are not finite, fewer than one block or
        coordinate.

    >>> round(Rosenbrock().log_z(), 9)  # log(2 pi)
    1.837877066
    """

    arrays: RosenbrockArrays

    def __init__(
        self, a: float = 0.05, b: float = 5.0, mu: float = 1.0, blocks: int = 1, length: int = 1
    ) -> None:
        for name, count in (("blocks", blocks), ("length", length)):
            if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
                raise InvalidInput(f"{name}={count!r} must be a whole number of at least 1.")
        arrays = RosenbrockArrays(
            number(a, "a", positive=True), number(b, "b", positive=True), number(mu, "mu"),
            int(length),
        )  # fmt: skip
        super().__init__(Reals(int(blocks) * int(length) + 1), arrays)

    def log_z(self, beta: float = 1.0) -> float:
        """log of the integral of exp(-beta E), exact. Raises InvalidInput unless beta > 0."""
        beta, n = number(beta, "beta", positive=True), self.space.size
        logs = math.log(self.arrays.a) + (n - 1) * math.log(self.arrays.b)
        return 0.5 * (n * math.log(math.pi / beta) - logs)

    def draws(self, seed: int, chains: np.ndarray, beta: float = 1.0) -> np.ndarray:
        """Exact independent draws at beta, float64 (chain, dim), one stream per chain."""
        a, b, mu, length = self.arrays
        beta = number(beta, "beta", positive=True)
        w = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, self.space.size)
        x = np.empty(w.shape)
        x[:, 0] = mu + w[:, 0] / math.sqrt(2.0 * a * beta)
        for k in range(1, self.space.size):
            before = x[:, 0 if (k - 1) % length == 0 else k - 1]
            x[:, k] = before * before + w[:, k] / math.sqrt(2.0 * b * beta)
        return x

    def __repr__(self) -> str:
        a, b, mu, length = self.arrays
        blocks = (self.space.size - 1) // length
        return f"Rosenbrock(a={a:g}, b={b:g}, mu={mu:g}, blocks={blocks}, length={length})"
