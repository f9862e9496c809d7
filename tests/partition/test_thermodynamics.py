"""Thermodynamics from one tempered run, against enumeration of both layers and Kaufman's torus."""

import functools
import math

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import chi2, norm

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import RBM, BernoulliRBM, Gaussian, GaussianRBM, Ising, PottsRBM
from statmech_ml.partition import LogZ, Tempering, thermodynamics
from statmech_ml.partition._tempered import tempered
from statmech_ml.partition.thermodynamics import QUANTITIES
from statmech_ml.samplers import ULA, BlockGibbs, ReplicaExchange, SwendsenWang
from statmech_ml.spaces import Reals

# Runs are as short as their errors stay honest; R-hat of so few draws strays above its threshold.
pytestmark = pytest.mark.filterwarnings("ignore::statmech_ml.errors.EquilibrationWarning")

TEMPERATURES = np.array([0.6, 1.0, 2.5])
LADDER = (0.0, 0.4, 0.9, 1.4, 5.0 / 3.0)


def machine(kind=RBM, **units):
    """Six visible and four hidden units, asymmetric."""
    g = np.random.default_rng(299792)
    values = g.normal(0.2, 0.5, 6), g.normal(-0.1, 0.5, 4), g.normal(0.0, 0.7, (6, 4))
    return kind(*values, **units)


def exact(energy, order, temperatures):
    """The five quantities (quantity, temperature) by the sum over all states."""
    found = []
    for t in temperatures:
        log_z = logsumexp(-energy / t)
        p = np.exp(-energy / t - log_z)
        u, m = p @ energy, p @ order
        c, chi = p @ (energy - u) ** 2 / t**2, p @ (order - m) ** 2 / t
        found.append([-t * log_z, u, u / t + log_z, c, chi])
    return np.array(found).T


def joint(rbm):
    """E(v, h) and the sum of the visible units of every state of both layers."""
    v = rbm.space.from_index(np.arange(rbm.space.n_states))
    h = rbm.hidden_space.from_index(np.arange(rbm.hidden_space.n_states))
    energy = rbm.joint_energy(v[:, None], h[None])
    return energy.ravel(), np.broadcast_to(v.sum(axis=1)[:, None], energy.shape).ravel()


@functools.cache
def runs(model, ladder, seed, n, sampler=None, reference=None):
    """Independent runs at the same temperatures."""
    return [
        thermodynamics(
            model, temperatures=TEMPERATURES, ladder=ladder, n_draws=60, rng=int(s),
            sampler=sampler, reference=reference,
        )
        for s in np.random.SeedSequence(seed).generate_state(n)
    ]  # fmt: skip


def deviations(model, truth, ladder=LADDER, quantities=QUANTITIES, **arguments):
    """z of the mean over independent runs, and normal deviates of the sum of their squares."""

    def run(seed, scale):
        z = np.array(
            [
                [getattr(found, name).z(e) for name, e in zip(QUANTITIES, truth, strict=True)]
                for found in runs(model, ladder, seed, 6 * scale, **arguments)
            ]
        )[:, [QUANTITIES.index(name) for name in quantities]]
        squares = np.maximum(chi2.sf((z**2).sum(axis=0), len(z)), 1e-300)
        return np.stack([z.sum(axis=0) / math.sqrt(len(z)), norm.isf(squares)])

    return run


# --- against enumeration --------------------------------------------------------------------------


class SwapOnBetaF1(BernoulliRBM):
    """beta F_1(v) in place of F_beta(v), in swaps and in weights."""

    def reduced_energy(self, v, beta):
        return np.asarray(beta) * super().reduced_energy(v, 1.0)

    def slope(self, v, beta):
        return super().reduced_energy(v, 1.0) + 0.0 * np.asarray(beta)


@pytest.mark.parametrize(
    "units", [("bits", "spins"), ("spins", "bits")], ids=lambda u: f"{u[0]}, {u[1]}"
)
def test_rbm(seed, assert_unbiased, units):
    rbm = machine(visible=units[0], hidden=units[1])
    assert_unbiased(deviations(rbm, exact(*joint(rbm), TEMPERATURES)), seed)


def test_beta_f1_is_rejected(seed, assert_rejected):
    truth = exact(*joint(machine(BernoulliRBM)), TEMPERATURES)
    assert_rejected(deviations(machine(SwapOnBetaF1), truth), seed)


