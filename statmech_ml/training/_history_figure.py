"""The figure of a training run; matplotlib is imported when one is asked for."""

from typing import Any

import numpy as np

PANELS = (
    ("nats a configuration", (
        "log_likelihood", "validation_log_likelihood", "pseudo_likelihood",
        "validation_pseudo_likelihood",
    )),
    ("mean free energy F", ("energy_data", "energy_model")),
    ("norm of the gradient", ("gradient_norm",)),
    ("mixing time / sweeps", ("mixing_time",)),
)  # fmt: skip
"""Label of each panel, and the series that it may hold."""


def draw(history: Any) -> Any:
    """A figure with one panel for each kind of series that was measured."""
    from matplotlib.figure import Figure

    panels = [
        (label, [name for name in names if name in history and not np.isnan(history[name]).all()])
        for label, names in PANELS
    ]
    panels = [(label, names) for label, names in panels if names]
    figure = Figure(figsize=(4.2 * max(1, len(panels)), 3.4), layout="constrained")
    for index, (label, names) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for name in names:
            here = ~np.isnan(history[name])
            errors = history.series.get(f"{name}_error")
            bars = None
            if errors is not None:
                # An infinite error says "at least"; it has no bar to draw.
                bars = np.where(np.isfinite(errors[here]), errors[here], 0.0)
            axes.errorbar(
                history.epoch[here], history[name][here], bars, marker=".", lw=1,
                label=name.replace("_", " "),
            )  # fmt: skip
        if names[0] in ("gradient_norm", "mixing_time"):
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        if len(names) > 1:
            axes.legend(fontsize="small")
    return figure
