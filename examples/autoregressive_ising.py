"""Autoregressive networks of the 8 x 8 Ising model, against Kaufman's exact results.

    python examples/autoregressive_ising.py [--full] [--out autoregressive_ising.png]

One network, conditional on the temperature, is trained on the energy alone (variationally, no
data); another one at the critical temperature on exact draws (maximum likelihood). Both have exact
likelihoods, so that what they are off is a number: the variational free energy is above -log Z by
KL(network || exact), the cost of storing an exact draw above the entropy by KL(exact || network).
Their draws, weighed by exp(-u) / p, give log Z, energy and specific heat of the exact ensemble.

With --full long training, a minute or two of one core: both networks then lie about 0.001 bits per
spin from the exact law, whichever way it is measured, and nine draws in ten count. The short run,
ten seconds, is about ten to fifty times farther off, and its weights say so: at T = 2.5 and 3.0 one
draw in a hundred counts. The weights can say so because the network draws every region; of a phase
that it never draws they know nothing, and only KL(exact || network), from exact draws, does.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from statmech_ml import lattices
from statmech_ml.exact import kaufman, transfer_matrix
from statmech_ml.generative import AutoregressiveSpins, MaskedDense
from statmech_ml.models import Ising

L, N = 8, 64
TEMPERATURES = np.array([1.8, 2.0, 2.269, 2.5, 3.0])
BITS = 1.0 / (N * np.log(2.0))  # nats a configuration to bits a spin
ISING = Ising(lattices.square(L, L))
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "0.6"


def exact(name: str, beta: float) -> float:
    """Kaufman's value on the 8 x 8 torus."""
    return float(getattr(kaufman, name)(L, L, beta))


def cosine(epochs: int):
    """A learning rate that falls to 0."""
    return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, 1e-5)