def test_lost_temperatures_are_rejected(seed, assert_rejected):
    """k_B T forgotten in one quantity at a time."""
    rbm = machine(BernoulliRBM)
    truth = exact(*joint(rbm), TEMPERATURES)
    log_z = truth[2] - truth[1] / TEMPERATURES
    wrong = {
        "entropy": truth[1] + log_z,
        "free_energy": -log_z,
        "heat_capacity": truth[3] * TEMPERATURES,
        "susceptibility": truth[4] * TEMPERATURES,
    }
    for name, values in wrong.items():
        mutant = truth.copy()
        mutant[QUANTITIES.index(name)] = values
        assert_rejected(deviations(rbm, mutant, quantities=[name]), seed)


def test_conditional_variance_counts(seed, monkeypatch, assert_rejected):
    """Without the spread of h given v the heat capacity is that of F's slope alone."""
    from statmech_ml.partition import _tempered

    rbm = machine(BernoulliRBM)
    monkeypatch.setattr(
        _tempered._Fields, "_variance", lambda self, field, mean, beta: np.zeros_like(field)
    )
    assert_rejected(deviations(rbm, exact(*joint(rbm), TEMPERATURES)), seed)


def test_ising_in_a_field(seed, assert_unbiased):
    model = Ising(lattices.square(3, 2), coupling=0.4, field=0.3)
    x = model.space.from_index(np.arange(64))
    truth = exact(model.energy(x), x.sum(axis=1), TEMPERATURES)
    assert_unbiased(deviations(model, truth), seed)


def test_gaussian_rbm(seed, assert_unbiased):
    """A mixture of 2^4 Gaussians: moments of each in closed form, log Z known at no beta = 0."""
    g = np.random.default_rng(5)
    a, b, w, s = g.normal(size=2), g.normal(size=4), g.normal(0, 0.8, (2, 4)), np.array([0.7, 1.4])
    rbm = GaussianRBM(a, b, w, s)
    h = rbm.hidden_space.from_index(np.arange(16)).astype(float)
    mean = a + h @ w.T
    # E(v, h) = |v - mean|^2 / 2 s^2 + rest(h)
    rest = (-h @ b) + ((a**2 - mean**2) / (2 * s**2)).sum(axis=1)
    found = []
    for t in TEMPERATURES:
        log_p = -rest / t
        log_z = logsumexp(log_p) + np.log(2 * np.pi * t * s**2).sum() / 2
        p = np.exp(log_p - logsumexp(log_p))
        u = p @ rest + t  # t / 2 for each of two normal units
        c = p @ (rest - p @ rest) ** 2 / t**2 + 1.0
        m = mean.sum(axis=1)
        chi = (p @ (m - p @ m) ** 2 + t * (s**2).sum()) / t
        found.append([-t * log_z, u, u / t + log_z, c, chi])
    ladder, at = (0.3, 0.4, 0.7, 1.1, 5.0 / 3.0), 0.3
    log_z = logsumexp(-at * rest) + np.log(2 * np.pi * s**2 / at).sum() / 2
    truth = np.array(found).T
    assert_unbiased(deviations(rbm, truth, ladder=ladder, reference=(at, float(log_z))), seed)


@pytest.mark.slow
def test_kaufman(seed, assert_unbiased):
    size, temperatures = 8, np.array([1.8, 2.269, 3.0])
    betas = 1.0 / temperatures
    n = size * size
    log_z = np.array([kaufman.log_z(size, size, b) for b in betas])
    u = n * np.array([kaufman.energy_per_site(size, size, b) for b in betas])
    c = n * np.array([kaufman.specific_heat(size, size, b) for b in betas])
    truth = [-log_z / betas, u, betas * u + log_z, c]
    model = Ising(lattices.square(size, size))

    def run(s, scale):
        found = thermodynamics(
            model, temperatures=temperatures, sampler=SwendsenWang(), n_draws=300 * scale, rng=s
        )
        return [getattr(found, q).z(e) for q, e in zip(QUANTITIES, truth, strict=False)]

    assert_unbiased(run, seed)


