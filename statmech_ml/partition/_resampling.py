"""Systematic resampling: chains multiply or die by their weights, with one random number for all.

    copies of chain i = number of j = 0 .. N-1 with  S_{i-1} <= (j + u) / N < S_i,

S the cumulative shares and u uniform: N share_i copies on average, and never off by one or more. G.
Kitagawa, J. Comput. Graph. Stat. 5, 1 (1996), doi:10.1080/10618600.1996.10474692.
"""

import numpy as np


def systematic(share: np.ndarray, uniform: float) -> np.ndarray:
    """Parents, int64 (chain,), for shares (chain,) that add up to 1.

    >>> systematic(np.array([0.5, 0.0, 0.25, 0.25]), 0.3)
    array([0, 0, 2, 3])
    """
    n = len(share)
    total = np.cumsum(share)
    total /= total[-1]
    # `right` passes over a chain without weight when a comb's tooth sits on the edge.
    return np.searchsorted(total, (np.arange(n) + uniform) / n, side="right")
