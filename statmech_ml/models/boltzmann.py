"""The Boltzmann machine: visible units joined in pairs, fully visible or with hidden units.

    E(v, h) = - a.v - 1/2 v.J.v - b.h - v.W.h,    J symmetric with a zero diagonal,

each pair once; units in {0, 1} or {-1, +1}. The event is v. Hidden units are not joined to one
another, so they are summed out in closed form,

    F_beta(v) = -beta (a.v + v.J.v / 2) - sum_j log sum_h exp(beta h (b_j + (v.W)_j)),

which is *not* beta F_1(v) unless there are none. One update of a unit costs O(n_visible), or
O(n_visible n_hidden) where hidden units are summed out at each step; `joint()` updates them too, at
O(n_visible + n_hidden). D. H. Ackley, G. E. Hinton and T. J. Sejnowski, Cogn. Sci. 9, 147 (1985),
doi:10.1207/s15516709cog0901_7.
"""

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..systems import Model
from ._arguments import frozen, numbers
from ._conditioned import split
from ._summed_out import HiddenSummedOut
from ._units import units_named


class Pairs(NamedTuple):
    """Compiled two-valued units, each joined to each: E = offset - a.x - x.J.x / 2.

    Fields: biases float64 (n,), couplings float64 (n, n), symmetric with a zero diagonal, offset.
    """

    biases: np.ndarray
    couplings: np.ndarray
    offset: float

    def energy(self, x):
        total = self.offset
        for i in range(x.shape[0]):
            field = self.biases[i]
            for j in range(i):
                field += self.couplings[i, j] * x[j]
            total -= x[i] * field
        return total

    def delta_energy(self, x, site, value):
        field = self.biases[site]
        for j in range(x.shape[0]):
            field += self.couplings[site, j] * x[j]
        return (x[site] - value) * field


class HiddenSummed(NamedTuple):
    """Compiled visible units of a Boltzmann machine whose hidden units are summed out.

    Fields: biases float64 (n,), couplings float64 (n, n), hidden_biases float64 (m,), weights
    float64 (n, m), lowest: the lower value of a hidden unit, 0 or -1; the higher one is 1.
    """

    biases: np.ndarray
    couplings: np.ndarray
    hidden_biases: np.ndarray
    weights: np.ndarray
    lowest: float

    def reduced_energy(self, x, beta):
        total = 0.0
        for i in range(x.shape[0]):
            field = self.biases[i]
            for j in range(i):
                field += self.couplings[i, j] * x[j]
            total -= x[i] * field
        total *= beta
        for k in range(self.hidden_biases.shape[0]):
            field = self.hidden_biases[k]
            for i in range(x.shape[0]):
                field += self.weights[i, k] * x[i]
            t = beta * field
            # log(exp(lowest t) + exp(t)), with the larger exponential taken out
            total -= max(self.lowest * t, t)
            total -= math.log(1.0 + math.exp(-(1.0 - self.lowest) * abs(t)))
        return total

    def delta_reduced_energy(self, x, site, value, beta):
        field = self.biases[site]
        for j in range(x.shape[0]):
            field += self.couplings[site, j] * x[j]
        total = beta * (x[site] - value) * field
        for k in range(self.hidden_biases.shape[0]):
            field = self.hidden_biases[k]
            for i in range(x.shape[0]):
                field += self.weights[i, k] * x[i]
            t = beta * field
            s = t + beta * self.weights[site, k] * (value - x[site])
            total += max(self.lowest * t, t) - max(self.lowest * s, s)
            total += math.log(1.0 + math.exp(-(1.0 - self.lowest) * abs(t)))
            total -= math.log(1.0 + math.exp(-(1.0 - self.lowest) * abs(s)))
        return total

    def energy(self, x):
        return self.reduced_energy(x, 1.0)

    def delta_energy(self, x, site, value):
        return self.delta_reduced_energy(x, site, value, 1.0)


