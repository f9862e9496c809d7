"""The Bethe approximation of log Z, by loopy belief propagation.

Each site i sends each neighbour j what it knows without it,

    mu_ij(b) ~ log sum_a exp(fields_i(a) + sum_{k != j} mu_ki(a) + J_ij f(a, b)),

until nothing changes. With B_i(a) = fields_i(a) + sum_k mu_ki(a) and B_i\\j = B_i - mu_ji,

    log Z_B = sum_i log Z_i + sum_<ij> (log Z_ij - log Z_i - log Z_j),
    Z_i = sum_a exp(B_i(a)),  Z_ij = sum_ab exp(B_i\\j(a) + J_ij f(a, b) + B_j\\i(b)).

It is exact where there is no loop. On loops it is an approximation, of either sign; for two values
a site and couplings that a relabelling makes all attractive, with any fields, it is a lower bound,
because Z_B^M is the mean Z of the M-fold covers of the graph for large M, and none of these exceeds
Z^M. Fixed points need not be unique, nor be found: frustrated and cold systems end "not converged".

J. S. Yedidia, W. T. Freeman and Y. Weiss, IEEE Trans. Inf. Theory 51, 2282 (2005),
doi:10.1109/TIT.2005.850085; the bound: N. Ruozzi, NeurIPS 25 (2012), arXiv:1202.6035, and before
it for some models E. B. Sudderth, M. J. Wainwright and A. S. Willsky, NeurIPS 20 (2007).
"""

import math
import time
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from .._jit import kernel
from ._iteration import Fixed, check_settings, iterate, report
from ._pairwise import Pairwise, pairwise
from .logz import APPROXIMATE, EXACT, LOWER_BOUND, NOT_CONVERGED, LogZ


def bethe(
    model: Any,
    beta: float | None = None,
    *,
    start: Any = None,
    damping: float = 0.3,
    tol: float = 1e-10,
    max_sweeps: int = 500,
) -> LogZ:
    """log Z of a pairwise model in the Bethe approximation, exact without loops.

    Two bonds between the same sites (a periodic side of length 2) count as one bond. Of the fixed
    points that the starts lead to, the one of largest log Z is kept.

    Parameters
    ----------
    model : Ising, Potts, RBM (not of levels), BoltzmannMachine, Hopfield or Path
        Of a path, the target.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0. A path knows its own.
    start : array (n_starts, n_sites), optional
        Configurations to start from besides the built-in ones; see `mean_field`.
    damping : float, default 0.3
        Share of the old message in the new one, in [0, 1). Trees need none, and use none.
    tol : float, default 1e-10
        Largest change of a message, a log-probability, that the last sweep, undamped, would make;
        relative for messages larger than 1.
    max_sweeps : int, default 500
        Per start; a sweep sends every message twice, outwards and back.

    Returns
    -------
    LogZ
        Status "exact" without loops, with stderr 0 and both bounds at the value; "lower bound" for
        attractive models of two values, with `lower` at the value; else "approximate"; or "not
        converged". Except on trees the stderr is infinite: nothing is known about the error.
        diagnostics: marginals float64 (n_sites, n_values), magnetizations (n_sites,) of spins and
        bits, iterations, residual, converged, n_starts, cost, provenance.

    Raises
    ------
    InvalidInput
        For models that are not pairwise, and settings that cannot work.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> print(bethe(Ising(lattices.chain(3, boundary="open")), beta=0.5))  # log(8 cosh^2 0.5)
    log_z = 2.3196705556 [bethe, exact]
    """
    began = time.perf_counter()
    check_settings(tol, max_sweeps, damping)
    problem = pairwise(model, beta, "bethe")
    if problem.is_forest:
        damping = 0.0
    half = problem.half_bonds
    inwards = problem.breadth_first[::-1].copy()
    tables = (half.start, half.neighbour, half.coupling, half.reverse, problem.fields)
    scratch = np.empty((2, problem.fields.shape[1]))

    def run(p: np.ndarray) -> Fixed:
        messages = _first_messages(problem, p)

        def sweep() -> float:
            # On a tree, from the leaves to the root and back: once is enough.
            return max(
                _sweep(*tables, problem.interaction, order, messages, damping, scratch)
                for order in (inwards, problem.breadth_first)
            )

        residual, n_sweeps = iterate(sweep, tol, max_sweeps)
        beliefs = _beliefs(problem, messages)
        value = _log_z(problem, beliefs, messages)
        return Fixed(value, softmax(beliefs, axis=1), residual, n_sweeps)

    starts = problem.starts(start)
    # Without loops there is one fixed point.
    found = [run(p) for p in (starts[:1] if problem.is_forest else starts)]
    best = max(found, key=lambda fixed: _rank(fixed, tol))
    diagnostics = report(problem, best, found, tol, began)
    value, lower, upper, stderr = best.value, None, None, math.inf
    if best.residual > tol:
        status = NOT_CONVERGED
    elif problem.is_forest:
        status, stderr, lower, upper = EXACT, 0.0, value, value
    elif problem.is_attractive:
        status, lower = LOWER_BOUND, value
    else:
        status = APPROXIMATE
    return LogZ(value, stderr, lower, upper, "bethe", status, diagnostics)


