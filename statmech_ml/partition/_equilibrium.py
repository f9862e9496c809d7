"""Equilibrium samples at every level of a path, for independent chains.

What thermodynamic integration, BAR and MBAR share.

Chain r has a sample at each of K levels, and what one chain gives at different levels may depend on
one another, through the walk up the ladder and through exchange; different chains are independent.
At level 0 samples are exact and fresh. A chain climbs to the others from a draw of the reference,
`burn_in` sweeps at each, and then stays on all of them at once: chain r K + k of the run is level k
of chain r. The first half of this stay is not observed: walkers that froze on the climb thaw there,
by exchange too, and a longer run forgets more of where it came from.
"""

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import _rng
from ..chains.ladder import round_trips
from ..errors import InvalidInput, StatmechError
from ..samplers import ReplicaExchange, Sampler, State
from ..statistics import mean
from . import _arguments
from ._arguments import check_count, check_path, provenance
from ._influence import MIN_CLUSTERS, stderr
from ._tuning import per_chain, tuned
from .path import Geometric, Path, Tempering, is_linear

DEFAULT_LEVELS = 16
DEFAULT_CHAINS = 32
DEFAULT_DRAWS = 200
DEFAULT_BURN_IN = 50

_STEPS = (1.0, 0.25, 0.06)  # of the walk up the ladder, in steps that suit the level

# Above this many bytes the observed numbers go to a temporary file.
_IN_MEMORY = 2**30

# Draws of the reference that a walker tries for a start which the next level allows.
_MAX_STARTS = 1000

