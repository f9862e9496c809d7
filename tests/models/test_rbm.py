"""The RBM: free energies against sums over the hidden layer, conditionals, and the joint view."""

import itertools

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.models import BernoulliRBM

RNG = np.random.default_rng(1)
A, B, W = RNG.normal(size=4), RNG.normal(size=3), RNG.normal(size=(4, 3))
RBM = BernoulliRBM(A, B, W)
V = np.array(list(itertools.product([0, 1], repeat=4)))
H = np.array(list(itertools.product([0, 1], repeat=3)))


def energies():
    """E(v, h) = -a.v - b.h - v.W.h for all pairs, by three sums."""
    return -(V @ A)[:, None] - (H @ B)[None, :] - np.einsum("vi,ij,hj->vh", V, W, H)


def test_joint_energy_from_the_definition():
    assert RBM.joint_energy(V[:, None], H[None]) == pytest.approx(energies(), abs=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 2.5])
def test_reduced_energy_sums_the_hidden_units_out(beta):
    expected = -np.log(np.exp(-beta * energies()).sum(axis=1))
    assert RBM.reduced_energy(V, beta) == pytest.approx(expected, abs=1e-12)
    if beta not in (0.0, 1.0):
        assert np.ptp(RBM.reduced_energy(V, beta) - beta * RBM.free_energy(V)) > 0.1


def test_energy_is_the_free_energy_at_beta_one():
    assert RBM.energy(V) == pytest.approx(RBM.reduced_energy(V, 1.0))
    assert RBM.free_energy(V) == pytest.approx(RBM.energy(V))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_conditionals_by_bayes(beta):
    weight = np.exp(-beta * energies())
    given_v = weight / weight.sum(axis=1, keepdims=True)
    given_h = weight / weight.sum(axis=0, keepdims=True)
    hidden = 1 / (1 + np.exp(-RBM.hidden_logits(V, beta)))
    visible = 1 / (1 + np.exp(-RBM.visible_logits(H, beta)))
    assert hidden == pytest.approx(given_v @ H, abs=1e-12)
    assert visible == pytest.approx(given_h.T @ V, abs=1e-12)


def test_large_logits_do_not_overflow():
    rbm = BernoulliRBM([1e4], [-1e4], [[3e4]])
    assert rbm.free_energy([1]) == pytest.approx(-1e4 - 2e4)
    assert rbm.free_energy([0]) == pytest.approx(0.0)


def test_the_joint_view_is_the_same_energy():
    joint = RBM.joint()
    both = np.concatenate([np.repeat(V, 8, axis=0), np.tile(H, (16, 1))], axis=1)
    assert joint.energy(both) == pytest.approx(energies().ravel(), abs=1e-12)
    assert joint.capabilities == {"Local"}
    assert joint.space.size == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((A, B, W.T), r"weights has shape \(3, 4\)"),
        ((A, B[:2], W), "need"),
        ((A, [], W), "non-empty"),
        ((A, B, W * np.nan), "NaN"),
        ((A, B, W[0]), "2 non-empty"),
        (([[1.0], [1.0, 2.0]], B, W), "no array of numbers"),
        ((["a"], B, W), "no array of numbers"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        BernoulliRBM(*arguments)
