"""`python -m validation`: exit status, --only, --list, seeds, and the report's folder."""

import json
import pickle
import subprocess
import sys

import pytest

from validation import Check, Mutant, __main__
from validation.__main__ import main
from validation.check import Measurement
from validation.checks import all_checks
from validation.runner import run_checks


def toy(name, z=0.0, mutant_z=99.0, tier="fast"):
    def score(value):
        return lambda seed, scale: [Measurement("x", value, 0.0, 1.0, 10, value)]

    return Check(name, f"{name} holds.", score(z), (Mutant("mistake", score(mutant_z)),), tier)


@pytest.fixture
def checks(monkeypatch):
    """Replace the checks of the command by these."""

    def use(*chosen):
        monkeypatch.setattr(__main__, "all_checks", lambda dataset: chosen)

    return use


def test_all_passed(checks, capsys):
    checks(toy("a.one"), toy("b.two"))
    assert main(["--seed", "1"]) == 0
    printed = capsys.readouterr()
    assert "2 of 2 checks passed, 2 of 2 mutants" in printed.out
    assert "seed 1" in printed.out
    assert printed.err == ""  # no progress bar in a pipe


def test_failing_check_gives_status_one(checks, capsys):
    checks(toy("a.one"), toy("b.two", z=9.0))
    assert main(["--seed", "1"]) == 1
    assert "b.two failed" in capsys.readouterr().out


def test_surviving_mutant_gives_status_one(checks, capsys):
    checks(toy("a.one", mutant_z=0.1))
    assert main(["--seed", "1"]) == 1
    assert "did not reject mistake" in capsys.readouterr().out


def test_seed_is_printed_when_none_is_given(checks, capsys):
    checks(toy("a.one"))
    assert main([]) == 0
    assert "repeat with --seed" in capsys.readouterr().out


@pytest.mark.parametrize("pattern", ["two", "b.*", "b.two"])
def test_only(checks, capsys, pattern):
    checks(toy("a.one", z=9.0), toy("b.two"))
    assert main(["--seed", "1", "--only", pattern]) == 0
    assert "a.one" not in capsys.readouterr().out


def test_only_without_match_names_the_checks(checks, capsys):
    checks(toy("a.one"), toy("b.two"))
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "nothing"])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "a.one" in message
    assert "b.two" in message


def test_fast_tier_leaves_the_full_one_out(checks, capsys):
    checks(toy("a.one"), toy("b.slow", z=9.0, tier="full"))
    assert main(["--seed", "1"]) == 0
    assert main(["--seed", "1", "--tier", "full"]) == 1


def test_list_runs_nothing(checks, capsys):
    checks(toy("a.one", z=9.0))
    assert main(["--list"]) == 0
    assert "a.one holds." in capsys.readouterr().out


def test_negative_seed_is_refused(checks):
    checks(toy("a.one"))
    with pytest.raises(SystemExit):
        main(["--seed", "-1"])


def test_no_workers_are_refused(checks):
    checks(toy("a.one"))
    with pytest.raises(SystemExit):
        main(["--workers", "0"])


@pytest.mark.slow
def test_processes_give_the_same_verdicts():
    chosen = [c for c in all_checks() if c.name in ("exact.ring", "exact.rbm", "statistics.tau")]
    alone, shared = (
        run_checks(chosen, tier="fast", seed=7, workers=workers).verdicts for workers in (1, 2)
    )
    assert [v.name for v in alone] == [v.name for v in shared]
    assert [(v.passed, v.measurements, v.mutants) for v in alone] == [
        (v.passed, v.measurements, v.mutants) for v in shared
    ]


def test_every_check_can_be_sent_to_another_process():
    assert all(pickle.loads(pickle.dumps(check)).name == check.name for check in all_checks())


def test_missing_dataset_is_an_error(tmp_path, capsys):
    assert main(["--seed", "1", "--dataset", str(tmp_path / "none.zarr")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_report_that_cannot_be_written(checks, tmp_path, capsys):
    checks(toy("a.one"))
    (tmp_path / "file").write_text("in the way")
    assert main(["--seed", "1", "--report", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_names_are_unique_and_every_check_has_mutants():
    checks = all_checks()
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert all(check.mutants for check in checks)
    assert all("." in name and name == name.lower() for name in names)
    assert all(check.claim.endswith(".") for check in checks)


@pytest.mark.slow
def test_identities_hold_in_a_process_of_their_own(tmp_path):
    """The real command on real checks, those that need no sampling."""
    done = subprocess.run(
        [sys.executable, "-m", "validation", "--only", "exact.r*", "--seed", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exact.ring" in done.stdout


def test_small_sample_of_the_fast_tier(seed, tmp_path, capsys):
    """One statistical check of each kind, through the command, into verdicts.json."""
    report = tmp_path / "report"
    status = main(["--only", "*.t[aw]*", "--seed", str(seed), "--report", str(report)])
    assert status == 0, capsys.readouterr().out
    stored = json.loads((report / "verdicts.json").read_text())
    assert {v["name"] for v in stored["verdicts"]} == {
        "approximations.tap-orders",
        "samplers.twins",
        "statistics.tau",
    }
