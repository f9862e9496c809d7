"""What the arguments of models have in common: numbers and frozen arrays, or a refusal."""

import math
from typing import Any

import numpy as np

from ..errors import InvalidInput


def number(value: Any, name: str, positive: bool = False) -> float:
    """A finite float, positive if asked, or InvalidInput."""
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name}={value!r} is no number. This parameter is one number for all coordinates."
        ) from error
    if not math.isfinite(found):
        raise InvalidInput(f"{name}={value!r} must be finite.")
    if positive and found <= 0.0:
        raise InvalidInput(
            f"{name}={value!r} must be positive: otherwise the energy is unbounded, or its minimum "
            "has no width."
        )
    return found


def numbers(value: Any, ndim: int, name: str) -> np.ndarray:
    """A frozen float64 copy with `ndim` non-empty dimensions, finite, or InvalidInput."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is no array of numbers: {error}.") from error
    if array.ndim != ndim or 0 in array.shape:
        raise InvalidInput(
            f"{name} has shape {array.shape}; {ndim} non-empty dimension(s) are needed, such as "
            f"{'[1.0, 2.0]' if ndim == 1 else '[[1.0, 2.0]]'}."
        )
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} holds NaN or infinite values.")
    array.setflags(write=False)
    return array


def data_rows(value: Any, name: str) -> np.ndarray:
    """A frozen float64 copy of data (n, *event) with at least one row, finite, or InvalidInput."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is no array of numbers: {error}.") from error
    if array.ndim == 0 or array.size == 0:
        raise InvalidInput(f"{name} has shape {array.shape}; one datum a row, (n, ...), is needed.")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} holds NaN or infinite values. Leave such rows out.")
    array.setflags(write=False)
    return array


def per_bond_or_site(value: Any, length: int, name: str, what: str) -> Any:
    """A float, or a frozen float64 array with one entry for each of `what`, "bonds" or "sites"."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name}={value!r} is neither a number nor an array of numbers."
        ) from error
    if array.ndim and array.shape != (length,):
        raise InvalidInput(
            f"{name} has shape {array.shape}, but the lattice has {length} {what}. Give one "
            f"number, or an array ({length},) with one per {what[:-1]}"
            f"{' in the order of lattice.bonds' if what == 'bonds' else ''}."
        )
    if not np.isfinite(array).all():
        raise InvalidInput(
            f"{name} holds NaN or infinite values; every {what[:-1]} needs a finite one."
        )
    if array.ndim == 0:
        return float(array)
    array.setflags(write=False)
    return array


def frozen(arrays: Any) -> Any:
    """A compiled model whose arrays cannot be written to."""
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return arrays


def unit_interval(lam: Any, who: str) -> float:
    """lambda as a float in [0, 1], or InvalidInput."""
    found = number(lam, "lam")
    if not 0.0 <= found <= 1.0:
        raise InvalidInput(f"lam={lam!r}: the protocol of {who} runs from lambda = 0 to 1.")
    return found


def at_beta_one(beta: float, who: str) -> None:
    """Raise InvalidInput unless beta is 1, where log Z of a sum of densities is known."""
    if beta != 1.0:
        raise InvalidInput(
            f"beta={beta!r}: log Z of {who} is known at beta = 1 only, because a power of a sum is "
            "no sum of powers. Estimate it with partition.ais(Geometric(...)), or integrate."
        )
