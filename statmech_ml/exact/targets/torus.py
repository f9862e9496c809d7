"""The Ising model without a field on a torus: probabilities and entropy by Kaufman's formula.

    log p(s) = -beta E(s) - log Z,   S = log Z + beta <E>,   log Z and <E> by exact.kaufman.

Draws are exact where the transfer matrix is small enough (sides up to 8: backward sampling, see
exact.transfer_matrix). Larger tori are drawn by Swendsen and Wang's clusters: final states of
independent chains, half of them started ordered and half at random, after `n_sweeps` sweeps. These
moves relax within a few sweeps at any temperature and size (dynamic exponent at T_c below 0.35,
Swendsen and Wang 1987), so nothing of the start is left after the default 100.

There is no density under the noise: that would be an Ising model in random fields. Use `Ising` on 4
x 4.

R. H. Swendsen and J.-S. Wang, Phys. Rev. Lett. 58, 86 (1987), doi:10.1103/PhysRevLett.58.86. Cost
of a sweep: O(N) for each configuration.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from statmech_ml import lattices, spaces
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import correlations, kaufman, transfer_matrix
from statmech_ml.exact._arguments import finite_number, one_inverse_temperature, whole_number
from statmech_ml.exact.targets._target import Array, Target

_EXACT_SIDE = 8  # of the shorter side: up to here the transfer matrix draws
_BATCH = 2**18  # sites whose clusters are found at a time


class _Bonds(NamedTuple):
    """What exact.transfer_matrix reads of a model."""

    lattice: lattices.Lattice
    space: spaces.Spins
    coupling: float
    field: float


class Torus(Target):
    """Ising spins on Lx x Ly sites, periodic, without a field.

    Parameters
    ----------
    Lx, Ly : int
        Sides >= 2; configurations are read row by row, (n, Lx Ly). On a side of length 2 the two
        bonds of a pair both count.
    beta : float
        Inverse temperature, finite and > 0.
    coupling : float, default 1
        J; negative only where both sides are even.
    n_sweeps : int, default 100
        Of cluster moves behind each draw, where the transfer matrix is too large to draw exactly.

    Raises
    ------
    InvalidInput
        For sides, temperatures and couplings outside their domains; beta = 0 is targets.Spins.

    >>> target = Torus(8, 8, beta=0.5)
    >>> round(target.entropy() / 64, 9)
    0.163792507
    >>> target.log_prob(np.ones((1, 64))).round(9).tolist()
    [-2.344581879]
    """

    space: spaces.Spins
    _without_noise = (
        "Its noisy images are Ising models in random fields, which no formula solves. Enumerate a "
        "small one: targets.Ising of a 4 x 4 lattice."
    )

    def __init__(
        self, Lx: int, Ly: int, beta: float, coupling: float = 1.0, n_sweeps: int = 100
    ) -> None:
        self.beta = one_inverse_temperature(beta)
        self.coupling = finite_number(coupling, "coupling")
        if self.beta == 0.0 or self.coupling == 0.0:
            raise InvalidInput(
                f"beta={self.beta:g} and coupling={self.coupling:g} leave no interaction: use "
                "targets.Spins(numpy.zeros(n))."
            )
        self.n_sweeps = whole_number(n_sweeps, "n_sweeps", 1, "a chain must move.")
        # Refuses sides and couplings that it cannot solve.
        self._log_z = float(kaufman.log_z(Lx, Ly, self.beta, self.coupling))
        self.lattice = lattices.square(int(Lx), int(Ly))
        self.space = spaces.Spins(self.lattice.n_sites)

    def __repr__(self) -> str:
        Lx, Ly = self.lattice.shape
        return f"Torus({Lx}, {Ly}, beta={self.beta:g}, coupling={self.coupling:g})"

    @property
    def log_z(self) -> float:
        """log of the partition function, in nats."""
        return self._log_z

    @property
    def is_exact_sampler(self) -> bool:
        """Whether `sample` draws by the transfer matrix; otherwise by clusters, from chains."""
        return min(self.lattice.shape) <= _EXACT_SIDE

    def mean(self) -> Array:
        """Zero by symmetry, float64 (n,)."""
        return np.zeros(self.space.size)

    def covariance(self) -> Array:
        """<s_i s_j> by exact.correlations, float64 (n, n): only where that reaches (10 x 10)."""
        Lx, Ly = self.lattice.shape
        G = correlations.spin_spin(Lx, Ly, self.beta, self.coupling)
        x, y = np.indices((Lx, Ly)).reshape(2, -1)
        return np.asarray(G[(x[:, None] - x) % Lx, (y[:, None] - y) % Ly])

    def _log_prob(self, x: np.ndarray) -> Array:
        pairs = self.lattice.bonds
        spins = x.astype(np.float64)
        aligned = np.einsum("nb,nb->n", spins[:, pairs[:, 0]], spins[:, pairs[:, 1]])
        return np.asarray(self.beta * self.coupling * aligned - self._log_z)

    def _entropy(self) -> float:
        Lx, Ly = self.lattice.shape
        per_site = kaufman.entropy_per_site(Lx, Ly, self.beta, self.coupling)
        return float(per_site) * self.space.size

    def _sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        if self.is_exact_sampler:
            model = _Bonds(self.lattice, self.space, self.coupling, 0.0)
            return transfer_matrix.draw(model, self.beta, n, generator)
        chunk = max(1, _BATCH // self.space.size)
        return np.concatenate(
            [self._by_clusters(min(chunk, n - k), generator) for k in range(0, n, chunk)]
        )

    def _by_clusters(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Final states of n independent chains of Swendsen and Wang's moves."""
        N, pairs = self.space.size, self.lattice.bonds
        x = np.where(generator.random((n, N)) < 0.5, 1, -1).astype(np.int8)
        x[::2] = 1
        opened = -np.expm1(-2.0 * self.beta * abs(self.coupling))  # Fortuin and Kasteleyn
        for _ in range(self.n_sweeps):
            alike = x[:, pairs[:, 0]] == x[:, pairs[:, 1]]
            chain, bond = np.nonzero(alike & (generator.random(alike.shape) < opened))
            ends = pairs[bond] + N * chain[:, None]
            graph = coo_array((np.ones(len(ends), np.int8), tuple(ends.T)), shape=(n * N, n * N))
            count, label = connected_components(graph, directed=False)
            signs = np.where(generator.random(count) < 0.5, 1, -1).astype(np.int8)
            x = signs[label].reshape(n, N)
        if self.coupling < 0.0:  # on even sides: the ferromagnet with every other spin turned
            sublattice = np.indices(self.lattice.shape).sum(axis=0).ravel() % 2
            x *= np.where(sublattice, -1, 1).astype(np.int8)
        return x
