"""AIS against exact log Z: unbiased, honest errors, bounds on the right side; mutants are seen.

Each check returns z-scores over many seeds: of mean(Z-hat / Z) against 1, of the mean of the
results' own z against 0, and of their spread against 1.
"""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pytest

from statmech_ml import _rng, lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import enumeration, kaufman, quadrature
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, GaussianRBM, HarmonicTrap, Ising
from statmech_ml.partition import (
    Geometric,
    Switching,
    Tempering,
    Weights,
    ais,
    ais_from_log_weights,
    exact_sum,
)
from statmech_ml.partition._adaptive import equal_steps
from statmech_ml.samplers import MALA, ULA, BlockGibbs, HeatBath, SwendsenWang
from statmech_ml.samplers.base import Sampler, advanced
from statmech_ml.spaces import Bits, Reals
from statmech_ml.systems import Model

TORUS = Ising(lattices.square(4, 4))
BETA = 0.44
TORUS_LOG_Z = kaufman.log_z(4, 4, BETA)


@functools.cache
def machine():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=8), rng.normal(size=6), 0.8 * rng.normal(size=(8, 6)))


@functools.cache
def normal_machine():
    rng = np.random.default_rng(2)
    weights = 0.5 * rng.normal(size=(8, 5))
    return GaussianRBM(rng.normal(size=8), rng.normal(size=5), weights, sigma=0.9)


def normal_draws(n, seed):
    """Draws of that machine: the hidden units by their weights, then the visible ones."""
    rng, rbm = np.random.default_rng(seed), normal_machine()
    h = enumeration.states(Bits(5)).astype(float)
    shift = h @ rbm.weights.T
    weight = h @ rbm.hidden_bias + (rbm.visible_bias * shift + shift**2 / 2).sum(axis=1) / 0.81
    weight = np.exp(weight - weight.max())
    mean = rbm.visible_bias + shift[rng.choice(32, size=n, p=weight / weight.sum())]
    return mean + 0.9 * rng.normal(size=mean.shape)


@functools.cache
def well():
    """A tilted double well in two dimensions at beta = 1.3, and its log Z by quadrature."""
    model = DoubleWell(barrier=2.0, tilt=0.5, dim=2, stiffness=1.5)
    path = Geometric(Gaussian(stddev=1.2, dim=2), model, beta=1.3)
    first = DoubleWell(barrier=2.0, tilt=0.5)
    line = quadrature.log_z(lambda x: 1.3 * first.energy(np.atleast_1d(x)[:, None]))
    return path, line.value + 0.5 * math.log(2 * math.pi / (1.3 * 1.5))


def well_draws(n, seed):
    """Draws of that target: first coordinate by inversion on a fine grid, second Gaussian."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-3, 3, 100_001)
    cumulative = np.cumsum(np.exp(-1.3 * DoubleWell(barrier=2.0, tilt=0.5).energy(grid[:, None])))
    first = np.interp(rng.random(n), cumulative / cumulative[-1], grid)
    return np.column_stack([first, rng.normal(scale=(1.3 * 1.5) ** -0.5, size=n)])


def scores(results, exact):
    """z of mean(Z-hat / Z), of the mean of z, and of the spread of z; in that order."""
    ratio = np.exp([r.value - exact for r in results])
    z = np.array([r.z(exact) for r in results])
    n = len(z)
    unbiased = (ratio.mean() - 1) / (ratio.std(ddof=1) / math.sqrt(n))
    return np.array(
        [unbiased, z.mean() * math.sqrt(n), (z.var(ddof=1) - 1) * math.sqrt((n - 1) / 2)]
    )


def calibration(path, exact, n_seeds=30, **options):
    """Forward runs over many seeds."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        return scores([ais(path, rng=rng, **options) for _ in range(n_seeds * scale)], exact)

    return run