# --- energies of many betas -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        machine(visible="bits", hidden="spins"), machine(visible="spins", hidden="bits"),
        machine(visible="spins", hidden="normal"),
        PottsRBM(np.ones((3, 4)), [0.3, -0.5], np.random.default_rng(1).normal(size=(3, 4, 2))),
        GaussianRBM([0.1, 0.4], [0.2], [[0.5], [1.5]]),
    ],
    ids=repr,
)  # fmt: skip
def test_one_product_serves_all_betas(model):
    x = model.space.random(7, np.arange(40, dtype=np.uint32))
    law = tempered(model, x, linear=False)
    betas = np.array([0.4, 1.0, 1.7])
    expected = np.stack([model.reduced_energy(x, b) for b in betas])
    assert law.reduced_energies(betas) == pytest.approx(expected, rel=1e-12)
    step = 1e-5
    for k, beta in enumerate(betas):
        u, slope, spread = law.at(beta)
        assert u == pytest.approx(expected[k], rel=1e-12)
        assert slope == pytest.approx(model.slope(x, beta), rel=1e-12)
        up, down = model.slope(x, beta + step), model.slope(x, beta - step)
        assert spread == pytest.approx((down - up) / (2 * step), rel=1e-6, abs=1e-8)


def test_other_models_with_a_slope():
    """A model that only tells its slope: the second derivative is a difference."""
    path = Tempering(machine(BernoulliRBM), 1.0, BlockGibbs())
    rbm = path.model

    class Bare:
        space, lattice = rbm.space, None
        energy, reduced_energy, slope = rbm.energy, rbm.reduced_energy, rbm.slope

    x = rbm.space.from_index(np.arange(64))
    found, expected = (tempered(m, x, linear=False).at(0.8) for m in (Bare(), rbm))
    for a, b in zip(found, expected, strict=True):
        assert a == pytest.approx(b, rel=1e-6)
    Bare.slope = None
    del Bare.slope
    with pytest.raises(MissingCapability, match="slope"):
        tempered(Bare(), x, linear=False)


# --- what comes out -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result():
    return thermodynamics(
        machine(BernoulliRBM), temperatures=TEMPERATURES, ladder=LADDER, n_draws=80, rng=3
    )


def test_result(result):
    assert result.ok
    assert result.betas == pytest.approx(1 / TEMPERATURES)
    assert result.diagnostics["overlap"] > 0.3
    assert result.diagnostics["swap_acceptance"].shape == (4,)
    assert result.free_energy.value == pytest.approx(-TEMPERATURES * result.log_z.value)
    ts = result.internal_energy.value - TEMPERATURES * result.entropy.value
    assert ts == pytest.approx(result.free_energy.value)
    one = result.estimate("heat_capacity", 1.0)
    assert one.value == result.heat_capacity.value[1]
    with pytest.raises(InvalidInput, match="not asked for"):
        result.estimate("entropy", 7.0)
    with pytest.raises(InvalidInput, match="unknown"):
        result.estimate("enthalpy", 1.0)
    text = str(result)
    assert len(text.splitlines()) == 5
    assert "[ok; 5 rungs x 16 ladders x 80 draws" in text


def test_few_ladders_are_no_error_to_trust():
    few = thermodynamics(
        machine(BernoulliRBM), temperatures=[1.0], ladder=LADDER, n_draws=150, rng=1, n_chains=4
    )
    assert (few.status, few.ok) == ("few chains", False)


def test_same_seed_same_numbers(result):
    again = thermodynamics(
        machine(BernoulliRBM), temperatures=TEMPERATURES, ladder=LADDER, n_draws=80, rng=3
    )
    assert np.array_equal(again.entropy.value, result.entropy.value)


def test_figure(result, tmp_path):
    truth = exact(*joint(machine(BernoulliRBM)), TEMPERATURES)
    figure = result.plot(dict(zip(QUANTITIES, truth, strict=True)), per_site=True)
    figure.savefig(tmp_path / "f.png")
    assert [a.get_title() for a in figure.axes][3] == "heat capacity $C$ per site"
    with pytest.raises(InvalidInput, match="exact= has enthalpy"):
        result.plot({"enthalpy": truth[0]})


