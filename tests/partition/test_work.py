"""Work of switching: Jarzynski's equality and Crooks's relation where both are known in full.

A trap of stiffness k dragged over d in K steps, the particle relaxing after each by a factor r
towards the centre: all is normal, so the work is, with a mean that the lag y of the particle
behind the trap gives (y' = r (y - d/K) after each step) and a variance of twice that mean.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from statmech_ml import _rng, lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import kaufman
from statmech_ml.models import BernoulliRBM, DraggedTrap, Ising
from statmech_ml.partition import (
    Switching,
    Tempering,
    Weights,
    ais,
    crooks,
    exact_sum,
    jarzynski,
    jarzynski_from_work,
)
from statmech_ml.samplers import MALA, ULA, BlockGibbs, HeatBath, Metropolis, Wolff
from statmech_ml.samplers.base import Sampler, advanced

STIFFNESS, DISTANCE = 2.0, 1.5
TRAP = DraggedTrap(STIFFNESS, DISTANCE)
LOG_Z = TRAP.log_z(1.0)


@dataclass(frozen=True)
class Relaxing(Sampler):
    """Overdamped motion in the trap, exact: x' = c + r (x - c) + sqrt((1 - r^2) / k) normal."""

    memory: float = 0.6
    reversible: ClassVar[bool] = True
    stream: ClassVar[str] = "relaxing"

    def check(self, model):
        pass

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        centre = DISTANCE * beta[:, None]
        noise = math.sqrt((1 - self.memory**2) / STIFFNESS)
        normal = _rng.normals(state.seed, state.chains, state.sweep, _rng.LANGEVIN, 0, 1)
        x = centre + self.memory * (state.x - centre) + noise * normal
        return advanced(state, x, n_sweeps), {}


def mean_work(n_steps, memory):
    step, lag, mean = DISTANCE / n_steps, 0.0, 0.0
    for _ in range(n_steps):
        mean += 0.5 * STIFFNESS * (step**2 - 2 * step * lag)
        lag = memory * (lag - step)
    return mean


@pytest.mark.parametrize(("n_steps", "memory"), [(1, 0.6), (8, 0.0), (8, 0.6), (20, 0.95)])
def test_dragged_trap(n_steps, memory, seed, assert_unbiased):
    """An instantaneous switch, perfect relaxation, and two drives in between."""
    expected = mean_work(n_steps, memory)
    if memory == 0.0 or n_steps == 1:
        assert expected == pytest.approx(0.5 * STIFFNESS * DISTANCE**2 / n_steps)
    path = Switching(TRAP, Relaxing(memory))

    def run(seed, scale):
        n = 3000 * scale
        work = jarzynski(path, n_steps, n, rng=seed).diagnostics["work"]
        return np.array(
            [
                (work.mean() - expected) / math.sqrt(2 * expected / n),
                (work.var(ddof=1) / (2 * expected) - 1) * math.sqrt((n - 1) / 2),
            ]
        )

    assert_unbiased(run, seed)


class TooHot(Relaxing):
    """Mutant: a bath of another temperature."""

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        moved, info = super().advance(model, state, beta, n_sweeps)
        centre = DISTANCE * beta[:, None]
        return moved._replace(x=centre + 1.1 * (moved.x - centre)), info


def calibration(estimate, path, exact, n_seeds=25, **options):
    def run(seed, scale):
        rng = np.random.default_rng(seed)
        results = [estimate(path, rng=rng, **options) for _ in range(n_seeds * scale)]
        z = np.array([r.z(exact) for r in results])
        n = len(z)
        return np.array([z.mean() * math.sqrt(n), (z.var(ddof=1) - 1) * math.sqrt((n - 1) / 2)])

    return run


@pytest.mark.parametrize("sampler", [Relaxing(), MALA(0.1), ULA(0.1)])
def test_jarzynski_is_calibrated(sampler, seed, assert_unbiased):
    path = Switching(TRAP, sampler)
    assert_unbiased(calibration(jarzynski, path, LOG_Z, n_levels=15, n_chains=800), seed)


