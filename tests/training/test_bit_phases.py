"""Gradients of PCD in single precision from tables of sums, against matrix products in double."""

import numpy as np
import pytest
import torch

from statmech_ml.models import RBM, GaussianRBM, PottsRBM
from statmech_ml.samplers import BlockGibbs, State
from statmech_ml.training import PersistentCD, _bit_phases
from statmech_ml.training.rbm import TrainableRBM


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def machine(visible, hidden):
    rng = np.random.default_rng(4)
    return RBM(rng.normal(size=70), rng.normal(size=37), rng.normal(size=(70, 37)), visible, hidden)


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins"])
@pytest.mark.parametrize("weighted", [False, True])
def test_contrast(visible, hidden, weighted, one_thread):
    rbm, rng = machine(visible, hidden), np.random.default_rng(5)
    data, model = (rbm.space.values[rng.integers(0, 2, (n, 70))] for n in (130, 90))
    weights = rng.random(90) / 45 if weighted else None
    found = {}
    for dtype in (torch.float32, torch.float64):
        shell = TrainableRBM(rbm, dtype)
        x, y = shell.tensor(data), shell.tensor(model)
        share = None if weights is None else torch.tensor(weights, dtype=dtype)
        assert _bit_phases.suits(shell, x) == (dtype == torch.float32)
        found[dtype] = shell.contrast(x, y, share)
    (single, *energies), (double, *exact) = found.values()
    for name, value in double.items():
        torch.testing.assert_close(single[name].double(), value, rtol=0.0, atol=3e-6)
    torch.testing.assert_close(
        torch.stack(energies).double(), torch.stack(exact), rtol=1e-5, atol=0
    )


def steps(shell, k, n_steps, n_chains=120):
    """Start of the chains, and what each step of PCD at fixed parameters was."""
    method, data = PersistentCD(k, n_chains), shell.space.random(3, np.arange(30, dtype=np.uint32))
    start = method.init(shell, data, 7)
    found, carried = [], start
    for step in range(n_steps):
        found.append(method.gradient(shell, shell.tensor(data), carried, 7, step))
        carried = found[-1].carried
    return start["x"], shell.tensor(data), found


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_persistent_chains_are_block_gibbs(visible, hidden, k, dtype, one_thread):
    """At fixed parameters, bit for bit, though they carry h from step to step."""
    shell = TrainableRBM(machine(visible, hidden), dtype)
    start, data, found = steps(shell, k, 3)
    assert _bit_phases.suits(shell, data, len(start)) == (dtype == torch.float32)
    sampler, ones = shell.sampler(), np.ones(len(start))
    state = State(start, 7, np.arange(len(start), dtype=np.uint32), 0)
    for step in found:
        state = sampler.advance(shell.freeze(), state, ones, k)[0]
        np.testing.assert_array_equal(step.carried["x"], state.x)
    assert (found[0].carried["x"] != found[1].carried["x"]).any()


@pytest.mark.parametrize("model", [
    PottsRBM(np.zeros((4, 3)), np.zeros(2), np.random.default_rng(6).normal(size=(4, 3, 2))),
    GaussianRBM(np.zeros(4), np.zeros(2), np.random.default_rng(6).normal(size=(4, 2)), 0.8),
    RBM(np.zeros(4), np.zeros(2), np.full((4, 2), 0.3), hidden="normal"),
])  # fmt: skip
def test_persistent_chains_of_other_units(model):
    shell = TrainableRBM(model, torch.float64)
    start, _, found = steps(shell, 2, 2)
    state = State(start, 7, np.arange(len(start), dtype=np.uint32), 0)
    end = BlockGibbs("double").advance(model, state, np.ones(len(start)), 4)[0].x
    np.testing.assert_array_equal(found[-1].carried["x"], end)


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins"])
def test_gradient_of_a_persistent_step(visible, hidden, one_thread):
    """Against matrix products in double precision at the same chains."""
    rbm = machine(visible, hidden)
    _, data, (step, _) = steps(TrainableRBM(rbm, torch.float32), 2, 2)
    double = TrainableRBM(rbm, torch.float64)
    chains = double.tensor(step.carried["x"])
    expected, *energies = double.contrast(data.double(), chains)
    assert step.gradients.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(step.gradients[name].double(), value, rtol=0.0, atol=3e-6)
    found = [step.info["energy_data"], step.info["energy_model"]]
    assert found == pytest.approx([float(e) for e in energies], rel=1e-5)


def test_hidden_units_are_those_before_the_step(one_thread):
    """Of the parameters of the gradient: what they become afterwards reaches v alone."""
    rbm = machine("bits", "bits")
    method, chains = PersistentCD(1, 400), np.arange(400, dtype=np.uint32)
    data = rbm.space.random(3, chains)
    shell = TrainableRBM(rbm, torch.float32)
    carried = method.init(shell, data, 7)
    before = method.gradient(shell, shell.tensor(data), carried, 7, 0).carried
    with torch.no_grad():
        shell.hidden_bias.add_(50.0)  # h would all be on
        shell.visible_bias.sub_(50.0)
    after = method.gradient(shell, shell.tensor(data), before, 7, 1).carried
    expected = BlockGibbs().hidden(rbm, before["x"], 7, 1)
    assert (before["h"] == expected).mean() > 0.999
    assert not before["h"].all()
    assert after["h"].all()
    assert not after["x"].any()


def test_means_of_bits_are_no_bits(one_thread):
    """They would be rounded away."""
    shell = TrainableRBM(machine("bits", "bits"), torch.float32)
    x = torch.full((70, 70), 0.5)
    assert _bit_phases.suits(shell, x.round())
    assert not _bit_phases.suits(shell, x)
    found = shell.phase(x)["weights"]
    expected = -0.5 * shell.hidden_mean(x[:1]).detach().expand(70, 37)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("visible", ["bits", "spins"])
def test_contrast_is_the_difference_of_phases(visible):
    """In double precision, to rounding."""
    rbm, rng = machine(visible, "spins"), np.random.default_rng(5)
    shell = TrainableRBM(rbm, torch.float64)
    x, y = (shell.tensor(rbm.space.values[rng.integers(0, 2, (n, 70))]) for n in (30, 20))
    gradients, energy, _ = shell.contrast(x, y)
    positive, negative = shell.phase(x), shell.phase(y)
    for name, value in gradients.items():
        torch.testing.assert_close(value, positive[name] - negative[name], rtol=0.0, atol=1e-12)
    torch.testing.assert_close(energy, shell.free_energy(x).mean().detach())


def test_a_view_follows_the_parameters():
    """And is the model that freeze would copy."""
    shell = TrainableRBM(machine("bits", "bits"), torch.float32)
    view = shell.view()
    with torch.no_grad():
        shell.weights.mul_(2.0)
    v = view.space.random(3, np.arange(8, dtype=np.uint32))
    np.testing.assert_array_equal(
        view.reduced_energy(v, 0.7), shell.freeze().reduced_energy(v, 0.7)
    )
    frozen = shell.freeze()
    assert not np.shares_memory(frozen.weights, shell.weights.detach().numpy())
    assert np.shares_memory(view.weights, shell.weights.detach().numpy())
