"""R-hat and drift: quiet on chains in equilibrium, loud on chains that are not."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import drift_z, ess_bulk, integrated_time, rank_r_hat, split_r_hat


def test_r_hat_is_its_formula(seed):
    x = np.random.default_rng(seed).normal(size=(3, 101))
    parts = np.concatenate([x[:, :50], x[:, 51:]])
    within = np.mean([np.var(p, ddof=1) for p in parts])
    between = 50 * np.var([p.mean() for p in parts], ddof=1)
    expected = math.sqrt((49 / 50 * within + between / 50) / within)
    assert split_r_hat(x) == pytest.approx(expected, rel=1e-12)


def test_r_hat_tells_chains_apart(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 4000))
    assert split_r_hat(x) < 1.01
    assert split_r_hat(x + np.array([[0.0], [0.0], [0.0], [2.0]])) > 1.1
    # One chain that drifts: only splitting can see it.
    assert split_r_hat(x[:1] + np.linspace(-1.0, 1.0, 4000)) > 1.1


def test_frozen_chains_disagree_completely():
    assert split_r_hat(np.repeat([[1.0], [2.0]], 10, axis=1)) == math.inf


def test_drift_is_standard_normal_in_equilibrium(
    seed, ar1, calibration, mutants, assert_unbiased, assert_rejected
):
    check = calibration(lambda rng: (drift_z(ar1(rng, 0.8, (4, 4096))), 4.5))
    assert_unbiased(check(), seed)
    for mutant in mutants.values():
        assert_rejected(check(mutant), seed)


def test_drift_sees_a_start_not_forgotten(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 2000))
    relaxing = 3.0 * np.exp(-np.arange(2000) / 100.0)
    assert drift_z(x + relaxing) > 4.0
    assert drift_z(x - relaxing) < -4.0


def test_drift_refuses_what_it_cannot_judge(seed, ar1):
    with pytest.raises(ShortChain):
        drift_z(ar1(np.random.default_rng(seed), 0.999, (1, 1000)))
    x = np.random.default_rng(seed).normal(size=100)
    for first, last in ((0.6, 0.5), (0.0, 0.5), (0.1, -0.5)):
        with pytest.raises(InvalidInput, match="do not overlap"):
            drift_z(x, first=first, last=last)
    with pytest.raises(InvalidInput, match="too few to compare"):
        drift_z(x[:5])


def test_arviz_on_request(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 4000))
    assert rank_r_hat(x) < 1.01
    # For a Gaussian, ranks and values decorrelate nearly alike: ess within a few percent.
    assert ess_bulk(x) == pytest.approx(x.size / (2 * integrated_time(x).tau_int), rel=0.25)
    # Same means, one chain wider: ranks folded about the median see it, plain R-hat does not.
    wide = x * np.array([[1.0], [1.0], [1.0], [3.0]])
    assert rank_r_hat(wide) > 1.05
    assert split_r_hat(wide) < 1.02


@pytest.mark.parametrize("function", [split_r_hat, rank_r_hat, ess_bulk])
def test_bad_input(function):
    with pytest.raises(InvalidInput, match="no fluctuation"):
        function(np.ones((4, 100)))
    with pytest.raises(InvalidInput, match="too few"):
        function(np.arange(3.0))
