"""Stripes: configurations cut in two by domain walls that wind around the torus.

Quenched from a random start to below T_c, about a third of square lattices freeze into two stripes
that local updates cannot remove in any reasonable time; energies look equilibrated and are not. In
equilibrium such states cost two walls, a factor exp(-2 sigma L / T) that is negligible except just
below T_c.

A configuration counts as striped when up spins *and* down spins each have a nearest-neighbour
cluster that winds around the torus. Thermal noise inside the domains does not matter to that.

V. Spirin, P. L. Krapivsky, S. Redner, Phys. Rev. E 65, 016119 (2001),
doi:10.1103/PhysRevE.65.016119.
"""

import numpy as np
from scipy import ndimage

_BATCH = 4_000_000  # cells labelled at a time


def striped(spins: np.ndarray, diagonal: bool = False) -> np.ndarray:
    """Which configurations are striped.

    Parameters
    ----------
    spins : int8 (..., rows, columns)
        On a torus, each in {-1, +1}.
    diagonal : bool
        Whether (1, -1) is a bond too, as on the triangular lattice.

    Returns
    -------
    bool (...)

    >>> bands = np.repeat([1, 1, -1, -1], 4).reshape(4, 4)
    >>> striped(np.stack([bands, bands.T, np.ones((4, 4), int)])).tolist()
    [True, True, False]
    """
    rows, columns = spins.shape[-2:]
    flat = spins.reshape(-1, rows, columns)
    bonds = np.array([[0, 1, diagonal], [1, 1, 1], [diagonal, 1, 0]], dtype=bool)
    step = max(1, _BATCH // (4 * rows * columns))
    found = [
        _winds(flat[i : i + step] > 0, bonds) & _winds(flat[i : i + step] < 0, bonds)
        for i in range(0, len(flat), step)
    ]
    return np.concatenate(found).reshape(spins.shape[:-2])


def _winds(occupied: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Whether a cluster reaches its own periodic image, bool (batch,): seen on 2 x 2 copies."""
    _, rows, columns = occupied.shape
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1] = bonds  # configurations of the batch stay apart
    label, _ = ndimage.label(np.tile(occupied, (1, 2, 2)), structure)
    here, right = label[:, :rows, :columns], label[:, :rows, columns:]
    below, across = label[:, rows:, :columns], label[:, rows:, columns:]
    images = [(here, right), (here, below), (here, across), (right, below)]
    winds = [((a == b) & (a > 0)).any(axis=(1, 2)) for a, b in images]
    return np.logical_or.reduce(winds)
