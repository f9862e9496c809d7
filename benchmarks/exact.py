"""Exact log Z of n spins that are all coupled: matrix products against the naive Gray code.

Floor: one multiplication and addition per state in double precision. A core that completes 8 a
cycle at 3 GHz sums 24 states/ns, so 2^38 states take 11 s on one and 6 s on two.
"""

import math
import os
import time
from collections.abc import Iterator

import numba
import numpy as np

from statmech_ml.exact import pairwise

from .timing import Result, compare

ALLOWED = 60.0  # seconds for 38 spins on two threads


@numba.njit
def naive_gray_code(K, H):
    """log Z, one flip, n local fields and one exponential per state; weights that may overflow."""
    n = len(H)
    s = -np.ones(n)
    fields = H + K @ s
    weight = 0.5 * (s @ (K @ s)) + H @ s
    total = math.exp(weight)
    for step in range(1, 2**n):
        j = 0
        while (step >> j) & 1 == 0:
            j += 1
        weight -= 2.0 * s[j] * fields[j]
        s[j] = -s[j]
        for i in range(n):
            fields[i] += 2.0 * s[j] * K[j, i]
        total += math.exp(weight)
    return math.log(total)


def coupled_spins(n: int = 30, largest: int = 38, naive: int = 22) -> Iterator[Result]:
    """A spin glass of n spins with fields beside one of `naive` spins, and the time of the largest.

    The matrix products run on the threads of the BLAS, the naive loop on one.
    """
    K, H = glass(n)
    small = glass(naive)
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count()
    yield compare(
        f"log Z of {n} coupled spins, {threads} thread(s)",
        "states/ns",
        2.0**n,
        lambda: pairwise.log_z_from_couplings(K, H),
        "naive Gray code, 1 thread",
        2.0**naive,
        lambda: naive_gray_code(*small),
        100.0,
        repeats=3,
    )
    K, H = glass(largest)
    start = time.perf_counter()
    pairwise.log_z_from_couplings(K, H)
    seconds = time.perf_counter() - start
    yield Result(
        f"log Z of {largest} coupled spins in {seconds:.0f} s, {threads} thread(s)",
        "states/ns",
        2.0**largest / seconds / 1e9,
        f"{ALLOWED:.0f} s",
        2.0**largest / ALLOWED / 1e9,
        ALLOWED / seconds,
        1.0,
    )


def glass(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal couplings of variance 1/n between all pairs, and normal fields, at beta = 1."""
    rng = np.random.default_rng(1)
    K = np.triu(rng.normal(size=(n, n)) / math.sqrt(n), 1)
    return K + K.T, rng.normal(size=n)
