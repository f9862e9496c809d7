"""Enumeration: Gray code against batches, and both against closed forms."""

import math
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman, onsager, ring
from statmech_ml.models import BernoulliRBM, DoubleWell, Ising
from statmech_ml.spaces import Bits, Levels, Spins
from statmech_ml.systems import Model

# COURSE's table: energies -32, -24, -20, ..., 0 of the 4 x 4 torus, symmetric about 0.
TORUS_ENERGIES = [-32, -24, -20, -16, -12, -8, -4, 0]
TORUS_COUNTS = [2, 32, 64, 424, 1728, 6688, 13568, 20524]


class Batches:
    """A model that shows its energies only, so that enumeration takes the batch route."""

    def __init__(self, model):
        self.space, self._model = model.space, model

    def energy(self, x):
        return self._model.energy(x)

    def reduced_energy(self, x, beta):
        return self._model.reduced_energy(x, beta)


def glass(seed, n=10):
    """All pairs coupled, both signs, and a field."""
    rng = np.random.default_rng(seed)
    edges = [(i, j) for i in range(n) for j in range(i)]
    return Ising(
        lattices.from_edges(edges), coupling=rng.normal(size=len(edges)), field=rng.normal(size=n)
    )


def machine(seed, n_visible=5, n_hidden=4, scale=1.0):
    rng = np.random.default_rng(seed)
    return BernoulliRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        scale * rng.normal(size=(n_visible, n_hidden)),
    )


class Potts(NamedTuple):
    """A ring of q-state spins, -1 for every pair of equal neighbours."""

    coupling: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            if x[i] == x[i - 1]:
                total -= self.coupling
        return total

    def delta_energy(self, x, site, value):
        n = x.shape[0]
        left, right = x[site - 1], x[(site + 1) % n]
        before = int(x[site] == left) + int(x[site] == right)
        after = int(value == left) + int(value == right)
        return self.coupling * (before - after)


class HardCore(NamedTuple):
    """Particles on a ring that may not be neighbours."""

    chemical_potential: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            if x[i] == 1 and x[i - 1] == 1:
                total = math.inf
            total -= self.chemical_potential * x[i]
        return total

    def delta_energy(self, x, site, value):
        n = x.shape[0]
        crowded = x[site - 1] == 1 or x[(site + 1) % n] == 1
        change = -self.chemical_potential * (value - x[site])
        if crowded:
            return math.inf if value == 1 else -math.inf
        return change


class Free(NamedTuple):
    """Three spins, the outer ones bonded to the middle one; `part` of each difference is told."""

    field: float
    part: float
    bond: float

    def energy(self, x):
        return -self.field * (x[0] + x[1] + x[2]) - x[1] * (x[0] + x[2])

    def delta_energy(self, x, site, value):
        local = x[1] if site != 1 else x[0] + self.bond * x[2]
        return self.part * (x[site] - value) * (self.field + local)


class Late(NamedTuple):
    """Free spins in a field; with the last of twelve up, differences vanish: a mutant."""

    field: float

    def energy(self, x):
        return -self.field * x.sum()

    def delta_energy(self, x, site, value):
        return 0.0 if x[11] == 1 else self.field * (x[site] - value)


class Blocked(NamedTuple):
    """Both spins up is forbidden, which the difference does not know: a mutant."""

    height: float

    def energy(self, x):
        return self.height if x[0] == 1 and x[1] == 1 else 0.0

    def delta_energy(self, x, site, value):
        return 0.0


