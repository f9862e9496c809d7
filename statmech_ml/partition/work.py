"""Work of switching: log Z from systems driven from the reference to the target.

A system in equilibrium at lambda = 0 is taken to lambda = 1 in steps: the step itself costs the
work u_next(x) - u_lam(x), in units of kT, and then the system relaxes for some sweeps. However fast
the drive,

    < exp(-W) > = Z / Z_0 = exp(-dF)    C. Jarzynski, Phys. Rev. Lett. 78, 2690 (1997), eq. 2b,
                                        doi:10.1103/PhysRevLett.78.2690
    <W> - dF >= 0                       the dissipated work (second law); for normally distributed
                                        work it is half its variance

so -W is a log-weight, and switching is annealed importance sampling (`ais`) in other words. Driven
back from the target, with the same steps in reverse order and moves that are their own reverse,

    P_forward(W) / P_reverse(-W) = exp(W - dF)    G. E. Crooks, Phys. Rev. E 60, 2721 (1999), eq. 2,
                                                  doi:10.1103/PhysRevE.60.2721

Both kinds of work together are best analysed by Bennett's acceptance ratio (`bar_from_work`). That
the logarithm of the ratio has slope 1 in W is a check: the drive was the same both ways, and both
ends were in equilibrium.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from ..errors import InvalidInput
from ._arguments import check_path
from ._weights import as_numbers
from .ais import ais, from_log_weights
from .bar import bar_from_work
from .logz import OK, LogZ, judge
from .path import Path

_NAMES = ("values of work", "values of reverse work")


def jarzynski(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = 256,
    *,
    rng: Any,
    sweeps_per_level: int = 1,
    ladder: Any = None,
    progress: bool | None = None,
) -> LogZ:
    """log Z of a path's target from the work of switching to it.

    Parameters
    ----------
    path : Path
        `Switching(model)` drives a model by its own protocol, such as a trap that is dragged.
    n_levels : int, default 200
        Number of steps; 1 is an instantaneous switch.
    n_chains : int, default 256
        Number of independent repetitions, at least 2.
    rng : int or numpy Generator
        The seed. There is no default.
    sweeps_per_level : int, default 1
        Sweeps after each step. Moves that are not exact (`ULA`) do work of their own on the system,
        which is counted.
    ladder : array or "adaptive", optional
        As in `ais`.
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    LogZ
        exp(value) is unbiased; `lower` is log Z_0 - <W>. diagnostics: work (chain,), mean_work,
        dissipated_work, dissipated_work_stderr, all in units of kT; ess, n_chains, ladder,
        acceptance, cost, provenance.

    Raises
    ------
    InvalidInput, StatmechError
        As `ais`.

    >>> from statmech_ml.models import DraggedTrap
    >>> from statmech_ml.partition import Switching
    >>> path = Switching(DraggedTrap(stiffness=1.0, distance=2.0))
    >>> print(jarzynski(path, n_levels=50, rng=1))  # exact: 0.919
    log_z = 0.880(20) [jarzynski, ess 232/256]
    """
    check_path(path, "jarzynski")
    run = ais(
        path,
        n_levels,
        n_chains,
        rng=rng,
        sweeps_per_level=sweeps_per_level,
        ladder=ladder,
        progress=progress,
    )
    return _as_work(run, path.log_z_reference)


def jarzynski_from_work(work: Any, log_z_reference: float = 0.0) -> LogZ:
    """log Z from the work of independent repetitions of one drive.

    Parameters
    ----------
    work : array (chain,)
        In units of kT, on systems that start in equilibrium; +inf where the system was driven to
        what the target forbids.
    log_z_reference : float, default 0.0
        log Z where the drive starts. At 0 the value is -dF, the difference of log Z.

    Returns
    -------
    LogZ
        diagnostics: work, mean_work, dissipated_work, dissipated_work_stderr, ess, n_chains.

    Raises
    ------
    InvalidInput
        For NaN, work of -inf, and fewer than 2 repetitions.
    StatmechError
        When all the work is infinite.

    >>> print(jarzynski_from_work([0.3, 1.1, 0.4, 0.8]))
    log_z = -0.60(17) [jarzynski, ess 4/4, low ess]
    """
    log_w = -as_numbers(work, _NAMES[0])
    run = from_log_weights(log_w, None, log_z_reference, _NAMES)
    return _as_work(run, float(log_z_reference))


def crooks(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = 256,
    *,
    rng: Any,
    sweeps_per_level: int = 1,
    ladder: Any = None,
    start: Any = None,
    progress: bool | None = None,
) -> LogZ:
    """log Z from work both ways: forward and time-reversed switching, by Bennett's ratio.

    Parameters
    ----------
    path : Path
        With a sampler that is its own reverse: MALA, ULA, BlockGibbs, Metropolis at random sites,
        clusters.
    n_levels, sweeps_per_level, ladder, progress
        As in `jarzynski`.
    n_chains : int, default 256
        Repetitions in each direction.
    rng : int or numpy Generator
        The seed. There is no default.
    start : array (n_chains, size) or State, optional
        Independent configurations of the target, where the reversed drive starts. By default they
        are drawn exactly where the space has at most 2^24 states.

    Returns
    -------
    LogZ
        With the bounds of both directions, log Z_0 - <W> and log Z_0 + <W of the reversed drive>.
        diagnostics of `bar_from_work` and: work, reverse_work (chain,) in units of kT; crooks_slope
        and crooks_slope_stderr, the slope of log P_forward(W) / P_reverse(-W), which is 1, where
        the two overlap; crossing, the work at which the two are equal; ladder, cost, provenance.

    Raises
    ------
    InvalidInput
        For a sampler whose sweeps are not their own reverse, such as a heat bath in a fixed order
        of sites; otherwise as `ais`.
    """
    check_path(path, "crooks")
    if not path.sampler.reversible:
        raise InvalidInput(
            f"The sweeps of {path.sampler!r} are not their own reverse, and Crooks's relation "
            "holds for a drive back with time-reversed sweeps only. Use Metropolis() at random "
            "sites, BlockGibbs(), MALA() or a cluster sampler; jarzynski and ais need no reverse."
        )
    run = ais(
        path,
        n_levels,
        n_chains,
        rng=rng,
        sweeps_per_level=sweeps_per_level,
        ladder=ladder,
        start=start,
        direction="both",
        progress=progress,
    )
    work, reverse_work = -run.diagnostics["log_weights"], run.diagnostics["reverse_log_weights"]
    result = bar_from_work(work, reverse_work, log_z_reference=path.log_z_reference)
    kept = {name: run.diagnostics[name] for name in ("ladder", "cost", "provenance")}
    slope = _slope(work, reverse_work)
    disagreement = 0.0
    if slope:
        disagreement = (slope["crooks_slope"] - 1.0) / slope["crooks_slope_stderr"]
    return replace(
        result,
        lower=run.lower,
        upper=run.upper,
        method="crooks",
        status=judge(disagreement=disagreement) if result.status == OK else result.status,
        diagnostics={
            **result.diagnostics,
            **slope,
            **kept,
            "work": work,
            "reverse_work": reverse_work,
            "crossing": path.log_z_reference - result.value,
            "lower_stderr": run.diagnostics["lower_stderr"],
            "upper_stderr": run.diagnostics["upper_stderr"],
        },
    )


def _as_work(run: LogZ, log_z_reference: float) -> LogZ:
    """A run's log-weights told as work."""
    diagnostics = dict(run.diagnostics)
    work = -diagnostics.pop("log_weights")
    n, mean = len(work), float(work.mean())
    gained = math.inf if math.isinf(mean) else mean + run.value - log_z_reference
    error = math.inf
    if math.isfinite(mean):
        # The mean and the exponential mean share their data: one influence function for both.
        w = np.exp(-(work - work.min()))
        error = float((work - mean + w / w.mean()).std(ddof=1)) / math.sqrt(n)
    diagnostics |= {
        "work": work,
        "mean_work": mean,
        "dissipated_work": gained,
        "dissipated_work_stderr": error,
    }
    return replace(run, method="jarzynski", diagnostics=diagnostics)


