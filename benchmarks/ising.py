"""2D Ising at T_c on one thread: local updates against the textbook loop, clusters against mcising.

Floor of the square-lattice heat bath: 32 random bits per spin; Philox4x32-10 alone fills about 2.3 words/ns
on one AVX-512 core, so no exact word-per-spin engine with this generator passes 2.3 spins/ns there.
"""

import math
from collections.abc import Iterator

import numba
import numpy as np

from statmech_ml import lattices
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, SwendsenWang, Wolff
from statmech_ml.systems import Model

from .timing import Result, compare

BETA = math.log(1.0 + math.sqrt(2.0)) / 2.0
TEXTBOOK = "textbook sequential numba loop"


@numba.njit
def textbook(spins, beta, n_sweeps):
    """What a good textbook prints: sequential Metropolis, a table of factors, np.random."""
    size = spins.shape[0]
    weights = np.exp(-2.0 * beta * np.arange(-4.0, 5.0))
    for _ in range(n_sweeps):
        for i in range(size):
            for j in range(size):
                field = (
                    spins[(i + 1) % size, j]
                    + spins[(i - 1) % size, j]
                    + spins[i, (j + 1) % size]
                    + spins[i, (j - 1) % size]
                )
                cost = spins[i, j] * field
                if cost <= 0 or np.random.rand() < weights[cost + 4]:
                    spins[i, j] = -spins[i, j]


def local_updates(size: int = 256, n_sweeps: int = 100) -> Iterator[Result]:
    """The generic kernel and the square-lattice twin, one chain."""
    spins = np.ones((size, size), np.int8)
    ising = Ising(lattices.square(size))
    beta = np.array([BETA])
    sampler = HeatBath()
    state = sampler.init(ising, 1, seed=1)
    # A plain Model around the same arrays has no lattice-specific twin: the generic overload runs.
    plain = Model(ising.space, ising.arrays, ising.lattice)
    for name, model, target in [
        ("heat bath, generic overload", plain, 2.0),
        ("heat bath, square-lattice twin", ising, 5.0),
    ]:
        yield compare(
            f"{name}, L = {size}",
            "spins/ns",
            n_sweeps * size**2,
            lambda model=model: sampler.advance(model, state, beta, n_sweeps),
            TEXTBOOK,
            n_sweeps * size**2 / 5,
            lambda: textbook(spins, BETA, n_sweeps // 5),
            target,
        )


def clusters(size: int = 256, n_updates: int = 400) -> Iterator[Result]:
    """Wolff and Swendsen-Wang per update against mcising, both from equilibrated states."""
    import mcising

    model = Ising(lattices.square(size))
    beta = np.array([BETA])
    # Wolff clusters at T_c vary widely in size: long runs, so that the averages compare.
    for name, sampler, algorithm, n, target in [
        ("Wolff", Wolff(), mcising.Algorithm.WOLFF, n_updates, 1.0),
        ("Swendsen-Wang", SwendsenWang(), mcising.Algorithm.SWENDSEN_WANG, n_updates // 8, 1.0),
    ]:
        config = mcising.SimulationConfig(
            lattice=mcising.LatticeConfig(size=size, j1=1.0),
            temperatures=(1.0 / BETA,),
            n_sweeps=1,
            seed=1,
            algorithm=algorithm,
        )
        peer = mcising.Simulation(config)
        peer.spins = np.ones((size, size), peer.spins.dtype)
        peer.sweep(500, temperature=1.0 / BETA)
        state, _ = sampler.advance(model, sampler.init(model, 1, 1, "ordered"), beta, 500)
        ours = [state]

        def run(sampler=sampler, ours=ours, n=n) -> None:
            ours[0], _ = sampler.advance(model, ours[0], beta, n)

        yield compare(
            f"{name}, L = {size}",
            "updates/ms",
            1e6 * n,
            run,
            "mcising",
            1e6 * n,
            lambda peer=peer, n=n: peer.sweep(n, temperature=1.0 / BETA),
            target,
        )
