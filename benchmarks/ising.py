"""2D Ising at T_c on one thread: local updates against the textbook loop, clusters against mcising.

Floor of the square-lattice heat bath: 32 random bits per spin. Philox4x32-10 alone fills about 2.3
words/ns on one AVX-512 core, so an engine that spends a word per spin cannot pass 2.3 spins/ns.
"""

import math
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

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
                if cost <= 0 or np.random.rand() < weights[cost + 4]:  # noqa: NPY002 - that is the textbook
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


def wolff(size: int = 256, n_updates: int = 600) -> Iterator[Result]:
    """Single Wolff updates in turn with mcising's, from equilibrium.

    Cluster sizes at T_c vary over four decades, so each update is timed by itself and divided by
    the spins that it flipped; clusters under 1% of the lattice measure the call and are left out.
    """
    model, beta, sampler = Ising(lattices.square(size)), np.array([BETA]), Wolff()
    state, _ = sampler.advance(model, sampler.init(model, 1, 1, "ordered"), beta, 500)
    peer = peer_at_criticality("WOLFF", size)
    before = np.array(peer.spins)
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_updates):
        start = time.perf_counter()
        state, info = sampler.advance(model, state, beta, 1)
        seconds = time.perf_counter() - start
        flipped = info["cluster_size"][0]
        if flipped > size**2 / 100:
            rates[0].append(flipped / seconds / 1e9)
        start = time.perf_counter()
        peer.sweep(1, temperature=1.0 / BETA)
        seconds = time.perf_counter() - start
        after = np.array(peer.spins)
        flipped = int((after != before).sum())
        before = after
        if flipped > size**2 / 100:
            rates[1].append(flipped / seconds / 1e9)
    ours, theirs = median(rates[0]), median(rates[1])
    yield Result(f"Wolff, L = {size}", "flips/ns", ours, "mcising", theirs, ours / theirs, 1.0)


def swendsen_wang(size: int = 256, n_updates: int = 50) -> Iterator[Result]:
    """Swendsen-Wang sweeps against mcising, from equilibrium."""
    model, beta, sampler = Ising(lattices.square(size)), np.array([BETA]), SwendsenWang()
    state, _ = sampler.advance(model, sampler.init(model, 1, 1, "ordered"), beta, 100)
    peer = peer_at_criticality("SWENDSEN_WANG", size)
    yield compare(
        f"Swendsen-Wang, L = {size}",
        "spins/ns",
        n_updates * size**2,
        lambda: sampler.advance(model, state, beta, n_updates),
        "mcising",
        n_updates * size**2,
        lambda: peer.sweep(n_updates, temperature=1.0 / BETA),
        1.0,
    )


def peer_at_criticality(algorithm: str, size: int) -> Any:
    """An equilibrated mcising simulation at T_c."""
    import mcising

    peer = mcising.Simulation(
        mcising.SimulationConfig(
            lattice=mcising.LatticeConfig(size=size, j1=1.0),
            temperatures=(1.0 / BETA,),
            n_sweeps=1,
            seed=1,
            algorithm=mcising.Algorithm[algorithm],
        )
    )
    peer.spins = np.ones((size, size), peer.spins.dtype)
    peer.sweep(500 if algorithm == "WOLFF" else 100, temperature=1.0 / BETA)
    return peer
