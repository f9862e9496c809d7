"""Kaufman's solution of the Ising model on a finite square lattice with periodic boundaries.

E = -J sum_<ij> s_i s_j on Lx x Ly = m x n sites, K = beta J. With
cosh gamma_l = sinh 2K + 1/sinh 2K - cos(pi l/n),

    Z = (1/2) (2 sinh 2K)^(mn/2) [ prod_odd 2 cosh(m gamma_l/2)  + prod_odd 2 sinh(m gamma_l/2)
                                 + prod_even 2 cosh(m gamma_l/2) + prod_even 2 sinh(m gamma_l/2) ],

the products over the odd and the even l in 0 .. 2n - 1. gamma_0 = 2K + log tanh K changes sign at
T_c, and with it the last product; all other gamma_l are positive.

Domain: sides >= 2, equal or not, any finite beta >= 0. On a side of length 2 the two bonds between
a pair of sites both count. J < 0 is exact with |J| where both sides are even (flip one sublattice);
an odd side frustrates the antiferromagnet, and is refused. Cost: O(min(Lx, Ly)) per beta.

The four products are combined in pairs, prod (1 + y) +- prod (1 - y) with y = exp(-m gamma), into
sums of positive terms, in the log domain. Derivatives are analytic (`_jets.py`). Far from T_c the
common factor is the infinite lattice's series and what remains are the small terms of paths that
wind around the torus, so energy, entropy and specific heat keep their digits at low and at high T.

Reference: Kaufman (1949), doi:10.1103/PhysRev.76.1232, with derivatives as in Ferdinand and Fisher
(1969), doi:10.1103/PhysRev.185.832.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    finite_number,
    inverse_temperature,
    like_input,
    whole_number,
)
from statmech_ml.exact._jets import Jet, cosh, exp, log1p, log_cosh, sinh, stack
from statmech_ml.exact._square import (
    HIGH_TEMPERATURE_K,
    LOW_TEMPERATURE_K,
    Array,
    high_temperature_bulk,
    low_temperature_bulk,
    sinh_minus_one,
)


def log_z(Lx: int, Ly: int, beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Logarithm of the partition function of the whole lattice, log Z, in nats.

    Parameters
    ----------
    Lx, Ly
        Sides of the lattice, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J; negative only where both sides are even.

    Returns
    -------
    float or array of the shape of `beta`; Lx Ly log 2 at beta = 0.

    Raises
    ------
    InvalidInput
        If a side is not a whole number >= 2, beta is negative or not finite, or the coupling is not
        finite or negative beside an odd side.

    References
    ----------
    Kaufman (1949), doi:10.1103/PhysRev.76.1232.

    Examples
    --------
    >>> round(log_z(32, 32, beta=0.44), 9)
    951.642126409
    """
    K, _, ground, excess, _ = _solve(Lx, Ly, beta, coupling)
    return like_input(ground * K + excess.value)


