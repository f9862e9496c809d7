"""Autoencoders: the linear one finds the principal subspace; the others minimise what they say."""

import math

import numpy as np
import pytest
import torch
from latent_checks import falling, rows, swift

from statmech_ml.errors import InvalidInput, StoreError, TrainingDiverged
from statmech_ml.generative import PCA, Autoencoder, LinearAutoencoder
from statmech_ml.spaces import Bits, Reals, Spins

CROSS = {"output": "sigmoid", "reconstruction": "cross-entropy"}


def test_linear_one_reaches_the_discarded_variance_by_gradient():
    """Within 1e-3; an excess of that size leaves an angle of sin^2 = 1e-3 x 0.75 / (2 - 0.5)."""
    x, steps = rows(), 400
    pca = PCA.of(x, 2)
    model = LinearAutoencoder(4, 2, rng=3, dtype=torch.float64)
    history = model.fit(
        x, epochs=steps, rng=3, batch_size=64, optimizer=swift(), schedule=falling(steps)
    )
    assert pca.discarded_variance * (1 - 1e-12) <= model.error(x).mean()
    assert model.error(x).mean() <= pca.discarded_variance * (1 + 1e-3)
    assert math.isclose(history["loss"][-1], pca.discarded_variance, rel_tol=1e-3)
    assert pca.angles(model.basis).max() < math.asin(math.sqrt(1e-3 * 0.75 / 1.5))


def test_linear_one_in_closed_form():
    x = rows()
    model = LinearAutoencoder(4, 2, rng=1, dtype=torch.float64)
    pca = model.solve(x)
    assert math.isclose(model.error(x).mean(), 0.75, rel_tol=1e-12)
    assert pca.angles(model.basis).max() < 1e-7
    np.testing.assert_allclose(model.reconstruct(x), pca.inverse(pca.transform(x)), atol=1e-12)


def test_cross_entropy_is_that_of_its_reconstruction():
    model = Autoencoder(Bits(6), 2, (8,), rng=3, dtype=torch.float64, **CROSS)
    x = np.random.default_rng(1).integers(0, 2, (20, 6))
    y = model.reconstruct(x)
    exact = -(x * np.log(y) + (1 - x) * np.log1p(-y)).sum(axis=1)
    np.testing.assert_allclose(model.error(x), exact, rtol=1e-12)
    mse = Autoencoder(Reals(6), 2, (8,), rng=3, dtype=torch.float64)
    np.testing.assert_allclose(
        mse.error(x), ((x - mse.reconstruct(x)) ** 2).sum(axis=1), rtol=1e-12
    )


def test_two_patterns_pass_a_bottleneck_of_one(seed):
    x = np.repeat([[0, 1, 1, 0, 0], [1, 1, 0, 0, 1]], 20, axis=0)
    model = Autoencoder(Bits(5), 1, (8,), rng=seed, **CROSS)
    model.fit(x, epochs=100, rng=seed, batch_size=20, learning_rate=0.05)
    np.testing.assert_array_equal(np.round(model.reconstruct(x)), x)


@pytest.mark.parametrize(
    ("output", "least", "most"),
    [
        ("identity", -math.inf, math.inf),
        ("relu", 0.0, math.inf),
        ("leaky_relu", -math.inf, math.inf),
        ("sigmoid", 0.0, 1.0),
    ],
)
def test_range_of_outputs(output, least, most):
    model = Autoencoder(Reals(4), 2, (8,), rng=2, output=output)
    found = model.decode(np.random.default_rng(1).normal(size=(50, 2)) * 50.0)
    assert least <= found.min()
    assert found.max() <= most
    low_end_used = {"identity": -1.0, "relu": 0.0, "leaky_relu": -0.01, "sigmoid": 1e-3}
    assert found.min() <= low_end_used[output]


def test_networks_of_ones_own():
    class Halves(torch.nn.Module):
        def __init__(self, to):
            super().__init__()
            self.scale, self.to = torch.nn.Parameter(torch.ones(1)), to

        def forward(self, x):
            return self.scale * (x[:, :2] if self.to == "down" else torch.cat([x, x], dim=1))

    model = Autoencoder(Reals(4), 2, encoder=Halves("down"), decoder=Halves("up"))
    x = np.array([[1.0, 2.0, 1.0, 2.5]])
    np.testing.assert_allclose(model.error(x), [0.25])
    with pytest.raises(InvalidInput, match=r"encoder turns .* needed"):
        Autoencoder(Reals(4), 3, encoder=Halves("down"), rng=1)
    with pytest.raises(InvalidInput, match="decoder cannot read"):
        Autoencoder(Reals(4), 2, decoder=torch.nn.Linear(3, 4), rng=1)
    with pytest.raises(InvalidInput, match="rng"):
        Autoencoder(Reals(4), 2, encoder=Halves("down"))


def test_no_distribution_to_draw_from():
    with pytest.raises(InvalidInput, match=r"no distribution over its latents.*Use a VAE"):
        Autoencoder(Reals(4), 2, rng=1).sample(3, rng=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Autoencoder(Reals(4), 5, rng=1), "wider than the data"),
        (lambda: Autoencoder(Reals(4), 2, rng=None), "rng"),
        (lambda: Autoencoder(Reals(4), 2, rng=1, output="softmax"), "output"),
        (lambda: Autoencoder(Reals(4), 2, rng=1, reconstruction="l1"), "reconstruction"),
        (lambda: Autoencoder(Bits(4), 2, rng=1, reconstruction="cross-entropy"), "sigmoid"),
        (lambda: Autoencoder(Spins(4), 2, rng=1, output="sigmoid"), "writes no -1"),
        (lambda: Autoencoder(Reals(4), 2, rng=1, **CROSS).error([[0, 1, 0.5, 1.5]]), "1.5"),
        (lambda: Autoencoder(Reals(4), 2, rng=1, output="relu").error(rows()), "never reaches"),
        (lambda: Autoencoder(Reals(4), 2, rng=1).error([[0, 1, 2, math.nan]]), "NaN"),
        (lambda: Autoencoder(Spins(4), 2, rng=1).error([[0, 1, 1, 0]]), "Spins"),
        (lambda: Autoencoder(Reals(4), 2, rng=1).decode([[1.0, 2.0, 3.0]]), "2 sites"),
        (lambda: Autoencoder(Reals(4), 2, rng=1).decode([1.0, 2.0]), "rows"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()


def test_resumed_equals_uninterrupted_and_knows_its_own(tmp_path):
    def model(output="identity"):
        return Autoencoder(Reals(4), 2, (8,), rng=5, output=output)

    settings = {"rng": 3, "batch_size": 25}
    whole, parts, again = model(), model(), model()
    whole.fit(rows(), epochs=3, **settings)
    parts.fit(rows(), epochs=1, checkpoint=tmp_path / "run", **settings)
    again.fit(rows(), epochs=3, checkpoint=tmp_path / "run", resume=True, **settings)
    np.testing.assert_array_equal(whole.encode(rows()), again.encode(rows()))
    with pytest.raises(StoreError, match="another shell"):
        model("leaky_relu").fit(
            rows(), epochs=3, checkpoint=tmp_path / "run", resume=True, **settings
        )


def test_divergence_keeps_the_last_good_state():
    model = Autoencoder(Reals(4), 2, (8,), rng=5)
    before = model.encode(rows())
    with pytest.raises(TrainingDiverged, match=r"epoch 1"):
        model.fit(rows(), epochs=3, rng=1, batch_size=10, learning_rate=1e9)
    np.testing.assert_array_equal(model.encode(rows()), before)
