"""Trajectory tempering: log Z by BAR up the checkpoints, swaps that keep every level's law."""

import numpy as np
import pytest
import torch
from statistical import chi_square
from training_paths import KINDS, exact_log_z, path_of, shell_of, throughout, two_modes

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration
from statmech_ml.training import EnergyNet, Monitor, TrajectoryTempering, train

QUIET = Monitor(log_likelihood=None, pseudo_likelihood=False, equilibrium=False)
SMALL = TrajectoryTempering(n_chains=64, n_witnesses=64, acceptance=0.6)


@pytest.mark.parametrize("kind", KINDS)
def test_log_z_is_exact_throughout(seed, assert_unbiased, kind):
    steps = {"rate": 0.2} if kind in ("bits bits", "spins spins", "potts", "boltzmann") else {}
    runs = 4 if kind == "bits bits" else 1
    assert_unbiased(throughout(kind, SMALL, n_runs=runs, **steps), seed)


class TurnedWork(TrajectoryTempering):
    """log Z ratios of the pairs with the wrong sign."""

    def log_z(self, shell, carried):
        found = super().log_z(shell, carried)
        reference = float(carried["log_z_reference"])
        return type(found)(2 * reference - found.value, found.stderr)


def test_turned_work_is_rejected(seed, assert_rejected):
    method = TurnedWork(n_chains=64, n_witnesses=64, acceptance=0.6)
    assert_rejected(throughout("bits bits", method, n_runs=1, rate=0.2), seed)


class SwapBlindly(TrajectoryTempering):
    """The model and its last checkpoint exchange all configurations."""

    def _moved(self, models, shell, carried, seed, step):
        carried = super()._moved(models, shell, carried, seed, step)
        return carried | {"x": np.concatenate([carried["x"][:-2], carried["x"][-2:][::-1]])}


def least_p_value(kind, seed):
    """Of the states of every level after sweeps and swaps at fixed parameters, by chi-square."""
    shell = shell_of("bits bits", scale=1.2)
    method = kind(n_chains=3000, n_witnesses=0, acceptance=0.8)
    carried = method.init(shell, two_modes(shell), seed)
    before = {name: p.detach().clone() for name, p in shell.named_parameters()}
    for step in range(9):
        carried, kept = method.stepped(shell, before, carried, seed, step)
        assert kept
    models = [*method._models(shell, carried), shell.freeze()]
    assert len(models) > 2
    return min(
        chi_square(np.bincount(m.space.index(x), minlength=32), enumeration.distribution(m, 1.0))
        for m, x in zip(models, carried["x"], strict=True)
    )


def test_levels_keep_their_law(seed):
    assert least_p_value(TrajectoryTempering, seed) > 1e-6


def test_blind_swaps_are_refuted(seed):
    assert least_p_value(SwapBlindly, seed) < 1e-6


def test_ladder_grows_where_swaps_ask_for_it():
    shell = shell_of("spins spins")
    path, carried, rejected = path_of(shell, SMALL, 3, 30, 0.2)
    n_levels = len(carried["x"])
    assert n_levels > 2
    assert rejected == 0
    assert carried["level.weights"].shape == (n_levels - 1, 5, 3)
    assert not carried["level.weights"][0].any()
    assert carried["guess"].shape == (n_levels - 2,)
    assert carried["swap_acceptance"].min() > 0.3
    assert path[-1][0].diagnostics["log_z_checkpoints"].shape == (n_levels - 1,)
    assert path[-1][0].ok


def test_strong_start_gets_checkpoints_of_its_own():
    shell = shell_of("spins spins", scale=1.5)
    carried = SMALL.init(shell, two_modes(shell), 1)
    assert len(carried["x"]) > 3
    found = SMALL.log_z(shell, {**carried, **SMALL.stepped(shell, {}, carried, 1, 0)[0]})
    assert abs(found.z(exact_log_z(shell.freeze()))) < 6


def test_steps_that_nothing_swaps_with_are_rejected():
    shell = shell_of("bits bits")
    start = {name: p.detach().clone() for name, p in shell.named_parameters()}
    path, carried, rejected = path_of(shell, SMALL, 3, 10, 100.0)
    assert rejected == 10
    assert len(carried["x"]) == len(SMALL.init(shell, two_modes(shell), 3)["x"])
    for name, p in shell.named_parameters():
        assert torch.equal(p, start[name])
    assert abs(path[-1][0].z(path[-1][1])) < 6


def test_rejected_steps_are_in_the_history():
    shell = shell_of("bits bits")
    history = train(
        shell, two_modes(shell), SMALL, epochs=1, rng=1, learning_rate=100.0, monitor=QUIET
    )
    assert history["rejected"][0] == 1.0
    gentle = train(shell, two_modes(shell), SMALL, epochs=1, rng=1, monitor=QUIET)
    assert gentle["rejected"][0] == 0.0


def test_machine_without_interactions_is_exact():
    shell = shell_of("bits bits", scale=0.0)
    found = SMALL.log_z(shell, SMALL.init(shell, two_modes(shell), 1))
    assert (found.status, found.stderr) == ("exact", 0.0)
    assert found.value == pytest.approx(exact_log_z(shell.freeze()), abs=1e-12)


def test_resume_bit_for_bit(tmp_path):
    data = two_modes(shell_of("bits bits"))
    whole, stopped = shell_of("bits bits"), shell_of("bits bits")
    settings = {"rng": 3, "batch_size": 100, "learning_rate": 0.3, "monitor": QUIET}
    history = train(whole, data, SMALL, epochs=6, **settings)
    assert history["n_levels"][-1] > history["n_levels"][0] - 1
    file = tmp_path / "run.safetensors"
    train(stopped, data, SMALL, epochs=3, checkpoint=file, **settings)
    train(stopped, data, SMALL, epochs=6, checkpoint=file, resume=True, **settings)
    for a, b in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_witnesses_there_is_no_log_z():
    shell = shell_of("bits bits")
    method = TrajectoryTempering(n_chains=16, n_witnesses=0)
    carried = method.init(shell, two_modes(shell), 1)
    assert method.log_z(shell, carried) is None
    assert method.negatives(shell, two_modes(shell), carried, 1, 0).shape == (16, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0"), ({"n_chains": 2}, "n_chains=2"), ({"n_witnesses": 2}, "n_witnesses=2"),
        ({"acceptance": 1.0}, "between 0 and 1"), ({"acceptance": "often"}, "between 0 and 1"),
    ],
)  # fmt: skip
def test_bad_settings(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        TrajectoryTempering(**arguments)


def test_networks_have_no_known_start():
    with pytest.raises((InvalidInput, MissingCapability)):
        TrajectoryTempering().check(EnergyNet.dense(2, (4,), rng=1), np.zeros((10, 2)))
