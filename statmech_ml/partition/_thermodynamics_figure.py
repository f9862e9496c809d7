"""`Thermodynamics` as a figure: five quantities and the draws behind them against temperature.

matplotlib is imported when it is drawn.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ._comparison_figure import GREY, STYLES
from .logz import MIN_ESS

_PANELS = (
    ("free_energy", "free energy $F$"),
    ("internal_energy", "internal energy $U$"),
    ("entropy", "entropy $S$"),
    ("heat_capacity", "heat capacity $C$"),
    ("susceptibility", r"susceptibility $\chi$"),
)


def draw(result: Any, exact: Mapping[str, Any], per_site: bool) -> Any:
    """The figure, a matplotlib Figure."""
    unknown = set(exact) - {name for name, _ in _PANELS}
    if unknown:
        raise InvalidInput(
            f"exact= has {', '.join(sorted(unknown))}; there are "
            f"{', '.join(name for name, _ in _PANELS)}."
        )
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(9.6, 5.6), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True).ravel()
    order = np.argsort(result.temperatures)
    t, scale = result.temperatures[order], 1.0 / result.n_sites if per_site else 1.0
    colour = STYLES[0][0]
    for axes, (name, label) in zip(panels, _PANELS, strict=False):
        curve = getattr(result, name)
        value, error = scale * curve.value[order], scale * curve.stderr[order]
        axes.set_title(f"{label}{' per site' if per_site else ''}", fontsize=10)
        if np.isnan(value).all():
            axes.text(0.5, 0.5, "no order parameter", ha="center", transform=axes.transAxes)
            continue
        if name in exact:
            line = scale * np.asarray(exact[name], np.float64)[order]
            axes.plot(t, line, color=STYLES[1][0], lw=1.2, label="exact")
        axes.fill_between(
            t, value - 2.0 * error, value + 2.0 * error, color=colour, alpha=0.25, lw=0
        )
        axes.errorbar(
            t, value, error, color=colour, marker="o", ms=2.5, lw=0 if name in exact else 0.9,
            elinewidth=0.9, label="one tempered run, MBAR",
        )  # fmt: skip
    panels[5].plot(t, result.ess[order], color=colour, marker="o", ms=2.5, lw=0.9)
    panels[5].axhline(MIN_ESS, color=STYLES[1][0], lw=0.9, ls="--")
    panels[5].set_yscale("log")
    panels[5].set_title("effective draws of $U$; ticks: sampled", fontsize=10)
    with np.errstate(divide="ignore"):
        sampled = 1.0 / result.ladder
    for k, axes in enumerate(panels):
        if t[0] > 0.0 and t[-1] > 8.0 * t[0]:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=8.5)
        axes.grid(True, which="major", color=GREY, alpha=0.18, lw=0.6)
        if k > 2:
            axes.set_xlabel("temperature $T$", fontsize=9.5)
    inside = sampled[(sampled >= t[0] * 0.999) & (sampled <= t[-1] * 1.001)]
    panels[5].plot(
        inside, np.full(len(inside), 0.03), "|", color=GREY, ms=8,
        transform=panels[5].get_xaxis_transform(),
    )  # fmt: skip
    if exact:
        panels[0].legend(frameon=False, fontsize=8.5)
    return figure
