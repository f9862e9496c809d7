"""The study's page of the report: generative.html, beside index.html, with its figures inside."""

import base64
import html
import io
from pathlib import Path
from typing import Any

from statmech_ml.errors import StoreError

from . import figures
from .observables import SCALARS
from .plan import WRONG
from .table import HEADS
from .words import (
    BOUND,
    LEVEL,
    learnt,
    seconds,
    sentence,
    shown_bits,
    shown_z,
    signed,
    told_apart,
    updates,
    worst_distance,
)

NAME = "generative.html"


def write_page(study: dict[str, Any], folder: Path) -> Path:
    """Write the page into `folder` (made if need be); StoreError when that cannot be done."""
    page = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(render(study))
    except OSError as error:
        raise StoreError(
            f"The page cannot be written to {folder}: {error}. Choose another folder."
        ) from error
    return page


def render(study: dict[str, Any]) -> str:
    """The page as a string."""
    task = study["results"][0]["task"]
    versions = ", ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in study["versions"].items())
    groups = figures.panels(study)
    css = (Path(__file__).parents[1] / "report.css").read_text()
    drawn = "".join(
        f"<h2>{question}</h2>{_CAPTIONS[name].format(task=_Numbers(task))}"
        f'<figure class="wide"><img alt="{question}" src="{_image(draw(study))}"></figure>'
        for name, (question, draw) in figures.QUESTIONS.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>statmech-ml: generative models</title>
<style>{css}.data td:first-child{{white-space:nowrap}}
.data{{font-size:11px}}.data td,.data th{{padding-right:6px;white-space:nowrap}}
.rows{{overflow-x:auto}}</style></head><body><main>
<header class="good"><h1>Generative models on the Ising model</h1>
<p>{html.escape(study["started"])} &middot; {versions}</p>
<div class="cards">{_cards(study)}</div></header>
<p>{html.escape(learnt(task), quote=False)}</p>
<p>What {task["n_judged"]:,} independent samples of each say is put against what is known: energy,
specific heat and entropy exactly (Kaufman), |m|, susceptibility, Binder cumulant and correlation
function exactly up to L = 10 (transfer matrix), and beyond from a long Swendsen-Wang run, whose
errors are counted in. z is the deviation in errors of that many samples: it says what is
<em>detectable</em> with them, the percentage says how large it is. The errors are those of the
samples themselves: a model that varies too little gets a large z for that reason too. Bold:
|z| &ge; {BOUND:g}, or a classifier with p &lt; {LEVEL:g}, both fixed before this run. Bits per spin
above the entropy: &le; where the model's likelihood is a bound, ~ where log Z is estimated, ? where
that estimate says it is in doubt. Two rows judge the judge: fresh exact data, of which nothing may
be bold, and data {WRONG - 1:.0%} too hot.</p>
{"".join(_table(name, rows) for name, rows in groups)}
<h2>What each model gets wrong</h2>
{"".join(_sentences(name, rows) for name, rows in groups)}
{drawn}
</main></body></html>
"""


class _Numbers:
    """A task's numbers with thousands separated."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.judged, self.held_out = f"{task['n_judged']:,}", f"{task['n_held_out']:,}"


_CAPTIONS = {
    "cost": "<p>KL(data, model) per spin, in bits, on held-out data: the mean of log p of the exact"
    " law, known for every configuration, minus the model's. Arrows: the model's likelihood is a"
    " lower bound, so it costs at most that. GANs have none. The RBM's log Z is estimated by AIS: "
    "that errs low if anything, and the bits with it.</p>",
    "observables": "<p>Relative error and z at {task.judged} samples; bold where |z| is beyond the "
    "bound. Red is too high, blue too low.</p>",
    "correlations": "<p>Spins a distance r apart along an axis; below, the deviation from the true "
    "value with errors of {task.judged} samples.</p>",
    "classifier": "<p>The share of held-out configurations, half of them samples and half data, "
    "that a classifier puts on the right side. One half is the best that a model can do.</p>",
    "snapshots": "<p>The first samples of each row, not chosen.</p>",
}


def _cards(study: dict[str, Any]) -> str:
    rows = study["results"]
    models = {row["title"] for row in rows if row["epochs"]}
    trained = sum(row["seconds"]["training, of the processor"] for row in rows)
    facts = [
        ("models", str(len(models))),
        ("tasks", str(len(rows))),
        ("seed", str(study["seed"])),
        ("training, one core", f"{trained / 60:.0f} min"),
    ]
    return "".join(f'<div class="card"><span>{k}</span><b>{v}</b></div>' for k, v in facts)


def _table(name: str, rows: list[dict[str, Any]]) -> str:
    heads = "".join(f"<th>{html.escape(h)}" for h in HEADS.values())
    lines = "".join(
        f"<tr><td>{html.escape(row['title'])}<td>{_bits(row)}<td>{_accuracy(row)}"
        + "".join(f"<td>{_cell(row['observables'][q])}" for q in SCALARS)
        + f"<td>{_worst(row)}{_size(row)}</tr>"
        for row in rows
    )
    return f"""<h2>{name}</h2><div class="rows"><table class="data"><thead><tr><th>model
<th>bits per spin<th>classifier{heads}<th>worst r: G(r)<th>param.<th>updates<th>CPU s</tr></thead>
<tbody>{lines}</tbody></table></div>"""


def _bits(row: dict[str, Any]) -> str:
    found = row["bits"]
    if found is None:
        return "none"
    shown = shown_bits(found).replace("<=", "&le;")
    return f'<span title="{html.escape(found["method"])}">{shown}</span>'


def _accuracy(row: dict[str, Any]) -> str:
    found = row["classifier"]
    return _bold(f"{100 * found['accuracy']:.1f}%", found["p_value"] < LEVEL, told_apart(row))


def _worst(row: dict[str, Any]) -> str:
    name = worst_distance(row)
    return f"{name[2:-1]}: {_cell(row['observables'][name])}"


def _cell(o: dict[str, Any]) -> str:
    if o["relative"] is None:
        return "<b>never varies</b>"
    z = "never varies" if o["z"] is None else shown_z(o["z"])
    text = f"{signed(o['relative'])} ({z})".replace("-", "&minus;")
    about = f"{o['value']:.6g} +- {o['stderr']:.2g}, true {o['exact']:.6g} ({o['source']})"
    return _bold(text, o["z"] is None or abs(o["z"]) >= BOUND, about)


def _bold(text: str, yes: bool, about: str) -> str:
    tag = "b" if yes else "span"
    return f'<{tag} title="{html.escape(about)}">{text}</{tag}>'


def _size(row: dict[str, Any]) -> str:
    """Parameters, updates, and processor seconds of training."""
    if not row["epochs"]:
        return "<td><td><td>"
    return f"<td>{row['parameters']:,}<td>{updates(row)}<td>{seconds(row)}"


def _sentences(name: str, rows: list[dict[str, Any]]) -> str:
    lines = "".join(f"<li>{html.escape(sentence(row))}</li>" for row in rows)
    return f"<ul>{lines}</ul>"


def _image(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()
