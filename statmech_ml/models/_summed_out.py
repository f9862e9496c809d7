"""Models of visible units whose hidden ones, independent of one another given v, are summed out.

    E(v, h) = own(v) + own(h) - f(v).h,    f(v) the fields of the visible units on the hidden ones,
    F_beta(v) = beta own(v) - sum_j log sum_h exp(-beta (own(h) - f_j(v) h)),

which is *not* beta F_1(v) (but up to a constant it is where hidden units are normal). Restricted
Boltzmann machines are of this kind, and Boltzmann machines whose hidden units are not joined.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..systems import Model, common_shape
from ._thaw import thaw
from ._units import Units


class HiddenSummedOut(Model, ABC):
    """A model of v; subclasses set space, hidden_bias (n_hidden,) and hidden_units."""

    hidden_bias: np.ndarray
    hidden_units: type[Units]

    @property
    def n_visible(self) -> int:
        """Number of visible units."""
        return int(self.space.size)

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return len(self.hidden_bias)

    @abstractmethod
    def visible_energy(self, v: np.ndarray) -> np.ndarray:
        """own(v): the energy of the visible units alone, float64 (*batch,)."""

    @abstractmethod
    def hidden_field(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """f(v), (*batch, n_hidden), from a product in `dtype`."""

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
        hidden = self.hidden_units.log_sum(self.hidden_field(v), beta[..., None])
        return np.asarray(beta * self.visible_energy(v) - hidden.sum(axis=-1))

    def slope(self, v: Any, beta: Any) -> np.ndarray:
        """dF_beta(v)/dbeta, the mean of E(v, h) over h given v, float64 (*batch,)."""
        v, beta = self.space.check(v, "v"), np.asarray(beta, np.float64)
        hidden = self.hidden_units.mean_energy(self.hidden_field(v), beta[..., None])
        return np.asarray(self.visible_energy(v) + hidden.sum(axis=-1))

    def hidden_mean(self, v: Any, beta: Any = 1.0) -> np.ndarray:
        """The mean of h given v, float64 (*batch, n_hidden)."""
        v, beta = self.space.check(v, "v"), np.asarray(beta, np.float64)
        return self.hidden_units.mean(self.hidden_field(v), beta[..., None])

    def thaw(self, dtype: Any = None) -> Any:
        """The trainable torch shell that starts from these parameters (`training.Trainable`).

        dtype: torch.float32 (the default) or torch.float64.
        """
        return thaw(self, dtype)
