"""GANs: their losses with the exact discriminator plugged in, players that take turns, what a
critic reads, and small ones trained."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import norm
from torch import nn

from statmech_ml.errors import InvalidInput, TrainingDiverged
from statmech_ml.exact import adversarial
from statmech_ml.generative import GAN
from statmech_ml.generative import _adversarial as terms
from statmech_ml.generative.critic_reading import js_reading, w1_reading
from statmech_ml.spaces import Bits, Levels, Reals, Spins
from statmech_ml.training import load_checkpoint

WIDTH = 1.3  # of the data: an asymmetric pair, where the objectives differ


class Shift(nn.Module):
    """z -> theta + z."""

    def __init__(self, theta=0.0):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(float(theta), dtype=torch.float64))

    def forward(self, z):
        return self.theta + z


class Best(nn.Module):
    """The logit of D* between data N(mu, width) and a model N(0, 1), and no parameter."""

    def __init__(self, mu, width=WIDTH, label=1.0):
        super().__init__()
        self.mu, self.width, self.label = mu, width, label

    def forward(self, x):
        log_r = -0.5 * ((x - self.mu) / self.width) ** 2 - math.log(self.width)
        logit = log_r + 0.5 * x**2
        if self.label == 1.0:
            return logit
        return (
            math.log(self.label)
            + logit
            - torch.logaddexp(torch.zeros_like(logit), math.log1p(-self.label) + logit)
        )


def exact_pair(mu, objective="minimax", width=WIDTH, **settings):
    critic = Best(mu, width, 1.0 - settings.get("label_smoothing", 0.0))
    return GAN(
        Reals(1), 1, objective, generator=Shift(), critic=critic, dtype=torch.float64, **settings
    )


def laws(mu, width=WIDTH):
    """log-densities of data and model, and their scores."""
    return (
        norm(mu, width).logpdf, norm(0.0, 1.0).logpdf,
        lambda x: (mu - x) / width**2, lambda x: -x,
    )  # fmt: skip


def nodes(mu, width):
    """Points and weights of an average over N(mu, width)."""
    z, w = np.polynomial.hermite_e.hermegauss(180)
    return torch.from_numpy(mu + width * z)[:, None], torch.from_numpy(w / w.sum())


# --- with the exact discriminator -----------------------------------------------------------------


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_critic_loss_at_best_discriminator_is_the_value(mu, smoothing):
    gan = exact_pair(mu, label_smoothing=smoothing)
    label = 1.0 - smoothing
    (x, w), (made, v) = nodes(mu, WIDTH), nodes(0.0, 1.0)
    with torch.no_grad():
        of_data = terms.data_terms(gan.critic_network(x)[:, 0], "minimax", label)
        of_model = terms.model_terms(gan.critic_network(made)[:, 0], "minimax")
    loss = float(w @ of_data + v @ of_model)
    value = adversarial.value(*laws(mu)[:2], label=label).value
    assert loss == pytest.approx(-value, abs=1e-5)  # the rule's own error, for nodes so few
    if smoothing == 0.0:
        js = adversarial.jensen_shannon(*laws(mu)[:2]).value
        assert value == pytest.approx(2.0 * js - 2.0 * math.log(2.0), abs=1e-12)


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_losses_and_gradients_of_draws(objective, seed, assert_unbiased, assert_rejected):
    """`losses` and `gradients` as training calls them, at five separations."""

    def run(swapped):
        def z_scores(seed, scale):
            found, n, parts = [], 2000, 10 * scale
            for mu in (0.5, 1.0, 1.5, 2.0, 3.0):
                gan = exact_pair(mu, objective)
                exact = -adversarial.value(*laws(mu)[:2]).value
                other = {"minimax": "non-saturating", "non-saturating": "minimax"}[objective]
                slope = adversarial.generator_gradient(
                    *laws(mu), other if swapped else objective
                ).value
                generator = gan.generator(np.random.default_rng([seed, round(10 * mu)]))
                rows = []
                for _ in range(parts):
                    x = mu + WIDTH * gan.noise((n, 1), generator)
                    gradients, _ = gan.gradients(x, None, generator, 0)
                    loss = gan.losses(x, None, generator)["critic_loss"].item()
                    rows.append([loss, gradients["generator_network.theta"].item()])
                mean, error = np.mean(rows, 0), np.std(rows, 0, ddof=1) / parts**0.5
                # t of `parts` - 1 degrees of freedom, as a normal deviate.
                t = (mean - [exact, slope]) / error
                found += list(np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), parts - 1)))
            return np.array(found)

        return z_scores

    assert_unbiased(run(False), seed)
    assert_rejected(run(True), seed)


def test_gradients_of_both_objectives_add_to_that_of_kl():
    mu = 1.2
    x, w = nodes(0.0, 1.0)
    found = {}
    for objective in ("minimax", "non-saturating"):
        gan = exact_pair(mu, objective)
        made = gan.generator_network(x)
        loss = w @ terms.generator_terms(gan.critic_network(made)[:, 0], objective)
        (slope,) = torch.autograd.grad(loss, gan.generator_network.theta)
        found[objective] = slope.item()
        exact = adversarial.generator_gradient(*laws(mu), objective).value
        assert slope.item() == pytest.approx(exact, abs=1e-7)
    # KL(N(theta, 1) || N(mu, s)) = log s + (1 + (theta - mu)^2) / 2 s^2 - 1/2
    assert sum(found.values()) == pytest.approx(-mu / WIDTH**2, abs=1e-7)
    assert abs(found["minimax"] - found["non-saturating"]) > 0.02


def test_minimax_gradient_vanishes_with_the_distance():
    z = torch.linspace(-14.0, 14.0, 4001, dtype=torch.float64)[:, None]
    w = torch.exp(-0.5 * z[:, 0] ** 2)
    w /= w.sum()
    ratios = []
    for mu in (1.0, 2.0, 4.0, 6.0, 8.0):
        for objective in ("minimax", "non-saturating"):
            gan = exact_pair(mu, objective, width=1.0)
            scores = gan.critic_network(gan.generator_network(z))[:, 0]
            loss = w @ terms.generator_terms(scores, objective)
            (slope,) = torch.autograd.grad(loss, gan.generator_network.theta)
            if objective == "minimax":
                exact = adversarial.saturated_gradient(mu)
                assert slope.item() == pytest.approx(exact, rel=1e-9)
                ratios.append(slope.item() / math.exp(-(mu**2) / 8.0))
            else:
                assert slope.item() == pytest.approx(-mu - exact, rel=1e-9)
    assert all(0.4 < -ratio < math.sqrt(math.pi / 2.0) for ratio in ratios)


# --- trained critics ------------------------------------------------------------------------------


def trained_critic(objective, mu, critic, steps=200, rate=0.05, **settings):
    """The critic after `steps` against a fixed generator of N(0, 1), data N(mu, 1)."""
    generator = Shift()
    generator.theta.requires_grad_(False)
    gan = GAN(
        Reals(1), 1, objective, generator=generator, critic=critic, dtype=torch.float64, **settings
    )
    data = norm(mu, 1.0).ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    gan.fit(
        data, epochs=steps // 4, rng=5, batch_size=1000,
        optimizer=lambda p: torch.optim.Adam(p, lr=rate, betas=(0.0, 0.9)),
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps // 4),
    )  # fmt: skip
    return gan


class Quadratic(nn.Module):
    """a + b x + c x^2: D* of two Gaussians is such a critic."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1, dtype=torch.float64)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return self.linear(torch.cat([x, x**2], dim=1))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_trained_critic_approaches_the_best(smoothing):
    mu = 1.5
    x = np.linspace(-2.0, 3.5, 12)[:, None]
    gan = trained_critic("minimax", mu, Quadratic(), label_smoothing=smoothing)
    d = 1.0 / (1.0 + np.exp(-gan.scores(x)))
    log_r, log_g = norm.logpdf(x[:, 0], mu), norm.logpdf(x[:, 0])
    exact = adversarial.optimal_discriminator(log_r, log_g, 1.0 - smoothing)
    # 400,000 draws of the model and a rate that ends at 0; smoothing has D* outside the family.
    assert np.abs(d - exact).max() < (0.03 if smoothing == 0.0 else 0.12)
    ignored = adversarial.optimal_discriminator(log_r, log_g)
    if smoothing:
        assert np.abs(d - ignored).max() > 0.2


