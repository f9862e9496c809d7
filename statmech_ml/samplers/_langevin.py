"""What the Langevin samplers share: step and noise, and the moves that MALA corrects and ULA takes.

    x' = x - eta grad u(x) + sqrt(2 eta T) w,    w ~ N(0, I),    u the reduced energy,  T = 1.

This is the one convention of the package; Welling and Teh's step is eps = 2 eta. The standard
deviation of the noise in one move is what fixes the temperature: with a noise s of one's own the
moves sample at the *effective temperature* T = s^2 / (2 eta), whatever the model's beta says, and
such a sampler warns. s = sqrt(eta), the 2 lost, is T = 1/2.

F(x'|x) is the Gaussian density of a move and B(x|x') that of the way back. Their ratio and the
change of u make the gain

    g = u(x) - u(x') + log B(x|x') - log F(x'|x),

which is zero on average only in the limit of small eta.
"""

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from .. import _rng
from .._jit import jit, kernel
from .._rng import ACCEPT, LANGEVIN, block, normal_pair, unit
from ..errors import EffectiveTemperatureWarning, InvalidInput
from ..systems import EnergyModel, reduced_energy, reduced_gradient, require
from ._devices import in_batches
from .base import Sampler, State, over_chains

PerChain = float | tuple[float, ...]
"""A setting: one number, or one per chain."""

TEMPERATURE_TOLERANCE = 1e-3
"""A temperature further from 1 is no rounding of a noise that was written with four digits."""


@dataclass(frozen=True)
class Langevin(Sampler):
    """What all of them share: the step.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy.
    """

    step_size: PerChain = 0.1

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    per_chain: ClassVar[tuple[str, ...]] = ("step_size",)
    """Settings that may be given per chain."""

    @property
    def reversible(self) -> bool:
        """Yes: every move is its own reverse, or its correction says what it misses."""
        return True

    @property
    def effective_temperature(self) -> float | np.ndarray:
        """The temperature that step and noise imply, relative to the model's; 1 where exact."""
        return 1.0

    def __post_init__(self) -> None:
        for name in self.per_chain:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _positive(name, getattr(self, name)))

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless the model is Differentiable."""
        self._require(model)

    def _require(self, model: EnergyModel) -> None:
        instead = "Use HeatBath or Metropolis for discrete states."
        require(model, "Differentiable", type(self).__name__, instead)

    def of_chains(self, chosen: np.ndarray) -> Self:
        """The sampler of some of the chains, with their settings."""
        given = {name: np.asarray(getattr(self, name)) for name in self.per_chain}
        mine = {name: tuple(v[chosen].tolist()) for name, v in given.items() if v.ndim}
        return replace(self, **mine) if mine else self

    def _of_each(self, name: str, value: Any, n_chains: int) -> np.ndarray:
        """A setting as float64 (chain,), or InvalidInput for another number of chains."""
        values = np.asarray(value, np.float64)
        if values.ndim and len(values) != n_chains:
            raise InvalidInput(
                f"{name} has {len(values)} entries for {n_chains} chains. Give one number, or "
                "one per chain."
            )
        return np.array(np.broadcast_to(values, n_chains))

    def _steps(self, n_chains: int) -> np.ndarray:
        return self._of_each("step_size", self.step_size, n_chains)

    def _temperatures(self, n_chains: int) -> np.ndarray:
        return self._of_each("noise", self.effective_temperature, n_chains)

    def _moved(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, adjusted: bool, device: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x after `n_sweeps` moves; how many were taken, int64; and their gains, summed, (chain,).

        `adjusted`: take a move with probability min(1, exp(gain)); else take all.
        """
        x, n = state.x.copy(), len(state.x)
        steps, temperatures = self._steps(n), self._temperatures(n)
        beta = np.asarray(beta, np.float64)
        taken, gain = np.zeros(n, np.int64), np.zeros(n)
        model = model if hasattr(model, "arrays") else in_batches(model, device)

        def run(part: slice) -> None:
            move = moves if hasattr(model, "arrays") else moves_in_batches
            move(
                model.arrays if move is moves else model, x[part], beta[part], steps[part],
                temperatures[part], adjusted, state.chains[part], np.uint64(state.seed),
                state.sweep, n_sweeps, taken[part], gain[part],
            )  # fmt: skip

        if hasattr(model, "arrays") and device == "cuda":
            from ._cuda.langevin import moves as on_device

            on_device(
                moves_of_chain, model.arrays, x, beta, steps, temperatures, adjusted, state,
                n_sweeps, taken, gain,
            )  # fmt: skip
        elif hasattr(model, "arrays"):
            over_chains(n, x.size * n_sweeps, run)
        else:  # a user's function need not be safe on threads
            run(slice(None))
        return x, taken, gain


