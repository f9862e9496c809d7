"""MBAR: free energies of many states from samples of all of them, and averages in any other state.

    f_i = -log sum_n exp(-u_i(x_n)) / D_n,    D_n = sum_k N_k exp(f_k - u_k(x_n))      (eq. 11)
    W_ni = exp(f_i - u_i(x_n)) / D_n,         <A>_i = sum_n W_ni A(x_n)                (eqs. 9, 15)

f = -log Z up to a constant. No other estimator that reweights these samples has a smaller variance;
for two states it is Bennett's acceptance ratio. Independent samples have the covariance of eq. 8,
here from K x K matrices. Correlated ones have the sandwich estimator, from influences

    psi_n = -(X_n + X^T P H^+ p_n),    p_kn = N_k W_nk,    H = diag(sum_n p_n) - p p^T,

of the columns X = W_i for f_i and X = W_i (A - <A>_i) for minus <A>_i, summed over clusters.

M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008), doi:10.1063/1.2978177; overlap:
P. V. Klimovich, M. R. Shirts and D. L. Mobley, J. Comput.-Aided Mol. Des. 29, 397 (2015),
doi:10.1007/s10822-015-9840-9.
"""

import math
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import linkage

from ..errors import InvalidInput
from . import _equilibrium
from ._arguments import check_count
from ._equilibrium import DEFAULT_BURN_IN, DEFAULT_CHAINS, DEFAULT_DRAWS, correlation, settings
from ._influence import Clusters
from ._mbar_mixture import Mixture, Moments
from ._mbar_result import Mbar, real_numbers, sliced
from ._mbar_solver import Table, check_energies, solve
from .energies import AffineEnergies
from .logz import CONSTANT, LOW_OVERLAP, MIN_OVERLAP, OK, LogZ, judge
from .path import Path

# An overlap this near to 1 is that of states that are the same, up to rounding.
_EQUAL = 1e-12


def mbar(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = DEFAULT_CHAINS,
    *,
    rng: Any,
    n_draws: int = DEFAULT_DRAWS,
    burn_in: int = DEFAULT_BURN_IN,
    thin: int = 1,
    exchange: bool = False,
    ladder: Any = None,
) -> LogZ:
    """log Z of a path's target by MBAR on equilibrium samples at all levels.

    Parameters
    ----------
    path : Path
    n_levels : int, default 16
        Number of steps of an even ladder.
    n_chains : int, default 32
        Independent chains, at least 4, each with samples at all levels; their scatter is the error.
    rng : int or numpy Generator
        The seed. There is no default.
    n_draws : int, default 200
        Samples of each chain at each level.
    burn_in : int, default 50
        Sweeps at each level on the way up. After them all levels run n_draws thin sweeps more, with
        exchange where there is any, before the first sample.
    thin : int, default 1
        Sweeps between samples.
    exchange : bool, default False
        Whether neighbouring levels of a chain exchange configurations (`ReplicaExchange`).
    ladder : array, optional
        Increasing lambdas from 0 to 1, in place of n_levels.

    Returns
    -------
    LogZ
        diagnostics: overlap, overlap_matrix, log_z and log_z_stderr at every level, n_effective;
        tau, ess (least of the levels, and no more than the error allows), drift (change of log Z
        between the halves of the run, in errors), n_chains, n_draws, ladder, cost, provenance;
        acceptance, and with exchange swap_acceptance and round_trips.

    Raises
    ------
    InvalidInput
        For arguments that cannot work, and energies that are NaN or -inf.
    StatmechError
        When the levels do not overlap enough for their log Z to be known.

    Notes
    -----
    Where u is affine in lambda two numbers are kept of each sample, elsewhere one per level; above
    1 GiB they go to a temporary file.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> result = mbar(path, n_levels=4, rng=1, n_draws=50)  # exact: 12.786
    >>> result.ok, abs(result.z(exact=12.7858)) < 4
    (True, True)
    """
    run = settings("mbar", path, n_levels, n_chains, rng, n_draws, burn_in, thin, exchange, ladder)
    lams, affine = run.lams, _equilibrium.is_affine(path)
    kept = np.array([0.0, 1.0]) if affine else lams

    def energies(x: np.ndarray, at: np.ndarray) -> np.ndarray:
        return path.reduced_energies(x, kept)

    sampled = _equilibrium.equilibrate(path, run, energies, evaluations=len(kept))
    n_states = len(lams)
    table = sampled.values.reshape(len(kept), -1)
    n = run.n_chains * run.n_draws
    solution = mbar_from_energies(
        AffineEnergies(lams, *table) if affine else table,
        np.full(n_states, n),
        clusters=np.tile(np.repeat(np.arange(run.n_chains), run.n_draws), n_states),
    )
    # The slowest that a sample does: its energy difference between the ends.
    tau, ess = correlation(sampled.values[-1] - sampled.values[0])
    error = float(solution.stderr[-1])
    evidence = {
        "overlap": solution.overlap,
        "ess": _equilibrium.effective(ess, n, 1.0, math.sqrt(float(solution.inefficiency[-1]))),
        "drift": _equilibrium.drift(_shares(lams, sampled.values, affine)),
    }
    status = judge(
        **evidence,
        round_trips=sampled.diagnostics.get("round_trips", math.inf),
        n_chains=run.n_chains,
    )
    error = max(error, 1.0 / n)
    if not solution.ok:
        status = solution.status
    return LogZ(
        path.log_z_reference - float(solution.f_k[-1]),
        error,
        method="mbar",
        status=status,
        diagnostics=sampled.diagnostics
        | evidence
        | {
            "overlap_matrix": solution.overlap_matrix,
            "n_effective": solution.n_effective,
            "log_z": path.log_z_reference - solution.f_k,
            "log_z_stderr": solution.stderr,
            "tau": tau,
        },
    )


