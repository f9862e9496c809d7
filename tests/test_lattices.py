"""Lattices: bonds, degrees, colours, coordinates, and what is refused."""

import itertools

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising

BOUNDARIES = ["periodic", "open"]
LATTICES = {
    "ring": lattices.chain(7),
    "open chain": lattices.chain(6, "open"),
    "pair": lattices.chain(2),
    "square": lattices.square(4, 6),
    "odd square": lattices.square(3, 5),
    "square 2x2": lattices.square(2),
    "open square": lattices.square(3, 4, "open"),
    "cylinder": lattices.square(3, 4, ("open", "periodic")),
    "cubic": lattices.cubic(2, 3, 4),
    "open cubic": lattices.cubic(2, 3, 3, "open"),
    "triangular": lattices.triangular(3, 5),
    "open triangular": lattices.triangular(4, 5, "open"),
    "honeycomb": lattices.honeycomb(3, 4),
    "open honeycomb": lattices.honeycomb(3, 4, "open"),
    "bravais": lattices.bravais((4, 5), [(0, 1), (1, 0), (1, 1), (2, -1)]),
    "open bravais": lattices.bravais((4, 5), [(0, 1), (1, 0), (3, -2)], ("open", "periodic")),
    "graph": lattices.from_edges([(3, 1), (0, 2), (1, 0), (2, 3), (0, 3)]),
    "diluted graph": lattices.from_edges([(4, 1), (0, 6)], n_sites=8),
    "no edges": lattices.from_edges([], n_sites=3),
}
ALL = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)


def by_hand(lattice):
    """Bonds of a regular lattice, by loops over cells and offsets."""
    pairs = []
    for cell in itertools.product(*map(range, lattice.shape)):
        for a, b, shift in lattice.offsets:
            target = [c + d for c, d in zip(cell, shift, strict=True)]
            sides = list(zip(target, lattice.shape, lattice.periodic, strict=True))
            if not all(wraps or 0 <= t < n for t, n, wraps in sides):
                continue
            here, there = 0, 0
            for c, t, n in zip(cell, target, lattice.shape, strict=True):
                here, there = here * n + c, there * n + t % n
            pairs.append((here * lattice.basis + a, there * lattice.basis + b))
    return pairs


@ALL
def test_bonds_degrees_and_neighbour_tables_agree(lattice):
    bonds = lattice.bonds
    assert bonds.shape == (lattice.n_bonds, 2)
    if isinstance(lattice, lattices.Lattice):
        assert [tuple(b) for b in bonds.tolist()] == by_hand(lattice)
    assert (bonds[:, 0] != bonds[:, 1]).all()
    counts = np.zeros((lattice.n_sites, lattice.n_sites), int)
    for i, j in bonds:
        counts[i, j] += 1
        counts[j, i] += 1
    seen = np.zeros_like(counts)
    for i, row in enumerate(lattice.neighbours):
        for k, j in enumerate(row):
            bond = lattice.neighbour_bonds[i, k]
            if j < 0:
                assert bond == -1
                continue
            seen[i, j] += 1
            assert set(bonds[bond].tolist()) == {i, j}
    assert np.array_equal(seen, counts)
    assert lattice.degrees.tolist() == counts.sum(axis=1).tolist()
    # Every bond is entered at both of its ends.
    used = lattice.neighbour_bonds[lattice.neighbour_bonds >= 0]
    assert np.array_equal(np.bincount(used, minlength=lattice.n_bonds), [2] * lattice.n_bonds)


@ALL
@pytest.mark.parametrize(
    "name", ["bonds", "neighbours", "neighbour_bonds", "degrees", "colours", "components"]
)
def test_what_a_lattice_keeps_cannot_be_written_to(lattice, name):
    before = getattr(lattice, name).copy()
    with pytest.raises(ValueError, match="read-only"):
        getattr(lattice, name)[:] = 0
    assert np.array_equal(getattr(lattice, name), before)


@ALL
def test_colours_are_proper_and_the_schedule_lists_them(lattice):
    colours = lattice.colours
    assert (colours >= 0).all()
    assert (colours[lattice.bonds[:, 0]] != colours[lattice.bonds[:, 1]]).all()
    order, starts = lattice.schedule.order, lattice.schedule.starts
    assert sorted(order.tolist()) == list(range(lattice.n_sites))
    for c in range(len(starts) - 1):
        group = order[starts[c] : starts[c + 1]]
        assert len(group)
        assert (colours[group] == c).all()


@pytest.mark.parametrize(
    ("lattice", "n"),
    [
        (lattices.chain(8), 2),
        (lattices.chain(7), 3),
        (lattices.square(4, 6), 2),
        (lattices.square(5, 3, "open"), 2),
        (lattices.cubic(4), 2),
        (lattices.honeycomb(3, 4), 2),
    ],
    ids=repr,
)
def test_bipartite_lattices_get_the_checkerboard_and_odd_rings_a_third_colour(lattice, n):
    assert len(lattice.schedule.starts) - 1 == n