Observe = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""observe(x (chain, *event), lams (chain,)) -> (m, chain): what is kept of configurations."""


@dataclass(frozen=True)
class Settings:
    """How long to run, checked: the arguments that TI, BAR and MBAR have in common."""

    lams: np.ndarray
    n_chains: int
    n_draws: int
    burn_in: int
    thin: int
    exchange: bool
    seed: int


@dataclass(frozen=True)
class Equilibrium:
    """What was observed, float64 (m, K, R, D), and what `LogZ.diagnostics` say about the run."""

    values: np.ndarray
    diagnostics: dict[str, Any]


def settings(
    who: str,
    path: Path,
    n_levels: int | None,
    n_chains: int,
    rng: Any,
    n_draws: int,
    burn_in: int,
    thin: int,
    exchange: bool,
    ladder: Any,
) -> Settings:
    """The arguments of an estimator; InvalidInput before any work."""
    check_path(path, who)
    lams = _arguments.ladder(ladder, n_levels, DEFAULT_LEVELS)
    for name, value, least in (
        ("n_chains", n_chains, MIN_CLUSTERS),
        ("n_draws", n_draws, 2),
        ("burn_in", burn_in, 1),
        ("thin", thin, 1),
    ):
        check_count(name, value, least)
    if not isinstance(exchange, bool | np.bool_):
        raise InvalidInput(f"exchange={exchange!r} must be True or False.")
    if exchange and isinstance(path.sampler, ReplicaExchange):
        raise InvalidInput("The path's sampler exchanges already; give it the sampler inside.")
    if not path.sampler.invariant:
        raise InvalidInput(
            f"{path.sampler!r} does not leave its law invariant, so its chains have another "
            "equilibrium. Use a sampler that accepts and rejects, such as MALA(), or `ais`, which "
            "corrects the weights."
        )
    return Settings(
        lams, int(n_chains), int(n_draws), int(burn_in), int(thin), bool(exchange),
        _rng.seed_from(rng),
    )  # fmt: skip


def is_affine(path: Path) -> bool:
    """Whether u_lambda(x) is affine in lambda, so that its values at 0 and 1 give all others."""
    return isinstance(path, Geometric) or (isinstance(path, Tempering) and is_linear(path.model))


def equilibrate(path: Path, run: Settings, observe: Observe, evaluations: int) -> Equilibrium:
    """Observe D draws of R chains at K levels; `evaluations` of reduced energies per sample."""
    began = time.perf_counter()
    lams, n_chains, n_levels = run.lams, run.n_chains, len(run.lams)
    seeds = [int(s) for s in np.random.SeedSequence(run.seed).generate_state(4, np.uint64)]
    # Of two levels the pilot tunes nothing unless it passes between them.
    samplers, pilot = tuned(path, lams if n_levels > 2 else np.array([0.0, 0.5, 1.0]), seeds[0])
    samplers = samplers if n_levels > 2 else samplers[::2]

    # Up the ladder, leaving a configuration on each rung. Half of the sweeps are on the way, with
    # shorter steps among them: coming from a wide reference, chains are where gradients are steep,
    # and where the steps that suit the level are refused.
    walkers = np.arange(n_chains, dtype=np.uint32)
    walk = State(_starts(path, lams[1], seeds[1], walkers), seeds[1], walkers, 0)
    starts = [walk.x]
    on_the_way = run.burn_in // 2
    for k in range(1, n_levels):
        for i, lam in enumerate(np.linspace(lams[k - 1], lams[k], on_the_way + 2)[1:-1]):
            walk, _ = path.advance(walk, lam, 1, _shorter(samplers[k], _STEPS[i % len(_STEPS)]))
        walk, _ = path.advance(walk, lams[k], run.burn_in - on_the_way, samplers[k])
        starts.append(walk.x)

    # Level 0 moves only where it must take part in exchanges; what is observed there is drawn anew.
    first = 0 if run.exchange else 1
    sampler = per_chain(samplers[first:], n_chains)
    if run.exchange:
        sampler = ReplicaExchange(sampler)
    n_moving = n_levels - first
    x = np.stack(starts[first:], axis=1).reshape(n_chains * n_moving, *starts[0].shape[1:])
    state = State(x, seeds[2], np.arange(n_chains * n_moving, dtype=np.uint32), 0)
    moving, every = np.tile(lams[first:], n_chains), np.tile(lams, n_chains)

    values: Any = None
    watched: dict[str, list[np.ndarray]] = {"acceptance": [], "swap_acceptance": [], "replica": []}
    for draw in range(-run.n_draws, run.n_draws):
        state, info = path.advance(state, moving, run.thin, sampler)
        from_zero = (draw + run.n_draws) * n_chains
        chains = np.arange(from_zero, from_zero + n_chains, dtype=np.uint32)
        levels = state.x.reshape(n_chains, n_moving, *x.shape[1:])
        fresh = path.sample_reference(seeds[3], chains)
        levels = np.concatenate([fresh[:, None], levels[:, 1 - first :]], axis=1)
        state = state._replace(x=levels[:, first:].reshape(x.shape))
        if draw < 0:
            continue
        for name, series in watched.items():
            if name in info:
                series.append(info[name])
        seen = observe(levels.reshape(n_chains * n_levels, *x.shape[1:]), every)
        if values is None:
            values = _room((len(seen), n_levels, n_chains, run.n_draws))
        values[..., draw] = seen.reshape(-1, n_chains, n_levels).swapaxes(1, 2)

    n_samples = n_levels * n_chains * run.n_draws
    sweeps = n_chains * (run.burn_in * (n_levels - 1) + 2 * run.n_draws * run.thin * n_moving)
    diagnostics: dict[str, Any] = {
        "n_chains": n_chains,
        "n_draws": run.n_draws,
        "ladder": lams,
        "cost": {
            "sweeps": sweeps + pilot,
            "energy_evaluations": evaluations * n_samples,
            "seconds": time.perf_counter() - began,
        },
        "provenance": provenance(path, run.seed),
    }
    if watched["acceptance"]:
        rates = np.mean(watched["acceptance"], axis=0).reshape(n_chains, n_moving)
        diagnostics["acceptance"] = rates.mean(axis=0)
    if run.exchange:
        swaps = np.stack(watched["swap_acceptance"]).reshape(-1, n_levels)[:, :-1]
        diagnostics["swap_acceptance"] = np.nanmean(swaps, axis=0)
        replica = np.stack(watched["replica"], axis=1)
        diagnostics["round_trips"] = int(round_trips(replica, n_levels).sum())
    return Equilibrium(values, diagnostics)


def _starts(path: Path, lam: float, seed: int, walkers: np.ndarray) -> np.ndarray:
    """A draw of the reference for each walker, drawn again while lambda forbids it."""
    x = path.sample_reference(seed, walkers)
    for again in range(1, _MAX_STARTS + 1):
        forbidden = np.flatnonzero(np.isposinf(path.reduced_energy(x, lam)))
        if not len(forbidden):
            return x
        chains = walkers[forbidden] + np.uint32(again * len(walkers))
        x[forbidden] = path.sample_reference(seed, chains)
    raise StatmechError(
        f"{len(forbidden)} of {len(walkers)} walkers found no start: {_MAX_STARTS} draws of the "
        f"reference have infinite energy at lambda = {lam:.6g}. Choose a reference that covers the "
        "target more closely."
    )


def _shorter(sampler: Any, factor: float) -> Sampler:
    """The sampler with `factor` times its step, where it has one."""
    if not hasattr(sampler, "step_size"):
        return sampler
    steps = factor * np.asarray(sampler.step_size)
    return replace(sampler, step_size=tuple(steps) if steps.ndim else float(steps))


def correlation(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """tau_int and effective number of samples at each level, of series (K, R, D)."""
    tau, ess = np.empty((2, len(series)))
    for k, chains in enumerate(map(_finite, series)):
        if float(np.ptp(chains)) == 0.0:  # what never changes shows no correlation
            tau[k], ess[k] = 0.5, chains.size
            continue
        estimate = mean(chains, on_short="accept")
        tau[k], ess[k] = estimate.tau_int, min(estimate.ess, chains.size)
    return tau, ess


def effective(ess: np.ndarray, n: int, independent: float, error: float) -> float:
    """Effective draws: least of the levels, and no more than their common error allows.

    `independent` is the variance that n independent draws of each level would have. The scatter of
    whole chains sees what the levels, taken one by one, do not: a ladder that is slow as a whole.
    """
    least = float(ess.min())
    return min(least, n * independent / error**2) if independent > 0.0 < error else least


def drift(shares: np.ndarray) -> float:
    """Change of log Z from the first half of the draws to the second, in errors, by chains.

    `shares` (K, R, D) are what samples say of log Z: their means by levels add up to its change.
    """
    middle = shares.shape[2] // 2
    change = np.zeros(shares.shape[1])
    for level in map(_finite, shares):
        change += level[:, middle:].mean(axis=1) - level[:, :middle].mean(axis=1)
    error = float(stderr(change / len(change)))
    return float(change.mean()) / error if error > 0.0 else 0.0


def _finite(series: np.ndarray) -> np.ndarray:
    """Forbidden at another level, +-inf: farther away than the farthest that is not."""
    finite = np.isfinite(series)
    if finite.all():
        return series
    far = float(np.abs(series[finite]).max(initial=0.0)) + 1.0
    return np.where(finite, series, np.where(series < 0.0, -far, far))


def _room(shape: tuple[int, ...]) -> np.ndarray:
    """An empty array, in memory or, where it is large, on disk."""
    if 8 * math.prod(shape) <= _IN_MEMORY:
        return np.empty(shape)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float64, "w+", shape=shape)
