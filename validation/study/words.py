"""What each model gets wrong, in words that come from the numbers.

A quantity is called wrong where |z| >= 4, fixed beforehand; a classifier tells samples from data
where p < 0.001. z-scores belong to the number of samples that were judged: a quantity that is not
called wrong may be, by less than that many samples show. Their errors are those of the samples
themselves, so that a model that varies too little gets a large z for that reason too. A likelihood
is not judged: its cost is given with its error.
"""

from typing import Any

from statmech_ml.statistics.estimate import with_error

from .learners import LEARNERS
from .plan import Task

BOUND = 4.0
LEVEL = 0.001


def wrong(row: dict[str, Any]) -> list[str]:
    """Quantities with |z| at or beyond the bound, or that never vary, worst first. G(1) is left
    out: it is the energy, -u/2."""
    observables = {name: o for name, o in row["observables"].items() if name != "G(1)"}
    bad = [name for name, o in observables.items() if o["z"] is None or abs(o["z"]) >= BOUND]
    return sorted(bad, key=lambda name: -_size(observables[name]["z"]))


def worst_distance(row: dict[str, Any]) -> str:
    """The G(r) with the largest |z|, r > 1."""
    names = [n for n in row["observables"] if n.startswith("G(") and n != "G(1)"]
    return max(names, key=lambda name: _size(row["observables"][name]["z"]))


def deviations(row: dict[str, Any]) -> str:
    """'energy 3.1% too high (z = +40), ...': scalars one by one, of G(r) the worst distance."""
    bad = wrong(row)
    worst = worst_distance(row)
    shown = [name for name in bad if not name.startswith("G(") or name == worst]
    said = [_said(name, row["observables"][name]) for name in shown]
    n = row["task"]["n_judged"]
    return ", ".join(said) or f"no observable is off by more than {n:,} samples show"


def told_apart(row: dict[str, Any]) -> str:
    """What the classifier finds."""
    found = row["classifier"]
    accuracy = f"{with_error(100 * found['accuracy'], 100 * found['stderr'])}%"
    tells = "tells" if found["p_value"] < LEVEL else "does not tell"
    return (
        f"a classifier {tells} it from data: right in {accuracy} of cases, "
        f"{shown_p(found['p_value'])}"
    )


def cost(row: dict[str, Any]) -> str:
    """Bits per spin above the entropy, or that there is no likelihood."""
    bits = row["bits"]
    if bits is None:
        return "it has no likelihood"
    if bits["above_entropy"] is None:
        return (
            "it gives some held-out configurations probability zero, or no number: its cost is "
            "infinite, or not known"
        )
    if not row["epochs"] and bits["above_entropy"] == 0.0:
        return "its law is the exact one"
    most = "at most " if bits["kind"] == "lower bound" else ""
    return f"it costs {most}{_with_error(bits)} bits per spin above the entropy{doubt(bits)}"


def doubt(bits: dict[str, Any]) -> str:
    """What its estimator says against the number of an estimate; "" where that is nothing."""
    fine = bits["kind"] != "estimate" or bits["method"].endswith("(ok)")
    return "" if fine else f", which is not to be trusted: {bits['method']}"


def remark(row: dict[str, Any]) -> str:
    """What must be known to read the row; "" of most."""
    learner = LEARNERS.get(row["task"]["model"])
    return "" if learner is None else learner.remark


def updates(row: dict[str, Any]) -> str:
    """Optimiser steps of what makes the samples; "" of controls."""
    learner = LEARNERS.get(row["task"]["model"])
    return "" if learner is None else f"{learner.updates(Task(**row['task'])):,}"


def seconds(row: dict[str, Any]) -> str:
    """Of training, of the processor, which other work does not lengthen; "" of controls."""
    return f"{row['seconds']['training, of the processor']:.0f}" if row["epochs"] else ""


def learnt(task: dict[str, Any]) -> str:
    """Who learnt from what, of a study's task."""
    n = task["n_train"]
    kept = n - n * 9 // 10
    return (
        f"Models whose likelihood can be computed learnt from {n - kept:,} of the same {n:,} "
        f"configurations and kept the parameters of the epoch at which the other {kept:,} cost "
        f"least; the RBM and the GANs learnt from all {n:,} and kept the last; the variational "
        "network saw none, it learnt from the energy. Epochs were set for about equal times; steps "
        "are not equal: 'updates' counts those of what makes the samples, not those of a critic."
    )


def shown_z(z: float) -> str:
    """With its sign; a decimal where that matters."""
    return f"{z:+.1f}" if abs(z) < 9.95 else f"{z:+.0f}"


def shown_p(p: float) -> str:
    """A p-value; what underflows is not 0."""
    return f"p = {p:.2g}" if p > 1e-99 else "p < 1e-99"


def shown_bits(bits: dict[str, Any]) -> str:
    """For a table: with its error, <= for a bound, ~ for an estimate, and ? where that one is in
    doubt; "inf or ?" for a model without a finite likelihood of some configurations."""
    if bits["above_entropy"] is None:
        return "inf or ?"
    sign = {"lower bound": "<= ", "estimate": "~ "}.get(bits["kind"], "")
    return sign + _with_error(bits) + (" ?" if doubt(bits) else "")


def _with_error(bits: dict[str, Any]) -> str:
    value, error = bits["above_entropy"], bits["stderr"]
    return with_error(value, error) if error else f"{value:.3g}"


def sentence(row: dict[str, Any]) -> str:
    """All of it."""
    where = f"L = {row['task']['size']}, T = {row['task']['temperature']:g}"
    parts = (deviations(row), told_apart(row), cost(row), remark(row), *row["notes"])
    return f"{row['title']} ({where}): {'; '.join(part for part in parts if part)}."


def _said(name: str, o: dict[str, Any]) -> str:
    if o["z"] is None:
        return f"{name} never varies" + ("" if not o["relative"] else f", {_way(o)}")
    z = f"z = {shown_z(o['z'])}"
    if o["relative"] is None:
        return f"{name} = {with_error(o['value'], o['stderr'])} where it is 0 ({z})"
    return f"{name} {_way(o)} ({z})"


def _way(o: dict[str, Any]) -> str:
    return f"{percent(abs(o['relative']))} too {'high' if o['relative'] > 0 else 'low'}"


def percent(share: float) -> str:
    """With two digits, three from 10% on."""
    return f"{100 * share:.2g}%" if abs(share) < 0.0995 else f"{100 * share:.0f}%"


def signed(share: float) -> str:
    """A relative error with its sign."""
    return ("+" if share >= 0 else "-") + percent(abs(share))


def _size(z: float | None) -> float:
    return float("inf") if z is None else abs(z)
