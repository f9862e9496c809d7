"""BAR: Gaussian work in closed form, pair errors that depend on one another, refusals."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.integrate import quad

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import kaufman
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising
from statmech_ml.partition import (
    Geometric,
    Tempering,
    Weights,
    bar,
    bar_from_work,
    exact_sum,
)
from statmech_ml.samplers.base import Sampler, advanced

# Gaussian work of variance s^2 and mean D + s^2 / 2 forward, -D + s^2 / 2 in reverse, obeys
# Crooks's relation with log Z_1 - log Z_0 = -D.
SHIFT, WIDTH = 1.3, 1.5


def gaussian_work(rng, n_f, n_r, width=WIDTH):
    half = 0.5 * width**2
    return rng.normal(SHIFT + half, width, n_f), rng.normal(-SHIFT + half, width, n_r)


def closed_form_stderr(n_f, n_r, width=WIDTH):
    """Bennett's error: 1 / sum p_0 p_1 - 1 / n_f - 1 / n_r, the sum as an integral."""

    def both(w):  # n_f rho_0 n_r rho_1 / (n_f rho_0 + n_r rho_1), rho_1 = rho_0 exp(-(w - D))
        rho = math.exp(-((w - 0.5 * width**2) ** 2) / (2 * width**2))
        rho /= width * math.sqrt(2 * math.pi)
        return n_f * n_r * math.exp(-w) * rho / (n_f + n_r * math.exp(-w))

    total = quad(both, -12 * width, 12 * width, epsabs=1e-12)[0]
    return math.sqrt(1 / total - 1 / n_f - 1 / n_r)


def z_of(values, errors, exact):
    """z of the mean of independent runs, and how far the spread of their z is from one."""
    z = (np.asarray(values) - exact) / np.asarray(errors)
    n = len(z)
    return np.array([z.mean() * math.sqrt(n), (z.std(ddof=1) - 1.0) * math.sqrt(2.0 * n)])


def gaussian(sign=1.0, shrink=1.0, n=(300, 700)):
    def run(seed, scale):
        rng = np.random.default_rng(seed)
        found = [bar_from_work(*gaussian_work(rng, *n)) for _ in range(150 * scale)]
        errors = np.array([r.stderr for r in found]) * shrink
        law = closed_form_stderr(*n)
        spread = errors.std(ddof=1) / math.sqrt(len(found))
        return np.append(
            z_of([sign * r.value for r in found], errors, -SHIFT), (errors.mean() - law) / spread
        )

    return run


def test_gaussian_work(seed, assert_unbiased):
    """Mean, spread, and the error itself, against the closed form."""
    assert_unbiased(gaussian(), seed)


@pytest.mark.parametrize("wrong", [{"sign": -1.0}, {"shrink": 0.7}])
def test_gaussian_work_mutants(wrong, seed, assert_rejected):
    assert_rejected(gaussian(**wrong), seed)


def test_solves_bennetts_equation():
    w_f, w_r = gaussian_work(np.random.default_rng(1), 40, 90)
    r = bar_from_work(w_f, w_r, log_z_reference=5.0)
    d, m = 5.0 - r.value, math.log(40 / 90)
    left = (1 / (1 + np.exp(m + w_f - d))).sum()
    assert left == pytest.approx((1 / (1 + np.exp(-m + w_r + d))).sum(), rel=1e-12)
    assert r.lower == pytest.approx(5.0 - w_f.mean())
    assert r.upper == pytest.approx(5.0 + w_r.mean())


def test_works_far_from_zero():
    """1e4 kT, where exponentials overflow, is a shift and nothing else."""
    w_f, w_r = gaussian_work(np.random.default_rng(1), 100, 100)
    near, far = bar_from_work(w_f, w_r), bar_from_work(w_f + 1e4, w_r - 1e4)
    assert far.value == pytest.approx(near.value - 1e4, abs=1e-8)
    assert far.stderr == pytest.approx(near.stderr, rel=1e-6)


def test_forbidden_states():
    """Infinite work weighs nothing: an ideal gas whose volume is halved."""
    rng = np.random.default_rng(1)
    w_f = np.where(rng.random(2000) < 0.5, 0.0, np.inf)
    r = bar_from_work(w_f, np.zeros(2000))
    assert r.z(math.log(0.5)) ** 2 < 25
    assert r.ok


