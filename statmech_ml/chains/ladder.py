"""Ladders of replica exchange: how well neighbours swap, how replicas travel, where rungs belong.

If the reduced energy is beta E with nearly Gaussian energies, neighbours swap with probability

    a = erfc(l / 2),    l = integral of sqrt(Var E) dbeta from one rung to the next,

the limit of many degrees of freedom of the incomplete beta function law, C. Predescu, M. Predescu
and C. V. Ciobanu, J. Chem. Phys. 120, 4119 (2004), doi:10.1063/1.1644093; D. A. Kofke, J. Chem.
Phys. 117, 6911 (2002), doi:10.1063/1.1507776. l is additive along the ladder, so `tune_ladder`
measures a, adds up l = 2 erfc^-1(a), and spaces the rungs evenly in l. It repeats this until the
measured acceptances are equal, and so does not rest on the Gaussian. For a near 1, l is
proportional to the rejection rate, whose even spacing is optimal: S. Syed et al., J. R. Stat. Soc.
B 84, 321 (2022), doi:10.1111/rssb.12464.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import erfcinv

from .. import _rng
from ..errors import InvalidInput, StatmechError
from ..samplers import ReplicaExchange, Sampler, State
from ..systems import EnergyModel
from .betas import groups
from .chain import Chain

_EVEN = 0.05  # acceptances this near to their mean are equal, or within 3 of their errors
_LEAST = 0.05  # mean acceptance below which replicas hardly travel
_UNSEEN = 1e-6  # acceptance of a pair that never swapped
_MAX_LEVELS = 1000
_MAX_ROUNDS = 20


def swap_rates(chain: Chain) -> np.ndarray:
    """Mean acceptance probability of the swaps of neighbouring rungs, float64 (level - 1,).

    Entry k belongs to the pair (beta_k, beta_k+1) in the order of ``chain.beta``; the mean is over
    ladders and draws. NaN for a pair that was never tried.

    Raises InvalidInput for a chain that was not run with ReplicaExchange, or lost a part of its
    ladder in ``chain.at``.

    >>> from statmech_ml import lattices, sample
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.samplers import HeatBath, ReplicaExchange
    >>> ring, ladder = Ising(lattices.chain(8)), [0.2, 0.4, 0.6]
    >>> chain = sample(ring, ReplicaExchange(HeatBath()), beta=ladder, n_draws=100, rng=1)
    >>> swap_rates(chain).shape, round_trips(chain).shape
    ((2,), (1,))
    """
    n_levels = _levels(chain)
    rates = chain.info["swap_acceptance"].reshape(-1, n_levels, chain.n_draws)[:, :-1]
    tried = np.isfinite(rates)
    count = tried.sum(axis=(0, 2))
    total = np.where(tried, rates, 0.0).sum(axis=(0, 2))
    return np.divide(total, count, out=np.full(n_levels - 1, np.nan), where=count > 0)


def round_trips(replica: Any, n_levels: int | None = None) -> np.ndarray:
    """How often replicas went from the first rung to the last and back, int64 (ladder,).

    A trip begins and ends at the first rung in the order of the chains; trips of all replicas of a
    ladder are added up. A ladder whose replicas never make one is only as good as its chains are
    without exchange.

    Parameters
    ----------
    replica : Chain, or int array (chain, draw)
        A run with ReplicaExchange, or its ``info["replica"]``: where each configuration was one
        draw before.
    n_levels : int, optional
        Rungs of a ladder, for an array; default: all chains are one ladder.

    Raises
    ------
    InvalidInput
        For a chain without replicas, and arrays that do not permute the slots of each ladder.
    """
    if isinstance(replica, Chain):
        n_levels = _levels(replica)
        replica = replica.info["replica"]
    moves = np.asarray(replica)
    if moves.ndim != 2 or not moves.size or moves.dtype.kind not in "iu":
        raise InvalidInput(
            f"replica has shape {moves.shape} and dtype {moves.dtype}; whole numbers (chain, draw) "
            "are needed, such as chain.info['replica']."
        )
    n_levels = len(moves) if n_levels is None else n_levels
    whole = isinstance(n_levels, int | np.integer) and not isinstance(n_levels, bool)
    if not whole or n_levels < 2 or len(moves) % n_levels:
        raise InvalidInput(
            f"n_levels={n_levels!r} does not divide {len(moves)} chains into ladders of at least 2."
        )
    first = np.arange(len(moves)) // n_levels * n_levels
    slots = np.arange(len(moves)).reshape(-1, n_levels, 1)
    if not np.array_equal(
        np.sort(moves.reshape(-1, n_levels, moves.shape[1]), axis=1),
        np.broadcast_to(slots, (len(slots), n_levels, moves.shape[1])),
    ):
        raise InvalidInput(
            "replica does not permute the slots of each ladder: every draw must name each slot of "
            "a ladder once, counted over all chains. Give chain.info['replica'] of the whole run."
        )
    bottom = np.unique(first)
    top = bottom + n_levels - 1
    holder = np.arange(len(moves))  # the replica that each slot holds
    met_bottom, met_top = np.zeros((2, len(moves)), bool)  # since the trip began
    trips = np.zeros(len(bottom), np.int64)
    met_bottom[holder[bottom]] = True
    for move in moves.T:
        holder = holder[move]
        met_top[holder[top]] = met_bottom[holder[top]]
        returned = holder[bottom]
        trips += met_top[returned]
        met_top[returned] = False
        met_bottom[returned] = True
    return trips


@dataclass(frozen=True)
class Ladder:
    """A ladder of inverse temperatures with (nearly) equal swap acceptance.

    Attributes
    ----------
    betas : float64 (level,)
        Ascending; run it as ``beta=ladder.betas``, or ``np.tile(ladder.betas, R)``.
    acceptance : float64 (level - 1,)
        Mean acceptance probability of the swaps of each pair in the last pilot run.
    stderr : float64 (level - 1,)
        Their standard errors, over independent ladders.
    sweeps : int
        Single-chain sweeps that all pilot runs took.
    """

    betas: np.ndarray
    acceptance: np.ndarray
    stderr: np.ndarray
    sweeps: int

    def __str__(self) -> str:
        return (
            f"{len(self.betas)} betas from {self.betas[0]:g} to {self.betas[-1]:g}, swap "
            f"acceptance {self.acceptance.min():.2f} to {self.acceptance.max():.2f}"
        )


def tune_ladder(
    model: EnergyModel,
    sampler: Sampler,
    low: float,
    high: float,
    *,
    n_levels: int | None = None,
    acceptance: float | None = None,
    rng: Any,
    n_ladders: int = 8,
    n_sweeps: int = 400,
) -> Ladder:
    """The ladder between two betas on which all neighbours swap equally often.

    Pilot runs with `n_ladders` independent ladders measure the acceptances; the rungs are moved
    until these differ by no more than 0.05 from their mean, or by 3 of their errors.

    Parameters
    ----------
    model : EnergyModel
        For a Path its `model`, with lambdas in place of betas: ``tune_ladder(path.model,
        path.sampler, path.beta_at(0.0), path.beta_at(1.0), ...)``.
    sampler : Sampler
        The moves between swaps, or a ReplicaExchange.
    low, high : float
        0 <= low < high; they stay the ends of the ladder.
    n_levels : int
        Number of rungs, at least 2; or instead
    acceptance : float
        The acceptance wanted, in [0.05, 0.95], with as few rungs as it takes.
    rng : int or numpy Generator
        The seed. There is no default.
    n_ladders : int, default 8
        At least 2.
    n_sweeps : int, default 400
        Sweeps of each pilot run, after as many of burn-in; at least 20.

    Returns
    -------
    Ladder

    Raises
    ------
    InvalidInput
        For arguments that cannot work.
    StatmechError
        When the acceptances do not become equal, or with `n_levels` rungs are below 0.05.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.samplers import HeatBath
    >>> ring = Ising(lattices.chain(8))
    >>> ladder = tune_ladder(ring, HeatBath(), 0.1, 1.0, n_levels=4, rng=1)
    >>> ladder.betas.shape, bool(ladder.acceptance.min() > 0.2)
    ((4,), True)
    """
    exchange = sampler if isinstance(sampler, ReplicaExchange) else ReplicaExchange(sampler)
    exchange.check(model)
    low, high = _ends(low, high)
    _check_wanted(n_levels, acceptance)
    for name, value, least in (("n_ladders", n_ladders, 2), ("n_sweeps", n_sweeps, 20)):
        _check_count(name, value, least)
    seeds = np.random.SeedSequence(_rng.seed_from(rng)).generate_state(_MAX_ROUNDS, np.uint64)
    ladder = np.linspace(low, high, n_levels or 8)
    x = exchange.init(model, len(ladder) * n_ladders, int(seeds[0])).x
    sweeps = 0
    for seed in seeds:
        beta = np.tile(ladder, n_ladders)
        state = State(x, int(seed), np.arange(len(beta), dtype=np.uint32), 0)
        fixed, state = exchange.warm_up(model, state, beta, n_sweeps)
        state, info = fixed.advance(model, state, beta, n_sweeps)
        sweeps += 2 * n_sweeps * len(beta)
        rates = info["swap_acceptance"].reshape(n_ladders, -1)[:, :-1]
        mean, stderr = rates.mean(axis=0), rates.std(axis=0, ddof=1) / math.sqrt(n_ladders)
        even = bool((np.abs(mean - mean.mean()) <= np.maximum(_EVEN, 3.0 * stderr)).all())
        lengths = np.maximum(2.0 * erfcinv(np.clip(mean, _UNSEEN, 1.0)), 1e-6)
        length = float(lengths.sum())
        wanted = len(ladder) if acceptance is None else _levels_for(length, acceptance)
        if even and wanted == len(ladder) and mean.mean() >= _LEAST:
            return Ladder(ladder, mean, stderr, sweeps)
        if wanted > _MAX_LEVELS:
            break
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        rungs = np.linspace(0.0, length, wanted)
        nearest = np.abs(rungs[:, None] - along).argmin(axis=1)
        x = state.x.reshape(n_ladders, len(ladder), -1)[:, nearest].reshape(-1, x.shape[1])
        ladder = PchipInterpolator(along, ladder)(rungs)
        ladder[0], ladder[-1] = low, high
    raise StatmechError(
        f"No ladder of {wanted} rungs from {low:g} to {high:g} swaps equally well: in the last "
        f"of {len(seeds)} pilot runs the acceptances reached from {mean.min():.2g} to "
        f"{mean.max():.2g}. About {_levels_for(length, 0.25)} rungs would swap with 0.25; give so "
        "many, longer pilot runs (n_sweeps=), or a sampler that mixes faster."
    )


def _levels_for(length: float, acceptance: float) -> int:
    """The fewest rungs whose neighbours swap with `acceptance`, over a ladder of this length."""
    return 1 + max(1, math.ceil(length / (2.0 * float(erfcinv(acceptance)))))


def _levels(chain: Chain) -> int:
    """Rungs of the ladders that a chain ran on."""
    if not isinstance(chain, Chain) or "replica" not in chain.info:
        raise InvalidInput(
            f"{chain if not isinstance(chain, Chain) else 'This chain'} has no replicas. Run "
            "sample(model, ReplicaExchange(sampler), beta=ladder, ...)."
        )
    n_levels = len(groups(chain.beta)[0])
    if n_levels < 2 or chain.n_chains % n_levels:
        raise InvalidInput(
            f"{chain.n_chains} chains at {n_levels} different betas are no whole ladders; "
            "chain.at(beta) took them apart. Give the chain of the whole run."
        )
    return n_levels


def _ends(low: Any, high: Any) -> tuple[float, float]:
    try:
        ends = float(low), float(high)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"low={low!r} and high={high!r} must be two numbers.") from error
    if not (math.isfinite(ends[1]) and 0.0 <= ends[0] < ends[1]):
        raise InvalidInput(
            f"low={low!r} and high={high!r} are no ends of a ladder of inverse temperatures; "
            "0 <= low < high is needed."
        )
    return ends


def _check_wanted(n_levels: Any, acceptance: Any) -> None:
    if (n_levels is None) == (acceptance is None):
        given = "neither was" if n_levels is None else "both were"
        raise InvalidInput(f"Give one of n_levels= and acceptance=; {given} given.")
    if n_levels is not None:
        _check_count("n_levels", n_levels, 2)
        if n_levels > _MAX_LEVELS:
            raise InvalidInput(f"n_levels={n_levels} is more than {_MAX_LEVELS}.")
    elif not (isinstance(acceptance, float) and 0.05 <= acceptance <= 0.95):
        raise InvalidInput(f"acceptance={acceptance!r} must be a number from 0.05 to 0.95.")


def _check_count(name: str, value: Any, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of at least {least}.")
