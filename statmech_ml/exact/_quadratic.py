"""Sums over two-valued units of any pairwise energy, by `pairwise` in spins.

    log Z = log sum_x exp(c.x + x.K.x / 2),    x_i in {0, 1} or {-1, +1} unit by unit.

With x = o + w s, s in {-1, +1}, where a bit has o = w = 1/2 and a spin o = 0, w = 1, the couplings
of s are w K w, its fields w (c + K o), and what is left is a constant. A layer of normal units that
was integrated out leaves such a sum: of fields f it gives exp(f.f / 2).
"""

import numpy as np

from statmech_ml.exact import pairwise

MAX_UNITS = pairwise.MAX_SPINS
"""Largest number of units that are summed over."""


def log_z(c: np.ndarray, K: np.ndarray, spins: np.ndarray) -> float:
    """log Z; c (n,), K (n, n) with any diagonal, beta multiplied in; spins bool (n,), else bits."""
    w, o = np.where(spins, 1.0, 0.5), np.where(spins, 0.0, 0.5)
    field = w * (c + K @ o)
    couplings = w[:, None] * (0.5 * (K + K.T)) * w
    constant = c @ o + 0.5 * (o @ K @ o) + 0.5 * couplings.diagonal().sum()  # s_i^2 = 1
    np.fill_diagonal(couplings, 0.0)
    return float(constant) + pairwise.log_z_from_couplings(couplings, field)
