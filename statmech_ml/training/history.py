"""`History`: what a training run measured, epoch by epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInput
from ..statistics.estimate import with_error

if TYPE_CHECKING:
    from .shell import Trainable


@dataclass(frozen=True)
class History:
    """Series of a training run, float64 (epoch,), NaN where nothing was measured.

    ``history["log_likelihood"]`` is a series; `last` gives the latest number with its error. Names,
    where they apply:

    ===============================  ==============================================================
    log_likelihood                   mean log p(x) over the data, nats a configuration
    log_z, log_z_ok                  log Z behind it, and 1 where its error can be trusted
    pseudo_likelihood                mean of sum_i log p(x_i | x_-i), nats a configuration
    validation_log_likelihood, validation_pseudo_likelihood
    energy_data, energy_model        mean F in both phases, averaged over the steps of the epoch
    gradient_norm                    mean norm of the gradient, before clipping
    clipped, rejected                parts of the steps that were clipped, and put back
    learning_rate                    of the epoch
    mixing_time                      tau_int of the negative chains, in sweeps; a lower bound where
                                     its error is infinite, NaN where no chain moves
    drift, drift_z                   change of F in chains left alone (`training.equilibrium`)
    out_of_equilibrium               1 where the negative chains are, NaN where there is but one
                                     chain, which cannot be probed
    ess                              effective number of draws of the model in the epoch, or of
                                     weighted walkers; NaN where mixing_time is a bound
    seconds                          spent in the epoch, measurements included
    ===============================  ==============================================================

    and what else the method, or a generative model, reports. ``<name>_error`` is the standard error
    where a number has one (log Z from a finite run, or a part of the configurations); a number
    without is exact.

    Attributes
    ----------
    epoch : int64 array (epoch,)
        1, 2, ...
    series : mapping of float64 arrays (epoch,)
    stopped : str
        "epochs" done, "early stopping", "interrupted", or "diverged".
    best_epoch : int or None
        With early stopping, the epoch whose parameters the shell holds.
    ema : mapping of arrays, or None
        Running means of the parameters by name; `use_ema` puts them into a shell.
    """

    epoch: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    series: Mapping[str, np.ndarray] = field(default_factory=dict)
    stopped: str = "epochs"
    best_epoch: int | None = None
    ema: Mapping[str, np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.series:
            raise InvalidInput(
                f"The history has no series {name!r}. It has {', '.join(sorted(self.series))}."
            )
        return self.series[name]

    def __contains__(self, name: str) -> bool:
        return name in self.series

    def __len__(self) -> int:
        return len(self.epoch)

    def appended(self, row: Mapping[str, float]) -> "History":
        """This history with one epoch more."""
        n = len(self)
        series = {}
        for name in (*self.series, *(key for key in row if key not in self.series)):
            before = self.series.get(name, np.full(n, np.nan))
            series[name] = np.append(before, float(row.get(name, np.nan)))
        return replace(self, epoch=np.arange(1, n + 2), series=series)

    def last(self, name: str) -> tuple[float, float]:
        """The latest number measured, and its error (0 for exact ones)."""
        values = self[name]
        measured = np.flatnonzero(~np.isnan(values))
        if not len(measured):
            return float("nan"), float("nan")
        errors = self.series.get(f"{name}_error", np.zeros(len(values)))
        return float(values[measured[-1]]), float(
            np.nan_to_num(errors[measured[-1]], posinf=np.inf)
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All series by name, "epoch" among them; copies."""
        return {"epoch": self.epoch.copy()} | {k: v.copy() for k, v in self.series.items()}

    def use_ema(self, shell: "Trainable") -> None:
        """Give a shell the running means of the parameters.

        Raises InvalidInput when `train` was not asked for them (ema=), or for another shell.
        """
        import torch

        if self.ema is None:
            raise InvalidInput("No running means were kept. Train with ema=, e.g. ema=0.999.")
        parameters = dict(shell.named_parameters())
        fits = {name: tuple(value.shape) for name, value in self.ema.items()}
        if any(n not in parameters or tuple(parameters[n].shape) != fits[n] for n in fits):
            raise InvalidInput(f"The running means {fits} are not those of this shell: {shell!r}.")
        with torch.no_grad():
            for name, value in self.ema.items():
                parameters[name].copy_(torch.from_numpy(np.array(value)))

    def plot(self, path: Any = None) -> Any:
        """Draw likelihoods, energies, gradient norm and mixing time against the epoch.

        Returns the matplotlib figure; saves it if a path is given.
        """
        from ._history_figure import draw

        figure = draw(self)
        if path is not None:
            figure.savefig(path)
        return figure

    def __repr__(self) -> str:
        if not len(self):
            return f"History(no epoch, stopped: {self.stopped})"
        kept = "" if self.best_epoch is None else f", parameters of epoch {self.best_epoch}"
        lines = [f"History({len(self)} epochs, stopped: {self.stopped}{kept})"]
        for name in self.series:
            if name == "out_of_equilibrium" and np.isnan(self.series[name]).all():
                lines.append(f"  {name:28} not probed: a single negative chain")
            elif not name.endswith("_error"):
                value, error = self.last(name)
                lines.append(f"  {name:28} {with_error(value, error) if error else f'{value:.6g}'}")
        return "\n".join(lines)
