"""Restricted Boltzmann machines of two-valued visible units.

    E(v, h) = - a.v - b.h - v.W.h    (+ h.h / 2 where the hidden units are normal),

visible units in {0, 1} or {-1, +1}, hidden ones likewise or normal. Only the visible units are the
event; the hidden ones are summed out:

    F_beta(v) = -log sum_h exp(-beta E(v, h)) = -beta a.v - sum_j L(b_j + (v.W)_j),

L(f) = log(1 + exp(beta f)) for bits, log(2 cosh(beta f)) for spins, beta f^2 / 2 +
log(2 pi / beta) / 2 for normal units. F_beta is *not* beta F_1. Smolensky (1986); Hinton, Neural
Comput. 14, 1771 (2002), doi:10.1162/089976602760128018.
"""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..systems import Model
from . import _foreign
from ._arguments import numbers
from ._two_layers import TwoLayers, _log_odds, layer_weights
from ._units import units_named


class JointRBM(NamedTuple):
    """Compiled view of (v, h) together, (n_visible + n_hidden,), visible ones first.

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


class RBM(TwoLayers):
    """A restricted Boltzmann machine, as a model of its visible units.

    Parameters
    ----------
    visible_bias : array (n_visible,)
        a.
    hidden_bias : array (n_hidden,)
        b.
    weights : array (n_visible, n_hidden)
        W.
    visible : "spins" or "bits", default "spins"
        The visible units are in {-1, +1} or {0, 1}.
    hidden : "spins", "bits" or "normal", default "spins"
        Of normal hidden units the energy has h.h / 2 as well; they make a Hopfield network.

    Raises
    ------
    InvalidInput
        For shapes that do not fit together, values that are not finite, and unknown units.

    >>> rbm = RBM(visible_bias=[0.0, 0.5], hidden_bias=[0.1], weights=[[1.0], [-1.0]])
    >>> rbm.joint_energy([1, 1], [-1])
    array(-0.4)
    """

    def __init__(
        self,
        visible_bias: Any,
        hidden_bias: Any,
        weights: Any,
        visible: str = "spins",
        hidden: str = "spins",
    ) -> None:
        self.visible_bias = numbers(visible_bias, 1, "visible_bias")
        self.visible_units = units_named(visible, "visible", ("bits", "spins"))
        kind = units_named(hidden, "hidden", ("bits", "spins", "normal"))
        size = len(self.visible_bias)
        checked = layer_weights(weights, (size,), hidden_bias)
        super().__init__(self.visible_units.space(size), hidden_bias, checked, kind)

    def visible_energy(self, v: np.ndarray) -> np.ndarray:
        """-a.v, float64 (*batch,)."""
        return -(v.astype(np.float64) @ self.visible_bias)

    def features(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """v in `dtype`."""
        return v.astype(dtype, copy=False)

    def visible_field(self, h: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """a + W.h, the fields of the hidden units on the visible ones, (*batch, n_visible)."""
        weights = self._cast(dtype)[1]
        return np.asarray(
            h.astype(dtype, copy=False) @ weights.T + self.visible_bias.astype(dtype, copy=False)
        )

    def visible_logits(self, h: np.ndarray, beta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Log-odds of the higher value of each visible unit given h, (*batch, n_visible)."""
        return _log_odds(self.visible_field(h, dtype), self.visible_units, beta)

    def visible_log_sum(self, h: np.ndarray, beta: Any) -> np.ndarray:
        """sum_i log sum_v exp(beta f_i v), f = a + W.h, float64 (*batch,)."""
        scale = np.asarray(beta, np.float64)[..., None]
        return np.asarray(self.visible_units.log_sum(self.visible_field(h), scale).sum(axis=-1))

    def visible_mean(self, h: Any, beta: Any = 1.0) -> np.ndarray:
        """The mean of v given h, float64 (*batch, n_visible)."""
        h, beta = self.hidden_space.check(h, "h"), np.asarray(beta, np.float64)
        return self.visible_units.mean(self.visible_field(h), beta[..., None])

    def _conditioned(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> "RBM":
        units = {"visible": self.visible_units.name, "hidden": self.hidden_units.name}
        return RBM(*self._given(free, held, v), **units)

    def _given(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> tuple[Any, Any, Any]:
        shift = v.astype(np.float64) @ self.weights[held]
        return self.visible_bias[free], self.hidden_bias + shift, self.weights[free]

    def as_bernoulli(self) -> "tuple[BernoulliRBM, float]":
        """The same law in {0, 1} units: a BernoulliRBM and a constant, E = E' + constant.

        Spins are s = 2 x - 1 of bits x, so with v = s x + o on the visible side (s = 2, o = -1 for
        spins; 1, 0 for bits) and h = t y + p on the hidden one

            a' = s (a + W p),    b' = t (b + o W),    W' = s t W,
            constant = -o sum(a) - p sum(b) - o p sum(W).

        Raises
        ------
        InvalidInput
            For normal hidden units, which are no bits.
        """
        if self.hidden_units.name == "normal":
            raise InvalidInput(
                f"The hidden units of {self!r} are normal, and no bits stand for a real number. "
                "Sum them out: reduced_energy(v, beta)."
            )
        s, o = (1.0, 0.0) if self.visible_units.name == "bits" else (2.0, -1.0)
        t, p = (1.0, 0.0) if self.hidden_units.name == "bits" else (2.0, -1.0)
        a, b, weights = self.visible_bias, self.hidden_bias, self.weights
        bits = BernoulliRBM(
            s * (a + p * weights.sum(axis=1)), t * (b + o * weights.sum(axis=0)), s * t * weights
        )
        return bits, float(-o * a.sum() - p * b.sum() - o * p * weights.sum())

    def joint(self) -> Model:
        """The view of (v, h) together, (n_visible + n_hidden,): an ordinary `Local` model.

        Both layers must have units of one kind: a state space is a product of equal sites.
        """
        if self.visible_units is not self.hidden_units:
            raise InvalidInput(
                f"The visible units of {self!r} are {self.visible_units.name}, the hidden ones "
                f"{self.hidden_units.name}; one joint state space has one kind. BlockGibbs samples "
                "both layers."
            )
        return Model(self.visible_units.space(self.n_visible + self.n_hidden), self._joint)

    @cached_property
    def _joint(self) -> JointRBM:
        return JointRBM(np.concatenate([self.visible_bias, self.hidden_bias]), self.weights)

    def __repr__(self) -> str:
        return (
            f"RBM({self.n_visible} visible {self.visible_units.name}, {self.n_hidden} hidden "
            f"{self.hidden_units.name})"
        )


class BernoulliRBM(RBM):
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

    def __init__(self, visible_bias: Any, hidden_bias: Any, weights: Any) -> None:
        super().__init__(visible_bias, hidden_bias, weights, visible="bits", hidden="bits")

    @classmethod
    def from_sklearn(cls, estimator: Any) -> "BernoulliRBM":
        """The machine of a fitted `sklearn.neural_network.BernoulliRBM`; its weights are copied.

        The free energies are the same numbers. InvalidInput for estimators that are not fitted.
        """
        return cls(*_foreign.from_sklearn(estimator))

    @classmethod
    def from_rbms(cls, source: Any, update: int | None = None) -> "BernoulliRBM":
        """The machine that the package rbms trained.

        source: an HDF5 file that rbms wrote (needs h5py), or its `BBRBM` object; update: which of
        the file's checkpoints, the last by default. InvalidInput for what is neither.
        """
        return cls(*_foreign.from_rbms(source, update, "BBRBM"))

    def _conditioned(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> "BernoulliRBM":
        return BernoulliRBM(*self._given(free, held, v))

    def __repr__(self) -> str:
        return f"BernoulliRBM({self.n_visible} visible, {self.n_hidden} hidden)"
