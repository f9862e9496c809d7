"""The 4 x 4 torus: 65,536 states, counted one by one.

Its density of states (Kaufman; also by hand) and its moments are exact references for all samplers.
"""

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square, exact

from statmech_ml import lattices, sample
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Metropolis, SwendsenWang, Wolff

MODEL = Ising(lattices.square(4))
SAMPLERS = {
    "HeatBath": (HeatBath(), 60),
    "Metropolis": (Metropolis(), 100),
    "Wolff": (Wolff(), 60),
    "SwendsenWang": (SwendsenWang(), 30),
}


def test_the_density_of_states():
    energy = exact(MODEL, 0.0).energy
    levels, counts = np.unique(energy, return_counts=True)
    half = [2, 32, 64, 424, 1728, 6688, 13568, 20524]
    assert counts.tolist() == half + half[-2::-1]
    assert levels[:8].tolist() == [-32, -24, -20, -16, -12, -8, -4, 0]


def joint_histogram(model, sampler, n_sweeps, beta, used=None):
    """p-value of the joint histogram of energy and magnetisation of many chains' final states."""
    states, energy, probability = exact(model, beta)
    keys = (energy * 64 + states.sum(axis=1)).astype(int)
    cells, label = np.unique(keys, return_inverse=True)
    law = np.bincount(label, probability)

    def run(seed, scale):
        n = 40_000 * scale
        state = sampler.init(model, n, seed)
        x = sampler.advance(model, state, np.full(n, beta if used is None else used), n_sweeps)[0].x
        drawn = (model.energy(x) * 64 + x.sum(axis=1, dtype=int)).astype(int)
        counts = np.bincount(np.searchsorted(cells, drawn), minlength=len(cells))
        return {"energy and magnetisation": chi_square(counts, law)}

    return run


@pytest.mark.parametrize("name", SAMPLERS)
def test_joint_histogram_of_energy_and_magnetisation(name, seed):
    assert_distribution(joint_histogram(MODEL, *SAMPLERS[name], 0.44), seed)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_temperature_two_percent_off_is_refuted(name, seed):
    assert_refuted(joint_histogram(MODEL, *SAMPLERS[name], 0.44, used=0.449), seed)


def test_all_states_at_high_temperature(seed):
    """Two million draws on 65,536 states, 30 each: every state must have its probability.

    A sweep of two sublattices forgets all but (4 beta)^2 = 0.04 of the start: 6 leave 4e-9.
    """
    beta = 0.05
    probability = exact(MODEL, beta).probability

    def run(seed, scale):
        n = 400_000
        counts = np.zeros(2**16, int)
        for part in range(5 * scale):
            state = HeatBath().init(MODEL, n, seed + part)
            x = HeatBath().advance(MODEL, state, np.full(n, beta), 6)[0].x
            counts += np.bincount(MODEL.space.index(x), minlength=2**16)
        return {"all states": chi_square(counts, probability)}

    assert_distribution(run, seed)


# --- honest errors --------------------------------------------------------------------------------

QUANTITIES = ("energy_per_site", "specific_heat", "abs_magnetization", "binder")


def exact_values(beta):
    states, energy, p = exact(MODEL, beta)
    m = states.sum(axis=1) / 16
    mean = p @ energy
    return {
        "energy_per_site": mean / 16,
        "specific_heat": beta**2 * (p @ energy**2 - mean**2) / 16,
        "abs_magnetization": p @ np.abs(m),
        "binder": 1 - (p @ m**4) / (3 * (p @ m**2) ** 2),
    }


def z_scores(sampler, beta, n_runs, n_draws, seed, shift=0.0):
    """z of each quantity in independent runs, (run, quantity)."""
    truth = exact_values(beta)
    rows = []
    for k in range(n_runs):
        chain = sample(
            MODEL,
            sampler,
            beta=beta + shift,
            n_chains=4,
            n_draws=n_draws,
            burn_in=100,
            rng=seed + k,
            keep_states=False,
        )
        rows.append([chain.estimate(name).z(truth[name]) for name in QUANTITIES])
    return np.array(rows)


def mean_and_spread(z):
    """z-scores of the mean against 0 and of the standard deviation against 1, per quantity.

    For normal z the sample standard deviation has error 1 / sqrt(2 (n - 1)).
    """
    n = len(z)
    return np.concatenate(
        [z.mean(axis=0) * np.sqrt(n), (z.std(axis=0, ddof=1) - 1) * np.sqrt(2 * (n - 1))]
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_errors_are_honest_over_a_few_seeds(name, assert_unbiased, seed):
    def run(seed, scale):
        return mean_and_spread(z_scores(SAMPLERS[name][0], 0.3, 15 * scale, 1000, seed))

    assert_unbiased(run, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("beta", [0.3, 0.44])
def test_errors_are_honest_over_a_hundred_seeds(name, beta, assert_unbiased, seed):
    def run(seed, scale):
        z = z_scores(SAMPLERS[name][0], beta, 100 * scale, 4000, seed)
        found = mean_and_spread(z)
        report = zip(QUANTITIES, z.mean(axis=0), z.std(axis=0, ddof=1), strict=True)
        print(f"{name} beta={beta}: " + ", ".join(f"{q} {m:+.2f} {s:.2f}" for q, m, s in report))
        return found

    assert_unbiased(run, seed)


def test_a_biased_sampler_is_found(assert_rejected, seed):
    def run(seed, scale):
        return mean_and_spread(z_scores(HeatBath(), 0.3, 15 * scale, 1000, seed, shift=0.01))

    assert_rejected(run, seed)
