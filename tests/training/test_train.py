"""The training loop: what it does to parameters, when it stops, what it refuses."""

import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from statmech_ml.errors import InvalidInput, MissingCapability, TrainingDiverged
from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, GaussianRBM, PottsRBM
from statmech_ml.training import (
    CD,
    ExactGradient,
    History,
    Monitor,
    PersistentCD,
    Trainable,
    TrainableBoltzmann,
    TrainableRBM,
    load_checkpoint,
    train,
)
from statmech_ml.training.centring import Centring

G = np.random.default_rng(3)
DATA = (G.random((60, 6)) < [0.2, 0.4, 0.5, 0.6, 0.7, 0.9]).astype(np.int8)
LIGHT = {"rng": 1, "monitor": None, "batch_size": 20}


def rbm(seed: int = 1) -> BernoulliRBM:
    g = np.random.default_rng(seed)
    return BernoulliRBM(g.normal(size=6), g.normal(size=3), g.normal(0, 0.3, (6, 3)))


def test_one_step_of_gradient_descent():
    """theta - rate (data phase - model phase + decay W on weights)."""
    shell = rbm().thaw(torch.float64)
    batch = shell.tensor(DATA)
    positive, negative = shell.phase(batch), shell.exact_phase()
    before = {name: p.detach().clone() for name, p in shell.named_parameters()}
    history = train(
        shell, DATA, ExactGradient(), epochs=1, rng=1, batch_size=60, learning_rate=0.1,
        weight_decay=0.3, monitor=None,
    )  # fmt: skip
    norm = 0.0
    for name, p in shell.named_parameters():
        decay = 0.3 * before[name] if name == "weights" else 0.0
        gradient = positive[name] - negative[name] + decay
        norm += float((gradient**2).sum())
        torch.testing.assert_close(p.data, before[name] - 0.1 * gradient, rtol=1e-12, atol=1e-14)
    assert history["gradient_norm"][0] == pytest.approx(math.sqrt(norm), rel=1e-12)


def test_weight_decay_of_a_boltzmann_machine_spares_biases():
    n = 3
    machine = BoltzmannMachine(np.ones(n), 2 * (np.ones((n, n)) - np.eye(n)))
    shell = machine.thaw(torch.float64)
    assert isinstance(shell, TrainableBoltzmann)
    assert shell.decayed == ("couplings",)
    potts = PottsRBM(np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3, 2))).thaw()
    assert potts.decayed == ("weights",)  # its visible bias is a matrix


def test_clipping_is_reported():
    shell, free = rbm().thaw(), rbm().thaw()
    start = {name: p.detach().clone() for name, p in shell.named_parameters()}
    history = train(
        shell, DATA, ExactGradient(), epochs=1, clip=0.01, **(LIGHT | {"batch_size": 60})
    )
    assert history["clipped"].tolist() == [1.0]
    assert history["gradient_norm"][0] > 0.01
    moved = math.sqrt(
        sum(float(((p.data - start[n]) ** 2).sum()) for n, p in shell.named_parameters())
    )
    assert moved == pytest.approx(0.01 * 0.01, rel=1e-4)  # the rate, and the norm that is left
    assert train(free, DATA, CD(), epochs=1, clip=1e6, **LIGHT)["clipped"].tolist() == [0.0]


def test_running_means():
    """ema after two steps of one batch is e (e t0 + (1 - e) t1) + (1 - e) t2."""
    shell = rbm().thaw(torch.float64)
    path = [shell.weights.detach().clone().numpy()]
    for epochs in (1, 2):
        other = rbm().thaw(torch.float64)
        history = train(
            other, DATA, ExactGradient(), epochs=epochs, rng=1, batch_size=60, ema=0.9, monitor=None
        )
        path.append(other.weights.detach().numpy())
    expected = 0.9 * (0.9 * path[0] + 0.1 * path[1]) + 0.1 * path[2]
    np.testing.assert_allclose(history.ema["weights"], expected, rtol=1e-12)
    history.use_ema(other)
    np.testing.assert_allclose(other.freeze().weights, expected, rtol=1e-12)
    with pytest.raises(InvalidInput, match="ema="):
        History().use_ema(other)
    with pytest.raises(InvalidInput, match="not those of this shell"):
        history.use_ema(BernoulliRBM([0.0], [0.0], [[0.0]]).thaw())


