"""What each model gets wrong, in words that come from the numbers.

A quantity is called wrong where |z| >= 4 and a likelihood where it costs more than its error times
4, both fixed beforehand; a classifier tells samples from data where p < 0.001. z-scores belong to
the number of samples that were judged: a quantity that is not called wrong may be, by less than
that many samples show.
"""

from typing import Any

from statmech_ml.statistics.estimate import with_error

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
    if found["p_value"] < LEVEL:
        return f"a classifier tells it from data, right in {accuracy} of cases"
    return f"a classifier cannot tell it from data ({accuracy}, {shown_p(found['p_value'])})"


def cost(row: dict[str, Any]) -> str:
    """Bits per spin above the entropy, or that there is no likelihood."""
    bits = row["bits"]
    if bits is None:
        return "it has no likelihood"
    most = "at most " if bits["kind"] == "lower bound" else ""
    if not bits["stderr"]:
        return "its law is the exact one"
    return f"it costs {most}{shown_bits(bits)} bits per spin above the entropy"


def shown_z(z: float) -> str:
    """With its sign; a decimal where that matters."""
    return f"{z:+.1f}" if abs(z) < 9.95 else f"{z:+.0f}"


def shown_p(p: float) -> str:
    """A p-value; what underflows is not 0."""
    return f"p = {p:.2g}" if p > 1e-99 else "p < 1e-99"


def shown_bits(bits: dict[str, Any]) -> str:
    """With its error."""
    return with_error(bits["above_entropy"], bits["stderr"]) if bits["stderr"] else "0"


def sentence(row: dict[str, Any]) -> str:
    """All of it."""
    where = f"L = {row['task']['size']}, T = {row['task']['temperature']:g}"
    parts = "; ".join((deviations(row), told_apart(row), cost(row), *row["notes"]))
    return f"{row['title']} ({where}): {parts}."


def _said(name: str, o: dict[str, Any]) -> str:
    if o["z"] is None:
        return f"{name} never varies"
    z = f"z = {shown_z(o['z'])}"
    if o["relative"] is None:
        return f"{name} = {with_error(o['value'], o['stderr'])} where it is 0 ({z})"
    way = "high" if o["relative"] > 0 else "low"
    return f"{name} {percent(abs(o['relative']))} too {way} ({z})"


def percent(share: float) -> str:
    """With two digits, three from 10% on."""
    return f"{100 * share:.2g}%" if abs(share) < 0.0995 else f"{100 * share:.0f}%"


def _size(z: float | None) -> float:
    return float("inf") if z is None else abs(z)
