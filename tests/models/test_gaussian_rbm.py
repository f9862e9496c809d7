"""The Gaussian RBM by sums over its hidden units, and what it refuses."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from statmech_ml.errors import InvalidInput
from statmech_ml.models import GaussianRBM

RNG = np.random.default_rng(1)
A, B, W, S = RNG.normal(size=4), RNG.normal(size=3), RNG.normal(size=(4, 3)), [0.5, 1.0, 1.5, 0.8]
RBM = GaussianRBM(A, B, W, S)
V = RNG.normal(size=(10, 4))
H = np.array(list(itertools.product([0, 1], repeat=3)))


def energies():
    """E(v, h) for all pairs, term by term."""
    s = np.array(S)
    well = ((V - A) ** 2 / (2 * s**2)).sum(axis=1)
    return well[:, None] - (H @ B)[None, :] - np.einsum("vi,ij,hj->vh", V / s**2, W, H)


def test_joint_energy_from_the_definition():
    assert RBM.joint_energy(V[:, None], H[None]) == pytest.approx(energies(), abs=1e-12)


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
def test_reduced_energy_sums_the_hidden_units_out(beta):
    expected = -np.log(np.exp(-beta * energies()).sum(axis=1))
    assert RBM.reduced_energy(V, beta) == pytest.approx(expected, abs=1e-12)
    assert RBM.free_energy(V) == pytest.approx(RBM.energy(V))


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_conditionals_by_bayes(beta):
    weight = np.exp(-beta * energies())
    hidden = 1 / (1 + np.exp(-RBM.hidden_logits(V, beta)))
    assert hidden == pytest.approx(weight / weight.sum(axis=1, keepdims=True) @ H, abs=1e-12)
    mean, stddev = RBM.visible_normal(H, beta)
    log_density = norm.logpdf(V[:, None], mean, stddev).sum(axis=-1)
    # log p(v | h) = -beta E(v, h) + a constant of h
    assert np.ptp(log_density + beta * energies(), axis=0) == pytest.approx(np.zeros(8), abs=1e-11)


def test_one_width_for_all():
    one, all_alike = GaussianRBM(A, B, W, 0.7), GaussianRBM(A, B, W, [0.7] * 4)
    assert one.energy(V).tolist() == all_alike.energy(V).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((A, B, W.T), r"weights has shape \(3, 4\)"),
        ((A, [], W), "non-empty"),
        ((A, B, W * np.nan), "NaN"),
        ((["a"], B, W), "no array of numbers"),
        ((A, B, W, 0.0), "positive"),
        ((A, B, W, [1.0, 1.0, 1.0, -1.0]), "positive"),
        ((A, B, W, [1.0, 1.0]), "one per visible unit"),
        ((A, B, W, np.nan), "NaN"),
        ((A, B, W, "a"), "no array of numbers"),
    ],
)
def test_machines_that_cannot_be(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        GaussianRBM(*arguments)
