"""Mean field: a lower bound on every pairwise model, the known fixed points, refusals."""

import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.models import BernoulliRBM, DoubleWell, GaussianRBM, Ising, Potts
from statmech_ml.partition import Tempering, Weights, exact_sum, mean_field
from statmech_ml.partition._pairwise import pairwise
from statmech_ml.partition.mean_field import bound
from statmech_ml.samplers import BlockGibbs

# The bound is an identity's consequence, not a statistical claim: only rounding may break it.
ROUNDING = 1e-9


def random_glass(rng):
    n = int(rng.integers(2, 10))
    pairs = [(i, j) for i in range(n) for j in range(i) if rng.random() < 0.6]
    J = rng.normal(size=len(pairs)) * rng.choice([0.1, 1.0, 5.0])
    return Ising(lattices.from_edges(pairs, n), coupling=J, field=rng.normal(size=n))


def random_rbm(rng):
    n, m = rng.integers(1, 8, size=2)
    scale = rng.choice([0.3, 3.0])
    return BernoulliRBM(rng.normal(size=n), rng.normal(size=m), scale * rng.normal(size=(n, m)))


def random_potts(rng):
    lattice = lattices.square(2, 3, boundary="open")
    return Potts(lattice, q=3, coupling=rng.normal(size=7) * 2.0, field=rng.normal(size=(6, 3)))


