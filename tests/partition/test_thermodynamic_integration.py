"""Thermodynamic integration: exact log Z, the order of the rule, its own estimate of its error."""

import functools
import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import kaufman
from statmech_ml.models import BernoulliRBM, Gaussian, Ising
from statmech_ml.partition import Geometric, Tempering, Weights, exact_sum
from statmech_ml.partition import thermodynamic_integration as ti
from statmech_ml.partition.thermodynamic_integration import _discretisation, _hermite
from statmech_ml.samplers import BlockGibbs

TORUS = Tempering(Ising(lattices.square(4, 4)), beta=0.44)


@functools.cache
def machine():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=6), rng.normal(size=5), 0.8 * rng.normal(size=(6, 5)))


PATHS = {
    "torus": (TORUS, lambda: kaufman.log_z(4, 4, 0.44)),
    "RBM": (Weights(machine()), lambda: exact_sum(machine()).value),
    "RBM, tempered": (
        Tempering(machine(), beta=1.0, sampler=BlockGibbs()),
        lambda: exact_sum(machine()).value,
    ),
    "Gaussian": (
        Geometric(Gaussian(dim=2), Gaussian(mean=0.5, stddev=0.7, dim=2)),
        lambda: math.log(2 * math.pi * 0.49),
    ),
}


def runs(path, exact, value=lambda r: r.value, error=lambda r: r.stderr, **settings):
    def run(seed, scale):
        seeds = np.random.SeedSequence(seed).generate_state(24 * scale)
        given = {"n_levels": 6, "n_chains": 16, "n_draws": 40, "burn_in": 20} | settings
        found = [ti(path, rng=int(s), **given) for s in seeds]
        z = np.array([(value(r) - exact()) / error(r) for r in found])
        n = len(z)
        # Discretisation widens the error by little, and only widens it.
        return np.array([z.mean() * math.sqrt(n), max(0.0, z.std(ddof=1) - 1) * math.sqrt(2 * n)])

    return run


@pytest.mark.parametrize("name", [name for name in PATHS if name != "RBM, tempered"])
def test_runner(name, seed, assert_unbiased):
    assert_unbiased(runs(*PATHS[name]), seed)


def test_exchange(seed, assert_unbiased):
    assert_unbiased(runs(*PATHS["torus"], exchange=True), seed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": lambda r: 2 * TORUS.log_z_reference - r.value},  # sign of the integral
        {"error": lambda r: 0.4 * r.stderr},
        {  # no correction for the slopes at the ends: the trapezium rule
            "value": lambda r: (
                TORUS.log_z_reference
                - np.trapezoid(r.diagnostics["slopes"], r.diagnostics["ladder"])
            ),
            # What the discretisation adds to the error would hide it on so coarse a ladder.
            "error": lambda r: r.diagnostics["sampling_error"],
            "n_levels": 2,
            "n_draws": 100,
        },
    ],
)
def test_mutants(wrong, seed, assert_rejected):
    assert_rejected(runs(*PATHS["torus"], **wrong), seed)


@pytest.mark.parametrize("name", PATHS)
def test_curvature(name, seed, assert_unbiased):
    """dg/dlambda is the derivative of the mean slope that is measured nearby."""
    path, _ = PATHS[name]

    def run(seed, scale):
        r = ti(path, ladder=[0.0, 0.45, 0.5, 0.55, 1.0], rng=seed, n_chains=64, n_draws=100 * scale)
        about = r.diagnostics
        low, high = about["slopes"][1], about["slopes"][3]
        error = math.hypot(about["slope_stderr"][1], about["slope_stderr"][3])
        # The third derivative and the error of the curvature count little beside the difference's.
        return np.array([(high - low - 0.1 * about["curvature"][2]) / error])

    assert_unbiased(run, seed)


def test_rule_is_of_fourth_order():
    """Halving the intervals divides the error by 16, and the estimate of it is near."""
    errors, estimates = [], []
    for n in (4, 8, 16):
        lams = np.linspace(0.0, 1.0, n + 1) ** 1.5
        g, bend = np.exp(2 * lams), 2 * np.exp(2 * lams)
        value, weights = _hermite(lams, g, bend)
        assert weights[0] @ g + weights[1] @ bend == pytest.approx(value.sum())
        errors.append(abs(value.sum() - (math.exp(2) - 1) / 2))
        estimates.append(_discretisation(lams, g, bend, value)[0])
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.1)
    np.testing.assert_allclose(estimates, errors, rtol=0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_cubics_are_exact(n):
    lams = np.linspace(0.0, 1.0, n + 1)
    value, _ = _hermite(lams, 4 * lams**3, 12 * lams**2)
    assert value.sum() == pytest.approx(1.0)
    if n > 1:
        assert max(_discretisation(lams, 4 * lams**3, 12 * lams**2, value)) < 1e-12


def test_coarse_ladder_is_said():
    """One interval across the transition, with few errors of sampling."""
    path = Tempering(Ising(lattices.square(8, 8)), beta=0.6)
    r = ti(path, 2, rng=1, n_draws=400)
    assert r.status == "coarse ladder"
    about = r.diagnostics
    assert r.stderr == pytest.approx(
        math.hypot(about["sampling_error"], about["discretisation_error"])
    )
    assert abs(r.z(kaufman.log_z(8, 8, 0.6))) < 4


def test_wide_reference_is_said():
    """A reference that reaches far into a steep wall: the slope there is huge."""
    r = ti(Geometric(Gaussian(stddev=3.0, dim=2), Gaussian(stddev=0.05, dim=2)), 8, rng=1)
    assert not r.ok
    assert r.stderr > 1


def test_infinite_slope():
    class Walled(Tempering):
        def slope(self, x, lam):
            return np.where(x[:, 0] > 0, np.inf, super().slope(x, lam))

    with pytest.raises(InvalidInput, match="forbids what the other allows"):
        ti(Walled(Ising(lattices.square(4)), beta=0.4), 2, rng=1, n_draws=5)


def test_constant_energies():
    r = ti(Tempering(Ising(lattices.square(4)), beta=0.0), 2, rng=1)
    assert (r.status, r.stderr > 0) == ("constant weights", True)
    assert r.value == pytest.approx(16 * math.log(2))


def test_reports():
    r = ti(TORUS, 4, 8, rng=1, n_draws=40, burn_in=10)
    about = r.diagnostics
    assert about["cost"]["sweeps"] == 8 * (4 * 10 + 2 * 4 * 40)
    assert about["slopes"].shape == about["curvature"].shape == about["tau"].shape == (5,)
    assert about["discretisation_error"] < about["sampling_error"]
    assert r.stderr > about["sampling_error"]


@pytest.mark.parametrize(
    ("change", "match"),
    [({"path": None}, "needs a path"), ({"n_chains": 0}, "n_chains"),
     ({"ladder": [0.0, math.nan, 1.0]}, "finite"), ({"burn_in": -1}, "burn_in")],
)  # fmt: skip
def test_bad_runs(change, match):
    given = {"path": TORUS, "rng": 1} | change
    with pytest.raises(InvalidInput, match=match):
        ti(given.pop("path"), **given)
