"""Lattices and graphs: which sites are bonded.

A regular lattice is implicit: shape, bond offsets and boundary. Neighbour tables, bond lists,
colourings and coordinates are built when somebody asks for them, so a 65,536 x 65,536 lattice costs
nothing by itself. Sites are numbered row by row (last axis fastest, basis sites of a cell next to
each other).

Each bond counts once. On a periodic side of length 2 the two bonds between a pair both count: they
are different bonds of the torus, and Kaufman's formula has them both.
"""

import math
import operator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ._jit import kernel
from .errors import InvalidInput

Boundary = Literal["periodic", "open"]


def _read_only(array: np.ndarray) -> np.ndarray:
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
        return _read_only(neighbours), _read_only(bond_of)

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
        return _read_only((self.neighbours >= 0).sum(axis=1))

    @cached_property
    def colours(self) -> np.ndarray:
        """A proper colouring, int64 (n_sites,): no bond joins two sites of one colour.

        Greedy in site order, which gives the checkerboard wherever a regular lattice here has one.
        """
        colours = np.full(self.n_sites, -1, dtype=np.int64)
        _colour(self.neighbours, colours)
        return _read_only(colours)

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
        return _read_only(np.array(labels, np.int64))

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


@dataclass(frozen=True, eq=True)
class Lattice(Graph):
    """A regular lattice: `shape` cells, `basis` sites a cell, bonds to fixed offsets.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Cells along each axis.
    offsets : tuple of (from basis site, to basis site, displacement in cells)
    periodic : tuple of bool, one per axis
    basis : int
        Sites per cell.
    vectors, positions
        Real-space cell vectors and basis positions, for `coordinates`; lattice spacing 1.
    """

    name: str
    shape: tuple[int, ...]
    offsets: tuple[tuple[int, int, tuple[int, ...]], ...]
    periodic: tuple[bool, ...]
    basis: int = 1
    vectors: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    positions: tuple[tuple[float, ...], ...] = field(default=(), repr=False)

    @property
    def n_sites(self) -> int:
        """Number of sites: cells times basis."""
        return int(np.prod(self.shape, dtype=object)) * self.basis

    @property
    def n_bonds(self) -> int:
        """Number of bonds, without building them."""
        total = 0
        for _, _, shift in self.offsets:
            sides = zip(self.shape, shift, self.periodic, strict=True)
            total += int(
                np.prod([n if p else max(0, n - abs(d)) for n, d, p in sides], dtype=object)
            )
        return total

    @cached_property
    def bonds(self) -> np.ndarray:
        """Pairs of bonded sites, int64 (n_bonds, 2): cell by cell, offsets in the order given."""
        cells = np.indices(self.shape).reshape(len(self.shape), -1)
        pairs, keep = [], []
        for a, b, shift in self.offsets:
            target = cells + np.array(shift)[:, None]
            inside = np.ones(cells.shape[1], dtype=bool)
            for axis, (n, wraps) in enumerate(zip(self.shape, self.periodic, strict=True)):
                if not wraps:
                    inside &= (target[axis] >= 0) & (target[axis] < n)
                target[axis] %= n
            here = np.arange(cells.shape[1]) * self.basis + a
            there = np.ravel_multi_index(tuple(target), self.shape) * self.basis + b
            pairs.append(np.stack([here, there], axis=-1))
            keep.append(inside)
        stacked = np.stack(pairs, axis=1).reshape(-1, 2)
        return _read_only(stacked[np.stack(keep, axis=1).ravel()])

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Positions of the sites, float64 (n_sites, dimension), in units of the lattice spacing."""
        d = len(self.shape)
        vectors = np.array(self.vectors) if self.vectors else np.eye(d)
        positions = np.array(self.positions) if self.positions else np.zeros((self.basis, d))
        cells = np.indices(self.shape).reshape(d, -1).T @ vectors
        return _read_only((cells[:, None, :] + positions[None]).reshape(-1, vectors.shape[1]))

    @property
    def n_components(self) -> int:
        """Number of connected components; of a Bravais torus without building its bonds."""
        if self.basis > 1 or not all(self.periodic):
            return super().n_components
        # The index in Z^d of the lattice that displacements and periods span: the greatest common
        # divisor of the d x d minors of its generators (they are few).
        d = len(self.shape)
        periods = [[n if i == j else 0 for j in range(d)] for i, n in enumerate(self.shape)]
        generators = [list(shift) for _, _, shift in self.offsets] + periods
        return math.gcd(*(_determinant(list(rows)) for rows in combinations(generators, d)))

    @property
    def is_ring(self) -> bool:
        """Whether the lattice is one closed ring of bonds, by whatever name."""
        # A ring has as many bonds as sites, which is known without building them.
        return self.n_bonds == self.n_sites and super().is_ring


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


def _lattice(
    name: str,
    sides: tuple[Any, ...],
    offsets: tuple[tuple[int, int, tuple[int, ...]], ...],
    boundary: Any,
    basis: int = 1,
    vectors: tuple[tuple[float, ...], ...] = (),
    positions: tuple[tuple[float, ...], ...] = (),
) -> Lattice:
    """Validate sides and boundary; every generator goes through here."""
    try:
        given = (boundary,) * len(sides) if isinstance(boundary, str) else tuple(boundary)
    except TypeError:
        given = ()  # refused below, like any other word
    if len(given) != len(sides) or any(b not in ("periodic", "open") for b in given):
        raise InvalidInput(
            f"boundary={boundary!r} must be 'periodic' or 'open', or one of them for each of the "
            f"{len(sides)} axes."
        )
    periodic = tuple(b == "periodic" for b in given)
    for side, wraps in zip(sides, periodic, strict=True):
        smallest = 2 if wraps else 1
        whole = isinstance(side, int | np.integer) and not isinstance(side, bool)
        if not whole or side < smallest:
            raise InvalidInput(
                f"A {name} side of {side!r} cannot work: a {'periodic' if wraps else 'open'} side "
                f"is a whole number of at least {smallest} (a site may not be bonded to itself)."
            )
    shape = tuple(int(s) for s in sides)
    return Lattice(name, shape, offsets, periodic, basis, vectors, positions)


def _determinant(rows: list[list[int]]) -> int:
    """Determinant of a small matrix of whole numbers, exactly, along the first row."""
    if not rows:
        return 1
    return sum(
        (-1) ** j * entry * _determinant([row[:j] + row[j + 1 :] for row in rows[1:]])
        for j, entry in enumerate(rows[0])
        if entry
    )


def chain(length: int, boundary: Any = "periodic") -> Lattice:
    """A chain of `length` sites; periodic, it is a ring.

    >>> chain(4).bonds.tolist()
    [[0, 1], [1, 2], [2, 3], [3, 0]]
    """
    return _lattice("chain", (length,), ((0, 0, (1,)),), boundary)


def square(rows: int, columns: int | None = None, boundary: Any = "periodic") -> Lattice:
    """The square lattice, `rows` x `columns` (default: as many columns as rows).

    `boundary` is "periodic", "open", or a pair for (rows, columns).

    >>> square(32, 32).n_bonds
    2048
    """
    sides = (rows, rows if columns is None else columns)
    return _lattice("square", sides, ((0, 0, (0, 1)), (0, 0, (1, 0))), boundary)


def cubic(
    a: int, b: int | None = None, c: int | None = None, boundary: Any = "periodic"
) -> Lattice:
    """The simple cubic lattice, a x b x c (default: a cube of side a).

    >>> cubic(4).n_sites
    64
    """
    sides = (a, a if b is None else b, a if c is None else c)
    offsets = ((0, 0, (0, 0, 1)), (0, 0, (0, 1, 0)), (0, 0, (1, 0, 0)))
    return _lattice("cubic", sides, offsets, boundary)


def triangular(rows: int, columns: int | None = None, boundary: Any = "periodic") -> Lattice:
    """The triangular lattice: the square one with one diagonal; six neighbours a site.

    >>> triangular(4).n_bonds
    48
    """
    sides = (rows, rows if columns is None else columns)
    offsets = ((0, 0, (0, 1)), (0, 0, (1, 0)), (0, 0, (1, -1)))
    vectors = ((0.5, 3**0.5 / 2), (1.0, 0.0))
    return _lattice("triangular", sides, offsets, boundary, vectors=vectors)


def honeycomb(rows: int, columns: int | None = None, boundary: Any = "periodic") -> Lattice:
    """The honeycomb lattice: two sites a cell, three neighbours a site.

    >>> honeycomb(4).n_sites
    32
    """
    sides = (rows, rows if columns is None else columns)
    offsets = ((0, 1, (0, 0)), (1, 0, (0, 1)), (1, 0, (1, 0)))
    vectors = ((3**0.5 / 2, 1.5), (3**0.5, 0.0))
    positions = ((0.0, 0.0), (3**0.5 / 2, 0.5))
    return _lattice("honeycomb", sides, offsets, boundary, 2, vectors, positions)


def bravais(shape: Any, offsets: Any, boundary: Any = "periodic", name: str = "bravais") -> Lattice:
    """A lattice with one site a cell and bonds to the given displacements (each bond named once).

    Parameters
    ----------
    shape : sequence of int
    offsets : sequence of displacements, e.g. ``[(0, 1), (1, 0), (1, 1)]``

    Raises
    ------
    InvalidInput
        For a zero or repeated displacement, and for a lattice that falls apart into copies (all
        bonds diagonal on an even square, say): its chains would sample several systems as one.
        Backwards is repeated too, and so is once more round a periodic side: on a ring of five, 4
        is -1. A side of length 2 is the exception, as in `square`: there the ways to the left and
        to the right are two bonds of one pair, and both count; just so the one way across an even
        side to its middle, which from either end is a bond.

    >>> bravais((4, 4), [(0, 1), (1, 0), (1, 1), (1, -1)]).n_bonds
    64
    """
    try:
        shape = tuple(shape)
    except TypeError as error:
        raise InvalidInput(
            f"shape={shape!r} has no sides: give one whole number per axis, (4, 4), or (4,) for a "
            "chain."
        ) from error
    try:
        shifts = [tuple(operator.index(d) for d in o) for o in offsets]
    except TypeError as error:
        raise InvalidInput(f"offsets={offsets!r} must be whole-number displacements.") from error
    if not shifts or any(len(s) != len(shape) for s in shifts):
        raise InvalidInput(
            f"offsets={offsets!r} must be displacements with {len(shape)} entries each."
        )
    lattice = _lattice(name, shape, tuple((0, 0, s) for s in shifts), boundary)
    mod = [
        tuple(d % n if p else d for d, n, p in zip(s, lattice.shape, lattice.periodic, strict=True))
        for s in shifts
    ]
    for s, m in zip(shifts, mod, strict=True):
        if not any(m):
            raise InvalidInput(
                f"The displacement {s} leads from a site to itself on shape {shape}."
            )

    def reduced(s: tuple[int, ...]) -> tuple[int, ...]:
        sides = zip(s, lattice.shape, lattice.periodic, strict=True)
        return tuple(d % n if wraps and n > 2 else d for d, n, wraps in sides)

    seen: dict[tuple[int, ...], tuple[int, ...]] = {}
    for s in shifts:
        if reduced(s) in seen:
            raise InvalidInput(
                f"The displacement {s} is given twice: on shape {lattice.shape} it bonds the same "
                f"sites as {seen[reduced(s)]} (backwards and round a periodic side count too), and "
                "every bond would be double. Name it once; for stronger bonds raise their coupling."
            )
        seen[reduced(s)] = seen[reduced(tuple(-d for d in s))] = s
    if lattice.n_components > 1:
        raise InvalidInput(
            f"A {' x '.join(map(str, shape))} lattice with displacements {shifts} falls apart into "
            f"{lattice.n_components} separate copies. Change a side or add a displacement, or give "
            "the edges to from_edges, which takes disconnected graphs."
        )
    return lattice


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