@pytest.mark.parametrize(("mu", "strength"), [(2.0, 1.0), (-1.0, 0.5)])
def test_linear_wasserstein_critic_reads_too_much(mu, strength):
    linear = nn.Linear(1, 1, dtype=torch.float64)
    nn.init.constant_(linear.weight, math.copysign(0.5, mu))
    nn.init.zeros_(linear.bias)
    gan = trained_critic("wasserstein", mu, linear, gradient_penalty=strength)
    slope = adversarial.penalised_slope(mu, strength)
    assert linear.weight.item() == pytest.approx(math.copysign(slope, mu), rel=0.02)
    data = norm(mu, 1.0).ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    read = gan.w1_from_critic(data, rng=1)
    # Its draws of the model have the mean 0 to 1/sqrt 4000, seen through the slope.
    exact = adversarial.penalised_reading(mu, strength)
    assert read.estimate.value == pytest.approx(exact, abs=0.02 * exact + 4.0 * slope / 4000**0.5)
    assert read.kind == "no bound"
    assert read.slope == pytest.approx(slope, rel=0.02)
    assert read.estimate.value / read.steepest == pytest.approx(abs(mu), abs=0.15)


@pytest.mark.parametrize("one_sided", [False, True])
def test_backward_critic_is_turned_by_the_one_sided_penalty(one_sided):
    """Between laws mu apart the two-sided one keeps it at the slope -(1 - mu / 2 lambda)."""
    mu, strength = 1.0, 2.0
    linear = nn.Linear(1, 1, dtype=torch.float64)
    nn.init.constant_(linear.weight, -0.5)
    trained_critic(
        "wasserstein", mu, linear, gradient_penalty=strength, one_sided=one_sided
    )  # fmt: skip
    kept = -(1.0 - mu / (2.0 * strength))
    expected = adversarial.penalised_slope(mu, strength) if one_sided else kept
    assert linear.weight.item() == pytest.approx(expected, rel=0.03)


