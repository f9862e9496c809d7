"""Stochastic gradient Hamiltonian Monte Carlo: momenta, friction, and gradients of minibatches.

    p' = p - eps g(x) - eps C p + sqrt(2 eps (C - B)) w,    x' = x + eps p',    unit masses.

T. Chen, E. Fox and C. Guestrin, Proc. 31st Int. Conf. Machine Learning (2014), arXiv:1402.4102, eq.
13 and algorithm 2. Gradient noise of variance S kicks the momenta by eps^2 S a move, as friction of
B = eps S / 2 would demand: an estimate of B is left out of the noise that is added. Momenta are
carried; one move costs one gradient.

On u = k x^2/2 the stationary variance is T / (k (1 - eps^2 k / (2 (2 - eps C)))), with
T = 1 + (eps S / 2 - B) / C, a linear recursion (`exact.langevin.sghmc_variance`). At eps C = 1 the
momenta forget all, and it is SGLD with eta = eps^2.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ._langevin import number
from ._minibatch import Stochastic


class DampedKick(NamedTuple):
    """The move: steps eps, dampings eps C and widths of the noise, float64 (chain,)."""

    steps: np.ndarray
    damping: np.ndarray
    widths: np.ndarray

    def stride(self, c: int, t: int, x: Any, carried: Any, force: Any, noise: Any) -> float:
        """Kick, then drift; carried (dim,) are the momenta."""
        eps, kept, width = self.steps[c], 1.0 - self.damping[c], self.widths[c]
        kinetic = 0.0
        for i in range(x.shape[0]):
            carried[i] = kept * carried[i] - eps * force[i] + width * noise[i]
            x[i] += eps * carried[i]
            kinetic += carried[i] * carried[i]
        return kinetic / x.shape[0]


@dataclass(frozen=True)
class SGHMC(Stochastic):
    """Hamiltonian moves with friction, on minibatches or full gradients.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eps, a time: in units of x per square root of reduced energy.
    batch_size : int, optional
        As in `SGLD`.
    friction : float, default 1.0
        C, a rate; momenta forget within 1 / (eps C) moves.
    noise_estimate : float, default 0.0
        B, below C: eps / 2 times the variance of the gradient, which info["gradient_noise"]
        measures. 0 where gradients are exact: full gradients have no noise that would make up for
        what is left out, and the temperature is then 1 - B / C.
    noise : float or tuple of float (one per chain), optional
        Standard deviation of the noise in one kick; default sqrt(2 eps (C - B)). With another one
        the effective temperature is (noise^2 + 2 eps B) / (2 eps C), B counting with batches only.

    `check` warns unless the effective temperature is 1.

    Info of `advance` holds "effective_temperature"; "kinetic_temperature", mean p^2 over moves and
    coordinates; and with batches "gradient_noise" and "temperature_rise", (eps S / 2 - B) / C.
    """

    step_size: float | tuple[float, ...] = 0.1
    friction: float = 1.0
    noise_estimate: float = 0.0

    stream: ClassVar[str] = "sghmc/philox4x32-10/1"
    carries: ClassVar[str] = "momenta"
    balance: ClassVar[str] = (
        "(noise^2 + 2 step_size noise_estimate) / (2 step_size friction), the estimate counting "
        "with minibatches only,"
    )
    stability: ClassVar[str] = "where step_size^2 curvature exceeds 2 (2 - step_size friction)"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("friction", "noise_estimate"):
            object.__setattr__(self, name, number(name, getattr(self, name)))
        damping = float(np.max(self.step_size) * self.friction)
        if not (self.friction > 0.0 and damping < 2.0):
            raise InvalidInput(
                f"friction={self.friction!r} with steps up to {np.max(self.step_size):g} must be "
                "positive, and step_size * friction below 2: beyond that momenta grow. Use a "
                "smaller step_size."
            )
        if not 0.0 <= self.noise_estimate < self.friction:
            raise InvalidInput(
                f"noise_estimate={self.noise_estimate!r} must be at least 0 and below "
                f"friction={self.friction!r}: gradient noise beyond that heats more than friction "
                "cools. Use more friction, larger batches or a smaller step_size."
            )

    def _variance(self) -> np.ndarray:
        return 2.0 * np.asarray(self.step_size) * (self.friction - self.noise_estimate)

    @property
    def effective_temperature(self) -> float | np.ndarray:
        """The temperature that step and noise imply, in units of the model's: a number or (chain,).

        With batches it takes `noise_estimate` at its word; info["temperature_rise"] says what the
        measured noise of the gradients adds to it.
        """
        if self.noise is None and self.batch_size is None and self.noise_estimate:
            return 1.0 - self.noise_estimate / self.friction
        return super().effective_temperature

    def _cure(self) -> str:
        if self.batch_size is None and self.noise_estimate:
            return (
                f"noise_estimate={self.noise_estimate:g} leaves out what minibatches would add, "
                "but full gradients have no noise: use noise_estimate=0, or give batch_size=."
            )
        return super()._cure()

    def _implied(self, noise: np.ndarray) -> np.ndarray:
        steps = np.asarray(self.step_size)
        known = 0.0 if self.batch_size is None else self.noise_estimate
        gradients = 2.0 * steps * known
        return np.asarray((noise**2 + gradients) / (2.0 * steps * self.friction))

    def _move(self, n_chains: int) -> Any:
        steps = self._steps(n_chains)
        width = np.sqrt(self._variance()) if self.noise is None else self.noise
        return DampedKick(steps, self.friction * steps, self._of_each("noise", width, n_chains))

    def _heat(self, variance: np.ndarray, sweep: int, carried: np.ndarray) -> np.ndarray:
        kicks = 0.5 * self._steps(len(variance)) * variance.mean(axis=1)
        return np.asarray((kicks - self.noise_estimate) / self.friction)
