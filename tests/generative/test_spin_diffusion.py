"""`SpinDiffusion`: with the exact denoiser of a law Q its bound is log Q(s), for every s; the
denoiser itself by a second route; samples; and what is refused."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import norm

from statmech_ml import lattices, models
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import targets, transfer_matrix
from statmech_ml.generative import (
    DiffusionModel,
    GradientGuide,
    LatticeDenoiser,
    LinearMeasurement,
    SpinDiffusion,
    SpinSchedule,
)
from statmech_ml.generative.denoisers import DenseDenoiser, ExactDenoiser
from statmech_ml.generative.schedules import Cosine
from statmech_ml.generative.spin_diffusion import log_spins_given
from statmech_ml.spaces import Bits, Levels, Reals, Spins

from ..statistical import assert_distribution, assert_refuted, chi_square

RING = targets.Ising(
    models.Ising(lattices.chain(5), coupling=0.8, field=[0.5, -0.2, 0.1, 0.0, 0.3]), beta=0.9
)
FAIR = targets.Spins(np.zeros(3))
BIASED = targets.Spins([0.8, -0.3, 0.1])


def exact_model(target, cls=SpinDiffusion, **settings):
    return cls(
        Spins(target.space.size),
        network=ExactDenoiser(target),
        prediction="x0",
        dtype=torch.float64,
        **settings,
    )


def states_of(target):
    return target.space.from_index(np.arange(target.space.n_states))


def bound_by_state(model, target, seed, copies):
    """z of the bound of each state against log Q."""
    states = states_of(target)
    rows = np.repeat(states, copies, axis=0)
    values = model.elbo(rows, rng=seed, n_draws=2)["elbo"].reshape(len(states), copies)
    error = values.std(axis=1, ddof=1) / np.sqrt(copies)
    return (values.mean(axis=1) - target.log_prob(states)) / error


class LostTwo(SpinDiffusion):
    """sigmoid(a z s / sigma^2)."""

    def log_decoder(self, x, guess, z, log_snr):
        return log_spins_given(x, 0.5 * z, log_snr)


class WrongSign(SpinDiffusion):
    """The field of the noisy image turned around in the last step."""

    def log_decoder(self, x, guess, z, log_snr):
        return log_spins_given(x, -z, log_snr)


class Smeared(SpinDiffusion):
    """Spins taken for real numbers: the density of the reals smeared around them."""

    log_decoder = DiffusionModel.log_decoder


# --- the bound ------------------------------------------------------------------------------------


def test_last_step_is_bayes():
    """The posterior of fair spins given z, by normal densities; over all states it sums to 1."""
    g = np.random.default_rng(3)
    s = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    z, level = g.normal(size=(1, 3)), np.array([[0.7]])
    bar = 1.0 / (1.0 + np.exp(-level))
    log_weight = norm.logpdf(z, np.sqrt(bar) * s, np.sqrt(1.0 - bar)).sum(axis=1)
    found = log_spins_given(
        *(torch.tensor(np.repeat(a, len(s) // len(a), 0)) for a in (s, z, level))
    )
    np.testing.assert_allclose(found, log_weight - np.logaddexp.reduce(log_weight), rtol=1e-12)
    assert abs(np.exp(found.numpy()).sum() - 1.0) < 1e-12


@pytest.mark.parametrize("target", [RING, BIASED], ids=["ring", "biased"])
def test_bound_is_the_log_probability_of_every_state(target, seed, assert_unbiased):
    model = exact_model(target)
    assert_unbiased(lambda s, scale: bound_by_state(model, target, s, 400 * scale), seed)


def test_last_step_counts_at_any_noise(seed, assert_unbiased):
    """Fair spins are what the last step assumes: the bound is tight wherever latents end."""
    model = exact_model(FAIR, schedule=SpinSchedule(high=0.5))
    assert_unbiased(lambda s, scale: bound_by_state(model, FAIR, s, 2000 * scale), seed)


@pytest.mark.parametrize("cls", [LostTwo, WrongSign, Smeared])
def test_wrong_last_step_is_rejected(cls, seed, assert_rejected):
    model = exact_model(FAIR, cls, schedule=SpinSchedule(high=0.5))
    assert_rejected(lambda s, scale: bound_by_state(model, FAIR, s, 2000 * scale), seed)


def test_smeared_reals_break_the_bound():
    """The density of smeared reals exceeds any probability, and grows with the level."""
    x = RING.sample(500, 1)
    found = [
        exact_model(RING, Smeared, schedule=SpinSchedule(high=high)).elbo(x, rng=2).mean()
        for high in (5.0, 7.0)
    ]
    assert found[0].value - 10.0 * found[0].stderr > -RING.entropy()
    assert found[1].value - found[0].value > 3.0  # 5 spins x (7 - 5) / 2 nats, less the noise
    honest = exact_model(RING).log_likelihood(x, rng=2)
    assert honest.kind == "lower bound"
    assert abs(honest.mean.z(-RING.entropy())) < 4.0


def test_wrong_denoiser_costs_the_divergence(seed, assert_unbiased, assert_rejected):
    """Data of P under the denoiser of Q: entropy + D(P || Q)."""
    other = targets.Ising(models.Ising(lattices.chain(5), coupling=0.8, field=-0.2), beta=0.9)
    model, states = exact_model(other), states_of(RING)
    p, q = RING.probability, other.probability
    divergence = float(p @ np.log(p / q))

    def run(s, scale, expected):
        x = RING.sample(2000 * scale, s)
        found = model.elbo(x, rng=s + 1, n_draws=4).mean()
        return np.array([found.z(-expected)])

    assert divergence > 0.3
    assert len(states) == len(p)
    assert_unbiased(lambda s, n: run(s, n, RING.entropy() + divergence), seed)
    assert_rejected(lambda s, n: run(s, n, RING.entropy()), seed)


def test_steps_cost_and_more_steps_cost_less():
    """In T steps the bound lies below, and rises with T to that of continuous time."""
    x = RING.sample(2000, 5)
    gaps = []
    for steps in (5, 20, 80):
        model = exact_model(RING, schedule=Cosine(steps))
        gaps.append(-model.elbo(x, rng=1, n_draws=8)["elbo"].mean() + RING.log_prob(x).mean())
    assert gaps[0] > gaps[1] + 0.05 > gaps[2] + 0.05


# --- the exact denoiser, by another route ---------------------------------------------------------


def magnetisations(beta, fields):
    """<s_i> of the 4 x 4 torus in fields (16,), by the transfer matrix.

    Z(B_i + b) = Z (cosh b + <s_i> sinh b), for any b.
    """
    b = 0.7

    def log_z(h):
        return transfer_matrix.log_z(models.Ising(lattices.square(4, 4), field=h / beta), beta)

    raised = np.array([log_z(fields + b * unit) for unit in np.eye(16)])
    return (np.exp(raised - log_z(fields)) - np.cosh(b)) / np.sinh(b)


def test_denoiser_is_magnetisation_in_the_fields_of_the_image():
    beta = 1.0 / 2.269
    target = targets.Ising(models.Ising(lattices.square(4, 4)), beta)
    for level, seed in ((-2.0, 1), (0.0, 2), (1.5, 3)):
        snr, g = np.exp(level), np.random.default_rng(seed)
        bar = snr / (1.0 + snr)
        x = np.sqrt(bar) * target.sample(1, seed) + np.sqrt(1.0 - bar) * g.normal(size=(1, 16))
        exact = magnetisations(beta, x[0] * np.sqrt(bar) / (1.0 - bar))
        np.testing.assert_allclose(target.denoiser(x, level)[0], exact, rtol=0, atol=1e-10)
        wrong = magnetisations(beta, -x[0] * np.sqrt(bar) / (1.0 - bar))
        assert np.abs(wrong - exact).max() > 0.1
        model = exact_model(target)
        np.testing.assert_allclose(model.denoise(x, level)[0], exact, rtol=0, atol=1e-10)


def test_field_of_a_site_does_not_hear_its_own_image():
    """artanh E[s_i | z] - B_i = u_i is that of the other sites, and bounded by 4 J / T."""
    target = targets.Ising(models.Ising(lattices.square(4, 4)), 0.5)
    x = np.random.default_rng(5).normal(size=(1, 16))
    pushed = x + 0.8 * np.eye(16)[3]
    snr = np.exp(-0.5)

    def u(y):
        return np.arctanh(target.denoiser(y, -0.5)) - y * np.sqrt(snr * (1.0 + snr))

    assert abs(u(pushed)[0, 3] - u(x)[0, 3]) < 1e-9
    assert np.abs(u(pushed) - u(x))[0, [2, 7]].min() > 1e-3
    assert np.abs(u(x)).max() < 4 * 0.5


# --- training and sampling ------------------------------------------------------------------------


def p_of_samples(model, target, seed, n):
    drawn = model.sample(n, rng=seed, method="ddpm-small", n_steps=100)
    assert drawn.dtype == np.int8
    counts = np.bincount(target.space.index(drawn), minlength=target.space.n_states)
    return {"states": chi_square(counts, np.exp(target.log_prob(states_of(target))))}


class Blind(SpinDiffusion):
    """Draws the last step with the wrong field."""

    def decode(self, last, guess, z, log_snr, generator):
        return super().decode(last, guess, 0.5 * z, log_snr, generator)


def test_samples_follow_the_law(seed):
    model = exact_model(RING)
    assert_distribution(lambda s, n: p_of_samples(model, RING, s, 2000 * n), seed)


def test_last_step_draws_spins(seed):
    """Where latents end early, the last step decides; fair spins would hide its mistakes."""
    field = np.array([[0.6, -0.2, 0.0]])
    z = torch.tensor(np.repeat(field, 4000, axis=0))

    def p(model, s, n):
        drawn = model.decode(z, z, z.repeat(n, 1), -0.3, model.generator(s)).numpy()
        up = torch.exp(log_spins_given(torch.ones(3, 1), z[0, :, None], torch.full((3, 1), -0.3)))
        return {
            f"spin {i}": chi_square(
                np.array([(drawn[:, i] > 0).sum(), (drawn[:, i] < 0).sum()]),
                np.array([up[i], 1.0 - up[i]]),
            )
            for i in range(3)
        }

    assert_distribution(lambda s, n: p(exact_model(FAIR), s, n), seed)
    assert_refuted(lambda s, n: p(exact_model(FAIR, Blind), s, n), seed)


def test_training_approaches_the_entropy_from_above():
    target = targets.Ising(models.Ising(lattices.chain(6)), beta=0.6)
    data, held_out = target.sample(2000, 1), target.sample(2000, 2)
    model = SpinDiffusion(Spins(6), network=LatticeDenoiser((6,), 8, 1, rng=3))
    before = model.log_likelihood(held_out, rng=4, n_draws=8).mean
    history = model.fit(data, epochs=6, rng=5, learning_rate=1e-2, ema=0.95)
    after = model.log_likelihood(held_out, rng=4, n_draws=8).mean
    entropy = target.entropy()
    assert -before.value > entropy + 0.3  # the network begins near u = 0, independent spins
    assert abs(-after.value - entropy) < 0.03 + 4.0 * after.stderr
    terms = history["prior"] + history["diffusion"] - history["reconstruction"]
    np.testing.assert_allclose(history["loss"], terms, rtol=1e-6)
    drawn = model.sample(20, rng=6, n_steps=20)
    assert drawn.shape == (20, 6)
    assert drawn.dtype == np.int8
    np.testing.assert_array_equal(drawn, model.sample(20, rng=6, n_steps=20))


def test_bits_are_spins():
    spins, bits = (
        SpinDiffusion(space, network=LatticeDenoiser((6,), 4, 1, rng=3))
        for space in (Spins(6), Bits(6))
    )
    x = RING.sample(40, 1)[:, [0, 1, 2, 3, 4, 0]]
    for model, data in ((spins, x), (bits, (x + 1) // 2)):
        model.fit(data, epochs=1, rng=2, batch_size=20)
    found = [m.elbo(d, rng=4)["elbo"] for m, d in ((spins, x), (bits, (x + 1) // 2))]
    np.testing.assert_array_equal(*found)
    a, b = (m.sample(50, rng=5, n_steps=10) for m in (spins, bits))
    np.testing.assert_array_equal(a, 2 * b - 1)
    assert b.dtype == np.int8


def test_condition_reaches_the_network():
    model = SpinDiffusion(
        Spins(6), network=LatticeDenoiser((6,), 4, 1, rng=3, n_conditions=1), n_conditions=1
    )
    x, t = np.ones((30, 6)), np.linspace(0.0, 1.0, 30)
    model.fit(x, epochs=1, rng=1, condition=t, batch_size=10)
    one, two = (model.elbo(x, rng=1, condition=c)["elbo"] for c in (0.0, 3.0))
    assert (one != two).any()
    assert model.sample(3, rng=1, condition=0.5, n_steps=5).shape == (3, 6)


# --- units of the space, and what is no number ----------------------------------------------------


class Fields(torch.nn.Module):
    """What is exact for independent spins: their fields, whatever the image."""

    def forward(self, x, log_snr, condition=None):
        return torch.tensor([0.4, -0.3], dtype=x.dtype) + 0.0 * x


def bits_model():
    return SpinDiffusion(Bits(2), network=Fields(), dtype=torch.float64)


def test_measurements_of_bits_are_of_bits():
    model = bits_model()
    for bit in (0, 1):
        seen = LinearMeasurement([[1.0, 0.0]], [float(bit)], 1e-3)
        x = model.sample(400, rng=1, likelihood=seen, n_steps=50)
        assert x.dtype == Bits(2).dtype
        assert (x[:, 0] == bit).mean() > 0.98
        pulled = GradientGuide(lambda x, bit=bit: -20.0 * (x[:, 0] - bit) ** 2)
        x = model.sample(400, rng=1, likelihood=pulled, n_steps=50)
        assert (x[:, 0] == bit).mean() > 0.9
    # Of one coordinate: the guess of spins moves as that of y = (s + 1) / 2 does.
    spins = SpinDiffusion(Spins(2), network=Fields(), dtype=torch.float64)
    x, level = torch.tensor([[0.3, -0.8]], dtype=torch.float64), torch.zeros((1, 1)).double()
    of_bits = LinearMeasurement([[1.0, -2.0]], [0.2], 0.1).guess(model, x, level, None)
    of_spins = LinearMeasurement([[0.5, -1.0]], [0.2 + 0.5], 0.1).guess(spins, x, level, None)
    torch.testing.assert_close(of_bits, of_spins)


def test_clip_of_bits_is_of_bits():
    """(0, 1) are the bits' own bounds, so that nothing changes."""
    model = bits_model()
    free = model.sample(50, rng=1, n_steps=20)
    np.testing.assert_array_equal(model.sample(50, rng=1, n_steps=20, clip=(0.0, 1.0)), free)
    assert model.sample(50, rng=1, n_steps=20, clip=(0.99, 1.0)).min() == 1


