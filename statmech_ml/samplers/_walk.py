"""Samplers whose moves are a gradient and one stride: SGLD, PSGLD, SGHMC and BAOAB.

A sampler writes its move as a NamedTuple of numbers with a method `stride`, which is given the
gradient at x and standard normals, and changes x and what is carried beside it (momenta, a running
mean) in place. That one method serves

- compiled models, where a kernel computes gradient and stride of one chain after another;
- models that answer in batches, whose gradients come for all chains at once; and
- minibatches, where the gradient is that of some rows of the data.

All of them draw the same normals, and stride by the same compiled arithmetic. One gradient a move.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _rng
from .._jit import capability, jit, kernel
from .._rng import LANGEVIN, MOMENTUM, block, normal_pair
from ..systems import reduced_gradient
from ._devices import in_batches
from ._langevin import Unadjusted
from .base import Info, State, advanced, over_chains


@capability
def stride(move, c, t, x, carried, force, noise):
    """One move of chain c at sweep t, in place: x and carried (dim,), given gradient and normals.

    Returns what is watched: mean p^2 over the coordinates where there are momenta, else 0.
    """
    raise NotImplementedError


class Walk(NamedTuple):
    """What a kernel is compiled for: a compiled model, and the move that walks on it."""

    model: Any
    move: Any


@jit
def fill_normals(out, seed, chain, sweep):
    """Standard normals of one chain and sweep, out (dim,): those of `_rng.normals`."""
    for i in range(0, out.shape[0], 2):
        w0, w1, w2, w3 = block(seed, chain, sweep, LANGEVIN, 0, i // 2)
        a, b = normal_pair(w0, w1, w2, w3)
        out[i] = a
        if i + 1 < out.shape[0]:
            out[i + 1] = b


@jit
def walk_of_chain(walk, c, x, carried, force, noise, beta, chain, seed, sweep, n_sweeps):
    """`n_sweeps` moves of chain c, x and carried (dim,) in place; the sum of what is watched.

    `force` and `noise` (dim,) are room to work in.
    """
    watched = 0.0
    for t in range(sweep, sweep + n_sweeps):
        reduced_gradient(walk.model, x, beta, force)
        fill_normals(noise, seed, chain, t)
        watched += stride(walk.move, c, t, x, carried, force, noise)
    return watched


@kernel
def walks(walk, x, carried, beta, chains, seed, sweep, n_sweeps, watched, start, stop):
    """Moves of the chains start .. stop - 1 on a compiled model, x and carried (chain, dim)."""
    force, noise = np.empty(x.shape[1]), np.empty(x.shape[1])
    for c in range(start, stop):
        watched[c] = walk_of_chain(
            walk, c, x[c], carried[c], force, noise, beta[c], chains[c], seed, sweep, n_sweeps
        )


@kernel
def strides(move, x, carried, forces, chains, seed, sweep, watched):
    """One move of every chain whose gradients (chain, dim) are known, in place."""
    noise = np.empty(x.shape[1])
    for c in range(x.shape[0]):
        fill_normals(noise, seed, chains[c], sweep)
        watched[c] += stride(move, c, sweep, x[c], carried[c], forces[c], noise)


@dataclass(frozen=True)
class Walker(Unadjusted):
    """What the samplers of this file share: they stride, and report temperatures."""

    carries: ClassVar[str] = ""
    """Name of what is carried beside x: "momenta", whose temperature is watched, or another."""

    @property
    def reversible(self) -> bool:
        """No: these moves report nothing that would make up for their bias."""
        return False

    def _move(self, n_chains: int) -> Any:
        """The NamedTuple with the method `stride`, its numbers (chain,)."""
        raise NotImplementedError

    def _fresh(self, state: State) -> np.ndarray:
        """What is carried before the first sweep, (chain, dim): momenta from their law."""
        return _rng.normals(state.seed, state.chains, state.sweep, MOMENTUM, 0, state.x[0].size)

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain.

        Info holds "effective_temperature" and, with momenta, "kinetic_temperature": mean p^2 over
        moves and coordinates, (chain,). Raises InvalidInput when chains left the finite numbers.
        """
        beta = np.asarray(beta, np.float64)
        if not self.carries:
            carried = np.empty((len(state.x), 0))
        elif self.carries in state.carried:
            carried = state.carried[self.carries].copy()
        else:
            carried = self._fresh(state)
        x, watched, info = self._walked(model, state, carried, beta, n_sweeps, device)
        self._require_finite(model, x)
        info["effective_temperature"] = self._temperatures(len(x))
        if self.carries == "momenta":
            info["kinetic_temperature"] = watched / max(1, n_sweeps)
        after = advanced(state, x, n_sweeps)
        return (after._replace(carried={self.carries: carried}) if self.carries else after), info

    def _walked(
        self,
        model: Any,
        state: State,
        carried: np.ndarray,
        beta: np.ndarray,
        n_sweeps: int,
        device: str,
    ) -> tuple[np.ndarray, np.ndarray, Info]:
        """x after `n_sweeps` moves, sums of what is watched (chain,), info; `carried` in place."""
        x, n = state.x.copy(), len(state.x)
        move, seed, watched = self._move(n), np.uint64(state.seed), np.zeros(n)
        if hasattr(model, "arrays"):
            system = Walk(model.arrays, move)

            def run(part: slice) -> None:
                walks(
                    system, x, carried, beta, state.chains, seed, state.sweep, n_sweeps, watched,
                    part.start, part.stop,
                )  # fmt: skip

            if device == "cuda":
                from ._cuda.langevin import walks as on_device

                on_device(
                    walk_of_chain, fill_normals, system, x, carried, beta, state, n_sweeps, watched
                )
            else:
                over_chains(n, x.size * n_sweeps, run)
            return x, watched, {}
        model = in_batches(model, device)
        for t in range(state.sweep, state.sweep + n_sweeps):
            with np.errstate(all="ignore"):  # what leaves the finite numbers is judged below
                force = model.reduced_gradient(x, beta)
            strides(move, x, carried, force, state.chains, seed, t, watched)
            self._require_finite(model, x)
        return x, watched, {}
