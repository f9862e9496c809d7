"""Every sampler on every model that fits: the final states of many chains have the exact law.

Systems have at most 12 spins or bits, or one or two continuous coordinates, and each chain starts
at random and gives one state, its last, so the draws are independent. Every second chain runs at
one beta and the others at another, in one call: pairs that replica exchange takes for ladders. The
reference is `model.reduced_energy` over all states, or
on a grid. Every check has mutants that the same check must refute.
"""

from typing import NamedTuple

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square, exact, mutant

from statmech_ml import _rng, lattices, models, sample, samplers
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import (
    BernoulliRBM,
    DoubleWell,
    DraggedTrap,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    GaussianShells,
    HarmonicTrap,
    Ising,
    LogDensity,
    Potts,
    Quartic,
)
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.samplers import (
    MALA,
    ULA,
    BlockGibbs,
    HeatBath,
    Metropolis,
    ReplicaExchange,
    SwendsenWang,
    Wolff,
    _langevin,
    block_gibbs,
    swendsen_wang,
    wolff,
)
from statmech_ml.samplers._cpu import cluster, local, torus
from statmech_ml.spaces import Levels
from statmech_ml.systems import Model

N_CHAINS = 5_000  # at each of two betas; the slow tests take four times as many


class SpinOne(NamedTuple):
    """Levels 0, 1, 2 read as spins -1, 0, 1, with a crystal field and a tilt: three values a site.

    Fields: neighbours int32 (n, z) padded with -1; anisotropy, tilt float64.
    """

    neighbours: np.ndarray
    anisotropy: float
    tilt: float

    def energy(self, x):
        total = 0.0
        for i in range(x.shape[0]):
            s = int(x[i]) - 1
            total += self.anisotropy * s * s - self.tilt * s
            for k in range(self.neighbours.shape[1]):
                j = self.neighbours[i, k]
                if j >= 0:
                    total -= 0.5 * s * (int(x[j]) - 1)
        return total

    def delta_energy(self, x, site, value):
        old, new = int(x[site]) - 1, int(value) - 1
        local = self.tilt
        for k in range(self.neighbours.shape[1]):
            j = self.neighbours[site, k]
            if j >= 0:
                local += int(x[j]) - 1
        return self.anisotropy * (new * new - old * old) - (new - old) * local


def spin_one(lattice) -> Model:
    return Model(Levels(lattice.n_sites, 3), SpinOne(lattice.neighbours, 0.4, 0.3), lattice)


def normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def skewed(x):
    """Log-density of one coordinate: a slope on the left, a Gaussian flank on the right."""
    return -0.7 * np.logaddexp(0.0, -2.0 * x[:, 0]) - 0.4 * x[:, 0] ** 2


RBM = BernoulliRBM(normal(6, seed=1), normal(5, seed=2), normal(6, 5, seed=3))
GAUSSIAN_RBM = GaussianRBM(
    [0.3, -0.4], normal(3, seed=9), 0.8 * normal(2, 3, seed=10), sigma=[0.8, 1.1]
)
TREE = lattices.from_edges([(4, 0), (1, 0), (1, 2), (3, 1), (5, 6)], n_sites=8)
LOOPS = lattices.from_edges([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2), (5, 0), (5, 3)])

