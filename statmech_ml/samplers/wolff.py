"""Wolff's single-cluster update.

From a random site, satisfied bonds are activated with probability 1 - exp(-2 beta |J|) and the
connected cluster is flipped. U. Wolff, Phys. Rev. Lett. 62, 361 (1989),
doi:10.1103/PhysRevLett.62.361. In a Potts model bonds between equal values are activated with
probability 1 - exp(-beta J) and the cluster takes another value, all others equally likely.

One sweep is one cluster: long near and below T_c, where it beats every local update, and a few
spins at high temperature, where `SwendsenWang` does more per sweep.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..systems import EnergyModel
from ._clusters import bond_limits, check_clusterable, levels
from ._cpu import cluster
from .base import Info, Sampler, State, advanced, over_chains


@dataclass(frozen=True)
class Wolff(Sampler):
    """Single-cluster moves for `Clusterable` models: unfrustrated couplings, no field."""

    stream: ClassVar[str] = "wolff/philox4x32-10+xoshiro256++/1"

    @property
    def reversible(self) -> bool:
        """Yes: every update satisfies detailed balance."""
        return True

    def check(self, model: EnergyModel) -> None:
        """Raise unless the model's couplings are ferromagnetic after a gauge and no field acts."""
        check_clusterable(model, "Wolff")

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Flip `n_sweeps` clusters per chain; info holds their mean size in spins."""
        x, limits = state.x.copy(), bond_limits(model, beta)
        flipped = np.zeros(len(x), np.int64)

        def run(part: slice) -> None:
            cluster.wolff(
                model.arrays, x[part], limits[part], levels(model), state.chains[part],
                np.uint64(state.seed), state.sweep, n_sweeps, flipped[part],
            )  # fmt: skip

        over_chains(len(x), x.size * n_sweeps, run)
        return advanced(state, x, n_sweeps), {"cluster_size": flipped / max(1, n_sweeps)}
