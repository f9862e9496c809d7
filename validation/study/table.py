"""The table of a study for the terminal."""

from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from statmech_ml.statistics.estimate import with_error

from .observables import SCALARS
from .words import BOUND, LEVEL, percent, shown_bits, shown_p, shown_z, worst_distance

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
        title=f"{size} x {size}, T = {temperature:g}; {task['n_train']:,} configurations to learn "
        f"from, {task['n_judged']:,} samples judged",
        title_justify="left",
        caption="off by (z); z counts errors of that many samples, bold from |z| = "
        f"{BOUND:g} on. bits/spin above the entropy, <= where the model's likelihood is a bound; "
        f"C2ST: accuracy of a classifier [%] (p), bold below {LEVEL:g}",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    shown.add_column("model", no_wrap=True)
    for head in ("bits/spin", "C2ST", *HEADS.values(), "G(r), worst", "param.", "s"):
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
            f"{row['seconds']['training']:.0f}" if row["epochs"] else "",
        )
    return shown


def bits(row: dict[str, Any]) -> str:
    """Bits per spin above the entropy."""
    found = row["bits"]
    if found is None:
        return "-"
    return ("<= " if found["kind"] == "lower bound" else "") + shown_bits(found)


def accuracy(row: dict[str, Any]) -> str:
    """Of the classifier, with its p-value."""
    found = row["classifier"]
    value = with_error(100 * found["accuracy"], 100 * found["stderr"])
    return _bold(f"{value} ({shown_p(found['p_value'])})", found["p_value"] < LEVEL)


def _cell(o: dict[str, Any]) -> str:
    if o["z"] is None:
        return "[bold]fixed[/]"
    sign = "+" if o["relative"] >= 0 else "-"
    return _bold(f"{sign}{percent(abs(o['relative']))} ({shown_z(o['z'])})", abs(o["z"]) >= BOUND)


def _bold(text: str, yes: bool) -> str:
    return f"[bold]{text}[/]" if yes else text
