"""Gaussians against one-dimensional factors, other people's formulas, and the field as a matrix."""

import math

import numpy as np
import pytest
from scipy import stats

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import gaussian

ROUNDING = 1e-11  # condition numbers below 1e3 times a few hundred roundings


def positive(rng, n):
    """Symmetric, eigenvalues from 0.5 up."""
    factor = rng.normal(size=(n, n)) / math.sqrt(n)
    return factor @ factor.T + 0.5 * np.eye(n)


def laplacian(shape):
    """Sum over bonds of (phi_i - phi_j)^2 as a matrix, both bonds counted at a side of 2."""
    index = np.arange(math.prod(shape)).reshape(shape)
    matrix = np.zeros((index.size, index.size))
    for axis in range(len(shape)):
        i, j = index.ravel(), np.roll(index, -1, axis).ravel()
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            np.add.at(matrix, (a, b), sign)
    return matrix


@pytest.mark.parametrize("beta", [0.01, 1.0, 300.0])
def test_log_z_is_that_of_the_normal_modes(beta, seed):
    rng = np.random.default_rng(seed)
    A, b = positive(rng, 6), rng.normal(size=6)
    stiffness, modes = np.linalg.eigh(A)
    expected = sum(
        0.5 * math.log(2 * math.pi / (beta * k)) + 0.5 * beta * c**2 / k
        for k, c in zip(stiffness, b @ modes, strict=True)
    )
    assert gaussian.log_z(A, beta, b) == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def test_log_z_normalises_a_density(seed):
    """p(x) = exp(-beta E(x)) / Z is scipy's density of mean A^-1 b and covariance A^-1 / beta."""
    rng = np.random.default_rng(seed)
    A, b, beta, x = positive(rng, 4), rng.normal(size=4), 1.7, rng.normal(size=4)
    law = stats.multivariate_normal(np.linalg.solve(A, b), np.linalg.inv(A) / beta)
    log_p = -beta * (0.5 * x @ A @ x - b @ x) - gaussian.log_z(A, beta, b)
    assert log_p == pytest.approx(law.logpdf(x), rel=ROUNDING, abs=ROUNDING)
    assert gaussian.entropy(np.linalg.inv(A) / beta) == pytest.approx(
        float(law.entropy()), rel=ROUNDING, abs=ROUNDING
    )


def test_kl_by_quadrature():
    """One dimension, against the integral of p log(p / q) on a fine grid (trapezoids converge)."""
    x = np.linspace(-30.0, 30.0, 20_001)
    p, q = stats.norm(0.3, 0.8), stats.norm(-1.0, 2.0)
    expected = np.trapezoid(p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), x)
    assert gaussian.kl(0.3, [[0.64]], -1.0, [[4.0]]) == pytest.approx(expected, rel=1e-12)
    assert gaussian.kl(-1.0, [[4.0]], 0.3, [[0.64]]) != pytest.approx(expected, rel=0.1)


def test_kl_of_many_dimensions(seed):
    rng = np.random.default_rng(seed)
    P, Q, m, k = positive(rng, 5), positive(rng, 5), rng.normal(size=5), rng.normal(size=5)
    inverse = np.linalg.inv(Q)
    expected = 0.5 * (np.trace(inverse @ P) - 5 + (k - m) @ inverse @ (k - m))
    expected += 0.5 * (np.linalg.slogdet(Q)[1] - np.linalg.slogdet(P)[1])
    assert gaussian.kl(m, P, k, Q) == pytest.approx(expected, rel=ROUNDING)
    assert gaussian.kl(m, P, m, P) == pytest.approx(0.0, abs=1e-15)


def test_kl_of_close_gaussians_keeps_its_digits():
    """Variances 1 and 1 + e: e^2/4 - e^3/3 + ..., where tr - n + log det has lost everything."""
    e = 1e-6
    value = gaussian.kl(0.0, [[1.0 + e]], 0.0, [[1.0]])
    assert value == pytest.approx(e**2 / 4 - e**3 / 6, rel=1e-9)


@pytest.mark.parametrize("shape", [(2,), (5,), (2, 3), (4, 5), (3, 2, 4)])
def test_field_is_a_matrix(shape):
    beta, mass, stiffness = 1.3, 0.4, 0.7
    A = stiffness * laplacian(shape) + mass**2 * np.eye(math.prod(shape))
    assert gaussian.field_log_z(shape, beta, mass, stiffness) == pytest.approx(
        gaussian.log_z(A, beta), rel=ROUNDING, abs=ROUNDING
    )
    expected = np.linalg.inv(beta * A)[0].reshape(shape)
    correlation = gaussian.field_correlation(shape, beta, mass, stiffness)
    np.testing.assert_allclose(correlation, expected, atol=ROUNDING)


def test_field_of_a_long_ring_decays_with_its_mass():
    """G(r) ~ e^(-mu r), 2 cosh mu = 2 + m^2 / kappa."""
    correlation = gaussian.field_correlation((400,), 1.0, mass=0.5, stiffness=2.0)
    mu = math.acosh(1 + 0.25 / 4.0)
    assert correlation[31] / correlation[30] == pytest.approx(math.exp(-mu), rel=1e-10)


def test_shapes():
    betas = np.array([[0.5, 1.0]])
    assert gaussian.log_z(np.eye(2), betas).shape == (1, 2)
    assert gaussian.field_log_z((3, 3), betas, 1.0)[0, 1] == gaussian.field_log_z((3, 3), 1.0, 1.0)
    assert type(gaussian.log_z([[2.0]])) is float


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([1.0, 2.0], "square matrix"),
        (np.zeros((0, 0)), "square matrix"),
        ([[1.0, 0.5], [0.0, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive definite.*-1"),
        ([[math.nan]], "NaN"),
        ([[math.inf]], "NaN or infinite"),
        ("wide", "real number"),
    ],
)
def test_bad_matrices(matrix, message):
    for function in (gaussian.log_z, gaussian.entropy):
        with pytest.raises(InvalidInput, match=message):
            function(matrix)
    with pytest.raises(InvalidInput, match=message):
        gaussian.kl(0.0, [[1.0]], 0.0, matrix)
    with pytest.raises(InvalidInput, match=message):
        gaussian.kl(0.0, matrix, 0.0, [[1.0]])


def test_bad_arguments():
    for beta in (0.0, -1.0, math.nan, [1.0, 0.0]):
        with pytest.raises(InvalidInput, match="beta"):
            gaussian.log_z(np.eye(2), beta)
    for source in ([1.0, 2.0, 3.0], math.nan):
        with pytest.raises(InvalidInput, match="source"):
            gaussian.log_z(np.eye(2), 1.0, source)
    for means in ([0.0, 1.0, 2.0], math.inf):
        with pytest.raises(InvalidInput, match="do not fit"):
            gaussian.kl(means, np.eye(2), 0.0, np.eye(2))
    with pytest.raises(InvalidInput, match="do not fit"):
        gaussian.kl(0.0, np.eye(2), 0.0, np.eye(3))
    for shape, mass, stiffness in [((), 1.0, 1.0), ((4,), 0.0, 1.0), ((4,), 1.0, -1.0)]:
        with pytest.raises(InvalidInput, match="mass > 0"):
            gaussian.field_log_z(shape, 1.0, mass, stiffness)
    for shape in (4, (1, 4), (2.5,)):
        with pytest.raises(InvalidInput, match="side"):
            gaussian.field_log_z(shape, 1.0, 1.0)
    with pytest.raises(InvalidInput, match="one number"):
        gaussian.field_correlation((4,), [1.0, 2.0], 1.0)
