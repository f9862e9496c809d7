"""Heat bath: each site is drawn from its conditional distribution given the rest.

    P(s_i = v | rest) = exp(-u(v)) / sum_w exp(-u(w)),    u the reduced energy,

also called Glauber dynamics or Gibbs sampling; one sweep visits every site once, colour by colour.
Every value has positive probability at every visit, so any fixed order is ergodic: it is the
default local update. Creutz, Phys. Rev. D 21, 2308 (1980), doi:10.1103/PhysRevD.21.2308.

Models with few local environments (`Tabulated`) decide by integer thresholds made on the host,
exact to 2^-64, and take the same decisions in the generic kernel, in the square-lattice twin and on
CUDA.
"""

from dataclasses import dataclass
from math import gcd
from typing import Any, ClassVar

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..systems import EnergyModel
from ._cpu import local, torus
from ._local import check_local
from .base import Info, Sampler, State, advanced, over_chains

_BUFFER = 2048  # words drawn at a time: they and what is made of them stay in the first-level cache


@dataclass(frozen=True)
class HeatBath(Sampler):
    """Single-site heat bath for discrete models with the capability `Local`.

    >>> from statmech_ml import lattices, sample
    >>> from statmech_ml.models import Ising
    >>> ring = Ising(lattices.chain(8))
    >>> sample(ring, HeatBath(), beta=0.5, n_chains=4, n_draws=500, burn_in=20, rng=1).states.shape
    (4, 500, 8)
    """

    stream: ClassVar[str] = "heat-bath/philox4x32-10/1"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless Local, InvalidInput for a delta_energy that is wrong."""
        check_local(model, "HeatBath")

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); returns the new state and nothing watched."""
        x = state.x.copy()
        if device == "cuda":
            if "Tabulated" not in model.capabilities or model.lattice is None:
                raise InvalidInput(
                    "device='cuda' needs a model on a lattice with few local environments; "
                    f"{model!r} is not one. Use device='cpu'."
                )
            from ._cuda.local import heat_bath as on_device

            on_device(model, x, *tabulate(model, beta), state, n_sweeps)
        elif "Tabulated" in model.capabilities:
            self._by_table(model, x, beta, state, n_sweeps)
        else:
            schedule, values = model.schedule, model.space.values

            def run(part: slice) -> None:
                buffers = np.empty((2, _BUFFER), np.uint32)
                local.heat_bath(
                    model.arrays, x[part], beta[part], values, schedule.order, schedule.starts,
                    state.chains[part], np.uint64(state.seed), state.sweep, n_sweeps, *buffers,
                )  # fmt: skip

            over_chains(len(x), x.size * n_sweeps, run)
        return advanced(state, x, n_sweeps), {}

    def _by_table(
        self, model: Any, x: np.ndarray, beta: np.ndarray, state: State, n_sweeps: int
    ) -> None:
        values, seed = model.space.values, np.uint64(state.seed)
        if has_torus_twin(model):
            rows, columns = model.lattice.shape
            width = columns // 2
            # The largest block of whole rows near the buffer's size; blocks start at multiples of
            # 64.
            unit = 64 // gcd(width, 64)
            block_rows = min(unit * max(1, _BUFFER // (unit * width)), rows)
            size = block_rows * width
            high, low = tabulate(model, beta)

            def run(part: slice) -> None:
                torus.heat_bath_torus(
                    x[part].reshape(-1, rows, columns), high[part], low[part], values,
                    state.chains[part], seed, state.sweep, n_sweeps,
                    np.empty((2, rows + 2, width), np.int8), np.empty(_rng.padded(size), np.uint32),
                    np.empty((2, size), np.int8), np.empty(size, np.uint32),
                )  # fmt: skip
        else:
            schedule = model.schedule
            high, low = tabulate(model, beta)

            def run(part: slice) -> None:
                local.heat_bath_tabulated(
                    model.arrays, x[part], high[part], low[part], values, schedule.order,
                    schedule.starts, state.chains[part], seed, state.sweep, n_sweeps,
                    np.empty(_BUFFER, np.uint32),
                )  # fmt: skip

        over_chains(len(x), x.size * n_sweeps, run)


def has_torus_twin(model: Any) -> bool:
    """Whether the square-lattice twin applies: a uniform model on an even torus."""
    return getattr(model, "is_torus", False) and all(n % 2 == 0 for n in model.lattice.shape)


def tabulate(model: Any, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds for the higher value, as halves (high, low) uint32 (chain, environment)."""
    if has_torus_twin(model):  # without building the lattice's neighbour table
        gaps = -2.0 * (model.coupling * np.arange(-4, 5) + model.field)
    else:
        gaps = model.arrays.gaps
    from scipy.special import expit

    u = _rng.thresholds(expit(-beta[:, None] * gaps))
    return (u >> np.uint64(32)).astype(np.uint32), u.astype(np.uint32)
