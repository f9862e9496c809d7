"""Probabilistic PCA: a Gaussian of q strong directions and equal noise in all of them.

    x = mu + W h + s eps,   h ~ N(0, I_q),   p(x) = N(x; mu, C),   C = W W^T + s^2 I.

Given a covariance S of data with eigenvalues l_1 >= l_2 >= ... the likelihood is largest at

    s^2 = mean of the d - q discarded eigenvalues,   W = U_q (L_q - s^2 I)^(1/2),

its value per configuration being -1/2 (d log 2 pi + log det C + tr C^-1 S) with tr C^-1 S = d. It
is what a linear VAE can reach at best, and its evidence.

M. E. Tipping and C. M. Bishop, J. R. Stat. Soc. B 61, 611 (1999), eqs. 4 to 8,
doi:10.1111/1467-9868.00196.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number, real_array, whole_number
from statmech_ml.exact.targets._component import component
from statmech_ml.exact.targets._target import Array
from statmech_ml.exact.targets.gaussian import Gaussian


class PPCA(Gaussian):
    """N(mean, W W^T + variance I).

    Parameters
    ----------
    weights : array (d, q)
        W, its columns the latent directions; q < d.
    variance : float
        s^2 > 0 of the noise, in units of x^2.
    mean : float or array (d,), default 0

    Raises
    ------
    InvalidInput
        For shapes that do not fit, numbers that are not finite, a variance <= 0, and as many
        latents as coordinates.

    >>> fitted = PPCA.fit(np.diag([4.0, 2.0, 0.5, 0.25]), 2)
    >>> fitted.variance, round(fitted.log_likelihood(np.diag([4.0, 2.0, 0.5, 0.25])), 10)
    (0.375, -5.7346456506)
    """

    def __init__(self, weights: ArrayLike, variance: float, mean: ArrayLike = 0.0) -> None:
        W, s2 = real_array(weights, "weights"), finite_number(variance, "variance")
        if W.ndim != 2 or not 1 <= W.shape[1] < W.shape[0]:
            raise InvalidInput(
                f"weights has shape {W.shape}; (d, q) with 1 <= q < d is needed. With as many "
                "latents as coordinates the noise is not determined: use Gaussian."
            )
        if not np.isfinite(W).all() or s2 <= 0.0:
            raise InvalidInput(f"weights must be finite and variance={s2:g} must be > 0.")
        super().__init__(mean, W @ W.T + s2 * np.eye(len(W)))
        self.weights, self.variance = W.copy(), s2

    @classmethod
    def fit(cls, covariance: ArrayLike, q: int, mean: ArrayLike = 0.0) -> Self:
        """The most likely PPCA with q latents for data of this mean and covariance.

        Parameters
        ----------
        covariance : array (d, d), or (d,): the eigenvalues of a diagonal one
            Of the data, with the divisor n; symmetric and positive definite.
        q : int
            Latents, 1 <= q < d.
        mean : float or array (d,), default 0

        Returns
        -------
        PPCA
            Columns of `weights` by falling eigenvalue; zero where an eigenvalue is no larger than
            the noise.
        """
        given = real_array(covariance, "covariance")
        found = component(mean, np.diag(given) if given.ndim == 1 else given)
        d = len(found.mean)
        q = whole_number(q, "q", 1, "a model without latents is isotropic noise.")
        if q >= d:
            raise InvalidInput(
                f"q={q} latents for {d} coordinates: at least one direction must be left to the "
                f"noise, q <= {d - 1}."
            )
        # Eigenvalues rise: the last q are kept.
        variance = float(found.eigenvalues[: d - q].mean())
        strength = np.sqrt(np.maximum(found.eigenvalues[d - q :] - variance, 0.0))
        weights = found.directions[:, d - q :] * strength
        return cls(weights[:, ::-1], variance, found.mean)

    def log_likelihood(self, covariance: ArrayLike, mean: Any = None) -> float:
        """Mean of log p(x) over data of this mean and covariance, in nats per configuration.

        Parameters
        ----------
        covariance : array (d, d)
            Of the data, with the divisor n.
        mean : array (d,), optional
            Of the data; the model's own if left out.
        """
        S = real_array(covariance, "covariance")
        mu = self.mean()
        shift = (mu if mean is None else real_array(mean, "mean")) - mu
        if S.shape != (len(mu), len(mu)) or not (np.isfinite(S).all() and np.isfinite(shift).all()):
            raise InvalidInput(
                f"covariance has shape {S.shape}; ({len(mu)}, {len(mu)}) finite numbers are needed."
            )
        Q, l = self.directions, self.eigenvalues  # noqa: E741
        second: Array = ((Q.T @ (S + np.outer(shift, shift))) * Q.T).sum(axis=1)
        return -0.5 * float((np.log(2.0 * np.pi * l) + second / l).sum())
