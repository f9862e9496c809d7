"""Thermodynamics of a trained RBM: what the digits look like as a system of statistical mechanics.

    python examples/rbm_thermodynamics.py [--full] [--out DIRECTORY]

The RBM has 64 visible and 20 hidden units and was trained on scikit-learn's 8 x 8 digits (the
weights of examples/estimators_compared.py). One tempered run gives its free energy, internal
energy, entropy, heat capacity and susceptibility at all temperatures around the one that it was
trained at, by MBAR, with errors. Two of them are known exactly: log Z is a sum over 2^20 hidden
states, and its derivative is the internal energy.

T = 1, where it was trained, lies on the broad plateau of its heat capacity, between a few frozen
pictures and noise. The entropy at T = 1, in bits, says over how many configurations it spreads.
"""

import argparse
from pathlib import Path

import numpy as np

from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import BernoulliRBM
from statmech_ml.partition import thermodynamics

DATA = Path(__file__).parent / "data" / "digits_rbm.npz"


def exact_free_and_internal_energy(rbm: BernoulliRBM, temperatures: np.ndarray) -> dict:
    """F = -T log Z, and U = -d log Z / d beta by a central difference of the exact sums."""
    betas, step = 1.0 / temperatures, 1e-4
    log_z, up, down = (
        np.array([exact_rbm.log_z(rbm, float(b)) for b in betas * (1.0 + s)])
        for s in (0.0, step, -step)
    )
    return {
        "free_energy": -temperatures * log_z,
        "internal_energy": -(up - down) / (2.0 * step * betas),
    }


def main() -> None:
    """One run, a table, a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more temperatures and draws")
    parser.add_argument("--out", type=Path, default=Path("."), help="where the figure goes")
    arguments = parser.parse_args()
    n_temperatures, n_draws = (41, 2000) if arguments.full else (13, 300)

    with np.load(DATA) as saved:
        rbm = BernoulliRBM(**saved)
    temperatures = np.unique(np.append(np.geomspace(0.4, 6.0, n_temperatures), 1.0))
    result = thermodynamics(
        rbm, temperatures=temperatures, ladder=np.linspace(0.0, 2.5, 21), n_draws=n_draws,
        thin=2, rng=1,
    )  # fmt: skip
    print(f"{rbm!r}, totals, k_B = 1:")
    print(result)
    exact = exact_free_and_internal_energy(rbm, temperatures)
    for name, values in exact.items():
        z = getattr(result, name).z(values)
        print(f"{name}: deviations from the exact sum, in errors: {np.round(z, 1).tolist()}")
    entropy = result.estimate("entropy", temperature=1.0)
    print(
        f"at T = 1 the machine spreads over 2^{entropy.value / np.log(2.0):.0f} of its "
        f"2^{rbm.n_visible + rbm.n_hidden} configurations"
    )
    peak = int(np.argmax(result.heat_capacity.value))
    print(f"largest heat capacity at T = {temperatures[peak]:.2f}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    figure = result.plot(exact)
    figure.suptitle("RBM of 8 x 8 digits, 20 hidden units", fontsize=11)
    figure.savefig(arguments.out / "rbm_thermodynamics.png", dpi=150)
    print(f"drawn in {arguments.out / 'rbm_thermodynamics.png'}")


if __name__ == "__main__":
    main()
