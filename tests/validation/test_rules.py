"""When a check passes: bounds, the second run, mutants, and what counts as broken."""

import json
import warnings

import numpy as np
import pytest

from statmech_ml import Estimate
from statmech_ml.errors import InvalidInput
from validation import Check, Measurement, Mutant
from validation.check import (
    ALPHA,
    BOUND,
    RETRY_SCALE,
    against,
    bonferroni,
    by_p_value,
    calibration,
    derive_seed,
    identity,
    judge,
)
from validation.runner import FORMAT, run_check, run_checks


def z_score(z, name="x"):
    return Measurement(name, value=z, exact=0.0, error=1.0, n=10, z=z)


def rejected(name="mutant"):
    return Mutant(name, lambda seed, scale: [z_score(99.0)])


def check(run, *mutants, **more):
    return Check("toy.check", "A toy.", run, mutants or (rejected(),), **more)


# --- measurements ---------------------------------------------------------------------------------


def test_bound_of_one_score_is_four():
    assert bonferroni(1) == pytest.approx(BOUND)
    assert bonferroni(20) > 4.6


def test_bound_holds_the_false_alarm_rate(seed):
    """The largest of n |z| exceeds Bonferroni's bound at the rate asked for; tried at 10%."""
    from scipy import stats

    z = np.abs(np.random.default_rng(seed).normal(size=(20_000, 20))).max(axis=1)
    limit = stats.norm.isf(0.1 / 40)
    share = (z > limit).mean()
    assert abs(share - (1 - 0.995**20)) < 4 * (0.1 * 0.9 / 20_000) ** 0.5
    assert stats.norm.sf(bonferroni(20)) * 40 == pytest.approx(ALPHA)


def test_score_at_the_bound_is_outside():
    assert not judge([z_score(BOUND * (1 + 1e-12))]).accepted
    assert judge([z_score(3.99)]).accepted
    assert not judge([z_score(-BOUND * (1 + 1e-12))]).accepted


def test_identity_may_use_its_tolerance_up():
    assert judge([identity("x", 1.0 + 2.0**-20, 1.0, 2.0**-20)]).accepted
    assert not judge([identity("x", 1.0 + 2.0**-19, 1.0, 2.0**-20)]).accepted


def test_nan_and_nothing_are_broken():
    with pytest.raises(InvalidInput, match="no measurements"):
        judge([])
    with pytest.raises(InvalidInput, match="not a number"):
        judge([z_score(float("nan"))])


def test_error_of_zero_is_refused():
    with pytest.raises(InvalidInput):
        against("x", Estimate(1.0, 0.0, 0.5, 10.0, 10), 1.0)


def test_p_value_and_z_agree():
    assert by_p_value("x", ALPHA, 10, 1.0, 1.0, 1.0).z == pytest.approx(BOUND)
    assert np.isfinite(by_p_value("x", 0.0, 10, 1.0, 1.0, 1.0).z)


def test_calibration(seed):
    z = np.random.default_rng(seed).normal(size=400)
    assert judge(calibration("x", z)).accepted
    for wrong in (z / 1.96, 1.5 * z, z + 0.5):
        assert not judge(calibration("x", wrong)).accepted


# --- the second run -------------------------------------------------------------------------------


def recording(scores):
    """A run that returns these z-scores one after the other, and remembers how it was called."""
    calls = []

    def run(seed, scale):
        calls.append((seed, scale))
        return [z_score(scores[len(calls) - 1])]

    return run, calls


def test_within_bounds_runs_once():
    run, calls = recording([1.0])
    verdict = run_check(check(run), seed=5)
    assert verdict.passed
    assert not verdict.repeated
    assert calls == [(5, 1)]
    assert verdict.false_alarm == pytest.approx(ALPHA**2)


def test_second_run_has_fresh_seed_and_four_times_the_draws():
    run, calls = recording([6.0, 1.0])
    verdict = run_check(check(run), seed=5)
    assert verdict.passed
    assert verdict.repeated
    assert [scale for _, scale in calls] == [1, RETRY_SCALE]
    assert calls[0][0] != calls[1][0]


def test_two_runs_outside_fail():
    run, _ = recording([6.0, 12.0])
    verdict = run_check(check(run), seed=5)
    assert not verdict.passed
    assert verdict.z == 12.0