# Name -> model, two betas.
CASES = {
    "odd ring": (Ising(lattices.chain(7)), (0.4, 0.8)),
    "odd ring J<0": (Ising(lattices.chain(7), -1.0), (0.5, 0.9)),
    "even ring J<0": (Ising(lattices.chain(8), -0.7), (0.5, 1.1)),
    "ring in a field": (Ising(lattices.chain(7), 0.8, -0.3), (0.4, 0.9)),
    "open chain": (Ising(lattices.chain(6, "open"), 1.2), (0.3, 0.7)),
    "torus 2x4": (Ising(lattices.square(2, 4)), (0.1, 0.3)),
    "torus 4x2 h": (Ising(lattices.square(4, 2), 0.8, 0.3), (0.2, 0.44)),
    "torus 2x6 J<0": (Ising(lattices.square(2, 6), -1.0), (0.15, 0.25)),
    "torus 3x4": (Ising(lattices.square(3, 4), 0.9), (0.2, 0.4)),
    "torus 3x4 J<0 h": (Ising(lattices.square(3, 4), -0.6, 0.5), (0.3, 0.6)),
    "open 3x3": (Ising(lattices.square(3, 3, "open")), (0.3, 0.6)),
    "cubic 2x2x3": (Ising(lattices.cubic(2, 2, 3), 0.5), (0.15, 0.3)),
    "triangular": (Ising(lattices.triangular(3), -1.0), (0.1, 0.3)),
    "honeycomb": (Ising(lattices.honeycomb(2, 3), 0.8), (0.3, 0.5)),
    "glass": (Ising(lattices.chain(9), normal(9, seed=4), normal(9, seed=5)), (0.4, 0.7)),
    "bonds +-J": (Ising(lattices.square(3, 3), np.sign(normal(18, seed=6))), (0.2, 0.4)),
    "whole multiples": (Ising(lattices.chain(6), [1.0, 2, -1, 0.0, 3, 1], 0.2), (0.2, 0.4)),
    "tree": (Ising(TREE, normal(5, seed=7)), (0.6, 1.3)),
    "graph": (Ising(LOOPS, 0.7, normal(6, seed=8)), (0.4, 0.8)),
    "spin one": (spin_one(lattices.chain(7)), (0.5, 0.9)),
    "spin one 2x3": (spin_one(lattices.square(2, 3)), (0.3, 0.5)),
    "potts": (Potts(lattices.chain(5), 3, 0.9), (0.7, 1.4)),
    "potts 2x3": (Potts(lattices.square(2, 3), 3), (0.3, 0.6)),
    "potts q=4": (Potts(lattices.chain(4), 4, [0.5, 1.0, 0.0, 1.5]), (0.6, 1.2)),
    "potts glass h": (Potts(LOOPS, 3, normal(8, seed=11), normal(6, 3, seed=12)), (0.4, 0.9)),
    "rbm": (RBM, (0.6, 1.0)),
    "gaussian rbm": (GAUSSIAN_RBM, (0.6, 1.0)),
    "joint rbm": (RBM.joint(), (0.5, 1.0)),
    "double well": (DoubleWell(barrier=1.0, minimum=0.9, tilt=0.4), (0.7, 1.5)),
    "double well 2d": (DoubleWell(1.0, 1.1, -0.3, dim=2, stiffness=2.0), (0.8, 1.2)),
    "quartic": (Quartic(2, stiffness=-1.0, anharmonicity=0.4, tilt=0.3), (0.7, 1.3)),
    "stiffened trap": (HarmonicTrap((1.0, 4.0)), (0.2, 0.9)),
    "dragged trap": (DraggedTrap(stiffness=2.0, distance=1.5, dim=2), (0.3, 0.9)),
    "shells": (GaussianShells(radius=1.0, width=0.35, distance=1.5), (0.6, 1.0)),
    "mixture": (GaussianMixture([1.0, 2.0], [[-0.8], [1.0]], [0.5, 0.8]), (0.6, 1.0)),
    "log-density": (LogDensity(skewed, 1), (0.7, 1.2)),
    "to a log-density": (Interpolated(Gaussian(0.8, 0.7), LogDensity(skewed, 1)), (0.2, 0.8)),
    "correlated": (Gaussian([0.5, 0.0], covariance=[[1.0, 0.6], [0.6, 0.9]]), (0.6, 1.4)),
    "gaussian": (Gaussian(mean=[0.5, -1.0], stddev=[0.8, 1.2]), (0.6, 1.4)),
}
# Settings that a class has beyond its defaults, and the sweeps that equilibrate the cases: by
# multiplying out the transition matrices, what is left of the random start adds less than 0.3 to
# the chi-square of 80,000 chains, in any case of the local samplers.
SAMPLERS = {
    "HeatBath": (HeatBath(), 30),
    "Metropolis": (Metropolis(), 50),
    "Metropolis checkerboard": (Metropolis("checkerboard"), 30),
    "Wolff": (Wolff(), 80),
    "SwendsenWang": (SwendsenWang(), 30),
    "BlockGibbs": (BlockGibbs(), 30),
    "MALA": (MALA(step_size=0.15, adapt=False), 200),
    "ReplicaExchange": (ReplicaExchange(HeatBath()), 30),
    "ReplicaExchange of layers": (ReplicaExchange(BlockGibbs()), 30),
}
BIASED = {"ULA"}  # whose own law is known, and tested, on Gaussians: test_ula.py


