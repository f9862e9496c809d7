"""Onsager's solution against its integrals at high precision, series, and thermodynamics."""

import math

import mpmath
import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import onsager
from statmech_ml.exact._square import (
    HIGH_TEMPERATURE_K,
    LOW_TEMPERATURE_K,
    _polygon_coefficients,
)

# Where a formula meets the polygon series (w = 0.05) its terms cancel by 1/w^2 = 400; with a few
# more operations that is a thousand roundings of 2.2e-16.
ROUNDING = 2.2e-13
CRITICAL_BETA = onsager.critical_beta()
FUNCTIONS = [
    onsager.log_z_per_site,
    onsager.energy_per_site,
    onsager.specific_heat,
    onsager.entropy_per_site,
]


def onsager_1944(beta):
    """(log Z, U, C, S) per site from the integral and the elliptic functions, in 50 digits."""
    with mpmath.workdps(50):
        K = mpmath.mpf(beta)
        s = mpmath.sinh(2 * K)
        half_gap = (1 - s) ** 2 / (2 * s)

        def gamma(t):
            return 2 * mpmath.asinh(mpmath.sqrt(half_gap + mpmath.sin(t / 2) ** 2))

        # The branch point at +-i |gamma(0)| comes close to the real axis; panels halve towards it.
        halvings = 40 if abs(beta - CRITICAL_BETA) < 1e-3 else 8
        panels = [0] + [mpmath.pi / 2**k for k in range(halvings, -1, -1)]
        integral = mpmath.quad(gamma, panels, maxdegree=5)
        log_z = mpmath.log(2 * s) / 2 + integral / (2 * mpmath.pi)
        kappa = (s**2 - 1) / (s**2 + 1)
        F, G = mpmath.ellipk(1 - kappa**2), mpmath.ellipe(1 - kappa**2)
        coth = 1 / mpmath.tanh(2 * K)
        energy = -coth * (1 + 2 / mpmath.pi * kappa * F)
        bracket = 2 * F - 2 * G - (1 - kappa) * (mpmath.pi / 2 + kappa * F)
        heat = 2 / mpmath.pi * (K * coth) ** 2 * bracket
        return tuple(float(x) for x in (log_z, energy, heat, log_z + K * energy))


def test_critical_point():
    assert onsager.critical_temperature() == pytest.approx(2.269185314213022, rel=1e-15)
    assert onsager.critical_beta() == pytest.approx(math.log(1 + math.sqrt(2)) / 2, rel=1e-15)
    assert onsager.critical_temperature(-2.0) == 2 * onsager.critical_temperature()
    assert onsager.critical_beta(2.0) == onsager.critical_beta() / 2
    assert onsager.log_z_per_site(CRITICAL_BETA) == pytest.approx(
        math.log(2) / 2 + 2 * float(mpmath.catalan) / math.pi, rel=1e-15
    )
    assert onsager.energy_per_site(CRITICAL_BETA) == pytest.approx(-math.sqrt(2), rel=1e-15)
    # Half of its last digit.
    assert onsager.entropy_per_site(CRITICAL_BETA) == pytest.approx(0.306470158, abs=5.1e-10)


@pytest.mark.parametrize(
    "beta", [1e-3, 0.1, 0.22, 0.23, 0.35, 0.44, 0.4407, 0.4413, 0.5, 0.74, 0.76, 1.5]
)
def test_integrals_at_high_precision(beta):
    expected = onsager_1944(beta)
    assert [f(beta) for f in FUNCTIONS] == pytest.approx(expected, rel=ROUNDING, abs=0)


@pytest.mark.parametrize("distance", [1e-4, -1e-7, 1e-10, -1e-13, 0.0])
def test_next_to_criticality(distance):
    """Relative to the double beta itself: C ~ log|beta - beta_c| keeps its digits."""
    beta = CRITICAL_BETA + distance
    expected = onsager_1944(beta)
    assert [f(beta) for f in FUNCTIONS] == pytest.approx(expected, rel=ROUNDING, abs=0)
    assert np.isfinite(onsager.specific_heat(beta))


@pytest.mark.parametrize("beta", [3.0, 20.0, 50.0])
def test_low_temperature(beta):
    """f = u^2 + 2 u^3 + ..., u = e^{-4 beta}: the first excitation, one flipped spin, costs 8."""
    u = math.exp(-4 * beta)
    f, slope, curvature = u**2 + 2 * u**3, 2 * u**2 + 6 * u**3, 4 * u**2 + 18 * u**3
    rel = 20 * u**2 + 1e-14  # the next term, 9/2 u^4, against u^2; the rounding of exp(-400)
    assert onsager.log_z_per_site(beta) == pytest.approx(2 * beta + f, rel=1e-15)
    assert onsager.energy_per_site(beta) == pytest.approx(-2 + 4 * slope, rel=1e-15)
    assert onsager.specific_heat(beta) == pytest.approx(16 * beta**2 * curvature, rel=rel)
    assert onsager.entropy_per_site(beta) == pytest.approx(f + 4 * beta * slope, rel=rel)


def test_polygon_series_counts_polygons():
    """f = w^2 + 2 w^3 + 9/2 w^4 + 12 w^5 + 112/3 w^6 + ... (Domb 1960)."""
    series = [0, 0, 1, 2, 4.5, 12, 112 / 3]
    assert _polygon_coefficients()[:7] == tuple(round(k * a) for k, a in enumerate(series))


