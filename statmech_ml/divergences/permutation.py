"""Permutation p-values: how often a relabelling of the draws gives a statistic as large.

    p = (1 + #{T* >= T}) / (1 + B)

over B random ways to deal the pooled draws to two samples of the given sizes. If both samples are
independent draws from one law, T and the T* are exchangeable, so P(p <= k / (1 + B)) = k / (1 + B)
exactly where no two are equal, and less where ties count against T: p is uniform on its grid, or
conservative. The 1 is the relabelling that was observed; without it p = 0 would be possible, and
wrong. The draws must be independent of one another: correlated ones make p too small (thin a
chain by 2 tau_int or more, or take one draw from each of many chains).

Phipson and Smyth (2010), doi:10.2202/1544-6115.1585; Davison and Hinkley, Bootstrap Methods and
their Application (1997), section 4.3.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._rng import seed_from
from ..errors import InvalidInput
from ._arguments import count


class PValue(NamedTuple):
    """A conservative p-value, and what ties and counting are worth.

    p - U step, with U uniform on (0, 1), is exactly uniform under the null hypothesis.
    """

    p: float
    step: float


def p_value(observed: float, permuted: ArrayLike, tolerance: float = 0.0) -> PValue:
    """p = (1 + #{T* >= T}) / (1 + B); statistics within `tolerance` of each other are ties.

    Parameters
    ----------
    observed
        T, larger where the samples differ more.
    permuted
        T* of B relabellings, (B,).
    tolerance
        Rounding error of the statistics.

    >>> p_value(3.0, [0.0, 1.0, 2.0, 3.0])
    PValue(p=0.4, step=0.4)
    """
    statistics = np.asarray(permuted, np.float64)
    if statistics.ndim != 1 or np.isnan(statistics).any() or np.isnan(observed):
        raise InvalidInput(
            f"A p-value needs one statistic and B permuted ones, none of them NaN; got {observed} "
            f"and an array of shape {statistics.shape}."
        )
    above = int(np.count_nonzero(statistics > observed + tolerance))
    at_least = int(np.count_nonzero(statistics >= observed - tolerance))
    total = 1 + len(statistics)
    return PValue((1 + at_least) / total, (1 + at_least - above) / total)


def labels(n: int, m: int, n_permutations: int, rng: Any) -> np.ndarray:
    """Which of the n + m pooled draws are called x: bool (1 + B, n + m), the first row as given.

    Parameters
    ----------
    n, m
        Sizes of the samples; the pooled sample is x followed by y.
    n_permutations
        B >= 0.
    rng
        int or numpy Generator.
    """
    rows = 1 + count(n_permutations, "n_permutations", 0)
    dealt = np.zeros((rows, n + m), bool)
    dealt[:, :n] = True
    np.random.default_rng(seed_from(rng)).permuted(dealt[1:], axis=1, out=dealt[1:])
    return dealt
