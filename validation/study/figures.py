"""The figures of a study, one for each question. matplotlib is imported when something is drawn.

cost          what does it cost: bits per spin above the exact entropy
observables   which observables are wrong, and by how much
correlations  the correlation function beside the true one
classifier    can a classifier tell
snapshots     what the samples look like
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .observables import SCALARS, distances
from .words import BOUND, shown_z, signed

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6b76"
# Okabe and Ito's colours and markers, which differ both: eight models at most before they repeat.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a6d3b")
MARKERS = "osD^vP*X"
LABELS = {
    "energy": "$u$",
    "abs m": r"$\langle|m|\rangle$",
    "specific heat": "$c$",
    "susceptibility": r"$\chi$",
    "Binder cumulant": "$U_4$",
}

Panels = list[tuple[str, list[dict[str, Any]]]]


def panels(study: dict[str, Any]) -> Panels:
    """Rows by size and temperature, with a title."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in study["results"]:
        task = row["task"]
        name = f"L = {task['size']}, T = {task['temperature']:g}"
        groups.setdefault(name, []).append(row)
    return list(groups.items())


def cost(study: dict[str, Any]) -> Any:
    """Bits per spin above the entropy: points, hollow where log Z is estimated, or arrows to the
    left where it is at most that.

    On a logarithmic axis; linear between -0.001 and 0.001 where an estimate falls below 0. A model
    whose cost is not finite is said to have none.
    """
    shown = [
        (name, [r for r in rows if r["bits"] and r["bits"]["above_entropy"] != 0.0])
        for name, rows in panels(study)
    ]
    shown = [(name, rows) for name, rows in shown if rows]
    titles = list(dict.fromkeys(r["title"] for _, rows in shown for r in rows))
    figure, axes = _grid(len(shown), 4.6, 0.42 * len(titles) + 1.5)
    for panel, (name, rows) in zip(axes, shown, strict=True):
        for row in rows:
            place, found = titles.index(row["title"]), row["bits"]
            if found["above_entropy"] is None:
                panel.text(
                    0.98, place, "infinite, or not known", ha="right", va="center", fontsize=7.5,
                    transform=panel.get_yaxis_transform(), color=ORANGE,
                )  # fmt: skip
                continue
            bound, control = found["kind"] == "lower bound", not row["epochs"]
            colour = GREY if control else (ORANGE if bound else BLUE)
            panel.errorbar(
                found["above_entropy"], place, xerr=found["stderr"], fmt="<" if bound else "o",
                ms=6, color=colour, capsize=2.5,
                mfc="white" if found["kind"] == "estimate" else colour,
            )  # fmt: skip
            panel.annotate(
                f"{found['above_entropy']:.2g}", (found["above_entropy"], place),
                xytext=(0, 7), textcoords="offset points", ha="center", fontsize=7.5, color=colour,
            )  # fmt: skip
        values = [v for r in rows if (v := r["bits"]["above_entropy"]) is not None] or [1.0]
        if min(values) > 0.0:
            panel.set_xscale("log")
            panel.set_xlim(0.5 * min(values), 2.5 * max(values))
        else:
            panel.set_xscale("symlog", linthresh=1e-3)
            panel.set_xlim(2.0 * min(*values, -5e-4), 2.5 * max(*values, 1e-3))
            panel.axvline(0.0, color="0.6", lw=1)
        panel.set_ylim(len(titles) - 0.5, -0.7)
        panel.set_yticks(range(len(titles)), titles)
        panel.set_title(f"{name} (entropy {rows[0]['bits']['entropy']:.4f})", fontsize=10)
        panel.set_xlabel("bits per spin above the entropy\narrow: at most; hollow: estimated log Z")
        panel.grid(axis="x", color="0.92")
    return figure


