"""State spaces: what one configuration is made of.

A space fixes the event shape ``(size,)``, the dtype, which values are legal, and how uniformly
random or ordered configurations are drawn. Discrete values are evenly spaced: ``low + step * k``
for ``k = 0 .. n_values - 1``, and the *index* of a configuration reads its k's as digits, site 0
fastest.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import _rng
from .errors import InvalidInput

_CHUNK = 2**22  # sites drawn at a time


@dataclass(frozen=True)
class Space:
    """A product of `size` identical one-site spaces."""

    size: int
    dtype: ClassVar[type] = np.float64

    def __post_init__(self) -> None:
        if not isinstance(self.size, int | np.integer) or self.size < 1:
            raise InvalidInput(f"A state space needs at least one site, but size={self.size!r}.")

    @property
    def event_shape(self) -> tuple[int]:
        """Shape of one configuration: ``(size,)``."""
        return (int(self.size),)

    def check(self, x: Any, name: str = "x") -> np.ndarray:
        """`x` as an array of this space's dtype, shape (*batch, size), or InvalidInput."""
        if np.ma.isMaskedArray(x):
            raise InvalidInput(
                f"{name} is a masked array, and what lies behind its mask is no data. Leave out "
                "the rows with gaps, or fill these in: x.filled(value)."
            )
        given = np.asarray(x)
        if given.ndim == 0 or given.shape[-1] != self.size:
            raise InvalidInput(
                f"{name} has shape {given.shape}, but {type(self).__name__} configurations have "
                f"{self.size} sites on the last axis."
            )
        if given.dtype.kind not in "biuf":
            raise InvalidInput(f"{name} has dtype {given.dtype}; real numbers are needed.")
        self._check_values(given, name)
        return np.ascontiguousarray(given, dtype=self.dtype)

    def _check_values(self, x: np.ndarray, name: str) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Discrete(Space):
    """Evenly spaced values; use `Spins`, `Bits` or `Levels`."""

    low: ClassVar[int] = 0
    step: ClassVar[int] = 1
    dtype: ClassVar[type] = np.int8

    @property
    def n_values(self) -> int:
        """Number of values that one site can take."""
        return 2

    @property
    def values(self) -> np.ndarray:
        """The values of one site, int8, shape (n_values,)."""
        return (self.low + self.step * np.arange(self.n_values)).astype(np.int8)

    @property
    def n_states(self) -> int:
        """Number of configurations, n_values ** size, as a Python int."""
        return self.n_values ** int(self.size)

    def random(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Uniformly random configurations, int8, shape (chain, size), one stream per chain."""
        x = np.empty((len(chains), self.size), np.int8)
        for first in range(0, self.size, _CHUNK):  # a large lattice must not cost 8 bytes a word
            part = x[:, first : first + _CHUNK]
            w = _rng.words(seed, chains, 0, _rng.INITIAL, 0, part.shape[1], first)
            digits = (w.astype(np.uint64) * np.uint64(self.n_values)) >> np.uint64(32)
            part[:] = self.values[digits]
        return x

    def ordered(self, n_chains: int) -> np.ndarray:
        """Every site at its highest value, int8, shape (chain, size)."""
        return np.full((n_chains, self.size), self.values[-1], dtype=np.int8)

    def index(self, x: np.ndarray) -> np.ndarray:
        """Index of each configuration, (*batch, size) -> int64 (*batch,); site 0 varies fastest."""
        if self.n_states > 2**62:
            raise InvalidInput(f"{self} has {self.n_values}^{self.size} states; too many to index.")
        digits = (np.asarray(x).astype(np.int64) - self.low) // self.step
        return digits @ (np.int64(self.n_values) ** np.arange(self.size, dtype=np.int64))

    def from_index(self, index: Any) -> np.ndarray:
        """The configurations with these indices, int8, shape (*batch, size)."""
        powers = np.int64(self.n_values) ** np.arange(self.size, dtype=np.int64)
        digits = np.asarray(index, dtype=np.int64)[..., None] // powers % self.n_values
        return (self.low + self.step * digits).astype(np.int8)

    def _check_values(self, x: np.ndarray, name: str) -> None:
        lowest, highest = self.values[0], self.values[-1]
        # Comparisons are ten times faster than isin, and every energy() passes here.
        if self.n_values == 2:
            wrong = (x != lowest) & (x != highest)
        else:
            wrong = (x < lowest) | (x > highest)
            if self.step != 1 or x.dtype.kind == "f":
                with np.errstate(invalid="ignore"):
                    wrong |= (x - self.low) % self.step != 0
        if wrong.any():
            raise InvalidInput(
                f"{name} holds {x[wrong].flat[0]!r}, but the values of {type(self).__name__} are "
                f"{', '.join(map(str, self.values))}."
            )


@dataclass(frozen=True)
class Spins(Discrete):
    """Ising spins in {-1, +1}, int8.

    >>> Spins(3).from_index(5)
    array([ 1, -1,  1], dtype=int8)
    """

    low: ClassVar[int] = -1
    step: ClassVar[int] = 2


@dataclass(frozen=True)
class Bits(Discrete):
    """Binary units in {0, 1}, int8."""


@dataclass(frozen=True)
class Levels(Discrete):
    """Values 0 .. n_levels - 1 (Potts states, grey levels), int8; at most 127 levels."""

    n_levels: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.n_levels, int | np.integer) or not 2 <= self.n_levels <= 127:
            raise InvalidInput(f"n_levels={self.n_levels!r} is not in 2..127 (states are int8).")

    @property
    def n_values(self) -> int:
        """Number of values that one site can take."""
        return int(self.n_levels)


@dataclass(frozen=True)
class Reals(Space):
    """Points of R^size, float64. A random start is a standard normal, an ordered one the origin."""

    def random(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Standard normal points, float64, shape (chain, size), one stream per chain."""
        w = _rng.words(seed, chains, 0, _rng.INITIAL, 0, 4 * ((self.size + 1) // 2))
        pairs = w.reshape(len(chains), -1, 4).astype(np.float64)
        first = (pairs[..., 0] + 0.5) / 2**32
        radius, angle = np.sqrt(-2.0 * np.log(first)), 2.0 * np.pi * pairs[..., 2] / 2**32
        both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        return np.ascontiguousarray(both.reshape(len(chains), -1)[:, : self.size])

    def ordered(self, n_chains: int) -> np.ndarray:
        """The origin, float64, shape (chain, size)."""
        return np.zeros((n_chains, self.size))

    def _check_values(self, x: np.ndarray, name: str) -> None:
        if not np.isfinite(x).all():
            raise InvalidInput(f"{name} holds NaN or infinite values.")
