"""Importance sampling: log Z from draws of the reference alone.

    Z / Z_0 = < exp(u_0(x) - u_1(x)) >_0

One jump from the reference to the target, so it serves where the two overlap: the effective sample
size falls as exp(-D), D the Renyi-2 divergence between them, which grows with the number of
coordinates. It is what annealing (`ais`) becomes with one level. A. M. Ferrenberg and R. H.
Swendsen, Phys. Rev. Lett. 61, 2635 (1988), doi:10.1103/PhysRevLett.61.2635, for two temperatures.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _rng
from ._arguments import check_count, check_path, provenance
from .ais import ais_from_log_weights
from .logz import LogZ
from .path import Path

_CHUNK = 2**22  # coordinates drawn at a time


def importance_sampling(
    path: Path, n_chains: int = 10_000, *, rng: Any, keep_log_weights: bool = True
) -> LogZ:
    """log Z of a path's target by weighing exact draws of its reference.

    Parameters
    ----------
    path : Path
    n_chains : int, default 10_000
        Independent draws, at least 2.
    rng : int or numpy Generator
        The seed. There is no default.
    keep_log_weights : bool, default True
        Whether `diagnostics` hold "log_weights", float64 (chain,), log Z_0 not included.

    Returns
    -------
    LogZ
        exp(value) is unbiased, `lower` a lower bound on average. diagnostics: ess, n_chains,
        tail_shape, lower_stderr, cost, provenance.

    Raises
    ------
    InvalidInput
        For energies that are NaN or -inf.
    StatmechError
        When the target forbids every draw.

    >>> from statmech_ml.models import DoubleWell, Gaussian
    >>> from statmech_ml.partition import Geometric
    >>> path = Geometric(Gaussian(stddev=1.2), DoubleWell(barrier=1.0))
    >>> print(importance_sampling(path, rng=1))  # exact: 0.6799
    log_z = 0.6917(70) [importance sampling, ess 6743/10000]
    """
    check_path(path, "importance_sampling")
    check_count("n_chains", n_chains, 2)
    seed = _rng.seed_from(rng)
    began = time.perf_counter()
    log_w = np.empty(n_chains)
    size = max(1, _CHUNK // path.model.space.size)
    for first in range(0, n_chains, size):
        chains = np.arange(first, min(first + size, n_chains), dtype=np.uint32)
        log_w[first : first + size] = path.weigh(path.sample_reference(seed, chains), 0.0, 1.0)
    result = ais_from_log_weights(log_w, log_z_reference=path.log_z_reference)
    diagnostics = dict(result.diagnostics)
    if not keep_log_weights:
        diagnostics.pop("log_weights")
    diagnostics |= {
        "ladder": np.array([0.0, 1.0]),
        "cost": {
            "sweeps": 0,
            "energy_evaluations": 2 * n_chains,
            "seconds": time.perf_counter() - began,
        },
        "provenance": provenance(path, seed),
    }
    return replace(result, method="importance sampling", diagnostics=diagnostics)
