"""Langevin moves on CUDA: one thread walks one chain, by the functions of the CPU kernels.

What `hamiltonian` says of words, rounding and the layout of arrays holds here too. The functions of
one chain come as arguments, from those who own them.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from ..base import State
from .device import device_function, launch, on_device, prepare


@cache
def moving(moves_of_chain: Any) -> Any:
    """The kernel of moves with a known gain, made of `_langevin.moves_of_chain`."""
    of_chain = device_function(moves_of_chain)

    @cuda.jit
    def move(
        model, x, room, beta, steps, temperatures, adjusted, chains, seed, sweep, n_sweeps, taken,
        gains,
    ):  # fmt: skip
        # x (dim, chain) in place; room (3, dim, chain)
        for c in range(cuda.grid(1), x.shape[1], cuda.gridsize(1)):
            taken[c], gains[c] = of_chain(
                model, x[:, c], room[0, :, c], room[1, :, c], room[2, :, c], beta[c], steps[c],
                temperatures[c], adjusted, chains[c], seed, sweep, n_sweeps,
            )  # fmt: skip

    return move


@cache
def walking(walk_of_chain: Any, fill_normals: Any) -> Any:
    """The kernel of strides, made of `_walk.walk_of_chain` and the function that fills its room."""
    of_chain = device_function(walk_of_chain, fill_normals=device_function(fill_normals))

    @cuda.jit
    def walk(system, x, carried, room, beta, chains, seed, sweep, n_sweeps, watched):
        # x and carried (dim, chain) in place; room (2, dim, chain)
        for c in range(cuda.grid(1), x.shape[1], cuda.gridsize(1)):
            watched[c] = of_chain(
                system, c, x[:, c], carried[:, c], room[0, :, c], room[1, :, c], beta[c],
                chains[c], seed, sweep, n_sweeps,
            )  # fmt: skip

    return walk


def moves(
    moves_of_chain: Any,
    arrays: Any,
    x: np.ndarray,
    beta: np.ndarray,
    steps: np.ndarray,
    temperatures: np.ndarray,
    adjusted: bool,
    state: State,
    n_sweeps: int,
    taken: np.ndarray,
    gains: np.ndarray,
) -> None:
    """`_langevin.moves` on the card: x (chain, dim), taken and gains (chain,) in place.

    Raises InvalidInput where CUDA cannot run, and for a model that does not compile for it.
    """
    prepare()
    columns, room = _columns(x), cuda.device_array((3, x.shape[1], len(x)), np.float64)
    taken_there, gains_there = on_device((taken, gains))
    launch(
        moving(moves_of_chain), len(x), on_device(arrays), columns, room,
        *on_device((beta, steps, temperatures)), adjusted, on_device(state.chains),
        np.uint64(state.seed), state.sweep, n_sweeps, taken_there, gains_there,
    )  # fmt: skip
    x[:] = columns.copy_to_host().T
    taken_there.copy_to_host(taken)
    gains_there.copy_to_host(gains)


def walks(
    walk_of_chain: Any,
    fill_normals: Any,
    system: Any,
    x: np.ndarray,
    carried: np.ndarray,
    beta: np.ndarray,
    state: State,
    n_sweeps: int,
    watched: np.ndarray,
) -> None:
    """`_walk.walks` on the card: x, carried (chain, dim) and watched (chain,) in place.

    Raises InvalidInput where CUDA cannot run, and for a model that does not compile for it.
    """
    prepare()
    columns, beside = _columns(x), _columns(carried)
    room = cuda.device_array((2, x.shape[1], len(x)), np.float64)
    watched_there = on_device(watched)
    launch(
        walking(walk_of_chain, fill_normals), len(x), on_device(system), columns, beside, room,
        *on_device((beta, state.chains)), np.uint64(state.seed), state.sweep, n_sweeps,
        watched_there,
    )  # fmt: skip
    x[:] = columns.copy_to_host().T
    carried[:] = beside.copy_to_host().T
    watched_there.copy_to_host(watched)


def _columns(x: np.ndarray) -> Any:
    return on_device(np.ascontiguousarray(x.T))
