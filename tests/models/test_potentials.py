"""Potentials that samplers are tried on: published numbers, exact log Z and draws, quadrature."""

import numpy as np
import pytest
from scipy.stats import norm
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import plane, quadrature
from statmech_ml.models import Funnel, MuellerBrown, RingOfWells, Rosenbrock

# Mueller and Brown (1979), fig. 1 and table 1, and later tabulations: three minima, two saddles.
STATIONARY = {
    (-0.558224, 1.441726): -146.6995,
    (-0.050011, 0.466694): -80.7678,
    (0.623499, 0.028038): -108.1667,
    (-0.822002, 0.624313): -40.6648,
    (0.212487, 0.292988): -72.2489,
}


def test_mueller_brown_has_the_published_minima_and_saddles():
    x, energies = np.array(list(STATIONARY)), np.array(list(STATIONARY.values()))
    model = MuellerBrown()
    assert model.energy(x) == pytest.approx(energies, abs=1e-3)
    assert np.abs(model.reduced_gradient(x, 1.0)).max() < 2e-3
    step = 1e-4
    shifts = step * np.array([[1.0, 0.0], [0.0, 1.0]])
    slopes = [
        model.reduced_gradient(x + s, 1.0) - model.reduced_gradient(x - s, 1.0) for s in shifts
    ]
    hessians = np.stack(slopes, axis=1) / (2 * step)
    downhill = (np.linalg.eigvalsh(hessians) < 0.0).sum(axis=1)
    assert downhill.tolist() == [0, 0, 0, 1, 1]


def test_mueller_brown_from_the_formula():
    A, a, b = [-200, -100, -170, 15], [-1, -1, -6.5, 0.7], [0, 0, 11, 0.6]
    c, x0, y0 = [-10, -10, -6.5, 0.7], [1, 0, -0.5, -1], [0, 0.5, 1.5, 1]
    x, y = np.random.default_rng(1).normal(size=(2, 50))
    total = 0.0
    for k in range(4):
        dx, dy = x - x0[k], y - y0[k]
        total += A[k] * np.exp(a[k] * dx**2 + b[k] * dx * dy + c[k] * dy**2)
    found = MuellerBrown(scale=0.1).energy(np.stack([x, y], axis=1))
    assert found == pytest.approx(0.1 * total, rel=1e-12)


@pytest.mark.parametrize("model", [MuellerBrown(), Funnel(3), Rosenbrock(), RingOfWells()])
def test_far_out_nothing_overflows_and_at_the_origin_nothing_divides(model):
    n = model.space.size
    x = np.array([np.zeros(n), np.full(n, 60.0), np.full(n, -60.0)])
    assert np.isfinite(model.energy(x)).all()
    assert np.isfinite(model.reduced_gradient(x, 1.0)).all()
    with np.errstate(all="raise"):
        arrays = model.arrays
        far = np.full(n, -1e4)
        assert arrays.energy(far) > 1e3
        arrays.gradient(far, np.empty(n))


# --- log Z ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.6, 1.0, 1.7])
def test_log_z_of_rosenbrock_by_quadrature(beta):
    model = Rosenbrock(a=1.2, b=1.5, mu=0.4)
    box = ((-6.0, 7.0), (-6.0, 30.0))
    found = plane.log_z(lambda x: model.reduced_energy(x, beta), box, rtol=1e-9)
    assert model.log_z(beta) == pytest.approx(found.value, abs=1e-8)


@pytest.mark.parametrize("beta", [0.6, 1.0, 1.7])
def test_log_z_of_the_funnel_by_quadrature(beta):
    """The integral over each x_i is done numerically too, at every v."""
    model = Funnel(dim=4, stddev=1.3)
    t = np.linspace(-12.0, 12.0, 241)

    def u(v):
        x = t[None, :] * np.exp(0.5 * v)[:, None] / np.sqrt(beta)
        points = np.stack([np.broadcast_to(v[:, None], x.shape), x], axis=-1)
        pair = Funnel(dim=2, stddev=1.3).reduced_energy(points, beta)
        alone = beta * v**2 / (2 * 1.3**2)
        width = np.exp(0.5 * v) / np.sqrt(beta) * (t[1] - t[0])
        return alone - 3 * np.log(np.exp(alone[:, None] - pair).sum(axis=1) * width)

    assert model.log_z(beta) == pytest.approx(quadrature.log_z(u, -20.0, 25.0).value, abs=1e-8)


def test_blocks_of_rosenbrock_are_independent_given_their_origin():
    """log Z adds up, and the energy is that of the parts."""
    model, pair = Rosenbrock(0.7, 1.1, 0.2, blocks=2), Rosenbrock(0.7, 1.1, 0.2)
    x = np.random.default_rng(2).normal(size=(20, 3))
    first = Rosenbrock(0.7, 1.1, 0.2).energy(x[:, :2])
    second = pair.energy(x[:, [0, 2]]) - 0.7 * (x[:, 0] - 0.2) ** 2
    assert model.energy(x) == pytest.approx(first + second)
    extra = 0.5 * np.log(np.pi / 1.1)
    assert model.log_z() == pytest.approx(pair.log_z() + extra)
    chain = Rosenbrock(0.7, 1.1, 0.2, length=2)
    third = 1.1 * (x[:, 2] - x[:, 1] ** 2) ** 2
    assert chain.energy(x) == pytest.approx(first + third)


