"""Weights: from independent units to a restricted Boltzmann machine.

A step of an annealed run needs one product v.W for both energies and for the hidden units that
follow, and one product h.W for the visible ones: no step can cost less than these two, and the fast
pass of `Weights.weigh_and_move` costs little more.
"""

from typing import Any, Literal

import numpy as np
from scipy.special import expit

from ... import _rng
from ...errors import InvalidInput
from ...models import BernoulliRBM, GaussianRBM
from ...samplers import BlockGibbs, Sampler, State
from ...samplers._cpu import layers
from ...samplers.base import Info, advanced
from .base import Path, check_sampler, inverse_temperature

Precision = Literal["single", "double"]


class Weights(Path):
    """From independent units to an RBM with scaled weights: lambda W in place of W.

    Parameters
    ----------
    rbm : BernoulliRBM or GaussianRBM
    sampler : Sampler, default BlockGibbs()
    beta : float, default 1.0
        Inverse temperature of the target, multiplying biases and weights, finite and >= 0 (> 0 for
        normal visible units).
    precision : "single" or "double", default "single"
        Of the matrix products of annealed runs with BlockGibbs on a BernoulliRBM. Log-weights are
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

    >>> rbm = BernoulliRBM(visible_bias=[0.0, 0.0], hidden_bias=[0.0], weights=[[1.0], [-1.0]])
    >>> round(Weights(rbm).log_z_reference, 6)  # 3 log 2
    2.079442
    """

    def __init__(
        self,
        rbm: BernoulliRBM | GaussianRBM,
        sampler: Sampler | None = None,
        beta: float = 1.0,
        precision: Precision = "single",
    ) -> None:
        if not isinstance(rbm, BernoulliRBM | GaussianRBM):
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
        self.model: Any
        if isinstance(rbm, GaussianRBM):
            if self.beta == 0.0:
                raise InvalidInput("beta=0 leaves normal units without a width. Use beta > 0.")
            self.model = _ScaledGaussian(rbm, self.beta)
        else:
            self.model = _ScaledBernoulli(rbm, self.beta)
            self._dtype = np.dtype(np.float32 if precision == "single" else np.float64)
            self._weights = self.model.weights.astype(self._dtype)
            self._transposed = np.ascontiguousarray(self._weights.T)
        self.sampler.check(self.model)

    @property
    def log_z_reference(self) -> float:
        """log Z of independent units: each layer's, biases times beta."""
        rbm = self.target[0]
        hidden = float(np.logaddexp(0.0, self.beta * rbm.hidden_bias).sum())
        if isinstance(rbm, GaussianRBM):
            widths = rbm.sigma * np.sqrt(2.0 * np.pi / self.beta)
            return hidden + float(np.log(widths).sum())
        return hidden + float(np.logaddexp(0.0, self.beta * rbm.visible_bias).sum())

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Independent visible units with their biases, (chain, n_visible)."""
        rbm = self.target[0]
        n = rbm.n_visible
        if isinstance(rbm, GaussianRBM):
            normal = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, n)
            return rbm.visible_bias + rbm.sigma / np.sqrt(self.beta) * normal
        words = _rng.words(seed, chains, 0, _rng.REFERENCE, 0, 2 * n).astype(np.float64)
        uniform = (words[:, :n] + words[:, n:] / 2**32) / 2**32
        return (uniform < expit(self.beta * rbm.visible_bias)).astype(np.int8)

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas from one product v.W."""
        return np.asarray(self.model.reduced_energies(x, lams))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """- sum_j sigmoid(b + lambda v.W)_j (v.W)_j."""
        return np.asarray(self.model.slope(x, lam))

    def weigh_and_move(
        self,
        state: State,
        lam: float,
        next_lam: float,
        n_sweeps: int,
        sampler: Sampler | None = None,
    ) -> tuple[np.ndarray, State, Info]:
        """One step; by BlockGibbs on a BernoulliRBM, weights and first hidden units share v.W.

        In double precision the result is that of the separate steps up to rounding.
        """
        sampler = sampler or self.sampler
        if type(sampler) is not BlockGibbs or not isinstance(self.model, _ScaledBernoulli):
            return super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
        model, dtype = self.model, self._dtype
        v = state.x.astype(dtype)
        field = v @ self._weights
        odds = _odds(field, lam, model.hidden_bias)
        field *= dtype.type(next_lam - lam)
        if max(field.max(), -field.min()) > layers.LARGEST_STEP:
            return super().weigh_and_move(state, lam, next_lam, n_sweeps, sampler)
        log_w = np.zeros(len(v))
        layers.climb(odds, np.expm1(field, out=field), log_w)
        seed, scratch = np.uint64(state.seed), np.empty(64, np.uint32)
        h = np.empty_like(field)
        for t in range(state.sweep, state.sweep + n_sweeps):
            if t > state.sweep:
                odds = _odds(v @ self._weights, next_lam, model.hidden_bias)
            layers.draw(odds, seed, state.chains, t, _rng.HIDDEN, scratch, h)
            odds = _odds(h @ self._transposed, next_lam, model.visible_bias)
            layers.draw(odds, seed, state.chains, t, _rng.VISIBLE, scratch, v)
        return log_w, advanced(state, v.astype(state.x.dtype), n_sweeps), {}

    def __repr__(self) -> str:
        return f"Weights({self.target[0]!r}, beta={self.beta:g}, sampler={self.sampler!r})"


