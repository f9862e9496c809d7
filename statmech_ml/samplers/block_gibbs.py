"""Block Gibbs sampling for models with two layers: all hidden units given v, then all visible given
h.

Two-valued units are drawn from their log-odds, P(higher) = sigmoid(logit); q-valued ones from their
log-weights, P(k) proportional to exp(logit_k); real ones from their normal law. Each half sweep is
one matrix product and one compiled pass (sigmoid, threshold, write). Matrix products may round
differently for another batch or thread count, so bitwise repeatability is promised for a fixed
batch and a fixed number of BLAS threads only. Many chains of an `RBM` with two-valued units in both
layers are summed up from tables instead (`_cpu.bit_layers`), in single precision.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from .. import _rng
from .._rng import HIDDEN, VISIBLE, normals
from ..errors import InvalidInput
from ..models import RBM
from ..spaces import Discrete, Space
from ..systems import EnergyModel, require
from ._cpu import bit_layers, layers
from .base import Info, Sampler, State, advanced, over_chains

# Below this many chains a matrix product is as fast as tables of the sums of weights.
_WORTH_TABLES = 100


@dataclass(frozen=True)
class BlockGibbs(Sampler):
    """Alternating layer updates for `Conditional` models; one sweep draws h, then v.

    Probabilities of discrete units are resolved to 2^-32, the width of one random word.

    Parameters
    ----------
    precision : "single" or "double", default "single"
        Of the matrix products. In single precision a log-odds has an error of some 1e-7 of the
        largest sum of weights that went into it: the chain samples weights that differ in the
        seventh digit. Reduced energies (replica exchange, estimators) are doubles in both.
    clamped : bool array (n_visible,), optional
        Where true, a visible unit keeps the value of its chain's start for ever: the chain samples
        p(free units | clamped units), which is inpainting. Such sweeps leave exp(-reduced_energy)
        invariant too, and each of its conditional laws, but never move between these; start= must
        be an array (one for all chains of a `ReplicaExchange`, which swaps them). Kept as a tuple.
        `rbm.condition` gives the same law as a smaller model.
    """

    precision: Literal["single", "double"] = "single"
    clamped: Any = None

    stream: ClassVar[str] = "block-gibbs/philox4x32-10/2"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __post_init__(self) -> None:
        if self.precision not in ("single", "double"):
            raise InvalidInput(f"precision={self.precision!r} must be 'single' or 'double'.")
        if self.clamped is not None:
            object.__setattr__(self, "clamped", _mask(self.clamped))

    @property
    def ergodic(self) -> bool:
        """Not with clamped units: each chain then has the law that its start decides."""
        return self.clamped is None

    @property
    def reversible(self) -> bool:
        """Yes: v -> h -> v' has the probability of v' -> h -> v where h is summed out."""
        return True

    def check(self, model: EnergyModel) -> None:
        """MissingCapability unless the model is Conditional, InvalidInput for a wrong mask."""
        require(model, "Conditional", "BlockGibbs", "Use HeatBath or Metropolis.")
        if self.clamped is not None and len(self.clamped) != model.space.size:
            raise InvalidInput(
                f"clamped has {len(self.clamped)} entries, but {model!r} has {model.space.size} "
                "visible units. Give one bool for each."
            )

    def init(self, model: EnergyModel, n_chains: int, seed: int, start: Any = "random") -> State:
        """The state before the first sweep; clamped units need an array to take values from."""
        if self.clamped is not None and isinstance(start, str):
            raise InvalidInput(
                f"start={start!r} with clamped units: they keep the values of the start. Give "
                "start= an array (n_visible,), or (chain, n_visible) for other values in each "
                "chain; what it holds at the free units is forgotten."
            )
        return super().init(model, n_chains, seed, start)

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); returns the new state and nothing watched."""
        dtype = np.float32 if self.precision == "single" else np.float64
        v, kept = state.x, None if self.clamped is None else np.array(self.clamped)
        if device == "cuda":
            from ._cuda.layers import block_gibbs as on_device

            v = on_device(model, state, beta, n_sweeps, dtype, kept)
            return advanced(state, v, n_sweeps), {}
        if dtype is np.float32 and len(beta) >= _WORTH_TABLES and _two_valued(model):
            v = _swept_bits(model, state, beta, n_sweeps, kept)
            return advanced(state, v, n_sweeps), {}
        for t in range(state.sweep, state.sweep + n_sweeps):
            address = (state.seed, state.chains, t)
            h = _draw(model, "hidden", model.hidden_space, v, beta, dtype, (*address, HIDDEN))
            v = _draw(model, "visible", model.space, h, beta, dtype, (*address, VISIBLE))
            if kept is not None:
                v[:, kept] = state.x[:, kept]
        return advanced(state, v.astype(model.space.dtype, copy=n_sweeps == 0), n_sweeps), {}

    def hidden(self, model: Any, v: np.ndarray, seed: int, sweep: int) -> np.ndarray:
        """The hidden units that this sweep draws first at beta = 1, (chain, n_hidden), for those
        who carry them along."""
        return self._half(model, "hidden", model.hidden_space, v, (seed, sweep, HIDDEN))

    def visible(self, model: Any, h: np.ndarray, seed: int, sweep: int) -> np.ndarray:
        """The visible units that this sweep then draws given h, (chain, n_visible)."""
        return self._half(model, "visible", model.space, h, (seed, sweep, VISIBLE))

    def _half(
        self, model: Any, layer: str, space: Space, other: np.ndarray, address: tuple[int, int, int]
    ) -> np.ndarray:
        seed, sweep, purpose = address
        chains = np.arange(len(other), dtype=np.uint32)
        dtype = np.float32 if self.precision == "single" else np.float64
        whole = (seed, chains, sweep, purpose)
        drawn = _draw(model, layer, space, other, np.ones(len(other)), dtype, whole)
        return drawn.astype(space.dtype, copy=False)

    def __repr__(self) -> str:
        held = f", clamped={sum(self.clamped)} of {len(self.clamped)}" if self.clamped else ""
        return f"BlockGibbs(precision={self.precision!r}{held})"