def test_every_configuration_once_an_epoch_in_an_order_of_its_own():
    class Recorder(CD):
        def gradient(self, shell, batch, carried, seed, step):
            seen.append(batch.numpy().copy())
            return super().gradient(shell, batch, carried, seed, step)

    points = np.array([[i >> b & 1 for b in range(6)] for i in range(50)], np.int8)
    orders = []
    for rng in (1, 1, 2):
        seen: list[np.ndarray] = []
        train(rbm().thaw(), points, Recorder(), epochs=2, rng=rng, batch_size=20, monitor=None)
        assert [len(batch) for batch in seen] == [20, 20, 10] * 2
        order = [(batch @ 2 ** np.arange(6)).astype(int).tolist() for batch in seen]
        epochs = [*order[0], *order[1], *order[2]], [*order[3], *order[4], *order[5]]
        assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
        assert epochs[0] != epochs[1]
        orders.append(epochs)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("kind", ["bits", "levels", "normal"])
def test_centred_gradient(kind):
    """It equals the derivative by the centred parameters, carried to the plain ones."""
    g = np.random.default_rng(5)
    b, a2 = g.normal(size=2), g.normal(size=4)
    model = {
        "bits": lambda: RBM(a2, b, g.normal(size=(4, 2)), "bits", "bits"),
        "levels": lambda: PottsRBM(g.normal(size=(4, 3)), b, g.normal(size=(4, 3, 2))),
        "normal": lambda: GaussianRBM(a2, b, g.normal(size=(4, 2)), 1.5),
    }[kind]()
    shell = TrainableRBM(model, torch.float64)
    data = shell.tensor(model.space.random(1, np.arange(30, dtype=np.uint32)))
    centring = Centring(shell, data)
    plain = {n: torch.tensor(g.normal(size=p.shape)) for n, p in shell.named_parameters()}
    found = centring(plain)
    # theta = T theta_c with a = a_c - W lambda, b = b_c - W^T mu, so the step is T T^t g.
    sizes = {n: v.numel() for n, v in plain.items()}
    names = ["visible_bias", "hidden_bias", "weights"]
    n, m = sizes["visible_bias"], 2
    T = np.eye(sum(sizes[k] for k in names))
    for i in range(n):
        for j in range(m):
            T[i, n + m + i * m + j] = -centring.hidden[j]
            T[n + j, n + m + i * m + j] = -centring.visible[i]
    vector = np.concatenate([plain[k].numpy().ravel() for k in names])
    ours = np.concatenate([found[k].numpy().ravel() for k in names])
    np.testing.assert_allclose(ours, T @ T.T @ vector, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        centring.hidden, shell.hidden_mean(data).detach().mean(0), rtol=1e-12
    )


def test_centred_training_does_not_see_how_bits_are_named():
    """Flipping all data and the machine flips the training; the plain gradient does not."""

    def flipped(machine):
        W = machine.weights
        a, b = -machine.visible_bias, machine.hidden_bias + W.sum(0)
        return BernoulliRBM(a, b, -W)

    settings = {"epochs": 5, "rng": 1, "batch_size": 60, "learning_rate": 0.3, "monitor": None}
    difference = {}
    for centred in (True, False):
        ours, theirs = rbm().thaw(torch.float64), flipped(rbm()).thaw(torch.float64)
        train(ours, DATA, ExactGradient(), centred=centred, **settings)
        train(theirs, 1 - DATA, ExactGradient(), centred=centred, **settings)
        difference[centred] = np.abs(flipped(theirs.freeze()).weights - ours.freeze().weights).max()
    assert difference[True] < 1e-12 < 1e-4 < difference[False]


def test_early_stopping_keeps_the_best():
    shell = rbm().thaw()
    few, others = DATA[:8], 1 - DATA[8:30]  # others are of another law: training makes it worse
    settings = {
        "rng": 1, "batch_size": 8, "learning_rate": 0.1, "validation_data": others,
        "early_stopping": 3, "monitor": Monitor(equilibrium=False),
    }  # fmt: skip
    history = train(shell, few, PersistentCD(1, 50), epochs=200, **settings)
    assert history.stopped == "early stopping"
    assert len(history) == history.best_epoch + 3
    best = int(np.argmax(history["validation_log_likelihood"])) + 1
    assert history.best_epoch == best
    model = shell.freeze()
    likelihood = -model.free_energy(others).mean() - exact_rbm.log_z(model)
    assert likelihood == pytest.approx(history["validation_log_likelihood"].max(), abs=1e-5)


