"""Random streams that are addressed, not consumed.

Every random number has an address (seed, chain, sweep, purpose, colour, position), so a run gives
the same bits on one thread or many, on CPU or GPU, in one go or stopped and resumed at any sweep.
The generator behind the address is Philox4x32-10:

    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw,
    "Parallel random numbers: as easy as 1, 2, 3", SC'11 (2011), doi:10.1145/2063384.2063405.

All arithmetic below is on uint64 that hold 32-bit values, so nothing wraps around and the
plain-Python run of a kernel is silent. Where a kernel consumes an unpredictable number of variates
(a Wolff cluster), Philox seeds a xoshiro256++ generator per (seed, chain, sweep) instead.

Positions are dealt to Philox blocks in groups of 64: block ``16 g + i`` holds the words of
positions ``64 g + i + 16 w``, w = 0..3. Sixteen blocks side by side fill whole vector registers,
and neighbouring GPU threads read neighbouring positions.
"""

import math
from typing import Any

import numpy as np

from ._jit import jit, kernel
from .errors import InvalidInput

# Purposes: the second level of the address. A new sampler family takes a new number.
(
    INITIAL,
    LOCAL,
    LOCAL_LOW,
    SITE,
    PROPOSAL,
    CLUSTER,
    BONDS,
    LABELS,
    HIDDEN,
    VISIBLE,
    LANGEVIN,
    ACCEPT,
    REFERENCE,
    EXCHANGE,
    WANG_LANDAU,
    RESAMPLING,
    MOMENTUM,
    MINIBATCH,
    ENSEMBLE,
    TRAINING,
    NEGATIVE,
) = range(21)

MAX_SWEEP = 2**40

_MASK = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@jit
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: four 32-bit words (held in uint64) for a 128-bit counter and a 64-bit key."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0 = (p1 >> _32) ^ c1 ^ k0
        c2 = (p0 >> _32) ^ c3 ^ k1
        c1 = p1 & _MASK
        c3 = p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


@jit
def stream_word(sweep, purpose, colour):
    """The third counter word: purpose (8 bits), colour (16), high byte of the sweep (8)."""
    high = (np.uint64(sweep) >> _32) & np.uint64(0xFF)
    return (np.uint64(purpose) << np.uint64(24)) | (np.uint64(colour) << np.uint64(8)) | high


@jit
def block(seed, chain, sweep, purpose, colour, index):
    """The four words of block `index` of the stream (seed, chain, sweep, purpose, colour)."""
    return philox(
        np.uint64(index) & _MASK,
        np.uint64(sweep) & _MASK,
        np.uint64(chain) & _MASK,
        stream_word(sweep, purpose, colour),
        np.uint64(seed) & _MASK,
        np.uint64(seed) >> _32,
    )


@jit
def word_at(seed, chain, sweep, purpose, colour, position):
    """The 32-bit word of one position; `fill_words` gives the same words many at a time."""
    group, inside = position >> 6, position & 63
    w = block(seed, chain, sweep, purpose, colour, 16 * group + (inside & 15))
    lane = inside >> 4
    if lane == 0:
        return w[0]
    if lane == 1:
        return w[1]
    return w[2] if lane == 2 else w[3]


