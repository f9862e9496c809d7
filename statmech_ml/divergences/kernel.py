"""Maximum mean discrepancy with a Gaussian kernel of one bandwidth.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),    k(x, y) = exp(-|x - y|^2 / 2 l^2)

estimated without bias: it may be negative, and its mean is 0 where both laws are equal. The three
terms share one l. With a bandwidth for each matrix the sum is no distance at all: it can be
positive for equal laws, and vanish for laws that differ in scale.

Gretton, Borgwardt, Rasch, Schoelkopf and Smola, JMLR 13, 723 (2012), eq. 3.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._rng import seed_from
from ..errors import InvalidInput
from . import _quadratic
from ._arguments import Array, positive, two_samples
from .permutation import labels
from .result import TwoSample

_MEDIAN_OF = 1000  # draws, of which 500,000 pairs


def mmd(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: Any,
    bandwidth: float | None = None,
    n_permutations: int = 999,
) -> TwoSample:
    """Unbiased MMD^2 of two samples, its standard error, and a permutation p-value.

    Parameters
    ----------
    x, y
        Independent draws, (n,) or (n, ...) and (m, ...), n, m >= 4; any real dtype.
    rng
        int or numpy Generator.
    bandwidth
        l, in units of x, for all three terms. Left out, it is `median_distance` of both samples
        pooled, which keeps the p-value exact; one chosen by looking at which draws are x does not.
    n_permutations
        B; 0 for no test.

    Returns
    -------
    TwoSample
        MMD^2, without unit. The error is honest where the laws differ, and where they do not it is
        too large by about a third (the statistic is then no normal variable: use the p-value).

    Raises
    ------
    InvalidInput
        For NaN, fewer than 4 draws, draws of different shapes, data that never change (they have no
        bandwidth), or arguments out of range.

    References
    ----------
    Gretton et al. (2012), JMLR 13, 723, eq. 3 and section 8 (median heuristic).

    Cost: N^2 kernel values and 2 N^2 B operations, N = n + m. Memory is linear in N.

    >>> import numpy as np
    >>> draw = np.random.default_rng(1).normal
    >>> mmd(draw(size=(200, 3)), draw(size=(200, 3)) + 0.5, rng=2).p_value
    0.001
    """
    first, second = two_samples(x, y, _quadratic.MINIMUM)
    # One stream for both: which draws the median looks at says nothing about the relabellings.
    generator = np.random.default_rng(seed_from(rng))
    length = (
        median_distance(np.concatenate([first, second]), rng=generator)
        if bandwidth is None
        else positive(bandwidth, "bandwidth")
    )
    dealt = labels(len(first), len(second), n_permutations, generator)

    def gaussian(squared: Array) -> Array:
        squared *= -0.5 / length**2
        return np.exp(squared, out=squared)

    method = f"bandwidth {length:.4g}"
    return _quadratic.test("MMD^2", first, second, gaussian, dealt, method)


def median_distance(points: ArrayLike, *, rng: Any) -> float:
    """Median distance between different points of a sample, in units of x.

    Of more than 1000 draws a random thousand is looked at. Equal points (many, where space is
    small and discrete) have no say.

    Parameters
    ----------
    points
        (n,) or (n, ...), n >= 2.
    rng
        int or numpy Generator.

    >>> median_distance([0.0, 1.0, 3.0], rng=1)
    2.0
    """
    from scipy.spatial.distance import pdist

    (given, _) = two_samples(points, points)
    generator = np.random.default_rng(seed_from(rng))
    if len(given) > _MEDIAN_OF:
        given = given[generator.choice(len(given), _MEDIAN_OF, replace=False)]
    distances = pdist(given)
    distances = distances[distances > 0.0]
    if distances.size == 0:
        raise InvalidInput(
            f"All {len(given)} pooled draws are equal, so there is no distance to take a bandwidth "
            "from. Look at the data, or give bandwidth=."
        )
    return float(np.median(distances))
