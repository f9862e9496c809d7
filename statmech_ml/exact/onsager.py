"""Onsager's solution of the Ising model on the infinite square lattice, without a field.

E = -J sum_<ij> s_i s_j, K = beta J, kappa = (sinh^2 2K - 1) / (sinh^2 2K + 1):

    log Z / N = log(2 sinh 2K)/2 + (1/2 pi) int_0^pi gamma(t) dt,
                where cosh gamma(t) = sinh 2K + 1/sinh 2K - cos t
    U / N     = -J coth 2K [1 + (2/pi) kappa F]
    C / N     = (2/pi) (K coth 2K)^2 [2 F - 2 G - (1 - kappa) (pi/2 + kappa F)]

with F and G the complete elliptic integrals of the first and second kind of modulus (1 -
kappa^2)^(1/2). Domain: any finite beta >= 0 and any finite coupling. The square lattice has two
sublattices, so an antiferromagnet has the thermodynamics of the ferromagnet with |J|. Each call
costs microseconds per beta.

At low and high temperature, where the terms of these formulas cancel, the polygon series of
`_square.py` takes over; all results keep their relative accuracy (about 1e-13) down to T -> 0, and
next to T_c they are those of the given double beta, which never equals the irrational beta_c.

Reference: Onsager (1944), doi:10.1103/PhysRev.65.117. Yang (1952), doi:10.1103/PhysRev.85.808.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ellipe, ellipkm1

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    finite_number,
    inverse_temperature,
    like_input,
)
from statmech_ml.exact._jets import Jet
from statmech_ml.exact._square import (
    CRITICAL_K,
    HIGH_TEMPERATURE_K,
    LOW_TEMPERATURE_K,
    Array,
    high_temperature_bulk,
    low_temperature_bulk,
    sinh_minus_one,
)


def critical_temperature(coupling: float = 1.0) -> float:
    """Temperature T_c = 2 |J| / log(1 + sqrt 2) of the phase transition, in units of the coupling.

    Parameters
    ----------
    coupling
        J, not zero; for J < 0 it is the Neel temperature.

    Raises
    ------
    InvalidInput
        If the coupling is zero or not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(critical_temperature(), 12)
    2.269185314213
    """
    return 1.0 / critical_beta(coupling)


def critical_beta(coupling: float = 1.0) -> float:
    """Inverse temperature beta_c = log(1 + sqrt 2) / (2 |J|) of the phase transition.

    Parameters
    ----------
    coupling
        J, not zero; for J < 0 it is the inverse Neel temperature.

    Raises
    ------
    InvalidInput
        If the coupling is zero or not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(critical_beta(), 12)
    0.44068679351
    """
    J = abs(finite_number(coupling, "coupling"))
    if J == 0:
        raise InvalidInput("coupling is 0, and spins without coupling never order: give J != 0.")
    return CRITICAL_K / J


def log_z_per_site(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Logarithm of the partition function per site, log Z / N, in nats.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J, of either sign.

    Returns
    -------
    float or array of the shape of `beta`; log 2 at beta = 0.

    Raises
    ------
    InvalidInput
        If beta is negative or not finite, or the coupling is not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(log_z_per_site(beta=critical_beta()), 12)
    0.929695398342
    """
    K, _, _ = _reduce(beta, coupling)
    return like_input(_log_z(K))


