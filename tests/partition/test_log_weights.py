"""Log-weights: heavy tails and weights that hardly differ are known for what they are."""

import math

import numpy as np
import pytest

from statmech_ml.models import Gaussian, GaussianMixture
from statmech_ml.partition import (
    Geometric,
    ais_from_log_weights,
    importance_sampling,
    jarzynski_from_work,
    logz,
)
from statmech_ml.partition._weights import disagree, log_mean, pareto_shape, widening


@pytest.mark.parametrize("n", [60, 256, 10_000])
@pytest.mark.parametrize("spread", [0.05, 1.0, 3.0])
def test_shape_is_that_of_arviz(n, spread, seed):
    import arviz

    log_w = spread * np.random.default_rng(seed).normal(size=n)
    expected = float(arviz.psislw(log_w.copy())[1])
    assert pareto_shape(log_w) == pytest.approx(expected, rel=0, abs=1e-9)


def test_equal_weights_have_no_tail():
    assert pareto_shape(np.zeros(100)) == -math.inf
    two_values = np.repeat([0.0, 1.0], 500)
    assert pareto_shape(two_values) == -math.inf
    rare = np.r_[np.zeros(9997), np.full(3, 8.0)]
    assert pareto_shape(rare) == math.inf
    # Of many discrete levels, three states are the heaviest.
    levels = np.r_[np.repeat(np.linspace(-2.0, 0.0, 20), 500), [0.1] * 3]
    assert pareto_shape(levels) < 0.5


def verdicts(run, n_runs, seed):
    rng = np.random.default_rng(seed)
    return [run(rng).status for _ in range(n_runs)]


def test_gaussian_work_far_from_equilibrium_is_called_heavy(seed):
    """Variance 9: of 10,000 the few with the weight are missing, yet the ESS is often above 50."""
    found = verdicts(lambda rng: jarzynski_from_work(3.0 * rng.normal(size=10_000)), 100, seed)
    assert found.count(logz.OK) <= 10
    assert found.count(logz.HEAVY_TAIL) > found.count(logz.OK)


def test_gaussian_work_near_equilibrium_is_ok(seed):
    found = verdicts(lambda rng: jarzynski_from_work(0.7 * rng.normal(size=1000)), 100, seed)
    assert found.count(logz.OK) >= 98


def test_the_worse_direction_decides_and_is_shown(seed):
    rng = np.random.default_rng(seed)
    forward = 0.3 * rng.normal(size=1000)
    reverse = -np.log(rng.pareto(0.4, size=1000) + 1.0)
    result = ais_from_log_weights(forward, reverse)
    d = result.diagnostics
    assert d["tail_shape"] < 0.5 < d["reverse_tail_shape"]
    assert not result.ok
    assert f"reverse ess {d['reverse_ess']:.0f}/1000" in str(result)
    assert "reverse ess" not in str(ais_from_log_weights(forward))
    assert result.status in (logz.LOW_ESS, logz.HEAVY_TAIL)


def test_weights_of_which_few_differ_are_constant():
    """Their error is that of what n draws cannot have seen, at least."""
    log_w = np.full(1000, -0.1)
    log_w[:49] += 1e-3
    mean = log_mean(log_w)
    assert mean.constant
    assert mean.stderr == 1 / 1000
    log_w[49] += 1e-3
    assert not log_mean(log_w).constant
    one = np.full(1000, -0.1)
    one[0] = 2.0
    assert log_mean(one).constant
    assert log_mean(one).stderr > 1 / 1000
    assert ais_from_log_weights(one).status == logz.CONSTANT
    assert jarzynski_from_work(-one).status == logz.CONSTANT


def test_a_far_mode_leaves_constant_weights():
    far = GaussianMixture([0.9, 0.1], [[0.0], [7.0]], [1.0, 0.2])
    result = importance_sampling(Geometric(Gaussian(), far), 10_000, rng=1)
    assert result.status == logz.CONSTANT
    assert result.stderr >= 1e-4


def test_uneven_estimates_disagree():
    assert not disagree(np.array([0.1, -0.2, 0.3, 0.0]))
    assert disagree(np.array([0.0, 2.0, -2.0, 1.0]))
    # A spread of 0.45, but one has a third of the weight.
    assert disagree(np.r_[np.zeros(31), 2.6])
    assert disagree(np.r_[np.full(31, -np.inf), 2.6])


def test_widening():
    assert widening(5) == pytest.approx(math.sqrt(2.0))
    assert widening(3) == math.inf


@pytest.mark.parametrize("n", [60, 1000, 10**6])
def test_threshold_is_the_published_one(n):
    limit = min(0.7, 1 - 1 / math.log10(n))
    assert logz.judge(tail=limit - 1e-9, n=n) == logz.OK
    assert logz.judge(tail=limit + 1e-9, n=n) == logz.HEAVY_TAIL
    assert logz.judge(tail=math.nan, n=n) == logz.HEAVY_TAIL