def fits(sampler, model) -> bool:
    try:
        sampler.check(model)
    except (MissingCapability, InvalidInput):
        return False
    return True


PAIRS = {
    name: [case for case, (model, _) in CASES.items() if fits(sampler, model)]
    for name, (sampler, _) in SAMPLERS.items()
}


def p_value(model, beta, x) -> float:
    """Chi-square of final states: by state, or by cells of about equal probability."""
    if hasattr(model.space, "n_states"):
        counts = np.bincount(model.space.index(x), minlength=model.space.n_states)
        return chi_square(counts, exact(model, beta).probability)
    dim, half_width = model.space.size, 8.0
    fine, bins = {1: (20_000, 50), 2: (600, 12)}[dim]
    middle = half_width * ((2.0 * np.arange(fine) + 1.0) / fine - 1.0)
    points = np.stack(np.meshgrid(*[middle] * dim, indexing="ij"), axis=-1)
    u = model.reduced_energy(points, beta)
    density = np.exp(u.min() - u)
    density /= density.sum()
    where = np.clip(((x / half_width + 1.0) * fine / 2).astype(int), 0, fine - 1)
    cells, labels = np.zeros(len(x), int), np.zeros(density.shape, int)
    for axis in range(dim):
        marginal = density.sum(axis=tuple({0, 1} - {axis})[: dim - 1])
        label = np.minimum((np.cumsum(marginal) * bins).astype(int), bins - 1)
        cells = cells * bins + label[where[:, axis]]
        labels = labels * bins + (label if axis == dim - 1 else label[:, None])
    probability = np.bincount(labels.ravel(), density.ravel(), minlength=bins**dim)
    return chi_square(np.bincount(cells, minlength=bins**dim), probability)


def check(sampler, n_sweeps, cases, *, more=1, run_with=None, swap=False):
    """The p-values of a sampler on cases; a mutant runs with another model, or swaps the betas."""

    def run(seed, scale):
        found = {}
        for k, case in enumerate(cases):
            model, (warm, cold) = CASES[case]
            mine = model if run_with is None else run_with
            n = N_CHAINS * more * scale
            beta = np.tile([warm, cold], n)
            state = sampler.init(mine, 2 * n, seed + k)
            if "Differentiable" in mine.capabilities:
                # From far out a quartic well throws Langevin moves back and forth for ever.
                state = state._replace(x=0.3 * state.x)
            x = sampler.advance(mine, state, beta[::-1].copy() if swap else beta, n_sweeps)[0].x
            found[f"{case} at {warm}"] = p_value(model, warm, x[::2])
            found[f"{case} at {cold}"] = p_value(model, cold, x[1::2])
        return found

    return run


# --- contracts ------------------------------------------------------------------------------------


def test_every_exported_sampler_is_checked():
    kinds = {type(sampler).__name__ for sampler, _ in SAMPLERS.values()}
    assert set(samplers.__all__) - {"Sampler", "State"} == kinds | BIASED
    assert all(sampler.invariant for sampler, _ in SAMPLERS.values())
    assert not ULA.invariant
    assert all(PAIRS.values()), "a sampler without a single case"


def test_every_exported_model_is_checked():
    tested = {type(CASES[case][0]).__name__ for cases in PAIRS.values() for case in cases}
    assert set(models.__all__) <= tested


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in SAMPLERS for case in CASES if case not in PAIRS[name]],
)
def test_what_does_not_fit_is_refused_with_advice_before_any_work(name, case):
    with pytest.raises((MissingCapability, InvalidInput), match=r"(?s)\. (Use|Build|Give)") as info:
        sample(CASES[case][0], SAMPLERS[name][0], beta=1.0, n_draws=10**15, rng=1)
    assert 60 < len(str(info.value)) < 500


