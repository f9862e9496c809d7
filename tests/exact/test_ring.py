"""The ring against enumeration with and without a field, its closed form, and thermodynamics."""

import collections
import functools
import itertools
import math

import mpmath
import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import ring

# A few dozen operations whose terms have one sign: a hundred roundings of 2.2e-16. Second
# derivatives of competing ground states subtract terms of order (beta J)^2 < 1e3.
ROUNDING = 2.2e-14
FUNCTIONS = [
    ring.log_z,
    ring.energy_per_site,
    ring.specific_heat,
    ring.entropy_per_site,
    ring.magnetization,
]


@functools.cache
def levels(L, distance=0):
    """{(sum of bonds, magnetisation): (states, sum of s_0 s_distance)}; two bonds at L = 2."""
    counts = collections.defaultdict(lambda: np.zeros(2, dtype=int))
    for spins in itertools.product((-1, 1), repeat=L):
        bonds = sum(spins[i] * spins[i - 1] for i in range(L))
        counts[bonds, sum(spins)] += (1, spins[0] * spins[distance % L])
    return {key: tuple(value.tolist()) for key, value in counts.items()}


def enumerated(L, beta, J, h, distance=0):
    """log Z, U/L, C/L, S/L, <s>, <s_0 s_distance> at a precision beyond any cancellation."""
    with mpmath.workdps(60 + int(10 * L * beta * (abs(J) + abs(h)) / 2)):
        J, h, b = mpmath.mpf(J), mpmath.mpf(h), mpmath.mpf(beta)
        terms = [
            (-J * bonds - h * spins, spins, states, pairs)
            for (bonds, spins), (states, pairs) in levels(L, distance).items()
        ]
        lowest = min(term[0] for term in terms)
        weights = [mpmath.exp(-b * (energy - lowest)) for energy, *_ in terms]

        def mean(values):
            return mpmath.fsum(w * v for w, v in zip(weights, values, strict=True)) / Z

        Z = mpmath.fsum(w * term[2] for w, term in zip(weights, terms, strict=True))
        above = mean(term[2] * (term[0] - lowest) for term in terms)
        variance = mean(term[2] * (term[0] - lowest - above) ** 2 for term in terms)
        results = (
            mpmath.log(Z) - b * lowest,
            (lowest + above) / L,
            b**2 * variance / L,
            (mpmath.log(Z) + b * above) / L,
            mean(term[2] * term[1] for term in terms) / L,
            mean(term[3] for term in terms),
        )
        return [float(x) for x in results]


