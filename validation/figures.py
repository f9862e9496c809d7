"""Drawing: curves with residuals, snapshots, and the distribution of all z-scores, as SVG.

Figures are made without pyplot, so nothing global changes; matplotlib is imported when something is
drawn. Colours are Okabe and Ito's, which the colour-blind tell apart, and each also differs in
shape.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .curves import Curve, Figures

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6b76"
LABELS = {
    "energy_per_site": "energy per site",
    "specific_heat": "specific heat per site",
    "abs_magnetization": "|m| per site",
    "susceptibility": r"$\beta\,(\langle M^2\rangle - \langle |M|\rangle^2)\,/\,N$",
}


def draw_curve(curve: Curve) -> str:
    """Points with error bars on the exact curve; below, where it is exact, residuals in sigma."""
    figure = _figure(5.6, 4.3)
    if curve.infinite:
        top, bottom = figure.subplots(1, 1), None
    else:
        top, bottom = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.08}
        )
    T = curve.temperature
    shown = [(t, e) for t, e in zip(T, curve.estimates, strict=True) if e is not None]
    values = np.array([e.value for _, e in shown])
    errors = np.array([e.stderr if math.isfinite(e.stderr) else math.nan for _, e in shown])
    style = "--" if curve.infinite else "-"
    top.plot(curve.fine, curve.line, style, color=BLUE, lw=1.4, label=curve.source)
    top.errorbar(
        [t for t, _ in shown], values, errors, fmt="o", ms=4, color=ORANGE, capsize=2.5,
        elinewidth=1.2, mfc="white", mew=1.2, label=f"sampled, {curve.lattice}",
    )  # fmt: skip
    top.set_ylabel(LABELS[curve.name])
    if curve.name == "susceptibility" and curve.infinite:
        top.set_yscale("log")
        top.set_ylim(0.5 * values.min(), 4.0 * values.max())
    top.legend(frameon=False, fontsize=8.5, loc="best")
    lowest = bottom or top
    if bottom is not None:
        residuals = curve.residuals()
        bottom.axhspan(-1, 1, color=BLUE, alpha=0.12, lw=0)
        bottom.axhline(0, color=BLUE, lw=1.0)
        bottom.plot(T, residuals, "o", ms=4, color=ORANGE, mfc="white", mew=1.2)
        reach = max(3.5, 1.15 * float(np.nanmax(np.abs(residuals), initial=0.0)))
        bottom.set_ylim(-reach, reach)
        bottom.set_ylabel(r"deviation / $\sigma$", fontsize=9)
    lowest.set_xlabel("temperature $T$")
    T_c = curve.critical_temperature
    if curve.fine.min() < T_c < curve.fine.max():
        for axes in figure.axes:
            axes.axvline(T_c, color=GREY, lw=0.8, ls=":")
        _mark(top, T_c, "$T_c$")
    return _svg(figure)


def draw_snapshots(drawn: Figures) -> str:
    """Configurations side by side, up spins dark, down spins light."""
    snapshots, T_c = drawn.snapshots, drawn.curves[0].critical_temperature
    figure = _figure(3.1 * len(snapshots), 3.4)
    axes = np.atleast_1d(figure.subplots(1, len(snapshots)))
    from matplotlib.colors import ListedColormap

    for panel, (T, spins) in zip(axes, snapshots, strict=True):
        colours = ListedColormap(["#f3efe6", "#12355b"])
        panel.imshow(spins, cmap=colours, vmin=-1, vmax=1, interpolation="nearest")
        where = "near" if abs(T - T_c) < 0.02 * T_c else ("below" if T_c > T else "above")
        panel.set_title(
            f"{where} $T_c$: $T$ = {T:.4g},  $m$ = {spins.mean():+.3f}", fontsize=10, loc="left"
        )
        panel.set_xticks([])
        panel.set_yticks([])
    return _svg(figure)


def draw_z_scores(z: Sequence[float]) -> str:
    """Histogram of the |z| of all statistical measurements on the half-normal law."""
    figure = _figure(7.4, 3.6)
    axes = figure.subplots()
    size = np.abs(np.asarray(z, np.float64))
    edges = np.arange(0.0, max(4.5, size.max(initial=0.0) + 0.5), 0.5)
    counts, _ = np.histogram(size, edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    expected = len(size) * np.diff([math.erf(e / math.sqrt(2.0)) for e in edges])
    axes.bar(
        middle, counts, width=0.44, color=ORANGE, alpha=0.85, label=f"{len(size)} measurements"
    )
    axes.plot(middle, expected, "o-", color=BLUE, ms=4, lw=1.4, label="expected of unit normals")
    axes.axvline(4.0, color=GREY, lw=0.9, ls=":")
    _mark(axes, 4.0, "bound of a single z")
    axes.set_xlabel("|z|")
    axes.set_ylabel("measurements")
    axes.legend(frameon=False, fontsize=9)
    return _svg(figure)


def _mark(axes: Any, x: float, text: str) -> None:
    """A word above the axes, at x."""
    axes.annotate(
        text, (x, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
        textcoords="offset points", ha="center", va="bottom", fontsize=9, color=GREY,
    )  # fmt: skip


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    for axes in figure.axes:
        for side in ("top", "right"):
            if axes.get_xticks().size:
                axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=9)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
