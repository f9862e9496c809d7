"""Jarzynski-weighted walkers: a negative phase without bias, with log Z as a by-product.

Persistent chains lag behind a model that moves. Walkers that carry the work of every parameter step
do not: at each step from theta to theta'

    log w += u_theta(x) - u_theta'(x),    then k sweeps that leave exp(-u_theta') invariant,

in this order, and at all times

    <A>_theta = sum w A / sum w,    Z_theta = Z_0 <w>:

Jarzynski's equality along the training path, from independent units, whose Z_0 is exact and whose
draws are too (the initial interactions are switched on in the same way). Populations whose weights
have become uneven are resampled, and their log <w> is booked.

The equality holds for a path that does not look at the walkers. A gradient does: a step away from
what the walkers happen to hold costs them work, and log Z of walkers that drove the steps is low by

    learning rate x sum_i var(dF/dtheta_i) / (number of walkers)    per step,

which adds up. So log Z is read from *witnesses*, as many walkers that go along and never enter the
gradient; theirs is unbiased at any number. They are split into populations that never mix, whose
scatter is the error.

D. Carbone, M. Hua, S. Coste and E. Vanden-Eijnden, NeurIPS (2023), arXiv:2305.19414, algorithm 1;
C. Jarzynski, Phys. Rev. Lett. 78, 2690 (1997), doi:10.1103/PhysRevLett.78.2690; resampling:
`partition._resampling`. A step costs k sweeps and two energies of all walkers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp
from torch import Tensor

from .. import _rng
from ..errors import InvalidInput
from ..partition import LogZ
from ..partition._resampling import systematic
from ..partition._weights import disagree, log_mean, widening
from ..partition.logz import EXACT, OK, POPULATIONS_DISAGREE, judge
from ..samplers import State
from ._arguments import check_at_least
from ._independent import check_start, independent, scaled
from .contrastive import contrast
from .method import Carried, Method, Step
from .shell import Trainable

_FEWEST = 4  # populations that have a variance of z-scores


@dataclass(frozen=True)
class JarzynskiPCD(Method):
    """PCD-k with weighted walkers, and an unbiased log Z.

    Parameters
    ----------
    k : int, default 1
        Sweeps after each parameter step.
    n_chains : int, default 256
        Walkers that enter the gradient.
    n_witnesses : int, default 256
        Walkers that log Z is read from, a multiple of n_populations; 0 does without log Z.
    n_populations : int, default 16
        Parts of the witnesses, at least 4; their scatter is the error of log Z.
    resample_below : float, default 0.5
        A population is resampled when its effective number of walkers is below this part of it; 0
        never does.
    start_levels : int, default 20
        Steps in which the initial interactions are switched on. Small initial weights need few, a
        trained model as many as `ais` would take.

    Raises InvalidInput for settings that cannot work.

    Notes
    -----
    Watched at each step: "ess", the effective number of walkers behind the gradient.

    >>> JarzynskiPCD(n_chains=100, n_witnesses=160).n_populations
    16
    """

    k: int = 1
    n_chains: int = 256
    n_witnesses: int = 256
    n_populations: int = 16
    resample_below: float = 0.5
    start_levels: int = 20

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1, "sweeps")
        check_at_least("n_chains", self.n_chains, 2, "walkers")
        check_at_least("n_witnesses", self.n_witnesses, 0, "walkers")
        check_at_least("n_populations", self.n_populations, _FEWEST, "populations")
        check_at_least("start_levels", self.start_levels, 1, "steps")
        few = 0 < self.n_witnesses < 2 * self.n_populations
        if self.n_witnesses % self.n_populations or few:
            raise InvalidInput(
                f"n_witnesses={self.n_witnesses} cannot be split into n_populations="
                f"{self.n_populations} equal parts of at least 2. Give a multiple."
            )
        number = isinstance(self.resample_below, int | float | np.number)
        if not number or not 0.0 <= self.resample_below <= 1.0:
            raise InvalidInput(
                f"resample_below={self.resample_below!r} must be a number from 0 to 1: the part of "
                "the walkers that must count."
            )

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability unless the shell's sampler takes its model, and InvalidInput
        unless it leaves its law invariant and the model without interactions has a known log Z."""
        check_start(shell, type(self).__name__)

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """Walkers of the initial model, with weights.

        "x" (walker, size), gradient walkers first; "log_weights", "energy" (walker,): u(x) at the
        parameters of the last step; "log_z" (1 + n_populations,): what each population has booked;
        "sweep".
        """
        start = independent(shell, self.n_chains + self.n_witnesses, _stream(seed))
        n_parts = 1 + (self.n_populations if self.n_witnesses else 0)
        carried = {
            "x": start.x,
            "log_weights": np.zeros(len(start.x)),
            "energy": np.asarray(scaled(shell, 0.0).freeze().reduced_energy(start.x, 1.0)),
            "log_z": np.full(n_parts, start.log_z),
            "sweep": np.array(0),
        }
        for level in range(1, self.start_levels + 1):
            model = scaled(shell, level / self.start_levels).freeze()
            carried = self._walked(model, shell, carried, _stream(seed))
        return carried | {"sweep": np.array(0)}

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the weighted phase of the walkers."""
        share = _shares(carried["log_weights"][: self.n_chains])
        x = shell.tensor(carried["x"][: self.n_chains])
        gradients, info = contrast(shell, batch, x, shell.tensor(share))
        return Step(gradients, carried, info | {"ess": 1.0 / float((share**2).sum())})

    def stepped(
        self, shell: Trainable, before: dict[str, Tensor], carried: Carried, seed: int, step: int
    ) -> tuple[Carried, bool]:
        """Weigh, resample where weights have become uneven, then move."""
        return self._walked(shell.freeze(), shell, carried, seed), True

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray | None:
        """The gradient walkers, resampled to equal weights."""
        share = _shares(carried["log_weights"][: self.n_chains])
        return np.asarray(carried["x"][systematic(share, 0.5)])

    def log_z(self, shell: Trainable, carried: Carried) -> LogZ | None:
        """log Z of the present parameters from the witnesses, with the error of their populations.

        None without witnesses. Exact before the first step where there are no interactions. The
        status is "populations disagree" where their log Z scatter by more than half a nat or less
        than half of them carry Z, "low ess" below 50 effective witnesses.
        """
        if not self.n_witnesses:
            return None
        log_w = carried["log_weights"][self.n_chains :].reshape(self.n_populations, -1)
        booked = carried["log_z"][1:]
        if not log_w.any() and not np.ptp(booked):
            return LogZ(float(booked[0]), 0.0, method="jarzynski", status=EXACT)
        of_each = booked + logsumexp(log_w, axis=1) - math.log(log_w.shape[1])
        found = log_mean(of_each)
        share = _shares((booked[:, None] + log_w).ravel())
        ess = 1.0 / float((share**2).sum())
        status = judge(ess=ess)
        if status == OK and disagree(of_each):
            status = POPULATIONS_DISAGREE
        return LogZ(
            found.value,
            widening(self.n_populations) * found.stderr,
            method="jarzynski",
            status=status,
            diagnostics={
                "ess": ess,
                "n_chains": self.n_witnesses,
                "log_z_populations": of_each,
            },
        )

    def _walked(self, model: Any, shell: Trainable, carried: Carried, seed: int) -> Carried:
        """The walkers after the parameters became those of `model`."""
        x, sweep = carried["x"], int(carried["sweep"])
        # First the work of the step, at the configurations that belong to the old parameters.
        log_w = carried["log_weights"] + carried["energy"] - model.reduced_energy(x, 1.0)
        x, log_w, log_z = self._resampled(x, log_w, carried["log_z"], seed, sweep)
        state = State(x, seed, np.arange(len(x), dtype=np.uint32), sweep)
        state, _ = shell.sampler().advance(model, state, np.ones(len(x)), self.k)
        return {
            "x": state.x,
            "log_weights": log_w,
            "energy": np.asarray(model.reduced_energy(state.x, 1.0)),
            "log_z": log_z,
            "sweep": np.array(state.sweep),
        }

    def _resampled(
        self, x: np.ndarray, log_w: np.ndarray, log_z: np.ndarray, seed: int, sweep: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Populations with uneven weights drawn anew, and the log of their mean weight booked."""
        parents, log_w, log_z = np.arange(len(x)), log_w.copy(), log_z.copy()
        edges = np.linspace(self.n_chains, len(x), len(log_z)).astype(int)
        edges = np.concatenate([[0], edges])
        uniform = _rng.units(
            seed, np.arange(len(log_z), dtype=np.uint32), sweep, _rng.RESAMPLING, 0
        )
        for part in range(len(log_z)):
            here = slice(edges[part], edges[part + 1])
            share = _shares(log_w[here])
            if 1.0 / float((share**2).sum()) >= self.resample_below * len(share):
                continue
            parents[here] = edges[part] + systematic(share, float(uniform[part]))
            log_z[part] += logsumexp(log_w[here]) - math.log(len(share))
            log_w[here] = 0.0
        return x[parents], log_w, log_z


def _shares(log_w: np.ndarray) -> np.ndarray:
    """Weights that add up to 1."""
    return np.asarray(np.exp(log_w - logsumexp(log_w)))


def _stream(seed: int) -> int:
    """A stream for what happens before the first step."""
    return int(np.random.SeedSequence([seed, _rng.REFERENCE]).generate_state(1, np.uint64)[0])
