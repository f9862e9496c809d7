"""Chains against enumeration, rings in closed form, trees, and their own draws."""

import math

import numpy as np
import pytest
from marginals import draws_against_enumeration, enumerated_marginals

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import chains, enumeration, ring, tree
from statmech_ml.models import Ising, Potts

ROUNDING = 1e-12  # as in test_tree


def ring_graph(rng, n):
    """A ring of n sites in random order, its bonds in random order and direction."""
    labels = rng.permutation(n)
    bonds = [(labels[i], labels[(i + 1) % n]) for i in range(n)]
    return lattices.from_edges(
        [bonds[b] if rng.random() < 0.5 else bonds[b][::-1] for b in rng.permutation(n)]
    )


def disordered(rng, kind, graph):
    J = rng.normal(size=graph.n_bonds)
    if kind == "Ising":
        return Ising(graph, J, rng.normal(size=graph.n_sites))
    return Potts(graph, 3, J, rng.normal(size=(graph.n_sites, 3)))


@pytest.mark.parametrize("beta", [0.0, 0.6, 2.0, 30.0])
@pytest.mark.parametrize("kind", ["Ising", "Potts"])
def test_enumeration(kind, beta, seed):
    rng = np.random.default_rng(seed)
    graphs = [lattices.chain(n, boundary) for n in (2, 3, 6) for boundary in ("open", "periodic")]
    for graph in [*graphs, ring_graph(rng, 6)]:
        model = disordered(rng, kind, graph)
        assert chains.log_z(model, beta) == pytest.approx(
            enumeration.log_z(model, beta), rel=ROUNDING, abs=ROUNDING
        )
        assert chains.energy_per_site(model, beta) == pytest.approx(
            enumeration.energy_per_site(model, beta), rel=ROUNDING, abs=ROUNDING
        )
        sites, pairs = enumerated_marginals(model, beta)
        np.testing.assert_allclose(chains.site_marginals(model, beta), sites, atol=ROUNDING)
        np.testing.assert_allclose(chains.pair_marginals(model, beta), pairs, atol=ROUNDING)


@pytest.mark.parametrize(("J", "h"), [(1.0, 0.0), (1.0, 0.3), (-0.7, 0.2), (-1.0, 0.0)])
@pytest.mark.parametrize("L", [2, 3, 9, 2000])
def test_uniform_ising_rings(L, J, h):
    model = Ising(lattices.chain(L), J, h)
    betas = np.array([0.0, 0.4, 1.0, 8.0])
    np.testing.assert_allclose(
        chains.log_z(model, betas), ring.log_z(L, betas, J, h), rtol=ROUNDING
    )
    np.testing.assert_allclose(
        chains.energy_per_site(model, betas), ring.energy_per_site(L, betas, J, h), atol=ROUNDING
    )
    p = chains.site_marginals(model, 0.4)
    np.testing.assert_allclose(p[:, 1] - p[:, 0], ring.magnetization(L, 0.4, J, h), atol=ROUNDING)
    pairs = chains.pair_marginals(model, 0.4)
    seen = pairs[:, 0, 0] + pairs[:, 1, 1] - pairs[:, 0, 1] - pairs[:, 1, 0]
    np.testing.assert_allclose(seen, ring.correlation(1, L, 0.4, J, h), atol=ROUNDING)


def test_open_chains():
    model = Ising(lattices.chain(300, "open"), coupling=0.8)
    assert chains.log_z(model, 0.9) == pytest.approx(ring.open_log_z(300, 0.9, 0.8), rel=ROUNDING)
    for function in (chains.log_z, chains.energy_per_site):
        assert function(model, 0.9) == getattr(tree, function.__name__)(model, 0.9)


def test_course_number():
    """Open Potts chain, q = 3, K = 1: energy per bond -e / (e + 2) = -0.5761168848, any length."""
    for L in (2, 7, 500):
        model = Potts(lattices.chain(L, "open"), q=3)
        per_bond = chains.energy_per_site(model, 1.0) * L / (L - 1)
        assert per_bond == pytest.approx(-math.e / (math.e + 2), rel=ROUNDING)
        assert per_bond == pytest.approx(-0.5761168848, abs=5e-11)
        closed = Potts(lattices.chain(L), q=3)  # a closed one tells it apart where it is short
        assert L == 500 or abs(chains.energy_per_site(closed, 1.0) - per_bond) > 1e-4


