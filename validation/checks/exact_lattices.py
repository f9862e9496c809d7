"""Exact log Z of disordered lattices, four algorithms against each other: rows, pairs, planar
graphs, all states.
"""

from functools import cache, partial

import numpy as np

from statmech_ml import lattices
from statmech_ml.exact import enumeration, kaufman, pairwise, planar, torus, transfer_matrix
from statmech_ml.models import Ising
from statmech_ml.spaces import Spins
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity
from validation.frequencies import frequencies

_EQUAL = 1e-12

Size = tuple[int, int]
Boundary = str | tuple[str, str]


def disordered(size: Size, boundary: Boundary, with_field: bool = True, slip: float = 1.0) -> Ising:
    """Normal couplings and fields; `slip` multiplies the last coupling."""
    lattice = lattices.square(*size, boundary)
    g = np.random.default_rng([1618, *size])
    J, h = g.normal(size=lattice.n_bonds), g.normal(0.0, 0.5, lattice.n_sites)
    J[-1] *= slip
    return Ising(lattice, J, h if with_field else 0.0)


# --- transfer matrix ------------------------------------------------------------------------------


def _transfer(
    seed: int, scale: int, *, slip: float = 1.0, boundary: str | None = None
) -> list[Measurement]:
    found = []
    cases: list[tuple[Size, Boundary, float]] = [
        ((3, 4), "periodic", 0.7),
        ((4, 5), "open", 1.3),
        ((5, 3), ("periodic", "open"), 0.9),
        ((2, 6), "periodic", 0.5),
    ]
    for size, closing, beta in cases:
        name = f"{size[0]} x {size[1]} {closing}, beta = {beta}"
        model = disordered(size, closing)
        other = disordered(size, boundary or closing, slip=slip)
        exact = float(enumeration.log_z(model, beta))
        value = transfer_matrix.log_z(other, beta)
        found.append(identity(f"log Z, {name}", value, exact, _EQUAL * abs(exact)))
        n = model.space.size
        exact = n * enumeration.energy_per_site(model, beta)
        value = transfer_matrix.energy(other, beta)
        found.append(identity(f"<E>, {name}", value, exact, _EQUAL * abs(exact)))
        exact = n * enumeration.specific_heat(model, beta) / beta**2
        value = transfer_matrix.energy_variance(other, beta)
        found.append(identity(f"var E, {name}", value, exact, 1e-11 * exact))
    for rows, columns, beta in ((8, 12, 0.3), (7, 10, 0.4406867935097715), (20, 6, 1.0)):
        model = Ising(lattices.square(rows, columns, boundary or "periodic"), coupling=slip)
        exact = float(kaufman.log_z(rows, columns, beta))
        value = transfer_matrix.log_z(model, beta)
        name = f"log Z, {rows} x {columns} torus, beta = {beta:.4g} (Kaufman)"
        found.append(identity(name, value, exact, _EQUAL * exact))
    return found


def _draws(seed: int, scale: int, *, beta_of: float = 1.0, shift: int = 0) -> list[Measurement]:
    """Exact draws: state frequencies of small strips, energy and magnetisation of a larger one."""
    found = []
    for size, boundary, beta in (((3, 3), "open", 0.8), ((3, 4), "periodic", 0.5)):
        model = disordered(size, boundary)
        stream = derive_seed(seed, f"{size} {boundary}")
        x = transfer_matrix.draw(model, beta_of * beta, 20_000 * scale, stream)
        cells = Spins(x.shape[1]).index(np.roll(x, shift, axis=1))
        name = f"states, {size[0]} x {size[1]} {boundary}"
        found.append(frequencies(name, cells, enumeration.distribution(model, beta)))
    model, beta = disordered((10, 8), "open"), 1.0
    x = transfer_matrix.draw(model, beta_of * beta, 4000 * scale, derive_seed(seed, "strip"))
    energy = model.energy(np.roll(x, shift, axis=1))
    exact = transfer_matrix.energy(model, beta)
    found.append(against("<E>, 10 x 8 open", mean(energy[:, None]), exact))
    return found


# --- all pairs ------------------------------------------------------------------------------------


@cache
def _long_range() -> Ising:
    """Sixteen spins, every pair coupled, as in a Boltzmann machine."""
    g = np.random.default_rng(577)
    edges = [(i, j) for i in range(16) for j in range(i)]
    return Ising(lattices.from_edges(edges), g.normal(0, 0.3, len(edges)), g.normal(0, 0.4, 16))


def _pairs(seed: int, scale: int, *, slip: float = 1.0, lose_field: bool = False) -> list:
    found = []
    model = _long_range()
    J = np.array(model.coupling)
    J[-1] *= slip
    used = Ising(model.lattice, J, 0.0 if lose_field else model.field)
    for beta in (0.3, 1.0, 20.0):  # at 20 the weights span 10^500: Gray code
        exact = float(enumeration.log_z(model, beta))
        value = pairwise.log_z(used, beta)
        name = f"log Z, 16 spins all coupled, beta = {beta:g}"
        found.append(identity(name, value, exact, _EQUAL * abs(exact)))
    for size, boundary, beta in (((5, 5), "open", 0.8), ((4, 6), "periodic", 1.2)):
        model = disordered(size, boundary)
        used = disordered(size, boundary, not lose_field, slip)
        exact = float(transfer_matrix.log_z(model, beta))
        value = pairwise.log_z(used, beta)
        name = f"log Z, {size[0]} x {size[1]} {boundary}, beta = {beta} (transfer matrix)"
        found.append(identity(name, value, exact, _EQUAL * exact))
    return found


