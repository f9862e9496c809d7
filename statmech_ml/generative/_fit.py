"""`fit`: the loop of `training.run` over the losses of a `GenerativeModel`."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from .. import _rng
from ..errors import InvalidInput
from ..training import History, Method, Step
from ..training import checkpoint as store
from ..training._arguments import check_at_least
from ..training.descent import Descent, OptimizerMaker, ScheduleMaker
from ..training.method import Carried
from ..training.run import Run

_ROWS = 4096  # validation configurations at a time


@dataclass(frozen=True)
class OwnLoss(Method):
    """The gradient of what the model says it minimises."""

    def check(self, shell: Any, data: np.ndarray) -> None:
        """Nothing: `fit` has checked."""

    def gradient(self, shell: Any, batch: Tensor, carried: Carried, seed: int, step: int) -> Step:
        """Gradients for a batch of rows [x, condition]."""
        x, condition = _parts(shell, batch)
        shell.train()
        with torch.enable_grad(), _own_dropout(shell, seed, step):
            gradients, losses = shell.gradients(x, condition, _generator(shell, seed, step), step)
        return Step(gradients, {}, {name: float(value.detach()) for name, value in losses.items()})


class Validation:
    """The losses of validation data, at each epoch with the same noise."""

    every = 1
    found = None

    def __init__(self, rows: Tensor, seed: int) -> None:
        self.rows, self.seed = rows, seed

    def row(
        self,
        shell: Any,
        method: Method,
        carried: Carried,
        step: int,
        epoch: int,
        n_batches: int,
    ) -> dict[str, float]:
        """Losses by name, means over the configurations."""
        shell.eval()
        sums: dict[str, float] = {}
        for number, rows in enumerate(self.rows.split(_ROWS)):
            x, condition = _parts(shell, rows)
            with torch.no_grad():
                losses = shell.losses(x, condition, _generator(shell, self.seed, number))
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows) / len(self.rows)
        return {f"validation_{name}": value for name, value in sums.items()}


def fit(
    model: Any,
    data: Any,
    *,
    epochs: int,
    rng: Any,
    condition: Any,
    batch_size: int,
    learning_rate: float,
    optimizer: OptimizerMaker | None,
    schedule: ScheduleMaker | None,
    weight_decay: float,
    clip: float | None,
    ema: float | None,
    validation_data: Any,
    validation_condition: Any,
    early_stopping: int | None,
    checkpoint: Any,
    checkpoint_every: int,
    resume: bool,
    progress: bool | None,
) -> History:
    """See `GenerativeModel.fit`."""
    for name, value, least, what in (
        ("epochs", epochs, 0, "epochs"),
        ("batch_size", batch_size, 1, "configurations"),
        ("checkpoint_every", checkpoint_every, 1, "epochs"),
    ):
        check_at_least(name, value, least, what)
    rows = _rows(model, data, condition, "")
    if batch_size > len(rows):
        raise InvalidInput(
            f"batch_size={batch_size}, but the data are {len(rows)} configurations. Take at most "
            f"batch_size={len(rows)}."
        )
    if min(batch_size, len(rows) % batch_size or batch_size) == 1:
        _check_batches_of_one(model, len(rows), batch_size)
    held_out = None
    if validation_data is not None:
        held_out = _rows(model, validation_data, validation_condition, "validation_")
    elif validation_condition is not None:
        raise InvalidInput("validation_condition= was given without validation_data=.")
    if early_stopping is not None:
        check_at_least("early_stopping", early_stopping, 1, "epochs")
        model.check_early_stopping()
        if held_out is None:
            raise InvalidInput(
                "early_stopping= needs validation_data=: the loss of the data that are trained on "
                "goes on falling when the model overfits."
            )
    target = store.target_of(checkpoint, resume)
    seeds = np.random.SeedSequence(_rng.seed_from(rng)).generate_state(3, np.uint64)
    seed, order_seed, watch_seed = (int(s) for s in seeds)
    if optimizer is None:
        _check_rate(learning_rate)
        optimizer = model.optimizer(float(learning_rate))
    descent = Descent(model, optimizer, None, schedule, weight_decay, clip, ema)
    if target is not None:
        descent.check_comparable()
    watch = None if held_out is None else Validation(model.tensor(held_out), watch_seed)
    criterion = None if early_stopping is None else "validation_loss"
    settings = {
        "seed": seed,
        "data": store.digest_of(rows),
        "batch_size": int(batch_size),
        **descent.settings,
        "validation_data": None if held_out is None else store.digest_of(held_out),
        "early_stopping": early_stopping,
    }
    run = Run(
        model, OwnLoss(), descent, watch, rows, seed, order_seed, int(batch_size), criterion,
        falls=True,
    )  # fmt: skip
    run.patience = early_stopping
    run.begin(rows, target, settings)
    try:
        return run.until(epochs, target, checkpoint_every, settings, progress)
    finally:
        model.eval()


def _rows(model: Any, data: Any, condition: Any, prefix: str) -> np.ndarray:
    """Rows [x, condition] of data."""
    x = model.checked(data, f"{prefix}data")
    conditions = model.checked_conditions(condition, len(x), f"{prefix}condition")
    return x if conditions is None else np.concatenate([x, conditions], axis=1)


def _parts(model: Any, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """x and condition of rows."""
    size = model.space.size
    return rows[:, :size], rows[:, size:] if model.n_conditions else None


def _generator(model: Any, seed: int, step: int) -> torch.Generator:
    """The random numbers of one training step."""
    word = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator(model.device).manual_seed(int(word) % 2**63)


@contextmanager
def _own_dropout(model: Any, seed: int, step: int) -> Iterator[None]:
    """Dropout layers of the user's networks draw from torch's global state: lend them one of their
    own, and put the caller's back."""
    if not any(isinstance(part, _DropoutNd) for part in model.modules()):
        yield
        return
    devices = [] if model.device.type == "cpu" else [model.device]
    with torch.random.fork_rng(devices):
        word = int(np.random.SeedSequence([seed, step, 1]).generate_state(1, np.uint64)[0])
        torch.default_generator.manual_seed(word % 2**63)
        for device in devices:
            torch.cuda.default_generators[device.index or 0].manual_seed(word % 2**63)
        yield


def _check_batches_of_one(model: Any, n: int, batch_size: int) -> None:
    """Refuse them where a network normalises over the batch: one number has no variance."""
    if any(isinstance(part, nn.BatchNorm1d) for part in model.modules()):
        raise InvalidInput(
            f"batch_size={batch_size} leaves a batch of one of the {n} configurations, and the "
            "BatchNorm1d of this model has no variance of one. Take another batch_size, or "
            "LayerNorm."
        )


def _check_rate(rate: Any) -> None:
    number = isinstance(rate, int | float | np.integer | np.floating)
    if not number or isinstance(rate, bool) or not 0.0 < rate < math.inf:
        raise InvalidInput(f"learning_rate={rate!r} must be a number above 0.")
