"""SGHMC: a linear recursion on a harmonic well, with the noise of gradients and its estimate."""

import numpy as np
import pytest
from langevin_laws import BETA, WELL, K, ends, in_batches, moments, normal_law
from statistical import assert_distribution, assert_refuted, wrong_stride

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import langevin
from statmech_ml.models import BayesianLinearRegression
from statmech_ml.samplers import SGHMC, SGLD, sghmc

STEP, FRICTION = 0.6, 1.2
VARIANCE = float(langevin.sghmc_variance(STEP, FRICTION, K))


def test_the_stationary_variance_is_that_of_the_recursion(seed):
    assert_distribution(normal_law(SGHMC(STEP, friction=FRICTION), VARIANCE), seed)
    assert_refuted(normal_law(SGHMC(STEP, friction=FRICTION), 1 / K), seed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("eps * force[i]", "2.0 * eps * force[i]"),
        ("width * noise[i]", "0.5**0.5 * width * noise[i]"),
        ("kept * carried[i]", "carried[i]"),
    ],
    ids=["kick doubled", "noise without the 2", "no friction"],
)
def test_wrong_moves_are_refuted(right, wrong, seed, monkeypatch):
    monkeypatch.setattr(sghmc, "DampedKick", wrong_stride(sghmc.DampedKick, right, wrong))
    sampler = SGHMC(STEP, friction=FRICTION)
    assert_refuted(normal_law(sampler, VARIANCE, model=in_batches(WELL)), seed)


def test_the_kinetic_temperature_is_that_of_the_recursion(seed, assert_unbiased, assert_rejected):
    def against(exact):
        def run(seed, scale):
            sampler, n = SGHMC(STEP, friction=FRICTION), 20_000 * scale
            state = sampler.init(WELL, n, seed)
            state, _ = sampler.advance(WELL, state, np.full(n, BETA), 60)
            _, info = sampler.advance(WELL, state, np.full(n, BETA), 1)
            found = info["kinetic_temperature"]
            return (found.mean() - exact) / (found.std() / np.sqrt(n))

        return run

    assert_unbiased(against(langevin.sghmc_kinetic_temperature(STEP, FRICTION, K)), seed)
    assert_rejected(against(1.0), seed)


def test_with_friction_that_forgets_all_it_is_sgld():
    """eps C = 1: x' = x - eps^2 g + eps sqrt(2) w."""
    state = SGHMC(0.5, friction=2.0).init(WELL, 5, seed=3)
    mine = SGHMC(0.5, friction=2.0).advance(WELL, state, np.ones(5), 9)[0].x
    other = SGLD(0.25).advance(WELL, state, np.ones(5), 9)[0].x
    assert mine == pytest.approx(other, rel=1e-11)


def test_moves_by_hand():
    sampler = SGHMC(0.2, friction=1.5, noise_estimate=0.3)
    state = sampler.init(WELL, 4, seed=8)
    after, info = sampler.advance(WELL, state, np.full(4, BETA), 5)
    x, p = state.x, _rng.normals(8, state.chains, 0, _rng.MOMENTUM, 0, 1)
    squares = 0.0
    for t in range(5):
        w = _rng.normals(8, state.chains, t, _rng.LANGEVIN, 0, 1)
        p = p - 0.2 * WELL.reduced_gradient(x, BETA) - 0.2 * 1.5 * p
        p = p + np.sqrt(2 * 0.2 * (1.5 - 0.3)) * w
        x = x + 0.2 * p
        squares = squares + p[:, 0] ** 2 / 5
    assert after.x == pytest.approx(x, rel=1e-11)
    assert after.carried["momenta"] == pytest.approx(p, rel=1e-11)
    assert info["kinetic_temperature"] == pytest.approx(squares, rel=1e-11)


# --- gradient noise -------------------------------------------------------------------------------

# With one input for all data the curvature of every batch is the same, and the gradient noise is
# that of the outputs: the recursion is exact.
OUTPUTS = np.random.default_rng(3).exponential(size=16)
MEAN = BayesianLinearRegression(np.ones((16, 1)), OUTPUTS, noise=1.5)
CURVATURE = float(MEAN.precision[0, 0])
NOISE = float(MEAN.gradient_noise(MEAN.mean, 2)[0, 0])
DAMPED = {"step_size": 0.1, "friction": 3.0}


def law(estimate, gradient_noise=NOISE):
    """run -> z of mean and variance with this noise estimate against the closed form."""
    variance = langevin.sghmc_variance(0.1, 3.0, CURVATURE, gradient_noise, estimate)

    def run(seed, scale):
        sampler = SGHMC(batch_size=2, noise_estimate=estimate, **DAMPED)
        x, _ = ends(sampler, MEAN, 1.0, 10_000 * scale, 60, seed)
        return moments(x, MEAN.mean, np.array([[variance]]))

    return run


def test_minibatches_heat_and_an_estimate_of_their_noise_cools(seed, assert_unbiased):
    measured = 0.05 * NOISE  # B = eps S / 2
    assert 0.2 < measured < 3.0
    assert_unbiased(law(0.0), seed)
    assert_unbiased(law(measured), seed)
    right = langevin.sghmc_variance(0.1, 3.0, CURVATURE, NOISE, measured)
    assert right == pytest.approx(langevin.sghmc_variance(0.1, 3.0, CURVATURE), rel=1e-12)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_another_gradient_noise_is_rejected(factor, seed, assert_rejected):
    assert_rejected(law(0.0, factor * NOISE), seed)


def test_the_rise_of_temperature_is_reported(seed, assert_unbiased):
    def run(seed, scale):
        sampler, n = SGHMC(batch_size=2, noise_estimate=0.1, **DAMPED), 20_000 * scale
        _, info = ends(sampler, MEAN, 1.0, n, 1, seed, MEAN.mean)
        rise = info["temperature_rise"]
        return (rise.mean() - (0.05 * NOISE - 0.1) / 3.0) / (rise.std() / np.sqrt(n))

    assert_unbiased(run, seed)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"friction": 0.0}, "friction=0.0"),
        ({"friction": np.nan}, "friction=nan"),
        ({"friction": 20.0}, r"step_size \* friction below 2"),
        ({"noise_estimate": -0.1}, "noise_estimate=-0.1"),
        ({"noise_estimate": 1.0}, "gradient noise beyond that heats more than friction cools"),
        ({"batch_size": -1}, "at least 1"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(InvalidInput, match=told):
        SGHMC(**settings)
