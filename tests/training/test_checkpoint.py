"""Checkpoints: a run that was resumed is the run that was not stopped; files are not trusted."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, SequentialLR, StepLR

from statmech_ml.errors import InvalidInput, StoreError
from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, GaussianRBM
from statmech_ml.training import CD, ExactGradient, Monitor, PersistentCD, load_checkpoint, train
from statmech_ml.training import checkpoint as store

DATA = (np.random.default_rng(3).random((60, 6)) < [0.2, 0.4, 0.5, 0.6, 0.7, 0.9]).astype(np.int8)
QUICK = Monitor(probe_sweeps=4, probe_chains=20)
BATCH = {"batch_size": 25}


def shell(seed: int = 1):
    g = np.random.default_rng(seed)
    return BernoulliRBM(g.normal(size=6), g.normal(size=3), g.normal(0, 0.1, (6, 3))).thaw()


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.02)


def heavy_ball(parameters):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9)


def warmed(optimizer):
    return SequentialLR(
        optimizer, [StepLR(optimizer, 1, 0.5), CosineAnnealingLR(optimizer, 4)], milestones=[2]
    )


RUNS = {
    "plain": ({}, PersistentCD(1, 20)),
    "CD": ({"weight_decay": 0.01, "clip": 0.5}, CD(2)),
    "momentum": ({"optimizer": heavy_ball}, PersistentCD(2, 20)),
    "everything": (
        {
            "optimizer": adam, "schedule": warmed, "centred": True,
            "ema": 0.9, "clip": 0.5, "weight_decay": 0.01, "validation_data": DATA[:20],
            "early_stopping": 5, "monitor": Monitor(every=2, probe_sweeps=4, probe_chains=20),
        },
        PersistentCD(1, 20, start="data"),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::statmech_ml.errors.TrainingWarning")
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
@pytest.mark.parametrize("name", RUNS)
def test_resumed_equals_uninterrupted(name, tmp_path):
    """Six epochs are three and, in another shell, three more: all numbers bit for bit."""
    settings, method = RUNS[name]
    settings = {"batch_size": 25, "rng": 11, "monitor": QUICK} | settings
    path = tmp_path / "run.safetensors"
    whole = shell()
    history = train(whole, DATA, method, epochs=6, **settings)
    train(shell(), DATA, method, epochs=3, checkpoint=path, **settings)
    half = shell(seed=2)  # other parameters, which the checkpoint replaces
    resumed = train(half, DATA, method, epochs=6, checkpoint=path, resume=True, **settings)
    for key, value in whole.state_dict().items():
        assert torch.equal(half.state_dict()[key], value), key
    assert set(history.series) == set(resumed.series)
    assert history.best_epoch == resumed.best_epoch
    for key in set(history.series) - {"seconds"}:
        np.testing.assert_array_equal(history[key], resumed[key], err_msg=key)
    for key, value in (history.ema or {}).items():
        np.testing.assert_array_equal(resumed.ema[key], value)
    other = shell()
    train(other, DATA, method, epochs=6, **(settings | {"rng": 12}))
    assert not torch.equal(other.weights, whole.weights)


def saved(tmp_path, epochs: int = 2):
    path = tmp_path / "run.safetensors"
    trained = shell()
    train(
        trained,
        DATA,
        PersistentCD(1, 20),
        epochs=epochs,
        rng=1,
        **BATCH,
        monitor=QUICK,
        checkpoint=path,
    )
    return path, trained


def rewrite(path, change) -> None:
    """Tamper with the tree of a checkpoint, and make the digest right again."""
    with safe_open(path, framework="np") as file:
        tree = json.loads(file.metadata()["tree"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = json.dumps(change(tree, arrays) or tree)
    save_file(arrays, path, {"tree": text, "digest": store._digest(text, arrays)})


def item(tree, name):
    return next(entry for entry in tree["dict"] if entry[0] == name)


def test_load_checkpoint(tmp_path):
    path, trained = saved(tmp_path)
    loaded = load_checkpoint(path)
    assert loaded.epoch == len(loaded.history) == 2
    assert type(loaded.shell.freeze()) is BernoulliRBM
    np.testing.assert_array_equal(loaded.shell.freeze().weights, trained.freeze().weights)
    again = load_checkpoint(path, shell=shell(5))
    assert torch.equal(again.shell.weights, trained.weights)
    assert sorted(os.listdir(tmp_path)) == ["run.safetensors"]


def test_the_checkpoint_of_early_stopping_is_the_model_that_train_returned(tmp_path):
    path = tmp_path / "run.safetensors"
    settings = {
        "rng": 1, "learning_rate": 0.1, "validation_data": 1 - DATA[:20], "early_stopping": 3,
        "monitor": Monitor(equilibrium=False), **BATCH,
    }  # fmt: skip
    trained, again, partly = shell(), shell(), shell()
    history = train(trained, DATA, CD(), epochs=50, checkpoint=path, **settings)
    assert history.stopped == "early stopping"
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.shell.weights, trained.weights)
    assert loaded.history.stopped == "early stopping"
    assert loaded.history.best_epoch == history.best_epoch < loaded.epoch
    resumed = train(again, DATA, CD(), epochs=50, checkpoint=path, resume=True, **settings)
    assert torch.equal(again.weights, trained.weights)
    assert (resumed.stopped, resumed.best_epoch) == ("early stopping", history.best_epoch)
    # Stopped before, it goes on from the last parameters and not from the best.
    other = tmp_path / "other.safetensors"
    train(shell(), DATA, CD(), epochs=2, checkpoint=other, **settings)
    whole = train(partly, DATA, CD(), epochs=50, checkpoint=other, resume=True, **settings)
    np.testing.assert_array_equal(
        whole["validation_log_likelihood"], history["validation_log_likelihood"]
    )

    def worse(tree, arrays):
        parameters = item(item(tree, "best")[1], "parameters")[1]
        arrays[item(parameters, "weights")[1]["array"]][0, 0] = np.nan

    rewrite(path, worse)
    with pytest.raises(StoreError, match="best parameters"):
        load_checkpoint(path)


def groups(*rates):
    return lambda p: torch.optim.SGD(
        [{"params": [q], "lr": r} for q, r in zip(p, rates, strict=True)], lr=1.0
    )


@pytest.mark.parametrize(
    ("then", "now", "match"),
    [
        (
            {"schedule": lambda o: StepLR(o, 1, 0.5)},
            {"schedule": lambda o: StepLR(o, 1, 0.9)},
            "schedule settings",
        ),
        (
            {"schedule": lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 2)], [2])},
            {"schedule": lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 2)], [3])},
            "schedule settings",
        ),
        (
            {"optimizer": groups(0.1, 0.1, 0.1)},
            {"optimizer": groups(0.1, 0.2, 0.1)},
            "optimizer settings",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
def test_settings_of_schedules_and_groups_must_be_as_they_were(then, now, match, tmp_path):
    path = tmp_path / "run.safetensors"
    settings = {"rng": 1, "monitor": None, "checkpoint": path, **BATCH}
    train(shell(), DATA, CD(), epochs=2, **settings, **then)
    with pytest.raises(StoreError, match=f"its {match} is"):
        train(shell(), DATA, CD(), epochs=4, resume=True, **settings, **now)
    train(shell(), DATA, CD(), epochs=4, resume=True, **settings, **then)


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step:UserWarning")
def test_functions_cannot_be_compared_and_are_refused(tmp_path):
    """A file holds no function, so a resumed run could follow another one unseen."""
    settings = {"rng": 1, "monitor": None, **BATCH}
    for schedule in (
        lambda o: LambdaLR(o, lambda epoch: 0.5**epoch),
        lambda o: SequentialLR(o, [StepLR(o, 1), LambdaLR(o, lambda epoch: 1.0)], [2]),
    ):
        with pytest.raises(InvalidInput, match=r"LR follows the function .*lambda"):
            train(
                shell(), DATA, CD(), epochs=1, schedule=schedule, checkpoint=tmp_path / "run",
                **settings,
            )  # fmt: skip
        train(shell(), DATA, CD(), epochs=1, schedule=schedule, **settings)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        BoltzmannMachine(np.ones(4), np.ones((4, 4)) - np.eye(4), np.ones(2), np.ones((4, 2))),
        BoltzmannMachine(np.ones(4), np.ones((4, 4)) - np.eye(4), visible="spins"),
        RBM(np.ones(4), np.ones(2), np.ones((4, 2)), "bits", "spins"),
        GaussianRBM(np.ones(4), np.ones(2), np.ones((4, 2)) / 4, 2.0),
    ],
)  # fmt: skip
def test_every_machine_is_made_anew(model, tmp_path):
    path = tmp_path / "run.safetensors"
    trained = model.thaw(torch.float64)
    x = model.space.random(1, np.arange(30, dtype=np.uint32))
    train(trained, x, ExactGradient(), epochs=1, rng=1, batch_size=30, checkpoint=path)
    loaded = load_checkpoint(path).shell
    assert type(loaded.freeze()) is type(model)
    np.testing.assert_array_equal(loaded.freeze().energy(x), trained.freeze().energy(x))


def test_existing_file_is_refused_before_work(tmp_path):
    path, _ = saved(tmp_path)
    before = path.read_bytes()
    fresh = shell()
    with pytest.raises(StoreError, match="exists"):
        train(fresh, DATA, PersistentCD(1, 20), epochs=1, rng=1, **BATCH, checkpoint=path)
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="no folder"):
        train(fresh, DATA, CD(), epochs=1, rng=1, **BATCH, checkpoint=tmp_path / "none" / "run")
    with pytest.raises(InvalidInput, match="needs checkpoint="):
        train(fresh, DATA, CD(), epochs=1, rng=1, **BATCH, resume=True)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": PersistentCD(2, 20)}, "its method is"),
        ({"rng": 2}, "its seed is"),
        ({"batch_size": 30}, "its batch_size is"),
        ({"learning_rate": 0.5}, "its optimizer settings"),
        ({"optimizer": adam}, "its optimizer is"),
        ({"data": 1 - DATA}, "its data is"),
        ({"clip": 1.0}, "its clip is"),
        ({"monitor": None}, "its monitor is"),
        ({"shell": BernoulliRBM(np.zeros(6), np.zeros(4), np.zeros((6, 4))).thaw()}, "shape is"),
        ({"shell": shell().double()}, "dtype is"),
        ({"shell": RBM(np.zeros(6), np.zeros(3), np.zeros((6, 3)), "bits").thaw()}, "hidden is"),
    ],
)
def test_another_run_is_refused(change, match, tmp_path):
    path, _ = saved(tmp_path)
    given = {"method": PersistentCD(1, 20), "data": DATA, "shell": shell(), "rng": 1} | change
    trained, data, method = (given.pop(name) for name in ("shell", "data", "method"))
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    with pytest.raises(StoreError, match=match):
        train(
            trained, data, method, epochs=4, checkpoint=path, resume=True,
            **({"monitor": QUICK} | BATCH | given),
        )  # fmt: skip
    for name, value in before.items():
        assert torch.equal(trained.state_dict()[name], value)


def test_damage_is_refused(tmp_path):
    path, _ = saved(tmp_path)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-4], b"garbage" * 100):
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            load_checkpoint(path)
    for at in (len(whole) - 3, len(whole) // 2, 300):  # an array, and the text
        flipped = bytearray(whole)
        flipped[at] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(StoreError):
            load_checkpoint(path)
    with pytest.raises(StoreError, match="not a readable"):
        load_checkpoint(tmp_path / "missing")
    save_file({"weights": np.ones(3)}, path)
    with pytest.raises(StoreError, match="tensors only"):
        load_checkpoint(path)


class Bomb:
    """Pickles that run code when they are read."""

    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_pickles_execute_nothing(write, tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    path = tmp_path / "run.safetensors"
    with path.open("wb") as file:
        write(Bomb(), file)
    with pytest.raises(StoreError):
        load_checkpoint(path)
    with pytest.raises(StoreError):
        train(shell(), DATA, CD(), epochs=1, rng=1, **BATCH, checkpoint=path, resume=True)
    assert not (tmp_path / "exploded").exists()
    with path.open("rb") as file:  # the bomb is live
        pickle.load(file) if write is pickle.dump else torch.load(file, weights_only=False)
    assert (tmp_path / "exploded").exists()


def test_tampering_with_a_right_digest_is_refused(tmp_path):
    """Who makes the digest right again still gets no code run and no foreign shapes in."""
    path, _ = saved(tmp_path)
    whole = path.read_bytes()

    def foreign_class(tree, arrays):
        item(item(tree, "shell")[1], "class")[1] = "os.system"

    def nan(tree, arrays):
        arrays[item(item(tree, "parameters")[1], "weights")[1]["array"]][0, 0] = np.nan

    def other_shape(tree, arrays):
        name = item(item(tree, "parameters")[1], "weights")[1]["array"]
        arrays[name] = np.zeros((7, 3), np.float32)

    def no_history(tree, arrays):
        item(tree, "history")[1] = 3

    def unknown_kind(tree, arrays):
        item(tree, "carried")[1] = {"pickle": "gASVAAAA"}

    def other_format(tree, arrays):
        item(tree, "format")[1] = "statmech-ml training 0"

    def missing_parameter(tree, arrays):
        parameters = item(tree, "parameters")[1]
        parameters["dict"] = parameters["dict"][1:]

    for change in (
        foreign_class, nan, other_shape, no_history, unknown_kind, other_format, missing_parameter,
    ):  # fmt: skip
        path.write_bytes(whole)
        rewrite(path, change)
        with pytest.raises(StoreError):
            load_checkpoint(path)

    def other_state(tree, arrays):
        item(tree, "optimizer")[1] = {"dict": []}

    path.write_bytes(whole)
    rewrite(path, other_state)
    with pytest.raises(StoreError, match="damaged"):
        train(
            shell(), DATA, PersistentCD(1, 20), epochs=4, rng=1, **BATCH, monitor=QUICK,
            checkpoint=path, resume=True,
        )  # fmt: skip


def carried_x(change):
    def tamper(tree, arrays):
        name = item(item(tree, "carried")[1], "x")[1]["array"]
        arrays[name] = change(arrays[name])

    return tamper


def without_hidden(tree, arrays):
    """As chains were stored before they carried both layers."""
    carried = item(tree, "carried")[1]
    carried["dict"] = [entry for entry in carried["dict"] if entry[0] != "h"]


def epoch(number):
    return lambda tree, arrays: item(tree, "epoch").__setitem__(1, number)


def endless_momentum(tree, arrays):
    groups = item(item(tree, "optimizer")[1], "param_groups")[1]["list"]
    item(groups[0], "lr")[1] = float("inf")


def no_groups(tree, arrays):
    item(item(tree, "optimizer")[1], "param_groups")[1]["list"] = []


@pytest.mark.parametrize(
    ("change", "loads"),
    [
        (no_groups, True),
        (without_hidden, True),
        (carried_x(lambda x: x[:, :3].copy()), True),
        (carried_x(lambda x: x.ravel().copy()), True),
        (carried_x(lambda x: np.full_like(x, 77)), True),
        (carried_x(lambda x: np.full(x.shape, np.nan)), True),
        (carried_x(lambda x: x.astype(np.int64)), True),
        (endless_momentum, True),
        (epoch(-5), False),
        (epoch(10**9), False),
        (epoch(1), False),
    ],
)
def test_foreign_contents_with_a_right_digest_are_refused(change, loads, tmp_path):
    """Loading looks at the epochs, resuming at all that is carried on; the shell stays."""
    path, _ = saved(tmp_path)
    rewrite(path, change)
    if loads:
        load_checkpoint(path)
    else:
        with pytest.raises(StoreError, match="damaged"):
            load_checkpoint(path)
    fresh, before = shell(2), shell(2)
    with pytest.raises(StoreError, match="damaged"):
        train(
            fresh, DATA, PersistentCD(1, 20), epochs=4, rng=1, **BATCH, monitor=QUICK,
            checkpoint=path, resume=True,
        )  # fmt: skip
    assert torch.equal(fresh.weights, before.weights)


@pytest.mark.parametrize("wrong", [None, 5, 1.5, b"run"])
def test_what_is_no_path(wrong):
    with pytest.raises(InvalidInput, match="must be a path"):
        load_checkpoint(wrong)


def test_what_cannot_be_stored_is_refused_before_work(tmp_path):
    class Strange(torch.optim.SGD):
        def state_dict(self):
            return super().state_dict() | {"function": print}

    trained = shell()
    before = trained.weights.detach().clone()
    with pytest.raises(InvalidInput, match="builtin_function_or_method"):
        train(
            trained, DATA, CD(), epochs=1, rng=1, **BATCH, checkpoint=tmp_path / "run",
            optimizer=lambda p: Strange(p, 0.1),
        )  # fmt: skip
    assert torch.equal(trained.weights, before)
    assert not os.listdir(tmp_path)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path, _ = saved(tmp_path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(store.os, "replace", full)
    with pytest.raises(StoreError, match="no space left"):
        store.write(path, {"epoch": 1})
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["run.safetensors"]
