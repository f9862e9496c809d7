"""A `Comparison` as a table, for terminals and for plain text."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..statistics.estimate import with_error
from .logz import EXACT

_WIDTH = 200
_COSTS = {"sweeps": "sweeps", "energy_evaluations": "energies", "seconds": "seconds"}


def draw(comparison: Any) -> Table:
    """The table: estimates, errors stated and true, status, mean cost of a run.

    Settings that all rows of a method share stand below it, once.
    """
    repeated = comparison.n_repeats > 1
    exact = comparison.exact
    title = f"log Z of {comparison.path}"
    table = Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title=Text(title, "bold"),
        title_justify="left", caption=_caption(comparison), caption_justify="left",
    )  # fmt: skip
    table.add_column("method", no_wrap=True)
    table.add_column("settings", overflow="fold", min_width=13)
    table.add_column("mean log Z" if repeated else "log Z", justify="right", no_wrap=True)
    table.add_column("stated error", justify="right", min_width=9)
    if exact is not None:
        table.add_column("rms error" if repeated else "deviation", justify="right")
        table.add_column("rms z" if repeated else "z", justify="right", no_wrap=True)
    table.add_column("status", overflow="fold", min_width=11)
    for header in _COSTS.values():
        table.add_column(header, justify="right", no_wrap=True)
    for row in comparison.rows:
        varied = {k: v for k, v in row.settings.items() if k in _varied(comparison, row.method)}
        cells = [row.method, settings(varied), *_estimate(row)]
        if exact is not None:
            cells += [_deviation(row, exact, repeated), _z(row, repeated)]
        cells.append("; ".join([row.status, *dict.fromkeys(row.errors)]))
        cells += [_count(row.cost.get(name)) for name in _COSTS]
        style = "red" if row.errors else None
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return table


def as_text(comparison: Any) -> str:
    """The table without colours, lines ending where their text does."""
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, force_terminal=False)
    console.print(draw(comparison))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def settings(given: Mapping[str, Any]) -> str:
    """ "n_levels=50, exchange=True", arrays by their shape."""

    def shown(value: Any) -> str:
        array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
        return repr(value) if array is None else f"array{array.shape}"

    return ", ".join(f"{name}={shown(value)}" for name, value in given.items())


def _varied(comparison: Any, method: str) -> set[str]:
    """Names of the settings that tell the rows of a method from one another."""
    rows = [row.settings for row in comparison.rows if row.method == method]
    names = {name for given in rows for name in given}
    return {name for name in names if len({repr(given.get(name)) for given in rows}) > 1}


def _caption(comparison: Any) -> Text:
    fixed = {}
    for row in comparison.rows:
        varied = _varied(comparison, row.method)
        fixed[row.method] = settings({k: v for k, v in row.settings.items() if k not in varied})
    lines = [f"{method}: {given}" for method, given in fixed.items() if given]
    return Text("\n".join([*lines, _run(comparison)]), "dim")


def _run(comparison: Any) -> str:
    parts = [] if comparison.exact is None else [f"exact {comparison.exact:.12g}"]
    if comparison.n_repeats > 1:
        parts.append(f"{comparison.n_repeats} runs a row, cost of one")
    parts.append(f"seed {comparison.seed}")
    return ", ".join(parts)


def _estimate(row: Any) -> list[str]:
    """log Z and its stated error; of several runs their mean with the scatter's error."""
    value, stated = row.value, row.stated_error
    if value is None or stated is None:
        return ["", ""]
    if all(result.status == EXACT for result in row.results):
        return [f"{value:.12g}", "0"]
    if not math.isfinite(stated):
        return [f"{value:.6g}", "unknown"]
    error = stated
    if len(row.results) > 1:
        error = float(np.std([r.value for r in row.results], ddof=1)) / math.sqrt(len(row.results))
    return [with_error(value, error), f"{stated:.2g}"]


def _deviation(row: Any, exact: float, repeated: bool) -> str:
    if row.value is None or row.rms_error is None:
        return ""
    return f"{row.rms_error:.2g}" if repeated else f"{row.value - exact:+.2g}"


def _z(row: Any, repeated: bool) -> str:
    z = row.z_scores
    if not z:
        return ""
    return f"{math.sqrt(np.mean(np.square(z))):.2f}" if repeated else f"{z[0]:+.2f}"


def _count(value: float | None) -> str:
    """Three digits, with the multiples of a thousand that people read: 1.2M."""
    if value is None:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scale = 1e3 if unit == "k" else size
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}" if value < 100.0 else f"{value:.0f}"
