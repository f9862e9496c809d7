"""Deep energies: networks that learn a known density, and scikit-learn's 8 x 8 digits.

    python examples/energy_net.py [--what mixture|digits] [--full] [--out DIRECTORY]

mixture: a dense network learns a mixture of three Gaussians in the plane by score matching, by
denoising score matching, by maximum likelihood with a replay buffer, and by short runs from noise.
The mixture is known, and log Z of a network of two coordinates is a quadrature, so KL(data ||
model) = <log p_data> + <F> + log Z is an exact number for each. The last row is a warning: short
runs give samples like the data and a density that is far from it, for ten moves from noise are what
was trained, and exp(-F) is another law (E. Nijkamp et al. 2019, arXiv:1904.09770).

digits: a convolutional network learns the digits smoothed by a Gaussian of width 0.2 (grey levels
from -1 to 1) by denoising score matching, with --full also by maximum likelihood after it. Long
MALA chains from noise are put against held-out digits; log Z by annealed importance sampling has a
status, and the likelihood that follows from it stands beside that of a Gaussian with the moments of
the training digits.
"""

import argparse
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from statmech_ml import sample
from statmech_ml.errors import EquilibrationWarning, TrainingWarning
from statmech_ml.exact import plane
from statmech_ml.models import Gaussian, GaussianMixture
from statmech_ml.partition import Geometric, ais
from statmech_ml.samplers import MALA
from statmech_ml.statistics.estimate import with_error
from statmech_ml.training import (
    EnergyNet,
    LangevinReplay,
    Monitor,
    NeuralEnergy,
    ScoreMatching,
    train,
)

MIXTURE = GaussianMixture(
    weights=[0.5, 0.3, 0.2],
    means=[[-1.2, -0.5], [1.0, -0.8], [0.2, 1.3]],
    stddevs=[[0.5, 0.35], [0.4, 0.6], [0.5, 0.4]],
)
BOX = ((-11.0, 11.0), (-11.0, 11.0))  # 5.5 standard deviations of the confinement
RTOL = 1e-6
SHOWN = 3.2  # half the side of the squares drawn

SIGMA = 0.2  # smoothing of the digits
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#5f6b76"


