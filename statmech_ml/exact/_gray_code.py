"""Energies of all states of a small discrete model, chunk by chunk.

Two-valued models with the capability `Local` are walked in Gray code, one flip and one energy
difference per state (F. Gray, US patent 2632058, 1953); all others are evaluated in batches.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from statmech_ml._jit import kernel
from statmech_ml.errors import InvalidInput
from statmech_ml.spaces import Discrete
from statmech_ml.systems import delta_energy, delta_reduced_energy, energy, reduced_energy

_WALK = 2**10  # states between two energies computed afresh
_CHUNK = 2**16  # states held at a time
# What a walk may be off, in units of the largest |energy| on it or of 1e-5 if that is smaller. 2^10
# additions make less than 2^10 roundings, 1.2e-13; the rest is for terms that cancel in `energy`.
_DRIFT = 1e-9


def stream(model: Any, space: Discrete, beta: float | None) -> Iterator[tuple[int, np.ndarray]]:
    """(index of first state, reduced energies) of successive chunks; energies for beta=None."""
    for first in range(0, space.n_states, _CHUNK):
        n = min(_CHUNK, space.n_states - first)
        yield first, chunk(model, space, first, n, beta)


def chunk(model: Any, space: Discrete, first: int, n: int, beta: float | None) -> np.ndarray:
    if _walkable(model, space, beta):
        out, x = np.empty(n), np.empty(space.size, np.int8)
        length = min(_WALK, n)
        if beta is None:
            wrong = _walk_energies(model.arrays, space.values, x, first, length, _DRIFT, out)
        else:
            wrong = _walk_reduced(model.arrays, beta, space.values, x, first, length, _DRIFT, out)
        if wrong >= 0:
            raise _contradiction(model, space, first + wrong, float(out[wrong]), beta)
        return out
    x = space.from_index(np.arange(first, first + n))
    return np.asarray(model.energy(x) if beta is None else model.reduced_energy(x, beta))


def _walkable(model: Any, space: Discrete, beta: float | None) -> bool:
    """Whether one flip changes the energy by a difference that the compiled model can tell."""
    if space.n_values != 2 or "Local" not in getattr(model, "capabilities", ()):
        return False
    if not hasattr(model, "arrays"):
        return False
    return beta is not None or hasattr(type(model.arrays), "delta_energy")


def _contradiction(
    model: Any, space: Discrete, index: int, summed: float, beta: float | None
) -> InvalidInput:
    """The error for a walk that added up to `summed` at a state, whose energy is another."""
    x = space.from_index(np.array([index]))
    right = float((model.energy(x) if beta is None else model.reduced_energy(x, beta))[0])
    of, change = "energy", "delta_energy"
    if beta is not None:
        of = f"reduced energy at beta={beta:g}"
        change += " (or delta_reduced_energy)"
    return InvalidInput(
        f"{model!r} contradicts itself: single flips lead to state {index} with {of} "
        f"{summed:.12g}, by the differences that {change} gives, but of that state it is "
        f"{right:.12g}. {change} must return E(after) - E(before) of setting x[site] to `value`: "
        "check its sign, its factor of 2 and which neighbours it counts."
    )


@kernel
def _walk_reduced(model, beta, values, x, first, length, drift, out):
    """Reduced energies of the states first, first + 1, ...; len(out) is a multiple of length.

    Returns the place in `out` of a sum that is off by more than `drift` of the largest, or -1.
    """
    for start in range(0, out.shape[0], length):
        for site in range(x.shape[0]):
            x[site] = values[((first + start) >> site) & 1]
        u = reduced_energy(model, x, beta)
        out[start] = u
        index = start
        largest = max(1e-5, abs(u)) if math.isfinite(u) else 1e-5
        for step in range(1, length):
            site = 0
            while (step >> site) & 1 == 0:
                site += 1
            value = values[1] if x[site] == values[0] else values[0]
            index ^= 1 << site
            u += delta_reduced_energy(model, x, site, value, beta)
            x[site] = value
            if not math.isfinite(u):  # there is no way back from a forbidden state by differences
                u = reduced_energy(model, x, beta)
            if math.isfinite(u):
                largest = max(largest, abs(u))
            out[index] = u
            judged = first + start == 0 or step & (step - 1) == 0 or step == length - 1
            if judged and abs(reduced_energy(model, x, beta) - u) > drift * largest:
                return index
    return -1


@kernel
def _walk_energies(model, values, x, first, length, drift, out):
    """As `_walk_reduced`, for energies."""
    for start in range(0, out.shape[0], length):
        for site in range(x.shape[0]):
            x[site] = values[((first + start) >> site) & 1]
        e = energy(model, x)
        out[start] = e
        index = start
        largest = max(1e-5, abs(e)) if math.isfinite(e) else 1e-5
        for step in range(1, length):
            site = 0
            while (step >> site) & 1 == 0:
                site += 1
            value = values[1] if x[site] == values[0] else values[0]
            index ^= 1 << site
            e += delta_energy(model, x, site, value)
            x[site] = value
            if not math.isfinite(e):
                e = energy(model, x)
            if math.isfinite(e):
                largest = max(largest, abs(e))
            out[index] = e
            judged = first + start == 0 or step & (step - 1) == 0 or step == length - 1
            if judged and abs(energy(model, x) - e) > drift * largest:
                return index
    return -1