def free_energy_per_site(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Free energy per site, F / N = -log Z / (beta N), in units of the coupling.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and > 0.
    coupling
        J, of either sign.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        If beta is zero (F = -T log 2 diverges), negative or not finite, or the coupling not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(free_energy_per_site(beta=critical_beta()), 9)
    -2.109651145
    """
    K, betas, _ = _reduce(beta, coupling)
    if np.any(betas == 0):
        raise InvalidInput(
            "beta = 0 makes the free energy -log Z / beta infinite. Use log_z_per_site, which is "
            "log 2 there, or beta > 0."
        )
    return like_input(-_log_z(K) / betas)


def energy_per_site(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Energy per site, U / N = -d(log Z / N)/d beta, in units of the coupling.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J, of either sign.

    Returns
    -------
    float or array of the shape of `beta`; -|J| sqrt 2 at T_c.

    Raises
    ------
    InvalidInput
        If beta is negative or not finite, or the coupling is not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(energy_per_site(beta=critical_beta()), 12)
    -1.414213562373
    """
    K, _, J = _reduce(beta, coupling)
    return like_input(J * _energy(K))


def specific_heat(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Specific heat per site, C / N = beta^2 (<E^2> - <E>^2) / N, in units of k_B.

    It diverges at T_c as -(8/pi) K_c^2 log|1 - T/T_c|; at the double nearest to beta_c it is
    finite.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J, of either sign.

    Returns
    -------
    float or array of the shape of `beta`, never negative.

    Raises
    ------
    InvalidInput
        If beta is negative or not finite, or the coupling is not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(specific_heat(beta=0.4), 12)
    0.861698356831
    """
    K, _, _ = _reduce(beta, coupling)

    def near_critical(K: Array) -> Array:
        kappa = _kappa(K)
        F, G = ellipkm1(kappa**2), ellipe(1.0 - kappa**2)
        bracket = 2.0 * (F - G) - (1.0 - kappa) * (0.5 * np.pi + kappa * F)
        return 2.0 / np.pi * (K / np.tanh(2.0 * K)) ** 2 * bracket

    return like_input(
        _by_regime(
            K,
            low=lambda K, bulk: bulk.second,
            near=near_critical,
            high=lambda K, bulk: bulk.second,
        )
    )


def entropy_per_site(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Entropy per site, S / N = log Z / N + beta U / N, in nats.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J, of either sign.

    Returns
    -------
    float or array of the shape of `beta`; log 2 at beta = 0, and 0 for T -> 0.

    Raises
    ------
    InvalidInput
        If beta is negative or not finite, or the coupling is not finite.

    References
    ----------
    Onsager (1944), doi:10.1103/PhysRev.65.117.

    Examples
    --------
    >>> round(entropy_per_site(beta=critical_beta()), 9)
    0.306470158
    """
    K, _, _ = _reduce(beta, coupling)
    return like_input(
        _by_regime(
            K,
            # 2 K of log Z and of beta U cancel exactly, so neither is formed.
            low=lambda K, bulk: bulk.value - bulk.first,
            near=lambda K: _log_z_near_critical(K) + K * _energy_near_critical(K),
            high=lambda K, bulk: bulk.value - bulk.first,
        )
    )


def magnetization(beta: ArrayLike, coupling: float = 1.0) -> Values:
    """Spontaneous magnetisation per site, M = (1 - sinh(2K)^-4)^(1/8) below T_c and 0 above.

    It is the limit of the magnetisation as a positive field vanishes, and of <|m|> as L grows.

    Parameters
    ----------
    beta
        Inverse temperature, scalar or array, finite and >= 0. Up to the double nearest to beta_c,
        itself included, M = 0.
    coupling
        J >= 0.

    Returns
    -------
    float or array of the shape of `beta`, in [0, 1].

    Raises
    ------
    InvalidInput
        If beta is negative or not finite, or the coupling is negative or not finite.

    References
    ----------
    Yang (1952), doi:10.1103/PhysRev.85.808.

    Examples
    --------
    >>> round(magnetization(beta=0.5), 12)
    0.911319377877
    """
    K, _, J = _reduce(beta, coupling)
    if finite_number(coupling, "coupling") < 0:
        raise InvalidInput(
            f"coupling is {coupling}, and an antiferromagnet has no spontaneous magnetisation. Its "
            f"staggered magnetisation, one sublattice minus the other, is that of coupling={J}."
        )
    below = np.maximum(K, CRITICAL_K)
    # log sinh 2K from sinh 2K - 1 near T_c, where M is all in the digits of the difference. Beyond
    # 2K = 40, sinh(2K)^-4 < 1e-67 and the cap changes nothing.
    log_sinh = np.log1p(sinh_minus_one(np.minimum(below, 20.0)))
    ordered = (-np.expm1(-4.0 * log_sinh)) ** 0.125
    return like_input(np.where(K > CRITICAL_K, ordered, 0.0))


# --- the three regimes ---------------------------------------------------------------------------


def _reduce(beta: ArrayLike, coupling: float) -> tuple[Array, Array, float]:
    """K = beta |J|, beta, |J|; the sign of J drops out on a lattice with two sublattices."""
    betas = inverse_temperature(beta)
    J = abs(finite_number(coupling, "coupling"))
    return betas * J, betas, J


def _by_regime(
    K: Array,
    low: Callable[[Array, Jet], Array],
    near: Callable[[Array], Array],
    high: Callable[[Array, Jet], Array],
) -> Array:
    """Evaluate each entry of K where its formula keeps its digits."""
    out = np.empty_like(K)
    is_low, is_high = K >= LOW_TEMPERATURE_K, K <= HIGH_TEMPERATURE_K
    is_near = ~(is_low | is_high)
    out[is_low] = low(K[is_low], low_temperature_bulk(K[is_low]))
    out[is_high] = high(K[is_high], high_temperature_bulk(K[is_high]))
    out[is_near] = near(K[is_near])
    return out


def _kappa(K: Array) -> Array:
    """(sinh^2 2K - 1) / (sinh^2 2K + 1) = 2 tanh^2 2K - 1, with full relative accuracy at T_c."""
    excess = sinh_minus_one(K)
    return excess * (excess + 2.0) / np.cosh(2.0 * K) ** 2


def _log_z(K: Array) -> Array:
    return _by_regime(
        K,
        low=lambda K, bulk: 2.0 * K + bulk.value,
        near=_log_z_near_critical,
        high=lambda K, bulk: bulk.value,
    )


def _energy(K: Array) -> Array:
    return _by_regime(
        K,
        low=lambda K, bulk: -2.0 - bulk.first / K,
        near=_energy_near_critical,
        high=lambda K, bulk: 0.0 - np.divide(bulk.first, K, out=np.zeros_like(K), where=K > 0),
    )


def _energy_near_critical(K: Array) -> Array:
    # F diverges at T_c only as log 1/|kappa|, and kappa has all its digits: the product is safe.
    kappa = _kappa(K)
    return -(1.0 + 2.0 / np.pi * kappa * ellipkm1(kappa**2)) / np.tanh(2.0 * K)


# gamma(t) has a branch point at t = +-i |gamma(0)|, which meets the real axis at T_c. Panels that
# halve towards t = 0 keep it two half-widths away at least, where 16 nodes converge to rounding;
# what the last panel of width pi 2^-27 can lose is below 1e-16.
_PANELS = 27
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def _log_z_near_critical(K: Array) -> Array:
    excess = sinh_minus_one(K)
    s = 1.0 + excess
    half_gap = excess**2 / (2.0 * s)  # sinh^2(gamma/2) at t = 0
    integral = np.zeros_like(K)
    for panel in range(_PANELS + 1):
        high = np.pi * 0.5**panel
        low = 0.5 * high if panel < _PANELS else 0.0
        t = 0.5 * (high + low) + 0.5 * (high - low) * _NODES
        gamma = 2.0 * np.arcsinh(np.sqrt(half_gap[:, None] + np.sin(0.5 * t) ** 2))
        integral += 0.5 * (high - low) * (gamma @ _WEIGHTS)
    return 0.5 * np.log(2.0 * s) + integral / (2.0 * np.pi)


__all__ = [
    "critical_beta",
    "critical_temperature",
    "energy_per_site",
    "entropy_per_site",
    "free_energy_per_site",
    "log_z_per_site",
    "magnetization",
    "specific_heat",
]