def _slope(work: np.ndarray, reverse_work: np.ndarray) -> Mapping[str, float]:
    """Slope of log P_forward(W) / P_reverse(-W) by logistic regression, {} where W tells nothing.

    P(forward | W) = sigmoid(c + slope W) holds whatever the two laws are, so no histogram is
    needed: M. R. Shirts, E. Bair, G. Hooker and V. S. Pande, Phys. Rev. Lett. 91, 140601 (2003),
    doi:10.1103/PhysRevLett.91.140601, who fix the slope and obtain Bennett's ratio.
    """
    w = np.concatenate([work, -reverse_work])
    forward = np.concatenate([np.ones(len(work)), np.zeros(len(reverse_work))])
    kept = np.isfinite(w)
    w, forward = w[kept], forward[kept]
    spread = float(w.std()) if len(w) else 0.0
    apart = len(w) == 0 or w[forward == 1].min() >= w[forward == 0].max()
    if apart or not spread > 0.0:
        return {}
    columns = np.column_stack([np.ones(len(w)), (w - w.mean()) / spread])
    fit = np.array([0.0, spread])
    for _ in range(50):
        p = expit(columns @ fit)
        curvature = (columns * (p * (1.0 - p))[:, None]).T @ columns
        if not np.linalg.cond(curvature) < 1e12:
            return {}
        step = np.linalg.solve(curvature, columns.T @ (forward - p))
        fit = fit + step / max(1.0, float(np.abs(step).max()) / 2.0)
        if np.abs(step).max() < 1e-9:
            error = math.sqrt(np.linalg.inv(curvature)[1, 1])
            return {"crooks_slope": float(fit[1]) / spread, "crooks_slope_stderr": error / spread}
    return {}