REFUSED = {
    "Metropolis checkerboard": {"odd ring", "even ring J<0", "torus 2x4", "joint rbm"},
    "Wolff": {"odd ring J<0", "ring in a field", "triangular", "bonds +-J", "glass", "rbm"},
    "SwendsenWang": {"odd ring J<0", "torus 4x2 h", "joint rbm", "potts glass h", "spin one"},
    "HeatBath": {"rbm", "double well", "gaussian", "gaussian rbm", "log-density"},
    "BlockGibbs": {"odd ring", "joint rbm", "mixture"},
    "MALA": {"odd ring", "rbm", "potts"},
    "ReplicaExchange": {"rbm", "shells"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_refusals_that_physics_demands(name):
    assert not REFUSED[name] & set(PAIRS[name])


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("Wolff", "even ring J<0"),
        ("SwendsenWang", "torus 2x6 J<0"),
        ("Wolff", "tree"),
        ("Wolff", "potts"),
        ("SwendsenWang", "potts q=4"),
        ("BlockGibbs", "gaussian rbm"),
        ("MALA", "gaussian rbm"),
        ("MALA", "to a log-density"),
    ],
)
def test_what_physics_allows_is_accepted(name, case):
    assert case in PAIRS[name]


# --- the distributions ----------------------------------------------------------------------------


