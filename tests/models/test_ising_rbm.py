"""Ising models as restricted Boltzmann machines with one hidden unit a bond."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import Ising

NORMAL = np.random.default_rng(3).normal
EDGES = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)]
MODELS = {
    "square": Ising(lattices.square(3, 4), 0.7, 0.2),
    "side of two": Ising(lattices.square(2, 3), -0.4),
    "glass": Ising(lattices.from_edges(EDGES), NORMAL(size=5), NORMAL(size=5)),
    "diluted": Ising(lattices.from_edges(EDGES), [1.0, 0.0, -2.0, 0.0, 0.5]),
}


@pytest.mark.parametrize("beta", [0.0, 1e-9, 0.44, 3.0, 400.0])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_same_law_and_constant(model, beta):
    rbm, constant = model.as_rbm(beta)
    x = model.space.from_index(np.arange(min(model.space.n_states, 4096)))
    expected = model.reduced_energy(x, beta) - constant
    assert rbm.energy(x) == pytest.approx(expected, rel=1e-12, abs=1e-11)


def test_partition_function():
    model = Ising(lattices.square(4, 3), 0.9, 0.1)
    rbm, constant = model.as_rbm(0.6)
    expected = enumeration.log_z(model, 0.6) + constant
    assert enumeration.log_z(rbm, 1.0) == pytest.approx(expected, abs=1e-10)
    rbm, constant = Ising(lattices.square(4, 4)).as_rbm(0.44)
    assert enumeration.log_z(rbm, 1.0) - constant == pytest.approx(
        kaufman.log_z(4, 4, beta=0.44), abs=1e-10
    )


@pytest.mark.parametrize("beta", [-0.1, np.nan, np.inf, "cold"])
def test_bad_beta(beta):
    with pytest.raises(InvalidInput, match="beta"):
        MODELS["square"].as_rbm(beta)


def test_no_bonds():
    with pytest.raises(InvalidInput, match="no bonds"):
        Ising(lattices.from_edges([], n_sites=3)).as_rbm(0.5)