@pytest.mark.parametrize(
    ("lattice", "degree"),
    [
        (lattices.chain(5), 2),
        (lattices.square(3, 4), 4),
        (lattices.cubic(3, 4, 2), 6),
        (lattices.triangular(3, 4), 6),
        (lattices.honeycomb(3, 4), 3),
        (lattices.square(2), 4),
    ],
    ids=repr,
)
def test_every_site_of_a_torus_has_the_coordination_number(lattice, degree):
    assert (lattice.degrees == degree).all()
    assert lattice.n_bonds == lattice.n_sites * degree / 2


@pytest.mark.parametrize(
    "lattice",
    [
        lattices.chain(6, "open"),
        lattices.square(4, 5, "open"),
        lattices.cubic(3, 2, 4, "open"),
        lattices.triangular(5, 4, "open"),
        lattices.honeycomb(4, 5, "open"),
    ],
    ids=repr,
)
def test_bonds_join_nearest_neighbours_one_spacing_apart(lattice):
    x = lattice.coordinates
    assert x.shape[0] == lattice.n_sites
    distance = np.linalg.norm(x[:, None] - x[None], axis=-1)
    near = {tuple(sorted(p)) for p in np.argwhere(np.abs(distance - 1) < 1e-9).tolist()}
    assert near == {tuple(sorted(p)) for p in lattice.bonds.tolist()}
    assert distance[distance > 0].min() > 1 - 1e-9


def test_a_side_of_length_two_has_two_bonds_between_a_pair():
    assert lattices.chain(2).bonds.tolist() == [[0, 1], [1, 0]]
    assert lattices.square(2).n_bonds == 8
    assert Ising(lattices.square(2)).energy(np.ones(4)) == -8.0
    assert Ising(lattices.square(2, boundary="open")).energy(np.ones(4)) == -4.0


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_per_bond_arrays_follow_the_order_of_bonds(boundary):
    lattice = lattices.square(3, 4, boundary)
    coupling = np.random.default_rng(0).normal(size=lattice.n_bonds)
    s = lattice.n_sites
    x = np.where(np.random.default_rng(1).random(s) < 0.5, -1, 1)
    expected = -sum(J * x[i] * x[j] for J, (i, j) in zip(coupling, lattice.bonds, strict=True))
    assert Ising(lattice, coupling).energy(x) == pytest.approx(expected, abs=1e-12)


def test_from_edges_keeps_the_order_and_counts_sites():
    graph = lattices.from_edges([(3, 1), (0, 2)])
    assert graph.bonds.tolist() == [[3, 1], [0, 2]]
    assert graph.n_sites == 4
    assert graph.n_components == 2
    assert lattices.from_edges([(0, 1)], n_sites=5).n_components == 4


@ALL
def test_components(lattice):
    """Union of bonds by repeated relaxation, as slow as it is simple."""
    label = np.arange(lattice.n_sites)
    for _ in range(lattice.n_sites):
        for i, j in lattice.bonds:
            label[i] = label[j] = min(label[i], label[j])
    assert lattice.n_components == len(set(label.tolist()))


@pytest.mark.parametrize(
    ("shape", "offsets", "copies"),
    [
        ((4, 4), [(1, 1), (1, -1)], 2),
        ((6, 4), [(1, 1), (1, -1)], 2),
        ((5, 4), [(1, 1), (1, -1)], 1),
        ((6,), [(2,)], 2),
        ((12,), [(3,), (6,)], 3),
        ((9,), [(2,)], 1),
        ((4, 6), [(0, 1), (2, 0)], 2),
        ((4, 4, 4), [(1, 1, 0), (1, 0, 1), (0, 1, 1)], 2),
        ((4, 4, 5), [(1, 1, 0), (1, 0, 1), (0, 1, 1)], 1),
    ],
)
def test_copies_of_a_torus_are_counted_without_its_bonds(shape, offsets, copies):
    if copies > 1:
        with pytest.raises(InvalidInput, match=f"falls apart into {copies} separate copies"):
            lattices.bravais(shape, offsets)
    else:
        lattice = lattices.bravais(shape, offsets)
        assert "bonds" not in vars(lattice)
        assert lattice.n_components == super(lattices.Lattice, lattice).n_components == 1


def test_an_open_bravais_lattice_that_falls_apart_is_refused():
    with pytest.raises(InvalidInput, match="falls apart"):
        lattices.bravais((4, 4), [(1, 1)], "open")