def test_wells_and_barriers_of_the_ring():
    model = RingOfWells(n_wells=5, radius=1.7, height=6.0, barrier=2.4)
    angle = 2 * np.pi * np.arange(10) / 10
    circle = 1.7 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert model.energy(circle) == pytest.approx(np.tile([0.0, 2.4], 5), abs=1e-12)
    assert np.abs(model.reduced_gradient(circle, 1.0)).max() < 1e-12
    assert model.energy([0.0, 0.0]) == pytest.approx(6.0 + 1.2)
    x = 2.0 * np.random.default_rng(3).normal(size=(100, 2))
    rho, phi = np.hypot(*x.T) / 1.7, np.arctan2(x[:, 1], x[:, 0])
    g = 1.0 / np.cosh(5 * np.log(rho))
    expected = 6.0 * (rho**2 - 1) ** 2 + 1.2 * (1 - g * np.cos(5 * phi)) + 0.3 * x[:, 0]
    assert RingOfWells(5, 1.7, 6.0, 2.4, 0.3).energy(x) == pytest.approx(expected)


def test_a_plane_in_polar_coordinates():
    """log Z of the ring by another rule: angles by the trapezoid, radii adaptively."""
    model, n = RingOfWells(3, radius=1.2, height=2.0, barrier=1.5, tilt=0.4), 256
    angle = 2 * np.pi * np.arange(n) / n

    def u(r):
        points = r[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return -np.log(r * np.exp(-model.reduced_energy(points, 0.8)).mean(axis=1) * 2 * np.pi)

    radial = quadrature.log_z(u, 0.0, 8.0)
    box = ((-6.0, 6.0), (-6.0, 6.0))
    found = plane.log_z(lambda x: model.reduced_energy(x, 0.8), box)
    assert found.value == pytest.approx(radial.value, abs=1e-9)


# --- draws ----------------------------------------------------------------------------------------


def uniform(model, x, beta):
    """Coordinates in which the model at beta is uniform on the unit cube, from the densities."""
    out = np.empty(x.shape)
    if isinstance(model, Funnel):
        stddev = model.arrays.stddev
        slope = 0.5 * (1.0 - beta) * (x.shape[1] - 1)
        out[:, 0] = norm.cdf(x[:, 0], slope * stddev**2 / beta, stddev / np.sqrt(beta))
        out[:, 1:] = norm.cdf(x[:, 1:], scale=np.exp(0.5 * x[:, :1]) / np.sqrt(beta))
        return out
    a, b, mu, length = model.arrays
    out[:, 0] = norm.cdf(x[:, 0], mu, 1.0 / np.sqrt(2 * a * beta))
    for k in range(1, x.shape[1]):
        before = x[:, 0] if (k - 1) % length == 0 else x[:, k - 1]
        out[:, k] = norm.cdf(x[:, k], before**2, 1.0 / np.sqrt(2 * b * beta))
    return out


def drawn(model, beta, other=None):
    def run(seed, scale):
        x = (other or model).draws(seed, np.arange(5000 * scale, dtype=np.uint32), beta)
        cells = (3 * uniform(model, x, beta)).astype(int) @ 3 ** np.arange(x.shape[1])
        n = 3 ** x.shape[1]
        return {repr(model): chi_square(np.bincount(cells, minlength=n), np.full(n, 1 / n))}

    return run


@pytest.mark.parametrize("beta", [0.7, 1.0])
@pytest.mark.parametrize(
    "model", [Funnel(3, stddev=1.4), Rosenbrock(0.6, 1.4, -0.5, blocks=2, length=2)]
)
def test_draws_have_the_exact_law(model, beta, seed):
    assert_distribution(drawn(model, beta), seed)


def test_draws_of_another_width_are_refuted(seed):
    assert_refuted(drawn(Funnel(3, stddev=1.4), 0.7, other=Funnel(3, stddev=1.8)), seed)
    assert_refuted(drawn(Rosenbrock(0.6, 1.4), 1.0, other=Rosenbrock(0.6, 0.9)), seed)


@pytest.mark.parametrize("model", [Funnel(3, stddev=1.4), Rosenbrock(0.6, 1.4, -0.5, blocks=2)])
def test_the_density_of_the_draws_is_that_of_the_energy(model):
    """exp(-beta E) / Z is the product of the conditional densities that `draws` samples."""
    x, step = np.random.default_rng(4).normal(size=(30, model.space.size)), 1e-5
    for beta in (0.7, 1.0):
        jacobian = 1.0
        for k in range(x.shape[1]):  # triangular: each coordinate given those before it
            shift = step * np.eye(x.shape[1])[k]
            up, down = uniform(model, x + shift, beta), uniform(model, x - shift, beta)
            jacobian = jacobian * (up - down)[:, k] / (2 * step)
        log_density = -model.reduced_energy(x, beta) - model.log_z(beta)
        assert np.log(jacobian) == pytest.approx(log_density, abs=1e-5)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MuellerBrown, {"scale": 0.0}),
        (Rosenbrock, {"a": -1.0}),
        (Rosenbrock, {"b": np.nan}),
        (Rosenbrock, {"blocks": 0}),
        (Rosenbrock, {"length": 1.5}),
        (Funnel, {"dim": 1}),
        (Funnel, {"stddev": 0.0}),
        (RingOfWells, {"n_wells": 1}),
        (RingOfWells, {"n_wells": True}),
        (RingOfWells, {"radius": -1.0}),
        (RingOfWells, {"tilt": np.inf}),
    ],
)
def test_potentials_that_cannot_be(kind, arguments):
    with pytest.raises(InvalidInput):
        kind(**arguments)


@pytest.mark.parametrize("model", [Funnel(3), Rosenbrock()])
def test_log_z_and_draws_need_a_positive_beta(model):
    for beta in (0.0, -1.0, np.inf):
        with pytest.raises(InvalidInput, match="beta"):
            model.log_z(beta)
        with pytest.raises(InvalidInput, match="beta"):
            model.draws(1, np.arange(3, dtype=np.uint32), beta)
