"""Population annealing: annealed chains that multiply or die by their weights.

Chains climb a ladder as in `ais`. Where the weights of a population have become uneven (effective
sample size below a part of its size) it is resampled: chains are copied in proportion to their
weights, and the weights start again from their mean. With R resamplings at the ends of which the
mean weights are m_1 ... m_R,

    Z-hat / Z_0 = m_1 m_2 ... m_R x (mean weight at the end),    E[Z-hat] = Z,

for a population of any size, because whether to resample is decided by weights that are already
known. Also called sequential Monte Carlo: of AIS it keeps the unbiased estimate, and it stops
spending sweeps on chains without weight.

K. Hukushima and Y. Iba, AIP Conf. Proc. 690, 200 (2003), doi:10.1063/1.1632130; J. Machta, Phys.
Rev. E 82, 026704 (2010), doi:10.1103/PhysRevE.82.026704; P. Del Moral, A. Doucet and A. Jasra, J.
R. Stat. Soc. B 68, 411 (2006), doi:10.1111/j.1467-9868.2006.00553.x.

Chains of one population share ancestors, so their number says nothing about the error. The error
bar comes from several populations that never meet, and the effective sample size from families, the
chains that descend from one start: with W_f the weight of family f, W. Wang, J. Machta and H. G.
Katzgraber, Phys. Rev. E 92, 063307 (2015), doi:10.1103/PhysRevE.92.063307,

    rho_t = N sum_f W_f^2,    ess = N / rho_t.
"""

import math
import time
from typing import Any

import numpy as np
from scipy.special import logsumexp

from .. import _rng
from ..chains.progress import progress as progress_bar
from ..errors import InvalidInput
from ..samplers import State
from . import _arguments
from ._adaptive import Ladder, equal_steps
from ._arguments import check_count, check_path, provenance
from ._influence import MIN_CLUSTERS
from ._resampling import systematic
from ._tuning import tuned
from ._weights import check_log_weights, disagree, log_mean, mean_log, widening
from .logz import CONSTANT, OK, POPULATIONS_DISAGREE, LogZ, judge
from .path import Path

DEFAULT_LEVELS = 200


