"""Compiled twins of block Gibbs: one pass over a layer draws its units from their odds.

    P(unit on) = odds / (1 + odds),    odds = exp(log-odds)

Word i of the stream decides unit i, so the draws are those of any other pass over the same odds. In
single precision everything from the log-odds to the units written is one pass over vector registers
(`draw_single`); in double precision the exponentials are numpy's, and what follows them is one pass
(`draw`).
"""

import math

import numpy as np

from ..._jit import jit, kernel
from ..._rng import fill_words

_BUFFER = 64  # words drawn at a time: one group of the generator
_HUGE, _TINY = 1e150, 1e-150
_LANES = 8  # units whose factors are multiplied before the product is looked at
# Log-odds are cut here: no random word and no double can tell the rest from certainty.
_CERTAIN = 50.0
_TO_UNIT, _HALF = np.float32(2.0**-32), np.float32(2.0**-33)
LARGEST_STEP = 1.0
"""Largest change of log-odds, up or down, that `climb` takes without losing digits."""


def odds_of(logits: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """exp(logits), cut where the unit is certain."""
    cut = np.clip(logits, -_CERTAIN, _CERTAIN, out=out)
    return np.asarray(np.exp(cut, out=cut))


@jit
def _exponential(x):
    """exp(x) for -87 < x <= 0, float32, to 1.4 units in the last place.

    x = n log 2 + r, and a polynomial in r: S. L. Moshier, Cephes Math Library (1989), expf.
    """
    # Adding 1.5 x 2^23 rounds to the nearest whole number.
    n = (x * np.float32(1.44269504) + np.float32(12582912.0)) - np.float32(12582912.0)
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = (p * r) * r + r + np.float32(1.0)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
    return p * power.view(np.float32)


@jit
def decide(logits, words):
    """words[i] = 1 with probability sigmoid(logits[i]), else 0, by the random word that it was.

    Both flat. The rarer of the two values is the one whose probability q <= 1/2 is compared, with
    u = (word + 1/2) / 2^32 if that is 1 and with 1 - u if it is 0: single precision then resolves
    it to a few parts in 10^7 however small it is.
    """
    for i in range(logits.shape[0]):
        size = np.float32(abs(logits[i]))
        size = np.float32(_CERTAIN) if size > np.float32(_CERTAIN) else size
        odds = _exponential(-size)
        flip = np.uint32(0xFFFFFFFF) if logits[i] > np.float32(0.0) else np.uint32(0)
        u = np.float32(np.uint32(words[i] ^ flip)) * _TO_UNIT + _HALF
        rarer = np.uint32(0xFFFFFFFF) if u * (np.float32(1.0) + odds) < odds else np.uint32(0)
        words[i] = np.uint32(rarer ^ flip) & np.uint32(1)


@jit
def squash(logits, factors, above):
    """logits become sigmoid(logits); log(1 + exp(logits)) = log(factors) + above. Flat, float32."""
    for i in range(logits.shape[0]):
        size = np.float32(abs(logits[i]))
        size = np.float32(_CERTAIN) if size > np.float32(_CERTAIN) else size
        odds = _exponential(-size)
        factor = np.float32(1.0) + odds
        positive = logits[i] > np.float32(0.0)
        factors[i] = factor
        above[i] = logits[i] if positive else np.float32(0.0)
        logits[i] = (np.float32(1.0) if positive else odds) / factor


@kernel
def draw_single(logits, seed, chains, sweep, purpose, words, out):
    """out[c, i] = 1 with probability sigmoid(logits[c, i]), float32, else 0.

    words is scratch, uint32, as long as a row filled up to a multiple of 64.
    """
    for c in range(logits.shape[0]):
        fill_words(words, seed, chains[c], sweep, purpose, 0, 0)
        decide(logits[c], words)
        for i in range(logits.shape[1]):
            out[c, i] = words[i]


@kernel
def draw(odds, seed, chains, sweep, purpose, words, out):
    """out[c, i] = 1 with probability odds / (1 + odds), else 0; words is scratch, uint32 (64,)."""
    n = out.shape[1]
    for c in range(out.shape[0]):
        for first in range(0, n, _BUFFER):
            fill_words(words, seed, chains[c], sweep, purpose, 0, first)
            for i in range(first, min(first + _BUFFER, n)):
                u = (np.float64(words[i - first]) + 0.5) / 4294967296.0
                o = np.float64(odds[c, i])
                out[c, i] = 1 if u * (1.0 + o) < o else 0


@kernel
def draw_levels(logits, seed, chains, sweep, purpose, words, out):
    """out[c, i] = k with probability proportional to exp(logits[c, i, k]), from word i."""
    n, n_levels = logits.shape[1], logits.shape[2]
    for c in range(logits.shape[0]):
        for first in range(0, n, _BUFFER):
            fill_words(words, seed, chains[c], sweep, purpose, 0, first)
            for i in range(first, min(first + _BUFFER, n)):
                highest = np.float64(logits[c, i, 0])
                for k in range(1, n_levels):
                    highest = max(highest, np.float64(logits[c, i, k]))
                total = 0.0
                for k in range(n_levels):
                    total += math.exp(np.float64(logits[c, i, k]) - highest)
                left = (np.float64(words[i - first]) + 0.5) / 4294967296.0 * total
                level = 0
                while level < n_levels - 1:
                    left -= math.exp(np.float64(logits[c, i, level]) - highest)
                    if left < 0.0:
                        break
                    level += 1
                out[c, i] = level


@kernel
def climb(odds, growth, log_w):
    """Odds at one lambda become those at the next, and log_w gains their softplus differences.

    odds, growth: (chain, unit), the odds at lambda and (next odds / odds) - 1. For each unit

        log(1 + next odds) - log(1 + odds) = log(1 + p growth),    p = odds / (1 + odds),

    and a sum of logarithms is the logarithm of a product, taken when the product leaves the range
    of doubles. Growth must lie between exp(-LARGEST_STEP) - 1 and exp(LARGEST_STEP) - 1.
    """
    n = odds.shape[1]
    factors = np.empty(n)
    for c in range(odds.shape[0]):
        for i in range(n):
            o, g = np.float64(odds[c, i]), np.float64(growth[c, i])
            factors[i] = 1.0 + g * (o / (1.0 + o))
            odds[c, i] = o * (1.0 + g)
        total, product = 0.0, 1.0
        whole = n - n % _LANES
        for i in range(0, whole, _LANES):
            left = (factors[i] * factors[i + 1]) * (factors[i + 2] * factors[i + 3])
            right = (factors[i + 4] * factors[i + 5]) * (factors[i + 6] * factors[i + 7])
            product *= left * right
            if not _TINY < product < _HUGE:
                total += math.log(product)
                product = 1.0
        for i in range(whole, n):
            product *= factors[i]
        log_w[c] += total + math.log(product)
