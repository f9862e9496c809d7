"""What a training method is: frozen settings that turn a batch into a gradient.

    carried = method.init(shell, data, seed)                      # chains, weights, buffers
    step = method.gradient(shell, batch, carried, seed, number)   # Step(gradients, carried, info)

Everything a method carries from step to step is in `carried`, arrays by name, so that a checkpoint
can hold it and a run resumes bit for bit; random numbers are addressed by (seed, step number). The
optimiser, the schedule and the loop over batches belong to `train`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from .shell import Gradients, Trainable

Carried = dict[str, np.ndarray]
"""What must be carried from step to step, by name."""


class Step(NamedTuple):
    """One gradient step of a method.

    Fields: gradients of the loss that is minimised (-log-likelihood, or the score-matching loss),
    by parameter name; carried, the method's next state; info, numbers to watch, which `History`
    averages over each epoch ("energy_data" and "energy_model", means of F over both phases, are
    expected of every likelihood method).
    """

    gradients: Gradients
    carried: Carried
    info: dict[str, float]


@dataclass(frozen=True)
class Method(ABC):
    """Base class of all training methods; subclasses are frozen dataclasses of settings."""

    n_levels_vary: ClassVar[bool] = False
    """Whether the leading axes of all carried arrays grow and shrink together; otherwise they have
    the shapes that `init` gives them."""

    @abstractmethod
    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise InvalidInput or MissingCapability if this method cannot train `shell` on `data`."""

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """The state before the first step; empty for methods that carry nothing."""
        return {}

    @abstractmethod
    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Gradients at the shell's present parameters, for a batch (n, size); the shell, and the
        arrays in `carried`, are left as they are."""

    def stepped(
        self, shell: Trainable, before: dict[str, Tensor], carried: Carried, seed: int, step: int
    ) -> tuple[Carried, bool]:
        """Called after the optimiser moved the parameters from `before`: the next state, and
        whether the move is kept. False puts the parameters and the optimiser back."""
        return carried, True

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray | None:
        """Configurations (chain, size) that stand for the model at the shell's present parameters,
        all of equal weight: what the monitor examines for equilibrium. None where there are none;
        by default the carried array "x" where it has that shape."""
        x = carried.get("x")
        return x if x is not None and x.ndim == 2 and x.shape[1] == shell.space.size else None

    def sweeps(self, step: int) -> float:
        """Sweeps that these configurations have had since their start, after `step` steps;
        infinite, the default, where that is no measure of anything."""
        return math.inf

    def log_z(self, shell: Trainable, carried: Carried) -> Any:
        """log Z of the shell's present parameters (a `partition.LogZ`) as a by-product, or None."""
        return None
