"""The Bernoulli-Bernoulli restricted Boltzmann machine.

    E(v, h) = - a.v - b.h - v.W.h,    v, h in {0, 1},

Only the visible units are the event; the hidden ones are summed out:

    F_beta(v) = -log sum_h exp(-beta E(v, h)) = -beta a.v - sum_j log(1 + exp(beta (b + v.W)_j)),

which is *not* beta F_1(v). Smolensky (1986); Hinton, Neural Comput. 14, 1771 (2002),
doi:10.1162/089976602760128018.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from ..errors import InvalidInput
from ..spaces import Bits
from ..systems import Model, common_shape
from ._arguments import numbers


class JointRBM(NamedTuple):
    """Compiled view of (v, h) together: bits (n_visible + n_hidden,), visible ones first.

    Fields: biases float64 (n_visible + n_hidden,), weights float64 (n_visible, n_hidden).
    """

    biases: np.ndarray
    weights: np.ndarray

    def energy(self, x):
        n_visible, n_hidden = self.weights.shape
        total = 0.0
        for i in range(x.shape[0]):
            total -= self.biases[i] * x[i]
        for i in range(n_visible):
            for j in range(n_hidden):
                total -= self.weights[i, j] * x[i] * x[n_visible + j]
        return total

    def delta_energy(self, x, site, value):
        n_visible, n_hidden = self.weights.shape
        local = self.biases[site]
        if site < n_visible:
            for j in range(n_hidden):
                local += self.weights[site, j] * x[n_visible + j]
        else:
            for i in range(n_visible):
                local += self.weights[i, site - n_visible] * x[i]
        return (x[site] - value) * local


class BernoulliRBM(Model):
    """A restricted Boltzmann machine of {0, 1} units, as a model of its visible units.

    Parameters
    ----------
    visible_bias : array (n_visible,)
        a.
    hidden_bias : array (n_hidden,)
        b.
    weights : array (n_visible, n_hidden)
        W.

    Raises
    ------
    InvalidInput
        For shapes that do not fit together and values that are not finite.

    >>> rbm = BernoulliRBM(visible_bias=[0.0, 0.5], hidden_bias=[0.1], weights=[[1.0], [-1.0]])
    >>> rbm.joint_energy([1, 1], [1])
    array(-0.6)
    """

    capabilities = frozenset({"Conditional"})

    def __init__(self, visible_bias: Any, hidden_bias: Any, weights: Any) -> None:
        self.visible_bias = numbers(visible_bias, 1, "visible_bias")
        self.hidden_bias = numbers(hidden_bias, 1, "hidden_bias")
        self.weights = numbers(weights, 2, "weights")
        expected = (len(self.visible_bias), len(self.hidden_bias))
        if self.weights.shape != expected:
            raise InvalidInput(
                f"weights has shape {self.weights.shape}, but {expected[0]} visible and "
                f"{expected[1]} hidden biases need {expected}: (visible, hidden)."
            )
        self.space = Bits(expected[0])
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
        v = self.space.check(v, "v").astype(np.float64)
        h = Bits(self.n_hidden).check(h, "h").astype(np.float64)
        field = h @ self.weights.T + self.visible_bias
        return np.asarray(-(v * field).sum(axis=-1) - h @ self.hidden_bias)

    def free_energy(self, v: Any) -> np.ndarray:
        """F_1(v) = -log sum_h exp(-E(v, h)), float64, (*batch, n_visible) -> (*batch,)."""
        return self.reduced_energy(v, 1.0)

    def energy(self, v: Any) -> np.ndarray:
        """The energy of the event: F_1(v), float64, (*batch,)."""
        return self.free_energy(v)

    def reduced_energy(self, v: Any, beta: Any) -> np.ndarray:
        """F_beta(v), float64; beta and the batch broadcast against each other."""
        v = self.space.check(v, "v").astype(np.float64)
        beta = np.asarray(beta, np.float64)
        common_shape(v.shape[:-1], beta)
        logits = self.hidden_logits(v, beta)
        return np.asarray(-beta * (v @ self.visible_bias) - np.logaddexp(0.0, logits).sum(axis=-1))

    def slope(self, v: Any, beta: Any) -> np.ndarray:
        """dF_beta(v)/dbeta, the mean of E(v, h) over h given v, float64 (*batch,)."""
        v = self.space.check(v, "v").astype(np.float64)
        field = v @ self.weights + self.hidden_bias
        on = expit(np.asarray(beta)[..., None] * field)
        return np.asarray(-(v @ self.visible_bias) - (on * field).sum(axis=-1))

    def hidden_logits(self, v: np.ndarray, beta: Any) -> np.ndarray:
        """beta (b + v.W): log-odds of the hidden units given v, float64 (*batch, n_hidden)."""
        field = v.astype(np.float64) @ self.weights + self.hidden_bias
        return np.asarray(beta)[..., None] * field

    def visible_logits(self, h: np.ndarray, beta: Any) -> np.ndarray:
        """beta (a + W.h): log-odds of the visible units given h, float64 (*batch, n_visible)."""
        field = h.astype(np.float64) @ self.weights.T + self.visible_bias
        return np.asarray(beta)[..., None] * field

    def joint(self) -> Model:
        """The view of (v, h) together, bits (n_visible + n_hidden,): an ordinary `Local` model."""
        return Model(Bits(self.n_visible + self.n_hidden), self._joint)

    @cached_property
    def _joint(self) -> JointRBM:
        return JointRBM(np.concatenate([self.visible_bias, self.hidden_bias]), self.weights)

    def __repr__(self) -> str:
        return f"BernoulliRBM({self.n_visible} visible, {self.n_hidden} hidden)"
