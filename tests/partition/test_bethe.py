"""Bethe: exact on trees, the known value on rings, a bound where attractive, never an exception."""

import importlib
import math

import numpy as np
import pytest
from statistical import mutant

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import BernoulliRBM, DoubleWell, Ising, Potts
from statmech_ml.partition import Tempering, Weights, bethe, exact_sum
from statmech_ml.partition._pairwise import pairwise

MODULE = importlib.import_module("statmech_ml.partition.bethe")
ROUNDING = 1e-9  # bounds are theorems at a fixed point; messages there are known to 1e-10


def random_tree(rng, n):
    """Each site bonded to an earlier one, or (a forest) to none; sites then renamed."""
    names = rng.permutation(n)
    pairs = [(i, int(rng.integers(i))) for i in range(1, n) if rng.random() < 0.9]
    return lattices.from_edges([(int(names[i]), int(names[j])) for i, j in pairs], n)


def glass_on(lattice, rng, scale=1.0):
    return Ising(
        lattice, scale * rng.normal(size=lattice.n_bonds), rng.normal(size=lattice.n_sites)
    )


# --- exact ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_trees_of_spins(scale, seed):
    rng = np.random.default_rng(seed)
    for n in (1, 2, 7, 12):
        model = glass_on(random_tree(rng, n), rng, scale)
        result, exact = bethe(model, 0.7), exact_sum(model, 0.7).value
        assert result.value == pytest.approx(exact, rel=1e-12)
        assert (result.status, result.stderr) == ("exact", 0.0)
        assert result.lower == result.upper == result.value
        assert result.diagnostics["iterations"] <= 2  # once there and back, once to see it is done
        assert str(result).endswith("[bethe, exact]")


def test_trees_of_potts_states(seed):
    rng = np.random.default_rng(seed)
    lattice = random_tree(rng, 7)
    model = Potts(lattice, 3, 2.0 * rng.normal(size=lattice.n_bonds), rng.normal(size=(7, 3)))
    result = bethe(model, 1.3)
    assert result.value == pytest.approx(exact_sum(model, 1.3).value, rel=1e-12)
    assert result.status == "exact"


def test_trees_give_exact_means(seed):
    rng = np.random.default_rng(seed)
    model = glass_on(random_tree(rng, 8), rng)
    states = model.space.from_index(np.arange(256))
    weight = np.exp(-model.reduced_energy(states, 0.8))
    expected = weight @ states / weight.sum()
    found = bethe(model, 0.8).diagnostics["magnetizations"]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_an_rbm_with_one_hidden_unit_is_a_tree(seed):
    rng = np.random.default_rng(seed)
    rbm = BernoulliRBM(rng.normal(size=30), rng.normal(size=1), rng.normal(size=(30, 1)))
    assert bethe(rbm).value == pytest.approx(exact_sum(rbm).value, rel=1e-12)
    assert bethe(rbm).status == "exact"


def test_zero_couplings_are_no_bonds():
    model = Ising(lattices.chain(5), coupling=[1.0, -2.0, 0.0, 0.5, 0.3], field=0.2)
    assert bethe(model).status == "exact"
    assert bethe(model).value == pytest.approx(exact_sum(model, 1.0).value, rel=1e-12)
    assert bethe(Ising(lattices.chain(5)), beta=0.0).value == pytest.approx(5 * math.log(2.0))


def test_a_long_chain():
    """log Z = n log 2 + (n - 1) log cosh K."""
    n, K = 20_000, 0.7
    expected = n * math.log(2.0) + (n - 1) * math.log(math.cosh(K))
    result = bethe(Ising(lattices.chain(n, boundary="open")), beta=K)
    assert result.value == pytest.approx(expected, rel=1e-12)


def test_two_bonds_between_two_sites_are_one():
    """A periodic side of length 2: the pair has coupling 2 J, and no loop."""
    model = Ising(lattices.chain(2), coupling=0.4)
    assert bethe(model).status == "exact"
    assert bethe(model).value == pytest.approx(exact_sum(model, 1.0).value, rel=1e-12)


# --- loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 4, 7])
@pytest.mark.parametrize("K", [0.5, -0.5])
def test_ring(n, K):
    """log Z_B = n log(2 cosh K), while Z = (2 cosh K)^n + (2 sinh K)^n: above it or below."""
    model = Ising(lattices.chain(n), coupling=K)
    result = bethe(model)
    assert result.value == pytest.approx(n * math.log(2.0 * math.cosh(K)), rel=1e-12)
    gap = exact_sum(model, 1.0).value - result.value
    assert gap == pytest.approx(math.log1p(math.tanh(K) ** n), rel=1e-8)
    frustrated = K < 0.0 and n % 2 == 1
    assert result.status == ("approximate" if frustrated else "lower bound")
    assert (gap < 0.0) == frustrated
    assert result.lower == (None if frustrated else result.value)