def fit(net, data, method, epochs, rate, monitor=None, rng=1):
    """Adam with a rate that falls to zero, and the running mean of what it finds.

    Returns what was warned of on the way.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TrainingWarning)
        history = train(
            net, data, method, epochs=epochs, rng=rng, monitor=monitor, ema=0.99,
            optimizer=lambda p: torch.optim.Adam(p, lr=rate),
            schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, epochs),
        )  # fmt: skip
    history.use_ema(net)
    return [str(w.message) for w in caught if issubclass(w.category, TrainingWarning)]


# --- the mixture ----------------------------------------------------------------------------------


class Learnt(NamedTuple):
    """One network: its name, the frozen model, log Z and KL(data || model) by quadrature."""

    name: str
    model: NeuralEnergy
    log_z: float
    kl: float


def measured(name, net):
    """log Z and the divergence from the mixture, by quadrature; in doubles, lest rounding shows."""
    model = net.double().freeze()
    log_z = plane.log_z(model.energy, BOX, rtol=RTOL).value
    gap = plane.mean(
        MIXTURE.energy, lambda x: model.energy(x) - MIXTURE.energy(x), BOX, rtol=RTOL
    ).value
    return Learnt(name, model, log_z, gap + log_z)


def total_variation(samples, density, half=4.0, cells=16, fine=8):
    """Half the sum of |frequency - probability| over squares; the outside is one more cell.

    The density is averaged over fine x fine points of a square.
    """
    counts = np.histogram2d(*samples.T, bins=np.linspace(-half, half, cells + 1))[0] / len(samples)
    step = 2.0 * half / (cells * fine)
    middle = -half + step * (np.arange(cells * fine) + 0.5)
    points = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    law = density(points).reshape(cells, fine, cells, fine).sum(axis=(1, 3)) * step**2
    return 0.5 * (np.abs(counts - law).sum() + abs(law.sum() - counts.sum()))


def mixture(full, out):
    """Four ways to train a network, against the exact density."""
    n, epochs = (20_000, 60) if full else (2000, 12)
    data = MIXTURE.draws(1, np.arange(n, dtype=np.uint32))
    held_out = MIXTURE.draws(2, np.arange(20_000, dtype=np.uint32))
    watch = Monitor(every=4, log_likelihood=None)
    moves = 10
    short = LangevinReplay(1000, n_steps=moves, step_size=0.01, restart=1.0)
    methods = {
        "score matching": (ScoreMatching(), None),
        "denoising, sigma = 0.2": (ScoreMatching("denoising", sigma=0.2), None),
        "replay buffer": (LangevinReplay(1000, n_steps=moves, step_size=0.05, restart=0.02), watch),
        "short runs": (short, watch),
    }
    found, told = [], {}
    for name, (method, monitor) in methods.items():
        net = EnergyNet.dense(2, (64, 64), rng=3, confinement=2.0)
        told[name] = fit(net, data, method, epochs, 3e-3, monitor)
        found.append(measured(name, net))

    moments = Gaussian(mean=data.mean(axis=0), covariance=np.cov(data.T))
    baseline = (moments.energy(held_out) - MIXTURE.energy(held_out)).mean() + moments.log_z()
    print(f"mixture of 3 Gaussians, {n} points, {epochs} epochs; KL(data || model) in nats")
    print(f"{'':24}{'quadrature':>12}{'held-out':>14}{'log Z':>10}   log Z by AIS")
    for each in found:
        gap = each.model.energy(held_out) - MIXTURE.energy(held_out) + each.log_z
        kl = with_error(gap.mean(), gap.std(ddof=1) / math.sqrt(len(gap)))
        mala = MALA(step_size=0.2, adapt=False)
        path = Geometric(Gaussian(stddev=2.0, dim=2), each.model, sampler=mala)
        annealed = ais(path, n_levels=100, n_chains=200, rng=4, progress=False)
        z = f"z = {annealed.z(each.log_z):+.1f}"
        print(f"{each.name:24}{each.kl:12.4f}{kl:>14}{each.log_z:10.4f}   {annealed}, {z}")
    print(f"{'Gaussian of the moments':24}{'':12}{baseline:14.4f}")

    # What short runs trained: the law of ten moves from noise.
    last = found[-1].model
    net, n_chains = last.thaw(), 20_000
    run = LangevinReplay(n_chains, batch=n_chains, n_steps=moves, step_size=0.01, restart=1.0)
    ended = run.gradient(net, net.tensor(data[:10]), run.init(net, data, 5), 5, 0).carried["buffer"]
    exact = total_variation(held_out, lambda x: np.exp(-MIXTURE.energy(x)))
    of_data = total_variation(ended, lambda x: np.exp(-MIXTURE.energy(x)))
    of_model = total_variation(ended, lambda x: np.exp(-last.energy(x) - found[-1].log_z))
    print(f"{n_chains} short runs of {moves} moves, total variation from")
    print(f"  the data {of_data:.3f} ({exact:.3f} for exact draws)")
    print(f"  the network's own density {of_model:.3f}")
    for name, lines in told.items():
        for line in lines:
            print(f"warned of, {name}: {line}")
    draw_mixture(found, ended, of_data, out / "energy_net_mixture.png")


def draw_mixture(found, ended, distance, path):
    """The exact density, four learnt ones, and where short runs end."""
    axis = np.linspace(-SHOWN, SHOWN, 161)
    points = np.stack(np.meshgrid(axis, axis), axis=-1)
    exact = np.exp(-MIXTURE.energy(points))
    levels = exact.max() * np.array([0.05, 0.25, 0.6])
    figure = Figure(figsize=(9.0, 6.2), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    # A root of the density as colour: the weaker modes show beside the strongest.
    scale = PowerNorm(0.5, vmin=0.0, vmax=exact.max())
    frame = {"extent": (-SHOWN, SHOWN) * 2, "origin": "lower", "cmap": "Blues", "norm": scale}
    shown = [("exact density", exact)]
    for each in found:
        title = f"{each.name}\nKL(data || model) = {each.kl:.3f} nats"
        shown.append((title, np.exp(-each.model.energy(points) - each.log_z)))
    edges = np.linspace(-SHOWN, SHOWN, 41)
    cell = (edges[1] - edges[0]) ** 2
    counts = np.histogram2d(*ended.T, bins=edges)[0].T / (len(ended) * cell)
    title = f"where its ten moves from noise end\ntotal variation from the data {distance:.2f}"
    shown.append((title, counts))
    for panel, (title, density) in zip(panels, shown, strict=True):
        image = panel.imshow(density, **frame)
        panel.contour(axis, axis, exact, levels, colors=ORANGE, linewidths=0.8)
        panel.set_title(title, fontsize=9)
        panel.set_xticks([-2, 0, 2])
        panel.set_yticks([-2, 0, 2])
    bar = figure.colorbar(image, ax=panels, shrink=0.7, extend="max")
    bar.set_label("density; lines: contours of the exact one", fontsize=9)
    figure.savefig(path, dpi=150)
    print(f"drawn in {path}")


# --- the digits -----------------------------------------------------------------------------------


def smoothed(x, seed):
    """The pictures with noise of width SIGMA: draws of the density that the network learns."""
    return x + SIGMA * np.random.default_rng(seed).normal(size=x.shape)


def digits(full, out):
    """A convolutional network on 8 x 8 digits: samples, energies, log Z."""
    from sklearn.datasets import load_digits

    pictures = load_digits().data / 8.0 - 1.0
    order = np.random.default_rng(1).permutation(len(pictures))
    held_out, data = pictures[order[:297]], pictures[order[297:]]
    net = EnergyNet.convolutional((8, 8), (16, 32, 32), rng=1, confinement=1.0)
    epochs = 240 if full else 60
    fit(net, data, ScoreMatching("denoising", sigma=SIGMA), epochs, 2e-3)
    told = []
    if full:
        copies = smoothed(np.concatenate([data] * 10), 2)
        replay = LangevinReplay(1000, n_steps=20, step_size=0.01, restart=0.02)
        told = fit(net, copies, replay, 6, 2e-4, Monitor(every=2, log_likelihood=None))
    model = net.freeze()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EquilibrationWarning)
        chain = sample(
            model, MALA(step_size=0.01), beta=1.0, n_chains=200, n_draws=20, thin=20,
            burn_in=8000 if full else 1000, rng=3, keep_states=True, progress=False,
        )  # fmt: skip
    told += [str(w.message) for w in caught if issubclass(w.category, EquilibrationWarning)]
    draws = chain.states[:, -1]
    noisy, held = smoothed(data, 4), smoothed(held_out, 5)
    energies = {
        "training digits": model.energy(noisy),
        "held-out digits": model.energy(held),
        "MALA chains from noise": model.energy(draws),
    }
    print(f"digits: {len(data)} for training, {len(held_out)} held out, smoothed by {SIGMA}")
    for name, E in energies.items():
        error = E.std(ddof=1) / math.sqrt(len(E))
        print(f"  mean energy of {name:24}{with_error(E.mean(), error):>12}, spread {E.std():.2f}")
    levels = 4000 if full else 400
    log_z = ais(net.path(), n_levels=levels, n_chains=200, rng=6, progress=False)
    print(f"  {log_z}")
    gaussian = Gaussian(
        mean=data.mean(axis=0), covariance=np.cov(data.T) + SIGMA**2 * np.eye(data.shape[1])
    )
    for name, x in (("training", noisy), ("held-out", held)):
        nats = -model.energy(x) - log_z.value
        error = math.hypot(nats.std(ddof=1) / math.sqrt(len(x)), log_z.stderr)
        trust = "" if log_z.ok else f", but log Z is not to be trusted: {log_z.status}"
        other = -gaussian.energy(x).mean() - gaussian.log_z()
        print(f"  log-likelihood of {name} digits: {with_error(nats.mean(), error)} nats, "
              f"of a Gaussian {other:.2f}{trust}")  # fmt: skip
    for line in told:
        print(f"  warned of: {line}")
    draw_digits(model, noisy, draws, energies, out / "energy_net_digits.png")


def draw_digits(model, data, draws, energies, path):
    """Digits and samples, as they are and denoised, and the energies of both."""
    figure = Figure(figsize=(9.4, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1.0))
    rows, columns = 6, 8
    panels = left.subplots(rows, columns)
    # The mean of what was smoothed into x is x - sigma^2 grad F(x) (H. Robbins 1956).
    blocks = (
        ("noisy digits", data), ("denoised", data - SIGMA**2 * model.gradient(data)),
        ("samples", draws), ("denoised", draws - SIGMA**2 * model.gradient(draws)),
    )  # fmt: skip
    heights = (1, 1, 2, 2)
    row = 0
    for (label, pictures), height in zip(blocks, heights, strict=True):
        for k in range(height * columns):
            panel = panels[row + k // columns, k % columns]
            panel.imshow(pictures[k].reshape(8, 8), cmap="gray_r", vmin=-1.2, vmax=1.2)
            panel.set_xticks([])
            panel.set_yticks([])
        panels[row, 0].set_ylabel(label, fontsize=8)
        row += height
    axes = right.subplots()
    lowest = min(E.min() for E in energies.values())
    highest = max(np.quantile(E, 0.995) for E in energies.values())
    bins = np.linspace(lowest, highest, 36)
    for (name, E), colour in zip(energies.items(), (GREY, BLUE, ORANGE), strict=True):
        filled = {"alpha": 0.25} if colour == GREY else {"histtype": "step", "lw": 1.6}
        axes.hist(
            E, bins, density=True, color=colour, label=f"{name}, mean {E.mean():.1f}", **filled
        )
    axes.set_xlabel("energy F(x), in units of kT")
    axes.set_ylabel("density")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)
    print(f"drawn in {path}")


def main():
    """One of the two, or its longer form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=("mixture", "digits"), default="mixture")
    parser.add_argument("--full", action="store_true", help="longer training and sampling")
    parser.add_argument("--out", type=Path, default=Path("."), help="where the figure goes")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    {"mixture": mixture, "digits": digits}[arguments.what](arguments.full, arguments.out)


if __name__ == "__main__":
    main()
