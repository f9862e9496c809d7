"""Which units are held and which stay free, where some visible units are given."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..spaces import Space


def split(space: Space, sites: Any, values: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(free, held, v): free sites in order, held sites as given, and their values, checked."""
    held = np.asarray(sites)
    if held.ndim != 1 or held.dtype.kind not in "iu" or not len(held):
        raise InvalidInput(
            f"sites={sites!r} must be numbers of visible units, (n_held,). From a mask: "
            "np.flatnonzero(mask)."
        )
    if held.min() < 0 or held.max() >= space.size or len(np.unique(held)) < len(held):
        raise InvalidInput(
            f"sites={sites!r} must be numbers from 0 to {space.size - 1}, each once: there are "
            f"{space.size} visible units."
        )
    if len(held) == space.size:
        raise InvalidInput(
            f"All {space.size} visible units are held, which leaves no model. Leave one free; the "
            "energy of a whole configuration is model.reduced_energy(v, beta)."
        )
    v = replace(space, size=len(held)).check(values, "values")
    if v.ndim != 1:
        raise InvalidInput(
            f"values has shape {v.shape}; one value for each of the {len(held)} sites is needed. "
            "Condition once for each set of values."
        )
    return np.setdiff1d(np.arange(space.size), held), held, v
