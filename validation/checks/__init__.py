"""Every check, one file per room of the library."""

from pathlib import Path

from validation.check import Check

from . import datasets, exact, partition, rbm, samplers, states, statistics, wrong_physics

ROOMS = (exact, states, samplers, statistics, rbm, partition, datasets, wrong_physics)


def all_checks(dataset: Path | None = None) -> tuple[Check, ...]:
    """The checks of all rooms, fast and full; with a dataset on disk, also the check of that
    one.
    """
    found = [check for room in ROOMS for check in room.CHECKS]
    if dataset is not None:
        found.append(datasets.given(dataset))
    return tuple(found)
