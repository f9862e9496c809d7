"""Paths: both ends are what they say, models between are consistent, wrong ends are refused."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising
from statmech_ml.partition import Geometric, Tempering, Weights
from statmech_ml.samplers import MALA, BlockGibbs, HeatBath, Metropolis, Wolff
from statmech_ml.spaces import Bits, Reals
from statmech_ml.systems import Model, reduced_gradient

TORUS = Ising(lattices.square(3, 4), coupling=0.9, field=0.2)
CHAINS = np.arange(5, dtype=np.uint32)


def machine(seed=1, n_visible=6, n_hidden=4):
    rng = np.random.default_rng(seed)
    return BernoulliRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        rng.normal(size=(n_visible, n_hidden)),
    )


DISCRETE = {
    "Tempering of a torus": Tempering(TORUS, beta=0.6),
    "Tempering of an RBM": Tempering(machine(), beta=1.4, sampler=BlockGibbs()),
    "Weights": Weights(machine()),
    "Weights at beta": Weights(machine(), beta=1.4),
}


@pytest.mark.parametrize("path", DISCRETE.values(), ids=DISCRETE)
def test_ends(path):
    """By enumeration: log Z at 0 is the reference's, and at 1 states weigh as the target's."""
    model, beta = path.target
    assert path.log_z_reference == pytest.approx(
        enumeration.log_z(path.model, path.beta_at(0.0)), rel=1e-13
    )
    assert enumeration.log_z(path.model, path.beta_at(1.0)) == pytest.approx(
        enumeration.log_z(model, beta), rel=1e-13
    )
    x = enumeration.states(path.model.space)[:50]
    np.testing.assert_allclose(
        path.reduced_energy(x, 1.0), model.reduced_energy(x, beta), rtol=1e-12
    )


def test_scaled_weights_are_an_rbm():
    """Half way along Weights stands the machine with half the weights."""
    rbm = machine(2)
    half = BernoulliRBM(rbm.visible_bias, rbm.hidden_bias, 0.5 * rbm.weights)
    v = enumeration.states(rbm.space)
    path = Weights(rbm)
    np.testing.assert_allclose(path.reduced_energy(v, 0.5), half.reduced_energy(v, 1.0), rtol=1e-12)
    lam = np.full(len(v), 0.5)
    one = np.ones(len(v))
    np.testing.assert_allclose(path.model.hidden_logits(v, lam), half.hidden_logits(v, one))
    h = enumeration.states(Bits(rbm.n_hidden))
    np.testing.assert_allclose(
        path.model.visible_logits(h, lam[: len(h)]), half.visible_logits(h, one[: len(h)])
    )


def test_weights_at_beta_scale_everything():
    rbm = machine(3)
    v = enumeration.states(rbm.space)
    np.testing.assert_allclose(
        Weights(rbm, beta=0.3).reduced_energy(v, 1.0), rbm.reduced_energy(v, 0.3), rtol=1e-12
    )


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_interpolated_energy_and_gradient(lam):
    """Geometric mixes both ends at the target's beta; its gradient is the energy's slope."""
    reference, model = Gaussian([0.5, -0.2], [1.5, 0.7]), DoubleWell(tilt=0.4, dim=2)
    path = Geometric(reference, model, beta=1.3)
    x = np.array([0.7, -1.1])
    expected = (1 - lam) * reference.energy(x) + lam * 1.3 * model.energy(x)
    assert path.reduced_energy(x, lam) == pytest.approx(expected, rel=1e-13)
    out = np.empty(2)
    reduced_gradient(path.model.arrays, x, lam, out)
    h = 1e-5
    for i, step in enumerate(h * np.eye(2)):
        above, below = path.reduced_energy(x + step, lam), path.reduced_energy(x - step, lam)
        assert out[i] == pytest.approx((above - below) / (2 * h), abs=1e-8)


def moments(path, mean, variance):
    """z-scores of mean and variance of reference draws, coordinate by coordinate."""

    def run(seed, scale):
        n = 20_000 * scale
        x = path.sample_reference(seed, np.arange(n, dtype=np.uint32)).astype(float)
        z_mean = (x.mean(axis=0) - mean) / np.sqrt(variance / n)
        squares = (x - mean) ** 2
        # A fair coin's squares do not fluctuate at all.
        spread = np.maximum(squares.std(axis=0), 1e-12)
        z_variance = (squares.mean(axis=0) - variance) / (spread / math.sqrt(n))
        pairs = (x - mean)[:, :-1] * (x - mean)[:, 1:] / np.sqrt(variance[:-1] * variance[1:])
        return np.concatenate([z_mean, z_variance, pairs.mean(axis=0) * math.sqrt(n)])

    return run


def odds(bias):
    p = 1 / (1 + np.exp(-bias))
    return p, p * (1 - p)


@pytest.mark.parametrize(
    ("path", "mean", "variance"),
    [
        (Geometric(Gaussian([1.0, -2.0, 0.0], [0.5, 2.0, 1.0]), DoubleWell(dim=3)),
         np.array([1.0, -2.0, 0.0]), np.array([0.25, 4.0, 1.0])),
        (Weights(machine(4)), *odds(machine(4).visible_bias)),
        (Weights(machine(4), beta=0.5), *odds(0.5 * machine(4).visible_bias)),
        (Tempering(TORUS, 0.6), np.zeros(12), np.ones(12)),
    ],
    ids=["Gaussian", "Weights", "Weights at beta", "uniform"],
)  # fmt: skip
def test_reference_draws(path, mean, variance, seed, assert_unbiased):
    assert_unbiased(moments(path, mean, variance), seed)


def test_reference_draws_mutants(seed, assert_rejected):
    """A lost square in the variance and biases of the wrong sign are seen."""
    path = Geometric(Gaussian([0.0, 0.0], [0.5, 2.0]), DoubleWell(dim=2))
    assert_rejected(moments(path, np.zeros(2), np.array([0.5, 2.0])), seed)
    rbm = machine(4)
    assert_rejected(moments(Weights(rbm), *odds(-rbm.visible_bias)), seed)


def test_reference_draws_are_addressed():
    """Chain c draws the same, whatever other chains there are."""
    for path in (*DISCRETE.values(), Geometric(Gaussian(dim=3), DoubleWell(dim=3))):
        x = path.sample_reference(7, CHAINS)
        assert x.shape == (5, path.model.space.size)
        np.testing.assert_array_equal(path.sample_reference(7, CHAINS[3:]), x[3:])
        assert (path.sample_reference(8, CHAINS) != x).any()


def test_gaussian():
    """log Z in closed form, scaling with beta as (2 pi / beta)^(n/2)."""
    model = Gaussian([0.0, 3.0], [2.0, 0.5])
    assert model.log_z() == pytest.approx(math.log(2 * math.pi))
    assert model.log_z(beta=4.0) == pytest.approx(math.log(2 * math.pi / 4))
    assert model.energy([2.0, 3.5]) == pytest.approx(1.0)
    assert Gaussian(0.5, 2.0, dim=4).space == Reals(4)


class Wall(NamedTuple):
    """A model of bits that is not uniform at beta = 0."""

    height: float

    def energy(self, x):
        return self.height * x[0]

    def reduced_energy(self, x, beta):
        return (1.0 + beta) * self.height * x[0]

    def delta_reduced_energy(self, x, site, value, beta):
        return (1.0 + beta) * self.height * (value - x[0]) if site == 0 else 0.0


class Python:
    """A continuous model without compiled arrays."""

    space = Reals(1)
    capabilities = frozenset({"Differentiable"})


class Rough(NamedTuple):
    """A continuous model without a gradient."""

    height: float

    def energy(self, x):
        return self.height * abs(x[0])


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Tempering(DoubleWell(), 1.0), InvalidInput, "Use Geometric"),
        (lambda: Tempering(TORUS, -1.0), InvalidInput, "sign of the coupling"),
        (lambda: Tempering(TORUS, math.nan), InvalidInput, "finite and >= 0"),
        (lambda: Tempering(TORUS, [0.1, 0.2]), InvalidInput, "one beta"),
        (lambda: Tempering(TORUS, 0.5, Wolff()), InvalidInput, "field"),
        (lambda: Tempering(TORUS, 0.5, MALA()), MissingCapability, "Differentiable"),
        (lambda: Tempering(machine(), 1.0), MissingCapability, "BlockGibbs"),
        (lambda: Tempering(Model(Bits(2), Wall(1.0)), 1.0), InvalidInput, "not uniform"),
        (lambda: Geometric(Gaussian(dim=2), DoubleWell(dim=3)), InvalidInput, "one space"),
        (lambda: Geometric(Gaussian(), TORUS), InvalidInput, "one space"),
        (lambda: Geometric(DoubleWell(), DoubleWell()), InvalidInput, "exact log_z"),
        (lambda: Geometric(Gaussian(), Python()), InvalidInput, "compiled arrays"),
        (lambda: Geometric(Gaussian(), DoubleWell(), beta=0.0), InvalidInput, "beta > 0"),
        (lambda: Geometric(Gaussian(), DoubleWell(), beta=-1.0), InvalidInput, ">= 0"),
        (lambda: Geometric(Gaussian(), DoubleWell(), 1.0, HeatBath()), MissingCapability, "Local"),
        (lambda: Geometric(Gaussian(), Model(Reals(1), Rough(1.0))), MissingCapability,
         "Differentiable"),
        (lambda: Weights(TORUS), InvalidInput, "Use Tempering"),
        (lambda: Weights(machine(), Metropolis()), MissingCapability, "Local"),
        (lambda: Weights(machine(), beta=math.inf), InvalidInput, "finite"),
        (lambda: Gaussian(stddev=0.0), InvalidInput, "positive"),
        (lambda: Gaussian(mean=math.nan), InvalidInput, "finite"),
        (lambda: Gaussian([1.0, 2.0], [1.0, 2.0, 3.0]), InvalidInput, "fit together"),
        (lambda: Gaussian().log_z(beta=0.0), InvalidInput, "beta > 0"),
    ],
)  # fmt: skip
def test_refusals(build, error, message):
    with pytest.raises(error, match=message):
        build()
