"""`fit`: one run equals a resumed one, a diverging one keeps the last good state, and bad input is
refused before any work."""

import math

import numpy as np
import pytest
import torch

from statmech_ml.errors import InvalidInput, StoreError, TrainingDiverged
from statmech_ml.generative import GenerativeModel
from statmech_ml.spaces import Reals
from statmech_ml.training import load_checkpoint


class Line(GenerativeModel):
    """x ~ N(mean + slope condition, 1), with a network's normalisation and dropout beside it."""

    def __init__(self, n_conditions=0, dropout=0.5, broken_at=None):
        super().__init__(Reals(2), n_conditions)
        self.mean = torch.nn.Parameter(torch.zeros(2))
        self.slope = torch.nn.Parameter(torch.zeros(2))
        self.lost = torch.nn.Dropout(dropout)
        self.norm = torch.nn.BatchNorm1d(2)
        self.broken_at, self.steps = broken_at, 0

    def losses(self, x, condition, generator):
        shift = 0.0 if condition is None else condition * self.slope
        self.steps += 1
        off = self.lost(x - self.mean - shift) + 0.01 * self.noise(tuple(x.shape), generator)
        loss = 0.5 * (off**2).sum(1).mean() + 0.0 * self.norm(x).sum()
        if self.broken_at is not None and self.steps > self.broken_at:
            loss = loss * math.nan
        return {"loss": loss, "distance": off.detach().abs().mean()}

    def _draw(self, n, condition, generator):
        return self.mean + self.noise((n, 2), generator)


def data(n=60):
    return np.random.default_rng(5).normal([1.0, -2.0], 1.0, (n, 2))


def test_resumed_equals_uninterrupted(tmp_path):
    settings = {"rng": 3, "batch_size": 25, "ema": 0.9, "validation_data": data(7)}
    whole, parts = Line(), Line()
    history = whole.fit(data(), epochs=4, **settings)
    parts.fit(data(), epochs=2, checkpoint=tmp_path / "run", **settings)
    again = Line()
    resumed = again.fit(data(), epochs=4, checkpoint=tmp_path / "run", resume=True, **settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    for name in ("loss", "distance", "validation_loss"):
        np.testing.assert_array_equal(history[name], resumed[name])
    assert not torch.equal(parts.mean, whole.mean)
    read = load_checkpoint(tmp_path / "run", Line())
    assert torch.equal(read.shell.mean, whole.mean)
    np.testing.assert_array_equal(read.shell.norm.running_mean, whole.norm.running_mean)


def test_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    Line().fit(data(), epochs=1, rng=1, batch_size=30)
    assert torch.equal(before, torch.get_rng_state())


def test_divergence_keeps_last_good_state():
    model = Line(broken_at=6)
    with pytest.raises(TrainingDiverged, match=r"epoch 3, step 6.*end of epoch 2") as found:
        model.fit(data(), epochs=4, rng=3, batch_size=20)
    good = Line()
    good.fit(data(), epochs=2, rng=3, batch_size=20)
    for name, value in good.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert found.value.epoch == 3
    assert len(found.value.history) == 2


def test_condition_is_learnt():
    t = np.linspace(-1.0, 1.0, 300)
    x = data(300) + t[:, None] * [0.5, 3.0]
    model = Line(1, dropout=0.0)
    model.fit(x, epochs=150, rng=1, condition=t, learning_rate=0.1, batch_size=300)
    exact = [np.polyfit(t, x[:, i], 1) for i in range(2)]
    found = [model.slope.detach().numpy(), model.mean.detach().numpy()]
    np.testing.assert_allclose(np.transpose(found), exact, atol=0.01)


def test_early_stopping_returns_best():
    model = Line(dropout=0.0)
    history = model.fit(
        data(), epochs=200, rng=1, learning_rate=0.2, batch_size=20, validation_data=-data(20),
        early_stopping=3,
    )  # fmt: skip
    assert history.stopped == "early stopping"
    assert history.best_epoch == int(np.argmin(history["validation_loss"])) + 1


def test_models_that_diverged_are_not_drawn_from():
    model = Line()
    model.mean.data[1] = math.nan
    with pytest.raises(InvalidInput, match="mean holds"):
        model.sample(3, rng=1)
    model = Line()
    model.noise = lambda shape, generator: torch.full(shape, math.inf)
    with pytest.raises(InvalidInput, match="what it draws"):
        model.sample(3, rng=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": data() * math.nan}, "finite"),
        ({"data": data()[:, :1]}, "2 sites"),
        ({"data": np.zeros((0, 2))}, "at least one"),
        ({"data": np.ma.masked_array(data())}, "masked"),
        ({"batch_size": 61}, "60 configurations"),
        ({"batch_size": 59}, "BatchNorm1d"),
        ({"batch_size": 1}, "BatchNorm1d"),
        ({"epochs": 1.5}, "epochs"),
        ({"condition": 1.0}, "n_conditions"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"early_stopping": 2}, "validation_data"),
        ({"validation_condition": 1.0}, "validation_data"),
        ({"resume": True}, "checkpoint"),
        ({"rng": None}, "rng"),
    ],
)
def test_bad_input_is_refused(change, words):
    model = Line()
    given = {"data": data(), "epochs": 1, "rng": 1, "batch_size": 60} | change
    with pytest.raises(InvalidInput, match=words):
        model.fit(given.pop("data"), **given)
    assert model.steps == 0


def test_missing_or_bad_conditions_are_refused():
    for condition, words in ((None, "give condition"), (math.nan, "finite"), ([1, 2], "array")):
        with pytest.raises(InvalidInput, match=words):
            Line(1).fit(data(), epochs=1, rng=1, batch_size=9, condition=condition)
    with pytest.raises(InvalidInput, match="masked"):
        Line(1).sample(2, rng=1, condition=np.ma.masked_array([1.0, 2.0], [True, False]))
    with pytest.raises(InvalidInput, match="n=0"):
        Line().sample(0, rng=1)


def test_checkpoint_of_another_model_is_refused(tmp_path):
    Line().fit(data(), epochs=1, rng=1, batch_size=9, checkpoint=tmp_path / "run")
    with pytest.raises(StoreError, match="another shell"):
        load_checkpoint(tmp_path / "run", Line(dropout=0.1))
    with pytest.raises(StoreError, match=r"dtype=torch\.float32"):  # it would go on otherwise
        load_checkpoint(tmp_path / "run", Line().double())
    with pytest.raises(StoreError, match="exists"):
        Line().fit(data(), epochs=1, rng=1, batch_size=9, checkpoint=tmp_path / "run")
    with pytest.raises(StoreError, match="its data"):
        Line().fit(
            data(50), epochs=1, rng=1, batch_size=9, checkpoint=tmp_path / "run", resume=True
        )
    with pytest.raises(StoreError, match="its seed"):
        Line().fit(data(), epochs=1, rng=2, batch_size=9, checkpoint=tmp_path / "run", resume=True)