class BoltzmannMachine(HiddenSummedOut):
    """A Boltzmann machine, as a model of its visible units.

    Parameters
    ----------
    visible_bias : array (n_visible,)
        a.
    couplings : array (n_visible, n_visible)
        J, symmetric with a zero diagonal; each pair counts once.
    hidden_bias : array (n_hidden,), optional
        b; with `weights`, or neither for a fully visible machine.
    weights : array (n_visible, n_hidden), optional
        W.
    visible, hidden : "bits" or "spins", default "bits"

    Attributes
    ----------
    hidden_bias, weights
        Of a fully visible machine arrays of shape (0,) and (n_visible, 0).

    Raises
    ------
    InvalidInput
        For shapes that do not fit together, values that are not finite, couplings that are not
        symmetric or have a diagonal, and unknown units.

    >>> machine = BoltzmannMachine([0.5, 0.0], [[0.0, 2.0], [2.0, 0.0]])
    >>> machine.energy([1, 1])  # -1/2 - 2
    array(-2.5)
    """

    space: Any  # Spins or Bits

    def __init__(
        self,
        visible_bias: Any,
        couplings: Any,
        hidden_bias: Any = None,
        weights: Any = None,
        visible: str = "bits",
        hidden: str = "bits",
    ) -> None:
        self.visible_bias = numbers(visible_bias, 1, "visible_bias")
        n = len(self.visible_bias)
        self.couplings = _symmetric(couplings, n)
        self.visible_units = units_named(visible, "visible", ("bits", "spins"))
        self.hidden_units = units_named(hidden, "hidden", ("bits", "spins"))
        self.hidden_bias, self.weights = _hidden(hidden_bias, weights, n)
        self.space = self.visible_units.space(n)
        self.lattice = None

    @cached_property
    def arrays(self) -> Pairs | HiddenSummed:  # type: ignore[override]
        """What kernels see."""
        if not self.n_hidden:
            return Pairs(self.visible_bias, self.couplings, 0.0)
        lowest = float(self.hidden_units.space(1).values[0])  # type: ignore[attr-defined]
        return HiddenSummed(
            self.visible_bias, self.couplings, self.hidden_bias, self.weights, lowest
        )

    def visible_energy(self, v: np.ndarray) -> np.ndarray:
        """-a.v - v.J.v / 2, float64 (*batch,)."""
        v = v.astype(np.float64)
        return -(v @ self.visible_bias + 0.5 * ((v @ self.couplings) * v).sum(axis=-1))

    def hidden_field(self, v: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
        """b + v.W, (*batch, n_hidden)."""
        return np.asarray(self.hidden_bias + v.astype(np.float64) @ self.weights, dtype)

    def joint_energy(self, v: Any, h: Any) -> np.ndarray:
        """E(v, h), float64: (*batch, n_visible), (*batch, n_hidden) -> (*batch,)."""
        v = self.space.check(v, "v")
        if not self.n_hidden:
            return self.visible_energy(v)
        h = self.hidden_units.space(self.n_hidden).check(h, "h")
        return self.visible_energy(v) - (self.hidden_field(v) * h).sum(axis=-1)

    def condition(self, sites: Any, values: Any) -> "BoltzmannMachine":
        """The machine of the other visible units, given that those at `sites` have `values`.

        sites: int (n_held,), each once; values (n_held,). The held units shift the biases of the
        others, and for all v with v[sites] = values

            F_beta(v) = F'_beta(v[others]) + beta (-a.v - v.J.v / 2 of the held units alone).

        Raises InvalidInput for sites that do not exist or come twice, values off the space, and no
        unit left.
        """
        free, held, v = split(self.space, sites, values)
        given = v.astype(np.float64)
        hidden = {}
        if self.n_hidden:
            shifted = self.hidden_bias + given @ self.weights[held]
            hidden = {"hidden_bias": shifted, "weights": self.weights[free]}
        return BoltzmannMachine(
            self.visible_bias[free] + given @ self.couplings[np.ix_(held, free)],
            self.couplings[np.ix_(free, free)],
            visible=self.visible_units.name,
            hidden=self.hidden_units.name,
            **hidden,
        )

    def joint(self) -> Model:
        """The view of (v, h) together, (n_visible + n_hidden,): an ordinary `Local` model.

        Both layers must have units of one kind: a state space is a product of equal sites.
        """
        if self.n_hidden and self.visible_units is not self.hidden_units:
            raise InvalidInput(
                f"The visible units of {self!r} are {self.visible_units.name}, the hidden ones "
                f"{self.hidden_units.name}; one joint state space has one kind. Sample the machine "
                "itself, whose hidden units are summed out."
            )
        return Model(self.visible_units.space(self.n_visible + self.n_hidden), self._joint)

    @cached_property
    def _joint(self) -> Pairs:
        n = self.n_visible
        couplings = np.zeros((n + self.n_hidden,) * 2)
        couplings[:n, :n] = self.couplings
        couplings[:n, n:], couplings[n:, :n] = self.weights, self.weights.T
        return frozen(Pairs(np.concatenate([self.visible_bias, self.hidden_bias]), couplings, 0.0))

    def __repr__(self) -> str:
        hidden = f", {self.n_hidden} hidden {self.hidden_units.name}" if self.n_hidden else ""
        return f"BoltzmannMachine({self.n_visible} visible {self.visible_units.name}{hidden})"


def _symmetric(value: Any, n: int) -> np.ndarray:
    couplings = numbers(value, 2, "couplings")
    if couplings.shape != (n, n):
        raise InvalidInput(
            f"couplings has shape {couplings.shape}, but {n} visible biases need ({n}, {n})."
        )
    if not np.array_equal(couplings, couplings.T) or couplings.diagonal().any():
        raise InvalidInput(
            "couplings must be symmetric with a zero diagonal: J_ij joins the pair i, j, which "
            "counts once. Give J + J.T for a triangular J, (J + J.T) / 2 for one with two halves "
            "that differ; np.fill_diagonal(J, 0.0), as v_i^2 is v_i or 1 and belongs to the biases."
        )
    return couplings


def _hidden(hidden_bias: Any, weights: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    if (hidden_bias is None) != (weights is None):
        raise InvalidInput(
            "hidden_bias and weights come together: both make hidden units, neither makes a fully "
            "visible machine."
        )
    if weights is None:
        return np.zeros(0), np.zeros((n, 0))
    biases, checked = numbers(hidden_bias, 1, "hidden_bias"), numbers(weights, 2, "weights")
    if checked.shape != (n, len(biases)):
        raise InvalidInput(
            f"weights has shape {checked.shape}, but {n} visible and {len(biases)} hidden biases "
            f"need ({n}, {len(biases)}): (visible, hidden)."
        )
    return biases, checked
