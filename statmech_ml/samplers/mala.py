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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ._langevin import Langevin
from .base import Info, State, advanced

_TARGET = 0.574
_BLOCK = 10  # sweeps between two corrections of the step
_ADAPTING = 0.75  # part of the warm-up that adapts


@dataclass(frozen=True)
class MALA(Langevin):
    """Langevin moves with accept/reject for `Differentiable` models.

    The noise is that of the step, always: another one would change the acceptance and not the law.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy; tuned during burn-in where `adapt` is true.
    adapt : bool, default True
        Whether the warm-up changes the step.
    """

    adapt: bool = True

    stream: ClassVar[str] = "mala/philox4x32-10/1"
    adapted: ClassVar[Mapping[str, int]] = MappingProxyType({"step_size": 0})

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain; info holds the acceptance rate and T = 1."""
        x, taken, _ = self._moved(model, state, beta, n_sweeps, True, device)
        info = {"acceptance": taken / max(1, n_sweeps)}
        return advanced(state, x, n_sweeps), info | {"effective_temperature": np.ones(len(x))}

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
