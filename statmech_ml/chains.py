"""`sample`: run a sampler on a model; `Chain`: what comes out.

Chains are a batch axis and draws the next one, so every series is ``(chain, draw)`` and
configurations are ``(chain, draw, size)``. A chain's `final` state continues bit for bit: the run
of 1000 draws and the run of 400 continued for 600 are the same run.
"""

import hashlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from . import _rng, observables, samplers
from .errors import EquilibrationWarning, InvalidInput, ShortChain, StoreError
from .samplers import HeatBath, Sampler, State
from .spaces import Spins
from .statistics import Estimate, drift_z, mean, split_r_hat
from .systems import EnergyModel

FORMAT = "statmech-ml chain 1"

# The equilibration warning: R-hat above 1.1, or a drift that equilibrium shows once in 3.5 million
# runs.
MAX_R_HAT = 1.1
MAX_DRIFT = 5.0
_MIN_DRAWS = 50  # shorter chains are not judged

BUILT_IN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "magnetization": observables.magnetization,
    "abs_magnetization": lambda states: np.abs(observables.magnetization(states)),
}
"""Observables that `sample` knows by name; totals, float64 (chain,)."""


@dataclass(frozen=True)
class Chain:
    """Draws of a run, their observables, and the state that continues it.

    Attributes
    ----------
    energy : float64 (chain, draw)
        Total energy E(x) of each draw (an RBM's is its free energy F_1(v)).
    states : (chain, draw, size) or None
        Configurations in the dtype of the space; None with ``keep_states=False``.
    beta : float64 (chain,)
    observables : dict of (chain, draw, ...)
        What was measured on the way; spins always have "magnetization" (totals).
    info : dict of (chain, draw)
        What the sampler watched: acceptance rates, cluster sizes.
    final : State
        Give it as ``start=`` to continue.
    sampler : Sampler
        With the settings that the warm-up arrived at.
    n_sites : int
    thin : int
        Sweeps between draws.
    provenance : dict
        Versions, seed, stream id, model and sampler.
    interrupted : bool
        Whether the run was stopped by the keyboard before its last draw.
    """

    energy: np.ndarray
    states: np.ndarray | None
    beta: np.ndarray
    final: State
    sampler: Sampler
    n_sites: int
    thin: int = 1
    observables: Mapping[str, np.ndarray] = field(default_factory=dict)
    info: Mapping[str, np.ndarray] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return len(self.beta)

    @property
    def n_draws(self) -> int:
        """Draws per chain."""
        return self.energy.shape[1]

    def at(self, beta: float) -> "Chain":
        """The chains that ran at this beta. Raises InvalidInput if none did."""
        chosen = np.isclose(self.beta, beta, rtol=1e-12, atol=0.0)
        if not chosen.any():
            raise InvalidInput(
                f"No chain ran at beta={beta!r}; there are {np.unique(self.beta).tolist()}."
            )

        def pick(series: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[chosen] for name, values in series.items()}

        return replace(
            self,
            energy=self.energy[chosen],
            states=None if self.states is None else self.states[chosen],
            beta=self.beta[chosen],
            final=self.final._replace(x=self.final.x[chosen], chains=self.final.chains[chosen]),
            sampler=self.sampler.of_chains(chosen),
            observables=pick(self.observables),
            info=pick(self.info),
        )

    def estimate(self, name: str, on_short: Any = "raise") -> Estimate:
        """An observable or derived quantity with its error, over all chains.

        Parameters
        ----------
        name : str
            "energy_per_site", "specific_heat", "magnetization", "abs_magnetization",
            "susceptibility", "binder" (see `statmech_ml.observables`), "energy", or the name of a
            scalar observable given to `sample`.
        on_short : "raise" or "accept"
            What to do when the chain is too short for its autocorrelation time: raise ShortChain
            (which carries the estimate so far), or accept a conservative answer.

        Raises
        ------
        InvalidInput
            For an unknown name, and for chains at different betas (choose with `at`).
        ShortChain
            When the error cannot be trusted.
        """
        if name == "energy":
            self._require_one_beta(name)
            return mean(self.energy, on_short=on_short)
        if name in observables.DERIVED:
            if name != "energy_per_site" or len(np.unique(self.beta)) > 1:
                self._require_one_beta(name)
            return observables.estimate(
                name,
                energy=self.energy,
                magnetization=self.observables.get("magnetization"),
                beta=float(self.beta[0]),
                n_sites=self.n_sites,
                on_short=on_short,
            )
        if name in self.observables:
            self._require_one_beta(name)
            series = self.observables[name]
            if series.ndim != 2:
                raise InvalidInput(
                    f"{name!r} has shape {series.shape} and is no scalar series. Choose a "
                    f"component: statistics.mean(chain.observables[{name!r}][..., 0])."
                )
            return mean(series, on_short=on_short)
        known = sorted({"energy", *observables.DERIVED, *self.observables})
        raise InvalidInput(f"{name!r} is unknown. There are {', '.join(known)}.")

    def _require_one_beta(self, name: str) -> None:
        if len(np.unique(self.beta)) > 1:
            raise InvalidInput(
                f"The chains ran at {len(np.unique(self.beta))} different betas, so {name!r} has "
                "no one value. Choose one: chain.at(beta).estimate(...)."
            )

    def to_arviz(self) -> Any:
        """An arviz InferenceData: energy and observables as posterior, info as sample_stats."""
        import arviz

        series = {"energy": self.energy, **self.observables}
        return arviz.from_dict(
            posterior=series,
            sample_stats=dict(self.info) or None,
            attrs={"provenance": json.dumps(dict(self.provenance)), "beta": self.beta.tolist()},
        )

    def save(self, path: str | Path) -> None:
        """Write everything to a zarr store; appears under its name only when complete.

        Raises StoreError if the path exists or cannot be written.
        """
        import zarr

        target = Path(path)
        if target.exists():
            raise StoreError(f"{target} exists. Choose another name, or remove it first.")
        partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
        arrays: dict[str, np.ndarray] = {"energy": self.energy, "beta": self.beta}
        if self.states is not None:
            arrays["states"] = self.states
        arrays |= {"final/x": self.final.x, "final/chains": self.final.chains}
        arrays |= {f"observables/{name}": values for name, values in self.observables.items()}
        arrays |= {f"info/{name}": values for name, values in self.info.items()}
        arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        try:
            group = zarr.open_group(partial, mode="w")
            for name, values in arrays.items():
                group.create_array(name, data=values)
            group.attrs.update(
                format=FORMAT,
                checksums={name: _checksum(values) for name, values in arrays.items()},
                sampler={"name": type(self.sampler).__name__, "settings": asdict(self.sampler)},
                seed=str(self.final.seed),
                sweep=self.final.sweep,
                n_sites=self.n_sites,
                thin=self.thin,
                provenance=dict(self.provenance),
                interrupted=self.interrupted,
            )
            partial.rename(target)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error}.") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @classmethod
    def load(cls, path: str | Path) -> "Chain":
        """Read what `save` wrote. Raises StoreError for anything else."""
        import zarr

        try:
            group: Any = zarr.open_group(Path(path), mode="r")
            about: Any = dict(group.attrs)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise StoreError(f"{path} is not a readable zarr store: {error}.") from error
        if about.get("format") != FORMAT:
            raise StoreError(
                f"{path} is no saved chain: its format is {about.get('format')!r}, not {FORMAT!r}."
            )
        try:
            kind = getattr(samplers, about["sampler"]["name"])
            settings = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in about["sampler"]["settings"].items()
            }

            arrays = {name: group[name][:] for name in about["checksums"]}
            for name, checksum in about["checksums"].items():
                # zarr reads a chunk that is missing as zeros.
                if _checksum(arrays[name]) != checksum:
                    raise StoreError(f"{path} is damaged: {name} does not match its checksum.")

            def members(folder: str) -> dict[str, np.ndarray]:
                return {
                    name.removeprefix(f"{folder}/"): values
                    for name, values in arrays.items()
                    if name.startswith(f"{folder}/")
                }

            final = members("final")
            return cls(
                energy=arrays["energy"],
                states=arrays.get("states"),
                beta=arrays["beta"],
                final=State(final["x"], int(about["seed"]), final["chains"], about["sweep"]),
                sampler=kind(**settings),
                n_sites=about["n_sites"],
                thin=about["thin"],
                observables=members("observables"),
                info=members("info"),
                provenance=about["provenance"],
                interrupted=about["interrupted"],
            )
        except (KeyError, AttributeError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}.") from error


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
        "magnetization".
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
        Before any work starts.

    Warns
    -----
    EquilibrationWarning
        When chains at one beta disagree (split R-hat > 1.1), drift, or never move.

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
    betas = _betas(beta, temperature, n_chains if not continuing else len(start.x))
    for name, value, least in [("n_draws", n_draws, 1), ("thin", thin, 1)]:
        _check_count(name, value, least)
    if burn_in is None:
        burn_in = 0 if continuing else max(10, n_draws * thin // 5)
    _check_count("burn_in", burn_in, 0)
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
        with _progress(n_draws, progress) as tick:
            while done < n_draws:
                new, watched = sampler.advance(model, state, betas, thin, device)
                energy[:, done] = model.energy(new.x)
                for name, f in measured.items():
                    series[name][:, done] = f(new.x)
                for name, values in watched.items():
                    info.setdefault(name, np.empty((len(betas), n_draws)))[:, done] = values
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
    )
    _warn_unless_equilibrated(chain)
    return chain


