"""Stochastic gradient Langevin dynamics: Langevin moves on the gradients of minibatches of data.

    x' = x - eta g(x) + sqrt(2 eta) w,    w ~ N(0, I),    E[g] = grad u,  u the reduced energy.

M. Welling and Y. W. Teh, Proc. 28th Int. Conf. Machine Learning (2011), p. 681, eq. 4, whose step
is eps = 2 eta. There is no accept/reject. The noise of the gradient, of covariance S, comes on top
of that of the move: near the mode of a posterior with Hessian A the stationary covariance C solves

    A C + C A - eta A C A = 2 I + eta S,

so that each direction is hotter by eta S_ii / 2, and by the step, as `ULA` is. Both are of order
eta; for linear regression `exact.langevin.sgld_covariance` is exact. Steps that fall as
(b + t)^-gamma remove both in the limit. A move costs one gradient of `batch_size` data.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ._minibatch import Scheduled


class Overdamped(NamedTuple):
    """The move: steps and temperatures float64 (chain,), offset b and exponent gamma of a decay."""

    steps: np.ndarray
    temperatures: np.ndarray
    offset: float
    gamma: float

    def stride(self, c: int, t: int, x: Any, carried: Any, force: Any, noise: Any) -> float:
        """x' = x - eta g + sqrt(2 eta T) w."""
        eta = self.steps[c] * math.exp(-self.gamma * math.log(self.offset + t))
        width = math.sqrt(self.temperatures[c]) * math.sqrt(2.0 * eta)
        for i in range(x.shape[0]):
            x[i] += width * noise[i] - eta * force[i]
        return 0.0


@dataclass(frozen=True)
class SGLD(Scheduled):
    """Langevin moves on minibatches, for `Minibatched` models; biased at any fixed step.

    Without batches it takes any `Differentiable` model, and is `ULA` without its correction.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), optional
        eta, in units of x^2 per unit of reduced energy; default 0.1 without a schedule. For a
        posterior of n data it is of order 1 / n.
    batch_size : int, optional
        Rows of data per move and chain, drawn with replacement; default: the full gradient.
    schedule : PolynomialDecay, optional
        Falling steps a (b + t)^-gamma in place of step_size, t the sweeps of the stream.
    noise : float or tuple of float (one per chain), optional
        Standard deviation of the noise in one move; default sqrt(2 eta). With another one the
        effective temperature is noise^2 / (2 eta), and `check` warns unless that is 1.

    Info of `advance` holds "effective_temperature", that of step and noise; with batches
    "gradient_noise", the measured variance of the gradient per coordinate, and "temperature_rise",
    eta / 2 times it; with a schedule "step_size", with which to weigh the draws.

    >>> import numpy as np
    >>> from statmech_ml import sample
    >>> from statmech_ml.models import BayesianLinearRegression
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> line = BayesianLinearRegression(X, 2.0 * X[:, 0], noise=0.5)
    >>> chain = sample(line, SGLD(1e-3, batch_size=10), beta=1.0, n_chains=4, n_draws=500, rng=1)
    >>> bool(abs(chain.states.mean() - line.mean[0]) < 0.1)
    True
    """

    stream: ClassVar[str] = "sgld/philox4x32-10/1"

    def _move(self, n_chains: int) -> Any:
        return Overdamped(*self._settings(n_chains))

    def _heat(self, variance: np.ndarray, sweep: int, carried: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * self._steps_at(sweep, len(variance)) * variance.mean(axis=1))
