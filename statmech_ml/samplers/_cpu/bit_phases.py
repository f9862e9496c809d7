"""Compiled step of persistent chains of an RBM of bits: they move, and both phases are summed.

    v ~ p(v|h),    m = <h|v> of data and chains,    h ~ p(h|v) of the chains,
    sum_r share_r m_r,    sum_r share_r v_r^T m_r

A unit is low + step bit. The means of the chains serve twice, in the gradient and for the next h,
so that a step with k sweeps takes 2 k - 1 half sweeps, one pass over data and chains for the means
and one for their products (`bit_layers` has the cost of a pass). Few calls of much work: at a
hundred units a layer, calls from Python take as long as the sums.
"""

import numpy as np

from ..._jit import jit, kernel
from ..._rng import HIDDEN, VISIBLE
from . import bit_layers
from .bit_layers import means_and_bits, padded

_draw = jit(bit_layers.draw.py_func)
_pack = jit(bit_layers.pack.py_func)
_pack_column = bit_layers._pack_column
_product = jit(bit_layers.product.py_func)
_padded = jit(padded)


@kernel
def walk(h, weights, a, b, lows, steps, seed, chains, sweep, k, v):
    """k draws of v and, in between, k - 1 of h, from h on: the sweeps `sweep`, ..., sweep + k - 1
    of block Gibbs at beta = 1 where h is what the first of them draws.

    Arrays: h int8 (chain, m), weights float32 (n, m), biases a (n,) and b (m,), chains uint32
    (chain,); lows and steps of both layers, visible first; v int8 (chain, n), overwritten.
    """
    n_chains, n = v.shape
    v_bits, v_codes, v_held = _layer(n_chains, n)
    h_bits, h_codes, h_held = _layer(n_chains, b.shape[0])
    v_bias = _bias(a, lows[1], weights.T, np.float32(0.0))
    h_bias = _bias(b, lows[0], weights, np.float32(0.0))
    v_step, h_step = np.float32(steps[0]), np.float32(steps[1])
    v_scale, h_scale = np.full(n_chains, v_step), np.full(n_chains, h_step)
    _pack(h, lows[1], h_codes)
    for t in range(sweep, sweep + k):
        if t > sweep:
            _draw(
                v_codes, weights, v_step, h_bias, h_scale,
                seed, chains, t, HIDDEN, h_held, h_bits, h_codes,
            )  # fmt: skip
        _draw(
            h_codes, weights.T, h_step, v_bias, v_scale,
            seed, chains, t, VISIBLE, v_held, v_bits, v_codes,
        )  # fmt: skip
    _values(v_bits, lows[0], steps[0], v)


@kernel
def phases(data, v, weights, a, b, lows, steps, seed, chains, sweep, sums, products, energies, h):
    """Phase of the data minus phase of chains v, and their hidden units drawn for that sweep.

    Arrays as of `walk`, and data float32 (row, n), of the two values. Float32, the mean over the
    chains minus that over the data: sums (n + m,) of v and of <h>, products (n, m) of v <h>.
    energies float64 (2,), means of F over data and chains. h int8 (chain, m), values.
    """
    n_data, n = data.shape
    m, n_chains = weights.shape[1], v.shape[0]
    n_rows = n_data + n_chains
    v_step, h_step = np.float32(steps[0]), np.float32(steps[1])
    codes = np.empty((n_rows, _padded(n) // 4), np.uint8)
    _pack(data, lows[0], codes[:n_data])
    _pack(v, lows[0], codes[n_data:])
    mean, log_sums = np.empty((n_rows, m), np.float32), np.empty(n_rows)
    bits = np.empty((n_chains, _padded(m)), np.int8)
    bias = _bias(b, lows[0], weights, np.float32(-np.inf))
    means_and_bits(
        codes, weights, v_step, bias, h_step, seed, chains, sweep, HIDDEN, mean, log_sums, bits
    )
    _values(bits, lows[1], steps[1], h)
    total, low = sums[n:], np.float32(lows[1])
    total[:] = np.float32(0.0)
    for r in range(n_rows):
        share = np.float32(-1.0 / n_data) if r < n_data else np.float32(1.0 / n_chains)
        for j in range(m):
            mean[r, j] = share * (low + h_step * mean[r, j])
            total[j] += mean[r, j]
    turned = np.zeros((n, _padded(n_rows) // 4), np.uint8)
    _turn(data, lows[0], 0, turned)
    _turn(v, lows[0], n_data, turned)
    base = np.zeros(_padded(m), np.float32)
    base[:m] = np.float32(lows[0]) * total
    _product(turned, mean, v_step, base, products)
    # F = slope.v + constant - log_sums; of spins log 2 cosh f = log(1 + exp(2 f)) - f.
    slope, constant = -a.astype(np.float64), 0.0
    if lows[1] != 0:
        for i in range(n):
            for j in range(m):
                slope[i] += weights[i, j]
        constant = b.astype(np.float64).sum()
    positive, negative = _mean(data), _mean(v)
    sums[:n] = negative - positive
    energies[0] = constant + (slope * positive).sum() - log_sums[:n_data].mean()
    energies[1] = constant + (slope * negative).sum() - log_sums[n_data:].mean()


@jit
def _bias(own, low, weights, beyond):
    """Of the sum over the bits of the other layer, whose values are low + step bit."""
    n, m = weights.shape
    shift = np.zeros(m)
    if low != 0:
        for k in range(n):
            for i in range(m):
                shift[i] += weights[k, i]
    bias = np.full(_padded(m), beyond)
    for i in range(m):
        bias[i] = np.float32(own[i] + low * shift[i])
    return bias


@jit
def _values(bits, low, step, out):
    for c in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[c, i] = low + step * bits[c, i]


@jit
def _turn(x, low, first, codes):
    """Put rows x into the codes of the transpose, from row `first` on; codes start as zeros."""
    for c in range(x.shape[0]):
        row = first + c
        _pack_column(x[c], low, np.uint8(row % 4), codes[:, row // 4])


@jit
def _mean(x):
    """Over the rows, float32 (n,)."""
    mean, share = np.zeros(x.shape[1], np.float32), np.float32(1.0 / x.shape[0])
    for r in range(x.shape[0]):
        for i in range(x.shape[1]):
            mean[i] += share * np.float32(x[r, i])
    return mean


@kernel
def two_valued(x, low, high):
    """Whether every entry of x (row, n) is `low` or `high`."""
    for r in range(x.shape[0]):
        others = 0
        for i in range(x.shape[1]):
            others += (x[r, i] != low) & (x[r, i] != high)
        if others > 0:
            return False
    return True


@jit
def _layer(n_chains, size):
    """Bits, codes and units held (the padding) of a layer."""
    full = _padded(size)
    held = np.ones(full, np.uint8)
    held[:size] = 0
    return np.zeros((n_chains, full), np.int8), np.zeros((n_chains, full // 4), np.uint8), held