@jit
def fill_words(out, seed, chain, sweep, purpose, colour, first):
    """Fill `out` (uint32, length a multiple of 64) with the words from position `first` on.

    `first` must be a multiple of 64. Sixteen independent blocks run side by side, which LLVM turns
    into vector code: 32-bit multiplications with 64-bit results have a vector instruction.
    """
    c1 = np.uint64(sweep) & _MASK
    c2 = np.uint64(chain) & _MASK
    c3 = stream_word(sweep, purpose, colour)
    k0 = np.uint64(seed) & _MASK
    k1 = np.uint64(seed) >> _32
    for group in range(out.shape[0] // 64):
        base = np.uint64(16 * (first // 64 + group))
        for lane in range(16):
            w0, w1, w2, w3 = philox((base + np.uint64(lane)) & _MASK, c1, c2, c3, k0, k1)
            out[64 * group + lane] = np.uint32(w0)
            out[64 * group + 16 + lane] = np.uint32(w1)
            out[64 * group + 32 + lane] = np.uint32(w2)
            out[64 * group + 48 + lane] = np.uint32(w3)


@jit
def padded(n):
    """The smallest multiple of 64 that is at least n: the length of a word buffer."""
    return (n + 63) // 64 * 64


@jit
def unit(high, low):
    """A double in [0, 1) with 53 random bits from two words."""
    bits = (np.uint64(high) << np.uint64(21)) | (np.uint64(low) >> np.uint64(11))
    return np.float64(bits) * _TO_UNIT


@jit
def normal_pair(w0, w1, w2, w3):
    """Two independent standard normals from four words.

    G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958), doi:10.1214/aoms/1177706645.
    """
    radius = math.sqrt(-2.0 * math.log(1.0 - unit(w0, w1)))
    angle = 2.0 * math.pi * unit(w2, w3)
    return radius * math.cos(angle), radius * math.sin(angle)


@jit
def seed_xoshiro(state, seed, chain, sweep, purpose):
    """Seed a xoshiro256++ state (uint64, 4) from the stream's first two Philox blocks."""
    a0, a1, a2, a3 = block(seed, chain, sweep, purpose, 0, 0)
    b0, b1, b2, b3 = block(seed, chain, sweep, purpose, 0, 1)
    state[0] = (a0 << _32) | a1
    state[1] = (a2 << _32) | a3
    state[2] = (b0 << _32) | b1
    state[3] = (b2 << _32) | b3 | np.uint64(1)  # never all zero


@jit
def xoshiro_step(s0, s1, s2, s3):
    """64 bits of xoshiro256++ and the next state, all in registers.

    D. Blackman and S. Vigna, ACM Trans. Math. Softw. 47, 36 (2021), doi:10.1145/3460772.
    """
    mixed = s0 + s3
    result = ((mixed << np.uint64(23)) | (mixed >> np.uint64(41))) + s0
    t = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return result, s0, s1, s2, s3


@jit
def next_xoshiro(state):
    """The next 64 bits of a xoshiro256++ state (uint64, 4), advanced in place."""
    result, s0, s1, s2, s3 = xoshiro_step(state[0], state[1], state[2], state[3])
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    return result


def thresholds(probability: Any) -> np.ndarray:
    """Integer thresholds: a 64-bit uniform U is below ``thresholds(p)`` with probability p.

    Exact to 2^-64 relative to 1 up to the rounding of p itself; p = 1 maps to 2^64 - 1. Computed on
    the host once, so that every device takes the same decisions.
    """
    p = np.asarray(probability, dtype=np.float64)
    # ldexp is exact, and the largest double below 2^64 converts exactly.
    scaled = np.minimum(np.ldexp(p, 64), np.nextafter(2.0**64, 0.0))
    return np.where(p >= 1.0, np.uint64(2**64 - 1), scaled.astype(np.uint64))


def seed_from(rng: Any) -> int:
    """A 64-bit stream seed from what a user gives as ``rng=``: an int or a numpy Generator."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        if rng < 0:
            raise InvalidInput(f"rng={rng} is negative; give a non-negative int or a Generator.")
        return int(np.random.SeedSequence(int(rng)).generate_state(1, np.uint64)[0])
    raise InvalidInput(
        f"rng={rng!r} is neither an int nor a numpy.random.Generator. There is no default seed: "
        "give e.g. rng=7, so that the run can be repeated."
    )


@kernel
def _words(out, seed, chain, sweep, purpose, colour, first):
    """`fill_words` for every chain of a batch: out is (chain, n) with n a multiple of 64."""
    for c in range(out.shape[0]):
        fill_words(out[c], seed, chain[c], sweep, purpose, colour, first)


def words(
    seed: int, chain: np.ndarray, sweep: int, purpose: int, colour: int, n: int, first: int = 0
) -> np.ndarray:
    """Words of one stream for each chain of a batch, uint32 (chain, n), for samplers in numpy.

    They are those of positions `first` (a multiple of 64) to first + n - 1.
    """
    out = np.empty((len(chain), padded(n)), np.uint32)
    _words(out, np.uint64(seed), chain, sweep, purpose, colour, first)
    return out[:, :n]


@kernel
def _normals(out, seed, chain, sweep, purpose, colour):
    for c in range(out.shape[0]):
        for i in range(0, out.shape[1], 2):
            w0, w1, w2, w3 = block(seed, chain[c], sweep, purpose, colour, i // 2)
            a, b = normal_pair(w0, w1, w2, w3)
            out[c, i] = a
            if i + 1 < out.shape[1]:
                out[c, i + 1] = b


def normals(
    seed: int, chain: np.ndarray, sweep: int, purpose: int, colour: int, n: int
) -> np.ndarray:
    """Standard normals of one stream for each chain of a batch, float64 (chain, n).

    Block i of the stream gives the normals 2 i and 2 i + 1, as in the kernels that draw their own.
    """
    out = np.empty((len(chain), n))
    _normals(out, np.uint64(seed), chain, sweep, purpose, colour)
    return out


def units(seed: int, chain: np.ndarray, sweep: int, purpose: int, colour: int) -> np.ndarray:
    """One double in [0, 1) for each chain of a batch, float64 (chain,): `unit` of block 0."""
    out = np.empty(len(chain))
    _units(out, np.uint64(seed), chain, sweep, purpose, colour)
    return out


@kernel
def _units(out, seed, chain, sweep, purpose, colour):
    for c in range(out.shape[0]):
        w0, w1, _, _ = block(seed, chain[c], sweep, purpose, colour, 0)
        out[c] = unit(w0, w1)
