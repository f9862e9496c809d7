"""Weights: from independent units to a restricted Boltzmann machine.

A step of an annealed run needs one product v.W for both energies and for the hidden units that
follow, and one product h.W for the visible ones: no step can cost less than these two, and the fast
pass of `Weights.weigh_and_move` costs little more.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.special import softmax

from ... import _rng
from ...errors import InvalidInput
from ...models import RBM, GaussianRBM, PottsRBM
from ...samplers import BlockGibbs, Sampler, State
from ...samplers._cpu import layers
from ...samplers.base import Info, advanced
from ...spaces import Discrete
from ._scaled import Scaled
from .base import Path, check_sampler, inverse_temperature

Precision = Literal["single", "double"]


class Weights(Path):
    """From independent units to an RBM with scaled weights: lambda W in place of W.

    Parameters
    ----------
    rbm : RBM (BernoulliRBM), PottsRBM or GaussianRBM
    sampler : Sampler, default BlockGibbs()
    beta : float, default 1.0
        Inverse temperature of the target, multiplying biases and weights, finite and >= 0 (> 0 for
        normal units).
    precision : "single" or "double", default "single"
        Of the matrix products of annealed runs with BlockGibbs on bits or spins. Log-weights are
        doubles in both. A step adds sum_j log(1 + p_j (exp((next - lam) f_j) - 1)) with f = v.W, so
        the rounding of f enters times the step, and the roundings of all steps add up to that of
        one product, not of thousands; a difference of two energies in single precision would lose
        the increment altogether. What rounding does to the moves is to sample weights that differ
        in the eighth digit. Of a 784 x 500 machine, log-weights that spread by 0.5 differ by 1e-5.

    Raises
    ------
    InvalidInput
        When `rbm` is no RBM, or beta negative or not finite.
    MissingCapability
        When the sampler does not fit.

    R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief networks", ICML
    (2008), doi:10.1145/1390156.1390266.

    >>> from statmech_ml.models import BernoulliRBM
    >>> rbm = BernoulliRBM(visible_bias=[0.0, 0.0], hidden_bias=[0.0], weights=[[1.0], [-1.0]])
    >>> round(Weights(rbm).log_z_reference, 6)  # 3 log 2
    2.079442
    """

    def __init__(
        self,
        rbm: RBM | PottsRBM | GaussianRBM,
        sampler: Sampler | None = None,
        beta: float = 1.0,
        precision: Precision = "single",
    ) -> None:
        if not isinstance(rbm, RBM | PottsRBM | GaussianRBM):
            raise InvalidInput(
                f"Weights scales the weights of an RBM, but {rbm!r} is none. Use Tempering for "
                "other models with discrete states, Geometric for continuous ones."
            )
        if precision not in ("single", "double"):
            raise InvalidInput(f"precision={precision!r} must be 'single' or 'double'.")
        self.sampler = BlockGibbs() if sampler is None else sampler
        check_sampler(self.sampler)
        self.beta = inverse_temperature(beta)
        self.target = (rbm, self.beta)
        self.precision = precision
        if self.beta == 0.0 and not self._is_discrete:
            raise InvalidInput("beta=0 leaves normal units without a width. Use beta > 0.")
        self.model: Any = Scaled(rbm, self.beta)
        self._two_valued = isinstance(rbm, RBM) and self._is_discrete  # what the fast pass is for
        if isinstance(rbm, RBM) and self._two_valued:
            self._dtype = np.dtype(np.float32 if precision == "single" else np.float64)
            self._weights = (self.beta * rbm.weights).astype(self._dtype)
            self._transposed = np.ascontiguousarray(self._weights.T)
            self._visible = _Layer(rbm.visible_units.name, self.beta * rbm.visible_bias)
            self._hidden = _Layer(rbm.hidden_units.name, self.beta * rbm.hidden_bias)
        self.sampler.check(self.model)

    @property
    def _is_discrete(self) -> bool:
        rbm = self.target[0]
        return isinstance(rbm.space, Discrete) and isinstance(rbm.hidden_space, Discrete)

    @property
    def log_z_reference(self) -> float:
        """log Z of independent units: each layer's, biases times beta."""
        rbm = self.target[0]
        hidden = rbm.hidden_units.log_sum(rbm.hidden_bias, self.beta).sum()
        visible = rbm.visible_log_sum(np.zeros(rbm.n_hidden), np.asarray(self.beta))
        return float(hidden + visible)

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Independent visible units with their biases, (chain, n_visible)."""
        rbm = self.target[0]
        n = rbm.n_visible
        if isinstance(rbm, GaussianRBM):
            normal = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, n)
            return rbm.visible_bias + rbm.sigma / np.sqrt(self.beta) * normal
        words = _rng.words(seed, chains, 0, _rng.REFERENCE, 0, 2 * n).astype(np.float64)
        uniform = (words[:, :n] + words[:, n:] / 2**32) / 2**32
        if isinstance(rbm, PottsRBM):
            below = np.cumsum(softmax(self.beta * rbm.visible_bias, axis=1), axis=1)[:, :-1]
            return (uniform[:, :, None] >= below).sum(axis=2).astype(np.int8)
        mean = rbm.visible_units.mean(rbm.visible_bias, self.beta)
        low, high = rbm.space.values.astype(np.float64)
        on = uniform < (mean - low) / (high - low)
        return np.asarray(rbm.space.values[on.astype(np.int8)])

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas from one product v.W."""
        return np.asarray(self.model.reduced_energies(x, lams))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """-beta sum_j <h_j> (v.W)_j, the mean at lambda."""
        return np.asarray(self.model.slope(x, lam))

    def weigh_and_move(
        self,
        state: State,
        lam: float,
        next_lam: float,
        n_sweeps: int,
        sampler: Sampler | None = None,
    ) -> tuple[np.ndarray, State, Info]:
        """One step; by BlockGibbs on bits or spins, weights and first hidden units share v.W.

        In double precision the result is that of the separate steps up to rounding.
        """
        sampler = sampler or self.sampler
        if type(sampler) is not BlockGibbs or not self._two_valued:
            return super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
        dtype, hidden, visible = self._dtype, self._hidden, self._visible
        v = state.x.astype(dtype)
        field = v @ self._weights
        odds = hidden.odds(field, lam)
        field *= dtype.type(hidden.scale * (next_lam - lam))
        if max(field.max(), -field.min()) > layers.LARGEST_STEP:
            return super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
        log_w = np.zeros(len(v))
        if hidden.low:  # log(2 cosh f) = log(1 + exp(2 f)) - f
            log_w -= 0.5 * field.sum(axis=1, dtype=np.float64)
        layers.climb(odds, np.expm1(field, out=field), log_w)
        seed, scratch = np.uint64(state.seed), np.empty(64, np.uint32)
        h = np.empty_like(field)
        for t in range(state.sweep, state.sweep + n_sweeps):
            if t > state.sweep:
                odds = hidden.odds(v @ self._weights, next_lam)
            layers.draw(odds, seed, state.chains, t, _rng.HIDDEN, scratch, h)
            odds = visible.odds(hidden.values(h) @ self._transposed, next_lam)
            layers.draw(odds, seed, state.chains, t, _rng.VISIBLE, scratch, v)
            visible.values(v)
        return log_w, advanced(state, v.astype(state.x.dtype), n_sweeps), {}

    def __repr__(self) -> str:
        return f"Weights({self.target[0]!r}, beta={self.beta:g}, sampler={self.sampler!r})"


class _Layer(NamedTuple):
    """A layer of bits or spins in the fast pass: its kind, and its biases times beta."""

    kind: str
    bias: np.ndarray

    @property
    def scale(self) -> float:
        """Log-odds in units of the field."""
        return 2.0 if self.kind == "spins" else 1.0

    @property
    def low(self) -> float:
        """The lower value; the higher one is 1."""
        return -1.0 if self.kind == "spins" else 0.0

    def odds(self, field: np.ndarray, lam: float) -> np.ndarray:
        """The odds of units with log-odds scale (bias + lam field), (chain, unit)."""
        logits = field * field.dtype.type(self.scale * lam)
        logits += (self.scale * self.bias).astype(field.dtype)
        return layers.odds_of(logits, out=logits)

    def values(self, drawn: np.ndarray) -> np.ndarray:
        """0 and 1 in `drawn` become the values of the units, in place."""
        if self.low:
            drawn *= 2
            drawn -= 1
        return drawn
