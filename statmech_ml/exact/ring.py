"""The Ising ring in a field, by its 2 x 2 transfer matrix; and the open chain without a field.

E = -J sum_i s_i s_{i+1} - h sum_i s_i on L sites with s_{L+1} = s_1, K = beta J, H = beta h:

    Z = lambda_+^L + lambda_-^L,   lambda_+- = e^K cosh H +- (e^{2K} sinh^2 H + e^{-2K})^(1/2).

Without a field, U / L = -J (t + t^(L-1)) / (1 + t^L) with t = tanh K.

Domain: L >= 2 (at L = 2 the two bonds of the pair both count), any finite beta >= 0, coupling and field,
of either sign; odd antiferromagnetic rings, which are frustrated, included. log Z is written as that
of a ground state plus corrections of small exponentials, and its derivatives are analytic (`_jets.py`), so
entropy and specific heat keep their digits at low temperature. Cost: O(1) per beta.

Reference: Ising (1925), doi:10.1007/BF02980577; Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.
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
from statmech_ml.exact._jets import Jet, exp, expm1, for_each, linear, log1p, sqrt


def log_z(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Logarithm of the partition function of the ring, log Z, in nats.

    Parameters
    ----------
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `beta`; L log 2 at beta = 0.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(log_z(8, beta=1.0), 12)
    9.125254077213
    """
    betas, ground, excess = _solve(L, beta, coupling, field)
    return like_input(ground * betas + excess.value)


def energy_per_site(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Mean energy per site, U / L = -d(log Z / L)/d beta, in units of the coupling; the field's part included.

    Parameters
    ----------
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(energy_per_site(64, beta=1.0), 9)
    -0.761594179
    """
    betas, ground, excess = _solve(L, beta, coupling, field)
    # At beta = 0 every state weighs the same, and bonds and spins average to zero; L = 2 included.
    slope = np.divide(excess.first, betas, out=np.full_like(betas, -ground), where=betas > 0)
    return like_input(0.0 - (ground + slope) / L)


def specific_heat(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Specific heat per site, C / L = beta^2 (<E^2> - <E>^2) / L, in units of k_B.

    Parameters
    ----------
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(specific_heat(64, beta=1.0), 9)
    0.419974392
    """
    _, _, excess = _solve(L, beta, coupling, field)
    return like_input(excess.second / L)


def entropy_per_site(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Entropy per site, S / L = (log Z + beta U) / L, in nats.

    Parameters
    ----------
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `beta`; log 2 at beta = 0, and log(number of ground states) / L for
    T -> 0: two of them on a ferromagnet, 2 L on an odd antiferromagnet without a field.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(entropy_per_site(8, beta=50.0), 12) == round(np.log(2) / 8, 12)
    True
    """
    _, _, excess = _solve(L, beta, coupling, field)
    return like_input((excess.value - excess.first) / L)


def magnetization(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Mean magnetisation per site, <s_i> = d(log Z / L)/dH; zero without a field.

    Parameters
    ----------
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `beta`, in [-1, 1] and of the sign of the field.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(magnetization(8, beta=1.0, field=0.1), 9)
    0.432022069
    """
    betas = inverse_temperature(beta)
    L, J, h = _check(L, coupling, field)
    return like_input(_each(betas, lambda b: np.sign(h) * _magnetization(L, J, abs(h), b)))


def correlation(
    r: int | ArrayLike, L: int, beta: float, coupling: float = 1.0, field: float = 0.0
) -> Values:
    """Correlation <s_i s_{i+r}> of two sites r apart; the product of means is not subtracted.

    With q = lambda_-/lambda_+ and m the magnetisation of the infinite chain,
    <s_i s_{i+r}> = m^2 + (1 - m^2) (q^r + q^(L-r)) / (1 + q^L).

    Parameters
    ----------
    r
        Distance along the ring, a whole number or an array of them, 0 <= r <= L.
    L
        Number of sites, >= 2.
    beta
        Inverse temperature, one number, finite and >= 0.
    coupling, field
        J and h, of either sign.

    Returns
    -------
    float or array of the shape of `r`; 1 at r = 0 and r = L.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, r is not whole or outside 0 .. L, beta is not one finite number
        >= 0, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> correlation([0, 1, 2], 8, beta=1.0).round(9)
    array([1.        , 0.808733..., 0.669...])
    """
    distance = np.asarray(r)
    L, J, h = _check(L, coupling, field)
    if distance.dtype.kind not in "iu" or np.any((distance < 0) | (distance > L)):
        raise InvalidInput(
            f"r must be whole numbers in 0 .. L = {L}, distances along the ring, but got {r!r}."
        )
    b = inverse_temperature(beta)
    if b.ndim:
        raise InvalidInput(
            f"correlation takes one beta and any number of distances, but beta has shape {b.shape}. "
            "Call it once per beta."
        )
    matrix = _Transfer(J, abs(h), linear(float(b)))
    root = matrix.root.value
    m_squared = (matrix.half_difference.value / root) ** 2
    flip_squared = (matrix.flip.value / root) ** 2  # 1 - m^2, without the cancellation
    r_even = 1.0 - 2.0 * (distance % 2)
    if matrix.is_small_ratio:
        q = matrix.ratio.value
        decay = (q**distance + q ** (L - distance)) / (1.0 + q**L)
    else:
        log_q = matrix.log_abs_ratio.value
        near = np.exp(distance * log_q)
        if J >= 0:
            decay = near * (1.0 + np.exp((L - 2 * distance) * log_q)) / (1.0 + np.exp(L * log_q))
        elif L % 2 == 0:
            decay = r_even * near * (1.0 + np.exp((L - 2 * distance) * log_q))
            decay = decay / (1.0 + np.exp(L * log_q))
        else:
            # Frustrated: q -> -1, and numerator and denominator vanish together.
            decay = r_even * near * np.expm1((L - 2 * distance) * log_q) / np.expm1(L * log_q)
    return like_input(np.asarray(m_squared + flip_squared * decay, dtype=np.float64))
