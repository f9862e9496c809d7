"""`DiffusionModel`: predictions, training, conditions, checkpoints and what is refused."""

import math

import numpy as np
import pytest
import torch
from diffusions import CORRELATED, perfect

from statmech_ml.errors import InvalidInput, StoreError, TrainingDiverged
from statmech_ml.exact.targets import Gaussian, GaussianMixture, Ring
from statmech_ml.generative import (
    DenseDenoiser,
    DiffusionModel,
    ExactDenoiser,
    LearnedLogSNR,
    Linear,
    LogLinear,
)
from statmech_ml.spaces import Reals, Spins
from statmech_ml.training import load_checkpoint

MIXTURE = GaussianMixture([0.7, 0.3], [[-1.0, 0.2], [1.0, -0.5]], [[[0.3, 0.1], [0.1, 0.2]]] * 2)


class Turned(torch.nn.Module):
    """A perfect network that answers with the noise or with v."""

    def __init__(self, target, prediction):
        super().__init__()
        self.exact, self.prediction = ExactDenoiser(target), prediction

    def forward(self, x, log_snr, condition=None):
        a, s = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        guess = self.exact(x, log_snr)
        noise = (x - a * guess) / s
        return noise if self.prediction == "epsilon" else a * noise - s * guess


@pytest.mark.parametrize("target", [CORRELATED, MIXTURE], ids=repr)
@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_predictions_are_read_alike(target, prediction):
    network = ExactDenoiser(target) if prediction == "x0" else Turned(target, prediction)
    size = target.space.size
    model = DiffusionModel(Reals(size), network=network, prediction=prediction, dtype=torch.float64)
    x = np.random.default_rng(1).normal(size=(5, size))
    for level in (-4.0, 0.3, np.linspace(-3.0, 6.0, 5)):
        np.testing.assert_allclose(model.denoise(x, level), target.denoiser(x, level), atol=1e-9)
        np.testing.assert_allclose(model.score(x, level), target.score(x, level), atol=1e-7)


def test_targets_without_a_torch_form():
    target = Ring(1.0, 0.1)
    model = perfect(target, LogLinear(steps=3))
    x = np.random.default_rng(1).normal(size=(3, 2))
    np.testing.assert_allclose(model.denoise(x, 0.5), target.denoiser(x, 0.5), rtol=1e-12)
    assert model.sample(2, rng=1, n_steps=2).shape == (2, 2)
    with pytest.raises(NotImplementedError, match="derivatives"):
        model.log_likelihood(x)


@pytest.mark.parametrize(
    ("prediction", "loss"),
    [
        ("v", "elbo"),
        pytest.param("epsilon", "elbo", marks=pytest.mark.slow),
        pytest.param("epsilon", "simple", marks=pytest.mark.slow),
        pytest.param("x0", "simple", marks=pytest.mark.slow),
        pytest.param("v", "simple", marks=pytest.mark.slow),
    ],
)
def test_training_learns(prediction, loss):
    """More than the marginals: the network comes closer to the exact denoiser than the perfect one
    of independent coordinates with the right means and variances."""
    mean, covariance = [0.5, -0.4], np.array([[0.8, 0.5], [0.5, 0.6]])
    target, blind = Gaussian(mean, covariance), Gaussian(mean, np.diag(np.diag(covariance)))
    network = DenseDenoiser(2, (32, 32), rng=1)
    model = DiffusionModel(Reals(2), network=network, prediction=prediction, loss=loss)
    history = model.fit(
        target.sample(2000, rng=2), epochs=8, rng=3, batch_size=200, learning_rate=1e-2
    )
    assert history["loss"][-1] < history["loss"][0]
    x = np.random.default_rng(4).normal(size=(500, 2))
    exact = target.denoiser(x, 0.0)
    missed = np.mean((model.denoise(x, 0.0) - exact) ** 2)
    assert missed < np.mean((blind.denoiser(x, 0.0) - exact) ** 2)


