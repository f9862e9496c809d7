"""A study on disk: one JSON file a task, written when the task is done, and results.json of all.

A task whose file exists is not done again, so a study that was stopped goes on where it was; what a
training had reached stands in its checkpoint. A file of other settings, or of a model that was
trained in another way (`fingerprint`, where the file has one), is refused, not overwritten. The
versions in results.json are those of the run that did the last task.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ising_data._files import write_atomically
from statmech_ml.errors import StoreError

from .fingerprint import fingerprint
from .plan import Task

FORMAT = "statmech-ml study 1"


def path_of(task: Task, folder: Path) -> Path:
    """The file of one task."""
    return folder / f"{task.name}.json"


def read(task: Task, folder: Path) -> dict[str, Any] | None:
    """The result of a task, or None where it is not done.

    Raises StoreError for a file that is damaged, or holds a task with other settings or learner.
    """
    path = path_of(task, folder)
    if not path.exists():
        return None
    found = _parsed(path)
    if found.get("task") != task.to_json():
        raise StoreError(
            f"{path} is the result of other settings ({found.get('task')}) than those asked for "
            f"({task.to_json()}). Choose another folder, or remove the file."
        )
    if (trained := found.get("learner")) is not None and trained != fingerprint(task):
        raise StoreError(
            f"{path} is the result of a {task.model} that was trained in another way than it would "
            "be now (validation/study/learners.py has changed, or Python's version). Choose "
            "another folder, or remove the file."
        )
    return found


def write(result: dict[str, Any], task: Task, folder: Path) -> None:
    """Complete or not at all."""
    write_atomically(path_of(task, folder), _text(result))


def gather(tasks: Iterable[Task], folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """All results with `about` (versions, ...), written to results.json as well.

    Where that file holds the same results already, it stays, and what it holds is returned.
    """
    found = [result for task in tasks if (result := read(task, folder)) is not None]
    path = folder / "results.json"
    if path.exists() and (before := _parsed(path)).get("results") == found:
        return before
    study = {"format": FORMAT, **about, "results": found}
    write_atomically(path, _text(study))
    return study


def load(path: Path) -> dict[str, Any]:
    """A results.json; StoreError for anything else."""
    found = _parsed(path)
    if found.get("format") != FORMAT or not found.get("results"):
        raise StoreError(
            f"{path} is not the results.json of a study (its format is "
            f"{found.get('format')!r}, not {FORMAT!r}). `python examples/generative_ising.py` "
            "writes one."
        )
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read as a result of a study: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path} holds no result of a study, but a {type(found).__name__}.")
    return found


def _text(value: Any) -> bytes:
    return (json.dumps(_plain(value), indent=1, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """Python's own numbers, and None for what JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
