"""The protocol: capabilities follow from methods, and what cannot be a model is refused."""

from typing import NamedTuple

import numpy as np
import pytest

from statmech_ml import lattices, sample
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import BernoulliRBM, DoubleWell, Ising
from statmech_ml.samplers import MALA, HeatBath, Metropolis, SwendsenWang, Wolff
from statmech_ml.spaces import Bits, Levels, Reals, Spins
from statmech_ml.systems import EnergyModel, Model, require

RBM = BernoulliRBM([0.1], [0.2], [[0.3]])


class EnergyOnly(NamedTuple):
    strength: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total += self.strength * x[i]
        return total


class Stepwise(NamedTuple):
    """Three values a site, with a table that is meant for two."""

    gaps: np.ndarray

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total += float(x[i])
        return total

    def delta_energy(self, x, site, value):
        return float(value) - float(x[site])

    def environment(self, x, site):
        return 0


class OffTemperature(NamedTuple):
    """An ensemble that is not exp(-beta E): u = beta^2 E, by its own reduced methods."""

    strength: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total += self.strength * x[i]
        return total

    def reduced_energy(self, x, beta):
        return beta * beta * self.energy(x)

    def delta_reduced_energy(self, x, site, value, beta):
        return beta * beta * self.strength * (value - x[site])

    def reduced_gradient(self, x, beta, out):
        for i in range(x.shape[0]):
            out[i] = beta * beta * (self.strength + 0.0 * x[i])


@pytest.mark.parametrize(
    ("model", "capabilities"),
    [
        (Ising(lattices.chain(4)), {"Local", "Tabulated", "Clusterable"}),
        (Ising(lattices.chain(4), [0.1, 0.25, 0.7, 1.0]), {"Local", "Clusterable"}),
        (RBM, {"Conditional"}),
        (RBM.joint(), {"Local"}),
        (DoubleWell(), {"Differentiable"}),
        (Model(Spins(3), EnergyOnly(1.0)), set()),
        (Model(Reals(3), OffTemperature(1.0)), {"Differentiable"}),
        (Model(Bits(3), OffTemperature(1.0)), {"Local", "Differentiable"}),
        (Model(Levels(3, 3), Stepwise(np.ones(1))), {"Local"}),
        (Model(Bits(3), Stepwise(np.ones(1))), {"Local", "Tabulated"}),
        (Model(Bits(3), Stepwise(np.empty(0))), {"Local"}),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else repr(value),
)
def test_capabilities_follow_from_methods(model, capabilities):
    assert model.capabilities == capabilities
    assert isinstance(model, EnergyModel)


def test_an_energy_alone_is_a_model_without_samplers():
    model = Model(Spins(3), EnergyOnly(2.0))
    assert model.energy([[1, 1, -1]]).tolist() == [2.0]
    assert model.reduced_energy([[1, 1, -1]], 0.5).tolist() == [1.0]
    with pytest.raises(MissingCapability, match=r"HeatBath needs the capability Local.*has none"):
        sample(model, beta=1.0, n_draws=1, rng=1)
    with pytest.raises(MissingCapability, match=r"X needs the capability Local.* Do that"):
        require(model, "Local", "X", "Do that.")


@pytest.mark.parametrize("sampler", [HeatBath(), Metropolis()], ids=str)
def test_samplers_use_the_reduced_energy_and_nothing_else(sampler, assert_unbiased, seed):
    """At beta = 0.6 the free spins have <x> = -tanh(0.36), not -tanh(0.6)."""
    model = Model(Spins(4), OffTemperature(1.0))

    def run(seed, scale):
        n = 5000 * scale
        state = sampler.init(model, n, seed)
        x = sampler.advance(model, state, np.full(n, 0.6), 20)[0].x.astype(float)
        mean = -np.tanh(0.36)
        return (x.mean(axis=0) - mean) / np.sqrt((1 - mean**2) / n)

    assert_unbiased(run, seed)


def test_langevin_uses_the_reduced_energy_and_its_gradient():
    """A linear energy is pushed by eta beta^2 a sweep; the noise is that of the same address."""
    state = MALA().init(Model(Reals(2), OffTemperature(1.0)), 1, 3)
    moved = {}
    for strength in (0.0, 1.0):
        model = Model(Reals(2), OffTemperature(strength))
        moved[strength], info = MALA(0.01).advance(model, state, np.array([0.6]), 1)
        assert info["acceptance"][0] == 1.0
    assert moved[1.0].x - moved[0.0].x == pytest.approx(-0.01 * 0.36, abs=1e-12)


def test_what_is_no_compiled_model_is_refused():
    class NoEnergy(NamedTuple):
        strength: float

    with pytest.raises(InvalidInput, match=r"NoEnergy has no method energy\(self, x\)"):
        Model(Spins(3), NoEnergy(1.0))
    with pytest.raises(InvalidInput, match="4 sites but the state space 3"):
        Model(Spins(3), EnergyOnly(1.0), lattices.chain(4))


def test_betas_that_do_not_fit_the_batch_are_refused():
    with pytest.raises(InvalidInput, match="beta has shape"):
        Ising(lattices.square(3)).reduced_energy(np.ones((2, 9)), [0.1, 0.2, 0.3])
    with pytest.raises(InvalidInput, match="beta has shape"):
        DoubleWell().reduced_energy(np.ones((2, 1)), [0.1, 0.2, 0.3])


class Links(NamedTuple):
    """A user's Ising model on a table of neighbours, with links; nothing says where it is valid.

    Fields: neighbours int32 (n, z); signs int8 (n, z); field float64; links float64 (1,).
    """

    neighbours: np.ndarray
    signs: np.ndarray
    field: float
    links: np.ndarray

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total -= self.field * x[i]
            for k in range(self.neighbours.shape[1]):
                total -= 0.5 * self.signs[i, k] * x[i] * x[self.neighbours[i, k]]
        return total

    def link(self, x, site, k, value):
        return 0 if self.signs[site, k] * value * x[self.neighbours[site, k]] > 0 else -1


@pytest.mark.parametrize("sampler", [Wolff(), SwendsenWang()], ids=str)
@pytest.mark.parametrize(
    ("signs", "field", "link", "message"),
    [
        ([1, 1, 1, 1, 1], 0.0, 2.0, None),
        ([1, -1, 1, -1, 1], 0.0, 2.0, None),
        ([1, -1, 1, 1, 1], 0.0, 2.0, "frustrated"),
        ([1, 1, 1, 1, 1], 0.3, 2.0, "a field, or a link"),
        ([1, 1, 1, 1, 1], 0.0, 1.0, "does not belong to energy"),
    ],
)
def test_links_of_a_users_model_are_compared_with_its_energy(sampler, signs, field, link, message):
    ring = lattices.chain(5)
    table = np.array(signs, np.int8)[ring.neighbour_bonds]
    model = Model(Spins(5), Links(ring.neighbours, table, field, np.array([link])), ring)
    assert model.capabilities == {"Clusterable"}
    if message is None:
        sampler.check(model)
        return
    with pytest.raises(InvalidInput, match=f"{type(sampler).__name__} needs .*{message}"):
        sampler.check(model)
