"""Quadrature against integrals known in closed form: values within their error bounds, and
refusals."""

import math

import numpy as np
import pytest
from scipy.special import gammaln, ive, kve

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import quadrature

inf = math.inf
ROOT_TWO_PI = math.log(2 * math.pi) / 2


def gauss(mean, sd):
    return lambda x: 0.5 * ((x - mean) / sd) ** 2


def mixture(means, sds, log_weights):
    """Energy of a sum of Gaussians whose log Z is logaddexp of the weights."""

    def u(x):
        terms = [
            w - 0.5 * ((x - m) / s) ** 2 - math.log(s) - ROOT_TWO_PI
            for m, s, w in zip(means, sds, log_weights, strict=True)
        ]
        return -np.logaddexp.reduce(terms, axis=0)

    return u


def scalar_only(x):
    if x > 0:
        return x**4
    return math.pow(x, 4)


# name: energy, interval, exact log Z, bound that the error estimate itself must meet.
KNOWN = {
    "gauss": (gauss(0.3, 1.0), (-inf, inf), ROOT_TWO_PI, 1e-14),
    "energy 1e6": (lambda x: 0.5 * x**2 + 1e6, (-inf, inf), ROOT_TWO_PI - 1e6, 1e-8),
    "energy -1e6": (lambda x: 0.5 * x**2 - 1e6, (-inf, inf), ROOT_TWO_PI + 1e6, 1e-8),
    "narrow": (gauss(1000, 1e-3), (-inf, inf), ROOT_TWO_PI + math.log(1e-3), 1e-8),
    "wide": (gauss(0, 1e9), (-inf, inf), ROOT_TWO_PI + math.log(1e9), 1e-13),
    "far": (gauss(-1e8, 3.0), (-inf, inf), ROOT_TWO_PI + math.log(3), 1e-6),
    "quartic": (lambda x: x**4, (-inf, inf), math.log(2) + gammaln(1.25), 1e-12),
    "scalar function": (scalar_only, (-inf, inf), math.log(2) + gammaln(1.25), 1e-12),
    "cosh": (lambda x: 20 * np.cosh(x), (-inf, inf), math.log(2 * kve(0, 20)) - 20, 1e-12),
    "cauchy": (lambda x: np.log1p(x**2), (-inf, inf), math.log(math.pi), 1e-12),
    "student t": (
        lambda x: 0.75 * np.log1p(x**2),
        (-inf, inf),
        0.5 * math.log(math.pi) + gammaln(0.25) - gammaln(0.75),
        1e-12,
    ),
    "laplace": (lambda x: np.abs(x - 0.3), (-inf, inf), math.log(2), 1e-12),
    "exponential": (lambda x: x, (0, inf), 0.0, 1e-12),
    "exponential down": (lambda x: -x, (-inf, 5), 5.0, 1e-12),
    "edge": (lambda x: 1e12 * x, (0, 1), -math.log(1e12), 1e-12),
    "gamma 1/2": (lambda x: x + 0.5 * np.log(x), (0, inf), 0.5 * math.log(math.pi), 1e-10),
    "power -0.7": (lambda x: 0.7 * np.log(x), (0, 1), math.log(1 / 0.3), 1e-10),
    "zero at 0": (lambda x: 0.5 * x**2 - np.log(x**2), (-inf, inf), ROOT_TWO_PI, 1e-12),
    "angle": (
        lambda x: -50 * np.cos(x),
        (-math.pi, math.pi),
        math.log(2 * math.pi * ive(0, 50)) + 50,
        1e-11,
    ),
    "constant": (lambda x: 0.0, (2, 5), math.log(3), 1e-13),
    "walls": (lambda x: np.where(np.abs(x - 0.123) < 1, 0.0, inf), (-inf, inf), math.log(2), 1e-12),
    "double well": (
        mixture([-1, 1], [0.1, 0.2], [0.0, 0.0]),
        (-inf, inf),
        math.log(2),
        1e-12,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_integrals(name):
    energy, interval, exact, promised = KNOWN[name]
    value, error = quadrature.log_z(energy, *interval)
    # The bound holds, up to the rounding of the closed form itself.
    assert abs(value - exact) <= error + 4e-16 * max(1.0, abs(exact))
    assert 0 < error <= promised


@pytest.mark.parametrize("rtol", [1e-2, 1e-6, 1e-12])
def test_error_is_within_the_tolerance_and_honest(rtol):
    for energy, exact in [
        (lambda x: 0.5 * x**2 + np.cos(40 * x), None),
        (lambda x: 0.3 * np.log(x), math.log(1 / 0.7)),
        (lambda x: np.where(x < 0.123, 0.0, 1.0), math.log(0.123 + 0.877 / math.e)),
    ]:
        interval = (-inf, inf) if exact is None else (0, 1)
        value, error = quadrature.log_z(energy, *interval, rtol=rtol)
        if exact is None:
            exact = quadrature.log_z(energy, rtol=1e-13).value
        assert abs(value - exact) <= error + 1e-15
        assert error <= rtol


def test_random_mixtures_named_by_points(seed):
    """Every value lies within its bound, for modes of all widths at all distances."""
    rng = np.random.default_rng(seed)
    for _ in range(30):
        n = rng.integers(1, 5)
        means = rng.normal(size=n) * 10.0 ** rng.uniform(-3, 4, size=n)
        sds = 10.0 ** rng.uniform(-2, 3, size=n)
        log_weights = 3 * rng.normal(size=n)
        energy = mixture(means, sds, log_weights)
        log_z = np.logaddexp.reduce(log_weights)
        value, error = quadrature.log_z(energy, points=means)
        assert abs(value - log_z) <= error
        shares = np.exp(log_weights - log_z)
        value, error = quadrature.mean(energy, lambda x: x, points=means)
        assert abs(value - shares @ means) <= error + 1e-15 * (shares @ np.abs(means))


@pytest.mark.parametrize("rtol", [1e-3, 1e-10])
def test_jumps_without_a_name(rtol, seed):
    rng = np.random.default_rng(seed)
    for place, height in rng.uniform([0.01, -3], [0.99, 3], size=(50, 2)):
        value, error = quadrature.log_z(
            lambda x, a=place, h=height: np.where(x < a, 0.0, h), 0, 1, rtol=rtol
        )
        assert abs(value - math.log(place + (1 - place) * math.exp(-height))) <= error


def test_a_spike_on_a_background_needs_a_point():
    """What the module docstring warns of, and the cure it names."""
    energy = mixture([0.0, 333.3], [500.0, 1e-3], [0.0, 0.0])
    assert quadrature.log_z(energy).value == pytest.approx(0.0, abs=1e-6)
    value, error = quadrature.log_z(energy, points=[333.3])
    assert abs(value - math.log(2)) <= error < 1e-8


def test_wrong_tail_is_rejected():
    """The bound has power: a Gaussian cut off at 4 standard deviations is outside it."""
    value, error = quadrature.log_z(gauss(0, 1), -4, 4)
    assert abs(value - ROOT_TWO_PI) > 1e6 * error


@pytest.mark.parametrize(
    ("energy", "f", "interval", "exact"),
    [
        (gauss(3, 2), lambda x: x, (-inf, inf), 3.0),
        (gauss(0, 1), lambda x: x, (-inf, inf), 0.0),
        (gauss(0, 1), lambda x: x**4, (-inf, inf), 3.0),
        (gauss(0, 1), lambda x: np.cos(5 * x), (-inf, inf), math.exp(-12.5)),
        (gauss(0, 1), lambda x: 1, (-inf, inf), 1.0),
        (gauss(0, 1), lambda x: math.exp(min(x, 700.0)), (-inf, inf), math.exp(0.5)),
        (lambda x: np.abs(x), lambda x: np.abs(x) > 1, (-inf, inf), math.exp(-1)),
        (lambda x: 2 * np.log1p(x**2), lambda x: x**2, (-inf, inf), 1.0),
        (lambda x: x, lambda x: np.log(x), (0, inf), -np.euler_gamma),
        (lambda x: -50 * np.cos(x), np.cos, (-math.pi, math.pi), ive(1, 50) / ive(0, 50)),
    ],
)
def test_means(energy, f, interval, exact):
    value, error = quadrature.mean(energy, f, *interval)
    assert abs(value - exact) <= error + 4e-16 * abs(exact)
    assert error < 1e-9


def test_mean_energy_is_a_derivative_of_log_z():
    def energy(x):
        return (x**2 - 1) ** 2

    beta, h = 3.0, 1e-3
    log_z = [quadrature.log_z(lambda x, b=b: b * energy(x)).value for b in (beta - h, beta + h)]
    mean = quadrature.mean(lambda x: beta * energy(x), energy).value
    # h^2/6 = 2e-7 times a third cumulant of the energy, of order 0.1.
    assert mean == pytest.approx((log_z[0] - log_z[1]) / (2 * h), abs=1e-7)


@pytest.mark.parametrize(
    ("energy", "interval"),
    [
        (lambda x: 0 * x, (-inf, inf)),
        (lambda x: -(x**2), (-inf, inf)),
        (lambda x: np.log1p(np.abs(x)), (-inf, inf)),
        (lambda x: 1.0001 * np.log1p(np.abs(x)), (0, inf)),
        (lambda x: np.log(x), (0, 1)),
        (lambda x: np.log(np.abs(x)), (-1, 1)),
        (lambda x: 2 * np.log(np.abs(x - 0.3)), (0, 1)),
    ],
)
def test_divergent_integrals(energy, interval):
    with pytest.raises(InvalidInput, match="diverges"):
        quadrature.log_z(energy, *interval)


def test_divergent_mean():
    def cauchy(x):
        return np.log1p(x**2)

    with pytest.raises(InvalidInput, match="diverges"):
        quadrature.mean(cauchy, lambda x: x)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (lambda x: np.sqrt(x), "is nan"),
        (lambda x: x**2 - np.log(np.cosh(x)), "is -inf"),
        (lambda x: np.full_like(x, inf), r"\+inf at all"),
        (lambda x: math.exp(x * x), "overflows"),
        (lambda x: 1j * x, "one real number"),
        (lambda x: "a", "one real number"),
        (3.0, "must be a function"),
    ],
)
def test_bad_energies(energy, message):
    with pytest.raises(InvalidInput, match=message):
        quadrature.log_z(energy)


def test_bad_observable():
    with pytest.raises(InvalidInput, match=r"f\(.*\) is nan"):
        quadrature.mean(gauss(0, 1), np.log)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1.0, 1.0), {}, "in this order"),
        ((2.0, 1.0), {}, "in this order"),
        ((math.nan, 1.0), {}, "in this order"),
        (("a", 1.0), {}, "real number"),
        ((0.0, 1e200), {}, "use infinity"),
        ((0.0, 1.0), {"points": [2.0]}, "must be finite and lie in"),
        ((0.0, inf), {"points": [inf]}, "must be finite and lie in"),
        ((0.0, 1.0), {"rtol": 0.0}, "rtol is"),
        ((0.0, 1.0), {"rtol": math.nan}, "rtol must be finite"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(InvalidInput, match=message):
        quadrature.log_z(gauss(0, 1), *arguments, **options)
    with pytest.raises(InvalidInput, match=message):
        quadrature.mean(gauss(0, 1), np.cos, *arguments, **options)
