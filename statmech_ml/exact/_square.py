"""What the finite and the infinite square lattice share: distance from T_c, and the polygon series.

Written for K = beta |J|. Both log Z per site and its finite-size corrections follow from one sum
over closed polygons, weighted e^{-2K} per edge at low temperature (domain walls) and tanh K at high
temperature (Kramers and Wannier 1941, doi:10.1103/PhysRev.60.252):

    log Z / N = 2 K + f(e^{-4K})  below T_c,     log 2 + 2 log cosh K + f(tanh^2 K)  above.

Onsager's integral for f, expanded in powers of its modulus, has terms of order w that cancel and
leave f = w^2 + ...; the specific heat then loses all its digits when w^2 reaches rounding. So far
from T_c f is summed from its Taylor series, whose coefficients a_k are integers over k.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from statmech_ml.exact._jets import Jet

Array = NDArray[np.float64]

CRITICAL_K = 0.5 * float(np.arcsinh(1.0))
_CRITICAL_K_TAIL = -1.125272946412933e-17  # K_c minus its double, so that K - K_c keeps its digits

# The series converges up to w_c = 3 - 2 sqrt 2 = 0.1716 at T_c; at 0.05 the 40 terms leave
# (0.05 / w_c)^40 < 1e-21 of the leading ones.
_SERIES_LIMIT = 0.05
_SERIES_TERMS = 40
LOW_TEMPERATURE_K = -0.25 * math.log(_SERIES_LIMIT)  # the series serves from here up
HIGH_TEMPERATURE_K = math.atanh(math.sqrt(_SERIES_LIMIT))  # and from here down


def sinh_minus_one(K: Any) -> Any:
    """sinh(2K) - 1 of a number or an array, with full relative accuracy at K_c."""
    # With d = K - K_c, sinh(2 K_c + 2 d) = cosh 2d + sqrt 2 sinh 2d.
    d = (K - CRITICAL_K) - _CRITICAL_K_TAIL
    return 2.0 * np.sinh(d) ** 2 + np.sqrt(2.0) * np.sinh(2.0 * d)


@cache
def _polygon_coefficients() -> tuple[int, ...]:
    """Integers b_k = k a_k of f(w) = sum_k a_k w^k: 0, 0, 2, 6, 18, 60, ...

    f(w) = log(1 + w) - sum_k C(2k, k)^2 p^k / (4k) with p = w (1 - w)^2 / (1 + w)^4: Onsager's
    double integral expanded, in which C(2k, k)^2 counts closed walks of 2k steps.
    """
    size = _SERIES_TERMS + 1

    def product(a: list[int], b: list[int]) -> list[int]:
        out = [0] * size
        for i, a_i in enumerate(a):
            for j in range(size - i):
                out[i + j] += a_i * b[j]
        return out

    def over_one_plus_w(a: list[int]) -> list[int]:
        out = list(a)
        for i in range(1, size):
            out[i] -= out[i - 1]
        return out

    p = [0, 1, -2, 1] + [0] * (size - 4)
    for _ in range(4):
        p = over_one_plus_w(p)
    # w d/dw of p^k is k p^k (w p'/p), and w p'/p = 1 - 2w/(1 - w) - 4w/(1 + w).
    log_slope = [1] + [-2 + 4 * (-1) ** i for i in range(1, size)]
    power, walks = [1] + [0] * (size - 1), [0] * size
    central = 1  # C(2k, k)
    for k in range(1, size):
        central = central * 2 * (2 * k - 1) // k
        power = product(power, p)
        walks = [total + central**2 // 4 * term for total, term in zip(walks, power, strict=True)]
    first = over_one_plus_w([0, 1] + [0] * (size - 2))
    return tuple(a - b for a, b in zip(first, product(log_slope, walks), strict=True))


def _polygon_series(w: Any, log_w: Jet) -> Jet:
    """Jet of f(w); of `log_w` only the derivatives are read, so w = 0 is allowed."""
    b = np.array(_polygon_coefficients(), dtype=float)
    k = np.arange(b.size)
    return log_w.map(
        polynomial.polyval(w, np.concatenate([b[:1], b[1:] / k[1:]])),
        polynomial.polyval(w, b),
        polynomial.polyval(w, b * k),
    )


def low_temperature_bulk(K: Any) -> Jet:
    """log Z / N - 2 K of the infinite lattice, for K >= LOW_TEMPERATURE_K, number or array."""
    K = np.minimum(K, 1e3)  # e^{-4K} underflows long before; the square of K then cannot overflow
    return _polygon_series(np.exp(-4.0 * K), Jet(None, -4.0 * K, 0.0 * K))


def high_temperature_bulk(K: Any) -> Jet:
    """log Z / N of the infinite lattice, for K <= HIGH_TEMPERATURE_K, number or array."""
    # log w = 2 log tanh K: K d/dK gives 2 (2K / sinh 2K), which is 2 at K = 0.
    x = np.asarray(2.0 * K)
    ratio = np.divide(x, np.sinh(x), out=np.ones_like(x), where=x != 0)
    log_w = Jet(None, 2.0 * ratio, -2.0 * ratio**2 * np.cosh(2.0 * K))
    dimers = Jet(
        np.log(2.0) + np.log1p(np.sinh(K) ** 2),
        2.0 * K * np.tanh(K),
        2.0 * (K / np.cosh(K)) ** 2,
    )
    return dimers + _polygon_series(np.tanh(K) ** 2, log_w)
