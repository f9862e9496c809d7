"""Gaussian models: log Z, entropy and divergence of correlated Gaussians, and the free field.

    E(x) = x.A.x / 2 - b.x,    log Z = n/2 log(2 pi / beta) - 1/2 log det A + beta/2 b.A^-1.b

with means A^-1 b and covariance C = A^-1 / beta. One of them is the free field on a periodic
lattice,

    E(phi) = kappa/2 sum_<ij> (phi_i - phi_j)^2 + m^2/2 sum_i phi_i^2,

whose normal modes are plane waves, of stiffness m^2 + 2 kappa sum_a (1 - cos k_a), a the axes.

Domain: matrices that are symmetric and positive definite; m > 0 (without a mass the uniform mode is
unbounded). Cost: O(n^3) of a matrix, O(N log N) of a field of N sites.

Kullback and Leibler (1951), doi:10.1214/aoms/1177729694; Cover and Thomas, Elements of Information
Theory (2006), theorem 8.4.1, doi:10.1002/047174882X; Parisi, Statistical Field Theory (1988),
chapter 3.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    finite_number,
    inverse_temperature,
    like_input,
    real_array,
    whole_number,
)

Array = NDArray[np.float64]

_SYMMETRIC = 1e-12  # of the largest entry: what inverting a matrix leaves


def log_z(precision: ArrayLike, beta: ArrayLike = 1.0, source: ArrayLike = 0.0) -> Values:
    """log of the integral of exp(-beta (x.A.x / 2 - b.x)) over R^n, in nats.

    Parameters
    ----------
    precision
        A, (n, n), symmetric and positive definite.
    beta
        Inverse temperature, scalar or array, finite and > 0.
    source
        b, a number or (n,).

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For a matrix that is not symmetric and positive definite, a source of another length, and
        beta outside its domain.

    >>> round(log_z([[2.0, 1.0], [1.0, 2.0]]), 12)  # log(2 pi / sqrt 3)
    1.288570922075
    """
    factor = _cholesky(precision, "precision")
    b = real_array(source, "source")
    if b.shape not in ((), (len(factor),)) or not np.isfinite(b).all():
        raise InvalidInput(
            f"source has shape {b.shape}; one finite number, or one for each of the {len(factor)} "
            "coordinates, is needed."
        )
    betas = _positive(beta)
    half = np.linalg.solve(factor, np.broadcast_to(b, len(factor)))  # b.A^-1.b = |L^-1 b|^2
    log_volume = 0.5 * len(factor) * np.log(2.0 * np.pi / betas) - 0.5 * _log_det(factor)
    return like_input(np.asarray(log_volume + 0.5 * betas * (half @ half)))


def entropy(covariance: ArrayLike) -> float:
    """Differential entropy of a Gaussian, 1/2 log det(2 pi e C), in nats.

    Parameters
    ----------
    covariance
        C, (n, n), symmetric and positive definite.

    Returns
    -------
    float, of either sign: it changes with the unit of x.

    Raises
    ------
    InvalidInput
        For a matrix that is not symmetric and positive definite.

    References
    ----------
    Cover and Thomas (2006), theorem 8.4.1.

    >>> round(entropy([[1.0]]), 12)  # (1 + log 2 pi) / 2
    1.418938533205
    """
    factor = _cholesky(covariance, "covariance")
    return 0.5 * (len(factor) * (1.0 + math.log(2.0 * math.pi)) + _log_det(factor))


def kl(
    mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike
) -> float:
    """Kullback-Leibler divergence KL(p || q) = integral of p log(p / q) of two Gaussians, in nats.

    KL = 1/2 [tr(C_q^-1 C_p) - n + d.C_q^-1.d + log det C_q - log det C_p],    d = mean_q - mean_p.

    Parameters
    ----------
    mean_p, mean_q
        Numbers or (n,).
    covariance_p, covariance_q
        (n, n), symmetric and positive definite.

    Returns
    -------
    float, >= 0 up to rounding.

    Raises
    ------
    InvalidInput
        For matrices that are not symmetric and positive definite, and shapes that do not fit.

    References
    ----------
    Kullback and Leibler (1951), doi:10.1214/aoms/1177729694.

    >>> kl([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], [[1.0, 0.0], [0.0, 1.0]])  # 25 / 2
    12.5
    """
    factor = _cholesky(covariance_q, "covariance_q")
    n = len(_cholesky(covariance_p, "covariance_p"))
    means = real_array(mean_p, "mean_p"), real_array(mean_q, "mean_q")
    fitting = len(factor) == n and all(
        m.shape in ((), (n,)) and np.isfinite(m).all() for m in means
    )
    if not fitting:
        raise InvalidInput(
            f"The Gaussians do not fit together: covariances of {n} and {len(factor)} coordinates, "
            f"means of shape {means[0].shape} and {means[1].shape}. Give finite means, a number or "
            "one per coordinate, and matrices of one size."
        )
    d = np.linalg.solve(factor, np.broadcast_to(means[1] - means[0], n))
    # C_p in the coordinates where C_q is the unit matrix, less that: small where p is close to q.
    excess = np.asarray(covariance_p, float) - np.asarray(covariance_q, float)
    excess = np.linalg.solve(factor, np.linalg.solve(factor, excess).T)
    eigenvalues = np.linalg.eigvalsh(0.5 * (excess + excess.T))
    return 0.5 * float(d @ d + (eigenvalues - np.log1p(eigenvalues)).sum())


def field_log_z(shape: Any, beta: ArrayLike, mass: float, stiffness: float = 1.0) -> Values:
    """log Z of the free field on a periodic lattice, in nats.

    Parameters
    ----------
    shape
        Sides of the lattice, whole numbers >= 2, in any dimension (at 2 both bonds count).
    beta
        Inverse temperature, scalar or array, finite and > 0.
    mass
        m > 0.
    stiffness
        kappa >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For arguments outside these domains.

    References
    ----------
    Parisi (1988), ch. 3.

    >>> round(field_log_z((8, 8), beta=1.0, mass=1.0), 9)
    10.557824521
    """
    betas, modes = _positive(beta), _modes(shape, mass, stiffness)
    log_volume = 0.5 * modes.size * np.log(2.0 * np.pi / betas)
    return like_input(np.asarray(log_volume - 0.5 * np.log(modes).sum()))


def field_correlation(shape: Any, beta: float, mass: float, stiffness: float = 1.0) -> Array:
    """Correlation <phi_0 phi_r> of the free field for every displacement r, an array of `shape`.

    G(r) = 1/N sum_k cos(k.r) / (beta (m^2 + 2 kappa sum_a (1 - cos k_a))). Parameters and errors as
    in `field_log_z`, with one beta.

    References
    ----------
    Parisi (1988), ch. 3.

    >>> field_correlation((4,), beta=1.0, mass=1.0).round(9).tolist()
    [0.466666667, 0.2, 0.133333333, 0.2]
    """
    betas, modes = _positive(beta), _modes(shape, mass, stiffness)
    if betas.ndim:
        raise InvalidInput(f"beta has shape {betas.shape}; one number is needed here.")
    return np.asarray(np.fft.ifftn(1.0 / modes).real / betas)


def _modes(shape: Any, mass: float, stiffness: float) -> Array:
    """Stiffness of every plane wave, an array of `shape`."""
    try:
        sides = tuple(shape)
    except TypeError as error:
        raise InvalidInput(f"shape={shape!r} must be a tuple of sides, such as (8, 8).") from error
    m, kappa = finite_number(mass, "mass"), finite_number(stiffness, "stiffness")
    if not sides or m <= 0.0 or kappa < 0.0:
        raise InvalidInput(
            f"shape={shape!r}, mass={mass!r}, stiffness={stiffness!r}: a field needs a side, a "
            "mass > 0 (else its uniform mode is unbounded) and a stiffness >= 0."
        )
    modes = np.full((1,) * len(sides), m * m)
    for axis, given in enumerate(sides):
        side = whole_number(given, "side", 2, "a site may not be its own neighbour.")
        wave = 4.0 * kappa * np.sin(np.pi * np.arange(side) / side) ** 2  # 2 (1 - cos k)
        modes = modes + wave.reshape([side if a == axis else 1 for a in range(len(sides))])
    return modes


def _positive(beta: ArrayLike) -> Array:
    betas = inverse_temperature(beta)
    if np.any(betas == 0.0):
        raise InvalidInput("beta = 0 leaves a Gaussian without a width; beta must be > 0.")
    return betas


def _cholesky(matrix: ArrayLike, name: str) -> Array:
    """The lower triangular L with matrix = L L^T, or InvalidInput."""
    given = real_array(matrix, name)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
        raise InvalidInput(f"{name} has shape {given.shape}; a square matrix (n, n) is needed.")
    if not np.isfinite(given).all():
        raise InvalidInput(f"{name} holds NaN or infinite values.")
    asymmetry = float(np.abs(given - given.T).max())
    if asymmetry > _SYMMETRIC * float(np.abs(given).max()):
        raise InvalidInput(
            f"{name} is not symmetric: entries differ from their mirror image by {asymmetry:g}."
        )
    try:
        return np.asarray(np.linalg.cholesky(given))
    except np.linalg.LinAlgError as error:
        raise InvalidInput(
            f"{name} is not positive definite: its smallest eigenvalue is "
            f"{np.linalg.eigvalsh(given)[0]:.3g}. A Gaussian needs a width in every direction."
        ) from error


def _log_det(factor: Array) -> float:
    return 2.0 * float(np.log(np.diagonal(factor)).sum())


__all__ = ["entropy", "field_correlation", "field_log_z", "kl", "log_z"]
