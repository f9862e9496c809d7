"""PSGLD: its law while the preconditioner is frozen, and while it is not."""

import numpy as np
import pytest
from langevin_laws import BETA, CENTRE, WELL, K, ends, in_batches, uniform
from scipy.stats import norm
from statistical import assert_distribution, assert_refuted, wrong_stride

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import langevin
from statmech_ml.models import BayesianLinearRegression, Gaussian
from statmech_ml.samplers import PSGLD, psgld

ETA, FLOOR = 0.7, 0.2


def frozen_law(model=WELL, variance=langevin.ula_variance):
    """run -> p-value after a warm-up: each chain has the variance of its own preconditioner."""

    def run(seed, scale):
        n = 20_000 * scale
        beta = np.full(n, BETA)
        sampler = PSGLD(ETA, alpha=0.95, regulariser=FLOOR)
        frozen, state = sampler.warm_up(model, sampler.init(model, n, seed), beta, 20)
        assert frozen.alpha == 1.0
        kept = state.carried["mean_square"]
        state = frozen.advance(model, state, beta, 60)[0]
        assert state.carried["mean_square"].tolist() == kept.tolist()
        widths = np.sqrt(variance(ETA / (FLOOR + np.sqrt(kept[:, 0])), K))
        return {"frozen": uniform(norm.cdf(state.x[:, 0], CENTRE, widths))}

    return run


def test_frozen_it_has_the_variance_of_its_preconditioned_step(seed):
    assert_distribution(frozen_law(), seed)
    assert_refuted(frozen_law(variance=lambda step, k: 0 * step + 1 / k), seed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("math.sqrt(2.0 * eta)", "math.sqrt(eta)"),
        ("math.sqrt(scale)", "scale"),
    ],
)
def test_wrong_moves_are_refuted(right, wrong, seed, monkeypatch):
    move = wrong_stride(psgld.Preconditioned, right, wrong)
    monkeypatch.setattr(psgld, "Preconditioned", move)
    assert_refuted(frozen_law(in_batches(WELL)), seed)


# --- never frozen ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_never_freezes_follows_the_gradient_and_not_the_energy(seed):
    """Small steps, alpha < 1: p ~ exp(-u) (lambda + |du/dx|), however small the step."""
    model, floor, step, n_sweeps = Gaussian(), 0.5, 0.004, 2_500
    grid = np.linspace(-6, 6, 20_001)

    def law(power):
        cumulated = np.cumsum(np.exp(-(grid**2) / 2) * (floor + np.abs(grid)) ** power)
        return cumulated / cumulated[-1]

    def run_against(power):
        def run(seed, scale):
            sampler = PSGLD(step, alpha=0.5, regulariser=floor)
            x, _ = ends(sampler, model, 1.0, 10_000 * scale, n_sweeps, seed)
            return {"law": uniform(np.interp(x[:, 0], grid, law(power)))}

        return run

    assert_distribution(run_against(1.0), seed)
    assert_refuted(run_against(0.0), seed)


@pytest.mark.slow
def test_with_a_long_memory_the_preconditioner_finds_its_fixed_point(
    seed, assert_unbiased, assert_rejected
):
    """alpha -> 1: the closed form; what is left of order 1 - alpha is below the errors."""
    model, step = Gaussian(stddev=K**-0.5), 1.5

    def run(seed, scale, exact=None):
        n = 500 * scale
        sampler = PSGLD(step, alpha=0.9995, regulariser=1e-12, freeze=False)
        state = sampler.init(model, n, seed)
        start = np.full((n, 1), K**2 * langevin.psgld_variance(step, K))
        state = state._replace(carried={"mean_square": start})
        total = 0.0
        state, _ = sampler.advance(model, state, np.ones(n), 5_000)
        for _ in range(20):
            state, _ = sampler.advance(model, state, np.ones(n), 50)
            total = total + state.x[:, 0] ** 2 / 20
        exact = langevin.psgld_variance(step, K) if exact is None else exact
        return (total.mean() - exact) / (total.std() / np.sqrt(n))

    assert_unbiased(run, seed)
    # A preconditioner that knew the curvature, and not what its own step does to the gradients.
    assert_rejected(lambda *how: run(*how, langevin.ula_variance(step / K**0.5, K)), seed)


def test_moves_by_hand():
    """Three moves on data, the preconditioner from the square of the first gradient on."""
    rng = np.random.default_rng(1)
    line = in_batches(BayesianLinearRegression(rng.normal(size=(9, 2)), rng.normal(size=9)))
    sampler = PSGLD(0.05, alpha=0.8, regulariser=0.1, noise=0.3)
    state = sampler.init(line, 4, seed=8)
    after, _ = sampler.advance(line, state, np.ones(4), 3)
    x, v = state.x, None
    for t in range(3):
        g = line.reduced_gradient(x, 1.0)
        v = g**2 if v is None else 0.8 * v + 0.2 * g**2
        scale = 1 / (0.1 + np.sqrt(v))
        w = _rng.normals(8, state.chains, t, _rng.LANGEVIN, 0, 2)
        x = x - 0.05 * scale * g + 0.3 * np.sqrt(scale) * w
    assert after.x == pytest.approx(x, rel=1e-11)
    assert after.carried["mean_square"] == pytest.approx(v, rel=1e-11)


def test_the_temperature_rises_with_the_preconditioned_gradient_noise():
    rng = np.random.default_rng(2)
    line = BayesianLinearRegression(3 * rng.normal(size=(9, 1)), rng.normal(size=9))
    sampler = PSGLD(0.05, batch_size=3, alpha=0.8)
    state, _ = sampler.advance(line, sampler.init(line, 4, seed=8), np.ones(4), 1)
    after, info = sampler.advance(line, state, np.ones(4), 1)
    scale = 1 / (1e-5 + np.sqrt(after.carried["mean_square"][:, 0]))
    assert info["temperature_rise"] == pytest.approx(0.025 * scale * info["gradient_noise"])


def test_without_freezing_the_warm_up_changes_nothing():
    sampler = PSGLD(freeze=False)
    assert sampler.warm_up(WELL, sampler.init(WELL, 2, 1), np.ones(2), 5)[0] == sampler


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"alpha": -0.1}, r"alpha=-0.1 must lie in \[0, 1\)"),
        ({"alpha": 1.1}, r"alpha=1.1 must lie"),
        ({"alpha": np.nan}, "alpha=nan must lie"),
        ({"regulariser": 0.0}, "regulariser=0.0 must be positive"),
        ({"regulariser": np.inf}, "regulariser=inf must be positive"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(InvalidInput, match=told):
        PSGLD(**settings)


def test_nothing_to_keep_is_an_error():
    sampler = PSGLD(alpha=1.0)
    with pytest.raises(InvalidInput, match=r"this state carries none\. Burn in with alpha < 1"):
        sampler.advance(WELL, sampler.init(WELL, 2, 1), np.ones(2), 3)