def clustered(use_clusters):
    """Works in 24 clusters of 25 that share half of their variance, in both directions."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        labels, found = np.repeat(np.arange(24), 25), []
        for _ in range(100 * scale):
            shared = np.repeat(rng.normal(size=24), 25)
            noise = (shared + rng.normal(size=(2, 600))) / math.sqrt(2)
            half = 0.5 * WIDTH**2
            w_f, w_r = SHIFT + half + WIDTH * noise[0], -SHIFT + half - WIDTH * noise[1]
            c = {"clusters_f": labels, "clusters_r": labels} if use_clusters else {}
            found.append(bar_from_work(w_f, w_r, **c))
        return z_of([r.value for r in found], [r.stderr for r in found], -SHIFT)

    return run


def test_clusters(seed, assert_unbiased, assert_rejected):
    assert_unbiased(clustered(True), seed)
    assert_rejected(clustered(False), seed)


def test_poor_overlap_is_said():
    """Works far apart on both sides: a status, an error that is huge, and never 0 +- 0."""
    rng = np.random.default_rng(1)
    r = bar_from_work(rng.normal(50.0, 1.0, 500), rng.normal(50.0, 1.0, 500))
    assert r.status == "low overlap"
    assert r.stderr > 10
    r = bar_from_work(rng.normal(1e4, 1.0, 500), rng.normal(1e4, 1.0, 500))
    assert r.status == "low overlap"
    assert r.stderr == math.inf
    labels = np.arange(500) % 50
    r = bar_from_work(
        rng.normal(1e4, 1.0, 500), rng.normal(1e4, 1.0, 500), clusters_f=labels, clusters_r=labels
    )
    assert r.status != "ok"
    assert not r.stderr < 10


def test_equal_works_are_said():
    r = bar_from_work(np.full(100, 2.0), np.full(100, -2.0))
    assert (r.value, r.status) == (-2.0, "constant weights")
    assert r.stderr == 0.01


@pytest.mark.parametrize(
    ("w_f", "w_r", "more", "match"),
    [
        ([1.0, math.nan], [0.0, 1.0], {}, "NaN or -inf"),
        ([1.0, 2.0], [0.0, -math.inf], {}, "NaN or -inf"),
        ([1.0], [0.0, 1.0], {}, "at least 2"),
        ([], [0.0, 1.0], {}, "at least 2"),
        ([[1.0, 2.0]], [0.0, 1.0], {}, "at least 2"),
        ("work", [0.0, 1.0], {}, "real numbers"),
        ([1.0, 2.0], [0.0, 1.0], {"clusters_f": [0, 1]}, "of both"),
        ([1.0, 2.0], [0.0, 1.0], {"clusters_f": [0, 1], "clusters_r": [0]}, "one label"),
        ([1.0, 2.0], [0.0, 1.0], {"clusters_f": [0, 1], "clusters_r": [0, 1]}, "clusters"),
    ],
)
def test_bad_works(w_f, w_r, more, match):
    with pytest.raises(InvalidInput, match=match):
        bar_from_work(w_f, w_r, **more)


def test_infinite_works():
    with pytest.raises(StatmechError, match="levels in between"):
        bar_from_work([math.inf, math.inf], [0.0, 1.0])


# --- along a path ---------------------------------------------------------------------------------

TORUS = Tempering(Ising(lattices.square(4, 4)), beta=0.44)
WELL = Geometric(Gaussian(stddev=1.0, dim=2), Gaussian(mean=1.0, stddev=0.5, dim=2))


@functools.cache
def machine():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=6), rng.normal(size=5), 0.8 * rng.normal(size=(6, 5)))


PATHS = {
    "torus": (TORUS, lambda: kaufman.log_z(4, 4, 0.44)),
    "RBM": (Weights(machine()), lambda: exact_sum(machine()).value),
    "Gaussian": (WELL, lambda: math.log(2 * math.pi * 0.25)),
}


def runs(path, exact, error=lambda r: r.stderr, **settings):
    def run(seed, scale):
        seeds = np.random.SeedSequence(seed).generate_state(24 * scale)
        given = {"n_levels": 5, "n_chains": 16, "n_draws": 40, "burn_in": 20} | settings
        found = [bar(path, rng=int(s), **given) for s in seeds]
        return z_of([r.value for r in found], [error(r) for r in found], exact())

    return run


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("name", PATHS)
def test_runner(name, exchange, seed, assert_unbiased):
    assert_unbiased(runs(*PATHS[name], exchange=exchange), seed)


@dataclass(frozen=True)
class Draws(Sampler):
    """Draws of the wells between N(0, 1) and N(1, 1/2), with one random number for all levels."""

    stream: ClassVar[str] = "test"

    def check(self, model):
        pass

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        rng = np.random.default_rng([state.seed, state.sweep])
        precision = 1 + beta
        noise = np.repeat(rng.normal(size=16), len(beta) // 16)
        x = 2 * beta / precision + noise / np.sqrt(precision)
        return advanced(state, x[:, None], n_sweeps), {}


def test_pairs_are_not_independent(seed, assert_unbiased, assert_rejected):
    """Pair errors summed as if independent understate the total: chains are shared."""
    path = Geometric(Gaussian(), Gaussian(mean=1.0, stddev=math.sqrt(0.5)), sampler=Draws())

    def check(error=lambda r: r.stderr):
        settings = {"n_levels": 8, "n_draws": 10, "burn_in": 1}
        return runs(path, lambda: math.log(math.pi) / 2, error, **settings)

    assert_unbiased(check(), seed)
    assert_rejected(check(lambda r: np.linalg.norm(r.diagnostics["difference_stderr"])), seed)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"clusters_f": "abc", "clusters_r": "abc"}, "clusters_f has shape"),
     ({"w_f": ["1", "2", "3", "4"]}, "real numbers"), ({"w_f": [1j, 2.0]}, "real numbers"),
     ({"w_f": [1e308, -1e308, 0.0]}, "cannot add up")],
)  # fmt: skip
def test_works_that_are_no_works(change, match):
    given = {"w_f": [1.0, 2.0, 3.0, 1.0], "w_r": [1.0, 2.0, 3.0, 1.0]} | change
    with pytest.raises(InvalidInput, match=match):
        bar_from_work(**given)


def test_works_that_hardly_differ():
    """The error is never less than that of one work in n."""
    w = 2.0 + 1e-9 * np.random.default_rng(1).normal(size=400)
    r = bar_from_work(w, -w)
    assert r.stderr == 1 / 400


def test_runner_reports():
    r = bar(TORUS, 4, 8, rng=1, n_draws=40, burn_in=10, thin=2)
    about = r.diagnostics
    assert about["cost"]["sweeps"] == 8 * (4 * 10 + 2 * 4 * 40 * 2)
    assert about["cost"]["energy_evaluations"] == 3 * 8 * 5 * 40
    assert about["differences"].shape == about["overlaps"].shape == (4,)
    assert TORUS.log_z_reference + about["differences"].sum() == pytest.approx(r.value)
    assert r.lower < r.value < r.upper
    assert str(r).startswith("log_z = 15.")


def test_runner_without_overlap():
    cold = bar(Tempering(Ising(lattices.square(6, 6)), beta=1.0), 1, rng=1)
    assert cold.status == "low overlap"
    assert cold.stderr > 0


def test_runner_with_constant_energies():
    r = bar(Tempering(Ising(lattices.square(4)), beta=0.0), 2, rng=1)
    assert (r.status, r.stderr > 0) == ("constant weights", True)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"path": DoubleWell()}, "needs a path"), ({"n_chains": 0}, "n_chains"),
     ({"n_chains": [8]}, "n_chains"), ({"ladder": [1.0, 0.0]}, "must start at 0"),
     ({"n_draws": math.inf}, "n_draws")],
)  # fmt: skip
def test_bad_runs(change, match):
    given = {"path": TORUS, "rng": 1} | change
    with pytest.raises(InvalidInput, match=match):
        bar(given.pop("path"), **given)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_pymbar_agrees():
    pymbar = pytest.importorskip("pymbar")
    w_f, w_r = gaussian_work(np.random.default_rng(1), 300, 700)
    found = pymbar.bar(w_f, w_r, uncertainty_method="MBAR", relative_tolerance=1e-14)
    r = bar_from_work(w_f, w_r)
    assert r.value == pytest.approx(-found["Delta_f"], abs=1e-10)
    assert r.stderr == pytest.approx(found["dDelta_f"], abs=1e-8)
