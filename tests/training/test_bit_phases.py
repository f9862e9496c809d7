"""Gradients of PCD in single precision from tables of sums, against matrix products in double."""

import numpy as np
import pytest
import torch

from statmech_ml.models import RBM
from statmech_ml.training import _bit_phases
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
