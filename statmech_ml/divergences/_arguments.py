"""Argument checks shared by the divergences: they run before any work."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput

Array = NDArray[np.float64]

_MOST = 1e150


def sample(values: ArrayLike, name: str, minimum: int = 2) -> Array:
    """Draws as float64 (n, size): numbers (n,) become one column, lattices (n, L, L) rows."""
    _refuse_masked(values, name)
    given = np.asarray(values)
    if given.dtype.kind not in "fiub":
        raise InvalidInput(
            f"{name} holds {given.dtype}, but draws are real numbers, whole numbers or bits."
        )
    if given.ndim == 0 or len(given) < minimum or given.size == 0:
        raise InvalidInput(
            f"{name} has shape {given.shape}; at least {minimum} draws, (n,) or (n, ...), are "
            "needed here."
        )
    array = given.astype(np.float64).reshape(len(given), -1)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InvalidInput(
            f"{int(bad.sum())} of {len(array)} draws in {name} hold NaN or infinite values (the "
            f"first is draw {int(np.argmax(bad))}). Find out where they come from: leaving them "
            "out would compare other distributions."
        )
    largest = float(np.abs(array).max())
    if largest > _MOST:
        raise InvalidInput(
            f"{name} holds {largest:.3g}, and squares of numbers beyond {_MOST:g} are no doubles. "
            "Rescale both samples."
        )
    return array


def two_samples(x: ArrayLike, y: ArrayLike, minimum: int = 2) -> tuple[Array, Array]:
    """Two samples of one kind of configuration, (n, size) and (m, size)."""
    if np.shape(x)[1:] != np.shape(y)[1:]:
        raise InvalidInput(
            f"Draws of x have shape {np.shape(x)[1:]} and those of y {np.shape(y)[1:]}: "
            "distributions can only be compared on one space."
        )
    return sample(x, "x", minimum), sample(y, "y", minimum)


def numbers(values: ArrayLike, name: str, minimum: int = 2) -> Array:
    """A float64 array (n,), infinities allowed, NaN refused."""
    _refuse_masked(values, name)
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be real numbers (n,), but got {values!r}.") from error
    if array.ndim != 1 or len(array) < minimum:
        raise InvalidInput(f"{name} has shape {array.shape}; (n,), n >= {minimum}, is needed.")
    if np.isnan(array).any():
        raise InvalidInput(
            f"{int(np.isnan(array).sum())} of {len(array)} values of {name} are NaN."
        )
    return array


def count(value: Any, name: str, minimum: int) -> int:
    """A whole number >= `minimum`."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InvalidInput(f"{name} must be a whole number, but got {value!r}.") from error
    if isinstance(value, bool | np.bool_) or number < minimum:
        raise InvalidInput(f"{name} must be a whole number >= {minimum}, but got {value!r}.")
    return number


def positive(value: Any, name: str) -> float:
    """A finite number > 0."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be a number, but got {value!r}.") from error
    if not (math.isfinite(number) and number > 0.0):
        raise InvalidInput(f"{name} must be finite and > 0, but got {number}.")
    return number


def order(p: Any) -> float:
    """The order of a Wasserstein distance, finite and >= 1."""
    value = positive(p, "p")
    if value < 1.0:
        raise InvalidInput(f"p = {value} gives no distance; the order must be >= 1.")
    return value


def _refuse_masked(values: Any, name: str) -> None:
    if np.ma.isMaskedArray(values):
        raise InvalidInput(
            f"{name} is a masked array, and what lies behind its mask is no data. Leave out the "
            f"draws with gaps: {name}.compressed() of numbers, or {name}[~{name}.mask.any(axis=1)]."
            "data of rows."
        )