CASES = {
    "Ising, heat bath": lambda: (Tempering(TORUS, BETA), TORUS_LOG_Z, 80),
    "Ising, clusters": lambda: (Tempering(TORUS, BETA, SwendsenWang()), TORUS_LOG_Z, 60),
    "odd antiferromagnet in a field": lambda: (
        Tempering(Ising(lattices.square(3, 5), coupling=-0.8, field=0.4), 0.7),
        enumeration.log_z(Ising(lattices.square(3, 5), coupling=-0.8, field=0.4), 0.7),
        40,
    ),
    "RBM, weights": lambda: (Weights(machine(), beta=1.2), exact_sum(machine(), 1.2).value, 25),
    "RBM, tempered": lambda: (
        Tempering(machine(), 1.2, BlockGibbs()),
        exact_sum(machine(), 1.2).value,
        25,
    ),
    "double well": lambda: (*well(), 60),
    "RBM of normal units": lambda: (
        Weights(normal_machine()),
        exact_sum(normal_machine()).value,
        25,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_calibration(case, seed, assert_unbiased):
    path, exact, n_levels = CASES[case]()
    # Enough levels for an ESS above 80%: the logarithm of a skewed mean has z below 0 on average,
    # by half the skewness over sqrt(n_chains), and that must stay below what the seeds resolve.
    assert_unbiased(calibration(path, exact, n_levels=n_levels, n_chains=300), seed)


class WrongSign(Tempering):
    """Mutant: log-weights of the wrong sign."""

    def weigh(self, x, lam, next_lam):
        return -super().weigh(x, lam, next_lam)


class BetaTwice(Tempering):
    """Mutant: beta multiplies the energy once more in the weights."""

    def weigh(self, x, lam, next_lam):
        return self.beta * super().weigh(x, lam, next_lam)


class ReversedLadder(Tempering):
    """Mutant: moves walk the ladder from the wrong end."""

    def advance(self, state, lam, n_sweeps, sampler=None):
        return super().advance(state, 1.0 - lam, n_sweeps, sampler)


class MovesAtTheTarget(Tempering):
    """Mutant: moves leave the target invariant, not their level's law."""

    def advance(self, state, lam, n_sweeps, sampler=None):
        return super().advance(state, 1.0, n_sweeps, sampler)


@pytest.mark.parametrize("mutant", [WrongSign, BetaTwice, ReversedLadder, MovesAtTheTarget])
def test_mutants_are_rejected(mutant, seed, assert_rejected):
    # On an even ladder with fast moves the order of the levels does not matter: the same ratios
    # Z(lambda + step) / Z(lambda) are multiplied. Uneven steps tell a ladder from its reverse.
    ladder = np.linspace(0, 1, 41) ** 2
    path = mutant(TORUS, BETA)
    assert_rejected(calibration(path, TORUS_LOG_Z, n_seeds=20, ladder=ladder, n_chains=200), seed)


def test_uneven_ladder(seed, assert_unbiased):
    """What the mutants above do wrong, done right."""
    ladder = np.linspace(0, 1, 81) ** 2
    path = Tempering(TORUS, BETA)
    assert_unbiased(calibration(path, TORUS_LOG_Z, ladder=ladder, n_chains=300), seed)


def test_lost_beta_of_a_latent_model_is_rejected(seed, assert_rejected):
    """Mutant: beta F_1(v) in place of F_beta(v)."""

    class Scaled(BernoulliRBM):
        def reduced_energy(self, v, beta):
            return np.asarray(beta) * super().reduced_energy(v, 1.0)

    rbm = Scaled(machine().visible_bias, machine().hidden_bias, machine().weights)
    path = Tempering(rbm, 1.2, BlockGibbs())
    exact = exact_sum(machine(), 1.2).value
    assert_rejected(calibration(path, exact, n_seeds=20, n_levels=15, n_chains=100), seed)


# --- reverse runs and bounds ----------------------------------------------------------------------


def reverse_scores(path, exact, start=None, **options):
    """As `calibration`, for reverse runs: exp(-log w) is what is unbiased there."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        results = [
            ais(path, rng=rng, direction="reverse", start=start, **options)
            for _ in range(40 * scale)
        ]
        ratio = np.exp([exact - r.value for r in results])
        n = len(results)
        unbiased = (ratio.mean() - 1) / (ratio.std(ddof=1) / math.sqrt(n))
        return np.append(scores(results, exact)[1:], unbiased)

    return run


@pytest.mark.parametrize("case", ["Ising, heat bath", "RBM, weights", "RBM, tempered"])
def test_reverse_calibration(case, seed, assert_unbiased):
    """From exact draws of the target, which enumeration supplies where none are given."""
    path, exact, n_levels = CASES[case]()
    assert_unbiased(reverse_scores(path, exact, n_levels=n_levels, n_chains=300), seed)


def test_reverse_from_the_wrong_states_is_rejected(seed, assert_rejected):
    """Mutant: the reverse run starts from the reference instead of the target."""
    start = TORUS.space.random(seed, np.arange(100, dtype=np.uint32))
    run = reverse_scores(
        Tempering(TORUS, BETA), TORUS_LOG_Z, start=start, n_levels=20, n_chains=100
    )
    assert_rejected(run, seed)


@pytest.mark.parametrize("case", CASES)
def test_sandwich(case, seed):
    """lower <= exact <= upper within 4 of their errors, and on a short ladder clearly so.

    Not clearly for the double well: its quartic walls give log-weights a tail so heavy that four
    levels leave the lower bound with an error of the size of the gap.
    """
    path, exact, _ = CASES[case]()
    start = None
    if isinstance(path.model.space, Reals):
        draws = well_draws if isinstance(path, Geometric) else normal_draws
        start = draws(400, seed)
    result = ais(path, n_levels=4, n_chains=400, rng=seed, direction="both", start=start)
    d = result.diagnostics
    assert result.lower - 4 * d["lower_stderr"] < exact < result.upper + 4 * d["upper_stderr"]
    assert result.lower < result.value < result.upper
    if not isinstance(path, Geometric):
        gap = result.upper - result.lower
        assert gap > 4 * math.hypot(d["lower_stderr"], d["upper_stderr"])
    assert (result.lower - result.value) < 0 < (result.upper - d["reverse_value"])


# --- closed form: a Gaussian that moves -----------------------------------------------------------


@dataclass(frozen=True)
class Perfect(Sampler):
    """Independent draws from N(lambda mu, 1): the fastest moves there are."""

    mu: float = 1.5
    stream: ClassVar[str] = "perfect"

    def check(self, model):
        pass

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        sweep = state.sweep + n_sweeps
        normal = Gaussian().draws(state.seed + sweep, state.chains)
        return advanced(state, beta[:, None] * self.mu + normal, n_sweeps), {}


@dataclass(frozen=True)
class Frozen(Perfect):
    """Mutant: no moves at all."""

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        return advanced(state, state.x.copy(), n_sweeps), {}


def gaussian_shift(sampler, direction="forward", levels=8):
    """log w ~ N(-mu^2 / 2K, mu^2 / K): z of its mean and variance. Reverse: mean +mu^2 / 2K."""
    mu = sampler.mu
    path = Geometric(Gaussian(0.0, 1.0), Gaussian(mu, 1.0), sampler=sampler)

    def run(seed, scale):
        n = 4000 * scale
        start = None
        if direction == "reverse":
            start = Gaussian(mu, 1.0).draws(_rng.seed_from(seed), np.arange(n, dtype=np.uint32))
        result = ais(path, levels, n, rng=seed, direction=direction, start=start)
        name = "log_weights" if direction == "forward" else "reverse_log_weights"
        log_w = result.diagnostics[name]
        mean, variance = mu**2 / (2 * levels), mu**2 / levels
        mean = -mean if direction == "forward" else mean
        return np.array(
            [
                (log_w.mean() - mean) / math.sqrt(variance / n),
                (log_w.var(ddof=1) - variance) / (variance * math.sqrt(2 / (n - 1))),
                result.z(0.5 * math.log(2 * math.pi)),
            ]
        )

    return run


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_gaussian_shift(direction, seed, assert_unbiased):
    assert_unbiased(gaussian_shift(Perfect(), direction), seed)


def test_sandwich_width_of_the_gaussian_shift(seed, assert_unbiased):
    """upper - lower = mu^2 / K, halved by twice the levels."""
    path = Geometric(Gaussian(0.0, 1.0), Gaussian(1.5, 1.0), sampler=Perfect())

    def run(seed, scale):
        n, z = 4000 * scale, []
        for levels in (4, 8):
            start = Gaussian(1.5, 1.0).draws(seed, np.arange(n, dtype=np.uint32))
            result = ais(path, levels, n, rng=seed, direction="both", start=start)
            d = result.diagnostics
            error = math.hypot(d["lower_stderr"], d["upper_stderr"])
            z.append((result.upper - result.lower - 1.5**2 / levels) / error)
        return np.array(z)

    assert_unbiased(run, seed)


def test_gaussian_shift_without_moves_is_rejected(seed, assert_rejected):
    assert_rejected(gaussian_shift(Frozen()), seed)


# --- moves that are not exact ---------------------------------------------------------------------

STIFFENED, N_STEPS, ETA = HarmonicTrap((1.0, 4.0)), 20, 0.2


class Uncorrected(ULA):
    """Mutant: the moves' own work is left out of the weights."""

    invariant = True


def biased_log_z():
    """log of the mean weight without the correction, in closed form.

    Backwards in time E[weights to come | x] = exp(c - a x^2 / 2): an increment adds the change of
    stiffness to a, and a move x' = r x + s w takes a to a r^2 / (1 + a s^2).
    """
    stiffness, change = np.linspace(1.0, 4.0, N_STEPS + 1), 3.0 / N_STEPS
    a, c = change, 0.0
    for k in stiffness[-2:0:-1]:
        c -= 0.5 * math.log1p(2.0 * ETA * a)
        a = a * (1.0 - ETA * k) ** 2 / (1.0 + 2.0 * ETA * a) + change
    return STIFFENED.log_z(0.0) + c - 0.5 * math.log1p(a)


def stiffen(sampler, exact):
    path = Switching(STIFFENED, sampler)
    return calibration(path, exact, n_levels=N_STEPS, n_chains=400)


def test_corrected_moves(seed, assert_unbiased):
    assert_unbiased(stiffen(ULA(ETA), STIFFENED.log_z(1.0)), seed)


def test_moves_without_correction_are_rejected(seed, assert_rejected, assert_unbiased):
    """They estimate something else, and that is known: 0.16 nat too little."""
    assert_rejected(stiffen(Uncorrected(ETA), STIFFENED.log_z(1.0)), seed)
    assert_unbiased(stiffen(Uncorrected(ETA), biased_log_z()), seed)


# --- adaptive ladders -----------------------------------------------------------------------------


STIFF = Geometric(Gaussian(), Gaussian(0.5, 0.1))


def lengths(lams):
    """Spread of the increments of a ladder along STIFF, (step,).

    At lambda x is normal with precision p = 1 - lambda + 100 lambda and mean m = 50 lambda / p, and
    u_1 - u_0 = 49.5 x^2 - 50 x + const has the variance (99 m - 50)^2 / p + 2 (49.5 / p)^2.
    """
    lam = 0.5 * (lams[1:] + lams[:-1])
    precision = 1.0 + 99.0 * lam
    mean = 50.0 * lam / precision
    variance = (99.0 * mean - 50.0) ** 2 / precision + 2.0 * (49.5 / precision) ** 2
    return np.sqrt(variance) * np.diff(lams)


@pytest.mark.parametrize("n_levels", [40, 200])
def test_adaptive_ladder_spreads_equally(n_levels, seed):
    """Its sum of squared lengths exceeds the least there is, (length)^2 / n, by less than a tenth.

    For steps of unequal length by the excess of 1 + (their relative spread)^2; an even ladder is
    worse by a factor above 2.
    """
    # Cauchy-Schwarz, with the length from a ladder so fine that its sums are integrals.
    least = lengths(np.linspace(0.0, 1.0, 100_001) ** 3).sum() ** 2 / n_levels
    found = equal_steps(STIFF, n_levels, seed).lams
    assert len(found) == n_levels + 1
    assert (found[0], found[-1]) == (0.0, 1.0)
    assert (np.diff(found) > 0).all()
    assert (lengths(found) ** 2).sum() < 1.1 * least
    assert (lengths(np.linspace(0.0, 1.0, n_levels + 1)) ** 2).sum() > 2.0 * least


def test_adaptive_ladder_is_unbiased(seed, assert_unbiased):
    exact = 0.5 * math.log(2 * math.pi * 0.01)
    assert_unbiased(calibration(STIFF, exact, n_levels=60, n_chains=300, ladder="adaptive"), seed)


def test_adaptive_ladder_where_nothing_changes_is_even():
    free = Tempering(Ising(lattices.chain(6), coupling=0.0), 1.0)
    np.testing.assert_allclose(equal_steps(free, 4, 1).lams, np.linspace(0, 1, 5))


def test_adaptive_ladder_over_a_wall():
    """Half the reference is forbidden from the first step on, however short it is."""
    path = Geometric(Gaussian(), Model(Reals(1), HalfLine(0.0)))
    result = ais(path, 6, 200, rng=1, ladder="adaptive")
    assert abs(result.z(0.5 * math.log(2 * math.pi) - math.log(2))) < 6
    with pytest.raises(StatmechError, match="pilot run"):
        equal_steps(Geometric(Gaussian(), Model(Reals(1), HalfLine(50.0))), 4, 1)


def test_pilots_cost_is_counted():
    even, adaptive = (
        ais(STIFF, 10, 50, rng=1, ladder=ladder).diagnostics["cost"]
        for ladder in (None, "adaptive")
    )
    assert adaptive["sweeps"] > even["sweeps"]
    assert adaptive["energy_evaluations"] > even["energy_evaluations"] == 2 * 50 * 10


# --- the run --------------------------------------------------------------------------------------


def test_plain_importance_sampling(seed, assert_unbiased):
    """One level: the mean of exp(-beta E) over uniform states."""
    path = Tempering(TORUS, 0.15)
    assert_unbiased(calibration(path, kaufman.log_z(4, 4, 0.15), n_levels=1, n_chains=200), seed)


def test_several_sweeps(seed, assert_unbiased):
    path = Tempering(TORUS, BETA)
    run = calibration(path, TORUS_LOG_Z, n_levels=40, n_chains=300, sweeps_per_level=3)
    assert_unbiased(run, seed)


def test_a_run_is_repeated_by_its_seed():
    path = Tempering(TORUS, BETA)
    first, again, other = (ais(path, 10, 20, rng=rng, direction="both") for rng in (3, 3, 4))
    assert (first.value, first.upper) == (again.value, again.upper)
    assert first.value != other.value
    np.testing.assert_array_equal(
        first.diagnostics["log_weights"], again.diagnostics["log_weights"]
    )


def test_diagnostics():
    result = ais(Tempering(TORUS, BETA), 10, 60, rng=1, direction="both", sweeps_per_level=2)
    d = result.diagnostics
    assert d["log_weights"].shape == d["reverse_log_weights"].shape == (60,)
    rebuilt = ais_from_log_weights(d["log_weights"], d["reverse_log_weights"], 16 * math.log(2))
    assert (rebuilt.value, rebuilt.stderr, rebuilt.lower, rebuilt.upper) == (
        result.value, result.stderr, result.lower, result.upper,
    )  # fmt: skip
    assert d["cost"]["sweeps"] == 2 * 60 * 9 * 2
    assert d["provenance"]["stream"] == HeatBath.stream
    quiet = ais(Tempering(TORUS, BETA), 10, 60, rng=1, sweeps_per_level=2, keep_log_weights=False)
    assert not any("log_weights" in name for name in quiet.diagnostics)
    assert quiet.value == result.value


def test_progress_is_shown_on_demand_and_silent_in_a_pipe(capsys):
    path = Tempering(TORUS, BETA)
    quiet = ais(path, 5, 10, rng=1)
    assert capsys.readouterr() == ("", "")
    assert ais(path, 5, 10, rng=1, progress=True).value == quiet.value


def test_steps_are_tuned_in_a_pilot():
    """A step a hundred times too long is brought to the acceptance MALA wants, at every level."""
    path, _ = well()
    path = Geometric(path.reference, path.target[0], 1.3, MALA(step_size=30.0))
    result = ais(path, 40, 200, rng=1)
    assert result.diagnostics["acceptance"].min() > 0.35
    assert result.diagnostics["acceptance"].max() < 0.8
    fixed = Geometric(path.reference, path.target[0], 1.3, MALA(step_size=30.0, adapt=False))
    assert ais(fixed, 40, 200, rng=1).diagnostics["acceptance"].max() < 0.2


# --- what cannot be answered ----------------------------------------------------------------------


class HalfLine(NamedTuple):
    """x^2 / 2 where x >= edge, forbidden below."""

    edge: float

    def energy(self, x):
        return 0.5 * x[0] * x[0] if x[0] >= self.edge else math.inf

    def gradient(self, x, out):
        out[0] = x[0]


class Undefined(NamedTuple):
    """An energy that is not a number for negative x."""

    power: float

    def energy(self, x):
        return math.nan if x[0] < 0.0 else x[0] ** self.power

    def gradient(self, x, out):
        out[0] = 1.0


def test_forbidden_states_weigh_nothing(seed, assert_unbiased):
    """Half the reference is forbidden: Z is half a Gaussian's, and the lower bound is -inf."""
    path = Geometric(Gaussian(), Model(Reals(1), HalfLine(0.0)))
    exact = 0.5 * math.log(2 * math.pi) - math.log(2)
    assert_unbiased(calibration(path, exact, n_levels=4, n_chains=200, n_seeds=40), seed)
    result = ais(path, 4, 200, rng=1)
    assert result.lower == -math.inf
    assert result.ok


def test_reverse_runs_need_every_state_of_the_reference():
    """The half line again: a reverse run would be off by log 2, and is refused."""
    path = Geometric(Gaussian(), Model(Reals(1), HalfLine(0.0)))
    start = np.abs(Gaussian().draws(1, np.arange(100, dtype=np.uint32)))
    with pytest.raises(InvalidInput, match="never visits"):
        ais(path, 4, 100, rng=1, direction="both", start=start)


def test_no_weight_at_all():
    path = Geometric(Gaussian(), Model(Reals(1), HalfLine(50.0)))
    with pytest.raises(StatmechError, match=r"All 100 weights are zero \(forward"):
        ais(path, 4, 100, rng=1)


def test_energies_that_are_not_numbers():
    path = Geometric(Gaussian(), Model(Reals(1), Undefined(2.0)))
    with pytest.raises(InvalidInput, match="nan near lambda"):
        ais(path, 4, 100, rng=1)


def test_too_few_levels_are_called_low_ess():
    """One jump to a cold 8 x 8 lattice: wrong by many nats, and said to be."""
    result = ais(Tempering(Ising(lattices.square(8, 8)), 0.6), 1, 256, rng=1)
    assert result.status == "low ess"
    assert "low ess" in str(result)
    assert not result.ok


def test_one_chain_with_all_the_weight_has_no_error_bar():
    result = ais_from_log_weights([0.0, -1000.0, -2000.0])
    assert result.stderr == math.inf
    assert result.status == "low ess"


def test_equal_weights_are_no_proof():
    """Without couplings every weight is 1: exact here, but equal weights alone cannot tell."""
    result = ais(Tempering(Ising(lattices.chain(6), coupling=0.0), 1.0), 4, 100, rng=1)
    assert result.value == pytest.approx(6 * math.log(2))
    assert result.status == "constant weights"
    assert result.stderr > 0


def test_copies_are_no_starts():
    """One disordered configuration 256 times; the same of a cold system are its ground state."""
    path = Tempering(Ising(lattices.square(8, 8)), 0.3)
    x = path.model.space.random(1, np.arange(2, dtype=np.uint32))
    for direction in ("reverse", "both"):
        with pytest.raises(InvalidInput, match="holds 2 different configurations for 256 chains"):
            ais(path, 20, rng=1, direction=direction, start=np.repeat(x, 128, axis=0))
    well_path, _ = well()
    with pytest.raises(InvalidInput, match="copies"):
        ais(well_path, 20, 64, rng=1, direction="reverse", start=np.zeros((64, 2)))
    cold = Tempering(path.model, 2.0)
    up = np.ones((256, 64), np.int8)
    assert math.isfinite(ais(cold, 200, rng=1, direction="reverse", start=up).value)
    small = Tempering(Ising(lattices.chain(3)), 0.5)
    assert ais(small, 20, rng=1, direction="both").ok


def test_disagreement_of_the_two_directions():
    rng = np.random.default_rng(1)
    forward = rng.normal(-0.005, 0.1, size=400)
    result = ais_from_log_weights(forward, forward + 3.0)
    assert result.status == "forward and reverse disagree"


def test_jackknife_error_of_log_normal_weights(seed, assert_unbiased):
    """z has mean 0 and spread 1 for weights exp(N(-s^2/2, s^2)) with s = 0.7."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        log_w = rng.normal(-0.245, 0.7, size=(200 * scale, 400))
        return scores([ais_from_log_weights(row) for row in log_w], 0.0)

    assert_unbiased(run, seed)


def test_error_without_its_root_is_rejected(seed, assert_rejected):
    """Mutants: the spread of single weights as the error of their mean, and half the error."""

    def run(factor):
        def scaled(seed, scale):
            rng = np.random.default_rng(seed)
            log_w = rng.normal(-0.125, 0.5, size=(50 * scale, 100))
            z = np.array([ais_from_log_weights(row).z(0.0) for row in log_w]) / factor
            return np.array([(z.var(ddof=1) - 1) * math.sqrt((len(z) - 1) / 2)])

        return scaled

    assert_rejected(run(10.0), seed)
    assert_rejected(run(0.5), seed)


PATH = Tempering(TORUS, BETA)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ais(TORUS, rng=1), "needs a path"),
        (lambda: ais(PATH, rng=None), "no default seed"),
        (lambda: ais(PATH, 0, rng=1), "n_levels"),
        (lambda: ais(PATH, 10, 1, rng=1), "n_chains"),
        (lambda: ais(PATH, 10, 2.5, rng=1), "n_chains"),
        (lambda: ais(PATH, 10, 10**15, rng=1), "n_chains.*is more than"),
        (lambda: ais(PATH, 10**12, rng=1), "n_levels.*is more than"),
        (lambda: ais(PATH, sweeps_per_level=0, rng=1), "sweeps_per_level"),
        (lambda: ais(PATH, direction="sideways", rng=1), "direction"),
        (lambda: ais(PATH, ladder=[0.1, 1.0], rng=1), "start at 0"),
        (lambda: ais(PATH, ladder=[0.0, 0.9], rng=1), "end at 1"),
        (lambda: ais(PATH, ladder=[1.0, 0.5, 0.0], rng=1), "start at 0"),
        (lambda: ais(PATH, ladder=[0.0, 0.6, 0.5, 1.0], rng=1), "does not increase"),
        (lambda: ais(PATH, ladder=[0.0, math.nan, 1.0], rng=1), "finite"),
        (lambda: ais(PATH, ladder=0.5, rng=1), "at least two"),
        (lambda: ais(PATH, ladder="geometric", rng=1), "no list of lambdas"),
        (lambda: ais(PATH, 10, ladder=[0.0, 1.0], rng=1), "both were given"),
        (lambda: ais(PATH, start=np.ones((256, 16)), rng=1), "direction='both'"),
        (lambda: ais(PATH, direction="reverse", start=np.ones((3, 16)), rng=1), "256 chains"),
        (lambda: ais(PATH, direction="reverse", start=np.zeros((256, 16)), rng=1), "values"),
        (lambda: ais(Tempering(Ising(lattices.square(6, 6)), 0.1), direction="both", rng=1),
         "too large to draw from"),
        (lambda: ais(well()[0], direction="reverse", rng=1), "Give start="),
        (lambda: ais_from_log_weights(), "no log-weights"),
        (lambda: ais_from_log_weights([1.0]), "at least 2"),
        (lambda: ais_from_log_weights("a"), "forward log-weights are no array"),
        (lambda: ais_from_log_weights(reverse="a"), "reverse log-weights are no array"),
        (lambda: ais_from_log_weights([1.0, 2.0], log_z_reference="a"), "log_z_reference"),
        (lambda: ais_from_log_weights([1.0, 2.0], log_z_reference=math.inf), "log_z_reference"),
        (lambda: ais_from_log_weights([1.0, math.nan]), "NaN"),
        (lambda: ais_from_log_weights([1.0, math.inf]), "infinite weight"),
        (lambda: ais_from_log_weights(reverse=[1.0, -math.inf]), "infinite weight"),
    ],
)  # fmt: skip
def test_refusals(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
