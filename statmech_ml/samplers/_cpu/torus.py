"""The square-lattice twin of the tabulated heat bath: same stream, same bits, vector code.

The two sublattices are stored apart, (rows, columns / 2) each, so that all four neighbours of a row
are contiguous rows: above, below, the same index, and one index to the left or right by row parity.
One short loop per step (shift, sum, threshold, compare) is what LLVM vectorises.

Floor per spin: 32 random bits (Philox, about 75 bits/ns on one AVX-512 core) and five byte loads.
"""

import numpy as np

from ..._jit import jit, kernel
from ..._rng import LOCAL, fill_words, padded
from .local import tie_below


@kernel
def heat_bath_torus(
    x, high, low, values, chains, seed, sweep, n_sweeps, halves, buffer, bytes_, limits
):
    """Checkerboard heat bath on a periodic square lattice with even sides.

    x int8 (chain, rows, columns), in place; high, low thresholds (chain, 9) by neighbour sum + 4;
    scratch: halves int8 (2, rows + 2, columns / 2) with a ghost row at either end, and for blocks
    of whole rows buffer uint32 (size, padded), bytes_ int8 (2, size), limits uint32 (size,).
    """
    rows, width = halves.shape[1] - 2, halves.shape[2]
    block_rows = limits.shape[0] // width
    for c in range(x.shape[0]):
        split(x[c], halves)
        for t in range(sweep, sweep + n_sweeps):
            for colour in range(2):
                mine, other = halves[colour].reshape(-1), halves[1 - colour].reshape(-1)
                for first in range(0, rows, block_rows):
                    n = min(block_rows, rows - first) * width
                    start = (first + 1) * width
                    side, sums, limit = bytes_[0, :n], bytes_[1, :n], limits[:n]
                    words = buffer[: padded(n)]
                    fill_words(words, seed, chains[c], t, LOCAL, colour, first * width)
                    second_neighbours(other[start : start + n], width, first + colour, side)
                    neighbour_sums(
                        other[start - width : start - width + n],
                        other[start + width : start + width + n],
                        other[start : start + n], side, sums,
                    )  # fmt: skip
                    select_limits(sums, high[c], limit)
                    compare(words, limit, values, mine[start : start + n])
                    if any_tie(words, limit):
                        decide_again(
                            mine[start : start + n], sums, words, high[c], low[c], values,
                            seed, chains[c], t, colour, first * width,
                        )  # fmt: skip
                refresh_ghosts(halves[colour])
        merge(halves, x[c])


@jit
def split(x, halves):
    """Row-major spins to sublattices: colour (i + j) % 2, index j // 2, ghost rows filled."""
    for i in range(x.shape[0]):
        even, odd = halves[i % 2, i + 1], halves[1 - i % 2, i + 1]
        for k in range(x.shape[1] // 2):
            even[k] = x[i, 2 * k]
            odd[k] = x[i, 2 * k + 1]
    refresh_ghosts(halves[0])
    refresh_ghosts(halves[1])


@jit
def merge(halves, x):
    """Sublattices back to row-major spins."""
    for i in range(x.shape[0]):
        even, odd = halves[i % 2, i + 1], halves[1 - i % 2, i + 1]
        for k in range(x.shape[1] // 2):
            x[i, 2 * k] = even[k]
            x[i, 2 * k + 1] = odd[k]


@jit
def refresh_ghosts(half):
    """Copy the last row before the first and the first behind the last."""
    half[0] = half[half.shape[0] - 2]
    half[half.shape[0] - 1] = half[1]


@jit
def second_neighbours(same, width, parity, out):
    """The horizontal neighbour at another index: to the right in rows of odd parity, else left."""
    for start in range(0, same.shape[0], width):
        row, moved = same[start : start + width], out[start : start + width]
        if parity % 2 == 1:
            for k in range(width - 1):
                moved[k] = row[k + 1]
            moved[width - 1] = row[0]
        else:
            for k in range(1, width):
                moved[k] = row[k - 1]
            moved[0] = row[width - 1]
        parity += 1


@jit
def neighbour_sums(above, below_, same, side, sums):
    """Sum of the four neighbours of each site, in bytes."""
    for k in range(sums.shape[0]):
        sums[k] = np.int8(above[k] + below_[k] + same[k] + side[k])


@jit
def select_limits(sums, high, limits):
    """High threshold word of each site; selects are faster than a gather from five entries."""
    t0, t2, t4 = np.uint32(high[0]), np.uint32(high[2]), np.uint32(high[4])
    t6, t8 = np.uint32(high[6]), np.uint32(high[8])
    for k in range(limits.shape[0]):
        total = np.int32(sums[k])
        limit = t8 if total > 2 else t6
        limit = limit if total > 0 else t4
        limit = limit if total > -2 else t2
        limits[k] = limit if total > -4 else t0


@jit
def any_tie(words, limits):
    """Whether some word equals its threshold, so that the low halves must decide."""
    ties = np.uint32(0)
    for k in range(limits.shape[0]):
        ties |= np.uint32(words[k] == limits[k])
    return ties > 0


@jit
def compare(words, limits, values, mine):
    """The new spins: the higher value where the word is below its threshold."""
    lower, higher = values[0], values[1]
    for k in range(limits.shape[0]):
        mine[k] = higher if words[k] < limits[k] else lower


@jit
def decide_again(mine, sums, words, high, low, values, seed, chain, sweep, colour, first):
    """Decide a block again with 64-bit thresholds; the heat bath does not look at the old spins."""
    for k in range(mine.shape[0]):
        e = sums[k] + 4
        up = words[k] < high[e]
        if words[k] == high[e]:
            up = tie_below(low[e], seed, chain, sweep, colour, first + k)
        mine[k] = values[1] if up else values[0]