@pytest.mark.parametrize("space", [Spins(4), Bits(4)], ids=repr)
def test_a_lost_network_draws_no_spins(space):
    model = SpinDiffusion(space, rng=1)
    with torch.no_grad():
        model.network.out.bias.fill_(torch.nan)
    with pytest.raises(InvalidInput, match="not finite"):
        model.sample(3, rng=1, n_steps=5)


# --- schedule and refusals ------------------------------------------------------------------------


def test_schedule_has_its_ends_and_density():
    schedule = SpinSchedule(high=4.0, low=-6.0)
    t = np.linspace(0.0, 1.0, 2001)
    level = schedule.log_snr(t)
    np.testing.assert_allclose(level[[0, -1]], [4.0, -6.0], rtol=1e-12)
    np.testing.assert_allclose(schedule.at(torch.tensor(t)), level, rtol=1e-12)
    speed = -np.gradient(level, t)[1:-1] / np.cosh(level[1:-1] / 2.0)
    assert np.ptp(speed) < 1e-3 * speed.mean()
    with pytest.raises(InvalidInput, match="n_steps"):
        schedule.levels()
    with pytest.raises(InvalidInput, match="low=9"):
        SpinSchedule(low=9.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpinDiffusion(Reals(4), rng=1), "DiffusionModel for real"),
        (lambda: SpinDiffusion(Levels(4, n_levels=3), rng=1), "two values"),
        (lambda: DiffusionModel(Spins(4), rng=1), "SpinDiffusion for spins"),
        (lambda: SpinDiffusion(Spins(4), rng=1, loss="simple"), "neither"),
        (lambda: SpinDiffusion(Spins(4), rng=1, prediction="cavity"), "epsilon, x0, v"),
        (lambda: SpinDiffusion(Spins(4), rng=1, schedule=SpinSchedule(low=-1.0)), "terminal|ends"),
        (lambda: SpinDiffusion(Spins(4)), "rng"),
        (lambda: SpinDiffusion(Spins(4), rng=1).fit(np.zeros((9, 4)), epochs=1, rng=1), "-1, 1"),
        (lambda: SpinDiffusion(Bits(4), rng=1).elbo(-np.ones((9, 4)), rng=1), "0, 1"),
        (
            lambda: SpinDiffusion(Spins(4), network=DenseDenoiser(4, rng=1)).elbo(
                np.ones((9, 5)), rng=1
            ),
            "4 sites",
        ),
        (
            lambda: SpinDiffusion(Spins(64), network=LatticeDenoiser((4, 4), rng=1)),
            "size",
        ),
        (
            lambda: SpinDiffusion(
                Spins(16), network=LatticeDenoiser((4, 4), rng=1), n_conditions=1
            ),
            "n_conditions",
        ),
        (lambda: SpinDiffusion(Spins(4), network=LastOnly()), "same shape"),
        (
            lambda: SpinDiffusion(Spins(4), rng=1).log_likelihood(
                np.ones((1, 4)), rng=1, n_draws=1
            ),
            "n_draws=1",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


class LastOnly(torch.nn.Module):
    def forward(self, x, log_snr, condition=None):
        return x[:, -1:]
