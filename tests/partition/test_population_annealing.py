"""Population annealing: unbiased, with an error bar that populations of relatives deserve."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import (
    BernoulliRBM,
    DoubleWell,
    Gaussian,
    GaussianMixture,
    GaussianRBM,
    Ising,
)
from statmech_ml.partition import (
    Geometric,
    Tempering,
    Weights,
    exact_sum,
    population_annealing,
)
from statmech_ml.partition import population_annealing as function
from statmech_ml.partition._resampling import systematic

TORUS = Ising(lattices.square(4, 4))
PATH = Tempering(TORUS, 0.44)


def machine(cls):
    rng = np.random.default_rng(1)
    return cls(rng.normal(size=8), rng.normal(size=5), 0.6 * rng.normal(size=(8, 5)))


def glass():
    lattice = lattices.square(3, 4, boundary="open")
    rng = np.random.default_rng(1)
    return Ising(lattice, coupling=rng.choice([-1.0, 1.0], size=len(lattice.bonds)))


CASES = {
    "lattice": lambda: (PATH, kaufman.log_z(4, 4, 0.44), 25, 0.9),
    "glass": lambda: (Tempering(glass(), 1.0), enumeration.log_z(glass(), 1.0), 20, 1.0),
    "never resampled": lambda: (PATH, kaufman.log_z(4, 4, 0.44), 60, 0.0),
    "RBM": lambda: (
        Weights(machine(BernoulliRBM), beta=2.0), exact_sum(machine(BernoulliRBM), 2.0).value, 10,
        0.95,
    ),
    "RBM of normal units": lambda: (
        Weights(machine(GaussianRBM)), exact_sum(machine(GaussianRBM)).value, 12, 0.9,
    ),
    "stiff Gaussian": lambda: (
        Geometric(Gaussian(), Gaussian(0.5, 0.3)), 0.5 * math.log(2 * math.pi * 0.09), 40, 0.9,
    ),
}  # fmt: skip


def calibration(path, exact, n_levels, below, n_seeds=20, run_one=population_annealing):
    """z of mean(Z-hat / Z), and of the spread of the results' own z.

    z is t-distributed with 31 degrees of freedom, widened to unit variance; the variance of that
    by the fourth moment.
    """

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        results = [
            run_one(path, n_levels, 640, rng=rng, resample_below=below)
            for _ in range(n_seeds * scale)
        ]
        ratio = np.exp([r.value - exact for r in results])
        z = np.array([r.z(exact) for r in results])
        n, freedom = len(z), 31
        spread = math.sqrt((2.0 + 6.0 / (freedom - 4)) / n)
        return np.array(
            [
                (ratio.mean() - 1) / (ratio.std(ddof=1) / math.sqrt(n)),
                (z.var(ddof=1) - 1.0) / spread,
            ]
        )

    return run


@pytest.mark.parametrize("case", CASES)
def test_calibration(case, seed, assert_unbiased):
    assert_unbiased(calibration(*CASES[case]()), seed)


def test_resampling_is_used():
    """What the cases above show would be plain AIS otherwise."""
    for case, make in CASES.items():
        path, _, n_levels, below = make()
        d = population_annealing(path, n_levels, 640, rng=1, resample_below=below).diagnostics
        assert (d["resamplings"].mean() > 0.9) == (case != "never resampled")
        assert d["families"] <= 640
        assert d["rho_t"] == pytest.approx(640 / d["ess"])
        assert d["rho_t"] >= 640 / d["families"] * (1 - 1e-12)


class WeightsKept(Tempering):
    """Mutant: weights enter a second time, as if resampling had not spent them."""

    def weigh(self, x, lam, next_lam):
        return 1.2 * super().weigh(x, lam, next_lam)


def test_mutants_are_rejected(seed, assert_rejected, monkeypatch):
    exact = kaufman.log_z(4, 4, 0.44)
    assert_rejected(calibration(WeightsKept(TORUS, 0.44), exact, 25, 0.9, n_seeds=8), seed)

    def by_rank(share, uniform):
        """The heaviest half doubles: selection that is not by weight."""
        return np.repeat(np.argsort(share)[len(share) // 2 :], 2)

    monkeypatch.setattr(sys.modules[population_annealing.__module__], "systematic", by_rank)
    assert_rejected(calibration(PATH, exact, 25, 0.95, n_seeds=8), seed)


def test_error_of_one_large_population_is_rejected(seed, assert_rejected):
    """Mutant: an error from all chains as if they were independent, sqrt(1 / N)."""

    def naive(path, n_levels, n_chains, **options):
        result = population_annealing(path, n_levels, n_chains, **options)
        return replace(result, stderr=1.0 / math.sqrt(n_chains))

    path, exact = Tempering(TORUS, 0.6), kaufman.log_z(4, 4, 0.6)
    assert_rejected(calibration(path, exact, 5, 0.9, n_seeds=15, run_one=naive), seed)


def test_systematic_resampling_copies_in_proportion(seed):
    """Never off by one or more, and right on average over the offset, which 997 even ones give."""
    share = np.random.default_rng(seed).dirichlet(np.full(20, 0.3))
    share[3] = share[19] = 0.0
    share /= share.sum()
    copies = np.array(
        [np.bincount(systematic(share, (i + 0.5) / 997), minlength=20) for i in range(997)]
    )
    assert np.abs(copies - 20 * share).max() < 1 + 1e-9
    np.testing.assert_allclose(copies.mean(axis=0), 20 * share, atol=2 / 997)
    assert copies[:, [3, 19]].sum() == 0
    np.testing.assert_array_equal(systematic(np.full(8, 1 / 8), 0.5), np.arange(8))


@pytest.mark.parametrize("n_populations", [8, 12])
def test_errors_of_few_populations(n_populations, seed, assert_unbiased):
    """z has unit variance whatever the number of populations it comes from."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        size = 40 * n_populations
        results = [
            population_annealing(PATH, 25, size, rng=rng, n_populations=n_populations)
            for _ in range(60 * scale)
        ]
        z = np.array([r.z(kaufman.log_z(4, 4, 0.44)) for r in results])
        kurtosis = 2.0 + 6.0 / max(n_populations - 5, 1)
        return np.array([(z.var(ddof=1) - 1.0) / math.sqrt(kurtosis / len(z))])

    assert_unbiased(run, seed)


