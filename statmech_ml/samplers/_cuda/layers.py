"""Block Gibbs on CUDA: matrix products by torch (cuBLAS), units drawn by one pass over fields.

Weights go to the card once per `advance`, where the units stay until it ends. Word i of the stream
decides unit i, as on the CPU; matrix products and exponentials may round differently there, so that
a unit whose probability lies within rounding of its word may turn out otherwise: the laws agree, to
the digits of `precision`.

A layer holds what the weights multiply: values of two-valued units, one-hot codes of q-valued ones,
both in the precision of the products, and real numbers, in doubles.
"""

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import cuda

from ..._rng import HIDDEN, VISIBLE, block, normal_pair
from ...errors import InvalidInput
from ...models import RBM, GaussianRBM, PottsRBM
from ...spaces import Discrete, Levels, Space
from ..base import State
from .device import launch, on_device, prepare

_LAWS = (
    "features", "hidden_field", "hidden_logits", "hidden_normal", "visible_field",
    "visible_logits", "visible_normal",
)  # fmt: skip
_CERTAIN = 50.0  # log-odds beyond which no random word can tell the rest from certainty


@cuda.jit
def draw_two(field, scale, lower, step, free, seed, chains, sweep, purpose, out):
    """out[c, i] = lower + step with log-odds scale[c] field[c, i], else lower, where free[i]."""
    n = out.shape[1]
    blocks = (n + 63) // 64 * 16  # per chain; the words of one decide four units
    for k in range(cuda.grid(1), out.shape[0] * blocks, cuda.gridsize(1)):
        c, b = k // blocks, k % blocks
        words = block(seed, chains[c], sweep, purpose, 0, b)
        for w in range(4):
            i = 64 * (b // 16) + b % 16 + 16 * w
            if i < n and free[i]:
                logit = np.float64(scale[c] * field[c, i])
                odds = math.exp(min(max(logit, -_CERTAIN), _CERTAIN))
                u = (np.float64(words[w]) + 0.5) / 4294967296.0
                out[c, i] = lower + step if u * (1.0 + odds) < odds else lower


@cuda.jit
def draw_levels(field, scale, n_levels, free, seed, chains, sweep, purpose, out):
    """out[c, i q + k] = 1 for one k of each free unit i, with log-weights scale[c] field[c, i q +
    k], and 0 for the others; q is n_levels."""
    n = out.shape[1] // n_levels
    blocks = (n + 63) // 64 * 16
    for m in range(cuda.grid(1), out.shape[0] * blocks, cuda.gridsize(1)):
        c, b = m // blocks, m % blocks
        words = block(seed, chains[c], sweep, purpose, 0, b)
        for w in range(4):
            i = 64 * (b // 16) + b % 16 + 16 * w
            if i < n and free[i]:
                first = i * n_levels
                highest = np.float64(scale[c] * field[c, first])
                for k in range(1, n_levels):
                    highest = max(highest, np.float64(scale[c] * field[c, first + k]))
                total = 0.0
                for k in range(n_levels):
                    total += math.exp(np.float64(scale[c] * field[c, first + k]) - highest)
                left = (np.float64(words[w]) + 0.5) / 4294967296.0 * total
                level = n_levels - 1
                for k in range(n_levels - 1):
                    left -= math.exp(np.float64(scale[c] * field[c, first + k]) - highest)
                    if left < 0.0:
                        level = k
                        break
                for k in range(n_levels):
                    out[c, first + k] = 1.0 if k == level else 0.0


@cuda.jit
def draw_normal(field, spread, width, free, seed, chains, sweep, purpose, out):
    """out[c, i] = field[c, i] + width[i] spread[c] w, w ~ N(0, 1), where free[i]."""
    n = out.shape[1]
    pairs = (n + 1) // 2
    for k in range(cuda.grid(1), out.shape[0] * pairs, cuda.gridsize(1)):
        c, b = k // pairs, k % pairs
        w0, w1, w2, w3 = block(seed, chains[c], sweep, purpose, 0, b)
        first, second = normal_pair(w0, w1, w2, w3)
        i = 2 * b
        if free[i]:
            out[c, i] = field[c, i] + width[i] * spread[c] * first
        if i + 1 < n and free[i + 1]:
            out[c, i + 1] = field[c, i + 1] + width[i + 1] * spread[c] * second


class Torch:
    """Tensors on the card: the array library of a run."""

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise InvalidInput(
                "device='cuda' for BlockGibbs multiplies matrices by torch, and this torch "
                f"({torch.__version__}) has no CUDA. Install a CUDA build of it, or use "
                "device='cpu'."
            )
        self._torch = torch

    def put(self, values: np.ndarray) -> Any:
        """A copy on the card."""
        return self._torch.tensor(np.ascontiguousarray(values), device="cuda")

    def linear(self, x: Any, weights: Any, bias: Any) -> Any:
        """x.weights + bias, in the precision of the weights."""
        return self._torch.addmm(bias, x.to(weights.dtype), weights)

    def shown(self, values: Any) -> Any:
        """What a kernel takes: the same memory."""
        return cuda.as_cuda_array(values)

    def fetched(self, values: Any) -> np.ndarray:
        """A copy on the host."""
        return np.asarray(values.cpu().numpy())


class Host:
    """numpy in the place of torch, for simulated kernels."""

    def put(self, values: np.ndarray) -> Any:
        """A copy."""
        return np.array(values, order="C")

    def linear(self, x: Any, weights: Any, bias: Any) -> Any:
        """x.weights + bias, in the precision of the weights."""
        return x.astype(weights.dtype, copy=False) @ weights + bias

    def shown(self, values: Any) -> Any:
        """What a kernel takes: the same memory."""
        return values

    def fetched(self, values: Any) -> np.ndarray:
        """The array."""
        return np.asarray(values)


@dataclass
class Layer:
    """One layer on the card: its units, and what the other layer's units make of them."""

    space: Space
    units: Any  # (chain, unit), or (chain, unit q) one-hot
    weights: Any  # (other layer's code, unit), fields of the other layer on this one
    bias: Any
    divisor: Any  # the units are divided by it before the other layer's weights, or None
    width: Any  # of real units, standard deviations at beta = 1
    free: Any  # uint8 (unit,)
    scale: Any  # (chain,), of fields; of real units the spread 1 / sqrt(beta)

    def draw(self, on: Any, other: "Layer", address: tuple[Any, ...]) -> None:
        """Draw the free units anew given the other layer's."""
        x = other.units if other.divisor is None else other.units / other.divisor
        field, out = on.shown(on.linear(x, self.weights, self.bias)), on.shown(self.units)
        n = out.shape[0] * int(self.space.size)
        if isinstance(self.space, Levels):
            given = (field, self.scale, self.space.n_values, self.free)
            launch(draw_levels, n // 4, *given, *address, out)
        elif isinstance(self.space, Discrete):
            ends = self.space.low, self.space.step
            launch(draw_two, n // 4, field, self.scale, *ends, self.free, *address, out)
        else:
            launch(draw_normal, n // 2, field, self.scale, self.width, self.free, *address, out)


def block_gibbs(
    model: Any,
    state: State,
    beta: np.ndarray,
    n_sweeps: int,
    dtype: Any,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """The visible units after `n_sweeps` sweeps on the card, (chain, n_visible).

    Parameters
    ----------
    model : RBM, PottsRBM or GaussianRBM
    state : State
        Where to start, and the address of the random words.
    dtype : float32 or float64
        Of the matrix products.
    kept : bool array (n_visible,), optional
        Visible units that keep their values.

    Raises
    ------
    InvalidInput
        For another model, and where CUDA cannot run.
    """
    if not _known(model):
        raise InvalidInput(
            f"device='cuda' runs BlockGibbs on RBM, BernoulliRBM, PottsRBM and GaussianRBM, not on "
            f"{model!r}, whose conditional laws are numpy functions. Use device='cpu'."
        )
    prepare()
    on: Any = Host() if numba.config.ENABLE_CUDASIM else Torch()
    beta = np.asarray(beta, np.float64)
    visible, hidden = _layers(model, on, state.x, beta, dtype, kept)
    seed, chains = np.uint64(state.seed), on_device(state.chains)
    for sweep in range(state.sweep, state.sweep + n_sweeps):
        hidden.draw(on, visible, (seed, chains, sweep, HIDDEN))
        visible.draw(on, hidden, (seed, chains, sweep, VISIBLE))
    code = on.fetched(visible.units)
    if isinstance(model, PottsRBM):
        code = code.reshape(len(code), -1, model.n_levels).argmax(axis=-1)
    return np.asarray(code.astype(model.space.dtype))


def _known(model: Any) -> bool:
    """Whether the conditional laws are those of a machine here, and not of a subclass's own."""
    for kind in (RBM, PottsRBM, GaussianRBM):
        if isinstance(model, kind):
            return all(getattr(type(model), f, None) is getattr(kind, f, None) for f in _LAWS)
    return False


def _layers(
    model: Any, on: Any, v: np.ndarray, beta: np.ndarray, dtype: Any, kept: np.ndarray | None
) -> tuple[Layer, Layer]:
    """The visible and the hidden layer, on the card."""
    weights = model.weights.reshape(-1, model.n_hidden).astype(dtype)
    real = isinstance(model, GaussianRBM)
    code = v if real else model.features(v, dtype)
    free = np.ones(model.n_visible, np.uint8) if kept is None else (~kept).astype(np.uint8)
    visible = Layer(
        space=model.space,
        units=on.put(code),
        weights=on.put(weights.T),
        bias=on.put(model.visible_bias.reshape(-1).astype(dtype)),
        divisor=on.put(model.sigma**2) if real else None,
        width=on_device(model.sigma) if real else None,
        free=on_device(free),
        scale=on_device(_scale(model.space, beta, dtype)),
    )
    space = model.hidden_space
    units = np.zeros((len(v), model.n_hidden), dtype if isinstance(space, Discrete) else np.float64)
    hidden = Layer(
        space=space,
        units=on.put(units),
        weights=on.put(weights),
        bias=on.put(model.hidden_bias.astype(dtype)),
        divisor=None,
        width=on_device(np.ones(model.n_hidden)),
        free=on_device(np.ones(model.n_hidden, np.uint8)),
        scale=on_device(_scale(space, beta, dtype)),
    )
    return visible, hidden


def _scale(space: Space, beta: np.ndarray, dtype: Any) -> np.ndarray:
    """Fields times this are log-odds, or log-weights; real units spread by it."""
    if not isinstance(space, Discrete):
        return np.asarray(beta**-0.5)
    # From one value of a unit to the next, its energy changes by the distance times the field.
    return np.asarray(space.step * beta.astype(dtype))