MODELS = {
    "torus with field": Ising(lattices.square(3, 4), coupling=-0.7, field=0.3),
    "glass": glass(1),
    "joint RBM": machine(2).joint(),
    "Potts q = 2": Model(Levels(9, n_levels=2), Potts(0.8)),
    "hard core": Model(Bits(9), HardCore(0.4)),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_gray_code_equals_batches(model):
    """The same numbers by energy differences and by energies, to rounding."""
    other = Batches(model)
    assert "Local" in model.capabilities
    energies = enumeration.energies(model)
    np.testing.assert_allclose(energies, enumeration.energies(other), rtol=0, atol=1e-12)
    for beta in (0.3, 1.7):
        assert enumeration.log_z(model, beta) == pytest.approx(
            enumeration.log_z(other, beta), abs=1e-12
        )
        np.testing.assert_allclose(
            enumeration.distribution(model, beta),
            enumeration.distribution(other, beta),
            rtol=1e-12,
            atol=1e-15,
        )
        for of in (enumeration.entropy, enumeration.specific_heat, enumeration.energy_per_site):
            assert of(model, beta) == pytest.approx(of(other, beta), abs=1e-11)


def test_a_right_difference_passes():
    model = Model(Spins(3), Free(0.5, part=1.0, bond=1.0))
    assert enumeration.log_z(model, 0.7) == pytest.approx(
        enumeration.log_z(Batches(model), 0.7), abs=1e-13
    )


@pytest.mark.parametrize(
    "arrays",
    [
        Free(0.5, part=0.0, bond=1.0),
        Free(0.5, part=-1.0, bond=1.0),
        Free(0.5, part=0.5, bond=1.0),
        Free(0.5, part=1.0 + 1e-6, bond=1.0),
        Free(0.0, part=1.0, bond=0.0),  # one neighbour forgotten
        Blocked(math.inf),
    ],
    ids=["zero", "wrong sign", "lost factor 2", "a millionth", "neighbour", "forbidden"],
)
def test_a_wrong_difference_is_refused(arrays):
    """Its sum over a walk is no energy; the model itself, which has them, says which is right."""
    model = Model(Spins(3 if isinstance(arrays, Free) else 2), arrays)
    for call in (
        lambda: enumeration.energies(model),
        lambda: enumeration.log_z(model, 0.7),
        lambda: enumeration.density_of_states(model),
    ):
        with pytest.raises(InvalidInput, match=r"contradicts itself.*delta_energy.*but of that st"):
            call()
    enumeration.log_z(Batches(model), 0.7)


def test_a_wrong_difference_is_refused_beyond_the_first_walk():
    """2^12 states, with a difference that goes wrong where the last spin is up."""
    model = Model(Spins(12), Late(0.5))
    with pytest.raises(InvalidInput, match=r"state 2049 with energy .* of that state it is -?\d"):
        enumeration.energies(model)


def test_index_order():
    """Energies stand where `space.index` says, also beyond one walk and one chunk."""
    model = Ising(lattices.square(3, 6), coupling=0.9, field=0.2)
    energies = enumeration.energies(model)
    index = np.random.default_rng(3).integers(0, model.space.n_states, 500)
    x = model.space.from_index(index)
    np.testing.assert_allclose(energies[index], model.energy(x), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(Spins(6).index(enumeration.states(Spins(6))), np.arange(64))


def test_rounding_does_not_pile_up():
    """Irrational couplings, 2^18 states: errors stay far below 2^18 roundings (6e-11)."""
    model = glass(4, n=18)
    energies = enumeration.energies(model)
    error = np.abs(energies - enumeration.energies(Batches(model))).max()
    assert error < 1e-13 * np.abs(energies).max()


def test_density_of_states_of_the_torus():
    levels, counts = enumeration.density_of_states(Ising(lattices.square(4, 4)))
    np.testing.assert_array_equal(levels, TORUS_ENERGIES + [-e for e in TORUS_ENERGIES[-2::-1]])
    np.testing.assert_array_equal(counts, TORUS_COUNTS + TORUS_COUNTS[-2::-1])


def test_levels_that_differ_by_rounding_are_one():
    """Couplings of 0.1 sum to 3.2 in many roundings, but the torus keeps its 15 levels."""
    n_bonds = lattices.square(4, 4).n_bonds
    model = Ising(lattices.square(4, 4), coupling=np.full(n_bonds, 0.1))
    levels, counts = enumeration.density_of_states(model)
    np.testing.assert_allclose(levels[:8], 0.1 * np.array(TORUS_ENERGIES), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(counts[:8], TORUS_COUNTS)


def test_joint_density_of_states():
    """Its margins are the density of states and the binomial law of the magnetisation."""
    model = Ising(lattices.square(3, 4))
    levels, values, counts = enumeration.joint_density_of_states(model, lambda s: s.sum(axis=1))
    alone, total = enumeration.density_of_states(model)
    np.testing.assert_array_equal(levels, alone)
    np.testing.assert_array_equal(counts.sum(axis=1), total)
    np.testing.assert_array_equal(values, np.arange(-12, 13, 2))
    np.testing.assert_array_equal(counts.sum(axis=0), [math.comb(12, k) for k in range(13)])


@pytest.mark.parametrize(("Lx", "Ly", "J"), [(4, 4, 1.0), (3, 5, 0.7), (2, 4, 1.0), (4, 2, -1.3)])
def test_kaufman(Lx, Ly, J):
    model = Ising(lattices.square(Lx, Ly), coupling=J)
    betas = np.array([0.0, 0.05, 0.44, 1.0, 5.0])
    np.testing.assert_allclose(
        enumeration.log_z(model, betas), kaufman.log_z(Lx, Ly, betas, J), rtol=1e-13
    )
    for beta in (0.1, 0.44, 1.5):
        exact = kaufman.energy_per_site(Lx, Ly, beta, J)
        assert enumeration.energy_per_site(model, beta) == pytest.approx(exact, rel=1e-12)
        exact = kaufman.specific_heat(Lx, Ly, beta, J)
        assert enumeration.specific_heat(model, beta) == pytest.approx(exact, rel=1e-9)
        exact = kaufman.entropy_per_site(Lx, Ly, beta, J)
        assert enumeration.entropy(model, beta) / (Lx * Ly) == pytest.approx(exact, rel=1e-10)


def test_ring_in_a_field():
    model = Ising(lattices.chain(9), coupling=-0.8, field=0.5)
    for beta in (0.2, 1.1):
        exact = ring.log_z(9, beta, coupling=-0.8, field=0.5)
        assert enumeration.log_z(model, beta) == pytest.approx(exact, rel=1e-13)
        m = enumeration.mean(model, beta, lambda s: s.mean(axis=1))
        exact = ring.magnetization(9, beta, coupling=-0.8, field=0.5)
        assert m == pytest.approx(exact, abs=1e-13)


def test_potts_ring():
    """Z = (e^K + q - 1)^L + (q - 1)(e^K - 1)^L, three values per site: the batch route."""
    K, q, L = 0.9 * 0.8, 3, 7
    exact = math.log((math.exp(K) + q - 1) ** L + (q - 1) * (math.exp(K) - 1) ** L)
    model = Model(Levels(L, n_levels=q), Potts(0.8))
    assert enumeration.log_z(model, 0.9) == pytest.approx(exact, rel=1e-13)


def test_hard_core_lattice_gas():
    """Forbidden states weigh nothing: without chemical potential Z is a Lucas number, L_9 = 76."""
    model = Model(Bits(9), HardCore(0.0))
    assert enumeration.log_z(model, 1.0) == pytest.approx(math.log(76), rel=1e-13)
    levels, counts = enumeration.density_of_states(model)
    assert levels.tolist() == [0.0, math.inf]
    assert counts.tolist() == [76, 512 - 76]
    assert enumeration.energy_per_site(model, 1.0) == 0.0
    assert enumeration.entropy(model, 1.0) == pytest.approx(math.log(76), rel=1e-13)


def test_binder_cumulant_at_criticality():
    model = Ising(lattices.square(4, 4))
    m = enumeration.moments(model, onsager.critical_beta(), lambda s: s.mean(axis=1), order=4)
    assert 1 - m[3] / (3 * m[1] ** 2) == pytest.approx(0.6171993185, abs=1e-10)
    np.testing.assert_allclose(m[[0, 2]], 0.0, atol=1e-13)


def test_mean_of_arrays():
    """A function may return an array per configuration: here the pair correlations."""
    model = glass(5, n=6)
    p = enumeration.distribution(model, 0.6)
    s = enumeration.states(model.space).astype(float)
    assert p.sum() == pytest.approx(1.0, abs=1e-13)
    pairs = enumeration.mean(model, 0.6, lambda x: x[:, :, None] * x[:, None, :].astype(float))
    np.testing.assert_allclose(pairs, np.einsum("n,ni,nj->ij", p, s, s), atol=1e-13)


def test_latent_variables_use_the_reduced_energy():
    """An RBM's F_beta is not beta F_1: its Z is that of (v, h) together at every beta."""
    rbm = machine(6)
    for beta in (0.4, 1.0, 2.0):
        joint = enumeration.log_z(rbm.joint(), beta)
        assert enumeration.log_z(rbm, beta) == pytest.approx(joint, rel=1e-13)
    u = 2.0 * rbm.energy(enumeration.states(rbm.space))
    wrong = np.log(np.exp(-u).sum())
    assert abs(wrong - enumeration.log_z(rbm, 2.0)) > 0.1


def test_memory_is_bounded():
    """2^22 states pass in a few megabytes; their energies alone would take 32."""
    model = Ising(lattices.chain(22), field=0.1)
    enumeration.log_z(Ising(lattices.chain(4), field=0.1), 0.5)  # compiled outside the measurement
    tracemalloc.start()
    value = enumeration.log_z(model, 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    assert value == pytest.approx(ring.log_z(22, 0.5, field=0.1), rel=1e-12)


def frequencies(model, beta, wrong_beta=None):
    """z-scores of the visits of each state among exact draws."""

    def run(seed, scale):
        n = 20_000 * scale
        p = enumeration.distribution(model, beta)
        x = enumeration.draw(model, beta if wrong_beta is None else wrong_beta, n, seed)
        visits = np.bincount(model.space.index(x), minlength=len(p))
        common = p * n > 10
        return ((visits - n * p) / np.sqrt(n * p * (1 - p)))[common]

    return run


def test_draws_follow_the_distribution(seed, assert_unbiased):
    assert_unbiased(frequencies(glass(7, n=5), 0.4), seed)


def test_draws_at_another_temperature_are_rejected(seed, assert_rejected):
    assert_rejected(frequencies(glass(7, n=5), 0.4, wrong_beta=0.5), seed)


class Broken:
    """A model of three spins with a constant energy."""

    space = Spins(3)

    def __init__(self, energy):
        self._energy = energy

    def energy(self, x):
        return np.full(len(x), self._energy)

    def reduced_energy(self, x, beta):
        return self.energy(x)


SMALL = Ising(lattices.chain(4))
LARGE = Ising(lattices.chain(27))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: enumeration.log_z(LARGE, 1.0), r"2\^27 states"),
        (lambda: enumeration.distribution(Ising(lattices.chain(25)), 1.0), r"2\^25 states"),
        (lambda: enumeration.density_of_states(LARGE), r"2\^27 states"),
        (lambda: enumeration.states(Spins(25)), r"2\^25 states"),
        (lambda: enumeration.log_z(DoubleWell(), 1.0), "continuous"),
        (lambda: enumeration.log_z(SMALL, -1.0), "finite and >= 0"),
        (lambda: enumeration.log_z(SMALL, math.nan), "finite and >= 0"),
        (lambda: enumeration.mean(SMALL, [1.0, 2.0], lambda s: s[:, 0]), "one number"),
        (lambda: enumeration.mean(SMALL, 1.0, lambda s: s.sum()), "one entry each"),
        (lambda: enumeration.moments(SMALL, 1.0, lambda s: s[:, 0], order=0), "order"),
        (lambda: enumeration.joint_density_of_states(SMALL, lambda s: s), "one number each"),
        (lambda: enumeration.density_of_states(SMALL, tolerance=-1.0), "tolerance"),
        (lambda: enumeration.draw(SMALL, 1.0, 0, 1), "n must be"),
        (lambda: enumeration.draw(SMALL, 1.0, 5, None), "no default seed"),
        (lambda: enumeration.log_z(Broken(math.nan), 1.0), "nan"),
        (lambda: enumeration.log_z(Broken(-math.inf), 1.0), "-inf"),
        (lambda: enumeration.log_z(Broken(math.inf), 1.0), "Z = 0"),
        (lambda: enumeration.density_of_states(Broken(math.nan)), "NaN"),
        (lambda: enumeration.density_of_states(glass(8, n=21)), "distinct levels"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
