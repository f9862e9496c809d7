"""Identities of every model: energies, changes, gradients; compiled and in plain Python."""

import numpy as np
import pytest
from machines import MACHINES

from statmech_ml import lattices, models, systems
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import (
    BayesianLinearRegression,
    BayesianLogisticRegression,
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    DraggedTrap,
    Funnel,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    GaussianShells,
    HarmonicTrap,
    Hopfield,
    Ising,
    LogDensity,
    MuellerBrown,
    Posterior,
    Potts,
    Quartic,
    RingOfWells,
    Rosenbrock,
)
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.spaces import Discrete
from statmech_ml.systems import Model


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def small_rbm(seed=3):
    return BernoulliRBM(normal(5, seed=seed), normal(4, seed=seed + 1), normal(5, 4, seed=seed + 2))


def small_gaussian_rbm(seed=6):
    biases = normal(3, seed=seed), normal(4, seed=seed + 1)
    return GaussianRBM(*biases, normal(3, 4, seed=seed + 2), sigma=[0.6, 1.0, 1.7])


def heavy_tailed(x):
    return -1.3 * np.log1p((x**2).sum(axis=-1)) - 0.2 * x[..., 0]


def normal_prior(theta):
    return -0.3 * (theta**2).sum(axis=-1)


def cauchy(theta, x):
    """Log-likelihood of data in a plane, with heavy tails, about theta."""
    return -np.log1p(((x - theta) ** 2).sum(axis=-1))


def boltzmann_machine(**units):
    J = np.triu(normal(5, 5, seed=8), 1)
    hidden = {"hidden_bias": normal(3, seed=9), "weights": normal(5, 3, seed=10)} if units else {}
    return BoltzmannMachine(normal(5, seed=11), J + J.T, **hidden, **units)


RING, TORUS = lattices.chain(5), lattices.square(3, 4)
GRAPH = lattices.from_edges([(0, 1), (1, 2), (3, 1), (0, 4), (2, 5)], n_sites=7)
SMALL = {
    "ring": Ising(RING, 0.7, 0.3),
    "torus": Ising(TORUS),
    "antiferromagnet": Ising(lattices.square(2, 4), -1.3),
    "even torus in a field": Ising(lattices.square(4, 2), 0.8, -0.4),
    "open": Ising(lattices.square(3, 3, "open"), 1.1, 0.2),
    "triangular": Ising(lattices.triangular(2, 3), -0.6),
    "honeycomb": Ising(lattices.honeycomb(2), 0.5, -0.1),
    "per bond": Ising(RING, normal(5), 0.2),
    "per site": Ising(TORUS, 1.0, normal(12)),
    "glass": Ising(TORUS, np.where(normal(24) > 0, 1.0, -1.0), normal(12, seed=1)),
    "whole multiples": Ising(RING, [1.0, 2.0, -1.0, 0.0, 3.0], 0.5),
    "graph": Ising(GRAPH, 0.9, 0.1),
    "no bonds": Ising(lattices.from_edges([], n_sites=3), field=0.4),
    "potts": Potts(TORUS, 3, 0.8),
    "potts glass": Potts(GRAPH, 4, normal(5, seed=2), normal(7, 4, seed=3)),
    "potts in a field": Potts(RING, 2, -0.6, [0.4, -0.1]),
    "rbm": small_rbm(),
    "gaussian rbm": small_gaussian_rbm(),
    "joint rbm": small_rbm().joint(),
    **{f"rbm, {name}": machine for name, machine in MACHINES.items()},
    "joint rbm of spins": MACHINES["spins over spins"].joint(),
    "boltzmann machine": boltzmann_machine(),
    "boltzmann machine, bits over spins": boltzmann_machine(hidden="spins"),
    "boltzmann machine, spins over bits": boltzmann_machine(visible="spins", hidden="bits"),
    "joint boltzmann machine": boltzmann_machine(visible="spins", hidden="spins").joint(),
    "hopfield": Hopfield(np.where(normal(3, 7, seed=12) > 0, 1, -1)),
    "double well": DoubleWell(barrier=1.5, minimum=0.8, tilt=0.4, dim=3, stiffness=1.7),
    "one dimension": DoubleWell(tilt=-0.3),
    "gaussian": Gaussian(mean=[0.3, -1.0, 0.0], stddev=[1.0, 0.4, 2.0]),
    "correlated": Gaussian(mean=[0.3, -1.0], covariance=[[1.0, -0.7], [-0.7, 0.8]]),
    "mixture": GaussianMixture([0.5, 2.0], [[0.0, 1.0], [-1.0, 0.5]], [[0.5, 0.7], [1.0, 1.2]]),
    "shells": GaussianShells(dim=3, radius=1.2, width=0.4, distance=2.0),
    "quartic": Quartic(dim=3, stiffness=-1.2, anharmonicity=0.7, tilt=0.2),
    "stiffened trap": HarmonicTrap(stiffness=(0.7, 3.0), dim=2),
    "dragged trap": DraggedTrap(stiffness=1.4, distance=-2.0, dim=3),
    "log-density": LogDensity(heavy_tailed, 2),
    "mueller-brown": MuellerBrown(scale=0.05),
    "rosenbrock": Rosenbrock(a=0.4, b=1.3, mu=0.7),
    "hybrid rosenbrock": Rosenbrock(a=0.4, b=0.6, mu=-0.3, blocks=2, length=2),
    "funnel": Funnel(dim=4, stddev=1.5),
    "ring of wells": RingOfWells(n_wells=3, radius=1.2, height=1.5, barrier=1.1, tilt=0.4),
    "posterior": Posterior(normal_prior, cauchy, normal(7, 2), 2),
    "linear regression": BayesianLinearRegression(normal(9, 3), normal(9, seed=1), 0.8, [1, 2, 3]),
    "logistic regression": BayesianLogisticRegression(normal(9, 3), normal(9) > 0.2, 1.7),
    "interpolated": Interpolated(Gaussian(0.3, 0.9, dim=2), DoubleWell(dim=2, tilt=0.3), 0.8),
    "interpolated function": Interpolated(Gaussian(0.3, dim=2), LogDensity(heavy_tailed, 2), 1.4),
}
ALL = pytest.mark.parametrize("model", SMALL.values(), ids=SMALL)
PROTOCOLS = (HarmonicTrap, DraggedTrap, Interpolated)  # lambda in the place of beta