def test_loss_is_minus_the_bound():
    model = perfect(CORRELATED, Linear(30))
    x = CORRELATED.sample(20_000, rng=1)
    losses = model.losses(model.tensor(x), None, model.generator(2))
    terms = model.elbo(x, rng=3, n_draws=2)
    for name in ("reconstruction", "prior"):
        assert losses[name].item() == pytest.approx(terms[name].mean(), rel=0.05)
    # Each value of the term is at most some hundred; the mean of 20,000 is known to percents.
    assert losses["diffusion"].item() == pytest.approx(
        terms["diffusion"].mean(), abs=5 * terms["diffusion"].std() / np.sqrt(20_000)
    )
    total = losses["prior"] + losses["diffusion"] - losses["reconstruction"]
    assert losses["loss"].item() == pytest.approx(total.item())


@pytest.mark.parametrize("steps", [None, 8])
def test_learned_schedules_learn(steps):
    """In steps the bound moves the levels; in continuous time the ends, and the variance falls."""
    target = Gaussian([0.0, 0.0], np.diag([1.0, 0.04]))
    schedule = LearnedLogSNR(steps, rng=1)
    model = DiffusionModel(
        Reals(2), schedule=schedule, network=ExactDenoiser(target), prediction="x0",
        dtype=torch.float64,
    )  # fmt: skip
    x = target.sample(2000, rng=2)
    before = model.elbo(x, rng=5, n_draws=64)
    shape = schedule.log_snr(np.linspace(0.0, 1.0, 9))
    model.fit(x, epochs=3, rng=3, batch_size=200, learning_rate=0.05)
    after = model.elbo(x, rng=5, n_draws=64)
    assert np.abs(schedule.log_snr(np.linspace(0.0, 1.0, 9)) - shape).max() > 0.1
    if steps is not None:
        assert after["elbo"].mean() > before["elbo"].mean() + 0.1
    else:
        assert after.stderr["diffusion"].mean() < before.stderr["diffusion"].mean()


def test_condition_is_learnt():
    """Data whose mean is the condition: samples follow it."""
    t = np.random.default_rng(1).uniform(-1.0, 1.0, 1000)
    x = t[:, None] + 0.3 * np.random.default_rng(2).normal(size=(1000, 1))
    model = DiffusionModel(
        Reals(1), network=DenseDenoiser(1, (32, 32), rng=1, n_conditions=1), n_conditions=1,
        prediction="v",
    )  # fmt: skip
    model.fit(x, epochs=8, rng=3, condition=t, learning_rate=1e-2)
    for value in (-0.7, 0.7):
        found = model.sample(300, rng=4, condition=value, n_steps=30)
        assert abs(found.mean() - value) < 0.2
    assert model.elbo(x[:10], rng=1, condition=t[:10])["elbo"].shape == (10,)
    assert model.log_likelihood(x[:3], condition=t[:3], tolerance=1e-3).values.shape == (3,)


def test_resumed_equals_uninterrupted(tmp_path):
    data = CORRELATED.sample(60, rng=1)

    def fresh():
        return DiffusionModel(Reals(3), schedule=LearnedLogSNR(rng=4), rng=2)

    whole, parts, again = fresh(), fresh(), fresh()
    whole.fit(data, epochs=3, rng=3, batch_size=20, ema=0.9)
    parts.fit(data, epochs=1, rng=3, batch_size=20, ema=0.9, checkpoint=tmp_path / "run")
    again.fit(
        data, epochs=3, rng=3, batch_size=20, ema=0.9, checkpoint=tmp_path / "run", resume=True
    )
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    read = load_checkpoint(tmp_path / "run", fresh()).shell
    np.testing.assert_array_equal(read.sample(2, rng=1), again.sample(2, rng=1))
    other = DiffusionModel(Reals(3), schedule=LearnedLogSNR(rng=4), rng=2, prediction="v")
    with pytest.raises(StoreError, match="another shell"):
        load_checkpoint(tmp_path / "run", other)