def test_interruption_returns_what_was_done():
    class Impatient(CD):
        def gradient(self, shell, batch, carried, seed, step):
            if step == 7:
                raise KeyboardInterrupt
            return super().gradient(shell, batch, carried, seed, step)

    shell, good = rbm().thaw(), rbm().thaw()
    history = train(shell, DATA, Impatient(), epochs=10, ema=0.9, **LIGHT)
    assert history.stopped == "interrupted"
    assert len(history) == 2
    # In the middle of the third epoch: shell and running means are those of the second.
    expected = train(good, DATA, CD(), epochs=2, ema=0.9, **LIGHT)
    for name, value in good.state_dict().items():
        assert torch.equal(shell.state_dict()[name], value)
        np.testing.assert_array_equal(history.ema[name], expected.ema[name])


@pytest.mark.parametrize("what", ["gradient", "energy", "parameters"])
def test_divergence_keeps_the_last_good_state(what, tmp_path):
    class Broken(CD):
        def gradient(self, shell, batch, carried, seed, step):
            found = super().gradient(shell, batch, carried, seed, step)
            if step == 7 and what == "gradient":
                found.gradients["weights"][0, 0] = torch.nan
            if step == 7 and what == "energy":
                found.info["energy_model"] = math.inf
            if step == 7 and what == "parameters":
                found.gradients["weights"][0, 0] = 1e30
            return found

    path = tmp_path / "run.safetensors"
    shell, good = rbm().thaw(), rbm().thaw()
    with pytest.raises(TrainingDiverged, match="epoch 3, step 7") as caught:
        train(shell, DATA, Broken(), epochs=10, checkpoint=path, **LIGHT)
    assert (caught.value.epoch, caught.value.step) == (3, 7)
    assert len(caught.value.history) == 2
    assert caught.value.history.stopped == "diverged"
    train(good, DATA, CD(), epochs=2, **LIGHT)
    for name, value in good.state_dict().items():
        assert torch.equal(shell.state_dict()[name], value)
    loaded = load_checkpoint(path)
    assert loaded.epoch == 2
    assert torch.equal(loaded.shell.weights, good.weights)


def test_a_rate_that_explodes_is_found():
    """Gradient ascent in disguise: a Gaussian machine with a huge rate."""
    machine = GaussianRBM(np.zeros(3), np.zeros(2), np.full((3, 2), 0.3))
    x = machine.space.random(1, np.arange(40, dtype=np.uint32))
    shell = machine.thaw()
    with pytest.raises(TrainingDiverged, match="diverged in epoch"):
        train(shell, x, CD(), epochs=50, learning_rate=1e4, **LIGHT)
    assert all(bool(torch.isfinite(p).all()) for p in shell.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [1e8, 1e30, 1e300])
def test_absurd_rates_are_found_whatever_the_optimiser(dtype, rate):
    """Parameters of 1e299 are finite, and still no parameters."""
    for optimizer in (torch.optim.Adam, torch.optim.SGD):
        shell, before = rbm().thaw(dtype), rbm().thaw(dtype)
        with pytest.raises(TrainingDiverged, match="diverged in epoch 1"):
            train(shell, DATA, CD(), epochs=5, optimizer=lambda p: optimizer(p, lr=rate), **LIGHT)  # noqa: B023
        assert torch.equal(shell.weights, before.weights)


def test_numpy_numbers_are_numbers():
    shells = [rbm().thaw(), rbm().thaw()]
    for shell, rate in zip(shells, (np.float32(0.5), 0.5), strict=True):
        train(shell, DATA, CD(), epochs=1, learning_rate=rate, clip=np.float64(1), **LIGHT)
    assert torch.equal(shells[0].weights, shells[1].weights)


def test_rejected_steps_are_put_back():
    class Half(CD):
        """Keeps every other step."""

        def stepped(self, shell, before, carried, seed, step):
            return carried, step % 2 == 0

    shell, other = rbm().thaw(), rbm().thaw()

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=0.1)

    history = train(shell, DATA, Half(), epochs=1, optimizer=adam, **(LIGHT | {"batch_size": 30}))
    train(other, DATA, CD(), epochs=1, optimizer=adam, **(LIGHT | {"batch_size": 30}))
    assert history["rejected"].tolist() == [0.5]

    class First(CD):
        """Only the first step has a gradient."""

        def gradient(self, shell, batch, carried, seed, step):
            found = super().gradient(shell, batch, carried, seed, step)
            kept.append({n: p.detach().clone() for n, p in shell.named_parameters()})
            return found

    kept: list[dict[str, torch.Tensor]] = []
    train(rbm().thaw(), DATA, First(), epochs=1, optimizer=adam, **(LIGHT | {"batch_size": 30}))
    for name, value in kept[1].items():  # after the first step, before the second
        assert torch.equal(dict(shell.named_parameters())[name], value)


