"""Metropolis: propose another value at one site, accept with probability min(1, exp(-change)).

N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953), doi:10.1063/1.1699114.

Moves that change nothing in energy are always accepted, so the order of visits matters. In a fixed
order a ring without a field is not ergodic (the L = 64 ring at T = 1 then shows an energy near 0 instead
of -0.7616 per site), and at high temperature every spin flips at every visit and successive sweeps
anticorrelate. Random sites, the default, have neither fault.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import InvalidInput
from ..systems import EnergyModel, require
from ._cpu import local
from .base import Info, Sampler, State, advanced, over_chains

_BUFFER = 2048


@dataclass(frozen=True)
class Metropolis(Sampler):
    """Single-site Metropolis for discrete models with the capability `Local`.

    Parameters
    ----------
    order : "random" or "checkerboard"
        "random" attempts `size` random sites a sweep. "checkerboard" visits every site once, colour by
        colour; it needs a lattice and refuses rings with a field-free site.
    """

    order: Literal["random", "checkerboard"] = "random"

    stream: ClassVar[str] = "metropolis/philox4x32-10/1"

    def __post_init__(self) -> None:
        if self.order not in ("random", "checkerboard"):
            raise InvalidInput(f"order={self.order!r} must be 'random' or 'checkerboard'.")

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless Local, InvalidInput where a fixed order is not ergodic."""
        require(
            model, "Local", "Metropolis", "Use BlockGibbs for RBMs, MALA for continuous states."
        )
        if self.order == "random":
            return
        lattice = getattr(model, "lattice", None)
        if lattice is None:
            raise InvalidInput(
                f"Checkerboard order needs a lattice to colour, but {model!r} has none. Use "
                "Metropolis() with random order."
            )
        if lattice.is_ring and not np.all(getattr(model, "field", 0.0)):
            raise InvalidInput(
                "Checkerboard Metropolis is not ergodic on a ring without a field: moves with no change "
                "in energy are always accepted, so domain walls march round instead of diffusing. Use "
                "Metropolis() with random order, or HeatBath()."
            )

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); info holds the acceptance rate."""
        x, values, seed = state.x.copy(), model.space.values, np.uint64(state.seed)
        accepted = np.zeros(len(x), np.int64)
        beta = np.asarray(beta, np.float64)

        def run(part: slice) -> None:
            if self.order == "random":
                local.metropolis_random(
                    model.arrays, x[part], beta[part], values, state.chains[part], seed,
                    state.sweep, n_sweeps, accepted[part],
                )  # fmt: skip
            else:
                schedule = model.schedule
                local.metropolis_scheduled(
                    model.arrays, x[part], beta[part], values, schedule.order, schedule.starts,
                    state.chains[part], seed, state.sweep, n_sweeps, accepted[part],
                    *np.empty((2, _BUFFER), np.uint32),
                )  # fmt: skip

        over_chains(len(x), x.size * n_sweeps, run)
        return advanced(state, x, n_sweeps), {
            "acceptance": accepted / max(1, n_sweeps * x.shape[1])
        }
