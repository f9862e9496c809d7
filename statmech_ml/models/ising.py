"""The Ising model on any lattice or graph.

    E(s) = - sum_<ij> J_ij s_i s_j - sum_i h_i s_i,    s_i in {-1, +1},

bonds counted once, J > 0 ferromagnetic. Couplings and fields are numbers or arrays (per bond in the
order of ``lattice.bonds``, per site). A uniform model on a regular lattice keeps scalars; its
neighbour table is built only when a kernel without a lattice-specific twin asks for it.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .._jit import kernel
from ..errors import InvalidInput
from ..graphs import Graph, frustrated
from ..lattices import Lattice
from ..spaces import Spins
from ..systems import Model, common_shape
from ._arguments import frozen, number, per_bond_or_site
from .rbm import RBM

# Up to here an integer sum over neighbours indexes a table of thresholds; a wider one costs more to
# build per temperature than it saves.
_MAX_ENVIRONMENTS = 4096


class UniformIsing(NamedTuple):
    """Compiled Ising model with one coupling and one field.

    Fields: neighbours int32 (n, z) padded with -1; coupling, field float64; gaps float64
    (2 z + 1,): E(up) - E(down) by neighbour sum + z; links float64 (1,): energy 2 |J| of breaking a
    satisfied bond.
    """

    neighbours: np.ndarray
    coupling: float
    field: float
    gaps: np.ndarray
    links: np.ndarray

    def environment(self, x, site):
        width = self.neighbours.shape[1]
        total = width
        for k in range(width):
            j = self.neighbours[site, k]
            if j >= 0:
                total += int(x[j])
        return total

    def energy(self, x):
        width = self.neighbours.shape[1]
        bonds, spins = 0, 0
        for i in range(x.shape[0]):
            bonds += int(x[i]) * (self.environment(x, i) - width)
            spins += int(x[i])
        return -0.5 * self.coupling * bonds - self.field * spins

    def delta_energy(self, x, site, value):
        total = self.environment(x, site) - self.neighbours.shape[1]
        return (x[site] - value) * (self.coupling * total + self.field)

    def link(self, x, site, k, value):
        j = self.neighbours[site, k]
        satisfied = (value == x[j]) == (self.coupling > 0.0)
        return 0 if j >= 0 and satisfied else -1


class BondIsing(NamedTuple):
    """Compiled Ising model with a coupling per bond and a field per site.

    Fields: neighbours int32, couplings float64, steps int32, link_of int64 (n, z); fields float64
    (n,); gaps float64 (n_environments,) or empty: E(up) - E(down) by sum of steps * spins, where
    all couplings are whole multiples (`steps`) of one unit and the field is uniform; links float64
    (n_links,).
    """

    neighbours: np.ndarray
    couplings: np.ndarray
    fields: np.ndarray
    steps: np.ndarray
    gaps: np.ndarray
    links: np.ndarray
    link_of: np.ndarray

    def environment(self, x, site):
        total = self.gaps.shape[0] // 2
        for k in range(self.neighbours.shape[1]):
            j = self.neighbours[site, k]
            if j >= 0:
                total += int(self.steps[site, k]) * int(x[j])
        return total

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            for k in range(self.neighbours.shape[1]):
                j = self.neighbours[i, k]
                if j >= 0:
                    total -= 0.5 * self.couplings[i, k] * x[i] * x[j]
            total -= self.fields[i] * x[i]
        return total

    def delta_energy(self, x, site, value):
        local = self.fields[site]
        for k in range(self.neighbours.shape[1]):
            j = self.neighbours[site, k]
            if j >= 0:
                local += self.couplings[site, k] * x[j]
        return (x[site] - value) * local

    def link(self, x, site, k, value):
        j = self.neighbours[site, k]
        satisfied = (value == x[j]) == (self.couplings[site, k] > 0.0)
        which = self.link_of[site, k]
        return which if j >= 0 and satisfied else -1


class Ising(Model):
    """The Ising model, E = -sum_<ij> J_ij s_i s_j - sum_i h_i s_i.

    Parameters
    ----------
    lattice : Graph
        From `statmech_ml.lattices`.
    coupling : float or array (n_bonds,), default 1.0
        J, positive for ferromagnets; per bond in the order of ``lattice.bonds``.
    field : float or array (n_sites,), default 0.0
        h, in the units of J.

    Raises
    ------
    InvalidInput
        For NaN or infinite values and arrays of the wrong length.

    >>> from statmech_ml import lattices
    >>> model = Ising(lattices.square(4, 4), coupling=1.0)
    >>> model.energy(model.space.ordered(1))
    array([-32.])
    """

    lattice: Graph

    def __init__(self, lattice: Graph, coupling: Any = 1.0, field: Any = 0.0) -> None:
        if not isinstance(lattice, Graph):
            raise InvalidInput(
                f"lattice={lattice!r} is no lattice. Build one: lattices.square(32, 32), or "
                "lattices.from_edges(edges)."
            )
        self.lattice = lattice
        self.space = Spins(lattice.n_sites)
        self.coupling = per_bond_or_site(coupling, lattice.n_bonds, "coupling", "bonds")
        self.field = per_bond_or_site(field, lattice.n_sites, "field", "sites")

    @property
    def is_uniform(self) -> bool:
        """Whether one number is the coupling of every bond and one the field of every site."""
        return np.ndim(self.coupling) == 0 and np.ndim(self.field) == 0

    @property
    def is_torus(self) -> bool:
        """Whether this is a uniform model on the periodic square lattice (own kernels)."""
        lattice = self.lattice
        return (
            self.is_uniform
            and isinstance(lattice, Lattice)
            and lattice.name == "square"
            and all(lattice.periodic)
        )

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """Local, Clusterable, and Tabulated where local environments are few."""
        if self.is_uniform:  # known without building the neighbour table
            return frozenset({"Local", "Clusterable", "Tabulated"})
        return super().capabilities

    @cached_property
    def arrays(self) -> UniformIsing | BondIsing:  # type: ignore[override]
        """What kernels see."""
        neighbours = self.lattice.neighbours
        width = neighbours.shape[1]
        if self.is_uniform:
            sums = np.arange(-width, width + 1)
            gaps = -2.0 * (self.coupling * sums + self.field)
            links = np.array([2.0 * abs(self.coupling)])
            return frozen(UniformIsing(neighbours, self.coupling, self.field, gaps, links))
        couplings = np.broadcast_to(self.coupling, self.lattice.n_bonds)
        fields = np.array(np.broadcast_to(self.field, self.lattice.n_sites))
        bond = self.lattice.neighbour_bonds
        table = np.where(bond >= 0, np.append(couplings, 0.0)[bond], 0.0)
        links, link_of = np.unique(2.0 * np.abs(table), return_inverse=True)
        steps, gaps = _steps(table, fields)
        link_of = link_of.reshape(table.shape).astype(np.int64)
        return frozen(BondIsing(neighbours, table, fields, steps, gaps, links, link_of))

    def energy(self, x: Any) -> np.ndarray:
        """E(s), float64, (*batch, n_sites) -> (*batch,)."""
        if not self.is_torus:
            return super().energy(x)
        x = self.space.check(x)
        flat = x.reshape(-1, *self.lattice.shape)  # type: ignore[attr-defined]
        bonds, spins = np.empty(len(flat), np.int64), np.empty(len(flat), np.int64)
        _torus_sums(flat, bonds, spins)
        return (-self.coupling * bonds - self.field * spins).reshape(x.shape[:-1])

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """beta * E(s), float64; beta and the batch broadcast against each other."""
        energy, beta = np.asarray(self.energy(x)), np.asarray(beta, np.float64)
        common_shape(energy.shape, beta)
        return np.asarray(beta * energy)

    @cached_property
    def cluster_obstacle(self) -> str | None:
        """Why cluster moves do not apply to this model; None where they do."""
        if np.any(self.field):
            return (
                "moves whole clusters at no cost in energy, which a field forbids, but this model "
                f"has a field (largest |h| = {np.abs(self.field).max():g}). Use HeatBath or "
                "Metropolis."
            )
        if np.ndim(self.coupling) == 0 and self.coupling >= 0:
            return None
        couplings = np.broadcast_to(self.coupling, self.lattice.n_bonds)
        signs = np.where(couplings < 0, -1, 1).astype(np.int8)
        bond = self.lattice.neighbour_bonds
        table = np.append(np.where(couplings == 0, 0, signs), 0)[bond].astype(np.int8)
        if not frustrated(self.lattice.neighbours, table):
            return None
        negative = int((couplings < 0).sum())
        return (
            "needs couplings that are ferromagnetic after a gauge transformation, but "
            f"{negative} of {len(couplings)} are negative (min {couplings.min():g}) and some loop "
            "is frustrated: clusters would span the system. Use HeatBath or Metropolis."
        )

    def as_rbm(self, beta: float) -> tuple[RBM, float]:
        """The RBM of spins whose visible units have this model's law at beta, and a constant.

        One hidden spin a bond, coupled to its ends with w and w sign(J):

            sum_h exp(w h (s_i + sign(J) s_j)) = 2 e^{beta |J|} e^{beta J s_i s_j},
            cosh(2 w) = e^{2 beta |J|},

        so at inverse temperature 1 the RBM's log Z is that of this model at beta plus the constant,
        sum over bonds of log 2 + beta |J|. G. Carleo, Y. Nomura and M. Imada, Nat. Commun. 9, 5322
        (2018), doi:10.1038/s41467-018-07520-3.

        Raises InvalidInput for beta that is negative or not finite, and for a model without bonds.

        >>> from statmech_ml import lattices
        >>> rbm, _ = Ising(lattices.chain(2, boundary="open")).as_rbm(0.5)
        >>> float(rbm.energy([1, 1]) - rbm.energy([1, -1]))  # -2 beta J
        -1.0
        """
        beta = number(beta, "beta")
        if beta < 0.0:
            raise InvalidInput(f"beta={beta!r} must be at least 0; turn the couplings instead.")
        bonds, n_sites = self.lattice.bonds, self.space.size
        if not len(bonds):
            raise InvalidInput(f"{self!r} has no bonds, so an RBM of it has no hidden units.")
        strength = beta * np.abs(np.broadcast_to(self.coupling, len(bonds)))
        # arccosh(e^x) = x + log(1 + sqrt(1 - e^-2x)), x = 2 strength
        half = strength + 0.5 * np.log1p(np.sqrt(-np.expm1(-4.0 * strength)))
        weights = np.zeros((n_sites, len(bonds)))
        hidden = np.arange(len(bonds))
        weights[bonds[:, 0], hidden] = half
        weights[bonds[:, 1], hidden] = np.where(np.asarray(self.coupling) < 0, -half, half)
        rbm = RBM(beta * np.broadcast_to(self.field, n_sites), np.zeros(len(bonds)), weights)
        return rbm, float((np.log(2.0) + strength).sum())

    def __repr__(self) -> str:
        def shown(value: Any) -> str:
            return f"{value:g}" if np.ndim(value) == 0 else f"array{np.shape(value)}"

        where = getattr(self.lattice, "shape", f"{self.lattice.n_sites} sites")
        return (
            f"Ising({self.lattice.name} {where}, coupling={shown(self.coupling)}, "
            f"field={shown(self.field)})"
        )


def _steps(table: np.ndarray, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Couplings as whole multiples of a unit, and gaps by weighted neighbour sum; or no gaps."""
    nothing = np.zeros(table.shape, np.int32), np.empty(0)
    sizes = np.abs(table[table != 0])
    if not len(sizes) or np.any(fields != fields[0]):
        return nothing
    unit = sizes.min()
    with np.errstate(over="ignore"):  # a coupling that is no multiple, by far
        steps = np.rint(table / unit)
    if not np.array_equal(steps * unit, table):
        return nothing
    widest = int(np.abs(steps).sum(axis=1).max())
    if 2 * widest + 1 > _MAX_ENVIRONMENTS:
        return nothing
    sums = np.arange(-widest, widest + 1)
    return steps.astype(np.int32), -2.0 * (unit * sums + fields[0])


@kernel
def _torus_sums(x, bonds, spins):
    """Sums of s_i s_j over bonds and of s_i over sites, x int8 (batch, rows, columns)."""
    for b in range(x.shape[0]):
        rows, columns = x.shape[1], x.shape[2]
        pairs, total = 0, 0
        for i in range(rows):
            here, below = x[b, i], x[b, (i + 1) % rows]
            # int(): plain Python would add int8, which overflows in rows of more than 127 bonds.
            row = int(here[columns - 1]) * int(here[0])
            for j in range(columns - 1):
                row += int(here[j]) * int(here[j + 1])
            for j in range(columns):
                row += int(here[j]) * int(below[j])
                total += int(here[j])
            pairs += row
        bonds[b] = pairs
        spins[b] = total
