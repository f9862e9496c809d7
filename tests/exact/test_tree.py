"""Belief propagation on forests against enumeration, closed forms and its own draws."""

import itertools
import math

import numpy as np
import pytest
from marginals import draws_against_enumeration, enumerated_marginals

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, tree
from statmech_ml.models import Ising, Potts

# A few dozen operations of numbers up to beta E < 1e3, whose rounding is 1e-13.
ROUNDING = 1e-12


def forest(rng, n, kept=0.8):
    """A random forest: bonds to random earlier sites, in either direction, some left out."""
    bonds = [(i, int(rng.integers(i))) for i in range(1, n) if rng.random() < kept]
    labels = rng.permutation(n)  # parents are not the lower numbers
    return lattices.from_edges(
        [
            (labels[i], labels[j]) if rng.random() < 0.5 else (labels[j], labels[i])
            for i, j in bonds
        ],
        n_sites=n,
    )


def spins(rng, n=9):
    graph = forest(rng, n)
    return Ising(graph, rng.normal(size=graph.n_bonds), rng.normal(size=n))


def potts(rng, n=6, q=3):
    graph = forest(rng, n)
    return Potts(graph, q, rng.normal(size=graph.n_bonds), rng.normal(size=(n, q)))


@pytest.mark.parametrize("beta", [0.0, 0.6, 2.0, 30.0])
@pytest.mark.parametrize("kind", [spins, potts])
def test_enumeration(kind, beta, seed):
    rng = np.random.default_rng(seed)
    for model in (kind(rng), kind(rng), kind(rng)):
        assert tree.log_z(model, beta) == pytest.approx(
            enumeration.log_z(model, beta), rel=ROUNDING, abs=ROUNDING
        )
        assert tree.energy_per_site(model, beta) == pytest.approx(
            enumeration.energy_per_site(model, beta), rel=ROUNDING, abs=ROUNDING
        )
        sites, pairs = enumerated_marginals(model, beta)
        np.testing.assert_allclose(tree.site_marginals(model, beta), sites, atol=ROUNDING)
        np.testing.assert_allclose(tree.pair_marginals(model, beta), pairs, atol=ROUNDING)


def test_numbers_stand_for_arrays(seed):
    """One number for all bonds and sites, one field per value for all sites."""
    graph = forest(np.random.default_rng(seed), 7, kept=1.0)
    ising, spelt = Ising(graph, -0.8, 0.3), Ising(graph, np.full(6, -0.8), np.full(7, 0.3))
    assert tree.log_z(ising, 1.1) == tree.log_z(spelt, 1.1)
    model = Potts(graph, 3, 0.8, field=[0.0, 0.5, -1.0])
    spelt = Potts(graph, 3, np.full(6, 0.8), field=np.tile([0.0, 0.5, -1.0], (7, 1)))
    assert tree.log_z(model, 1.1) == tree.log_z(spelt, 1.1)


def test_large_tree_without_a_field(seed):
    """Z = 2^n prod cosh(K_b) on any tree; a star, a chain and a random one of 20 000 sites."""
    rng = np.random.default_rng(seed)
    n = 20_000
    star = lattices.from_edges([(0, i) for i in range(1, n)])
    for graph in (star, lattices.chain(n, "open"), forest(rng, n, kept=1.0)):
        J = rng.normal(size=n - 1)
        for beta in (0.7, 50.0):
            K = np.abs(beta * J)
            expected = n * math.log(2) + (K + np.log1p(np.exp(-2 * K)) - math.log(2)).sum()
            assert tree.log_z(Ising(graph, J), beta) == pytest.approx(expected, rel=ROUNDING)


def test_energy_is_the_derivative(seed):
    model = spins(np.random.default_rng(seed))
    # Five points: step^4/30 = 3e-14 times a fifth derivative of order 1e4 at most.
    step, beta = 1e-3, 0.8
    shifts, weights = np.array([-2, -1, 1, 2]) * step, np.array([1, -8, 8, -1]) / (12 * step)
    slope = weights @ tree.log_z(model, beta + shifts)
    assert -slope / 9 == pytest.approx(tree.energy_per_site(model, beta), abs=1e-8)


