"""A restricted Boltzmann machine learns the Ising model, and is judged in physical units.

    python examples/rbm_ising.py [--full] [--out rbm_ising.png] [--data rbm_ising_data.zarr]

64 hidden spins learn configurations of the 8x8 torus from ising_data by persistent contrastive
divergence: T = 2.269 and a short training by default, also T = 2.0 and 3.0 and a long one with
--full (ten minutes on one core). What the machine samples is put against exact values: energy and
specific heat (Kaufman), |m| (transfer matrix, as is the correlation function), and the divergence
KL(data || model) per spin, in which the entropy of the data is exact too. The same measurement of
an RBM that *is* the Ising model, with one hidden spin a bond, must show no deviation.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ising_data import Spec, generate
from statmech_ml import Estimate, lattices, sample
from statmech_ml.exact import correlations, kaufman, transfer_matrix
from statmech_ml.models import RBM, Ising
from statmech_ml.partition import Weights, ais
from statmech_ml.samplers import BlockGibbs
from statmech_ml.statistics import jackknife, mean
from statmech_ml.training import PersistentCD, train

L, N_HIDDEN = 8, 64
ISING = Ising(lattices.square(L, L))
QUANTITIES = ("energy", "abs m", "specific heat")
# Weak correlations make small gradients; and at rates of 0.4 machines froze.
RATES = {2.0: 0.1, 2.269: 0.1, 3.0: 0.2}


def learn(spins: np.ndarray, rate: float, epochs: int, seed: int) -> RBM:
    """PCD-2 with 2000 chains; the rate falls by a factor of 100 on the way."""
    weights = np.random.default_rng(seed).normal(0.0, 0.01, (L * L, N_HIDDEN))
    shell = RBM(np.zeros(L * L), np.zeros(N_HIDDEN), weights).thaw()
    train(
        shell,
        spins,
        PersistentCD(k=2, n_chains=2000),
        epochs=epochs,
        batch_size=1000,
        learning_rate=rate,
        schedule=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(
            optimizer, 0.01 ** (1.0 / epochs)
        ),
        monitor=None,
        rng=seed,
    )
    return shell.freeze()


def along_axes(x: np.ndarray) -> np.ndarray:
    """s_i s_{i + r} averaged over sites and both axes, r = 1 .. L/2, (chain, L/2)."""
    grid = x.reshape(-1, L, L).astype(np.float64)
    shifted = [
        0.5 * (grid * (np.roll(grid, r, axis=1) + np.roll(grid, r, axis=2))).mean(axis=(1, 2))
        for r in range(1, L // 2 + 1)
    ]
    return np.stack(shifted, axis=1)


def measure(rbm: RBM, spins: np.ndarray, temperature: float, n_draws: int) -> dict[str, Any]:
    """Estimates from block Gibbs chains of the RBM that start at data."""
    chain = sample(
        rbm, BlockGibbs(), beta=1.0, n_chains=200, n_draws=n_draws, thin=5, burn_in=500,
        start=spins[:: len(spins) // 200][:200], rng=11, keep_states=False,
        observables={
            "E": ISING.energy,
            "m": lambda x: np.abs(x.mean(axis=1, dtype=np.float64)),
            "G": along_axes,
        },
    )  # fmt: skip
    E, scale = chain.observables["E"], L * L * temperature**2
    return {
        "energy": jackknife(lambda e: e / L**2, E),
        "abs m": mean(chain.observables["m"]),
        "specific heat": jackknife(lambda e, e2: (e2 - e * e) / scale, E, E * E),
        "G": [mean(chain.observables["G"][..., r]) for r in range(L // 2)],
    }


def exact_values(temperature: float) -> dict[str, Any]:
    """The same quantities of the torus, exactly."""
    beta = 1.0 / temperature
    M, p = transfer_matrix.magnetization_distribution(ISING, beta)
    return {
        "energy": float(kaufman.energy_per_site(L, L, beta=beta)),
        "abs m": float(p @ np.abs(M)) / L**2,
        "specific heat": float(kaufman.specific_heat(L, L, beta=beta)),
        "G": correlations.spin_spin(L, L, beta)[0, 1 : L // 2 + 1],
    }


def divergence(rbm: RBM, spins: np.ndarray, temperature: float, n_levels: int) -> Estimate:
    """KL(data || model) per spin: the mean over data of log p_data - log p_model.

    log p_data = -beta E - log Z is exact (Kaufman) for each configuration, and fluctuates with
    log p_model = -F - log Z_model, so their difference has a small error, that of the means of the
    independent chains, spins (chain, draw, site); the other part of it is that of log Z_model, by
    annealed importance sampling.
    """
    beta = 1.0 / temperature
    log_z = ais(Weights(rbm), n_levels=n_levels, n_chains=500, rng=13)
    log_p = -beta * ISING.energy(spins) - float(kaufman.log_z(L, L, beta=beta))
    means = (log_p + rbm.free_energy(spins)).mean(axis=1)
    n = len(means)
    stderr = float(np.hypot(means.std(ddof=1) / np.sqrt(n), log_z.stderr)) / L**2
    return Estimate((float(means.mean()) + log_z.value) / L**2, stderr, 0.5, n, n)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Relative deviations with their errors, and the correlation functions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {"trained": "#D55E00", "exact RBM": "#0072B2"}
    left.axhline(0.0, color="0.4", lw=1)
    ticks = []
    for i, row in enumerate(rows):
        shift = 0.12 if row["machine"] == "exact RBM" else -0.12
        place = 3.6 * (i // 2) + np.arange(3) + shift
        deviation = [100.0 * (row["found"][q].value / row["exact"][q] - 1.0) for q in QUANTITIES]
        error = [abs(100.0 * row["found"][q].stderr / row["exact"][q]) for q in QUANTITIES]
        left.errorbar(
            place, deviation, error, fmt="o", ms=4, capsize=2, color=colours[row["machine"]],
            label=row["machine"] if i < 2 else None,
        )  # fmt: skip
        if shift > 0:
            ticks += list(zip(place - shift, ("u", "|m|", "c"), strict=True))
            left.text(
                place[1] - shift, 0.97, f"T = {row['T']:g}", ha="center", va="top",
                transform=left.get_xaxis_transform(),
            )  # fmt: skip
    left.set_xticks([t for t, _ in ticks], [name for _, name in ticks])
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.15 * (high - low))
    left.set_ylabel("deviation from exact [%]")
    left.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
    distances = np.arange(1, L // 2 + 1)
    shades = dict(zip(RATES, ("#000000", "#009E73", "#CC79A7"), strict=True))
    for row in rows:
        right.plot(distances, row["exact"]["G"], color="0.7", lw=1, zorder=0)
        if row["machine"] == "trained":
            found = row["found"]["G"]
            right.errorbar(
                distances, [g.value for g in found], [g.stderr for g in found], fmt="o", ms=4,
                capsize=2, color=shades[row["T"]], label=f"T = {row['T']:g}",
            )  # fmt: skip
    right.set_xticks(distances)
    right.set_xlabel("distance r along an axis")
    right.set_ylabel("correlation function")
    right.set_title("trained RBM (points), exact (lines)", fontsize=10)
    right.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Generate, train, measure, print and draw."""
    parser = argparse.ArgumentParser(description="An RBM learns the Ising model.")
    parser.add_argument("--full", action="store_true", help="three temperatures, long training")
    parser.add_argument("--out", type=Path, default=Path("rbm_ising.png"))
    parser.add_argument("--data", type=Path, default=None, help="folder of the dataset")
    given = parser.parse_args()
    temperatures = tuple(RATES) if given.full else (2.269,)
    samples, epochs, n_draws = (100_000, 160, 2000) if given.full else (10_000, 40, 100)
    store = given.data or given.out.with_name(f"rbm_ising_data_{samples}.zarr")
    dataset = generate(
        Spec("square", L, temperatures, samples=samples, n_chains=100, seed=1), store
    )
    rows = []
    print(f"{'T':>6} {'machine':>10} {'quantity':>14} {'RBM':>13} {'exact':>10} {'off by':>9} "
          f"{'z':>6} {'ess':>7}")  # fmt: skip
    for temperature in temperatures:
        chains = dataset.spins(temperature)
        spins = chains.reshape(-1, L * L)
        machines = {
            "trained": learn(spins, RATES[temperature], epochs, seed=3),
            "exact RBM": ISING.as_rbm(1.0 / temperature)[0],
        }
        exact = exact_values(temperature)
        for machine, rbm in machines.items():
            found = measure(rbm, spins, temperature, n_draws)
            rows.append({"T": temperature, "machine": machine, "found": found, "exact": exact})
            for name in QUANTITIES:
                e, x = found[name], exact[name]
                print(f"{temperature:6g} {machine:>10} {name:>14} {e!s:>13} {x:10.5f} "
                      f"{e.value / x - 1.0:9.2%} {e.z(x):6.1f} {e.ess:7.0f}")  # fmt: skip
            kl = divergence(rbm, chains, temperature, 1000 if given.full else 300)
            print(f"{temperature:6g} {machine:>10} {'KL per spin':>14} {kl!s:>13} {0.0:10.5f}")
    draw(rows, given.out)
    print(f"figure: {given.out}")


if __name__ == "__main__":
    main()
