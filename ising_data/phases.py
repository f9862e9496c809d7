"""Phase labels, from critical temperatures that are known exactly.

    square        T_c = 2 |J| / log(1 + sqrt 2)       Kramers and Wannier (1941), Onsager (1944)
    triangular    T_c = 4 J / log 3                   Houtappel (1950); 0 for J < 0, Wannier (1950)
    honeycomb     T_c = 2 |J| / log(2 + sqrt 3)       Houtappel (1950)
    chain         T_c = 0                             Ising (1925)

These are properties of the infinite lattice; a finite one rounds the transition over |T - T_c| ~
1/L. An antiferromagnet on a bipartite lattice orders at the same temperature, in the staggered
magnetisation. In a field a ferromagnet has no transition and every temperature counts as
disordered; in other cases without an exact result (cubic, antiferromagnets in a field or on odd
periodic sides) the label is "unknown".

doi:10.1103/PhysRev.60.252, doi:10.1103/PhysRev.65.117, doi:10.1016/0031-8914(50)90130-3,
doi:10.1103/PhysRev.79.357.
"""

import math

import numpy as np

from .spec import Spec

PHASES = {"unknown": -1, "disordered": 0, "ordered": 1, "critical": 2}
"""Codes stored in the array `phase`."""

# T_c = 2.2692 and better approximations are meant as "at T_c"; 2.269 is still told apart.
_AT_CRITICALITY = 1e-5

_FERROMAGNET = {
    "chain": 0.0,
    "square": 2.0 / math.log(1.0 + math.sqrt(2.0)),
    "triangular": 4.0 / math.log(3.0),
    "honeycomb": 2.0 / math.log(2.0 + math.sqrt(3.0)),
}


def is_staggered(spec: Spec) -> bool:
    """Whether the ground state alternates: J < 0 on a lattice of two sublattices."""
    return bool(spec.coupling < 0 and spec.graph().colours.max() == 1)


def critical_temperature(spec: Spec) -> float | None:
    """T_c of the infinite lattice in units of the coupling; 0 without order, None where unknown.

    >>> critical_temperature(Spec("square", 8, 2.0, samples=4, seed=1)).__round__(9)
    2.269185314
    """
    if spec.coupling == 0:
        return 0.0
    if spec.field != 0:
        return 0.0 if spec.coupling > 0 or spec.lattice == "chain" else None
    known = _FERROMAGNET.get(spec.lattice)
    if known is None or spec.coupling > 0 or known == 0.0:
        return None if known is None else known * abs(spec.coupling)
    if spec.lattice == "triangular":
        return 0.0
    return known * abs(spec.coupling) if is_staggered(spec) else None


def phase_codes(spec: Spec) -> np.ndarray:
    """Codes of `PHASES`, int8 (temperature,).

    >>> phase_codes(Spec("square", 8, (2.0, 2.269185, 3.0), samples=4, seed=1)).tolist()
    [1, 2, 0]
    """
    critical = critical_temperature(spec)
    temperatures = np.array(spec.temperatures)
    if critical is None:
        return np.full(len(temperatures), PHASES["unknown"], np.int8)
    codes = np.where(temperatures < critical, PHASES["ordered"], PHASES["disordered"])
    near = np.abs(temperatures - critical) <= _AT_CRITICALITY * critical
    return np.where(near, PHASES["critical"], codes).astype(np.int8)
