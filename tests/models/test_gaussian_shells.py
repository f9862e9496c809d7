"""The shells against their formula, their log Z against quadrature, and what is refused."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma, logsumexp
from scipy.stats import norm

from statmech_ml.errors import InvalidInput
from statmech_ml.models import GaussianShells


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_energy_from_the_formula(dim):
    x = 2.0 * np.random.default_rng(0).normal(size=(60, dim))
    centre = np.zeros(dim)
    centre[0] = 1.75
    each = [
        norm.logpdf(np.linalg.norm(x - c, axis=1), loc=2.0, scale=0.3) for c in (centre, -centre)
    ]
    model = GaussianShells(dim, radius=2.0, width=0.3, distance=3.5)
    assert model.energy(x) == pytest.approx(-logsumexp(each, axis=0), rel=1e-12)


def test_far_out_and_at_the_centres_nothing_overflows():
    model = GaussianShells(dim=2, distance=2.0)
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [1e4, 0.0], [-1e4, 3.0]])
    assert np.isfinite(model.energy(x)).all()
    assert np.isfinite(model.reduced_gradient(x, 1.0)).all()


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("radius", [0.4, 2.0])
def test_log_z_by_quadrature(dim, radius):
    """Two spheres, each the area of the unit sphere times a radial integral; wide ones too."""
    width = 0.3
    radial, _ = quad(
        lambda r: r ** (dim - 1) * norm.pdf(r, radius, width), 0, radius + 12 * width, epsabs=0
    )
    area = 2 * np.pi ** (dim / 2) / gamma(dim / 2)
    model = GaussianShells(dim, radius, width, distance=50.0)
    assert model.log_z() == pytest.approx(np.log(2 * area * radial), abs=1e-8)


def test_log_z_by_a_sum_over_a_grid():
    """Overlapping shells are a sum too, so log Z does not depend on the distance."""
    model = GaussianShells(2, radius=1.0, width=0.3, distance=1.2)
    axis, step = np.linspace(-6, 6, 601, retstep=True)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    total = np.log(np.exp(-model.energy(grid)).sum() * step**2)
    assert model.log_z() == pytest.approx(total, abs=1e-3)  # cusps at the centres


@pytest.mark.parametrize(
    "arguments",
    [
        {"radius": 0.0},
        {"width": -0.1},
        {"width": np.nan},
        {"distance": np.inf},
        {"radius": "a"},
        {"dim": 0},
        {"width": [0.1, 0.2]},
    ],
)
def test_shells_that_cannot_be(arguments):
    with pytest.raises(InvalidInput):
        GaussianShells(**arguments)


def test_log_z_is_known_at_beta_one_only():
    with pytest.raises(InvalidInput, match="beta = 1 only"):
        GaussianShells().log_z(0.5)
