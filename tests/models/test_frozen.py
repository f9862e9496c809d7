"""Models do not change once they are made, so nothing that was derived from them goes stale."""

import copy
import pickle

import numpy as np
import pytest

from statmech_ml import lattices, models
from statmech_ml.models import (
    RBM,
    BayesianLinearRegression,
    BayesianLogisticRegression,
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    DraggedTrap,
    Funnel,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    GaussianShells,
    HarmonicTrap,
    Hopfield,
    Ising,
    LogDensity,
    MuellerBrown,
    Posterior,
    Potts,
    PottsRBM,
    Quartic,
    RingOfWells,
    Rosenbrock,
)
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.systems import Model


def normal(x):
    return -0.5 * (x**2).sum(axis=-1)


def about(theta, x):
    return -0.5 * (x - theta[..., 0]) ** 2


MODELS = {
    "ising": (lambda: Ising(lattices.square(4), field=0.1), "field"),
    "glass": (lambda: Ising(lattices.chain(4), coupling=[1.0, -2.0, 0.5, 1.0]), "coupling"),
    "rbm": (lambda: BernoulliRBM([0.0, 0.5], [0.1], [[1.0], [-1.0]]), "weights"),
    "joint rbm": (lambda: BernoulliRBM([0.0, 0.5], [0.1], [[1.0], [-1.0]]).joint(), "space"),
    "gaussian": (lambda: Gaussian(stddev=2.0), "mean"),
    "correlated": (lambda: Gaussian(covariance=[[1.0, 0.2], [0.2, 1.0]]), "stddev"),
    "double well": (DoubleWell, "space"),
    "gaussian rbm": (lambda: GaussianRBM([0.0, 0.5], [0.1], [[1.0], [-1.0]]), "sigma"),
    "mixture": (lambda: GaussianMixture([1.0, 2.0], [[0.0], [1.0]]), "means"),
    "shells": (GaussianShells, "space"),
    "quartic": (Quartic, "space"),
    "stiffened trap": (lambda: HarmonicTrap((1.0, 2.0)), "space"),
    "dragged trap": (lambda: DraggedTrap(1.0, 2.0), "space"),
    "rbm of spins": (lambda: RBM([0.0, 0.5], [0.1], [[1.0], [-1.0]]), "visible_units"),
    "potts rbm": (lambda: PottsRBM([[0.0, 0.5]], [0.1], [[[1.0], [-1.0]]]), "weights"),
    "boltzmann": (lambda: BoltzmannMachine([0.1, 0.2], [[0.0, 1.0], [1.0, 0.0]]), "couplings"),
    "hopfield": (lambda: Hopfield([[1, -1, 1]]), "patterns"),
    "potts": (lambda: Potts(lattices.chain(4), 3), "field"),
    "log-density": (lambda: LogDensity(normal, 2), "f"),
    "mueller-brown": (MuellerBrown, "space"),
    "rosenbrock": (Rosenbrock, "space"),
    "funnel": (Funnel, "space"),
    "ring of wells": (RingOfWells, "space"),
    "posterior": (lambda: Posterior(normal, about, [1.0, 2.0], 1), "data"),
    "linear": (lambda: BayesianLinearRegression([[1.0], [2.0]], [0.0, 1.0]), "mean"),
    "logistic": (lambda: BayesianLogisticRegression([[1.0], [2.0]], [0, 1]), "prior_scale"),
    "interpolated": (lambda: Interpolated(Gaussian(), DoubleWell()), "capabilities"),
}
ALL = pytest.mark.parametrize(("make", "name"), MODELS.values(), ids=MODELS)


def test_every_exported_model_is_tried():
    assert set(models.__all__) <= {type(make()).__name__ for make, _ in MODELS.values()}


@ALL
@pytest.mark.parametrize("used", [False, True])
def test_attributes_cannot_be_set_or_deleted(make, name, used):
    model = make()
    x = model.space.random(1, np.arange(3, dtype=np.uint32))
    before = model.energy(x)
    if used:
        assert model.capabilities
    for attribute in {name, "space", "lattice"} & set(vars(model)):
        with pytest.raises(AttributeError, match=f"{attribute}=0.5 cannot be set.*Make another"):
            setattr(model, attribute, 0.5)
        with pytest.raises(AttributeError, match="cannot be deleted"):
            delattr(model, attribute)
    if hasattr(model, "arrays"):
        with pytest.raises(AttributeError, match="is frozen"):
            model.arrays = None
    assert np.array_equal(model.energy(x), before)


@pytest.mark.parametrize("coupling", [1.0, [1.0, -2.0, 1.0, 1.0]], ids=["uniform", "per bond"])
def test_tables_of_the_ising_model_cannot_be_written_to(coupling):
    model = Ising(lattices.chain(4), coupling=coupling)
    tables = [table for table in model.arrays if isinstance(table, np.ndarray)]
    assert len(tables) >= 3
    for table in tables:
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0


def test_a_change_would_have_gone_unseen():
    """Why: the compiled arrays are made once, and would have kept the old field."""
    model = Ising(lattices.chain(4, "open"), field=0.1)
    arrays = model.arrays
    vars(model)["field"] = 0.5  # by the back door
    assert model.arrays is arrays
    assert model.arrays.field == 0.1


@ALL
def test_copies_are_models_too(make, name):
    model = make()
    x = model.space.random(1, np.arange(3, dtype=np.uint32))
    for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(again.energy(x), model.energy(x))
        with pytest.raises(AttributeError):
            setattr(again, name, 0.5)


def test_a_model_of_your_own_may_set_its_attributes_once():
    class Named(Model):
        def __init__(self, name):
            super().__init__(DoubleWell().space, DoubleWell().arrays)
            self.name = name

    model = Named("well")
    with pytest.raises(AttributeError, match="a Named is frozen"):
        model.name = "hill"