def test_reference_with_an_error_widens_the_free_energy_alone(result):
    log_z = float(result.diagnostics["reference"][1])
    wide = thermodynamics(
        machine(BernoulliRBM), temperatures=TEMPERATURES, ladder=LADDER, n_draws=80, rng=3,
        reference=(0.0, LogZ(log_z + 1.0, 0.5)),
    )  # fmt: skip
    assert wide.log_z.value == pytest.approx(result.log_z.value + 1.0)
    assert wide.log_z.stderr == pytest.approx(np.hypot(result.log_z.stderr, 0.5))
    assert wide.entropy.stderr == pytest.approx(np.hypot(result.entropy.stderr, 0.5))
    assert np.array_equal(wide.heat_capacity.stderr, result.heat_capacity.stderr)


def test_levels_have_no_order_but_take_an_observable():
    model = PottsRBM(np.full((3, 3), 0.1), [0.3], np.random.default_rng(1).normal(size=(3, 3, 1)))
    settings = {"temperatures": [1.0], "ladder": [0.0, 0.5, 1.0], "n_draws": 40, "rng": 1}
    assert np.isnan(thermodynamics(model, **settings).susceptibility.value).all()
    assert "-" in str(thermodynamics(model, **settings)).splitlines()[1]
    first = thermodynamics(model, observable=lambda x: x[:, 0] == 2, **settings)
    exact_chi = enumeration.mean(model, 1.0, lambda x: (x[..., 0] == 2).astype(float))
    assert abs(first.susceptibility.z(exact_chi * (1 - exact_chi))[0]) < 6


def test_hopfield_counts_from_its_exact_sum():
    """Normal hidden units have no beta = 0; log Z there is infinite."""
    found = thermodynamics(
        machine(visible="spins", hidden="normal"), betas=[0.5, 1.0], n_draws=40, rng=1
    )
    at, log_z, error = found.diagnostics["reference"]
    assert (at, error) == (0.5, 0.0)
    assert found.log_z.value[0] == pytest.approx(log_z)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither was given"),
        ({"betas": [1.0], "temperatures": [1.0]}, "both was given"),
        ({"betas": [0.0, 1.0]}, "must be positive"),
        ({"temperatures": [1.0, math.nan]}, "must be positive"),
        ({"temperatures": "hot"}, "no list of numbers"),
        ({"betas": [1.0], "n_chains": 3}, "n_chains=3"),
        ({"betas": [1.0], "n_draws": 1}, "n_draws=1"),
        ({"betas": [1.0], "thin": 0}, "thin=0"),
        ({"betas": [1.0], "sampler": "gibbs"}, "is no sampler"),
        ({"betas": [1.0], "sampler": ULA(step_size=0.1)}, "does not leave its law invariant"),
        ({"betas": [1.0], "ladder": [0.0, 0.5]}, "extend it"),
        ({"betas": [1.0], "ladder": [1.0, 0.0]}, "ascend"),
        ({"betas": [1.0], "reference": 3.0}, "must be a pair"),
        ({"betas": [1.0], "reference": (0.0, math.nan)}, "finite"),
        ({"betas": [1.0], "observable": lambda x: x}, "one finite number each"),
        ({"betas": [1.0], "observable": "m"}, "observable='m' is no function"),
    ],
)
def test_bad_arguments(arguments, message):
    small = {"n_draws": 4, "rng": 1} | arguments
    with pytest.raises((InvalidInput, MissingCapability), match=message):
        thermodynamics(machine(BernoulliRBM), **small)


def test_no_reference_no_ladder_no_model():
    big = GaussianRBM(np.zeros(3), np.zeros(21), np.zeros((3, 21)))
    with pytest.raises(InvalidInput, match="reference=\\(beta, log Z\\)"):
        thermodynamics(big, betas=[1.0], rng=1)
    with pytest.raises(InvalidInput, match="infinite"):
        thermodynamics(Gaussian(dim=2), betas=[1.0], reference=(0.0, 1.0), rng=1)
    with pytest.raises(InvalidInput, match="nothing to exchange"):
        thermodynamics(Gaussian(dim=2), betas=[1.0], reference=(1.0, 0.0), rng=1)
    with pytest.raises(InvalidInput, match="is no model"):
        thermodynamics(Reals(2), betas=[1.0], rng=1)
    assert ReplicaExchange(BlockGibbs()).sampler == BlockGibbs()
