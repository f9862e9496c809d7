"""Splits for training and testing, by chain or by temperature, never by draw.

Successive draws of a chain are correlated, so a split by draw would put near copies of training
configurations into the test set. Chains are independent of one another, and so are temperatures.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from statmech_ml.errors import InvalidInput


@dataclass(frozen=True)
class Part:
    """A selection of a dataset: these chains at these temperatures, both by position."""

    temperatures: tuple[int, ...]
    chains: tuple[int, ...]


def split(
    n_temperatures: int, n_chains: int, by: str, fractions: Mapping[str, float], seed: int
) -> dict[str, Part]:
    """Divide a dataset into named parts.

    Parameters
    ----------
    n_temperatures, n_chains : int
    by : "chain" or "temperature"
        What no two parts share. "temperature" asks how well something learnt carries over to
        temperatures never seen.
    fractions : mapping of name to float
        Shares, ``{"train": 0.75, "test": 0.25}``, adding up to 1.
    seed : int
        Decides which.

    Returns
    -------
    dict of name to Part
        Sizes are the nearest whole numbers, and none is empty.

    Raises
    ------
    InvalidInput
        Fractions that are not shares of a whole, or a part that would be empty.

    >>> parts = split(3, 4, "chain", {"train": 0.75, "test": 0.25}, seed=1)
    >>> len(parts["train"].chains), len(parts["test"].chains), parts["test"].temperatures
    (3, 1, (0, 1, 2))
    """
    if by not in ("chain", "temperature"):
        raise InvalidInput(
            f"by={by!r} must be 'chain' or 'temperature'. A split by draw would put neighbouring, "
            "correlated configurations on both sides."
        )
    shares = np.array(list(fractions.values()), dtype=np.float64)
    if not len(shares) or not (shares > 0).all() or abs(shares.sum() - 1.0) > 1e-9:
        raise InvalidInput(
            f"fractions={dict(fractions)!r} must be positive and add up to 1, as in "
            "{'train': 0.75, 'test': 0.25}."
        )
    total = n_chains if by == "chain" else n_temperatures
    edges = np.rint(np.cumsum(np.append(0.0, shares)) * total).astype(int)
    if (np.diff(edges) == 0).any():
        other = "temperature" if by == "chain" else "chain"
        raise InvalidInput(
            f"{total} {by}s cannot be divided as {dict(fractions)!r}: a part would be empty. "
            f"Generate more {by}s, choose other fractions, or split by {other}."
        )
    order = np.random.default_rng(seed).permutation(total)
    everything = {"chain": range(n_chains), "temperature": range(n_temperatures)}
    parts = {}
    for name, first, last in zip(fractions, edges[:-1], edges[1:], strict=True):
        chosen = everything | {by: sorted(order[first:last].tolist())}
        parts[name] = Part(tuple(chosen["temperature"]), tuple(chosen["chain"]))
    return parts
