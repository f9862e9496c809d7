"""A progress bar with the time left, on a terminal; nothing in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Called with the number of sweeps done since the last call; `skipped` ones took no time."""

    def __call__(self, sweeps: int, skipped: bool = False) -> None: ...


@contextmanager
def shown(total: int, progress: bool | Callable[[int, int], None] | None) -> Iterator[Advance]:
    """A bar over `total` sweeps (True, or None on a terminal), a callback, or silence."""
    if callable(progress):
        done = 0

        def report(sweeps: int, skipped: bool = False) -> None:
            nonlocal done
            done += sweeps
            progress(done, total)

        yield report
        return
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda sweeps, skipped=False: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("sampling"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def advance(sweeps: int, skipped: bool = False) -> None:
            if skipped:  # start counting anew, or the speed estimate would include them
                bar.reset(task, total=total, completed=int(bar.tasks[0].completed) + sweeps)
            else:
                bar.advance(task, sweeps)

        yield advance
