"""What every sampler is: frozen settings, explicit state, addressed random numbers.

    state = sampler.init(model, n_chains, seed, start) state, info = sampler.advance(model, state,
    beta, n_sweeps) sampler, state = sampler.warm_up(model, state, beta, n_sweeps)    # where it
    adapts, burn-in only

`State` is what must be carried to continue bit for bit; info holds what is only watched. Chains are
a batch axis and beta is an array (chain,).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import _rng
from .._jit import thread_count
from ..errors import InvalidInput
from ..systems import EnergyModel

Info = dict[str, np.ndarray]
"""Watched quantities of one `advance`, each an array (chain,)."""

# Below this many site updates, starting threads costs more than it saves.
_WORTH_THREADS = 200_000


class State(NamedTuple):
    """Everything that must be carried to continue a run bit for bit.

    Fields: x (chain, *event) configurations; seed int, the stream key; chains uint32 (chain,), the
    stream of each chain; sweep int, sweeps done so far, the stream counter; carried name -> array
    (chain, ...), what a sampler carries beside x (momenta, running means), empty before its first
    sweep and for most samplers always.
    """

    x: np.ndarray
    seed: int
    chains: np.ndarray
    sweep: int
    carried: Mapping[str, np.ndarray] = MappingProxyType({})


@dataclass(frozen=True)
class Sampler(ABC):
    """Base class of all transition kernels; subclasses are frozen dataclasses of settings."""

    stream: ClassVar[str]
    """Identity of the kernel family's random stream; changes whenever its bits do."""
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    adapted: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Settings that a warm-up adapts, positive numbers: name -> axes of one chain's value."""
    invariant: ClassVar[bool] = True
    """Whether `advance` leaves exp(-reduced_energy) invariant at any setting."""
    coupled: ClassVar[bool] = False
    """Whether the chains move along one another, so that only all of them are one Markov chain."""

    @property
    def ergodic(self) -> bool:
        """Whether chains at one beta share one law in the end, wherever they start."""
        return True

    @property
    def reversible(self) -> bool:
        """Whether sweeps run backwards are sweeps of the same sampler (detailed balance)."""
        return False

    @abstractmethod
    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability or InvalidInput if this sampler cannot sample `model`."""

    @abstractmethod
    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` sweeps at inverse temperatures beta (chain,); the input state is kept."""

    def warm_up(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple["Sampler", State]:
        """Burn in, adapting settings if the sampler does; the sampler returned is fixed."""
        return self, self.advance(model, state, beta, n_sweeps, device)[0]

    def of_chains(self, chosen: np.ndarray) -> "Sampler":
        """The sampler that continues some of the chains (an index array or mask) of a run."""
        return self

    def init(self, model: EnergyModel, n_chains: int, seed: int, start: Any = "random") -> State:
        """The state before the first sweep.

        Parameters
        ----------
        start : "random", "ordered" or array
            An array has shape ``event`` (all chains start there) or ``(chain, *event)``.
        """
        chains = np.arange(n_chains, dtype=np.uint32)
        space: Any = model.space
        if isinstance(start, str):
            if start == "random":
                x = space.random(seed, chains)
            elif start == "ordered":
                x = space.ordered(n_chains)
            else:
                raise InvalidInput(
                    f"start={start!r} is unknown. Use 'random', 'ordered', an array of "
                    "configurations, or the `final` state of another chain."
                )
        else:
            given = space.check(start, "start")
            if given.ndim == 1:
                given = np.broadcast_to(given, (n_chains, *given.shape))
            if given.shape != (n_chains, *space.event_shape):
                raise InvalidInput(
                    f"start has shape {given.shape}; {(n_chains, *space.event_shape)} is needed "
                    f"for {n_chains} chains."
                )
            x = np.array(given)
        return State(x, seed, chains, 0)


def advanced(state: State, x: np.ndarray, n_sweeps: int) -> State:
    """`state` with new configurations, `n_sweeps` later."""
    if state.sweep + n_sweeps >= _rng.MAX_SWEEP:
        raise InvalidInput(
            f"A stream holds {_rng.MAX_SWEEP} sweeps; start a new one with another rng=."
        )
    return state._replace(x=x, sweep=state.sweep + n_sweeps)


def over_chains(n_chains: int, updates: int, run: Callable[[slice], None]) -> None:
    """Call ``run(chains)`` for slices that cover all chains, on numba's number of threads.

    Kernels release the GIL and address their random numbers by chain, so the split changes nothing
    but the time. `updates` is the total number of site updates, which decides whether threads are
    worth it.
    """
    threads = 1 if updates < _WORTH_THREADS else min(thread_count(), n_chains)
    if threads <= 1:
        run(slice(0, n_chains))
        return
    edges = np.linspace(0, n_chains, threads + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(edges.tolist())]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, parts))
