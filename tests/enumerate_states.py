"""Small systems by brute force: the reference that the statistical tests compare with."""

from typing import NamedTuple

import numpy as np


class Exact(NamedTuple):
    """All states of a small discrete model at one beta, in index order."""

    states: np.ndarray
    energy: np.ndarray
    probability: np.ndarray


def exact(model, beta: float) -> Exact:
    """Every state, its energy and its probability, from `model.reduced_energy` and nothing else."""
    states = model.space.from_index(np.arange(model.space.n_states))
    log_weight = -model.reduced_energy(states, beta)
    weight = np.exp(log_weight - log_weight.max())
    return Exact(states, model.energy(states), weight / weight.sum())


def ising_energy(states, bonds, coupling, field):
    """E = -sum J_ij s_i s_j - sum h_i s_i, straight from the definition."""
    s = np.asarray(states, np.float64)
    pairs = s[..., bonds[:, 0]] * s[..., bonds[:, 1]]
    return -(pairs * coupling).sum(axis=-1) - (s * field).sum(axis=-1)