def _mask(given: Any) -> tuple[bool, ...]:
    mask = np.asarray(given)
    if mask.dtype != bool or mask.ndim != 1 or mask.all():
        raise InvalidInput(
            f"clamped={given!r} must be a bool array (n_visible,) that leaves some unit free. From "
            "site numbers: mask = np.zeros(n_visible, bool); mask[sites] = True."
        )
    return tuple(mask.tolist())


def _draw(
    model: Any,
    layer: str,
    space: Space,
    other: np.ndarray,
    beta: np.ndarray,
    dtype: Any,
    address: tuple[int, np.ndarray, int, int],
) -> np.ndarray:
    """The units of one layer given the other."""
    if not isinstance(space, Discrete):
        mean, stddev = getattr(model, f"{layer}_normal")(other, beta, dtype)
        return np.asarray(mean + stddev * normals(*address, 0, space.size))
    logits = getattr(model, f"{layer}_logits")(other, beta, dtype)
    seed, chains, sweep, purpose = address
    out = np.empty((len(chains), space.size), np.int8)
    scratch = np.empty(_rng.padded(space.size), np.uint32)
    if logits.ndim == 3:
        layers.draw_levels(logits, np.uint64(seed), chains, sweep, purpose, scratch, out)
    elif logits.dtype == np.float32:
        layers.draw_single(logits, np.uint64(seed), chains, sweep, purpose, scratch, out)
    else:
        odds = layers.odds_of(logits, out=logits)
        layers.draw(odds, np.uint64(seed), chains, sweep, purpose, scratch, out)
    return out if space.step == 1 else space.values[out]


def _two_valued(model: Any) -> bool:
    """Whether this is an RBM of two-valued units, with no law of its own for either layer."""
    return (
        isinstance(model, RBM)
        and isinstance(model.hidden_space, Discrete)
        and type(model).hidden_logits is RBM.hidden_logits
        and type(model).visible_logits is RBM.visible_logits
    )


class _Bits(NamedTuple):
    """A layer of bits for `bit_layers`: a unit is low + step bit.

    Fields: bits int8 (chain, padded), codes uint8 (chain, padded / 4), bias float32 (padded,) of
    the sum over the bits of the other layer, held uint8 (padded,), step.
    """

    bits: np.ndarray
    codes: np.ndarray
    bias: np.ndarray
    held: np.ndarray
    step: int

    @classmethod
    def of(cls, n_chains: int, space: Any, bias: np.ndarray) -> "_Bits":
        size = bit_layers.padded(space.size)
        held = np.ones(size, np.uint8)
        held[: space.size] = 0
        padding = np.zeros(size - space.size)
        return cls(
            np.zeros((n_chains, size), np.int8),
            np.zeros((n_chains, size // 4), np.uint8),
            np.concatenate([bias, padding]).astype(np.float32),
            held,
            space.step,
        )


def _swept_bits(
    model: RBM, state: State, beta: np.ndarray, n_sweeps: int, kept: np.ndarray | None
) -> np.ndarray:
    """Configurations after some sweeps of an RBM of two-valued units."""
    n_chains, size = state.x.shape
    low_v, low_h = model.space.values[0], model.hidden_space.values[0]
    weights = model._cast(np.float32)[1]
    a, b = model.visible_bias, model.hidden_bias
    if low_v:  # sum_i W_ij (low + step bit_i)
        b = b + low_v * model.weights.sum(axis=0, dtype=np.float64)
    if low_h:
        a = a + low_h * model.weights.sum(axis=1, dtype=np.float64)
    v = _Bits.of(n_chains, model.space, a)
    h = _Bits.of(n_chains, model.hidden_space, b)
    v.bits[:, :size] = state.x > low_v
    if kept is not None:
        v.held[:size] = kept
    bit_layers.pack(v.bits, 0, v.codes)

    def draw(layer: _Bits, other: _Bits, w: np.ndarray, part: slice, t: int, purpose: int) -> None:
        bit_layers.draw(
            other.codes[part],
            w,
            np.float32(other.step),
            layer.bias,
            (beta[part] * layer.step).astype(np.float32),
            np.uint64(state.seed),
            state.chains[part],
            t,
            purpose,
            layer.held,
            layer.bits[part],
            layer.codes[part],
        )

    def run(part: slice) -> None:
        for t in range(state.sweep, state.sweep + n_sweeps):
            draw(h, v, weights, part, t, HIDDEN)
            draw(v, h, weights.T, part, t, VISIBLE)

    over_chains(n_chains, n_sweeps * n_chains * (size + model.n_hidden), run)
    drawn = v.bits[:, :size]
    return model.space.values[drawn] if low_v else np.ascontiguousarray(drawn)
