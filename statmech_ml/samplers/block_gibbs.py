"""Block Gibbs sampling for models with two layers: all hidden units given v, then all visible given
h.

    P(h_j = 1 | v) = sigmoid(hidden_logits_j),    P(v_i = 1 | h) = sigmoid(visible_logits_i)

or, where the visible units are real, v_i given h is normal with the mean and standard deviation of
`visible_normal`. Each half sweep is one matrix product and one compiled pass (of bits: sigmoid,
threshold, write).
Matrix products may round differently for another batch or thread count, so bitwise repeatability is
promised for a fixed batch and a fixed number of BLAS threads only.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._rng import HIDDEN, VISIBLE, normals
from ..systems import EnergyModel, require
from ._cpu.layers import draw, odds_of
from .base import Info, Sampler, State, advanced


@dataclass(frozen=True)
class BlockGibbs(Sampler):
    """Alternating layer updates for `Conditional` models; one sweep draws h, then v.

    Probabilities of bits are resolved to 2^-32, the width of one random word.
    """

    stream: ClassVar[str] = "block-gibbs/philox4x32-10/1"

    @property
    def reversible(self) -> bool:
        """Yes: v -> h -> v' has the probability of v' -> h -> v where h is summed out."""
        return True

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless the model is Conditional."""
        require(model, "Conditional", "BlockGibbs", "Use HeatBath or Metropolis.")

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); returns the new state and nothing watched."""
        v = state.x.copy()
        h = np.empty((len(v), model.n_hidden), np.int8)
        seed, scratch = np.uint64(state.seed), np.empty(64, np.uint32)
        for t in range(state.sweep, state.sweep + n_sweeps):
            odds = odds_of(model.hidden_logits(v, beta))
            draw(odds, seed, state.chains, t, HIDDEN, scratch, h)
            if hasattr(model, "visible_normal"):
                mean, stddev = model.visible_normal(h, beta)
                v = mean + stddev * normals(state.seed, state.chains, t, VISIBLE, 0, v.shape[1])
            else:
                odds = odds_of(model.visible_logits(h, beta))
                draw(odds, seed, state.chains, t, VISIBLE, scratch, v)
        return advanced(state, v, n_sweeps), {}