def _odds(field: np.ndarray, lam: float, bias: np.ndarray) -> np.ndarray:
    """The odds of units with log-odds bias + lam field, (chain, unit)."""
    logits = field * field.dtype.type(lam)
    logits += bias.astype(field.dtype)
    return layers.odds_of(logits, out=logits)


class _Scaled:
    """An RBM with lambda W, as a model of its visible units; lambda takes the place of beta.

        u_lambda(v) = own(v) - sum_j log(1 + exp(b_j + lambda f_j)),

    own(v) the reduced energy of the visible units alone and f the fields of v on the hidden ones.
    """

    capabilities = frozenset({"Conditional"})
    lattice = None

    def __init__(self, rbm: Any, beta: float) -> None:
        self.space = rbm.space
        self.hidden_space = rbm.hidden_space
        self.hidden_bias = beta * rbm.hidden_bias
        self.weights = beta * rbm.weights

    def own(self, v: np.ndarray) -> np.ndarray:
        """The reduced energy of independent visible units, float64 (*batch,)."""
        raise NotImplementedError

    def field(self, v: np.ndarray) -> np.ndarray:
        """What the visible units add to the log-odds of the hidden ones at lambda = 1."""
        raise NotImplementedError

    def energy(self, v: Any) -> np.ndarray:
        """The reduced energy of the target."""
        return self.reduced_energy(v, 1.0)

    def reduced_energy(self, v: Any, lam: Any) -> np.ndarray:
        """u_lambda(v), float64 (*batch,)."""
        v = self.space.check(v, "v")
        logits = self.hidden_logits(v, np.asarray(lam, np.float64))
        return np.asarray(self.own(v) - np.logaddexp(0.0, logits).sum(axis=-1))

    def reduced_energies(self, v: Any, lams: Any) -> np.ndarray:
        """u at many lambdas, float64 (len(lams), *batch)."""
        v = self.space.check(v, "v")
        field, own = self.field(v), self.own(v)
        return np.stack(
            [own - np.logaddexp(0.0, self.hidden_bias + lam * field).sum(axis=-1) for lam in lams]
        )

    def slope(self, v: Any, lam: Any) -> np.ndarray:
        """The derivative of the reduced energy by lambda, float64 (*batch,)."""
        field = self.field(self.space.check(v, "v"))
        on = expit(self.hidden_bias + np.asarray(lam)[..., None] * field)
        return np.asarray(-(on * field).sum(axis=-1))

    def hidden_logits(self, v: np.ndarray, lam: Any, dtype: Any = np.float64) -> np.ndarray:
        """b + lambda f, (*batch, n_hidden)."""
        return (self.hidden_bias + np.asarray(lam)[..., None] * self.field(v)).astype(dtype)


class _ScaledBernoulli(_Scaled):
    """Binary visible units: own(v) = -a.v, f = v.W."""

    def __init__(self, rbm: BernoulliRBM, beta: float) -> None:
        super().__init__(rbm, beta)
        self.visible_bias = beta * rbm.visible_bias

    def own(self, v: np.ndarray) -> np.ndarray:
        return -(v.astype(np.float64) @ self.visible_bias)

    def field(self, v: np.ndarray) -> np.ndarray:
        return np.asarray(v.astype(np.float64) @ self.weights)

    def visible_logits(self, h: np.ndarray, lam: Any, dtype: Any = np.float64) -> np.ndarray:
        """a + lambda W.h, (*batch, n_visible)."""
        field = h.astype(np.float64) @ self.weights.T
        return (self.visible_bias + np.asarray(lam)[..., None] * field).astype(dtype)

    def __repr__(self) -> str:
        sizes = f"{self.space.size} visible, {self.hidden_space.size} hidden"
        return f"BernoulliRBM with scaled weights ({sizes})"


class _ScaledGaussian(_Scaled):
    """Normal visible units: own(v) = beta sum (v - a)^2 / 2 s^2, f = beta (v / s^2).W."""

    capabilities = frozenset({"Conditional", "Differentiable"})

    def __init__(self, rbm: GaussianRBM, beta: float) -> None:
        super().__init__(rbm, beta)
        self._mean, self._precision = rbm.visible_bias, beta / rbm.sigma**2
        self._weights, self._stddev = rbm.weights, rbm.sigma / np.sqrt(beta)

    def own(self, v: np.ndarray) -> np.ndarray:
        return np.asarray((0.5 * self._precision * (v - self._mean) ** 2).sum(axis=-1))

    def field(self, v: np.ndarray) -> np.ndarray:
        return np.asarray((v * self._precision) @ self._weights)

    def reduced_gradient(self, v: Any, lam: Any) -> np.ndarray:
        """The gradient of u_lambda, float64 (*batch, n_visible)."""
        v, lam = self.space.check(v, "v"), np.asarray(lam, np.float64)
        pull = lam[..., None] * (expit(self.hidden_logits(v, lam)) @ self._weights.T)
        return np.asarray(self._precision * (v - self._mean - pull))

    def visible_normal(
        self, h: np.ndarray, lam: Any, dtype: Any = np.float64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean a + lambda W.h and standard deviation s / sqrt(beta), (*batch, n_visible)."""
        mean = self._mean + np.asarray(lam)[..., None] * (h.astype(np.float64) @ self._weights.T)
        return mean, np.broadcast_to(self._stddev, mean.shape)

    def __repr__(self) -> str:
        sizes = f"{self.space.size} visible, {self.hidden_space.size} hidden"
        return f"GaussianRBM with scaled weights ({sizes})"
