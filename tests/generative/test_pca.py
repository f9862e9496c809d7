"""PCA: eigenvalues, the error it leaves, and refusals."""

import math

import numpy as np
import pytest
from latent_checks import MEAN, rows

from statmech_ml.errors import InvalidInput
from statmech_ml.generative import PCA

LAMBDA = np.array([4.0, 2.0, 0.5, 0.25])


def test_error_is_the_discarded_variance():
    x = rows()
    for q in range(1, 5):
        pca = PCA.of(x, q)
        np.testing.assert_allclose(pca.eigenvalues, LAMBDA, rtol=1e-12)
        assert math.isclose(pca.discarded_variance, LAMBDA[q:].sum(), abs_tol=1e-12)
        assert math.isclose(pca.error(x).mean(), LAMBDA[q:].sum(), abs_tol=1e-12)
        np.testing.assert_allclose(pca.components @ pca.components.T, np.eye(q), atol=1e-12)
    np.testing.assert_allclose(pca.inverse(pca.transform(x)), x, rtol=1e-12)


def test_coordinates_are_uncorrelated_with_the_eigenvalues_as_variances():
    z = PCA.of(rows(), 3).transform(rows())
    np.testing.assert_allclose(z.T @ z / len(z), np.diag(LAMBDA[:3]), atol=1e-12)


def test_covariance_and_data_agree():
    x = rows()
    a, b = PCA.of(x, 2), PCA.of_covariance(np.cov(x.T, bias=True), 2, MEAN)
    np.testing.assert_allclose(a.components, b.components, atol=1e-12)
    np.testing.assert_allclose(a.mean, b.mean, atol=1e-12)
    assert (a.components.max(axis=1) == np.abs(a.components).max(axis=1)).all()


def test_noise_of_probabilistic_pca():
    assert math.isclose(PCA.of(rows(), 2).noise_variance, 0.375, rel_tol=1e-12)
    with pytest.raises(InvalidInput, match="noise"):
        _ = PCA.of(rows(), 4).noise_variance


def test_angles():
    pca = PCA.of_covariance(np.diag([3.0, 2.0, 1.0]), 1)
    np.testing.assert_allclose(pca.angles(np.array([[1.0], [1.0], [0.0]])), [math.pi / 4])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PCA.of(rows(), 5), "wider than the data"),
        (lambda: PCA.of(rows(), 0), "at least 1"),
        (lambda: PCA.of(rows() * math.nan, 2), "NaN"),
        (lambda: PCA.of(rows()[0], 2), "rows"),
        (lambda: PCA.of(np.ma.masked_array(rows()), 2), "mask"),
        (lambda: PCA.of_covariance(np.ones((2, 3)), 1), "square"),
        (lambda: PCA.of_covariance(np.eye(2), 1, mean=math.nan), "finite"),
        (lambda: PCA.of_covariance(np.eye(2), 1, mean=[0.0, 0.0, 0.0]), "mean"),
        (lambda: PCA.of(rows(), 2).angles(np.ones(4)), "columns"),
        (lambda: PCA.of(rows(), 2).transform(np.ma.masked_array(rows())), "masked"),
        (lambda: PCA.of_covariance([[1.0, 2.0], [2.0, 1.0]], 1), "no variance is negative"),
        (lambda: PCA.of_covariance([[1.0, 0.5], [0.0, 1.0]], 1), "symmetric"),
        (lambda: PCA.of(rows(), 2).transform(rows()[:, :3]), "4 sites"),
        (lambda: PCA.of(rows(), 2).transform(rows()[0]), "rows"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()