def test_lost_penalty_is_seen():
    """Without the penalty the slope grows for as long as one trains."""
    linear = nn.Linear(1, 1, dtype=torch.float64)
    nn.init.constant_(linear.weight, 0.5)
    gan = trained_critic("wasserstein", 2.0, linear, rate=0.2, gradient_penalty=0.0)
    assert linear.weight.item() > 1.5 * adversarial.penalised_slope(2.0, 1.0)
    assert "more" in gan.w1_from_critic(np.ones((5, 1)), rng=1).bias


class Bowl(nn.Module):
    """a(x) = x^2 / 2, whose slope is |x|, so that it tells where slopes are taken."""

    def forward(self, x):
        return 0.5 * x**2


class Point(Shift):
    """Every configuration at theta."""

    def forward(self, z):
        return self.theta + 0.0 * z


def bowl(objective, **settings):
    """Its model sits at 3, and `ones` are data; returns the GAN and what `losses` says of both."""
    gan = GAN(
        Reals(1), 1, objective, generator=Point(3.0), critic=Bowl(), dtype=torch.float64, **settings
    )
    ones = torch.ones((20_000, 1), dtype=torch.float64)
    found = gan.losses(ones, None, gan.generator(1))
    return gan, {name: value.item() for name, value in found.items()}


def test_r1_is_half_the_squared_slope_at_data():
    free, found = bowl("non-saturating")[1], bowl("non-saturating", gradient_penalty=0.4)[1]
    assert found["penalty"] == pytest.approx(0.5)  # at the model's configurations 4.5
    assert found["critic_loss"] == pytest.approx(free["critic_loss"] + 0.4 * 0.5)


