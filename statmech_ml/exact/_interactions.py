"""What the exact sums over pairwise models read from a model: bonds, energies of sites and bonds.

Two kinds are known, by their state space: spins, -J s s' a bond and -h s a site (`models.Ising`),
and levels, -J for equal values a bond and -h_s a site (`models.Potts`).
"""

from typing import Any, NamedTuple

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.graphs import Graph
from statmech_ml.spaces import Levels, Spins

_ROUNDING = 1e-9  # relative; sums over sites may collect many roundings, a wrong energy is far off
_MAX_TABLE = 2**22  # sites times bonds of the busiest one: what a model's energy may tabulate


class Interactions(NamedTuple):
    """Energies of a pairwise model of q values a site.

    Fields: bonds int64 (n_bonds, 2); sites float64 (n, q), the energy of each value at each site;
    couplings float64 (n_bonds,); kind float64 (q, q): a bond's energy is -coupling kind[s, s'].
    """

    bonds: np.ndarray
    sites: np.ndarray
    couplings: np.ndarray
    kind: np.ndarray

    def energy(self, digits: np.ndarray) -> np.ndarray:
        """E of configurations given as indices of values, (batch, n) -> (batch,)."""
        alone = self.sites[np.arange(len(self.sites)), digits].sum(axis=1)
        pairs = self.kind[digits[:, self.bonds[:, 0]], digits[:, self.bonds[:, 1]]]
        return np.asarray(alone - pairs @ self.couplings)


def interactions(model: Any, who: str) -> Interactions:
    """The interactions of an Ising or Potts model; InvalidInput for anything else."""
    space, lattice = getattr(model, "space", None), getattr(model, "lattice", None)
    named = hasattr(model, "coupling") and hasattr(model, "field")
    if not (isinstance(space, Spins | Levels) and isinstance(lattice, Graph) and named):
        raise InvalidInput(
            f"{who} takes models of spins or Potts states with pairwise couplings on a lattice or "
            f"graph, but got {model!r}. Build one: Ising(lattices.from_edges(edges), coupling=J, "
            "field=h). Other small discrete models: exact.enumeration."
        )
    n, q = lattice.n_sites, space.n_values
    couplings = np.array(np.broadcast_to(np.asarray(model.coupling, float), lattice.n_bonds))
    field = np.asarray(model.field, dtype=np.float64)
    if isinstance(space, Spins):
        values = space.values.astype(np.float64)
        found = Interactions(
            lattice.bonds,
            -np.broadcast_to(field, n)[:, None] * values,
            couplings,
            np.outer(values, values),
        )
    else:
        sites = -np.array(np.broadcast_to(field, (n, q)))
        found = Interactions(lattice.bonds, sites, couplings, np.eye(q))
    _check(model, found)
    return found


def _check(model: Any, found: Interactions) -> None:
    """Refuse a model whose own energy is not that of its couplings and fields."""
    space = model.space
    degrees = np.bincount(found.bonds.ravel(), minlength=1)
    if space.size * int(degrees.max()) > _MAX_TABLE:
        return
    # Values that differ from site to site in no simple pattern; the multiplier is the golden ratio.
    places = np.arange(4)[:, None] * space.size + np.arange(space.size)
    digits = (places * 0.6180339887498949 % 1.0 * space.n_values).astype(np.int64)
    told, summed = model.energy(space.values[digits]), found.energy(digits)
    size = np.abs(found.couplings).sum() + np.abs(found.sites).max(axis=1).sum()
    wrong = ~(np.abs(told - summed) <= _ROUNDING * max(size, 1e-300))
    if wrong.any():
        raise InvalidInput(
            f"{model!r} has states of energy {told[wrong][0]:.12g} where its coupling and field "
            f"make {summed[wrong][0]:.12g}: it is no Ising or Potts model with the pairwise energy "
            "that is summed here. Use exact.enumeration if it is small."
        )
