"""Exact spin-spin correlations of the Ising model on a small square torus.

With V the transfer matrix between neighbouring rows, symmetric, 2^w x 2^w for rows of w sites, and
S_c the diagonal matrix of the spin in column c,

    G(r, c) = <s_00 s_rc> = Tr(V^(L - r) S_0 V^r S_c) / Tr V^L.

In the eigenbasis of V every power is a diagonal one. Domain: rows of at most 10 sites (the shorter
side is taken for them), any number of rows, one coupling and one field, finite beta >= 0. On a side
of length 2 the two bonds between a pair of sites both count. Cost: w + 1 products of 2^w x 2^w
matrices, a second or two for w = 10. H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941),
doi:10.1103/PhysRev.60.252.
"""

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number, one_inverse_temperature, whole_number
from statmech_ml.exact._square import Array

MAX_WIDTH = 10
"""Largest shorter side."""


def spin_spin(Lx: int, Ly: int, beta: float, coupling: float = 1.0, field: float = 0.0) -> Array:
    """<s_00 s_xy> for every displacement (x, y), not connected, float64 (Lx, Ly).

    Parameters
    ----------
    Lx, Ly
        Sides of the torus, >= 2, the shorter at most 10.
    beta
        Inverse temperature, finite and >= 0.
    coupling, field
        J and h.

    Raises
    ------
    InvalidInput
        For arguments outside these domains.

    >>> G = spin_spin(4, 4, beta=0.4406867935097715)
    >>> round(float(-2 * G[0, 1]), 10)  # the energy per site
    -1.5656237876
    """
    why = "a torus has at least two sites along each side."
    Lx, Ly = whole_number(Lx, "Lx", 2, why), whole_number(Ly, "Ly", 2, why)
    if min(Lx, Ly) > MAX_WIDTH:
        raise InvalidInput(
            f"A {Lx} x {Ly} torus has rows of {min(Lx, Ly)} sites; transfer matrices are for rows "
            f"of at most {MAX_WIDTH}. Sample it: Wolff and chain.states."
        )
    K = one_inverse_temperature(beta) * finite_number(coupling, "coupling")
    H = one_inverse_temperature(beta) * finite_number(field, "field")
    if Ly > Lx:
        return np.ascontiguousarray(spin_spin(Ly, Lx, beta, coupling, field).T)
    spins = 2.0 * ((np.arange(2**Ly)[:, None] >> np.arange(Ly)) & 1) - 1.0
    within = K * (spins * np.roll(spins, -1, axis=1)).sum(axis=1) + H * spins.sum(axis=1)
    exponent = K * (spins @ spins.T) + 0.5 * (within[:, None] + within)
    values, basis = np.linalg.eigh(np.exp(exponent - exponent.max()))
    values /= np.abs(values).max()
    first = basis.T @ (spins[:, :1] * basis)
    rows = np.arange(Lx)[:, None]
    behind, ahead = values ** (Lx - rows), values**rows
    out = np.empty((Lx, Ly))
    for column in range(Ly):
        both = first * (basis.T @ (spins[:, column, None] * basis))
        out[:, column] = np.einsum("rm,mn,rn->r", behind, both, ahead, optimize=True)
    return out / (values**Lx).sum()


__all__ = ["MAX_WIDTH", "spin_spin"]