def some_states(model, n=40, seed=5):
    return model.space.random(seed, np.arange(n, dtype=np.uint32))


def plain(name, model, *args):
    """A method of the compiled NamedTuple, or its default, run by the Python interpreter."""
    return getattr(systems, name)(model.arrays, *args)


def test_every_exported_model_is_among_the_examples():
    kinds = {type(m).__name__ for m in SMALL.values()}
    assert set(models.__all__) <= kinds


@ALL
def test_reduced_energy_at_beta_one_and_zero(model):
    x = some_states(model)
    # Where hidden units are summed out, the reduced energy is not beta F_1.
    summed = "Conditional" in model.capabilities or getattr(model, "n_hidden", 0)
    if summed or isinstance(model, PROTOCOLS):
        assert np.allclose(model.reduced_energy(x, 1.0), model.energy(x), atol=1e-12)
    else:
        for beta in (0.0, 0.3, 2.0):
            assert np.allclose(model.reduced_energy(x, beta), beta * model.energy(x), atol=1e-12)


@ALL
def test_batches_and_betas_broadcast(model):
    x = some_states(model, 6).reshape(2, 3, -1)
    beta = np.array([0.2, 0.5, 1.0])
    one_by_one = [[model.reduced_energy(x[i, j], beta[j]) for j in range(3)] for i in range(2)]
    assert np.allclose(model.reduced_energy(x, beta), one_by_one, rtol=1e-13)
    assert model.energy(x).shape == (2, 3)
    assert model.energy(x).dtype == np.float64
    assert np.shape(model.energy(x[0, 0])) == ()
    ladder = model.reduced_energy(x[0, 0], beta)
    assert np.allclose(ladder, [model.reduced_energy(x[0, 0], b) for b in beta], rtol=1e-13)


@ALL
def test_compiled_energies_are_the_plain_ones_bit_for_bit(model):
    if not hasattr(model, "arrays"):
        pytest.skip("energies of this model are matrix products")
    x = some_states(model)
    compiled = Model(model.space, model.arrays).energy(x)
    assert compiled.tolist() == [plain("energy", model, row) for row in x]
    at_beta = Model(model.space, model.arrays).reduced_energy(x, 0.37)
    assert at_beta.tolist() == [plain("reduced_energy", model, row, 0.37) for row in x]


@ALL
def test_the_model_energy_is_that_of_its_arrays(model):
    if not hasattr(model, "arrays"):
        pytest.skip("energies of this model are matrix products")
    x = some_states(model)
    assert np.allclose(model.energy(x), Model(model.space, model.arrays).energy(x), atol=1e-12)


@ALL
def test_change_of_one_site_is_a_difference_of_energies(model):
    if "Local" not in model.capabilities:
        pytest.skip("no single-site changes")
    for x in some_states(model, 10):
        before = model.energy(x)
        for site in range(model.space.size):
            for value in model.space.values:
                y = x.copy()
                y[site] = value
                change = plain("delta_energy", model, x, site, value)
                assert change == pytest.approx(model.energy(y) - before, abs=1e-12)
                reduced = plain("delta_reduced_energy", model, x, site, value, 0.6)
                expected = model.reduced_energy(y, 0.6) - model.reduced_energy(x, 0.6)
                assert reduced == pytest.approx(expected, abs=1e-12)