def population_annealing(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = 1024,
    *,
    rng: Any,
    n_populations: int = 32,
    sweeps_per_level: int = 1,
    resample_below: float = 0.5,
    ladder: Any = None,
    progress: bool | None = None,
) -> LogZ:
    """log Z of a path's target by population annealing.

    Parameters
    ----------
    path : Path
    n_levels : int, default 200
        Number of steps of the ladder.
    n_chains : int, default 1024
        Chains of all populations together, a multiple of n_populations.
    rng : int or numpy Generator
        The seed. There is no default.
    n_populations : int, default 32
        Independent populations, at least 4. Their spread is the error bar, widened for their
        number; with n of them it is itself known to one part in sqrt(2 n).
    sweeps_per_level : int, default 1
    resample_below : float, default 0.5
        A population is resampled when its effective sample size falls below this part of its size:
        0 is never (annealed importance sampling), 1 at every level.
    ladder : array or "adaptive", optional
        As in `ais`.
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    LogZ
        exp(value) is unbiased; `lower` is the mean of the populations' own estimates.
        diagnostics: ess (N / rho_t), n_chains, rho_t, families (with descendants at the end),
        resamplings (population,), population_values (population,), lower_stderr, ladder,
        acceptance (level,) where the sampler tells, cost, provenance.

    Raises
    ------
    InvalidInput
        For a ladder that does not climb from 0 to 1, counts that do not fit, and energies that are
        NaN or -inf.
    StatmechError
        When no chain has any weight at the target.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> print(population_annealing(path, n_levels=20, rng=1))  # exact: 12.786
    log_z = 12.810(15) [population annealing, ess 734/1024]
    """
    check_path(path, "population_annealing")
    adaptive = isinstance(ladder, str) and ladder == "adaptive"
    lams = _arguments.ladder(None if adaptive else ladder, n_levels, DEFAULT_LEVELS)
    check_count("n_populations", n_populations, MIN_CLUSTERS)
    check_count("sweeps_per_level", sweeps_per_level, 1)
    check_count("n_chains", n_chains, 2 * n_populations)
    if n_chains % n_populations:
        raise InvalidInput(
            f"n_chains={n_chains} cannot be divided into n_populations={n_populations} equal "
            f"parts. Take n_chains={n_chains // n_populations * n_populations}, or another number "
            "of populations."
        )
    below = _part(resample_below)
    seed = _rng.seed_from(rng)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(4, np.uint64)]
    began = time.perf_counter()
    pilot = Ladder(lams, 0, 0)
    if adaptive:
        pilot = equal_steps(path, len(lams) - 1, seeds[3])
        lams = pilot.lams
    samplers, tuning_sweeps = tuned(path, lams, seeds[2])
    chains = np.arange(n_chains, dtype=np.uint32)
    state = State(path.sample_reference(seeds[0], chains), seeds[0], chains, 0)
    size = n_chains // n_populations
    population = np.arange(n_populations, dtype=np.uint32)
    family = np.arange(n_chains)
    log_w, log_z = np.zeros((n_populations, size)), np.zeros(n_populations)
    resamplings = np.zeros(n_populations, np.int64)
    acceptance = []
    last = len(lams) - 2
    with progress_bar(last + 1, progress, "annealing") as tick:
        for k in range(last + 1):
            n_sweeps = sweeps_per_level if k < last else 0
            step, state, info = path.weigh_and_move(
                state, float(lams[k]), float(lams[k + 1]), n_sweeps, samplers[k + 1]
            )
            log_w += step.reshape(n_populations, size)
            if "acceptance" in info:
                acceptance.append(float(info["acceptance"].mean()))
            means, w = _scaled(log_w)
            squares = (w**2).sum(axis=1)
            # ESS = size^2 / squares; of an extinct population, which stays as it is, infinite.
            uneven = np.flatnonzero(size < below * squares)
            if k < last and len(uneven):
                offsets = _uniforms(seeds[1], population, k)
                parents = np.arange(n_chains).reshape(n_populations, size)
                for p in uneven:
                    parents[p] = p * size + systematic(w[p], offsets[p])
                log_z[uneven] += means[uneven]
                log_w[uneven] = 0.0
                state = state._replace(x=state.x[parents.ravel()])
                family = family[parents.ravel()]
                resamplings[uneven] += 1
            tick()
    log_w += log_z[:, None]
    values = check_log_weights(_scaled(log_w)[0], "values of populations")
    mean = log_mean(values)
    lower, lower_stderr = mean_log(values)
    share = np.bincount(family, np.exp(log_w - logsumexp(log_w)).ravel(), n_chains)
    ess = 1.0 / float((share**2).sum())
    status = judge(ess=ess)
    if mean.constant:
        status = CONSTANT
    elif status == OK and disagree(values):
        status = POPULATIONS_DISAGREE
    log_z_0 = path.log_z_reference
    diagnostics: dict[str, Any] = {
        "ess": ess,
        "n_chains": n_chains,
        "rho_t": n_chains / ess,
        "families": int((share > 0.0).sum()),
        "resamplings": resamplings,
        "population_values": log_z_0 + values,
        "lower_stderr": lower_stderr,
        "ladder": lams,
        "cost": {
            "sweeps": n_chains * last * sweeps_per_level + tuning_sweeps + pilot.sweeps,
            "energy_evaluations": n_chains * 2 * (last + 1) + pilot.energy_evaluations,
            "seconds": time.perf_counter() - began,
        },
        "provenance": provenance(path, seed),
    }
    if acceptance:
        diagnostics["acceptance"] = np.array(acceptance)
    return LogZ(
        log_z_0 + mean.value,
        mean.stderr * widening(n_populations),
        lower=log_z_0 + lower,
        method="population annealing",
        status=status,
        diagnostics=diagnostics,
    )


def _part(value: Any) -> float:
    try:
        part = float(value)
    except (TypeError, ValueError):
        part = math.nan
    if not 0.0 <= part <= 1.0:
        raise InvalidInput(
            f"resample_below={value!r} must be a part between 0 (never resample) and 1 (at every "
            "level)."
        )
    return part


def _scaled(log_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log of the mean weight (population,), and weights in units of it; 0 where extinct."""
    top = log_w.max(axis=1)
    w = np.exp(log_w - np.where(np.isfinite(top), top, 0.0)[:, None])
    mean = w.mean(axis=1)
    with np.errstate(divide="ignore"):
        return top + np.log(mean), w / np.where(mean > 0.0, mean, 1.0)[:, None]


def _uniforms(seed: int, population: np.ndarray, level: int) -> np.ndarray:
    """One uniform per population."""
    words = _rng.words(seed, population, level, _rng.RESAMPLING, 0, 1)
    return np.asarray((words[:, 0] + 0.5) / 2**32)
