"""Hamiltonian trajectories on CUDA: one thread walks one chain, by the functions of the CPU kernel.

The random words and the order of operations are those of the CPU. Doubles are rounded alike but for
fused multiplications and the last digit of log, cos and exp, so a chain follows its twin for some
trajectories, until it tells the two apart as it would any two points so close; the laws agree.

Arrays are (dim, chain), so that neighbouring threads read neighbouring numbers, and the room that a
chain works in lies in the card's memory, as its size is not known when the kernel is compiled.
"""

from typing import Any

import numpy as np
from numba import cuda

from .._hamiltonian import leapfrog, momenta, trajectories_of_chain
from ..base import State
from .device import device_function, launch, on_device, prepare

_trajectories_of_chain = device_function(
    trajectories_of_chain, leapfrog=device_function(leapfrog), momenta=device_function(momenta)
)


@cuda.jit
def walk(
    model, x, room, beta, steps, scales, fewest, most, adjusted, chains, seed, sweep, n_sweeps,
    taken, errors, diverged, squares,
):  # fmt: skip
    """Trajectories of every chain, x (dim, chain) in place; room (4, dim, chain)."""
    for c in range(cuda.grid(1), x.shape[1], cuda.gridsize(1)):
        scale = scales[:, c if scales.shape[1] > 1 else 0]
        taken[c], errors[c], diverged[c], squares[c] = _trajectories_of_chain(
            model, x[:, c], room[0, :, c], room[1, :, c], room[2, :, c], room[3, :, c], beta[c],
            steps[c], scale, fewest, most, adjusted, chains[c], seed, sweep, n_sweeps,
        )  # fmt: skip


def trajectories(
    arrays: Any,
    x: np.ndarray,
    beta: np.ndarray,
    steps: np.ndarray,
    scales: np.ndarray,
    fewest: int,
    most: int,
    adjusted: bool,
    state: State,
    n_sweeps: int,
    watched: tuple[np.ndarray, ...],
) -> None:
    """Run trajectories on the card; x (chain, dim) is changed in place, and what is watched.

    Parameters
    ----------
    arrays : NamedTuple
        The compiled model.
    scales : array (1 or chain, dim)
        1 / sqrt(mass).
    watched : arrays (chain,)
        Taken and diverged, int64, and energy errors and z.z, float64: as the CPU kernel has them.

    Raises
    ------
    InvalidInput
        Where CUDA cannot run, and for a model that does not compile for it.
    """
    prepare()
    columns = on_device(np.ascontiguousarray(x.T))
    room = cuda.device_array((4, *columns.shape), np.float64)
    watched_there = on_device(watched)
    launch(
        walk, len(x), on_device(arrays), columns, room, *on_device((beta, steps, scales.T)),
        fewest, most, adjusted, on_device(state.chains), np.uint64(state.seed), state.sweep,
        n_sweeps, *watched_there,
    )  # fmt: skip
    x[:] = columns.copy_to_host().T
    for here, there in zip(watched, watched_there, strict=True):
        there.copy_to_host(here)
