"""Naive mean field: the best independent sites, and with them a lower bound on log Z.

For any product law p(x) = prod_i p_i(x_i), Gibbs's inequality bounds

    log Z  >=  sum_i S(p_i) + sum_i p_i . fields_i + sum_<ij> J_ij p_i . f . p_j,

S the entropy. Its stationary points are p_i ~ exp(fields_i + sum_j J_ij f . p_j), for spins
m_i = tanh(h_i + sum_j J_ij m_j). Sites are updated one after the other, each to its best value with
the others held: the bound never falls, so the iteration converges without damping, to a local
maximum that depends on the start. Several starts run and the best bound is kept.

M. Opper and D. Saad (eds.), "Advanced Mean Field Methods", MIT Press (2001), chapter 2,
doi:10.7551/mitpress/1100.001.0001; M. J. Wainwright and M. I. Jordan, Found. Trends Mach. Learn.
1, 1 (2008), section 5, doi:10.1561/2200000001.
"""

import math
import time
from typing import Any

import numpy as np
from scipy.special import entr

from .._jit import kernel
from ._iteration import Fixed, check_settings, iterate, report
from ._pairwise import Pairwise, pairwise
from .logz import LOWER_BOUND, LogZ


def mean_field(
    model: Any,
    beta: float | None = None,
    *,
    start: Any = None,
    tol: float = 1e-10,
    max_sweeps: int = 10_000,
) -> LogZ:
    """Lower bound on log Z of a pairwise model by naive mean field.

    Parameters
    ----------
    model : Ising, Potts, RBM (not of levels), BoltzmannMachine, Hopfield or Path
        Of a path, the target.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0. A path knows its own.
    start : array (n_starts, n_sites), optional
        Configurations to start from besides the built-in ones: independent sites, every site at one
        value, and the leading modes of the couplings. For RBMs (v, h).
    tol : float, default 1e-10
        Largest change of a probability in the last sweep.
    max_sweeps : int, default 10,000
        Per start. The bound holds wherever the iteration stops.

    Returns
    -------
    LogZ
        With status "lower bound", `lower` at the value, and an infinite stderr: nothing is known
        about the gap. diagnostics: marginals float64 (n_sites, n_values), magnetizations (n_sites,)
        of spins and bits, iterations, residual, converged, n_starts, cost, provenance.

    Raises
    ------
    InvalidInput
        For models that are not pairwise, and settings that cannot work.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> print(mean_field(Ising(lattices.square(4, 4)), beta=0.44))  # exact: 15.505
    log_z = 14.6059 [mean field, lower bound]
    """
    began = time.perf_counter()
    check_settings(tol, max_sweeps)
    problem = pairwise(model, beta, "mean_field")
    half = problem.half_bonds
    tables = (half.start, half.neighbour, half.coupling, problem.fields, problem.interaction)
    scratch = np.empty((2, problem.fields.shape[1]))

    def run(p: np.ndarray) -> Fixed:
        def sweep() -> float:
            return _sweep(*tables, p, scratch)

        residual, n_sweeps = iterate(sweep, tol, max_sweeps)
        return Fixed(bound(problem, p), p, residual, n_sweeps)

    found = [run(p) for p in problem.starts(start)]
    best = max(found, key=lambda fixed: fixed.value)
    diagnostics = report(problem, best, found, tol, began)
    return LogZ(best.value, math.inf, best.value, None, "mean field", LOWER_BOUND, diagnostics)


def bound(problem: Pairwise, p: np.ndarray) -> float:
    """The right-hand side of Gibbs's inequality at the marginals p (n, q)."""
    i, j = problem.bonds.T
    pairs = ((p[i] @ problem.interaction) * p[j]).sum(axis=1)
    sites = float(entr(p).sum() + (p * problem.fields).sum())
    return problem.constant + sites + float(problem.couplings @ pairs)


@kernel
def _sweep(start, neighbour, coupling, fields, interaction, p, scratch):
    """Each site to its best marginal in turn, in place; the largest change of a probability."""
    n, q = fields.shape
    around, fresh = scratch[0], scratch[1]
    residual = 0.0
    for i in range(n):
        for b in range(q):
            around[b] = 0.0
        for k in range(start[i], start[i + 1]):
            for b in range(q):
                around[b] += coupling[k] * p[neighbour[k], b]
        top = -math.inf
        for a in range(q):
            fresh[a] = fields[i, a]
            for b in range(q):
                fresh[a] += interaction[a, b] * around[b]
            top = max(top, fresh[a])
        norm = 0.0
        for a in range(q):
            fresh[a] = math.exp(fresh[a] - top)
            norm += fresh[a]
        for a in range(q):
            residual = max(residual, abs(fresh[a] / norm - p[i, a]))
            p[i, a] = fresh[a] / norm
    return residual
