"""What is measured during training: likelihoods, pseudo-likelihoods, equilibrium, the history."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from statmech_ml.errors import InvalidInput, MissingCapability, TrainingWarning
from statmech_ml.exact import enumeration
from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, GaussianRBM, PottsRBM
from statmech_ml.training import (
    CD,
    ExactGradient,
    History,
    Monitor,
    PersistentCD,
    Trainable,
    pseudo_log_likelihood,
    train,
)
from statmech_ml.training import pseudo_likelihood as module
from statmech_ml.training.equilibrium import MAX_DRIFT, MAX_Z, Equilibrium, principal_axis, probe

G = np.random.default_rng(12)
J = np.triu(G.normal(0, 0.5, (5, 5)), 1)
MODELS = [
    BernoulliRBM(G.normal(size=5), G.normal(size=3), G.normal(size=(5, 3))),
    RBM(G.normal(size=5), G.normal(size=3), G.normal(size=(5, 3)), "spins", "spins"),
    RBM(G.normal(size=5), G.normal(size=3), G.normal(0, 0.5, (5, 3)), "spins", "normal"),
    PottsRBM(G.normal(size=(4, 3)), G.normal(size=2), G.normal(size=(4, 3, 2))),
    BoltzmannMachine(G.normal(size=5), J + J.T, visible="spins"),
    BoltzmannMachine(G.normal(size=5), J + J.T, G.normal(size=2), G.normal(size=(5, 2))),
]


def brute_pseudo_likelihood(model, x):
    """sum_i log p(x_i | x_-i) from the enumerated law."""
    law = enumeration.distribution(model, 1.0)
    total = np.zeros(len(x))
    for i in range(model.space.size):
        others = []
        for value in model.space.values:
            changed = x.copy()
            changed[:, i] = value
            others.append(law[model.space.index(changed)])
        total += np.log(law[model.space.index(x)] / np.sum(others, axis=0))
    return total


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_pseudo_likelihood_is_exact(model, monkeypatch):
    shell = model.thaw(torch.float64)
    x = model.space.random(1, np.arange(12, dtype=np.uint32))
    expected = brute_pseudo_likelihood(model, x)
    np.testing.assert_allclose(pseudo_log_likelihood(shell, shell.tensor(x)), expected, rtol=1e-10)
    # The general way gives the same; a mutant of the sign does not.
    monkeypatch.setattr(module, "TrainableRBM", type(None))
    np.testing.assert_allclose(pseudo_log_likelihood(shell, shell.tensor(x)), expected, rtol=1e-10)
    right = module._Rise.__call__
    monkeypatch.setattr(module._Rise, "__call__", lambda *a: -right(*a))
    assert np.abs(pseudo_log_likelihood(shell, shell.tensor(x)).numpy() - expected).max() > 1e-3


def test_pseudo_likelihood_needs_values():
    shell = GaussianRBM([0.0], [0.0], [[1.0]]).thaw()
    with pytest.raises(MissingCapability, match="real"):
        pseudo_log_likelihood(shell, shell.tensor([[0.5]]))


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_history_has_the_exact_likelihoods(model):
    shell = model.thaw(torch.float64)
    g = np.random.default_rng(2)
    x = model.space.random(1, np.arange(40, dtype=np.uint32))
    validation = model.space.random(2, np.arange(15, dtype=np.uint32))
    history = train(
        shell, x, ExactGradient(), epochs=2, rng=int(g.integers(9)), batch_size=20,
        validation_data=validation,
    )  # fmt: skip
    after = shell.freeze()
    law = enumeration.distribution(after, 1.0)
    for prefix, data in (("", x), ("validation_", validation)):
        mean = np.log(law[model.space.index(data)]).mean()
        assert history[f"{prefix}log_likelihood"][-1] == pytest.approx(mean, rel=1e-10)
        pseudo = brute_pseudo_likelihood(after, data).mean()
        assert history[f"{prefix}pseudo_likelihood"][-1] == pytest.approx(pseudo, rel=1e-10)
        assert f"{prefix}log_likelihood_error" not in history
    assert history["log_z"][-1] == pytest.approx(float(enumeration.log_z(after, 1.0)), rel=1e-10)


def test_annealed_likelihood_has_an_error(seed, assert_unbiased, assert_rejected):
    """Of machines too large to sum AIS is used, and its error is honest against the exact sum."""
    g = np.random.default_rng(4)
    model = BernoulliRBM(g.normal(size=20), g.normal(size=18), g.normal(0, 0.3, (20, 18)))
    x = model.space.random(1, np.arange(20, dtype=np.uint32))
    from statmech_ml.exact import rbm as exact_rbm

    exact = float(-model.free_energy(x).mean()) - exact_rbm.log_z(model)

    def score(s, scale, shift=0.0):
        monitor = Monitor(
            pseudo_likelihood=False, equilibrium=False, ais_levels=50, ais_chains=100 * scale
        )
        history = train(
            model.thaw(torch.float64), x, CD(), epochs=1, rng=s, batch_size=20,
            learning_rate=0.0, monitor=monitor,
        )  # fmt: skip
        value, error = history.last("log_likelihood")
        assert error == history["log_z_error"][-1] > 0.0
        return np.array([(value + shift - exact) / error])

    assert_unbiased(score, seed)
    assert_rejected(lambda s, scale: score(s, scale, shift=1.0), seed)


def test_a_part_of_the_data_has_an_error():
    shell = MODELS[0].thaw()
    x = MODELS[0].space.random(1, np.arange(400, dtype=np.uint32))
    few = Monitor(samples=100, pseudo_samples=50, equilibrium=False)
    history = train(shell, x, CD(), epochs=1, rng=1, learning_rate=0.0, monitor=few)
    all_of_them = Monitor(pseudo_samples=400, equilibrium=False)
    full = train(shell, x, CD(), epochs=1, rng=1, learning_rate=0.0, monitor=all_of_them)
    for name in ("log_likelihood", "pseudo_likelihood"):
        value, error = history.last(name)
        assert full.last(name)[1] == 0.0
        assert error > 0.0
        assert abs(value - full.last(name)[0]) < 4 * error  # p = 6e-5, and the seed is fixed


def test_every_other_epoch():
    x = MODELS[0].space.random(1, np.arange(100, dtype=np.uint32))
    history = train(MODELS[0].thaw(), x, CD(), epochs=4, rng=1, monitor=Monitor(every=2))
    assert np.isnan(history["log_likelihood"]).tolist() == [True, False, True, False]
    assert not np.isnan(history["energy_data"]).any()
    nothing = train(MODELS[0].thaw(), x, CD(), epochs=2, rng=1, monitor=None)
    assert "log_likelihood" not in nothing
    assert "energy_model" in nothing


def test_real_units_are_watched_too():
    machine = GaussianRBM(np.zeros(3), np.zeros(2), np.full((3, 2), 0.3))
    x = machine.space.random(1, np.arange(100, dtype=np.uint32))
    history = train(machine.thaw(), x, PersistentCD(1, 50), epochs=2, rng=1)
    assert "pseudo_likelihood" not in history
    assert {"log_likelihood", "mixing_time", "ess"} <= set(history.series)


# --- equilibrium ----------------------------------------------------------------------------------


def structured(n: int, seed: int):
    """All bits equal up to a tenth of flips: two far modes."""
    g = np.random.default_rng(seed)
    side = g.integers(0, 2, (n, 1))
    return (side ^ (g.random((n, 12)) < 0.1)).astype(np.int8)


def small_start(seed: int):
    return BernoulliRBM(
        np.zeros(12), np.zeros(8), np.random.default_rng(seed).normal(0, 0.01, (12, 8))
    ).thaw()


def test_calm_training_is_in_equilibrium(seed):
    """Small steps, ten sweeps each: no epoch is out of equilibrium, and nothing warns."""
    data = structured(500, seed)
    history = train(
        small_start(seed), data, PersistentCD(10, 300), epochs=5, rng=seed, learning_rate=0.05
    )
    assert history["out_of_equilibrium"].tolist() == [0.0] * 5


@pytest.mark.parametrize(("method", "rate"), [(CD(1), 1.0), (PersistentCD(1, 100), 10.0)])
def test_wild_training_is_not(method, rate, seed):
    """CD-1 whose chains remember the data, and PCD with a large learning rate."""
    data = structured(500, seed)
    with pytest.warns(TrainingWarning, match="out of equilibrium"):
        history = train(
            small_start(seed), data, method, epochs=15, rng=seed, learning_rate=rate, batch_size=50
        )
    assert history["out_of_equilibrium"][-5:].mean() > 0.5


def test_probe_measures_the_mixing_time_and_the_drift(seed):
    """Of one hidden and one visible spin the chain is two-state: tau = 1/2 (1 + r) / (1 - r) with
    r = tanh(W)^2; chains all on one side drift if the field points to the other."""
    model = RBM([0.0], [0.0], [[1.0]])
    shell = model.thaw()
    x = model.space.random(seed, np.arange(2000, dtype=np.uint32))
    found = probe(shell, x, np.ones(1), 100, math.inf, seed)
    r = math.tanh(1.0) ** 2
    assert found.mixing_time == pytest.approx(
        0.5 * (1 + r) / (1 - r), abs=5 * found.mixing_time_error
    )
    assert found.mixing_time_error < 0.1
    biased = RBM([1.0], [0.0], [[1.0]]).thaw()
    lagging = probe(biased, -np.ones((500, 1), np.int8), np.ones(1), 100, math.inf, seed)
    assert lagging.broken
    assert lagging.drift < -MAX_DRIFT
    assert lagging.drift_z < -MAX_Z


def two_state(hops: float, free: float = 0.0):
    """A visible spin whose chain draws it anew once in 1 / hops sweeps, T = 1 / hops; and a free
    one, drawn anew at every sweep."""
    W = [[math.atanh(math.sqrt(1.0 - hops))], [0.0]]
    return RBM([0.0, free], [0.0], W).thaw(torch.float64)


PLACE = np.array([1.0, 0.2])


def test_chains_that_do_not_forget_each_other_are_stuck(seed):
    """T = 5e7 sweeps is never taken for a mixing time of half a probe (one of the 100 chains hops
    in a probe of 50 sweeps once in 20,000 runs; the rate of forgetting is known to 3e-4, a fourth
    of 1 / 800). T = 20 and 60 sweeps, beyond what 50 sweeps measure too, are calm after 10 T."""
    frozen = two_state(2e-8)
    x = frozen.space.random(seed, np.arange(100, dtype=np.uint32))
    for sweeps in (240.0, 800.0):
        found = probe(frozen, x, PLACE, 50, sweeps, seed)
        assert found.broken
        assert found.stuck
        assert math.isinf(found.mixing_time_error)
        assert found.mixing_time > 100.0
        assert "do not leave" in str(found)
    assert not probe(frozen, x, PLACE, 50, math.inf, seed).broken  # where sweeps are not counted
    for time in (20.0, 60.0):
        calm = two_state(1.0 / time)
        for number in range(20):
            x = calm.space.random(seed + number, np.arange(100, dtype=np.uint32))
            found = probe(calm, x, PLACE, 50, 10.0 * time, seed + number)
            assert not found.broken
            assert math.isinf(found.mixing_time_error)


def test_chains_that_all_sit_in_one_state(seed):
    """Constant chains are no measurement, unless the law is constant."""
    model, one = two_state(1e-9, free=40.0), np.ones((50, 2), np.int8)
    two = np.where(np.arange(50)[:, None] < 20, one, one * np.array([-1, 1], np.int8))
    for x in (one, two):
        stuck = probe(model, x, PLACE, 50, 800.0, seed)
        assert stuck.broken
        assert math.isnan(stuck.mixing_time)
        assert "none of them leaves" in str(stuck)
    constant = RBM([40.0, 40.0], [0.0], [[0.0], [0.0]]).thaw()
    found = probe(constant, one, PLACE, 50, 800.0, seed)
    assert not found.broken
    assert (found.mixing_time, found.mixing_time_error) == (0.5, 0.0)


def test_frozen_training_is_told_at_the_end():
    """Two modes of unequal weight, learnt until no chain moves between them."""
    g = np.random.default_rng(0)
    data = ((g.random((400, 1)) < 0.8) ^ (g.random((400, 10)) < 0.01)).astype(np.int8)
    W = np.random.default_rng(1).normal(size=(10, 4)) * 0.1
    shell = BernoulliRBM(np.zeros(10), np.zeros(4), W).thaw()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        history = train(
            shell, data, PersistentCD(n_chains=100), epochs=200, rng=1, learning_rate=0.5,
            monitor=Monitor(every=40, log_likelihood=None, pseudo_likelihood=False),
        )  # fmt: skip
    assert "epoch 200: " in str(told[-1].message)
    assert "do not leave" in str(told[-1].message)
    assert history["out_of_equilibrium"][-1] == 1.0
    assert np.isnan(history["ess"][-1])
    assert math.isinf(history["mixing_time_error"][-1])


def test_a_single_chain_says_that_it_was_not_probed():
    x = MODELS[0].space.random(1, np.arange(100, dtype=np.uint32))
    history = train(MODELS[0].thaw(), x, PersistentCD(n_chains=1), epochs=2, rng=1)
    assert np.isnan(history["out_of_equilibrium"]).all()
    assert "not probed: a single negative chain" in repr(history)
    history.plot()


def test_verdicts():
    calm = Equilibrium(0.1, 10.0, 3.0, 0.1, 100.0)
    assert not calm.broken
    assert not calm._replace(drift=0.5, drift_z=2.0).broken
    assert calm._replace(drift=-0.5).broken
    assert calm._replace(mixing_time=101.0).broken
    assert "at least" in str(calm._replace(mixing_time_error=math.inf))


def test_principal_axis():
    g = np.random.default_rng(1)
    shell = RBM(np.zeros(3), np.zeros(1), np.zeros((3, 1))).thaw()
    x = np.sign(g.normal(size=(500, 1)) * [1.0, -1.0, 0.0] + [0.0, 0.0, 1.0])
    axis = principal_axis(shell, x)
    np.testing.assert_allclose(np.abs(axis), [0.5**0.5, 0.5**0.5, 0.0], atol=1e-10)
    potts = PottsRBM(np.zeros((2, 3)), np.zeros(1), np.zeros((2, 3, 1))).thaw()
    assert principal_axis(potts, g.integers(0, 3, (50, 2))).shape == (6,)


# --- the history ----------------------------------------------------------------------------------


def test_history_prints_errors_and_draws():
    history = History()
    for value in (1.0, 2.0):
        history = history.appended(
            {"log_likelihood": -value, "log_likelihood_error": 0.03, "energy_data": value}
        )
    assert "-2.000(30)" in repr(history)
    assert "2 epochs" in repr(history)
    assert history.last("energy_data") == (2.0, 0.0)
    late = history.appended({"ess": 3.0})
    assert np.isnan(late["ess"][:2]).all()
    assert late.last("log_likelihood") == (-2.0, 0.03)
    assert set(late.to_arrays()) == {"epoch", *late.series}
    assert "ess" in late
    with pytest.raises(InvalidInput, match="log_likelihood"):
        history["likelihood"]


def test_history_plots(tmp_path):
    x = MODELS[0].space.random(1, np.arange(100, dtype=np.uint32))
    history = train(MODELS[0].thaw(), x, PersistentCD(1, 50), epochs=3, rng=1, ema=0.9)
    figure = history.plot(tmp_path / "run.png")
    assert len(figure.axes) == 4
    assert (tmp_path / "run.png").stat().st_size > 5000
    assert figure.axes[1].get_ylabel() == "mean free energy F"
    History().plot()


def test_training_does_not_need_matplotlib():
    code = "import sys, statmech_ml.training; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_own_shells_have_defaults():
    """A shell of the user's own needs three methods: no exact sum, no path, autograd phases."""

    class Fields(Trainable):
        def __init__(self):
            super().__init__()
            self.space = MODELS[0].space
            self.field = torch.nn.Parameter(torch.zeros(5))

        def free_energy(self, x):
            return -(x @ self.field)

        def freeze(self):
            a = self.field.detach().numpy().astype(float)
            return BernoulliRBM(a, [0.0], np.zeros((5, 1)))

        def sampler(self):
            return MODELS[0].thaw().sampler()

    shell = Fields()
    x = (np.random.default_rng(1).random((300, 5)) < [0.1, 0.3, 0.5, 0.7, 0.9]).astype(np.int8)
    history = train(
        shell, x, PersistentCD(1, 300), epochs=30, rng=1, learning_rate=0.5, batch_size=300
    )
    assert "log_likelihood" not in history
    assert "pseudo_likelihood" in history
    odds = np.log(x.mean(0) / (1 - x.mean(0)))
    np.testing.assert_allclose(shell.field.detach(), odds, atol=0.5)