def mbar_from_energies(
    u_kn: Any, n_k: Any, *, clusters: Any = None, chunk_size: int | None = None
) -> Mbar:
    """Free energies of K states from N samples and their reduced energies in every state.

    Parameters
    ----------
    u_kn : float (K, N)
        Reduced energy of sample n in state k; +inf where k forbids it. An array, or anything with
        ``.shape`` that gives slices ``u_kn[:, a:b]``: `numpy.memmap`, a zarr array,
        `TemperedEnergies`. Samples stand in the order of the states that they were drawn from.
    n_k : int (K,)
        Number of samples from each state; 0 for states that were not sampled.
    clusters : int (N,), optional
        Equal for samples that may be correlated: the chain, or the block of time. Without it all
        samples count as independent, and the errors of correlated ones come out too small.
    chunk_size : int, optional
        Samples taken at a time; by default about 2^17 / K. Memory is that of a few chunks on each
        thread, and of three numbers per sample.

    Returns
    -------
    Mbar

    Raises
    ------
    InvalidInput
        For NaN or -inf energies, shapes and counts that do not fit, fewer than 4 clusters.
    StatmechError
        When the states do not overlap enough for their free energies to be known.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)  # two harmonic wells, of stiffness 1 and 4
    >>> x = np.concatenate([rng.normal(size=5000), 0.5 * rng.normal(size=5000)])
    >>> result = mbar_from_energies([0.5 * x**2, 2.0 * x**2], n_k=[5000, 5000])
    >>> abs(result.f_k[1] - np.log(2.0)) < 4 * result.stderr[1]
    np.True_
    """
    table, counts = _checked(u_kn, n_k, chunk_size)
    sampled = np.flatnonzero(counts)
    check_energies(table, sampled)
    groups = None if clusters is None else Clusters(clusters, counts)
    n = counts[sampled].astype(np.float64)
    rows = None if len(sampled) == table.n_states else sampled
    solution = solve(Table(table.u_kn, chunk_size, rows), n)
    mixture = Mixture(table, sampled, n, solution, groups)
    f = np.empty(table.n_states)
    f[sampled] = solution.f
    if rows is not None:
        others = np.flatnonzero(counts == 0)
        f[others] = mixture.normalise(Table(table.u_kn, chunk_size, others))
    mixture.f_0 = float(f[0])
    if rows is None and groups is None:
        moments = Moments(solution.gram / np.outer(n, n), solution.gram / n[:, None], None)
    else:
        moments = mixture.moments(
            lambda a, b, u: np.exp(f[:, None] - u - solution.log_d[a:b]),
        )
    covariance = _relative(mixture.covariance(moments))
    alone = np.diag(_relative(mixture.independent(moments)))
    ratio = np.divide(np.diag(covariance), alone, out=np.ones(len(f)), where=alone > 0.0)
    norm = np.sqrt(np.diag(moments.xx))
    overlap = _weakest_link(moments.xx / np.outer(norm, norm))
    status = OK if overlap >= MIN_OVERLAP else LOW_OVERLAP
    if len(f) > 1 and overlap >= 1.0 - _EQUAL:
        status, floor = CONSTANT, 1.0 / n.min()
        covariance = _relative(0.5 * floor**2 * np.eye(len(f)))
    return Mbar(
        f_k=f - f[0],
        covariance=covariance,
        n_k=counts,
        n_effective=norm**-2,
        overlap_matrix=moments.xx * counts,
        overlap=overlap,
        inefficiency=ratio,
        status=status,
        passes=solution.passes,
        _mixture=mixture,
    )