def test_no_epochs_do_nothing():
    shell = rbm().thaw()
    history = train(shell, DATA, CD(), epochs=0, **LIGHT)
    assert len(history) == 0
    assert "no epoch" in repr(history)
    assert torch.equal(shell.weights, rbm().thaw().weights)


# --- refusals -------------------------------------------------------------------------------------

FREE = BoltzmannMachine(np.zeros(6), np.zeros((6, 6)))
NAN = np.full((30, 6), np.nan)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"data": DATA + 1}, r"data holds np.int8\(2"),
        ({"data": DATA * 0.5}, r"data holds np.float64\(0.5"),
        ({"data": DATA[:, :5]}, "6 sites"),
        ({"data": NAN}, "data holds .*nan"),
        ({"data": DATA[:0]}, "at least one configuration"),
        ({"data": DATA[0]}, "at least one configuration"),
        ({"data": np.full((30, 6), "a")}, "real numbers"),
        ({"validation_data": DATA + 1}, r"validation_data holds np.int8\(2"),
        ({"data": np.ma.masked_equal(DATA, 1)}, "masked"),
        ({"validation_data": np.ma.masked_equal(DATA, 1)}, "masked"),
        ({"checkpoint": 5}, "checkpoint=5"),
        ({"optimizer": lambda p: torch.optim.Adam(p, lr=math.nan)}, "Invalid learning rate: nan"),
        ({"schedule": lambda o: StepLR(o)}, "schedule=.*step_size"),
        ({"learning_rate": 1e300}, "learning_rate=1e"),
        ({"epochs": -1}, "epochs=-1"),
        ({"epochs": 1.5}, "epochs=1.5"),
        ({"batch_size": 61}, "60 configurations"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": -0.1}, "learning_rate=-0.1"),
        ({"learning_rate": math.nan}, "learning_rate=nan"),
        ({"learning_rate": 0.1, "optimizer": lambda p: torch.optim.SGD(p, 0.1)}, "belongs to"),
        ({"optimizer": torch.optim.SGD([torch.zeros(1)], 0.1)}, "must be a function"),
        ({"optimizer": lambda p: torch.optim.SGD([torch.zeros(1)], 0.1)}, "does not hold"),
        ({"optimizer": lambda p: torch.optim.SGD(p[:1], 0.1)}, "does not hold"),
        ({"optimizer": torch.optim.LBFGS}, "LBFGS"),
        ({"schedule": ReduceLROnPlateau}, "without a metric"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"clip": 0.0}, "clip=0.0"),
        ({"ema": 1.0}, "ema=1.0"),
        ({"early_stopping": 3}, "validation_data"),
        ({"early_stopping": 3, "validation_data": DATA}, "likelihood to look at"),
        ({"early_stopping": 0, "validation_data": DATA}, "early_stopping=0"),
        ({"rng": None}, "rng=None"),
        ({"rng": -1}, "rng=-1"),
        ({"method": CD}, "with brackets"),
        ({"shell": rbm()}, "model.thaw"),
        ({"monitor": True}, "Monitor"),
        ({"centred": True, "shell": FREE.thaw()}, "RBMs"),
    ],
)  # fmt: skip
def test_refusals(change, match):
    given = {"shell": rbm().thaw(), "data": DATA, "method": CD(), "epochs": 1} | LIGHT | change
    shell, data, method = (given.pop(name) for name in ("shell", "data", "method"))
    before = shell.state_dict()["weights"].clone() if isinstance(shell, TrainableRBM) else None
    with pytest.raises(InvalidInput, match=match):
        train(shell, data, method, **given)
    if before is not None:
        assert torch.equal(shell.weights, before)


