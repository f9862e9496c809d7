"""Two published Langevin mistakes, reproduced and diagnosed by their effective temperature.

    python examples/langevin_mistakes.py [--out DIRECTORY]

A Langevin move is x' = x - eta grad E(x) + s w with w ~ N(0, I), and samples exp(-E / T) at

    T = s^2 / (2 eta),

so that s = sqrt(2 eta) is the only noise that samples exp(-E). In lectures, blogs and released code
stand

1. s = sqrt(eta), the 2 lost: T = 1/2, which samples p^2 in place of p. A step of eps / 2 with
   noise sqrt(eps) is right (M. Welling and Y. W. Teh, ICML 2011), one of eps with it is not, and a
   loss that lost its 1/2 does the same.
2. step 10 with noise 0.005, a usual choice for deep energies: T = 1.25e-6, which is gradient
   descent (E. Nijkamp et al., AAAI 2020, arXiv:1903.12370, discuss what such chains learn).

Both run here on a mixture of three Gaussians in the plane, whose density is known at every T. The
samplers warn before they start; the table and the figure show what would have happened unwarned.
"""

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from statmech_ml import sample
from statmech_ml.errors import EffectiveTemperatureWarning
from statmech_ml.exact import langevin
from statmech_ml.models import Gaussian, GaussianMixture
from statmech_ml.samplers import MALA, ULA, Sampler
from statmech_ml.statistics import mean

# Wide wells, so that even a step of 10 is below 2 over the curvature, 1/9 at most.
MIXTURE = GaussianMixture(
    weights=[0.5, 0.3, 0.2],
    means=[[-6.0, -2.0], [4.0, 5.0], [6.0, -6.0]],
    stddevs=[4.0, 3.5, 3.0],
)
EDGE = 22.0
N_CHAINS, N_SWEEPS = 6000, 500


@dataclass(frozen=True)
class Law:
    """exp(-E / T) on a grid: centres (n,), densities (n, n) and of x alone (n,), <E>."""

    centres: np.ndarray
    density: np.ndarray
    marginal: np.ndarray
    energy: float


def law(temperature: float, n: int = 600) -> Law:
    """The exact law of the mixture at a temperature, by the midpoint rule."""
    width = 2.0 * EDGE / n
    centres = -EDGE + width * (np.arange(n) + 0.5)
    points = np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1)
    energy = MIXTURE.energy(points)
    weight = np.exp(-(energy - energy.min()) / temperature)
    weight /= weight.sum()
    density = weight / width**2
    return Law(centres, density, density.sum(axis=1) * width, float((weight * energy).sum()))


def run(model: GaussianMixture | Gaussian, sampler: Sampler, seed: int) -> np.ndarray:
    """Final states (chain, dim) of independent chains; prints what the sampler warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", EffectiveTemperatureWarning)
        chain = sample(
            model,
            sampler,
            beta=1.0,
            n_chains=N_CHAINS,
            n_draws=1,
            burn_in=N_SWEEPS,
            rng=seed,
            progress=False,
        )
    for warning in told:
        print(f"  {warning.category.__name__}: {warning.message}\n")
    return chain.final.x


def draw(path: Path, panels: list[tuple[str, np.ndarray, float]], laws: dict[float, Law]) -> None:
    """Samples over the exact density, and their histogram beside the marginals of p and p^2."""
    figure = Figure(figsize=(11.0, 6.6), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, height_ratios=(1.25, 1.0))
    exact, squared = laws[1.0], laws[0.5]
    levels = exact.density.max() * np.array([0.02, 0.1, 0.3, 0.6, 0.9])
    for (title, x, temperature), (top, bottom) in zip(panels, axes.T, strict=True):
        top.contour(
            exact.centres, exact.centres, exact.density.T, levels, colors="0.45", linewidths=0.9
        )
        frozen = temperature < 0.01
        dots = {"ms": 9, "alpha": 1.0} if frozen else {"ms": 2.5, "alpha": 0.5}
        top.plot(*x[:2000].T, ".", color="tab:blue", mec="none", **dots)
        top.set_title(f"{title}\neffective temperature {temperature:.3g}", fontsize=11)
        top.set(xlim=(-20, 18), ylim=(-18, 18))
        bins = np.linspace(-20, 18, 77)
        share = np.histogram(x[:, 0], bins)[0] / len(x) / np.diff(bins)
        bottom.stairs(share, bins, fill=True, color="tab:blue", alpha=0.35, label="samples")
        bottom.plot(exact.centres, exact.marginal, "k-", lw=1.6, label="$p$, asked for")
        bottom.plot(
            squared.centres, squared.marginal, "--", color="tab:red", lw=1.4,
            label="$p^2 / Z$, temperature 1/2",
        )  # fmt: skip
        bottom.set(xlabel="$x_1$", ylim=(0.0, 0.13))
        if frozen:
            told = "gradient\ndescent"
            bottom.annotate(told, (0.97, 0.86), xycoords="axes fraction", fontsize=9, ha="right")
    axes[0, 0].set_ylabel("$x_2$")
    axes[1, 0].set_ylabel("density")
    axes[1, 0].legend(frameon=False, fontsize=9, loc="upper left")
    figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    """Two mistakes beside two right samplers: a table and a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."), help="where the figure goes")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    eta = 0.5
    samplers = {
        "MALA": MALA(),
        "ULA, noise sqrt(2 eta)": ULA(eta),
        "noise sqrt(eta)": ULA(eta, noise=eta**0.5),
        "step 10, noise 0.005": ULA(10.0, noise=0.005),
    }
    laws = {temperature: law(temperature) for temperature in (1.0, 0.5)}
    states, rows = {}, []
    for seed, (name, sampler) in enumerate(samplers.items()):
        x = run(MIXTURE, sampler, seed)
        found = mean(MIXTURE.energy(x)[:, None])
        temperature = float(sampler.effective_temperature)
        of_its_own = [law for T, law in laws.items() if np.isclose(T, temperature)]
        z = f"{found.z(of_its_own[0].energy):+.1f}" if of_its_own else "-"
        states[name] = x
        rows.append((name, temperature, found, found.z(laws[1.0].energy), z))
    print(f"mixture of three, {N_CHAINS} chains after {N_SWEEPS} moves")
    print(f"  exact <E>: {laws[1.0].energy:.4f} at T = 1, {laws[0.5].energy:.4f} at T = 1/2")
    print(f"  {'sampler':<24} {'T implied':>10} {'<E>':>12} {'z, T = 1':>9} {'z, T implied':>13}")
    for name, temperature, found, z, implied in rows:
        print(f"  {name:<24} {temperature:>10.3g} {found!s:>12} {z:>+9.1f} {implied:>13}")

    step = 0.5
    variance = mean(run(Gaussian(), ULA(step, noise=step**0.5), 9) ** 2)
    told = langevin.ula_variance(step, temperature=0.5)
    print(f"N(0, 1), noise sqrt(eta), eta = {step}: <x^2> = {variance}")
    print(f"  exact for that mistake, 1 / (2 - eta) = {told:.5f}: z = {variance.z(told):+.1f}")
    print(f"  asked for 1: z = {variance.z(1.0):+.1f}")

    panels = [
        ("right: MALA", states["MALA"], 1.0),
        ("mistake 1: noise $\\sqrt{\\eta}$", states["noise sqrt(eta)"], rows[2][1]),
        ("mistake 2: step 10, noise 0.005", states["step 10, noise 0.005"], rows[3][1]),
    ]
    draw(out / "langevin_mistakes.png", panels, laws)


if __name__ == "__main__":
    main()
