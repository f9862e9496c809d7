"""Divergences of probability vectors, and of counts against one.

    KL = sum p log(p / q),   JS = (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2,
    TV = sum |p - q| / 2

`js_from_counts` compares a histogram of n draws with the exact probabilities q of its cells. Noise
alone makes the plug-in value too large by (1 / 4n) sum q (1 - p) / (p + q), which is (K - 1) / 8n
for equal laws in K cells; that is taken off. The expansion is one in 1 / nq, and takes off far too
much where cells are almost empty, so these are pooled first. Cells hide what differs inside them:
what remains is the JS of the coarse-grained laws, a lower bound on that of the densities.

Kullback and Leibler (1951), doi:10.1214/aoms/1177729694; Lin (1991), doi:10.1109/18.61115; the
expansion in 1/n is that of Miller (1955) for the entropy.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from ..errors import InvalidInput
from ..statistics import Estimate
from ._arguments import Array, numbers

_NORMALISED = 1e-9
# Expected draws of a cell, at least. At 20 less than a hundredth of its bias of 1 / 8n remains, at
# 2 a sixth; at 0.1 the correction takes off four times what there is.
_FEWEST = 20.0


def kl(p: ArrayLike, q: ArrayLike) -> float:
    """KL(p || q) of probability vectors (K,), in nats; inf where q vanishes and p does not.

    Raises InvalidInput for vectors that are no probabilities (they must sum to 1 within 1e-9) or of
    different lengths. Kullback and Leibler (1951), eq. 2.4.

    >>> round(kl([0.5, 0.5], [0.25, 0.75]), 12)
    0.143841036226
    """
    return float(rel_entr(*_vectors(p, q)).sum())


def js(p: ArrayLike, q: ArrayLike) -> float:
    """JS(p, q) of probability vectors (K,), in nats, between 0 and log 2. Errors as in `kl`.

    Lin (1991), doi:10.1109/18.61115, eq. 4.1.

    >>> js([1.0, 0.0], [0.0, 1.0]) == math.log(2.0)
    True
    """
    first, second = _vectors(p, q)
    both = first + second  # and not the half of it, which is 0 of the smallest numbers
    return 0.25 * float((rel_entr(2.0 * first, both) + rel_entr(2.0 * second, both)).sum())


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """TV = sum |p - q| / 2 of probability vectors (K,), between 0 and 1. Errors as in `kl`.

    The best classifier of one draw is right with probability (1 + TV) / 2.

    >>> total_variation([0.5, 0.5], [0.25, 0.75])
    0.25
    """
    first, second = _vectors(p, q)
    return 0.5 * float(np.abs(first - second).sum())


def js_from_counts(counts: ArrayLike, probability: ArrayLike) -> Estimate:
    """JS in nats between the law that independent draws were counted from and exact cells.

    Cells in which fewer than 20 of the n draws are expected, n q < 20, are pooled with others of
    like q until each pool expects 20. The pools depend on q and n alone, never on the counts, so
    they bias nothing; they make the cells wider where the exact law is rare. Cells of q = 0 are one
    pool of their own, at any n.

    Parameters
    ----------
    counts
        Draws in each cell, (K,), whole numbers, 2 in all at least; cells must cover all draws.
    probability
        Exact probabilities of the cells, (K,), summing to 1.

    Returns
    -------
    Estimate
        The value less its bias of order 1/n, which may be slightly negative. The error holds the
        linear term and that of order 1/n that remains where both laws are equal, and is on the
        large side there.

    Raises
    ------
    InvalidInput
        For negative or broken counts, vectors that are no probabilities, or different lengths; for
        draws so few that all cells fall into one pool, which would make any two laws equal.

    References
    ----------
    The delta method on Lin (1991), eq. 4.1.

    >>> print(js_from_counts([260, 240, 500], [0.25, 0.25, 0.5]))
    -0.00015(25)
    """
    drawn = numbers(counts, "counts", 1)
    n = float(drawn.sum())
    if not (np.isfinite(drawn).all() and (drawn >= 0).all() and (drawn == drawn.round()).all()):
        raise InvalidInput("counts must be whole numbers >= 0; give the counts, not frequencies.")
    if n < 2:
        raise InvalidInput(f"counts hold {n:g} draws; two at least are needed for an error.")
    p, q = _vectors(drawn / n, probability)
    pool = _pools(q, n)
    p, q = (np.asarray(np.bincount(pool, of), np.float64) for of in (p, q))
    both = p + q
    inside = both > 0.0
    bias = float((q[inside] * (1.0 - p[inside]) / both[inside]).sum()) / (4.0 * n)
    slope = np.zeros_like(p)
    seen = p > 0.0
    slope[seen] = 0.5 * np.log(2.0 * p[seen] / both[seen])
    linear = (float(p @ slope**2) - float(p @ slope) ** 2) / n
    # tr(H C H C) / 2 of second derivatives H = q / 2p(p + q) and the noise C = (diag p - p p^T) / n
    # of counts; slopes are as noisy, twice that in sum.
    bent = q[inside] / both[inside]
    trace = float((bent**2 * (1.0 - 2.0 * p[inside])).sum()) + float(bent @ p[inside]) ** 2
    second = max(0.0, trace) / (8.0 * n**2)
    stderr = math.sqrt(max(0.0, linear - 2.0 * second) + second)
    return Estimate(js(p, q) - bias, stderr, 0.5, n, int(n))


def _pools(q: Array, n: float) -> NDArray[np.intp]:
    """The pool of each cell, (K,): those of q = 0, then the rare ones from the rarest up."""
    pool = np.zeros(len(q), np.intp)
    possible = np.flatnonzero(q)
    order = possible[np.argsort(q[possible], kind="stable")]
    expected, current, found = n * q[order], 0.0, 1
    for cell, more in zip(order, expected, strict=True):
        pool[cell] = found
        current += more
        if current >= _FEWEST:
            current, found = 0.0, found + 1
    # What is left over after the last full pool is less than a pool, and there may be none.
    pool[pool == found] = max(1, found - 1)
    if len(order) > 1 and found < 3:
        raise InvalidInput(
            f"{n:g} draws in {len(q)} cells are too few: no two groups of cells expect "
            f"{_FEWEST:g} of them each. Give more draws, or compare by a two-sample test."
        )
    return pool


def _vectors(p: ArrayLike, q: ArrayLike) -> tuple[Array, Array]:
    found = []
    for given, name in ((p, "p"), (q, "q")):
        vector = numbers(given, name, 1)
        if (vector < 0.0).any() or not abs(float(vector.sum()) - 1.0) <= _NORMALISED:
            raise InvalidInput(
                f"{name} sums to {float(vector.sum()):.12g} with smallest entry "
                f"{float(vector.min()):.3g}, but probabilities are >= 0 and sum to 1. Divide by "
                "the sum, and give every state."
            )
        found.append(vector)
    if found[0].shape != found[1].shape:
        raise InvalidInput(f"p has {len(found[0])} states and q has {len(found[1])}.")
    return found[0], found[1]
