"""Divergences of Gaussians in closed form: N(a, A) and N(b, B), d = b - a.

    KL      = 1/2 [tr B^-1 A - n + d.B^-1.d + log det B - log det A]
    Fisher  = tr (B^-1 - A^-1) A (B^-1 - A^-1) + |B^-1 d|^2,    which is E_p |s_p - s_q|^2
    Bures^2 = tr [A + B - 2 (A^1/2 B A^1/2)^1/2],               W2^2 = |d|^2 + Bures^2
    W1      = E|d + (s_b - s_a) z| on the line, z ~ N(0, 1);    |d| for a shift in any dimension
    TV      = 2 Phi(sqrt(d.A^-1.d) / 2) - 1 for A = B
    MMD^2   = K(2A, 0) + K(2B, 0) - 2 K(A + B, d),
              K(C, d) = det(1 + C / l^2)^-1/2 exp(-d.(C + l^2)^-1.d / 2)

There is no closed form of the Jensen-Shannon divergence: take `quadrature.js` or `plane.js`.

Kullback and Leibler (1951), doi:10.1214/aoms/1177729694; Gelbrich, Math. Nachr. 147, 185 (1990),
doi:10.1002/mana.19901470121, for W2; Bhatia, Jain and Lim, Expo. Math. 37, 165 (2019),
doi:10.1016/j.exmath.2018.01.002, theorem 1, for Bures as a Procrustes distance. Cost: O(n^3).
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtr

from ..errors import InvalidInput
from ..exact._arguments import finite_number
from ..exact.gaussian import kl
from ._arguments import Array, positive

_SYMMETRIC = 1e-12  # of the largest entry
_NEGATIVE = 1e-12  # of the largest eigenvalue: rounding of a semidefinite matrix


def jeffreys(
    mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike
) -> float:
    """KL(p || q) + KL(q || p) in nats; arguments and errors as in `kl`.

    H. Jeffreys, Proc. R. Soc. A 186, 453 (1946), doi:10.1098/rspa.1946.0056, eq. 1.

    >>> jeffreys([0.0], [[1.0]], [3.0], [[1.0]])
    9.0
    """
    return kl(mean_p, covariance_p, mean_q, covariance_q) + kl(
        mean_q, covariance_q, mean_p, covariance_p
    )


def fisher(
    mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike
) -> float:
    """Fisher divergence E_p |grad log p - grad log q|^2, in units of 1 / x^2, without a 1/2.

    Arguments and errors as in `kl`. Hyvarinen, JMLR 6, 695 (2005), eq. 2 (half of it).

    >>> fisher([0.0], [[1.0]], [3.0], [[1.0]]), fisher([0.0], [[4.0]], [0.0], [[1.0]])
    (9.0, 2.25)
    """
    d, A, B = _pair(mean_p, covariance_p, mean_q, covariance_q, definite=True)
    # (B^-1 - A^-1) A (B^-1 - A^-1) = E A^-1 E with E = B^-1 (A - B), small where A is close to B.
    excess = np.linalg.solve(B, A - B)
    return float(
        np.trace(excess @ np.linalg.solve(A, excess.T)) + (np.linalg.solve(B, d) ** 2).sum()
    )


def bures(covariance_p: ArrayLike, covariance_q: ArrayLike) -> float:
    """Bures distance of two covariances, the W2 of Gaussians of equal means, in units of x.

    The least |A^1/2 - U B^1/2| (Frobenius) over orthogonal U, which keeps its digits where A is
    close to B.

    Parameters
    ----------
    covariance_p, covariance_q
        (n, n), symmetric, positive semidefinite.

    Raises
    ------
    InvalidInput
        For other matrices.

    References
    ----------
    Bhatia, Jain and Lim (2019), theorem 1.

    >>> bures([[4.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    1.0
    """
    A, B = _matrix(covariance_p, "covariance_p"), _matrix(covariance_q, "covariance_q")
    if A.shape != B.shape:
        raise InvalidInput(f"Covariances of shape {A.shape} and {B.shape} do not fit together.")
    root_A, root_B = _root(A), _root(B)
    left, _, right = np.linalg.svd(root_B @ root_A)
    return float(np.linalg.norm(root_A - (left @ right).T @ root_B))


def w2(
    mean_p: ArrayLike, covariance_p: ArrayLike, mean_q: ArrayLike, covariance_q: ArrayLike
) -> float:
    """W2 of two Gaussians, sqrt(|d|^2 + Bures^2), in units of x; covariances may be semidefinite.

    Gelbrich (1990), theorem 2.1.

    >>> w2([0.0], [[4.0]], [3.0], [[64.0]])  # sqrt(9 + 36)
    6.708203932499369
    """
    d, A, B = _pair(mean_p, covariance_p, mean_q, covariance_q, definite=False)
    return math.hypot(float(np.linalg.norm(d)), bures(A, B))


def w1(mean_p: float, sd_p: float, mean_q: float, sd_q: float) -> float:
    """W1 of two Gaussians on the line, in units of x: the mean of a folded normal.

    Leone, Nelson and Nottingham, Technometrics 3, 543 (1961), eq. 4; sd > 0.

    >>> w1(0.0, 1.0, -3.0, 1.0)
    3.0
    """
    shift = finite_number(mean_q, "mean_q") - finite_number(mean_p, "mean_p")
    return _folded(shift, abs(positive(sd_q, "sd_q") - positive(sd_p, "sd_p")))


def energy_distance(mean_p: float, sd_p: float, mean_q: float, sd_q: float) -> float:
    """Energy distance D^2 = 2 E|x - y| - E|x - x'| - E|y - y'| of Gaussians on the line.

    >>> round(energy_distance(0.0, 1.0, 1.0, 1.0), 12)
    0.541806579306
    """
    shift = finite_number(mean_q, "mean_q") - finite_number(mean_p, "mean_p")
    s, t = positive(sd_p, "sd_p"), positive(sd_q, "sd_q")
    return 2.0 * _folded(shift, math.hypot(s, t)) - 2.0 * (s + t) / math.sqrt(math.pi)


def total_variation(mean_p: ArrayLike, mean_q: ArrayLike, covariance: ArrayLike) -> float:
    """TV of two Gaussians of one covariance; the best accuracy of C2ST is (1 + TV) / 2.

    Arguments and errors as in `kl`.

    >>> round(total_variation([0.0], [2.0], [[1.0]]), 12)
    0.682689492137
    """
    d, A, _ = _pair(mean_p, covariance, mean_q, covariance, definite=True)
    return float(2.0 * ndtr(0.5 * math.sqrt(d @ np.linalg.solve(A, d))) - 1.0)


def mmd_squared(
    mean_p: ArrayLike,
    covariance_p: ArrayLike,
    mean_q: ArrayLike,
    covariance_q: ArrayLike,
    bandwidth: float,
) -> float:
    """MMD^2 of two Gaussians with the kernel exp(-|x - y|^2 / 2 l^2), l = `bandwidth`.

    Other arguments and errors as in `w2`. The integrals are Gaussian ones.

    >>> round(mmd_squared([0.0], [[1.0]], [1.0], [[1.0]], 1.0), 12)
    0.17726763492
    """
    d, A, B = _pair(mean_p, covariance_p, mean_q, covariance_q, definite=False)
    unit = positive(bandwidth, "bandwidth") ** 2 * np.eye(len(A))

    def overlap(C: Array, shift: Array) -> float:
        _, log_det = np.linalg.slogdet(np.eye(len(A)) + C / unit[0, 0])
        return math.exp(-0.5 * (float(log_det) + float(shift @ np.linalg.solve(C + unit, shift))))

    nowhere = np.zeros_like(d)
    return overlap(2.0 * A, nowhere) + overlap(2.0 * B, nowhere) - 2.0 * overlap(A + B, d)


# --- arguments ------------------------------------------------------------------------------------


def _folded(shift: float, sd: float) -> float:
    """E|shift + sd z|, z a standard normal."""
    if sd == 0.0:
        return abs(shift)
    ratio = shift / sd
    peak = sd * math.sqrt(2.0 / math.pi) * math.exp(-0.5 * ratio**2)
    return peak + shift * float(erf(ratio / math.sqrt(2.0)))


def _pair(
    mean_p: ArrayLike,
    covariance_p: ArrayLike,
    mean_q: ArrayLike,
    covariance_q: ArrayLike,
    definite: bool,
) -> tuple[Array, Array, Array]:
    """d (n,), A and B, checked."""
    A = _matrix(covariance_p, "covariance_p", definite)
    B = _matrix(covariance_q, "covariance_q", definite)
    means = np.asarray(mean_p, np.float64), np.asarray(mean_q, np.float64)
    fitting = all(m.shape in ((), (len(A),)) and np.isfinite(m).all() for m in means)
    if A.shape != B.shape or not fitting:
        raise InvalidInput(
            f"The Gaussians do not fit together: covariances of shape {A.shape} and {B.shape}, "
            f"means of shape {means[0].shape} and {means[1].shape}. Give finite means, a number or "
            "one per coordinate, and matrices of one size."
        )
    return np.broadcast_to(means[1] - means[0], len(A)).astype(np.float64), A, B


def _matrix(given: ArrayLike, name: str, definite: bool = False) -> Array:
    matrix = np.asarray(given, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InvalidInput(f"{name} has shape {matrix.shape}; a square matrix (n, n) is needed.")
    if not np.isfinite(matrix).all():
        raise InvalidInput(f"{name} holds NaN or infinite values.")
    asymmetry = float(np.abs(matrix - matrix.T).max())
    if asymmetry > _SYMMETRIC * float(np.abs(matrix).max()):
        raise InvalidInput(f"{name} is not symmetric: mirror entries differ by {asymmetry:g}.")
    eigenvalues = np.linalg.eigvalsh(matrix)
    lowest, highest = float(eigenvalues[0]), float(eigenvalues[-1])
    if lowest < -_NEGATIVE * abs(highest) or (definite and lowest <= 0.0):
        raise InvalidInput(
            f"{name} has the eigenvalue {lowest:.3g}. A covariance has none below 0, and here "
            f"{'none at 0 either' if definite else '0 is allowed'}."
        )
    return matrix


def _root(matrix: Array) -> Array:
    eigenvalues, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T)


__all__ = [
    "bures",
    "energy_distance",
    "fisher",
    "jeffreys",
    "kl",
    "mmd_squared",
    "total_variation",
    "w1",
    "w2",
]
