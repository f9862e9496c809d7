"""log Z of a lattice, an RBM and a particle in a double well, by one estimator.

    python examples/partition_functions.py

Annealed importance sampling sees a Path and nothing else; exact values stand beside its results.
"""

import math

import numpy as np

from statmech_ml import lattices
from statmech_ml.exact import kaufman, quadrature
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising
from statmech_ml.partition import Geometric, Tempering, Weights, ais, exact_sum
from statmech_ml.samplers import MALA, BlockGibbs, HeatBath


def double_well_log_z(well: DoubleWell, stiffness: float) -> float:
    """One-dimensional quadrature for the first coordinate, a Gaussian for the second."""
    first = quadrature.log_z(lambda x: well.energy(np.array([x, 0.0])))
    return float(first.value) + 0.5 * math.log(2.0 * math.pi / stiffness)


def main() -> None:
    """Three systems, one estimator."""
    rng = np.random.default_rng(1)
    rbm = BernoulliRBM(
        visible_bias=rng.normal(size=16),
        hidden_bias=rng.normal(size=8),
        weights=rng.normal(size=(16, 8)) / 2,
    )
    well = DoubleWell(barrier=3.0, tilt=0.5, dim=2, stiffness=2.0)
    cases = [
        (
            "Ising 16 x 16, beta = 0.44",
            Tempering(Ising(lattices.square(16)), beta=0.44, sampler=HeatBath()),
            2000,
            float(kaufman.log_z(16, 16, beta=0.44)),
        ),
        ("RBM 16 x 8, by weights", Weights(rbm), 200, exact_sum(rbm).value),
        (
            "RBM 16 x 8, by temperature",
            Tempering(rbm, beta=1.0, sampler=BlockGibbs()),
            200,
            exact_sum(rbm).value,
        ),
        (
            "double well, 2 dimensions",
            Geometric(Gaussian(dim=2), well, sampler=MALA()),
            200,
            double_well_log_z(well, 2.0),
        ),
    ]
    for seed, (name, path, n_levels, exact) in enumerate(cases):
        estimate = ais(path, n_levels=n_levels, n_chains=256, rng=seed)
        print(f"{name:<28} {estimate!s:<44} exact {exact:.5f}  z = {estimate.z(exact):+.2f}")


if __name__ == "__main__":
    main()
