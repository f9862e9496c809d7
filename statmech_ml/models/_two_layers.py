"""What restricted Boltzmann machines have in common: two layers, no bonds within one.

    E(v, h) = own(v) + own(h) - f(v).h,    f(v) the fields of the visible units on the hidden ones.

Only the visible units are the event; the hidden ones are summed out (`_summed_out`). Matrix
products run in the precision that the caller names: doubles for energies, and what `BlockGibbs`
asks for.
"""

from abc import abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np

from ..errors import InvalidInput
from ..spaces import Space
from ..systems import common_shape
from ._arguments import numbers
from ._conditioned import split
from ._summed_out import HiddenSummedOut
from ._units import Units, with_width


class TwoLayers(HiddenSummedOut):
    """A restricted Boltzmann machine, as a model of its visible units."""

    capabilities = frozenset({"Conditional"})
    space: Any  # Spins, Bits, Levels or Reals
    hidden_space: Any  # Spins, Bits or Reals

    def __init__(self, space: Space, hidden_bias: Any, weights: Any, hidden: type[Units]) -> None:
        """`weights`: (*visible shape, n_hidden), where the visible bias has the visible shape."""
        self.space = space
        self.hidden_bias = numbers(hidden_bias, 1, "hidden_bias")
        self.weights = weights
        self.hidden_units = hidden
        self.hidden_space = hidden.space(len(self.hidden_bias))
        self.lattice = None
        self._casts: dict[np.dtype, tuple[np.ndarray, np.ndarray]] = {}

    @abstractmethod
    def features(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """What the weights multiply, (*batch, n_features): v itself, its one-hot code, v / s^2."""

    @abstractmethod
    def visible_log_sum(self, h: np.ndarray, beta: Any) -> np.ndarray:
        """log sum_v exp(-beta (own(v) - f(v).h + b.h)), float64 (*batch,): v summed out, or
        integrated."""

    @abstractmethod
    def visible_mean(self, h: Any, beta: Any = 1.0) -> np.ndarray:
        """The mean of v given h, float64 (*batch, *visible shape); of Potts units the one-hot
        code's, which is the probability of each value."""

    @abstractmethod
    def _conditioned(self, free: np.ndarray, held: np.ndarray, v: np.ndarray) -> Any:
        """The machine of the `free` units where the `held` ones are v."""

    def condition(self, sites: Any, values: Any) -> Any:
        """The machine of the other visible units, given that those at `sites` have `values`.

        Parameters
        ----------
        sites : int array (n_held,)
            Numbers of visible units, each once; at least one unit stays free.
        values : array (n_held,)
            Their values.

        Returns
        -------
        A machine of the same class. Its law is the conditional one, at every beta, exactly: the
        held units have become a shift of the hidden biases, and for all v with v[sites] = values

            F_beta(v) = F'_beta(v[others]) + beta own(v[sites]),

        own(v) the energy of the visible units alone. So log p(values) = log Z' - beta own - log Z.

        Raises
        ------
        InvalidInput
            For sites that do not exist or come twice, values off the space, and no unit left.
        """
        free, held, v = split(self.space, sites, values)
        return self._conditioned(free, held, v)

    def hidden_reduced_energy(self, h: Any, beta: Any) -> np.ndarray:
        """-log sum_v exp(-beta E(v, h)), float64 (*batch,): the twin of `reduced_energy`."""
        h, beta = self.hidden_space.check(h, "h"), np.asarray(beta, np.float64)
        common_shape(h.shape[:-1], beta)
        h = h.astype(np.float64, copy=False)
        own = self._hidden_own(h) - h @ self.hidden_bias
        return np.asarray(beta * own - self.visible_log_sum(h, beta))

    def _hidden_own(self, h: np.ndarray) -> Any:
        return 0.5 * (h * h).sum(axis=-1) if self.hidden_units.name == "normal" else 0.0

    def hidden_field(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """f(v) = b + features(v).W, (*batch, n_hidden)."""
        bias, weights = self._cast(dtype)
        return np.asarray(self.features(v, dtype) @ weights + bias)

    def joint_energy(self, v: Any, h: Any) -> np.ndarray:
        """E(v, h), float64: (*batch, n_visible), (*batch, n_hidden) -> (*batch,)."""
        v = self.space.check(v, "v")
        h = self.hidden_space.check(h, "h").astype(np.float64)
        own = self.visible_energy(v) + self._hidden_own(h)
        return np.asarray(own - (self.hidden_field(v) * h).sum(axis=-1))

    def hidden_logits(self, v: np.ndarray, beta: Any, dtype: Any = np.float64) -> np.ndarray:
        """Log-odds of the higher value of each hidden unit given v, (*batch, n_hidden)."""
        return _log_odds(self.hidden_field(v, dtype), self.hidden_units, beta)

    def hidden_normal(
        self, v: np.ndarray, beta: Any, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean f(v) and standard deviation 1 / sqrt(beta) of normal hidden units given v."""
        mean = self.hidden_field(v, dtype)
        width = with_width(np.asarray(beta, dtype))[..., None] ** -0.5
        return mean, np.broadcast_to(width, mean.shape)

    def _cast(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Hidden bias and weights (n_features, n_hidden) in `dtype`; kept."""
        key = np.dtype(dtype)
        if key not in self._casts:
            weights = self.weights.reshape(-1, self.n_hidden)
            _check_range(weights, self.hidden_bias, key)
            # No copies of what has this dtype: `on` makes models of single precision.
            bias = self.hidden_bias.astype(key, copy=False)
            self._casts[key] = bias, weights.astype(key, copy=False)
        return self._casts[key]

    def on(self, **arrays: np.ndarray) -> Self:
        """This model with other arrays (attribute=), of any float dtype, which are neither copied
        nor checked: for training, whose parameters change at every step."""
        kind = type(self)
        derived = {n for n in vars(self) if isinstance(getattr(kind, n, None), cached_property)}
        twin = object.__new__(kind)
        kept = {name: value for name, value in vars(self).items() if name not in derived}
        vars(twin).update(kept, _casts={}, **arrays)
        return twin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.n_visible} visible, {self.n_hidden} hidden)"


def _check_range(weights: np.ndarray, bias: np.ndarray, dtype: np.dtype) -> None:
    """InvalidInput where sums of weights (n_features, n_hidden) overflow in a narrower `dtype`:
    inf - inf would be a field that is no number, and units that follow nothing."""
    if dtype.itemsize >= weights.dtype.itemsize:
        return
    sizes = np.abs(weights)
    with np.errstate(over="ignore"):
        most = max(sizes.sum(axis=1).max(), (sizes.sum(axis=0) + np.abs(bias)).max())
    if not most < 0.25 * np.finfo(dtype).max:
        raise InvalidInput(
            f"The sums of weights at one unit reach {most:.3g}, but {dtype} ends at "
            f"{np.finfo(dtype).max:.3g}: fields would overflow, and infinities cancel to no "
            "number. Use BlockGibbs(precision='double'), or smaller weights: at fields of 100 "
            "units are as good as fixed."
        )


def layer_weights(value: Any, visible: tuple[int, ...], hidden_bias: Any) -> np.ndarray:
    """Weights (*visible, n_hidden) as a frozen float64 array, or InvalidInput."""
    weights = numbers(value, len(visible) + 1, "weights")
    expected = (*visible, len(numbers(hidden_bias, 1, "hidden_bias")))
    if weights.shape != expected:
        units = f"{visible[0]} visible and {expected[-1]} hidden biases"
        levels = f" of {visible[1]} levels each" if len(visible) > 1 else ""
        raise InvalidInput(
            f"weights has shape {weights.shape}, but {units}{levels} need {expected}: "
            f"(visible, {'level, ' if levels else ''}hidden)."
        )
    return weights


def _log_odds(field: np.ndarray, units: type[Units], beta: Any) -> np.ndarray:
    scale = np.asarray(beta, field.dtype)[..., None]
    return np.asarray((2 * scale if units.name == "spins" else scale) * field)
