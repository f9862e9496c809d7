"""log Z of a 32 x 32 +-J spin glass at beta = 1: three estimators against the exact value.

    python examples/spin_glass.py [--full]

On an open square lattice without a field the glass is planar, so log Z is exact whatever the
couplings (`exact.planar`). Annealing and replica exchange climb an even ladder from beta = 0;
the quick version has short runs and says so in its statuses.
"""

import argparse

import numpy as np
from rich.console import Console

from statmech_ml import lattices
from statmech_ml.exact import planar
from statmech_ml.models import Ising
from statmech_ml.partition import Tempering, compare
from statmech_ml.samplers import HeatBath


def main() -> None:
    """One glass, one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="runs that are long enough")
    full = parser.parse_args().full

    lattice = lattices.square(32, 32, "open")
    signs = np.random.default_rng(32).choice([-1.0, 1.0], lattice.n_bonds)
    glass = Ising(lattice, coupling=signs)
    path = Tempering(glass, beta=1.0, sampler=HeatBath())
    exact = planar.log_z(glass, beta=1.0)

    levels, draws = (40_000, 4000) if full else (1000, 60)
    found = compare(
        path,
        {
            "AIS": ("ais", {"n_levels": levels, "n_chains": 128}),
            "PT + MBAR": (
                "mbar",
                {
                    "n_levels": 40,
                    "n_chains": 16,
                    "n_draws": draws,
                    "burn_in": draws // 4,
                    "exchange": True,
                },
            ),
            "population annealing": (
                "population_annealing",
                {"n_levels": levels // 10, "n_chains": 1280},
            ),
        },
        exact=exact,
        rng=1,
    )
    print(f"32 x 32 +-J glass at beta = 1: log Z = {exact:.9f}")
    Console(width=120).print(found.table())


if __name__ == "__main__":
    main()
