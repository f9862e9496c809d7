"""The table of a study for the terminal."""

from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from statmech_ml.statistics.estimate import with_error

from .observables import SCALARS
from .words import (
    BOUND,
    LEVEL,
    seconds,
    shown_bits,
    shown_p,
    shown_z,
    signed,
    updates,
    worst_distance,
)

HEADS = {
    "energy": "u", "abs m": "|m|", "specific heat": "c", "susceptibility": "chi",
    "Binder cumulant": "U4",
}  # fmt: skip


def tables(study: dict[str, Any]) -> Group:
    """One for each size and temperature."""
    groups: dict[tuple[int, float], list[dict[str, Any]]] = {}
    for row in study["results"]:
        task = row["task"]
        groups.setdefault((task["size"], task["temperature"]), []).append(row)
    return Group(*(_table(size, T, rows) for (size, T), rows in groups.items()))


def _table(size: int, temperature: float, rows: list[dict[str, Any]]) -> Table:
    task = rows[0]["task"]
    shown = Table(
        title=f"{size} x {size}, T = {temperature:g}; {task['n_train']:,} configurations of "
        f"data, {task['n_judged']:,} samples judged",
        title_justify="left",
        caption="off by (z); z counts errors of that many samples, bold from |z| = "
        f"{BOUND:g} on. bits/spin above the entropy, <= where the model's likelihood is a bound, ~ "
        "where log Z is estimated (? if that is in doubt); C2ST: accuracy of a classifier [%] (p), "
        f"bold below {LEVEL:g}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("model", no_wrap=True)
    for head in ("bits/spin", "C2ST", *HEADS.values(), "G(r), worst", "param.", "updates", "CPU s"):
        shown.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        worst = worst_distance(row)
        shown.add_row(
            row["title"],
            bits(row),
            accuracy(row),
            *(_cell(row["observables"][name]) for name in SCALARS),
            f"r={worst[2:-1]} {_cell(row['observables'][worst])}",
            f"{row['parameters']:,}" if row["parameters"] else "",
            updates(row),
            seconds(row),
        )
    return shown


def bits(row: dict[str, Any]) -> str:
    """Bits per spin above the entropy."""
    found = row["bits"]
    return "-" if found is None else shown_bits(found)


def accuracy(row: dict[str, Any]) -> str:
    """Of the classifier, with its p-value."""
    found = row["classifier"]
    value = with_error(100 * found["accuracy"], 100 * found["stderr"])
    return _bold(f"{value} ({shown_p(found['p_value'])})", found["p_value"] < LEVEL)


def _cell(o: dict[str, Any]) -> str:
    if o["relative"] is None:
        return "[bold]fixed[/]"
    z = "fixed" if o["z"] is None else shown_z(o["z"])
    return _bold(f"{signed(o['relative'])} ({z})", o["z"] is None or abs(o["z"]) >= BOUND)


def _bold(text: str, yes: bool) -> str:
    return f"[bold]{text}[/]" if yes else text
