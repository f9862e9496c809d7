"""The sum of Gaussians, against a sum over hidden states and an integral over visible ones."""

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import gaussian_rbm
from statmech_ml.models import Gaussian, GaussianRBM


def machine(seed, n_visible, n_hidden):
    rng = np.random.default_rng(seed)
    return GaussianRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        rng.normal(size=(n_visible, n_hidden)),
        rng.uniform(0.5, 1.5, n_visible),
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2, 7), (20, 10)])
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
def test_equals_the_sum_over_hidden_states(shape, beta):
    rbm = machine(1, *shape)
    h = np.array(list(itertools.product([0.0, 1.0], repeat=shape[1])))
    # The integral over v completes the square about the mean given h.
    mean, stddev = rbm.visible_normal(h, beta)
    at_the_mean = -beta * rbm.joint_energy(mean, h.astype(int))
    volume = np.log(stddev * np.sqrt(2 * np.pi)).sum(axis=1)
    assert gaussian_rbm.log_z(rbm, beta) == pytest.approx(
        logsumexp(at_the_mean + volume), rel=1e-12
    )


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_equals_the_integral_over_a_grid(beta):
    rbm = machine(2, 2, 3)
    axis, step = np.linspace(-25, 25, 1001, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    total = logsumexp(-rbm.reduced_energy(grid, beta)) + 2 * np.log(step)
    assert gaussian_rbm.log_z(rbm, beta) == pytest.approx(total, abs=1e-10)


def test_without_weights_it_is_a_gaussian():
    rbm = GaussianRBM([0.3, -1.0], [0.5, -0.2], np.zeros((2, 2)), [0.5, 2.0])
    expected = Gaussian([0.3, -1.0], [0.5, 2.0]).log_z(0.7) + np.logaddexp(0, [0.35, -0.14]).sum()
    assert gaussian_rbm.log_z(rbm, 0.7) == pytest.approx(expected, rel=1e-13)


def test_array_of_betas():
    rbm = machine(3, 4, 3)
    values = gaussian_rbm.log_z(rbm, [[0.5, 1.0], [1.5, 2.0]])
    assert values.shape == (2, 2)
    assert values[1, 0] == gaussian_rbm.log_z(rbm, 1.5)


def test_mutant_sign_is_seen():
    """The comparison has power: visible biases of the other sign give another Z."""
    rbm = machine(4, 3, 2)
    mutant = GaussianRBM(-rbm.visible_bias, rbm.hidden_bias, rbm.weights, rbm.sigma)
    assert abs(gaussian_rbm.log_z(mutant) - gaussian_rbm.log_z(rbm)) > 0.1


@pytest.mark.parametrize("beta", [0.0, -1.0, np.nan, np.inf, "a"])
def test_betas_that_cannot_be(beta):
    with pytest.raises(InvalidInput):
        gaussian_rbm.log_z(machine(5, 2, 2), beta)


def test_too_many_hidden_units():
    with pytest.raises(InvalidInput, match=r"2\^45 Gaussians.*ais"):
        gaussian_rbm.log_z(GaussianRBM([0.0], np.zeros(45), np.zeros((1, 45))))
