"""SGLD: its law with full gradients, minibatches and falling steps, exact on Gaussians."""

import re
import warnings

import numpy as np
import pytest
from langevin_laws import BETA, CENTRE, WELL, K, ends, in_batches, moments, normal_law
from statistical import assert_distribution, assert_refuted, wrong_stride

from statmech_ml import sample
from statmech_ml.chains import Chain
from statmech_ml.errors import EffectiveTemperatureWarning, InvalidInput, MissingCapability
from statmech_ml.exact import langevin
from statmech_ml.models import BayesianLinearRegression, DoubleWell
from statmech_ml.samplers import SGHMC, SGLD, ULA, PolynomialDecay, ReplicaExchange, sgld
from statmech_ml.samplers._minibatch import batch

ETA = 0.6
VARIANCE = float(langevin.ula_variance(ETA, K))


def test_the_stationary_variance_is_that_of_the_step(seed):
    assert_distribution(normal_law(SGLD(ETA), VARIANCE), seed)
    assert_refuted(normal_law(SGLD(ETA), 1 / K), seed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("math.sqrt(2.0 * eta)", "math.sqrt(eta)"),
        ("eta * force[i]", "0.5 * eta * force[i]"),  # the lost 1/2 of a loss
        ("eta * force[i]", "2.0 * eta * force[i]"),
    ],
)
def test_wrong_moves_are_refuted(right, wrong, seed, monkeypatch):
    monkeypatch.setattr(sgld, "Overdamped", wrong_stride(sgld.Overdamped, right, wrong))
    assert_refuted(normal_law(SGLD(ETA), VARIANCE, model=in_batches(WELL)), seed)


def test_with_full_gradients_it_is_ula():
    state = SGLD(0.05).init(WELL, 7, seed=4)
    beta = np.linspace(0.3, 1.0, 7)
    mine = SGLD(0.05).advance(WELL, state, beta, 30)[0].x
    assert mine == pytest.approx(ULA(0.05).advance(WELL, state, beta, 30)[0].x, rel=1e-12)


# --- minibatches ----------------------------------------------------------------------------------

INPUTS = np.random.default_rng(20).normal([0.5, 0.0], 1.0, (20, 2))
OUTPUTS = INPUTS @ [1.0, -0.5] + np.random.default_rng(21).normal(size=20) ** 3
LINE = BayesianLinearRegression(INPUTS, OUTPUTS, noise=1.5, prior_scale=[1.0, 2.0])
FEW, STEP = 8, 0.03


def exact_covariance(batch_size, step=STEP):
    """At BETA, which is that of a regression with noise and prior wider by 1 / sqrt(beta)."""
    wider = BETA**-0.5
    return langevin.sgld_covariance(
        step, batch_size, INPUTS, OUTPUTS, 1.5 * wider, wider * np.array([1.0, 2.0])
    )


def regression(sampler, covariance):
    """run(seed, scale) -> z of mean and covariance of final states."""

    def run(seed, scale):
        start = LINE.mean + 0.3 * np.random.default_rng(seed).normal(size=(3_000 * scale, 2))
        x, _ = ends(sampler, LINE, BETA, len(start), 45, seed, start)
        return moments(x, LINE.mean, covariance)

    return run


def test_minibatches_have_the_exact_covariance(seed, assert_unbiased):
    assert_unbiased(regression(SGLD(STEP, FEW), exact_covariance(FEW)), seed)


@pytest.mark.parametrize(
    ("sampler", "covariance"),
    [
        (SGLD(STEP, FEW), exact_covariance(None)),  # the noise of the gradient forgotten
        (SGLD(STEP, FEW), exact_covariance(2 * FEW)),
        (SGLD(STEP, FEW, noise=STEP**0.5), exact_covariance(FEW)),
        (SGLD(STEP / 2, FEW), exact_covariance(FEW)),  # eps for eta
    ],
    ids=["no gradient noise", "half of it", "noise without the 2", "eps for eta"],
)
def test_other_laws_than_that_are_rejected(sampler, covariance, seed, assert_rejected):
    assert_rejected(regression(sampler, covariance), seed)


