"""The Ising model against its definition, and what it refuses."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "lattice",
    [
        lattices.chain(9),
        lattices.chain(6, "open"),
        lattices.square(3, 5),
        lattices.square(4, 6),
        lattices.square(2),
        lattices.square(4, 3, "open"),
        lattices.square(2, 6, ("open", "periodic")),
        lattices.cubic(2, 3, 4),
        lattices.triangular(3, 4),
        lattices.honeycomb(2, 3),
        lattices.from_edges([(0, 3), (3, 1), (1, 2), (4, 2)], n_sites=6),
    ],
    ids=repr,
)
@pytest.mark.parametrize("per_bond", [False, True])
@pytest.mark.parametrize("per_site", [False, True])
def test_energy_from_the_definition(lattice, per_bond, per_site):
    coupling = RNG.normal(size=lattice.n_bonds) if per_bond else -0.7
    field = RNG.normal(size=lattice.n_sites) if per_site else 0.3
    x = np.where(RNG.random((30, lattice.n_sites)) < 0.5, -1, 1)
    i, j = lattice.bonds.T
    expected = -(x[:, i] * x[:, j] * coupling).sum(axis=1) - (x * field).sum(axis=1)
    model = Ising(lattice, coupling, field)
    assert model.energy(x) == pytest.approx(expected, abs=1e-11)
    uniform_as_arrays = Ising(
        lattice,
        np.broadcast_to(coupling, lattice.n_bonds),
        np.broadcast_to(field, lattice.n_sites),
    )
    assert uniform_as_arrays.energy(x) == pytest.approx(expected, abs=1e-11)


def test_wide_rows_do_not_overflow_where_the_jit_is_off():
    from statmech_ml.models.ising import _torus_sums

    x = np.ones((1, 2, 300), np.int8)
    bonds, spins = np.empty(1, np.int64), np.empty(1, np.int64)
    _torus_sums.py_func(x, bonds, spins)
    assert (bonds[0], spins[0]) == (1200, 600)
    assert Ising(lattices.square(2, 300)).energy(x.reshape(1, -1))[0] == -1200


def test_which_models_have_tables():
    ring = lattices.chain(6)
    assert "Tabulated" in Ising(ring, np.array([1.0, -1, 2, 0, 3, 1]), 0.2).capabilities
    assert "Tabulated" not in Ising(ring, RNG.normal(size=6)).capabilities
    assert "Tabulated" not in Ising(ring, 1.0, RNG.normal(size=6)).capabilities
    assert "Tabulated" not in Ising(ring, np.array([1e-300, 1, 1, 1, 1, 1])).capabilities
    assert "Tabulated" not in Ising(ring, np.array([1.0, 5000, 1, 1, 1, 1])).capabilities


@pytest.mark.parametrize(
    ("coupling", "lattice", "frustrated"),
    [
        (1.0, lattices.triangular(3), False),
        (-1.0, lattices.triangular(3), True),
        (-1.0, lattices.square(4, 6), False),
        (-1.0, lattices.square(3, 4), True),
        (-1.0, lattices.chain(5), True),
        (-1.0, lattices.chain(6), False),
        (-1.0, lattices.chain(5, "open"), False),
        (np.array([1.0, -1, 1, 1, 1]), lattices.chain(5), True),
        (np.array([1.0, -1, -1, 1, 1]), lattices.chain(5), False),
        (np.array([1.0, -1, 0, 1, 1]), lattices.chain(5), False),
        (0.0, lattices.square(3), False),
    ],
)
def test_frustration_is_found_by_a_gauge(coupling, lattice, frustrated):
    """Without frustration, and only then, some state satisfies every bond."""
    model = Ising(lattice, coupling)
    obstacle = model.cluster_obstacle
    assert (obstacle is not None) == frustrated
    if model.space.n_states <= 2**12:
        states = model.space.from_index(np.arange(model.space.n_states))
        ground = -np.abs(np.broadcast_to(coupling, lattice.n_bonds)).sum()
        assert (model.energy(states).min() > ground + 1e-9) == frustrated


def test_the_obstacle_says_why():
    assert "3 of 3 are negative" in Ising(lattices.chain(3), -1.0).cluster_obstacle
    assert "largest |h| = 0.5" in Ising(lattices.chain(4), 1.0, -0.5).cluster_obstacle
    assert "largest |h| = 2" in Ising(lattices.chain(3), 1.0, [0.0, 2.0, 0.0]).cluster_obstacle


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coupling": np.nan}, "coupling holds NaN"),
        ({"coupling": np.inf}, "coupling holds NaN or infinite"),
        ({"field": np.nan}, "field holds NaN"),
        ({"coupling": [1.0, np.nan, 1.0, 1.0]}, "coupling holds NaN"),
        ({"coupling": [1.0, 2.0]}, r"shape \(2,\), but the lattice has 4 bonds"),
        ({"field": np.zeros((2, 2))}, r"shape \(2, 2\), but the lattice has 4 sites"),
        ({"coupling": "strong"}, "neither a number"),
        ({"coupling": None}, "coupling"),
        ({"field": 1j}, "neither a number"),
    ],
)
def test_numbers_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Ising(lattices.chain(4), **arguments)


def test_a_shape_is_no_lattice():
    with pytest.raises(InvalidInput, match="is no lattice"):
        Ising((4, 4))


def test_arrays_are_frozen():
    coupling = np.ones(4)
    model = Ising(lattices.chain(4), coupling)
    coupling[0] = 5.0
    assert model.energy(np.ones(4)) == -4.0
    with pytest.raises(ValueError, match="read-only"):
        model.coupling[0] = 2.0