@pytest.mark.parametrize("one_sided", [False, True])
def test_wasserstein_slopes_are_taken_between_data_and_model(one_sided):
    gan, found = bowl("wasserstein", one_sided=one_sided)
    # |a'| - 1 is uniform on (0, 2): mean square 4/3, and 0 at data, 4 at the model. Four errors.
    assert found["penalty"] == pytest.approx(4.0 / 3.0, abs=4.0 * math.sqrt(64.0 / 45.0 / 20_000))
    assert found["critic_loss"] == pytest.approx(0.5 * (9.0 - 1.0) + 10.0 * found["penalty"])
    read = gan.w1_from_critic(np.ones((20_000, 1)), rng=1)
    assert read.slope == pytest.approx(2.0, abs=4.0 * math.sqrt(1.0 / 3.0 / 20_000))
    assert 2.9 < read.steepest < 3.0


def test_errors_of_readings_are_those_of_two_means():
    one, other = np.array([0.0, 2.0, 0.0, 2.0]), np.array([1.0, 4.0, 1.0, 4.0])
    read = w1_reading(one, other, np.ones(4)).estimate
    assert read.value == 1.0 - 2.5
    assert read.stderr == pytest.approx(math.sqrt((4.0 / 3.0 + 3.0) / 4.0))
    log_d, log_rest = -np.log1p(np.exp(-one)), -np.log1p(np.exp(other))
    read = js_reading(one, other, smoothed=False).estimate
    assert read.value == pytest.approx(0.5 * (log_d.mean() + log_rest.mean()) + math.log(2.0))
    variance = 0.25 * (log_d.var(ddof=1) + log_rest.var(ddof=1))
    assert read.stderr == pytest.approx(math.sqrt(variance / 4.0))


def test_both_players_see_the_condition():
    players = [nn.Linear(2, 1), nn.Linear(2, 1)]
    with torch.no_grad():
        for player in players:
            player.weight.copy_(torch.tensor([[0.0, 2.0]]))  # of the condition alone
            player.bias.zero_()
    gan = GAN(Reals(1), 1, n_conditions=1, generator=players[0], critic=players[1])
    t = np.array([[-1.0], [0.5], [3.0]])
    np.testing.assert_allclose(gan.sample(3, rng=1, condition=t), 2.0 * t)
    np.testing.assert_allclose(gan.scores(np.ones((3, 1)), condition=t), 2.0 * t[:, 0])
    condition = gan.conditions(t, 3, "condition")
    found = gan.losses(torch.ones((3, 1)), condition, gan.generator(1))
    d = 1.0 / (1.0 + np.exp(-2.0 * t))
    assert found["score_data"].item() == pytest.approx(d.mean(), rel=1e-6)
    assert found["score_model"].item() == pytest.approx(d.mean(), rel=1e-6)
    assert found["loss"].item() == pytest.approx(-np.log(d).mean(), rel=1e-6)


def test_critic_of_js_reads_a_lower_bound(seed):
    """The best critic reads JSD, a weak one 0; neither reads more."""
    mu = 2.0
    x = norm(mu, 1.0).rvs((40_000, 1), random_state=seed)
    best = exact_pair(mu, width=1.0).js_from_critic(x, rng=seed).estimate
    exact = adversarial.jensen_shannon(norm(mu, 1.0).logpdf, norm.logpdf).value
    assert abs(best.z(exact)) < 4.5  # one z-score: false alarms 7e-6
    blind = GAN(Reals(1), 1, generator=Shift(), critic=Quadratic(), dtype=torch.float64)
    reading = blind.js_from_critic(x, rng=seed)
    assert reading.estimate.value == pytest.approx(0.0, abs=1e-12)
    assert reading.kind == "lower bound"
    assert "lower bound" in str(reading)


# --- training -------------------------------------------------------------------------------------


def far_gan(sign=1.0):
    """A generator of N(0, 1) and a Wasserstein critic; `sign` -1 is the published mistake."""

    class Game(GAN):
        def _generator_loss(self, made, condition):
            return {"loss": sign * super()._generator_loss(made, condition)["loss"]}

    return Game(Reals(1), 1, "wasserstein", generator=Shift(), n_critic=2, rng=3,
                dtype=torch.float64)  # fmt: skip


