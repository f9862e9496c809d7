"""What is measured on n independent configurations of an L x L torus, with errors.

    u = <E>/N,  c = (<E^2> - <E>^2) / (N T^2),  <|m|>,  chi = (<M^2> - <|M|>^2) / (N T),
    U4 = 1 - <m^4> / 3<m^2>^2,  G(r) = <s_i s_{i + r}> along an axis

and <m>, which is 0 by symmetry: a model that learnt one sign only has the right <|m|>. Every one
is a function of means, and its error that of a jackknife over independent draws.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from statmech_ml import Estimate, lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import Ising
from statmech_ml.statistics import jackknife

SCALARS = ("energy", "abs m", "specific heat", "susceptibility", "Binder cumulant")

# Functions of (L, T, means): energies and magnetisations per site.
FORMULAS: dict[str, Callable[..., Any]] = {
    "energy": lambda L, T, u: u,
    "specific heat": lambda L, T, u, u2: L * L * (u2 - u * u) / T**2,
    "m": lambda L, T, m: m,
    "abs m": lambda L, T, m: m,
    "susceptibility": lambda L, T, m, m2: L * L * (m2 - m * m) / T,
    "Binder cumulant": lambda L, T, m2, m4: 1.0 - m4 / (3.0 * m2 * m2),
}


def distances(L: int) -> range:
    """r of G(r): 1 to L/2."""
    return range(1, L // 2 + 1)


def names(L: int) -> list[str]:
    """Of all that is measured: scalars, <m>, then G(r)."""
    return [*SCALARS, "m", *(f"G({r})" for r in distances(L))]


def along_axes(x: np.ndarray) -> np.ndarray:
    """s_i s_{i + r} averaged over sites and both axes, (n, L * L) -> (n, L/2) for r = 1 .. L/2."""
    L = round(x.shape[-1] ** 0.5)
    grid = x.reshape(-1, L, L).astype(np.int16)
    found = np.empty((len(grid), L // 2))
    for r in distances(L):
        both = (grid * (np.roll(grid, r, axis=1) + np.roll(grid, r, axis=2))).sum(axis=(1, 2))
        found[:, r - 1] = both / (2.0 * L * L)
    return found


def measure(x: np.ndarray, temperature: float) -> dict[str, Estimate | None]:
    """Estimates by name from independent configurations x (n, L * L).

    The error is 0 of a quantity that never varies over the samples: that of a collapsed model.
    None stands for one that is then 0 / 0.
    """
    L = round(x.shape[-1] ** 0.5)
    energy = Ising(lattices.square(L, L)).energy(x) / L**2
    m = x.mean(axis=1, dtype=np.float64)
    G = along_axes(x)
    series: dict[str, tuple[np.ndarray, ...]] = {
        "energy": (energy,),
        "specific heat": (energy, energy**2),
        "m": (m,),
        "abs m": (np.abs(m),),
        "susceptibility": (np.abs(m), m**2),
        "Binder cumulant": (m**2, m**4),
    }
    found = {name: _estimate(FORMULAS[name], L, temperature, *series[name]) for name in series}
    for r in distances(L):
        found[f"G({r})"] = _estimate(lambda L, T, g: g, L, temperature, G[:, r - 1])
    return {name: found[name] for name in names(L)}


def _estimate(
    formula: Callable[..., Any], L: int, temperature: float, *series: np.ndarray
) -> Estimate | None:
    """Draws are chains of length one: nothing is correlated, and every draw is a block."""
    try:
        if any(np.ptp(x) > 0.0 for x in series):
            return jackknife(
                lambda *means: formula(L, temperature, *means), *(x[:, None] for x in series)
            )
    except InvalidInput:  # varies, but the quantity does not respond
        pass
    with np.errstate(invalid="ignore"):
        value = float(formula(L, temperature, *(x.mean() for x in series)))
    n = len(series[0])
    return Estimate(value, 0.0, 0.5, n, n) if math.isfinite(value) else None
