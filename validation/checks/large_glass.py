"""A +-J glass of 32 x 32 spins at beta = 1, whose log Z is known exactly, as a trial of estimators.

A run whose status is not "ok" is counted and not compared; see `calibration`.
"""

from collections.abc import Callable
from functools import cache, partial

from statmech_ml.exact import planar
from statmech_ml.models import Ising
from statmech_ml.partition import LogZ, Tempering, ais, mbar, population_annealing
from validation.check import Check, Measurement, Mutant, derive_seed, identity

from .calibration import SHARE
from .exact_lattices import glass

_SIZE, _BETA = (32, 32), 1.0

_RUNS: dict[str, Callable[..., LogZ]] = {
    "ais": partial(ais, n_levels=4000, n_chains=200),
    "population annealing": partial(population_annealing, n_levels=400, n_chains=2048),
    "mbar, exchange": partial(
        mbar, exchange=True, n_levels=48, n_chains=16, n_draws=400, burn_in=100
    ),
}


@cache
def _results(seed: int, n: int) -> dict[str, list[LogZ]]:
    path = Tempering(glass(_SIZE, "open"), _BETA)
    return {
        name: [run(path, rng=derive_seed(seed, f"{name}, run {k}")) for k in range(n)]
        for name, run in _RUNS.items()
    }


def _glass(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    model = glass(_SIZE, "open")
    exact = float(planar.log_z(Ising(model.lattice, coupling=slip * model.coupling), _BETA))
    found = []
    for name, runs in _results(seed, scale).items():
        share = sum(run.ok for run in runs) / scale
        found.append(identity(f"{SHARE}{name}", share, 1.0, 1.0, scale))
        for run in runs:
            if run.ok:
                label = f"log Z, {name}"
                z = run.z(exact)
                found.append(Measurement(label, run.value, exact, run.stderr, 1, z))
    return found


CHECKS = (
    Check(
        "partition.glass-32x32",
        "AIS, population annealing and replica exchange with MBAR on an open 32 x 32 +-J glass at "
        "beta = 1 meet the exact log Z of its Pfaffian.",
        _glass,
        (Mutant("couplings 1% too large", partial(_glass, slip=1.01)),),
        tier="full",
    ),
)