def test_wasserstein_distance_falls_and_rises_with_the_wrong_sign():
    data = norm(3.0, 1.0).ppf((np.arange(1000) + 0.5) / 1000)[:, None]

    def rates(parameters):  # the generator's one number must get far in few steps
        theta, *critic = parameters
        groups = [{"params": [theta], "lr": 0.2}, {"params": critic}]
        return torch.optim.Adam(groups, lr=0.02, betas=(0.0, 0.9))

    theta = {}
    for sign in (1.0, -1.0):
        gan = far_gan(sign)
        gan.fit(data, epochs=8, rng=1, batch_size=100, optimizer=rates)
        theta[sign] = gan.generator_network.theta.item()
    assert abs(3.0 - theta[1.0]) < 1.5  # W1 was 3
    assert abs(3.0 - theta[-1.0]) > 4.0


def small(**settings):
    return GAN(Reals(2), 3, "wasserstein", n_critic=2, rng=7, **settings)


def plane(n=150):
    return np.random.default_rng(5).normal([1.0, -2.0], [1.0, 0.5], (n, 2))


def test_players_take_turns():
    gan = small(gradient_penalty=0.0)
    x = gan.configurations(plane())
    for step in range(6):
        gradients, found = gan.gradients(x, None, gan.generator(1), step)
        player = "generator_network" if step % 3 == 2 else "critic_network"
        network = getattr(gan, player)
        assert set(gradients) == {name for name, _ in network.named_parameters(player)}
        assert ("loss" in found) == (step % 3 == 2)


@pytest.mark.parametrize("epochs", [1, 2])
def test_resumed_equals_uninterrupted(tmp_path, epochs):
    settings = {"rng": 3, "batch_size": 75, "ema": 0.9, "validation_data": plane(9)}
    whole = small()
    history = whole.fit(plane(), epochs=4, **settings)
    # The first stop comes before the generator ever moved: 2 steps, both the critic's.
    small().fit(plane(), epochs=epochs, checkpoint=tmp_path / "run", **settings)
    again = small()
    resumed = again.fit(plane(), epochs=4, checkpoint=tmp_path / "run", resume=True, **settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    for name in ("loss", "critic_loss", "validation_penalty", "score_data"):
        np.testing.assert_array_equal(history[name], resumed[name])
    read = load_checkpoint(tmp_path / "run", small()).shell
    np.testing.assert_array_equal(read.sample(4, rng=1), whole.sample(4, rng=1))


def test_diverging_run_keeps_the_last_good_state():
    def rising(optimizer):
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 1e6)

    gan, good = small(), small()
    plain = {"rng": 3, "batch_size": 50, "optimizer": lambda p: torch.optim.SGD(p, lr=1e-3)}
    with pytest.raises(TrainingDiverged) as found:
        gan.fit(plane(), epochs=30, schedule=rising, **plain)
    last = found.value.epoch - 1
    assert last >= 1
    good.fit(plane(), epochs=last, schedule=rising, **plain)
    for name, value in good.state_dict().items():
        assert torch.equal(value, gan.state_dict()[name]), name
    assert np.isfinite(gan.sample(5, rng=1)).all()


def test_spins_and_bits_have_the_means_of_the_data(seed):
    """Independent biased spins: the straight-through gradient is exact enough to find the means."""
    p = np.array([0.9, 0.3, 0.6])
    for space, values in ((Spins(3), (-1, 1)), (Bits(3), (0, 1))):
        data = np.where(np.random.default_rng(4).random((2000, 3)) < p, values[1], values[0])
        gan = GAN(
            space, 2, gradient_penalty=0.1, generator=nn.Linear(2, 3), critic=nn.Linear(3, 1),
        )  # fmt: skip
        with torch.no_grad():
            for part in (gan.generator_network, gan.critic_network):
                part.weight.zero_()
                part.bias.zero_()
        gan.fit(data, epochs=20, rng=1, batch_size=200, learning_rate=0.04)
        draws = gan.sample(4000, rng=2)
        assert draws.dtype == np.int8
        assert set(np.unique(draws)) == set(values)
        np.testing.assert_allclose((draws == values[1]).mean(0), p, atol=0.08)