def test_identity_is_not_repeated():
    calls = []

    def run(seed, scale):
        calls.append(scale)
        return [identity("x", 2.0, 1.0, 1e-12)]

    verdict = run_check(check(run), seed=5)
    assert not verdict.passed
    assert calls == [1]
    assert verdict.false_alarm == 0.0


def test_given_draws_are_not_repeated():
    run, calls = recording([6.0])
    verdict = run_check(check(run, repeatable=False), seed=5)
    assert not verdict.passed
    assert len(calls) == 1
    assert verdict.false_alarm == 0.0 or verdict.false_alarm == pytest.approx(ALPHA)


# --- mutants --------------------------------------------------------------------------------------


def test_check_without_mutants_is_refused():
    with pytest.raises(InvalidInput, match="no mutants"):
        Check("toy.check", "A toy.", lambda seed, scale: [z_score(0.0)], ())


def test_surviving_mutant_fails_its_check():
    survivor = Mutant("survivor", lambda seed, scale: [z_score(0.5)])
    verdict = run_check(check(lambda seed, scale: [z_score(0.5)], rejected(), survivor), seed=5)
    assert not verdict.passed
    assert verdict.survivors == ["survivor"]


def test_mutant_that_is_out_once_by_chance_survives():
    run, calls = recording([5.0, 1.0])
    verdict = run_check(check(lambda seed, scale: [z_score(0.0)], Mutant("lucky", run)), seed=5)
    assert not verdict.passed
    assert [scale for _, scale in calls] == [1, RETRY_SCALE]


def test_mutant_sees_the_seed_of_its_check():
    run, calls = recording([99.0])
    run_check(check(lambda seed, scale: [z_score(0.0)], Mutant("m", run)), seed=5)
    assert calls == [(5, 1)]


def test_mutant_that_raises_shows_nothing():
    def broken(seed, scale):
        raise RuntimeError("not a rejection")

    verdict = run_check(check(lambda seed, scale: [z_score(0.0)], Mutant("m", broken)), seed=5)
    assert not verdict.passed
    assert "not a rejection" in verdict.mutants[0].error


# --- broken checks, seeds, JSON -------------------------------------------------------------------


def test_check_that_raises_has_failed():
    def broken(seed, scale):
        raise RuntimeError("the sampler fell over")

    verdict = run_check(check(broken), seed=5)
    assert not verdict.passed
    assert "the sampler fell over" in verdict.error


def test_warnings_are_kept():
    def run(seed, scale):
        warnings.warn("the chains drift", UserWarning, stacklevel=1)
        return [z_score(0.0)]

    assert run_check(check(run), seed=5).warnings == ("the chains drift",)


def test_seed_depends_on_the_name():
    assert derive_seed(1, "a") != derive_seed(1, "b")
    assert derive_seed(1, "a") != derive_seed(2, "a")


def test_infinite_deviations_are_stored_by_name():
    far = Mutant("far", lambda seed, scale: [z_score(-np.inf)])
    outcome = run_checks([check(lambda seed, scale: [z_score(0.5)], far)], tier="fast", seed=1)
    stored = json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert stored["verdicts"][0]["mutants"][0]["z"] == "-inf"


def test_json_is_plain_and_complete():
    names = []
    checks = [check(lambda seed, scale: [z_score(0.5)]), check(lambda seed, scale: [z_score(9.0)])]
    outcome = run_checks(checks, tier="fast", seed=3, progress=names.append)
    assert names == ["toy.check", "toy.check"]
    stored = json.loads(json.dumps(outcome.to_json(), allow_nan=False))
    assert stored["format"] == FORMAT
    assert stored["passed"] is False
    assert {"python", "numpy", "statmech-ml", "numba"} <= set(stored["versions"])
    assert {"tier", "seed", "started", "seconds", "verdicts"} <= set(stored)
    first, second = stored["verdicts"]
    assert first["passed"] is True
    assert second["passed"] is False
    wanted = {
        "name",
        "claim",
        "passed",
        "z",
        "bound",
        "false_alarm",
        "worst",
        "n",
        "seed",
        "seconds",
    }
    assert wanted <= set(first)
    assert first["mutants"][0]["rejected"] is True
    assert {"name", "value", "exact", "error", "n", "z"} <= set(first["measurements"][0])


def test_same_seed_same_verdict():
    def run(seed, scale):
        return [z_score(float(np.random.default_rng(seed).normal()))]

    one, two = (run_checks([check(run)], tier="fast", seed=3).verdicts[0] for _ in range(2))
    assert one.z == two.z
