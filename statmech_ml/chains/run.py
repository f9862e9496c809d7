"""`sample`: validate, burn in, draw and measure."""

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np

from .. import _rng
from .. import observables as observables_
from ..errors import InvalidInput
from ..samplers import HeatBath, Sampler, State
from ..spaces import Spins
from ..systems import EnergyModel
from . import betas as betas_
from . import storage
from .chain import Chain
from .equilibration import warn_of_heat, warn_unless_equilibrated
from .progress import progress as progress_bar

BUILT_IN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "magnetization": observables_.magnetization,
    "abs_magnetization": lambda states: np.abs(observables_.magnetization(states)),
}
"""Observables that `sample` knows by name; totals, float64 (chain,)."""

_RESERVED = frozenset({"energy", *observables_.DERIVED, *BUILT_IN})
_EXAMPLE = "e.g. observables={'first': lambda x: x[:, 0]}"


def sample(
    model: EnergyModel,
    sampler: Sampler | None = None,
    *,
    n_draws: int,
    beta: Any = None,
    temperature: Any = None,
    n_chains: int | None = None,
    burn_in: int | None = None,
    thin: int = 1,
    start: Any = "random",
    rng: Any = None,
    observables: Mapping[str, Any] | None = None,
    keep_states: bool = True,
    device: str = "cpu",
    progress: bool | None = None,
) -> Chain:
    """Run Markov chains of a model.

    Parameters
    ----------
    model : EnergyModel
    sampler : Sampler, default HeatBath()
    n_draws : int
        Draws kept per chain.
    beta, temperature : float or array (chain,)
        One of the two; beta = 1 / temperature, k_B = 1, in units of the coupling. A number serves
        all chains.
    n_chains : int
        Default: as many as there are betas, or 4.
    burn_in : int
        Sweeps discarded first, in which samplers that adapt do so. Default: a fifth of the sweeps
        that are kept, at least 10; none when continuing.
    thin : int
        Sweeps between draws.
    start : "random", "ordered", array, or State
        ``chain.final`` of an earlier chain continues its stream; then rng= is an error.
    rng : int or numpy Generator
        The seed. There is no default.
    observables : dict
        Name -> function of the configurations (chain, size), returning (chain, ...), or one of
        "magnetization", "abs_magnetization". Measured at every draw; spins always get
        "magnetization". Names that `Chain.estimate` gives a meaning are taken.
    keep_states : bool
        Whether to keep the configurations.
    device : "cpu" or "cuda"
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    Chain
        After a keyboard interrupt, what was done by then.

    Raises
    ------
    InvalidInput, MissingCapability
        Before any work starts; later only when an observable changes its shape on the way.

    Warns
    -----
    EquilibrationWarning
        When chains at one beta disagree (split R-hat > 1.1), drift, or never move, and when chains
        without accept/reject diverge.
    EffectiveTemperatureWarning
        Before the run, when step and noise of a Langevin sampler imply another temperature; after
        it, when the noise of minibatches raised the temperature by more than 5%, or batches of one
        row could not tell.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> chain = sample(Ising(lattices.square(8)), beta=0.3, n_chains=2, n_draws=300, rng=1)
    >>> chain.energy.shape
    (2, 300)
    """
    given: Any = HeatBath() if sampler is None else sampler
    if not isinstance(given, Sampler):
        raise InvalidInput(f"{given!r} is no sampler. Give an instance, e.g. HeatBath().")
    sampler = given
    continuing = isinstance(start, State)
    seed = _check_stream(start, rng)
    if n_chains is not None:
        n_chains = _count("n_chains", n_chains, 1)
    given_chains = len(start.x) if continuing else n_chains
    betas = betas_.from_arguments(beta, temperature, given_chains)
    n_draws, thin = _count("n_draws", n_draws, 1), _count("thin", thin, 1)
    if burn_in is None:
        burn_in = 0 if continuing else max(10, n_draws * thin // 5)
    burn_in = _count("burn_in", burn_in, 0)
    if continuing and n_chains is not None and n_chains != len(start.x):
        raise InvalidInput(f"n_chains={n_chains}, but start= holds {len(start.x)} chains.")
    if device not in ("cpu", "cuda"):
        raise InvalidInput(f"device={device!r} must be 'cpu' or 'cuda'.")
    if device not in sampler.devices:
        raise InvalidInput(
            f"{type(sampler).__name__} does not run on {device!r}, only on "
            f"{', '.join(sampler.devices)}."
        )
    sampler.check(model)
    measured = _measured(model, observables)
    state = start if continuing else sampler.init(model, len(betas), seed, start)
    state = state._replace(x=model.space.check(state.x, "start"))
    if state.sweep + burn_in + n_draws * thin >= _rng.MAX_SWEEP:
        raise InvalidInput(
            f"{burn_in + n_draws * thin} sweeps after {state.sweep} leave the stream, which holds "
            f"{_rng.MAX_SWEEP}. Start a new one: start=chain.final.x with another rng=."
        )
    provenance = _provenance(model, state.seed, device)
    boltzmann = _is_boltzmann(model, state.x, betas)
    series = {name: _allocate(name, f, state.x, n_draws) for name, f in measured.items()}

    sampler, state = (
        sampler.warm_up(model, state, betas, burn_in, device) if burn_in else (sampler, state)
    )
    energy = np.empty((len(betas), n_draws))
    shape = (len(betas), n_draws, *state.x.shape[1:])
    states = np.empty(shape, state.x.dtype) if keep_states else None
    info: dict[str, np.ndarray] = {}
    done = 0
    interrupted = False
    try:
        with progress_bar(n_draws, progress, "sampling") as tick:
            while done < n_draws:
                new, watched = sampler.advance(model, state, betas, thin, device)
                energy[:, done] = model.energy(new.x)
                for name, f in measured.items():
                    _record(name, f, new.x, series[name], done)
                for name, values in watched.items():
                    if name not in info:
                        info[name] = np.empty((len(betas), n_draws), np.asarray(values).dtype)
                    info[name][:, done] = values
                if states is not None:
                    states[:, done] = new.x
                state, done = new, done + 1
                tick()
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    chain = Chain(
        energy=energy[:, :done],
        states=None if states is None else states[:, :done],
        beta=betas,
        final=state,
        sampler=sampler,
        n_sites=int(model.space.size),
        thin=thin,
        observables={name: values[:, :done] for name, values in series.items()},
        info={name: values[:, :done] for name, values in info.items()},
        provenance=provenance | {"sampler": repr(sampler), "stream": sampler.stream},
        interrupted=interrupted,
        boltzmann=boltzmann and _is_boltzmann(model, state.x, betas),
    )
    warn_unless_equilibrated(chain)
    warn_of_heat(chain)
    return chain


def _check_stream(start: Any, rng: Any) -> int:
    if isinstance(start, State):
        if rng is not None:
            raise InvalidInput(
                "rng= together with start=chain.final: the final state carries its own stream and "
                "would ignore rng. Leave rng= out to continue, or give start=chain.final.x for a "
                "new stream."
            )
        return start.seed
    return _rng.seed_from(rng)


def _count(name: str, value: Any, least: int) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of at least {least}.")
    return int(value)


def _is_boltzmann(model: EnergyModel, x: np.ndarray, betas: np.ndarray) -> bool:
    """Whether the reduced energy of the configurations x is beta E, at `betas` and at half of them.

    One beta would not tell: an RBM's reduced energy is beta E at beta = 1 and nowhere else.
    """
    with np.errstate(all="ignore"):
        energy = np.asarray(model.energy(x))
        possible = np.isfinite(energy)
        for beta in (betas, np.where(betas > 0.0, 0.5 * betas, 0.5)):
            expected = (beta * energy)[possible]
            found = np.asarray(model.reduced_energy(x, beta))[possible]
            scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
            if not np.allclose(found, expected, rtol=1e-9, atol=1e-9 * scale):
                return False
    return True


def _measured(model: Any, asked: Mapping[str, Any] | None) -> dict[str, Callable[..., Any]]:
    """Name -> function of the observables to measure."""
    chosen: dict[str, Callable[..., Any]] = {}
    if isinstance(model.space, Spins):
        chosen["magnetization"] = BUILT_IN["magnetization"]
    if asked is not None and not isinstance(asked, Mapping):
        raise InvalidInput(
            f"observables={asked!r} is no dict: each observable needs a name. Give name -> "
            f"function, {_EXAMPLE}."
        )
    for name, f in (asked or {}).items():
        storage.check_name(name)
        if name in _RESERVED and not (name in BUILT_IN and isinstance(f, str) and f == name):
            raise InvalidInput(
                f"The name {name!r} is taken: chain.estimate({name!r}) has a meaning of its own, "
                f"which this observable would change. Call it something else, {_EXAMPLE}."
            )
        if isinstance(f, str):
            if f not in BUILT_IN:
                raise InvalidInput(
                    f"The observable {f!r} is unknown. Built in: {', '.join(BUILT_IN)}."
                )
            chosen[name] = BUILT_IN[f]
        elif callable(f):
            chosen[name] = _on_a_copy(f)
        else:
            raise InvalidInput(
                f"The observable {name!r} is {f!r}; give a function of the configurations "
                f"(chain, size) or one of {', '.join(BUILT_IN)}."
            )
    return chosen


def _on_a_copy(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of a copy: a user's function that changes its argument must not change the chain."""
    return lambda x: f(x.copy())


def _allocate(name: str, f: Callable[..., Any], x: np.ndarray, n_draws: int) -> np.ndarray:
    """Try the observable on the start and make room for its series."""
    value = _value(name, f, x, "the start")
    if value.ndim == 0 or len(value) != len(x):
        raise InvalidInput(
            f"The observable {name!r} returned shape {value.shape} for {len(x)} configurations; it "
            f"must return one entry per chain, ({len(x)}, ...)."
        )
    dtype = np.complex128 if value.dtype.kind == "c" else np.float64
    return np.empty((len(x), n_draws, *value.shape[1:]), dtype)


def _record(name: str, f: Callable[..., Any], x: np.ndarray, series: np.ndarray, draw: int) -> None:
    """Measure the observable and put it into its series."""
    value = _value(name, f, x, f"draw {draw}")
    slot = series[:, draw]
    if value.shape != slot.shape:
        raise InvalidInput(
            f"The observable {name!r} returned shape {value.shape} at draw {draw}, but "
            f"{slot.shape} at the start. A series needs one shape: return NaN for what is missing."
        )
    if value.dtype.kind == "c" and slot.dtype.kind != "c":
        raise InvalidInput(
            f"The observable {name!r} is complex at draw {draw}, but was real at the start. Return "
            "complex numbers from the start."
        )
    slot[...] = value


def _value(name: str, f: Callable[..., Any], x: np.ndarray, when: str) -> np.ndarray:
    result = f(x)
    try:
        value = np.asarray(result)
        if value.dtype.kind in storage.NUMBERS:
            return value
        problem = f"dtype {value.dtype}"
    except (TypeError, ValueError, RuntimeError) as error:  # ragged; tensors with a gradient
        problem = str(error).rstrip(".")
    raise InvalidInput(
        f"The observable {name!r} returned no array of numbers at {when}: {problem}. It must "
        f"return numbers, one entry per chain, ({len(x)}, ...)."
    )


def _provenance(model: Any, seed: int, device: str) -> dict[str, Any]:
    return {
        "model": repr(model),
        "seed": str(seed),
        "device": device,
        "versions": {name: _version(name) for name in ("statmech-ml", "numpy", "numba")},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a folder of sources that is not installed
        return "unknown"