def observables(study: dict[str, Any]) -> Any:
    """Relative errors as a coloured table: bold with a frame where |z| is beyond the bound."""
    shown = panels(study)
    columns = [*SCALARS, "G"]
    most = max(len(rows) for _, rows in shown)
    figure, axes = _grid(len(shown), 5.6, 0.46 * most + 1.5)
    for panel, (name, rows) in zip(axes, shown, strict=True):
        cells = np.zeros((len(rows), len(columns)))
        farthest = f"G({rows[0]['task']['size'] // 2})"
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                o = row["observables"][farthest if column == "G" else column]
                share = o["relative"]
                if share is None:
                    panel.text(j, i, "fixed", ha="center", va="center", fontsize=7)
                    cells[i, j] = np.nan
                    continue
                bad = o["z"] is None or abs(o["z"]) >= BOUND
                cells[i, j] = np.sign(share) * np.log1p(abs(share) / 0.002)
                z = "fixed" if o["z"] is None else f"z {shown_z(o['z'])}"
                panel.text(
                    j, i, f"{signed(share)}\n{z}".replace("-", "−"),
                    ha="center", va="center", fontsize=7,
                    fontweight="bold" if bad else "normal", color="black" if bad else "#333333",
                )  # fmt: skip
        reach = np.log1p(0.5 / 0.002)
        panel.imshow(cells, cmap="RdBu_r", vmin=-1.6 * reach, vmax=1.6 * reach, aspect="auto")
        labels = [*(LABELS[c] for c in SCALARS), f"$G({farthest[2:-1]})$"]
        panel.set_xticks(range(len(columns)), labels)
        panel.set_yticks(range(len(rows)), [row["title"] for row in rows])
        panel.tick_params(length=0)
        panel.set_title(name, fontsize=10)
        for x in range(len(columns) + 1):
            panel.axvline(x - 0.5, color="white", lw=1.5)
        for y in range(len(rows) + 1):
            panel.axhline(y - 0.5, color="white", lw=1.5)
    return figure


