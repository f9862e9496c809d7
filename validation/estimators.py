"""The estimators of log Z with their settings, fixed beforehand, and the targets that each fits.

One set of settings serves all targets of an estimator, so that a table of verdicts compares them;
where a target needs more, the exception is written beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from statmech_ml import sample
from statmech_ml.partition import (
    LogZ,
    Path,
    ais,
    bar,
    crooks,
    importance_sampling,
    jarzynski,
    mbar,
    multiple_histogram,
    population_annealing,
    thermodynamic_integration,
    wang_landau,
)

from .check import derive_seed
from .targets import TARGETS, Target

Settings = dict[str, Any]


@dataclass(frozen=True)
class Estimator:
    """One estimator with its settings.

    Attributes
    ----------
    name : str
    run : callable
        ``run(path, rng=seed, **settings)`` -> LogZ.
    settings : dict
    targets : tuple of str
        Names in `TARGETS`.
    exceptions : dict
        Settings of single targets.
    starts : str
        Name of the argument that takes exact draws of the target, one per chain, where the
        estimator begins there.
    unbiased : bool
        Whether E[exp(value)] = Z, at any length of the run.
    quick : dict
        Settings of shorter runs, which easy targets allow.
    """

    name: str
    run: Callable[..., LogZ]
    settings: Settings
    targets: tuple[str, ...]
    exceptions: dict[str, Settings] = field(default_factory=dict)
    starts: str = ""
    unbiased: bool = False
    quick: Settings = field(default_factory=dict)

    def __call__(self, target: Target, seed: int, path: Path | None = None, **more: Any) -> LogZ:
        """One run on a target, or along another path to it with other settings (mutants)."""
        settings = self.settings | self.exceptions.get(target.name, {}) | more
        if self.starts:
            start = target.draw(derive_seed(seed, "start"), settings["n_chains"])
            settings |= {self.starts: start}
        return self.run(target.path if path is None else path, rng=seed, **settings)


ALL = tuple(TARGETS)
LATTICES = ("Ising 4x4 torus", "+-J glass 6x6", "Potts q=3 3x3")
TRAPS = ("stiffened trap", "dragged trap")
# A sweep of heat bath over sites in order is not its own reverse.
REVERSIBLE = tuple(name for name in ALL if TARGETS[name].path.sampler.reversible)


def histogram(path: Any, *, rng: int, n_levels: int, n_chains: int, n_draws: int) -> LogZ:
    """Lattice data at even steps in beta, from 0 to the target, as multiple histograms."""
    betas = np.tile(path.beta_at(np.linspace(0.0, 1.0, n_levels + 1)), n_chains)
    chain = sample(
        path.model, path.sampler, beta=betas, n_draws=n_draws, burn_in=100, rng=rng,
        keep_states=False, progress=False,
    )  # fmt: skip
    data = multiple_histogram(chain, reference=(0.0, path.log_z_reference))
    return data.log_z(path.beta)


_ANNEALED: Settings = {"n_levels": 200, "n_chains": 400}
_EQUILIBRIUM: Settings = {"n_levels": 16, "n_chains": 32, "n_draws": 100, "burn_in": 50}
_QUICK_ANNEALED: Settings = {"n_levels": 60, "n_chains": 200}
_QUICK_EQUILIBRIUM: Settings = {"n_levels": 8, "n_draws": 30, "burn_in": 20}

ESTIMATORS: dict[str, Estimator] = {
    estimator.name: estimator
    for estimator in (
        Estimator(
            "importance sampling",
            importance_sampling,
            {"n_chains": 50_000},
            ALL,
            # Far from their references; the shape of a tail takes many draws to be seen.
            {
                "Ising 4x4 torus": {"n_chains": 1_000_000},
                "Potts q=3 3x3": {"n_chains": 1_000_000},
                "RBM 16x8, tempered": {"n_chains": 1_000_000},
            },
            unbiased=True,
            quick={"n_chains": 200_000},
        ),
        Estimator("ais", ais, _ANNEALED, ALL, unbiased=True, quick=_QUICK_ANNEALED),
        Estimator(
            "ais, adaptive ladder",
            partial(ais, ladder="adaptive"),
            _ANNEALED,
            ALL,
            unbiased=True,
            quick=_QUICK_ANNEALED,
        ),
        Estimator(
            "ais, reverse",
            partial(ais, direction="reverse"),
            _ANNEALED,
            ALL,
            starts="start",
            quick=_QUICK_ANNEALED,
        ),
        Estimator(
            "population annealing",
            population_annealing,
            {"n_levels": 60, "n_chains": 1024},
            ALL,
            unbiased=True,
            quick={"n_levels": 20, "n_chains": 512},
        ),
        Estimator("jarzynski", jarzynski, _ANNEALED, TRAPS, unbiased=True, quick=_QUICK_ANNEALED),
        Estimator("crooks", crooks, {"n_levels": 50, "n_chains": 400}, REVERSIBLE, starts="start"),
        Estimator(
            "thermodynamic integration",
            thermodynamic_integration,
            _EQUILIBRIUM,
            ALL,
            quick=_QUICK_EQUILIBRIUM,
        ),
        Estimator("bar", bar, _EQUILIBRIUM, ALL, quick=_QUICK_EQUILIBRIUM),
        Estimator("mbar", mbar, _EQUILIBRIUM, ALL, quick=_QUICK_EQUILIBRIUM),
        Estimator(
            "mbar, exchange",
            partial(mbar, exchange=True),
            _EQUILIBRIUM,
            ALL,
            quick=_QUICK_EQUILIBRIUM | {"n_draws": 60},
        ),
        Estimator(
            "multiple histogram",
            histogram,
            {"n_levels": 8, "n_chains": 32, "n_draws": 200},
            LATTICES,
            quick={"n_levels": 5, "n_draws": 100},
        ),
        Estimator("wang-landau", wang_landau, {"n_chains": 32, "n_sweeps": 4000}, LATTICES),
    )
}