@dataclass(frozen=True)
class Unadjusted(Langevin):
    """Langevin samplers without accept/reject: a noise of one's own sets another temperature.

    Parameters
    ----------
    noise : float or tuple of float (one per chain), optional
        Standard deviation of the noise in one move; default: what the step demands at T = 1.
    """

    noise: PerChain | None = field(default=None, kw_only=True)

    invariant: ClassVar[bool] = False
    per_chain: ClassVar[tuple[str, ...]] = ("step_size", "noise")
    balance: ClassVar[str] = "noise^2 / (2 step_size)"
    """The effective temperature as a formula, for the warning."""

    def _variance(self) -> np.ndarray:
        """The square of the noise that the settings demand at T = 1."""
        return 2.0 * np.asarray(self.step_size, np.float64)

    def _implied(self, noise: np.ndarray) -> np.ndarray:
        """The temperature at which moves with this noise sample."""
        return noise**2 / self._variance()

    @property
    def effective_temperature(self) -> float | np.ndarray:
        """The temperature that step and noise imply, in units of the model's: a number or (chain,).

        Exactly 1 without a noise of one's own. It is that of small steps; the bias of the step
        itself comes on top.
        """
        if self.noise is None:
            return 1.0
        implied = self._implied(np.asarray(self.noise, np.float64))
        return implied if implied.ndim else float(implied)

    def check(self, model: EnergyModel) -> None:
        """Raise what refuses a model that does not fit; warn of a temperature that is not 1."""
        self._require(model)
        found = np.atleast_1d(self.effective_temperature)
        worst = float(found[np.argmax(np.abs(np.log(found)))])
        if abs(worst - 1.0) > TEMPERATURE_TOLERANCE:
            warnings.warn(
                f"{type(self).__name__} with step_size={self.step_size!r} and "
                f"noise={self.noise!r} samples at the temperature {worst:.4g} and not at 1: "
                f"{self.balance} = {worst:.4g}, so that beta is in effect {1.0 / worst:.4g} times "
                f"what was asked for. {self._cure()}",
                EffectiveTemperatureWarning,
                stacklevel=3,
            )

    def _cure(self) -> str:
        """What brings the temperature to 1, for the warning."""
        demanded = float(np.sqrt(np.max(self._variance())))
        return f"Leave noise= out (it is then {demanded:.4g}), and set temperatures by beta=."

    def _require_finite(self, model: Any, x: np.ndarray, also: np.ndarray | float = 0.0) -> None:
        """InvalidInput where chains left the finite numbers: x (chain, dim), also (chain,)."""
        lost = ~np.isfinite(x).all(axis=1) | np.isnan(also)
        if lost.any():
            raise InvalidInput(
                f"{lost.sum()} of {len(x)} chains of {type(self).__name__} left the finite "
                f"numbers, or the domain of {model!r}, with {self._told_steps()}: unadjusted moves "
                f"diverge {self.stability}. Use a smaller step_size, or MALA."
            )

    stability: ClassVar[str] = "where the step exceeds 2 over the curvature"

    def _told_steps(self) -> str:
        return f"steps up to {np.max(self.step_size):g}"


def number(name: str, given: Any) -> float:
    """A setting that is one number, in whatever range, or InvalidInput."""
    if not isinstance(given, int | float | np.integer | np.floating):
        raise InvalidInput(f"{name}={given!r} must be a number, one for all chains.")
    return float(given)


def _positive(name: str, given: Any) -> PerChain:
    """A setting that is positive and finite, or InvalidInput."""
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if values.ndim > 1 or not values.size or not (np.isfinite(values) & (values > 0)).all():
        why = " Without noise a move is gradient descent." if name == "noise" else ""
        raise InvalidInput(
            f"{name}={given!r} must be positive and finite: a number, or one per chain.{why}"
        )
    return tuple(values.tolist()) if values.ndim else float(values)


