"""The Gaussian-Bernoulli restricted Boltzmann machine: real visible units, binary hidden ones.

    E(v, h) = sum_i (v_i - a_i)^2 / (2 s_i^2) - b.h - sum_ij v_i W_ij h_j / s_i^2,    h in {0, 1},

so v_i given h is normal with mean a_i + (W h)_i and variance s_i^2 / beta, and h_j given v is on
with log-odds beta (b_j + sum_i v_i W_ij / s_i^2). The hidden units are summed out:

    F_beta(v) = beta sum_i (v_i - a_i)^2 / (2 s_i^2) - sum_j log(1 + exp(beta (b + (v / s^2).W)_j)),

a mixture of 2^n_hidden Gaussians. K. Cho, A. Ilin and T. Raiko, ICANN (2011), eq. 4,
doi:10.1007/978-3-642-21735-7_2.
"""

from typing import Any

import numpy as np
from scipy.special import expit

from ..errors import InvalidInput
from ..spaces import Bits, Reals
from ..systems import Model, common_shape
from ._arguments import numbers


class GaussianRBM(Model):
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

    Raises
    ------
    InvalidInput
        For shapes that do not fit together, values that are not finite, and sigma <= 0.

    >>> rbm = GaussianRBM(visible_bias=[0.0], hidden_bias=[0.5], weights=[[2.0]], sigma=1.0)
    >>> rbm.joint_energy([1.0], [1])  # 1/2 - 1/2 - 2
    array(-2.)
    """

    capabilities = frozenset({"Conditional", "Differentiable"})

    def __init__(self, visible_bias: Any, hidden_bias: Any, weights: Any, sigma: Any = 1.0) -> None:
        self.visible_bias = numbers(visible_bias, 1, "visible_bias")
        self.hidden_bias = numbers(hidden_bias, 1, "hidden_bias")
        self.weights = numbers(weights, 2, "weights")
        expected = (len(self.visible_bias), len(self.hidden_bias))
        if self.weights.shape != expected:
            raise InvalidInput(
                f"weights has shape {self.weights.shape}, but {expected[0]} visible and "
                f"{expected[1]} hidden biases need {expected}: (visible, hidden)."
            )
        widths = numbers(np.atleast_1d(sigma), 1, "sigma")
        if len(widths) not in (1, expected[0]) or not (widths > 0.0).all():
            raise InvalidInput(
                f"sigma={sigma!r} must be positive: a number, or one per visible unit "
                f"({expected[0]},)."
            )
        self.sigma = np.broadcast_to(widths, expected[:1])
        self.space = Reals(expected[0])
        self.lattice = None

    @property
    def n_visible(self) -> int:
        """Number of visible units."""
        return len(self.visible_bias)

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return len(self.hidden_bias)

    def joint_energy(self, v: Any, h: Any) -> np.ndarray:
        """E(v, h), float64: (*batch, n_visible), (*batch, n_hidden) -> (*batch,)."""
        v = self.space.check(v, "v")
        h = Bits(self.n_hidden).check(h, "h").astype(np.float64)
        field = (v / self.sigma**2) @ self.weights + self.hidden_bias
        return np.asarray(self._well(v) - (field * h).sum(axis=-1))

    def free_energy(self, v: Any) -> np.ndarray:
        """F_1(v) = -log sum_h exp(-E(v, h)), float64, (*batch, n_visible) -> (*batch,)."""
        return self.reduced_energy(v, 1.0)

    def energy(self, v: Any) -> np.ndarray:
        """The energy of the event: F_1(v), float64, (*batch,)."""
        return self.free_energy(v)

    def reduced_energy(self, v: Any, beta: Any) -> np.ndarray:
        """F_beta(v), float64; beta and the batch broadcast against each other."""
        v, beta = self.space.check(v, "v"), np.asarray(beta, np.float64)
        common_shape(v.shape[:-1], beta)
        logits = self.hidden_logits(v, beta)
        return np.asarray(beta * self._well(v) - np.logaddexp(0.0, logits).sum(axis=-1))

    def reduced_gradient(self, v: Any, beta: Any) -> np.ndarray:
        """dF_beta/dv = beta (v - a - W <h>) / s^2, float64 (*batch, n_visible)."""
        v, beta = self.space.check(v, "v"), np.asarray(beta, np.float64)
        common_shape(v.shape[:-1], beta)
        mean = self.visible_bias + expit(self.hidden_logits(v, beta)) @ self.weights.T
        return np.asarray(beta[..., None] * (v - mean) / self.sigma**2)

    def slope(self, v: Any, beta: Any) -> np.ndarray:
        """dF_beta(v)/dbeta, the mean of E(v, h) over h given v, float64 (*batch,)."""
        v = self.space.check(v, "v")
        field = (v / self.sigma**2) @ self.weights + self.hidden_bias
        on = expit(np.asarray(beta)[..., None] * field)
        return np.asarray(self._well(v) - (on * field).sum(axis=-1))

    def hidden_logits(self, v: np.ndarray, beta: Any) -> np.ndarray:
        """beta (b + (v / s^2).W): log-odds of the hidden units given v, float64 (*batch, n_h)."""
        field = (v / self.sigma**2) @ self.weights + self.hidden_bias
        return np.asarray(beta)[..., None] * field

    def visible_normal(self, h: np.ndarray, beta: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean a + W.h and standard deviation s / sqrt(beta) of v given h, (*batch, n_visible)."""
        mean = h.astype(np.float64) @ self.weights.T + self.visible_bias
        return mean, np.broadcast_to(self.sigma / np.sqrt(beta)[..., None], mean.shape)

    def _well(self, v: np.ndarray) -> np.ndarray:
        """sum (v - a)^2 / (2 s^2)."""
        return np.asarray((0.5 * ((v - self.visible_bias) / self.sigma) ** 2).sum(axis=-1))

    def __repr__(self) -> str:
        return f"GaussianRBM({self.n_visible} visible, {self.n_hidden} hidden)"
