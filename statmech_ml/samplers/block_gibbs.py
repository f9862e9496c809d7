"""Block Gibbs sampling for models with two layers: all hidden units given v, then all visible given
h.

Two-valued units are drawn from their log-odds, P(higher) = sigmoid(logit); q-valued ones from their
log-weights, P(k) proportional to exp(logit_k); real ones from their normal law. Each half sweep is
one matrix product and one compiled pass (sigmoid, threshold, write). Matrix products may round
differently for another batch or thread count, so bitwise repeatability is promised for a fixed
batch and a fixed number of BLAS threads only.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from .._rng import HIDDEN, VISIBLE, normals
from ..errors import InvalidInput
from ..spaces import Discrete, Space
from ..systems import EnergyModel, require
from ._cpu import layers
from .base import Info, Sampler, State, advanced


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
        be an array. Kept as a tuple. `rbm.condition` gives the same law as a smaller model.
    """

    precision: Literal["single", "double"] = "single"
    clamped: Any = None

    stream: ClassVar[str] = "block-gibbs/philox4x32-10/2"

    def __post_init__(self) -> None:
        if self.precision not in ("single", "double"):
            raise InvalidInput(f"precision={self.precision!r} must be 'single' or 'double'.")
        if self.clamped is not None:
            object.__setattr__(self, "clamped", _mask(self.clamped))

    @property
    def reversible(self) -> bool:
        """Yes: v -> h -> v' has the probability of v' -> h -> v where h is summed out."""
        return True

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless the model is Conditional, InvalidInput for a wrong mask."""
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
        for t in range(state.sweep, state.sweep + n_sweeps):
            address = (state.seed, state.chains, t)
            h = _draw(model, "hidden", model.hidden_space, v, beta, dtype, (*address, HIDDEN))
            v = _draw(model, "visible", model.space, h, beta, dtype, (*address, VISIBLE))
            if kept is not None:
                v[:, kept] = state.x[:, kept]
        return advanced(state, v.astype(model.space.dtype, copy=n_sweeps == 0), n_sweeps), {}

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
    scratch = np.empty(64, np.uint32)
    if logits.ndim == 3:
        layers.draw_levels(logits, np.uint64(seed), chains, sweep, purpose, scratch, out)
    else:
        odds = layers.odds_of(logits, out=logits)
        layers.draw(odds, np.uint64(seed), chains, sweep, purpose, scratch, out)
    return out if space.step == 1 else space.values[out]
