"""Equilibrium runs: every level has its law, exchange or not, and chains are addressed."""

import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.exact import enumeration
from statmech_ml.models import Ising
from statmech_ml.partition import Tempering, _equilibrium
from statmech_ml.partition._equilibrium import correlation, equilibrate, settings
from statmech_ml.samplers import Metropolis, SwendsenWang

MODEL = Ising(lattices.square(3, 4), coupling=0.9, field=0.2)
PATH = Tempering(MODEL, beta=0.6)


def energy(x, lams):
    return MODEL.energy(x)[None]


def run(path=PATH, n_levels=4, n_chains=40, seed=1, n_draws=50, exchange=False, **more):
    given = {"burn_in": 20, "thin": 1, "ladder": None} | more
    return settings(
        "test", path, n_levels, n_chains, seed, n_draws, given["burn_in"], given["thin"],
        exchange, given["ladder"],
    )  # fmt: skip


def levels(exchange, shift=0.0, path=PATH):
    """z of the mean energy at every level, by the scatter of chains."""

    def check(seed, scale):
        given = run(path, seed=seed, n_draws=50 * scale, exchange=exchange)
        by_chain = equilibrate(path, given, energy, 1).values[0].mean(axis=2)
        exact = [enumeration.mean(MODEL, 0.6 * lam + shift, MODEL.energy) for lam in given.lams]
        error = by_chain.std(axis=1, ddof=1) / math.sqrt(by_chain.shape[1])
        return (by_chain.mean(axis=1) - np.ravel(exact)) / error

    return check


@pytest.mark.parametrize("exchange", [False, True])
def test_every_level_has_its_law(exchange, seed, assert_unbiased, assert_rejected):
    assert_unbiased(levels(exchange), seed)
    assert_rejected(levels(exchange, shift=0.05), seed)


def test_samplers_that_cannot_run_at_the_reference(seed, assert_unbiased):
    """Checkerboard Metropolis is refused at beta = 0, where exact draws take its place."""
    path = Tempering(MODEL, beta=0.6, sampler=Metropolis("checkerboard"))
    assert_unbiased(levels(False, path=path), seed)


@pytest.mark.parametrize("exchange", [False, True])
def test_runs_are_addressed(exchange):
    """The same seed gives the same numbers, and more draws begin with those of fewer."""
    few = equilibrate(PATH, run(n_draws=5, exchange=exchange), energy, 1).values
    more = equilibrate(PATH, run(n_draws=9, exchange=exchange), energy, 1).values
    np.testing.assert_array_equal(more[..., :5], few)
    other = equilibrate(PATH, run(n_draws=5, exchange=exchange, seed=2), energy, 1).values
    assert (other != few).any()


def test_large_tables_go_to_a_file(monkeypatch):
    inside = equilibrate(PATH, run(n_draws=5), energy, 1).values
    monkeypatch.setattr(_equilibrium, "_IN_MEMORY", 100)
    outside = equilibrate(PATH, run(n_draws=5), energy, 1).values
    assert isinstance(outside, np.memmap)
    np.testing.assert_array_equal(outside, inside)


def test_costs_and_rates():
    about = equilibrate(PATH, run(exchange=True, thin=2), energy, 3).diagnostics
    assert about["cost"]["sweeps"] == 40 * (20 * 4 + 50 * 2 * 5)
    assert about["cost"]["energy_evaluations"] == 3 * 40 * 5 * 50
    assert about["swap_acceptance"].shape == (4,)
    assert (about["swap_acceptance"] > 0.3).all()
    assert about["round_trips"] > 10


def test_clusters_exchange_too():
    path = Tempering(MODEL_WITHOUT_FIELD, beta=0.6, sampler=SwendsenWang())
    values = equilibrate(path, run(path, n_draws=5, exchange=True), energy, 1).values
    assert values.shape == (1, 5, 40, 5)


MODEL_WITHOUT_FIELD = Ising(lattices.square(3, 4), coupling=0.9)


def test_correlation_of_odd_series():
    """Levels that never change, and some that are forbidden elsewhere."""
    rng = np.random.default_rng(1)
    series = rng.normal(size=(3, 20, 100))
    series[1] = 2.0
    series[2][series[2] > 1.0] = np.inf
    tau, ess = correlation(series)
    assert (tau[1], ess[1]) == (0.5, 2000)
    assert np.isfinite(tau).all()
    assert (ess > 1000).all()
