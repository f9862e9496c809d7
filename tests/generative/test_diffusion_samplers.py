"""Samplers with a perfect network produce the law that `predict_sampler` computes."""

import numpy as np
import pytest
import torch
from diffusions import CORRELATED, perfect, z_of

from statmech_ml.errors import InvalidInput
from statmech_ml.exact.targets import Gaussian, GaussianMixture, predict_sampler
from statmech_ml.generative import (
    Cosine,
    DiffusionModel,
    ExactDenoiser,
    GradientGuide,
    LearnedLogSNR,
    Linear,
    LinearMeasurement,
    LogLinear,
)
from statmech_ml.generative import _diffusion_samplers as samplers
from statmech_ml.spaces import Reals

METHODS = samplers.METHODS


def calibrated(model, target):
    """With the exact mean squared error, so that nothing but the sampler is looked at."""
    bars = model.levels().alpha_bar[1:]
    mse = np.array([target.mmse(bar / (1.0 - bar)) for bar in bars]) / target.space.size
    model.eval()
    model._calibration = samplers.Calibration(bars, mse, samplers.fingerprint(model))
    return model


def scores(x, law):
    """z of all means and second moments of samples under a Gaussian law."""
    away = x - law.mean
    z = list(away.mean(axis=0) / np.sqrt(np.diag(law.covariance) / len(x)))
    d = x.shape[1]
    for i in range(d):
        for j in range(i + 1):
            z.append(z_of(away[:, i] * away[:, j], law.covariance[i, j]))
    return np.array(z)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schedule", [Linear(30), Cosine(10), LogLinear(steps=12)], ids=repr)
def test_law_is_as_predicted(method, schedule, seed, assert_unbiased):
    model = calibrated(perfect(CORRELATED, schedule), CORRELATED)
    law = predict_sampler(CORRELATED, schedule, method)

    def run(seed, scale):
        return scores(model.sample(5_000 * scale, rng=seed, method=method), law)

    assert_unbiased(run, seed)


@pytest.mark.parametrize(
    ("right", "wrong", "method"),
    [
        ('"ddpm-small": small', '"ddpm-small": beta', "ddpm-small"),  # beta in place of beta~
        ("math.sqrt(b) if", "math.sqrt(b / 2.0) if", "euler-maruyama"),  # the 2 of the SDE lost
        ("else 0.5 * b", "else b", "ode-euler"),
        ("of_guess**2 * mse", "of_guess * mse", "ddpm-optimal"),
        ("kept * math.sqrt(A)", "kept * A", "ddim"),
    ],
)
def test_mutants_are_rejected(right, wrong, method, seed, assert_rejected, monkeypatch):
    from statistical import _replaced

    namespace = dict(vars(samplers))
    monkeypatch.setattr(samplers, "step", _replaced(samplers.step, right, wrong, namespace))
    schedule = Linear(30)
    model = calibrated(perfect(CORRELATED, schedule), CORRELATED)
    law = predict_sampler(CORRELATED, schedule, method)

    def run(seed, scale):
        return scores(model.sample(5_000 * scale, rng=seed, method=method), law)

    assert_rejected(run, seed)


def test_clipping_is_wrong_and_off_by_default(seed, assert_rejected):
    model, law = perfect(CORRELATED, Linear(30)), predict_sampler(CORRELATED, Linear(30), "ddim")

    def run(seed, scale):
        x = model.sample(5_000 * scale, rng=seed, method="ddim", clip=(-1.0, 1.0))
        return scores(x, law)

    assert_rejected(run, seed)


def test_courses_numbers():
    """Variance ratios of N(0, 1) after linear betas, from the recursion of the sampler's steps."""
    exact = {
        ("ddpm-small", 50): 0.853636, ("ddpm-small", 1000): 0.991067,
        ("ddpm-large", 50): 0.998000, ("ddpm-large", 1000): 0.999900,
        ("ddim", 50): 0.927276, ("ddim", 1000): 0.996252,
    }  # fmt: skip
    for (method, steps), ratio in exact.items():
        bars, variance = Linear(steps).alpha_bar, 1.0
        for i in range(steps, 0, -1):
            at = samplers.step(method, float(bars[i]), float(bars[i - 1]))
            variance = (at.of_x + at.of_guess * np.sqrt(bars[i])) ** 2 * variance + at.noise**2
        assert variance == pytest.approx(ratio, abs=5e-7)


def test_same_seed_same_samples_and_batches_are_all_drawn():
    model = perfect(CORRELATED, Linear(30))
    a, b = (model.sample(7, rng=3, method="ddpm-large", batch_size=4) for _ in range(2))
    assert a.shape == (7, 3)
    assert a.dtype == np.float64
    np.testing.assert_array_equal(a, b)
    assert len(np.unique(a)) == a.size


