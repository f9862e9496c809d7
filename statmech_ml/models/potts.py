"""The Potts model on any lattice or graph.

    E(s) = - sum_<ij> J_ij delta(s_i, s_j) - sum_i h_{i, s_i},    s_i in {0, ..., q - 1},

bonds counted once, J > 0 ferromagnetic. For q = 2 it is the Ising model with J_Ising = J / 2 and
its energy shifted by half the sum of the couplings. R. B. Potts, Proc. Camb. Philos. Soc. 48, 106
(1952), doi:10.1017/S0305004100027419; F. Y. Wu, Rev. Mod. Phys. 54, 235 (1982),
doi:10.1103/RevModPhys.54.235.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..graphs import Graph
from ..spaces import Levels
from ..systems import Model
from ._arguments import frozen, per_bond_or_site


class PottsArrays(NamedTuple):
    """Compiled Potts model.

    Fields: neighbours int32 (n, z) padded with -1; couplings float64 (n, z); fields float64 (n, q);
    links float64 (n_links,): energy |J| of breaking a satisfied bond; link_of int64 (n, z).
    """

    neighbours: np.ndarray
    couplings: np.ndarray
    fields: np.ndarray
    links: np.ndarray
    link_of: np.ndarray

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            for k in range(self.neighbours.shape[1]):
                j = self.neighbours[i, k]
                if j >= 0 and x[j] == x[i]:
                    total -= 0.5 * self.couplings[i, k]
            total -= self.fields[i, x[i]]
        return total

    def delta_energy(self, x, site, value):
        change = self.fields[site, x[site]] - self.fields[site, value]
        for k in range(self.neighbours.shape[1]):
            j = self.neighbours[site, k]
            if j >= 0:
                if x[j] == x[site]:
                    change += self.couplings[site, k]
                if x[j] == value:
                    change -= self.couplings[site, k]
        return change

    def link(self, x, site, k, value):
        j = self.neighbours[site, k]
        satisfied = (value == x[j]) == (self.couplings[site, k] > 0.0)
        which = self.link_of[site, k]
        return which if j >= 0 and satisfied else -1


class Potts(Model):
    """The Potts model, E = -sum_<ij> J_ij delta(s_i, s_j) - sum_i h_{i, s_i}.

    Parameters
    ----------
    lattice : Graph
        From `statmech_ml.lattices`.
    q : int
        Number of values of a site, 2 to 127.
    coupling : float or array (n_bonds,), default 1.0
        J, positive for ferromagnets; per bond in the order of ``lattice.bonds``.
    field : array (q,) or (n_sites, q), optional
        h of every value, at all sites or each, in the units of J; none by default.

    Raises
    ------
    InvalidInput
        For a q out of range, NaN or infinite values and arrays of the wrong shape.

    >>> from statmech_ml import lattices
    >>> model = Potts(lattices.square(4, 4), q=3)
    >>> model.energy(model.space.ordered(1))
    array([-32.])
    """

    lattice: Graph
    space: Levels

    def __init__(self, lattice: Graph, q: int, coupling: Any = 1.0, field: Any = 0.0) -> None:
        if not isinstance(lattice, Graph):
            raise InvalidInput(
                f"lattice={lattice!r} is no lattice. Build one: lattices.square(32, 32), or "
                "lattices.from_edges(edges)."
            )
        if not isinstance(q, int | np.integer) or not 2 <= q <= 127:
            raise InvalidInput(
                f"q={q!r} is not in 2..127: a site needs two values at least, and int8 holds them."
            )
        self.lattice = lattice
        self.space = Levels(lattice.n_sites, q)
        self.coupling = per_bond_or_site(coupling, lattice.n_bonds, "coupling", "bonds")
        self.field = _fields(field, lattice.n_sites, int(q))

    @property
    def q(self) -> int:
        """Number of values of a site."""
        return self.space.n_values

    @cached_property
    def arrays(self) -> PottsArrays:  # type: ignore[override]
        """The compiled model."""
        lattice = self.lattice
        couplings = np.broadcast_to(self.coupling, lattice.n_bonds)
        bond = lattice.neighbour_bonds
        table = np.where(bond >= 0, np.append(couplings, 0.0)[bond], 0.0)
        links, link_of = np.unique(np.abs(table), return_inverse=True)
        link_of = link_of.reshape(table.shape).astype(np.int64)
        fields = np.ascontiguousarray(np.broadcast_to(self.field, (lattice.n_sites, self.q)))
        return frozen(PottsArrays(lattice.neighbours, table, fields, links, link_of))

    @cached_property
    def cluster_obstacle(self) -> str | None:
        """Why cluster moves do not apply to this model; None where they do."""
        if np.any(self.field):
            return (
                "moves whole clusters at no cost in energy, which a field forbids, but this model "
                f"has a field (largest |h| = {np.abs(self.field).max():g}). Use HeatBath or "
                "Metropolis."
            )
        if np.any(np.asarray(self.coupling) < 0.0):
            return (
                "joins sites of equal value, which only couplings J >= 0 favour, but this model "
                f"has negative ones (min {np.min(self.coupling):g}). Use HeatBath or Metropolis."
            )
        return None

    def __repr__(self) -> str:
        where = getattr(self.lattice, "shape", f"{self.lattice.n_sites} sites")
        one = np.ndim(self.coupling) == 0
        coupling = f"{self.coupling:g}" if one else f"array{self.coupling.shape}"
        return f"Potts({self.lattice.name} {where}, q={self.q}, coupling={coupling})"


def _fields(field: Any, n_sites: int, q: int) -> np.ndarray:
    """h float64, (q,) or (n_sites, q), frozen."""
    try:
        array = np.array(field, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"field={field!r} is no array of numbers.") from error
    if array.ndim == 0 and array == 0.0:
        array = np.zeros(q)
    if array.shape not in ((q,), (n_sites, q)):
        raise InvalidInput(
            f"field has shape {array.shape}, but must say which values it favours: ({q},) for "
            f"every site alike, or ({n_sites}, {q})."
        )
    if not np.isfinite(array).all():
        raise InvalidInput("field holds NaN or infinite values; every value needs a finite one.")
    array.setflags(write=False)
    return array