RINGS = [
    lattices.chain(5),
    lattices.square(1, 6, ("open", "periodic")),
    lattices.square(2, boundary="open"),
    lattices.honeycomb(1, 3, ("open", "periodic")),
    lattices.bravais((9,), [(2,)]),
    lattices.from_edges([(0, 1), (1, 2), (2, 0), (3, 4)]),
]
NOT_RINGS = [
    lattices.chain(5, "open"),
    lattices.square(3),
    lattices.bravais((9,), [(1,), (2,)]),
    lattices.from_edges([(0, 1), (1, 2), (2, 0), (2, 3)]),
    lattices.from_edges([], n_sites=2),
]


@pytest.mark.parametrize("lattice", [*RINGS, *NOT_RINGS], ids=repr)
def test_rings_are_recognised_by_whatever_name(lattice):
    assert lattice.is_ring == any(lattice is ring for ring in RINGS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lattices.square(0, 4), "side of 0"),
        (lambda: lattices.square(-3), "side of -3"),
        (lambda: lattices.square(1, 4), "side of 1"),
        (lambda: lattices.chain(1), "bonded to itself"),
        (lambda: lattices.square(4.0), "side of 4.0"),
        (lambda: lattices.chain(True), "side of True"),
        (lambda: lattices.square(4, 4, "closed"), "'periodic' or 'open'"),
        (lambda: lattices.square(4, 4, ("open",)), "2 axes"),
        (lambda: lattices.bravais((4, 4), [(0, 0), (0, 1), (1, 0)]), "to itself"),
        (lambda: lattices.bravais((4, 4), [(0, 4), (0, 1), (1, 0)]), "to itself"),
        (lambda: lattices.bravais((4, 4), [(0, 1), (1, 0), (0, -1)]), "given twice"),
        (lambda: lattices.bravais((5,), [(1,), (4,)]), r"\(4,\) is given twice.*as \(1,\)"),
        (lambda: lattices.bravais((5,), [(1,), (6,)]), r"\(6,\) is given twice.*as \(1,\)"),
        (lambda: lattices.bravais((3, 4), [(0, 1), (1, 0), (1, 2), (2, 2)]), "given twice"),
        (lambda: lattices.bravais((2,), [(1,), (-1,)]), "given twice"),
        (lambda: lattices.bravais(4, [(1,)]), r"shape=4 has no sides"),
        (lambda: lattices.bravais((4,), [(1,)], None), "'periodic' or 'open'"),
        (lambda: lattices.square(4, boundary=None), "boundary=None must be"),
        (lambda: lattices.bravais((4, 4), [(0, 1), (1,)]), "2 entries"),
        (lambda: lattices.bravais((4, 4), [(0, 1.5), (1, 0)]), "whole-number"),
        (lambda: lattices.bravais((4,), []), "entries each"),
        (lambda: lattices.from_edges([(0, 0)]), "bonds site 0 to itself"),
        (lambda: lattices.from_edges([(0, 1), (1, 2), (1, 0)]), "edge 0-1 is given 2 times"),
        (lambda: lattices.from_edges([(0, 1)], n_sites=1), "names site 1"),
        (lambda: lattices.from_edges([(0, -1)]), "names site -1"),
        (lambda: lattices.from_edges([(0.0, 1.0)]), "integer pairs"),
        (lambda: lattices.from_edges([(0, 1, 2)]), "integer pairs"),
        (lambda: lattices.from_edges([(0, 1), (1,)]), "rows of different lengths"),
        (lambda: lattices.from_edges([]), "at least one site"),
        (lambda: lattices.from_edges([(0, 1)], n_sites=2.5), "whole number"),
    ],
)
def test_what_cannot_be_a_lattice_is_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


def test_a_bond_is_double_only_across_a_side_of_two_or_to_the_middle():
    def largest(shape, offsets, boundary="periodic"):
        bonds = np.sort(lattices.bravais(shape, offsets, boundary).bonds, axis=1)
        return np.unique(bonds, axis=0, return_counts=True)[1].max()

    assert largest((5,), [(1,), (2,)]) == 1
    assert largest((5,), [(1,), (4,)], "open") == 1  # without a way round, 4 is not -1
    assert largest((2, 5), [(0, 1), (1, 1), (1, -1)]) == 2
    assert largest((4,), [(1,), (2,)]) == 2
    assert largest((3, 2), [(0, 1), (1, 0)]) == 2


def test_a_huge_lattice_costs_nothing_until_a_table_is_asked_for():
    lattice = lattices.square(65_536)
    model = Ising(lattice, coupling=0.5, field=0.1)
    assert lattice.n_sites == 2**32
    assert lattice.n_bonds == 2**33
    assert model.capabilities == {"Local", "Clusterable", "Tabulated"}
    assert lattices.bravais((65_536, 65_536), [(0, 1), (1, 0), (1, 1)]).n_components == 1
    assert not lattice.is_ring
    assert not {"bonds", "_table", "colours"} & set(vars(lattice))
    with pytest.raises(InvalidInput, match="int32"):
        _ = lattice.neighbours
