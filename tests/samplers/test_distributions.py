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
from machines import gaussian, potts, rbm
from statistical import assert_distribution, assert_refuted, chi_square, exact, mutant

from statmech_ml import _rng, lattices, models, sample, samplers
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import (
    RBM,
    BayesianLinearRegression,
    BayesianLogisticRegression,
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    DraggedTrap,
    Funnel,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    GaussianShells,
    HarmonicTrap,
    Hopfield,
    Ising,
    LogDensity,
    MuellerBrown,
    Posterior,
    Potts,
    PottsRBM,
    Quartic,
    RingOfWells,
    Rosenbrock,
)
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.samplers import (
    HMC,
    MALA,
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
from statmech_ml.samplers._cpu import bit_layers, cluster, layers, local, torus
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


def tailed(theta, x):
    """Log-likelihood of numbers about theta, with heavy tails."""
    return -1.2 * np.log1p((x - theta[..., 0]) ** 2)


def skewed(x):
    """Log-density of one coordinate: a slope on the left, a Gaussian flank on the right."""
    return -0.7 * np.logaddexp(0.0, -2.0 * x[:, 0]) - 0.4 * x[:, 0] ** 2


BITS = BernoulliRBM(normal(6, seed=1), normal(5, seed=2), normal(6, 5, seed=3))
GAUSSIAN_RBM = GaussianRBM(
    [0.3, -0.4], normal(3, seed=9), 0.8 * normal(2, 3, seed=10), sigma=[0.8, 1.1]
)


def boltzmann_machine(**units):
    J = np.triu(normal(5, 5, seed=8), 1)
    return BoltzmannMachine(
        normal(5, seed=11), J + J.T, normal(3, seed=9), normal(5, 3, seed=10), **units
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
    "rbm": (BITS, (0.6, 1.0)),
    "gaussian rbm": (GAUSSIAN_RBM, (0.6, 1.0)),
    "joint rbm": (BITS.joint(), (0.5, 1.0)),
    "spins over spins": (rbm("spins", "spins", 6, 4), (0.4, 0.6)),
    "spins over bits": (rbm("spins", "bits", 6, 4), (0.6, 1.4)),
    "bits over spins": (rbm("bits", "spins", 6, 4), (0.6, 1.1)),
    "bits over normal": (rbm("bits", "normal", 6, 2), (0.6, 1.0)),
    "spins over normal": (rbm("spins", "normal", 6, 2, scale=0.3), (0.5, 1.0)),
    "levels over bits": (potts("bits", 4, 3, 3), (0.6, 1.4)),
    "levels over spins": (potts("spins", 4, 3, 3), (0.6, 1.0)),
    "levels over normal": (potts("normal", 4, 3, 2), (0.5, 0.8)),
    "normal over spins": (gaussian("spins"), (0.6, 1.0)),
    "fully visible": (
        BoltzmannMachine(normal(5, seed=11), boltzmann_machine().couplings, visible="spins"),
        (0.2, 0.4),
    ),
    "boltzmann machine": (boltzmann_machine(), (0.6, 1.4)),
    "boltzmann, bits over spins": (boltzmann_machine(hidden="spins"), (0.6, 1.4)),
    "boltzmann, spins over bits": (boltzmann_machine(visible="spins"), (0.25, 0.45)),
    "joint boltzmann": (boltzmann_machine(visible="spins", hidden="spins").joint(), (0.2, 0.35)),
    "hopfield": (Hopfield(np.where(normal(3, 7, seed=12) > 0, 1, -1)), (0.8, 1.5)),
    "double well": (DoubleWell(barrier=1.0, minimum=0.9, tilt=0.4), (0.7, 1.5)),
    "double well 2d": (DoubleWell(1.0, 1.1, -0.3, dim=2, stiffness=2.0), (0.8, 1.2)),
    "quartic": (Quartic(2, stiffness=-1.0, anharmonicity=0.4, tilt=0.3), (0.7, 1.3)),
    "stiffened trap": (HarmonicTrap((1.0, 4.0)), (0.2, 0.9)),
    "dragged trap": (DraggedTrap(stiffness=2.0, distance=1.5, dim=2), (0.3, 0.9)),
    "shells": (GaussianShells(radius=1.0, width=0.35, distance=1.5), (0.6, 1.0)),
    "mixture": (GaussianMixture([1.0, 2.0], [[-0.8], [1.0]], [0.5, 0.8]), (0.6, 1.0)),
    "log-density": (LogDensity(skewed, 1), (0.7, 1.2)),
    "to a log-density": (Interpolated(Gaussian(0.8, 0.7), LogDensity(skewed, 1)), (0.2, 0.8)),
    "mueller-brown": (MuellerBrown(scale=0.003), (0.5, 1.0)),
    "rosenbrock": (Rosenbrock(a=1.5, b=0.6, mu=0.3), (0.8, 1.4)),
    "funnel": (Funnel(dim=2, stddev=0.8), (0.8, 1.3)),
    "ring of wells": (RingOfWells(3, radius=1.2, height=1.5, barrier=1.1, tilt=0.4), (0.6, 1.2)),
    "posterior": (Posterior(skewed, tailed, [-0.4, 1.3, 0.9], 1), (0.7, 1.3)),
    "linear": (BayesianLinearRegression(normal(5, 2, seed=13), normal(5, seed=14)), (0.7, 1.3)),
    "logistic": (BayesianLogisticRegression(normal(6, 2, seed=15), [0, 1] * 3, 1.5), (0.7, 1.3)),
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
    "BlockGibbs in doubles": (BlockGibbs("double"), 30),
    "MALA": (MALA(step_size=0.15, adapt=False), 200),
    "HMC": (HMC(step_size=0.3, n_steps=5, adapt=False), 40),
    "ReplicaExchange": (ReplicaExchange(HeatBath()), 30),
    "ReplicaExchange of layers": (ReplicaExchange(BlockGibbs()), 30),
}
# They reach a model through one and the same gradient, and each compiles a kernel for every model:
# the fast test deals the models out to them in turn, the slow one gives all to each.
SHARED = ("MALA", "HMC")
# Whose own laws are known, and tested, on Gaussians: test_ula.py and its neighbours.
BIASED = {"ULA", "SGLD", "PSGLD", "SGHMC", "BAOAB"}
ENSEMBLES = {"EnsembleSampler"}  # whose chains are not independent: test_ensemble.py


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


def dealt(name) -> list[str]:
    """The cases of a sampler in the fast tests."""
    if name not in SHARED:
        return PAIRS[name]
    return PAIRS[name][SHARED.index(name) :: len(SHARED)]


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
    known = kinds | BIASED | ENSEMBLES
    assert set(samplers.__all__) - {"PolynomialDecay", "Sampler", "State"} == known
    assert all(sampler.invariant for sampler, _ in SAMPLERS.values())
    assert not any(getattr(samplers, name).invariant for name in BIASED)
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
    "BlockGibbs": {"odd ring", "joint rbm", "mixture", "boltzmann machine", "hopfield"},
    "MALA": {"odd ring", "rbm", "potts"},
    "HMC": {"odd ring", "rbm", "potts"},
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
    cases = dealt(name) if more == 1 else PAIRS[name]
    if name == "ReplicaExchange":  # asks for reduced energies only; its moves have their own turn
        cases = cases[::4]
    assert_distribution(check(sampler, n_sweeps, cases, more=more), seed)


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
    assert_refuted(check(sampler, n_sweeps, dealt(name)[-1:], swap=True), seed)


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
        (layers, "draw"),
        ("u * (1.0 + o) < o", "u * (1.0 + o) > o"),
        ("BlockGibbs in doubles", "rbm"),
    ),
    "levels one too high": (
        (layers, "draw_levels"),
        ("out[c, i] = level", "out[c, i] = min(level + 1, n_levels - 1)"),
        ("BlockGibbs", "levels over bits"),
    ),
    "levels without their weights": (
        (layers, "draw_levels"),
        ("total += math.exp(np.float64(logits[c, i, k]) - highest)", "total += 1.0"),
        ("BlockGibbs", "levels over spins"),
    ),
    "layers of bits upside down": (
        (bit_layers, "draw"),
        ("odds) < odds", "odds) > odds"),
        ("BlockGibbs", "rbm"),
    ),
    "layers of bits at beta = 1": (
        (bit_layers, "draw"),
        ("scale[c], bias", "np.float32(1.0), bias"),
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


def test_one_stream_for_both_layers_is_refuted(seed, monkeypatch):
    monkeypatch.setattr(block_gibbs, "VISIBLE", block_gibbs.HIDDEN)
    assert_refuted(check(BlockGibbs(), 30, ["rbm"]), seed)


class OneColdLayer(RBM):
    """Mutant: visible units are drawn at beta = 1."""

    def visible_logits(self, h, beta, dtype=np.float64):
        return super().visible_logits(h, 0 * beta + 1, dtype)


class LostTwo(RBM):
    """Mutant: the log-odds of spins in a field f are beta f, as if they were bits."""

    def hidden_logits(self, v, beta, dtype=np.float64):
        return super().hidden_logits(v, 0.5 * beta, dtype)


class WidthOne(RBM):
    """Mutant: normal hidden units of width 1 at every beta."""

    def hidden_normal(self, v, beta, dtype=np.float64):
        return super().hidden_normal(v, 0 * beta + 1, dtype)


class OneLevelShort(PottsRBM):
    """Mutant: the log-weights of levels lose their field at the last one."""

    def visible_logits(self, h, beta, dtype=np.float64):
        found = super().visible_logits(h, beta, dtype)
        found[..., -1] = 0.0
        return found


@pytest.mark.parametrize(
    ("wrong", "case"),
    [
        (OneColdLayer, "rbm"),
        (LostTwo, "spins over spins"),
        (LostTwo, "bits over spins"),
        (WidthOne, "spins over normal"),
        (OneLevelShort, "levels over bits"),
    ],
)
def test_wrong_layers_are_refuted(wrong, case, seed):
    right = CASES[case][0]
    units = {"hidden": right.hidden_units.name}
    if wrong is not OneLevelShort:
        units["visible"] = right.visible_units.name
    mistaken = wrong(right.visible_bias, right.hidden_bias, right.weights, **units)
    assert_refuted(check(BlockGibbs(), 30, [case], run_with=mistaken), seed)


@pytest.mark.parametrize(
    ("case", "factor"), [("fully visible", 2.0), ("boltzmann, bits over spins", 0.5)]
)
@pytest.mark.parametrize("name", ["HeatBath", "Metropolis"])
def test_pairs_counted_twice_or_by_half_are_refuted(name, case, factor, seed):
    right = CASES[case][0]
    hidden = {}
    if right.n_hidden:
        hidden = {"hidden_bias": right.hidden_bias, "weights": right.weights}
    mistaken = BoltzmannMachine(
        right.visible_bias,
        factor * right.couplings,
        **hidden,
        visible=right.visible_units.name,
        hidden=right.hidden_units.name,
    )
    assert_refuted(check(SAMPLERS[name][0], 30, [case], run_with=mistaken), seed)


# --- clamped units --------------------------------------------------------------------------------

CLAMPED = [case for case in PAIRS["BlockGibbs"] if "over" in case]


def clamped_p_values(cases, sampler_of, start_of=None):
    """run(seed, scale): the free units given two held ones, against the condensed machine's law."""

    def run(seed, scale):
        found = {}
        for k, case in enumerate(cases):
            model, betas = CASES[case]
            mask = np.zeros(model.space.size, bool)
            mask[[0, -2] if model.space.size > 2 else 1] = True
            start = model.space.random(seed + k, np.zeros(1, np.uint32))[0]
            given = model.condition(np.flatnonzero(mask), start[mask])
            n = N_CHAINS * scale
            sampler = sampler_of(mask)
            state = sampler.init(model, 2 * n, seed + k, start)
            x = sampler.advance(model, state, np.tile(betas, n), 30)[0].x
            assert start_of is not None or (x[:, mask] == start[mask]).all()
            found[f"{case} at {betas[0]}"] = p_value(given, betas[0], x[::2][:, ~mask])
            found[f"{case} at {betas[1]}"] = p_value(given, betas[1], x[1::2][:, ~mask])
        return found

    return run


def test_clamped_units_leave_the_conditional_law(seed):
    """By enumeration of the condensed machine, whose law is checked in test_two_layers."""
    assert_distribution(clamped_p_values(CLAMPED, lambda mask: BlockGibbs(clamped=mask)), seed)


def test_clamped_units_that_are_not_held_are_refuted(seed):
    """Mutant: the mask is ignored."""
    run = clamped_p_values(["spins over spins"], lambda mask: BlockGibbs(), start_of="mutant")
    assert_refuted(run, seed)


def test_other_clamped_values_in_each_chain():
    model = CASES["bits over spins"][0]
    mask = np.array([True, False, True, False, False, False])
    start = model.space.random(1, np.arange(7, dtype=np.uint32))
    chain = sample(
        model, BlockGibbs(clamped=mask), beta=0.7, n_chains=7, n_draws=20, start=start, rng=1
    )
    assert (chain.states[:, :, mask] == start[:, None, mask]).all()
    assert (np.ptp(chain.states[:, :, ~mask], axis=1) > 0).any()
    again = sample(model, chain.sampler, beta=0.7, n_draws=5, start=chain.final)
    assert (again.states[:, :, mask] == start[:, None, mask]).all()


def test_clamped_samplers_are_saved_and_loaded(tmp_path):
    model = CASES["spins over bits"][0]
    mask = np.arange(6) < 2
    sampler = BlockGibbs(clamped=mask)
    assert repr(sampler) == "BlockGibbs(precision='single', clamped=2 of 6)"
    chain = sample(
        model, sampler, beta=0.7, n_chains=2, n_draws=20, start=np.ones(6), rng=1, burn_in=0
    )
    chain.save(tmp_path / "run.zarr")
    assert type(chain).load(tmp_path / "run.zarr").sampler == sampler


@pytest.mark.parametrize(
    ("clamped", "message"),
    [
        ([0, 1], "bool array"),
        (np.ones(6, bool), "leaves some unit free"),
        (np.zeros((2, 3), bool), "bool array"),
        ("all", "bool array"),
    ],
)
def test_masks_that_cannot_be(clamped, message):
    with pytest.raises(InvalidInput, match=message):
        BlockGibbs(clamped=clamped)


def test_clamped_units_need_values_and_one_entry_for_each():
    model = CASES["spins over bits"][0]
    with pytest.raises(InvalidInput, match="3 entries"):
        sample(model, BlockGibbs(clamped=[True, False, False]), beta=1.0, n_draws=2, rng=1)
    held = BlockGibbs(clamped=np.arange(6) < 2)
    for sampler in (held, ReplicaExchange(held)):
        for start in ("random", "ordered"):
            with pytest.raises(InvalidInput, match="keep the values of the start"):
                sample(model, sampler, beta=[0.5, 1.0], n_draws=2, rng=1, start=start)
