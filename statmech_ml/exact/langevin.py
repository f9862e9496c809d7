"""The laws that Langevin samplers have instead of their target, exact on Gaussians.

Without accept/reject a finite step changes the law. Where the reduced energy is quadratic,

    u(x) = k x^2 / 2    (each eigenvalue k of the precision matrix is a direction of its own),

moves are linear and keep a Gaussian, whose variance solves a linear equation:

    ULA, SGLD                   T / (k (1 - eta k / 2))               0 < eta k < 2
    leapfrog (HMC unadjusted)   1 / (k (1 - eps^2 k / 4))             eps^2 k < 4
    BAOAB                       1 / k;  <p^2> = 1 - h^2 k / 4         h^2 k < 4
    SGHMC                       T / (k (1 - eps^2 k / (2 (2 - eps C))))

Noise of standard deviation s in a move of ULA means T = s^2 / (2 eta). Minibatches of linear
regression add a gradient noise that depends on the state, but is linear in it: the covariance of
SGLD still solves a linear equation, of size dim^2.

G. O. Roberts and R. L. Tweedie, Bernoulli 2, 341 (1996), doi:10.2307/3318418 (ULA); R. M. Neal, in
Handbook of Markov Chain Monte Carlo (2011), arXiv:1206.1901, section 5.2 (leapfrog); B. Leimkuhler
and C. Matthews, Appl. Math. Res. eXpress 2013, 34, doi:10.1093/amrx/abs010 (BAOAB); S. Mandt, M. D.
Hoffman and D. M. Blei, J. Mach. Learn. Res. 18, 134 (2017), arXiv:1704.04289 (gradient noise).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    finite_number,
    like_input,
    real_array,
    whole_number,
)

Array = NDArray[np.float64]


def ula_variance(
    step: ArrayLike, curvature: ArrayLike = 1.0, temperature: ArrayLike = 1.0
) -> Values:
    """Stationary variance of x' = x - eta k x + sqrt(2 eta T) w.

    Parameters
    ----------
    step
        eta > 0.
    curvature
        k > 0, with eta k < 2: beyond that |x| grows. On a correlated Gaussian each eigenvalue of
        the precision gives the variance along its eigenvector.
    temperature
        T > 0; noise^2 / (2 eta) for a noise of one's own.

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> ula_variance(1.0)  # 1 / (1 - 1/2)
    2.0
    >>> ula_variance(0.5, temperature=0.5)  # noise sqrt(eta) on N(0, 1): 1 / (2 - eta)
    0.6666666666666666
    """
    eta, k, T = _positive(step=step, curvature=curvature, temperature=temperature)
    _stable(eta * k < 2.0, "step * curvature must be below 2")
    return like_input(T / (k * (1.0 - 0.5 * eta * k)))


def leapfrog_variance(step: ArrayLike, curvature: ArrayLike = 1.0) -> Values:
    """Variance of x under kick-drift-kick leapfrog with momenta drawn anew, never rejecting.

    The leapfrog conserves p^2 + k (1 - eps^2 k / 4) x^2 exactly, so this holds for any number of
    steps between two drawings.

    Parameters
    ----------
    step
        eps > 0, for unit masses.
    curvature
        k > 0, with eps^2 k < 4.

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> leapfrog_variance(1.0)
    1.3333333333333333
    """
    eps, k = _positive(step=step, curvature=curvature)
    _stable(eps**2 * k < 4.0, "step^2 * curvature must be below 4")
    return like_input(1.0 / (k * (1.0 - 0.25 * eps**2 * k)))


def baoab_variance(step: ArrayLike, curvature: ArrayLike = 1.0) -> Values:
    """Variance of x under BAOAB: 1 / k, exact at every stable step and any friction.

    Parameters
    ----------
    step
        h > 0, for unit masses.
    curvature
        k > 0, with h^2 k < 4.

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> baoab_variance(1.9)
    1.0
    """
    h, k = _positive(step=step, curvature=curvature)
    _stable(h**2 * k < 4.0, "step^2 * curvature must be below 4")
    return like_input(1.0 / k + 0.0 * h)


def baoab_kinetic_temperature(step: ArrayLike, curvature: ArrayLike = 1.0) -> Values:
    """<p^2> at the ends of BAOAB moves: 1 - h^2 k / 4, while positions are exact.

    Arguments, result and domain as for `baoab_variance`.

    >>> baoab_kinetic_temperature(1.0)
    0.75
    """
    h, k = _positive(step=step, curvature=curvature)
    _stable(h**2 * k < 4.0, "step^2 * curvature must be below 4")
    return like_input(1.0 - 0.25 * h**2 * k)


def sghmc_variance(
    step: ArrayLike,
    friction: ArrayLike,
    curvature: ArrayLike = 1.0,
    gradient_noise: ArrayLike = 0.0,
    noise_estimate: ArrayLike = 0.0,
) -> Values:
    """Stationary variance of x under SGHMC with unit masses:

    T / (k (1 - eps^2 k / (2 (2 - eps C)))),    T = 1 + (eps S / 2 - B) / C.

    Parameters
    ----------
    step
        eps > 0.
    friction
        C > 0, with eps C < 2.
    curvature
        k > 0, with eps^2 k < 2 (2 - eps C).
    gradient_noise
        S >= 0, the variance of the gradient.
    noise_estimate
        B, from 0 up to C: what is left out of the noise added.

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> sghmc_variance(0.5, friction=2.0)  # eps C = 1: SGLD with eta = eps^2
    1.1428571428571428
    """
    eps, C, k, T = _sghmc(step, friction, curvature, gradient_noise, noise_estimate)
    return like_input(T / (k * (1.0 - eps**2 * k / (2.0 * (2.0 - eps * C)))))


def sghmc_kinetic_temperature(
    step: ArrayLike,
    friction: ArrayLike,
    curvature: ArrayLike = 1.0,
    gradient_noise: ArrayLike = 0.0,
    noise_estimate: ArrayLike = 0.0,
) -> Values:
    """<p^2> after the kicks of SGHMC: T / (1 - eps C / 2 - eps^2 k / 4).

    Arguments, result and domain as for `sghmc_variance`.

    >>> round(sghmc_kinetic_temperature(0.1, friction=1.0), 12)  # 1 / (1 - 1/20 - 1/400)
    1.055408970976
    """
    eps, C, k, T = _sghmc(step, friction, curvature, gradient_noise, noise_estimate)
    return like_input(T / (1.0 - 0.5 * eps * C - 0.25 * eps**2 * k))


def psgld_variance(step: ArrayLike, curvature: ArrayLike = 1.0) -> Values:
    """Stationary variance of PSGLD in the limit alpha -> 1, full gradients, without regulariser.

    The preconditioner is then G = 1 / (k sigma), sigma^2 being the variance that G itself gives,

        sigma^2 = 1 / (k (1 - eta G k / 2))    =>    k sigma^2 - k eta sigma / 2 - 1 = 0.

    Parameters
    ----------
    step
        eta > 0; every step is stable, as G shrinks when x grows.
    curvature
        k > 0.

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> psgld_variance(3.0)  # sigma = 2
    4.0
    """
    eta, k = _positive(step=step, curvature=curvature)
    return like_input((0.25 * eta + np.sqrt(eta**2 / 16.0 + 1.0 / k)) ** 2)


def sgld_covariance(
    step: float,
    batch_size: int | None,
    X: ArrayLike,
    y: ArrayLike,
    noise: float = 1.0,
    prior_scale: ArrayLike = 1.0,
) -> Array:
    """Stationary covariance of SGLD on Bayesian linear regression with known noise, at beta = 1.

    With precision A, h_r = x_r x_r^T / noise^2 of row r, g_r its gradient at the posterior mean,
    and batches of b rows drawn with replacement, C solves

        C = (1 - eta A) C (1 - eta A) + eta^2 n^2/b (Cov_r[h C h] + Cov_r[g]) + 2 eta,

    Cov_r[h C h] = <h_r C h_r> - <h> C <h>, averages over all rows r. The mean is that of the
    posterior; C - A^-1 is the bias, A C + C A - 2 ~ eta A C A + eta S with S = n^2/b Cov_r[g].

    Parameters
    ----------
    step
        eta > 0.
    batch_size
        b >= 1, or None for the full gradient.
    X, y
        Inputs (n, dim) and outputs (n,); dim at most 40.
    noise
        Standard deviation of an output.
    prior_scale
        Standard deviations of the prior, a number or (dim,).

    Returns
    -------
    float64 (dim, dim)

    Raises
    ------
    InvalidInput
        For shapes that do not fit, and for a step at which the covariance grows without bound:
        gradient noise makes that step shorter than 2 over the largest curvature.

    References
    ----------
    Mandt, Hoffman and Blei (2017), eq. 13, is its limit of small steps.

    >>> C = sgld_covariance(0.5, None, [[0.0]], [0.0])  # only the prior, k = 1
    >>> bool(abs(C[0, 0] - ula_variance(0.5)) < 1e-15)
    True
    """
    eta = float(_positive(step=finite_number(step, "step"))[0])
    sigma = float(_positive(noise=finite_number(noise, "noise"))[0])
    inputs, outputs = real_array(X, "X"), real_array(y, "y")
    if inputs.ndim != 2 or outputs.shape != inputs.shape[:1] or not 0 < inputs.shape[1] <= 40:
        raise InvalidInput(
            f"X has shape {inputs.shape} and y {outputs.shape}; (n, dim) with dim up to 40 and "
            "(n,) are needed."
        )
    n, dim = inputs.shape
    widths = np.broadcast_to(_positive(prior_scale=prior_scale)[0], dim)
    rows, eye = inputs / sigma, np.eye(dim)
    A = rows.T @ rows + np.diag(widths**-2.0)
    mean = np.linalg.solve(A, rows.T @ outputs / sigma)
    once = eye - eta * A
    transfer, source = np.kron(once, once), 2.0 * eta * eye
    if batch_size is not None:
        b = whole_number(batch_size, "batch_size", 1, "a batch has rows.")
        slopes = rows * ((rows @ mean) - outputs / sigma)[:, None]
        away = slopes - slopes.mean(axis=0)
        source = source + eta**2 * n / b * (away.T @ away)
        pairs = np.einsum("ri,rj->rij", rows, rows).reshape(n, dim**2)
        # <h_ij h_kl> is symmetric in all four indices, so it is <(h C h)_ik> over C_jl as it is.
        h = (rows.T @ rows) / n
        transfer = transfer + eta**2 * n**2 / b * (pairs.T @ pairs / n - np.kron(h, h))
    radius = float(np.abs(np.linalg.eigvals(transfer)).max())
    _stable(radius < 1.0, f"the covariance must not grow ({radius:.3g}-fold a move)")
    found = np.linalg.solve(np.eye(dim**2) - transfer, source.ravel()).reshape(dim, dim)
    return np.asarray(0.5 * (found + found.T))


def _sghmc(
    step: ArrayLike, friction: ArrayLike, curvature: ArrayLike, noise: ArrayLike, left: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    """eps, C, k and T, checked."""
    eps, C, k = _positive(step=step, friction=friction, curvature=curvature)
    S, B = real_array(noise, "gradient_noise"), real_array(left, "noise_estimate")
    if not ((S >= 0.0).all() and (B >= 0.0).all() and (C >= B).all()):
        raise InvalidInput(
            f"gradient_noise={noise!r} must be at least 0, and noise_estimate={left!r} between 0 "
            f"and friction={friction!r}."
        )
    room = 2.0 * (2.0 - eps * C) - eps**2 * k
    holds = (eps * C < 2.0) & (room > 0.0)
    _stable(holds, "step^2 * curvature must be below 2 (2 - step * friction)")
    return eps, C, k, 1.0 + (0.5 * eps * S - B) / C


def _positive(**given: Any) -> list[Array]:
    """The arguments as float64 arrays, every entry finite and > 0."""
    found = []
    for name, value in given.items():
        values = real_array(value, name)
        if not (np.isfinite(values) & (values > 0.0)).all():
            raise InvalidInput(f"{name} must be positive and finite, but got {value!r}.")
        found.append(values)
    return found


def _stable(holds: Any, condition: str) -> None:
    """InvalidInput where chains have no stationary law."""
    if not np.all(holds):
        raise InvalidInput(
            f"There is no stationary law: {condition}. Moves with a longer step diverge; use a "
            "smaller one."
        )


__all__ = [
    "baoab_kinetic_temperature",
    "baoab_variance",
    "leapfrog_variance",
    "psgld_variance",
    "sghmc_kinetic_temperature",
    "sghmc_variance",
    "sgld_covariance",
    "ula_variance",
]