@pytest.mark.parametrize("size", [2, 5])
def test_the_gradient_noise_is_measured_without_bias(size, seed, assert_unbiased):
    """One move from the mean: the variance of the gradient there is known."""
    covariance = LINE.gradient_noise(LINE.mean, size, BETA)
    expected = covariance.trace() / 2

    def run(seed, scale):
        sampler = SGLD(STEP, size)
        _, info = ends(sampler, LINE, BETA, 20_000 * scale, 1, seed, LINE.mean)
        noise, rise = info["gradient_noise"], info["temperature_rise"]
        assert rise == pytest.approx(0.5 * STEP * noise, rel=1e-12)
        return (noise.mean() - expected) / (noise.std() / np.sqrt(len(noise)))

    assert_unbiased(run, seed)


def test_one_row_shows_no_spread():
    _, info = ends(SGLD(STEP, 1), LINE, BETA, 3, 2, 1)
    assert np.isnan(info["gradient_noise"]).all()
    assert np.isnan(info["temperature_rise"]).all()


@pytest.mark.parametrize(
    ("sampler", "told"),
    [
        (SGLD(0.003, 8), r"changed the temperature by \+0\.\d.* smaller step, larger batches, or"),
        (SGLD(1e-4, 8), None),
        (SGLD(1e-4, 1), "one row show no spread.* could not be measured"),
        (SGLD(STEP), None),
        (SGHMC(0.05, 8, friction=20.0, noise_estimate=10.0), r"changed the temperature by -0\.\d"),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore::statmech_ml.errors.EquilibrationWarning")
def test_heat_of_minibatches_is_told_after_the_run(sampler, told):
    settings = {"beta": BETA, "n_chains": 20, "n_draws": 60, "burn_in": 30, "rng": 2}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", EffectiveTemperatureWarning)
        sample(LINE, sampler, start=LINE.mean, **settings)
    assert len(seen) == (told is not None)
    for warning in seen:
        assert warning.filename == __file__
        assert re.search(told, str(warning.message))


def test_batches_are_uniform_and_independent(seed):
    from statistical import chi_square

    def run(seed, scale):
        rows = batch(seed, np.arange(4_000 * scale, dtype=np.uint32), 2**35, 6, 7)
        assert rows.shape == (4_000 * scale, 7)
        next_rows = batch(seed, np.arange(4_000 * scale, dtype=np.uint32), 2**35 + 1, 6, 7)
        pairs = {
            "rows": (rows.ravel(), 6),
            "neighbours in a batch": ((6 * rows[:, 3] + rows[:, 4]), 36),
            "neighbours in time": ((6 * rows[:, 0] + next_rows[:, 0]), 36),
            "neighbours in space": ((6 * rows[:-1, 0] + rows[1:, 0])[::2], 36),
        }
        return {
            name: chi_square(np.bincount(values, minlength=n), np.full(n, 1 / n))
            for name, (values, n) in pairs.items()
        }

    assert_distribution(run, seed)


# --- schedules ------------------------------------------------------------------------------------

DECAY = PolynomialDecay(1.0, 2.0, 0.7)


def recursion(schedule, n_sweeps, mean=0.0, variance=1.0):
    """Mean and variance after moves with falling steps, from a standard normal start."""
    for t in range(n_sweeps):
        eta = schedule.a * (schedule.b + t) ** -schedule.gamma
        mean = mean - eta * K * (mean - CENTRE)
        variance = (1 - eta * K) ** 2 * variance + 2 * eta
    return mean, variance


def test_falling_steps_have_the_law_of_their_recursion(seed):
    sampler = SGLD(schedule=DECAY)
    for n in (2, 8):
        mean, variance = recursion(DECAY, n)
        assert_distribution(normal_law(sampler, variance, n, mean=mean), seed + n)
    mean, variance = recursion(PolynomialDecay(1.0, 3.0, 0.7), 2)  # one sweep late
    assert_refuted(normal_law(sampler, variance, 2, mean=mean), seed)


def test_falling_steps_converge_where_fixed_ones_do_not():
    """What is left is eta_t / 2, the bias of the last step, to first order: it goes to zero."""
    for n in (1_000, 30_000):
        left = recursion(DECAY, n)[1] - 1 / K
        assert left == pytest.approx(DECAY.step(n) / 2, rel=0.1)


def test_the_step_is_reported(seed):
    chain = sample(WELL, SGLD(schedule=DECAY), beta=BETA, n_draws=3, burn_in=5, thin=2, rng=seed)
    expected = [DECAY.step(t) for t in (6, 8, 10)]  # the last moves before each draw
    assert chain.info["step_size"][0].tolist() == expected


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 2.5}, "whole number"),
        ({"batch_size": True}, "whole number"),
        ({"schedule": 0.1}, "Give PolynomialDecay"),
        ({"schedule": (0.1, 1.0)}, "Give PolynomialDecay|PolynomialDecay"),
        ({"schedule": PolynomialDecay(0.1, 1.0, 1.5)}, "finite sum"),
        ({"schedule": PolynomialDecay(0.1, 0.0)}, "b > 0"),
        ({"schedule": PolynomialDecay(np.nan)}, "a > 0"),
        ({"step_size": 0.1, "schedule": DECAY}, "the schedule sets the steps"),
        ({"noise": 0.1, "schedule": DECAY}, "the schedule sets the steps"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    if settings == {"schedule": (0.1, 1.0)}:
        assert SGLD(**settings).schedule == PolynomialDecay(0.1, 1.0)
        return
    with pytest.raises(InvalidInput, match=told):
        SGLD(**settings)


def test_what_does_not_fit_is_refused_before_any_work():
    with pytest.raises(MissingCapability, match=r"SGLD with batches needs.*Minibatched.*Use batch"):
        sample(DoubleWell(), SGLD(0.1, 5), beta=1.0, n_draws=10**15, rng=1)
    with pytest.raises(InvalidInput, match=r"batch_size=21 exceeds the 20 data.*batch_size=None"):
        sample(LINE, SGLD(0.1, 21), beta=1.0, n_draws=10**15, rng=1)
    with pytest.raises(InvalidInput, match="does not leave its law invariant"):
        ReplicaExchange(SGLD())


def test_divergence_on_minibatches_is_an_error():
    with pytest.raises(InvalidInput, match=r"chains of SGLD left.*steps up to 10: .*smaller step"):
        sample(LINE, SGLD(10.0, 5), beta=1.0, n_draws=500, rng=1)


@pytest.mark.parametrize(
    "sampler", [SGLD(batch_size=3, schedule=DECAY._replace(a=0.01)), SGHMC(0.05, 3, friction=5.0)]
)
@pytest.mark.filterwarnings("ignore::statmech_ml.errors.EffectiveTemperatureWarning")
def test_a_saved_chain_continues_bit_for_bit(sampler, tmp_path):
    settings = {"beta": BETA, "n_chains": 3, "burn_in": 4}
    through = sample(LINE, sampler, n_draws=12, rng=5, **settings)
    sample(LINE, sampler, n_draws=5, rng=5, **settings).save(tmp_path / "run.zarr")
    loaded = Chain.load(tmp_path / "run.zarr")
    assert loaded.sampler == sampler
    rest = sample(LINE, loaded.sampler, n_draws=7, beta=BETA, start=loaded.final)
    assert rest.states.tolist() == through.states[:, 5:].tolist()
    for name, values in through.final.carried.items():
        assert rest.final.carried[name].tolist() == values.tolist()
