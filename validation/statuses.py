"""Where the status of an estimator says no: the list in docs/estimators.md, made from the verdicts.

`python -m validation.statuses` writes it anew from validation/verdicts-full.json; a test fails when
the two drift apart.
"""

import json
from pathlib import Path
from typing import Any

from .checks.calibration import SHARE

ROOT = Path(__file__).parents[1]
VERDICTS = ROOT / "validation" / "verdicts-full.json"
PAGE = ROOT / "docs" / "estimators.md"
BEGIN, END = "<!-- statuses: begin -->", "<!-- statuses: end -->"


def table(verdicts: list[dict[str, Any]]) -> str:
    """Markdown rows of estimator, target, and share of runs that are not ok, where any was not.

    Parameters
    ----------
    verdicts : list of dict
        "verdicts" of a verdicts.json.

    >>> share = {"name": "share ok, a glass", "value": 0.75, "n": 40}
    >>> print(table([{"claim": "ais: over 40 seeds ...", "measurements": [share]}]))
    | estimator | system | runs not "ok" |
    |---|---|---|
    | ais | a glass | 10 of 40 |
    """
    rows = ['| estimator | system | runs not "ok" |', "|---|---|---|"]
    for verdict in verdicts:
        for m in verdict["measurements"]:
            if m["name"].startswith(SHARE) and m["value"] < 1.0 and ":" in verdict["claim"]:
                estimator = verdict["claim"].partition(":")[0]
                target = m["name"].removeprefix(SHARE)
                bad = round((1.0 - m["value"]) * m["n"])
                rows.append(f"| {estimator} | {target} | {bad} of {m['n']} |")
    return "\n".join(rows)


def calibrated(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts of one estimator each, over all of its targets."""
    return [v for v in verdicts if v["name"].startswith("calibration.") and v["tier"] == "full"]


def stored() -> str:
    """The table of the verdicts that are committed."""
    return table(calibrated(json.loads(VERDICTS.read_text())["verdicts"]))


def on_page() -> str:
    """The table that the page shows."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    """Write the page's table anew."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{stored()}\n\n{END}{after}")


if __name__ == "__main__":
    main()
