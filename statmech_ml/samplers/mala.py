"""The Metropolis-adjusted Langevin algorithm.

    x' = x - eta grad u(x) + sqrt(2 eta) w,    w ~ N(0, I),    u the reduced energy,

accepted with the Metropolis-Hastings ratio of the forward and backward Gaussian moves, so the
target is exact at any step. G. O. Roberts and R. L. Tweedie, Bernoulli 2, 341 (1996),
doi:10.2307/3318418. The warm-up tunes eta per chain to an acceptance of 0.574, optimal for smooth
targets in many dimensions (G. O. Roberts and J. S. Rosenthal, J. R. Stat. Soc. B 60, 255 (1998),
doi:10.1111/1467-9868.00123), and then fixes it: what follows is a Markov chain.

A state and the step that was chosen because of it are not independent, so adaptation moves the
distribution away from the target. The last quarter of the warm-up therefore runs with the final
step and forgets those states, if it is a few autocorrelation times long.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from .._jit import kernel
from .._rng import ACCEPT, LANGEVIN, block, normal_pair, unit
from ..errors import InvalidInput
from ..systems import EnergyModel, reduced_energy, reduced_gradient, require
from .base import Info, Sampler, State, advanced, over_chains

_TARGET = 0.574
_BLOCK = 10  # sweeps between two corrections of the step
_ADAPTING = 0.75  # part of the warm-up that adapts


@dataclass(frozen=True)
class MALA(Sampler):
    """Langevin moves with accept/reject for `Differentiable` models.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy; tuned during burn-in where `adapt` is true.
    adapt : bool, default True
        Whether the warm-up changes the step.
    """

    step_size: float | tuple[float, ...] = 0.1
    adapt: bool = True

    stream: ClassVar[str] = "mala/philox4x32-10/1"

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
        require(model, "Differentiable", "MALA", "Use HeatBath or Metropolis for discrete states.")

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain; info holds the acceptance rate."""
        x = state.x.copy()
        steps = self._steps(len(x))
        beta = np.asarray(beta, np.float64)
        accepted = np.zeros(len(x), np.int64)

        def run(part: slice) -> None:
            _mala(
                model.arrays, x[part], beta[part], steps[part], state.chains[part],
                np.uint64(state.seed), state.sweep, n_sweeps, accepted[part],
            )  # fmt: skip

        over_chains(len(x), x.size * n_sweeps, run)
        return advanced(state, x, n_sweeps), {"acceptance": accepted / max(1, n_sweeps)}

    def warm_up(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple["MALA", State]:
        """Burn in: three quarters move log eta by Robbins-Monro steps, the rest keeps the result.

        The result is the mean of log eta over the second half of the adaptation.
        """
        if not self.adapt or n_sweeps < 2 * _BLOCK:
            return self, self.advance(model, state, beta, n_sweeps, device)[0]
        log_step = np.log(self._steps(len(state.x)))
        kept: list[np.ndarray] = []
        adapting = int(_ADAPTING * n_sweeps)
        done, k = 0, 0
        while done < adapting:
            n = min(_BLOCK, adapting - done)
            sampler = replace(self, step_size=tuple(np.exp(log_step).tolist()))
            state, info = sampler.advance(model, state, beta, n, device)
            done, k = done + n, k + 1
            log_step = log_step + 2.0 * k**-0.6 * (info["acceptance"] - _TARGET)
            if 2 * done >= adapting:
                kept.append(log_step)
        final = np.exp(np.mean(kept, axis=0))
        fixed = replace(self, step_size=tuple(final.tolist()), adapt=False)
        return fixed, fixed.advance(model, state, beta, n_sweeps - adapting, device)[0]

    def of_chains(self, chosen: np.ndarray) -> "MALA":
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


@kernel
def _mala(model, x, beta, steps, chains, seed, sweep, n_sweeps, accepted):
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
            # log q(x | x') - log q(x' | x) of the Gaussian moves with variance 2 eta
            ratio = 0.0
            for i in range(dim):
                forward = proposed[i] - state[i] + eta * force[i]
                backward = state[i] - proposed[i] + eta * new_force[i]
                ratio += (forward * forward - backward * backward) / (4.0 * eta)
            w0, w1, w2, w3 = block(seed, chains[c], t, ACCEPT, 0, 0)
            # A NaN compares false: a proposal outside the energy's domain is rejected.
            if math.log(1.0 - unit(w0, w1)) < u - new_u + ratio:
                for i in range(dim):
                    state[i] = proposed[i]
                    force[i] = new_force[i]
                u = new_u
                accepted[c] += 1
