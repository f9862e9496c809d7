"""A Gaussian with any covariance: every answer is a closed form.

    p(x) = N(x; mu, C),   mmse(snr) = sum_i l_i / (1 + snr l_i),   l the eigenvalues of C.

Cost: O(d^3) once, O(d^2) for each configuration.

T. M. Cover and J. A. Thomas, Elements of Information Theory (2006), theorem 8.4.1,
doi:10.1002/047174882X; Guo, Shamai and Verdu (2005), eq. 16, doi:10.1109/TIT.2005.844072.
"""

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.exact.targets._component import Component, component
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.spaces import Reals


class Gaussian(Target):
    """N(mean, covariance).

    Parameters
    ----------
    mean : float or array (d,)
    covariance : array (d, d), or a number in one dimension
        Symmetric and positive definite, in units of x^2.

    Attributes
    ----------
    eigenvalues : float64 (d,), increasing
    directions : float64 (d, d)
        Eigenvectors of the covariance, in the columns.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, numbers that are not finite, and covariances that are not
        symmetric or not positive definite.

    >>> target = Gaussian([1.0, -1.0], [[2.0, 0.6], [0.6, 0.5]])
    >>> target.denoiser([[1.0, 0.0]], log_snr=0.0).round(6).tolist()
    [[1.409064, -0.664607]]
    >>> round(target.mmse(1.0), 9)
    0.913043478
    """

    def __init__(self, mean: ArrayLike, covariance: ArrayLike) -> None:
        self._component: Component = component(mean, covariance)
        self.space = Reals(len(self._component.mean))
        self.eigenvalues = self._component.eigenvalues.copy()
        self.directions = self._component.directions.copy()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.space.size})"

    def mean(self) -> Array:
        """Mean of a configuration, float64 (d,)."""
        return self._component.mean.copy()

    def covariance(self) -> Array:
        """Covariance of a configuration, float64 (d, d)."""
        return self._component.covariance

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        return self._component.sample(n, generator)

    def _log_prob(self, x: Array) -> Array:
        return self._component.log_prob(x)

    def _entropy(self) -> float:
        return 0.5 * float(np.log(2.0 * np.pi * np.e * self._component.eigenvalues).sum())

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return self._component.log_prob(x, a, v)

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        return self._component.score(x, a, v)

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        return self._component.denoiser(x, a, v)

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return np.broadcast_to(self._component.posterior_variance(a, v), len(x)).copy()

    def _mmse(self, snr: float) -> float:
        l = self._component.eigenvalues  # noqa: E741
        return float((l / (1.0 + snr * l)).sum())
