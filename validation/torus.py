"""Moments of the magnetisation of small Ising tori, which Kaufman's solution does not know: from
the transfer matrix.
"""

import functools

import numpy as np

from statmech_ml import lattices
from statmech_ml.exact import transfer_matrix
from statmech_ml.models import Ising


@functools.cache
def magnetization_distribution(
    rows: int, columns: int, beta: float, coupling: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The values of M, int64 (N + 1,), and their probabilities; the smaller side at most 10."""
    model = Ising(lattices.square(rows, columns), coupling=coupling)
    return transfer_matrix.magnetization_distribution(model, beta)


def abs_magnetization(rows: int, columns: int, beta: float) -> float:
    """<|M|> / N."""
    M, p = magnetization_distribution(rows, columns, beta)
    return float(p @ np.abs(M)) / (rows * columns)


def binder(rows: int, columns: int, beta: float) -> float:
    """U4 = 1 - <M^4> / (3 <M^2>^2)."""
    M, p = magnetization_distribution(rows, columns, beta)
    return float(1.0 - (p @ M**4) / (3.0 * (p @ M**2) ** 2))
