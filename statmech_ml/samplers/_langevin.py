"""Langevin moves, which MALA corrects by accept/reject and ULA takes as they come.

    x' = x - eta grad u(x) + sqrt(2 eta) w,    w ~ N(0, I),    u the reduced energy.

F(x'|x) is the Gaussian density of this move and B(x|x') that of the way back. Their ratio and the
change of u make the gain

    g = u(x) - u(x') + log B(x|x') - log F(x'|x),

which is zero on average only in the limit of small eta.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from .. import _rng
from .._jit import kernel
from .._rng import ACCEPT, LANGEVIN, block, normal_pair, unit
from ..errors import InvalidInput
from ..systems import EnergyModel, reduced_energy, reduced_gradient, require
from .base import Sampler, State, over_chains


@dataclass(frozen=True)
class Langevin(Sampler):
    """What MALA and ULA share: the step, and the moves.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy.
    """

    step_size: float | tuple[float, ...] = 0.1

    @property
    def reversible(self) -> bool:
        """Yes: every move is its own reverse, or its correction says what it misses."""
        return True

    def __post_init__(self) -> None:
        steps = np.asarray(self.step_size, np.float64)
        if steps.ndim > 1 or not steps.size or not (np.isfinite(steps) & (steps > 0)).all():
            raise InvalidInput(
                f"step_size={self.step_size!r} must be positive and finite: a number, or one per "
                "chain."
            )
        plain = tuple(steps.tolist()) if steps.ndim else float(steps)
        object.__setattr__(self, "step_size", plain)

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless the model is Differentiable."""
        instead = "Use HeatBath or Metropolis for discrete states."
        require(model, "Differentiable", type(self).__name__, instead)

    def of_chains(self, chosen: np.ndarray) -> Self:
        """The sampler of some of the chains, with their steps."""
        steps = np.asarray(self.step_size, np.float64)
        return replace(self, step_size=tuple(steps[chosen].tolist())) if steps.ndim else self

    def _steps(self, n_chains: int) -> np.ndarray:
        steps = np.asarray(self.step_size, np.float64)
        if steps.ndim and len(steps) != n_chains:
            raise InvalidInput(
                f"step_size has {len(steps)} entries for {n_chains} chains. Give one number, or "
                "one per chain."
            )
        return np.ascontiguousarray(np.broadcast_to(steps, n_chains))

    def _moved(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, adjusted: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x after `n_sweeps` moves; how many were taken, int64; and their gains, summed, (chain,).

        `adjusted`: take a move with probability min(1, exp(gain)); else take all.
        """
        x, steps = state.x.copy(), self._steps(len(state.x))
        beta = np.asarray(beta, np.float64)
        taken, gain = np.zeros(len(x), np.int64), np.zeros(len(x))

        def run(part: slice) -> None:
            move = moves if hasattr(model, "arrays") else moves_in_batches
            move(
                model.arrays if move is moves else model, x[part], beta[part], steps[part],
                adjusted, state.chains[part], np.uint64(state.seed), state.sweep, n_sweeps,
                taken[part], gain[part],
            )  # fmt: skip

        if hasattr(model, "arrays"):
            over_chains(len(x), x.size * n_sweeps, run)
        else:  # a user's function need not be safe on threads
            run(slice(None))
        return x, taken, gain


@kernel
def moves(model, x, beta, steps, adjusted, chains, seed, sweep, n_sweeps, taken, gains):
    """Langevin moves of compiled models, x (chain, dim) in place."""
    dim = x.shape[1]
    force, new_force = np.empty(dim), np.empty(dim)
    proposed = np.empty(dim)
    for c in range(x.shape[0]):
        state, eta = x[c], steps[c]
        noise = math.sqrt(2.0 * eta)
        u = reduced_energy(model, state, beta[c])
        reduced_gradient(model, state, beta[c], force)
        for t in range(sweep, sweep + n_sweeps):
            for i in range(0, dim, 2):
                w0, w1, w2, w3 = block(seed, chains[c], t, LANGEVIN, 0, i // 2)
                a, b = normal_pair(w0, w1, w2, w3)
                proposed[i] = state[i] - eta * force[i] + noise * a
                if i + 1 < dim:
                    proposed[i + 1] = state[i + 1] - eta * force[i + 1] + noise * b
            new_u = reduced_energy(model, proposed, beta[c])
            reduced_gradient(model, proposed, beta[c], new_force)
            # log B(x|x') - log F(x'|x) of the Gaussian moves with variance 2 eta
            ratio = 0.0
            for i in range(dim):
                forward = proposed[i] - state[i] + eta * force[i]
                backward = state[i] - proposed[i] + eta * new_force[i]
                ratio += (forward * forward - backward * backward) / (4.0 * eta)
            gain = u - new_u + ratio
            takes = not adjusted
            if adjusted:
                w0, w1, w2, w3 = block(seed, chains[c], t, ACCEPT, 0, 0)
                # A NaN compares false: a proposal outside the energy's domain is rejected.
                takes = math.log(1.0 - unit(w0, w1)) < gain
            if takes:
                for i in range(dim):
                    state[i] = proposed[i]
                    force[i] = new_force[i]
                u = new_u
                taken[c] += 1
                gains[c] += gain


def moves_in_batches(
    model: Any,
    x: np.ndarray,
    beta: np.ndarray,
    steps: np.ndarray,
    adjusted: bool,
    chains: np.ndarray,
    seed: Any,
    sweep: int,
    n_sweeps: int,
    taken: np.ndarray,
    gains: np.ndarray,
) -> None:
    """The twin of `moves` for models that answer in batches, with the same random numbers."""
    eta = steps[:, None]
    u, force = model.reduced_energy(x, beta), model.reduced_gradient(x, beta)
    for t in range(sweep, sweep + n_sweeps):
        w = _rng.normals(seed, chains, t, LANGEVIN, 0, x.shape[1])
        with np.errstate(all="ignore"):  # what leaves the energy's domain becomes a NaN
            proposed = x - eta * force + np.sqrt(2.0 * eta) * w
            inside = np.isfinite(proposed).all(axis=1)
            new_u, new_force = np.full(u.shape, np.nan), np.full(x.shape, np.nan)
            if inside.any():
                new_u[inside] = model.reduced_energy(proposed[inside], beta[inside])
                new_force[inside] = model.reduced_gradient(proposed[inside], beta[inside])
            forward, backward = proposed - x + eta * force, x - proposed + eta * new_force
            gain = u - new_u + ((forward**2 - backward**2) / (4.0 * eta)).sum(axis=1)
            takes = np.full(len(x), True)
            if adjusted:
                takes = np.log(1.0 - _rng.units(seed, chains, t, ACCEPT, 0)) < gain
        x[takes], force[takes], u[takes] = proposed[takes], new_force[takes], new_u[takes]
        taken += takes
        gains[takes] += gain[takes]
