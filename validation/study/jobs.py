"""What the study gives to a learner, and what it asks of the model that comes back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .plan import Task


@dataclass(frozen=True)
class Bits:
    """log p(x) of the first configurations that were given, in nats.

    Attributes
    ----------
    values : float64 array (k,)
    kind : "exact", "estimate" or "lower bound"
    method : str
        In words.
    common : float
        Standard error that all values share (of log Z).
    """

    values: np.ndarray
    kind: str
    method: str
    common: float = 0.0


@dataclass(frozen=True)
class Trained:
    """What a study asks of a trained model.

    Attributes
    ----------
    sample : function (n, seed) -> int8 array (n, L * L)
        Independent samples.
    log_likelihood : function (x, seed) -> Bits, or None
        None where the model has none.
    n_parameters : int
    seconds : float
        Of training.
    notes : list of str
        What the training or the samples have to say.
    """

    sample: Callable[[int, int], np.ndarray]
    log_likelihood: Callable[[np.ndarray, int], Bits] | None
    n_parameters: int
    seconds: float
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """What a learner is given: its task, configurations (n, L * L), epochs, a file for checkpoints
    and a device."""

    task: Task
    data: np.ndarray
    epochs: int
    checkpoint: Path
    device: str

    @property
    def resume(self) -> bool:
        """Whether an earlier process left a checkpoint."""
        return self.checkpoint.exists()

    @property
    def every(self) -> int:
        """Epochs between checkpoints: ten in a training."""
        return max(1, self.epochs // 10)
