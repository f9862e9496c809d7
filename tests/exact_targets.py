"""The targets that tests of exact.targets run over: every kind, none of them symmetric."""

import numpy as np
from scipy import stats

from statmech_ml import lattices
from statmech_ml.exact import targets
from statmech_ml.models import Ising

GAUSSIAN = targets.Gaussian([1.0, -0.5], [[1.5, 0.7], [0.7, 0.6]])
MIXTURE = targets.GaussianMixture(
    [0.6, 0.3, 0.1],
    [[1.0, 0.0], [-1.5, 1.0], [0.5, -2.0]],
    [[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.5]], [[0.4, -0.1], [-0.1, 0.3]]],
)
LINE = targets.GaussianMixture([0.7, 0.3], [-1.0, 2.0], [0.25, 0.5])
BIASED = targets.Spins([0.4, -0.9, 0.0])


def ring_model(n=5):
    """Couplings and fields that all differ."""
    lattice = lattices.chain(n)
    J = np.linspace(0.4, 1.3, lattice.n_bonds)
    return Ising(lattice, coupling=J, field=np.linspace(-0.5, 0.8, n))


REAL = {
    "Gaussian": GAUSSIAN,
    "mixture": MIXTURE,
    "mixture on a line": LINE,
    "gamma": targets.Product([stats.gamma(2.5)]),
    "Product": targets.Product([stats.laplace(0.5, 0.7), stats.norm(1.0, 0.5), LINE]),
    "Uniform": targets.Uniform([0.0, -1.0], [1.0, 2.5]),
    "Ring": targets.Ring(1.5, 0.4),
    "PPCA": targets.PPCA([[1.0, 0.2], [0.5, -0.3], [0.0, 0.8]], 0.3, mean=[0.0, 1.0, -1.0]),
}
SPINS = {
    "Spins": BIASED,
    "Ising": targets.Ising(ring_model(), beta=0.6),
}
NOISY = {**REAL, **SPINS}


def noisy(target, log_snr, n, seed):
    """x_0 (n, size) and its noisy images at one log_snr."""
    generator = np.random.default_rng(seed)
    x0 = target.sample(n, generator).astype(float)
    a2 = 1.0 / (1.0 + np.exp(-log_snr))
    return x0, np.sqrt(a2) * x0 + np.sqrt(1.0 - a2) * generator.normal(size=x0.shape)
