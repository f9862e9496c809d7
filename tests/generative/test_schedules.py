"""Noise schedules: their published values, their ends, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from statmech_ml.errors import InvalidInput
from statmech_ml.generative import (
    Cosine,
    DiffusionModel,
    LearnedLogSNR,
    Levels,
    Linear,
    LogLinear,
)
from statmech_ml.generative.schedules import TERMINAL_KL
from statmech_ml.generative.spin_schedule import SpinSchedule
from statmech_ml.spaces import Reals

SCHEDULES = [Linear(50), Linear(1000), Cosine(10), Cosine(1), LogLinear(steps=20), LogLinear()]
SCHEDULES += [LearnedLogSNR(7, rng=1), LearnedLogSNR(rng=1)]


def test_linear_is_that_of_the_paper():
    betas = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(Linear(1000).betas, betas, rtol=1e-14)
    np.testing.assert_allclose(Linear(1000).alpha_bar[1:], np.cumprod(1.0 - betas), rtol=1e-12)
    # Rescaled, the noise that is added in all is the same for every T.
    assert Linear(100).betas.sum() == pytest.approx(betas.sum())


def test_cosine_is_that_of_the_paper():
    t = np.arange(1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    found = Cosine(1000).alpha_bar
    np.testing.assert_allclose(found[:-1], (f / f[0])[:-1], rtol=1e-9)
    assert found[-1] == pytest.approx(found[-2] * 1e-3)  # beta cut at 0.999


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_every_schedule_falls_from_data_to_noise(schedule):
    assert -0.5 * math.log1p(-float(expit(schedule.log_snr(1.0)))) <= TERMINAL_KL
    with np.errstate(divide="ignore"):
        levels = schedule.log_snr(np.linspace(0.0, 1.0, 101))
    assert (np.diff(levels) < 0.0).all()
    if schedule.steps is None:
        with pytest.raises(InvalidInput, match="n_steps"):
            schedule.levels()
        with pytest.raises(InvalidInput, match="continuous"):
            _ = schedule.alpha_bar
        assert len(schedule.levels(9).alpha_bar) == 10
        return
    bars, t = schedule.alpha_bar, np.arange(schedule.steps + 1) / schedule.steps
    np.testing.assert_allclose(schedule.log_snr(t[1:]), logit(bars[1:]), rtol=1e-9)
    found = schedule.at(torch.as_tensor(t)).detach().numpy()
    np.testing.assert_allclose(found[1:], logit(bars[1:]), rtol=1e-9)
    assert np.array_equal(schedule.levels().alpha_bar, bars)


def test_fewer_levels_are_some_of_all():
    some = Linear(1000).levels(10).alpha_bar
    assert np.array_equal(some, Linear(1000).alpha_bar[::100])


def test_learned_ends_cannot_cross_their_bounds():
    schedule = LearnedLogSNR(rng=1, high=9.0, low=-7.0)
    np.testing.assert_allclose(schedule.log_snr([0.0, 1.0]), [9.0, -7.0], atol=1e-9)
    with torch.no_grad():
        schedule.ends[:] = torch.tensor([-50.0, -50.0])
    high, low = schedule.log_snr([0.0, 1.0])
    assert low <= -math.log(99.0) + 1e-12
    assert high >= low + 1.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Linear(0), "steps=0"),
        (lambda: Cosine(0), "steps=0"),
        (lambda: LogLinear(steps=0), "steps=0"),
        (lambda: Linear(20), "more than 20"),
        (lambda: Linear(50, last=0.0), "variances"),
        (lambda: Cosine(10, most=1.0), "between 0 and 1"),
        (lambda: LogLinear(-9.0, 9.0), "higher"),
        (lambda: LogLinear(math.nan), "finite"),
        (lambda: LogLinear("a", -10.0), "high='a'"),
        (lambda: LogLinear(37.0), "32"),
        (lambda: LogLinear(10.0, -100.0), "32"),
        (lambda: LogLinear(32.0).levels(100_000), "same number"),
        (lambda: LogLinear().log_snr(2.0), r"\[0, 1\]"),
        (lambda: SpinSchedule().log_snr([0.5, math.nan]), r"\[0, 1\]"),
        (lambda: LearnedLogSNR(rng=1).log_snr(-0.1), r"\[0, 1\]"),
        (lambda: LogLinear().log_snr("a"), "numbers"),
        (lambda: LearnedLogSNR(rng=1, high=-4.65, low=-5.0), "apart"),
        (lambda: Linear(100, first="x"), "first='x'"),
        (lambda: Levels("abc"), "numbers"),
        (lambda: Levels([0.5, 0.7]), "falling"),
        (lambda: Levels([1.1, 0.1]), "falling"),
        (lambda: LearnedLogSNR(rng=1, low=-1.0), "sqrt"),
        (lambda: Linear(10_000).levels(20_000), "at most"),
        (lambda: Linear(50).log_snr(1.5), r"\[0, 1\]"),
    ],
)
def test_bad_schedules_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


def test_terminal_signal_is_refused():
    """Unscaled betas at T = 200 leave sqrt(alpha_bar) = 0.36 of the data."""
    unscaled = Linear(200, rescaled=False)
    assert math.sqrt(unscaled.alpha_bar[-1]) == pytest.approx(0.36, abs=0.005)
    with pytest.raises(InvalidInput, match=r"0\.36.*rescaled"):
        DiffusionModel(Reals(2), schedule=unscaled, rng=1)
    DiffusionModel(Reals(2), schedule=Linear(21), rng=1)
    # The threshold is the prior's cost of unit data: sqrt(alpha_bar) = 0.1 and no more.
    for amplitude, accepted in ((0.0999, True), (0.1001, False)):
        levels = Levels([1.0, amplitude**2])
        if accepted:
            DiffusionModel(Reals(2), schedule=levels, rng=1)
        else:
            with pytest.raises(InvalidInput, match="nats a dimension"):
                DiffusionModel(Reals(2), schedule=levels, rng=1)
