"""Importance sampling: exact on overlap, honest without it."""

import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import kaufman
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising
from statmech_ml.partition import (
    Geometric,
    Tempering,
    Weights,
    exact_sum,
    importance,
    importance_sampling,
)

TORUS = Ising(lattices.square(4, 4))


def trap(ratio=1.5, dim=1):
    """From a trap of unit stiffness to one `ratio` times as stiff; log Z is -dim/2 log ratio."""
    return Geometric(Gaussian(dim=dim), Gaussian(stddev=ratio**-0.5, dim=dim))


def rbm():
    rng = np.random.default_rng(1)
    return BernoulliRBM(rng.normal(size=6), rng.normal(size=4), 0.3 * rng.normal(size=(6, 4)))


CASES = {
    "trap": (trap(), 0.5 * math.log(2 * math.pi / 1.5)),
    "lattice": (Tempering(TORUS, 0.15), kaufman.log_z(4, 4, 0.15)),
    "RBM": (Weights(rbm()), exact_sum(rbm()).value),
}


def calibration(path, exact, n_seeds=40):
    def run(seed, scale):
        rng = np.random.default_rng(seed)
        results = [importance_sampling(path, 1000, rng=rng) for _ in range(n_seeds * scale)]
        ratio = np.exp([r.value - exact for r in results])
        z = np.array([r.z(exact) for r in results])
        n = len(z)
        return np.array(
            [
                (ratio.mean() - 1) / (ratio.std(ddof=1) / math.sqrt(n)),
                (z.var(ddof=1) - 1) * math.sqrt((n - 1) / 2),
            ]
        )

    return run


class Upside(Weights):
    """Mutant: log-weights of the wrong sign."""

    def weigh(self, x, lam, next_lam):
        return -super().weigh(x, lam, next_lam)


@pytest.mark.parametrize("case", CASES)
def test_calibration(case, seed, assert_unbiased):
    assert_unbiased(calibration(*CASES[case]), seed)


def test_wrong_sign_is_rejected(seed, assert_rejected):
    assert_rejected(calibration(Upside(rbm()), exact_sum(rbm()).value), seed)


def test_effective_sample_size_of_a_trap(seed, assert_unbiased):
    """ESS/N = (mean w)^2 / mean w^2 = sqrt(2 r - 1) / r for unit variance and stiffness r.

    With w = exp(-(r - 1) x^2 / 2): mean w = r^-1/2 and mean w^2 = (2 r - 1)^-1/2.
    """
    ratio = 1.5
    expected = math.sqrt(2 * ratio - 1) / ratio

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        runs = [importance_sampling(trap(), 5000, rng=rng) for _ in range(20 * scale)]
        found = np.array([r.diagnostics["ess"] / 5000 for r in runs])
        # The bias of a ratio of means, O(1/5000), is far below the spread of its mean.
        return np.array([(found.mean() - expected) / (found.std(ddof=1) / math.sqrt(len(found)))])

    assert_unbiased(run, seed)


def test_draws_in_parts_are_the_same(monkeypatch):
    path = Tempering(TORUS, 0.15)
    whole = importance_sampling(path, 500, rng=1)
    monkeypatch.setattr(importance, "_CHUNK", 1000)
    parts = importance_sampling(path, 500, rng=1)
    np.testing.assert_array_equal(
        whole.diagnostics["log_weights"], parts.diagnostics["log_weights"]
    )
    assert whole.diagnostics["cost"]["energy_evaluations"] == 1000
    assert (
        "log_weights"
        not in importance_sampling(path, 50, rng=1, keep_log_weights=False).diagnostics
    )


def test_without_overlap_the_status_says_so():
    result = importance_sampling(trap(ratio=400.0, dim=6), 2000, rng=1)
    assert result.status == "low ess"
    assert result.stderr > 0


def test_refusals():
    path = Tempering(TORUS, 0.15)
    with pytest.raises(InvalidInput, match="needs a path"):
        importance_sampling(TORUS, rng=1)
    for n in (0, 1, 2.5, 10**15, "many", [10]):
        with pytest.raises(InvalidInput, match="n_chains"):
            importance_sampling(path, n, rng=1)
    with pytest.raises(InvalidInput, match="no default seed"):
        importance_sampling(path, rng=None)
    forbidden = Geometric(Gaussian(), DoubleWell())
    forbidden.reduced_energies = lambda x, lams: np.stack(
        [np.zeros(len(x)), np.full(len(x), math.inf)]
    )
    with pytest.raises(StatmechError, match="weights are zero"):
        importance_sampling(forbidden, 100, rng=1)
