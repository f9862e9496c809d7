"""What tests of Langevin samplers share: a harmonic well, and final states against a law."""

import numpy as np
from scipy.stats import norm
from statistical import chi_square

from statmech_ml.models import Gaussian, LogDensity

BINS = 40
BETA, STIFFNESS, CENTRE = 0.7, 2.0, 0.4
K = BETA * STIFFNESS  # the curvature of the reduced energy
WELL = Gaussian(CENTRE, STIFFNESS**-0.5)


def in_batches(model):
    """The same energy and gradient, without compiled arrays."""
    return LogDensity(
        lambda x: -model.energy(x), model.space.size, lambda x: -model.reduced_gradient(x, 1.0)
    )


def uniform(u):
    """p-value of numbers in [0, 1) against the uniform law."""
    cells = np.minimum((u * BINS).astype(int), BINS - 1)
    return chi_square(np.bincount(cells, minlength=BINS), np.full(BINS, 1 / BINS))


def ends(sampler, model, beta, n_chains, n_sweeps, seed, start="random"):
    """Final states (chain, dim) of independent chains, and the info of the last call."""
    state = sampler.init(model, n_chains, seed, start)
    state, info = sampler.advance(model, state, np.full(n_chains, beta), n_sweeps)
    return state.x, info


def normal_law(sampler, variance, n_sweeps=60, model=WELL, mean=CENTRE, n_chains=40_000):
    """run(seed, scale) -> p-value of final states on the well against a normal law."""

    def run(seed, scale):
        x, _ = ends(sampler, model, BETA, n_chains * scale, n_sweeps, seed)
        return {repr(sampler): uniform(norm.cdf(x[:, 0], mean, np.sqrt(variance)))}

    return run


def moments(x, mean, covariance):
    """z-scores of mean and covariance of independent draws (n, dim) against exact ones."""
    away = x - mean
    i, j = np.tril_indices(x.shape[1])
    values = np.hstack([away, away[:, i] * away[:, j]])
    exact = np.concatenate([np.zeros(x.shape[1]), covariance[i, j]])
    return (values.mean(axis=0) - exact) / (values.std(axis=0) / np.sqrt(len(x)))
