"""The torus by Kaufman's formula: against enumeration, and its two ways to draw."""

import functools

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import correlations, enumeration, kaufman, targets
from statmech_ml.models import Ising

BETA = 0.4


@pytest.mark.parametrize(("Lx", "Ly", "J"), [(4, 3, 1.0), (4, 4, -0.8), (2, 4, 0.7), (2, 2, 1.0)])
def test_probabilities_are_those_of_enumeration(Lx, Ly, J):
    target = targets.Torus(Lx, Ly, BETA, coupling=J)
    model = Ising(lattices.square(Lx, Ly), coupling=J)
    states = enumeration.states(model.space)
    p = enumeration.distribution(model, BETA)
    np.testing.assert_allclose(np.exp(target.log_prob(states)), p, rtol=1e-11)
    assert target.entropy() == pytest.approx(enumeration.entropy(model, BETA), rel=1e-11)
    weighted = states.astype(float) * p[:, None]
    np.testing.assert_allclose(target.covariance(), weighted.T @ states, atol=1e-12)


def test_entropy_of_the_course():
    """Per spin at T_c."""
    beta = 0.5 * np.log(1 + np.sqrt(2))
    for L, exact in ((4, 0.280169989), (8, 0.282391704), (16, 0.291849824)):
        assert targets.Torus(L, L, beta).entropy() / L**2 == pytest.approx(exact, abs=1e-9)


correlation = functools.cache(correlations.spin_spin)


def physics(target, x):
    """z of the energy, its variance and <s_0 s_r> at the largest distance."""
    n, (Lx, Ly) = len(x), target.lattice.shape
    N, J, b = Lx * Ly, target.coupling, target.beta
    energy = -(target.log_prob(x) + target.log_z) / b
    u = kaufman.energy_per_site(Lx, Ly, b, J) * N
    c = kaufman.specific_heat(Lx, Ly, b, J) * N / b**2
    grid = x.reshape(n, Lx, Ly).astype(float)
    far = (grid * np.roll(grid, (Lx // 2, Ly // 2), (1, 2))).mean(axis=(1, 2))
    G = correlation(Lx, Ly, b, J)[Lx // 2, Ly // 2]
    series = (energy - u, (energy - u) ** 2 - c, far - G, grid.mean(axis=(1, 2)))
    return np.array([f.mean() / (f.std() / np.sqrt(n)) for f in series])


@pytest.mark.parametrize(("Lx", "Ly", "J"), [(6, 5, 1.0), (4, 6, -1.0)])
def test_draws_by_transfer_matrix(Lx, Ly, J, seed, assert_unbiased, assert_rejected):
    target, wrong = targets.Torus(Lx, Ly, BETA, J), targets.Torus(Lx, Ly, 0.9 * BETA, J)
    assert target.is_exact_sampler
    assert_unbiased(lambda s, k: physics(target, target.sample(1_500 * k, s)), seed)
    assert_rejected(lambda s, k: physics(target, wrong.sample(1_500 * k, s)), seed)


@pytest.mark.parametrize(("Lx", "Ly", "beta", "J"), [(9, 10, 0.42, 1.0), (10, 10, 0.5, -1.0)])
def test_draws_by_clusters(Lx, Ly, beta, J, seed, assert_unbiased, assert_rejected):
    """From chains that started half ordered, half at random; few sweeps show that they did."""
    target, short = (targets.Torus(Lx, Ly, beta, J, n_sweeps=k) for k in (30, 1))
    assert not target.is_exact_sampler
    assert_unbiased(lambda s, k: physics(target, target.sample(100 * k, s)), seed)
    assert_rejected(lambda s, k: physics(target, short.sample(100 * k, s)), seed)


def test_no_density_under_the_noise():
    target = targets.Torus(6, 6, 0.4)
    x = np.zeros((1, 36))
    for ask in (
        lambda: target.score(x, 0.0), lambda: target.denoiser(x, 0.0),
        lambda: target.log_prob_noisy(x, 0.0), lambda: target.mmse(1.0, rng=1),
        lambda: target.posterior_variance(x, 0.0),
    ):  # fmt: skip
        with pytest.raises(MissingCapability, match=r"targets.Ising of a 4 x 4"):
            ask()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 4, 0.4), "side"),
        ((4.5, 4, 0.4), "whole number"),
        ((4, 4, 0.0), "targets.Spins"),
        ((4, 4, np.inf), "beta"),
        ((4, 4, -0.4), "beta"),
        ((3, 4, 0.4, -1.0), "odd"),
        ((4, 4, 0.4, np.nan), "coupling"),
        ((4, 4, 0.4, 1.0, 0), "n_sweeps"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        targets.Torus(*arguments)
