"""Boltzmann machines: the definition, hidden units summed out, and what is refused."""

import itertools

import numpy as np
import pytest
from machines import VALUES, normal
from scipy.special import logsumexp

from statmech_ml.errors import InvalidInput
from statmech_ml.models import RBM, BoltzmannMachine, Ising
from statmech_ml.models.boltzmann import HiddenSummed, Pairs
from statmech_ml.systems import Model

N, M = 4, 3
J = np.triu(normal(N, N, seed=1), 1)
J = J + J.T
A, B, W = normal(N, seed=2), normal(M, seed=3), normal(N, M, seed=4)
KINDS = list(itertools.product(("bits", "spins"), ("bits", "spins")))


def machine(visible="bits", hidden="bits", full=True):
    layers = {"hidden_bias": B, "weights": W} if full else {}
    return BoltzmannMachine(A, J, **layers, visible=visible, hidden=hidden)


def states(n, kind):
    return np.array(list(itertools.product(VALUES[kind], repeat=n)))


def energy(v, h):
    """E(v, h) by explicit sums: each pair of visible units once."""
    total = 0.0
    for i in range(N):
        total -= A[i] * v[i]
        for j in range(i + 1, N):
            total -= J[i, j] * v[i] * v[j]
        for j in range(len(h)):
            total -= v[i] * W[i, j] * h[j]
    for j in range(len(h)):
        total -= B[j] * h[j]
    return total


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_energies_from_the_definition(visible, hidden):
    V, H = states(N, visible), states(M, hidden)
    E = np.array([[energy(v, h) for h in H] for v in V])
    model = machine(visible, hidden)
    assert model.joint_energy(V[:, None], H[None]) == pytest.approx(E, abs=1e-12)
    for beta in (0.0, 0.4, 1.0, 2.5):
        expected = -logsumexp(-beta * E, axis=1)
        assert model.reduced_energy(V, beta) == pytest.approx(expected, abs=1e-12)
        compiled = Model(model.space, model.arrays).reduced_energy(V, beta)
        assert compiled == pytest.approx(expected, abs=1e-12)
        p = np.exp(-beta * E + expected[:, None])
        assert model.hidden_mean(V, beta) == pytest.approx(p @ H, abs=1e-12)
    assert model.energy(V) == pytest.approx(model.free_energy(V))
    assert np.ptp(model.reduced_energy(V, 0.4) - 0.4 * model.energy(V)) > 0.1


@pytest.mark.parametrize("visible", ["bits", "spins"])
def test_fully_visible(visible):
    V = states(N, visible)
    model = machine(visible, full=False)
    E = np.array([energy(v, []) for v in V])
    assert model.energy(V) == pytest.approx(E, abs=1e-12)
    assert model.reduced_energy(V, 0.7) == pytest.approx(0.7 * E, abs=1e-12)
    assert model.joint_energy(V, None) == pytest.approx(E, abs=1e-12)
    assert isinstance(model.arrays, Pairs)
    assert (model.n_hidden, model.weights.shape) == (0, (N, 0))
    assert model.capabilities == {"Local"}
    assert model.joint().energy(V) == pytest.approx(E, abs=1e-12)


def test_spins_on_a_graph_are_an_ising_model():
    from statmech_ml import lattices

    edges = list(itertools.combinations(range(N), 2))
    ising = Ising(lattices.from_edges(edges), [J[i, j] for i, j in edges], A)
    V = states(N, "spins")
    assert machine("spins", full=False).energy(V) == pytest.approx(ising.energy(V), abs=1e-12)


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_without_couplings_it_is_an_rbm(visible, hidden):
    free = BoltzmannMachine(A, np.zeros((N, N)), B, W, visible=visible, hidden=hidden)
    rbm = RBM(A, B, W, visible=visible, hidden=hidden)
    V = states(N, visible)
    for beta in (0.3, 1.0):
        assert free.reduced_energy(V, beta) == pytest.approx(rbm.reduced_energy(V, beta), abs=1e-12)
        assert free.slope(V, beta) == pytest.approx(rbm.slope(V, beta), abs=1e-12)


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
def test_the_joint_view(visible, hidden):
    model = machine(visible, hidden)
    if visible != hidden:
        with pytest.raises(InvalidInput, match="one kind"):
            model.joint()
        return
    joint = model.joint()
    x = joint.space.random(1, np.arange(50, dtype=np.uint32))
    assert joint.energy(x) == pytest.approx(model.joint_energy(x[:, :N], x[:, N:]), abs=1e-12)
    assert joint.capabilities == {"Local"}


@pytest.mark.parametrize(("visible", "hidden"), KINDS)
@pytest.mark.parametrize("full", [True, False])
def test_conditioning(visible, hidden, full):
    model, V = machine(visible, hidden, full), states(N, visible)
    sites, rest = [3, 1], [0, 2]
    values = V[5, sites]
    given = model.condition(sites, values)
    V = V[(V[:, sites] == values).all(axis=1)]
    own = -values @ A[sites] - values[0] * J[3, 1] * values[1]
    for beta in (0.4, 1.3):
        difference = model.reduced_energy(V, beta) - given.reduced_energy(V[:, rest], beta)
        assert difference == pytest.approx(np.full(4, beta * own), abs=1e-12)
    with pytest.raises(InvalidInput, match="leaves no model"):
        model.condition([0, 1, 2, 3], V[0])


@pytest.mark.parametrize("hidden", ["bits", "spins"])
def test_extreme_fields_do_not_overflow(hidden):
    """Of hidden spins or bits in a field of 10^5 k_B T the lowest energy is all that is left."""
    model = BoltzmannMachine([0.0], [[0.0]], [-1e5], [[3e5]], hidden=hidden)
    low = VALUES[hidden][0]
    expected = [-max(low * f, f) for f in (-1e5, 2e5)]
    assert model.energy([[0], [1]]) == pytest.approx(expected)
    compiled = Model(model.space, model.arrays)
    assert compiled.reduced_energy([[0], [1]], 1.0) == pytest.approx(expected)
    change = HiddenSummed.delta_reduced_energy(model.arrays, np.array([0]), 0, 1, 1.0)
    assert change == pytest.approx(expected[1] - expected[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((A, np.triu(J)), "J \\+ J.T"),
        ((A, J + np.eye(N)), "fill_diagonal"),
        ((A, J[:3]), r"need \(4, 4\)"),
        ((A, J * np.nan), "NaN"),
        ((A, J, B), "come together"),
        ((A, J, None, W), "come together"),
        ((A, J, B, W.T), r"need \(4, 3\)"),
        ((A, J, [], W), "non-empty"),
        ((A, J, B, W, "levels"), "bits, spins"),
        ((A, J, B, W, "bits", "normal"), "bits, spins"),
        (("a", J), "no array of numbers"),
    ],
)
def test_machines_that_cannot_be(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        BoltzmannMachine(*arguments)
