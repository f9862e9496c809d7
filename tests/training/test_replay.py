"""Langevin chains in a replay buffer: their law, their temperature, what a step is made of."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from statmech_ml import _rng
from statmech_ml.errors import (
    EffectiveTemperatureWarning,
    InvalidInput,
    MissingCapability,
    StoreError,
    TrainingDiverged,
    TrainingWarning,
)
from statmech_ml.exact import plane
from statmech_ml.models import BernoulliRBM, Gaussian, GaussianMixture, GaussianRBM
from statmech_ml.samplers import BAOAB, MALA, SGHMC, ULA, HeatBath
from statmech_ml.training import (
    CD,
    EnergyNet,
    LangevinReplay,
    Monitor,
    PersistentCD,
    ScoreMatching,
    TemperedPCD,
    TrainableRBM,
    load_checkpoint,
    train,
)

PRECISION, CENTRE = np.array([1.7, 0.6]), np.array([0.4, -1.0])
ETA = 0.4


class Well(nn.Module):
    """sum_i p_i (x_i - m_i)^2 / 2, whose chains have closed forms."""

    def __init__(self):
        super().__init__()
        self.log_precision = nn.Parameter(torch.tensor(np.log(PRECISION)))
        self.centre = nn.Parameter(torch.tensor(CENTRE))

    def forward(self, x):
        return 0.5 * (torch.exp(self.log_precision) * (x - self.centre) ** 2).sum(dim=1)


def well():
    return EnergyNet(Well(), 2)


DATA = np.random.default_rng(8).normal(size=(50, 2)) * [0.5, 2.0] + [1.0, 3.0]


def steps(method, shell, n, seed=7, first=0, carried=None):
    """The last of n steps at fixed parameters."""
    carried = method.init(shell, DATA, seed) if carried is None else carried
    found = None
    for step in range(first, first + n):
        found = method.gradient(shell, shell.tensor(DATA), carried, seed, step)
        carried = found.carried
    return found


# --- the law of the chains ------------------------------------------------------------------------


def law(method, temperature, eta):
    """z-scores of mean and variance of the buffer after a long run, against the closed form

    variance T / (p (1 - eta p / 2)) of unadjusted moves with effective temperature T."""

    def run(seed, scale):
        long = replace(method, n_chains=4000 * scale, batch=4000 * scale, n_steps=25, restart=0.0)
        x = steps(long, well(), 2, seed).carried["buffer"] - CENTRE
        variance = temperature / (PRECISION * (1.0 - eta * PRECISION / 2.0))
        found = np.concatenate([x, x**2], axis=1)
        exact = np.concatenate([np.zeros(2), variance])
        return (found.mean(axis=0) - exact) / (found.std(axis=0, ddof=1) / len(x) ** 0.5)

    return run


def test_chains_reach_the_law_of_unadjusted_moves(seed, assert_unbiased, assert_rejected):
    assert_unbiased(law(LangevinReplay(step_size=ETA), 1.0, ETA), seed)
    assert_rejected(law(LangevinReplay(step_size=ETA), 1.0, 0.0), seed)  # its bias is seen


def test_noise_sets_the_temperature(seed, assert_unbiased, assert_rejected):
    """sqrt(eta) in place of sqrt(2 eta) is temperature 1/2."""
    half = LangevinReplay(step_size=ETA, noise=ETA**0.5)
    assert half.effective_temperature == pytest.approx(0.5)
    assert_unbiased(law(half, 0.5, ETA), seed)
    assert_rejected(law(half, 1.0, ETA), seed)


def test_a_sampler_with_accept_and_reject_has_no_bias(seed, assert_unbiased):
    assert_unbiased(law(LangevinReplay(sampler=MALA(step_size=ETA)), 1.0, 0.0), seed)


# --- what a step is made of -----------------------------------------------------------------------


def test_gradient_is_the_data_phase_minus_that_of_the_chains_that_moved():
    method, shell = LangevinReplay(n_chains=80, batch=30), well()
    start = method.init(shell, DATA, 7)
    step = steps(method, shell, 1)
    moved = (step.carried["buffer"] != start["buffer"]).any(axis=1)
    assert moved.sum() == 30
    data = shell.phase(shell.tensor(DATA))
    chains = shell.phase(shell.tensor(step.carried["buffer"][moved]))
    for name, gradient in step.gradients.items():
        assert gradient.numpy() == pytest.approx((data[name] - chains[name]).numpy(), rel=1e-12)
    energy = shell.freeze().energy
    assert step.info["energy_data"] == pytest.approx(energy(DATA).mean(), rel=1e-12)
    expected = energy(step.carried["buffer"][moved]).mean()
    assert step.info["energy_model"] == pytest.approx(expected, rel=1e-12)
    assert step.info["effective_temperature"] == 1.0


def test_one_move_is_a_langevin_move():
    """From the buffer before to the buffer after, with the noise of its address."""
    method, shell = (
        LangevinReplay(n_chains=6, batch=6, n_steps=1, step_size=0.3, restart=0.0),
        well(),
    )
    before = method.init(shell, DATA, 7)["buffer"]
    after = steps(method, shell, 1).carried["buffer"]
    w = _rng.normals(7, np.arange(6, dtype=np.uint32), 0, _rng.NEGATIVE, 0, 2)
    expected = before - 0.3 * PRECISION * (before - CENTRE) + np.sqrt(0.6) * w
    assert after == pytest.approx(expected, rel=1e-12)


def test_regularisation_adds_the_gradient_of_its_term():
    alpha = 0.3
    method, shell = LangevinReplay(n_chains=20, batch=20, regularisation=alpha), well()
    step = steps(method, shell, 1)
    data, chains = shell.tensor(DATA), shell.tensor(step.carried["buffer"])
    up, down = shell.free_energy(data), shell.free_energy(chains)
    loss = up.mean() - down.mean() + alpha * ((up**2).mean() + (down**2).mean())
    loss.backward()
    for name, p in shell.named_parameters():
        assert step.gradients[name].numpy() == pytest.approx(p.grad.numpy(), rel=1e-10)
    plain = steps(LangevinReplay(n_chains=20, batch=20), well(), 1)
    assert step.info == pytest.approx(plain.info)
    assert (step.carried["buffer"] == plain.carried["buffer"]).all()


def test_chains_start_uniformly_in_the_range_of_the_data(seed):
    low, high = DATA.min(axis=0), DATA.max(axis=0)
    start = LangevinReplay(n_chains=4000).init(well(), DATA, seed)
    units = (start["buffer"] - low) / (high - low)
    for i in range(2):
        assert stats.kstest(units[:, i], "uniform").pvalue > 1e-6
    assert abs(np.corrcoef(units.T)[0, 1]) < 5 / 4000**0.5


@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
def test_a_share_of_the_chains_starts_afresh(restart, seed):
    method = LangevinReplay(n_chains=3000, batch=3000, n_steps=1, step_size=1e-12, restart=restart)
    shell = well()
    start = method.init(shell, DATA, seed)["buffer"]
    after = steps(method, shell, 1, seed).carried["buffer"]
    fresh = (np.abs(after - start) > 1e-3).any(axis=1).sum()
    assert abs(fresh - 3000 * restart) <= 5 * (3000 * restart * (1 - restart)) ** 0.5
    assert (after > DATA.min(axis=0) - 1e-3).all()
    assert (after < DATA.max(axis=0) + 1e-3).all()


@pytest.mark.parametrize(
    "sampler",
    [None, MALA(step_size=0.2), BAOAB(step_size=0.3)],
    ids=["unadjusted", "MALA", "BAOAB"],
)
def test_a_run_and_its_resumption_are_one(sampler):
    method, shell = LangevinReplay(n_chains=40, batch=10, n_steps=3, sampler=sampler), well()
    whole = steps(method, shell, 5)
    half = steps(method, shell, 3).carried
    kept = {name: array.copy() for name, array in half.items()}
    again = steps(method, shell, 2, first=3, carried=half)
    for name in kept:
        assert (half[name] == kept[name]).all()
        assert (again.carried[name] == whole.carried[name]).all()
    other = steps(method, shell, 5, seed=8)
    assert (other.carried["buffer"] != whole.carried["buffer"]).any()


def test_every_chain_has_noise_of_its_own_at_every_step():
    method, shell = LangevinReplay(n_chains=30, batch=30, n_steps=1, restart=0.0), well()
    a = steps(method, shell, 1).carried
    b = steps(method, shell, 1, first=1).carried  # the same start, the next step
    moves = np.concatenate([a["buffer"], b["buffer"]])
    assert len(np.unique(moves)) == moves.size


def test_precision_of_the_buffer_is_that_of_the_network():
    assert steps(LangevinReplay(50), well(), 1).carried["buffer"].dtype == np.float64
    assert steps(LangevinReplay(50), well().float(), 1).carried["buffer"].dtype == np.float32


def test_gaussian_rbms_train_by_it():
    g = np.random.default_rng(4)
    rbm = GaussianRBM(g.normal(size=2), g.normal(size=2), g.normal(size=(2, 2)))
    step = steps(LangevinReplay(50), TrainableRBM(rbm, dtype=torch.float64), 1)
    assert set(step.gradients) == {"visible_bias", "hidden_bias", "weights"}


@pytest.mark.gpu
def test_a_step_on_a_card_is_that_on_the_processor():
    """The noise has the same address on both."""
    method = LangevinReplay(60, n_steps=5)
    here, there = steps(method, well(), 3), steps(method, well().to("cuda"), 3)
    assert there.carried["buffer"] == pytest.approx(here.carried["buffer"], rel=1e-10)
    for name, gradient in here.gradients.items():
        assert there.gradients[name].cpu().numpy() == pytest.approx(gradient.numpy(), rel=1e-9)


# --- what training learns -------------------------------------------------------------------------


MIXTURE = GaussianMixture([0.65, 0.35], [[-1.0, -0.4], [0.9, 0.6]], [[0.5, 0.4], [0.4, 0.6]])


def trained(method, n_steps=200, seed=3):
    """A small network after Adam steps with a falling rate."""
    data = MIXTURE.draws(1, np.arange(4000, dtype=np.uint32))
    net = EnergyNet.dense(2, (32, 32), rng=seed)
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, n_steps)
    method.check(net, data)
    carried = method.init(net, data, seed)
    order = np.random.default_rng(seed)
    for step in range(n_steps):
        batch = net.tensor(data[order.integers(0, len(data), 200)])
        found = method.gradient(net, batch, carried, seed, step)
        carried = found.carried
        for name, p in net.named_parameters():
            p.grad = found.gradients[name]
        adam.step()
        falling.step()
    return net.double().freeze(), carried.get("buffer")


def divergence(model):
    """KL(data || model) in nats by quadrature, log Z included."""
    box, rtol = ((-15.0, 15.0), (-15.0, 15.0)), 1e-6  # five standard deviations of the confinement
    log_z = plane.log_z(model.energy, box, rtol=rtol).value
    gap = plane.mean(MIXTURE.energy, lambda x: model.energy(x) - MIXTURE.energy(x), box, rtol=rtol)
    return gap.value + log_z


def histogram_distance(samples, n=100_000):
    """Total variation between samples and the mixture on squares of side 1/2."""
    edges = np.linspace(-4.0, 4.0, 17)
    data = MIXTURE.draws(2, np.arange(n, dtype=np.uint32))
    counts = [np.histogram2d(*x.T, bins=edges)[0] / len(x) for x in (samples, data)]
    return 0.5 * np.abs(counts[0] - counts[1]).sum()


def test_training_learns_the_density():
    """Nearer to it than any Gaussian is; by score matching, which is less noisy, ten times."""
    x = MIXTURE.draws(5, np.arange(100_000, dtype=np.uint32))
    gaussian = divergence(Gaussian(mean=x.mean(axis=0), covariance=np.cov(x.T)))
    replay, _ = trained(LangevinReplay(400, n_steps=10, step_size=0.05))
    assert divergence(replay) < gaussian
    scores, _ = trained(ScoreMatching())
    assert divergence(scores) < gaussian / 10


def test_short_runs_learn_another_density():
    """The sampler is part of the model: ten moves from noise give good samples of the data, and
    exp(-F) / Z, which those moves never reach, is far from it (Nijkamp et al. 2019)."""
    method = LangevinReplay(2000, batch=200, n_steps=10, step_size=0.01, restart=1.0)
    model, buffer = trained(method)
    exact = MIXTURE.draws(6, np.arange(2000, dtype=np.uint32))
    assert histogram_distance(buffer) < 5 * histogram_distance(exact)
    assert divergence(model) > 1.0


# --- in `train` -----------------------------------------------------------------------------------


def run(method, epochs=4, net=None, **settings):
    net = EnergyNet.dense(2, (16,), rng=2) if net is None else net
    data = MIXTURE.draws(1, np.arange(300, dtype=np.uint32))
    history = train(
        net, data, method, epochs=epochs, rng=5, progress=False,
        optimizer=lambda p: torch.optim.Adam(p, lr=0.01), **settings,
    )  # fmt: skip
    return net, history


@pytest.mark.parametrize(
    "method", [CD(), PersistentCD(k=2, n_chains=30), TemperedPCD(betas=[0.5, 1.0], n_chains=30)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_methods_made_for_rbms_train_networks_too(method):
    """With the sampler that the shell names, MALA."""
    net, history = run(method, epochs=1, monitor=None)
    assert np.isfinite(history["energy_model"]).all()
    assert net.freeze().energy(DATA) != pytest.approx(
        EnergyNet.dense(2, (16,), rng=2).freeze().energy(DATA)
    )


def test_short_runs_are_warned_of():
    watch = Monitor(log_likelihood=None)
    with pytest.warns(TrainingWarning, match="out of equilibrium"):
        run(LangevinReplay(200, n_steps=5, restart=1.0), epochs=2, monitor=watch)
    _, history = run(
        LangevinReplay(200, n_steps=200, step_size=0.1, restart=0.0), epochs=2, monitor=watch
    )
    assert (history["out_of_equilibrium"] == 0.0).all()
    assert (history["effective_temperature"] == 1.0).all()
    assert {"energy_data", "energy_model", "mixing_time", "gradient_norm"} <= set(history.series)


@pytest.mark.parametrize(
    "method",
    [LangevinReplay(200, n_steps=5), ScoreMatching("sliced"), ScoreMatching("denoising", 0.2)],
    ids=["replay", "sliced", "denoising"],
)
def test_training_stopped_and_resumed_is_one_run(method, tmp_path):
    whole, _ = run(method, monitor=None)
    where = {"monitor": None, "checkpoint": tmp_path / "run.safetensors", "resume": True}
    run(method, epochs=2, **where)
    resumed, history = run(method, net=EnergyNet.dense(2, (16,), rng=9), **where)
    assert len(history) == 4
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "other",
    [
        lambda: EnergyNet.dense(2, (17,), rng=2),
        lambda: EnergyNet.dense(2, (16,), "tanh", rng=2),
        lambda: EnergyNet.dense(2, (16,), rng=2, confinement=2.0),
        lambda: EnergyNet.dense(2, (16, 16), rng=2),
    ],
    ids=["width", "activation", "confinement", "depth"],
)
def test_checkpoints_of_other_networks_are_refused(other, tmp_path):
    path = tmp_path / "run.safetensors"
    run(LangevinReplay(200, n_steps=2), epochs=1, monitor=None, checkpoint=path)
    assert len(load_checkpoint(path, EnergyNet.dense(2, (16,), rng=7)).history) == 1
    with pytest.raises(StoreError, match="another shell"):
        load_checkpoint(path, other())
    with pytest.raises(StoreError, match="another shell"):
        run(LangevinReplay(200, n_steps=2), net=other(), monitor=None, checkpoint=path, resume=True)
    with pytest.raises(StoreError, match="EnergyNet"):
        load_checkpoint(path)


def test_divergence_of_the_chains_keeps_the_last_good_parameters():
    """In the first epoch: the parameters of the start."""
    net = EnergyNet.dense(2, (16,), rng=2, confinement=1.0)
    before = net.freeze().energy(DATA)
    # Each move multiplies by 1 - eta = -5, and 5^60 exceeds what single precision holds.
    method = LangevinReplay(100, n_steps=30, step_size=6.0, restart=0.0)
    with pytest.raises(TrainingDiverged, match="left the finite numbers"):
        run(method, net=net, monitor=None)
    assert (net.freeze().energy(DATA) == before).all()


# --- temperature, refusals ------------------------------------------------------------------------


def test_a_temperature_that_is_not_one_is_warned_of_and_reported():
    method = LangevinReplay(50, step_size=10.0, noise=0.005)
    assert method.effective_temperature == pytest.approx(1.25e-6)
    with pytest.warns(EffectiveTemperatureWarning, match=r"1\.25e-06"):
        method.check(well(), DATA)
    method = LangevinReplay(50, step_size=0.02, noise=0.1)
    assert steps(method, well(), 1).info["effective_temperature"] == pytest.approx(0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LangevinReplay(50, step_size=0.02, noise=0.2).check(well(), DATA)
    cooled = LangevinReplay(50, sampler=SGHMC(0.1, noise_estimate=0.5))  # no batches, no noise
    assert steps(cooled, well(), 1).info["effective_temperature"] == 0.5
    with pytest.warns(EffectiveTemperatureWarning, match=r"temperature 0\.5 and not at 1"):
        cooled.check(well(), DATA)


def test_divergence_is_an_error():
    net = EnergyNet.dense(2, (8,), rng=0, confinement=1.0)
    with pytest.raises(InvalidInput, match=r"left the finite numbers(.|\n)*step_size=300"):
        steps(LangevinReplay(50, step_size=300.0), net, 1)


def test_discrete_units_bad_data_and_unfit_samplers_are_refused():
    bits = TrainableRBM(BernoulliRBM([0.0, 0.1], [0.2], [[0.3], [0.4]]))
    with pytest.raises(InvalidInput, match="discrete"):
        LangevinReplay().check(bits, np.ones((3, 2)))
    for data in (np.full((4, 2), np.inf), np.zeros((4, 3))):
        with pytest.raises(InvalidInput, match="data"):
            LangevinReplay().check(well(), data)
    with pytest.raises(MissingCapability):
        LangevinReplay(sampler=HeatBath()).check(well(), DATA)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_chains": 0},
        {"n_chains": 10.0},
        {"n_steps": 0},
        {"n_steps": 70_000},
        {"batch": 0},
        {"n_chains": 10, "batch": 11},
        {"step_size": 0.0},
        {"step_size": float("nan")},
        {"noise": 0.0},
        {"noise": -1.0},
        {"restart": 1.5},
        {"restart": -0.1},
        {"regularisation": -1.0},
        {"sampler": "mala"},
        {"sampler": MALA(), "noise": 0.1},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(InvalidInput):
        LangevinReplay(**settings)


@pytest.mark.parametrize(("temperature", "told"), [(1.0005, False), (1.002, True), (0.998, True)])
def test_replay_and_the_samplers_draw_the_line_at_the_same_temperature(temperature, told):
    """Noise that was written with four digits is no other temperature, in either of them."""
    noise, net = math.sqrt(2.0 * 0.01 * temperature), EnergyNet.dense(2, (4,), rng=1)
    for check in (
        lambda: LangevinReplay(step_size=0.01, noise=noise).check(net, np.zeros((5, 2))),
        lambda: ULA(0.01, noise=noise).check(Gaussian([0.0], [1.0])),
    ):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            check()
        assert [w.category for w in found] == [EffectiveTemperatureWarning] * told
