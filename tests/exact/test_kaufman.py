"""Kaufman's formula against enumeration, its own four products at high precision, and Onsager."""

import functools
import math

import mpmath
import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import kaufman, onsager
from statmech_ml.exact._square import HIGH_TEMPERATURE_K, LOW_TEMPERATURE_K

CRITICAL_BETA = math.log(1 + math.sqrt(2)) / 2

# Sums of a few hundred terms of one sign, and next to the polygon series (w = 0.05) a cancellation
# of 1/w^2 = 400: a thousand roundings of 2.2e-16.
ROUNDING = 2.2e-13

TABLE_4X4 = {-32: 2, -24: 32, -20: 64, -16: 424, -12: 1728, -8: 6688, -4: 13568, 0: 20524}

# L: energy, specific heat, entropy per site at T_c; None where the course has no number.
AT_CRITICALITY = {
    4: (-1.5656237876, 0.7832668, 0.280169989),
    8: (-1.4915891074, 1.1455592, 0.282391704),
    16: (-1.4530648528, 1.4987050, 0.291849824),
    32: (-1.4336584661, 1.8467676, None),
    64: (-1.4239383898, None, None),
}


@functools.cache
def density_of_states(Lx, Ly):
    """{energy at J = 1: number of states}; rolling counts both bonds of a side of length 2."""
    states = np.arange(2 ** (Lx * Ly))[:, None] >> np.arange(Lx * Ly) & 1
    spins = (2 * states - 1).reshape(-1, Lx, Ly)
    bonds = spins * (np.roll(spins, 1, axis=1) + np.roll(spins, 1, axis=2))
    energies, counts = np.unique(-bonds.sum((1, 2)), return_counts=True)
    return dict(zip(energies.tolist(), counts.tolist(), strict=True))


def from_levels(levels, n_sites, beta, J=1.0):
    """(log Z, U/N, C/N, S/N) from a density of states, at a precision beyond any cancellation."""
    with mpmath.workdps(60 + int(30 * beta * abs(J))):
        b, J = mpmath.mpf(beta), mpmath.mpf(J)
        lowest = min(J * e for e in levels)
        weights = {e: g * mpmath.exp(-b * (J * e - lowest)) for e, g in levels.items()}
        Z = mpmath.fsum(weights.values())
        first = mpmath.fsum((J * e - lowest) * w for e, w in weights.items()) / Z
        second = mpmath.fsum((J * e - lowest - first) ** 2 * w for e, w in weights.items()) / Z
        log_z = mpmath.log(Z) - b * lowest
        entropy = mpmath.log(Z) + b * first
        return tuple(
            float(x)
            for x in (log_z, (lowest + first) / n_sites, b**2 * second / n_sites, entropy / n_sites)
        )


def four_products(m, n, K, sign_of_gamma_0=True):
    """log Z as Kaufman wrote it, in mpmath numbers."""
    c = mpmath.cosh(2 * K) / mpmath.tanh(2 * K)
    gamma = [mpmath.acosh(c - mpmath.cos(mpmath.pi * k / n)) for k in range(2 * n)]
    if sign_of_gamma_0:
        gamma[0] = 2 * K + mpmath.log(mpmath.tanh(K))
    total = mpmath.mpf(0)
    for first in (0, 1):
        for function in (mpmath.cosh, mpmath.sinh):
            total += mpmath.fprod(2 * function(m * g / 2) for g in gamma[first::2])
    return mpmath.log(total / 2) + m * n * mpmath.log(2 * mpmath.sinh(2 * K)) / 2


def from_products(m, n, beta):
    """(log Z, U/N, C/N, S/N) by numerical derivatives of the four products."""
    with mpmath.workdps(60 + int(30 * beta)):
        b = mpmath.mpf(beta)
        f, df, d2f = mpmath.diffs(lambda K: four_products(m, n, K), b, 2)
        N = m * n
        return tuple(float(x) for x in (f, -df / N, b**2 * d2f / N, (f - b * df) / N))


def ours(Lx, Ly, beta, coupling=1.0):
    return tuple(
        function(Lx, Ly, beta, coupling)
        for function in (
            kaufman.log_z,
            kaufman.energy_per_site,
            kaufman.specific_heat,
            kaufman.entropy_per_site,
        )
    )


# 0.1 and 0.22 use the series at high temperature, 0.8 and above that at low temperature.
BETAS = [0.1, 0.22, 0.23, 0.4, CRITICAL_BETA, 0.5, 0.74, 0.8, 2.0, 5.0, 50.0]


def test_density_of_states_of_the_4x4_torus():
    expected = TABLE_4X4 | {-energy: count for energy, count in TABLE_4X4.items()}
    assert density_of_states(4, 4) == expected


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("sides", [(2, 2), (2, 3), (5, 2), (3, 3), (3, 4), (4, 4)])
def test_enumeration(sides, beta):
    levels = density_of_states(*sides)
    expected = from_levels(levels, sides[0] * sides[1], beta)
    assert ours(*sides, beta) == pytest.approx(expected, rel=ROUNDING, abs=0)