def _checksum(values: np.ndarray) -> str:
    about = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.sha256(about + values.tobytes()).hexdigest()


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


def _betas(beta: Any, temperature: Any, n_chains: int | None) -> np.ndarray:
    if (beta is None) == (temperature is None):
        given = "neither" if beta is None else "both"
        raise InvalidInput(f"Give one of beta= and temperature=; {given} was given.")
    name, value = ("beta", beta) if temperature is None else ("temperature", temperature)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}={value!r} is not a number or an array of numbers.") from error
    if array.ndim > 1 or array.size == 0:
        raise InvalidInput(f"{name} has shape {array.shape}; give a number or one per chain.")
    if (
        not np.isfinite(array).all()
        or (array < 0).any()
        or (name == "temperature" and (array == 0).any())
    ):
        raise InvalidInput(
            f"{name}={value!r} cannot work: temperatures are positive and finite (infinite "
            "temperature is allowed as beta=0). For an antiferromagnet, turn the sign of the "
            "coupling."
        )
    if n_chains is None:
        n_chains = array.size if array.ndim else 4
    _check_count("n_chains", n_chains, 1)
    if array.ndim and array.size != n_chains:
        raise InvalidInput(f"{name} has {array.size} entries for {n_chains} chains.")
    with np.errstate(over="ignore"):
        betas = array if name == "beta" else 1.0 / array
    if not np.isfinite(betas).all():
        raise InvalidInput(f"temperature={value!r} is too small: 1 / temperature overflows.")
    return np.ascontiguousarray(np.broadcast_to(betas, n_chains))


