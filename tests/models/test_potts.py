"""The Potts model against its definition and the Ising model, and what it refuses."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.models import Ising, Potts
from statmech_ml.samplers import SwendsenWang, Wolff
from statmech_ml.spaces import Levels
from statmech_ml.systems import Model

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "lattice",
    [lattices.chain(7), lattices.square(3, 4), lattices.square(2), lattices.triangular(3)],
    ids=repr,
)
@pytest.mark.parametrize("q", [2, 3, 7])
@pytest.mark.parametrize("per_bond", [False, True])
@pytest.mark.parametrize("field", ["none", "alike", "per site"])
def test_energy_from_the_definition(lattice, q, per_bond, field):
    n = lattice.n_sites
    coupling = RNG.normal(size=lattice.n_bonds) if per_bond else -0.7
    h = {"none": 0.0, "alike": RNG.normal(size=q), "per site": RNG.normal(size=(n, q))}[field]
    x = RNG.integers(q, size=(30, n))
    i, j = lattice.bonds.T
    table = np.broadcast_to(h, (n, q))
    expected = -((x[:, i] == x[:, j]) * coupling).sum(axis=1) - table[np.arange(n), x].sum(axis=1)
    assert Potts(lattice, q, coupling, h).energy(x) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("beta", [0.3, 1.1])
def test_two_values_are_the_ising_model(beta):
    """delta = (1 + s s') / 2: half the coupling, and a constant."""
    lattice = lattices.square(3, 4)
    potts = enumeration.log_z(Potts(lattice, 2, 1.4, [0.3, -0.1]), beta)
    ising = enumeration.log_z(Ising(lattice, 0.7, -0.2), beta)
    assert potts == pytest.approx(ising + beta * (0.7 * 24 + 0.1 * 12), rel=1e-13)


def test_closed_form_of_a_chain():
    """Each bond of an open chain gives a factor e^K + q - 1."""
    beta, q = 0.8, 5
    exact = np.log(q) + 5 * np.log(np.exp(1.2 * beta) + q - 1)
    model = Potts(lattices.chain(6, "open"), q, 1.2)
    assert enumeration.log_z(model, beta) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("sampler", [Wolff(), SwendsenWang()], ids=str)
@pytest.mark.parametrize(
    ("coupling", "field", "message"),
    [
        (1.0, 0.0, None),
        ([1.0, 0.0, 2.0, 0.5, 1.0], 0.0, None),
        (1.0, [0.0, 0.1, 0.0], "has a field"),
        (-1.0, 0.0, "negative"),
        ([1.0, 1.0, -0.5, 1.0, 1.0], 0.0, r"min -0\.5"),
    ],
)
def test_clusters_need_ferromagnets_without_a_field(sampler, coupling, field, message):
    model = Potts(lattices.chain(5), 3, coupling, field)
    for given in (model, Model(model.space, model.arrays, model.lattice)):
        if message is None:
            sampler.check(given)
        else:
            named = message if given is model else "."  # found by trying, in other words
            with pytest.raises(InvalidInput, match=named):
                sampler.check(given)


def test_a_link_of_one_value_only_is_found_out():
    """E = -J delta(s, 0) delta(s', 0) fits its links, but clusters may not take another value."""
    from typing import NamedTuple

    class Zeros(NamedTuple):
        neighbours: np.ndarray
        links: np.ndarray

        def energy(self, x):
            total = 0.0
            for i in range(x.shape[0]):
                for k in range(self.neighbours.shape[1]):
                    if x[i] == 0 and x[self.neighbours[i, k]] == 0:
                        total -= 0.5
            return total

        def link(self, x, site, k, value):
            return 0 if value == 0 and x[self.neighbours[site, k]] == 0 else -1

    ring = lattices.chain(6)
    model = Model(Levels(6, 3), Zeros(ring.neighbours, np.ones(1)), ring)
    with pytest.raises(InvalidInput, match="same when all sites turn alike"):
        Wolff().check(model)


def test_cluster_sizes_are_watched():
    model = Potts(lattices.square(4), 3)
    for sampler, name in ((Wolff(), "cluster_size"), (SwendsenWang(), "clusters")):
        state = sampler.init(model, 20, seed=1)
        watched = sampler.advance(model, state, np.linspace(0.0, 3.0, 20), 9)[1][name]
        assert ((watched >= 1) & (watched <= 16)).all()
        assert np.ptp(watched) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1,), r"^q=1 is not in 2\.\.127"),
        ((128,), r"not in 2\.\.127"),
        ((2.5,), r"not in 2\.\.127"),
        (("3",), r"not in 2\.\.127"),
        ((3, np.nan), "NaN"),
        ((3, [1.0, 2.0]), "has shape"),
        ((3, "a"), "neither a number"),
        ((3, 1.0, 0.5), "which values it favours"),
        ((3, 1.0, [0.1, 0.2]), "which values it favours"),
        ((3, 1.0, [0.1, 0.2, np.inf]), "NaN or infinite"),
        ((3, 1.0, "a"), "no array of numbers"),
    ],
)
def test_models_that_cannot_be(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Potts(lattices.chain(4), *arguments)
    with pytest.raises(InvalidInput, match="no lattice"):
        Potts(4, 3)


def test_arrays_are_frozen():
    for table in Potts(lattices.chain(4), 3).arrays:
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0
