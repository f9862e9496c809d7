"""Wang-Landau: densities of states against enumeration, log Z against exact results, statuses.

z-scores are over 64 walkers, so that their tails are nearly Gaussian.
"""

import importlib
import math
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from statistical import mutant

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising, Potts
from statmech_ml.partition import (
    DensityOfStates,
    Geometric,
    LogZ,
    Tempering,
    Weights,
    density_of_states,
    logz,
    wang_landau,
)
from statmech_ml.samplers import base
from statmech_ml.spaces import Bits
from statmech_ml.systems import Model

# The package exports the function under the name of its module.
walks = importlib.import_module("statmech_ml.partition.wang_landau")

N_WALKERS = 64


def normal(n, seed):
    return np.random.default_rng(seed).normal(size=n)


TORUS = Ising(lattices.square(4))
GLASS = Ising(lattices.square(4, 3, "open"), np.sign(normal(17, seed=1)))
FIELD = Ising(lattices.chain(9), 0.8, -0.3)
POTTS = Potts(lattices.square(2, 3), 3)
REAL = Ising(lattices.chain(8), normal(8, seed=2), normal(8, seed=3))
RBM = BernoulliRBM(normal(3, 4), normal(2, 5), normal(6, 6).reshape(3, 2))

# g of the 4x4 torus at |E|
FOUR_BY_FOUR = {32: 2, 24: 32, 20: 64, 16: 424, 12: 1728, 8: 6688, 4: 13568, 0: 20524}


# --- the density of states ------------------------------------------------------------------------


def z_of_levels(model, exact_g, n_sweeps=3000):
    """z of log g at every level; infinite where the levels are not those that there are."""

    def run(seed, scale):
        found = wang_landau(model, n_chains=N_WALKERS, rng=seed, n_sweeps=n_sweeps * scale)
        if found.log_z(0.5).status == logz.NOT_CONVERGED:  # as if F is never reduced
            return np.array([math.inf])
        levels, counts = exact_g
        if len(found.energies) != len(levels) or not np.allclose(found.energies, levels):
            return np.array([math.inf])
        return (found.log_g - np.log(counts)) / found.stderr

    return run


def test_g_of_the_four_by_four_torus(assert_unbiased, seed):
    levels = np.array(sorted({s * e for e in FOUR_BY_FOUR for s in (-1, 1)}), float)
    counts = np.array([FOUR_BY_FOUR[int(abs(e))] for e in levels])
    assert counts.sum() == 2**16
    assert_unbiased(z_of_levels(TORUS, (levels, counts)), seed)


@pytest.mark.parametrize("model", [GLASS, FIELD, POTTS], ids=repr)
def test_g_is_that_of_enumeration(model, assert_unbiased, seed):
    assert_unbiased(z_of_levels(model, enumeration.density_of_states(model)), seed)


def test_g_is_normalised():
    found = wang_landau(POTTS, n_chains=4, rng=1, n_sweeps=500)
    assert found.log_n_states == pytest.approx(6 * math.log(3))
    assert np.exp(found.log_g).sum() == pytest.approx(3**6, rel=1e-12)
    assert np.allclose(np.exp(found.log_g_walkers).sum(axis=1), 3**6, rtol=1e-12)


