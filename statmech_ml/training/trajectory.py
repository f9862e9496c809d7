"""Trajectory tempering: negative chains exchange with models saved along the training.

What makes a trained model slow is what training put there, one transition after another, so its own
past is the ladder to temper it on. Level 0 is the initial model without interactions (log Z exact,
and one sweep of its independent units is a fresh draw), the next levels are checkpoints of the
parameters, the last is the model being trained. Neighbours exchange configurations with probability

    min(1, exp(D)),    D = [u_k(x_k) + u_k+1(x_k+1)] - [u_k(x_k+1) + u_k+1(x_k)],

u_k the reduced energy of level k. When a parameter step takes the mean acceptance between model and
last checkpoint below a threshold, the parameters before the step become a checkpoint; and when even
those would not swap with the model after the step, the step is rejected.

Neighbouring checkpoints keep their log Z ratio under observation for the rest of the training:

    log Z_k+1 / Z_k = log sum f(w_F - C) / sum f(w_R + C) - C,    f(t) = 1 / (1 + e^t),

(Bennett 1976, doi:10.1016/0021-9991(76)90078-4), w_F = u_k+1 - u_k on samples of k, w_R = -w_F on
samples of k + 1, sums over all steps since, C fixed at the first estimate of -log Z_k+1 / Z_k (any
C is consistent, and that one nearly the best). log Z is read from ladders of *witnesses* that never
enter the gradient: chains that drove the steps hold what the model has just been moved away from
(`jarzynski` has the size of that bias). Ladders are independent of one another, so their
influences, added up over the pairs, give the error of the total.

N. Bereux, A. Decelle, C. Furtlehner, L. Rosset and B. Seoane (2024), arXiv:2405.15376. A step costs
k sweeps and three energies of the chains of every level: levels only grow in number where swaps ask
for them, but then all of them cost.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit
from torch import Tensor

from .. import _rng
from ..errors import InvalidInput, StatmechError
from ..partition import LogZ
from ..partition._influence import stderr
from ..partition.bar import _solve
from ..partition.logz import EXACT, LOW_OVERLAP, judge
from ..samplers import State
from ._arguments import check_at_least
from ._independent import check_start, independent, parameters_of, scaled, with_parameters
from .contrastive import contrast
from .method import Carried, Method, Step
from .shell import Trainable

_SAVED = "level."
"""Prefix of the saved parameters in what is carried: (checkpoint, *shape) each."""
_SETTLE = 5  # sweeps at each step of the way to the initial parameters
_FINEST = 2.0**-10  # of that way


@dataclass(frozen=True)
class TrajectoryTempering(Method):
    """PCD-k with replica exchange along the training trajectory, and log Z by BAR.

    Parameters
    ----------
    k : int, default 1
        Sweeps of every level after each step, before its swaps (even and odd pairs in turn).
    n_chains : int, default 100
        Chains of each level that enter the gradient, at least 4; chain r of all levels is one
        ladder.
    n_witnesses : int, default 100
        Ladders that log Z is read from, at least 4; 0 does without log Z.
    acceptance : float, default 0.3
        A checkpoint is saved when swaps between the last one and the model are accepted less often
        than this on average, and a step is rejected when swaps of the parameters before and after
        it would be.

    Raises InvalidInput for settings that cannot work.

    Notes
    -----
    Watched at each step: "swap_acceptance", the mean over all pairs of levels,
    "least_swap_acceptance", "n_levels". A learning rate at which single steps change the law beyond
    recognition has all of them rejected.

    >>> TrajectoryTempering(n_chains=64).acceptance
    0.3
    """

    n_levels_vary: ClassVar[bool] = True

    k: int = 1
    n_chains: int = 100
    n_witnesses: int = 100
    acceptance: float = 0.3

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1, "sweeps")
        check_at_least("n_chains", self.n_chains, 4, "ladders")
        if self.n_witnesses != 0:
            check_at_least("n_witnesses", self.n_witnesses, 4, "ladders (or 0, no log Z)")
        rate = self.acceptance
        if not isinstance(rate, int | float | np.number) or not 0.0 < rate < 1.0:
            raise InvalidInput(
                f"acceptance={rate!r} must be a number between 0 and 1: how often neighbours swap."
            )

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability unless the shell's sampler takes its model, and InvalidInput
        unless it leaves its law invariant and the model without interactions has a known log Z."""
        check_start(shell, type(self).__name__)

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """Chains of independent units, of the checkpoints that lead to the initial parameters, and
        of these.

        "x" (level, chain, size), the live model last, the witnesses after the chains of the
        gradient; "level.<parameter>" of all levels but the live one; "guess" (pair,), "forward" and
        "reverse" (pair, witness), Bennett's C and sums of the pairs of levels that stay;
        "log_z_reference"; "swap_acceptance" (pair,) of all pairs at the last step.
        """
        start = independent(shell, self.n_chains + self.n_witnesses, _stream(seed, 0))
        carried: Carried = {
            "x": np.stack([start.x, start.x]),
            "guess": np.empty(0),
            "forward": np.empty((0, self.n_witnesses)),
            "reverse": np.empty((0, self.n_witnesses)),
            "log_z_reference": np.array(start.log_z),
        }
        for name, value in parameters_of(scaled(shell, 0.0)).items():
            carried[_SAVED + name] = value[None]
        carried = self._switched_on(shell, carried, seed)
        return carried | {"swap_acceptance": np.ones(len(carried["x"]) - 1)}

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the phase of the model's chains."""
        x, rates = carried["x"], carried["swap_acceptance"]
        gradients, info = contrast(shell, batch, shell.tensor(x[-1, : self.n_chains]))
        info |= {
            "swap_acceptance": float(rates.mean()),
            "least_swap_acceptance": float(rates.min()),
            "n_levels": float(len(x)),
        }
        return Step(gradients, carried, info)

    def stepped(
        self, shell: Trainable, before: dict[str, Tensor], carried: Carried, seed: int, step: int
    ) -> tuple[Carried, bool]:
        """Whether model and last checkpoint still swap; if not, a new checkpoint, or False. Then k
        sweeps of all levels, and swaps."""
        models = [*self._models(shell, carried), shell.freeze()]
        values = parameters_of(shell) | {n: p.detach().cpu().numpy() for n, p in before.items()}
        old, kept = with_parameters(shell, values).freeze(), True
        # The path of the parameters must not look at the witnesses.
        last, live = carried["x"][-2:, : self.n_chains]
        share = _share_after(old, models[-1], live)
        if _rate(models[-2], models[-1], last, live, share) < self.acceptance:
            kept = _rate(old, models[-1], live, live, share) >= self.acceptance
            if kept:
                carried = self._saved(carried, values, models[-2], old)
                models.insert(-1, old)
            else:
                models[-1] = old
        return self._moved(models, shell, carried, seed, step), kept

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray | None:
        """The chains of the model that enter the gradient."""
        return np.ascontiguousarray(carried["x"][-1, : self.n_chains])

    def log_z(self, shell: Trainable, carried: Carried) -> LogZ | None:
        """log Z of the present parameters: that of independent units, and BAR up the ladder.

        None without witnesses. The status is "low overlap" where the model and the last checkpoint
        hardly overlap.
        """
        if not self.n_witnesses:
            return None
        forward, reverse = carried["forward"], carried["reverse"]
        mean_f, mean_r = forward.mean(axis=1), reverse.mean(axis=1)
        steps = np.log(mean_f) - np.log(mean_r) - carried["guess"]
        psi = (forward / mean_f[:, None] - reverse / mean_r[:, None]).sum(axis=0) / self.n_witnesses
        checkpoints = float(carried["log_z_reference"]) + np.cumsum([0.0, *steps])
        last, live = self._models(shell, carried)[-1], shell.freeze()
        up, down = _works([last, live], carried["x"][-2:, self.n_chains :])
        if len(checkpoints) == 1 and not up.any() and not down.any():
            return LogZ(float(checkpoints[0]), 0.0, method="trajectory", status=EXACT)
        pair = _solve(up[0], down[0], "the model and its last checkpoint")
        # Influences of a pair are those of log Z_k - log Z_k+1.
        error = float(stderr(pair.forward + pair.reverse - psi))
        known = math.isfinite(pair.spread)
        return LogZ(
            float(checkpoints[-1]) - pair.difference,
            error if known else math.inf,
            method="trajectory",
            status=judge(overlap=pair.overlap) if known else LOW_OVERLAP,
            diagnostics={
                "overlap": pair.overlap,
                "n_levels": len(carried["x"]),
                "log_z_checkpoints": checkpoints,
            },
        )

    def _switched_on(self, shell: Trainable, carried: Carried, seed: int) -> Carried:
        """Checkpoints between independent units and the initial parameters, as far as swaps ask."""
        done, step, sweep = 0.0, 1.0, 0
        last = scaled(shell, 0.0).freeze()
        while done < 1.0:
            reach = min(1.0, done + step)
            ahead = scaled(shell, reach)
            model, x = ahead.freeze(), carried["x"]
            state = State(x[-1], _stream(seed, 1), _chains(x.shape[1]), sweep)
            state, _ = shell.sampler().advance(model, state, np.ones(x.shape[1]), _SETTLE)
            sweep = state.sweep
            below, here = x[-2, : self.n_chains], state.x[: self.n_chains]
            if _rate(last, model, below, here) < self.acceptance:
                step *= 0.5
                if step < _FINEST:
                    raise StatmechError(
                        "The interactions of the initial model are so strong that no ladder leads "
                        f"to it from independent units in steps of {_FINEST:g}. Start from smaller "
                        "weights, or train with TemperedPCD."
                    )
                continue
            done = reach
            carried = carried | {"x": np.concatenate([x[:-1], state.x[None]])}
            if done < 1.0:
                carried = self._saved(carried, parameters_of(ahead), last, model)
                last = model
        return carried

    def _saved(
        self, carried: Carried, values: dict[str, np.ndarray], last: Any, kept: Any
    ) -> Carried:
        """One more checkpoint, with the chains of the model, which go on from there too."""
        x = carried["x"]
        up, down = _works([last, kept], x[-2:])
        guess = _solve(up[0], down[0], "the last two checkpoints").difference
        nothing = np.zeros((1, self.n_witnesses))
        grown = {
            "x": np.concatenate([x, x[-1:]]),
            "guess": np.append(carried["guess"], guess),
            "forward": np.concatenate([carried["forward"], nothing]),
            "reverse": np.concatenate([carried["reverse"], nothing]),
        }
        for name, value in values.items():
            grown[_SAVED + name] = np.concatenate([carried[_SAVED + name], value[None]])
        return carried | grown

    def _moved(
        self, models: list[Any], shell: Trainable, carried: Carried, seed: int, step: int
    ) -> Carried:
        """k sweeps of every level; Bennett's sums; a round of swaps."""
        x = carried["x"].copy()
        n_levels, n_chains = x.shape[:2]
        chains = _chains(n_levels * n_chains).reshape(n_levels, -1)
        sampler, beta = shell.sampler(), np.ones(n_chains)
        for level, model in enumerate(models):
            state = State(x[level], seed, chains[level], step * self.k)
            x[level] = sampler.advance(model, state, beta, self.k)[0].x
        up, down = _works(models, x)
        guess, seen = carried["guess"][:, None], (slice(-1), slice(self.n_chains, None))
        sums = {
            "forward": carried["forward"] + expit(guess - up[seen]),
            "reverse": carried["reverse"] + expit(-guess - down[seen]),
        }
        probability = np.exp(np.minimum(-(up + down), 0.0))
        # Even and odd pairs in turn; a single pair every time.
        for pair in range(step % min(2, n_levels - 1), n_levels - 1, 2):
            uniform = _rng.units(seed, chains[pair], step, _rng.EXCHANGE, 0)
            swapped = uniform < probability[pair]
            x[pair, swapped], x[pair + 1, swapped] = x[pair + 1, swapped], x[pair, swapped]
        return carried | sums | {"x": x, "swap_acceptance": probability.mean(axis=1)}

    def _models(self, shell: Trainable, carried: Carried) -> list[Any]:
        """The array models of level 0 and of all checkpoints."""
        names = [name for name, _ in shell.named_parameters()]
        return [
            with_parameters(shell, {name: carried[_SAVED + name][level] for name in names}).freeze()
            for level in range(len(carried["x"]) - 1)
        ]