def test_populations_that_disagree_say_so():
    """One of eight populations has much more weight, in each of its many families."""
    path = Tempering(TORUS, 0.44)
    path.weigh = lambda x, lam, next_lam: (
        np.where(np.arange(len(x)) < 256, 0.6, 0.0) + 1e-3 * np.cos(np.arange(len(x)))
    )
    result = population_annealing(path, 4, 2048, rng=1, n_populations=8)
    assert np.ptp(result.diagnostics["population_values"]) > 2
    assert result.status == "populations disagree"
    assert population_annealing(PATH, 25, 2048, rng=1, n_populations=8).ok


def test_a_mode_that_hardly_any_chain_met_is_no_small_error():
    """0.9 of the target is the reference, and a tenth lies where no chain goes."""
    far = GaussianMixture([0.9, 0.1], [[0.0], [7.0]], [1.0, 0.2])
    for seed in (1, 2):
        result = population_annealing(Geometric(Gaussian(), far), 60, 1024, rng=seed)
        assert result.status == "constant weights"
        assert result.stderr > 1 / 1024


def test_a_run_is_repeated_by_its_seed():
    first, again, other = (population_annealing(PATH, 10, 64, rng=rng) for rng in (3, 3, 4))
    assert (first.value, first.stderr) == (again.value, again.stderr)
    assert first.value != other.value


def test_adaptive_ladder_and_counts():
    result = population_annealing(
        PATH, 10, 64, rng=1, n_populations=4, sweeps_per_level=2, ladder="adaptive"
    )
    d = result.diagnostics
    assert len(d["ladder"]) == 11
    assert d["population_values"].shape == d["resamplings"].shape == (4,)
    assert d["cost"]["sweeps"] > 64 * 9 * 2
    assert result.lower == pytest.approx(d["population_values"].mean())
    plain = population_annealing(PATH, 10, 64, rng=1, sweeps_per_level=2)
    assert plain.diagnostics["cost"]["sweeps"] == 64 * 9 * 2


def test_hard_targets_are_called_so():
    cold = Tempering(Ising(lattices.square(8, 8)), 1.0)
    assert population_annealing(cold, 4, 256, rng=1).status == "low ess"
    free = Tempering(Ising(lattices.chain(6), coupling=0.0), 1.0)
    result = population_annealing(free, 4, 256, rng=1)
    assert result.status == "constant weights"
    assert result.stderr > 0


def test_no_weight_at_all():
    path = Geometric(Gaussian(), DoubleWell())
    path.weigh = lambda x, lam, next_lam: np.full(len(x), -math.inf)
    with pytest.raises(StatmechError, match="weights are zero"):
        population_annealing(path, 4, 64, rng=1)


def test_extinct_populations_count_as_zero():
    """Only the first population keeps its weights."""
    path = Tempering(TORUS, 0.44)
    path.weigh = lambda x, lam, next_lam: np.where(np.arange(len(x)) < 8, 0.0, -math.inf)
    result = population_annealing(path, 4, 64, rng=1, n_populations=8)
    assert result.value == pytest.approx(16 * math.log(2) - math.log(8))
    assert result.stderr == math.inf
    assert result.status == "low ess"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: function(TORUS, rng=1), "needs a path"),
        (lambda: function(PATH, rng=None), "no default seed"),
        (lambda: function(PATH, 0, rng=1), "n_levels"),
        (lambda: function(PATH, n_chains=0, rng=1), "n_chains"),
        (lambda: function(PATH, n_chains=100, rng=1), "n_chains=96"),
        (lambda: function(PATH, n_chains="many", rng=1), "n_chains"),
        (lambda: function(PATH, n_populations=3, rng=1, n_chains=999), "at least 4"),
        (lambda: function(PATH, n_chains=10**15, rng=1), "n_chains"),
        (lambda: function(PATH, n_levels=10**12, rng=1), "n_levels"),
        (lambda: function(PATH, sweeps_per_level=0, rng=1), "sweeps_per_level"),
        (lambda: function(PATH, resample_below=1.5, rng=1), "resample_below"),
        (lambda: function(PATH, resample_below=math.nan, rng=1), "resample_below"),
        (lambda: function(PATH, resample_below=[0.5], rng=1), "resample_below"),
        (lambda: function(PATH, ladder=[0.1, 1.0], rng=1), "start at 0"),
        (lambda: function(PATH, 10, ladder=[0.0, 1.0], rng=1), "both were given"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
