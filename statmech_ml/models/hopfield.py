"""The Hopfield network: spins whose couplings are made of patterns to remember.

    E(s) = -(1 / 2N) sum_mu (xi_mu . s)^2,    xi_mu, s in {-1, +1}^N.

A Gaussian integral for each pattern makes it an RBM of spins with one normal hidden unit a pattern
and weights xi / sqrt(N):

    exp(-beta E(s)) = (beta / 2 pi)^(n_patterns / 2) int dh exp(beta sum_mu (xi_mu . s h_mu /
    sqrt(N) - h_mu^2 / 2)).

Cost: N^2 numbers, and O(N) an update. J. J. Hopfield, Proc. Natl. Acad. Sci. 79, 2554 (1982),
doi:10.1073/pnas.79.8.2554; D. J. Amit, H. Gutfreund and H. Sompolinsky, Phys. Rev. A 32, 1007
(1985), doi:10.1103/PhysRevA.32.1007; the RBM: A. Barra, A. Bernacchia, E. Santucci and P. Contucci,
Neural Netw. 34, 1 (2012), doi:10.1016/j.neunet.2012.06.003.
"""

from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..spaces import Spins
from ..systems import Model, common_shape
from ._arguments import frozen, numbers
from .boltzmann import Pairs
from .rbm import RBM


class Hopfield(Model):
    """A Hopfield network, E = -(1 / 2N) sum_mu (xi_mu . s)^2.

    The diagonal of the couplings is in the energy: -n_patterns / 2, whatever the state.

    Parameters
    ----------
    patterns : array (n_patterns, N)
        xi, of values -1 and +1.

    Raises
    ------
    InvalidInput
        For other values and shapes.

    >>> network = Hopfield([[1, 1, -1, -1], [1, -1, 1, -1]])
    >>> network.energy([1, 1, -1, -1])  # -4^2 / 8
    array(-2.)
    """

    space: Spins

    def __init__(self, patterns: Any) -> None:
        given = numbers(patterns, 2, "patterns")
        if not (np.abs(given) == 1.0).all():
            raise InvalidInput(
                f"patterns holds {given[np.abs(given) != 1.0].flat[0]:g}, but patterns are -1 and "
                "+1: 2 x - 1 of bits x, np.sign(x - np.median(x)) of grey levels x."
            )
        self.space = Spins(given.shape[1])
        self.patterns = self.space.check(given, "patterns")
        self.patterns.setflags(write=False)
        self.lattice = None

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return len(self.patterns)

    @cached_property
    def arrays(self) -> Pairs:  # type: ignore[override]
        """What kernels see."""
        n = self.space.size
        xi = self.patterns.astype(np.float64)
        couplings = xi.T @ xi / n
        np.fill_diagonal(couplings, 0.0)
        return frozen(Pairs(np.zeros(n), couplings, -0.5 * self.n_patterns))

    def energy(self, x: Any) -> np.ndarray:
        """E(s), float64, (*batch, N) -> (*batch,)."""
        return np.asarray(-0.5 * self.space.size * (self.overlaps(x) ** 2).sum(axis=-1))

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """beta E(s), float64; beta and the batch broadcast against each other."""
        x, beta = self.space.check(x), np.asarray(beta, np.float64)
        common_shape(x.shape[:-1], beta)
        return np.asarray(beta * self.energy(x))

    def overlaps(self, x: Any) -> np.ndarray:
        """xi_mu . s / N, float64 in [-1, 1], (*batch, N) -> (*batch, n_patterns)."""
        x = self.space.check(x).astype(np.float64)
        return np.asarray(x @ self.patterns.T.astype(np.float64) / self.space.size)

    def rbm(self) -> RBM:
        """The twin: spins below normal hidden units, with the same law at every beta > 0.

        Its F_beta(s) is beta E(s) - (n_patterns / 2) log(2 pi / beta).
        """
        weights = self.patterns.T / np.sqrt(self.space.size)
        zero = np.zeros(self.space.size), np.zeros(self.n_patterns)
        return RBM(*zero, weights, visible="spins", hidden="normal")

    def __repr__(self) -> str:
        return f"Hopfield({self.n_patterns} patterns of {self.space.size} spins)"
