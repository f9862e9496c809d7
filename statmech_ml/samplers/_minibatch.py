"""Gradients from minibatches of data, and steps that fall: what SGLD, PSGLD and SGHMC share.

The rows of a batch are drawn with replacement, afresh for every chain and sweep, so the batches of
a run are independent, and gradients unbiased. A gradient comes in two halves of the batch: it is
their mean, weighted by size, and with b = b_1 + b_2 rows

    E[(g_1 - g_2)^2] b_1 b_2 / b^2 = Var[g],

which measures the gradient noise of every move at no cost but a second call. That noise adds to the
noise of the move, and so raises the temperature: by eta Var[g] / 2 where moves are overdamped.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _rng
from .._rng import MINIBATCH
from ..errors import InvalidInput
from ..systems import EnergyModel, require
from ._devices import in_batches
from ._langevin import PerChain
from ._walk import Walker, strides
from .base import Info, State


class PolynomialDecay(NamedTuple):
    """Steps a (b + t)^-gamma, t the sweeps done: M. Welling and Y. W. Teh (2011), section 4.

    Parameters
    ----------
    a : float > 0
        In units of eta = eps / 2.
    b : float > 0, default 1.0
        In sweeps: how long the first step lasts.
    gamma : float in (0, 1], default 0.55
        Above 1/2 the bias of the steps dies out too, as their squares have a finite sum; above 1
        the steps themselves would, and chains come to rest.

    >>> PolynomialDecay(0.5, b=16.0, gamma=0.5).step(48)
    0.0625
    """

    a: float
    b: float = 1.0
    gamma: float = 0.55

    def step(self, sweep: int) -> float:
        """eta of the move that follows `sweep` others."""
        return float(self.a * (self.b + sweep) ** -self.gamma)


@dataclass(frozen=True)
class Stochastic(Walker):
    """Walkers whose gradient may come from minibatches.

    Parameters
    ----------
    batch_size : int, optional
        Rows of data per move and chain, for `Minibatched` models; default: the full gradient, for
        any `Differentiable` one.
    """

    batch_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.batch_size
        if given is not None:
            whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
            if not whole or given < 1:
                raise InvalidInput(
                    f"batch_size={given!r} must be a whole number of rows, at least 1, or None for "
                    "the full gradient."
                )
            object.__setattr__(self, "batch_size", int(given))

    def _require(self, model: EnergyModel) -> None:
        if self.batch_size is not None:
            instead = "Use batch_size=None, the full gradient, or write the model as a Posterior."
            require(model, "Minibatched", f"{type(self).__name__} with batches", instead)
            n_data = int(getattr(model, "n_data", 0))
            if self.batch_size > n_data:
                raise InvalidInput(
                    f"batch_size={self.batch_size} exceeds the {n_data} data of {model!r}. Use "
                    "batch_size=None: the full gradient costs less, and has no noise."
                )
        super()._require(model)

    def _heat(self, variance: np.ndarray, sweep: int, carried: np.ndarray) -> np.ndarray:
        """By how much gradient noise raises the temperature, (chain,).

        variance : of the gradient estimate, (chain, dim)
        """
        raise NotImplementedError

    def _walked(
        self,
        model: Any,
        state: State,
        carried: np.ndarray,
        beta: np.ndarray,
        n_sweeps: int,
        device: str,
    ) -> tuple[np.ndarray, np.ndarray, Info]:
        """`Walker._walked`, and with batches two entries of info, means over the moves (chain,).

        "gradient_noise", the variance of the gradient estimate per coordinate, and
        "temperature_rise", what it adds to the temperature; NaN for batches of one row, which show
        no spread.
        """
        if self.batch_size is None:
            return super()._walked(model, state, carried, beta, n_sweeps, device)
        model, x, n = in_batches(model, device), state.x.copy(), len(state.x)
        move, watched, noise, heat = self._move(n), np.zeros(n), np.zeros(n), np.zeros(n)
        for t in range(state.sweep, state.sweep + n_sweeps):
            rows = batch(state.seed, state.chains, t, model.n_data, self.batch_size)
            force, variance = noisy_gradient(model, x, beta, rows)
            strides(move, x, carried, force, state.chains, np.uint64(state.seed), t, watched)
            self._require_finite(model, x)
            noise += variance.mean(axis=1)
            heat += self._heat(variance, t, carried)
        many = max(1, n_sweeps)
        return x, watched, {"gradient_noise": noise / many, "temperature_rise": heat / many}


@dataclass(frozen=True)
class Scheduled(Stochastic):
    """Walkers whose step may fall with the sweeps.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), optional
        eta; default 0.1, where there is no schedule.
    schedule : PolynomialDecay, optional
        In place of step_size.
    """

    step_size: PerChain | None = None  # type: ignore[assignment]
    schedule: PolynomialDecay | None = None

    stability: ClassVar[str] = "where the step exceeds 2 over the curvature"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule is None:
            if self.step_size is None:
                object.__setattr__(self, "step_size", 0.1)
            return
        if self.step_size is not None or self.noise is not None:
            name = "noise" if self.step_size is None else "step_size"
            raise InvalidInput(
                f"{name}={getattr(self, name)!r} beside {self.schedule!r}: the schedule sets the "
                "steps, and noise that is not theirs would change the temperature on the way. "
                f"Leave {name}= out, or the schedule."
            )
        object.__setattr__(self, "schedule", _checked(self.schedule))

    def _settings(self, n_chains: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Steps and temperatures (chain,), and offset b and exponent gamma of their decay."""
        temperatures = self._temperatures(n_chains)
        if self.schedule is None:
            return self._steps(n_chains), temperatures, 1.0, 0.0
        a, b, gamma = self.schedule
        return np.full(n_chains, a), temperatures, b, gamma

    def _steps_at(self, sweep: int, n_chains: int) -> np.ndarray:
        """eta at a sweep, (chain,)."""
        if self.schedule is None:
            return self._steps(n_chains)
        return np.full(n_chains, self.schedule.step(sweep))

    def _told_steps(self) -> str:
        return super()._told_steps() if self.schedule is None else repr(self.schedule)

    def _walked(
        self,
        model: Any,
        state: State,
        carried: np.ndarray,
        beta: np.ndarray,
        n_sweeps: int,
        device: str,
    ) -> tuple[np.ndarray, np.ndarray, Info]:
        """As without a schedule; with one info has "step_size" too, that of the last move."""
        x, watched, info = super()._walked(model, state, carried, beta, n_sweeps, device)
        if self.schedule is not None:
            last = max(0, state.sweep + n_sweeps - 1)
            info["step_size"] = self._steps_at(last, len(x))
        return x, watched, info