WRONG = {
    "upside down": ("gain = log_g_c[k] - log_g_c[new_k]", "gain = log_g_c[new_k] - log_g_c[k]"),
    "always accept": ("gain >= 0.0 or _rng.unit(w1, w2) < math.exp(gain)", "True"),
    "a wrong proposal": ("proposal(values, state[site], w3)", "values[np.int64(w3) & 1]"),
    "proposals counted": ("visits_c[k] += 1", "visits_c[new_k] += 1"),
    "F never reduced": ("factor *= 0.5", "factor *= 1.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_walks_are_rejected(name, assert_rejected, seed, monkeypatch):
    monkeypatch.setattr(walks, "_walk", mutant(walks._walk, *WRONG[name]))
    exact_g = enumeration.density_of_states(POTTS)
    assert_rejected(z_of_levels(POTTS, exact_g, n_sweeps=1000), seed)


def test_an_unnormalised_g_is_rejected(assert_rejected, seed, monkeypatch):
    monkeypatch.setattr(walks, "logsumexp", lambda log_g, **_: np.max(log_g, axis=1, keepdims=True))
    exact_g = enumeration.density_of_states(POTTS)
    assert_rejected(z_of_levels(POTTS, exact_g, n_sweeps=1000), seed)


# --- what follows from it -------------------------------------------------------------------------


def test_log_z_energy_and_specific_heat_of_the_torus(assert_unbiased, seed):
    torus = Ising(lattices.square(4, 6), 0.8)

    def run(seed, scale):
        found = wang_landau(torus, n_chains=N_WALKERS, rng=seed, n_sweeps=4000 * scale)
        z = []
        for beta in (0.1, 0.5, 1.2):
            exact = kaufman.log_z(4, 6, beta=0.8 * beta)
            result = found.log_z(beta)
            assert result.ok
            energy = 24 * 0.8 * kaufman.energy_per_site(4, 6, beta=0.8 * beta)
            heat = 24 * kaufman.specific_heat(4, 6, beta=0.8 * beta)
            z += [result.z(exact), found.energy(beta).z(energy)]
            z.append(found.specific_heat(beta).z(heat))
        return np.array(z)

    assert_unbiased(run, seed)


@pytest.mark.parametrize("width", [0.2, 1.0])
def test_bins_of_real_energies(width, assert_unbiased, seed):
    """The correction inside bins is second order; at beta * width = 1 more is refused."""

    def run(seed, scale):
        found = wang_landau(REAL, n_chains=N_WALKERS, rng=seed, n_sweeps=1000, bin_width=width)
        assert (found.variances > 0).any()
        assert (found.variances < width**2 / 4).all()
        z = [found.log_z(b).z(enumeration.log_z(REAL, beta=b)) for b in (0.2, 0.5)]
        z.append(found.energy(0.5).z(8 * enumeration.energy_per_site(REAL, beta=0.5)))
        return np.array(z)

    assert_unbiased(run, seed)


def test_bins_without_their_correction_are_rejected(assert_rejected, seed):
    dense = Ising(lattices.chain(8), 0.05 * normal(8, seed=2), 0.6 + 0.2 * normal(8, seed=3))
    exact = enumeration.log_z(dense, beta=1.0)

    def run(seed, scale):
        found = wang_landau(
            dense, n_chains=N_WALKERS, rng=seed, n_sweeps=10_000 * scale, bin_width=1.0
        )
        flat = replace(found, variances=np.zeros_like(found.variances))
        return np.array([flat.log_z(1.0).z(exact)])

    assert_rejected(run, seed)


def test_as_an_estimator_on_a_path():
    result = wang_landau(Tempering(GLASS, 0.7), n_chains=8, rng=3, n_sweeps=2000)
    assert isinstance(result, LogZ)
    assert result.method == "wang-landau"
    assert str(result).startswith("log_z = ")
    density = result.diagnostics["density_of_states"]
    assert isinstance(density, DensityOfStates)
    again = wang_landau(GLASS, n_chains=8, rng=3, n_sweeps=2000)
    assert np.array_equal(density.log_g, again.log_g)
    assert again.log_z(0.7).value == result.value
    assert result.diagnostics["n_chains"] == 8
    assert result.diagnostics["cost"].keys() == {"sweeps", "energy_evaluations", "seconds"}
    assert result.diagnostics["cost"]["sweeps"] == 8 * 2000
    assert result.diagnostics["provenance"]["stream"] == walks.STREAM
    assert "Tempering" in result.diagnostics["provenance"]["path"]
    assert len(result.diagnostics["log_z_walkers"]) == 8


def spread_of_z(error):
    """Mean and mean square of z of log Z over runs with 16 walkers, as Student's t_15 has them."""

    def run(seed, scale):
        n = 40 * scale
        exact = kaufman.log_z(4, 4, beta=0.3)
        z = np.empty(n)
        for i in range(n):
            found = wang_landau(TORUS, rng=seed + i, n_sweeps=3000)
            z[i] = (found.log_z(0.3).value - exact) / error(found)
        variance, square = 15 / 13, 1.84  # of z, and standard deviation of z^2
        return np.array(
            [
                z.mean() * math.sqrt(n / variance),
                ((z**2).mean() - variance) * math.sqrt(n) / square,
            ]
        )

    return run


@pytest.mark.slow
def test_errors_are_honest(assert_unbiased, seed):
    assert_unbiased(spread_of_z(lambda found: found.log_z(0.3).stderr), seed)


@pytest.mark.slow
def test_errors_of_levels_added_as_if_independent_are_rejected(assert_rejected, seed):
    def error(found):
        weights = found._weights(found.log_g, 0.3)
        return math.sqrt(((weights * found.stderr) ** 2).sum())

    assert_rejected(spread_of_z(error), seed)


# --- statuses -------------------------------------------------------------------------------------


def density(log_g_walkers, converged=True):
    """Two levels, 0 and 1, of 4 states."""
    log_g = np.asarray(log_g_walkers, float)
    log_g = log_g + math.log(4) - np.logaddexp.reduce(log_g, axis=1, keepdims=True)
    return DensityOfStates(
        np.array([0.0, 1.0]),
        density_of_states.mean_log_g(log_g),
        density_of_states.stderr_log_g(log_g),
        log_g,
        np.zeros(2),
        1.0,
        math.log(4),
        np.full(len(log_g), converged),
    )


GOOD = [[0.0, 1.0], [0.01, 1.0], [0.0, 1.01], [0.02, 1.0]]


def test_statuses():
    assert density(GOOD).log_z(1.0).status == logz.OK
    assert density(GOOD, converged=False).log_z(1.0).status == logz.NOT_CONVERGED
    apart = density([[0.0, 1.0], [0.0, -4.0], [0.0, 1.0], [0.0, 5.0]])
    assert apart.log_z(-3.0).status == logz.WALKERS_DISAGREE
    missed = density([[0.0, 1.0], [-np.inf, 1.0], [0.01, 1.0], [0.0, 1.0]])
    result = missed.log_z(1.0)
    assert result.status == logz.LEVELS_MISSED
    assert not result.ok
    assert result.diagnostics["levels_missed"].tolist() == [0.0]
    assert math.isfinite(result.value)
    assert result.stderr > 0.0
    # Level 0 has a share of exp(-400) at beta = -400: nobody misses it there.
    assert missed.log_z(-400.0).status == logz.OK


def test_a_level_that_one_walker_met_has_no_error():
    lonely = density([[0.0, 1.0], *[[-np.inf, 1.0]] * 3])
    assert lonely.stderr[0] == math.inf
    assert math.isfinite(lonely.stderr[1])
    assert lonely.log_z(1.0).status == logz.LEVELS_MISSED


def test_at_infinite_temperature_log_z_is_the_number_of_states():
    result = density(GOOD).log_z(0.0)
    assert (result.value, result.status) == (math.log(4), logz.EXACT)
    with pytest.raises(InvalidInput, match="specific heat is zero"):
        density(GOOD).specific_heat(0.0)
    assert density(GOOD).energy(0.0).stderr > 0.0


def test_short_walks_say_so():
    found = wang_landau(Ising(lattices.square(8)), n_chains=4, rng=1, n_sweeps=40)
    result = found.log_z(0.44)
    assert result.status == logz.NOT_CONVERGED
    assert result.stderr > 0.0
    assert math.isfinite(result.value)


# --- streams --------------------------------------------------------------------------------------


def test_threads_change_nothing(monkeypatch):
    alone = wang_landau(GLASS, n_chains=5, rng=1, n_sweeps=200)
    monkeypatch.setattr(base, "_WORTH_THREADS", 0)
    monkeypatch.setattr(base, "thread_count", lambda: 2)
    together = wang_landau(GLASS, n_chains=5, rng=1, n_sweeps=200)
    assert np.array_equal(alone.log_g_walkers, together.log_g_walkers)
    other = wang_landau(GLASS, n_chains=5, rng=2, n_sweeps=200)
    assert not np.array_equal(other.log_g, together.log_g)


def test_the_plain_python_walk_is_the_compiled_one():
    x = POTTS.space.random(1, np.arange(2, dtype=np.uint32))
    found = []
    for kernel in (walks._walk, walks._walk.py_func):
        walk = walks._Walk(2, 40)
        kernel(
            POTTS.arrays, x.copy(), POTTS.space.values, walk.log_g, walk.visits, walk.sums, -20.0,
            1.0, np.uint64(7), np.arange(2, dtype=np.uint32), 60, walk.inverse_time, walk.ends,
        )  # fmt: skip
        found.append(walk)
    for name in ("log_g", "visits", "sums", "inverse_time", "ends"):
        assert np.array_equal(*(getattr(walk, name) for walk in found)), name
    assert found[0].visits.sum() == 2 * 30 * 6


def test_a_range_that_grows_changes_nothing():
    """Walks that leave the range are repeated in a wider one, step by step the same."""
    x = TORUS.space.random(1, np.arange(3, dtype=np.uint32))
    grown, lowest = walks._walks(TORUS, x, 9, 100, 4.0, float(TORUS.energy(x)[0]))
    n = grown.log_g.shape[1]
    wide = walks._Walk(3, n + 40)
    walks._run(TORUS, x.copy(), 9, 100, lowest - 80.0, 4.0, wide)
    assert np.array_equal(wide.log_g[:, 20 : n + 20], grown.log_g)
    assert np.array_equal(wide.visits[:, 20 : n + 20], grown.visits)
    narrow = walks._Walk(3, 3)
    walks._run(TORUS, x.copy(), 9, 100, float(TORUS.energy(x).min()) - 4.0, 4.0, narrow)
    assert narrow.ends.any()


# --- refusals -------------------------------------------------------------------------------------


class Odd(type(TORUS.arrays)):
    """Ising with a reduced energy that is not beta E."""

    def reduced_energy(self, x, beta):
        return beta * beta * self.energy(x)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(MissingCapability, match="Use another estimator"):
        wang_landau(RBM, rng=1)
    with pytest.raises(MissingCapability, match="Use another estimator"):
        wang_landau(DoubleWell(), rng=1)
    with pytest.raises(MissingCapability):
        wang_landau("torus", rng=1)
    for path in (Weights(RBM), Geometric(Gaussian(), DoubleWell())):
        with pytest.raises(InvalidInput, match="Tempering"):
            wang_landau(path, rng=1)
    with pytest.raises(InvalidInput, match="bin_width=0"):
        wang_landau(REAL, rng=1)
    with pytest.raises(InvalidInput, match="not beta times its energy"):
        wang_landau(Model(TORUS.space, Odd(*TORUS.arrays)), rng=1)
    with pytest.raises(InvalidInput, match="nothing to count"):
        wang_landau(Ising(lattices.chain(4), 0.0), rng=1)


@pytest.mark.slow
def test_the_joint_states_of_an_rbm_are_counted_in_bins():
    found = wang_landau(RBM.joint(), rng=1, n_sweeps=4000, bin_width=0.2)
    result = found.log_z(1.0)
    assert result.ok
    assert abs(result.z(enumeration.log_z(RBM.joint(), beta=1.0))) < 8


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_levels": 10},
        {"n_chains": 0},
        {"n_chains": 1},
        {"n_chains": 2.0},
        {"n_chains": "8"},
        {"n_chains": [8]},
        {"n_sweeps": 0},
        {"n_sweeps": 19},
        {"n_sweeps": np.nan},
        {"bin_width": 0.0},
        {"bin_width": -1.0},
        {"bin_width": np.nan},
        {"bin_width": np.inf},
        {"bin_width": "wide"},
        {"bin_width": [1.0, 2.0]},
        {"rng": None},
        {"rng": "seed"},
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(InvalidInput):
        wang_landau(TORUS, **({"rng": 1, "n_sweeps": 40} | arguments))


@pytest.mark.parametrize("beta", [np.nan, np.inf, 1e300, -1e300, "cold", None, [0.1, 0.2]])
def test_bad_betas_are_refused(beta):
    for ask in ("log_z", "energy", "specific_heat"):
        with pytest.raises(InvalidInput, match="beta="):
            getattr(density(GOOD), ask)(beta)


def test_the_width_that_is_suggested_fits_the_path():
    path = Tempering(REAL, 40.0)
    with pytest.raises(InvalidInput, match="no common spacing") as refused:
        wang_landau(path, rng=1, n_sweeps=100)
    width = float(re.search(r"bin_width=([0-9.e-]+)", str(refused.value)).group(1))
    assert width * path.beta <= logz.MAX_WIDTH
    wang_landau(path, n_chains=4, rng=1, n_sweeps=100, bin_width=width)


def test_few_walkers_are_refused():
    for n in (2, 3, 10**15):
        with pytest.raises(InvalidInput, match="n_chains"):
            wang_landau(TORUS, n_chains=n, rng=1, n_sweeps=40)


def test_errors_of_few_walkers_are_widened():
    """Over walkers of equal weight: the error of a mean, and the variance of Student's t."""
    few = density(GOOD)
    log_z = few.log_z(0.01).diagnostics["log_z_walkers"]
    of_mean = np.std(log_z, ddof=1) / 2.0
    assert few.log_z(0.01).stderr == pytest.approx(math.sqrt(3.0) * of_mean, rel=0.01)


def test_no_error_lies_below_rounding():
    assert density(GOOD).log_z(1e40).stderr > 0.0


def test_bins_wider_than_one_over_beta_are_refused():
    found = wang_landau(REAL, n_chains=4, rng=1, n_sweeps=100, bin_width=1.0)
    with pytest.raises(InvalidInput, match=r"bin_width below 0\.5"):
        found.log_z(2.0)


class HardCore(NamedTuple):
    """Bits of which the first two may not both be 1."""

    strength: float

    def energy(self, x):
        return np.inf if x[0] and x[1] else self.strength * x[2]

    def delta_energy(self, x, site, value):
        if site < 2 and value and x[1 - site]:
            return np.inf
        return self.strength * (value - x[site]) if site == 2 else 0.0


def test_states_that_are_forbidden_are_refused():
    with pytest.raises(InvalidInput, match="infinite energy"):
        wang_landau(Model(Bits(12), HardCore(1.0)), rng=1)


def test_too_many_levels_are_refused():
    with pytest.raises(InvalidInput, match="bin_width"):
        wang_landau(TORUS, rng=1, n_sweeps=40, bin_width=1e-9)
