"""emcee's ensemble moves: walkers propose from where the others are, without any gradient.

The chains are the walkers of one ensemble. The stretch move of walker x picks another one, y, and
proposes

    x' = y + z (x - y),    g(z) ~ 1 / sqrt z on [1/a, a],

accepted with probability min(1, z^(d - 1) exp(u(x) - u(x'))): J. Goodman and J. Weare, Comm. App.
Math. Comput. Sci. 5, 65 (2010), doi:10.2140/camcos.2010.5.65, eq. 7. It is the same in any affine
coordinates, so scales and correlations of the target do not matter, which serves up to some ten
dimensions. The moves are those of emcee: D. Foreman-Mackey et al., Publ. Astron. Soc. Pac. 125, 306
(2013), doi:10.1086/670067.

The ensemble as a whole is one Markov chain, whose law is the product of one exp(-u) per walker. So
walkers at one time are independent, but the past of one is in the present of the others, and the
variance of a mean over all is up to a quarter off (either way, with few walkers) from that of
independent chains. `Chain.estimate` therefore takes errors from the series of ensemble means
(`coupled`): 50 tau_int of the ensemble are needed, each draw of which counts once.

Cost of a sweep: one batch of energies per split, and some microseconds a walker inside emcee.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import EnergyModel
from .base import Info, Sampler, State, advanced

_SETTINGS = {
    "StretchMove": ("a",),
    "DEMove": ("sigma", "gamma0"),
    "WalkMove": ("s",),
    "KDEMove": ("bw_method",),
}
"""Moves of emcee that are their settings and nothing else, so that they can be stored."""
_OF_ALL = ("nsplits", "randomize_split")
_SNOOKER_IS_WRONG = (3, 1, 6)  # up to this version of emcee: github.com/dfm/emcee/pull/531
_FEWEST = 4  # walkers: a move of one half needs two in the other
_WORDS = 8  # that seed the generator of a sweep, 256 bits


@dataclass(frozen=True)
class EnsembleSampler(Sampler):
    """emcee's moves on a model of real coordinates: the chains are the walkers of one ensemble.

    All chains run at one beta, and their number is even, at least 4 and at least 2 dim. They must
    start from different points that span the space: start="random" does. One sweep is one move of
    every walker.

    Parameters
    ----------
    moves : emcee move, or list of moves or (move, weight), optional
        Of each sweep one is drawn, by weight. Default: ``emcee.moves.StretchMove()``. A chain can
        be saved where they are emcee's StretchMove, DEMove, WalkMove or KDEMove. Moves that keep
        something from one sweep to the next begin each sweep as they were given: a run stopped and
        resumed is then the same run.

    Info holds "acceptance", the part of its proposals that a walker took.

    Raises
    ------
    InvalidInput
        For what is no move, weights that are not positive, ``GaussianMove(mode="sequential")``,
        which counts sweeps, and ``DESnookerMove`` of emcee up to 3.1.6, which samples another law.

    >>> from statmech_ml import sample
    >>> from statmech_ml.models import Rosenbrock
    >>> chain = sample(Rosenbrock(), EnsembleSampler(), beta=1.0, n_chains=16, n_draws=20, rng=1)
    >>> chain.states.shape
    (16, 20, 2)
    """

    moves: Any = None

    coupled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.moves is None:
            return
        given = self.moves
        if hasattr(given, "propose") or not isinstance(given, Iterable):
            given = (given,)
        entries = tuple(_entry(entry) for entry in given)
        if not entries:
            raise InvalidInput("moves is empty. Leave it out for the stretch move.")
        object.__setattr__(self, "moves", entries)

    @property
    def stream(self) -> str:  # type: ignore[override]
        """emcee decides which numbers it draws, and in which order: its version is part of it."""
        return f"ensemble/emcee-{metadata.version('emcee')}/philox4x32-10/mt19937/1"

    def check(self, model: EnergyModel) -> None:
        """Raise InvalidInput unless the model has real coordinates."""
        if not isinstance(model.space, Reals):
            raise InvalidInput(
                f"EnsembleSampler moves walkers along lines in a space of real coordinates, but "
                f"{model!r} lives on {model.space!r}. Use HeatBath, Metropolis or BlockGibbs."
            )

    def init(self, model: EnergyModel, n_chains: int, seed: int, start: Any = "random") -> State:
        """The state before the first sweep; InvalidInput for too few walkers."""
        _check_number(n_chains, int(model.space.size))
        return super().init(model, n_chains, seed, start)

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` sweeps of the ensemble at beta (chain,), all equal."""
        import emcee

        n_walkers, dim = state.x.shape
        _check_number(n_walkers, dim)
        beta = np.asarray(beta, np.float64)
        if (beta != beta[0]).any():
            raise InvalidInput(
                f"EnsembleSampler was given betas from {beta.min():g} to {beta.max():g}, but its "
                "walkers are one ensemble at one beta: each proposes from the law of the others. "
                "Run one beta at a time, or use ReplicaExchange(MALA())."
            )
        built = [(_made(entry), entry[1]) for entry in self.moves or (("StretchMove", 1.0, ()),)]
        if any(isinstance(move, emcee.moves.RedBlueMove) for move, _ in built):
            _check_span(state.x)
        weights = np.array([weight for _, weight in built])

        def log_probability(x: np.ndarray) -> tuple[np.ndarray, None]:
            """What emcee calls of proposals: -u, or -inf outside the energy's domain; no blobs."""
            found, inside = np.full(len(x), -np.inf), np.isfinite(x).all(axis=1)
            if inside.any():
                found[inside] = -np.asarray(model.reduced_energy(x[inside], beta[0]))
            return np.where(np.isnan(found), -np.inf, found), None

        with np.errstate(all="ignore"):  # emcee subtracts energies, which may be infinite
            walkers = emcee.State(state.x.copy(), log_prob=log_probability(state.x)[0])
            taken = np.zeros(n_walkers)
            for t in range(state.sweep, state.sweep + n_sweeps):
                # A generator of its own for each sweep, from the stream of the first walker.
                words = _rng.words(state.seed, state.chains[:1], t, _rng.ENSEMBLE, 0, _WORDS)
                random = np.random.RandomState(words[0])
                chosen = random.choice(len(built), p=weights / weights.sum())
                move = copy.deepcopy(built[chosen][0])
                about = emcee.model.Model(log_probability, log_probability, map, random)
                walkers, accepted = move.propose(about, walkers)
                taken += accepted
        return advanced(state, walkers.coords, n_sweeps), {"acceptance": taken / max(1, n_sweeps)}


