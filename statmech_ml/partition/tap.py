"""TAP: log Z of spins or bits expanded in the couplings at fixed means, to third order.

Plefka's expansion of the Gibbs free energy about independent sites. With site i of mean m_i, its
variance c_i and third central moment t_i, and beta multiplied into fields and couplings,

    log Z ~ sum_i S(m_i) + sum_i h_i m_i + sum_<ij> J_ij m_i m_j       order 1, naive mean field
          + 1/2 sum_<ij> J_ij^2 c_i c_j                                order 2, Onsager's reaction
          + 1/6 sum_<ij> J_ij^3 t_i t_j
          + sum_<ijk> J_ij J_jk J_ki c_i c_j c_k                       order 3, triangles once

at its stationary point in m, S the entropy. One pair of moments serves both kinds of sites:

    spins {-1, 1}   c = 1 - m^2      t = -2 m (1 - m^2)
    bits  {0, 1}    c = m - m^2      t = (m - m^2) (1 - 2 m)

An RBM in bits, hidden units included, has no triangles. The error is the next order: J^2, J^3, J^4
as J -> 0. Where couplings are strong the series means nothing: `plefka` tells,

    plefka = 1/n sum_ij J_ij^2 c_i c_j    (< 1 where the expansion may be trusted).

D. J. Thouless, P. W. Anderson and R. G. Palmer, Phil. Mag. 35, 593 (1977),
doi:10.1080/14786437708235992; T. Plefka, J. Phys. A 15, 1971 (1982),
doi:10.1088/0305-4470/15/6/035; A. Georges and J. S. Yedidia, J. Phys. A 24, 2173 (1991),
doi:10.1088/0305-4470/24/9/024; RBMs in bits: M. Gabrie, E. W. Tramel and F. Krzakala, NeurIPS 28
(2015), arXiv:1506.02914; E. W. Tramel et al., Phys. Rev. X 8, 041006 (2018),
doi:10.1103/PhysRevX.8.041006.
"""

import math
import time
from typing import Any

import numpy as np
from scipy.special import entr

from .._jit import kernel
from ..errors import InvalidInput
from ._iteration import Fixed, check_settings, iterate, report
from ._pairwise import Pairwise, pairwise
from .logz import APPROXIMATE, LOWER_BOUND, MAX_PLEFKA, NOT_CONVERGED, LogZ

# Share of bonds present from which triangles are counted with dense matrices.
_DENSE = 0.1


def tap(
    model: Any,
    beta: float | None = None,
    *,
    order: int = 3,
    start: Any = None,
    damping: float = 0.5,
    tol: float = 1e-10,
    max_sweeps: int = 2000,
) -> LogZ:
    """log Z of spins or bits by the Thouless-Anderson-Palmer expansion.

    Of the stationary points that the starts lead to, the one of largest value is kept among those
    with plefka < 1, and if there is none the one of smallest plefka.

    Parameters
    ----------
    model : Ising, RBM (not of levels), BoltzmannMachine, Hopfield or Path
        Of a path, the target.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0. A path knows its own.
    order : 1, 2 or 3, default 3
        1 is naive mean field, and then a lower bound.
    start : array (n_starts, n_sites), optional
        Configurations to start from besides the built-in ones; see `mean_field`.
    damping : float, default 0.5
        Share of the old mean in the new one, in [0, 1).
    tol : float, default 1e-10
        Largest change of a probability that the last sweep, undamped, would make.
    max_sweeps : int, default 2000
        Per start.

    Returns
    -------
    LogZ
        With status "approximate", "lower bound" at order 1, or "not converged", which says it of
        the iteration or, where plefka >= 1, of the series; stderr infinite: nothing is known about
        the error. diagnostics: order, plefka, terms (what each order adds,
        entropy and fields with the first), magnetizations float64 (n_sites,) and marginals
        (n_sites, 2), of RBMs (v, h); iterations, residual, converged (the iteration), n_starts,
        cost, provenance.

    Raises
    ------
    InvalidInput
        For models other than spins and bits in pairs, and settings that cannot work.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> print(tap(Ising(lattices.square(4, 4)), beta=0.2))  # exact: 11.7715
    log_z = 11.7304 [tap order 3, approximate]
    """
    began = time.perf_counter()
    if isinstance(order, bool) or order not in (1, 2, 3):
        raise InvalidInput(f"order={order!r} is not 1 (naive mean field), 2 or 3.")
    check_settings(tol, max_sweeps, damping)
    problem = pairwise(model, beta, "tap")
    if not (problem.is_numeric and len(problem.values) == 2):
        raise InvalidInput(
            f"tap expands spins and bits, but {model!r} has {len(problem.values)} values a site. "
            "Use mean_field or bethe."
        )
    expansion = _Expansion(problem, order)

    def run(p: np.ndarray) -> Fixed:
        m = p @ problem.values
        residual, n_sweeps = iterate(lambda: expansion.sweep(m, damping), tol, max_sweeps)
        up = expansion.share(m)
        return Fixed(sum(expansion.terms(m)), np.stack([1.0 - up, up], axis=1), residual, n_sweeps)

    def rank(fixed: Fixed) -> tuple[bool, bool, float]:
        plefka = expansion.plefka(fixed.marginals @ problem.values)
        trusted = order == 1 or plefka < MAX_PLEFKA
        return fixed.residual <= tol, trusted, fixed.value if trusted else -plefka

    found = [run(p) for p in problem.starts(start)]
    best = max(found, key=rank)
    # Neither the iteration nor the series may fail to converge.
    status, lower = (APPROXIMATE if all(rank(best)[:2]) else NOT_CONVERGED), None
    if order == 1:  # a bound at any m
        best = max(found, key=lambda fixed: fixed.value)
        status, lower = LOWER_BOUND, best.value
    m = best.marginals @ problem.values
    diagnostics = report(problem, best, found, tol, began) | {
        "order": order,
        "plefka": expansion.plefka(m),
        "terms": expansion.terms(m),
    }
    return LogZ(best.value, math.inf, lower, None, f"tap order {order}", status, diagnostics)