@pytest.mark.parametrize("make", [random_glass, random_rbm, random_potts])
def test_never_above_the_exact_value(make, seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        model, beta = make(rng), rng.uniform(0.0, 2.0)
        result, exact = mean_field(model, beta), exact_sum(model, beta).value
        assert result.value <= exact + ROUNDING * max(1.0, abs(exact))
        assert result.lower == result.value
        assert result.status == "lower bound"
        assert result.stderr == math.inf


def test_bonds_counted_twice_would_break_the_bound():
    """Mutant: each pair summed in both directions."""
    model = Ising(lattices.square(3, 3), field=0.3)
    problem, m = pairwise(model, 1.0, "test"), 0.9
    p = np.tile([(1.0 - m) / 2.0, (1.0 + m) / 2.0], (9, 1))
    exact = exact_sum(model, 1.0).value
    assert bound(problem, p) < exact < bound(problem, p) + 18 * m**2


def test_any_product_law_bounds(seed):
    rng = np.random.default_rng(seed)
    model = random_potts(rng)
    exact, problem = exact_sum(model, 0.7).value, pairwise(model, 0.7, "test")
    best = mean_field(model, 0.7)
    assert bound(problem, best.diagnostics["marginals"]) == pytest.approx(best.value, rel=1e-14)
    for _ in range(50):
        assert bound(problem, rng.dirichlet(np.ones(3), size=6)) <= exact


def test_ferromagnet_breaks_its_symmetry():
    """m = tanh(4 beta m) on the square lattice; the paramagnet m = 0 is a worse bound."""
    result = mean_field(Ising(lattices.square(6, 6)), beta=0.44)
    m = result.diagnostics["magnetizations"]
    np.testing.assert_allclose(m, np.tanh(4 * 0.44 * m), atol=1e-9)
    assert abs(m[0]) > 0.8
    assert result.value > 36 * math.log(2.0)


def test_independent_sites_are_exact():
    model = Ising(lattices.from_edges([], n_sites=3), field=[0.1, -2.0, 30.0])
    assert mean_field(model).value == pytest.approx(enumeration.log_z(model, 1.0), rel=1e-14)
    assert mean_field(model, beta=0.0).value == pytest.approx(3 * math.log(2.0), rel=1e-14)


def test_cold_frustrated_and_large_numbers_stay_finite(seed):
    rng = np.random.default_rng(seed)
    model = Ising(lattices.square(3, 3), coupling=rng.choice([-1.0, 1.0], size=18))
    ground = float(enumeration.energies(model).min())
    value = mean_field(model, beta=1e6).value
    assert -1e6 * 18 < value <= -1e6 * ground + 9 * math.log(2.0)


def test_more_starts_never_worsen_the_bound(seed):
    rng = np.random.default_rng(seed)
    model = Ising(lattices.square(5, 5), coupling=rng.normal(size=50))
    start = rng.choice([-1, 1], size=(20, 25))
    with_starts = mean_field(model, 2.0, start=start)
    assert with_starts.value >= mean_field(model, 2.0).value
    assert with_starts.diagnostics["n_starts"] == mean_field(model).diagnostics["n_starts"] + 20


def test_one_sweep_is_still_a_bound():
    model = Ising(lattices.square(4, 4))
    result = mean_field(model, 0.44, max_sweeps=1)
    assert not result.diagnostics["converged"]
    assert result.diagnostics["iterations"] == 1
    assert result.diagnostics["residual"] > 1e-10
    assert result.lower <= exact_sum(model, 0.44).value


def test_paths_give_their_target():
    rbm = random_rbm(np.random.default_rng(3))
    expected = mean_field(rbm, 0.7).value
    assert mean_field(Weights(rbm, beta=0.7)).value == expected
    assert mean_field(Tempering(rbm, 0.7, BlockGibbs())).value == expected


def test_gaussian_rbm_integrates_its_visible_units_out():
    """Two hidden units: four Gaussians, summed by hand."""
    a, b, s = np.array([0.3, -0.2, 0.1]), np.array([0.5, -1.0]), np.array([0.5, 1.0, 2.0])
    W, beta = np.array([[1.0, 0.2], [-0.5, 0.4], [0.3, 2.0]]), 0.7
    problem = pairwise(GaussianRBM(a, b, W, s), beta, "test")
    terms = []
    for h in ([0, 0], [0, 1], [1, 0], [1, 1]):
        c = W @ h
        terms.append(beta * (b @ h + ((a + c) ** 2 - a**2) @ (0.5 / s**2)))
    exact = np.logaddexp.reduce(terms) + 0.5 * np.log(2 * np.pi * s**2 / beta).sum()
    result = mean_field(GaussianRBM(a, b, W, s), beta)
    assert problem.fields.shape == (2, 2)
    assert exact - 0.2 < result.value <= exact
    with pytest.raises(InvalidInput, match="beta > 0"):
        mean_field(GaussianRBM(a, b, W, s), 0.0)


def test_report():
    result = mean_field(Ising(lattices.square(4, 4)), beta=0.3)
    assert result.diagnostics["marginals"].shape == (16, 2)
    assert result.diagnostics["cost"]["sweeps"] >= result.diagnostics["iterations"]
    assert result.diagnostics["provenance"]["beta"] == 0.3
    assert str(result).endswith("[mean field, lower bound]")
    assert "magnetizations" not in mean_field(Potts(lattices.chain(3), q=3)).diagnostics


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"model": DoubleWell()}, "pairwise"),
        ({"model": "ising"}, "pairwise"),
        ({"model": None}, "pairwise"),
        ({"beta": math.nan}, "beta"),
        ({"beta": math.inf}, "beta"),
        ({"beta": -0.1}, "beta"),
        ({"beta": [0.1, 0.2]}, "one beta"),
        ({"beta": "cold"}, "beta"),
        ({"beta": 1e308}, "overflow"),
        ({"tol": 0.0}, "tol"),
        ({"tol": math.nan}, "tol"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"max_sweeps": 2.5}, "max_sweeps"),
        ({"start": [1, 0, 1, 1]}, "start"),
        ({"start": [[1, 1]]}, "start"),
        ({"start": "up"}, "start"),
    ],
)
def test_refusals(arguments, match):
    settings = {"model": Ising(lattices.chain(4), coupling=5.0), "beta": 1.0} | arguments
    with pytest.raises(InvalidInput, match=match):
        mean_field(settings.pop("model"), **settings)


def test_a_path_knows_its_beta():
    with pytest.raises(InvalidInput, match="its own beta"):
        mean_field(Tempering(Ising(lattices.chain(4)), 0.5), beta=0.5)
