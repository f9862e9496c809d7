"""Annealed importance sampling: log Z from chains driven from the reference to the target.

Each chain starts from an exact draw at lambda_0 = 0 and climbs a ladder to lambda_K = 1. On each
step it is weighed, and then moves so that exp(-u) of the new lambda stays invariant:

    log w += u_{lambda_k}(x) - u_{lambda_{k+1}}(x),    k = 0 .. K - 1

    E[w] = Z / Z_0,      E[log w] <= log(Z / Z_0)      (forward, from draws of the reference)
    E[1/w] = Z_0 / Z,    E[log w] >= log(Z / Z_0)      (reverse, down the ladder from the target)

so log Z-hat = log Z_0 + log mean w, and a forward and a reverse run enclose log Z. Moves must leave
their law invariant exactly; they need be neither reversible nor fast. (For Crooks's relation, and
so
for BAR on forward and reverse weights, the moves of the reverse run must be the time-reversed ones:
a sweep in a fixed order of sites is not its own reverse.)

R. M. Neal, Stat. Comput. 11, 125 (2001), doi:10.1023/A:1008923215028; both sides: R. B. Grosse, Z.
Ghahramani and R. P. Adams, arXiv:1511.02543 (2015). -log w is the work of C. Jarzynski, Phys. Rev.
Lett. 78, 2690 (1997), doi:10.1103/PhysRevLett.78.2690.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import logsumexp

from .. import _rng
from ..errors import InvalidInput, StatmechError
from ..exact import enumeration
from ..samplers import Sampler, State
from ..spaces import Discrete
from . import _arguments
from ._arguments import check_count, check_path, provenance
from ._tuning import tuned
from .logz import CONSTANT, LogZ, judge
from .path import Path

Direction = Literal["forward", "reverse", "both"]

DEFAULT_LEVELS = 200

# Log-weights that differ by less than this are equal up to the rounding of the energies.
_EQUAL = 1e-12


def ais(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = 256,
    *,
    rng: Any,
    sweeps_per_level: int = 1,
    direction: Direction = "forward",
    ladder: Any = None,
    start: Any = None,
    keep_log_weights: bool = True,
) -> LogZ:
    """log Z of a path's target by annealed importance sampling.

    Samplers that adapt a step are tuned in a pilot run with its own random numbers; in the run
    itself the step is fixed at each lambda, the same for all chains, so every move leaves its law
    invariant.

    Parameters
    ----------
    path : Path
        `Tempering`, `Geometric` or `Weights`.
    n_levels : int, default 200
        Number of steps of an even ladder; 1 is plain importance sampling.
    n_chains : int, default 256
        Independent chains, at least 2. With fewer than 50 the status cannot be "ok".
    rng : int or numpy Generator
        The seed. There is no default.
    sweeps_per_level : int, default 1
    direction : "forward", "reverse" or "both"
        "forward" gives a lower bound, "reverse" an upper bound, "both" the forward estimate with
        both bounds, and compares the two estimates.
    ladder : array, optional
        Increasing lambdas from 0 to 1, in place of n_levels.
    start : array (n_chains, size) or State, optional
        Independent configurations of the target for reverse runs, such as ``chain.final`` of an
        equilibrated run with n_chains chains. By default they are drawn exactly where the space has
        at most 2^24 states. An upper bound is only as good as they are.
    keep_log_weights : bool, default True
        Whether `diagnostics` hold "log_weights" and "reverse_log_weights", float64 (chain,), log
        Z_0 not included.

    Returns
    -------
    LogZ
        diagnostics: ess, n_chains, ladder, lower_stderr, upper_stderr, acceptance (per level, where
        the sampler tells), reverse_value, reverse_stderr, reverse_ess, cost, provenance.

    Raises
    ------
    InvalidInput
        For a ladder that does not climb from 0 to 1, counts that are too small, a missing start,
        energies that are NaN or -inf, and reverse runs from a target that forbids states which the
        reference allows.
    StatmechError
        When every chain ends where the target has no weight.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> print(ais(path, n_levels=50, rng=1))  # exact: 12.786
    log_z = 12.812(25) [ais, ess 221/256]
    """
    check_path(path, "ais")
    lams = _arguments.ladder(ladder, n_levels, DEFAULT_LEVELS)
    for name, value, least in (
        ("n_chains", n_chains, 2),
        ("sweeps_per_level", sweeps_per_level, 1),
    ):
        check_count(name, value, least)
    if direction not in ("forward", "reverse", "both"):
        raise InvalidInput(f"direction={direction!r} must be 'forward', 'reverse' or 'both'.")
    if direction == "forward" and start is not None:
        raise InvalidInput(
            "start= holds configurations of the target, for reverse runs; a forward run starts "
            "from exact draws of the reference. Leave it out, or use direction='both'."
        )
    seed = _rng.seed_from(rng)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(4, np.uint64)]
    chains = np.arange(n_chains, dtype=np.uint32)
    target = None
    if direction != "forward":
        target = _target_states(path, start, n_chains, seeds[3])
        _check_support(path, path.sample_reference(seeds[0], chains))

    began = time.perf_counter()
    samplers, pilot_sweeps = tuned(path, lams, seeds[2])
    forward = reverse = None
    if direction != "reverse":
        x = path.sample_reference(seeds[0], chains)
        state = State(x, seeds[0], chains, 0)
        forward = _anneal(path, lams, samplers, state, sweeps_per_level)
    if target is not None:
        state = State(target, seeds[1], chains, 0)
        reverse = _anneal(path, lams[::-1], samplers[::-1], state, sweeps_per_level)
    result = ais_from_log_weights(
        None if forward is None else forward.log_w,
        None if reverse is None else -reverse.log_w,
        path.log_z_reference,
    )
    runs = [run for run in (forward, reverse) if run is not None]
    diagnostics = dict(result.diagnostics)
    if not keep_log_weights:
        for name in ("log_weights", "reverse_log_weights"):
            diagnostics.pop(name, None)
    diagnostics |= {
        "ladder": lams,
        "direction": direction,
        "cost": {
            "sweeps": len(runs) * n_chains * (len(lams) - 2) * sweeps_per_level + pilot_sweeps,
            "energy_evaluations": len(runs) * n_chains * 2 * (len(lams) - 1),
            "seconds": time.perf_counter() - began,
        },
        "provenance": provenance(path, seed),
    }
    for name, run in (("acceptance", forward), ("reverse_acceptance", reverse)):
        if run is not None and run.acceptance is not None:
            diagnostics[name] = run.acceptance
    return replace(result, diagnostics=diagnostics)


def ais_from_log_weights(
    forward: Any = None, reverse: Any = None, log_z_reference: float = 0.0
) -> LogZ:
    """log Z from the log-weights of forward runs, reverse runs, or both.

    Parameters
    ----------
    forward : array (chain,), optional
        log w of chains from the reference to the target; -inf is a weight of zero.
    reverse : array (chain,), optional
        Minus the log-weights of annealing from the target to the reference, so that both arrays
        estimate log Z - log Z_0; +inf is a weight of zero.
    log_z_reference : float, default 0.0
        log Z_0.

    Returns
    -------
    LogZ
        The value is the forward estimate where there is one: exp(value) is then unbiased. The error
        is the jackknife's over chains, which for heavy-tailed weights is larger than first-order
        propagation, and infinite when one chain has all the weight.

    Raises
    ------
    InvalidInput
        For NaN, weights that are infinite, fewer than 2 of them, or none at all.
    StatmechError
        When every weight is zero.

    >>> print(ais_from_log_weights([0.1, -0.2, 0.3, 0.0], log_z_reference=10.0))
    log_z = 10.07(10) [ais, ess 4/4, low ess]
    """
    if forward is None and reverse is None:
        raise InvalidInput("There are no log-weights; give forward=, reverse= or both.")
    diagnostics: dict[str, Any] = {}
    lower = upper = None
    halves = []
    if forward is not None:
        log_w = _log_weights(forward, "forward")
        halves.append(_log_mean(log_w))
        centre, spread = _bound(log_w)
        lower = log_z_reference + centre
        diagnostics |= {"lower_stderr": spread, "log_weights": log_w}
    if reverse is not None:
        log_w = _log_weights(-np.asarray(reverse, np.float64), "reverse")
        half = _log_mean(log_w)
        halves.append(half._replace(value=-half.value))
        centre, spread = _bound(log_w)
        upper = log_z_reference - centre
        diagnostics |= {"upper_stderr": spread, "reverse_log_weights": -log_w}
        if forward is not None:
            diagnostics |= {
                "reverse_value": log_z_reference - half.value,
                "reverse_stderr": half.stderr,
                "reverse_ess": half.ess,
            }
    best = halves[0]
    disagreement = 0.0
    if len(halves) == 2:
        error = math.hypot(halves[0].stderr, halves[1].stderr)
        disagreement = (halves[0].value - halves[1].value) / error
    status = judge(ess=min(half.ess for half in halves), disagreement=disagreement)
    if any(half.constant for half in halves):
        status = CONSTANT
    diagnostics |= {"ess": best.ess, "n_chains": best.n}
    return LogZ(log_z_reference + best.value, best.stderr, lower, upper, "ais", status, diagnostics)


# --- weights --------------------------------------------------------------------------------------


class _LogMean(NamedTuple):
    """log of the mean weight, its error, the effective number of weights out of n."""

    value: float
    stderr: float
    ess: float
    n: int
    constant: bool


def _log_mean(log_w: np.ndarray) -> _LogMean:
    n = len(log_w)
    total = float(logsumexp(log_w))
    share = np.exp(log_w - total)
    ess = 1.0 / float((share**2).sum())
    if np.ptp(log_w) <= _EQUAL * max(1.0, abs(total)):
        # Equal weights show no error. Either the path leads nowhere, or n chains missed what
        # differs: about 1/n of the weight may hide there.
        return _LogMean(total - math.log(n), 1.0 / n, float(n), n, True)
    with np.errstate(divide="ignore"):
        # log of the mean weight without each chain in turn, up to a constant
        without = np.log1p(-np.minimum(share, 1.0))
    if np.isneginf(without).any():
        return _LogMean(total - math.log(n), math.inf, ess, n, False)
    variance = (n - 1) / n * float(((without - without.mean()) ** 2).sum())
    return _LogMean(total - math.log(n), math.sqrt(variance), ess, n, False)


def _bound(log_w: np.ndarray) -> tuple[float, float]:
    """Mean log-weight and its standard error."""
    if np.isneginf(log_w).any():
        return -math.inf, math.inf
    return float(log_w.mean()), float(log_w.std(ddof=1)) / math.sqrt(len(log_w))


def _log_weights(given: Any, name: str) -> np.ndarray:
    log_w = np.array(given, np.float64)
    if log_w.ndim != 1 or len(log_w) < 2:
        raise InvalidInput(
            f"The {name} log-weights have shape {log_w.shape}; an error needs at least 2 chains, "
            "(chain,)."
        )
    bad = np.isnan(log_w) | (log_w == math.inf)
    if bad.any():
        raise InvalidInput(
            f"{int(bad.sum())} of {len(log_w)} {name} log-weights are NaN or an infinite weight. "
            "Energies must be numbers; a forbidden state has energy +inf, and the reference must "
            "not allow less than the target."
        )
    if np.isneginf(log_w).all():
        raise StatmechError(
            f"All {len(log_w)} {name} weights are zero: every chain ended where the other end of "
            "the path has no weight, so nothing is known about Z. Take more levels and sweeps, "
            "or a reference that covers the target."
        )
    return log_w


# --- the run --------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """Log-weights (chain,) from first to last lambda; mean acceptance (level,) where known."""

    log_w: np.ndarray
    acceptance: np.ndarray | None


def _anneal(
    path: Path, lams: np.ndarray, samplers: Sequence[Sampler], state: State, n_sweeps: int
) -> _Run:
    """Weigh and move, from lams[0], where `state` is a sample, to lams[-1]."""
    log_w = np.zeros(len(state.x))
    acceptance = []
    for k in range(len(lams) - 1):
        before = path.reduced_energy(state.x, lams[k])
        after = path.reduced_energy(state.x, lams[k + 1])
        _check_energies(before, after, lams[k + 1])
        # A state that the next law forbids has no weight, and no later move brings the chain back.
        alive = (log_w > -math.inf) & (after < math.inf)
        log_w[~alive] = -math.inf
        log_w[alive] += before[alive] - after[alive]
        if k < len(lams) - 2:  # after the last weight nothing looks at the state
            state, info = path.advance(state, lams[k + 1], n_sweeps, samplers[k + 1])
            if "acceptance" in info:
                acceptance.append(float(info["acceptance"].mean()))
    return _Run(log_w, np.array(acceptance) if acceptance else None)


def _check_energies(before: np.ndarray, after: np.ndarray, lam: float) -> None:
    for u in (before, after):
        bad = np.isnan(u) | (u == -math.inf)
        if bad.any():
            raise InvalidInput(
                f"The reduced energy of {int(bad.sum())} of {len(u)} chains is {u[bad][0]} near "
                f"lambda = {lam:.6g}. Energies must be numbers (+inf for forbidden states). If "
                "they overflow, the reference reaches where the model is not defined: choose a "
                "narrower one."
            )


def _target_states(path: Path, start: Any, n_chains: int, seed: int) -> np.ndarray:
    """Draws of the target, (chain, size)."""
    space: Any = path.model.space
    if start is None:
        if isinstance(space, Discrete) and space.n_states <= enumeration.MAX_TABLE:
            return enumeration.draw(path.model, float(path.beta_at(1.0)), n_chains, seed)
        raise InvalidInput(
            f"A reverse run starts from the target, and {space!r} is too large to draw from "
            "exactly. Give start=: one configuration per chain from an equilibrated run, e.g. "
            f"sample(model, ..., n_chains={n_chains}).final."
        )
    x = space.check(start.x if isinstance(start, State) else start, "start")
    if x.shape != (n_chains, *space.event_shape):
        raise InvalidInput(
            f"start has shape {x.shape}; {(n_chains, *space.event_shape)} is needed for "
            f"{n_chains} chains, one independent configuration of the target each."
        )
    return x


def _check_support(path: Path, x: np.ndarray) -> None:
    """Reverse runs never visit what the target forbids, but Z_0 counts it."""
    forbidden = int((path.reduced_energy(x, 1.0) == math.inf).sum())
    if forbidden:
        raise InvalidInput(
            f"The target forbids {forbidden} of {len(x)} draws of the reference. A reverse run "
            "never visits such states, so its estimate would be too high by minus the log of the "
            "share that is allowed. Use direction='forward', or a reference on the allowed "
            "states."
        )
