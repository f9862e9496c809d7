"""A denoiser of Ising configurations against the exact one: what it misses, by size of the network.

    python examples/ising_denoiser.py [--full] [--out ising_denoiser.png]

The 4 x 4 Ising model at T_c has 65,536 states, so the best guess of a configuration from a noisy
image of it is known: the magnetisations m in the fields that the image exerts. A network's guess g
has the loss |s - g|^2, on average the exact mmse plus |g - m|^2, and

    excess = 1/2 int E |g - m|^2 d snr

is what its diffusion model costs above the entropy, the divergence D(data || model) in nats. Dense
and lattice networks of several sizes learn the same 60,000 configurations (default: 10,000, and two
sizes). Two rows must come out as known: mmse alone gives the entropy, and no network at all, each
spin guessed from its own pixel, 16 log 2 - entropy. Errors are those of the images that measure;
each network is trained once, and another seed would move its excess by more.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from statmech_ml import lattices, models
from statmech_ml.exact import onsager, targets
from statmech_ml.generative import DenseDenoiser, LatticeDenoiser, SpinDiffusion
from statmech_ml.spaces import Spins
from statmech_ml.statistics import Estimate
from statmech_ml.statistics.estimate import from_tau

SITES = 16
LEVELS = np.arange(-9.0, 5.01, 0.5)  # log_snr; the trapezoidal rule converges fast on such curves
TARGET = targets.Ising(models.Ising(lattices.square(4, 4)), 1.0 / onsager.critical_temperature())


def images(n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each level n noisy images and their exact denoiser."""
    found, g = [], np.random.default_rng(seed)
    for level in LEVELS:
        bar = 1.0 / (1.0 + np.exp(-level))
        noise = np.sqrt(1.0 - bar) * g.normal(size=(n, SITES))
        x = np.sqrt(bar) * TARGET.sample(n, g) + noise
        found.append((x, TARGET.denoiser(x, level)))
    return found


def integral(squares: np.ndarray) -> tuple[Estimate, np.ndarray]:
    """1/2 int <squares> d snr, squares (level, image), and the integrand along log_snr."""
    weighted = 0.5 * np.exp(LEVELS)[:, None] * squares
    step, n = LEVELS[1] - LEVELS[0], weighted.shape[1]
    variance = n * float((weighted.var(axis=1, ddof=1) / n).sum()) * step**2
    return from_tau(float(weighted.mean(axis=1).sum() * step), 0.5, variance, n), weighted.mean(1)


def excess(guess: Any, noisy: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Estimate, np.ndarray]:
    """What a denoiser misses beyond the mmse."""
    return integral(
        np.array(
            [
                ((guess(x, level) - m) ** 2).sum(axis=1)
                for level, (x, m) in zip(LEVELS, noisy, strict=True)
            ]
        )
    )


def own_pixel(x: np.ndarray, level: float) -> np.ndarray:
    """The guess without a network: independent fair spins."""
    snr = np.exp(level)
    return np.tanh(x * np.sqrt(snr * (1.0 + snr)))


def learn(network: torch.nn.Module, data: np.ndarray, epochs: int, rate: float) -> SpinDiffusion:
    """Adam, its rate falling to zero along a cosine; averaged parameters."""
    model = SpinDiffusion(Spins(SITES), network=network)
    model.fit(
        data, epochs=epochs, rng=7, batch_size=200, learning_rate=rate, ema=0.995,
        schedule=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
    )  # fmt: skip
    return model


def networks(full: bool) -> list[tuple[str, str, torch.nn.Module, float]]:
    """(kind, size, network, learning rate)."""
    found: list[tuple[str, str, torch.nn.Module, float]] = []
    for width in (8, 16, 32, 64, 128) if full else (16, 64):
        dense = DenseDenoiser(SITES, (width, width), rng=width)
        found.append(("dense", f"2 x {width}", dense, 5e-3))
    for width in (2, 4, 8, 16, 32) if full else (4, 16):
        lattice = LatticeDenoiser((4, 4), width, 2, rng=width)
        found.append(("lattice", f"2 x {width}", lattice, 1e-2))
    return found


def draw(rows: list[dict[str, Any]], mmse: np.ndarray, path: Path) -> None:
    """Excess against size, and where along the noise it arises."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    right.plot(LEVELS, mmse, color="black", lw=1.5, label="exact mmse")
    for kind, colour, marker in (("dense", "#D55E00", "o"), ("lattice", "#0072B2", "s")):
        of = [row for row in rows if row["kind"] == kind]
        left.errorbar(
            [row["parameters"] for row in of], [row["excess"].value for row in of],
            [row["excess"].stderr for row in of], fmt=f"{marker}-", ms=5, color=colour, label=kind,
        )  # fmt: skip
        for row, shade in zip(of, np.linspace(0.35, 1.0, len(of)), strict=True):
            right.plot(
                LEVELS, row["curve"], color=colour, alpha=shade, lw=1.2,
                label=f"{kind}, {row['size']}" if row in (of[0], of[-1]) else None,
            )  # fmt: skip
    left.set(
        xscale="log", yscale="log", xlabel="parameters", ylabel="excess loss (nats)",
        title="Loss above the exact denoiser's, 4 x 4 Ising at $T_c$",
    )  # fmt: skip
    left.tick_params(which="minor", labelbottom=False)
    left.legend(frameon=False)
    right.set(
        yscale="log", ylim=(1e-6, 3.0), xlabel="log SNR",
        ylabel=r"$\frac{1}{2}\,$snr $\times$ squared error", title="Where along the noise",
    )  # fmt: skip
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train every network, measure, print and draw."""
    parser = argparse.ArgumentParser(description="Trained denoisers and the exact one.")
    parser.add_argument("--full", action="store_true", help="ten networks, trained longer")
    parser.add_argument("--out", type=Path, default=Path("ising_denoiser.png"))
    given = parser.parse_args()
    n_data, epochs, n_images = (60_000, 12, 4000) if given.full else (10_000, 8, 1000)
    noisy, data = images(n_images, 1), TARGET.sample(n_data, 2)
    entropy = TARGET.entropy()
    best, mmse = integral(np.array([(1.0 - m**2).sum(axis=1) for _, m in noisy]))
    print(f"1/2 int mmse d snr = {best} nats, entropy {entropy:.5f}")
    alone, _ = excess(own_pixel, noisy)
    print(f"no network: excess {alone}, 16 log 2 - entropy {SITES * np.log(2.0) - entropy:.5f}")
    print("\nnetwork  size     parameters  excess (nats)  bits per spin  % of entropy")
    rows = []
    for kind, size, network, rate in networks(given.full):
        model = learn(network, data, epochs, rate)
        found, curve = excess(model.denoise, noisy)
        count = sum(p.numel() for p in network.parameters())
        rows.append({"kind": kind, "size": size, "parameters": count, "excess": found,
                     "curve": curve})  # fmt: skip
        bits = found.value / (SITES * np.log(2.0))
        print(
            f"{kind:8} {size:8} {count:10d}  {found!s:>13}  {bits:13.2e}  "
            f"{100.0 * found.value / entropy:12.3f}",
            flush=True,
        )
    draw(rows, mmse, given.out)
    print(f"\nFigure: {given.out}")


if __name__ == "__main__":
    main()