def test_extreme_couplings():
    """e^1e6 is no number: a chain that must be up-down-up by its first spin."""
    model = Ising(lattices.chain(3, "open"), coupling=-1e6, field=[1.0, 0.0, 0.0])
    assert tree.log_z(model, 1.0) == pytest.approx(2e6 + math.log(2 * math.cosh(1.0)), rel=1e-15)
    up = 1.0 / (1.0 + math.exp(-2.0))
    expected = [[1 - up, up], [up, 1 - up], [1 - up, up]]
    np.testing.assert_allclose(tree.site_marginals(model, 1.0), expected, atol=1e-9)


@pytest.mark.parametrize("kind", [spins, potts])
def test_draws(kind, seed, assert_unbiased, assert_rejected):
    model = kind(np.random.default_rng(seed), 6)
    while model.lattice.n_bonds == 0:
        model = kind(np.random.default_rng(seed := seed + 1), 6)
    assert_unbiased(draws_against_enumeration(tree.draw, model, 0.8), seed)
    mutants = type(model)(model.lattice, *([3] if kind is potts else []), model.coupling + 1.0)
    assert_rejected(draws_against_enumeration(tree.draw, model, 0.8, mutants), seed)


def test_draws_repeat_and_have_the_dtype_of_the_space():
    model = Potts(lattices.chain(5, "open"), q=4)
    x = tree.draw(model, 0.5, 7, rng=3)
    assert x.shape == (7, 5)
    assert x.dtype == np.int8
    np.testing.assert_array_equal(x, tree.draw(model, 0.5, 7, rng=3))


def test_shapes():
    model = Ising(lattices.chain(4, "open"))
    betas = np.array([[0.0, 0.5], [1.0, 2.0]])
    for function in (tree.log_z, tree.energy_per_site):
        assert function(model, betas).shape == (2, 2)
        assert function(model, betas)[1, 0] == function(model, 1.0)
        assert type(function(model, 1.0)) is float
    lone = Ising(lattices.from_edges([], n_sites=2), field=1.0)
    assert tree.log_z(lone, 1.0) == pytest.approx(2 * math.log(2 * math.cosh(1.0)), rel=1e-15)
    assert tree.pair_marginals(lone, 1.0).shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("lattice", "sites"),
    [
        (lattices.from_edges([(0, 1), (1, 2), (2, 0), (2, 3)]), {0, 1, 2}),
        (lattices.from_edges([(5, 6), (0, 1), (3, 4), (4, 5), (6, 3), (1, 3)]), {3, 4, 5, 6}),
        (lattices.chain(2), {0, 1}),  # two bonds between the pair
        (lattices.square(3, 2, "open"), None),
    ],
)
def test_loops_are_named(lattice, sites):
    with pytest.raises(InvalidInput, match=r"loop through the sites \d.*exact\.chains") as caught:
        tree.log_z(Ising(lattice), 1.0)
    named = str(caught.value).partition("sites ")[2].partition(",")[0]
    loop = [int(site) for site in named.split("-")]
    assert loop[0] == loop[-1]
    bonds = {frozenset(bond) for bond in lattice.bonds.tolist()}
    assert all(frozenset(pair) in bonds for pair in itertools.pairwise(loop))
    assert sites is None or set(loop) == sites


def test_a_long_loop_is_abbreviated():
    with pytest.raises(InvalidInput, match=r"-\.\.\.-") as caught:
        tree.log_z(Ising(lattices.chain(1000)), 1.0)
    assert len(str(caught.value)) < 500


def test_bad_input():
    model = Ising(lattices.chain(4, "open"))
    for beta in (-1.0, math.nan, math.inf, "hot", [0.1, -1.0]):
        with pytest.raises(InvalidInput, match="beta"):
            tree.log_z(model, beta)
    for function in (tree.site_marginals, tree.pair_marginals):
        with pytest.raises(InvalidInput, match="one number"):
            function(model, [0.5, 1.0])
    for n in (0, -3, 1.5, None):
        with pytest.raises(InvalidInput, match="n must be a whole number"):
            tree.draw(model, 1.0, n, rng=1)
    with pytest.raises(InvalidInput, match="rng"):
        tree.draw(model, 1.0, 5, rng="seed")
    for wrong in (None, [model], lattices.chain(4, "open")):
        with pytest.raises(InvalidInput, match="Build one"):
            tree.log_z(wrong, 1.0)
    with pytest.raises(InvalidInput, match="exceed what a double holds"):
        tree.log_z(Ising(lattices.chain(3, "open"), coupling=1e200), 1e200)