def _check_count(name: str, value: Any, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of at least {least}.")


def _measured(model: Any, asked: Mapping[str, Any] | None) -> dict[str, Callable[..., Any]]:
    """Name -> function of the observables to measure."""
    chosen: dict[str, Callable[..., Any]] = {}
    if isinstance(model.space, Spins):
        chosen["magnetization"] = BUILT_IN["magnetization"]
    for name, f in (asked or {}).items():
        if name == "energy":
            raise InvalidInput("The energy is always measured; give the observable another name.")
        if not isinstance(name, str) or not name or "/" in name:
            raise InvalidInput(f"An observable cannot be called {name!r}: a word without a slash.")
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
    value = np.asarray(f(x))
    if value.ndim == 0 or len(value) != len(x):
        raise InvalidInput(
            f"The observable {name!r} returned shape {value.shape} for {len(x)} configurations; it "
            f"must return one entry per chain, ({len(x)}, ...)."
        )
    return np.empty((len(x), n_draws, *value.shape[1:]), np.result_type(value.dtype, np.float64))


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


def _warn_unless_equilibrated(chain: Chain) -> None:
    """Compare chains that ran at one beta, and the beginning of each with its end."""
    if chain.n_draws < _MIN_DRAWS:
        return
    complaints = []
    if "acceptance" in chain.info:
        stuck = int((chain.info["acceptance"].sum(axis=1) == 0).sum())
        if stuck:
            complaints.append(f"{stuck} of {chain.n_chains} chains never moved (never_moved)")
    for beta in np.unique(chain.beta):
        energies = chain.energy[chain.beta == beta]
        if not np.ptp(energies):
            continue  # a ground state does not fluctuate, and all chains share it
        r_hat = split_r_hat(energies) if len(energies) > 1 else 1.0
        if r_hat > MAX_R_HAT:
            complaints.append(
                f"at beta={beta:.6g} the chains disagree on the energy (R-hat {r_hat:.3g})"
            )
            continue
        try:
            drift = drift_z(energies)
        except (ShortChain, InvalidInput):
            continue  # too short, or too still, for a drift to be measured
        if abs(drift) > MAX_DRIFT:
            complaints.append(f"at beta={beta:.6g} the energy drifts ({drift:.1f} standard errors)")
    if complaints:
        warnings.warn(
            "; ".join(complaints) + ". Burn in longer, or use a sampler that mixes faster.",
            EquilibrationWarning,
            stacklevel=3,
        )


@contextmanager
def _progress(total: int, wanted: bool | None) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, nothing in a pipe."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sampling", total=total)
        yield lambda: bar.advance(task)
