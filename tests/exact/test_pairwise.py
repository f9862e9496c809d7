"""Sums over coupled spins by matrix products, against sums state by state and by magnetisation."""

import math
import tracemalloc

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman, pairwise
from statmech_ml.models import Ising, Potts

# Positive terms, each with the rounding of its exponent: a few times n 2.2e-16 of the largest |E|,
# which a frustrated system can have ten times larger than log Z.
ROUNDING = 1e-12


def couplings(rng, n, scale, field=1.0):
    """K normal with standard deviation `scale`, and H with `field` times that."""
    K = np.triu(scale * rng.normal(size=(n, n)), 1)
    return K + K.T, field * scale * rng.normal(size=n)


def enumerated(K, H):
    """log Z state by state."""
    n = len(H)
    s = 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1.0
    weights = s @ H + 0.5 * ((s @ K) * s).sum(axis=1)
    top = weights.max()
    return top + math.log(math.fsum(np.exp(weights - top)))


def by_magnetisation(n, K, H):
    """log Z of n spins with one coupling and one field: C(n, k) states have k spins up."""
    M = 2.0 * np.arange(n + 1) - n
    terms = [math.log(math.comb(n, k)) for k in range(n + 1)]
    return float(np.logaddexp.reduce(terms + 0.5 * K * (M**2 - n) + H * M))


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.3, 3.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("field", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 12])
def test_enumeration(n, field, scale, seed):
    K, H = couplings(np.random.default_rng(seed), n, scale, field)
    assert pairwise.log_z_from_couplings(K, H) == pytest.approx(enumerated(K, H), rel=ROUNDING)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_enumeration_of_twenty_spins(scale, seed):
    K, H = couplings(np.random.default_rng(seed), 20, scale)
    expected = enumerated(K, H)
    assert pairwise.log_z_from_couplings(K, H) == pytest.approx(expected, rel=ROUNDING)
    assert pairwise._gray_code(K, H) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("n", [1, 2, 5, 11, 15, 18])
def test_gray_code(n, seed):
    """The second way, which is only taken where weights are uneven, on weights that are not."""
    K, H = couplings(np.random.default_rng(seed), n, 0.4)
    value = pairwise._gray_code(K, H)
    assert value == pytest.approx(pairwise.log_z_from_couplings(K, H), rel=ROUNDING)


@pytest.mark.parametrize(
    ("K", "H"), [(0.05, 0.0), (0.05, 0.3), (-0.2, 0.1), (2.0, 0.0), (-9.0, 5.0)]
)
@pytest.mark.parametrize("n", [22, 27])
def test_uniform_couplings_in_any_gauge(n, K, H, seed):
    """Flipping spins with their couplings and fields changes nothing; more than one chunk."""
    gauge = np.random.default_rng(seed).choice([-1.0, 1.0], size=n)
    matrix = K * (np.outer(gauge, gauge) - np.eye(n))
    value = pairwise.log_z_from_couplings(matrix, H * gauge)
    assert value == pytest.approx(by_magnetisation(n, K, H), rel=ROUNDING)


def test_ising_models(seed):
    rng = np.random.default_rng(seed)
    betas = np.array([[0.0, 0.3], [1.0, 10.0]])
    lattice = lattices.square(2, 6)  # two bonds between the pairs along the short side
    model = Ising(lattice, rng.normal(size=lattice.n_bonds), rng.normal(size=12))
    values = pairwise.log_z(model, betas)
    assert values.shape == betas.shape
    np.testing.assert_allclose(values, enumeration.log_z(model, betas), rtol=ROUNDING)
    torus = Ising(lattices.square(4, 6), coupling=-0.7)
    assert pairwise.log_z(torus, 0.8) == pytest.approx(
        kaufman.log_z(4, 6, 0.8, coupling=-0.7), rel=ROUNDING
    )
    lone = Ising(lattices.from_edges([], n_sites=3), field=[0.1, 0.2, -0.3])
    expected = np.log(2 * np.cosh([0.1, 0.2, -0.3])).sum()
    assert pairwise.log_z(lone, 1.0) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("mutant", ["sign", "field", "twice"])
