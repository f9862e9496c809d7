"""The Gaussian-Bernoulli restricted Boltzmann machine: real visible units, binary hidden ones.

    E(v, h) = sum_i (v_i - a_i)^2 / (2 s_i^2) - b.h - sum_ij v_i W_ij h_j / s_i^2,    h in {0, 1},

so v_i given h is normal with mean a_i + (W h)_i and variance s_i^2 / beta, and h_j given v is on
with log-odds beta (b_j + sum_i v_i W_ij / s_i^2). The hidden units are summed out:

    F_beta(v) = beta sum_i (v_i - a_i)^2 / (2 s_i^2) - sum_j log(1 + exp(beta (b + (v / s^2).W)_j)),

a mixture of 2^n_hidden Gaussians. K. Cho, A. Ilin and T. Raiko, ICANN (2011), eq. 4,
doi:10.1007/978-3-642-21735-7_2.
"""

import math
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import common_shape
from ._arguments import numbers
from ._two_layers import TwoLayers, layer_weights
from ._units import units_named, with_width


class GaussianRBM(TwoLayers):
    """A restricted Boltzmann machine of normal visible units, as a model of these.

    Parameters
    ----------
    visible_bias : array (n_visible,)
        a, in the units of v.
    hidden_bias : array (n_hidden,)
        b.
    weights : array (n_visible, n_hidden)
        W, in the units of v.
    sigma : float or array (n_visible,), default 1.0
        s, the standard deviation of v given h at beta = 1, positive.
    hidden : "bits" or "spins", default "bits"

    Raises
    ------
    InvalidInput
        For shapes that do not fit together, values that are not finite, and sigma <= 0.

    >>> rbm = GaussianRBM(visible_bias=[0.0], hidden_bias=[0.5], weights=[[2.0]], sigma=1.0)
    >>> rbm.joint_energy([1.0], [1])  # 1/2 - 1/2 - 2
    array(-2.)
    """

    capabilities = frozenset({"Conditional", "Differentiable"})

    def __init__(
        self,
        visible_bias: Any,
        hidden_bias: Any,
        weights: Any,
        sigma: Any = 1.0,
        hidden: str = "bits",
    ) -> None:
        self.visible_bias = numbers(visible_bias, 1, "visible_bias")
        size = len(self.visible_bias)
        checked = layer_weights(weights, (size,), hidden_bias)
        kind = units_named(hidden, "hidden", ("bits", "spins"))
        widths = numbers(np.atleast_1d(sigma), 1, "sigma")
        if len(widths) not in (1, size) or not (widths > 0.0).all():
            raise InvalidInput(
                f"sigma={sigma!r} must be positive: a number, or one per visible unit ({size},)."
            )
        self.sigma = np.broadcast_to(widths, (size,))
        super().__init__(Reals(size), hidden_bias, checked, kind)

    def visible_energy(self, v: np.ndarray) -> np.ndarray:
        """sum (v - a)^2 / (2 s^2), float64 (*batch,)."""
        return np.asarray((0.5 * ((v - self.visible_bias) / self.sigma) ** 2).sum(axis=-1))

    def features(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """v / s^2."""
        return (v / self.sigma**2).astype(dtype, copy=False)

    def reduced_gradient(self, v: Any, beta: Any) -> np.ndarray:
        """dF_beta/dv = beta (v - a - W <h>) / s^2, float64 (*batch, n_visible)."""
        v, beta = self.space.check(v, "v"), np.asarray(beta, np.float64)
        common_shape(v.shape[:-1], beta)
        mean = self.visible_bias + self.hidden_mean(v, beta) @ self.weights.T
        return np.asarray(beta[..., None] * (v - mean) / self.sigma**2)

    def visible_normal(
        self, h: np.ndarray, beta: Any, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean a + W.h and standard deviation s / sqrt(beta) of v given h, (*batch, n_visible)."""
        weights = self._cast(dtype)[1]
        mean = h.astype(dtype, copy=False) @ weights.T + self.visible_bias.astype(dtype, copy=False)
        width = self.sigma / np.sqrt(with_width(beta))[..., None]
        return mean, np.broadcast_to(width, mean.shape)

    def visible_log_sum(self, h: np.ndarray, beta: Any) -> np.ndarray:
        """sum_i log int dv exp(-beta ((v - a)^2 / 2 - v (W h)) / s^2), float64 (*batch,).

        With c = W.h: beta (a c + c^2 / 2) / s^2 + log(2 pi s^2 / beta) / 2 for each unit.
        """
        scale = with_width(np.asarray(beta, np.float64))[..., None]
        pull = (h @ self.weights.T) / self.sigma
        energy = pull * (self.visible_bias / self.sigma + 0.5 * pull)
        widths = np.log(self.sigma) + 0.5 * np.log(2.0 * math.pi / scale)
        return np.asarray((scale * energy + widths).sum(axis=-1))

    def visible_mean(self, h: Any, beta: Any = 1.0) -> np.ndarray:
        """a + W.h, the mean of v given h at any beta, float64 (*batch, n_visible)."""
        h, beta = self.hidden_space.check(h, "h"), np.asarray(beta, np.float64)
        return np.asarray(self.visible_normal(h, beta)[0])

    def _conditioned(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> "GaussianRBM":
        bias = self.hidden_bias + (v / self.sigma[held] ** 2) @ self.weights[held]
        rest = self.visible_bias[free], bias, self.weights[free], self.sigma[free]
        return GaussianRBM(*rest, hidden=self.hidden_units.name)