def test_a_hot_bath_is_rejected(seed, assert_rejected):
    path = Switching(TRAP, TooHot())
    assert_rejected(calibration(jarzynski, path, LOG_Z, n_levels=15, n_chains=800), seed)


def test_dissipated_work(seed, assert_unbiased):
    """<W> - dF with the error of both together: z against the exact mean, dF being 0."""
    expected = mean_work(8, 0.6)
    path = Switching(TRAP, Relaxing(0.6))

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        z = []
        for _ in range(40 * scale):
            d = jarzynski(path, 8, 800, rng=rng).diagnostics
            z.append((d["dissipated_work"] - expected) / d["dissipated_work_stderr"])
        n = len(z)
        spread = (np.var(z, ddof=1) - 1) * math.sqrt((n - 1) / 2)
        return np.array([np.mean(z) * math.sqrt(n), spread])

    assert_unbiased(run, seed)


def test_work_is_minus_the_log_weight():
    path = Tempering(Ising(lattices.square(4, 4)), 0.4)
    annealed, switched = ais(path, 20, 100, rng=3), jarzynski(path, 20, 100, rng=3)
    assert (annealed.value, annealed.stderr) == (switched.value, switched.stderr)
    work = switched.diagnostics["work"]
    np.testing.assert_array_equal(work, -annealed.diagnostics["log_weights"])
    again = jarzynski_from_work(work, path.log_z_reference)
    assert (again.value, again.stderr) == (switched.value, switched.stderr)
    for name in ("mean_work", "dissipated_work", "dissipated_work_stderr"):
        assert again.diagnostics[name] == switched.diagnostics[name]
    assert "log_weights" not in switched.diagnostics
    assert "jarzynski" in str(switched)


def test_infinite_work_is_no_weight():
    result = jarzynski_from_work([0.0] * 60 + [math.inf] * 60 + [0.1] * 60)
    assert result.value == pytest.approx(math.log((60 + 60 * math.exp(-0.1)) / 180))
    assert result.lower == -math.inf
    assert result.diagnostics["dissipated_work"] == math.inf


# --- both ways ------------------------------------------------------------------------------------


def starts(rng, n):
    """Draws of the dragged trap's end."""
    return DISTANCE + rng.normal(scale=STIFFNESS**-0.5, size=(n, 1))


