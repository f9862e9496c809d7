"""Metropolis: propose another value at one site, accept with probability min(1, exp(-change)).

N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953), doi:10.1063/1.1699114.

Moves that change nothing in energy are always accepted, so the order of visits matters. In a fixed
order a ring without a field is not ergodic (the L = 64 ring at T = 1 then shows an energy near 0
instead of -0.7616 per site), and at high temperature every spin flips at every visit and successive
sweeps anticorrelate. Random sites, the default, have neither fault; only at beta = 0 exactly do
they keep one bit, the parity of the number of flips (HeatBath does not).

A fixed order leaves orbits on which every visited site has a local field of zero: all spins turn
every sweep, nothing is ever decided by chance, and no other state leads there. Example: diagonal
stripes of width two on a square torus. All neighbours turn between two visits, so the local field
changes sign up to the external one; hence a field forbids such orbits, and so does a site with an
odd number of equal bonds. A random start hits one with probability about 2^-N.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import InvalidInput
from ..lattices import Graph
from ..systems import EnergyModel, require
from ._cpu import local
from .base import Info, Sampler, State, advanced, over_chains

_BUFFER = 2048
_SMALL = 64  # sites; orbits of larger components have a weight of about 2^-64


@dataclass(frozen=True)
class Metropolis(Sampler):
    """Single-site Metropolis for discrete models with the capability `Local`.

    Parameters
    ----------
    order : "random" or "checkerboard"
        "random" attempts `size` random sites a sweep. "checkerboard" visits every site once, colour
        by colour; it needs a lattice and beta > 0, and refuses rings with a field-free site and
        field-free components of fewer than 64 sites that all have even numbers of bonds.
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
        field = np.broadcast_to(getattr(model, "field", 0.0), lattice.n_sites)
        if lattice.is_ring and not np.all(field):
            raise InvalidInput(
                "Checkerboard Metropolis is not ergodic on a ring without a field: moves with no "
                "change in energy are always accepted, so domain walls march round instead of "
                "diffusing. Use Metropolis() with random order, or HeatBath()."
            )
        if _has_small_orbits(lattice, field):
            raise InvalidInput(
                "Checkerboard Metropolis is not ergodic here: a field-free part of fewer than "
                f"{_SMALL} sites, all with even numbers of bonds, can have states in which every "
                "spin turns in every sweep. Use Metropolis() with random order, or HeatBath()."
            )

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); info holds the acceptance rate."""
        x, values, seed = state.x.copy(), model.space.values, np.uint64(state.seed)
        accepted = np.zeros(len(x), np.int64)
        beta = np.asarray(beta, np.float64)
        if self.order == "checkerboard" and not beta.all():
            raise InvalidInput(
                "Checkerboard Metropolis accepts every move at beta = 0: all spins turn every "
                "sweep, and no chance is left. Use Metropolis() with random order, or HeatBath()."
            )

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


def _has_small_orbits(lattice: Graph, field: np.ndarray) -> bool:
    """Whether some small component has no field and an even number of bonds at every site."""
    fits = (lattice.degrees % 2 == 0) & (field == 0.0)
    component = lattice.components
    every = np.ones(lattice.n_components, dtype=bool)
    np.logical_and.at(every, component, fits)
    return bool((every & (np.bincount(component) < _SMALL)).any())