@pytest.mark.parametrize("beta", [0.3, 0.9])
@pytest.mark.parametrize("coupling", [0.7, -0.7, -1.0])
@pytest.mark.parametrize("sides", [(2, 4), (4, 4)])
def test_coupling_of_either_sign_on_even_sides(sides, coupling, beta):
    expected = from_levels(density_of_states(*sides), sides[0] * sides[1], beta, coupling)
    assert ours(*sides, beta, coupling) == pytest.approx(expected, rel=ROUNDING, abs=0)


@pytest.mark.parametrize("beta", [0.05, 0.3, 0.43, CRITICAL_BETA, 0.45, 0.6, 0.76, 1.5])
@pytest.mark.parametrize("sides", [(8, 8), (5, 16), (3, 40), (17, 24), (2, 64)])
def test_four_products_at_high_precision(sides, beta):
    expected = from_products(*sides, beta)
    assert ours(*sides, beta) == pytest.approx(expected, rel=ROUNDING, abs=0)
    assert from_products(*sides[::-1], beta) == pytest.approx(expected, rel=ROUNDING, abs=0)


def test_four_products_reject_a_gamma_0_without_sign():
    with mpmath.workdps(40):
        wrong = float(four_products(8, 8, mpmath.mpf("0.43"), sign_of_gamma_0=False))
    assert abs(kaufman.log_z(8, 8, 0.43) / wrong - 1) > 1e3 * ROUNDING


@pytest.mark.parametrize("beta", [0.44, 0.441])
def test_4096_sites_a_side(beta):
    with mpmath.workdps(30):
        expected = float(four_products(4096, 4096, mpmath.mpf(beta)))
    assert kaufman.log_z(4096, 4096, beta) == pytest.approx(expected, rel=ROUNDING, abs=0)


@pytest.mark.parametrize("L", AT_CRITICALITY)
def test_numbers_at_criticality(L):
    energy, heat, entropy = AT_CRITICALITY[L]  # half of their last digit
    assert kaufman.energy_per_site(L, L, CRITICAL_BETA) == pytest.approx(energy, abs=5.1e-11)
    if heat is not None:
        assert kaufman.specific_heat(L, L, CRITICAL_BETA) == pytest.approx(heat, abs=5.1e-8)
    if entropy is not None:
        assert kaufman.entropy_per_site(L, L, CRITICAL_BETA) == pytest.approx(entropy, abs=5.1e-10)


@pytest.mark.parametrize("beta", [0.0, 0.2, 0.3, 0.6, 0.8, 3.0])
def test_large_lattices_become_the_infinite_one(beta):
    # The correlation length is below 4 at these temperatures, and e^{-256/4} is below rounding;
    # below T_c the second ground state adds log 2 to log Z and (log 2)/N to the entropy.
    L = 256
    two = math.log(2) if beta > CRITICAL_BETA else 0.0
    log_z, energy, heat, entropy = ours(L, L, beta)
    assert (log_z - two) / L**2 == pytest.approx(onsager.log_z_per_site(beta), rel=ROUNDING)
    assert energy == pytest.approx(onsager.energy_per_site(beta), rel=ROUNDING)
    assert heat == pytest.approx(onsager.specific_heat(beta), rel=ROUNDING)
    assert entropy - two / L**2 == pytest.approx(
        onsager.entropy_per_site(beta), rel=ROUNDING, abs=ROUNDING * two / L**2
    )


def test_finite_size_scaling_at_criticality():
    """Ferdinand and Fisher (1969): the limits of log Z - N log z, L (u - u_c) and C - A log L."""
    L = 1024
    bulk = onsager.log_z_per_site(CRITICAL_BETA)
    constant = kaufman.log_z(L, L, CRITICAL_BETA) - L**2 * bulk
    # Corrections are of order 1/L^2; N of 1e6 turns a rounding of log Z / N into 1e6 x 2e-16 at
    # least.
    assert constant == pytest.approx(math.log(2**0.25 + 2**-0.5), abs=2 / L**2 + 1e-9)
    shift = [
        side * (kaufman.energy_per_site(side, side, CRITICAL_BETA) + math.sqrt(2))
        for side in (L, 2 * L)
    ]
    assert shift[0] == pytest.approx(shift[1], abs=1 / L)
    heat = [kaufman.specific_heat(side, side, CRITICAL_BETA) for side in (L, 2 * L)]
    amplitude = 8 * CRITICAL_BETA**2 / math.pi
    assert heat[1] - heat[0] == pytest.approx(amplitude * math.log(2), abs=1 / L)


