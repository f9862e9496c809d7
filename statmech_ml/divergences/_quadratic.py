"""Unbiased two-sample statistics of a kernel of pairs, their error, and all relabellings at once.

    T = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

is unbiased for E k(x, x') + E k(y, y') - 2 E k(x, y). Its variance, by Hoeffding's decomposition
with g(x) = E k(x, x') - E k(x, y) and h the kernel less its conditional means,

    Var T = 4 Var g(x)/n + 4 Var g(y)/m + 2 E h_xx^2/n(n-1) + 2 E h_yy^2/m(m-1) + 4 E h_xy^2/nm,

each term of which has an unbiased estimate: E h_xx^2 from U-centred matrices (Szekely and Rizzo
2014), E h_xy^2 from the interaction of a two-way table, Var g from row means less what h adds to
their variance. The first two vanish where both laws are equal; there their estimate scatters about
0 and is cut off at 0, so the error is then too large rather than too small.

All B relabellings come from one matrix product per block of rows: with z the 0/1 labels, the sum
within x is z.K.z, and row sums give the rest. Blocks are never kept, so memory is that of one block
and of the labels. The product is in single precision above `_SINGLE` draws, on a kernel shifted to
mean 0 (which T does not see); the statistic itself always in double.

Cost: N^2 kernel values and 2 N^2 B operations for N = n + m draws: 4 s for N = 10^4 and B = 999.

Hoeffding (1948), doi:10.1214/aoms/1177730196; Gretton et al. (2012), JMLR 13, 723, lemma 6; Szekely
and Rizzo (2014), doi:10.1214/14-AOS1255, section 3.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._arguments import Array
from .permutation import p_value
from .result import TwoSample

_BLOCK = 2**22  # kernel values held at once
_SINGLE = 4096
MINIMUM = 4  # draws of each sample: U-centring divides by n - 3


class _Sums(NamedTuple):
    """What the kernel matrix leaves behind; its diagonal counts as 0."""

    row_x: Array  # (N,) sums over the draws of x
    row_y: Array
    squares: Array  # (3,) sums of squares within x, within y, and between
    of_x: Array  # (1 + B,) sums of rows over the draws that are called x
    relabelled: Array  # (1 + B,) z.K.z
    rounding: float  # of one statistic


def test(
    name: str,
    x: Array,
    y: Array,
    kernel: Callable[[Array], Array],
    dealt: np.ndarray,
    method: str,
) -> TwoSample:
    """T, its error and p-value; `kernel` takes squared distances, `dealt` is from `labels`."""
    n, m = len(x), len(y)
    sums = _sums(np.concatenate([x, y]), n, kernel, dealt)
    within_x, between = float(sums.row_x[:n].sum()), float(sums.row_y[:n].sum())
    within_y = float(sums.row_y[n:].sum())
    statistic = _statistic(within_x, within_y, between, n, m)
    rows = sums.row_x + sums.row_y
    total, of_x = float(rows.sum()), sums.of_x
    all_statistics = _statistic(
        sums.relabelled, total - 2.0 * of_x + sums.relabelled, of_x - sums.relabelled, n, m
    )
    p, step = p_value(float(all_statistics[0]), all_statistics[1:], sums.rounding)
    permutations = len(dealt) - 1
    return TwoSample(
        name, float(statistic), math.sqrt(_variance(sums, n, m)), p if permutations else None, step,
        n, m, permutations, method,
    )  # fmt: skip


def _statistic(within_x: Any, within_y: Any, between: Any, n: int, m: int) -> Any:
    """T from the sums over ordered pairs."""
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2.0 * between / (n * m)


def _sums(points: Array, n: int, kernel: Callable[[Array], Array], dealt: np.ndarray) -> _Sums:
    N = len(points)
    points = points - points.mean(axis=0)  # distances from inner products lose digits far from 0
    norms = np.einsum("ij,ij->i", points, points)
    dtype: Any = np.float32 if N > _SINGLE else np.float64
    z: Any = np.ascontiguousarray(dealt.T, dtype)
    row_x, row_y, squares = np.empty(N), np.empty(N), np.zeros(3)
    of_x, relabelled = np.zeros(len(dealt)), np.zeros(len(dealt))
    shift = None
    rows = max(1, _BLOCK // N)
    for first in range(0, N, rows):
        part = np.arange(first, min(first + rows, N))
        distances = points[part] @ points.T
        distances *= -2.0
        distances += norms
        distances += norms[part, None]
        k = kernel(np.maximum(distances, 0.0, out=distances))
        shift = float(k.mean()) if shift is None else shift
        k -= shift
        k[np.arange(len(part)), part] = 0.0
        row_x[part], row_y[part] = k[:, :n].sum(axis=1), k[:, n:].sum(axis=1)
        of_x += (row_x[part] + row_y[part]) @ z[part]
        cut = int(np.clip(n - first, 0, len(part)))
        for i, block in enumerate((k[:cut, :n], k[cut:, n:], k[:cut, n:])):
            squares[i] += np.einsum("ij,ij->", block, block)
        product = k.astype(dtype, copy=False) @ z
        relabelled += np.einsum("ij,ij->j", z[part], product, dtype=np.float64)
    scale = math.sqrt(float(squares[0] + squares[1] + 2.0 * squares[2])) / N
    return _Sums(row_x, row_y, squares, of_x, relabelled, 8.0 * float(np.finfo(dtype).eps) * scale)


def _variance(sums: _Sums, n: int, m: int) -> float:
    """Var T, every term estimated without bias, the linear ones cut off at 0 together."""
    h_xx = _centred_square(sums.row_x[:n], sums.squares[0])
    h_yy = _centred_square(sums.row_y[n:], sums.squares[1])
    across, down = sums.row_y[:n], sums.row_x[n:]
    h_xy = sums.squares[2] - across @ across / m - down @ down / n + across.sum() ** 2 / (n * m)
    h_xy = max(0.0, float(h_xy)) / ((n - 1) * (m - 1))
    g_x = float(np.var(sums.row_x[:n] / (n - 2) - across / m, ddof=1)) - h_xx / (n - 2) - h_xy / m
    g_y = float(np.var(sums.row_y[n:] / (m - 2) - down / n, ddof=1)) - h_yy / (m - 2) - h_xy / n
    linear = 4.0 * g_x / n + 4.0 * g_y / m
    pairs = 2.0 * h_xx / (n * (n - 1)) + 2.0 * h_yy / (m * (m - 1)) + 4.0 * h_xy / (n * m)
    return max(0.0, linear) + pairs


def _centred_square(rows: Array, squares: float) -> float:
    """E h^2 of a kernel within one sample, from its sums of rows and of squares."""
    n = len(rows)
    centred = squares - 2.0 * rows @ rows / (n - 2) + rows.sum() ** 2 / ((n - 1) * (n - 2))
    return max(0.0, float(centred)) / (n * (n - 3))