@pytest.mark.parametrize("L", [2, 3, 10, 400])
@pytest.mark.parametrize("q", [2, 3, 10])
def test_uniform_potts_rings(q, L):
    """Z = (e^K + q - 1)^L + (q - 1) (e^K - 1)^L, K of either sign."""
    for K in (0.3, 1.0, -0.8):
        ratio = math.expm1(K) / (math.exp(K) + q - 1)
        expected = L * math.log(math.exp(K) + q - 1) + math.log1p((q - 1) * ratio**L)
        model = Potts(lattices.chain(L), q, coupling=K)
        assert chains.log_z(model, 1.0) == pytest.approx(expected, rel=ROUNDING)


def test_a_frustrated_bond_costs_its_coupling():
    """A ring with one strong negative bond, near T = 0: the weakest of the others is broken."""
    J = np.full(50, 3.0)
    J[7], J[20] = -5.0, 0.5
    model = Ising(lattices.chain(50), J)
    # Ground energy -(48 * 3 + 5 - 0.5), twice.
    assert chains.log_z(model, 100.0) == pytest.approx(14850.0 + math.log(2), rel=1e-14)
    assert chains.energy_per_site(model, 100.0) == pytest.approx(-148.5 / 50, rel=1e-13)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
@pytest.mark.parametrize("kind", ["Ising", "Potts"])
def test_draws(kind, boundary, seed, assert_unbiased, assert_rejected):
    model = disordered(np.random.default_rng(seed), kind, lattices.chain(5, boundary))
    assert_unbiased(draws_against_enumeration(chains.draw, model, 0.8), seed)
    more = {"coupling": model.coupling + 1.0, "field": model.field}
    mutant = Ising(model.lattice, **more) if kind == "Ising" else Potts(model.lattice, 3, **more)
    assert_rejected(draws_against_enumeration(chains.draw, model, 0.8, mutant), seed)


def test_a_ring_drawn_as_if_it_were_open_is_rejected(seed, assert_rejected):
    """The mutant that forgets to close the chain."""
    closed = Ising(lattices.chain(5))
    cut = Ising(lattices.chain(5), coupling=[1.0, 1.0, 1.0, 1.0, 0.0])
    assert_rejected(draws_against_enumeration(chains.draw, closed, 0.8, cut), seed)


def test_shapes():
    for boundary in ("open", "periodic"):
        model = Potts(lattices.chain(4, boundary), q=3)
        betas = np.array([[0.0, 0.5]])
        assert chains.log_z(model, betas).shape == (1, 2)
        assert chains.energy_per_site(model, betas)[0, 1] == chains.energy_per_site(model, 0.5)
        assert type(chains.log_z(model, 1.0)) is float
        x = chains.draw(model, 0.5, 7, rng=3)
        assert x.shape == (7, 4)
        assert x.dtype == np.int8
        np.testing.assert_array_equal(x, chains.draw(model, 0.5, 7, rng=3))
    lone = Ising(lattices.chain(1, "open"), field=0.5)
    assert chains.log_z(lone, 2.0) == pytest.approx(math.log(2 * math.cosh(1.0)), rel=1e-15)


@pytest.mark.parametrize(
    "lattice",
    [
        lattices.square(2, 2),
        lattices.from_edges([(0, 1), (0, 2), (0, 3)]),
        lattices.from_edges([(0, 1), (2, 3)]),
        lattices.from_edges([(0, 1), (1, 2), (2, 0), (3, 4)]),
        lattices.from_edges([(0, 1), (1, 2), (2, 0)], n_sites=4),
    ],
)
def test_other_graphs_are_refused(lattice):
    with pytest.raises(InvalidInput, match=r"no chain.*exact\.tree"):
        chains.log_z(Ising(lattice), 1.0)


def test_bad_input():
    model = Ising(lattices.chain(4))
    for beta in (-1.0, math.nan, math.inf, "hot"):
        with pytest.raises(InvalidInput, match="beta"):
            chains.energy_per_site(model, beta)
    for function in (chains.site_marginals, chains.pair_marginals):
        with pytest.raises(InvalidInput, match="one number"):
            function(model, [0.5, 1.0])
    with pytest.raises(InvalidInput, match="n must be a whole number"):
        chains.draw(model, 1.0, 0, rng=1)
    with pytest.raises(InvalidInput, match="Build one"):
        chains.log_z("chain", 1.0)
    with pytest.raises(InvalidInput, match="exceed what a double holds"):
        chains.log_z(Ising(lattices.chain(3), coupling=1e200), 1e200)