@pytest.mark.parametrize("q", [2, 3, 5])
def test_potts_ring(q):
    """n log of the largest eigenvalue of the transfer matrix, e^K + q - 1."""
    K, n = 0.9, 5
    result = bethe(Potts(lattices.chain(n), q, coupling=K))
    assert result.value == pytest.approx(n * math.log(math.exp(K) + q - 1.0), rel=1e-12)
    assert result.status == ("lower bound" if q == 2 else "approximate")


def test_ring_in_a_field():
    K, h, n = 0.6, 0.3, 6
    top = math.exp(K) * math.cosh(h) + math.sqrt(
        math.exp(2 * K) * math.sinh(h) ** 2 + math.exp(-2 * K)
    )
    result = bethe(Ising(lattices.chain(n), coupling=K, field=h))
    assert result.value == pytest.approx(n * math.log(top), rel=1e-12)


def test_hot_square_lattice_is_the_bethe_lattice():
    """Paramagnet of 2 n bonds: n log 2 + 2 n log cosh K, up to tanh K = 1/3."""
    for K in (0.1, 0.3, 0.34):
        result = bethe(Ising(lattices.square(6, 6)), beta=K)
        assert result.value == pytest.approx(
            36 * (math.log(2.0) + 2.0 * math.log(math.cosh(K))), rel=1e-9
        )
    cold = bethe(Ising(lattices.square(6, 6)), beta=0.40)
    assert abs(cold.diagnostics["magnetizations"][0]) > 0.5
    assert cold.value > 36 * (math.log(2.0) + 2.0 * math.log(math.cosh(0.40)))