def test_calibration_measures_the_mmse(seed, assert_unbiased):
    model = perfect(CORRELATED, Linear(30))
    bars = Linear(30).alpha_bar[1:]
    snr = (bars / (1.0 - bars))[::6]
    # What a perfect network misses is normal with variances l / (1 + snr l), whatever x_t is.
    missed = CORRELATED.eigenvalues / (1.0 + snr[:, None] * CORRELATED.eigenvalues)

    def run(seed, scale):
        n = 2_000 * scale
        found = model.calibrate(CORRELATED.sample(n, rng=seed), rng=seed)[::6]
        error = np.sqrt(2.0 * (missed**2).sum(axis=1) / n) / 3.0
        return (found - missed.sum(axis=1) / 3.0) / error

    assert_unbiased(run, seed)
    assert len(model.sample(3, rng=1, method="ddpm-optimal")) == 3
    with pytest.raises(InvalidInput, match="30 steps"):
        model.sample(3, rng=1, method="ddpm-optimal", n_steps=10)


def test_calibration_ends_where_the_weights_change():
    def made(rng):
        return DiffusionModel(Reals(1), schedule=Linear(30), rng=rng)

    def touch(model):
        with torch.no_grad():
            model.network.out.bias += 1.0

    x = np.random.default_rng(1).normal(size=(20, 1))
    for change in (
        lambda model: model.load_state_dict(made(3).state_dict()),
        lambda model: model.fit(x, epochs=1, rng=1, batch_size=20),
        touch,
    ):
        model = made(2)
        model.calibrate(x, rng=1)
        model.train().eval()  # no change by itself
        model.sample(3, rng=1, method="ddpm-optimal")
        change(model)
        with pytest.raises(InvalidInput, match="changed since"):
            model.sample(3, rng=1, method="ddpm-optimal")
    model = DiffusionModel(Reals(1), schedule=LogLinear(), rng=2)
    found = model.calibrate(x, rng=1, n_steps=5)
    assert found.shape == (len(model.levels(5).alpha_bar) - 1,) == (6,)


class Told(torch.nn.Module):
    """Answers x_0 = condition."""

    def forward(self, x, log_snr, condition=None):
        return condition.expand_as(x) + 0.0 * x


def test_conditions_reach_calibration_and_every_batch():
    model = DiffusionModel(
        Reals(1), schedule=Linear(30), network=Told(), prediction="x0", n_conditions=1
    )
    x = np.linspace(-3.0, 4.0, 11)[:, None]
    drawn = model.sample(11, rng=1, condition=x, batch_size=4, method="ddpm-small")
    np.testing.assert_allclose(drawn, x, atol=1e-5)
    assert model.calibrate(x, rng=1, condition=x).max() < 1e-12
    np.testing.assert_allclose(model.calibrate(x, rng=1, condition=2.0 * x), (x**2).mean())


# --- posterior ------------------------------------------------------------------------------------

MATRIX, VALUES, NOISE = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), np.array([0.7, -1.1]), 0.3


def posterior():
    """Of the correlated Gaussian given a measurement, by Bayes' formula."""
    precision = np.linalg.inv(CORRELATED.covariance()) + MATRIX.T @ MATRIX / NOISE
    covariance = np.linalg.inv(precision)
    pull = np.linalg.solve(CORRELATED.covariance(), CORRELATED.mean()) + MATRIX.T @ VALUES / NOISE
    return Gaussian(covariance @ pull, 0.5 * (covariance + covariance.T))


def test_guess_of_posterior_is_exact():
    model = perfect(CORRELATED, LogLinear())
    x = np.random.default_rng(1).normal(size=(40, 3))
    likelihood = LinearMeasurement(MATRIX, VALUES, NOISE)
    for level in (-6.0, -1.0, 0.5, 5.0):
        column = torch.full((40, 1), level, dtype=torch.float64)
        found = likelihood.guess(model, torch.as_tensor(x), column, None).numpy()
        np.testing.assert_allclose(found, posterior().denoiser(x, level), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["ddpm-large", "ode-heun"])
def test_posterior_samples(method, seed, assert_unbiased):
    model, likelihood = perfect(CORRELATED, Linear(50)), LinearMeasurement(MATRIX, VALUES, NOISE)
    law = predict_sampler(posterior(), Linear(50), method)

    def run(seed, scale):
        n = 3_000 * scale
        return scores(model.sample(n, rng=seed, method=method, likelihood=likelihood), law)

    assert_unbiased(run, seed)