@pytest.mark.parametrize("more", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_final_states_have_the_exact_distribution(name, more, seed):
    sampler, n_sweeps = SAMPLERS[name]
    # Swaps ask for reduced energies only, and what moves between them has its own turn.
    every = 4 if name == "ReplicaExchange" else 1
    assert_distribution(check(sampler, n_sweeps, PAIRS[name][::every], more=more), seed)


def test_mala_after_its_warm_up_has_the_exact_distribution(seed):
    model, (beta, _) = CASES["double well 2d"]

    def run(seed, scale):
        chain = sample(
            model,
            MALA(),
            beta=beta,
            n_chains=N_CHAINS * scale,
            n_draws=1,
            thin=200,
            burn_in=100,
            rng=seed,
        )
        assert len(chain.sampler.step_size) == N_CHAINS * scale
        return {"after the warm-up": p_value(model, beta, chain.states[:, 0])}

    assert_distribution(run, seed)


# --- mutants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HeatBath", "Metropolis", "Wolff", "SwendsenWang"])
@pytest.mark.parametrize("case", ["even ring J<0", "torus 2x4"])
def test_the_wrong_sign_of_the_coupling_is_refuted(name, case, seed):
    sampler, n_sweeps = SAMPLERS[name]
    model = CASES[case][0]
    turned = Ising(model.lattice, -model.coupling)
    assert_refuted(check(sampler, n_sweeps, [case], run_with=turned), seed)


@pytest.mark.parametrize("name", SAMPLERS)
def test_swapped_temperatures_are_refuted(name, seed):
    sampler, n_sweeps = SAMPLERS[name]
    assert_refuted(check(sampler, n_sweeps, PAIRS[name][-1:], swap=True), seed)


def test_the_wrong_sign_of_the_field_is_refuted(seed):
    model = CASES["ring in a field"][0]
    turned = Ising(model.lattice, model.coupling, -model.field)
    assert_refuted(check(HeatBath(), 30, ["ring in a field"], run_with=turned), seed)


@pytest.mark.parametrize("name", ["Wolff", "SwendsenWang"])
@pytest.mark.parametrize("factor", [0.5, 0.0], ids=["lost factor 2", "no bonds"])
def test_wrong_bond_probabilities_are_refuted(name, factor, seed, monkeypatch):
    def limits(model, beta):
        return _rng.thresholds(-np.expm1(-factor * beta[:, None] * model.arrays.links))

    monkeypatch.setattr(wolff, "bond_limits", limits)
    monkeypatch.setattr(swendsen_wang, "bond_limits", limits)
    sampler, n_sweeps = SAMPLERS[name]
    for case in ("odd ring", "torus 2x6 J<0"):
        assert_refuted(check(sampler, n_sweeps, [case]), seed)


def test_fixed_order_metropolis_on_a_ring_is_refuted(seed):
    assert_refuted(check(Metropolis("checkerboard"), 50, ["odd ring"]), seed)


def test_fixed_order_metropolis_on_a_small_torus_is_refuted(seed):
    """Diagonal stripes that turn for ever: 4 of 256 states, which other states do not lead to."""
    assert_refuted(check(Metropolis("checkerboard"), 50, ["torus 2x4"], more=4), seed)


# Kernel, right, wrong, sampler, case.
WRONG = {
    "always accept": (
        (local, "metropolis_random"),
        ("change <= 0.0 or unit(w1, w2) < math.exp(-change)", "True"),
        ("Metropolis", "odd ring"),
    ),
    "accept ties never": (
        (local, "metropolis_random"),
        ("math.exp(-change)", "math.exp(-change - 0.1)"),
        ("Metropolis", "ring in a field"),
    ),
    "always accept by colour": (
        (local, "metropolis_scheduled"),
        ("change <= 0.0 or unit(buffer[p], low_buffer[p]) < math.exp(-change)", "True"),
        ("Metropolis checkerboard", "open 3x3"),
    ),
    "a biased proposal": (
        (local, "metropolis_random"),
        ("value = proposal(values, state[site], w3)", "value = values[w3 >> np.uint64(31)]"),
        ("Metropolis", "spin one"),
    ),
    "heat bath upside down": (
        (local, "heat_bath_tabulated"),
        ("up = buffer[p] < upper_half[e]", "up = buffer[p] > upper_half[e]"),
        ("HeatBath", "ring in a field"),
    ),
    "heat bath off by one environment": (
        (local, "heat_bath_tabulated"),
        ("e = environment(model, state, site)", "e = max(0, environment(model, state, site) - 1)"),
        ("HeatBath", "torus 3x4"),
    ),
    "heat bath with a lost sign": (
        (local, "heat_bath"),
        ("sign = 1.0 if state[site] == values[0] else -1.0", "sign = 1.0"),
        ("HeatBath", "glass"),
    ),
    "heat bath of q values at infinite temperature": (
        (local, "heat_bath"),
        ("math.exp(lowest - weights[k])", "1.0"),
        ("HeatBath", "spin one"),
    ),
    "torus with one sublattice only": (
        (torus, "heat_bath_torus"),
        ("for colour in range(2):", "for colour in range(1):"),
        ("HeatBath", "torus 4x2 h"),
    ),
    "torus with stale ghosts": (
        (torus, "heat_bath_torus"),
        ("refresh_ghosts(halves[colour])", "pass"),
        ("HeatBath", "torus 4x2 h"),
    ),
    "langevin without the 2": (
        (_langevin, "moves"),
        ("math.sqrt(2.0 * eta)", "math.sqrt(eta)"),
        ("MALA", "double well"),
    ),
    "langevin without accept or reject": (
        (_langevin, "moves"),
        ("< gain", "< 1.0"),
        ("MALA", "shells"),
    ),
    "langevin without the ratio of proposals": (
        (_langevin, "moves"),
        ("u - new_u + ratio", "u - new_u"),
        ("MALA", "double well"),
    ),
    "langevin uphill": (
        (_langevin, "moves"),
        ("ratio += (forward", "ratio -= (forward"),
        ("MALA", "shells"),  # in a quartic well such walks end in overflows
    ),
    "layers upside down": (
        (block_gibbs, "draw"),
        ("u * (1.0 + o) < o", "u * (1.0 + o) > o"),
        ("BlockGibbs", "rbm"),
    ),
    "clusters of levels that all take one value": (
        (cluster, "swendsen_wang"),
        ("recolour_clusters(parent, generator, flips, state, levels)", "0 * state[0]"),
        ("SwendsenWang", "potts"),
    ),
    "clusters that never flip": (
        (cluster, "swendsen_wang"),
        ("flip_clusters(parent, generator, flips, state)", "0 * state[0]"),
        ("SwendsenWang", "odd ring"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_is_refuted(name, seed, monkeypatch):
    (module, kernel), (right, wrong), (sampler, case) = WRONG[name]
    monkeypatch.setattr(module, kernel, mutant(getattr(module, kernel), right, wrong))
    settings, n_sweeps = SAMPLERS[sampler]
    assert_refuted(check(settings, n_sweeps, [case]), seed)


@pytest.mark.parametrize("mistake", ["one stream for both layers", "beta in one layer only"])
def test_wrong_block_gibbs_is_refuted(mistake, seed, monkeypatch):
    if mistake == "one stream for both layers":
        monkeypatch.setattr(block_gibbs, "VISIBLE", block_gibbs.HIDDEN)
    else:
        right = BernoulliRBM.visible_logits
        monkeypatch.setattr(
            BernoulliRBM, "visible_logits", lambda self, h, beta: right(self, h, 0 * beta + 1)
        )
    assert_refuted(check(BlockGibbs(), 30, ["rbm"]), seed)
