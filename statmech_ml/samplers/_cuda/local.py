"""The tabulated heat bath on CUDA: the same bits as `_cpu.local.heat_bath_tabulated`.

One launch updates one colour of all chains: no bond joins two sites of a colour, so they may change
together. A thread owns one Philox block, that is the four positions 64 g + i + 16 w, w = 0..3, of
the colour; neighbouring threads then own neighbouring positions. Thresholds are integers made on
the host and the device computes with integers only: card, simulator and CPU decide alike.

A model's `environment` may look at a site's neighbours on the lattice and at no others: only those
keep still while the colour is updated.
"""

from typing import Any

import numpy as np
from numba import cuda

from ..._rng import LOCAL, block
from ...systems import environment
from .._cpu.local import tie_below
from ..base import State
from .device import configured, on_device, prepare

THREADS = 128
# Threads take further blocks in strides of the grid, so any number of chains and sites fits.
MAX_GRID = 2**20


@cuda.jit
def update_colour(
    model, x, high, low, lower, higher, order, start, stop, chains, seed, sweep, colour
):
    """Draw the sites ``order[start:stop]`` of every chain anew, x int8 (chain, size) in place."""
    blocks = (stop - start + 63) // 64 * 16  # per chain
    for k in range(cuda.grid(1), x.shape[0] * blocks, cuda.gridsize(1)):
        c, b = k // blocks, k % blocks
        state = x[c]
        words = block(seed, chains[c], sweep, LOCAL, colour, b)
        for w in range(4):
            position = 64 * (b // 16) + b % 16 + 16 * w
            if position < stop - start:
                site = order[start + position]
                e = environment(model, state, site)
                up = words[w] < high[c, e]
                if words[w] == high[c, e]:
                    up = tie_below(low[c, e], seed, chains[c], sweep, colour, position)
                state[site] = higher if up else lower


def heat_bath(
    model: Any, x: np.ndarray, high: np.ndarray, low: np.ndarray, state: State, n_sweeps: int
) -> None:
    """Run heat-bath sweeps on the card; x int8 (chain, size) is changed in place.

    Parameters
    ----------
    model : Model
        With the capability Tabulated, on a lattice.
    high, low : uint32 arrays (chain, environment)
        Halves of the 64-bit thresholds for the higher of the two values.
    state : State
        Addresses the random words: seed, chains, and sweeps done before.

    Raises
    ------
    InvalidInput
        Where CUDA cannot run; see `device.prepare`.
    """
    prepare()
    schedule = model.schedule
    lower, higher = model.space.values
    arrays, seed = on_device(model.arrays), np.uint64(state.seed)
    spins, high, low, order, chains = map(on_device, (x, high, low, schedule.order, state.chains))
    launches = []
    for colour, start in enumerate(schedule.starts[:-1]):
        stop = schedule.starts[colour + 1]
        threads = len(x) * (-(-(stop - start) // 64) * 16)
        grid = min(-(-threads // THREADS), MAX_GRID)
        launches.append((configured(update_colour, int(grid), THREADS), colour, start, stop))
    for sweep in range(state.sweep, state.sweep + n_sweeps):
        for launch, colour, start, stop in launches:
            launch(
                arrays, spins, high, low, lower, higher, order, start, stop, chains, seed,
                sweep, colour,
            )  # fmt: skip
    spins.copy_to_host(x)
