"""What regressions on a linear predictor share: data, a Gaussian prior, and minibatch gradients.

    E(theta) = -log N(theta; 0, diag(prior_scale^2)) - sum_n log p(y_n | x_n . theta)

The gradient of a term is x_n s_n with a number s_n (`_slopes`), so that of a minibatch, and the
covariance of its noise, are matrix products.
"""

from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import frozen, numbers


class Regression(Model):
    """Base of Bayesian regressions; `X` float64 (n, dim), `y` (n,), `prior_scale` (dim,)."""

    X: np.ndarray
    y: np.ndarray
    prior_scale: np.ndarray

    def _set(self, X: Any, y: Any, prior_scale: Any) -> None:
        """Check and keep the data and the prior."""
        self.X, self.y = numbers(X, 2, "X"), numbers(y, 1, "y")
        if len(self.y) != len(self.X):
            raise InvalidInput(
                f"X has {len(self.X)} rows and y {len(self.y)} entries; every datum has one of "
                "each."
            )
        try:
            scale = np.broadcast_to(np.array(prior_scale, np.float64), self.X.shape[1:]).copy()
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"prior_scale={prior_scale!r} does not fit {self.X.shape[1]} parameters. Give a "
                "number, or one per column of X."
            ) from error
        if not (np.isfinite(scale) & (scale > 0.0)).all():
            raise InvalidInput(f"prior_scale={prior_scale!r} must be positive and finite.")
        scale.setflags(write=False)
        self.prior_scale = scale

    def _compile(self, arrays: NamedTuple) -> None:
        super().__init__(Reals(self.X.shape[1]), frozen(arrays))

    @property
    def n_data(self) -> int:
        """Number of data."""
        return len(self.X)

    def _slopes(self, predictor: np.ndarray, y: np.ndarray) -> np.ndarray:
        """-d log p(y | eta) / d eta at eta = predictor, of its shape."""
        raise NotImplementedError

    def minibatch_gradient(self, theta: Any, beta: Any, rows: Any) -> np.ndarray:
        """The gradient of the reduced energy as a minibatch of data estimates it.

            beta (theta / prior_scale^2 + n/b sum_{r in rows} x_r s_r)

        Parameters
        ----------
        theta : float64 (chain, dim)
        beta : float64, a number or (chain,)
        rows : int (chain, batch)
            The data that each chain sees, from 0 to n_data - 1.

        Returns
        -------
        float64 (chain, dim), unbiased where the rows are drawn uniformly.
        """
        theta, rows = np.asarray(theta, np.float64), np.asarray(rows)
        X, y = self.X[rows], self.y[rows]
        slopes = self._slopes(np.einsum("cbd,cd->cb", X, theta), y)
        slope = np.einsum("cbd,cb->cd", X, slopes) * (self.n_data / rows.shape[-1])
        return np.asarray(beta, np.float64)[..., None] * (theta / self.prior_scale**2 + slope)

    def gradient_noise(
        self, theta: Any, batch_size: int, beta: float = 1.0, replace: bool = True
    ) -> np.ndarray:
        """Covariance of `minibatch_gradient` at theta over the choice of rows, exact.

            beta^2 n^2/b C,    C = 1/n sum_r (g_r - gbar)(g_r - gbar)^T,    g_r = x_r s_r(theta)

        for b rows drawn with replacement; times (n - b) / (n - 1) without.

        Parameters
        ----------
        theta : (dim,)
        batch_size : int
            b; at most n without replacement.
        beta : float, default 1.0
        replace : bool, default True
            Whether the rows of a batch are drawn with replacement.

        Returns
        -------
        float64 (dim, dim)

        References
        ----------
        W. G. Cochran, Sampling Techniques (3rd ed., 1977), theorem 2.2 (without replacement).
        """
        theta, n = self.space.check(theta, "theta"), self.n_data
        whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
        if not whole or batch_size < 1 or (batch_size > n and not replace):
            raise InvalidInput(
                f"batch_size={batch_size!r} must be a whole number of at least 1"
                + ("." if replace else f", and at most {n}, without replacement.")
            )
        if theta.ndim != 1:
            raise InvalidInput(f"theta has shape {theta.shape}; one point ({len(self.X.T)},).")
        each = self.X * self._slopes(self.X @ theta, self.y)[:, None]
        away = each - each.mean(axis=0)
        factor = beta**2 * n / batch_size
        if not replace:
            factor *= (n - batch_size) / max(1, n - 1)
        return np.asarray(factor * (away.T @ away))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_data} data, dim={self.space.size})"
