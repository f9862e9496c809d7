"""Which models Metropolis may visit in which order, against transition matrices of small ones."""

from typing import NamedTuple

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square, mutant

from statmech_ml import lattices, sample
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Metropolis, metropolis
from statmech_ml.samplers._cpu import local
from statmech_ml.spaces import Spins
from statmech_ml.systems import Model

CHECKERBOARD = Metropolis("checkerboard")


def converges(model, beta=0.3):
    """Whether sweeps in checkerboard order lead every state to exp(-beta E) / Z, by matrices."""
    n = model.lattice.n_sites
    x = (2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) - 1).astype(np.int8)
    energy, here = model.energy(x), np.arange(2**n)
    sweep = np.eye(2**n)
    for site in model.schedule.order:
        there = here ^ (1 << int(site))
        accept = np.exp(-beta * np.maximum(0.0, energy[there] - energy))
        moved = sweep * (1 - accept)
        moved[:, there] += sweep * accept
        sweep = moved
    for _ in range(40):
        sweep = sweep @ sweep
        sweep /= sweep.sum(axis=1, keepdims=True)
    law = np.exp(-beta * (energy - energy.min()))
    return np.abs(sweep - law / law.sum()).max() < 1e-6


def random_model(rng):
    n = int(rng.integers(2, 7))
    pairs = np.argwhere(np.triu(rng.random((n, n)) < rng.choice([0.4, 0.6, 0.9]), 1))
    graph = lattices.from_edges(pairs if len(pairs) else [(0, 1)], n_sites=n)
    coupling = rng.choice([0.0, 1, 1, 1, 1, -1, 2, 3], graph.n_bonds)
    if rng.random() < 0.5:
        coupling = np.sign(coupling)
    field = rng.choice([0.0, 0, 0, 0, 1, 2, 4], n) if rng.random() < 0.5 else np.zeros(n)
    return Ising(graph, coupling, field)


def refused(model):
    try:
        CHECKERBOARD.check(model)
    except InvalidInput:
        return True
    return False


def test_checkerboard_order_is_ergodic_wherever_it_is_allowed():
    rng, counts = np.random.default_rng(1), np.zeros((2, 2), int)
    for _ in range(400):
        model = random_model(rng)
        ergodic, allowed = converges(model), not refused(model)
        counts[int(ergodic), int(allowed)] += 1
        assert ergodic or not allowed, (model.lattice.edges, model.coupling, model.field)
    assert counts[0, 0] > 50  # there is something to refuse,
    assert counts[1, 1] > 4 * counts[1, 0]  # and little is refused without need


ROWS = np.tile([1.0, 0.0], 64)  # bonds along rows and columns alternate
CUBE = lattices.cubic(2, 2, 2, "open")
ALONG_Z = np.where(np.abs(np.diff(CUBE.bonds, axis=1)[:, 0]) == 1, 2.0, 1.0)

NOT_ERGODIC = {
    "rings that zero couplings hide": (Ising(lattices.square(8), ROWS), "on a ring"),
    "long rings that zero couplings hide": (
        Ising(lattices.square(2, 80), np.tile([1.0, 0.0], 160)),
        "on a ring",
    ),
    "unequal bonds that cancel": (Ising(CUBE, ALONG_Z), "part of 8 sites"),
    "honeycomb, no coupling": (Ising(lattices.honeycomb(6), 0.0), "part of 1 site "),
    "square, no coupling": (Ising(lattices.square(8), 0.0), "part of 1 site "),
    "arrays of zeros": (Ising(lattices.square(8), np.zeros(128)), "part of 1 site "),
    "one spin without any bond": (
        Ising(lattices.from_edges([(0, 1)], n_sites=3)),
        "part of 1 site ",
    ),
    "a double bond that cancels": (Ising(lattices.chain(2), [1.0, -1.0]), "part of 1 site "),
    "a field next to a ring": (
        Ising(lattices.from_edges([(0, 1), (1, 2), (2, 0)], n_sites=4), field=[0, 0, 0, 1.0]),
        "on a ring",
    ),
    "many unequal bonds that cancel": (
        Ising(lattices.cubic(2, 2, 3), np.tile([0.3, 0.7, 0.7], 12)),
        "part of 12 sites",
    ),
}


