"""A `Comparison` as a figure: error against cost. matplotlib is imported when it is drawn."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from .logz import EXACT

# Okabe and Ito's colours, which the colour-blind tell apart, each with a marker of its own.
STYLES = (
    ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"),
    ("#56B4E9", "P"), ("#000000", "X"), ("#5f6b76", "*"),
)  # fmt: skip
GREY = "#5f6b76"
COSTS = {
    "sweeps": "sweeps of one chain",
    "energy_evaluations": "energies of one configuration",
    "seconds": "seconds",
}
_LABEL_GAP = 12.0  # points between two labels


class _Line(NamedTuple):
    """A method's rows by rising cost: errors stated and true, NaN where there is none, runs."""

    method: str
    cost: np.ndarray
    stated: np.ndarray
    true: np.ndarray
    n_runs: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """What its label stands beside."""
        return np.where(np.isnan(self.true), self.stated, self.true)


def draw(comparison: Any, cost: str) -> Any:
    """The figure, a matplotlib Figure."""
    if cost not in COSTS:
        raise InvalidInput(f"cost={cost!r} is not one of {', '.join(COSTS)}.")
    lines = _lines(comparison, cost)
    if not lines:
        raise InvalidInput(
            f"There is nothing to draw: no row has both an error and a cost in {cost}. See table()."
        )
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    known = comparison.exact is not None
    for number, line in enumerate(lines):
        colour, marker = _style(number)
        common: dict[str, Any] = {"color": colour, "marker": marker, "ms": 5.5, "lw": 1.3}
        axes.plot(line.cost, line.stated, ls="--", mfc="white", mew=1.2, alpha=0.8, **common)
        if known:
            # The root mean square of n normal deviations is known to one part in sqrt(2 n).
            spread = np.where(line.n_runs > 1, line.true / np.sqrt(2.0 * line.n_runs), 0.0)
            axes.errorbar(
                line.cost, line.true, spread, capsize=2.5, elinewidth=1.0, ls="-", **common
            )
    if known:
        runs = comparison.n_repeats
        true = f"deviation from the exact value, rms of {runs} runs"
        entries = [
            Line2D([], [], color=GREY, marker="o", ms=5.5, lw=1.3,
                   label=true if runs > 1 else "deviation from the exact value"),
            Line2D([], [], color=GREY, marker="o", mfc="white", mew=1.2, ms=5.5, lw=1.3, ls="--",
                   label="error that the method states"),
        ]  # fmt: skip
        axes.legend(
            handles=entries, frameon=False, fontsize=8.5, loc="lower left",
            bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2,
        )  # fmt: skip
    axes.set_xlabel(f"cost of one run: {COSTS[cost]}")
    axes.set_ylabel("error of log Z" if known else "stated error of log Z")
    axes.margins(x=0.06, y=0.08)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.grid(True, which="major", color=GREY, alpha=0.18, lw=0.6)
    _label(axes, lines)
    return figure


def _lines(comparison: Any, cost: str) -> list[_Line]:
    found: dict[str, list[tuple[float, float, float, int]]] = {}
    for row in comparison.rows:
        stated, true, where = row.stated_error, row.rms_error, row.cost.get(cost)
        exact = all(result.status == EXACT for result in row.results)
        if stated is None or not where or exact:
            continue
        points = _positive(stated), _positive(true)
        if not np.isnan(points).all():
            runs = len(row.results)
            found.setdefault(row.method, []).append((where, points[0], points[1], runs))
    return [_Line(name, *np.array(sorted(rows)).T) for name, rows in found.items()]


def _positive(value: float | None) -> float:
    """What a logarithmic axis can show, else NaN."""
    return value if value is not None and 0.0 < value < math.inf else math.nan


def _style(number: int) -> tuple[str, str]:
    """Colour and marker of a line; the pairs repeat later than the colours."""
    lap, k = divmod(number, len(STYLES))
    return STYLES[k][0], STYLES[(k + lap) % len(STYLES)][1]


def _label(axes: Any, lines: list[_Line]) -> None:
    """Name each method: beside a single point with room, else at the right end, with a leader."""
    axes.figure.draw_without_rendering()

    def in_points(x: Any, y: Any) -> np.ndarray:
        scale = 72.0 / axes.figure.dpi
        return np.asarray(axes.transData.transform(np.stack([x, y], axis=-1)) * scale)

    drawn = [
        np.concatenate([in_points(line.cost, y) for y in (line.stated, line.true)])
        for line in lines
    ]
    ends = [np.flatnonzero(~np.isnan(line.shown))[-1] for line in lines]
    places = [(line.cost[k], line.shown[k]) for line, k in zip(lines, ends, strict=True)]
    points = in_points(*np.array(places).T)
    height = -math.inf
    for number in np.argsort(points[:, 1]):
        line, place, up = lines[number], places[number], points[number, 1]
        style = {
            "va": "center", "fontsize": 9, "color": _style(number)[0], "annotation_clip": False,
        }  # fmt: skip
        others = [d for k, d in enumerate(drawn) if k != number]
        away = np.abs(np.concatenate([np.empty((0, 2)), *others]) - points[number])
        near = (away < (8.0 + 6.0 * len(line.method), 0.75 * _LABEL_GAP)).all(axis=1)
        if len(line.cost) == 1 and not near.any():
            axes.annotate(
                line.method, place, xytext=(8.0, 0.0), textcoords="offset points", **style
            )
            continue
        height = max(up, height + _LABEL_GAP)
        leader = {"arrowstyle": "-", "color": style["color"], "lw": 0.7, "alpha": 0.6, "shrinkB": 4}
        axes.annotate(
            line.method, place, xytext=(1.03, height - up),
            textcoords=("axes fraction", "offset points"), arrowprops=leader, **style,
        )  # fmt: skip
