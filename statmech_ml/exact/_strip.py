"""An Ising model on the square lattice, laid out row by row for methods that sweep along it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statmech_ml.errors import InvalidInput
from statmech_ml.lattices import Lattice
from statmech_ml.spaces import Spins

Array = NDArray[np.float64]

MAX_SITES = 2**22  # what is laid out as arrays at all

_OFFSETS = ((0, 0, (0, 1)), (0, 0, (1, 0)))  # those of lattices.square


class Strip(NamedTuple):
    """Couplings and fields of a square lattice, float64 (length, width) each.

    across[r, c] joins the sites (r, c) and (r, c + 1); its last column closes each row to a ring.
    along[r, c] joins (r, c) and (r + 1, c); its last row closes the length. Both are zero where the
    lattice is open. `turned` says that rows here are columns of the lattice.
    """

    across: Array
    along: Array
    field: Array
    ring: bool
    closed: bool
    turned: bool

    @property
    def length(self) -> int:
        return self.across.shape[0]

    @property
    def width(self) -> int:
        return self.across.shape[1]

    def turn(self) -> "Strip":
        """The same lattice with rows and columns exchanged."""
        across, along, field = (np.ascontiguousarray(m.T) for m in self[:3])
        return Strip(along, across, field, self.closed, self.ring, not self.turned)

    def reverse(self) -> "Strip":
        """The same lattice seen from its other end: the last row first, columns kept."""
        return self._replace(
            across=self.across[::-1],
            along=np.roll(self.along[::-1], -1, axis=0),  # the closing bonds stay last
            field=self.field[::-1],
        )

    def __str__(self) -> str:
        rows, columns, wraps = self.length, self.width, (self.closed, self.ring)
        if self.turned:
            rows, columns, wraps = columns, rows, wraps[::-1]
        words = ["periodic" if w else "open" for w in wraps]
        return f"square lattice of {rows} x {columns} sites, boundary ({words[0]}, {words[1]})"


def strip(model: Any, instead: str) -> Strip:
    """The model's couplings and fields, rows of the lattice as rows; `instead` ends refusals."""
    lattice = getattr(model, "lattice", None)
    if not (
        isinstance(lattice, Lattice) and lattice.offsets == _OFFSETS and lattice.name == "square"
    ):
        where = f"the lattice {getattr(lattice, 'name', lattice)!r}" if lattice else "no lattice"
        raise InvalidInput(
            f"{model!r} has {where}, but a sweep row by row needs lattices.square(rows, columns). "
            f"{instead}"
        )
    if lattice.n_sites > MAX_SITES:
        raise InvalidInput(
            f"{model!r} has {lattice.n_sites} sites, more than the {MAX_SITES} that any exact sum "
            f"here can take. {instead}"
        )
    is_ising = all(hasattr(model, name) for name in ("coupling", "field"))
    if not (is_ising and isinstance(getattr(model, "space", None), Spins)):
        raise InvalidInput(
            f"{model!r} is no Ising model: spins +-1 with a `coupling` per bond and a `field` per "
            f"site are needed. {instead}"
        )
    rows, columns = lattice.shape
    closed, ring = lattice.periodic
    couplings = _numbers(model.coupling, lattice.n_bonds, "coupling")
    present = np.ones((rows, columns, 2), dtype=bool)  # the order of lattice.bonds
    present[:, -1, 0], present[-1, :, 1] = ring, closed
    table = np.zeros(present.shape)
    table[present] = couplings
    field = _numbers(model.field, lattice.n_sites, "field").reshape(rows, columns)
    across, along = np.ascontiguousarray(table[..., 0]), np.ascontiguousarray(table[..., 1])
    return Strip(across, along, field, ring, closed, turned=False)


def without_field(model: Any, instead: str) -> Strip:
    """`strip` of a model that must not have a field."""
    layout = strip(model, instead)
    if layout.field.any():
        raise InvalidInput(
            f"{model!r} has a field (largest |h| = {np.abs(layout.field).max():g}), and with one "
            "the model is no sum over free fermions. Narrow strips have exact.transfer_matrix; "
            f"else: {instead}"
        )
    return layout


def _numbers(value: Any, length: int, name: str) -> Array:
    try:
        numbers = np.broadcast_to(np.asarray(value, dtype=np.float64), (length,)).copy()
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name} must be a number or an array ({length},), but got {value!r}."
        ) from error
    if not np.isfinite(numbers).all():
        bad = np.count_nonzero(~np.isfinite(numbers))
        raise InvalidInput(
            f"{name} has {bad} of {length} entries that are NaN or infinite; each must be finite."
        )
    return numbers
