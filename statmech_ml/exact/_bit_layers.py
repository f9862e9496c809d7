"""The sum over the smaller of two layers of bits, in products.

The units of one layer are independent given the other,

    Z = sum_h exp(b.h) prod_i (1 + exp(a_i + (W h)_i)),

with beta multiplied in. The states h are dealt to two groups of small units, whose exponentials are
tabled apart,

    1 + e^{a_i + (W h)_i} = 1 + P_i(h_1) Q_i(h_2),
    P_i = e^{a_i + (W_1 h_1)_i},    Q_i = e^{(W_2 h_2)_i},

so that a unit of the larger layer costs two multiplications and an addition per state, in vector
code: 2^25 states of 500 units take two seconds on one core of 2023. A product of factors ends, in
a logarithm, before it can overflow, and a unit whose exponents alone could is summed in the log
domain. Threads: numba's number. Memory: 8 MiB a thread, and 2 KiB per unit of the larger layer.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from statmech_ml._jit import kernel, thread_count

_INNER = 8  # small units of the second group: rows of 256 states, 2 KiB
_ROWS = 2**8  # states of the first group in a chunk
_TILE = 8  # rows in the first-level cache together
_LARGEST = 700.0  # e^700 is still a number
_WORTH_THREADS = 2**22  # factors


def log_sum(large: np.ndarray, small: np.ndarray, weights: np.ndarray) -> float:
    """log sum over the small layer; weights (small, large), everything already times beta."""
    tables = _tables(large, small, weights)
    n_outer = len(tables.outer_bias)
    n_rows = 2**n_outer
    firsts = range(0, n_rows, _ROWS)
    work = 2.0 ** len(small) * len(large)
    threads = min(thread_count(), len(firsts)) if work > _WORTH_THREADS else 1
    with ThreadPoolExecutor(threads) as pool:
        # Added in the order of states, so that the number of threads changes no digit.
        parts = pool.map(lambda first: _chunk(tables, first, min(_ROWS, n_rows)), firsts)
        highest, total = -math.inf, 0.0
        for top, part in parts:
            if top > highest:
                total *= math.exp(highest - top)
                highest = top
            total += math.exp(top - highest) * part
    return highest + math.log(total)


class _Tables(NamedTuple):
    """What all chunks share.

    Fields: bias (large,); outer_bias, outer_weights of the first group (outer,), (outer, large);
    inner_terms (256,) of the second; groups: ends of runs of units whose products cannot overflow,
    inner_factors (n, 256) of these n units; inner_fields (large - n, 256) of the other ones, which
    are for the log domain.
    """

    bias: np.ndarray
    outer_bias: np.ndarray
    outer_weights: np.ndarray
    inner_terms: np.ndarray
    inner_factors: np.ndarray
    inner_fields: np.ndarray
    groups: list[int]


def _tables(large: np.ndarray, small: np.ndarray, weights: np.ndarray) -> _Tables:
    reach = np.abs(large) + np.abs(weights).sum(axis=0)
    order = np.argsort(reach, kind="stable")
    large, weights, reach = large[order], weights[:, order], reach[order]
    tame = int(np.searchsorted(reach, _LARGEST - 1.0))
    # No field of a unit exceeds this.
    factors = np.logaddexp(0.0, large + np.maximum(weights, 0.0).sum(axis=0))[:tame]
    groups, size = [0], 0.0
    for unit, factor in enumerate(factors):
        size += factor
        if size > _LARGEST:
            groups.append(unit)
            size = factor
    groups.append(tame)
    split = min(_INNER, len(small))
    inner_bits = _bits(split, 0, 2**split)
    inner_fields = np.ascontiguousarray((inner_bits @ weights[:split]).T)
    return _Tables(
        large,
        small[split:],
        weights[split:],
        inner_bits @ small[:split],
        np.exp(inner_fields[:tame]),
        inner_fields[tame:].copy(),
        groups,
    )


def _chunk(tables: _Tables, first: int, count: int) -> tuple[float, float]:
    """Largest log term of states of the first group first, first + 1, ..., and the sum over it."""
    outer = _bits(len(tables.outer_bias), first, count)
    fields = outer @ tables.outer_weights + tables.bias
    terms = (outer @ tables.outer_bias)[:, None] + tables.inner_terms
    products = np.empty_like(terms)
    tame = tables.groups[-1]
    factors = np.exp(fields[:, :tame])
    for start, end in pairwise(tables.groups):
        _multiply(factors[:, start:end], tables.inner_factors[start:end], products)
        terms += np.log(products, out=products)
    for unit in range(tame, fields.shape[1]):
        terms += np.logaddexp(0.0, fields[:, unit, None] + tables.inner_fields[unit - tame])
    top = float(terms.max())
    terms -= top
    return top, float(np.exp(terms, out=terms).sum())


def _bits(n: int, first: int, count: int) -> np.ndarray:
    """States first, first + 1, ... of n units, float64 (count, n)."""
    index = np.arange(first, first + count)
    return ((index[:, None] >> np.arange(n)) & 1).astype(np.float64)


@kernel
def _multiply(outer, inner, out):
    """out[r, s] = product over i of 1 + outer[r, i] inner[i, s]; four factors to a pass of out."""
    n_rows, n_columns = out.shape
    n_units = inner.shape[0]
    for tile in range(0, n_rows, _TILE):
        rows = range(tile, min(tile + _TILE, n_rows))
        for r in rows:
            for s in range(n_columns):
                out[r, s] = 1.0
        for i in range(0, n_units - 3, 4):
            for r in rows:
                p0, p1, p2, p3 = outer[r, i], outer[r, i + 1], outer[r, i + 2], outer[r, i + 3]
                for s in range(n_columns):
                    left = (1.0 + p0 * inner[i, s]) * (1.0 + p1 * inner[i + 1, s])
                    right = (1.0 + p2 * inner[i + 2, s]) * (1.0 + p3 * inner[i + 3, s])
                    out[r, s] *= left * right
        for i in range(n_units - n_units % 4, n_units):
            for r in rows:
                p0 = outer[r, i]
                for s in range(n_columns):
                    out[r, s] *= 1.0 + p0 * inner[i, s]
