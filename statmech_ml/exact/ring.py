"""The Ising ring in a field, by its 2 x 2 transfer matrix; and the open chain without a field.

E = -J sum_i s_i s_{i+1} - h sum_i s_i on L sites with s_{L+1} = s_1, K = beta J, H = beta h:

    Z = lambda_+^L + lambda_-^L,   lambda_+- = e^K cosh H +- (e^{2K} sinh^2 H + e^{-2K})^(1/2).

Without a field, U / L = -J (t + t^(L-1)) / (1 + t^L) with t = tanh K.

Domain: L >= 2 (at L = 2 the two bonds of the pair both count), any finite beta >= 0, coupling and
field, of either sign; odd antiferromagnetic rings, which are frustrated, included. log Z is written
as that of a ground state plus corrections of small exponentials, and its derivatives are analytic
(`_jets.py`), so entropy and specific heat keep their digits at low temperature. Cost: O(1) per
beta.

Reference: Ising (1925), doi:10.1007/BF02980577; Kramers and Wannier (1941),
doi:10.1103/PhysRev.60.252.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    finite_number,
    inverse_temperature,
    like_input,
    whole_number,
)
from statmech_ml.exact._jets import (
    Jet,
    arctanh,
    exp,
    expm1,
    linear,
    log,
    log1p,
    log_cosh,
    sqrt,
    stack,
)

Array = NDArray[np.float64]


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
    9.122649352006
    """
    betas, ground, excess = _solve(L, beta, coupling, field)
    return like_input(ground * betas + excess.value)


def energy_per_site(L: int, beta: ArrayLike, coupling: float = 1.0, field: float = 0.0) -> Values:
    """Mean energy per site with the field's part, U / L = -d(log Z / L)/d beta.

    It is in the units of J and h.

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
    -0.761594171
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
    0.419974835
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
    float or array of the shape of `beta`; log 2 at beta = 0, and log(number of
    ground states) / L for T -> 0: two of them on a ferromagnet, 2 L on an odd antiferromagnet
    without a field.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 2, beta is negative or not finite, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> round(entropy_per_site(8, beta=50.0), 12)  # (log 2) / 8
    0.08664339757
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
    0.520410114
    """
    betas = inverse_temperature(beta)
    L, J, h = _check(L, coupling, field)
    values = [_magnetization(L, _transfer_matrix(J, h, each)) for each in betas.ravel().tolist()]
    return like_input(np.copysign(1.0, field) * np.array(values, dtype=float).reshape(betas.shape))


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
        If L is not a whole number >= 2, r is not whole or outside 0 .. L, beta is not one finite
        number >= 0, or J or h is not finite.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> correlation([0, 1, 2], 8, beta=1.0).round(8)
    array([1.        , 0.81766288, 0.69634747])
    """
    L, J, h = _check(L, coupling, field)
    betas = inverse_temperature(beta)
    if betas.ndim:
        raise InvalidInput(
            f"beta has shape {betas.shape}, but correlation takes one beta and any number of "
            "distances. Call it once per beta."
        )
    distances = np.asarray(r)
    if distances.dtype.kind not in "iu" or np.any((distances < 0) | (distances > L)):
        raise InvalidInput(f"r counts steps along the ring, 0 <= r <= L = {L}, but got {r!r}.")
    matrix = _transfer_matrix(J, h, float(betas))
    half = matrix.half_log_ratio.value
    root = np.hypot(matrix.B.value, matrix.D.value)
    # Both elements vanish for T -> 0 without a field; then the eigenvectors mix up and down
    # equally.
    mixing = (matrix.D.value / root) ** 2 if root > 0 else 1.0
    near = np.minimum(distances, L - distances)
    far = L - 2 * near
    if half == np.inf:
        decay = np.where(near == 0, 1.0, 0.0)
    elif not matrix.frustrated(L):
        decay = np.exp(-2.0 * near * half) * (1.0 + np.exp(-2.0 * far * half))
        decay = decay / (1.0 + np.exp(-2.0 * L * half))
    elif L * half < _TINY:
        decay = far / L
    else:
        decay = np.exp(-2.0 * near * half) * np.expm1(-2.0 * far * half) / np.expm1(-2.0 * L * half)
    if J < 0:
        decay = decay * (1.0 - 2.0 * (near % 2))
    return like_input(np.asarray((1.0 - mixing) + mixing * decay, dtype=np.float64))


def open_log_z(L: int, beta: ArrayLike, coupling: float = 1.0) -> Values:
    """log Z of the open chain without a field, Z = 2^L cosh^(L-1)(beta J), in nats.

    Parameters
    ----------
    L
        Number of sites, >= 1, with L - 1 bonds.
    beta
        Inverse temperature, scalar or array, finite and >= 0.
    coupling
        J, of either sign (it drops out: an open chain is never frustrated).

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        If L is not a whole number >= 1, beta is negative or not finite, or J is not finite.

    References
    ----------
    Ising (1925), doi:10.1007/BF02980577.

    Examples
    --------
    >>> round(open_log_z(8, beta=1.0), 12)
    8.581643257861
    """
    L = whole_number(L, "L", 1, "a chain has at least one site.")
    K = linear(inverse_temperature(beta) * finite_number(coupling, "coupling"))
    return like_input(np.asarray(L * np.log(2.0) + (L - 1) * log_cosh(K).value))


# --- the transfer matrix --------------------------------------------------------------------------

_TINY = 1e-8  # x^2 is below rounding beside 1


class _Matrix(NamedTuple):
    """Transfer matrix over its largest element, e^{beta ground}: eigenvalues A +- |(B, D)|."""

    J: float
    h: float
    beta: float
    ground: float
    A: Jet  # e^K cosh H
    B: Jet  # e^K sinh H
    D: Jet  # e^{-K}
    half_log_ratio: Jet  # log(lambda_+ / |lambda_-|) / 2, infinite where lambda_- = 0

    @property
    def aligned(self) -> bool:
        """Whether a bond's lowest energy is that of two spins along the field."""
        return self.h >= -2.0 * self.J

    def frustrated(self, L: int) -> bool:
        """Whether lambda_-^L is negative."""
        return self.J < 0 and L % 2 == 1