def _rank(fixed: Fixed, tol: float) -> tuple[bool, float]:
    """Fixed points by log Z; where there is none, the quietest run."""
    converged = fixed.residual <= tol
    return converged, fixed.value if converged else -fixed.residual


def _first_messages(problem: Pairwise, p: np.ndarray) -> np.ndarray:
    """What sites of marginals p (n, q) would send, float64 (2 m, q): the message to each site."""
    half = problem.half_bonds
    with np.errstate(divide="ignore"):
        log_p = np.log(p)[half.neighbour]
    pairs = half.coupling[:, None, None] * problem.interaction
    messages = logsumexp(log_p[:, :, None] + pairs, axis=1)
    return np.asarray(messages - messages.mean(axis=1, keepdims=True))


def _beliefs(problem: Pairwise, messages: np.ndarray) -> np.ndarray:
    """B_i(a), float64 (n, q)."""
    site = problem.half_bonds.neighbour[problem.half_bonds.reverse]
    beliefs = problem.fields.copy()
    np.add.at(beliefs, site, messages)
    return beliefs


def _log_z(problem: Pairwise, beliefs: np.ndarray, messages: np.ndarray) -> float:
    """log Z_B at messages (2 m, q); an error of theirs enters squared."""
    sites = logsumexp(beliefs, axis=1)
    at_i, at_j = problem.half_bonds.of_bond.T
    i, j = problem.bonds.T
    joint = (
        (beliefs[i] - messages[at_i])[:, :, None]
        + problem.couplings[:, None, None] * problem.interaction
        + (beliefs[j] - messages[at_j])[:, None, :]
    )
    pairs = logsumexp(joint.reshape(len(i), beliefs.shape[1] ** 2), axis=1) - sites[i] - sites[j]
    return problem.constant + math.fsum(sites) + math.fsum(pairs)


@kernel
def _sweep(
    start, neighbour, coupling, reverse, fields, interaction, order, messages, damping, scratch
):
    """Every site sends its messages, in the given order; the largest undamped change (see tol).

    Messages have mean zero over the values, which mixing old and new keeps.
    """
    q = fields.shape[1]
    belief, fresh = scratch[0], scratch[1]
    residual = 0.0
    for i in order:
        for a in range(q):
            belief[a] = fields[i, a]
            for k in range(start[i], start[i + 1]):
                belief[a] += messages[k, a]
        for k in range(start[i], start[i + 1]):
            mean = 0.0
            for b in range(q):
                top = -math.inf
                for a in range(q):
                    term = belief[a] - messages[k, a] + coupling[k] * interaction[a, b]
                    top = max(top, term)
                total = 0.0
                for a in range(q):
                    term = belief[a] - messages[k, a] + coupling[k] * interaction[a, b]
                    total += math.exp(term - top)
                fresh[b] = top + math.log(total)
                mean += fresh[b] / q
            for b in range(q):
                old, new = messages[reverse[k], b], fresh[b] - mean
                residual = max(residual, abs(new - old) / max(1.0, abs(new)))
                messages[reverse[k], b] = damping * old + (1.0 - damping) * new
    return residual