def test_gradient_guide_moves_towards_the_measurement():
    """It overstates what is known: an approximation, but of the right sign."""
    model = perfect(CORRELATED, LogLinear(steps=100))
    target = torch.as_tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    guide = GradientGuide(lambda x: -0.5 * ((x - target) ** 2).sum(dim=1))
    free = model.sample(2000, rng=1).mean(axis=0)
    pulled = model.sample(2000, rng=1, likelihood=guide).mean(axis=0)
    exact = np.linalg.solve(
        np.linalg.inv(CORRELATED.covariance()) + np.eye(3),
        np.linalg.solve(CORRELATED.covariance(), CORRELATED.mean()) + np.ones(3),
    )
    assert ((pulled - free) * (exact - free) > 0.0).all()


def test_gradient_guide_is_the_likelihood_at_the_guess():
    """Of one Gaussian, g = m + C a (x - a m) / w with w = a^2 C + v: the slope of -(g - y)^2 / 2R
    by x is -(g - y) / R times a C / w, and the guess moves by v / a of it."""
    mean, variance, y, R = 0.4, 1.7, -0.6, 0.3
    model = perfect(Gaussian([mean], [[variance]]), LogLinear())
    guide = GradientGuide(lambda x: -0.5 / R * ((x - y) ** 2).sum(dim=1))
    x = np.linspace(-2.0, 2.0, 5)[:, None]
    for level in (-2.0, 0.5, 4.0):
        bar = 1.0 / (1.0 + np.exp(-level))
        a, v = np.sqrt(bar), 1.0 - bar
        w = bar * variance + v
        guess = mean + variance * a / w * (x - a * mean)
        exact = guess - v / a * (guess - y) / R * a * variance / w
        column = torch.full((5, 1), level, dtype=torch.float64)
        found = guide.guess(model, torch.as_tensor(x), column, None).numpy()
        np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-12)


def test_nearly_redundant_measurements_in_single_precision():
    model = DiffusionModel(
        Reals(2), network=ExactDenoiser(Gaussian([0.0, 0.0], np.eye(2))), prediction="x0"
    )
    twice = LinearMeasurement([[1.0, 0.0], [1.0, 1e-9]], [0.5, 0.5], 1e-9)
    x = model.sample(200, rng=1, method="ddpm-large", likelihood=twice)
    np.testing.assert_allclose(x[:, 0], 0.5, atol=1e-4)
    assert 0.7 < x[:, 1].std() < 1.3  # 4 standard errors of 200 are 0.2


def test_what_is_no_number_is_refused():
    model = perfect(CORRELATED, Linear(30))
    lost = GradientGuide(lambda x: (x * torch.nan).sum(dim=1))
    with pytest.raises(InvalidInput, match="not finite"):
        model.sample(3, rng=1, likelihood=lost)
    for broken in (lambda x: x.detach().sum(dim=1), lambda x: x.detach().numpy().sum(axis=1)):
        with pytest.raises(InvalidInput, match="differentiated"):
            model.sample(3, rng=1, likelihood=GradientGuide(broken))


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "ddpm"}, "ddpm-small"),
        ({"method": "ddpm-optimal"}, "calibrate"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_steps": 31}, "at most"),
        ({"clip": (1.0, -1.0)}, "clip"),
        ({"clip": 3}, "clip"),
        ({"clip": ("a", "b")}, "clip"),
        ({"likelihood": lambda x: x}, "LinearMeasurement"),
        ({"condition": 1.0}, "n_conditions"),
        ({"likelihood": LinearMeasurement(np.eye(2), [0.0, 0.0], 1.0)}, "2 coordinates"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InvalidInput, match=words):
        perfect(CORRELATED, Linear(30)).sample(3, rng=1, **settings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[1.0, 0.0]], [0.0, 1.0], 1.0), "shape"),
        (([[1.0, 0.0]], [0.0], -1.0), "positive definite"),
        (([[1.0, np.nan]], [0.0], 1.0), "finite"),
        (("a", [0.0], 1.0), "matrix"),
        (([[1.0, 0.0], [1.0]], [0.0, 0.0], 1.0), "matrix"),
        (([[1.0, 0.0]], [0.0], np.eye(2)), "variance"),
    ],
)
def test_bad_measurements_are_refused(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        LinearMeasurement(*arguments)


def test_continuous_time_and_mixtures():
    """A learned schedule in continuous time, and a perfect network that is not affine."""
    target = GaussianMixture([0.7, 0.3], [[-1.0, 0.2], [1.5, -0.5]], [0.1 * np.eye(2)] * 2)
    model = DiffusionModel(
        Reals(2), schedule=LearnedLogSNR(rng=1), network=ExactDenoiser(target), prediction="x0"
    )
    x = model.sample(4000, rng=5, n_steps=60)
    # 4 standard errors of 4000 draws, on top of 0.01 for 60 steps.
    assert abs((x[:, 0] > 0.25).mean() - 0.3) < 4 * np.sqrt(0.21 / 4000) + 0.01
