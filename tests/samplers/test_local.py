"""A user's delta_energy is tried before any work; wrong ones are refused with both numbers."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from statmech_ml import sample
from statmech_ml.errors import InvalidInput
from statmech_ml.models import BernoulliRBM
from statmech_ml.samplers import HeatBath, Metropolis, _local
from statmech_ml.spaces import Levels, Spins
from statmech_ml.systems import Model

LOCAL = pytest.mark.parametrize("sampler", [HeatBath(), Metropolis()], ids=str)


class Right(NamedTuple):
    """E = -coupling * sum of x_i x_(i + 1) on a ring."""

    coupling: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total -= self.coupling * x[i] * x[(i + 1) % x.shape[0]]
        return total

    def delta_energy(self, x, site, value):
        n = x.shape[0]
        around = int(x[(site + 1) % n]) + int(x[(site + n - 1) % n])
        return self.coupling * around * (int(x[site]) - int(value))


class Silent(NamedTuple):
    coupling: float
    energy = Right.energy

    def delta_energy(self, x, site, value):
        return 0.0


class Turned(NamedTuple):
    coupling: float
    energy = Right.energy

    def delta_energy(self, x, site, value):
        n = x.shape[0]
        around = int(x[(site + 1) % n]) + int(x[(site + n - 1) % n])
        return -self.coupling * around * (int(x[site]) - int(value))


class Undefined(NamedTuple):
    coupling: float
    energy = Right.energy

    def delta_energy(self, x, site, value):
        return math.nan


class OwnEnsemble(NamedTuple):
    """An ensemble of its own, whose change is not that of its reduced energy."""

    coupling: float
    energy = Right.energy

    def reduced_energy(self, x, beta):
        return 2.0 * beta * beta * self.energy(x)

    def delta_reduced_energy(self, x, site, value, beta):
        return 0.0 * beta


class Excluded(NamedTuple):
    """Neighbours on a ring are not both 1; so many that a random state is forbidden at times."""

    activity: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            if x[i] == 1 and x[(i + 1) % x.shape[0]] == 1:
                return math.inf
            total -= self.activity * x[i]
        return total

    def delta_energy(self, x, site, value):
        n = x.shape[0]
        if value == 1 and (x[(site + 1) % n] == 1 or x[(site + n - 1) % n] == 1):
            return math.inf
        return -self.activity * (int(value) - int(x[site]))


class Misspelt(NamedTuple):
    coupling: float
    energy = Right.energy

    def delta_energy(self, x, site, value):
        return self.couplings * (x[site] - value)


class Unknown(NamedTuple):
    coupling: float
    energy = Right.energy

    def delta_energy(self, x, site, value):
        return missing(x[site] - value)  # noqa: F821


@LOCAL
@pytest.mark.parametrize(
    "model",
    [
        Model(Spins(9), Right(0.7)),
        Model(Spins(300), Right(1e-7)),
        Model(Levels(6, 3), Right(1e6 / 3)),
        Model(Levels(5, 2), Excluded(0.3)),
        Model(Spins(9), Right(0.0)),
    ],
    ids=str,
)
def test_right_changes_pass(model, sampler):
    sampler.check(model)


@LOCAL
@pytest.mark.parametrize("wrong", [Silent, Turned, Undefined])
@pytest.mark.parametrize("coupling", [0.7, 1e-7, 1e7])
def test_a_wrong_change_is_refused_before_any_work(wrong, coupling, sampler):
    model = Model(Spins(9), wrong(coupling))
    with pytest.raises(InvalidInput, match=rf"{wrong.__name__}\.delta_energy .*site \d+ turns"):
        sample(model, sampler, beta=1.0, n_draws=10**15, rng=1)


def test_the_refusal_names_both_numbers():
    with pytest.raises(InvalidInput, match=r"it says 0, but the .* changes by -?2\.8 at beta = 1"):
        HeatBath().check(Model(Spins(9), Silent(0.7)))


def test_a_wrong_reduced_change_is_refused():
    with pytest.raises(InvalidInput, match=r"OwnEnsemble\.delta_reduced_energy"):
        Metropolis().check(Model(Spins(9), OwnEnsemble(0.7)))


@LOCAL
@pytest.mark.parametrize(
    ("wrong", "told"), [(Misspelt, "attribute.*'couplings'"), (Unknown, "name 'missing'")]
)
def test_methods_that_do_not_compile_are_refused_in_words(wrong, told, sampler):
    with pytest.raises(InvalidInput, match=told) as info:
        sample(Model(Spins(4), wrong(1.0)), sampler, beta=1.0, n_draws=10**15, rng=1)
    assert len(str(info.value)) < 400


def test_models_shipped_here_are_not_tried(monkeypatch):
    monkeypatch.setattr(_local, "_changes", None)
    HeatBath().check(BernoulliRBM(np.zeros(2), np.zeros(3), np.zeros((2, 3))).joint())