@pytest.mark.parametrize("name", NOT_ERGODIC)
def test_where_checkerboard_order_is_not_ergodic_it_is_refused(name):
    model, message = NOT_ERGODIC[name]
    with pytest.raises(InvalidInput, match=message) as info:
        sample(model, CHECKERBOARD, beta=1.0, n_draws=10**15, rng=1)
    assert "HeatBath()" in str(info.value)


def test_the_refused_cube_has_no_unique_law():
    assert not converges(Ising(CUBE, ALONG_Z))
    assert converges(Ising(CUBE))


@pytest.mark.parametrize(
    "model",
    [
        Ising(lattices.square(32)),
        Ising(lattices.square(32), -1.0),
        Ising(lattices.square(8, 8)),
        Ising(lattices.honeycomb(3)),
        Ising(CUBE),
        Ising(lattices.cubic(2)),  # two bonds between neighbours: three pairs, which never cancel
        Ising(lattices.square(4), field=4.0),
        Ising(lattices.square(8), 0.0, field=0.5),
        Ising(lattices.cubic(2, 2, 2, "open"), np.where(ALONG_Z == 2.0, 3.0, 1.0)),
        Ising(lattices.square(32), np.random.default_rng(1).normal(size=2048)),
    ],
    ids=repr,
)
def test_where_checkerboard_order_is_ergodic_it_is_allowed(model):
    CHECKERBOARD.check(model)


def test_sums_are_told_apart_up_to_a_number_and_then_count_as_able_to_cancel():
    couplings = np.random.default_rng(1).normal(size=30)
    unit = np.abs(couplings).max()
    assert not metropolis._can_cancel(couplings[:10], unit)
    assert metropolis._can_cancel(couplings, unit)
    assert metropolis._can_cancel(np.array([0.1, 0.2, -0.3]), 0.3)
    assert not metropolis._can_cancel(np.array([0.1, 0.2, -0.4]), 0.4)
    assert metropolis._can_cancel(np.array([]), 0.0)


class Free(NamedTuple):
    """A field and nothing else."""

    field: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            total -= self.field * x[i]
        return total

    def delta_energy(self, x, site, value):
        return self.field * (int(x[site]) - int(value))


def test_checkerboard_order_is_not_for_models_whose_local_fields_nobody_knows():
    model = Model(Spins(100), Free(0.3), lattices.square(10))
    with pytest.raises(InvalidInput, match="known for Ising models only") as info:
        CHECKERBOARD.check(model)
    assert "without a field" not in str(info.value)
    Metropolis().check(model)
    with pytest.raises(InvalidInput, match="needs a lattice"):
        CHECKERBOARD.check(Model(Spins(100), Free(0.3)))


# --- free moves at random sites -------------------------------------------------------------------

FREE = {
    "beta = 0": (Ising(lattices.chain(5)), 0.0),
    "next to beta = 0": (Ising(lattices.chain(5)), 1e-9),
    "no coupling": (Ising(lattices.square(2, 3), 0.0), 1.0),
    "a user's model without energy": (Model(Spins(4), Free(0.0)), 1.0),
    "one spin": (Ising(lattices.chain(1, "open")), 1.0),
}


def all_states(name, sampler):
    """p-value of the last states of ordered chains, where all states are equally probable."""
    model, beta = FREE[name]

    def run(seed, scale):
        n = 20_000 * scale
        state = sampler.init(model, n, seed, "ordered")
        x = sampler.advance(model, state, np.full(n, beta), 12)[0].x
        n_states = model.space.n_states
        counts = np.bincount(model.space.index(x), minlength=n_states)
        return {name: chi_square(counts, np.full(n_states, 1 / n_states))}

    return run


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("sampler", [Metropolis(), HeatBath()], ids=str)
def test_free_moves_reach_every_state_alike(name, sampler, seed):
    assert_distribution(all_states(name, sampler), seed)


@pytest.mark.parametrize("name", FREE)
def test_a_fixed_number_of_free_attempts_is_refuted(name, seed, monkeypatch):
    wrong = mutant(local.metropolis_random, "attempt == 0 and", "attempt < 0 and")
    monkeypatch.setattr(local, "metropolis_random", wrong)
    assert_refuted(all_states(name, Metropolis()), seed)
