"""Wasserstein distances of samples: exact in one dimension, sliced in more.

    W_p^p = int_0^1 |F^-1(t) - G^-1(t)|^p dt,    SW_p^p = mean over directions of W_p^p(a.x, a.y)

of the empirical laws, for any sizes of the samples. W1 of a shift is its length.

Both are distances between *samples*: where the laws are equal they are of order n^-1/2, not 0, and
they exceed the distance of the laws by a bias that vanishes faster than the error where the laws
differ. The error is that of the optimal potentials f and g (df/dx is the derivative of the cost
along the coupling): Var W_p^p = Var f(x) / n + Var g(y) / m, about its own mean. Where the laws are
equal it is up to a half too large.

del Barrio and Loubes, Ann. Probab. 47, 926 (2019), doi:10.1214/18-AOP1275, theorem 4.1; Bonneel et
al., J. Math. Imaging Vis. 51, 22 (2015), doi:10.1007/s10851-014-0506-3, eq. 6.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._rng import seed_from
from ..errors import InvalidInput
from ._arguments import Array, count, order, two_samples
from .permutation import labels, p_value
from .result import TwoSample

_CHUNK = 2**21  # numbers held at once while relabelling
_ROUNDING = 64.0 * float(np.finfo(float).eps)


def wasserstein(
    x: ArrayLike, y: ArrayLike, *, p: float = 1.0, rng: Any, n_permutations: int = 999
) -> TwoSample:
    """W_p between two samples on the line, its standard error, and a permutation p-value.

    Parameters
    ----------
    x, y
        Independent draws, (n,) and (m,), n, m >= 2.
    p
        Order, >= 1.
    rng
        int or numpy Generator.
    n_permutations
        B; 0 for no test.

    Returns
    -------
    TwoSample
        W_p, in units of x. Its bias is not in the error: see the head of this file.

    Raises
    ------
    InvalidInput
        For NaN, fewer than 2 draws, draws of more than one coordinate, or arguments out of range.

    References
    ----------
    Villani, Topics in Optimal Transportation (2003), theorem 2.18; del Barrio and Loubes (2019).

    Cost: N log N, and N B for the test.

    >>> print(wasserstein([0.0, 1.0, 5.0], [2.0, 3.0, 7.0], rng=1, n_permutations=0).statistic)
    2.0
    """
    first, second = two_samples(x, y)
    power = order(p)
    if first.shape[1] > 1:
        raise InvalidInput(
            f"Draws have {first.shape[1]} coordinates, and W_p is computed on the line. Use "
            "sliced_wasserstein, or gaussian.w2 of means and covariances."
        )
    dealt = labels(len(first), len(second), n_permutations, rng)
    costs, f, g = _along(first[:, 0], second[:, 0], power, dealt)
    return _result(f"W{power:g}", costs, _variance(f, g), power, dealt, len(first), "on the line")


def sliced_wasserstein(
    x: ArrayLike,
    y: ArrayLike,
    *,
    p: float = 2.0,
    rng: Any,
    n_directions: int = 64,
    n_permutations: int = 999,
) -> TwoSample:
    """Sliced W_p between two samples, its standard error, and a permutation p-value.

    Parameters
    ----------
    x, y
        Independent draws, (n, ...) and (m, ...), n, m >= 2, of two coordinates at least.
    p
        Order, >= 1.
    rng
        int or numpy Generator.
    n_directions
        Random directions L >= 2, uniform on the sphere and shared by all relabellings.
    n_permutations
        B; 0 for no test.

    Returns
    -------
    TwoSample
        SW_p, in units of x. The error holds the scatter over directions (which `method` tells
        apart) and over draws; the bias of `wasserstein` is here too.

    Raises
    ------
    InvalidInput
        For NaN, fewer than 2 draws, draws of one coordinate, or arguments out of range.

    References
    ----------
    Bonneel et al. (2015), doi:10.1007/s10851-014-0506-3.

    Cost: L (N log N + N B): for 1000 + 1000 draws, 64 directions and B = 999 about 3 s.

    >>> import numpy as np
    >>> draw = np.random.default_rng(1).normal
    >>> result = sliced_wasserstein(draw(size=(300, 2)), draw(size=(300, 2)) + 1.0, rng=2,
    ...                             n_permutations=99)
    >>> result.p_value
    0.01
    """
    first, second = two_samples(x, y)
    power, L = order(p), count(n_directions, "n_directions", 2)
    size = first.shape[1]
    if size < 2:
        raise InvalidInput("Draws have one coordinate; use wasserstein, which is exact there.")
    generator = np.random.default_rng(seed_from(rng))
    directions = generator.normal(size=(size, L))
    directions /= np.linalg.norm(directions, axis=0)
    dealt = labels(len(first), len(second), n_permutations, generator)
    costs, observed = np.zeros(len(dealt)), np.empty(L)
    f, g = np.zeros(len(first)), np.zeros(len(second))
    for i, direction in enumerate(directions.T):
        each = _along(first @ direction, second @ direction, power, dealt)
        costs += each.costs / L
        observed[i] = each.costs[0]
        f, g = f + each.f / L, g + each.g / L
    over_directions = float(np.var(observed, ddof=1)) / L
    variance = _variance(f, g) + over_directions
    share = over_directions / variance if variance > 0.0 else 0.0
    method = f"{L} directions, {100.0 * share:.0f}% of the variance"
    return _result(f"sliced W{power:g}", costs, variance, power, dealt, len(first), method)


class _Line(NamedTuple):
    """W_p^p of every relabelling, and the potentials of the observed one in the given order."""

    costs: Array
    f: Array
    g: Array


def _along(x: Array, y: Array, p: float, dealt: np.ndarray) -> _Line:
    n, m = len(x), len(y)
    pooled = np.concatenate([x, y])
    ranks = np.argsort(pooled, kind="stable")
    pooled = pooled[ranks]
    costs = np.empty(len(dealt))
    rows = max(1, _CHUNK // (n + m))
    for first in range(0, len(dealt), rows):
        chosen = dealt[first : first + rows][:, ranks]
        xs = pooled[np.nonzero(chosen)[1].reshape(-1, n)]
        ys = pooled[np.nonzero(~chosen)[1].reshape(-1, m)]
        costs[first : first + rows] = _cost(xs, ys, p)
    return _Line(costs, _potential(x, y, p), _potential(y, x, p))


def _cost(xs: Array, ys: Array, p: float) -> Array:
    """W_p^p of sorted samples (b, n) and (b, m)."""
    n, m = xs.shape[1], ys.shape[1]
    if n == m:
        gaps, weights = np.abs(xs - ys), np.full(n, 1.0 / n)
    else:
        # Both quantile functions are constant between neighbours of {i / n} and {j / m}.
        levels = np.union1d(np.arange(n + 1) * m, np.arange(m + 1) * n)
        weights = np.diff(levels) / (n * m)
        gaps = np.abs(xs[:, levels[:-1] // m] - ys[:, levels[:-1] // n])
    return (gaps if p == 1.0 else gaps**p) @ weights


def _potential(x: Array, y: Array, p: float) -> Array:
    """The optimal potential at every x up to a constant: between neighbours i and i + 1 of the
    sorted x the coupling leads to the quantile of y at their level, i / n."""
    n, ranks, ys = len(x), np.argsort(x, kind="stable"), np.sort(y)
    xs = x[ranks]
    target = ys[np.minimum(np.arange(1, n) * len(y) // n, len(y) - 1)]
    steps = np.abs(xs[1:] - target) ** p - np.abs(xs[:-1] - target) ** p
    potential = np.empty(n)
    potential[ranks] = np.concatenate([[0.0], np.cumsum(steps)])
    return potential


def _variance(f: Array, g: Array) -> float:
    return float(np.var(f, ddof=1) / len(f) + np.var(g, ddof=1) / len(g))


def _result(
    name: str, costs: Array, variance: float, p: float, dealt: np.ndarray, n: int, method: str
) -> TwoSample:
    """From W_p^p to W_p, whose error is ds / (p W^(p-1)), and never more than ds^(1/p)."""
    value, error = float(costs[0]) ** (1.0 / p), math.sqrt(variance)
    stderr = error ** (1.0 / p)
    if value > 0.0:
        stderr = min(stderr, error / (p * value ** (p - 1.0)))
    permutations = len(dealt) - 1
    found, step = p_value(float(costs[0]), costs[1:], _ROUNDING * float(costs.max()))
    return TwoSample(
        name, value, stderr, found if permutations else None, step, n, dealt.shape[1] - n,
        permutations, method,
    )  # fmt: skip
