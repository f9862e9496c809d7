"""`Chain`: the draws of a run, what was measured on them, and the state that continues it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import observables
from ..errors import InvalidInput
from ..samplers import Sampler, State
from ..statistics import Estimate, mean
from . import betas, storage

_OF_BETA_ENERGY = ("energy_per_site", "specific_heat", "susceptibility")
"""Derived quantities whose formulas hold where the reduced energy is beta E."""


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
        What the sampler watched: acceptance rates, cluster sizes, swaps.
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
    boltzmann : bool
        Whether the model's reduced energy is beta E, as `sample` found on the configurations
        before and after the run. An RBM's is not.
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
    boltzmann: bool = True

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return len(self.beta)

    @property
    def n_draws(self) -> int:
        """Draws per chain."""
        return self.energy.shape[1]

    def at(self, beta: float) -> "Chain":
        """The chains that ran at this beta. Raises InvalidInput if none did.

        Betas that differ by rounding are one beta.
        """
        chosen = betas.at(self.beta, beta)

        def pick(series: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[chosen] for name, values in series.items()}

        return replace(
            self,
            energy=self.energy[chosen],
            states=None if self.states is None else self.states[chosen],
            beta=self.beta[chosen],
            final=self.final._replace(
                x=self.final.x[chosen],
                chains=self.final.chains[chosen],
                carried={name: values[chosen] for name, values in self.final.carried.items()},
            ),
            sampler=self.sampler.of_chains(chosen),
            observables=pick(self.observables),
            info=pick(self.info),
        )

    def estimate(self, name: str, on_short: Any = "raise") -> Estimate:
        """An observable or derived quantity with its error, over all chains.

        The walkers of an `EnsembleSampler` are one Markov chain together: their error comes from
        the series of ensemble means, and n, tau_int and ess count draws of the ensemble.

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
            For an unknown name, for chains at different betas (choose with `at`), and for a
            thermal quantity of a model whose reduced energy is not beta E.
        ShortChain
            When the error cannot be trusted.
        """
        if name == "energy":
            self._require_one_beta(name)
            return mean(self._series(self.energy), on_short=on_short)
        if name in observables.DERIVED:
            self._require_one_beta(name)
            if name in _OF_BETA_ENERGY and not self.boltzmann:
                raise InvalidInput(
                    f"{name!r} is derived for ensembles exp(-beta E), but this model's reduced "
                    "energy is not beta times its energy (an RBM's sums the hidden units out at "
                    "beta), so the formula would give another number. Sample a model where it is, "
                    "for an RBM rbm.joint(); estimate('energy') is the mean of model.energy."
                )
            return observables.estimate(
                name,
                energy=self.energy,
                magnetization=self.observables.get("magnetization"),
                beta=float(self.beta[0]),
                n_sites=self.n_sites,
                on_short=on_short,
                coupled=self.sampler.coupled,
            )
        if name in self.observables:
            self._require_one_beta(name)
            series = self.observables[name]
            if series.ndim != 2:
                means = ".mean(axis=0, keepdims=True)" if self.sampler.coupled else ""
                raise InvalidInput(
                    f"{name!r} has shape {series.shape} and is no scalar series. Choose a "
                    f"component: statistics.mean(chain.observables[{name!r}][..., 0]{means})."
                )
            return mean(self._series(series), on_short=on_short)
        known = sorted({"energy", *observables.DERIVED, *self.observables})
        raise InvalidInput(f"{name!r} is unknown. There are {', '.join(known)}.")

    def _series(self, series: np.ndarray) -> np.ndarray:
        """The Markov series (chain, draw) of an observable: one of means, where chains move along
        one another."""
        return series.mean(axis=0, keepdims=True) if self.sampler.coupled else series

    def _require_one_beta(self, name: str) -> None:
        different, _ = betas.groups(self.beta)
        if len(different) > 1:
            raise InvalidInput(
                f"The chains ran at {len(different)} different betas, so {name!r} has no one "
                "value. Choose one: chain.at(beta).estimate(...)."
            )

    def to_arviz(self) -> Any:
        """An arviz InferenceData: energy and observables as posterior, info as sample_stats.

        arviz takes the walkers of an `EnsembleSampler` for independent chains, as it does those of
        emcee itself: its errors and R-hat are not those of the ensemble, `estimate` has these.
        """
        import arviz

        series = {"energy": self.energy, **self.observables}
        return arviz.from_dict(
            posterior=series,
            sample_stats=dict(self.info) or None,
            attrs={"provenance": json.dumps(dict(self.provenance)), "beta": self.beta.tolist()},
        )

    def save(self, path: str | Path) -> None:
        """Write everything to a zarr store; appears under its name only when complete.

        Raises StoreError if the path exists or cannot be written, or if the sampler has settings
        that cannot be stored; InvalidInput for series that cannot be stored.
        """
        storage.write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, samplers: Mapping[str, type[Sampler]] | None = None) -> "Chain":
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
        samplers : dict, optional
            Name -> class of samplers of your own that made the chain. Loading never imports code:
            only the samplers of this package are known without being given.

        Raises
        ------
        StoreError
            For anything else, for a damaged store, and for a sampler that is not known.
        """
        return cls(**storage.read(Path(path), samplers or {}))
