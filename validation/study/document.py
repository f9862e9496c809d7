"""The study's table in docs/generative.md, between its markers.

python -m validation.study.document validation/study-default.json docs/generative.md docs/figures

writes it and its figures anew; a test fails when document and results drift apart. The results are
the results.json of `python examples/generative_ising.py`.
"""

import sys
from pathlib import Path
from typing import Any

from statmech_ml.errors import StoreError

from . import results
from .figures import panels, save
from .observables import SCALARS
from .table import HEADS
from .words import (
    BOUND,
    LEVEL,
    deviations,
    doubt,
    learnt,
    remark,
    seconds,
    shown_bits,
    shown_z,
    signed,
    updates,
    worst_distance,
)

START, END = "<!-- study -->\n", "<!-- /study -->"


def section(study: dict[str, Any]) -> str:
    """Tables and sentences of all sizes and temperatures, as Markdown."""
    parts = []
    for name, rows in panels(study):
        heads = ["model", "bits/spin", "C2ST %", *HEADS.values(), "G(r), worst", "updates", "CPU s"]
        heads = [head.replace("|m|", "abs m") for head in heads]
        lines = [f"**{name}**", "", _line(heads), _line(["---"] * len(heads))]
        lines += [_line(_cells(row)) for row in rows]
        said = [f"- {row['title']}: {_said(row)}." for row in rows if row["epochs"]]
        parts.append("\n".join([*lines, "", *said, ""]))
    return "\n".join(parts) + "\n" + _about(study) + "\n"


def insert(text: str, study: dict[str, Any]) -> str:
    """The document with its section replaced; StoreError for one without markers."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise StoreError(f"The document has no {START.strip()} ... {END} to write between.")
    return before + START + section(study) + END + after


def _cells(row: dict[str, Any]) -> list[str]:
    bits, found, worst = row["bits"], row["classifier"], worst_distance(row)
    cost = "" if bits is None else shown_bits(bits).replace("<=", "≤")
    return [
        row["title"],
        cost,
        _bold(f"{100 * found['accuracy']:.1f}", found["p_value"] < LEVEL),
        *(_deviation(row["observables"][name]) for name in SCALARS),
        f"r = {worst[2:-1]}: {_deviation(row['observables'][worst])}",
        updates(row),
        seconds(row),
    ]


def _said(row: dict[str, Any]) -> str:
    """What is wrong, and what casts doubt on the row."""
    doubts = [doubt(row["bits"] or {"kind": "none"}).removeprefix(", "), *row["notes"]]
    return "; ".join([deviations(row), *(said for said in doubts if said)])


def _deviation(o: dict[str, Any]) -> str:
    if o["relative"] is None:
        return "**never varies**"
    z = "never varies" if o["z"] is None else shown_z(o["z"])
    text = f"{signed(o['relative'])} ({z})".replace("-", "−")
    return _bold(text, o["z"] is None or abs(o["z"]) >= BOUND)


def _about(study: dict[str, Any]) -> str:
    task, versions = study["results"][0]["task"], study["versions"]
    remarks = {row["title"]: remark(row) for row in study["results"] if remark(row)}
    said = "".join(f"\n- {title}: {text}." for title, text in remarks.items())
    return (
        f"{learnt(task)}\n{said}\n\n"
        f"{task['n_judged']:,} samples judged, seed {study['seed']}; Python {versions['python']}, "
        f"torch {versions['torch']}; CPU s: seconds of one core that the training took."
    )


def _bold(text: str, yes: bool) -> str:
    return f"**{text}**" if yes else text


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    stored, path = results.load(Path(sys.argv[1])), Path(sys.argv[2])
    path.write_text(insert(path.read_text(), stored))
    save(stored, Path(sys.argv[3]))
