"""Fields of a `Spec` from what users write, checked one by one."""

import math
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from statmech_ml.errors import InvalidInput

_MOST_TEMPERATURES = 100_000


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Temperatures from text: ``start:stop:step`` with both ends, single values, commas between.

    Steps are added in decimal, so that 2.3 is 2.3 and not 2.3000000000000003.

    >>> parse_temperatures("2.1:2.3:0.1, 2.269")
    (2.1, 2.2, 2.3, 2.269)
    """
    values: list[float] = []
    for part in text.split(","):
        try:
            numbers = [Decimal(word.strip()) for word in part.split(":")]
        except InvalidOperation as error:
            raise InvalidInput(
                f"temperatures={text!r}: {part.strip()!r} is not a number or a range. Write "
                "'1.6:3.2:0.1' (start:stop:step, both ends included) or '1.6,2.0,2.269'."
            ) from error
        if not all(number.is_finite() for number in numbers):
            raise InvalidInput(f"temperatures={text!r}: temperatures are finite numbers.")
        if len(numbers) == 1:
            values.append(float(numbers[0]))
            continue
        if len(numbers) != 3:
            raise InvalidInput(
                f"temperatures={text!r}: a range is start:stop:step, but {part.strip()!r} has "
                f"{len(numbers)} parts. Write '1.6:3.2:0.1'."
            )
        start, stop, step = numbers
        if step == 0 or (stop - start) / step < 0:
            raise InvalidInput(
                f"temperatures={text!r}: steps of {step} never lead from {start} to {stop}."
            )
        count = int((stop - start) / step) + 1
        if count > _MOST_TEMPERATURES:
            raise InvalidInput(
                f"temperatures={text!r} names {count} temperatures; take a larger step."
            )
        values += [float(start + k * step) for k in range(count)]
    return tuple(values)


def temperatures_of(given: Any) -> tuple[float, ...]:
    """Positive, finite, different temperatures from text, a number or a sequence."""
    if isinstance(given, str):
        values = parse_temperatures(given)
    else:
        try:
            values = tuple(float(t) for t in np.atleast_1d(np.asarray(given, dtype=np.float64)))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"temperatures={given!r} are not numbers.") from error
    if not values:
        raise InvalidInput("temperatures is empty; give at least one.")
    wrong = [t for t in values if not (math.isfinite(t) and t > 0.0)]
    if wrong:
        raise InvalidInput(
            f"temperatures holds {wrong[0]!r}: a temperature is positive and finite. For an "
            "antiferromagnet make the coupling negative, not the temperature."
        )
    twice = (
        sorted({t for t in values if values.count(t) > 1}) if len(set(values)) < len(values) else []
    )
    if twice:
        raise InvalidInput(
            f"The temperature {twice[0]!r} is given twice. Name it once and raise samples= instead."
        )
    return values


def sides_of(given: Any, lattice: str, axes: int) -> tuple[int, ...]:
    """One side per axis, from one number or as many."""
    sides = tuple(given) if isinstance(given, tuple | list | np.ndarray) else (given,) * axes
    if len(sides) == 1:
        sides *= axes
    if len(sides) != axes:
        raise InvalidInput(
            f"size={given!r} has {len(sides)} sides, but a {lattice} lattice has {axes}."
        )
    return tuple(whole(side, "size", 1) for side in sides)


def boundaries_of(given: Any, axes: int) -> tuple[str, ...]:
    """ "periodic" or "open" per axis, from one word or as many."""
    sides = (given,) * axes if isinstance(given, str) else tuple(given)
    if len(sides) == 1:
        sides *= axes
    if len(sides) != axes or any(side not in ("periodic", "open") for side in sides):
        raise InvalidInput(
            f"boundary={given!r} must be 'periodic' or 'open', or one of them for each of the "
            f"{axes} sides."
        )
    return sides


def whole(value: Any, name: str, least: int) -> int:
    """`value` as an int of at least `least`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of at least {least}.")
    return int(value)


def number(value: Any, name: str) -> float:
    """`value` as a finite float."""
    try:
        converted = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}={value!r} must be one number.") from error
    if not math.isfinite(converted):
        raise InvalidInput(f"{name}={value!r} must be finite.")
    return converted
