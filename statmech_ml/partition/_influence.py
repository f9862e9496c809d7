"""Errors from influence functions summed over independent clusters of samples.

An estimate that solves sum_n g(x_n; theta) = 0 moves by the sum of the influences of its samples,
psi_n = -(dg/dtheta)^-1 g(x_n). Samples of one chain are correlated, chains are not, so the variance
is that of the sums over chains:

    var(theta) = C / (C - 1) sum_c psi_c^2,    psi_c = sum_{n in c} (psi_n - mean),

the mean that of the state which n was drawn in, as the numbers of samples are no chance. C clusters
know a variance to C - 1 degrees of freedom, which makes z-scores Student's t, of variance (C - 1) /
(C - 3); errors are widened by its root, so that z-scores have a standard deviation of one.

The sandwich estimator: H. White, Econometrica 50, 1 (1982), doi:10.2307/1912526; over clusters:
K.-Y. Liang and S. L. Zeger, Biometrika 73, 13 (1986), doi:10.1093/biomet/73.1.13.
"""

from typing import Any

import numpy as np

from ..errors import InvalidInput

MIN_CLUSTERS = 4
"""Fewer have no variance of their z-scores."""


def stderr(psi: np.ndarray) -> np.ndarray:
    """Standard error from influences summed per cluster, (cluster, ...) -> (...)."""
    n = len(psi)
    centred = psi - psi.mean(axis=0)
    return np.sqrt(n / (n - 3) * (centred**2).sum(axis=0))


class Clusters:
    """Which independent cluster, and which state, each sample of a table belongs to.

    Parameters
    ----------
    labels : array (N,)
        Equal for samples that may be correlated: the number of the chain, of the ladder that
        exchanges, of the block of time.
    n_k : int (K,)
        Samples are in the order of their states: the first n_k[0] from state 0, and so on.
    """

    def __init__(self, labels: Any, n_k: np.ndarray) -> None:
        labels = np.asarray(labels)
        if labels.shape != (n_k.sum(),):
            raise InvalidInput(
                f"clusters has shape {labels.shape}; one label is needed for each of the "
                f"{n_k.sum()} samples."
            )
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise InvalidInput("clusters holds NaN or infinity; give whole numbers.")
        cluster, n_clusters = _numbered(labels)
        # Pairs of a state and a cluster, state K times over; numbered again without the empty ones.
        pair = np.repeat(np.arange(len(n_k)) * n_clusters, n_k)
        pair += cluster
        self._pair, n_pairs = _numbered(pair)
        found = np.empty(n_pairs, np.int64)
        found[self._pair] = pair
        self._state, self._cluster = np.divmod(found, n_clusters)
        self._counts = np.bincount(self._pair)
        self._n_clusters = n_clusters
        per_state = np.bincount(self._state, minlength=len(n_k))
        few = np.flatnonzero((n_k > 0) & (per_state < 2))
        nested = n_pairs == n_clusters
        self._dof = n_clusters - (int((n_k > 0).sum()) if nested else 1)
        if len(few) or self._dof < MIN_CLUSTERS - 1:
            where = f"state {few[0]} has samples of one alone" if len(few) else "that is too few"
            raise InvalidInput(
                f"There are {n_clusters} independent clusters, and {where}: correlated samples "
                f"show their error by the scatter of at least {MIN_CLUSTERS} clusters. Run more "
                "chains, or cut long chains into blocks of many autocorrelation times."
            )
        self._n_k = n_k
        self._factor = np.sqrt(per_state / np.maximum(per_state - 1, 1))

    @property
    def n_pairs(self) -> int:
        """Pairs of a cluster and a state in which it has samples."""
        return len(self._counts)

    def sums(self, columns: np.ndarray, first: int) -> np.ndarray:
        """Sums of columns (m, n) of the samples from `first` on, by pairs: (pair, m)."""
        pair = self._pair[first : first + columns.shape[1]]
        return np.stack([np.bincount(pair, row, self.n_pairs) for row in columns], axis=1)

    def influence(self, sums: np.ndarray) -> np.ndarray:
        """Sums by pairs, about the mean of their state, added up by clusters: (cluster, m)."""
        total = np.zeros((len(self._n_k), sums.shape[1]))
        np.add.at(total, self._state, sums)
        mean = total / np.maximum(self._n_k, 1)[:, None]
        centred = sums - self._counts[:, None] * mean[self._state]
        centred *= self._factor[self._state, None]
        psi = np.zeros((self._n_clusters, sums.shape[1]))
        np.add.at(psi, self._cluster, centred)
        return psi

    def covariance(self, psi: np.ndarray) -> np.ndarray:
        """Covariance (m, m) of what has the influences psi (cluster, m)."""
        return self._dof / (self._dof - 2) * psi.T @ psi


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels as 0, 1, 2, ... in their order, and how many there are."""
    low = int(labels.min()) if labels.dtype.kind in "iub" else 0
    if labels.dtype.kind not in "iub" or int(labels.max()) - low > 10 * labels.size + 1000:
        names, number = np.unique(labels, return_inverse=True)
        return number, len(names)
    # Small whole numbers are counted: no sorting, and little memory for millions of them.
    shifted = (labels.astype(np.int64) - low).astype(np.int32 if labels.size < 10**8 else np.int64)
    present = np.bincount(shifted) > 0
    number = np.cumsum(present) - 1
    return number.astype(shifted.dtype)[shifted], int(present.sum())