def correlations(study: dict[str, Any]) -> Any:
    """G(r), and below what it is off by, with errors."""
    shown = panels(study)
    figure = _figure(4.9 * min(2, len(shown)), 5.4 * -(-len(shown) // 2))
    columns = min(2, len(shown))
    outer = figure.add_gridspec(-(-len(shown) // 2), columns)
    for k, (name, rows) in enumerate(shown):
        inner = outer[k // columns, k % columns].subgridspec(2, 1, height_ratios=[1, 1.3])
        top = figure.add_subplot(inner[0])
        bottom = figure.add_subplot(inner[1], sharex=top)
        r = np.array(distances(rows[0]["task"]["size"]))
        exact = np.array([rows[0]["observables"][f"G({d})"]["exact"] for d in r])
        top.plot(r, exact, color="0.6", lw=6, alpha=0.5, label="true", zorder=0)
        bottom.axhline(0.0, color="0.6", lw=1)
        models = [row for row in rows if row["task"]["model"] != "wrong-T"]
        for i, row in enumerate(models):
            control = not row["epochs"]
            colour = GREY if control else COLOURS[(i - 1) % len(COLOURS)]
            found = [row["observables"][f"G({d})"] for d in r]
            value = np.array([np.nan if o["value"] is None else o["value"] for o in found])
            error = np.array([np.nan if o["value"] is None else o["stderr"] for o in found])
            style = {"color": colour, "ms": 4, "marker": MARKERS[(i - 1) % len(MARKERS)]}
            if control:
                style["marker"] = "_"
            top.plot(r, value, ls="-", lw=0.8, **style)
            bottom.errorbar(
                r + 0.05 * (i - len(models) / 2), value - exact, error, ls="-", lw=0.8, capsize=2,
                label=row["title"], **style,
            )  # fmt: skip
        reach = np.nanmax([abs(b - e) for row in models for b, e in _pairs(row, r)] or [0.01])
        bottom.set_yscale("symlog", linthresh=0.01)
        bottom.set_ylim(-1.6 * max(reach, 0.01), 1.6 * max(reach, 0.01))
        top.set_title(name, fontsize=10)
        top.set_ylabel("$G(r)$")
        top.tick_params(labelbottom=False)
        bottom.set_ylabel("off by (linear to 0.01)")
        bottom.set_xlabel("distance $r$ along an axis")
        bottom.set_xticks(r)
        if k == 0:
            figure.legend(
                *bottom.get_legend_handles_labels(), frameon=False, fontsize=8.5,
                ncols=2 * columns + 1, loc="outside lower center",
            )  # fmt: skip
    return figure


def classifier(study: dict[str, Any]) -> Any:
    """Accuracy of a classifier between samples and data: 1/2 is a perfect model."""
    shown = panels(study)
    most = max(len(rows) for _, rows in shown)
    figure, axes = _grid(len(shown), 4.6, 0.34 * most + 1.4)
    for panel, (name, rows) in zip(axes, shown, strict=True):
        panel.axvline(0.5, color="0.5", lw=1)
        for place, row in enumerate(rows):
            found = row["classifier"]
            panel.errorbar(
                found["accuracy"], place, xerr=found["stderr"], fmt="o", ms=5, capsize=2.5,
                color=BLUE if row["epochs"] else GREY,
            )  # fmt: skip
            panel.annotate(
                f"{found['accuracy']:.3f}", (found["accuracy"], place), xytext=(0, 5),
                textcoords="offset points", ha="center", fontsize=7.5, color=GREY,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
            )  # fmt: skip
        panel.set_xlim(0.46, 1.03)
        panel.set_xticks(np.arange(0.5, 1.01, 0.1))
        panel.set_ylim(len(rows) - 0.5, -0.7)
        panel.set_yticks(range(len(rows)), [row["title"] for row in rows])
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("accuracy of a classifier")
    return figure


def snapshots(study: dict[str, Any]) -> Any:
    """Samples of the first size and of all its temperatures, side by side."""
    from matplotlib.colors import ListedColormap

    shown = [(name, [r for r in rows if r["task"]["model"] != "wrong-T"]) for name, rows in
             panels(study)]  # fmt: skip
    most = max(len(rows) for _, rows in shown)
    figure, axes = _grid(len(shown), 5.4, 0.52 * most + 0.6)
    colours = ListedColormap(["#f3efe6", "#12355b", "#ffffff"])
    for panel, (name, rows) in zip(axes, shown, strict=True):
        L = rows[0]["task"]["size"]
        lines = []
        for row in rows:
            grids = [
                np.array([c == "+" for c in text], int).reshape(L, L) for text in row["snapshots"]
            ]
            gap = np.full((L, 1), 2)
            lines.append(np.hstack([part for g in grids for part in (g, gap)][:-1]))
            lines.append(np.full((1, lines[-1].shape[1]), 2))
        panel.imshow(np.vstack(lines[:-1]), cmap=colours, vmin=0, vmax=2, interpolation="nearest")
        panel.set_yticks(
            [i * (L + 1) + L / 2 - 0.5 for i in range(len(rows))], [row["title"] for row in rows]
        )
        panel.set_xticks([])
        panel.tick_params(length=0)
        for side in panel.spines.values():
            side.set_visible(False)
        panel.set_title(name, fontsize=10)
    return figure


QUESTIONS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "cost": ("What does it cost?", cost),
    "observables": ("Which observables are wrong?", observables),
    "correlations": ("Are distant spins as correlated as they should be?", correlations),
    "classifier": ("Can a classifier tell?", classifier),
    "snapshots": ("What do samples look like?", snapshots),
}
"""By file name, the question that each figure answers."""


def save(study: dict[str, Any], folder: Path, prefix: str = "generative_") -> list[Path]:
    """All figures as PNG."""
    written = []
    for name, (_, draw) in QUESTIONS.items():
        written.append(folder / f"{prefix}{name}.png")
        draw(study).savefig(written[-1], dpi=150)
    return written


def _pairs(row: dict[str, Any], r: np.ndarray) -> list[tuple[float, float]]:
    found = [row["observables"][f"G({d})"] for d in r]
    return [(o["value"], o["exact"]) for o in found if o["value"] is not None]


def _grid(n: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """n panels, two beside each other; (figure, axes)."""
    columns = min(2, n)
    rows = -(-n // columns)
    figure = _figure(width * columns, height * rows)
    axes = list(np.atleast_1d(figure.subplots(rows, columns)).flat)
    for unused in axes[n:]:
        unused.set_visible(False)
    return figure, axes[:n]


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
