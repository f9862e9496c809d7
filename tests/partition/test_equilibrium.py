"""Equilibrium runs: every level has its law, exchange or not, and chains are addressed."""

import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import StatmechError
from statmech_ml.exact import enumeration
from statmech_ml.models import Gaussian, Ising, LogDensity
from statmech_ml.partition import (
    Geometric,
    Tempering,
    _equilibrium,
    bar,
    mbar,
    thermodynamic_integration,
)
from statmech_ml.partition._equilibrium import (
    correlation,
    drift,
    effective,
    equilibrate,
    settings,
)
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
    """The same seed gives the same numbers."""
    few = equilibrate(PATH, run(n_draws=5, exchange=exchange), energy, 1).values
    again = equilibrate(PATH, run(n_draws=5, exchange=exchange), energy, 1).values
    np.testing.assert_array_equal(again, few)
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
    assert about["cost"]["sweeps"] == 40 * (20 * 4 + 2 * 50 * 2 * 5)
    assert about["cost"]["energy_evaluations"] == 3 * 40 * 5 * 50
    assert about["swap_acceptance"].shape == (4,)
    assert (about["swap_acceptance"] > 0.3).all()
    assert about["round_trips"] > 10


def test_clusters_exchange_too():
    path = Tempering(MODEL_WITHOUT_FIELD, beta=0.6, sampler=SwendsenWang())
    values = equilibrate(path, run(path, n_draws=5, exchange=True), energy, 1).values
    assert values.shape == (1, 5, 40, 5)


MODEL_WITHOUT_FIELD = Ising(lattices.square(3, 4), coupling=0.9)


def glass(seed=3):
    """Eight spins, all coupled, cold: walkers freeze on the climb and thaw by exchange."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    coupling, field = rng.normal(size=28), 0.3 * rng.normal(size=8)
    return Tempering(Ising(lattices.from_edges(pairs), coupling=coupling, field=field), beta=1.5)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [bar, mbar, thermodynamic_integration])
def test_glass_with_exchange(estimator, seed, assert_unbiased):
    """What froze on the climb is forgotten before the first sample."""
    path = glass()
    exact = enumeration.log_z(path.model, 1.5)

    def check(seed, scale):
        seeds = np.random.SeedSequence(seed).generate_state(16 * scale)
        found = [estimator(path, rng=int(s), exchange=True) for s in seeds]
        return np.array([np.mean([r.z(exact) for r in found]) * math.sqrt(len(found))])

    assert_unbiased(check, seed)


@pytest.mark.parametrize("estimator", [bar, mbar, thermodynamic_integration])
def test_frozen_chains_are_no_evidence(estimator):
    """Without exchange the cold levels hardly leave where they froze: 32 chains, few draws each."""
    r = estimator(glass(), rng=1)
    assert r.status == "low ess"


def moving(trend):
    """z of the drift of chains with an AR(1)-like common part at all levels."""

    def check(seed, scale):
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(50 * scale):
            shares = rng.normal(size=(3, 16, 40)) + rng.normal(size=(1, 16, 1))
            found.append(drift(shares + trend * (np.arange(40) >= 20)))
        return np.array([np.mean(found) * math.sqrt(len(found))])

    return check


def test_drift(seed, assert_unbiased, assert_rejected):
    assert_unbiased(moving(0.0), seed)
    assert_rejected(moving(0.1), seed)


def test_drift_of_odd_series():
    """Nothing that changes has no drift, and infinite shares are as far as others and one more."""
    assert drift(np.ones((2, 8, 10))) == 0.0
    shares = np.random.default_rng(1).normal(size=(2, 8, 10))
    shares[0, 3, 2] = np.inf
    shares[1, 3, 2] = -np.inf
    assert math.isfinite(drift(shares))


def test_drifting_is_seen(monkeypatch):
    """Shares that still climb: a status, even where all else is well."""
    monkeypatch.setattr(_equilibrium, "drift", lambda shares: drift(shares + RISE))
    r = mbar(PATH, 4, rng=1, n_draws=100)
    assert r.diagnostics["drift"] > 4.0
    assert r.status == "drifting"


RISE = np.linspace(0.0, 5.0, 100)


def test_the_error_bounds_the_effective_draws():
    """What all levels of a ladder do together shows in the error, not level by level."""
    assert effective(np.array([900.0, 800.0]), 1000, independent=1e-4, error=0.01) == 800.0
    assert effective(np.array([900.0, 800.0]), 1000, independent=0.0625, error=0.5) == 250.0
    assert effective(np.array([900.0, 800.0]), 1000, independent=0.0, error=0.0) == 800.0


WALL = LogDensity(lambda x: np.where(x[:, 0] > 0, -0.5 * (x**2).sum(axis=-1), -np.inf), 2)


@pytest.mark.parametrize(
    ("estimator", "exchange"),
    [(bar, False), pytest.param(mbar, True, marks=pytest.mark.slow)],
)
def test_walls(estimator, exchange, seed, assert_unbiased, assert_rejected):
    """Half of the reference's draws are forbidden; no walker starts from them. Z = pi."""
    path = Geometric(Gaussian(dim=2), WALL)

    def check(exact):
        def run(seed, scale):
            z = [
                estimator(path, 3, 16, rng=int(s), n_draws=60, exchange=exchange).z(exact)
                for s in np.random.SeedSequence(seed).generate_state(4 * scale)
            ]
            return np.array([np.mean(z) * math.sqrt(len(z))])

        return run

    assert_unbiased(check(math.log(math.pi)), seed)
    assert_rejected(check(math.log(math.pi) + 0.5), seed)


def test_walls_that_no_draw_passes():
    nowhere = LogDensity(lambda x: np.where(x[:, 0] > 40, -x[:, 0], -np.inf), 1)
    with pytest.raises(StatmechError, match="found no start"):
        bar(Geometric(Gaussian(), nowhere), 2, rng=1)


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
