"""Gaussian coordinates: the exactly known law that other energies are compared with.

E(x) = sum_i (x_i - mean_i)^2 / (2 stddev_i^2),    or    (x - mean).C^-1.(x - mean) / 2

log Z(beta) = (n/2) log(2 pi / beta) + 1/2 log det C,    C = diag(stddev^2) in the first form.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import frozen, numbers


class GaussianArrays(NamedTuple):
    """Compiled independent Gaussians: mean, precision float64 (n,), the inverse variances."""

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


class CorrelatedGaussianArrays(NamedTuple):
    """Compiled correlated Gaussian: mean float64 (n,), precision float64 (n, n) = C^-1."""

    mean: np.ndarray
    precision: np.ndarray

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            row = 0.5 * self.precision[i, i] * (x[i] - self.mean[i])
            for j in range(i):
                row += self.precision[i, j] * (x[j] - self.mean[j])
            total += row * (x[i] - self.mean[i])
        return total

    def gradient(self, x, out):
        for i in range(x.shape[0]):
            out[i] = 0.0
            for j in range(x.shape[0]):
                out[i] += self.precision[i, j] * (x[j] - self.mean[j])


class Gaussian(Model):
    """A Gaussian, independent coordinates or correlated ones, with exact log Z and exact draws.

    Parameters
    ----------
    mean : float or array (dim,)
    stddev : float or array (dim,), optional
        Standard deviations at beta = 1, in the units of x; default 1.
    dim : int, optional
        Number of coordinates, where the other arguments are numbers; default 1.
    covariance : array (dim, dim), optional
        C at beta = 1, symmetric and positive definite; in place of stddev.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, values that are not finite, stddev <= 0, a covariance that is
        not symmetric or not positive definite, and both of them at once.

    >>> round(Gaussian(mean=[0.0, 1.0], stddev=2.0).log_z(), 9)  # log(2 pi) + 2 log 2
    3.224171428
    """

    def __init__(
        self,
        mean: Any = 0.0,
        stddev: Any = None,
        dim: int | None = None,
        covariance: Any = None,
    ) -> None:
        if covariance is not None:
            if stddev is not None:
                raise InvalidInput(
                    "stddev and covariance were both given, and each fixes the widths. Give one."
                )
            given = numbers(covariance, 2, "covariance")
            factor = _cholesky(given)
            stddev, dim = np.sqrt(given.diagonal()), len(given) if dim is None else dim
        stddev = 1.0 if stddev is None else stddev
        try:
            each = np.array(mean, np.float64), np.array(stddev, np.float64)
            n = dim if dim is not None else max(1, *(array.size for array in each))
            space = Reals(n)
            self.mean, self.stddev = (np.broadcast_to(array, (n,)).copy() for array in each)
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
        arrays: Any = GaussianArrays(self.mean, self.stddev**-2)
        if covariance is not None:
            inverse = np.linalg.inv(factor)
            arrays = CorrelatedGaussianArrays(self.mean, inverse.T @ inverse)
            self._factor = factor
        super().__init__(space, frozen(arrays))

    def log_z(self, beta: float = 1.0) -> float:
        """log of the integral of exp(-beta E), exact. Raises InvalidInput unless beta > 0."""
        if not (math.isfinite(beta) and beta > 0.0):
            raise InvalidInput(f"beta={beta!r}: the integral exists for finite beta > 0 only.")
        correlated = isinstance(self.arrays, CorrelatedGaussianArrays)
        scales = self._factor.diagonal() if correlated else self.stddev
        return float(np.log(scales).sum() + 0.5 * self.space.size * math.log(2.0 * math.pi / beta))

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at beta = 1, float64 (chain, dim), one stream per chain."""
        normals = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, self.space.size)
        if isinstance(self.arrays, CorrelatedGaussianArrays):
            return self.mean + normals @ self._factor.T
        return self.mean + self.stddev * normals

    def __repr__(self) -> str:
        return f"Gaussian(dim={self.space.size})"


def _cholesky(covariance: np.ndarray) -> np.ndarray:
    """The lower triangular L with C = L L^T, or InvalidInput."""
    if covariance.shape[0] != covariance.shape[1]:
        raise InvalidInput(f"covariance has shape {covariance.shape}; it must be square.")
    asymmetry = np.abs(covariance - covariance.T).max()
    if asymmetry > 1e-12 * np.abs(covariance).max():
        raise InvalidInput(
            f"covariance is not symmetric: entries differ from their mirror by {asymmetry:g}. Give "
            "(C + C.T) / 2 if that is what you mean."
        )
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        lowest = np.linalg.eigvalsh(covariance)[0]
        raise InvalidInput(
            f"covariance is not positive definite: its lowest eigenvalue is {lowest:g}. A Gaussian "
            "needs a width in every direction."
        ) from error
