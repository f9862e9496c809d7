"""Energy distance: the MMD of the kernel -|x - y|, which has no bandwidth.

    D^2 = 2 E|x - y| - E|x - x'| - E|y - y'| >= 0,   0 only for equal laws of finite mean

In one dimension D^2 = 2 int (F - G)^2 dx. Estimated without bias: it may be negative.

Szekely and Rizzo, J. Stat. Plan. Inference 143, 1249 (2013), doi:10.1016/j.jspi.2013.03.018, eq. 1.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _quadratic
from ._arguments import Array, two_samples
from .permutation import labels
from .result import TwoSample


def energy_distance(
    x: ArrayLike, y: ArrayLike, *, rng: Any, n_permutations: int = 999
) -> TwoSample:
    """Unbiased D^2 of two samples, its standard error, and a permutation p-value.

    Parameters
    ----------
    x, y
        Independent draws, (n,) or (n, ...) and (m, ...), n, m >= 4; any real dtype.
    rng
        int or numpy Generator.
    n_permutations
        B; 0 for no test.

    Returns
    -------
    TwoSample
        D^2, in units of x. For its error and the cost see `mmd`.

    Raises
    ------
    InvalidInput
        For NaN, fewer than 4 draws, or draws of different shapes.

    References
    ----------
    Szekely and Rizzo (2013), doi:10.1016/j.jspi.2013.03.018, eq. 1.

    >>> import numpy as np
    >>> draw = np.random.default_rng(1).normal
    >>> energy_distance(draw(size=200), draw(size=200) + 1.0, rng=2).p_value
    0.001
    """
    first, second = two_samples(x, y, _quadratic.MINIMUM)
    dealt = labels(len(first), len(second), n_permutations, rng)

    def distance(squared: Array) -> Array:
        return np.negative(np.sqrt(squared, out=squared), out=squared)

    return _quadratic.test("energy distance", first, second, distance, dealt, "unbiased")
