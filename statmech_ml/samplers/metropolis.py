"""Metropolis: propose another value at one site, accept with probability min(1, exp(-change)).

N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953), doi:10.1063/1.1699114.

Moves that change nothing in energy are always accepted, so the order of visits matters. In a fixed
order a ring without a field is not ergodic (the L = 64 ring at T = 1 then shows an energy near 0
instead of -0.7616 per site), and at high temperature every spin flips at every visit and successive
sweeps anticorrelate. Random sites, the default, have neither fault; the first attempt of a sweep is
left out with probability 1/2, as the parity of the number of flips would else be fixed where every
move is free (at beta = 0).

A fixed order leaves orbits on which every visited site has a local field of zero: all spins turn
every sweep, nothing is ever decided by chance, and no other state leads there. Example: diagonal
stripes of width two on a square torus. All neighbours turn between two visits, so the local field
changes sign up to the external one; hence a field forbids such orbits, and so do couplings that
cannot cancel, whatever the signs of the neighbours (an odd number of equal ones, say). One such
site is enough for the part of the lattice that nonzero couplings join to it. A random start hits an
orbit with probability about 2^-N.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..errors import InvalidInput
from ..models import Ising
from ..systems import EnergyModel
from ._cpu import local
from ._local import check_local
from .base import Info, Sampler, State, advanced, over_chains

_BUFFER = 2048
_SMALL = 64  # sites; orbits of larger components have a weight of about 2^-64
_NOTHING = 1e-9  # couplings and sums below this part of the largest coupling count as zero
_MAX_SUMS = (
    1 << 16
)  # sums over neighbours that are told apart; beyond, they count as able to cancel


@dataclass(frozen=True)
class Metropolis(Sampler):
    """Single-site Metropolis for discrete models with the capability `Local`.

    Parameters
    ----------
    order : "random" or "checkerboard"
        "random" attempts `size` random sites a sweep (one less in half of the sweeps).
        "checkerboard" visits every site once, colour by colour. It is for `Ising` models at
        beta > 0, and judges the parts of the lattice that nonzero couplings join: it refuses rings
        with a field-free site, and parts of fewer than 64 sites in which no site has a field and at
        every site the couplings can cancel.
    """

    order: Literal["random", "checkerboard"] = "random"

    stream: ClassVar[str] = "metropolis/philox4x32-10/1"

    def __post_init__(self) -> None:
        if self.order not in ("random", "checkerboard"):
            raise InvalidInput(f"order={self.order!r} must be 'random' or 'checkerboard'.")

    @property
    def reversible(self) -> bool:
        """Yes at random sites; not in a fixed order."""
        return self.order == "random"

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless Local, InvalidInput where a fixed order is not ergodic."""
        check_local(model, "Metropolis")
        if self.order == "random":
            return
        if getattr(model, "lattice", None) is None:
            raise InvalidInput(
                f"Checkerboard order needs a lattice to colour, but {model!r} has none. Use "
                "Metropolis() with random order."
            )
        if not isinstance(model, Ising):
            raise InvalidInput(
                "Checkerboard Metropolis is ergodic only where no orbit of moves without a change "
                f"in energy closes on itself, and for {model!r} nothing tells: its local fields "
                "are known for Ising models only. Use Metropolis() with random order, or "
                "HeatBath(), which are ergodic for every model."
            )
        _refuse_orbits(model)

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


def _refuse_orbits(model: Ising) -> None:
    """Raise InvalidInput where a fixed order is not ergodic, or may not be."""
    from scipy.sparse import coo_array, csgraph

    lattice = model.lattice
    coupling = np.broadcast_to(model.coupling, lattice.n_bonds)
    unit = np.abs(coupling).max(initial=0.0)
    free = np.broadcast_to(model.field, lattice.n_sites) == 0.0
    i, j = lattice.bonds.reshape(-1, 2).T
    # Bonds between the same two sites act as one, with the sum of their couplings.
    size = (lattice.n_sites,) * 2
    ends = np.concatenate([i, j]), np.concatenate([j, i])
    joined = coo_array((np.concatenate([coupling, coupling]), ends), shape=size).tocsr()
    joined.data[np.abs(joined.data) <= _NOTHING * unit] = 0.0
    joined.eliminate_zeros()
    n_parts, part = csgraph.connected_components(joined, directed=False)
    sites = np.bincount(part)

    rings = np.ones(n_parts, dtype=bool)
    np.logical_and.at(rings, part, np.diff(joined.indptr) == 2)
    if (rings[part] & free).any():
        raise InvalidInput(
            "Checkerboard Metropolis is not ergodic on a ring without a field (nonzero couplings "
            "alone count as bonds): moves with no change in energy are always accepted, so domain "
            "walls march round instead of diffusing. Use Metropolis() with random order, or "
            "HeatBath()."
        )
    suspect = sites < _SMALL
    np.logical_and.at(suspect, part, free)
    for site in np.flatnonzero(suspect[part]):
        if suspect[part[site]]:
            around = joined.data[joined.indptr[site] : joined.indptr[site + 1]]
            suspect[part[site]] = _can_cancel(around, unit)
    if suspect.any():
        smallest = int(sites[suspect].min())
        raise InvalidInput(
            f"Checkerboard Metropolis is not ergodic here: nonzero couplings join a part of "
            f"{smallest} site{'s' * (smallest > 1)} (fewer than {_SMALL}) where no site has a "
            "field and at every site the couplings can cancel, as even numbers of bonds do. Such a "
            "part can have states in which every spin turns in every sweep. Use Metropolis() with "
            "random order, or HeatBath()."
        )


def _can_cancel(couplings: np.ndarray, unit: float) -> bool:
    """Whether some signs make the sum of +-couplings zero; True where there are too many sums."""
    sizes = np.abs(couplings)
    if not len(sizes) or np.ptp(sizes) <= _NOTHING * unit:
        return len(sizes) % 2 == 0
    sums = np.zeros(1)
    for size in sizes / unit:
        sums = np.unique(np.abs(np.round(np.concatenate([sums + size, sums - size]), 9)))
        if len(sums) > _MAX_SUMS:
            return True
    return bool(sums[0] <= len(sizes) * _NOTHING)