MESSAGES = {  # mutants of the kernel that sends messages
    "max-product": ("fresh[b] = top + math.log(total)", "fresh[b] = top"),
    "no fields": ("belief[a] = fields[i, a]", "belief[a] = 0.0"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_wrong_messages_are_rejected(name, monkeypatch):
    model = Ising(lattices.chain(4, boundary="open"), coupling=0.8, field=[0.5, -1.0, 0.2, 0.3])
    exact = exact_sum(model, 1.0).value
    assert bethe(model).value == pytest.approx(exact, rel=1e-12)
    monkeypatch.setattr(MODULE, "_sweep", mutant(MODULE._sweep, *MESSAGES[name]))
    assert abs(bethe(model).value - exact) > 1e-3


def test_wrong_free_energy_is_rejected(monkeypatch):
    """Mutant: sites counted once for themselves and once more for each bond."""

    def overcounted(problem, beliefs, messages):
        degree = np.bincount(problem.bonds.ravel(), minlength=len(beliefs))
        return right(problem, beliefs, messages) + degree @ np.logaddexp.reduce(beliefs, axis=1)

    right = MODULE._log_z
    model = Ising(lattices.chain(4, boundary="open"), coupling=0.8)
    monkeypatch.setattr(MODULE, "_log_z", overcounted)
    assert abs(bethe(model).value - exact_sum(model, 1.0).value) > 1.0


def attractive(rng):
    """A random graph with J >= 0 in a random gauge, and any fields."""
    n = int(rng.integers(3, 10))
    pairs = [(i, j) for i in range(n) for j in range(i) if rng.random() < 0.6]
    gauge = rng.choice([-1.0, 1.0], size=n)
    J = [rng.exponential() * gauge[i] * gauge[j] for i, j in pairs]
    return Ising(lattices.from_edges(pairs, n), coupling=J, field=rng.normal(size=n) * 0.5)


def attractive_rbm(rng):
    n, m = (int(k) for k in rng.integers(2, 7, size=2))
    signs = np.outer(rng.choice([-1.0, 1.0], size=n), rng.choice([-1.0, 1.0], size=m))
    W = 2.0 * rng.exponential(size=(n, m)) * signs
    return BernoulliRBM(rng.normal(size=n), rng.normal(size=m), W)


@pytest.mark.parametrize("make", [attractive, attractive_rbm])
def test_lower_bound_where_attractive(make, seed):
    rng = np.random.default_rng(seed)
    bounds = 0
    for _ in range(30):
        model, beta = make(rng), rng.uniform(0.1, 1.5)
        result, exact = bethe(model, beta), exact_sum(model, beta).value
        assert result.status in ("lower bound", "exact", "not converged")
        if result.status == "lower bound":
            assert result.lower == result.value <= exact + ROUNDING * max(1.0, abs(exact))
            bounds += 1
    assert bounds > 10


def test_no_bound_where_frustrated(seed):
    """Mutant: calling it a bound everywhere. On glasses the value lies above log Z now and then."""
    rng = np.random.default_rng(seed)
    above = 0
    for _ in range(30):
        model = glass_on(lattices.square(3, 3), rng)
        result = bethe(model, 0.5)
        assert result.lower is None
        assert result.status in ("approximate", "not converged")
        above += result.value > exact_sum(model, 0.5).value + 1e-6
    assert above > 0


def test_attraction_in_any_gauge():
    ring = lattices.chain(4)
    for couplings, expected in (
        ([1.0, 1.0, 1.0, 1.0], True),
        ([-1.0, 1.0, -1.0, 1.0], True),
        ([-1.0, 1.0, 1.0, 1.0], False),
    ):
        assert pairwise(Ising(ring, couplings), 1.0, "test").is_attractive == expected
        assert pairwise(Potts(ring, 2, couplings), 1.0, "test").is_attractive == expected
        assert not pairwise(Potts(ring, 3, couplings), 1.0, "test").is_attractive


# --- where it fails -------------------------------------------------------------------------------


def test_frustrated_and_cold_is_a_status():
    """Odd loops of antiferromagnets at beta = 20: messages wander, and it says so."""
    model = Ising(lattices.triangular(4, 4), coupling=-1.0, field=0.1)
    result = bethe(model, beta=20.0, max_sweeps=50, damping=0.0)
    assert result.status == "not converged"
    assert not result.diagnostics["converged"]
    assert result.diagnostics["residual"] > 1e-10
    assert math.isfinite(result.value)
    assert (result.stderr, result.lower) == (math.inf, None)
    assert str(result).endswith("[bethe, not converged]")


def test_a_cold_glass_without_field_does_not_hide_in_its_paramagnet():
    """No magnetisation at all solves the equations, but the slightest tilt leaves that solution."""
    rng = np.random.default_rng(11)
    model = Ising(lattices.square(6, 6), coupling=rng.choice([-1.0, 1.0], size=72))
    paramagnet = 36 * math.log(2.0) + 72 * math.log(math.cosh(2.0))
    result = bethe(model, beta=2.0, max_sweeps=100)
    assert abs(result.value - paramagnet) > 0.1
    hot = bethe(model, beta=0.2)
    assert hot.value == pytest.approx(36 * math.log(2.0) + 72 * math.log(math.cosh(0.2)), rel=1e-12)


def test_very_cold_ferromagnets_converge():
    """Messages of size 1e8 are not asked to stand still to 1e-10."""
    result = bethe(Ising(lattices.square(4, 4)), beta=1e8)
    assert result.status == "lower bound"
    assert result.value == pytest.approx(32e8, rel=1e-12)


def test_no_exception_at_any_temperature(seed):
    rng = np.random.default_rng(seed)
    for beta in (1e-9, 1.0, 1e3, 1e8):
        model = Ising(lattices.square(4, 4), coupling=rng.normal(size=32))
        result = bethe(model, beta, max_sweeps=20)
        assert math.isfinite(result.value)
        assert result.status in ("approximate", "not converged")


# --- arguments ------------------------------------------------------------------------------------


def test_paths_give_their_target():
    rng = np.random.default_rng(1)
    rbm = BernoulliRBM(rng.normal(size=5), rng.normal(size=3), 0.5 * rng.normal(size=(5, 3)))
    assert bethe(Weights(rbm, beta=0.5)).value == bethe(rbm, 0.5).value


def test_settings_and_starts():
    model = Ising(lattices.square(4, 4))
    slow = bethe(model, 0.3, damping=0.9)
    assert slow.value == pytest.approx(bethe(model, 0.3, damping=0.0).value, abs=1e-8)
    more = bethe(model, 0.3, start=np.ones((2, 16)))
    assert more.diagnostics["n_starts"] == bethe(model, 0.3).diagnostics["n_starts"] + 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"model": DoubleWell()}, "pairwise"),
        ({"model": [1, 2]}, "pairwise"),
        ({"beta": math.nan}, "beta"),
        ({"beta": [0.1]}, "one beta"),
        ({"damping": 1.0}, "damping"),
        ({"damping": math.inf}, "damping"),
        ({"tol": 0.0}, "tol"),
        ({"tol": "small"}, "tol"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"max_sweeps": True}, "max_sweeps"),
        ({"start": np.zeros((1, 4))}, "start"),
        ({"model": Tempering(Ising(lattices.chain(4)), 0.5), "beta": 0.5}, "its own beta"),
    ],
)
def test_refusals(arguments, match):
    settings = {"model": Ising(lattices.chain(4))} | arguments
    with pytest.raises(InvalidInput, match=match):
        bethe(settings.pop("model"), **settings)
