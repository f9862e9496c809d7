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

import math

import numpy as np

from ..._jit import jit, kernel
from ..._rng import fill_words
from .layers import decide, squash

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
def pack(x, low, codes):
    """codes[c, g] = which of the units 4 g .. 4 g + 3 of a row are above `low`, the first in the
    lowest bit; codes uint8 (row, padded(n) / 4)."""
    codes[:] = 0
    for c in range(x.shape[0]):
        whole = x.shape[1] // _ROWS
        _pack_row(x[c, : whole * _ROWS], low, codes[c, :whole])
        for i in range(whole * _ROWS, x.shape[1]):
            codes[c, whole] |= np.uint8(x[c, i] > low) << np.uint8(i - whole * _ROWS)


@kernel
def pack_transposed(x, low, codes):
    """`pack` of the transpose of x; codes uint8 (n, padded(rows) / 4)."""
    codes[:] = 0
    for c in range(x.shape[0]):
        _pack_column(x[c], low, np.uint8(c % _ROWS), codes[:, c // _ROWS])


@kernel
def draw(given, weights, step, bias, scale, seed, chains, sweep, purpose, held, bits, codes):
    """Draw `bits` and their `codes`, except those that are held.

    Arrays: given uint8 (chain, padded(n) / 4), the codes of the other layer; weights float32
    (n, m); bias float32 (padded(m),); scale float32 (chain,); held uint8 (padded(m),), 1 at units
    that keep their value and at the padding, where bits are 0; bits int8 (chain, padded(m)); codes
    uint8 (chain, padded(m) / 4).
    """
    n_chains = given.shape[0]
    sums, tables, tile = _scratch(n_chains)
    words = np.empty(_CHAINS * BLOCK, np.uint32)
    for left in range(0, weights.shape[1], BLOCK):
        _sum_up(given, weights, step, left, tile, tables, sums)
        for first in range(0, n_chains, _CHAINS):
            last = min(first + _CHAINS, n_chains)
            for k in range(last - first):
                c, own = first + k, words[k * BLOCK : (k + 1) * BLOCK]
                fill_words(own, seed, chains[c], sweep, purpose, 0, left)
                _scale(sums[c * BLOCK : (c + 1) * BLOCK], scale[c], bias[left : left + BLOCK])
            decide(sums[first * BLOCK : last * BLOCK], words)
            for k in range(last - first):
                drawn, kept = words[k * BLOCK : (k + 1) * BLOCK], held[left : left + BLOCK]
                _write(drawn, kept, bits[first + k, left : left + BLOCK])
    for c in range(n_chains):
        _pack_row(bits[c], 0, codes[c])


@kernel
def product(given, weights, step, base, out):
    """out[c, i] = base[i] + step sum_k given_ck W_ki; base float32 (padded(m),)."""
    sums, tables, tile = _scratch(given.shape[0])
    for left in range(0, weights.shape[1], BLOCK):
        width = min(BLOCK, weights.shape[1] - left)
        _sum_up(given, weights, step, left, tile, tables, sums)
        for c in range(given.shape[0]):
            row = sums[c * BLOCK : (c + 1) * BLOCK]
            _scale(row, np.float32(1.0), base[left : left + BLOCK])
            out[c, left : left + width] = row[:width]


@kernel
def means(given, weights, step, bias, scale, out, log_sums):
    """With l = scale (bias + step sum_k given_k W_k): out = sigmoid(l), float32 (row, m), and
    log_sums, float64 (row,), the sum over i of log(1 + exp(l_i)).

    bias float32 (padded(m),), -infinity at the padding. A product of 64 factors 1 + exp(-|l|) fits
    a float, so there is one logarithm for each block.
    """
    nobody, nothing = np.empty(0, np.uint32), np.empty((0, bias.shape[0]), np.int8)
    means_and_bits(
        given, weights, step, bias, scale, np.uint64(0), nobody, 0, 0, out, log_sums, nothing
    )


@jit
def means_and_bits(
    given, weights, step, bias, scale, seed, chains, sweep, purpose, out, log_sums, bits
):
    """`means`, and for the last rows, one for each of `chains`, bits of these means as `draw` would
    draw them: int8 (chain, padded(m))."""
    n_rows = given.shape[0]
    sums, tables, tile = _scratch(n_rows)
    log_sums[:] = 0.0
    factors, above = np.empty(_CHAINS * BLOCK, np.float32), np.empty(_CHAINS * BLOCK, np.float32)
    words = np.empty(BLOCK, np.uint32)
    for left in range(0, weights.shape[1], BLOCK):
        width = min(BLOCK, weights.shape[1] - left)
        _sum_up(given, weights, step, left, tile, tables, sums)
        for first in range(0, n_rows, _CHAINS):
            last = min(first + _CHAINS, n_rows)
            for c in range(first, last):
                row = sums[c * BLOCK : (c + 1) * BLOCK]
                _scale(row, scale, bias[left : left + BLOCK])
                k = c - (n_rows - chains.shape[0])
                if k >= 0:
                    fill_words(words, seed, chains[k], sweep, purpose, 0, left)
                    decide(row, words)
                    for i in range(BLOCK):
                        bits[k, left + i] = words[i]
            squash(sums[first * BLOCK : last * BLOCK], factors, above)
            for k in range(last - first):
                own = slice(k * BLOCK, (k + 1) * BLOCK)
                log_sums[first + k] += _log_sum(factors[own], above[own])
                row = sums[(first + k) * BLOCK : (first + k + 1) * BLOCK]
                out[first + k, left : left + width] = row[:width]


@jit
def _sum_up(given, weights, step, left, tile, tables, sums):
    """sums[c, i] = step sum_k given_ck W_k,left+i, of one block of units and all rows."""
    sums[:] = np.float32(0.0)
    for top in range(0, weights.shape[0], _TABLES * _ROWS):
        _cut(weights, step, top, left, tile)
        _tabulate(tile, tables)
        _look_up(given, np.uint64(top // _ROWS), tables, sums)


@jit
def _scratch(n_rows):
    return (
        _aligned(n_rows * BLOCK),
        _aligned(_TABLES * _SUMS * BLOCK),
        _aligned(_TABLES * _ROWS * BLOCK),
    )


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
def _log_sum(factors, above):
    """log of the product of the factors, plus the sum of what was taken out of them."""
    product, total = np.float32(1.0), np.float32(0.0)
    for i in range(0, BLOCK, 4):
        product *= (factors[i] * factors[i + 1]) * (factors[i + 2] * factors[i + 3])
        total += (above[i] + above[i + 1]) + (above[i + 2] + above[i + 3])
    return np.float64(total) + math.log(np.float64(product))


@jit
def _pack_row(x, low, codes):
    for g in range(codes.shape[0]):
        first = np.uint8(x[4 * g] > low) | np.uint8(np.uint8(x[4 * g + 1] > low) << 1)
        second = np.uint8(x[4 * g + 2] > low) | np.uint8(np.uint8(x[4 * g + 3] > low) << 1)
        codes[g] = np.uint8(first | np.uint8(second << 2))


@jit
def _pack_column(x, low, place, codes):
    for i in range(x.shape[0]):
        codes[i] |= np.uint8(x[i] > low) << place
