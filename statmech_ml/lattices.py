"""Regular lattices: which sites are bonded, by rule.

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

from .errors import InvalidInput
from .graphs import Graph, from_edges, read_only

Boundary = Literal["periodic", "open"]

__all__ = [
    "Lattice",
    "bravais",
    "chain",
    "cubic",
    "from_edges",
    "honeycomb",
    "square",
    "triangular",
]


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
        return read_only(stacked[np.stack(keep, axis=1).ravel()])

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Positions of the sites, float64 (n_sites, dimension), in units of the lattice spacing."""
        d = len(self.shape)
        vectors = np.array(self.vectors) if self.vectors else np.eye(d)
        positions = np.array(self.positions) if self.positions else np.zeros((self.basis, d))
        cells = np.indices(self.shape).reshape(d, -1).T @ vectors
        return read_only((cells[:, None, :] + positions[None]).reshape(-1, vectors.shape[1]))

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