def both_ways(path, exact, start=None, n_seeds=25, n_chains=400, n_levels=5):
    """z-scores of the estimate, of their spread, and of the slope."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        z, slope = [], []
        for _ in range(n_seeds * scale):
            x = None if start is None else start(rng, n_chains)
            result = crooks(path, n_levels, n_chains, rng=rng, start=x)
            d = result.diagnostics
            z.append(result.z(exact))
            slope.append((d["crooks_slope"] - 1) / d["crooks_slope_stderr"])
        n = len(z)
        return np.array(
            [
                np.mean(z) * math.sqrt(n),
                (np.var(z, ddof=1) - 1) * math.sqrt((n - 1) / 2),
                np.mean(slope) * math.sqrt(n),
                (np.var(slope, ddof=1) - 1) * math.sqrt((n - 1) / 2),
            ]
        )

    return run


@pytest.mark.parametrize("sampler", [Relaxing(), MALA(0.1), ULA(0.1)])
def test_crooks_of_a_dragged_trap(sampler, seed, assert_unbiased):
    assert_unbiased(both_ways(Switching(TRAP, sampler), LOG_Z, starts), seed)


def rbm():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=8), rng.normal(size=5), 0.6 * rng.normal(size=(8, 5)))


@pytest.mark.parametrize(
    ("path", "exact"),
    [
        (Weights(rbm(), beta=2.0), exact_sum(rbm(), 2.0).value),
        (Tempering(Ising(lattices.square(4, 4)), 0.3, Metropolis()), kaufman.log_z(4, 4, 0.3)),
        (Tempering(Ising(lattices.square(4, 4)), 0.3, Wolff()), kaufman.log_z(4, 4, 0.3)),
    ],
    ids=["RBM", "random sites", "clusters"],
)
def test_crooks_of_discrete_states(path, exact, seed, assert_unbiased):
    """By samplers that are not exact relaxations, with works that take few values."""
    assert_unbiased(both_ways(path, exact, n_seeds=16), seed)


class Ahead(Relaxing):
    """Mutant: the particle relaxes to where the trap will be."""

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        return super().advance(model, state, beta + 0.3, n_sweeps)


def test_crooks_mutants_are_rejected(seed, assert_rejected):
    """Moves of another law, and a reverse drive from the wrong end."""
    assert_rejected(both_ways(Switching(TRAP, Ahead()), LOG_Z, starts, n_seeds=20), seed)

    def reference(rng, n):
        return rng.normal(scale=STIFFNESS**-0.5, size=(n, 1))

    assert_rejected(both_ways(Switching(TRAP, Relaxing()), LOG_Z, reference, n_seeds=20), seed)


def test_crooks_says_when_the_slope_is_not_one():
    """From the wrong end the two directions contradict each other."""
    x = np.random.default_rng(1).normal(scale=2.0, size=(2000, 1))
    result = crooks(Switching(TRAP, Relaxing()), 5, 2000, rng=1, start=x)
    assert result.status == "forward and reverse disagree"
    d = crooks(
        Switching(TRAP, Relaxing()), 5, 2000, rng=1, start=starts(np.random.default_rng(1), 2000)
    ).diagnostics
    assert abs(d["crossing"]) < 0.2
    assert d["work"].shape == d["reverse_work"].shape == (2000,)


def test_bounds_and_no_overlap():
    """Dragged far at once: bounds far apart, no slope, and a status that says why."""
    far = Switching(DraggedTrap(2.0, 30.0), MALA(0.1))
    x = 30.0 + np.random.default_rng(1).normal(scale=2**-0.5, size=(200, 1))
    result = crooks(far, 1, 200, rng=1, start=x)
    assert result.lower < far.model.log_z(1.0) < result.upper
    assert not result.ok
    assert "crooks_slope" not in result.diagnostics


TORUS = Tempering(Ising(lattices.square(4, 4)), 0.4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jarzynski(TRAP, rng=1), InvalidInput, "needs a path"),
        (lambda: jarzynski(TORUS, 0, rng=1), InvalidInput, "n_levels"),
        (lambda: jarzynski(TORUS, 5, 1, rng=1), InvalidInput, "n_chains"),
        (lambda: jarzynski(TORUS, 5, rng=None), InvalidInput, "no default seed"),
        (lambda: jarzynski_from_work([1.0]), InvalidInput, "values of work have shape.*at least 2"),
        (lambda: jarzynski_from_work([1.0, math.nan]), InvalidInput, "values of work are NaN"),
        (lambda: jarzynski_from_work([1.0, 2.0], "a"), InvalidInput, "log_z_reference='a'"),
        (lambda: jarzynski_from_work([1.0, 2.0], math.nan), InvalidInput, "log_z_reference=nan"),
        (lambda: jarzynski_from_work([1.0, -math.inf]), InvalidInput, "infinite weight"),
        (lambda: jarzynski_from_work("work"), InvalidInput, "no array of numbers"),
        (lambda: jarzynski_from_work([[1.0, 2.0]]), InvalidInput, "shape"),
        (lambda: jarzynski_from_work([math.inf, math.inf]), StatmechError, "weights are zero"),
        (lambda: crooks(TRAP, rng=1), InvalidInput, "needs a path"),
        (lambda: crooks(TORUS, rng=1), InvalidInput, "not their own reverse"),
        (lambda: crooks(Switching(TRAP), rng=1), InvalidInput, "Give start="),
        (lambda: crooks(Switching(TRAP), rng=1, start=np.zeros((3, 1))), InvalidInput, "256"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_which_sweeps_are_their_own_reverse():
    reversible = [MALA(), ULA(), BlockGibbs(), Metropolis(), Wolff()]
    assert all(sampler.reversible for sampler in reversible)
    assert not HeatBath().reversible
    assert not Metropolis("checkerboard").reversible
