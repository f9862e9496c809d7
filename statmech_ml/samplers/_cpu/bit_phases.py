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
_pack_transposed = jit(bit_layers.pack_transposed.py_func)
_product = jit(bit_layers.product.py_func)
_padded = jit(padded)


@kernel
def walk(h, weights, biases, lows, steps, seed, chains, sweep, k, v):
    """k draws of v and, in between, k - 1 of h, from h on: the sweeps `sweep`, ..., sweep + k - 1
    of block Gibbs at beta = 1 where h is what the first of them draws.

    Arrays: h int8 (chain, m), weights float32 (n, m), both biases (padded,) of the sums over the
    bits of the other layer, chains uint32 (chain,); lows and steps of both layers, visible first; v
    float32 (chain, n), overwritten.
    """
    n_chains, n = v.shape
    m = weights.shape[1]
    v_bits, v_codes, v_held = _layer(n_chains, n)
    h_bits, h_codes, h_held = _layer(n_chains, m)
    v_scale = np.full(n_chains, steps[0], np.float32)
    h_scale = np.full(n_chains, steps[1], np.float32)
    v_step, h_step = np.float32(steps[0]), np.float32(steps[1])
    _pack(h, lows[1], h_codes)
    for t in range(sweep, sweep + k):
        if t > sweep:
            _draw(
                v_codes, weights, v_step, biases[1], h_scale,
                seed, chains, t, HIDDEN, h_held, h_bits, h_codes,
            )  # fmt: skip
        _draw(
            h_codes, weights.T, h_step, biases[0], v_scale,
            seed, chains, t, VISIBLE, v_held, v_bits, v_codes,
        )  # fmt: skip
    low = np.float32(lows[0])
    for c in range(n_chains):
        for i in range(n):
            v[c, i] = low + v_step * np.float32(v_bits[c, i])


@kernel
def phases(x, weights, bias, lows, steps, slope, seed, chains, sweep, sums, products, energies, h):
    """Data phase minus model phase of configurations x (row, n), data first, then one of each
    chain; and the hidden units of the chains, drawn for sweep `sweep`.

    Arrays: x float32 of two values; bias float32 (padded(m),) as of `means`. Float32, the mean over
    the chains minus that over the data: sums (n + m,) of v and of <h>, products (n, m) of v <h>.
    energies float64 (2,), of data and model: mean of slope.v - sum_j log(1 + exp(l_j)), slope
    float32 (n,), l as of `means`. h int8 (chain, m), values.
    """
    n_rows, n = x.shape
    m, n_chains = weights.shape[1], chains.shape[0]
    n_data = n_rows - n_chains
    v_step, h_step = np.float32(steps[0]), np.float32(steps[1])
    codes = np.empty((n_rows, _padded(n) // 4), np.uint8)
    _pack(x, lows[0], codes)
    mean, log_sums = np.empty((n_rows, m), np.float32), np.empty(n_rows)
    bits = np.empty((n_chains, _padded(m)), np.int8)
    means_and_bits(
        codes, weights, v_step, bias, h_step, seed, chains, sweep, HIDDEN, mean, log_sums, bits
    )
    _visible(x, n_data, slope, log_sums, sums[:n], energies)
    total = sums[n:]
    total[:] = np.float32(0.0)
    low = np.float32(lows[1])
    for r in range(n_rows):
        share = np.float32(-1.0 / n_data) if r < n_data else np.float32(1.0 / n_chains)
        for j in range(m):
            mean[r, j] = share * (low + h_step * mean[r, j])
            total[j] += mean[r, j]
    for c in range(n_chains):
        for j in range(m):
            h[c, j] = lows[1] + steps[1] * bits[c, j]
    turned = np.empty((n, _padded(n_rows) // 4), np.uint8)
    _pack_transposed(x, lows[0], turned)
    base = np.zeros(_padded(m), np.float32)
    base[:m] = np.float32(lows[0]) * total
    _product(turned, mean, v_step, base, products)


@jit
def _visible(x, n_data, slope, log_sums, difference, energies):
    """Means of v over the model minus over the data, and both energies."""
    difference[:] = np.float32(0.0)
    mean = np.empty_like(difference)
    for phase in range(2):
        rows = range(n_data) if phase == 0 else range(n_data, x.shape[0])
        share = np.float32(1.0 / len(rows))
        mean[:] = np.float32(0.0)
        energy = 0.0
        for r in rows:
            for i in range(x.shape[1]):
                mean[i] += share * x[r, i]
            energy -= log_sums[r] / len(rows)
        for i in range(x.shape[1]):
            difference[i] = mean[i] - difference[i]
            energy += np.float64(slope[i]) * np.float64(mean[i])
        energies[phase] = energy


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