def _entry(given: Any) -> tuple[Any, ...]:
    """(name, weight, settings) of a move that is its settings, (move, weight) of another one."""
    from emcee import moves

    if isinstance(given, tuple | list) and len(given) == 3:  # as stored
        name, weight, settings = given
        if name not in _SETTINGS:
            raise InvalidInput(f"The move {name!r} is none of {', '.join(_SETTINGS)}.")
        return name, _weight(weight), tuple((key, value) for key, value in settings)
    move, weight = given if isinstance(given, tuple | list) and len(given) == 2 else (given, 1.0)
    if isinstance(move, type) or not isinstance(move, moves.Move):
        raise InvalidInput(
            f"{move!r} is no move of emcee. Give an instance, e.g. emcee.moves.DEMove(), or a list "
            "of (move, weight)."
        )
    if isinstance(move, moves.DESnookerMove) and _version() <= _SNOOKER_IS_WRONG:
        raise InvalidInput(
            f"DESnookerMove of emcee {metadata.version('emcee')} samples another law than the "
            "model's: its direction is no unit vector (emcee's pull request 531). Use DEMove, or a "
            "later emcee."
        )
    if getattr(getattr(move, "get_proposal", None), "mode", None) == "sequential":
        raise InvalidInput(
            "GaussianMove(mode='sequential') counts its sweeps inside the move, so a resumed run "
            "would be another run. Use mode='random', which visits every coordinate as often."
        )
    name = type(move).__name__
    if name in _SETTINGS and type(move) is getattr(moves, name):
        settings = tuple((key, getattr(move, key)) for key in (*_SETTINGS[name], *_OF_ALL))
        if all(value is None or isinstance(value, bool | int | float) for _, value in settings):
            return name, _weight(weight), settings
    return move, _weight(weight)


def _made(entry: tuple[Any, ...]) -> Any:
    """The move of an entry."""
    import emcee

    if len(entry) == 2:
        return entry[0]
    return getattr(emcee.moves, entry[0])(**dict(entry[2]))


def _weight(weight: Any) -> float:
    try:
        found = float(weight)
    except (TypeError, ValueError):
        found = -1.0
    if not 0.0 < found < np.inf:
        raise InvalidInput(
            f"The weight {weight!r} of a move must be a positive number; leave out moves that are "
            "never to be made."
        )
    return found


def _version() -> tuple[int, ...]:
    """emcee's version as numbers; a later part that is none ends it."""
    parts = metadata.version("emcee").split(".")[:3]
    return tuple(int(part) for part in parts if part.isdecimal())


def _check_number(n_walkers: int, dim: int) -> None:
    """InvalidInput for fewer walkers than the moves of an ensemble need, or an odd number."""
    least = max(_FEWEST, 2 * dim)
    if n_walkers % 2 or n_walkers < least:
        raise InvalidInput(
            f"EnsembleSampler was given {n_walkers} chains in {dim} dimensions. Its walkers move "
            f"in two halves, each along the other, so their number is even and at least {least}: "
            f"give n_chains={max(32, 2 * least)}, for example."
        )


def _check_span(x: np.ndarray) -> None:
    """InvalidInput for walkers in a subspace, which moves along their differences never leave."""
    away = x - x.mean(axis=0)
    rank = np.linalg.matrix_rank(away / np.maximum(np.abs(away).max(axis=0), 1e-300))
    if rank < x.shape[1]:
        raise InvalidInput(
            f"The {len(x)} walkers span {rank} of {x.shape[1]} dimensions, and moves along their "
            "differences never leave those. Start them from different points, such as "
            "start='random' or an array (chain, dim) with some noise."
        )
