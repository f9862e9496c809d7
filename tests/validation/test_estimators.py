"""The calibration of estimators: who takes part, what is counted, and the page about it."""

import inspect
import json
import math

import numpy as np
import pytest

import statmech_ml.partition
from statmech_ml.partition import LogZ, logz
from validation import statuses
from validation.check import judge
from validation.checks import calibration
from validation.checks.calibration import RUNS, SHARE, Runs, half_width, independent_pairs
from validation.estimators import ESTIMATORS
from validation.targets import TARGETS, gaussian_machine_law


def stochastic():
    """Every exported function that estimates from a path and a seed."""
    found = {}
    for name in statmech_ml.partition.__all__:
        f = getattr(statmech_ml.partition, name)
        if inspect.isfunction(f):
            parameters = list(inspect.signature(f).parameters)
            if parameters[0] == "path" and "rng" in parameters:
                found[name] = f
    return found


def test_no_estimator_is_left_out():
    run = {getattr(e.run, "func", e.run) for e in ESTIMATORS.values()}
    missing = [name for name, f in stochastic().items() if f not in run and name != "compare"]
    assert not missing


def test_targets_of_estimators_exist():
    assert all(set(e.targets) <= set(TARGETS) for e in ESTIMATORS.values())
    assert all(set(e.exceptions) <= set(e.targets) for e in ESTIMATORS.values())


@pytest.mark.parametrize("name", TARGETS)
def test_draws_of_targets(name, seed):
    """They have the shape that estimators ask for, are allowed, and follow from the seed."""
    target = TARGETS[name]
    x = target.draw(seed, 50)
    assert x.shape == (50, *target.path.model.space.event_shape)
    assert np.isfinite(target.path.reduced_energy(x, 1.0)).all()
    assert math.isfinite(target.log_z)
    again = target.draw(seed, 50)
    np.testing.assert_array_equal(x, again)


def test_gaussian_machine_law(seed):
    """The Gaussian integrals over v, by hand for one unit of each kind."""
    from statmech_ml.models import GaussianRBM

    model = GaussianRBM([0.3], [0.2], [[0.7]], sigma=[1.4])
    _, log_weight = gaussian_machine_law(model)
    grid = np.linspace(-30, 30, 200_001)[:, None]
    for state in (0, 1):
        energy = model.joint_energy(grid, np.full((len(grid), 1), state))
        total = np.exp(-energy).sum() * (grid[1, 0] - grid[0, 0])
        assert log_weight[state] == pytest.approx(math.log(total), abs=1e-9)


# --- what is counted ------------------------------------------------------------------------------


def runs(z, ok=None, stderr=0.1, log_z=0.0):
    z = np.asarray(z, np.float64)
    ok = np.ones(len(z), bool) if ok is None else ok
    error = np.full(len(z), stderr)
    return Runs(log_z + z * error, error, log_z + z * error, error, ok)


def scores(seed, n=RUNS):
    z = np.random.default_rng(seed).normal(size=n)
    return (z - z.mean()) / z.std()


EASY = next(t for t in TARGETS.values() if t.easy)
HARD = next(t for t in TARGETS.values() if not t.easy)


def judged(target, done):
    return judge(calibration._judged(target, done, unbiased=False)[0]).accepted


def test_honest_runs_pass(seed):
    assert judged(EASY, runs(scores(seed), log_z=EASY.log_z))
    assert not judged(EASY, half_width(EASY, runs(scores(seed), log_z=EASY.log_z)))


def test_runs_that_say_no_are_left_out_and_counted(seed):
    z, ok = scores(seed), np.arange(RUNS) >= 3
    z[~ok] = 50.0
    done = runs(z, ok, log_z=EASY.log_z)
    found, kept = calibration._judged(EASY, done, unbiased=False)
    assert len(kept) == RUNS - 3
    assert found[0].name == f"{SHARE}{EASY.name}"
    assert found[0].value == pytest.approx(1 - 3 / RUNS)
    assert judge(found).accepted


def test_ninety_percent_on_easy_targets_only(seed):
    for n, accepted in ((RUNS // 10, True), (RUNS // 10 + 1, False)):
        ok = np.arange(RUNS) >= n
        assert judged(EASY, runs(scores(seed), ok, log_z=EASY.log_z)) is accepted
        assert judged(HARD, runs(scores(seed), ok, log_z=HARD.log_z))


def test_nothing_trusted_is_counted_too(seed):
    found, z = calibration._judged(HARD, runs(scores(seed), np.zeros(RUNS, bool)), unbiased=True)
    assert [m.name for m in found] == [f"{SHARE}{HARD.name}"]
    assert len(z) == 0


def test_lying_status_is_noticed(seed):
    """A bias of two errors behind a status of ok."""
    done = runs(scores(seed) + 2.0, log_z=HARD.log_z)
    assert not judged(HARD, done)


def test_pairs_of_levels_are_added_in_quadrature():
    results = iter([LogZ(1.0, 0.5, diagnostics={"difference_stderr": [0.3, 0.4]})])
    done = calibration._collected(lambda seed: next(results), 1, 0)
    assert independent_pairs(EASY, done).stderr == pytest.approx([0.5])


# --- the page -------------------------------------------------------------------------------------


def test_page_shows_the_statuses_of_the_verdicts():
    shown = statuses.on_page()
    assert shown == statuses.stored(), "write it anew: python -m validation.statuses"


def test_statuses_that_drift_are_noticed():
    share = {"name": f"{SHARE}a glass", "value": 0.5, "n": 40}
    z = {"name": "mean z of log Z, a glass", "value": 0.1, "n": 20}
    verdict = {"claim": "ais: over 40 seeds", "measurements": [share, z]}
    assert statuses.table([verdict]) != statuses.table([{**verdict, "measurements": [z]}])
    assert "| ais | a glass | 20 of 40 |" in statuses.table([verdict])


def test_page_shows_the_thresholds():
    page = statuses.PAGE.read_text()
    for status, threshold in (
        (logz.LOW_ESS, f"below {logz.MIN_ESS:g}"),
        (logz.LOW_OVERLAP, f"below {logz.MIN_OVERLAP:g}"),
        (logz.DISAGREE, f"more than {int(logz.MAX_DISAGREEMENT)} errors"),
        (logz.COARSE, f"above {logz.MAX_DISCRETISATION:g} sampling error"),
        (logz.FEW_ROUND_TRIPS, f"fewer than {logz.MIN_ROUND_TRIPS} round trips"),
        (logz.LEVELS_MISSED, f"more than {logz.MAX_MISSED:g} errors"),
        (logz.WALKERS_DISAGREE, f"more than {logz.MAX_SPREAD:g}"),
    ):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {status} |")]
        assert threshold in row


def test_page_names_every_status():
    page = statuses.PAGE.read_text()
    constants = [v for k, v in vars(logz).items() if k.isupper() and isinstance(v, str)]
    assert constants
    assert all(status in page for status in constants)


def test_page_names_every_estimator():
    page = statuses.PAGE.read_text()
    names = {name for name in stochastic() if name != "compare"}
    assert names
    assert all(f"`{name}`" in page for name in names)


def test_stored_verdicts_are_of_this_layout():
    stored = json.loads(statuses.VERDICTS.read_text())
    assert stored["tier"] == "full"
    for verdict in statuses.calibrated(stored["verdicts"]):
        assert verdict["claim"].partition(":")[0] in ESTIMATORS
