"""The Ising transition on small tori, against Kaufman's exact curves.

    python examples/ising_transition.py [--out transition.png]

Prints energy and specific heat per site with errors, the exact values and the deviations in
standard errors, and draws the same numbers.
"""

import argparse
from pathlib import Path

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.exact import kaufman, onsager
from statmech_ml.models import Ising
from statmech_ml.samplers import SwendsenWang

SIZES = (8, 16)
TEMPERATURES = np.round(np.arange(1.8, 3.01, 0.2), 10)
QUANTITIES = {"energy_per_site": kaufman.energy_per_site, "specific_heat": kaufman.specific_heat}


def measure() -> list[dict]:
    """One row per size, temperature and quantity."""
    rows = []
    for size in SIZES:
        model = Ising(lattices.square(size, size))
        for seed, temperature in enumerate(TEMPERATURES):
            chain = sample(
                model, SwendsenWang(), temperature=temperature, n_chains=4, n_draws=1500,
                burn_in=100, rng=100 * size + seed, keep_states=False,
            )  # fmt: skip
            for name, exact in QUANTITIES.items():
                estimate = chain.estimate(name)
                value = float(exact(size, size, beta=1 / temperature))
                rows.append(
                    {
                        "L": size,
                        "T": temperature,
                        "name": name,
                        "estimate": estimate,
                        "exact": value,
                    }
                )
    return rows


def draw(rows: list[dict], path: Path) -> None:
    """Points with error bars on the exact curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    fine = np.linspace(TEMPERATURES[0], TEMPERATURES[-1], 200)
    for axis, (name, exact) in zip(figure.subplots(1, 2), QUANTITIES.items(), strict=True):
        for size, colour in zip(SIZES, ("#0072B2", "#D55E00"), strict=True):
            mine = [r for r in rows if r["L"] == size and r["name"] == name]
            axis.plot(fine, exact(size, size, beta=1 / fine), color=colour, lw=1)
            axis.errorbar(
                [r["T"] for r in mine],
                [r["estimate"].value for r in mine],
                [r["estimate"].stderr for r in mine],
                fmt="o", ms=4, color=colour, label=f"L = {size}",
            )  # fmt: skip
        axis.axvline(onsager.critical_temperature(), color="0.7", lw=0.8, ls="--")
        axis.set(xlabel="temperature $T / J$", ylabel=name.replace("_", " "))
        axis.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("transition.png"))
    out = parser.parse_args().out
    rows = measure()
    print(f"{'L':>3} {'T':>5}  {'quantity':<16} {'measured':>14} {'exact':>10} {'z':>6}")
    for r in rows:
        z = r["estimate"].z(r["exact"])
        line = f"{r['L']:>3} {r['T']:>5.2f}  {r['name']:<16} {r['estimate']!s:>14}"
        print(f"{line} {r['exact']:>10.5f} {z:>6.2f}")
    draw(rows, out)
    print(f"written to {out}")


if __name__ == "__main__":
    main()
