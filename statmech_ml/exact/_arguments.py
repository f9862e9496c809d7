"""Argument checks shared by the exact results: they run before any work."""

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml.errors import InvalidInput

Values = float | NDArray[np.float64]  # what comes back: a float for a scalar beta, else an array


def inverse_temperature(beta: ArrayLike) -> NDArray[np.float64]:
    """`beta` as a float64 array of unchanged shape, every entry finite and >= 0."""
    values = real_array(beta, "beta")
    bad = ~((values >= 0) & (values < np.inf))
    if np.any(bad):
        raise InvalidInput(
            f"beta is an inverse temperature, finite and >= 0, but {np.count_nonzero(bad)} of "
            f"{values.size} values are not (the first is {values[bad].flat[0]}). Use a large "
            "finite beta for T -> 0; for an antiferromagnet make the coupling negative, not beta."
        )
    return values


def one_inverse_temperature(beta: ArrayLike) -> float:
    """`beta` as one number, finite and >= 0."""
    value = inverse_temperature(beta)
    if value.ndim:
        raise InvalidInput(f"beta has shape {value.shape}; one number is needed here.")
    return float(value)


def real_array(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """`values` as a float64 array, or a refusal that names the argument."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name} must be a real number or an array of them, but got {values!r}."
        ) from error


def finite_number(value: float, name: str) -> float:
    """`value` as a finite float."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be one real number, but got {value!r}.") from error
    if not math.isfinite(number):
        raise InvalidInput(f"{name} must be finite, but got {number}.")
    return number


def whole_number(value: Any, name: str, minimum: int, why: str) -> int:
    """`value` as an int >= `minimum`; `why` ends the message and says what the bound protects."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InvalidInput(
            f"{name} must be a whole number, but got {value!r}; convert it with int() if it is one."
        ) from error
    if isinstance(value, bool | np.bool_) or number < minimum:
        raise InvalidInput(f"{name} must be a whole number >= {minimum}, but got {value!r}: {why}")
    return number


def like_input(values: NDArray[np.float64]) -> Values:
    """A Python float where the caller gave a scalar, the array otherwise."""
    return values if values.ndim else float(values)
