"""MBAR against pymbar 4: 20 harmonic wells with 2000 samples each, free energies with errors.

Floor: Newton from a good start visits all samples three times, K N exponentials and K^2 N products
each: 2.4 million and 48 million, 5 ms on one core.
"""

import contextlib
import io
import logging
import resource
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from statmech_ml.partition import TemperedEnergies, mbar_from_energies

from .timing import Result, compare


def harmonic_wells(n_states: int, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """u_kn (K, N) of a ladder of wells, and n_k."""
    rng = np.random.default_rng(1)
    stiffness, centre = np.linspace(1.0, 4.0, n_states), np.linspace(0.0, 3.0, n_states)
    x = centre[:, None] + stiffness[:, None] ** -0.5 * rng.normal(size=(n_states, n_samples))
    u = 0.5 * stiffness[:, None] * (x.ravel() - centre[:, None]) ** 2
    return u, np.full(n_states, n_samples)


def pymbar() -> Any:
    """The package, imported without what it prints when it finds no JAX."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        import pymbar as package
    return package


def solving(n_states: int = 20, n_samples: int = 2000) -> Iterator[Result]:
    """Free energies and their errors, on one thread."""
    import numexpr
    from threadpoolctl import threadpool_limits

    u, n_k = harmonic_wells(n_states, n_samples)
    peer = pymbar().MBAR
    numexpr.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield compare(
            f"MBAR, {n_states} states x {n_samples} samples",
            "energies/ns",
            u.size,
            lambda: mbar_from_energies(u, n_k),
            "pymbar",
            u.size,
            lambda: peer(u, n_k).compute_free_energy_differences(),
            5.0,
        )


def lattice(n_states: int = 32, n_samples: int = 200_000, clusters: int = 32) -> dict[str, float]:
    """Seconds and memory (MiB) for the energies of a 16x16 torus; run it in a process of its own.

    Energies are drawn from the exact density of states of independent 4x4 blocks, as wide as those
    of the torus: what MBAR does with them does not depend on where they come from.
    """
    from statmech_ml import lattices
    from statmech_ml.exact import enumeration
    from statmech_ml.models import Ising

    rng = np.random.default_rng(1)
    level, count = enumeration.density_of_states(Ising(lattices.square(4, 4)))
    betas = np.linspace(0.0, 0.5, n_states)
    energy = np.zeros((n_states, n_samples), np.float64)
    for e, beta in zip(energy, betas, strict=True):
        weight = count * np.exp(-beta * (level - level.min()))
        for _ in range(16):
            e += rng.choice(level, n_samples, p=weight / weight.sum())
    n_k = np.full(n_states, n_samples)
    labels = np.tile(np.repeat(np.arange(clusters), n_samples // clusters), n_states)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    result = mbar_from_energies(TemperedEnergies(betas, energy.ravel()), n_k, clusters=labels)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    exact = 16 * (
        np.log((count * np.exp(-betas[-1] * (level - level.min()))).sum() / count.sum())
        - betas[-1] * level.min()
    )
    return {
        "seconds": seconds,
        "MiB before": before,
        "MiB peak": after,
        "MiB of u_kn": 8 * n_states * n_states * n_samples / 2**20,
        "z": (-result.f_k[-1] - exact) / result.stderr[-1],
    }
