"""Independent Gaussian coordinates: the exactly known law that other energies are compared with.

E(x) = sum_i (x_i - mean_i)^2 / (2 stddev_i^2)
log Z(beta) = sum_i log(stddev_i) + (n/2) log(2 pi / beta)
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _rng
from .._jit import kernel
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model


class GaussianArrays(NamedTuple):
    """Compiled Gaussian: mean float64 (n,), precision float64 (n,), the inverse variances."""

    mean: np.ndarray
    precision: np.ndarray

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            shift = x[i] - self.mean[i]
            total += 0.5 * self.precision[i] * shift * shift
        return total

    def gradient(self, x, out):
        for i in range(x.shape[0]):
            out[i] = self.precision[i] * (x[i] - self.mean[i])


class Gaussian(Model):
    """Independent Gaussians, E = sum (x - mean)^2 / (2 stddev^2), with exact log Z and exact draws.

    Parameters
    ----------
    mean : float or array (dim,)
    stddev : float or array (dim,), default 1.0
        Standard deviations at beta = 1, in the units of x.
    dim : int, optional
        Number of coordinates, where mean and stddev are numbers; default 1.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, values that are not finite, and stddev <= 0.

    >>> round(Gaussian(mean=[0.0, 1.0], stddev=2.0).log_z(), 9)  # log(2 pi) + 2 log 2
    3.224171428
    """

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, dim: int | None = None) -> None:
        try:
            given = np.array(mean, np.float64), np.array(stddev, np.float64)
            n = dim if dim is not None else max(1, *(array.size for array in given))
            space = Reals(n)
            self.mean, self.stddev = (np.broadcast_to(array, (n,)).copy() for array in given)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"mean={mean!r}, stddev={stddev!r} and dim={dim!r} do not fit together. Give "
                "numbers with dim=, or arrays (dim,)."
            ) from error
        if not (np.isfinite(self.mean).all() and np.isfinite(self.stddev).all()):
            raise InvalidInput("mean and stddev of a Gaussian must be finite.")
        if not (self.stddev > 0.0).all():
            raise InvalidInput(
                f"stddev={stddev!r} must be positive: without a width there is no density."
            )
        for array in (self.mean, self.stddev):
            array.setflags(write=False)
        super().__init__(space, GaussianArrays(self.mean, self.stddev**-2))

    def log_z(self, beta: float = 1.0) -> float:
        """log of the integral of exp(-beta E), exact. Raises InvalidInput unless beta > 0."""
        if not (math.isfinite(beta) and beta > 0.0):
            raise InvalidInput(f"beta={beta!r}: the integral exists for finite beta > 0 only.")
        return float(
            np.log(self.stddev).sum() + 0.5 * self.space.size * math.log(2.0 * math.pi / beta)
        )

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at beta = 1, float64 (chain, dim), one stream per chain."""
        n_pairs = (self.space.size + 1) // 2
        words = _rng.words(seed, chains, 0, _rng.REFERENCE, 0, 4 * n_pairs)
        normals = np.empty((len(chains), 2 * n_pairs))
        _normals(words, normals)
        return self.mean + self.stddev * normals[:, : self.space.size]

    def __repr__(self) -> str:
        return f"Gaussian(dim={self.space.size})"


@kernel
def _normals(words, out):
    """Standard normals, two from every four words; both (chain, n)."""
    for c in range(out.shape[0]):
        for i in range(0, out.shape[1], 2):
            w = words[c, 2 * i : 2 * i + 4]
            out[c, i], out[c, i + 1] = _rng.normal_pair(w[0], w[1], w[2], w[3])