class _Expansion:
    """The terms of the series at means m (n,), and the sweep towards their stationary point."""

    def __init__(self, problem: Pairwise, order: int) -> None:
        self._problem, self._order = problem, order
        self._low, self._high = (float(v) for v in problem.values)
        self._triangles = order == 3 and not problem.is_bipartite
        matrix: Any = problem.matrix
        if self._triangles and matrix.nnz > _DENSE * matrix.shape[0] ** 2:
            matrix = matrix.toarray()
        self._matrix = matrix

    def share(self, m: np.ndarray) -> np.ndarray:
        """Probability of the higher value."""
        return np.asarray((m - self._low) / (self._high - self._low))

    def _moments(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variance and third central moment."""
        c = (m - self._low) * (self._high - m)
        return c, c * (self._low + self._high - 2.0 * m)

    def _around(self, c: np.ndarray) -> np.ndarray:
        """sum_<jk> J_ij J_jk J_ki c_j c_k over the triangles at each site i, (n,)."""
        if not self._triangles:
            return np.zeros_like(c)
        J = self._matrix
        paths = (J * c[None, :]) @ J  # J_ij c_j J_jk
        return np.asarray(0.5 * ((paths * J) @ c))

    def terms(self, m: np.ndarray) -> tuple[float, ...]:
        """What each order adds to log Z."""
        problem, up = self._problem, self.share(m)
        (i, j), J = problem.bonds.T, problem.couplings
        c, t = self._moments(m)
        sites = entr(up) + entr(1.0 - up) + (1.0 - up) * problem.fields[:, 0]
        alone = problem.constant + float((sites + up * problem.fields[:, 1]).sum())
        first = alone + float(J @ (m[i] * m[j]))
        second = float(J**2 @ (c[i] * c[j])) / 2.0
        third = float(J**3 @ (t[i] * t[j])) / 6.0 + float(c @ self._around(c)) / 3.0
        return (first, second, third)[: self._order]

    def plefka(self, m: np.ndarray) -> float:
        """1/n sum_ij J_ij^2 c_i c_j."""
        i, j = self._problem.bonds.T
        c, _ = self._moments(m)
        return float(2.0 * (self._problem.couplings**2 @ (c[i] * c[j]))) / len(m)

    def sweep(self, m: np.ndarray, damping: float) -> float:
        """Every mean once, in place; the largest undamped change of a probability."""
        half, fields = self._problem.half_bonds, self._problem.fields
        log_odds = fields[:, 1] - fields[:, 0]
        around = self._around(self._moments(m)[0])
        span = (self._low, self._high)
        return _sweep(
            half.start, half.neighbour, half.coupling, log_odds, around, m, span, self._order,
            damping,
        )  # fmt: skip


@kernel
def _sweep(start, neighbour, coupling, log_odds, around, m, span, order, damping):
    """m_i = low + (high - low) sigmoid((high - low) dG/dm_i), site after site."""
    low, high = span
    residual = 0.0
    for i in range(m.shape[0]):
        first, second, third = 0.0, 0.0, 0.0
        for k in range(start[i], start[i + 1]):
            J, mean = coupling[k], m[neighbour[k]]
            c = (mean - low) * (high - mean)
            first += J * mean
            second += J * J * c
            third += J * J * J * c * (low + high - 2.0 * mean)
        slope = low + high - 2.0 * m[i]  # dc/dm; dt/dm = slope^2 - 2 c
        force = first
        if order >= 2:
            force += 0.5 * slope * second
        if order >= 3:
            c = (m[i] - low) * (high - m[i])
            force += (slope * slope - 2.0 * c) * third / 6.0 + slope * around[i]
        logit = log_odds[i] + (high - low) * force
        # the sigmoid, without overflow
        small = math.exp(-abs(logit))
        up = 1.0 / (1.0 + small) if logit >= 0.0 else small / (1.0 + small)
        fresh = low + (high - low) * up
        residual = max(residual, abs(fresh - m[i]) / (high - low))
        m[i] = damping * m[i] + (1.0 - damping) * fresh
    return residual