def _check(L: Any, coupling: float, field: float) -> tuple[int, float, float]:
    """L, J and |h|: flipping all spins reverses the field and leaves log Z alone."""
    L = whole_number(L, "L", 2, "the site of a ring of length 1 would be its own neighbour.")
    return L, finite_number(coupling, "coupling"), abs(finite_number(field, "field"))


def _solve(L: Any, beta: ArrayLike, coupling: float, field: float) -> tuple[Array, Array, Jet]:
    """beta, minus the energy of the subtracted ground state, and the jet of the rest of log Z."""
    betas = inverse_temperature(beta)
    L, J, h = _check(L, coupling, field)
    parts = [_excess(L, _transfer_matrix(J, h, each)) for each in betas.ravel().tolist()]
    ground = np.array([part[0] for part in parts], dtype=float).reshape(betas.shape)
    return betas, ground, stack([part[1] for part in parts], betas.shape)


def _transfer_matrix(J: float, h: float, beta: float) -> _Matrix:
    K, H = linear(beta * J), linear(beta * h)
    both, difference = 0.5 * (1.0 + exp(-2.0 * H)), -0.5 * expm1(-2.0 * H)
    if h >= -2.0 * J:
        ground, A, B, D = J + h, both, difference, exp(-2.0 * K - H)
    else:
        up = exp(2.0 * K + H)
        ground, A, B, D = -J, up * both, up * difference, Jet(1.0, 0.0, 0.0)
    half = _half_log_ratio(K, linear(beta * ground), A, B, D)
    return _Matrix(J, h, beta, ground, A, B, D, half)


def _half_log_ratio(K: Jet, ground: Jet, A: Jet, B: Jet, D: Jet) -> Jet:
    """arctanh of the smaller over the larger of A and (B^2 + D^2)^(1/2)."""
    if abs(K.value) < 1e-100:
        return Jet(np.inf, 0.0, 0.0)
    root_squared = B * B + D * D
    ratio_squared = root_squared / (A * A) if K.value > 0 else A * A / root_squared
    if ratio_squared.value < 1e-180:  # its square, all that log Z sees of it, is far below rounding
        return Jet(np.sqrt(ratio_squared.value), 0.0, 0.0)
    if ratio_squared.value < 0.25:
        return arctanh(sqrt(ratio_squared))
    # Near 1 arctanh has no digits left; the determinant 2 sinh 2K has them.
    size = K if K.value > 0 else -K
    return log(A + sqrt(root_squared)) - 0.5 * log(-expm1(-4.0 * size)) - size + ground


def _excess(L: int, matrix: _Matrix) -> tuple[float, Jet]:
    """An energy G and the jet of log Z - beta G, with -G that of the lowest states."""
    J, h, beta, ground, A, B, D, half = matrix
    z = L * half
    frustrated = matrix.frustrated(L)
    if z.value < (0.03 if frustrated else 1.0):
        # lambda_+^L +- |lambda_-|^L = 2 |lambda_+ lambda_-|^(L/2) cosh z or sinh z. Domain walls
        # come in pairs, and here they enter in pairs; in the other form their first order cancels.
        determinant = (0.5 * L) * log1p(-exp(linear(-4.0 * beta * abs(J)))) + np.log(2.0)
        if not frustrated:
            return L * abs(J), determinant + log_cosh(z)
        # log sinh z, with the one wall that must be there, log z -> 2K + H, taken to the ground
        # state.
        x = A * A / (1.0 + B * B)  # tanh^2(z / L)
        arctanh_over = x * (1 / 3 + x * (1 / 5 + x * (1 / 7)))
        z2 = (L * L) * x * (1.0 + arctanh_over) * (1.0 + arctanh_over)
        sinh_over = z2 * (1 / 6 + z2 * (-1 / 180 + z2 * (1 / 2835 + z2 * (-1 / 37800))))
        wall = log1p(exp(linear(-2.0 * beta * h))) - 0.5 * log1p(B * B) + np.log(0.5 * L)
        return L * abs(J) + 2.0 * J + h, determinant + wall + log1p(arctanh_over) + sinh_over
    root = sqrt(B * B + D * D)
    # log(A + root), where A + B = 1 if aligned and D = 1 if not.
    largest = log1p(D * D / (root + B)) if matrix.aligned else log1p(A + B * B / (root + 1.0))
    smallest = log(-expm1(-2.0 * z)) if frustrated else log1p(exp(-2.0 * z))
    return L * ground, L * largest + smallest


def _magnetization(L: int, matrix: _Matrix) -> float:
    """Of the sign of the field taken as positive."""
    half = matrix.half_log_ratio.value
    if matrix.beta * matrix.h == 0.0:
        return 0.0
    if not matrix.frustrated(L):
        root = np.hypot(matrix.B.value, matrix.D.value)
        return float(matrix.B.value / root * np.tanh(L * half))
    # B / A = tanh H, and A / root = tanh(half), which may both have underflowed.
    finite_size = 1.0 / L if L * half < _TINY else np.tanh(half) / np.tanh(L * half)
    return float(np.tanh(matrix.beta * matrix.h) * finite_size)


__all__ = [
    "correlation",
    "energy_per_site",
    "entropy_per_site",
    "log_z",
    "magnetization",
    "open_log_z",
    "specific_heat",
]