def variational(full: bool):
    """One network for all temperatures, without data, and its gap while it learns."""
    network = MaskedDense(N, (128,), rng=1, n_conditions=1)
    model = AutoregressiveSpins(ISING.space, network, flip_symmetry=True, n_conditions=1)
    steps, each, rate = (4000, 60, 2e-3) if full else (400, 30, 6e-3)
    history = model.fit_variational(
        ISING, beta=1.0 / TEMPERATURES, condition=TEMPERATURES, n_steps=steps, rng=2,
        batch_size=each * len(TEMPERATURES), anneal_steps=steps // 3, learning_rate=rate,
        schedule=cosine(steps // 50),
    )  # fmt: skip
    return model, history


def likelihood(full: bool) -> AutoregressiveSpins:
    """A network of the critical temperature, from exact draws."""
    n, epochs, rate = (50_000, 20, 2e-3) if full else (5000, 6, 6e-3)
    data = transfer_matrix.draw(ISING, 1.0 / 2.269, n, rng=3)
    network = MaskedDense(N, (128,), rng=1)
    model = AutoregressiveSpins(ISING.space, network, flip_symmetry=True)
    model.fit(data, epochs=epochs, rng=4, learning_rate=rate, schedule=cosine(epochs))
    return model


def measure(model: AutoregressiveSpins, temperature: float, n: int, held_out: np.ndarray) -> dict:
    """Both divergences in bits a spin with errors, and reweighted averages."""
    beta = 1.0 / temperature
    condition = temperature if model.n_conditions else None
    log_z = exact("log_z", beta)
    free = model.free_energy(ISING, beta, n, rng=5, condition=condition)
    away = -beta * ISING.energy(held_out) - log_z - model.log_prob(held_out, condition=condition)
    r = model.reweight(ISING, beta, n, rng=6, condition=condition)
    energy, spread = (f(r.energy, "accept") for f in (r.mean, r.variance))
    return {
        "T": temperature,
        "gap": ((free.value + log_z) * BITS, free.stderr * BITS),
        "above": (away.mean() * BITS, away.std() / len(away) ** 0.5 * BITS),
        "ess": r.ess / n,
        "log_z": r.log_z,
        "z": r.log_z.z(log_z),
        "energy": (energy.value / N, energy.stderr / N),
        "raw": r.energy.mean() / N,
        "C": (beta**2 * spread.value / N, beta**2 * spread.stderr / N),
    }


def show(way: str, row: dict) -> None:
    """One row of the table."""
    beta = 1.0 / row["T"]
    z = [
        (row["energy"][0] - exact("energy_per_site", beta)) / row["energy"][1],
        (row["C"][0] - exact("specific_heat", beta)) / row["C"][1],
    ]
    print(
        f"{way:<12} {row['T']:>6} {row['gap'][0]:>9.5f} {row['above'][0]:>9.5f} {row['ess']:>6.2f} "
        f"{row['log_z'].status:>10} {row['z']:>6.2f} {z[0]:>6.2f} {z[1]:>6.2f}"
    )


def draw(history, rows: list[dict], other: dict, path: Path) -> None:
    """Learning, the divergences, and reweighted averages beside those of the network itself."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    steps = 50 * np.arange(1, len(history) + 1)
    reached = history["annealed"] == 1.0
    floor = -np.mean([exact("log_z", 1.0 / t) for t in TEMPERATURES])
    gap = (history["loss"] - floor)[reached] * BITS
    left.plot(steps[reached], 1e3 * gap, color=BLUE, lw=1)
    left.set(xlabel="step", ylabel="free energy above exact ($10^{-3}$ bits per spin)")
    left.set_title("training on the energy, mean over T", fontsize=10)
    t = np.array([r["T"] for r in rows])
    labels = {"gap": "KL(network || exact)", "above": "KL(exact || network)"}
    for (name, label), marker, side in zip(labels.items(), "os", (-0.012, 0.012), strict=True):
        values, errors = 1e3 * np.array([r[name] for r in rows]).T
        middle.errorbar(t + side, values, errors, fmt=marker, ms=5, color=BLUE, label=label)
        value, error = 1e3 * np.array(other[name])
        middle.errorbar(
            [2.269 + 3 * side], [value], [error], fmt=marker, ms=5, color=ORANGE, mfc="w"
        )
    middle.plot([], [], "o", color=ORANGE, mfc="w", label="trained on exact draws")
    middle.set(xlabel="temperature $T / J$", ylabel="$10^{-3}$ bits per spin")
    middle.set_title("distance from the exact law", fontsize=10)
    middle.set_ylim(bottom=0.0)
    middle.legend(frameon=False, fontsize=8)
    values, errors = np.array([r["energy"] for r in rows]).T
    truth = np.array([exact("energy_per_site", 1.0 / r["T"]) for r in rows])
    right.axhline(0.0, color=GREY, lw=1)
    right.errorbar(t, values - truth, errors, fmt="o", ms=4, color=BLUE, label="reweighted")
    raw = np.array([r["raw"] for r in rows]) - truth
    right.plot(t, raw, "x", color=GREY, label="network's own draws")
    right.set(xlabel="temperature $T / J$", ylabel="energy per site, above exact")
    right.set_title("averages", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    for axes in (middle, right):
        axes.set_xticks([1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0])
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="long training")
    parser.add_argument("--out", type=Path, default=Path("autoregressive_ising.png"))
    given = parser.parse_args()
    n = 50_000 if given.full else 4000
    model, history = variational(given.full)
    critical = likelihood(given.full)
    print("KL in bits per spin; z-scores of reweighted averages against Kaufman")
    print(
        f"{'trained on':<12} {'T':>6} {'KL(q||p)':>9} {'KL(p||q)':>9} {'ess/n':>6} {'status':>10} "
        f"{'log Z':>6} {'E':>6} {'C':>6}"
    )
    rows = []
    for temperature in TEMPERATURES:
        held_out = transfer_matrix.draw(ISING, 1.0 / temperature, n, rng=7)
        rows.append(measure(model, float(temperature), n, held_out))
        show("energy", rows[-1])
        if temperature == 2.269:
            other = measure(critical, 2.269, n, held_out)
    show("exact draws", other)
    draw(history, rows, other, given.out)
    print(f"figure in {given.out}")


if __name__ == "__main__":
    main()