def test_refused_settings():
    for wrong in (0, -1, 1.5, True, "1"):
        with pytest.raises(InvalidInput, match="k="):
            CD(wrong)
        with pytest.raises(InvalidInput, match="k="):
            PersistentCD(k=wrong)
        with pytest.raises(InvalidInput, match="n_chains="):
            PersistentCD(n_chains=wrong)
        with pytest.raises(InvalidInput, match="every="):
            Monitor(every=wrong)
    with pytest.raises(InvalidInput, match="start="):
        PersistentCD(start="nowhere")
    with pytest.raises(InvalidInput, match="log_likelihood="):
        Monitor(log_likelihood="guess")
    with pytest.raises(InvalidInput, match="learn_sigma"):
        TrainableRBM(rbm(), learn_sigma=True)
    with pytest.raises(InvalidInput, match="cannot hold"):
        TrainableRBM(BoltzmannMachine(np.zeros(2), np.zeros((2, 2))))
    with pytest.raises(InvalidInput, match="cannot hold"):
        TrainableBoltzmann(rbm())
    large = BernoulliRBM(np.zeros(30), np.zeros(30), np.zeros((30, 30))).thaw()
    with pytest.raises(InvalidInput):
        train(large, np.zeros((9, 30)), ExactGradient(), epochs=1, rng=1, batch_size=9)
    with pytest.raises(InvalidInput, match="log_likelihood='exact'"):
        train(
            large, np.zeros((9, 30)), CD(), epochs=1, rng=1, batch_size=9,
            monitor=Monitor(log_likelihood="exact"),
        )  # fmt: skip


def test_exact_gradient_is_for_machines():
    class Other(Trainable):
        def __init__(self):
            super().__init__()
            self.space = rbm().space
            self.field = torch.nn.Parameter(torch.zeros(6))

        def free_energy(self, x):
            return x @ self.field

        def freeze(self):
            return rbm()

        def sampler(self):
            return rbm().thaw().sampler()

    with pytest.raises(MissingCapability, match="ExactGradient"):
        train(Other(), DATA, ExactGradient(), epochs=1, **LIGHT)


# --- weight decay ---------------------------------------------------------------------------------


def test_centred_and_plain_training_meet_at_the_same_optimum_with_decay():
    """The optimum of log-likelihood - decay |W|^2 / 2: its gradient vanishes, so the means of the
    visible units are those of the data. Decay beside the centred gradient (the mutant) is off."""
    g = np.random.default_rng(0)
    data = (g.random((200, 1)) < 0.7).astype(np.int8) ^ (g.random((200, 5)) < 0.15).astype(np.int8)
    start = BernoulliRBM(np.zeros(5), np.zeros(2), 0.5 * g.normal(size=(5, 2)))
    states = start.space.from_index(np.arange(32))
    decay, found = 0.02, {}
    for centred in (False, True, "mutant"):
        shell = start.thaw(torch.float64)
        batch = shell.tensor(data)
        if centred == "mutant":
            centring = Centring(shell, batch)
            for step in range(900):
                plain = ExactGradient().gradient(shell, batch, {}, 0, step).gradients
                centring.follow(shell, batch)
                moved = centring(plain)
                moved["weights"] = moved["weights"] + decay * shell.weights.detach()
                with torch.no_grad():
                    for name, p in shell.named_parameters():
                        p -= moved[name]
        else:
            train(
                shell, data, ExactGradient(), epochs=900, rng=1, batch_size=200,
                learning_rate=1.0, weight_decay=decay, centred=centred, monitor=None,
            )  # fmt: skip
        model = shell.freeze()
        u = model.reduced_energy(states, 1.0)
        p = np.exp(-u) / np.exp(-u).sum()
        likelihood = -model.reduced_energy(data, 1.0).mean() - math.log(np.exp(-u).sum())
        found[centred] = (
            likelihood - decay / 2 * (model.weights**2).sum(),
            np.abs(p @ states - data.mean(0)).max(),
        )
    assert found[True][0] == pytest.approx(found[False][0], abs=1e-5)
    assert found[False][1] < 1e-3
    assert found[True][1] < 1e-3
    assert found["mutant"][0] < found[False][0] - 0.05


@pytest.mark.parametrize(
    ("optimizer", "match"),
    [
        (lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1), "of its own"),
        (lambda p: torch.optim.AdamW(p, lr=0.1), "of its own"),
    ],
)
def test_centred_gradients_refuse_a_decay_of_the_optimiser(optimizer, match):
    with pytest.raises(InvalidInput, match=match):
        train(rbm().thaw(), DATA, CD(), epochs=1, optimizer=optimizer, centred=True, **LIGHT)
    train(rbm().thaw(), DATA, CD(), epochs=1, optimizer=optimizer, **LIGHT)
    fixed = rbm().thaw()
    fixed.visible_bias.requires_grad_(False)
    with pytest.raises(InvalidInput, match="visible_bias"):
        train(fixed, DATA, CD(), epochs=1, centred=True, **LIGHT)
