"""A training run: minibatches, a gradient, an optimiser, and everything that must not get lost.

One epoch visits every configuration once, in an order addressed by (seed, epoch). Everything that
the next step depends on is in the shell, the optimiser, the schedule, the centring and the arrays
that the method carries; a checkpoint holds all of it, so that a run which is stopped and resumed
after any epoch equals one that was not, bit for bit (on one number of threads: matrix products
round differently on another).
"""

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from .. import _rng
from ..chains.progress import progress as progress_bar
from ..errors import InvalidInput, StoreError, TrainingDiverged, TrainingWarning
from . import checkpoint as store
from .centring import Centring
from .descent import Descent
from .history import History
from .method import Carried, Method
from .rbm import TrainableRBM
from .shell import Shell


class Watching(Protocol):
    """What is measured besides the gradient; `monitor.Watch` for energy models."""

    every: int
    """Measure after every so many epochs."""
    found: Any
    """What is wrong with the negative chains, or None."""

    def row(
        self, shell: Any, method: Method, carried: Carried, step: int, epoch: int, n_batches: int
    ) -> dict[str, float]:
        """Numbers by name, for `History`."""


class Run:
    """A training run between two epochs: what a checkpoint holds, and how to go on."""

    def __init__(
        self,
        shell: Shell,
        method: Method,
        descent: Descent,
        watch: Watching | None,
        x: np.ndarray,
        seed: int,
        order_seed: int,
        batch_size: int,
        criterion: str | None,
        falls: bool = False,
    ) -> None:
        self.shell: Any  # a Shell of the kind that the method trains
        self.shell, self.method, self.descent, self.watch = shell, method, descent, watch
        self.seed, self.order_seed, self.batch_size = seed, order_seed, batch_size
        self.criterion, self.falls = criterion, falls  # the best is the largest, or the smallest
        self.data = shell.tensor(x)
        self.carried: Carried = {}
        self.centring: Centring | None = None
        self.patience: int | None = None
        self.epoch, self.step = 0, 0
        self.history = History()
        self.best: dict[str, Any] = {"value": -math.inf, "epoch": 0, "parameters": descent.copy()}
        self.good = _Good(0, descent)
        # A method that never looks at a move needs no copy of what was before it.
        self.looks_back = type(method).stepped is not Method.stepped

    @property
    def n_batches(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.data) / self.batch_size)

    def until(
        self,
        epochs: int,
        target: Path | None,
        every: int,
        settings: dict[str, Any],
        wanted: bool | None,
    ) -> History:
        """Run epochs up to that number, or until something stops them."""
        stopped = "epochs"
        left = max(0, epochs - self.epoch)
        warned = False
        saved = self.epoch
        with progress_bar(left * self.n_batches, wanted, "training") as tick:
            try:
                while self.epoch < epochs:
                    if self.patience and self.epoch - self.best["epoch"] >= self.patience:
                        stopped = "early stopping"
                        break
                    self.one_epoch(tick)
                    if target is not None and self.epoch % every == 0:
                        store.write(target, self.tree(settings))
                        saved = self.epoch
                    if not warned and self.epoch < epochs and self._broken(twice=True):
                        warned = True
                        self._warn()
            except KeyboardInterrupt:
                stopped = "interrupted"
                if self.good.epoch == self.epoch:  # in the middle of the next one
                    self.good.put(self.descent)
        stale = saved < self.epoch or stopped == "early stopping"
        if target is not None and stale and stopped != "interrupted":
            store.write(target, self.tree(settings, stopped))
        if self._broken(twice=False):
            self._warn()
        best = None
        if self.patience and stopped != "interrupted" and self.best["epoch"]:
            self.descent.put(self.best["parameters"])
            best = self.best["epoch"]
        averages = self.descent.ema
        arrays = None
        if averages is not None:
            arrays = {name: value.cpu().numpy().copy() for name, value in averages.items()}
        return replace(self.history, stopped=stopped, best_epoch=best, ema=arrays)

    def one_epoch(self, tick: Any) -> None:
        """Visit every configuration once, then measure."""
        began = time.perf_counter()
        epoch = self.epoch + 1
        self.good = _Good(self.epoch, self.descent)
        row = _Means()
        learning_rate = self.descent.learning_rate
        order = self._order(epoch)
        for chosen in order.split(self.batch_size):
            trouble = self._one_step(self.data.index_select(0, chosen), row)
            if trouble is not None:
                self.good.put(self.descent)
                raise TrainingDiverged(
                    f"Training diverged in epoch {epoch}, step {self.step}: {trouble}. The shell "
                    f"has the parameters of the end of epoch {self.epoch} again. Take a smaller "
                    "learning rate, clip=, or weight_decay=.",
                    epoch, self.step, replace(self.history, stopped="diverged"),
                )  # fmt: skip
            tick()
        if self.descent.schedule is not None:
            self.descent.schedule.step()
        watched: dict[str, float] = {}
        if self.watch is not None and epoch % self.watch.every == 0:
            watched = self.watch.row(
                self.shell, self.method, self.carried, self.step, epoch, self.n_batches
            )
        found = watched | row.means() | {"learning_rate": learning_rate}
        found["seconds"] = time.perf_counter() - began
        self.history = self.history.appended(found)
        self.epoch = epoch
        if self.criterion is not None:
            value = found.get(self.criterion, math.nan) * (-1.0 if self.falls else 1.0)
            if value > self.best["value"]:
                self.best = {"value": value, "epoch": epoch, "parameters": self.descent.copy()}

    def _one_step(self, batch: torch.Tensor, row: "_Means") -> str | None:
        """One step; what went wrong, in words, or None."""
        descent, step = self.descent, self.step
        try:
            found = self.method.gradient(self.shell, batch, self.carried, self.seed, step)
        except InvalidInput as error:  # chains that left the finite numbers, for example
            return str(error)
        wrong = [name for name, value in found.info.items() if not math.isfinite(value)]
        if wrong:
            return f"{wrong[0]} is {found.info[wrong[0]]}"
        gradients = found.gradients
        if self.centring is not None and isinstance(self.shell, TrainableRBM):
            self.centring.follow(self.shell, batch)
            gradients = self.centring(gradients, descent.decay("weights"))
        before, optimizer = {}, None
        if self.looks_back:
            before, optimizer = descent.copy(), descent.optimizer_copy()
        try:
            moved = descent.step(gradients, decay=self.centring is None)
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            return f"the optimiser's step overflows ({error})"
        if not math.isfinite(moved.norm):
            return f"the norm of the gradient is {moved.norm}"
        trouble = descent.exploded()
        if trouble is not None:
            return trouble
        self.carried, kept = self.method.stepped(self.shell, before, found.carried, self.seed, step)
        if not kept and optimizer is not None:
            descent.put(before)
            descent.optimizer.load_state_dict(optimizer)
        else:
            descent.average()
        watched = {"gradient_norm": moved.norm}
        if descent.clip is not None:
            watched["clipped"] = float(moved.clipped)
        if self.looks_back:
            watched["rejected"] = float(not kept)
        row.add(found.info | watched)
        self.step += 1
        return None

    def _order(self, epoch: int) -> torch.Tensor:
        """The order in which an epoch visits the data: ranks of 64-bit words."""
        n = len(self.data)
        words = _rng.words(self.order_seed, np.zeros(1, np.uint32), epoch, _rng.MINIBATCH, 0, 2 * n)
        order = np.argsort(np.ascontiguousarray(words[0]).view(np.uint64), kind="stable")
        return torch.from_numpy(order).to(self.data.device)

    # --- what is remembered -----------------------------------------------------------------------

    def tree(self, settings: dict[str, Any], stopped: str = "epochs") -> dict[str, Any]:
        """All that the next epoch depends on, and how the run ended so far."""
        centring, schedule = self.centring, self.descent.schedule
        history = self.history
        return {
            "shell": self.shell.about,
            "settings": settings,
            "epoch": self.epoch,
            "step": self.step,
            "parameters": self.shell.state_dict(),
            "optimizer": self.descent.optimizer.state_dict(),
            "schedule": None if schedule is None else schedule.state_dict(),
            "ema": self.descent.ema,
            "best": self.best,
            "centring": None if centring is None else [centring.visible, centring.hidden],
            "carried": self.carried,
            "history": {
                "epoch": history.epoch,
                "series": dict(history.series),
                "stopped": stopped,
                "best_epoch": self.best["epoch"] or None if self.patience else None,
                "ema": self.descent.ema,
            },
        }

    def begin(self, x: np.ndarray, target: Path | None, settings: dict[str, Any]) -> None:
        """Take everything from the checkpoint if there is one, and start anew on x otherwise."""
        if target is not None and target.exists():
            self.restore(target, settings)
            return
        self.carried = self.method.init(self.shell, x, self.seed)
        if target is not None:
            store.write(target, self.tree(settings))  # refuses now what it could not hold later

    def restore(self, path: Path, settings: dict[str, Any]) -> None:
        """Take everything from a checkpoint of the same run; StoreError for another."""
        tree = store.read(path)
        given = tree.get("settings")
        if not isinstance(given, dict):
            raise StoreError(f"{path} is damaged: it has no settings.")
        store.check_shell(path, tree, self.shell)
        for name, value in settings.items():
            if given.get(name) != value:
                raise StoreError(
                    f"{path} is the checkpoint of another run: its {name} is {given.get(name)!r}, "
                    f"here {value!r}. Give what was given then, or choose another path."
                )
        # What it must look like, from the shell that was given: no trained one need start anew.
        x: np.ndarray = self.data.cpu().numpy().astype(self.shell.space.dtype)
        fresh = self.method.init(self.shell, x, self.seed)
        history = store.put_shell(path, tree, self.shell)
        device = self.shell.device

        def tensors(values: Any, own: Mapping[str, Any]) -> dict[str, torch.Tensor]:
            values = store.like(values, own)
            return {n: torch.from_numpy(v).to(device) for n, v in values.items()}

        try:
            self.epoch, self.step = int(tree["epoch"]), int(tree["step"])
            if self.step != self.epoch * self.n_batches:
                raise ValueError(f"{self.step} steps in {self.epoch} epochs")
            self.history = replace(history, stopped="epochs", best_epoch=None, ema=None)
            store.check_finite(tree["optimizer"], "optimizer")
            self.descent.optimizer.load_state_dict(_as_tensors(tree["optimizer"]))
            if self.descent.schedule is not None:
                self.descent.schedule.load_state_dict(_as_tensors(tree["schedule"]))
            if self.descent.ema is not None:
                self.descent.ema = tensors(tree["ema"], self.descent.parameters)
            best = tree["best"]
            self.best = {
                "value": float(best["value"]),
                "epoch": int(best["epoch"]),
                "parameters": tensors(best["parameters"], self.descent.moving),
            }
            if self.centring is not None:
                visible, hidden = (torch.from_numpy(v).to(device) for v in tree["centring"])
                here = self.centring.visible, self.centring.hidden
                if (visible.shape, hidden.shape) != tuple(offset.shape for offset in here):
                    raise ValueError("offsets of another shape")
                store.check_finite(tree["centring"], "centring")
                self.centring.visible, self.centring.hidden = visible, hidden
            self.carried = store.carried_like(
                tree["carried"], fresh, self.method.n_levels_vary, self.shell
            )
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            self.good.put(self.descent)
            raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}.") from error

    # --- warnings ---------------------------------------------------------------------------------

    def _broken(self, twice: bool) -> bool:
        """Whether chains were out of equilibrium when they were last probed (and before that)."""
        if "out_of_equilibrium" not in self.history:
            return False
        flags = self.history["out_of_equilibrium"]
        measured = flags[~np.isnan(flags)]
        wanted = 2 if twice else 1
        return len(measured) >= wanted and bool((measured[-wanted:] == 1.0).all())

    def _warn(self) -> None:
        found = self.watch.found if self.watch is not None else None
        if found is None:
            return
        warnings.warn(
            f"The negative chains of {self.method!r} are out of equilibrium at epoch {self.epoch}: "
            f"{found}. The model then learns their dynamics and not the data. Take more sweeps a "
            "step (k), a smaller learning rate, or TemperedPCD.",
            TrainingWarning,
            stacklevel=4,
        )


class _Good:
    """The parameters, and their running means, at the end of an epoch."""

    def __init__(self, epoch: int, descent: Descent) -> None:
        self.epoch, self.parameters = epoch, descent.copy()
        averages = descent.ema
        self.ema = None if averages is None else {n: v.clone() for n, v in averages.items()}

    def put(self, descent: Descent) -> None:
        """Have them back."""
        descent.put(self.parameters)
        descent.ema = self.ema


class _Means:
    """Means over the steps of an epoch, by name."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def _as_tensors(tree: Any) -> Any:
    """Arrays of a state that was read, as tensors again."""
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree)
    if isinstance(tree, dict):
        return {key: _as_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_as_tensors(value) for value in tree)
    return tree