def test_mutants_are_seen(mutant, seed):
    K, H = couplings(np.random.default_rng(seed), 9, 0.8)
    wrong = {"sign": (-K, H), "field": (K, 0.0), "twice": (2 * K, H)}[mutant]
    assert abs(pairwise.log_z_from_couplings(*wrong) - enumerated(K, H)) > 1e-6


def test_what_underflows_is_noticed():
    """Two groups that pull the third one apart, 1600 k_B T a spin: products of X and Y are 0."""
    n = 9  # dealt 3, 3, 3; the weakest spins go to the third group
    K = np.zeros((n, n))
    K[:3, 3:6], K[:3, 6:] = 800.0, 800.0
    K[3:6, 6:] = -3000.0
    K += K.T
    expected = enumerated(K, np.full(n, 0.5))
    value, bound = pairwise._matrix_products(K, np.full(n, 0.5), 3)
    assert value < expected - 1.0  # what a sum that believes its first product would say
    assert bound - value > pairwise._UNDERFLOW
    value = pairwise.log_z_from_couplings(K, np.full(n, 0.5))
    assert value == pytest.approx(expected, rel=ROUNDING)


def test_too_many_spins_for_the_gray_code(monkeypatch):
    monkeypatch.setattr(pairwise, "MAX_GRAY_SPINS", 8)
    K = np.full((9, 9), -1e4)
    np.fill_diagonal(K, 0.0)
    K[0, 1] = K[1, 0] = 1e5
    with pytest.raises(InvalidInput, match=r"span too many orders.*smaller beta"):
        pairwise.log_z_from_couplings(K, 0.3)


@pytest.mark.slow
def test_thirty_eight_spins_in_bounded_memory():
    n, K, H = 38, 0.03, 0.1
    matrix = K * (1.0 - np.eye(n))
    tracemalloc.start()
    value = pairwise.log_z_from_couplings(matrix, H)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value == pytest.approx(by_magnetisation(n, K, H), rel=ROUNDING)
    assert peak < 100e6


@pytest.mark.parametrize(
    ("K", "H", "message"),
    [
        ([1.0, 2.0], 0.0, "square matrix"),
        ([[0.0, 1.0]], 0.0, "square matrix"),
        (np.zeros((0, 0)), 0.0, "square matrix"),
        (np.zeros((3, 3)), [0.0, 1.0], "one field per spin"),
        ([[0.0, math.nan], [math.nan, 0.0]], 0.0, "NaN or infinite"),
        (np.zeros((2, 2)), math.inf, "NaN or infinite"),
        ([[0.0, 1e308], [1e308, 0.0]], 0.0, "NaN or infinite"),
        ([[0.0, 1.0], [0.0, 0.0]], 0.0, "symmetric.*K.T"),
        ([[1.0, 0.0], [0.0, 0.0]], 0.0, "zero diagonal"),
        ("strong", 0.0, "couplings must be a real number"),
        (np.zeros((45, 45)), 0.0, r"2\^45 states.*ais"),
    ],
)
def test_bad_arrays(K, H, message):
    with pytest.raises(InvalidInput, match=message):
        pairwise.log_z_from_couplings(K, H)


def test_bad_models():
    small = Ising(lattices.chain(4))
    for beta in (-1.0, math.nan, math.inf, "hot"):
        with pytest.raises(InvalidInput, match="beta"):
            pairwise.log_z(small, beta)
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        pairwise.log_z(Ising(lattices.chain(4), coupling=1e200), 1e200)
    with pytest.raises(InvalidInput, match=r"two values a site.*3"):
        pairwise.log_z(Potts(lattices.chain(4), q=3), 1.0)
    with pytest.raises(InvalidInput, match=r"2\^64 states"):
        pairwise.log_z(Ising(lattices.square(8, 8)), 1.0)
    for wrong in (None, "Ising", np.zeros((3, 3))):
        with pytest.raises(InvalidInput, match="Build one"):
            pairwise.log_z(wrong, 1.0)


def test_model_with_another_energy_is_refused():
    """Spins, a lattice, coupling and field do not make an Ising model: its energy is compared."""

    class Squared(Ising):
        def energy(self, x):
            return super().energy(x) ** 2

    with pytest.raises(InvalidInput, match="no Ising or Potts model"):
        pairwise.log_z(Squared(lattices.chain(5), field=0.3), 1.0)
