"""What a diffusion sampler gets wrong by itself, and what its network adds.

    python examples/diffusion_gaussian.py [--out DIRECTORY] [--samples N]

A sampler in T steps deviates from the data's law even with a perfect network. On Gaussian data that
is a recursion for mean and variance (`exact.targets.predict_sampler`), so that both errors can be
told apart:

1. lines: the predicted ratio of the variance produced to the data's, against T;
2. open circles: samples with the exact score E[x_0 | x_t], which must lie on the lines;
3. full circles: samples with a trained network. Their distance from the lines is the network's own.

The network is trained once, in continuous time, and serves every T: it knows noise levels, not
steps. Linear betas, 1e-4 to 0.02 times 1000 / T; data N(0.5, 0.5). The bound that it maximises
weighs levels by their signal, so that a short training leaves its errors where noise prevails: DDIM
and the flow carry these to the end (the variance comes out about a tenth too small here), while
samplers that add noise forget most of them.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from statmech_ml.exact.targets import Gaussian, predict_sampler
from statmech_ml.generative import (
    DenseDenoiser,
    DiffusionModel,
    ExactDenoiser,
    Linear,
    LogLinear,
)
from statmech_ml.spaces import Reals

TARGET = Gaussian(0.5, 0.5)
STEPS = (25, 50, 100)
METHODS = {
    "ddpm-small": "tab:blue",
    "ddpm-large": "tab:orange",
    "ddpm-optimal": "tab:green",
    "ddim": "tab:red",
    "euler-maruyama": "tab:purple",
    "ode-euler": "tab:brown",
    "ode-heun": "black",
}


class Ratio(NamedTuple):
    """Variance of samples over that of the data, with its standard error."""

    value: float
    error: float


def measured(x: np.ndarray) -> Ratio:
    """Of independent samples (n, 1)."""
    away = (x[:, 0] - x.mean()) ** 2
    s2 = TARGET.covariance()[0, 0]
    return Ratio(away.mean() / s2, away.std() / np.sqrt(len(x)) / s2)


def trained(data: np.ndarray) -> DiffusionModel:
    """A network that knows the data's samples alone."""
    network = DenseDenoiser(1, (32, 32), rng=1)
    model = DiffusionModel(Reals(1), schedule=LogLinear(), network=network, prediction="v")
    model.fit(
        data, epochs=8, rng=2, batch_size=1000, learning_rate=1e-2, ema=0.99, progress=False,
        schedule=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.6),
    )  # fmt: skip
    return model


def runs(network: torch.nn.Module, prediction: str, data: np.ndarray, n: int) -> dict:
    """Ratios by (method, T)."""
    found = {}
    for T in STEPS:
        model = DiffusionModel(Reals(1), schedule=Linear(T), network=network, prediction=prediction)
        model.calibrate(data, rng=3)
        for k, method in enumerate(METHODS):
            found[method, T] = measured(model.sample(n, rng=100 * T + k, method=method))
    return found


def draw(path: Path, exact: dict, learnt: dict) -> None:
    """One panel a group of methods; the ratio against T."""
    figure = Figure(figsize=(10.0, 4.6), layout="constrained")
    groups = (list(METHODS)[:3], list(METHODS)[3:])
    titles = ("ancestral (DDPM), by its variance", "DDIM, SDE and probability flow")
    axes = figure.subplots(1, 2, sharey=True)
    fine = np.unique(np.geomspace(21, 400, 60).astype(int))
    for axis, group, title in zip(axes, groups, titles, strict=True):
        axis.axhline(1.0, color="0.6", lw=0.8)
        for k, method in enumerate(group):
            ratio = [predict_sampler(TARGET, Linear(int(T)), method).variance_ratios for T in fine]
            axis.plot(fine, ratio, color=METHODS[method], lw=1.3, label=method)
            shift = 1.025 ** (k - 1.5)
            for found, face, side in ((exact, "white", shift / 1.01), (learnt, None, shift * 1.01)):
                y = [found[method, T] for T in STEPS]
                axis.errorbar(
                    np.array(STEPS) * side, [r.value for r in y], [r.error for r in y], fmt="o",
                    ms=5, color=METHODS[method], mfc=face, lw=1.0,
                )  # fmt: skip
        axis.set(xscale="log", xlabel="steps T", title=title, xticks=STEPS)
        axis.set_xticklabels([str(T) for T in STEPS])
        axis.minorticks_off()
        axis.legend(frameon=False, fontsize=9)
    axes[0].set_ylabel("variance produced / variance of the data")
    axes[0].plot([], [], "o", color="0.3", mfc="white", label="exact score")
    axes[0].plot([], [], "o", color="0.3", label="trained network")
    axes[0].legend(frameon=False, fontsize=9)
    figure.suptitle("Lines: predicted for a perfect network. Bars: one standard error.")
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    """A table of ratios, and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--samples", type=int, default=3000, help="of the trained network, each")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    data = TARGET.sample(50_000, rng=1)
    model = trained(data)
    exact = runs(ExactDenoiser(TARGET), "x0", data[:5000], 50_000)
    learnt = runs(model.network, "v", data[:5000], settings.samples)
    given = measured(data)
    print(
        f"the {len(data)} data that the network saw: ratio {given.value:.4f} +- {given.error:.4f}"
    )
    print(f"{'method':15} {'T':>4} {'predicted':>9} {'exact score':>18} {'z':>5} "
          f"{'trained':>18} {'excess':>9}")  # fmt: skip
    worst = 0.0
    for method in METHODS:
        for T in STEPS:
            told = float(predict_sampler(TARGET, Linear(T), method).variance_ratios[0])
            a, b = exact[method, T], learnt[method, T]
            z = (a.value - told) / a.error
            worst = max(worst, abs(z))
            print(f"{method:15} {T:4} {told:9.4f} {a.value:9.4f} +- {a.error:.4f} {z:5.1f} "
                  f"{b.value:9.4f} +- {b.error:.4f} {b.value - told:+9.4f}")  # fmt: skip
    print(f"largest |z| of the exact score against its prediction: {worst:.1f}, of {len(exact)}")
    draw(settings.out / "diffusion_gaussian.png", exact, learnt)


if __name__ == "__main__":
    main()
