"""SGLD preconditioned as in RMSprop: each coordinate has a step that its own gradients scale.

    V' = alpha V + (1 - alpha) g^2,    G = 1 / (lambda + sqrt(V')),    all by coordinate,
    x' = x - eta G g + sqrt(2 eta G) w.

C. Li, C. Chen, D. Carlson and L. Carin, Proc. 30th AAAI Conf. (2016), arXiv:1512.07666, algorithm
1. Their V is of the mean gradient of a datum and this one of the sum, so that n times their lambda
and step stand here. V is carried, and begins with the square of the first gradient.

*Gamma is left out*, as in the paper's practice: a preconditioner that depends on x needs the drift
eta dG/dx, which takes second derivatives. While V keeps adapting the law is therefore wrong even in
the limit of small steps: V then follows the gradient, and independent coordinates have

    p(x_i) ~ exp(-u) (lambda + |du/dx_i|),

for any alpha < 1. With `freeze` the burn-in fixes V. What follows is a Markov chain whose bias is
that of `SGLD` with the steps eta G, and dies out with them. alpha near 1 comes close to that law.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ._langevin import number
from ._minibatch import Scheduled
from .base import Info, State

_UNSEEN = -1.0  # what V is before the first gradient


class Preconditioned(NamedTuple):
    """The move: the fields of `sgld.Overdamped`, memory alpha and regulariser lambda."""

    steps: np.ndarray
    temperatures: np.ndarray
    offset: float
    gamma: float
    alpha: float
    regulariser: float

    def stride(self, c: int, t: int, x: Any, carried: Any, force: Any, noise: Any) -> float:
        """One move; carried (dim,) is V."""
        eta = self.steps[c] * math.exp(-self.gamma * math.log(self.offset + t))
        width = math.sqrt(self.temperatures[c]) * math.sqrt(2.0 * eta)
        for i in range(x.shape[0]):
            square = force[i] * force[i]
            if carried[i] < 0.0:
                carried[i] = square
            carried[i] = self.alpha * carried[i] + (1.0 - self.alpha) * square
            scale = 1.0 / (self.regulariser + math.sqrt(carried[i]))
            x[i] += width * math.sqrt(scale) * noise[i] - eta * scale * force[i]
        return 0.0


@dataclass(frozen=True)
class PSGLD(Scheduled):
    """Preconditioned Langevin moves on minibatches or full gradients.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), optional
        eta, in units of x: that of coordinate i is eta G_i. Default 0.1 without a schedule.
    batch_size, schedule, noise
        As in `SGLD`; the noise is that of a coordinate with G = 1, default sqrt(2 eta).
    alpha : float in [0, 1), default 0.99
        Memory of the running mean of squared gradients. (1 stands in what a warm-up returns.)
    regulariser : float > 0, default 1e-5
        lambda, in the units of the gradient: the largest G is 1 / lambda.
    freeze : bool, default True
        Whether the preconditioner stays as it is at the end of the burn-in. False is the published
        algorithm, and its bias.

    Info of `advance` holds what that of `SGLD` does; the temperature rises by eta G_i / 2 times
    the variance of a coordinate's gradient, of which "temperature_rise" is the mean.
    """

    alpha: float = 0.99
    regulariser: float = 1e-5
    freeze: bool = True

    stream: ClassVar[str] = "psgld/philox4x32-10/1"
    carries: ClassVar[str] = "mean_square"
    stability: ClassVar[str] = "where the step exceeds 2 over the preconditioned curvature"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha", "regulariser"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        if not 0.0 <= self.alpha <= 1.0:
            raise InvalidInput(
                f"alpha={self.alpha!r} must lie in [0, 1): the weight of what V was, e.g. 0.99."
            )
        if not (np.isfinite(self.regulariser) and self.regulariser > 0.0):
            raise InvalidInput(
                f"regulariser={self.regulariser!r} must be positive: where the gradient vanishes, "
                "the step is step_size / regulariser."
            )

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain; what info holds is said above."""
        if self.alpha == 1.0 and self.carries not in state.carried:
            raise InvalidInput(
                "alpha=1 keeps the mean squares that are carried, but this state carries none. "
                "Burn in with alpha < 1 (e.g. 0.99); freeze=True then keeps what was found."
            )
        return super().advance(model, state, beta, n_sweeps, device)

    def warm_up(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple["PSGLD", State]:
        """Burn in; with `freeze` the sampler returned keeps the preconditioner that was found."""
        state = self.advance(model, state, beta, n_sweeps, device)[0]
        return (replace(self, alpha=1.0) if self.freeze and n_sweeps else self), state

    def _fresh(self, state: State) -> np.ndarray:
        return np.full(state.x.shape, _UNSEEN)

    def _move(self, n_chains: int) -> Any:
        return Preconditioned(*self._settings(n_chains), self.alpha, self.regulariser)

    def _heat(self, variance: np.ndarray, sweep: int, carried: np.ndarray) -> np.ndarray:
        scale = 1.0 / (self.regulariser + np.sqrt(carried))
        step = self._steps_at(sweep, len(variance))
        return np.asarray(0.5 * step * (scale * variance).mean(axis=1))
