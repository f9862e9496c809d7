"""The mixture of samples that MBAR weighs: weights for other states, and their errors.

See `mbar` for the equations. Everything is a sum over samples, taken chunk by chunk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from ..errors import InvalidInput
from ._influence import Clusters
from ._mbar_solver import Solution, Table, pseudo_inverse


class Moments(NamedTuple):
    """X X^T (m, m), X p^T (m, K) and influences of X by clusters (cluster, m) of columns X."""

    xx: np.ndarray
    xp: np.ndarray
    psi: np.ndarray | None


class Mixture:
    """The mixture of all samples: what is needed to weigh them for other states."""

    def __init__(
        self,
        table: Table,
        sampled: np.ndarray,
        n: np.ndarray,
        solution: Solution,
        clusters: Clusters | None,
    ) -> None:
        self.table, self.log_d = table, solution.log_d
        self._sampled, self._n, self._gram = sampled, n, solution.gram
        self._bias = np.log(n) + solution.f
        self._inverse = pseudo_inverse(solution.gram, n)
        self._clusters = clusters
        self.f_0 = 0.0
        self._psi_p: np.ndarray | None = None
        if clusters is not None:
            self._psi_p = self.moments(lambda a, b, u: self._p(a, b, u)).psi

    def _p(self, a: int, b: int, u: np.ndarray) -> np.ndarray:
        return np.exp(self._bias[:, None] - u[self._sampled] - self.log_d[a:b])

    def normalise(self, others: Table) -> np.ndarray:
        """f (l,) of other states by eq. 11, in the gauge of the solution."""

        def part(a: int, b: int, u: np.ndarray) -> np.ndarray:
            return np.asarray(logsumexp(-u - self.log_d[a:b], axis=1))

        f = -logsumexp(np.stack(list(others.map(part)), axis=1), axis=1)
        if np.isnan(f).any() or np.isneginf(f).any():
            raise InvalidInput("The reduced energies hold NaN or -inf; only numbers and +inf work.")
        if np.isposinf(f).any():
            raise InvalidInput(
                f"State {int(np.argmax(f))} gives every sample an infinite energy, so these "
                "samples know nothing about it. Sample it, or states nearer to it."
            )
        return np.asarray(f)

    def moments(self, columns: Callable[[int, int, np.ndarray], np.ndarray]) -> Moments:
        """Of columns(a, b, u_kn[:, a:b]) -> (m, b - a), in one pass over the samples."""
        clusters = self._clusters

        def part(a: int, b: int, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
            x = columns(a, b, u)
            return x @ x.T, x @ self._p(a, b, u).T, clusters and clusters.sums(x, a)

        parts = self.table.map(part)
        xx, xp, sums = next(parts)
        for more_xx, more_xp, more_sums in parts:
            xx += more_xx
            xp += more_xp
            if clusters is not None:
                sums += more_sums
        return Moments(xx, xp, None if clusters is None else clusters.influence(sums))

    def covariance(self, moments: Moments) -> np.ndarray:
        """Covariance (m, m) of what changes by the sum of psi_n = -(X_n + X p^T H^+ p_n)."""
        psi = moments.psi
        if psi is None or self._clusters is None or self._psi_p is None:
            return self.independent(moments)
        gain = moments.xp @ self._inverse
        return self._clusters.covariance(psi + self._psi_p @ gain.T)

    def independent(self, moments: Moments) -> np.ndarray:
        """The same, were all samples independent."""
        xx, xp, _ = moments
        gain = xp @ self._inverse
        cross = gain @ xp.T
        second = xx + cross + cross.T + gain @ self._gram @ gain.T
        # Less the squares of the means in each state, whose number of samples is fixed.
        mean = xp + gain @ self._gram
        return np.asarray(second - (mean / self._n) @ mean.T)
