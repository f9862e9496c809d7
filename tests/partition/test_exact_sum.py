"""exact_sum: the right sum for each kind of model, and of a path its target."""

import math

import numpy as np
import pytest
from machines import MACHINES
from scipy.special import logsumexp

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import (
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    Gaussian,
    GaussianRBM,
    Hopfield,
    Ising,
)
from statmech_ml.partition import Geometric, Tempering, Weights, exact_sum
from statmech_ml.samplers import BlockGibbs


def machine(n_visible, n_hidden):
    rng = np.random.default_rng(1)
    return BernoulliRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        rng.normal(size=(n_visible, n_hidden)),
    )


def test_lattice():
    result = exact_sum(Ising(lattices.square(4, 4)), beta=0.44)
    assert result.value == pytest.approx(kaufman.log_z(4, 4, 0.44), rel=1e-13)
    assert (result.stderr, result.status, result.lower) == (0.0, "exact", result.value)
    assert str(result).endswith("[exact, 65536 states]")
    assert "(" not in str(result)


def test_rbm_sums_its_smaller_layer():
    """300 visible units cannot be enumerated, 5 hidden ones can."""
    rbm = machine(300, 5)
    assert exact_sum(rbm).diagnostics["n_states"] == 32
    small = machine(4, 9)
    assert exact_sum(small, beta=0.7).value == pytest.approx(
        enumeration.log_z(small.joint(), 0.7), rel=1e-13
    )


def test_normal_units():
    """Two hidden units by hand: four Gaussians, whatever the number of visible units."""
    rng = np.random.default_rng(3)
    a, b, weights, sigma = rng.normal(size=9), rng.normal(size=2), rng.normal(size=(9, 2)), 0.7
    rbm = GaussianRBM(a, b, weights, sigma)
    h = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    shift = h @ weights.T
    exponent = h @ b + (a * shift + 0.5 * shift**2).sum(axis=1) / sigma**2
    for beta in (1.0, 0.6):
        widths = 9 * np.log(sigma * np.sqrt(2 * np.pi / beta))
        result = exact_sum(rbm, beta)
        assert result.value == pytest.approx(widths + logsumexp(beta * exponent), rel=1e-13)
        assert result.diagnostics["n_states"] == 4
    assert exact_sum(Weights(rbm, beta=0.6)).value == exact_sum(rbm, 0.6).value


STATES = {
    "bits over bits": 8,
    "spins over spins": 8,
    "spins over bits": 8,
    "bits over spins": 8,
    "bits over normal": 16,
    "spins over normal": 16,
    "levels over bits": 8,
    "levels over spins": 8,
    "levels over normal": 27,
    "normal over bits": 8,
    "normal over spins": 8,
}


@pytest.mark.parametrize("name", MACHINES)
def test_machines_of_every_kind(name):
    """By states where these can be listed; `exact.rbm` itself is tested against all pairs."""
    result = exact_sum(MACHINES[name], beta=0.7)
    assert result.diagnostics["n_states"] == STATES[name]
    if not name.startswith("normal"):
        expected = enumeration.log_z(MACHINES[name], 0.7)
        assert result.value == pytest.approx(expected, abs=1e-12)


def test_boltzmann_machines_and_hopfield_networks():
    J = np.ones((3, 3)) - np.eye(3)
    boltzmann = BoltzmannMachine([0.1, 0.2, 0.3], J, [0.5], [[1.0], [2.0], [-1.0]], "spins")
    hopfield = Hopfield([[1, -1, 1, 1], [1, 1, 1, -1]])
    for model, n_states in ((boltzmann, 16), (hopfield, 16)):
        result = exact_sum(model, 0.7)
        assert result.value == pytest.approx(enumeration.log_z(model, 0.7), abs=1e-12)
        assert result.diagnostics["n_states"] == n_states
    with pytest.raises(InvalidInput, match="44"):
        exact_sum(Hopfield(np.ones((2, 45))))


def test_more_spins_than_can_be_listed():
    """An open chain of 30: log Z = log 2 + 29 log(2 cosh K)."""
    result = exact_sum(Ising(lattices.chain(30, boundary="open"), coupling=0.9), beta=0.5)
    expected = math.log(2) + 29 * math.log(2 * math.cosh(0.45))
    assert result.value == pytest.approx(expected, rel=1e-12)
    assert result.diagnostics["n_states"] == 2**30


def test_paths_give_their_target():
    rbm = machine(40, 3)
    assert exact_sum(Weights(rbm, beta=0.5)).value == exact_sum(rbm, 0.5).value
    assert exact_sum(Tempering(rbm, 0.5, BlockGibbs())).value == exact_sum(rbm, 0.5).value


def test_refusals():
    with pytest.raises(InvalidInput, match="continuous"):
        exact_sum(DoubleWell())
    with pytest.raises(InvalidInput, match="continuous"):
        exact_sum(Geometric(Gaussian(), DoubleWell()))
    with pytest.raises(InvalidInput, match="its own beta"):
        exact_sum(Weights(machine(3, 2)), beta=1.0)
    with pytest.raises(InvalidInput, match="one beta"):
        exact_sum(Ising(lattices.chain(4)), beta=[0.1, 0.2])
    with pytest.raises(InvalidInput, match="ais"):
        exact_sum(machine(40, 40))
    for nothing in ("x", None, 3.0):
        with pytest.raises(InvalidInput, match="is no model"):
            exact_sum(nothing)
