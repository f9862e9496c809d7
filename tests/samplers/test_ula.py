"""Unadjusted Langevin moves: the law that they have instead, and the correction that knows it."""

import numpy as np
import pytest
from scipy.stats import norm
from statistical import assert_distribution, assert_refuted, chi_square, mutant

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import DoubleWell, Gaussian, HarmonicTrap, LogDensity
from statmech_ml.samplers import MALA, ULA, _langevin

ETA, STIFFNESS = 0.6, 1.5
LAW = Gaussian(mean=0.4, stddev=STIFFNESS**-0.5)


def final_states(variance):
    """p-value of states after 60 moves against a normal law of this variance."""

    def run(seed, scale):
        n, bins = 40_000 * scale, 40
        state = ULA(ETA).init(LAW, n, seed)
        x = ULA(ETA).advance(LAW, state, np.ones(n), 60)[0].x[:, 0]
        u = norm.cdf(x, 0.4, np.sqrt(variance))
        cells = np.minimum((u * bins).astype(int), bins - 1)
        return {"states": chi_square(np.bincount(cells, minlength=bins), np.full(bins, 1 / bins))}

    return run


def test_the_stationary_variance_is_that_of_the_biased_law(seed):
    """1 / (k (1 - eta k / 2)) on u = k x^2 / 2: 1/(1 - eta/2) on N(0, 1)."""
    assert_distribution(final_states(1 / STIFFNESS / (1 - ETA * STIFFNESS / 2)), seed)


def test_the_unbiased_law_is_refuted(seed):
    assert_refuted(final_states(1 / STIFFNESS), seed)


def test_noise_without_the_2_is_refuted(seed, monkeypatch):
    wrong = mutant(_langevin.moves, "math.sqrt(2.0 * eta)", "math.sqrt(eta)")
    monkeypatch.setattr(_langevin, "moves", wrong)
    assert_refuted(final_states(1 / STIFFNESS / (1 - ETA * STIFFNESS / 2)), seed)


def identity(model, step, n_sweeps):
    """z of <exp(correction)> = 1 and of its average with x, which is <x>, from equilibrium.

    The weights are those of all paths reversed, so they turn averages over the ends of the paths
    into averages over the target.
    """

    def run(seed, scale):
        n = 40_000 * scale
        start = model.draws(seed, np.arange(n, dtype=np.uint32))
        state = ULA(step).init(model, n, seed + 1, start)
        state, info = ULA(step).advance(model, state, np.ones(n), n_sweeps)
        weight = np.exp(info["correction"])
        values = np.stack([weight - 1.0, weight * (state.x[:, 0] - model.mean[0])])
        return values.mean(axis=1) / (values.std(axis=1) / np.sqrt(n))

    return run


TARGET = Gaussian(mean=[0.4, -0.3], covariance=[[0.8, 0.3], [0.3, 0.5]])


@pytest.mark.parametrize(("step", "n_sweeps"), [(0.01, 1), (0.15, 1), (0.15, 5)])
def test_corrected_weights_average_to_one(step, n_sweeps, seed, assert_unbiased):
    assert_unbiased(identity(TARGET, step, n_sweeps), seed)


@pytest.mark.parametrize(
    ("right", "wrong", "step", "n_sweeps"),
    [
        # exp(u - u') has a variance only for eta k < 2 - sqrt(3.5); here the largest k is 3.2.
        ("gain = u - new_u + ratio", "gain = u - new_u", 0.01, 1),
        ("gain = u - new_u + ratio", "gain = new_u - u - ratio", 0.15, 5),
        ("gains += gain", "gains = 0.5 * gain", 0.15, 5),
    ],
    ids=["no proposals", "sign", "half"],
)
def test_wrong_corrections_are_rejected(
    right, wrong, step, n_sweeps, seed, monkeypatch, assert_rejected
):
    monkeypatch.setattr(_langevin, "moves", mutant(_langevin.moves, right, wrong))
    assert_rejected(identity(TARGET, step, n_sweeps), seed)


def test_the_correction_of_a_move_by_hand():
    """log B(x|x') - log F(x'|x) + u(x) - u(x') of one move, densities by scipy."""
    model, eta, beta = DoubleWell(barrier=1.0, tilt=0.3), 0.05, 0.7
    state = ULA(eta).init(model, 8, seed=4)
    after, info = ULA(eta).advance(model, state, np.full(8, beta), 1)
    x, y, width = state.x, after.x, np.sqrt(2 * eta)

    def log_density(end, begin):
        drift = begin - eta * model.reduced_gradient(begin, beta)
        return norm.logpdf(end, drift, width)[:, 0]

    expected = log_density(x, y) - log_density(y, x)
    expected += model.reduced_energy(x, beta) - model.reduced_energy(y, beta)
    assert info["correction"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_corrections_add_up_over_sweeps():
    state = ULA(0.1).init(TARGET, 6, seed=5)
    through = ULA(0.1).advance(TARGET, state, np.ones(6), 5)[1]["correction"]
    first, one = ULA(0.1).advance(TARGET, state, np.ones(6), 2)
    two = ULA(0.1).advance(TARGET, first, np.ones(6), 3)[1]
    assert through == pytest.approx(one["correction"] + two["correction"], rel=1e-9)


def test_only_ula_says_that_it_is_biased():
    assert not ULA.invariant
    assert MALA.invariant


@pytest.mark.parametrize(
    "model",
    [DoubleWell(), LogDensity(lambda x: -(x[:, 0] ** 4), 1), HarmonicTrap((1.0, 1e6))],
    ids=repr,
)
def test_steps_that_diverge_are_an_error(model):
    state = ULA(1.0).init(model, 4, seed=1)
    with pytest.raises(InvalidInput, match=r"left the finite numbers.*smaller step_size, or MALA"):
        ULA(1.0).advance(model, state, np.ones(4), 500)


def test_discrete_models_are_refused():
    from statmech_ml import lattices
    from statmech_ml.models import Ising

    with pytest.raises(MissingCapability, match=r"ULA needs the capability Differentiable.*Use"):
        ULA().check(Ising(lattices.chain(4)))
