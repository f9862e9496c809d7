"""Annealed runs up or down a ladder, and where they start: what AIS and switching work share."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..exact import enumeration
from ..samplers import Sampler, State
from ..spaces import Discrete
from .path import Path


class Run(NamedTuple):
    """Log-weights (chain,) from first to last lambda; mean acceptance (level,) where known."""

    log_w: np.ndarray
    acceptance: np.ndarray | None


def anneal(
    path: Path,
    lams: np.ndarray,
    samplers: Sequence[Sampler],
    state: State,
    n_sweeps: int,
    tick: Callable[[], None],
) -> Run:
    """Weigh and move, from lams[0], where `state` is a sample, to lams[-1]."""
    log_w = np.zeros(len(state.x))
    acceptance = []
    for k in range(len(lams) - 1):
        last = k == len(lams) - 2  # after the last weight nothing looks at the state
        step, state, info = path.weigh_and_move(
            state, lams[k], lams[k + 1], 0 if last else n_sweeps, samplers[k + 1]
        )
        # A state that some law forbids has no weight, and no later move brings the chain back.
        log_w += step
        if "acceptance" in info:
            acceptance.append(float(info["acceptance"].mean()))
        tick()
    return Run(log_w, np.array(acceptance) if acceptance else None)


def target_states(path: Path, start: Any, n_chains: int, seed: int) -> np.ndarray:
    """Draws of the target, (chain, size)."""
    space: Any = path.model.space
    if start is None:
        if isinstance(space, Discrete) and space.n_states <= enumeration.MAX_TABLE:
            return enumeration.draw(path.model, float(path.beta_at(1.0)), n_chains, seed)
        raise InvalidInput(
            f"A reverse run starts from the target, and {space!r} is too large to draw from "
            "exactly. Give start=: one configuration per chain from an equilibrated run, e.g. "
            f"sample(model, ..., n_chains={n_chains}).final."
        )
    x = np.asarray(space.check(start.x if isinstance(start, State) else start, "start"))
    if x.shape != (n_chains, *space.event_shape):
        raise InvalidInput(
            f"start has shape {x.shape}; {(n_chains, *space.event_shape)} is needed for "
            f"{n_chains} chains, one independent configuration of the target each."
        )
    return x


def check_independent(path: Path, x: np.ndarray, seed: int) -> None:
    """Given starts (chain, size) must not be copies of a few configurations.

    A cold system may well be found in few states. Copies are known by one sweep at the target,
    which would leave draws of its law as many distinct ones as before.
    """
    n, distinct = len(x), len(np.unique(x, axis=0))
    if 4 * distinct >= n:
        return
    chains = np.arange(n, dtype=np.uint32)
    moved, _ = path.advance(State(x.copy(), seed, chains, 0), 1.0, 1)
    if 2 * len(np.unique(moved.x, axis=0)) > n:
        raise InvalidInput(
            f"start holds {distinct} different configurations for {n} chains, and one sweep takes "
            "most of them apart: they are copies, not independent draws of the target. Give one "
            "configuration per chain from an equilibrated run of that many chains."
        )


def check_support(path: Path, x: np.ndarray) -> None:
    """Reverse runs never visit what the target forbids, but Z_0 counts it."""
    forbidden = int((path.reduced_energy(x, 1.0) == math.inf).sum())
    if forbidden:
        raise InvalidInput(
            f"The target forbids {forbidden} of {len(x)} draws of the reference. A reverse run "
            "never visits such states, so its estimate would be too high by minus the log of the "
            "share that is allowed. Use direction='forward', or a reference on the allowed "
            "states."
        )
