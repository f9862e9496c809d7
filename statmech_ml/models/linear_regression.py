"""Bayesian linear regression with known noise: the posterior that is Gaussian, so all is exact.

    y_n = x_n . theta + noise w_n,  w ~ N(0, 1),    theta ~ N(0, diag(prior_scale^2))
    A = X^T X / noise^2 + diag(prior_scale^-2),    m = A^-1 X^T y / noise^2
    E(theta) = (theta - m).A.(theta - m) / 2 + E(m)

At beta the law is N(m, A^-1 / beta) and log Z(beta) = -beta E(m) + dim/2 log(2 pi/beta) - 1/2 log
det A, at beta = 1 the log evidence.

C. M. Bishop, Pattern Recognition and Machine Learning (2006), eqs. 3.53, 3.54 and 3.86.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from ._arguments import number
from ._regression import Regression
from .gaussian import Gaussian


class LinearRegressionArrays(NamedTuple):
    """Compiled posterior: mean float64 (dim,), precision (dim, dim) = A, lowest float = E(m)."""

    mean: np.ndarray
    precision: np.ndarray
    lowest: float

    def energy(self, x):
        total = self.lowest
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


class BayesianLinearRegression(Regression):
    """The posterior of linear regression with known noise, Gaussian, with its exact law.

    Parameters
    ----------
    X : array (n, dim)
        Inputs, one datum a row; add a column of ones for an intercept.
    y : array (n,)
        Outputs.
    noise : float, default 1.0
        Standard deviation of an output given its input, in the units of y.
    prior_scale : float or array (dim,), default 1.0
        Standard deviations of the prior of theta, which is Gaussian about 0.

    Attributes
    ----------
    X, y, noise, prior_scale : the arguments, frozen
    mean : float64 (dim,), m
    precision : float64 (dim, dim), A

    Raises
    ------
    InvalidInput
        For shapes that do not fit, values that are not finite, widths that are not positive.

    >>> line = BayesianLinearRegression([[0.0], [1.0]], [0.0, 3.0], noise=1.0, prior_scale=1.0)
    >>> line.mean  # 3 / (1 + 1)
    array([1.5])
    """

    arrays: LinearRegressionArrays

    def __init__(self, X: Any, y: Any, noise: float = 1.0, prior_scale: Any = 1.0) -> None:
        self._set(X, y, prior_scale)
        self.noise = number(noise, "noise", positive=True)
        A = self.X.T @ self.X / self.noise**2 + np.diag(self.prior_scale**-2)
        A = 0.5 * (A + A.T)
        self.precision = A
        self.mean = np.linalg.solve(A, self.X.T @ self.y / self.noise**2)
        residuals = (self.y - self.X @ self.mean) / self.noise
        pulls = self.mean / self.prior_scale
        widths = len(self.y) * math.log(self.noise) + np.log(self.prior_scale).sum()
        norm = 0.5 * (len(self.y) + len(A)) * math.log(2.0 * math.pi) + widths
        lowest = float(0.5 * (residuals @ residuals + pulls @ pulls) + norm)
        self._compile(LinearRegressionArrays(self.mean, self.precision, lowest))

    def exact(self, beta: float = 1.0) -> Gaussian:
        """The law at beta as a model: mean m, covariance A^-1 / beta, exact draws."""
        beta = number(beta, "beta", positive=True)
        inverse = np.linalg.inv(np.linalg.cholesky(beta * self.precision))
        return Gaussian(self.mean, covariance=inverse.T @ inverse)

    def log_z(self, beta: float = 1.0) -> float:
        """log of the integral of exp(-beta E), exact; at beta = 1 the log evidence log p(y | X)."""
        beta = number(beta, "beta", positive=True)
        log_det = np.linalg.slogdet(self.precision)[1]
        volume = 0.5 * (len(self.mean) * math.log(2.0 * math.pi / beta) - log_det)
        return float(volume - beta * self.arrays.lowest)

    def _slopes(self, predictor: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (predictor - y) / self.noise**2
