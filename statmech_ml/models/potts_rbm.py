"""The restricted Boltzmann machine with Potts (one-hot, softmax) visible units.

    E(v, h) = - sum_i a_i(v_i) - b.h - sum_ij W_ij(v_i) h_j,    v_i in {0 .. q-1},

so v_i given h has P(v_i = k) proportional to exp(beta (a_i(k) + sum_j W_ij(k) h_j)). The hidden
units, bits or spins or normal ones, are summed out. J. Tubiana, S. Cocco and R. Monasson, eLife 8,
e39397 (2019), doi:10.7554/eLife.39397, eq. 1.
"""

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from ..spaces import Levels
from . import _foreign
from ._arguments import numbers
from ._two_layers import TwoLayers, layer_weights
from ._units import units_named


class PottsRBM(TwoLayers):
    """A restricted Boltzmann machine of q-valued visible units, as a model of these.

    Parameters
    ----------
    visible_bias : array (n_visible, q)
        a_i(k).
    hidden_bias : array (n_hidden,)
        b.
    weights : array (n_visible, q, n_hidden)
        W_ij(k).
    hidden : "bits", "spins" or "normal", default "bits"

    Raises
    ------
    InvalidInput
        For shapes that do not fit together, values that are not finite, and unknown units.

    >>> rbm = PottsRBM([[0.0, 0.5, 1.0]], [0.1], [[[1.0], [0.0], [-1.0]]])
    >>> rbm.joint_energy([2], [1])  # -1 - 0.1 + 1
    array(-0.1)
    """

    def __init__(
        self, visible_bias: Any, hidden_bias: Any, weights: Any, hidden: str = "bits"
    ) -> None:
        self.visible_bias = numbers(visible_bias, 2, "visible_bias")
        kind = units_named(hidden, "hidden", ("bits", "spins", "normal"))
        n_visible, q = self.visible_bias.shape
        space = Levels(n_visible, q)
        super().__init__(
            space, hidden_bias, layer_weights(weights, (n_visible, q), hidden_bias), kind
        )

    @classmethod
    def from_rbms(cls, source: Any, update: int | None = None) -> "PottsRBM":
        """The machine that the package rbms trained.

        source: an HDF5 file that rbms wrote (needs h5py), or its `PBRBM` object; update: which of
        the file's checkpoints, the last by default. InvalidInput for what is neither.
        """
        return cls(*_foreign.from_rbms(source, update, "PBRBM"))

    @property
    def n_levels(self) -> int:
        """q, the number of values of a visible unit."""
        return int(self.visible_bias.shape[1])

    def visible_energy(self, v: np.ndarray) -> np.ndarray:
        """-sum_i a_i(v_i), float64 (*batch,)."""
        return -np.asarray(self.visible_bias[np.arange(self.n_visible), v].sum(axis=-1))

    def features(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """The one-hot code of v, (*batch, n_visible q), unit by unit."""
        one_hot = v[..., None] == np.arange(self.n_levels, dtype=v.dtype)
        return one_hot.reshape(*v.shape[:-1], -1).astype(dtype)

    def visible_logits(self, h: np.ndarray, beta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Log-weights of the values of each visible unit given h, (*batch, n_visible, q)."""
        weights = self._cast(dtype)[1]
        field = (h.astype(dtype, copy=False) @ weights.T).reshape(*h.shape[:-1], -1, self.n_levels)
        return np.asarray(
            np.asarray(beta, dtype)[..., None, None]
            * (field + self.visible_bias.astype(dtype, copy=False))
        )

    def visible_log_sum(self, h: np.ndarray, beta: Any) -> np.ndarray:
        """sum_i log sum_k exp(beta (a_i(k) + sum_j W_ij(k) h_j)), float64 (*batch,)."""
        return np.asarray(logsumexp(self.visible_logits(h, beta), axis=-1).sum(axis=-1))

    def visible_mean(self, h: Any, beta: Any = 1.0) -> np.ndarray:
        """P(v_i = k) given h, float64 (*batch, n_visible, q)."""
        return np.asarray(softmax(self.visible_logits(self.hidden_space.check(h, "h"), beta), -1))

    def _conditioned(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> "PottsRBM":
        bias = self.hidden_bias + self.weights[held, v].sum(axis=0)
        hidden = self.hidden_units.name
        return PottsRBM(self.visible_bias[free], bias, self.weights[free], hidden)

    def __repr__(self) -> str:
        return (
            f"PottsRBM({self.n_visible} visible of {self.n_levels} levels, {self.n_hidden} hidden "
            f"{self.hidden_units.name})"
        )
