"""Replica exchange (parallel tempering): neighbouring temperatures swap configurations.

Slots i and j at beta_i and beta_j exchange what they hold with probability

    min(1, exp(D)),    D = u(x_i, beta_i) + u(x_j, beta_j) - u(x_j, beta_i) - u(x_i, beta_j),

u the model's reduced energy: the law that the moves between swaps leave invariant at each beta, and
then so do the swaps. Where u = beta E, D = (beta_i - beta_j)(E_i - E_j). An RBM's u is the free
energy F_beta(v), and a swap on beta F_1(v) would bias every slot.

C. J. Geyer, in Computing Science and Statistics: Proc. 23rd Symp. Interface (1991), p. 156; K.
Hukushima and K. Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996), doi:10.1143/JPSJ.65.1604. Even and odd
pairs take turns, which moves replicas along the ladder faster than random pairs do: S. Syed et al.,
J. R. Stat. Soc. B 84, 321 (2022), doi:10.1111/rssb.12464.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..systems import EnergyModel
from .base import Info, Sampler, State


@dataclass(frozen=True)
class ReplicaExchange(Sampler):
    """Another sampler at every rung of a ladder of betas, and swaps between neighbouring rungs.

    The betas are one monotone ladder of K different values, or R copies of it, one after the other:
    ``np.tile(ladder, R)``. Slot k of ladder r is chain r K + k; it keeps its beta, its random
    stream and its step size, and configurations move between the slots of a ladder. So each slot is
    an ordinary chain at its beta, and ``chain.at(beta)`` estimates there. The chains of one ladder
    are *not* independent of one another; different ladders are.

    Parameters
    ----------
    sampler : Sampler
        The moves between swaps.
    swap_every : int, default 1
        Sweeps between two rounds of swaps, of the even pairs (k, k + 1) and of the odd ones in
        turn.

    Info holds what the inner sampler watches (means over the sweeps), and

    - ``"replica"``, int64: the slot in which the configuration now here was when this `advance`
      began; `chains.round_trips` follows it through a run;
    - ``"swap_acceptance"``: mean acceptance *probability* of the swaps of slots (c, c + 1) tried in
      this `advance`; NaN if none was, and always in the last slot of a ladder.

    Raises InvalidInput for an inner sampler that is none, that is unadjusted, or exchanges itself,
    and for betas that are no copies of one ladder.

    >>> from statmech_ml import lattices, sample
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.samplers import HeatBath
    >>> model, ladder = Ising(lattices.square(4)), [0.2, 0.3, 0.4]
    >>> chain = sample(model, ReplicaExchange(HeatBath()), beta=ladder, n_draws=500, rng=1)
    >>> chain.at(0.4).estimate("energy_per_site").value < -1.0
    True
    """

    sampler: Sampler
    swap_every: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.sampler, Sampler):
            raise InvalidInput(
                f"sampler={self.sampler!r} is no sampler. Give an instance, e.g. "
                "ReplicaExchange(HeatBath())."
            )
        if isinstance(self.sampler, ReplicaExchange):
            raise InvalidInput(
                f"{self.sampler!r} exchanges already; two exchanges inside one another would be "
                "one. Give the sampler that moves between swaps, e.g. ReplicaExchange(HeatBath())."
            )
        if not getattr(self.sampler, "invariant", True):
            raise InvalidInput(
                f"{self.sampler!r} does not leave its law invariant, so neither would an exchange "
                "between such chains. Use a sampler with accept and reject, e.g. MALA()."
            )
        if getattr(self.sampler, "coupled", False):
            raise InvalidInput(
                f"{self.sampler!r} moves the chains of one beta along one another, but an exchange "
                "has one chain at each rung, which must move by itself. Use a sampler of single "
                "chains, e.g. MALA()."
            )
        whole = isinstance(self.swap_every, int | np.integer)
        if not whole or isinstance(self.swap_every, bool) or self.swap_every < 1:
            raise InvalidInput(
                f"swap_every={self.swap_every!r} must be a whole number of sweeps, at least 1."
            )
        object.__setattr__(self, "swap_every", int(self.swap_every))

    @property
    def stream(self) -> str:  # type: ignore[override]
        """Identity of the swaps' random stream and of the inner sampler's."""
        return f"replica-exchange/philox4x32-10/1+{self.sampler.stream}"

    @property
    def devices(self) -> tuple[str, ...]:  # type: ignore[override]
        """Where the inner sampler runs; the swaps are decided on the host."""
        return self.sampler.devices

    def check(self, model: EnergyModel) -> None:
        """Raise what the inner sampler raises."""
        self.sampler.check(model)

    def init(self, model: EnergyModel, n_chains: int, seed: int, start: Any = "random") -> State:
        """The inner sampler's state before the first sweep."""
        return self.sampler.init(model, n_chains, seed, start)

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run sweeps at beta (chain,); swap after every sweep that is a multiple of `swap_every`.

        Sweeps count from the beginning of the stream, so a run may be stopped anywhere.
        """
        beta = np.asarray(beta, np.float64)
        n_levels = levels(beta)
        replica = np.arange(len(beta))
        total, tried = np.zeros(len(beta)), np.zeros(len(beta))
        info: Info = {}
        done = 0
        while True:
            step = min(n_sweeps - done, self.swap_every - state.sweep % self.swap_every)
            state, watched = self.sampler.advance(model, state, beta, step, device)
            for name, values in watched.items():
                info[name] = info.get(name, 0.0) + step * values
            done += step
            if step and state.sweep % self.swap_every == 0:
                lower = _pairs(len(beta), n_levels, state.sweep // self.swap_every)
                probability = _acceptance(model, state.x, beta, lower)
                swapped = lower[_uniform(state, lower) < probability]
                order = np.arange(len(beta))
                order[swapped], order[swapped + 1] = swapped + 1, swapped
                state, replica = state._replace(x=state.x[order]), replica[order]
                total[lower] += probability
                tried[lower] += 1
            if done == n_sweeps:
                break
        info = {name: values / max(1, n_sweeps) for name, values in info.items()}
        mean = np.divide(total, tried, out=np.full(len(beta), np.nan), where=tried > 0)
        return state, info | {"replica": replica, "swap_acceptance": mean}

    def warm_up(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple["ReplicaExchange", State]:
        """Burn in. An inner sampler that adapts does so, slot by slot, in the first half, without
        swaps; the second half exchanges with the settings found."""
        levels(np.asarray(beta, np.float64))
        fixed, alone = self.sampler, 0
        if type(self.sampler).warm_up is not Sampler.warm_up:
            alone = n_sweeps // 2
            fixed, state = self.sampler.warm_up(model, state, beta, alone, device)
        sampler = replace(self, sampler=fixed)
        return sampler, sampler.advance(model, state, beta, n_sweeps - alone, device)[0]

    def of_chains(self, chosen: np.ndarray) -> "ReplicaExchange":
        """The sampler of some of the chains. It continues whole ladders; of one slot of each, the
        attribute `sampler` of the result goes on without exchange."""
        return replace(self, sampler=self.sampler.of_chains(chosen))


def levels(beta: np.ndarray) -> int:
    """K, where beta (chain,) is R >= 1 copies of one monotone ladder of K >= 2 values."""
    different = np.unique(beta)
    n_levels = len(different)
    if n_levels < 2:
        raise InvalidInput(
            f"All {beta.size} chains run at beta={different.tolist()}, so there is nothing to "
            "exchange. Give a ladder, e.g. beta=np.linspace(0.2, 0.4, 8), or use the inner sampler."
        )
    ladder = beta[:n_levels]
    copies = beta.size % n_levels == 0 and (beta.reshape(-1, n_levels) == ladder).all()
    if not copies:
        raise InvalidInput(
            f"{beta.size} chains at {n_levels} different betas are no copies of one ladder: "
            f"{beta.tolist() if beta.size <= 12 else [*beta[:12].tolist(), '...']}. Give each beta "
            "once, or R ladders one after the other: beta=np.tile(ladder, R)."
        )
    steps = np.diff(ladder)
    if not ((steps > 0.0).all() or (steps < 0.0).all()):
        raise InvalidInput(
            f"The ladder {ladder.tolist()} turns back; neighbours on it exchange, so it must climb "
            "or descend. Sort it: beta=np.tile(np.sort(ladder), R)."
        )
    return n_levels


def _pairs(n_chains: int, n_levels: int, count: int) -> np.ndarray:
    """Lower slots c of the pairs (c, c + 1) that meet in swap number `count`: even, odd, even..."""
    rung = np.arange(n_chains) % n_levels
    turn = count % min(2, n_levels - 1)  # of two rungs the only pair meets every time
    return np.flatnonzero((rung % 2 == turn) & (rung < n_levels - 1))


def _acceptance(model: Any, x: np.ndarray, beta: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Metropolis probability of each swap (pair,), from one call for all reduced energies."""
    here = np.concatenate([lower, lower + 1])
    there = np.concatenate([lower + 1, lower])
    stay, move = np.asarray(model.reduced_energy(x[here], beta[np.stack([here, there])]))
    n = len(lower)
    with np.errstate(invalid="ignore"):
        gain = (stay[:n] + stay[n:]) - (move[:n] + move[n:])
    # Where both are forbidden (inf - inf) nothing speaks for a swap.
    return np.where(np.isnan(gain), 0.0, np.exp(np.minimum(gain, 0.0)))


def _uniform(state: State, lower: np.ndarray) -> np.ndarray:
    """A double in [0, 1) for each pair, from the stream of its lower slot and the last sweep."""
    w = _rng.words(state.seed, state.chains[lower], state.sweep - 1, _rng.EXCHANGE, 0, 2)
    w = w.astype(np.uint64)
    bits = (w[:, 0] << np.uint64(21)) | (w[:, 1] >> np.uint64(11))
    return np.asarray(bits * 2.0**-53)
