"""What Wolff and Swendsen-Wang share: the requirements and the bond probabilities."""

from typing import Any

import numpy as np

from .. import _rng
from .._jit import kernel
from ..errors import InvalidInput
from ..graphs import frustrated
from ..spaces import Levels, Spins
from ..systems import EnergyModel, link, require


def check_clusterable(model: EnergyModel, sampler: str) -> None:
    """Raise MissingCapability or InvalidInput unless clusters of this model flip freely."""
    require(model, "Clusterable", sampler, "Use HeatBath or Metropolis.")
    if not isinstance(model.space, Spins | Levels):
        raise InvalidInput(
            f"{sampler} moves clusters of spins in {{-1, +1}} or of levels 0, 1, ..., but the "
            f"states of {model!r} are {type(model.space).__name__}. Use HeatBath or Metropolis."
        )
    if hasattr(model, "cluster_obstacle"):
        obstacle = model.cluster_obstacle
    else:
        obstacle = obstacle_of_links(model)
    if obstacle:
        raise InvalidInput(f"{sampler} {obstacle}")


def obstacle_of_links(model: Any) -> str | None:
    """Why clusters of a model that says nothing itself do not flip freely, found by trying.

    The energy must be a constant minus the energies of the satisfied links, here in 32 states that
    include opposite ones (a field shows), and some state must satisfy all links. Links of levels
    must hold between equal values only.
    """
    x = model.space.random(0, np.arange(16, dtype=np.uint32))
    q = levels(model)
    x = np.concatenate([x, (x + 1) % q if q else -x]).astype(np.int8)
    signs = np.zeros(model.arrays.neighbours.shape, np.int8)
    satisfied = np.zeros(len(x))
    _read_links(model.arrays, x, signs, satisfied)
    energy = model.energy(x)
    total = energy + satisfied
    differs = max(np.ptp(total), np.abs(np.diff(energy.reshape(2, -1), axis=0)).max())
    if differs > 1e-9 * max(1.0, np.abs(total).max()):
        return (
            "needs an energy that is a constant minus the energies of the satisfied links, and the "
            f"same when all sites turn alike, but {model!r} differs from that by {differs:g} "
            "between some states: a field, or a link() that does not belong to energy(). Use "
            "HeatBath or Metropolis."
        )
    if q and (signs < 0).any():
        return (
            f"gives clusters one value, but some links of {model!r} are satisfied by unequal ones. "
            "Use HeatBath or Metropolis."
        )
    if frustrated(model.arrays.neighbours, signs):
        return (
            f"needs a state that satisfies all links, but {model!r} is frustrated: clusters would "
            "span the system. Use HeatBath or Metropolis."
        )
    return None


@kernel
def _read_links(model, x, signs, satisfied):
    """What satisfies each bond, 1 equal values or -1 not, and the energy of such bonds by state."""
    neighbours, links = model.neighbours, model.links
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            for k in range(neighbours.shape[1]):
                j = neighbours[i, k]
                if j >= 0:
                    which = link(model, x[b], i, k, x[b, i])
                    if which >= 0:
                        satisfied[b] += 0.5 * links[which]  # every bond is seen from both ends
                        if links[which] > 0.0:
                            equal = x[b, i] == x[b, j]
                            signs[i, k] = 1 if equal and signs[i, k] >= 0 else -1


def levels(model: Any) -> int:
    """The number of values of a site, which clusters then take at random; 0 for spins."""
    return 0 if isinstance(model.space, Spins) else int(model.space.n_values)


def bond_limits(model: Any, beta: np.ndarray) -> np.ndarray:
    """Thresholds uint64 (chain, n_links) of 1 - exp(-beta * link).

    A link is 2 |J| for Ising bonds, J for Potts bonds.
    """
    return _rng.thresholds(-np.expm1(-np.asarray(beta)[:, None] * model.arrays.links))