def batch(seed: int, chains: np.ndarray, sweep: int, n_data: int, size: int) -> np.ndarray:
    """Rows of data that each chain sees at a sweep, int64 (chain, size), with replacement."""
    words = _rng.words(seed, chains, sweep, MINIBATCH, 0, 2 * size).astype(np.uint64)
    high, low = words[:, :size], words[:, size:]
    units = ((high << np.uint64(21)) | (low >> np.uint64(11))) * 2.0**-53
    return np.asarray((units * n_data).astype(np.int64))


def noisy_gradient(
    model: Any, x: np.ndarray, beta: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient from these rows, and the measured variance of such gradients, (chain, dim)."""
    size = rows.shape[1]
    half = size // 2
    with np.errstate(all="ignore"):  # what leaves the finite numbers is judged after the move
        if not half:
            return model.minibatch_gradient(x, beta, rows), np.full(x.shape, np.nan)
        first = model.minibatch_gradient(x, beta, rows[:, :half])
        second = model.minibatch_gradient(x, beta, rows[:, half:])
        share = half / size
        gradient = share * first + (1.0 - share) * second
        return gradient, share * (1.0 - share) * (first - second) ** 2


def _checked(given: Any) -> PolynomialDecay:
    """A schedule with numbers that make one, or InvalidInput; also from a tuple, as stored."""
    try:
        schedule = PolynomialDecay(*map(float, given))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"schedule={given!r} is none. Give PolynomialDecay(a, b, gamma): a (b + t)^-gamma."
        ) from error
    a, b, gamma = schedule
    if not (np.isfinite(schedule).all() and a > 0.0 and b > 0.0 and 0.0 < gamma <= 1.0):
        raise InvalidInput(
            f"{schedule!r} needs a > 0, b > 0 and 0 < gamma <= 1: beyond 1 the steps have a finite "
            "sum and chains come to rest, at 0 they do not fall (use step_size=)."
        )
    return schedule