def test_straight_through_draws_the_mean_and_passes_its_gradient(seed):
    y = torch.tensor([[-0.9, 0.0, 0.4]]).expand(40_000, 3).clone().requires_grad_()
    spins = terms.straight_through(y, torch.Generator().manual_seed(seed))
    (gradient,) = torch.autograd.grad(spins.sum(), y)
    assert torch.equal(gradient, torch.ones_like(y))
    mean = spins.detach().mean(0).numpy()
    error = np.sqrt((1.0 - np.array([0.81, 0.0, 0.16])) / len(y))
    assert (np.abs(mean - [-0.9, 0.0, 0.4]) < 5.0 * error).all()  # 3 numbers: false alarms 2e-6


def test_conditional_lattice_trains():
    t = np.linspace(0.0, 1.0, 64)
    data = np.sign(np.random.default_rng(1).normal(size=(64, 16)) + 3.0 * t[:, None] - 1.5)
    gan = GAN.lattice((4, 4), 3, "wasserstein", channels=(8, 8), n_conditions=1, rng=1, n_critic=1)
    gan.fit(data, epochs=2, rng=1, condition=t, batch_size=16)
    assert gan.sample(5, rng=1, condition=0.5).shape == (5, 16)
    assert gan.w1_from_critic(data, rng=1, condition=t).slope > 0.0
    assert "wasserstein" in repr(gan)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": "hinge"}, "minimax"),
        ({"gradient_penalty": -1.0}, "gradient_penalty"),
        ({"gradient_penalty": math.nan}, "gradient_penalty"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"one_sided": True}, "one_sided"),
        ({"objective": "wasserstein", "label_smoothing": 0.1}, "leave it out"),
        ({"n_critic": 0}, "n_critic"),
        ({"n_latent": 0}, "n_latent"),
        ({"space": Levels(3, 4)}, "Reals, Spins or Bits"),
        ({"generator": nn.Linear(3, 5)}, r"\(2, 2\)"),
        ({"critic": nn.Linear(3, 1)}, r"critic cannot read \(2, 2\)"),
        ({"critic": nn.Embedding(2, 1)}, "critic cannot read"),
        ({"critic": torch.sigmoid}, "torch module"),
        (
            {"critic": nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)), "gradient_penalty": 1.0},
            "batch normalisation",
        ),
        ({"rng": None}, "rng"),
    ],
)
def test_bad_settings_are_refused(change, words):
    given = {"space": Reals(2), "n_latent": 3, "objective": "minimax", "rng": 1} | change
    with pytest.raises(InvalidInput, match=words):
        GAN(given.pop("space"), given.pop("n_latent"), given.pop("objective"), **given)


def test_networks_keep_their_mode_and_lattice_makes_its_own():
    critic = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5)).eval()
    critic[1].train()
    GAN(Reals(2), 3, critic=critic, rng=1)
    assert [part.training for part in critic.modules()] == [False, False, True]
    with pytest.raises(InvalidInput, match="lattice makes both"):
        GAN.lattice((4, 4), 2, critic=nn.Linear(16, 1), rng=1)


def test_no_early_stopping_by_a_loss_that_judges_nothing():
    with pytest.raises(InvalidInput, match="divergences"):
        small().fit(plane(), epochs=1, rng=1, validation_data=plane(9), early_stopping=1)


@pytest.mark.parametrize("space", [Reals(2), Spins(2), Bits(2)])
def test_generator_that_is_no_number_is_refused(space):
    gan = GAN(space, 2, rng=1)
    with torch.no_grad():
        gan.generator_network[0].weight.fill_(math.nan)
    with pytest.raises(InvalidInput, match="finite"):
        gan.sample(3, rng=1)


def test_bad_data_and_questions_are_refused():
    gan, spins = small(), GAN(Spins(2), 2, rng=1)
    for model, data, words in (
        (gan, plane() * math.nan, "finite"),
        (spins, plane(), "-1"),
        (spins, np.zeros((5, 2)), "-1"),
    ):
        with pytest.raises(InvalidInput, match=words):
            model.fit(data, epochs=1, rng=1, batch_size=5)
    with pytest.raises(InvalidInput, match="w1_from_critic"):
        gan.js_from_critic(plane(), rng=1)
    with pytest.raises(InvalidInput, match="js_from_critic"):
        spins.w1_from_critic(np.ones((4, 2)), rng=1)
    with pytest.raises(InvalidInput, match="two or more"):
        gan.w1_from_critic(plane(1), rng=1)
