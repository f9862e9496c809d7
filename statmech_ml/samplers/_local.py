"""What HeatBath and Metropolis share: the requirement, and a trial of a user's `delta_energy`."""

import re
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from .._jit import _foreign_classes, kernel
from ..errors import InvalidInput
from ..models import Ising
from ..systems import EnergyModel, delta_reduced_energy, reduced_energy, require

_TRIALS = 8
_TOLERANCE = 1e-8  # relative to the largest energy met


def check_local(model: EnergyModel, sampler: str) -> None:
    """Raise MissingCapability unless Local, InvalidInput where a user's delta_energy is wrong."""
    require(model, "Local", sampler, "Use BlockGibbs for RBMs, MALA for continuous states.")
    # Models shipped here have their tests; and a large lattice need not build its table for this.
    if not isinstance(model, Ising):
        _try_changes(model)


def _try_changes(model: Any) -> None:
    """Compare a few changes with differences of energies, for models written elsewhere."""
    if not _foreign_classes(model.arrays):
        return
    name = type(model.arrays).__name__
    reduced = hasattr(model.arrays, "delta_reduced_energy")
    method = "delta_reduced_energy" if reduced else "delta_energy"
    x = model.space.random(0, np.arange(_TRIALS, dtype=np.uint32))
    sites = np.linspace(0, model.space.size - 1, _TRIALS).astype(np.int64)
    old = x[np.arange(_TRIALS), sites]
    rank = np.searchsorted(model.space.values, old)
    values = model.space.values[(rank + 1) % model.space.n_values]
    found = np.empty((_TRIALS, 3))
    try:
        _changes(model.arrays, x, sites, values, found)
    except (NumbaError, AttributeError, NameError) as error:
        told = re.search(r"(Unknown attribute|.* has no attribute|name) '.*", str(error))
        raise InvalidInput(
            f"The methods of {name} do not compile: "
            f"{told.group().strip() if told else 'the compiler reports the place above'}. They may "
            "use the fields of the NamedTuple, the methods that systems lists, numbers and math. "
            "Correct the method, or declare the field."
        ) from error
    before, after, claimed = found.T
    known = np.isfinite(before)  # from a forbidden state every change is as good
    scale = max([1e-300, *np.abs(found[np.isfinite(found)])])
    with np.errstate(invalid="ignore"):
        right = (np.abs(after - before - claimed) <= _TOLERANCE * scale) | (
            np.isinf(after) & (after == claimed)
        )
    for k in np.flatnonzero(known & ~right)[:1]:
        raise InvalidInput(
            f"{name}.{method} does not belong to its energy: when site {sites[k]} turns from "
            f"{old[k]} to {values[k]}, it says {claimed[k]:.10g}, but the (reduced) energy "
            f"changes by {after[k] - before[k]:.10g} at beta = 1. A sampler would follow another "
            "distribution than the one it reports. Correct the method: it is E(x with "
            "x[site] = value) - E(x)."
        )


@kernel
def _changes(model, x, sites, values, found):
    """Reduced energies at beta = 1 before and after each change, and the change as claimed."""
    for k in range(x.shape[0]):
        found[k, 0] = reduced_energy(model, x[k], 1.0)
        found[k, 2] = delta_reduced_energy(model, x[k], sites[k], values[k], 1.0)
        x[k, sites[k]] = values[k]
        found[k, 1] = reduced_energy(model, x[k], 1.0)
