"""Inverse temperatures: as they are given to `sample`, and which of them are one and the same."""

from typing import Any

import numpy as np

from ..errors import InvalidInput

_RTOL = 1e-12  # 1 / T and a beta typed in differ by rounding


def from_arguments(beta: Any, temperature: Any, n_chains: int | None) -> np.ndarray:
    """The beta of each chain, float64 (chain,), from one of beta= and temperature=."""
    if (beta is None) == (temperature is None):
        given = "neither" if beta is None else "both"
        raise InvalidInput(f"Give one of beta= and temperature=; {given} was given.")
    name, value = ("beta", beta) if temperature is None else ("temperature", temperature)
    array = _numbers(name, value)
    if array.ndim > 1 or array.size == 0:
        raise InvalidInput(f"{name} has shape {array.shape}; give a number or one per chain.")
    if (
        not np.isfinite(array).all()
        or (array < 0).any()
        or (name == "temperature" and (array == 0).any())
    ):
        raise InvalidInput(
            f"{name}={value!r} cannot work: temperatures are positive and finite (infinite "
            "temperature is allowed as beta=0). For an antiferromagnet, turn the sign of the "
            "coupling."
        )
    if n_chains is None:
        n_chains = array.size if array.ndim else 4
    if array.ndim and array.size != n_chains:
        raise InvalidInput(f"{name} has {array.size} entries for {n_chains} chains.")
    with np.errstate(over="ignore"):
        betas = array if name == "beta" else 1.0 / array
    if not np.isfinite(betas).all():
        raise InvalidInput(f"temperature={value!r} is too small: 1 / temperature overflows.")
    return np.ascontiguousarray(np.broadcast_to(betas, n_chains))


def one(beta: Any) -> float:
    """`beta` as one number."""
    number = _numbers("beta", beta)
    if number.ndim:
        raise InvalidInput(f"beta has shape {number.shape}; give one number.")
    return float(number)


def groups(betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different betas, ascending, and which of them each chain ran at.

    Betas that differ by rounding are one; it goes by the least of them.
    """
    values: list[float] = []
    for beta in np.unique(betas).tolist():
        if not values or beta > values[-1] * (1.0 + _RTOL):
            values.append(beta)
    different = np.asarray(values)
    return different, np.searchsorted(different, betas, side="right") - 1


def at(betas: np.ndarray, beta: Any) -> np.ndarray:
    """Which chains ran at `beta`, bool (chain,): one group of `groups`, or InvalidInput."""
    number = _numbers("beta", beta)
    if number.ndim:
        raise InvalidInput(f"beta has shape {number.shape}; at() takes one number.")
    different, group = groups(betas)
    nearest = int(np.argmin(np.abs(different - number)))
    if not np.isclose(different[nearest], number, rtol=2.0 * _RTOL, atol=0.0):
        raise InvalidInput(f"No chain ran at beta={beta!r}; there are {different.tolist()}.")
    return np.asarray(group == nearest)


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        given = np.asarray(value)
        if given.dtype.kind in "biufO":
            return given.astype(np.float64)
        problem = f"its dtype is {given.dtype}"
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: tensors with a gradient
        problem = str(error).rstrip(".")
    raise InvalidInput(f"{name}={value!r} is not a number or an array of numbers: {problem}.")
