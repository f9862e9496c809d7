"""What the arguments of training have in common: whole numbers and data, or a refusal."""

from typing import Any

import numpy as np

from ..errors import InvalidInput
from .shell import Trainable


def check_at_least(name: str, value: Any, least: int, what: str) -> None:
    """Raise InvalidInput unless `value`, a number of `what`, is a whole number >= least."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of {what}, at least {least}.")


def configurations(shell: Trainable, given: Any, name: str) -> np.ndarray:
    """Data (n, size) of the shell's space, n >= 1, or InvalidInput."""
    x = shell.space.check(given, name)
    if x.ndim != 2 or not len(x):
        raise InvalidInput(
            f"{name} has shape {x.shape}; at least one configuration is needed, as rows "
            f"(n, {shell.space.size})."
        )
    return x
