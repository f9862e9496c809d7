"""Annealed importance sampling: log Z from chains driven from the reference to the target.

Each chain starts from an exact draw at lambda_0 = 0 and climbs a ladder to lambda_K = 1. On each
step it is weighed, and then moves so that exp(-u) of the new lambda stays invariant:

    log w += u_{lambda_k}(x) - u_{lambda_{k+1}}(x),    k = 0 .. K - 1

    E[w] = Z / Z_0,      E[log w] <= log(Z / Z_0)      (forward, from draws of the reference)
    E[1/w] = Z_0 / Z,    E[log w] >= log(Z / Z_0)      (reverse, down the ladder from the target)

so log Z-hat = log Z_0 + log mean w, and a forward and a reverse run enclose log Z. Moves must leave
their law invariant exactly, or report what they miss (`ULA`), which then enters the weights; they
need be neither reversible nor fast. (Crooks's relation asks more, see `crooks`.)

R. M. Neal, Stat. Comput. 11, 125 (2001), doi:10.1023/A:1008923215028; both sides: R. B. Grosse, Z.
Ghahramani and R. P. Adams, arXiv:1511.02543 (2015). -log w is the work of C. Jarzynski, Phys. Rev.
Lett. 78, 2690 (1997), doi:10.1103/PhysRevLett.78.2690.
"""

import math
import time
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from .. import _rng
from ..chains.progress import progress as progress_bar
from ..errors import InvalidInput
from ..samplers import State
from . import _arguments
from ._adaptive import Ladder, equal_steps
from ._annealing import anneal, check_independent, check_support, target_states
from ._arguments import check_count, check_path, number, provenance
from ._tuning import tuned
from ._weights import as_numbers, check_log_weights, log_mean, mean_log
from .logz import CONSTANT, OK, LogZ, judge
from .path import Path

Direction = Literal["forward", "reverse", "both"]

DEFAULT_LEVELS = 200

