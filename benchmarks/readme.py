"""The speed table of the README, rendered from results.json so that the two cannot drift apart."""

import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)


def table(document: dict[str, Any]) -> str:
    """Markdown for the contents of results.json."""
    rows = ["| job | rate | against | ratio |", "|---|---|---|---|"]
    for r in document["results"]:
        rate = f"{r['rate']:.2g} {r['unit']}"
        rows.append(f"| {r['name']} | {rate} | {r['reference']} | {r['ratio']:.1f}x |")
    machine = document["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    rows.append("")
    rows.append(f"{machine['processor']}, Python {machine['python']}, {versions}.")
    return "\n".join(rows) + "\n"


def write_table(document: dict[str, Any]) -> None:
    """Replace the table between the README's benchmark marks."""
    README.write_text(_BLOCK.sub(lambda m: m[1] + table(document) + m[2], README.read_text()))


def written_table() -> str:
    """What stands between the marks now."""
    found = _BLOCK.search(README.read_text())
    if found is None:
        raise ValueError("README.md has lost its benchmark marks.")
    return found[0].removeprefix(found[1]).removesuffix(found[2])
