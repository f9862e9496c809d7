"""Paths: both ends are what they say, models between are consistent, wrong ends are refused."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration
from statmech_ml.models import (
    BernoulliRBM,
    DoubleWell,
    DraggedTrap,
    Gaussian,
    GaussianRBM,
    HarmonicTrap,
    Ising,
)
from statmech_ml.partition import Geometric, Switching, Tempering, Weights
from statmech_ml.partition.path import Path
from statmech_ml.samplers import MALA, BlockGibbs, HeatBath, Metropolis, State, Wolff
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


def gaussian_machine(seed=1, n_visible=5, n_hidden=3):
    rng = np.random.default_rng(seed)
    return GaussianRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        rng.normal(size=(n_visible, n_hidden)),
        sigma=rng.uniform(0.5, 2.0, size=n_visible),
    )


EVERY = DISCRETE | {
    "Tempering of a lattice that is not linear in beta": Tempering(
        machine(5), beta=0.7, sampler=BlockGibbs()
    ),
    "Geometric": Geometric(Gaussian(stddev=1.5, dim=2), DoubleWell(tilt=0.4, dim=2), beta=1.3),
    "Geometric to a model without arrays": Geometric(Gaussian(dim=5), gaussian_machine()),
    "Weights of normal units": Weights(gaussian_machine(), beta=1.4),
    "Switching a stiffened trap": Switching(HarmonicTrap((1.0, 4.0), dim=2)),
    "Switching a dragged trap": Switching(DraggedTrap(2.0, 3.0, dim=2)),
}
LAMS = [0.0, 0.2, 0.55, 1.0]


def states(path):
    return path.sample_reference(3, np.arange(6, dtype=np.uint32))


@pytest.mark.parametrize("path", EVERY.values(), ids=EVERY)
def test_many_energies_are_the_single_ones(path):
    x = states(path)
    single = np.stack([path.reduced_energy(x, lam) for lam in LAMS])
    np.testing.assert_allclose(path.reduced_energies(x, LAMS), single, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(path.reduced_energies(x[0], LAMS), single[:, 0], rtol=1e-12)
    np.testing.assert_allclose(Path.reduced_energies(path, x, LAMS), single, rtol=1e-12)


@pytest.mark.parametrize("path", EVERY.values(), ids=EVERY)
def test_slope_is_the_derivative(path):
    """Central differences in lambda; one lambda for all chains, and one for each."""
    x, h = states(path), 1e-5
    for lam in (0.3, np.linspace(0.1, 0.9, len(x))):
        slope = (path.reduced_energy(x, lam + h) - path.reduced_energy(x, lam - h)) / (2 * h)
        np.testing.assert_allclose(path.slope(x, lam), slope, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("path", EVERY.values(), ids=EVERY)
def test_a_step_weighs_and_moves(path):
    """weigh_and_move is the difference of two energies and an ordinary advance."""
    chains = np.arange(6, dtype=np.uint32)
    state = State(states(path), 5, chains, 0)
    log_w, moved, _ = path.weigh_and_move(state, 0.2, 0.55, 2)
    before, after = path.reduced_energy(state.x, 0.2), path.reduced_energy(state.x, 0.55)
    np.testing.assert_allclose(log_w, before - after, rtol=1e-5, atol=1e-6)
    expected, _ = path.advance(state, 0.55, 2)
    np.testing.assert_allclose(moved.x, expected.x)
    assert moved.sweep == 2
    _, unmoved, info = path.weigh_and_move(state, 0.2, 0.55, 0)
    np.testing.assert_array_equal(unmoved.x, state.x)
    assert (unmoved.sweep, info) == (0, {})


def test_normal_units_by_quadrature():
    """One visible and two hidden units: log Z at both ends, and between them."""
    rbm = GaussianRBM([0.3], [0.5, -0.4], [[1.2, -0.7]], sigma=0.8)
    path = Weights(rbm, beta=1.3)
    grid = np.linspace(-12, 12, 20_001)[:, None]
    for lam in LAMS:
        weight = np.exp(-path.reduced_energy(grid, lam))
        log_z = math.log(np.trapezoid(weight, grid[:, 0]))
        if lam == 0.0:
            assert log_z == pytest.approx(path.log_z_reference, rel=1e-10)
        same = GaussianRBM([0.3], [0.5, -0.4], [[1.2 * lam, -0.7 * lam]], sigma=0.8)
        np.testing.assert_allclose(
            path.reduced_energy(grid, lam), same.reduced_energy(grid, 1.3), atol=1e-12
        )
        betas = np.full(len(grid), 1.3)
        np.testing.assert_allclose(
            path.model.reduced_gradient(grid, lam), same.reduced_gradient(grid, betas), atol=1e-10
        )
        h = np.array([[0, 0], [1, 0], [1, 1]])
        for ours, theirs in zip(
            path.model.visible_normal(h, np.full(3, lam)),
            same.visible_normal(h, np.full(3, 1.3)),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


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
        (Weights(gaussian_machine(), beta=1.4), gaussian_machine().visible_bias,
         gaussian_machine().sigma ** 2 / 1.4),
        (Switching(HarmonicTrap((2.0, 4.0), dim=2)), np.zeros(2), np.full(2, 0.5)),
        (Weights(machine(4)), *odds(machine(4).visible_bias)),
        (Weights(machine(4), beta=0.5), *odds(0.5 * machine(4).visible_bias)),
        (Tempering(TORUS, 0.6), np.zeros(12), np.ones(12)),
    ],
    ids=["Gaussian", "normal units", "trap", "Weights", "Weights at beta", "uniform"],
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
    for path in EVERY.values():
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
    """A space and nothing else."""

    space = Reals(1)


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
        (lambda: Geometric(HarmonicTrap((1.0, 4.0)), DoubleWell()), InvalidInput, "one law"),
        (lambda: Geometric(Gaussian(), Python()), InvalidInput, "no space, energy"),
        (lambda: Geometric(Gaussian(), DoubleWell(), beta=0.0), InvalidInput, "beta > 0"),
        (lambda: Geometric(Gaussian(), DoubleWell(), beta=-1.0), InvalidInput, ">= 0"),
        (lambda: Geometric(Gaussian(), DoubleWell(), 1.0, HeatBath()), MissingCapability, "Local"),
        (lambda: Geometric(Gaussian(), Model(Reals(1), Rough(1.0))), MissingCapability,
         "Differentiable"),
        (lambda: Weights(TORUS), InvalidInput, "Use Tempering"),
        (lambda: Weights(machine(), Metropolis()), MissingCapability, "Local"),
        (lambda: Weights(machine(), beta=math.inf), InvalidInput, "finite"),
        (lambda: Weights(machine(), precision="half"), InvalidInput, "'single' or 'double'"),
        (lambda: Weights(gaussian_machine(), beta=0.0), InvalidInput, "beta > 0"),
        (lambda: Weights(gaussian_machine(), HeatBath()), MissingCapability, "Local"),
        (lambda: Switching(DoubleWell()), InvalidInput, "no protocol"),
        (lambda: Switching(HarmonicTrap((1.0, 4.0)), HeatBath()), MissingCapability, "Local"),
        (lambda: Gaussian(stddev=0.0), InvalidInput, "positive"),
        (lambda: Gaussian(mean=math.nan), InvalidInput, "finite"),
        (lambda: Gaussian([1.0, 2.0], [1.0, 2.0, 3.0]), InvalidInput, "fit together"),
        (lambda: Gaussian().log_z(beta=0.0), InvalidInput, "beta > 0"),
    ],
)  # fmt: skip
def test_refusals(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("beta", [True, "0.4", b"1", 1e-300, 1e300, np.bool_(True)])
def test_betas_that_are_no_inverse_temperatures(beta):
    with pytest.raises(InvalidInput, match="beta="):
        Tempering(Ising(lattices.chain(4)), beta)
    with pytest.raises(InvalidInput, match="beta="):
        Geometric(Gaussian(), DoubleWell(), beta)


def test_what_is_no_sampler_or_model():
    for build in (
        lambda: Tempering(Ising(lattices.chain(4)), 0.4, "heat bath"),
        lambda: Tempering(Ising(lattices.chain(4)), 0.4, HeatBath),
        lambda: Geometric(Gaussian(), DoubleWell(), sampler="mala"),
        lambda: Weights(BernoulliRBM([0.0], [0.0], [[1.0]]), "gibbs"),
        lambda: Switching(HarmonicTrap((1.0, 2.0)), "mala"),
    ):
        with pytest.raises(InvalidInput, match="is no sampler"):
            build()
    with pytest.raises(InvalidInput, match="The model 'x' has no space"):
        Tempering("x", 0.4)