def test_divergence_keeps_the_last_good_state():
    model = DiffusionModel(Reals(3), rng=1)
    data = CORRELATED.sample(100, rng=1)
    model.fit(data, epochs=1, rng=2)
    with pytest.raises(TrainingDiverged, match="epoch"):
        model.fit(
            data, epochs=40, rng=2, optimizer=lambda p: torch.optim.SGD(p, lr=1e6), batch_size=10
        )
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DiffusionModel(Reals(2), rng=1, prediction="eps"), "epsilon, x0, v"),
        (lambda: DiffusionModel(Reals(2), rng=1, loss="mse"), "elbo, simple"),
        (lambda: DiffusionModel(Reals(2), rng=1, schedule="linear"), "Linear"),
        (lambda: DiffusionModel(Reals(2)), "rng"),
        (lambda: DiffusionModel(Spins(2), rng=1), "smeared"),
        (
            lambda: DiffusionModel(Reals(2), rng=1, loss="simple", schedule=LearnedLogSNR(rng=1)),
            "elbo",
        ),
        (lambda: DenseDenoiser(0, rng=1), "size=0"),
        (lambda: DenseDenoiser(2, (), rng=1), "hidden"),
    ],
)
def test_bad_models_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.full((20, 2), np.nan), "finite"),
        (np.zeros((20, 3)), "2 sites"),
        (np.zeros((20, 2), complex), "real numbers"),
        (1e4 * np.random.default_rng(1).normal(size=(20, 2)), "standard deviation"),
    ],
)
def test_bad_data_are_refused(data, words):
    with pytest.raises(InvalidInput, match=words):
        DiffusionModel(Reals(2), rng=1).fit(data, epochs=1, rng=1, batch_size=10)


def test_bad_levels_and_networks_are_refused():
    model = DiffusionModel(Reals(2), rng=1)
    for level in (math.inf, [0.0, 1.0, 2.0]):
        with pytest.raises(InvalidInput, match="log_snr"):
            model.denoise(np.zeros((2, 2)), level)
    with pytest.raises(InvalidInput, match="rows"):
        model.score(np.zeros(2), 0.0)


class Short(torch.nn.Module):
    def forward(self, x, log_snr, condition=None):
        return x[:, :1]


def normed():
    """A network with running averages, which needs more rows than one in training."""
    return Padded(torch.nn.BatchNorm1d(3))


class Padded(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, log_snr, condition=None):
        return self.inner(torch.cat([x, log_snr], dim=1))[:, :2]


@pytest.mark.parametrize("loss", ["elbo", "simple"])
@pytest.mark.parametrize(
    ("network", "settings", "words"),
    [
        (Short(), {}, "same shape"),
        (DenseDenoiser(3, rng=1), {}, "size"),
        (DenseDenoiser(2, rng=1, n_conditions=1), {}, "no condition"),
        (DenseDenoiser(2, rng=1), {"n_conditions": 1}, r"conditions \(2, 1\)"),
        (DenseDenoiser(2, rng=1, dtype=torch.float64), {}, "float32"),
        (lambda x, log_snr, condition: x, {}, "torch module"),
    ],
)
def test_networks_that_do_not_fit_are_refused(network, settings, words, loss):
    with pytest.raises(InvalidInput, match=words):
        DiffusionModel(Reals(2), network=network, loss=loss, **settings)


def test_asking_a_network_does_not_change_it():
    network = normed()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    DiffusionModel(Reals(2), network=network)
    assert network.inner.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Certain(torch.nn.Module):
    """The answer for data that are one point, which is exact; remembers the levels."""

    def __init__(self, point, prediction):
        super().__init__()
        self.point, self.prediction, self.levels = point, prediction, []

    def forward(self, x, log_snr, condition=None):
        self.levels += log_snr.detach()[:, 0].tolist()
        a, s = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        noise = (x - a * self.point) / s
        answers = {"epsilon": noise, "x0": self.point + 0.0 * x, "v": a * noise - s * self.point}
        return answers[self.prediction]


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("schedule", [Linear(30), LogLinear(5.0, -5.0)], ids=repr)
def test_simple_loss_asks_for_the_prediction_at_all_levels(prediction, schedule):
    network = Certain(1.3, prediction)
    model = DiffusionModel(
        Reals(1), network=network, prediction=prediction, loss="simple", schedule=schedule,
        dtype=torch.float64,
    )  # fmt: skip
    network.levels.clear()
    x = torch.full((600, 1), 1.3, dtype=torch.float64)
    assert float(model.losses(x, None, model.generator(1))["loss"]) < 1e-20
    t = np.arange(1, 31) / 30.0
    edges = schedule.log_snr(t)
    seen = np.array(network.levels)
    if schedule.steps is None:
        assert (np.histogram(seen, bins=edges[::-1])[0] >= 19).all()  # 20 each, but for the ends
    else:
        found, counts = np.unique(np.round(seen, 6), return_counts=True)
        np.testing.assert_allclose(found, edges[::-1], atol=1e-5)
        assert (counts == 20).all()