@ALL
def test_the_table_of_environments_holds_the_gaps(model):
    if "Tabulated" not in model.capabilities:
        pytest.skip("not tabulated")
    low, high = model.space.values
    for x in some_states(model, 10):
        for site in range(model.space.size):
            e = plain("environment", model, x, site)
            assert 0 <= e < len(model.arrays.gaps)
            up, down = x.copy(), x.copy()
            up[site], down[site] = high, low
            gap = model.energy(up) - model.energy(down)
            assert model.arrays.gaps[e] == pytest.approx(gap, abs=1e-12)


@ALL
def test_links_are_the_satisfied_bonds(model):
    if "Clusterable" not in model.capabilities:
        pytest.skip("not clusterable")
    arrays, lattice = model.arrays, model.lattice
    coupling = np.broadcast_to(model.coupling, lattice.n_bonds)
    unit = 1.0 if isinstance(model, Potts) else 2.0
    for x in some_states(model, 10):
        for site in range(model.space.size):
            for k, j in enumerate(lattice.neighbours[site]):
                J = coupling[lattice.neighbour_bonds[site, k]] if j >= 0 else 0.0
                for value in model.space.values:
                    which = plain("link", model, x, site, k, value)
                    energy = arrays.links[which] if which >= 0 else 0.0
                    satisfied = (value == x[j]) == (J > 0.0)
                    assert energy == pytest.approx(unit * abs(J) * satisfied)


@ALL
def test_gradient_against_finite_differences(model):
    if "Differentiable" not in model.capabilities:
        with pytest.raises(MissingCapability, match="needs the capability Differentiable"):
            model.reduced_gradient(some_states(model), 1.0)
        return
    step, dim = 1e-5, model.space.size
    for beta in (0.3, 1.0):
        x = some_states(model, 5)
        shifted = x[:, None] + step * np.eye(dim), x[:, None] - step * np.eye(dim)
        up, down = (model.reduced_energy(y, beta) for y in shifted)
        found = model.reduced_gradient(x, beta)
        assert found == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-6)
        if not hasattr(model, "arrays"):
            continue
        for row, expected in zip(x, found, strict=True):
            out = np.empty(dim)
            plain("reduced_gradient", model, row, beta, out)
            assert out.tolist() == expected.tolist()
            if hasattr(model.arrays, "gradient"):
                plain("gradient", model, row, out)
                assert beta * out == pytest.approx(expected, abs=1e-14)


@ALL
def test_gradients_broadcast(model):
    if "Differentiable" not in model.capabilities:
        pytest.skip("not differentiable")
    x, beta = some_states(model, 6).reshape(2, 3, -1), np.array([0.2, 0.5, 1.0])
    found = model.reduced_gradient(x, beta)
    assert found.shape == x.shape
    for i in range(2):
        for j in range(3):
            one = model.reduced_gradient(x[i, j], beta[j])
            assert found[i, j] == pytest.approx(one, rel=1e-9, abs=1e-9)
    ladder = model.reduced_gradient(x[0, 0], beta)
    assert ladder == pytest.approx(model.reduced_gradient(np.tile(x[0, 0], (3, 1)), beta), rel=1e-9)
    with pytest.raises(InvalidInput, match="beta has shape"):
        model.reduced_gradient(x, np.ones(4))


@ALL
def test_slope_against_finite_differences(model):
    if not hasattr(model, "slope"):
        pytest.skip("the reduced energy is beta E")
    x, step = some_states(model), 1e-5
    for beta in (0.2, 0.9):
        change = model.reduced_energy(x, beta + step) - model.reduced_energy(x, beta - step)
        assert model.slope(x, beta) == pytest.approx(change / (2 * step), rel=1e-7, abs=1e-7)
    assert model.slope(x.reshape(4, 10, -1), np.linspace(0.1, 1.0, 10)).shape == (4, 10)


@ALL
def test_states_off_the_space_are_refused(model):
    wrong = np.full(model.space.size, 7 if isinstance(model.space, Discrete) else np.nan)
    with pytest.raises(ValueError, match="holds"):
        model.energy(wrong)
    with pytest.raises(ValueError, match="sites"):
        model.reduced_energy(np.ones(model.space.size + 1), 1.0)


@ALL
def test_representations_are_short_and_name_the_model(model):
    text = repr(model)
    assert text.startswith(type(model).__name__)
    assert len(text) < 100
