"""Compiled half sweep of block Gibbs between two layers of bits, without a matrix product.

    P(bit i on | given) = sigmoid(scale (bias_i + step sum_k given_k W_ki))

A product of bits with numbers is a sum of rows of W, and four rows have only 16 sums: these are
tabulated once for all chains, so that one addition a chain does the work of four multiplications
and additions (the method of the four Russians: V. L. Arlazarov, E. A. Dinic, M. A. Kronrod and I.
A. Faradzev, Dokl. Akad. Nauk SSSR 194, 487 (1970)). The sums of a chain are added in an order that
is fixed here: they do not depend on its batch, on threads or on a BLAS.

Cost a half sweep: 4 n m (chains + 16) / 16 additions and loads from the first-level cache, and one
word of Philox with one exponential a unit. Below some 16 chains a matrix product is cheaper.
"""

import numpy as np

from ..._jit import jit, kernel
from ..._rng import fill_words
from .layers import decide

BLOCK = 64
"""Units drawn together: a group of the random stream, four cache lines of sums."""

_ROWS = 4  # of the weights in one table
_SUMS = 16  # their subsets
_TABLES = 4  # looked up in one pass: 16 kB, half of a first-level cache
_CHAINS = 16  # decided in one pass
_LINE = 64  # bytes of a cache line; a vector that straddles two takes twice the time


def padded(n: int) -> int:
    """Units of a layer of n with the padding that `draw` asks for."""
    return -(-n // BLOCK) * BLOCK


@kernel
def pack(bits, codes):
    """codes[c, g] = the bits 4 g .. 4 g + 3 of a chain as one number, the first one lowest."""
    _pack(bits, codes)


@kernel
def draw(given, weights, step, bias, scale, seed, chains, sweep, purpose, held, bits, codes):
    """Draw `bits` and their `codes`, except those that are held.

    Arrays: given uint8 (chain, padded(n) / 4), the codes of the other layer; weights float32
    (n, m); bias float32 (padded(m),); scale float32 (chain,); held uint8 (padded(m),), 1 at units
    that keep their value and at the padding, where bits are 0; bits int8 (chain, padded(m)); codes
    uint8 (chain, padded(m) / 4).
    """
    n_chains, n = given.shape[0], weights.shape[0]
    sums = _aligned(n_chains * BLOCK)
    tables = _aligned(_TABLES * _SUMS * BLOCK)
    tile = _aligned(_TABLES * _ROWS * BLOCK)
    words = np.empty(_CHAINS * BLOCK, np.uint32)
    for left in range(0, weights.shape[1], BLOCK):
        sums[:] = np.float32(0.0)
        for top in range(0, n, _TABLES * _ROWS):
            _cut(weights, step, top, left, tile)
            _tabulate(tile, tables)
            _look_up(given, np.uint64(top // _ROWS), tables, sums)
        for first in range(0, n_chains, _CHAINS):
            last = min(first + _CHAINS, n_chains)
            for k in range(last - first):
                c = first + k
                fill_words(words[k * BLOCK : (k + 1) * BLOCK], seed, chains[c], sweep, purpose, 0, left)
                _scale(sums[c * BLOCK : (c + 1) * BLOCK], scale[c], bias[left : left + BLOCK])
            decide(sums[first * BLOCK : last * BLOCK], words)
            for k in range(last - first):
                drawn, kept = words[k * BLOCK : (k + 1) * BLOCK], held[left : left + BLOCK]
                _write(drawn, kept, bits[first + k, left : left + BLOCK])
    _pack(bits, codes)


@jit
def _aligned(n):
    """float32 (n,) from the beginning of a cache line on."""
    room = np.empty(n + _LINE // 4, np.float32)
    first = (-room.ctypes.data % _LINE) // 4
    return room[first : first + n]


@jit
def _cut(weights, step, top, left, tile):
    """step weights[top : top + 16, left : left + BLOCK], with zeros where they end."""
    tile[:] = np.float32(0.0)
    width = min(BLOCK, weights.shape[1] - left)
    for k in range(min(_TABLES * _ROWS, weights.shape[0] - top)):
        for i in range(width):
            tile[k * BLOCK + i] = step * weights[top + k, left + i]


@jit
def _tabulate(tile, tables):
    """All sums of the rows 0 .. 3, of 4 .. 7, and so on; bit k of an entry's number is row k."""
    for t in range(_TABLES):
        first = t * _SUMS * BLOCK
        tables[first : first + BLOCK] = np.float32(0.0)
        for row in range(_ROWS):
            size = (1 << row) * BLOCK
            added = (t * _ROWS + row) * BLOCK
            for entry in range(0, size, BLOCK):
                for i in range(BLOCK):
                    tables[first + size + entry + i] = tables[first + entry + i] + tile[added + i]


@jit
def _look_up(given, group, tables, sums):
    """Add to the sums of each chain its entry of each of the four tables."""
    block = np.uint64(BLOCK)
    for c in range(given.shape[0]):
        to = np.uint64(c) * block
        # Unsigned: an index that may be negative costs a comparison and the vector code.
        a = np.uint64(given[c, group]) * block
        b = (np.uint64(given[c, group + np.uint64(1)]) + np.uint64(_SUMS)) * block
        d = (np.uint64(given[c, group + np.uint64(2)]) + np.uint64(2 * _SUMS)) * block
        e = (np.uint64(given[c, group + np.uint64(3)]) + np.uint64(3 * _SUMS)) * block
        for k in range(BLOCK):
            i = np.uint64(k)
            sums[to + i] += (tables[a + i] + tables[b + i]) + (tables[d + i] + tables[e + i])


@jit
def _scale(sums, scale, bias):
    for i in range(BLOCK):
        sums[i] = scale * (bias[i] + sums[i])


@jit
def _write(drawn, kept, bits):
    for i in range(BLOCK):
        if kept[i] == 0:
            bits[i] = drawn[i]


@jit
def _pack(bits, codes):
    for c in range(bits.shape[0]):
        for g in range(codes.shape[1]):
            low = bits[c, 4 * g] | (bits[c, 4 * g + 1] << 1)
            high = bits[c, 4 * g + 2] | (bits[c, 4 * g + 3] << 1)
            codes[c, g] = low | (high << 2)
