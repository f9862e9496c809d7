"""Machines as pairwise models: the same Z, whichever units they have and whatever is integrated."""

import itertools

import numpy as np
import pytest
from machines import MACHINES, normal
from scipy.special import logsumexp

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import RBM, BoltzmannMachine, GaussianRBM, Hopfield
from statmech_ml.partition import bethe, mean_field, tap
from statmech_ml.partition._pairwise import pairwise


def boltzmann(visible, hidden):
    J = np.triu(normal(4, 4, seed=1), 1)
    layers = {"hidden_bias": normal(3, seed=2), "weights": normal(4, 3, seed=3)} if hidden else {}
    units = {"visible": visible, "hidden": hidden or "bits"}
    return BoltzmannMachine(normal(4, seed=4), J + J.T, **layers, **units)


CASES = {name: m for name, m in MACHINES.items() if "levels" not in name} | {
    f"boltzmann, {v} over {h}": boltzmann(v, h)
    for v, h in itertools.product(("bits", "spins"), ("bits", "spins", None))
}
CASES["hopfield"] = Hopfield(np.where(normal(2, 6, seed=5) > 0, 1, -1))


def weak(model, factor):
    """The machine with its couplings times `factor`."""
    if isinstance(model, BoltzmannMachine):
        layers = {}
        if model.n_hidden:
            layers = {"hidden_bias": model.hidden_bias, "weights": factor * model.weights}
        units = {"visible": model.visible_units.name, "hidden": model.hidden_units.name}
        return BoltzmannMachine(model.visible_bias, factor * model.couplings, **layers, **units)
    parts = model.visible_bias, model.hidden_bias, factor * model.weights
    if isinstance(model, GaussianRBM):
        return GaussianRBM(*parts, model.sigma, model.hidden_units.name)
    return RBM(*parts, model.visible_units.name, model.hidden_units.name)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("beta", [0.6, 1.0])
def test_the_pairwise_form_has_the_same_sum(name, beta):
    problem = pairwise(CASES[name], beta, "test")
    n, q = problem.fields.shape
    log_w = []
    for x in itertools.product(range(q), repeat=n):
        x = np.array(x)
        own = problem.fields[np.arange(n), x].sum()
        i, j = problem.bonds.T
        log_w.append(own + problem.couplings @ problem.interaction[x[i], x[j]])
    found = problem.constant + logsumexp(log_w)
    assert found == pytest.approx(exact_rbm.log_z(CASES[name], beta), abs=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_approximations_bound_and_approach_it(name):
    """Naive mean field from below; TAP and Bethe to the third order of weak couplings."""
    machine = CASES[name]
    assert mean_field(machine, 0.7).value <= exact_rbm.log_z(machine, 0.7) + 1e-12
    if name == "hopfield":
        return
    errors = []
    for factor in (0.2, 0.1):
        faint = weak(machine, factor)
        exact = exact_rbm.log_z(faint, 0.7)
        errors.append([abs(f(faint, 0.7).value - exact) for f in (mean_field, bethe, tap)])
    coarse, fine = np.array(errors)
    # Half the couplings: at least 2^2, 2^3 and 2^3 times smaller, but for rounding.
    assert (fine <= np.maximum(coarse / [3.0, 6.0, 6.0], 1e-12)).all()
    assert fine[0] > fine[1]


def test_levels_are_no_pairwise_model_here():
    for approximate in (mean_field, bethe, tap):
        with pytest.raises(InvalidInput, match="bits, spins and normal units"):
            approximate(MACHINES["levels over bits"])
    with pytest.raises(InvalidInput, match="beta > 0"):
        mean_field(MACHINES["spins over normal"], 0.0)
