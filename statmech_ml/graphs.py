"""Graphs: which sites are bonded, and what follows from it (neighbours, colourings, frustration).

Regular lattices (`statmech_ml.lattices`) are graphs whose bonds follow from a rule; `from_edges`
takes them as they come.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ._jit import kernel
from .errors import InvalidInput


def read_only(array: np.ndarray) -> np.ndarray:
    """`array` itself, frozen: what a lattice hands out, it keeps, and models are made from it."""
    array.setflags(write=False)
    return array


class Graph:
    """Sites and bonds; what regular lattices and graphs from edges have in common."""

    name: str

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        raise NotImplementedError

    @property
    def bonds(self) -> np.ndarray:
        """Pairs of bonded sites, int64, shape (n_bonds, 2), each bond once."""
        raise NotImplementedError

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        return len(self.bonds)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        if self.n_sites > np.iinfo(np.int32).max:
            raise InvalidInput(
                f"A neighbour table of {self.n_sites} sites is not built: its entries are int32. "
                "Lattices this large need kernels that do without one (HeatBath on an even torus)."
            )
        ends = self.bonds.reshape(-1, 2)
        site = ends.ravel()
        degree = np.bincount(site, minlength=self.n_sites)
        width = max(1, int(degree.max(initial=0)))
        order = np.argsort(site, kind="stable")
        slot = np.arange(len(site)) - np.repeat(np.cumsum(degree) - degree, degree)
        neighbours = np.full((self.n_sites, width), -1, dtype=np.int32)
        bond_of = np.full((self.n_sites, width), -1, dtype=np.int64)
        neighbours[site[order], slot] = ends[:, ::-1].ravel()[order]
        bond_of[site[order], slot] = order // 2
        return read_only(neighbours), read_only(bond_of)

    @property
    def neighbours(self) -> np.ndarray:
        """Neighbours of each site, int32, shape (n_sites, max_degree), padded with -1."""
        return self._table[0]

    @property
    def neighbour_bonds(self) -> np.ndarray:
        """The bond to each neighbour, int64, shape (n_sites, max_degree), padded with -1."""
        return self._table[1]

    @cached_property
    def degrees(self) -> np.ndarray:
        """Number of bonds at each site, shape (n_sites,)."""
        return read_only((self.neighbours >= 0).sum(axis=1))

    @cached_property
    def colours(self) -> np.ndarray:
        """A proper colouring, int64 (n_sites,): no bond joins two sites of one colour.

        Greedy in site order, which gives the checkerboard wherever a regular lattice here has one.
        """
        colours = np.full(self.n_sites, -1, dtype=np.int64)
        _colour(self.neighbours, colours)
        return read_only(colours)

    @cached_property
    def schedule(self) -> "Schedule":
        """Sites grouped by colour, for updates that may run in parallel within a colour."""
        order = np.argsort(self.colours, kind="stable").astype(np.int32)
        counts = np.bincount(self.colours)
        return Schedule(order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @cached_property
    def components(self) -> np.ndarray:
        """Which connected component each site belongs to, numbered from 0, shape (n_sites,)."""
        from scipy.sparse import coo_array, csgraph

        i, j = self.bonds.T
        matrix = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(self.n_sites,) * 2)
        labels = csgraph.connected_components(matrix, directed=False)[1]
        return read_only(np.array(labels, np.int64))

    @property
    def n_components(self) -> int:
        """Number of connected components."""
        return int(self.components.max()) + 1

    @property
    def is_ring(self) -> bool:
        """Whether some component is a cycle: every one of its sites has exactly two bonds."""
        two = np.ones(self.n_components, dtype=bool)
        np.logical_and.at(two, self.components, self.degrees == 2)
        return bool(two.any())


@dataclass(frozen=True)
class Schedule:
    """An update order: `order` lists the sites; colour c is ``order[starts[c]:starts[c + 1]]``."""

    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def sequential(cls, n_sites: int) -> "Schedule":
        """Every site in natural order, one group: for models that know no lattice (CPU only)."""
        return cls(np.arange(n_sites, dtype=np.int32), np.array([0, n_sites], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class EdgeGraph(Graph):
    """A graph given by its edges; see `from_edges`."""

    edges: np.ndarray
    sites: int
    name: str = "graph"

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return self.sites

    @property
    def bonds(self) -> np.ndarray:
        """The edges in the order given, int64, shape (n_bonds, 2)."""
        return self.edges


def from_edges(edges: Any, n_sites: int | None = None) -> EdgeGraph:
    """A graph from its edges, int, shape (n_edges, 2); per-bond arrays follow the order given.

    `n_sites` defaults to the largest site named plus one. Diluted and disconnected graphs are
    legitimate.

    Raises
    ------
    InvalidInput
        For self-loops, repeated edges (in either direction) and sites out of range.

    >>> from_edges([(0, 1), (1, 2)]).n_sites
    3
    """
    try:
        given = np.asarray(edges)
    except ValueError as error:
        raise InvalidInput(
            "edges has rows of different lengths; integer pairs (n_edges, 2) are needed: "
            "[(0, 1), (1, 2)]."
        ) from error
    if given.size == 0:
        given = np.empty((0, 2), dtype=np.int64)
    if given.ndim != 2 or given.shape[1] != 2 or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInput(
            f"edges has shape {given.shape} and dtype {given.dtype}; integer pairs (n_edges, 2) "
            "are needed."
        )
    pairs = given.astype(np.int64)
    if n_sites is not None and not isinstance(n_sites, int | np.integer):
        raise InvalidInput(f"n_sites={n_sites!r} must be a whole number.")
    total = int(pairs.max(initial=-1)) + 1 if n_sites is None else int(n_sites)
    if total < 1:
        raise InvalidInput("A graph needs at least one site: give edges, or n_sites.")
    if pairs.size and (pairs.min() < 0 or pairs.max() >= total):
        raise InvalidInput(
            f"edges names site {pairs.max() if pairs.min() >= 0 else pairs.min()}, "
            f"but the sites are 0..{total - 1}."
        )
    loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if len(loops):
        raise InvalidInput(
            f"Edge {loops[0]} bonds site {pairs[loops[0], 0]} to itself. A self-loop adds a "
            "constant to the energy; leave it out."
        )
    ordered = np.sort(pairs, axis=1)
    _, first, counts = np.unique(ordered, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        twice = ordered[first[counts > 1][0]]
        raise InvalidInput(
            f"The edge {twice[0]}-{twice[1]} is given {counts[counts > 1][0]} times. Give it once, "
            "with the sum of its couplings."
        )
    pairs.setflags(write=False)
    return EdgeGraph(pairs, total)


@kernel
def _colour(neighbours, colours):
    """Greedy colouring in site order; `colours` comes in as -1."""
    n, width = neighbours.shape
    used = np.full(width + 2, -1, dtype=np.int64)
    for site in range(n):
        for k in range(width):
            j = neighbours[site, k]
            if j >= 0 and colours[j] >= 0:
                used[colours[j]] = site
        c = 0
        while used[c] == site:
            c += 1
        colours[site] = c


def frustrated(neighbours: np.ndarray, signs: np.ndarray) -> bool:
    """Whether no choice of s_i = +-1 gives every bond s_i s_j = sign.

    Both arrays have the shape (n_sites, max_degree); signs are int8, 0 for bonds that do not count.
    """
    return bool(_frustrated(neighbours, signs, np.zeros(len(neighbours), np.int8)))


@kernel
def _frustrated(neighbours, signs, gauge):
    """`frustrated`, with the spins that were found in `gauge`, which comes in as zeros."""
    n, width = neighbours.shape
    stack = np.empty(n, np.int64)
    for root in range(n):
        if gauge[root] != 0:
            continue
        gauge[root] = 1
        stack[0] = root
        top = 1
        while top > 0:
            top -= 1
            i = stack[top]
            for k in range(width):
                j = neighbours[i, k]
                if j < 0 or signs[i, k] == 0:
                    continue
                wanted = gauge[i] * signs[i, k]
                if gauge[j] == 0:
                    gauge[j] = wanted
                    stack[top] = j
                    top += 1
                elif gauge[j] != wanted:
                    return True
    return False
