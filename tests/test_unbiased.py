"""The rule by which statistical tests decide: it forgives bad luck once and rejects bias."""

import numpy as np
import pytest


def mean_of_normals(shift: float):
    """z-score of a mean of unit normals that are off by `shift` standard deviations."""

    def run(seed, scale):
        draws = np.random.default_rng(seed).normal(shift, 1.0, size=(10, 1000 * scale))
        return draws.mean(axis=1) * np.sqrt(draws.shape[1])

    return run


def test_honest_run_is_accepted(assert_unbiased, seed):
    assert_unbiased(mean_of_normals(0.0), seed)


def test_bias_is_rejected(assert_unbiased, assert_rejected, seed):
    # Ten z-scores centred on 6.3, then on 12.6: all ten below 4 has probability 1e-20.
    assert_rejected(mean_of_normals(0.2), seed)
    with pytest.raises(pytest.fail.Exception, match="biased: max"):
        assert_unbiased(mean_of_normals(0.2), seed)


def test_bad_luck_gets_one_more_run_with_more_draws(assert_unbiased, assert_rejected):
    calls = []

    def unlucky_once(seed, scale):
        calls.append((seed, scale))
        return np.array([0.0, 9.0 if len(calls) == 1 else 1.0])

    assert_unbiased(unlucky_once, 5)
    (first, one), (second, four) = calls
    assert (one, four) == (1, 4)
    assert first == 5
    assert second != 5
    calls.clear()
    with pytest.raises(pytest.fail.Exception, match="no power"):
        assert_rejected(unlucky_once, 5)


@pytest.mark.parametrize("z", [[], [np.nan, 0.0]])
def test_a_broken_check_fails(assert_unbiased, assert_rejected, z):
    for check in (assert_unbiased, assert_rejected):
        with pytest.raises(pytest.fail.Exception, match="z-scores"):
            check(lambda seed, scale: np.array(z), 1)


def test_infinite_z_is_a_rejection(assert_rejected):
    assert_rejected(lambda seed, scale: np.array([np.inf]), 1)
