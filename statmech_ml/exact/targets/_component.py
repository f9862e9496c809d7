"""One Gaussian under the forward noise, in the directions of its covariance.

    C = Q diag(l) Q^T,   x_t ~ N(a mu, Q diag(a^2 l + v) Q^T),
    E[x_0 | x_t] = mu + Q diag(a l / (a^2 l + v)) Q^T (x_t - a mu).

A target Gaussian is one of these, a mixture several.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import real_array

Array = NDArray[np.float64]

_SYMMETRIC = 1e-12  # of the largest entry
_NARROW = 1e-14  # of the largest eigenvalue: what rounding leaves of a zero


class Component(NamedTuple):
    """Mean (d,), eigenvalues (d,) of the covariance, their directions in the columns (d, d)."""

    mean: Array
    eigenvalues: Array
    directions: Array

    @property
    def covariance(self) -> Array:
        return np.asarray((self.directions * self.eigenvalues) @ self.directions.T)

    def sample(self, n: int, generator: np.random.Generator) -> Array:
        z = generator.normal(size=(n, len(self.mean)))
        return np.asarray(self.mean + (z * np.sqrt(self.eigenvalues)) @ self.directions.T)

    def log_prob(self, x: Array, a: Any = 1.0, v: Any = 0.0) -> Array:
        """Log-density (n,) of a x_0 + sqrt(v) eps; a and v are numbers or (n, 1)."""
        width = a * a * self.eigenvalues + v
        y = (x - a * self.mean) @ self.directions
        return np.asarray(-0.5 * (y * y / width + np.log(2.0 * np.pi * width)).sum(axis=1))

    def score(self, x: Array, a: Any, v: Any) -> Array:
        width = a * a * self.eigenvalues + v
        return np.asarray(-((x - a * self.mean) @ self.directions / width) @ self.directions.T)

    def denoiser(self, x: Array, a: Any, v: Any) -> Array:
        gain = a * self.eigenvalues / (a * a * self.eigenvalues + v)
        y = (x - a * self.mean) @ self.directions
        return np.asarray(self.mean + (y * gain) @ self.directions.T)

    def posterior_variance(self, a: Any, v: Any) -> Array:
        """tr Var[x_0 | x_t], (n,), the same for all x_t of one noise."""
        width = a * a * self.eigenvalues + v
        return np.asarray((self.eigenvalues * v / width).sum(axis=1))


def component(mean: ArrayLike, covariance: ArrayLike, name: str = "covariance") -> Component:
    """A Gaussian from its mean (a number or (d,)) and covariance (a number or (d, d)), checked."""
    mu, C = real_array(mean, "mean"), real_array(covariance, name)
    if C.ndim == 0 and mu.size == 1:
        C = C.reshape(1, 1)
    if C.ndim != 2 or C.shape[0] != C.shape[1] or C.size == 0:
        raise InvalidInput(
            f"{name} has shape {C.shape}; a square matrix (d, d) is needed. For independent "
            "coordinates of variances s2 give numpy.diag(s2)."
        )
    if mu.shape not in ((), (len(C),)):
        raise InvalidInput(
            f"mean has shape {mu.shape}; a number, or one for each of the {len(C)} coordinates, is "
            "needed."
        )
    if not (np.isfinite(mu).all() and np.isfinite(C).all()):
        raise InvalidInput(f"mean or {name} holds NaN or infinite values.")
    asymmetry, largest = float(np.abs(C - C.T).max()), float(np.abs(C).max())
    if asymmetry > _SYMMETRIC * largest:
        raise InvalidInput(
            f"{name} is not symmetric: entries differ from their mirror image by {asymmetry:g}."
        )
    eigenvalues, directions = np.linalg.eigh(0.5 * (C + C.T))
    if not eigenvalues[0] > _NARROW * max(largest, 0.0):
        raise InvalidInput(
            f"{name} is not positive definite: its smallest eigenvalue is {eigenvalues[0]:.3g} "
            f"beside a largest of {eigenvalues[-1]:.3g}. A density needs a width in every "
            "direction; leave out coordinates that depend on others, or add a small variance."
        )
    return Component(np.array(np.broadcast_to(mu, len(C))), eigenvalues, directions)
