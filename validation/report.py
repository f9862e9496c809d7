"""The report: verdicts.json and one HTML page with its figures inside, nothing to load from
elsewhere.
"""

import base64
import html
import json
import math
from itertools import groupby
from pathlib import Path
from typing import Any

from statmech_ml.errors import StoreError
from statmech_ml.statistics.estimate import with_error

from . import figures
from .check import Measurement, Verdict
from .curves import Curve, Figures
from .runner import Outcome
from .study import page as study_page

TITLES = {
    "energy_per_site": "Energy",
    "specific_heat": "Specific heat",
    "abs_magnetization": "Magnetisation |m|",
    "susceptibility": "Susceptibility",
}


def write_report(
    outcome: Outcome, drawn: Figures, folder: Path, study: dict[str, Any] | None = None
) -> Path:
    """Write verdicts.json and index.html into `folder` (made if need be); returns the page's path.

    A study of generative models (`validation.study`) gets a page of its own, linked from the first.

    Raises StoreError when the folder cannot be written.
    """
    page = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(outcome.to_json(), indent=1, allow_nan=False)
        (folder / "verdicts.json").write_text(text + "\n")
        page.write_text(render(outcome, drawn, None if study is None else study_page.NAME))
    except OSError as error:
        raise StoreError(
            f"The report cannot be written to {folder}: {error}. Choose another --report."
        ) from error
    if study is not None:
        study_page.write_page(study, folder)
    return page


