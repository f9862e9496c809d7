"""What the command line shows: a dataset's summary and the verdict table, with rich."""

import json
import math
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from . import _exact
from .phases import critical_temperature
from .store import Dataset
from .verify import Report, Row

_MARKS = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("undecided", "yellow")}


def _table(**options: Any) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title_justify="left", **options
    )


def about(dataset: Dataset) -> Table:
    """What a dataset holds, as two columns."""
    spec, provenance = dataset.spec, dataset.provenance
    critical = critical_temperature(spec)
    boundary = " x ".join(dict.fromkeys(spec.boundary))
    watched = f"every {spec.spacing} sweeps after {spec.burn_in}"
    sizes = sum(size for size, _ in dataset.manifest.values())
    rows = {
        "dataset": str(dataset.path),
        "lattice": f"{spec.lattice}, {' x '.join(map(str, spec.size))}, {boundary}",
        "model": f"Ising, coupling {spec.coupling:g}, field {spec.field:g}",
        "critical temperature": "not known exactly" if critical is None else f"{critical:.9g}",
        "temperatures": f"{len(spec.temperatures)} from {min(spec.temperatures):g} to "
        f"{max(spec.temperatures):g}",
        "configurations": f"{spec.samples} at each, {spec.n_chains} chains x {spec.n_draws} draws",
        "sampler": f"{spec.sampler}, {watched}",
        "stream": f"{provenance['stream']}, seed {spec.seed}",
        "size": f"{sizes / 1e6:.2f} MB in {len(dataset.manifest) + 1} files",
        "written by": ", ".join(f"{k} {v}" for k, v in provenance["versions"].items()),
        "checksum": dataset.attributes["checksum"],
    }
    table = _table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def labels(dataset: Dataset) -> Table:
    """One line per temperature: label, means, autocorrelation time, R-hat and cluster
    statistics."""
    watched = next(
        (k for k in json.loads(dataset.attributes["manifest"]) if k.startswith("mean_")), ""
    )
    watched = watched.partition("/")[0]
    table = _table()
    names = ["T", "phase", "E/N", "|m|", "tau_int", "R-hat"]
    for name in [*names, *([watched.removeprefix("mean_").replace("_", " ")] if watched else [])]:
        table.add_column(name, justify="left" if name == "phase" else "right", no_wrap=True)
    n = dataset.n_sites
    columns = [
        [f"{t:.6g}" for t in dataset.temperature],
        [phase_name(code) for code in dataset.phase],
        [f"{e:.4f}" for e in dataset.energy.mean(axis=(1, 2)) / n],
        [f"{m:.4f}" for m in np.abs(dataset.magnetization).mean(axis=(1, 2)) / n],
        [_number(t, ".2f") for t in dataset.label("tau_int")],
        [_number(r, ".3f") for r in dataset.label("r_hat")],
    ]
    if watched:
        columns.append([f"{v:.4g}" for v in dataset.label(watched)])
    for cells in zip(*columns, strict=True):
        table.add_row(*cells)
    return table


def phase_name(code: int) -> str:
    """The name of a stored phase code."""
    from .phases import PHASES

    return next(name for name, number in PHASES.items() if number == code)


def temperatures(report: Report) -> Table:
    """Measured against exact, one line per temperature; a rule marks the transition."""
    table = _table()
    for name in ("T", "E/N", "exact", "z", "C/N", "exact", "z", "tau", "R-hat", "stripes"):
        table.add_column(name, justify="right", no_wrap=True)
    limit, _ = _exact.bound(
        sum(
            not math.isnan(c.z)
            for row in report.rows
            for c in (row.energy, row.specific_heat)
            if c is not None
        )
    )
    for row, following in zip(report.rows, [*report.rows[1:], None], strict=True):
        stripes = "-" if row.stripes is None else f"{100 * row.stripes.mean():.1f}%"
        if row.stripes is not None and not row.stripes.any():
            stripes = "none"
        table.add_row(
            f"{row.temperature:.6g}",
            *_compared(row.energy, limit),
            *_compared(row.specific_heat, limit),
            _number(row.tau_int, ".2f"),
            _number(row.r_hat, ".3f"),
            stripes,
            end_section=following is not None and _ordered(row) != _ordered(following),
        )
    return table


def verdicts(report: Report) -> Table:
    """One line per check."""
    table = _table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for verdict in report.verdicts:
        mark, style = _MARKS[verdict.passed]
        table.add_row(verdict.check, Text(mark, style=style), Text(verdict.detail))
    return table


def _compared(comparison: _exact.Comparison | None, limit: float) -> tuple[Any, ...]:
    if comparison is None:
        return "-", "-", "-"
    measured = "constant" if comparison.measured is None else str(comparison.measured)
    if math.isnan(comparison.z):
        return measured, f"{comparison.exact:.5f}", Text(comparison.note, style="yellow")
    style = "" if abs(comparison.z) < limit else "bold red"
    return measured, f"{comparison.exact:.5f}", Text(f"{comparison.z:+.2f}", style=style)


def _ordered(row: Row) -> bool:
    return row.phase == "ordered"


def _number(value: float, how: str) -> str:
    return "-" if math.isnan(value) else f"{value:{how}}"