@pytest.mark.parametrize("sides", [(6, 10), (3, 7), (32, 32)])
def test_entropy_is_log_z_plus_beta_energy(sides):
    beta = np.linspace(0, 3, 61)
    log_z, energy, _, entropy = ours(*sides, beta)
    # Both terms are as large as 2 beta N = 6 N, and the entropy is their difference.
    difference = (log_z / (sides[0] * sides[1]) + beta * energy) - entropy
    assert np.max(np.abs(difference)) < 6 * ROUNDING


def test_derivatives_by_finite_differences():
    sides, beta, h = (6, 10), np.array([0.1, 0.3, 0.44, 0.6, 0.9]), 1e-3
    # Five points: the error is h^4/30 times a fifth derivative, of order 1e4 at T_c, which is 1e-9
    # for U, and the same for C; rounding adds eps log Z / h, of order 1e-11.
    shifts, weights = np.array([-2, -1, 1, 2]) * h, np.array([1, -8, 8, -1]) / (12 * h)
    log_z = np.array([kaufman.log_z(*sides, beta + shift) for shift in shifts]) / 60
    energies = np.array([kaufman.energy_per_site(*sides, beta + shift) for shift in shifts])
    np.testing.assert_allclose(-weights @ log_z, kaufman.energy_per_site(*sides, beta), atol=1e-8)
    np.testing.assert_allclose(
        -(beta**2) * (weights @ energies), kaufman.specific_heat(*sides, beta), atol=1e-8
    )


@pytest.mark.parametrize("K", [HIGH_TEMPERATURE_K, LOW_TEMPERATURE_K])
@pytest.mark.parametrize("sides", [(2, 3), (16, 16), (4096, 4096)])
def test_formulas_join_where_they_change(sides, K):
    below, above = np.nextafter(K, 0), np.nextafter(K, 1)
    assert ours(*sides, below) == pytest.approx(ours(*sides, above), rel=ROUNDING, abs=0)


def test_infinite_temperature():
    assert ours(5, 6, 0.0) == (pytest.approx(30 * math.log(2), rel=1e-15), 0.0, 0.0, math.log(2))
    assert ours(5, 6, 0.7, coupling=0.0) == ours(5, 6, 0.0)
    # To first order: U = -2 J beta J and C = 2 (beta J)^2 on sides longer than 2.
    assert kaufman.energy_per_site(5, 6, 1e-9) == pytest.approx(-2e-9, rel=ROUNDING)
    assert kaufman.specific_heat(5, 6, 1e-9) == pytest.approx(2e-18, rel=ROUNDING)


@pytest.mark.parametrize("beta", [50.0, 200.0, 1e200])
def test_zero_temperature(beta):
    log_z, energy, heat, entropy = ours(64, 32, beta)
    assert log_z == pytest.approx(2 * 64 * 32 * beta + math.log(2), rel=1e-15)
    assert energy == -2.0
    assert entropy == pytest.approx(math.log(2) / (64 * 32), rel=1e-15)
    # One flipped spin on either ground state costs 8 J.
    assert heat == pytest.approx((8 * min(beta, 1e3)) ** 2 * math.exp(-8 * beta), rel=ROUNDING)


def test_specific_heat_is_never_negative():
    assert np.all(kaufman.specific_heat(6, 9, np.linspace(0, 100, 501)) >= 0)


def test_shape_of_beta_is_kept():
    beta = np.array([[0.1, 0.4, 0.5], [0.0, 0.44, 60.0]])
    for function in (kaufman.log_z, kaufman.energy_per_site, kaufman.specific_heat):
        values = function(4, 6, beta)
        assert values.shape == (2, 3)
        assert values[1, 1] == function(4, 6, 0.44)
        assert type(function(np.int64(4), 6, 0.44)) is float
        assert function(4, 6, []).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 4, -0.1), "finite and >= 0"),
        ((4, 4, math.nan), "finite and >= 0"),
        ((4, 4, [0.1, math.inf]), "1 of 2"),
        ((4, 4, "hot"), "real number"),
        ((4, 4, 0.4 + 1j), "real number"),
        ((1, 4, 0.4), "Lx must be a whole number >= 2"),
        ((4, 0, 0.4), "Ly must be a whole number >= 2"),
        ((4.0, 4, 0.4), "Lx must be a whole number"),
        ((True, 4, 0.4), "Lx must be a whole number"),
        ((4, 4, 0.4, math.nan), "coupling must be finite"),
        ((4, 4, 0.4, [1.0, 2.0]), "coupling must be one real number"),
        ((4, 5, 0.4, -1.0), "frustrated"),
    ],
)
def test_bad_input(arguments, message):
    for function in (
        kaufman.log_z,
        kaufman.energy_per_site,
        kaufman.specific_heat,
        kaufman.entropy_per_site,
    ):
        with pytest.raises(InvalidInput, match=message):
            function(*arguments)
