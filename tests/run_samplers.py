"""A short run of every sampler, printed as digests: what other processes must repeat bit for bit.

python run_samplers.py [threads]
"""

import hashlib
import json
import sys

import numpy as np

from statmech_ml import lattices
from statmech_ml.models import (
    RBM,
    BayesianLinearRegression,
    BernoulliRBM,
    BoltzmannMachine,
    DoubleWell,
    GaussianRBM,
    Ising,
    LogDensity,
    Potts,
    PottsRBM,
)
from statmech_ml.samplers import (
    BAOAB,
    HMC,
    MALA,
    PSGLD,
    SGHMC,
    SGLD,
    ULA,
    BlockGibbs,
    EnsembleSampler,
    HeatBath,
    Metropolis,
    PolynomialDecay,
    SwendsenWang,
    Wolff,
    base,
    block_gibbs,
)


def normal(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def quartic(x: np.ndarray) -> np.ndarray:
    """A log-density in numpy, for the kernels' twins."""
    return -0.3 * (x**4).sum(axis=-1) - 0.2 * x[:, 0]


def regression() -> BayesianLinearRegression:
    return BayesianLinearRegression(normal(12, 3, seed=6), normal(12, seed=7))


def runs() -> dict:
    """Name -> (sampler, model): every sampler, and every kernel of those that have several."""
    rbm = BernoulliRBM(normal(5, seed=1), normal(4, seed=2), normal(5, 4, seed=3))
    normals = GaussianRBM(normal(5, seed=1), normal(4, seed=2), 0.5 * normal(5, 4, seed=3))
    spins = RBM(rbm.visible_bias, rbm.hidden_bias, rbm.weights)
    below = RBM(rbm.visible_bias, rbm.hidden_bias, 0.3 * rbm.weights, hidden="normal")
    levels = PottsRBM(normal(4, 3, seed=6), rbm.hidden_bias, normal(4, 3, 4, seed=7))
    couplings = np.triu(normal(5, 5, seed=8), 1)
    boltzmann = BoltzmannMachine(
        rbm.visible_bias, couplings + couplings.T, rbm.hidden_bias, rbm.weights, hidden="spins"
    )
    potts = Potts(lattices.square(3, 4), 3, 0.7)
    torus = Ising(lattices.square(4, 6), 0.8, 0.1)
    glass = Ising(lattices.chain(7), normal(7, seed=4), normal(7, seed=5))
    well, line = DoubleWell(tilt=0.2, dim=3), regression()
    return {
        "torus": (HeatBath(), torus),
        "table": (HeatBath(), Ising(lattices.square(3, 5), -0.9, 0.2)),
        "general": (HeatBath(), glass),
        "joint": (HeatBath(), rbm.joint()),
        "random": (Metropolis(), glass),
        "checkerboard": (Metropolis("checkerboard"), torus),
        "wolff": (Wolff(), Ising(lattices.square(4, 5))),
        "swendsen-wang": (SwendsenWang(), Ising(lattices.chain(8), -1.0)),
        "block": (BlockGibbs(), rbm),
        "mala": (MALA(0.1), DoubleWell(tilt=0.2, dim=3)),
        "ula": (ULA(0.05), DoubleWell(tilt=0.2, dim=3)),
        "hmc": (HMC(0.2, 4, mass=(1.0, 2.0, 0.5)), well),
        "hmc without rejections": (HMC(0.2, 3, adjusted=False), well),
        "hmc in batches": (HMC(0.2, 4), LogDensity(quartic, 3)),
        "mala in batches": (MALA(0.1), LogDensity(quartic, 3)),
        "ula in batches": (ULA(0.05), LogDensity(quartic, 3)),
        "sgld": (SGLD(0.05), well),
        "psgld": (PSGLD(0.05, alpha=0.8), well),
        "sghmc": (SGHMC(0.05, friction=2.0), well),
        "baoab": (BAOAB(0.05, friction=2.0), well),
        "sghmc in batches": (SGHMC(0.05), LogDensity(quartic, 3)),
        "sgld on minibatches": (
            SGLD(batch_size=5, schedule=PolynomialDecay(0.01, 3.0, 0.6)),
            line,
        ),
        "psgld on minibatches": (PSGLD(0.01, batch_size=4), line),
        "sghmc on minibatches": (SGHMC(0.05, batch_size=1), line),
        "block of normals": (BlockGibbs(), normals),
        "block of spins": (BlockGibbs("double"), spins),
        "block below normals": (BlockGibbs(), below),
        "block of levels": (BlockGibbs(), levels),
        "boltzmann": (HeatBath(), boltzmann),
        "potts": (HeatBath(), potts),
        "wolff of levels": (Wolff(), potts),
        "swendsen-wang of levels": (SwendsenWang(), potts),
    }


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def digests() -> dict[str, str]:
    """Name -> digest of configurations, energies and info."""
    found = {}
    for name, (sampler, model) in runs().items():
        state = sampler.init(model, 5, seed=2**63 + 12345)
        beta = np.linspace(0.2, 0.9, 5)
        state, info = sampler.advance(model, state, beta, 9)
        parts = [state.x, *info.values(), *state.carried.values()]
        if model.space.dtype is np.int8:
            parts.append(model.energy(state.x))
        found[name] = digest(*parts)
    # One ensemble at one beta: its walkers are no chains of their own.
    walkers, well = EnsembleSampler(), DoubleWell(tilt=0.2, dim=2)
    state, _ = walkers.advance(well, walkers.init(well, 6, seed=7), np.full(6, 0.9), 9)
    found["ensemble"] = digest(state.x)
    # From this many chains on, tables of sums take the place of matrix products.
    rbm, n = runs()["block"][1], block_gibbs._WORTH_TABLES
    layers = BlockGibbs()
    state, _ = layers.advance(rbm, layers.init(rbm, n, seed=8), np.linspace(0.2, 0.9, n), 2)
    found["block from tables"] = digest(state.x)
    return found


def main() -> None:
    """Print the digests as one line of JSON."""
    if len(sys.argv) > 1:
        import numba

        numba.set_num_threads(int(sys.argv[1]))
        base._WORTH_THREADS = 0
    print(json.dumps(digests()))


if __name__ == "__main__":
    main()
