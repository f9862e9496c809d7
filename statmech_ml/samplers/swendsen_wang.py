"""Swendsen-Wang's multi-cluster update.

Every satisfied bond is activated with probability 1 - exp(-2 beta |J|); each connected cluster is
flipped with probability 1/2. In a Potts model bonds between equal values are activated with
probability 1 - exp(-beta J), and each cluster takes any of the q values. R. H. Swendsen and J.-S.
Wang, Phys. Rev. Lett. 58, 86 (1987), doi:10.1103/PhysRevLett.58.86. Every sweep touches every site,
at any temperature, which makes it the default for datasets.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..systems import EnergyModel
from ._clusters import bond_limits, check_clusterable, levels
from ._cpu import cluster
from .base import Info, Sampler, State, advanced, over_chains


@dataclass(frozen=True)
class SwendsenWang(Sampler):
    """Multi-cluster moves for `Clusterable` models: unfrustrated couplings, no field."""

    stream: ClassVar[str] = "swendsen-wang/philox4x32-10+xoshiro256++/1"

    @property
    def reversible(self) -> bool:
        """Yes: every update satisfies detailed balance."""
        return True

    def check(self, model: EnergyModel) -> None:
        """Raise unless the model's couplings are ferromagnetic after a gauge and no field acts."""
        check_clusterable(model, "SwendsenWang")

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); info holds the mean number of clusters."""
        x, limits = state.x.copy(), bond_limits(model, beta)
        n_clusters = np.zeros(len(x), np.int64)

        def run(part: slice) -> None:
            cluster.swendsen_wang(
                model.arrays, x[part], limits[part], levels(model), state.chains[part],
                np.uint64(state.seed), state.sweep, n_sweeps, n_clusters[part],
            )  # fmt: skip

        over_chains(len(x), x.size * n_sweeps, run)
        return advanced(state, x, n_sweeps), {"clusters": n_clusters / max(1, n_sweeps)}
