"""The fast pass of annealed RBMs: the separate steps up to rounding, in single precision nearly."""

from itertools import pairwise

import numpy as np
import pytest
from machines import MACHINES, gaussian, potts, rbm

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import BernoulliRBM
from statmech_ml.partition import Tempering, Weights, ais
from statmech_ml.partition.path import Path
from statmech_ml.samplers import BlockGibbs, State

CHAINS = np.arange(20, dtype=np.uint32)


def machine(n_visible=37, n_hidden=21, scale=1.0):
    rng = np.random.default_rng(1)
    return BernoulliRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        scale * rng.normal(size=(n_visible, n_hidden)),
    )


def anneal(path, step, lams, n_sweeps):
    state = State(path.sample_reference(5, CHAINS), 5, CHAINS, 0)
    log_w = np.zeros(len(CHAINS))
    for lam, after in pairwise(lams):
        more, state, _ = step(path, state, lam, after, n_sweeps)
        log_w += more
    return log_w, state


def generic(path, *args):
    return Path.weigh_and_move(path, *args)


def fast(path, *args):
    return path.weigh_and_move(*args)


@pytest.mark.parametrize("n_sweeps", [0, 1, 3])
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("shape", [(37, 21), (64, 8), (1, 70)])
def test_double_precision_is_the_generic_step(n_sweeps, direction, shape):
    """Same stream, same units, same log-weights, for widths that fill no buffer and one that does.

    A unit could differ where its random word ties with its odds to 1e-13: 2^-20 in all.
    """
    path = Weights(machine(*shape), beta=1.1, precision="double")
    lams = (np.linspace(0, 1, 30) ** 2)[::direction]
    log_w, state = anneal(path, fast, lams, n_sweeps)
    expected, end = anneal(path, generic, lams, n_sweeps)
    np.testing.assert_allclose(log_w, expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(state.x, end.x)
    assert state.x.dtype == end.x.dtype
    assert state.sweep == end.sweep


@pytest.mark.parametrize("n_sweeps", [0, 2])
@pytest.mark.parametrize("units", [("spins", "spins"), ("spins", "bits"), ("bits", "spins")])
def test_spins_in_the_fast_pass_are_the_generic_step_too(units, n_sweeps):
    path = Weights(rbm(*units, 37, 21, scale=0.3), beta=1.1, precision="double")
    lams = np.linspace(0, 1, 60)
    log_w, state = anneal(path, fast, lams, n_sweeps)
    expected, end = anneal(path, generic, lams, n_sweeps)
    np.testing.assert_allclose(log_w, expected, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(state.x, end.x)
    assert state.x.dtype == end.x.dtype


ANNEALED = MACHINES | {
    "levels over spins": potts("spins", 4, 5, 3),
    "normal over spins": gaussian("spins", 3, 4),
}


@pytest.mark.parametrize("name", ANNEALED)
def test_both_ends_are_what_they_say(name):
    """log Z of independent units by the exact sum, and the target's reduced energy."""
    machine = ANNEALED[name]
    path = Weights(machine, beta=0.8)
    x = path.sample_reference(1, np.arange(50, dtype=np.uint32))
    machine.space.check(x)
    one = path.reduced_energy(x, 1.0)
    np.testing.assert_allclose(one, machine.reduced_energy(x, 0.8), rtol=1e-12, atol=1e-12)
    if hasattr(machine.space, "n_states"):
        states = enumeration.states(machine.space)
        log_z = np.logaddexp.reduce(-path.reduced_energy(states, 0.0))
        assert path.log_z_reference == pytest.approx(log_z, abs=1e-12)
        many = path.sample_reference(2, np.arange(20_000, dtype=np.uint32))
        exact = np.exp(-path.reduced_energy(states, 0.0) - log_z)
        found = np.bincount(machine.space.index(many), minlength=len(exact)) / len(many)
        # 20,000 draws: every frequency within five of its standard errors.
        assert (np.abs(found - exact) < 5 * np.sqrt(exact / len(many)) + 1e-12).all()


@pytest.mark.parametrize("name", [n for n in ANNEALED if n != "bits over bits"])
def test_annealed_estimates_of_every_kind_are_calibrated(name, seed, assert_unbiased):
    machine = ANNEALED[name]
    exact = exact_rbm.log_z(machine, 0.8)

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        path = Weights(machine, beta=0.8)
        results = [ais(path, 15, 150, rng=rng) for _ in range(12 * scale)]
        ratio = np.exp([r.value - exact for r in results])
        return np.array([(ratio.mean() - 1) / (ratio.std(ddof=1) / np.sqrt(len(ratio)))])

    assert_unbiased(run, seed)


def test_spins_annealed_as_bits_are_rejected(seed, assert_rejected):
    """Mutant: the log-weights of hidden spins without what tells log 2 cosh from softplus."""
    machine = ANNEALED["bits over spins"]
    exact = exact_rbm.log_z(machine, 0.8)

    class Softplus(Weights):
        def weigh_and_move(self, state, lam, next_lam, n_sweeps, sampler=None):
            log_w, moved, info = super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
            field = state.x.astype(float) @ (0.8 * machine.weights)
            return log_w + (next_lam - lam) * field.sum(axis=1), moved, info

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        path = Softplus(machine, beta=0.8)
        results = [ais(path, 15, 150, rng=rng) for _ in range(12 * scale)]
        ratio = np.exp([r.value - exact for r in results])
        return np.array([(ratio.mean() - 1) / (ratio.std(ddof=1) / np.sqrt(len(ratio)))])

    assert_rejected(run, seed)


def test_paths_refuse_clamped_units_and_normal_ones_without_width():
    mask = np.arange(4) < 1
    with pytest.raises(InvalidInput, match="condition"):
        Weights(MACHINES["spins over spins"], BlockGibbs(clamped=mask))
    for name in ("spins over normal", "levels over normal", "normal over spins"):
        with pytest.raises(InvalidInput, match="beta > 0"):
            Weights(MACHINES[name], beta=0.0)
    with pytest.raises(InvalidInput, match="beta > 0"):
        Tempering(MACHINES["spins over normal"], 1.0, BlockGibbs())


def test_certain_units_and_long_steps():
    """Log-odds of hundreds are cut without a trace; steps too long for that go another way."""
    path = Weights(machine(scale=30.0), precision="double")
    for n_levels in (1, 3, 40, 4000):
        lams = np.linspace(0, 1, n_levels + 1)[-40:]
        log_w, state = anneal(path, fast, lams, 1)
        expected, end = anneal(path, generic, lams, 1)
        np.testing.assert_allclose(log_w, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_array_equal(state.x, end.x)


def test_single_precision_costs_nothing_that_shows():
    """Rounding of the increments adds up to that of one product v.W, whatever the number of levels.

    Along the same states: the rounding of all weights and units on, 2^-24 sum_ij |W_ij|.
    """
    rbm = machine(scale=0.5)
    single, double = (Weights(rbm, precision=p) for p in ("single", "double"))
    bound = 2.0**-24 * np.abs(rbm.weights).sum()
    for n_levels in (20, 2000):
        lams = np.linspace(0, 1, n_levels + 1)
        state = State(single.sample_reference(5, CHAINS), 5, CHAINS, 0)
        difference = np.zeros(len(CHAINS))
        for lam, after in pairwise(lams):
            exact, _, _ = double.weigh_and_move(state, lam, after, 0)
            rounded, state, _ = single.weigh_and_move(state, lam, after, 1)
            difference += rounded - exact
        assert np.abs(difference).max() < bound


class EnergiesInSingle(Weights):
    """Mutant: the difference of two energies in single precision."""

    def weigh_and_move(self, state, lam, next_lam, n_sweeps, sampler=None):
        _, moved, info = super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
        before, after = self.reduced_energies(state.x, [lam, next_lam]).astype(np.float32)
        return (before - after).astype(float), moved, info


def test_energies_in_single_precision_are_rejected():
    """Each of 2000 steps then loses what one may lose in all."""
    rbm = machine(scale=0.5)
    lams = np.linspace(0, 1, 2001)
    rounded, _ = anneal(EnergiesInSingle(rbm, precision="double"), fast, lams, 1)
    exact, _ = anneal(Weights(rbm, precision="double"), fast, lams, 1)
    bound = 2.0**-24 * np.abs(rbm.weights).sum()
    assert np.abs(rounded - exact).max() > bound


@pytest.mark.parametrize("precision", ["single", "double"])
def test_calibrated(precision, seed, assert_unbiased):
    rbm = machine(12, 8, scale=0.7)
    exact = exact_rbm.log_z(rbm, 0.9)

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        path = Weights(rbm, beta=0.9, precision=precision)
        results = [ais(path, 60, 300, rng=rng) for _ in range(30 * scale)]
        z = np.array([r.z(exact) for r in results])
        ratio = np.exp([r.value - exact for r in results])
        n = len(z)
        return np.array(
            [
                (ratio.mean() - 1) / (ratio.std(ddof=1) / np.sqrt(n)),
                (z.var(ddof=1) - 1) * np.sqrt((n - 1) / 2),
            ]
        )

    assert_unbiased(run, seed)
