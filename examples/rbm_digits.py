"""A restricted Boltzmann machine on handwritten digits: likelihoods, samples, missing halves.

    python examples/rbm_digits.py [--full] [--out rbm_digits.png]

The 8x8 digits of scikit-learn, as bits, teach a Bernoulli RBM by persistent contrastive divergence:
16 hidden units by default, whose log Z is an exact sum at every epoch, 64 with --full, where it is
annealed (two minutes). Printed are log-likelihoods of training and test data in nats a digit,
beside those of independent pixels. Drawn are the history, samples from long Gibbs runs, and test
digits whose lower half the machine completes: their upper pixels are clamped, so block Gibbs
samples the conditional law.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from statmech_ml import sample
from statmech_ml.models import BernoulliRBM
from statmech_ml.partition import Weights, ais, exact_sum
from statmech_ml.samplers import BlockGibbs
from statmech_ml.training import History, Monitor, PersistentCD, train

SIDE = 8


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Training and test digits as bits, int8 (n, 64)."""
    bits = (load_digits().data >= 8).astype(np.int8)
    order = np.random.default_rng(0).permutation(len(bits))
    return bits[order[:1500]], bits[order[1500:]]


def independent(data: np.ndarray) -> np.ndarray:
    """Biases of independent pixels that fit the data, (64,)."""
    mean = (data.sum(axis=0) + 0.5) / (len(data) + 1.0)
    return np.log(mean / (1.0 - mean))


def learn(data: np.ndarray, test: np.ndarray, full: bool) -> tuple[BernoulliRBM, History]:
    """PCD-5, whose rate falls by a factor of 20 on the way."""
    n_hidden, epochs, every = (64, 600, 40) if full else (16, 45, 5)
    weights = np.random.default_rng(1).normal(0.0, 0.01, (SIDE * SIDE, n_hidden))
    shell = BernoulliRBM(independent(data), np.zeros(n_hidden), weights).thaw()
    history = train(
        shell,
        data,
        PersistentCD(k=5, n_chains=500, start="data"),
        epochs=epochs,
        batch_size=100,
        learning_rate=0.2,
        schedule=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(
            optimizer, 0.05 ** (1.0 / epochs)
        ),
        validation_data=test,
        monitor=Monitor(every=every),
        rng=2,
    )
    return shell.freeze(), history


def completed(rbm: BernoulliRBM, test: np.ndarray) -> np.ndarray:
    """Mean lower halves given the upper ones, over 200 draws each, (n, 64)."""
    known = np.arange(SIDE * SIDE) < SIDE * SIDE // 2
    start = test.copy()
    start[:, ~known] = 0
    chain = sample(
        rbm, BlockGibbs(clamped=known), beta=1.0, n_chains=len(test), n_draws=200, burn_in=300,
        start=start, rng=4,
    )  # fmt: skip
    return chain.states.mean(axis=1)


def draw(
    history: History, floor: float, drawn: np.ndarray, test: np.ndarray, filled: np.ndarray,
    path: Path,
) -> None:  # fmt: skip
    """The history and three rows of digits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.0, 1.4))
    axes = left.subplots()
    for name, label, colour in (
        ("log_likelihood", "training", "#0072B2"),
        ("validation_log_likelihood", "test", "#D55E00"),
    ):
        here = ~np.isnan(history[name])
        axes.plot(history.epoch[here], history[name][here], "o-", ms=3, color=colour, label=label)
    axes.axhline(floor, color="0.5", ls=":", label="independent pixels (test)")
    axes.set_xlabel("epoch")
    axes.set_ylabel("log-likelihood [nats a digit]")
    axes.legend(frameon=False, loc="center right")
    n = 10
    known = test.astype(float)
    known[:, SIDE * SIDE // 2 :] = 0.5
    rows = (
        ("samples", drawn), ("test digits", test), ("upper half given", known),
        ("mean completion", filled),
    )  # fmt: skip
    panels = right.subplots(len(rows), n)
    for line, (label, images) in zip(panels, rows, strict=True):
        for place, image in zip(line, images, strict=False):
            place.imshow(image.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=1)
            place.set_xticks([])
            place.set_yticks([])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, judge, print and draw."""
    parser = argparse.ArgumentParser(description="An RBM on 8x8 digits.")
    parser.add_argument("--full", action="store_true", help="64 hidden units, long training")
    parser.add_argument("--out", type=Path, default=Path("rbm_digits.png"))
    given = parser.parse_args()
    data, test = digits()
    rbm, history = learn(data, test, given.full)
    if given.full:
        log_z = ais(Weights(rbm), n_levels=5000, n_chains=500, rng=3)
    else:
        log_z = exact_sum(rbm)
    print(log_z)
    bias = independent(data)
    floor = float((test @ bias).mean() - np.logaddexp(0.0, bias).sum())
    for name, x in (("training", data), ("test", test)):
        log_p = -rbm.free_energy(x) - log_z.value
        print(f"{name:>9}: {log_p.mean():8.2f} nats a digit, {len(x)} digits")
    print(f"   pixels: {floor:8.2f} nats a test digit if they were independent")
    print(history)
    chain = sample(
        rbm, BlockGibbs(), beta=1.0, n_chains=50, n_draws=1, burn_in=3000, start=data[:50], rng=5
    )
    shown = test[:10]
    draw(history, floor, chain.states[:, 0], shown, completed(rbm, shown), given.out)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
