"""Block Gibbs sampling for models with two layers: all hidden units given v, then all visible given
h.

    P(h_j = 1 | v) = sigmoid(hidden_logits_j),    P(v_i = 1 | h) = sigmoid(visible_logits_i)

or, where the visible units are real, v_i given h is normal with the mean and standard deviation of
`visible_normal`. Each half sweep is one matrix product and one compiled pass (of bits: sigmoid,
threshold, write).
Matrix products may round differently for another batch or thread count, so bitwise repeatability is
promised for a fixed batch and a fixed number of BLAS threads only.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .._jit import kernel
from .._rng import HIDDEN, VISIBLE, normals, words
from ..systems import EnergyModel, require
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
        for t in range(state.sweep, state.sweep + n_sweeps):
            w = words(state.seed, state.chains, t, HIDDEN, 0, h.shape[1])
            _bernoulli(model.hidden_logits(v, beta), w, h)
            if hasattr(model, "visible_normal"):
                mean, stddev = model.visible_normal(h, beta)
                v = mean + stddev * normals(state.seed, state.chains, t, VISIBLE, 0, v.shape[1])
            else:
                w = words(state.seed, state.chains, t, VISIBLE, 0, v.shape[1])
                _bernoulli(model.visible_logits(h, beta), w, v)
        return advanced(state, v, n_sweeps), {}


@kernel
def _bernoulli(logits, words, out):
    """out = 1 where a uniform from `words` is below sigmoid(logits); all (chain, unit)."""
    for c in range(out.shape[0]):
        for i in range(out.shape[1]):
            u = (np.float64(words[c, i]) + 0.5) / 4294967296.0
            # Beyond 700 the exponential overflows, and no 32-bit u tells the difference.
            odds_against = math.exp(min(-logits[c, i], 700.0))
            out[c, i] = 1 if u * (1.0 + odds_against) < 1.0 else 0
