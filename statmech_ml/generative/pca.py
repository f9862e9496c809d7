"""Principal components: what the best linear autoencoder finds, in closed form.

The covariance C = <(x - mean)(x - mean)^T> (divided by n, not n - 1) has eigenvalues lambda_1 >=
lambda_2 >= ... Projection on the first q eigenvectors loses

    <|x - xhat|^2> = sum_{j > q} lambda_j,

and no linear map through q numbers loses less (Eckart and Young 1936, doi:10.1007/BF02288367;
Baldi and Hornik 1989, doi:10.1016/0893-6080(89)90014-2). Probabilistic PCA puts the mean of the
discarded eigenvalues on every direction as noise (Tipping and Bishop 1999,
doi:10.1111/1467-9868.00196, eq. 8).

Cost: O(n size^2) for the covariance of n configurations, O(size^3) for its eigenvectors.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from ..errors import InvalidInput
from ..spaces import Reals
from ..training._arguments import check_at_least

Array = NDArray[np.float64]

_SYMMETRIC = 1e-10  # of the largest entry
_NEGATIVE = 1e-10  # of the largest eigenvalue: what rounding leaves of a zero


@dataclass(frozen=True)
class PCA:
    """Projection on the leading principal components; made by `of` and `of_covariance`.

    Attributes
    ----------
    mean : float64 array (size,)
    components : float64 array (n_components, size)
        Orthonormal rows, leading first; of each, the largest entry is positive.
    eigenvalues : float64 array (size,)
        Of the covariance, all of them, in decreasing order; in the data's units squared.

    Examples
    --------
    >>> pca = PCA.of_covariance(np.diag([0.5, 4.0, 0.25, 2.0]), 2)
    >>> float(pca.discarded_variance), pca.components.argmax(axis=1)
    (0.75, array([1, 3]))
    """

    mean: Array
    components: Array
    eigenvalues: Array

    @classmethod
    def of(cls, data: ArrayLike, n_components: int) -> "PCA":
        """Of configurations (n, size), n >= 1.

        Raises InvalidInput for data that are not finite, and for more components than sites.
        """
        x = np.asarray(data)
        if np.ma.isMaskedArray(data) or x.ndim != 2 or not x.size:
            raise InvalidInput(
                f"data of shape {x.shape} are not rows (n, size) of at least one number without a "
                "mask."
            )
        rows = Reals(x.shape[1]).check(x, "data")
        mean = rows.mean(axis=0)
        away = rows - mean
        return cls.of_covariance(away.T @ away / len(away), n_components, mean)

    @classmethod
    def of_covariance(
        cls, covariance: ArrayLike, n_components: int, mean: ArrayLike = 0.0
    ) -> "PCA":
        """Of a covariance matrix (size, size) and a mean, a number or (size,).

        Raises InvalidInput for a matrix that is no covariance, and for more components than sites.
        """
        C = np.asarray(covariance, np.float64)
        if C.ndim != 2 or C.shape[0] != C.shape[1] or not C.size or not np.isfinite(C).all():
            raise InvalidInput(
                f"covariance has shape {C.shape}; a square matrix of finite numbers is needed."
            )
        if np.abs(C - C.T).max() > _SYMMETRIC * np.abs(C).max():
            raise InvalidInput("covariance is not symmetric.")
        size = len(C)
        check_width("n_components", n_components, size)
        eigenvalues, vectors = linalg.eigh(C)
        if eigenvalues[0] < -_NEGATIVE * max(eigenvalues[-1], 0.0):
            raise InvalidInput(
                f"covariance has the eigenvalue {eigenvalues[0]:.3g}; no variance is negative."
            )
        try:
            centre = np.array(np.broadcast_to(np.asarray(mean, np.float64), (size,)))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"mean must be a number or ({size},): {error}.") from error
        if not np.isfinite(centre).all():
            raise InvalidInput("mean holds a number that is not finite.")
        rows = vectors.T[::-1]
        largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
        rows = rows * np.sign(largest)
        kept = np.ascontiguousarray(rows[:n_components])
        return cls(centre, kept, np.maximum(eigenvalues[::-1], 0.0))

    @property
    def n_components(self) -> int:
        """Components kept."""
        return len(self.components)

    @property
    def discarded_variance(self) -> float:
        """Sum of the eigenvalues that are not kept: the mean squared error, summed over sites."""
        return float(self.eigenvalues[self.n_components :].sum())

    @property
    def noise_variance(self) -> float:
        """sigma^2 of probabilistic PCA: the mean discarded eigenvalue.

        Raises InvalidInput where all components are kept.
        """
        left = len(self.eigenvalues) - self.n_components
        if not left:
            raise InvalidInput(
                f"All {self.n_components} components are kept, and none is left for the noise of "
                "probabilistic PCA. Keep fewer."
            )
        return self.discarded_variance / left

    def transform(self, x: ArrayLike) -> Array:
        """Coordinates (n, n_components) of configurations (n, size)."""
        away: Array = self._rows(x, len(self.mean)) - self.mean
        return away @ self.components.T

    def inverse(self, z: ArrayLike) -> Array:
        """Configurations (n, size) at coordinates (n, n_components)."""
        found: Array = self._rows(z, self.n_components) @ self.components + self.mean
        return found

    def error(self, x: ArrayLike) -> Array:
        """|x - xhat|^2 of each configuration, summed over sites, (n,)."""
        rows = self._rows(x, len(self.mean))
        found: Array = ((rows - self.inverse(self.transform(rows))) ** 2).sum(axis=1)
        return found

    def angles(self, basis: ArrayLike) -> Array:
        """Principal angles (radians, decreasing) between the kept subspace and the columns of
        `basis` (size, k)."""
        columns = np.asarray(basis)
        if columns.ndim != 2 or len(columns) != len(self.mean):
            raise InvalidInput(
                f"basis has shape {columns.shape}; columns ({len(self.mean)}, k) are needed."
            )
        columns = Reals(len(columns)).check(columns.T, "basis").T
        found: Array = linalg.subspace_angles(self.components.T, columns)
        return found

    def _rows(self, x: Any, size: int) -> Array:
        found: Array = Reals(size).check(x, "x")
        if found.ndim != 2:
            raise InvalidInput(f"x has shape {found.shape}; rows (n, {size}) are needed.")
        return found


def check_width(name: str, width: Any, size: int) -> None:
    """Raise InvalidInput unless `width`, numbers between encoder and decoder, is 1..size."""
    check_at_least(name, width, 1, "numbers")
    if width > size:
        raise InvalidInput(
            f"{name}={width} is wider than the data, which have {size} sites: there is nothing to "
            f"compress. Take at most {name}={size}."
        )
