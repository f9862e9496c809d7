"""A progress bar for long runs: on a terminal, and silent in a pipe."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int, wanted: bool | None, task: str) -> Iterator[Callable[[], None]]:
    """A function to call after each of `total` steps.

    wanted: True or False, or None for a bar where the standard error is a terminal.
    """
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        name = bar.add_task(task, total=total)
        yield lambda: bar.advance(name)