@jit
def moves_of_chain(
    model, state, force, proposed, new_force, beta, eta, temperature, adjusted, chain, seed,
    sweep, n_sweeps,
):  # fmt: skip
    """Langevin moves of one chain, state (dim,) in place; how many were taken, and their gains.

    `force`, `proposed` and `new_force` (dim,) are room to work in.
    """
    dim = state.shape[0]
    noise = math.sqrt(temperature) * math.sqrt(2.0 * eta)
    taken, gains = 0, 0.0
    u = reduced_energy(model, state, beta)
    reduced_gradient(model, state, beta, force)
    for t in range(sweep, sweep + n_sweeps):
        for i in range(0, dim, 2):
            w0, w1, w2, w3 = block(seed, chain, t, LANGEVIN, 0, i // 2)
            a, b = normal_pair(w0, w1, w2, w3)
            proposed[i] = state[i] - eta * force[i] + noise * a
            if i + 1 < dim:
                proposed[i + 1] = state[i + 1] - eta * force[i + 1] + noise * b
        new_u = reduced_energy(model, proposed, beta)
        reduced_gradient(model, proposed, beta, new_force)
        # log B(x|x') - log F(x'|x) of the Gaussian moves with variance 2 eta T
        ratio = 0.0
        for i in range(dim):
            forward = proposed[i] - state[i] + eta * force[i]
            backward = state[i] - proposed[i] + eta * new_force[i]
            ratio += (forward * forward - backward * backward) / (4.0 * eta * temperature)
        gain = u - new_u + ratio
        takes = not adjusted
        if adjusted:
            w0, w1, w2, w3 = block(seed, chain, t, ACCEPT, 0, 0)
            # A NaN compares false: a proposal outside the energy's domain is rejected.
            takes = math.log(1.0 - unit(w0, w1)) < gain
        if takes:
            for i in range(dim):
                state[i] = proposed[i]
                force[i] = new_force[i]
            u = new_u
            taken += 1
            gains += gain
    return taken, gains


@kernel
def moves(
    model, x, beta, steps, temperatures, adjusted, chains, seed, sweep, n_sweeps, taken, gains
):
    """Langevin moves of compiled models, x (chain, dim) in place."""
    dim = x.shape[1]
    force, proposed, new_force = np.empty(dim), np.empty(dim), np.empty(dim)
    for c in range(x.shape[0]):
        taken[c], gains[c] = moves_of_chain(
            model, x[c], force, proposed, new_force, beta[c], steps[c], temperatures[c], adjusted,
            chains[c], seed, sweep, n_sweeps,
        )  # fmt: skip


def moves_in_batches(
    model: Any,
    x: np.ndarray,
    beta: np.ndarray,
    steps: np.ndarray,
    temperatures: np.ndarray,
    adjusted: bool,
    chains: np.ndarray,
    seed: Any,
    sweep: int,
    n_sweeps: int,
    taken: np.ndarray,
    gains: np.ndarray,
) -> None:
    """The twin of `moves` for models that answer in batches, with the same random numbers."""
    eta, temperature = steps[:, None], temperatures[:, None]
    u, force = model.reduced_energy(x, beta), model.reduced_gradient(x, beta)
    for t in range(sweep, sweep + n_sweeps):
        w = _rng.normals(seed, chains, t, LANGEVIN, 0, x.shape[1])
        with np.errstate(all="ignore"):  # what leaves the energy's domain becomes a NaN
            proposed = x - eta * force + np.sqrt(temperature) * np.sqrt(2.0 * eta) * w
            inside = np.isfinite(proposed).all(axis=1)
            new_u, new_force = np.full(u.shape, np.nan), np.full(x.shape, np.nan)
            if inside.any():
                new_u[inside] = model.reduced_energy(proposed[inside], beta[inside])
                new_force[inside] = model.reduced_gradient(proposed[inside], beta[inside])
            forward, backward = proposed - x + eta * force, x - proposed + eta * new_force
            ratio = ((forward**2 - backward**2) / (4.0 * eta * temperature)).sum(axis=1)
            gain = u - new_u + ratio
            takes = np.full(len(x), True)
            if adjusted:
                takes = np.log(1.0 - _rng.units(seed, chains, t, ACCEPT, 0)) < gain
        x[takes], force[takes], u[takes] = proposed[takes], new_force[takes], new_u[takes]
        taken += takes
        gains[takes] += gain[takes]