_NAMES = ("forward log-weights", "reverse log-weights")


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
    progress: bool | None = None,
) -> LogZ:
    """log Z of a path's target by annealed importance sampling.

    Samplers that adapt a step are tuned in a pilot run with its own random numbers; in the run
    itself the step is fixed at each lambda, the same for all chains, so every move leaves its law
    invariant.

    Parameters
    ----------
    path : Path
    n_levels : int, default 200
        Number of steps of the ladder; 1 is plain importance sampling.
    n_chains : int, default 256
        Independent chains, at least 2. With fewer than 50 the status cannot be "ok".
    rng : int or numpy Generator
        The seed. There is no default.
    sweeps_per_level : int, default 1
    direction : "forward", "reverse" or "both"
        "forward" gives a lower bound, "reverse" an upper bound, "both" the forward estimate with
        both bounds, and compares the two estimates.
    ladder : array or "adaptive", optional
        Increasing lambdas from 0 to 1, in place of n_levels. "adaptive": n_levels steps whose
        increments spread equally, which for a given number of steps makes the log-weights spread
        least. A pilot run with random numbers of its own finds them; they are then fixed, so the
        estimate stays unbiased. By default the steps are even.
    start : array (n_chains, size) or State, optional
        Independent configurations of the target for reverse runs, such as ``chain.final`` of an
        equilibrated run with n_chains chains. By default they are drawn exactly where the space has
        at most 2^24 states. An upper bound is only as good as they are.
    keep_log_weights : bool, default True
        Whether `diagnostics` hold "log_weights" and "reverse_log_weights", float64 (chain,), log
        Z_0 not included.
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    LogZ
        diagnostics: ess, n_chains, ladder, direction, lower_stderr, upper_stderr, acceptance (per
        level, where the sampler tells), reverse_value, reverse_stderr, reverse_ess,
        n_reverse_chains, tail_shape (and reverse_tail_shape: of the largest weights, minus infinity
        where there is no tail), cost, provenance.

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
    adaptive = isinstance(ladder, str) and ladder == "adaptive"
    lams = _arguments.ladder(None if adaptive else ladder, n_levels, DEFAULT_LEVELS)
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
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(5, np.uint64)]
    chains = np.arange(n_chains, dtype=np.uint32)
    target = None
    if direction != "forward":
        target = target_states(path, start, n_chains, seeds[3])
        if start is not None:
            check_independent(path, target, seeds[3])
        check_support(path, path.sample_reference(seeds[0], chains))

    began = time.perf_counter()
    pilot = Ladder(lams, 0, 0)
    if adaptive:
        pilot = equal_steps(path, len(lams) - 1, seeds[4])
        lams = pilot.lams
    samplers, tuning_sweeps = tuned(path, lams, seeds[2])
    n_runs = 2 if direction == "both" else 1
    forward = reverse = None
    with progress_bar(n_runs * (len(lams) - 1), progress, "annealing") as tick:
        if direction != "reverse":
            state = State(path.sample_reference(seeds[0], chains), seeds[0], chains, 0)
            forward = anneal(path, lams, samplers, state, sweeps_per_level, tick)
        if target is not None:
            state = State(target, seeds[1], chains, 0)
            reverse = anneal(path, lams[::-1], samplers[::-1], state, sweeps_per_level, tick)
    result = ais_from_log_weights(
        None if forward is None else forward.log_w,
        None if reverse is None else -reverse.log_w,
        path.log_z_reference,
    )
    diagnostics = dict(result.diagnostics)
    if not keep_log_weights:
        for name in ("log_weights", "reverse_log_weights"):
            diagnostics.pop(name, None)
    diagnostics |= {
        "ladder": lams,
        "direction": direction,
        "cost": {
            "sweeps": n_runs * n_chains * (len(lams) - 2) * sweeps_per_level
            + tuning_sweeps
            + pilot.sweeps,
            "energy_evaluations": n_runs * n_chains * 2 * (len(lams) - 1)
            + pilot.energy_evaluations,
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
        propagation, and infinite when one chain has all the weight. Where fewer than 50 weights
        differ from all others, it is 1 / n at least.

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
    return from_log_weights(forward, reverse, log_z_reference)


def from_log_weights(
    forward: Any, reverse: Any, log_z_reference: Any, names: tuple[str, str] = _NAMES
) -> LogZ:
    """`ais_from_log_weights`, with the names that errors call the two arrays by."""
    log_z_reference = number("log_z_reference", log_z_reference)
    diagnostics: dict[str, Any] = {}
    lower = upper = None
    halves = []
    if forward is not None:
        log_w = check_log_weights(forward, names[0])
        halves.append(log_mean(log_w))
        centre, spread = mean_log(log_w)
        lower = log_z_reference + centre
        diagnostics |= {"lower_stderr": spread, "log_weights": log_w}
    if reverse is not None:
        log_w = check_log_weights(-as_numbers(reverse, names[1]), names[1])
        half = log_mean(log_w)
        halves.append(half._replace(value=-half.value))
        centre, spread = mean_log(log_w)
        upper = log_z_reference - centre
        diagnostics |= {"upper_stderr": spread, "reverse_log_weights": -log_w}
        if forward is not None:
            diagnostics |= {
                "reverse_value": log_z_reference - half.value,
                "reverse_stderr": half.stderr,
                "reverse_ess": half.ess,
                "n_reverse_chains": half.n,
                "reverse_tail_shape": half.tail,
            }
    best = halves[0]
    disagreement = 0.0
    if len(halves) == 2:
        error = math.hypot(halves[0].stderr, halves[1].stderr)
        disagreement = (halves[0].value - halves[1].value) / error
    verdicts = [judge(half.ess, tail=half.tail, n=half.n) for half in halves]
    verdicts = [CONSTANT for half in halves if half.constant] + verdicts
    bad = [verdict for verdict in verdicts if verdict != OK]
    status = bad[0] if bad else judge(disagreement=disagreement)
    diagnostics |= {"ess": best.ess, "n_chains": best.n, "tail_shape": best.tail}
    return LogZ(log_z_reference + best.value, best.stderr, lower, upper, "ais", status, diagnostics)
