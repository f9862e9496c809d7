"""Laws of unadjusted Langevin samplers, a second way: fixed points of the moves as matrices."""

from itertools import product

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import langevin


def stationary(transfer, noises):
    """Covariance that z' = M z + sum of noise vectors times independent normals keeps."""
    q = sum(np.outer(v, v) for v in np.array(noises, float))
    return solve_discrete_lyapunov(np.array(transfer, float), q)


@pytest.mark.parametrize("k", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("eta", [0.01, 0.7])
@pytest.mark.parametrize("T", [1.0, 0.5])
def test_ula_is_its_recursion(eta, k, T):
    found = stationary([[1 - eta * k]], [[np.sqrt(2 * eta * T)]])
    assert langevin.ula_variance(eta, k, T) == pytest.approx(found[0, 0], rel=1e-12)


def test_the_numbers_of_the_course():
    """1/(1 - eta/2); 1/(2 - eta) with noise sqrt(eta); leapfrog 1/(1 - eps^2/4)."""
    assert langevin.ula_variance(0.3) == pytest.approx(1 / (1 - 0.15), rel=1e-15)
    assert langevin.ula_variance(0.3, temperature=0.5) == pytest.approx(1 / (2 - 0.3), rel=1e-15)
    assert langevin.leapfrog_variance(0.6) == pytest.approx(1 / (1 - 0.09), rel=1e-15)


def drift(h):
    return np.array([[1, h], [0, 1]])


def kick(h, k):
    return np.array([[1, 0], [-h * k, 1]])


@pytest.mark.parametrize("n_steps", [1, 2, 7])
@pytest.mark.parametrize(("eps", "k"), [(0.3, 1.0), (1.1, 2.5)])
def test_leapfrog_with_new_momenta_is_its_recursion(eps, k, n_steps):
    step = kick(eps / 2, k) @ drift(eps) @ kick(eps / 2, k)
    end = np.linalg.matrix_power(step, n_steps)[0]  # x' = a x + b p, p ~ N(0, 1)
    found = stationary([[end[0]]], [[end[1]]])[0, 0]
    assert langevin.leapfrog_variance(eps, k) == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("friction", [0.2, 3.0])
@pytest.mark.parametrize(("h", "k"), [(0.1, 1.0), (1.2, 2.5)])
def test_baoab_is_its_recursion(h, k, friction):
    c = np.exp(-friction * h)
    after = kick(h / 2, k) @ drift(h / 2)
    transfer = after @ np.diag([1, c]) @ drift(h / 2) @ kick(h / 2, k)
    found = stationary(transfer, [after @ [0, np.sqrt(1 - c**2)]])
    assert langevin.baoab_variance(h, k) == pytest.approx(found[0, 0], rel=1e-12)
    assert langevin.baoab_kinetic_temperature(h, k) == pytest.approx(found[1, 1], rel=1e-12)


@pytest.mark.parametrize("friction", [0.3, 4.0])
@pytest.mark.parametrize(("eps", "k"), [(0.1, 1.0), (0.3, 2.5)])
@pytest.mark.parametrize(("S", "B"), [(0.0, 0.0), (5.0, 0.1)])
def test_sghmc_is_its_recursion(eps, k, friction, S, B):
    kicked = [[-eps * k, 1 - eps * friction]]  # p' of (x, p), then x' = x + eps p'
    transfer = [[1 + eps * kicked[0][0], eps * kicked[0][1]], kicked[0]]
    width = np.sqrt(2 * eps * (friction - B) + eps**2 * S)
    found = stationary(transfer, [[eps * width, width]])
    given = eps, friction, k, S, B
    assert langevin.sghmc_variance(*given) == pytest.approx(found[0, 0], rel=1e-11)
    assert langevin.sghmc_kinetic_temperature(*given) == pytest.approx(found[1, 1], rel=1e-11)


@pytest.mark.parametrize("k", [0.4, 2.5])
@pytest.mark.parametrize("eta", [0.01, 1.0, 30.0])
def test_psgld_gives_the_variance_that_its_preconditioner_came_from(eta, k):
    variance = langevin.psgld_variance(eta, k)
    scale = 1 / np.sqrt(k**2 * variance)  # of the mean squared gradient
    assert langevin.ula_variance(eta * scale, k) == pytest.approx(variance, rel=1e-12)


def test_sgld_of_a_regression_is_the_average_over_all_batches(seed):
    """Every batch of two from three rows, its transfer matrix and its noise, written out."""
    rng = np.random.default_rng(seed)
    X, y, noise, prior, eta = rng.normal(size=(3, 2)), rng.normal(size=3), 0.7, [1.0, 2.0], 0.01
    D = np.diag(np.array(prior) ** -2.0)
    mean = np.linalg.solve(X.T @ X / noise**2 + D, X.T @ y / noise**2)
    C = langevin.sgld_covariance(eta, 2, X, y, noise, prior)
    image = np.zeros((2, 2))
    for rows in product(range(3), repeat=2):
        few = X[list(rows)]
        H = D + 3 / 2 * few.T @ few / noise**2
        away = D @ mean + 3 / 2 * few.T @ (few @ mean - y[list(rows)]) / noise**2
        step = np.eye(2) - eta * H
        image += (step @ C @ step.T + eta**2 * np.outer(away, away)) / 9
    assert image + 2 * eta * np.eye(2) == pytest.approx(C, rel=1e-10)


def test_sgld_with_the_full_gradient_is_ula_along_each_eigenvector(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(9, 3)), rng.normal(size=9)
    A = X.T @ X + np.eye(3)
    k, modes = np.linalg.eigh(A)
    eta = 0.3 / k[-1]
    expected = modes @ np.diag(langevin.ula_variance(eta, k)) @ modes.T
    assert langevin.sgld_covariance(eta, None, X, y) == pytest.approx(expected, rel=1e-11)
    many = langevin.sgld_covariance(eta, 10**12, X, y)
    assert many == pytest.approx(expected, rel=1e-9)  # noise of order 1e-12


def test_gradient_noise_raises_the_temperature_by_half_the_step_times_its_variance(seed):
    """The first order in eta: A C + C A = 2 + eta (A A^-1 A + S), S from the rows."""
    rng = np.random.default_rng(seed)
    X, y, b, eta = rng.normal(size=(12, 2)), rng.normal(size=12), 3, 1e-7
    A = X.T @ X + np.eye(2)
    slopes = X * (X @ np.linalg.solve(A, X.T @ y) - y)[:, None]
    S = 12 / b * (slopes - slopes.mean(axis=0)).T @ (slopes - slopes.mean(axis=0))
    h = np.einsum("ri,rj->rij", X, X)
    C = np.linalg.inv(A)
    S += 12**2 / b * (np.mean(h @ C @ h, axis=0) - h.mean(axis=0) @ C @ h.mean(axis=0))
    change = langevin.sgld_covariance(eta, b, X, y) - C
    rise = (A @ change + change @ A) / eta
    assert rise == pytest.approx(A + S, rel=1e-4, abs=1e-4 * np.abs(A).max())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ula_variance", (1.0, 2.0)),
        ("leapfrog_variance", (2.0,)),
        ("baoab_variance", (1.0, 4.0)),
        ("baoab_kinetic_temperature", (1.0, 4.0)),
        ("sghmc_variance", (1.0, 2.0)),
        ("sghmc_kinetic_temperature", (1.0, 1.0, 2.0)),
        ("sgld_covariance", (0.4, 1, [[2.0], [1.0]], [1.0, 0.0])),
    ],
)
def test_no_law_beyond_the_largest_step(name, arguments):
    with pytest.raises(InvalidInput, match=r"no stationary law: .*use a\s+smaller"):
        getattr(langevin, name)(*arguments)


@pytest.mark.parametrize("name", [n for n in langevin.__all__ if n != "sgld_covariance"])
@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf, "long"])
def test_steps_that_cannot_be(name, step):
    more = (1.0,) if name.startswith("sghmc") else ()
    with pytest.raises(InvalidInput, match="step"):
        getattr(langevin, name)(step, *more)


def test_arguments_that_cannot_be():
    with pytest.raises(InvalidInput, match="noise_estimate=3"):
        langevin.sghmc_variance(0.1, 2.0, noise_estimate=3.0)
    with pytest.raises(InvalidInput, match="batch_size"):
        langevin.sgld_covariance(0.1, 0, [[1.0]], [1.0])
    with pytest.raises(InvalidInput, match=r"X has shape \(1, 1\) and y \(2,\)"):
        langevin.sgld_covariance(0.1, 1, [[1.0]], [1.0, 2.0])


def test_arrays_broadcast():
    found = langevin.ula_variance([0.1, 0.2], [[1.0], [2.0]])
    assert found.shape == (2, 2)
    assert found[1, 0] == langevin.ula_variance(0.1, 2.0)
