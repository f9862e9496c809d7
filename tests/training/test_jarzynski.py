"""Jarzynski-weighted walkers: log Z equal to the exact one throughout training, for every shell."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from training_paths import KINDS, exact_log_z, shell_of, throughout, two_modes

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration
from statmech_ml.models import BernoulliRBM
from statmech_ml.samplers import State
from statmech_ml.training import EnergyNet, JarzynskiPCD, Monitor, train
from statmech_ml.training._independent import independent, scaled, with_parameters

QUIET = Monitor(log_likelihood=None, pseudo_likelihood=False, equilibrium=False)


SMALL = JarzynskiPCD(n_chains=64, n_witnesses=64, start_levels=4)


@pytest.mark.parametrize("kind", KINDS)
def test_log_z_is_exact_throughout(seed, assert_unbiased, kind):
    assert_unbiased(throughout(kind, SMALL, n_runs=4 if kind == "bits bits" else 1), seed)


# --- mutants --------------------------------------------------------------------------------------


class WrongSign(JarzynskiPCD):
    """Weights gain new minus old."""

    def _walked(self, model, shell, carried, seed):
        new = np.asarray(model.reduced_energy(carried["x"], 1.0))
        turned = carried | {"energy": 2.0 * new - carried["energy"]}
        return super()._walked(model, shell, turned, seed)


class MovesFirst(JarzynskiPCD):
    """Walkers move under the new parameters, and are weighed where they are then."""

    def stepped(self, shell, before, carried, seed, step):
        old = with_parameters(shell, {name: p.numpy() for name, p in before.items()}).freeze()
        state = State(carried["x"], seed + 1, np.arange(len(carried["x"]), dtype=np.uint32), step)
        x = shell.sampler().advance(shell.freeze(), state, np.ones(len(state.x)), 1)[0].x
        late = carried | {"x": x, "energy": np.asarray(old.reduced_energy(x, 1.0))}
        return super().stepped(shell, before, late, seed, step)


class DriversTestify(JarzynskiPCD):
    """log Z from the walkers that drove the gradient."""

    def log_z(self, shell, carried):
        n = self.n_chains
        drivers = carried | {
            "log_weights": np.concatenate([carried["log_weights"][:n]] * 2),
            "log_z": np.repeat(carried["log_z"][:1], 1 + self.n_populations),
        }
        return super().log_z(shell, drivers)


@pytest.mark.parametrize("mutant", [WrongSign, MovesFirst, DriversTestify])
def test_mutants_are_rejected(seed, assert_rejected, mutant):
    method = mutant(n_chains=64, n_witnesses=256, start_levels=4)
    assert_rejected(throughout("bits bits", method, n_runs=4), seed)


# --- the walk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_start_without_interactions_is_exact(kind):
    shell = shell_of(kind)
    start = independent(shell, 50, 3)
    bare = scaled(shell, 0.0).freeze()
    assert start.log_z == pytest.approx(exact_log_z(bare), abs=1e-10)
    assert start.x.shape == (50, shell.space.size)
    assert start.x.dtype == shell.space.dtype


def test_start_draws_follow_their_law(seed, assert_unbiased):
    shell = shell_of("potts", scale=0.0)

    def run(s, scale):
        n = 4000 * scale
        x = independent(shell, n, s).x
        p = enumeration.distribution(shell.freeze(), 1.0)
        count = np.bincount(shell.space.index(x), minlength=len(p))
        return (count - n * p) / np.sqrt(n * p)

    assert_unbiased(run, seed)


def test_machine_without_interactions_is_exact():
    shell = shell_of("bits bits", scale=0.0)
    carried = SMALL.init(shell, two_modes(shell), 1)
    found = SMALL.log_z(shell, carried)
    assert (found.status, found.stderr) == ("exact", 0.0)
    assert found.value == pytest.approx(exact_log_z(shell.freeze()), abs=1e-12)


def test_weighted_walkers_average_like_the_model(seed, assert_unbiased):
    """The gradient's model phase, with weights that matter: interactions come in one step."""
    shell = shell_of("bits bits", scale=1.0)

    def run(s, scale):
        method = JarzynskiPCD(
            n_chains=4000 * scale, n_witnesses=0, start_levels=1, resample_below=0.0
        )
        carried = method.init(shell, two_modes(shell), s)
        share = np.exp(carried["log_weights"] - logsumexp(carried["log_weights"]))
        assert share.std() * len(share) > 0.1
        model = shell.freeze()
        z = []
        for i in range(5):
            exact = enumeration.mean(model, 1.0, lambda v, i=i: v[..., i].astype(float))
            away = carried["x"][:, i] - exact
            z.append((share @ away) / np.sqrt((share**2) @ away**2))
        return np.array(z)

    assert_unbiased(run, seed)


def test_resampling_books_its_weights():
    shell = shell_of("bits bits")
    eager = JarzynskiPCD(n_chains=32, n_witnesses=64, resample_below=1.0, start_levels=4)
    carried = eager.init(shell, two_modes(shell), 2)
    assert not carried["log_weights"].any()
    assert np.ptp(carried["log_z"][1:]) > 0.0
    never = JarzynskiPCD(n_chains=32, n_witnesses=64, resample_below=0.0, start_levels=4)
    kept = never.init(shell, two_modes(shell), 2)
    assert np.ptp(kept["log_z"]) == 0.0
    assert abs(never.log_z(shell, kept).z(exact_log_z(shell.freeze()))) < 6


def test_strong_start_is_said_to_be_unreliable():
    shell = shell_of("spins spins", scale=6.0)
    method = JarzynskiPCD(n_chains=32, n_witnesses=64, resample_below=0.0, start_levels=1)
    found = method.log_z(shell, method.init(shell, two_modes(shell), 1))
    assert not found.ok


def test_history_and_resume_bit_for_bit(tmp_path):
    data = two_modes(shell_of("bits bits"))
    whole, stopped = shell_of("bits bits"), shell_of("bits bits")
    settings = {"rng": 3, "batch_size": 100, "learning_rate": 0.1, "monitor": QUIET}
    history = train(whole, data, SMALL, epochs=4, **settings)
    assert history["ess"].min() > 10
    file = tmp_path / "run.safetensors"
    train(stopped, data, SMALL, epochs=2, checkpoint=file, **settings)
    train(stopped, data, SMALL, epochs=4, checkpoint=file, resume=True, **settings)
    for a, b in zip(whole.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_witnesses_there_is_no_log_z():
    shell = shell_of("bits bits")
    method = JarzynskiPCD(n_chains=16, n_witnesses=0)
    carried = method.init(shell, two_modes(shell), 1)
    assert method.log_z(shell, carried) is None
    assert method.negatives(shell, two_modes(shell), carried, 1, 0).shape == (16, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0"), ({"n_chains": 1}, "n_chains=1"), ({"n_witnesses": 100}, "multiple"),
        ({"n_witnesses": 16}, "multiple"), ({"n_populations": 3}, "n_populations=3"),
        ({"resample_below": 1.5}, "from 0 to 1"), ({"start_levels": 0}, "start_levels=0"),
    ],
)  # fmt: skip
def test_bad_settings(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        JarzynskiPCD(**arguments)


def test_networks_have_no_known_start():
    net = EnergyNet.dense(2, (4,), rng=1)
    with pytest.raises((InvalidInput, MissingCapability)):
        JarzynskiPCD().check(net, np.zeros((10, 2)))
    assert BernoulliRBM([0.0], [0.0], [[0.0]]).space.size == 1
