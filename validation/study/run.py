"""Run a plan: tasks in processes of one thread each, those that are done skipped."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from statmech_ml.errors import InvalidInput, StatmechError

from ..runner import versions
from . import data, judge, results
from .plan import Plan, Task

Tell = Callable[[str], None]


def run(
    plan: Plan,
    folder: Path,
    *,
    workers: int = 2,
    device: str = "cpu",
    tell: Tell = lambda line: None,
) -> dict[str, Any]:
    """Do what is not done yet, and return the study: what results.json holds.

    Parameters
    ----------
    plan : Plan
    folder : Path
        Of data, checkpoints and results; made if need be.
    workers : int, default 2
        Processes, one thread each. On a CUDA device they share it.
    device : str, default "cpu"
        Of the networks.
    tell : function
        Told a line when a task is done.

    Raises
    ------
    InvalidInput
        Before any work, for a device that is not there.
    StoreError
        For a folder that holds results of other settings.
    StatmechError
        When tasks failed, after the others were done.
    """
    _check(workers, device)
    folder.mkdir(parents=True, exist_ok=True)
    began, tasks = time.perf_counter(), list(plan.tasks())
    started = datetime.now(UTC).isoformat(timespec="seconds")
    waiting = [task for task in tasks if results.read(task, folder) is None]
    if len(waiting) < len(tasks):
        tell(f"{len(tasks) - len(waiting)} of {len(tasks)} tasks were done already")
    made = {(task.size, task.temperature): task for task in waiting}
    for task in made.values():  # before several processes ask for them at once
        data.load(task, folder)
    failed = _work(waiting, folder, workers, device, tell)
    about = {
        "started": started,
        "seconds": round(time.perf_counter() - began, 1),
        "tasks done in this run": len(waiting),
        "seed": plan.seed,
        "workers": workers,
        "versions": versions(),
    }
    study = results.gather(tasks, folder, about)
    if failed:
        task, error = failed[0]
        raise StatmechError(
            f"{len(failed)} of {len(tasks)} tasks failed, {task.name} first, with "
            f"{type(error).__name__}: {error} The others are done; run the same command again to "
            "try once more."
        ) from error
    return study


def _check(workers: int, device: str) -> None:
    if workers < 1:
        raise InvalidInput(f"workers={workers}: at least one process must do the work.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]} Take 'cpu'."
        ) from error


def _work(
    waiting: list[Task], folder: Path, workers: int, device: str, tell: Tell
) -> list[tuple[Task, Exception]]:
    """Do the tasks; those that failed, with their errors."""
    failed: list[tuple[Task, Exception]] = []
    # Processes are started afresh: a fork would share the threads of numba and of torch.
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        # Controls are short, and stand first in the plan: last here, so that no process waits long.
        running = {pool.submit(_done, task, folder, device): task for task in waiting[::-1]}
        try:
            for number, future in enumerate(as_completed(running), 1):
                task = running[future]
                try:
                    outcome = f"{future.result():.0f} s"
                except Exception as error:
                    failed.append((task, error))
                    outcome = f"FAILED: {error}"
                tell(f"{number}/{len(waiting)} {task.name} ({outcome})")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _done(task: Task, folder: Path, device: str) -> float:
    """One task, in a process of its own; seconds."""
    result = judge.run(task, folder, device)
    results.write(result, task, folder)
    return float(result["seconds"]["all"])


def _one_thread() -> None:
    """In a process that does nothing else: its settings are its own."""
    import numba
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    torch.set_num_threads(1)
    numba.set_num_threads(1)
    threadpool_limits(1)