def render(outcome: Outcome, drawn: Figures, link: str | None = None) -> str:
    """The page as a string; `link` is the page of generative models."""
    total, passed = len(outcome.verdicts), sum(v.passed for v in outcome.verdicts)
    mutants = [m for v in outcome.verdicts for m in v.mutants]
    z = [m.z for v in outcome.verdicts for m in v.measurements if not m.is_identity]
    z = [value for value in z if value != 0.0]  # one-sided, and on the right side
    facts = [
        ("verdict", "all passed" if outcome.passed else f"{total - passed} failed"),
        ("checks", f"{passed} of {total} passed"),
        ("mutants", f"{sum(m.rejected for m in mutants)} of {len(mutants)} rejected"),
        ("measurements", f"{len(z)} statistical"),
        ("tier", outcome.tier),
        ("seed", str(outcome.seed)),
        ("time", f"{outcome.seconds:.0f} s"),
    ]
    cards = "".join(
        f'<div class="card"><span>{html.escape(k)}</span><b>{html.escape(v)}</b></div>'
        for k, v in facts
    )
    versions = ", ".join(f"{html.escape(k)} {html.escape(v)}" for k, v in outcome.versions.items())
    large = [curve for curve in drawn.curves if curve.lattice == drawn.curves[0].lattice]
    small = [curve for curve in drawn.curves if curve.lattice != drawn.curves[0].lattice]
    state = "good" if outcome.passed else "bad"
    snapshots = _image(figures.draw_snapshots(drawn))
    css = Path(__file__).with_name("report.css").read_text()
    more = (
        "" if link is None else f'<p><a href="{link}">Generative models on the Ising model</a></p>'
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>statmech-ml validation: {facts[0][1]}</title><style>{css}</style></head><body><main>
<header class="{state}"><h1>statmech-ml validation</h1>
<p>{html.escape(outcome.started)} &middot; {versions}</p><div class="cards">{cards}</div>
{more}</header>

<h2>Lattice {html.escape(large[0].lattice)}</h2>
<p>Points come from {html.escape(drawn.origin)}; error bars are one standard error. Energy and
specific heat lie on the exact curves of this lattice, with deviations in standard errors below. |m|
and the susceptibility have no closed form at this size: dashed curves belong to the
<em>infinite</em> lattice, from which a finite one must depart near T<sub>c</sub>. The
susceptibility's is the leading term near T<sub>c</sub>,
&beta; C<sub>&plusmn;</sub> |1 &minus; T<sub>c</sub>/T|<sup>&minus;7/4</sup>, above T<sub>c</sub>
times 1 &minus; 2/&pi;, the share of &lang;M&sup2;&rang; that is left when &lang;|M|&rang;&sup2; is
subtracted from a Gaussian M; further away, corrections of order |1 &minus; T<sub>c</sub>/T|
show.</p>
<div class="grid">{"".join(_curve(curve) for curve in large)}</div>
<figure class="wide"><img alt="spin configurations below, near and above the critical temperature"
src="{snapshots}"><figcaption>{_captions(drawn)}</figcaption></figure>

<h2>Lattice {html.escape(small[0].lattice)}, exact at finite size</h2>
<p>Sampled by this run. The distribution of M follows from the transfer matrix, so |m| and the
susceptibility have exact curves of their own.</p>
<div class="grid">{"".join(_curve(curve) for curve in small)}</div>

<h2>Verdicts</h2>
<p>A statistical check passes when every |z| stays below its bound: 4 for a single z, more for n of
them (Bonferroni), so that chance exceeds it once in 16,000 runs. A run outside is repeated once
with a fresh seed and four times the draws. Identities hold within a tolerance of rounding. A mutant
is the same measurement with one mistake made on purpose; a check that does not reject all of its
mutants fails. The rows open.</p>
{"".join(_room(name, list(found)) for name, found in groupby(outcome.verdicts, _room_of))}

<h2>All z-scores together</h2>
<figure class="wide narrow"><img alt="histogram of the absolute z-scores with the half-normal law"
src="{_image(figures.draw_z_scores(z))}"><figcaption>{_share(z)}</figcaption></figure>
</main></body></html>
"""


def _curve(curve: Curve) -> str:
    title = f"{TITLES[curve.name]}, {curve.lattice}"
    rows = []
    for T, estimate, exact, deviation in zip(
        curve.temperature, curve.estimates, curve.exact, curve.residuals(), strict=True
    ):
        shown = "no fluctuation" if estimate is None else str(estimate)
        known = "" if math.isnan(exact) else f"{exact:.6g}"
        off = "" if curve.infinite or math.isnan(deviation) else f"{deviation:+.2f}"
        rows.append(f"<tr><td>{T:.6g}<td>{shown}<td>{known}<td>{off}</tr>")
    head = "infinite lattice" if curve.infinite else "exact"
    return f"""<figure><h3>{html.escape(title)}</h3>
<img alt="{html.escape(title)} against temperature" src="{_image(figures.draw_curve(curve))}">
<figcaption><details><summary>the numbers</summary><table class="data"><thead>
<tr><th>T<th>sampled<th>{head}<th>deviation / &sigma;</tr></thead>
<tbody>{"".join(rows)}</tbody></table>
</details></figcaption></figure>"""


def _room_of(verdict: Verdict) -> str:
    return verdict.name.split(".")[0]


def _room(name: str, verdicts: list[Verdict]) -> str:
    """The verdicts of one room below its name, with their number and their time."""
    passed = sum(verdict.passed for verdict in verdicts)
    seconds = sum(verdict.seconds for verdict in verdicts)
    title = html.escape(name.replace("-", " ").capitalize())
    return f"""<h3 class="room">{title} <span>{passed} of {len(verdicts)} passed, {seconds:.0f} s
</span></h3>{"".join(_verdict(verdict) for verdict in verdicts)}"""


def _verdict(verdict: Verdict) -> str:
    mark, word = ("&#10003;", "pass") if verdict.passed else ("&#10007;", "FAIL")
    rejected = f"{sum(m.rejected for m in verdict.mutants)}/{len(verdict.mutants)}"
    if verdict.worst is None:
        score = "broken"
    elif verdict.is_identity:
        score = f"{abs(verdict.z):.1g} &times; tolerance"
    else:
        score = f"|z| {abs(verdict.z):.2f} &lt; {verdict.bound:.2f}"
        if abs(verdict.z) >= verdict.bound:
            score = f"|z| {abs(verdict.z):.2f} &ge; {verdict.bound:.2f}"
    notes = [
        f"seed {verdict.seed}",
        f"{verdict.n:,} draws",
        f"{verdict.seconds:.1f} s",
        verdict.tier,
    ]
    if verdict.false_alarm:
        notes.append(f"false alarms: 1 in {1 / verdict.false_alarm:,.0f}")
    if verdict.repeated:
        notes.append("decided by the second run")
    lines = "".join(_measurement(m) for m in verdict.measurements)
    mutants = "".join(
        f"<li>{'rejected' if m.rejected else '<b>SURVIVED</b>'} ({_size(m.z)}): "
        f"{html.escape(m.name)}" + (f" <code>{html.escape(m.error)}</code>" if m.error else "")
        for m in verdict.mutants
    )
    warned = "".join(f"<p>warned: {html.escape(text)}</p>" for text in verdict.warnings)
    error = f"<pre>{html.escape(verdict.error)}</pre>" if verdict.error else ""
    state = "good" if verdict.passed else "bad"
    return f"""<details class="check {state}"><summary>
<span class="mark">{mark} {word}</span><code>{html.escape(verdict.name)}</code>
<span class="score">{score}</span><span class="mutants">{rejected} mutants</span>
<span class="claim">{html.escape(verdict.claim)}</span></summary>
{error}{warned}<p class="notes">{" &middot; ".join(notes)}</p>
<table class="data"><thead><tr><th>measured<th>value<th>exact<th>z</tr></thead>
<tbody>{lines}</tbody></table>
<p>Mutants:</p><ul>{mutants}</ul></details>"""


def _measurement(m: Measurement) -> str:
    value = f"{m.value:.10g}" if m.is_identity else with_error(m.value, m.error)
    size = f"{abs(m.z):.2g} tol" if m.is_identity else f"{m.z:+.2f}"
    return f"<tr><td>{html.escape(m.name)}<td>{value}<td>{m.exact:.10g}<td>{size}</tr>"


def _size(z: float) -> str:
    return f"{abs(z):.3g}" if abs(z) < 1e4 else f"{abs(z):.0e}"


def _captions(drawn: Figures) -> str:
    return "; ".join(f"T = {T:.6g}: m = {spins.mean():+.4f}" for T, spins in drawn.snapshots)


def _share(z: list[float]) -> str:
    counts = [sum(abs(value) > limit for value in z) for limit in (1, 2, 3)]
    expected = [2 * len(z) * 0.5 * math.erfc(limit / math.sqrt(2)) for limit in (1, 2, 3)]
    return "; ".join(
        f"|z| &gt; {limit}: {count} ({chance:.1f} expected)"
        for limit, count, chance in zip((1, 2, 3), counts, expected, strict=True)
    )


def _image(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