@pytest.mark.parametrize("beta", [0.0, 1e-6, 0.3, 1.0, 2.3, 10.0])
@pytest.mark.parametrize("field", [0.0, 0.2, -1.3, 2.0])
@pytest.mark.parametrize("coupling", [1.0, -1.0, 0.7, 0.0])
@pytest.mark.parametrize("L", [2, 5, 6])
def test_enumeration(L, coupling, field, beta):
    for distance in (1, L // 2):
        *expected, pair = enumerated(L, beta, coupling, field, distance)
        got = [function(L, beta, coupling, field) for function in FUNCTIONS]
        assert got == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)
        correlation = ring.correlation(distance, L, beta, coupling, field)
        assert correlation == pytest.approx(pair, rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("beta", [2.0, 5.0, 30.0])
@pytest.mark.parametrize(
    ("L", "coupling", "field"), [(6, 1.0, 0.0), (6, -0.7, 0.0), (7, 1.0, 0.0), (7, 0.8, 0.3)]
)
def test_relative_accuracy_at_low_temperature(L, coupling, field, beta):
    """Entropy and specific heat are sums of small exponentials, and keep their digits down to
    1e-50."""
    # The exponent itself, up to 4 beta J = 120 or 16 beta h L, is rounded: 300 roundings.
    expected = enumerated(L, beta, coupling, field)
    assert ring.specific_heat(L, beta, coupling, field) == pytest.approx(
        expected[2], rel=10 * ROUNDING, abs=0
    )
    assert ring.entropy_per_site(L, beta, coupling, field) == pytest.approx(
        expected[3], rel=10 * ROUNDING, abs=0
    )


@pytest.mark.parametrize("L", [2, 5, 8, 64, 1000])
def test_closed_form_without_a_field(L):
    for K in (0.1, 1.0, 3.0, -0.5):
        t = mpmath.tanh(mpmath.mpf(K))
        u = -math.copysign(1, K) * (t + t ** (L - 1)) / (1 + t**L)
        log_z = L * mpmath.log(2 * mpmath.cosh(K)) + mpmath.log1p(t**L)
        coupling = math.copysign(1, K)
        assert ring.energy_per_site(L, abs(K), coupling) == pytest.approx(
            float(u), rel=ROUNDING, abs=0
        )
        assert ring.log_z(L, abs(K), coupling) == pytest.approx(float(log_z), rel=ROUNDING, abs=0)
        for r in (1, L // 2):
            pair = (t**r + t ** (L - r)) / (1 + t**L)
            assert ring.correlation(r, L, abs(K), coupling) == pytest.approx(
                float(pair), rel=ROUNDING, abs=0
            )


def test_closed_form_rejects_an_open_chain():
    assert abs(ring.energy_per_site(8, 1.0) + math.tanh(1)) > 1e-3


def test_thermodynamics_by_finite_differences():
    L, J, h, step = 7, 0.8, 0.3, 1e-3
    beta = np.array([0.2, 0.7, 1.5, 2.0])
    # Five points: step^4/30 = 3e-14 times a fifth derivative of order 1e3; rounding adds eps L /
    # step.
    shifts, weights = np.array([-2, -1, 1, 2]) * step, np.array([1, -8, 8, -1]) / (12 * step)
    log_z = np.array([ring.log_z(L, beta + shift, J, h) for shift in shifts])
    energy = np.array([ring.energy_per_site(L, beta + shift, J, h) for shift in shifts])
    in_field = np.array([ring.log_z(L, beta, J, h + shift) for shift in shifts])
    np.testing.assert_allclose(
        -weights @ log_z / L, ring.energy_per_site(L, beta, J, h), atol=1e-10
    )
    np.testing.assert_allclose(
        -(beta**2) * (weights @ energy), ring.specific_heat(L, beta, J, h), atol=1e-10
    )
    np.testing.assert_allclose(
        weights @ in_field / (L * beta), ring.magnetization(L, beta, J, h), atol=1e-10
    )
    np.testing.assert_allclose(
        ring.log_z(L, beta, J, h) / L + beta * ring.energy_per_site(L, beta, J, h),
        ring.entropy_per_site(L, beta, J, h),
        atol=ROUNDING,
    )


def test_energy_is_made_of_correlation_and_magnetization():
    for L, beta, J, h in [(9, 0.8, 1.0, 0.3), (9, 1.5, -1.0, 0.4), (10, 0.5, -0.6, -1.0)]:
        expected = -J * ring.correlation(1, L, beta, J, h) - h * ring.magnetization(L, beta, J, h)
        assert ring.energy_per_site(L, beta, J, h) == pytest.approx(expected, rel=ROUNDING)


def test_field_and_its_reverse():
    for function in FUNCTIONS[:4]:
        assert function(9, 0.8, 1.0, -0.3) == function(9, 0.8, 1.0, 0.3)
    assert ring.magnetization(9, 0.8, 1.0, -0.3) == -ring.magnetization(9, 0.8, 1.0, 0.3)
    assert ring.magnetization(9, 0.8, 1.0, 0.3) > 0
    assert ring.magnetization(9, 0.8) == 0.0


@pytest.mark.parametrize("beta", [50.0, 1000.0])
def test_zero_temperature(beta):
    assert ring.entropy_per_site(8, beta) == pytest.approx(math.log(2) / 8, rel=1e-14)
    # An odd antiferromagnet has one unhappy bond in L places, and two ground states for each.
    L = 9
    assert ring.energy_per_site(L, beta, -1.0) == pytest.approx(-(L - 2) / L, rel=1e-14)
    assert ring.entropy_per_site(L, beta, -1.0) == pytest.approx(math.log(2 * L) / L, rel=1e-14)
    # The unhappy bond is among the r bonds in between with probability r/L.
    r = np.arange(L + 1)
    expected = (-1.0) ** r * (1 - 2 * r / L)
    np.testing.assert_allclose(ring.correlation(r, L, beta, -1.0), expected, atol=1e-14)
    # Either direction of the odd spin out, decided by the field beside the temperature.
    uneven = math.tanh(beta * 0.2) / L
    assert ring.magnetization(L, beta, -1.0, 0.2) == pytest.approx(uneven, rel=1e-14, abs=0)
    assert ring.magnetization(L, beta, 1.0, 1.0) == 1.0


def test_long_rings():
    # With L = 10^9 only the largest eigenvalue is left.
    beta, h = 0.5, 0.3
    root = math.sqrt(math.exp(2 * beta) * math.sinh(beta * h) ** 2 + math.exp(-2 * beta))
    largest = math.exp(beta) * math.cosh(beta * h) + root
    assert ring.log_z(10**9, beta, 1.0, h) == pytest.approx(1e9 * math.log(largest), rel=ROUNDING)
    assert ring.magnetization(10**9, beta, 1.0, h) == pytest.approx(
        math.exp(beta) * math.sinh(beta * h) / root, rel=ROUNDING
    )


def test_open_chain():
    for L, beta, J in [(1, 0.7, 1.0), (2, 0.3, -1.0), (7, 1.2, 0.8)]:
        states = np.array(list(itertools.product((-1, 1), repeat=L)))
        energy = -J * (states[:, 1:] * states[:, :-1]).sum(1)
        expected = math.log(np.exp(-beta * energy).sum())
        assert ring.open_log_z(L, beta, J) == pytest.approx(expected, rel=ROUNDING)
    assert ring.open_log_z(5, 0.0) == pytest.approx(5 * math.log(2), rel=1e-15)
    assert ring.open_log_z(5, 1e4) == pytest.approx(4e4 + math.log(2), rel=1e-15)


def test_shapes_are_kept():
    beta = np.array([[0.1, 0.4, 0.5], [0.0, 1.0, 60.0]])
    for function in [*FUNCTIONS, ring.open_log_z]:
        assert function(6, beta).shape == (2, 3)
        assert function(6, beta)[1, 1] == function(6, 1.0)
        assert type(function(np.int64(6), 1.0)) is float
    assert ring.correlation([[0, 1, 2]], 6, 0.5).shape == (1, 3)
    assert type(ring.correlation(2, 6, 0.5)) is float
    assert ring.correlation([0, 6], 6, 0.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((6, -0.1), "finite and >= 0"),
        ((6, math.nan), "finite and >= 0"),
        ((6, "hot"), "real number"),
        ((1, 0.4), "L must be a whole number >= 2"),
        ((6.0, 0.4), "L must be a whole number"),
        ((6, 0.4, math.inf), "coupling must be finite"),
        ((6, 0.4, 1.0, math.nan), "field must be finite"),
    ],
)
def test_bad_input(arguments, message):
    for function in [*FUNCTIONS, functools.partial(ring.correlation, 1)]:
        with pytest.raises(InvalidInput, match=message):
            function(*arguments)


def test_bad_distances():
    for r in (-1, 7, 1.5, [0, 9]):
        with pytest.raises(InvalidInput, match="r counts steps"):
            ring.correlation(r, 6, 0.5)
    with pytest.raises(InvalidInput, match="one beta"):
        ring.correlation(1, 6, [0.5, 0.6])
    with pytest.raises(InvalidInput, match="L must be a whole number >= 1"):
        ring.open_log_z(0, 0.5)
