"""What Wolff and Swendsen-Wang share: the requirements and the bond probabilities."""

from typing import Any

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Spins
from ..systems import EnergyModel, require


def check_clusterable(model: EnergyModel, sampler: str) -> None:
    """Raise MissingCapability or InvalidInput unless clusters of this model flip freely."""
    require(model, "Clusterable", sampler, "Use HeatBath or Metropolis.")
    if not isinstance(model.space, Spins):
        raise InvalidInput(
            f"{sampler} flips spins in {{-1, +1}}, but the states of {model!r} are "
            f"{type(model.space).__name__}. Use HeatBath or Metropolis."
        )
    obstacle = getattr(model, "cluster_obstacle", None)
    if obstacle:
        raise InvalidInput(f"{sampler} {obstacle}")


def bond_limits(model: Any, beta: np.ndarray) -> np.ndarray:
    """Thresholds uint64 (chain, n_links) of 1 - exp(-beta * link), link = 2 |J| for Ising bonds."""
    return _rng.thresholds(-np.expm1(-np.asarray(beta)[:, None] * model.arrays.links))