def test_infinite_temperature():
    assert [f(0.0) for f in FUNCTIONS] == [math.log(2), 0.0, 0.0, math.log(2)]
    assert onsager.energy_per_site(1e-9) == pytest.approx(-2e-9, rel=ROUNDING)
    assert onsager.specific_heat(1e-9) == pytest.approx(2e-18, rel=ROUNDING)


@pytest.mark.parametrize("K", [HIGH_TEMPERATURE_K, LOW_TEMPERATURE_K])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_formulas_join_where_they_change(function, K):
    below, above = function(np.nextafter(K, 0)), function(np.nextafter(K, 1))
    assert below == pytest.approx(above, rel=ROUNDING, abs=0)


def test_thermodynamics():
    beta, h = np.array([0.1, 0.3, 0.4, 0.48, 0.6, 0.9, 2.0]), 1e-4
    log_z, energy, heat, entropy = (f(beta) for f in FUNCTIONS)
    np.testing.assert_allclose(log_z + beta * energy, entropy, atol=4 * ROUNDING)
    np.testing.assert_allclose(onsager.free_energy_per_site(beta), -log_z / beta, rtol=1e-15)
    # Five points: h^4/30 = 3e-18 times a fifth derivative, 1e8 at most at distance 0.04 from
    # beta_c; rounding adds eps/h, 1e-11 with the sizes here.
    shifts, weights = np.array([-2, -1, 1, 2]) * h, np.array([1, -8, 8, -1]) / (12 * h)
    log_zs = np.array([onsager.log_z_per_site(beta + shift) for shift in shifts])
    energies = np.array([onsager.energy_per_site(beta + shift) for shift in shifts])
    np.testing.assert_allclose(-weights @ log_zs, energy, atol=1e-9)
    np.testing.assert_allclose(-(beta**2) * (weights @ energies), heat, atol=1e-9)


def test_logarithmic_divergence():
    """C = -(8/pi) K_c^2 log|1 - beta/beta_c| + a constant that is the same on both sides."""
    amplitude = 8 / math.pi * CRITICAL_BETA**2
    near, far = (onsager.specific_heat(CRITICAL_BETA * (1 - t)) for t in (1e-9, 1e-6))
    # Corrections are of order t log t, here 1e-5.
    assert near - far == pytest.approx(amplitude * math.log(1e3), abs=5e-5)
    other_side = onsager.specific_heat(CRITICAL_BETA * (1 + 1e-9))
    assert other_side == pytest.approx(near, abs=1e-6)


def test_magnetization():
    assert onsager.magnetization(CRITICAL_BETA) == 0.0
    assert onsager.magnetization([0.0, 0.3, 0.44]).tolist() == [0.0, 0.0, 0.0]
    assert onsager.magnetization(1e200) == 1.0
    for beta in (0.441, 0.5, 0.8, 2.0):
        with mpmath.workdps(40):
            expected = float((1 - mpmath.sinh(2 * mpmath.mpf(beta)) ** -4) ** mpmath.mpf("0.125"))
        assert onsager.magnetization(beta) == pytest.approx(expected, rel=1e-15)
    # Series at low temperature, u = e^{-4 beta J} (Domb 1960); the next term is 3472 u^7.
    u = math.exp(-4 * 1.2)
    series = 1 - 2 * u**2 - 8 * u**3 - 34 * u**4 - 152 * u**5 - 714 * u**6
    assert onsager.magnetization(0.6, coupling=2.0) == pytest.approx(series, abs=2 * 3472 * u**7)


def test_magnetization_keeps_its_digits_next_to_criticality():
    beta = CRITICAL_BETA * (1 + 1e-12)
    with mpmath.workdps(60):
        expected = float((1 - mpmath.sinh(2 * mpmath.mpf(beta)) ** -4) ** mpmath.mpf("0.125"))
    assert onsager.magnetization(beta) == pytest.approx(expected, rel=1e-14)


def test_coupling():
    for function in FUNCTIONS:
        scale = 2.5 if function is onsager.energy_per_site else 1.0
        expected = scale * function(0.75)
        assert function(0.3, coupling=2.5) == pytest.approx(expected, rel=1e-14)
        # An antiferromagnet is a ferromagnet with one sublattice flipped.
        assert function(0.3, coupling=-2.5) == function(0.3, coupling=2.5)


def test_shape_of_beta_is_kept():
    beta = np.array([[0.1, 0.4, 0.5], [0.2, 0.44, 60.0]])
    for function in [*FUNCTIONS, onsager.free_energy_per_site, onsager.magnetization]:
        values = function(beta)
        assert values.shape == (2, 3)
        assert values[1, 1] == pytest.approx(function(0.44), rel=1e-15)
        assert type(function(0.44)) is float
        assert function([]).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1,), "finite and >= 0"),
        ((math.nan,), "finite and >= 0"),
        (([0.1, math.inf],), "1 of 2"),
        (("hot",), "real number"),
        ((0.4, math.inf), "coupling must be finite"),
        ((0.4, "J"), "coupling must be one real number"),
    ],
)
def test_bad_input(arguments, message):
    for function in [*FUNCTIONS, onsager.free_energy_per_site, onsager.magnetization]:
        with pytest.raises(InvalidInput, match=message):
            function(*arguments)


def test_refusals():
    with pytest.raises(InvalidInput, match="staggered"):
        onsager.magnetization(0.5, coupling=-1.0)
    with pytest.raises(InvalidInput, match="log_z_per_site"):
        onsager.free_energy_per_site([0.0, 0.4])
    for function in (onsager.critical_beta, onsager.critical_temperature):
        with pytest.raises(InvalidInput, match="coupling is 0"):
            function(0.0)
