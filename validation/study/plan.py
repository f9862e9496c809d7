"""What a study consists of: sizes, temperatures, models, and one set of data.

The training budget is a number of epochs for each model (`learners`), which takes all of them
about the same time on one core of the reference machine; a study repeats epochs, not seconds, so
that it gives the same numbers elsewhere.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from statmech_ml.errors import InvalidInput

from ..check import derive_seed

CONTROLS = ("exact", "wrong-T")
"""Rows that judge the study itself: fresh exact data, and data of a temperature 5% too high."""

CHAINS = 200
"""Chains of each dataset: numbers of configurations are multiples of it."""

WRONG = 1.05
"""The temperature of the row "wrong-T", in units of the right one."""


@dataclass(frozen=True)
class Task:
    """One model at one size and temperature.

    Attributes
    ----------
    model : str
        A name in `learners.LEARNERS`, or one of `CONTROLS`.
    size : int
        L of the L x L torus.
    temperature : float
    n_train, n_held_out : int
        Configurations that are trained on, and on which likelihoods are measured.
    n_judged : int
        Independent samples that are judged: errors, and so z-scores, belong to this number.
    share : float
        Of the epochs of the table.
    seed : int
    """

    model: str
    size: int
    temperature: float
    n_train: int
    n_held_out: int
    n_judged: int
    share: float
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"L{self.size}-T{self.temperature:g}-{self.model}"

    def seed_for(self, what: str) -> int:
        """A seed that belongs to one purpose of this task."""
        return derive_seed(self.seed, f"{self.name} {what}")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """A grid of tasks.

    Parameters
    ----------
    sizes, temperatures, models : tuples
    n_train, n_held_out, n_judged : int
        See `Task`; multiples of `CHAINS`.
    share : float
        Of the epochs of the table.
    seed : int

    Raises
    ------
    InvalidInput
        For an empty grid, sizes that are not multiples of 4, or numbers that chains do not divide.
    """

    sizes: tuple[int, ...]
    temperatures: tuple[float, ...]
    models: tuple[str, ...]
    n_train: int = 40_000
    n_held_out: int = 10_000
    n_judged: int = 10_000
    share: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not (self.sizes and self.temperatures and self.models):
            raise InvalidInput("A study needs at least one size, one temperature and one model.")
        for size in self.sizes:
            if size < 4 or size % 4:
                raise InvalidInput(
                    f"size {size}: the networks halve a lattice twice, so its side must be a "
                    "multiple of 4."
                )
        for name in ("n_train", "n_held_out", "n_judged"):
            number = getattr(self, name)
            if number < CHAINS or number % CHAINS:
                raise InvalidInput(
                    f"{name}={number} is not a multiple of {CHAINS}, the chains of the data."
                )
        if not 0.0 < self.share <= 1.0:
            raise InvalidInput(f"share={self.share} of the epochs is not in (0, 1].")

    def tasks(self) -> Iterator[Task]:
        """All of them, those of one size and temperature together."""
        for size in self.sizes:
            for temperature in self.temperatures:
                for model in (*CONTROLS, *self.models):
                    yield Task(
                        model, size, float(temperature), self.n_train, self.n_held_out,
                        self.n_judged, self.share, self.seed,
                    )  # fmt: skip