# --- planar lattices and the torus ----------------------------------------------------------------


def glass(size: Size, boundary: Boundary, slip: float = 1.0) -> Ising:
    """Couplings +1 and -1 at random; `slip` multiplies the last one."""
    lattice = lattices.square(*size, boundary)
    signs = np.random.default_rng([4142, *size]).choice([-1.0, 1.0], lattice.n_bonds)
    signs[-1] *= slip
    return Ising(lattice, coupling=signs)


def _planar(seed: int, scale: int, *, slip: float = 1.0, beta_of: float = 1.0) -> list[Measurement]:
    """Open and cylindrical glasses, from all states and from the transfer matrix."""
    found = []
    for size in ((4, 4), (5, 5)):
        for kind, make in (("normal", partial(disordered, with_field=False)), ("+-J", glass)):
            for beta in (0.3, 1.0, 2.5):
                exact = float(pairwise.log_z(make(size, "open"), beta))
                value = planar.log_z(make(size, "open", slip=slip), beta_of * beta)
                name = f"log Z, {size[0]} x {size[1]} open, {kind}, beta = {beta}"
                found.append(identity(name, value, exact, 1e-10))
    cases: list[tuple[Size, Boundary, float]] = [
        ((40, 6), "open", 1.0),
        ((12, 12), "open", 0.7),
        ((8, 20), ("periodic", "open"), 1.0),
    ]
    for size, boundary, beta in cases:
        exact = float(transfer_matrix.log_z(glass(size, boundary), beta))
        value = planar.log_z(glass(size, boundary, slip=slip), beta_of * beta)
        name = f"log Z, {size[0]} x {size[1]} {boundary}, +-J, beta = {beta}"
        found.append(identity(name, value, exact, 1e-10))
    return found


def _torus(seed: int, scale: int, *, slip: float = 1.0, boundary: str = "periodic") -> list:
    """The four sectors of the torus: Kaufman without disorder, the transfer matrix with it."""
    found = []
    for size in ((16, 16), (12, 20), (7, 9)):
        for T in (1.0, 2.269185314213, 5.0):
            model = Ising(lattices.square(*size, boundary), coupling=slip)
            name = f"log Z, {size[0]} x {size[1]}, T = {T:.4g} (Kaufman)"
            exact = float(kaufman.log_z(*size, 1.0 / T))
            found.append(identity(name, torus.log_z(model, 1.0 / T), exact, 1e-8))
    for size in ((4, 4), (3, 5), (6, 8)):
        for beta in (0.4, 1.0):
            exact = float(transfer_matrix.log_z(glass(size, "periodic"), beta))
            value = torus.log_z(glass(size, boundary, slip), beta)
            name = f"log Z, {size[0]} x {size[1]}, +-J, beta = {beta}"
            found.append(identity(name, value, exact, 1e-10))
    return found


CHECKS = (
    Check(
        "exact.planar",
        "Open and cylindrical lattices with any couplings: Pfaffians equal enumeration and the "
        "transfer matrix (Kasteleyn 1963).",
        _planar,
        (
            Mutant("one coupling 0.1% too large", partial(_planar, slip=1.001)),
            Mutant("beta 0.1% too large", partial(_planar, beta_of=1.001)),
        ),
    ),
    Check(
        "exact.torus",
        "On the torus four Pfaffians with their signs: Kaufman's log Z at T = 1, T_c and 5, and "
        "the transfer matrix for glasses.",
        _torus,
        (Mutant("one coupling 0.1% too large", partial(_torus, slip=1.001)),),
    ),
    Check(
        "exact.transfer-matrix",
        "Strips and tori row by row: log Z, <E> and var E equal the sum over all states under "
        "disorder, and Kaufman's log Z without.",
        _transfer,
        (
            Mutant("one coupling 0.1% too large", partial(_transfer, slip=1.001)),
            Mutant("open boundary", partial(_transfer, boundary="open")),
        ),
    ),
    Check(
        "exact.transfer-matrix-draws",
        "Backward sampling draws exp(-beta E) / Z: state frequencies of disordered strips, <E> "
        "of a larger one.",
        _draws,
        (
            Mutant("beta 5% too large", partial(_draws, beta_of=1.05)),
            Mutant("sites shifted by one", partial(_draws, shift=1)),
        ),
    ),
    Check(
        "exact.pairwise",
        "Any couplings between all pairs: matrix products and Gray code equal enumeration and the "
        "transfer matrix.",
        _pairs,
        (
            Mutant("one coupling 0.1% too large", partial(_pairs, slip=1.001)),
            Mutant("fields lost", partial(_pairs, lose_field=True)),
        ),
    ),
)
