"""What every estimator checks before it starts, and what it says about itself afterwards."""

import math
from importlib import metadata
from typing import Any

import numpy as np

from ..errors import InvalidInput
from .path import Path


def check_path(path: Any, who: str) -> None:
    """InvalidInput unless `path` is a Path."""
    if not isinstance(path, Path):
        raise InvalidInput(
            f"{who} needs a path from a known reference, but got {path!r}. Wrap the model: "
            "Tempering(model, beta) for discrete states, Geometric(reference, model) for "
            "continuous ones, Weights(rbm), Switching(model) for a model with a protocol."
        )


MAX_COUNT = 2**32  # streams of random numbers that one seed has
MAX_LEVELS = 2**24


def check_count(name: str, value: Any, least: int, most: int = MAX_COUNT) -> None:
    """InvalidInput unless `value` is a whole number from `least` to `most`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInput(f"{name}={value!r} must be a whole number of at least {least}.")
    if value > most:
        raise InvalidInput(f"{name}={value!r} is more than {most}, the most that there can be.")


def number(name: str, value: Any) -> float:
    """`value` as a finite float, or InvalidInput."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise InvalidInput(f"{name}={value!r} must be a finite number.")
    return found


def ladder(given: Any, n_levels: int | None, default: int) -> np.ndarray:
    """Lambdas from 0 to 1, increasing: `given`, or `n_levels` even steps."""
    if given is None:
        n_levels = default if n_levels is None else n_levels
        check_count("n_levels", n_levels, 1, MAX_LEVELS)
        return np.linspace(0.0, 1.0, n_levels + 1)
    if n_levels is not None:
        raise InvalidInput("Give one of n_levels= and ladder=; both were given.")
    try:
        lams = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"ladder={given!r} is no list of lambdas from 0 to 1 (nor a way to make one that this "
            "estimator knows)."
        ) from error
    if lams.ndim != 1 or len(lams) < 2 or not np.isfinite(lams).all():
        raise InvalidInput(
            f"ladder has shape {lams.shape}; it must be a list of at least two finite lambdas."
        )
    if lams[0] != 0.0 or lams[-1] != 1.0:
        raise InvalidInput(
            f"The ladder goes from {lams[0]:g} to {lams[-1]:g}. It must start at 0, the reference "
            "whose log Z is known, and end at 1, the target. (direction='reverse' walks the same "
            "ladder down.)"
        )
    if not (np.diff(lams) > 0.0).all():
        raise InvalidInput(
            "The ladder does not increase everywhere; sort it and drop repeated values."
        )
    return lams


def provenance(path: Path, seed: int) -> dict[str, Any]:
    """Where a number came from: path, random stream, seed and versions."""
    versions = {name: metadata.version(name) for name in ("statmech-ml", "numpy", "numba")}
    return {
        "path": repr(path),
        "stream": path.sampler.stream,
        "seed": str(seed),
        "versions": versions,
    }
