"""Error of a mean by blocking: pair up neighbours until the blocks no longer know of each other.

Averaging neighbouring draws leaves the mean alone and turns correlation into variance, so the naive
error grows with the block length until it reaches a plateau, the true error. It needs no
autocorrelation function, which makes it an independent check of `integrated_time`. Cost: O(n).

References
----------
H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989), doi:10.1063/1.457480.
R. M. Lee, G. J. Conduit, N. Nemec, P. Lopez Rios, N. D. Drummond, Phys. Rev. E 83, 066706 (2011),
doi:10.1103/PhysRevE.83.066706 (choice of the level).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics.autocorrelation import (
    MIN_INDEPENDENT,
    FloatArray,
    as_chains,
    between_chains,
    constant_message,
    is_constant,
    means_disagree,
)
from statmech_ml.statistics.estimate import (
    Estimate,
    OnShort,
    check_on_short,
    from_tau,
)


@dataclass(frozen=True)
class Blocking:
    """Naive error of the mean at every block length; the plateau is the answer.

    Attributes
    ----------
    length : (level,) int64
        Draws in a block: 1, 2, 4, ...
    n_blocks : (level,) int64
        Blocks of that length in all chains together.
    stderr : (level,) float64
        sqrt(sum (b - bbar)^2 / (n_blocks (n_blocks - 1))), b the block means.
    stderr_error : (level,) float64
        Its own error, stderr / sqrt(2 (n_blocks - 1)), for independent blocks.
    """

    length: npt.NDArray[np.int64]
    n_blocks: npt.NDArray[np.int64]
    stderr: FloatArray
    stderr_error: FloatArray


def blocking_levels(x: npt.ArrayLike) -> Blocking:
    """The blocking transformation of Flyvbjerg and Petersen at every level, for a plateau plot.

    Blocks stay inside their chain; an odd draw at a chain's end is left out of the next level.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real.

    Returns
    -------
    Blocking

    Raises
    ------
    InvalidInput
        A series that never changes, or of fewer than two draws.

    References
    ----------
    Flyvbjerg and Petersen (1989), doi:10.1063/1.457480.

    Examples
    --------
    >>> import numpy as np
    >>> blocking_levels(np.random.default_rng(1).normal(size=(2, 8))).n_blocks
    array([16,  8,  4,  2])
    """
    blocks = as_chains(x)
    if blocks.size < 2:
        raise InvalidInput("Blocking needs at least two draws, and one was given.")
    if is_constant(blocks):
        raise InvalidInput(constant_message("The series", blocks))
    length: list[int] = []
    n_blocks: list[int] = []
    stderr: list[float] = []
    while blocks.size >= 2:
        length.append(2 ** len(length))
        n_blocks.append(blocks.size)
        stderr.append(float(np.sqrt(blocks.var(ddof=1) / blocks.size)))
        half = blocks.shape[1] // 2
        blocks = 0.5 * (blocks[:, 0 : 2 * half : 2] + blocks[:, 1 : 2 * half : 2])
    counts = np.array(n_blocks, dtype=np.int64)
    errors = np.array(stderr, dtype=np.float64)
    return Blocking(
        length=np.array(length, dtype=np.int64),
        n_blocks=counts,
        stderr=errors,
        stderr_error=errors / np.sqrt(2.0 * (counts - 1)),
    )


def blocking_error(x: npt.ArrayLike, on_short: OnShort = "raise") -> Estimate:
    """Mean of a series with the error of the first block length that is long enough.

    A block of b draws misses a fraction tau_int / b of the variance, and n / b blocks know it to a
    fraction sqrt(2 b / n). The level taken is the first with

        b^3 > 2 n (stderr_b / stderr_1)^4,

    where (stderr_b / stderr_1)^2 estimates 2 tau_int: there the first is a quarter of the second
    or less.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real.
    on_short
        "raise", or "accept" the largest error among the levels, raised by its own error and to what
        the scatter of the chain means asks for.

    Returns
    -------
    Estimate
        tau_int and ess are those that the inflation of the error implies.

    Raises
    ------
    InvalidInput
        A series that never changes, or of fewer than two draws.
    ShortChain
        No level has blocks long enough and at least twenty of them, or the chain means scatter
        further than the error at that level allows. Its `partial` is the Estimate that
        on_short="accept" returns.

    References
    ----------
    Flyvbjerg and Petersen (1989), doi:10.1063/1.457480; Lee et al. (2011),
    doi:10.1103/PhysRevE.83.066706.

    Examples
    --------
    >>> import numpy as np
    >>> print(blocking_error(np.random.default_rng(1).normal(loc=3.0, size=(4, 2500))))
    2.9891(97)
    """
    check_on_short(on_short)
    chains = as_chains(x)
    levels = blocking_levels(chains)
    n = chains.size
    inflation = (levels.stderr / levels.stderr[0]) ** 2
    good = (levels.length.astype(np.float64) ** 3 > 2.0 * n * inflation**2) & (
        levels.n_blocks >= MIN_INDEPENDENT
    )
    variance = float(levels.stderr[0] ** 2 * n)
    if good.any():
        level = int(np.argmax(good))
        stderr, dof = float(levels.stderr[level]), float(levels.n_blocks[level] - 1)
        if not means_disagree(chains, stderr**2, dof):
            return from_tau(float(chains.mean()), 0.5 * float(inflation[level]), variance, n)
    worst = float(np.max(levels.stderr + levels.stderr_error)) ** 2
    if chains.shape[0] > 1:
        worst = max(worst, between_chains(chains))
    partial = from_tau(float(chains.mean()), 0.5 * n * worst / variance, variance, n)
    if on_short == "accept":
        return partial
    raise ShortChain(
        f"{chains.shape[0]} x {chains.shape[1]} draws are too short for blocking: no block "
        f"length reaches a plateau that {MIN_INDEPENDENT} blocks and the scatter of the chain "
        f"means confirm (tau_int may be {partial.tau_int:.3g}). Draw longer; `partial` holds the "
        "largest error seen.",
        partial,
    )