def _works(models: list[Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """w_F of level k and w_R of level k + 1, float64 (pair, chain) each."""
    pairs = list(pairwise(models))
    up = [above.reduced_energy(v, 1.0) for (_, above), v in zip(pairs, x, strict=False)]
    down = [below.reduced_energy(v, 1.0) for (below, _), v in zip(pairs, x[1:], strict=True)]
    here = np.stack([model.reduced_energy(v, 1.0) for model, v in zip(models, x, strict=True)])
    return np.stack(up) - here[:-1], np.stack(down) - here[1:]


def _rate(
    lower: Any, upper: Any, x: np.ndarray, y: np.ndarray, share: np.ndarray | None = None
) -> float:
    """Mean acceptance of swaps of x, at `lower`, and y, at `upper` with weights; over all pairs."""
    of_x, of_y = (
        np.asarray(upper.reduced_energy(v, 1.0)) - np.asarray(lower.reduced_energy(v, 1.0))
        for v in (x, y)
    )
    probability = np.exp(np.minimum(of_y - of_x[:, None], 0.0))
    return float(np.average(probability.mean(axis=0), weights=share))


def _share_after(old: Any, new: Any, x: np.ndarray) -> np.ndarray:
    """Weights exp(-w), w = u_new - u_old, with which samples x of the old law are of the new."""
    work = np.asarray(new.reduced_energy(x, 1.0)) - np.asarray(old.reduced_energy(x, 1.0))
    share = np.exp(-(work - work.min()))
    return np.asarray(share / share.sum())


def _chains(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.uint32)


def _stream(seed: int, number: int) -> int:
    """A stream beside that of the training's own sweeps."""
    entropy = [seed, _rng.REFERENCE, number]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