def _shares(lams: np.ndarray, u: np.ndarray, affine: bool) -> np.ndarray:
    """Half of u at the level above less half of u at the level below, (K, R, D) of samples."""
    last = len(lams) - 1
    if affine:
        step = [0.5 * (lams[min(k + 1, last)] - lams[max(k - 1, 0)]) for k in range(last + 1)]
        return np.array(step)[:, None, None] * (u[1] - u[0])
    with np.errstate(invalid="ignore"):  # forbidden on both sides
        return 0.5 * np.stack(
            [u[min(k + 1, last), k] - u[max(k - 1, 0), k] for k in range(last + 1)]
        )


def _relative(covariance: np.ndarray) -> np.ndarray:
    """Covariance of what differs from the first."""
    return np.asarray(covariance - covariance[:1] - covariance[:, :1] + covariance[0, 0])


def _weakest_link(similar: np.ndarray) -> float:
    """The least similarity on the best tree that joins all states."""
    if len(similar) == 1:
        return 1.0
    upper = np.triu_indices(len(similar), 1)
    return float(1.0 - linkage(np.maximum(0.0, 1.0 - similar[upper]))[-1, 2])


def _checked(u_kn: Any, n_k: Any, chunk_size: int | None) -> tuple[Table, np.ndarray]:
    u_kn = sliced("u_kn", u_kn)
    if len(u_kn.shape) != 2 or not all(u_kn.shape):
        raise InvalidInput(
            f"u_kn has shape {tuple(u_kn.shape)}; it must be (K, N), the energy of every sample in "
            "every state."
        )
    counts = real_numbers("n_k", n_k)
    if counts.shape != (u_kn.shape[0],):
        raise InvalidInput(
            f"n_k has shape {counts.shape}, but u_kn has {u_kn.shape[0]} states (rows)."
        )
    if not ((counts >= 0) & (counts == np.round(counts))).all() or counts.sum() != u_kn.shape[1]:
        raise InvalidInput(
            f"n_k={counts.tolist()} must be numbers of samples that add up to the "
            f"{u_kn.shape[1]} columns of u_kn."
        )
    if chunk_size is not None:
        check_count("chunk_size", chunk_size, 1)
    return Table(u_kn, chunk_size), counts.astype(np.int64)
