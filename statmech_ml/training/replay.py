"""Maximum likelihood with Langevin moves and a replay buffer.

The negative phase of a deep energy comes from chains that are kept from step to step in a buffer:
each step takes a batch of them, starts a few afresh, uniformly in the range of the data, moves all
by k Langevin moves of the network as it is now, and puts them back,

    x' = x - eta grad F(x) + sqrt(2 eta) w,    w ~ N(0, I).

Y. Du and I. Mordatch (2019), arXiv:1903.08689, algorithm 1; persistent chains, so L. Younes,
Stochastics 65, 177 (1999), doi:10.1080/17442509908834179, with restarts.

Two things to know about it.

*Temperature.* With noise s w in place of sqrt(2 eta) w the chains sit at the effective temperature
T = s^2 / (2 eta). Du and Mordatch's step 10 with noise 0.005 has T = 1.25e-6: gradient descent. The
network then learns a landscape in which descent from noise ends at the data, and exp(-F) is not the
density of anything. `LangevinReplay` reports T and warns when it is not 1.

*Short runs.* With many restarts and few moves the chains never come near exp(-F), and training fits
what k moves make of the start: the sampler is part of the model. E. Nijkamp, M. Hill, S.-C. Zhu and
Y. N. Wu (2019), arXiv:1904.09770. Samples look right, the density is wrong, and so is any log Z or
free energy read off it. Few restarts, more moves, and a comparison of long chains with the buffer
show which of the two was trained; `train` lets copies of the buffer go on for a while, and warns.

Unadjusted moves have a bias of order eta (`samplers.ULA`); sampler=MALA(...) has none. A step costs
k forward and backward passes of the batch.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import _rng
from ..errors import EffectiveTemperatureWarning, InvalidInput
from ..samplers import Sampler, State
from ..samplers._langevin import TEMPERATURE_TOLERANCE
from ._arguments import check_at_least
from .energy_net import STEP, gradient_by_x
from .method import Carried, Method, Step
from .score_matching import check_real
from .shell import Trainable

# Colours of the random streams of a step; the k-th Langevin move of a step has the colour k.
_CHOICE, _RESTART, _PLACE = 0xFFFF, 0xFFFE, 0xFFFD
_MOST_MOVES = 0xFFFC

_BATCH = 100  # chains of a step, as many as `train` takes configurations by default


@dataclass(frozen=True)
class LangevinReplay(Method):
    """Persistent Langevin chains with restarts, for any shell on real coordinates.

    Parameters
    ----------
    n_chains : int, default 1000
        Chains in the buffer.
    batch : int, optional
        Chains that move at each step; default 100, or all if they are fewer.
    n_steps : int, default 20
        k, moves of a chain at each step.
    step_size : float, default 0.01
        eta, in units of x^2.
    noise : float, optional
        Standard deviation of the noise of a move; default sqrt(2 eta), which is temperature 1.
    restart : float, default 0.05
        Probability that a chain starts afresh before it moves. A chain lives for n_steps / restart
        moves on average; 1 is short-run training, see above.
    regularisation : float, default 0.0
        alpha >= 0: adds the gradient of alpha <F(x)^2> over both phases, which keeps energies near
        zero (Du and Mordatch, section 3.3). What is minimised is then no likelihood any more.
    sampler : Sampler, optional
        Moves the chains in place of the unadjusted moves above: MALA, BAOAB, ... It runs on the
        frozen model; step_size and noise are then its own business, and what it carries (momenta)
        starts anew at each step.

    A step's info holds "energy_data" and "energy_model", means of F over both phases, and
    "effective_temperature".

    Raises
    ------
    InvalidInput
        For numbers out of range, and noise= together with sampler=; during training when chains
        left the finite numbers.

    Warns
    -----
    EffectiveTemperatureWarning
        When noise and step_size imply a temperature that is not 1.

    >>> LangevinReplay(step_size=10.0, noise=0.005).effective_temperature
    1.25e-06
    """

    n_chains: int = 1000
    batch: int | None = None
    n_steps: int = 20
    step_size: float = 0.01
    noise: float | None = None
    restart: float = 0.05
    regularisation: float = 0.0
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        check_at_least("n_chains", self.n_chains, 1, "chains")
        check_at_least("n_steps", self.n_steps, 1, "moves")
        if self.n_steps > _MOST_MOVES:
            raise InvalidInput(f"n_steps={self.n_steps} exceeds {_MOST_MOVES} moves per step.")
        if self.batch is not None:
            check_at_least("batch", self.batch, 1, "chains")
            if self.batch > self.n_chains:
                raise InvalidInput(
                    f"batch={self.batch} chains cannot move at each step, as the buffer holds "
                    f"n_chains={self.n_chains}."
                )
        for name, value, most in (
            ("step_size", self.step_size, math.inf),
            ("noise", 1.0 if self.noise is None else self.noise, math.inf),
            ("restart", self.restart, 1.0),
            ("regularisation", self.regularisation, math.inf),
        ):
            allowed = value >= 0.0 if name in ("restart", "regularisation") else value > 0.0
            if not (math.isfinite(value) and allowed and value <= most):
                raise InvalidInput(
                    f"{name}={value!r} cannot work: step_size and noise are positive, restart is a "
                    "probability and regularisation at least 0; all are finite."
                )
        if self.sampler is not None and (
            not isinstance(self.sampler, Sampler) or self.noise is not None
        ):
            raise InvalidInput(
                f"sampler={self.sampler!r}, noise={self.noise!r}: give one of statmech_ml.samplers "
                "with its own settings, and no noise beside it."
            )

    @property
    def effective_temperature(self) -> float:
        """noise^2 / (2 step_size); of a sampler that is given, what it says of itself, else 1."""
        if self.sampler is not None:
            return float(np.mean(getattr(self.sampler, "effective_temperature", 1.0)))
        return 1.0 if self.noise is None else self.noise**2 / (2.0 * self.step_size)

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise InvalidInput for discrete units, data off the space, a sampler that does not fit.

        Warns of a temperature that is not 1.
        """
        check_real(shell, data, "LangevinReplay")
        if self.sampler is not None:
            self.sampler.check(shell.freeze())
        temperature = self.effective_temperature
        if self.noise is not None and abs(temperature - 1.0) > TEMPERATURE_TOLERANCE:
            warnings.warn(
                f"step_size={self.step_size:g} with noise={self.noise:g} moves the chains at the "
                f"effective temperature noise^2 / (2 step_size) = {temperature:.3g}, not 1. The "
                "network will then not be the density exp(-F). Leave noise= out for sqrt(2 "
                "step_size), or know why you want it.",
                EffectiveTemperatureWarning,
                stacklevel=2,
            )

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """The buffer (n_chains, size), uniform between "low" and "high" (size,), those of the data.

        Arrays are in the precision of the parameters.
        """
        low, high = data.min(axis=0), data.max(axis=0)
        chains = np.arange(self.n_chains, dtype=np.uint32)
        # Steps count from 0, so that the first buffer has an address that no step has.
        places = _uniform(seed, chains, _rng.MAX_SWEEP - 1, low, high)
        kind = np.float64 if shell.dtype == torch.float64 else np.float32
        return {
            "buffer": places.astype(kind), "low": low.astype(kind), "high": high.astype(kind),
        }  # fmt: skip

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the phase of the chains that moved."""
        chosen = self._chosen(seed, step)
        start = carried["buffer"][chosen]
        afresh = _rng.units(seed, chosen, step, _rng.NEGATIVE, _RESTART) < self.restart
        places = _uniform(seed, chosen[afresh], step, carried["low"], carried["high"])
        start[afresh] = places
        x, info = self._moved(shell, start, chosen, seed, step)
        self._check_finite(np.isfinite(x).all(axis=1))
        buffer = carried["buffer"].copy()
        buffer[chosen] = x
        model = torch.from_numpy(x).to(batch)
        positive, energy_data = shell.phase_with_energy(batch, self._weights(shell, batch, 1.0))
        negative, energy_model = shell.phase_with_energy(model, self._weights(shell, model, -1.0))
        self._check_finite(np.isfinite(energy_model.cpu().numpy()))
        if self.regularisation:
            with torch.no_grad():
                energy_data = shell.free_energy(batch).mean()
                energy_model = shell.free_energy(model).mean()
        info |= {
            "energy_data": float(energy_data),
            "energy_model": float(energy_model),
            "effective_temperature": self.effective_temperature,
        }
        gradients = {name: positive[name] - negative[name] for name in positive}
        return Step(gradients, carried | {"buffer": buffer}, info)

    def _weights(self, shell: Trainable, x: Tensor, sign: float) -> Tensor | None:
        """Weights of a phase: d(alpha F^2) = 2 alpha F dF beside the likelihood's +-dF, over n."""
        if not self.regularisation:
            return None
        with torch.no_grad():
            energy = shell.free_energy(x)
        return (1.0 + sign * 2.0 * self.regularisation * energy) / len(x)

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray | None:
        """The buffer, float64."""
        return carried["buffer"].astype(np.float64)

    def sweeps(self, step: int) -> float:
        """Moves that a chain of the buffer has had on average since its start, as many as the
        shell's own sampler would need for the same diffusion time, the sum of step sizes.
        """
        life = min(step * self._batch / self.n_chains, 1.0 / max(self.restart, 1e-300))
        unit = 1.0 if self.sampler is not None else self.step_size / STEP
        return life * self.n_steps * unit

    @property
    def _batch(self) -> int:
        return min(_BATCH, self.n_chains) if self.batch is None else self.batch

    def _chosen(self, seed: int, step: int) -> np.ndarray:
        """The chains of this step, uint32, in increasing order: a random subset of the buffer."""
        if self._batch == self.n_chains:
            return np.arange(self.n_chains, dtype=np.uint32)
        one = np.zeros(1, np.uint32)
        keys = _rng.words(seed, one, step, _rng.NEGATIVE, _CHOICE, 2 * self.n_chains)
        order = np.argsort(np.ascontiguousarray(keys[0]).view(np.uint64), kind="stable")
        return np.sort(order[: self._batch]).astype(np.uint32)

    def _moved(
        self, shell: Trainable, start: np.ndarray, chains: np.ndarray, seed: int, step: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        """The chains k moves later, in the dtype of the buffer."""
        if self.sampler is not None:
            state = State(start.astype(np.float64), seed, chains, step * self.n_steps)
            ones = np.ones(len(start))
            state, watched = self.sampler.advance(shell.freeze(), state, ones, self.n_steps)
            names = [name for name in ("acceptance",) if name in watched]
            info = {name: float(np.mean(watched[name])) for name in names}
            return state.x.astype(start.dtype), info
        noise = math.sqrt(2.0 * self.step_size) if self.noise is None else self.noise
        x = shell.tensor(start)
        for move in range(self.n_steps):
            w = _rng.normals(seed, chains, step, _rng.NEGATIVE, move, start.shape[1])
            x = x - self.step_size * gradient_by_x(shell, x) + noise * torch.from_numpy(w).to(x)
        return x.cpu().numpy(), {}

    def _check_finite(self, well: np.ndarray) -> None:
        if not well.all():
            raise InvalidInput(
                f"Chains, or their energies, left the finite numbers within {self.n_steps} moves. "
                f"Unadjusted moves diverge where step_size={self.step_size:g} exceeds 2 over the "
                "curvature, and everywhere if the energy falls without bound. Use a smaller "
                "step_size, sampler=MALA(), or an EnergyNet with a confinement."
            )


def _uniform(
    seed: int, chains: np.ndarray, step: int, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Points uniform between low and high (size,), float64 (chain, size)."""
    words = _rng.words(seed, chains, step, _rng.NEGATIVE, _PLACE, len(low))
    return low + (high - low) * ((words + 0.5) / 2.0**32)
