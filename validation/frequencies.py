"""Visited states against the exact distribution: Pearson's chi-square with pooled cells.

States with an expected count below 10 are pooled, rarest first, so that the chi-square law holds.
Draws must be independent: one final state of each of many chains.
"""

from typing import Any

import numpy as np
from scipy import stats

from statmech_ml import sample
from statmech_ml.errors import InvalidInput
from statmech_ml.samplers import Sampler

from .check import Measurement, by_p_value

MIN_EXPECTED = 10.0


def final_states(
    model: Any, sampler: Sampler, *, beta: float, n_chains: int, sweeps: int, seed: int
) -> np.ndarray:
    """Independent draws (n_chains, size): where chains from random starts are after `sweeps`."""
    chain = sample(
        model, sampler, beta=beta, n_chains=n_chains, n_draws=1, burn_in=sweeps, rng=seed,
        keep_states=False, progress=False,
    )  # fmt: skip
    return chain.final.x


def frequencies(name: str, cells: np.ndarray, probability: np.ndarray) -> Measurement:
    """How far the counts of `cells` (indices, one per independent draw) lie from `probability`.

    The measurement shows chi-square per degree of freedom, which is 1 +- sqrt(2 / dof) for a right
    sampler.
    """
    counts = np.bincount(cells.ravel(), minlength=len(probability)).astype(np.float64)
    if len(counts) > len(probability):
        raise InvalidInput(f"A cell has index {len(counts) - 1}; there are {len(probability)}.")
    expected = probability * counts.sum()
    if counts[expected == 0].any():
        return by_p_value(f"{name}: impossible cell visited", 0.0, cells.size, np.inf, 1.0, 1.0)
    order = np.argsort(expected)
    expected, counts = expected[order], counts[order]
    # Cell boundaries where the running expectation has gathered another MIN_EXPECTED.
    starts, gathered = [0], 0.0
    for i, e in enumerate(expected):
        gathered += e
        if gathered >= MIN_EXPECTED:
            starts.append(i + 1)
            gathered = 0.0
    starts = starts[:-1]  # what is left over joins the last, most probable cell
    if len(starts) < 2:
        raise InvalidInput(f"{name}: {cells.size} draws fill no two cells. Draw more.")
    observed, expected = np.add.reduceat(counts, starts), np.add.reduceat(expected, starts)
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    dof = len(starts) - 1
    p = float(stats.chi2.sf(chi2, dof))
    return by_p_value(f"{name}: chi2/dof", p, cells.size, chi2 / dof, 1.0, (2.0 / dof) ** 0.5)
