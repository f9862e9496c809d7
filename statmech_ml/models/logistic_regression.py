"""Bayesian logistic regression: the smallest posterior without a closed form.

    p(y_n = 1 | x_n, theta) = 1 / (1 + exp(-x_n . theta)),    theta ~ N(0, diag(prior_scale^2))
    E(theta) = -log prior + sum_n [log(1 + exp(eta_n)) - y_n eta_n],    eta_n = x_n . theta

E is convex, log Z at beta = 1 the log evidence (`exact.plane` integrates it for two parameters).

C. M. Bishop, Pattern Recognition and Machine Learning (2006), section 4.5.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from ..errors import InvalidInput
from ._regression import Regression


class LogisticRegressionArrays(NamedTuple):
    """Compiled posterior: X float64 (n, dim), y (n,), precision (dim,) of the prior, norm float."""

    X: np.ndarray
    y: np.ndarray
    precision: np.ndarray
    norm: float

    def energy(self, x):
        total = self.norm
        for i in range(x.shape[0]):
            total += 0.5 * self.precision[i] * x[i] * x[i]
        for n in range(self.X.shape[0]):
            eta = 0.0
            for i in range(x.shape[0]):
                eta += self.X[n, i] * x[i]
            total += max(eta, 0.0) + math.log(1.0 + math.exp(-abs(eta))) - self.y[n] * eta
        return total

    def gradient(self, x, out):
        for i in range(x.shape[0]):
            out[i] = self.precision[i] * x[i]
        for n in range(self.X.shape[0]):
            eta = 0.0
            for i in range(x.shape[0]):
                eta += self.X[n, i] * x[i]
            tail = math.exp(-abs(eta))
            slope = (1.0 if eta >= 0.0 else tail) / (1.0 + tail) - self.y[n]
            for i in range(x.shape[0]):
                out[i] += slope * self.X[n, i]


class BayesianLogisticRegression(Regression):
    """The posterior of logistic regression with a Gaussian prior.

    Parameters
    ----------
    X : array (n, dim)
        Inputs, one datum a row; add a column of ones for an intercept.
    y : array (n,)
        Labels, 0 or 1.
    prior_scale : float or array (dim,), default 1.0
        Standard deviations of the prior of theta, which is Gaussian about 0.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, values that are not finite, other labels, and prior_scale <= 0.

    >>> coin = BayesianLogisticRegression([[1.0], [1.0]], [0, 1], prior_scale=2.0)
    >>> float(coin.reduced_gradient([0.0], 1.0)[0])  # (1/2 - 0) + (1/2 - 1)
    0.0
    """

    def __init__(self, X: Any, y: Any, prior_scale: Any = 1.0) -> None:
        self._set(X, y, prior_scale)
        wrong = (self.y != 0.0) & (self.y != 1.0)
        if wrong.any():
            raise InvalidInput(
                f"y holds {self.y[wrong][0]!r}, but labels are 0 or 1: for -1 and +1 give "
                "(y + 1) / 2."
            )
        scale = self.prior_scale
        norm = 0.5 * len(scale) * math.log(2.0 * math.pi) + np.log(scale).sum()
        self._compile(LogisticRegressionArrays(self.X, self.y, scale**-2, float(norm)))

    def _slopes(self, predictor: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(expit(predictor) - y)
