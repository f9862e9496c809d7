"""LogZ prints as physicists write, and its thresholds answer no where they should."""

import math

import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.partition import LogZ, logz


def test_prints_value_error_and_evidence():
    result = LogZ(951.64213, 0.0312, method="ais", diagnostics={"ess": 187.2, "n_chains": 256})
    assert str(result) == "log_z = 951.642(31) [ais, ess 187/256]"
    assert result.ok


def test_prints_what_is_wrong():
    result = LogZ(
        9.5, 0.5, method="ais", status="low ess", diagnostics={"ess": 6.4, "n_chains": 256}
    )
    assert str(result) == "log_z = 9.50(50) [ais, ess 6/256, low ess]"
    assert not result.ok


def test_exact_results_have_no_error_bar():
    result = LogZ(1.5, 0.0, 1.5, 1.5, method="exact", status="exact", diagnostics={"n_states": 8})
    assert str(result) == "log_z = 1.5 [exact, 8 states]"
    assert result.ok


@pytest.mark.parametrize("status", ["lower bound", "approximate", "not converged"])
def test_deterministic_approximations_have_no_error_bar(status):
    result = LogZ(951.64213, math.inf, method="mean field", status=status)
    assert str(result) == f"log_z = 951.642 [mean field, {status}]"
    assert not result.ok


def test_an_error_that_is_not_known_is_shown():
    result = LogZ(9.5, math.inf, method="ais", status="low ess")
    assert str(result) == "log_z = 9.5(inf) [ais, low ess]"


def test_effective_draws_are_counted_among_all_draws():
    counts = {"ess": 500.0, "n_chains": 32}
    assert "ess 500/32," in str(LogZ(9.5, 0.1, method="x", status="s", diagnostics=counts))
    counts["n_draws"] = 200
    assert "ess 500/6400," in str(LogZ(9.5, 0.1, method="x", status="s", diagnostics=counts))


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ({}, "ok"),
        ({"ess": logz.MIN_ESS}, "ok"),
        ({"ess": logz.MIN_ESS - 0.1}, "low ess"),
        ({"ess": math.nan}, "low ess"),
        ({"overlap": 0.029}, "low overlap"),
        ({"overlap": math.nan}, "low overlap"),
        ({"disagreement": -4.1}, "forward and reverse disagree"),
        ({"disagreement": math.nan}, "forward and reverse disagree"),
        ({"discretisation": 1.1}, "coarse ladder"),
        ({"discretisation": math.nan}, "coarse ladder"),
        ({"round_trips": 9}, "few round trips"),
        ({"round_trips": math.nan}, "few round trips"),
        ({"round_trips": 31, "n_chains": 32}, "few round trips"),
        ({"round_trips": 32, "n_chains": 32}, "ok"),
        ({"ess": 159.0, "n_chains": 32}, "low ess"),
        ({"ess": 160.0, "n_chains": 32}, "ok"),
        ({"drift": -4.1}, "drifting"),
        ({"drift": math.nan}, "drifting"),
        ({"n_chains": logz.MIN_CHAINS - 1}, "few chains"),
        ({"n_chains": logz.MIN_CHAINS}, "ok"),
    ],
)
def test_verdicts(evidence, status):
    assert logz.judge(**evidence) == status


def test_z_needs_an_error():
    assert LogZ(1.0, 0.5).z(2.0) == -2.0
    for stderr in (0.0, math.inf):
        with pytest.raises(InvalidInput, match="counted in errors"):
            LogZ(1.0, stderr).z(1.0)