def energy_per_site(Lx: int, Ly: int, beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Mean energy per site, U / N = -d(log Z / N)/d beta, in units of the coupling.

    Parameters
    ----------
    Lx, Ly
        Sides of the lattice, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J; negative only where both sides are even.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        If a side is not a whole number >= 2, beta is negative or not finite, or the coupling is not
        finite or negative beside an odd side.

    References
    ----------
    Kaufman (1949), doi:10.1103/PhysRev.76.1232.

    Examples
    --------
    >>> round(energy_per_site(32, 32, beta=0.44), 9)
    -1.427090608
    """
    K, J, ground, excess, n_sites = _solve(Lx, Ly, beta, coupling)
    slope = np.divide(excess.first, K, out=np.zeros_like(K), where=K > 0)
    return like_input(0.0 - J * (ground + slope) / n_sites)


def specific_heat(Lx: int, Ly: int, beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Specific heat per site, C / N = beta^2 (<E^2> - <E>^2) / N, in units of k_B.

    Parameters
    ----------
    Lx, Ly
        Sides of the lattice, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J; negative only where both sides are even.

    Returns
    -------
    float or array of the shape of `beta`, never negative.

    Raises
    ------
    InvalidInput
        If a side is not a whole number >= 2, beta is negative or not finite, or the coupling is not
        finite or negative beside an odd side.

    References
    ----------
    Kaufman (1949), doi:10.1103/PhysRev.76.1232; Ferdinand and Fisher (1969),
    doi:10.1103/PhysRev.185.832.

    Examples
    --------
    >>> round(specific_heat(32, 32, beta=0.44), 9)
    1.861521968
    """
    _, _, _, excess, n_sites = _solve(Lx, Ly, beta, coupling)
    return like_input(excess.second / n_sites)


def entropy_per_site(Lx: int, Ly: int, beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Entropy per site, S / N = (log Z + beta U) / N, in nats.

    Parameters
    ----------
    Lx, Ly
        Sides of the lattice, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J; negative only where both sides are even.

    Returns
    -------
    float or array of the shape of `beta`; log 2 at beta = 0, and (log 2) / N for T
    -> 0, from the two ground states.

    Raises
    ------
    InvalidInput
        If a side is not a whole number >= 2, beta is negative or not finite, or the coupling is not
        finite or negative beside an odd side.

    References
    ----------
    Kaufman (1949), doi:10.1103/PhysRev.76.1232.

    Examples
    --------
    >>> round(entropy_per_site(16, 16, beta=0.44), 9)
    0.29419306
    """
    _, _, _, excess, n_sites = _solve(Lx, Ly, beta, coupling)
    # The energy of the ground state cancels between log Z and beta U, so it is never added.
    return like_input((excess.value - excess.first) / n_sites)


# --- the partition function and its derivatives ---------------------------------------------------


class _Product(NamedTuple):
    """log prod (1 + y) = mean + half_gap and log prod (1 - y) = mean - half_gap, for 0 < y < 1."""

    mean: Jet
    half_gap: Jet


def _solve(
    Lx: Any, Ly: Any, beta: ArrayLike, coupling: float
) -> tuple[Array, float, Array, Jet, int]:
    """K, |J|, minus the subtracted ground-state energy, the jet of the rest of log Z, and N."""
    why = "on a periodic side of length 1 every site would be its own neighbour."
    sides = [whole_number(L, name, 2, why) for L, name in ((Lx, "Lx"), (Ly, "Ly"))]
    J = finite_number(coupling, "coupling")
    if J < 0 and any(L % 2 for L in sides):
        raise InvalidInput(
            f"coupling is {J} on {sides[0]} x {sides[1]} sites: an antiferromagnet is frustrated "
            "on an odd periodic side, and has no ferromagnet with the same levels. Make both sides "
            "even, or use exact.enumeration on a small lattice."
        )
    betas = inverse_temperature(beta)
    K = betas * abs(J)
    m, n = max(sides), min(sides)  # Z is symmetric in the sides; few modes, far apart, cost least
    ground = np.where(K >= LOW_TEMPERATURE_K, 2.0 * m * n, 0.0)
    excess = stack([_excess(m, n, each) for each in K.ravel().tolist()], K.shape)
    return K, abs(J), ground, excess, m * n


def _excess(m: int, n: int, K: float) -> Jet:
    """log Z at K, less 2 K N where the low-temperature form applies."""
    if K >= LOW_TEMPERATURE_K:
        return _low_temperature(m, n, K)
    if K <= HIGH_TEMPERATURE_K:
        return _high_temperature(m, n, K)
    return _near_critical(m, n, K)


def _near_critical(m: int, n: int, K: float) -> Jet:
    """log Z from the four products, gamma_0 kept apart because it passes through zero."""
    s_minus_one = sinh_minus_one(K)
    s = 1.0 + s_minus_one
    rho, rho_slope = _log_sinh_slopes(K)
    odd = _gamma(s, -s_minus_one, rho, rho_slope, np.pi * np.arange(1, 2 * n, 2) / n)
    even = _gamma(s, -s_minus_one, rho, rho_slope, np.pi * np.arange(2, 2 * n, 2) / n)
    half_zero = (0.5 * m) * Jet(
        2.0 * np.arcsinh(s_minus_one / np.sqrt(2.0 * s)),
        2.0 * K * (1.0 + 1.0 / s),
        -((2.0 * K / s) ** 2) * np.cosh(2.0 * K),
    )
    even_product, odd_product = _winding(even, m), _winding(odd, m)
    log_odd = (0.5 * m) * odd.sum() + odd_product.mean + log_cosh(odd_product.half_gap)
    log_even = (0.5 * m) * even.sum() + even_product.mean - log_odd
    # The even pair over the odd pair; both terms are positive on both sides of T_c, and at most 1.
    ratio = exp(log_even + half_zero) * cosh(even_product.half_gap)
    ratio = ratio + exp(log_even - half_zero) * sinh(even_product.half_gap)
    prefactor = (0.5 * m * n) * Jet(np.log(2.0 * s), rho, -((2.0 * K / s) ** 2))
    return prefactor + log_odd + log1p(ratio)


# Far from T_c the sum over the n modes of m gamma_l / 2 is the infinite lattice's plus paths that
# wind around the side n, an average over a continuous angle of log(1 +- e^{-n gamma}). Its midpoint
# rule has an error of e^{-64 gamma_0}, and gamma_0 > 1 where the series serves.
_ANGLES = np.pi * (np.arange(32) + 0.5) / 32


def _low_temperature(m: int, n: int, K: float) -> Jet:
    """log Z - 2 K N below T_c: two ground states, the infinite lattice, and winding paths.

    With a path around n of weight e^{+-V} and the pairs W of the odd and even products, the sum is
    e^{V + W_odd} + e^{-V + W_even}: at first order the paths cancel, since domain walls come in
    pairs.
    """
    bulk = (m * n) * low_temperature_bulk(K) + np.log(2.0)
    if np.exp(-4.0 * K) == 0.0:
        return bulk
    around, odd, even = _far_from_critical(m, n, K, x=1.0 / np.sinh(2.0 * K), sign=-1)
    W_odd = odd.mean + log_cosh(odd.half_gap)
    W_even = even.mean + log_cosh(even.half_gap)
    pair = log_cosh(around.half_gap + 0.5 * (W_odd - W_even))
    return bulk + around.mean + 0.5 * (W_odd + W_even) + pair


def _high_temperature(m: int, n: int, K: float) -> Jet:
    """log Z above T_c: the infinite lattice and polygons that wind around the torus.

    gamma_0 < 0 gives the last product its minus sign: a sinh of half_gap where T < T_c has a cosh.
    """
    bulk = (m * n) * high_temperature_bulk(K)
    if np.tanh(K) ** 2 == 0.0:
        return bulk
    around, odd, even = _far_from_critical(m, n, K, x=np.sinh(2.0 * K), sign=1)
    W_odd = odd.mean + log_cosh(odd.half_gap)
    ratio = exp(even.mean - W_odd - 2.0 * around.half_gap) * sinh(even.half_gap)
    return bulk + around.mean + around.half_gap + W_odd + log1p(ratio)


def _far_from_critical(
    m: int, n: int, K: float, x: float, sign: int
) -> tuple[_Product, _Product, _Product]:
    """Paths around n, and the products over the odd modes and the even, |gamma_0| among these."""
    rho, rho_slope = _log_sinh_slopes(K)

    def product(theta: Array, length: int) -> _Product:
        return _winding(_gamma(x, 1.0 - x, sign * rho, sign * rho_slope, theta), length)

    around = product(_ANGLES, n)
    per_angle = m / _ANGLES.size
    return (
        _Product(per_angle * around.mean, per_angle * around.half_gap),
        product(np.pi * np.arange(1, 2 * n, 2) / n, m),
        product(np.pi * np.arange(0, 2 * n, 2) / n, m),
    )


def _log_sinh_slopes(K: float) -> tuple[float, float]:
    """rho = K d/dK log sinh 2K = 2K coth 2K, and K d rho/dK."""
    rho = 2.0 * K / np.tanh(2.0 * K)
    return rho, rho - (2.0 * K / np.sinh(2.0 * K)) ** 2


def _gamma(x: float, one_minus_x: float, rho: float, rho_slope: float, theta: Array) -> Jet:
    """Jets of gamma > 0, cosh gamma = x + 1/x - cos theta, for x = sinh 2K or its inverse.

    `rho` and `rho_slope` are K d/dK of log x and of rho itself. Nothing cancels at T_c, x = 1 and
    small theta, because 1 - x comes with all its digits.
    """
    a = 2.0 * np.sin(0.5 * theta) ** 2
    # (x cosh gamma)^2 - x^2 = (x sinh gamma)^2 = q^2, factored.
    below = one_minus_x**2 + x * a
    q_squared = below * (1.0 + x * x + x * a)
    q = np.sqrt(q_squared)
    gap = -one_minus_x * (1.0 + x)  # x^2 - 1
    slope = rho * gap / q
    # K d/dK log q = rho (c (2 x^2 - x cos theta) - x^2) / q^2, with c = x cosh gamma = x + below.
    q_slope = x * x * (a - 2.0 * one_minus_x) + x * below * (2.0 * x - 1.0 + a)
    scaled = (rho_slope * gap + 2.0 * (rho * x) ** 2) / q - slope * rho * q_slope / q_squared
    # K (K gamma')' = K gamma' + K^2 gamma''.
    return Jet(2.0 * np.arcsinh(np.sqrt(below / (2.0 * x))), slope, scaled - slope)


def _winding(gamma: Jet, length: int) -> _Product:
    """log prod (1 +- y), y = e^{-length gamma}, as mean +- half_gap."""
    G = length * gamma
    y = np.exp(-G.value)
    rest = -np.expm1(-2.0 * G.value)  # 1 - y^2
    mean = G.map(0.5 * np.log1p(-y * y), y * y / rest, -2.0 * (y / rest) ** 2)
    half_gap = G.map(np.arctanh(y), -y / rest, y * (1.0 + y * y) / rest**2)
    return _Product(mean.sum(), half_gap.sum())


__all__ = ["energy_per_site", "entropy_per_site", "log_z", "specific_heat"]
