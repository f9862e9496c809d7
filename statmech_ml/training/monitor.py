"""What `train` measures while it trains, and how: likelihoods, pseudo-likelihoods, equilibrium."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput, StatmechError
from ..spaces import Discrete
from ._arguments import check_at_least
from .equilibrium import Equilibrium, principal_axis, probe
from .method import Carried, Method
from .pseudo_likelihood import pseudo_log_likelihood
from .shell import Trainable

EXACT_STATES = 2**16
"""Most states that are summed for log Z at every monitored epoch: smaller layers of 16 bits."""
_ROWS = 4096  # configurations whose F is computed at a time


@dataclass(frozen=True)
class Monitor:
    """Settings of the measurements of a training run.

    Parameters
    ----------
    every : int, default 1
        Measure after every so many epochs.
    log_likelihood : "auto", "exact", "ais" or None, default "auto"
        Where log Z comes from. "auto": the exact sum over the smaller layer up to 2^16 states, else
        what the method knows of it, else annealed importance sampling where the shell has a path.
    pseudo_likelihood : bool, default True
        Of discrete units only.
    equilibrium : bool, default True
        Whether copies of the negative chains go on for a while at fixed parameters, which gives the
        mixing time, and the warning when they are out of equilibrium (`training.equilibrium`). A
        single chain cannot be probed: "out_of_equilibrium" is then NaN, and the history says so.
    samples : int, default 10_000
        Configurations, of the data and of the validation data, whose mean F is taken; chosen at
        random, the same at every epoch, where there are more.
    pseudo_samples : int, default 200
        The same for pseudo-likelihoods, which cost n_visible times as much.
    ais_levels, ais_chains : int, default 200 and 100
        Of annealed importance sampling.
    probe_sweeps, probe_chains : int, default 50 and 200
        How long how many copies of the negative chains go on, at most.
    """

    every: int = 1
    log_likelihood: Literal["auto", "exact", "ais"] | None = "auto"
    pseudo_likelihood: bool = True
    equilibrium: bool = True
    samples: int = 10_000
    pseudo_samples: int = 200
    ais_levels: int = 200
    ais_chains: int = 100
    probe_sweeps: int = 50
    probe_chains: int = 200

    def __post_init__(self) -> None:
        for name, least, what in (
            ("every", 1, "epochs"),
            ("samples", 1, "configurations"),
            ("pseudo_samples", 1, "configurations"),
            ("ais_levels", 1, "levels"),
            ("ais_chains", 2, "chains"),
            ("probe_sweeps", 2, "sweeps"),
            ("probe_chains", 2, "chains"),
        ):
            check_at_least(name, getattr(self, name), least, what)
        if self.log_likelihood not in ("auto", "exact", "ais", None):
            raise InvalidInput(
                f"log_likelihood={self.log_likelihood!r} must be 'auto', 'exact', 'ais' or None."
            )


class Watch:
    """The measurements of one run."""

    def __init__(
        self,
        settings: Monitor,
        shell: Trainable,
        data: np.ndarray,
        validation: np.ndarray | None,
        seed: int,
    ) -> None:
        self.settings, self.seed, self.every = settings, seed, settings.every
        self._check(shell)
        parts = {"": data} | ({} if validation is None else {"validation_": validation})
        self.samples = {
            prefix: _chosen(shell, x, settings.samples, seed) for prefix, x in parts.items()
        }
        self.pseudo_samples = {
            prefix: _chosen(shell, x, settings.pseudo_samples, seed) for prefix, x in parts.items()
        }
        self.start = data[_order(len(data), seed)[: settings.probe_chains]]
        self.axis = principal_axis(shell, self.start) if settings.equilibrium else None
        self.found: Equilibrium | None = None

    def row(
        self,
        shell: Trainable,
        method: Method,
        carried: Carried,
        step: int,
        epoch: int,
        n_steps: int,
    ) -> dict[str, float]:
        """What is measured at the end of an epoch of n_steps, by the names of `History`."""
        found: dict[str, float] = {}
        if self.settings.log_likelihood is not None:
            found |= self._likelihoods(shell, method, carried, epoch)
        if self.settings.pseudo_likelihood and isinstance(shell.space, Discrete):
            for prefix, (x, part) in self.pseudo_samples.items():
                values = pseudo_log_likelihood(shell, x)
                mean, error = _mean(values, part)
                found[f"{prefix}pseudo_likelihood"] = mean
                if error:
                    found[f"{prefix}pseudo_likelihood_error"] = error
        if self.axis is not None:
            found |= self._equilibrium(shell, method, carried, step, epoch, n_steps)
        return found

    def _check(self, shell: Trainable) -> None:
        wanted = self.settings.log_likelihood
        if wanted == "exact" and shell.log_z_exact(EXACT_STATES) is None:
            raise InvalidInput(
                f"log_likelihood='exact', but {shell!r} has no sum of at most {EXACT_STATES} "
                "states. Use 'auto' or 'ais', or exact sums after training."
            )
        if wanted == "ais" and shell.path() is None:
            raise InvalidInput(
                f"log_likelihood='ais', but {shell!r} has no path to anneal along. Use 'auto' or "
                "None."
            )

    def _likelihoods(
        self, shell: Trainable, method: Method, carried: Carried, epoch: int
    ) -> dict[str, float]:
        log_z = self._log_z(shell, method, carried, epoch)
        if log_z is None:
            return {}
        value, z_error, ok = log_z
        found = {"log_z": value, "log_z_ok": float(ok)}
        if z_error:
            found["log_z_error"] = z_error
        for prefix, (x, part) in self.samples.items():
            with torch.no_grad():
                energy = torch.cat([shell.free_energy(rows) for rows in x.split(_ROWS)])
            mean, error = _mean(energy, part)
            found[f"{prefix}log_likelihood"] = -mean - value
            if z_error or error:
                found[f"{prefix}log_likelihood_error"] = math.hypot(z_error, error)
        return found

    def _log_z(
        self, shell: Trainable, method: Method, carried: Carried, epoch: int
    ) -> tuple[float, float, bool] | None:
        """log Z, its error, and whether that can be trusted."""
        wanted = self.settings.log_likelihood
        if wanted in ("auto", "exact"):
            exact = shell.log_z_exact(EXACT_STATES)
            if exact is not None:
                return exact, 0.0, True
        by_product = method.log_z(shell, carried) if wanted == "auto" else None
        if by_product is not None:
            return by_product.value, by_product.stderr, by_product.ok
        path = shell.path()
        if path is None:
            return None
        from ..partition import ais

        settings = self.settings
        seed = _address(self.seed, epoch, 0)
        try:
            found = ais(path, settings.ais_levels, settings.ais_chains, rng=seed, progress=False)
        except StatmechError:  # every weight zero: nothing is known, and training goes on
            return math.nan, math.inf, False
        return found.value, found.stderr, found.ok

    def _equilibrium(
        self,
        shell: Trainable,
        method: Method,
        carried: Carried,
        step: int,
        epoch: int,
        n_steps: int,
    ) -> dict[str, float]:
        seed = _address(self.seed, epoch, 1)
        x = method.negatives(shell, self.start, carried, seed, step)
        if x is None or self.axis is None:
            return {}
        if len(x) < 2:  # one chain has no other to be compared with; say so
            return {"mixing_time": math.nan, "out_of_equilibrium": math.nan}
        n_chains = len(x)
        x = x[: self.settings.probe_chains]
        self.found = probe(
            shell, x, self.axis, self.settings.probe_sweeps, method.sweeps(step), seed
        )
        effective = {}
        sweeps = method.sweeps(step) - method.sweeps(step - 1) if step else 0.0
        if 0.0 < sweeps < math.inf:  # chains that go on: their draws are correlated
            tau = max(0.5, self.found.mixing_time / sweeps)
            # A lower bound of tau is no measurement, nor is what would follow from it.
            known = math.isfinite(self.found.mixing_time_error)
            effective["ess"] = n_chains * n_steps / (2.0 * tau) if known else math.nan
        return effective | {
            "mixing_time": self.found.mixing_time,
            "mixing_time_error": self.found.mixing_time_error,
            "drift": self.found.drift,
            "drift_z": self.found.drift_z,
            "out_of_equilibrium": float(self.found.broken),
        }


def _chosen(shell: Trainable, x: np.ndarray, most: int, seed: int) -> tuple[Tensor, float]:
    """At most so many configurations, and which part of all they are."""
    if len(x) <= most:
        return shell.tensor(x), 1.0
    return shell.tensor(x[np.sort(_order(len(x), seed)[:most])]), most / len(x)


def _order(n: int, seed: int) -> np.ndarray:
    """0 .. n-1 in an order that depends on the seed."""
    return np.random.default_rng(_address(seed, 0, 2)).permutation(n)


def _address(seed: int, epoch: int, purpose: int) -> int:
    sequence = np.random.SeedSequence([seed, epoch, purpose])
    return int(sequence.generate_state(1, np.uint64)[0])


def _mean(values: Tensor, part: float) -> tuple[float, float]:
    """Mean in double precision, and its error as that of a part of a finite population."""
    numbers = values.double()
    if part == 1.0 or len(numbers) < 2:
        return float(numbers.mean()), 0.0
    error = float(numbers.std()) * math.sqrt((1.0 - part) / len(numbers))
    return float(numbers.mean()), error
