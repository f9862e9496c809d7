"""The Ising model on strips of the square lattice, row by row: the transfer matrix.

    psi_{r+1}(s') = exp(-beta E_row(s')) sum_s exp(beta sum_c J_c s_c s'_c) psi_r(s),
    Z = sum_s psi_L(s).

The sum over a row is taken spin by spin, 2^(width) numbers at a time, so a strip costs length x
width x 2^width and not 4^width a row. Any couplings and fields, of either sign. Along the length
the strip is open, with a width of up to 16 (periodic or open across, as the lattice says), or
periodic, with a width of up to 10: then psi is carried for each state of the first row, at 2^width
times the cost. Of the two ways to lay the lattice down the cheaper legal one is taken.

All terms are positive, nothing cancels; psi is scaled back to 1 in each row. What falls below the
smallest double cannot return to matter as long as beta sum_c |J_c| between two rows stays below
330, which is asked for. Mean and variance of the energy are carried along with the weights, not
differenced. Samples are drawn backwards from the last row, each spin from its exact conditional
probability: they are independent.

Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252. Spin by spin: Binder,
Physica 62, 508 (1972); Morgenstern and Binder (1980), doi:10.1103/PhysRevB.22.288.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import Values, inverse_temperature, like_input, whole_number
from statmech_ml.exact._strip import Strip, strip
from statmech_ml.exact._transfer import (
    backtrack,
    dress,
    exchange,
    exchange_moments,
    exchange_row,
    factors,
    first_rows,
    row_energies,
    start,
    sum_rows,
)

Array = NDArray[np.float64]

MAX_WIDTH = 16
"""Largest width of a strip that is open along its length."""
MAX_CLOSED_WIDTH = 10
"""Largest width of a strip that is periodic along its length."""

_MAX_EXPONENT = 330.0  # 2 x 330 and the 37 that a double resolves stay below 708
_MAX_NUMBERS = 2**27  # of psi held at a time: 1 GiB


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of the whole lattice, log Z, in nats.

    Parameters
    ----------
    model
        An Ising model on lattices.square, any couplings and fields: anything with a `lattice`,
        `coupling` (number or per bond), `field` (number or per site) and a space of spins.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For other lattices and models, strips too wide, couplings or beta that are not finite, and
        temperatures so low that weights would underflow.

    References
    ----------
    Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.

    Examples
    --------
    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(log_z(Ising(lattices.square(4, 4)), beta=0.44), 9)
    15.504726539
    """
    layout, betas = _layout(model, beta)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        psi, log_scale = sum_rows(layout, float(betas[position]))
        out[position] = _log_sum(psi, log_scale)
    return like_input(out)


def energy(model: Any, beta: ArrayLike) -> Values:
    """Mean total energy <E>, in the units of the coupling.

    Parameters and errors as in `log_z`.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(energy(Ising(lattices.square(4, 4)), beta=0.4406867935097715) / 16, 10)
    -1.5656237876
    """
    return like_input(_energy_moments(model, beta)[0])


def energy_variance(model: Any, beta: ArrayLike) -> Values:
    """Variance of the total energy, <E^2> - <E>^2; beta^2 of it over N is the specific heat.

    A sum of positive terms, so it keeps its digits where it is small. Parameters and errors as in
    `log_z`.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> K = 0.4406867935097715
    >>> round(K**2 * energy_variance(Ising(lattices.square(4, 4)), beta=K) / 16, 7)
    0.7832668
    """
    return like_input(_energy_moments(model, beta)[1])


def magnetization_distribution(model: Any, beta: float) -> tuple[NDArray[np.int64], Array]:
    """The values of the total magnetisation M = sum_i s_i and their probabilities.

    Moments, <|M|> and the Binder cumulant follow. Each probability is a sum of positive terms.
    Costs n_sites times what `log_z` does.

    Parameters
    ----------
    model, beta
        As in `log_z`, with one beta.

    Returns
    -------
    values : int64 (n_sites + 1,), -n_sites to n_sites in steps of two
    probabilities : float64 (n_sites + 1,)

    Raises
    ------
    InvalidInput
        As `log_z`, and where (n_sites + 1) 2^width numbers are more than 2^27.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> M, p = magnetization_distribution(Ising(lattices.square(4, 4)), beta=0.0)
    >>> round(float(p @ M**2), 9)
    16.0
    """
    layout, betas = _layout(model, _one(beta))
    levels = layout.field.size + 1
    states = 2**layout.width
    if levels * states > _MAX_NUMBERS:
        raise InvalidInput(
            f"The magnetisation of the {layout} needs {levels} x 2^{layout.width} numbers, more "
            f"than the {_MAX_NUMBERS} that are held here. Take a shorter strip, or draw samples."
        )
    parts: list[tuple[float, Array]] = []
    at_a_time = max(1, _MAX_NUMBERS // 8 // (levels * states))
    for first in first_rows(layout, at_a_time):
        psi, log_scale = sum_rows(layout, float(betas), first, levels)
        parts += zip(log_scale.tolist(), psi.sum(axis=2), strict=True)
    top = max(log_scale for log_scale, _ in parts)
    total = np.sum([math.exp(log_scale - top) * by_level for log_scale, by_level in parts], axis=0)
    return 2 * np.arange(levels) - (levels - 1), total / total.sum()


def draw(model: Any, beta: float, n: int, rng: Any) -> NDArray[np.int8]:
    """Independent exact samples of the Boltzmann distribution, by backward sampling.

    Parameters
    ----------
    model, beta
        As in `log_z`, with one beta.
    n
        Number of samples.
    rng
        Seed, an int or numpy Generator.

    Returns
    -------
    int8 (n, n_sites), spins in {-1, +1} in the site order of the lattice.

    Raises
    ------
    InvalidInput
        As `log_z`, for n < 1 and a missing seed, and where length x 2^width is more than 2^27.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> cold = draw(Ising(lattices.square(6, 4)), beta=5.0, n=1000, rng=1)
    >>> sorted(set(cold.sum(axis=1).tolist()))
    [-24, 24]
    """
    n = whole_number(n, "n", 1, "draws are counted.")
    layout, betas = _layout(model, _one(beta))
    generator = np.random.default_rng(_rng.seed_from(rng))
    if layout.length * 2**layout.width > _MAX_NUMBERS:
        raise InvalidInput(
            f"Backward sampling of the {layout} holds {layout.length} x 2^{layout.width} weights, "
            f"more than the {_MAX_NUMBERS} allowed. Take a shorter or a narrower strip."
        )
    spins = np.empty((n, layout.length, layout.width), np.int8)
    if layout.closed:
        weights = _closed_weights(*sum_rows(layout, float(betas)))
        first = _choose(weights, generator.random(n))
        for a in np.unique(first):
            mine = np.flatnonzero(first == a)
            spins[mine] = _backwards(layout, float(betas), int(a), len(mine), generator)
    else:
        spins[:] = _backwards(layout, float(betas), None, n, generator)
    if layout.turned:
        spins = spins.transpose(0, 2, 1)
    return np.ascontiguousarray(spins).reshape(n, -1)


# --- layout and sums -----------------------------------------------------------------------------


def _layout(model: Any, beta: ArrayLike) -> tuple[Strip, Array]:
    """The cheaper legal way to lay the strip, and beta; all refusals are here."""
    instead = "For other graphs: exact.enumeration if small, else estimate with partition.ais."
    given = strip(model, instead)
    betas = inverse_temperature(beta)
    legal = [
        s for s in (given, given.turn()) if s.width <= (MAX_CLOSED_WIDTH if s.closed else MAX_WIDTH)
    ]
    if not legal:
        raise InvalidInput(
            f"The {given} is too wide: a strip is at most {MAX_WIDTH} wide if it is open along its "
            f"length and {MAX_CLOSED_WIDTH} if periodic. Without a field exact.planar (open) and "
            "exact.torus take large lattices; else estimate, partition.ais."
        )
    layout = min(legal, key=_cost)
    along = np.abs(layout.along).sum(axis=1).max()
    hottest = float(betas.max(initial=0.0))
    total = hottest * sum(float(np.abs(m).sum()) for m in layout[:3])
    if not (hottest * along <= _MAX_EXPONENT and total < 1e300):
        raise InvalidInput(
            f"At beta={hottest:g} the {layout} has beta sum |J| = {hottest * along:.4g} between "
            f"two rows of {layout.width}; beyond {_MAX_EXPONENT:g} weights underflow. Take beta "
            f"<= {_MAX_EXPONENT / along:.4g}; without a field exact.planar goes lower in T."
        )
    return layout, betas


def _cost(layout: Strip) -> int:
    frontier = 2 * layout.width if layout.closed else layout.width
    return layout.length * layout.width * 2**frontier


def _one(beta: Any) -> Array:
    value = inverse_temperature(beta)
    if value.ndim:
        raise InvalidInput(f"beta has shape {value.shape}; one number is needed here.")
    return value


def _closed_weights(psi: Array, log_scale: Array) -> Array:
    """Weight of each first row, its own state behind the last row, over the largest."""
    with np.errstate(divide="ignore"):
        log_p = np.log(psi[:, 0].diagonal()) + log_scale
    return np.exp(log_p - log_p.max())


def _log_sum(psi: Array, log_scale: Array) -> float:
    with np.errstate(divide="ignore"):
        terms = np.log(psi.sum(axis=(1, 2))) + log_scale
    top = terms.max()
    return float(top + np.log(np.exp(terms - top).sum()))


def _energy_moments(model: Any, beta: ArrayLike) -> tuple[Array, Array]:
    """Mean and variance of the energy, each of the shape of beta."""
    layout, betas = _layout(model, beta)
    out = np.empty((2, *betas.shape))
    for position in np.ndindex(*betas.shape):
        out[(slice(None), *position)] = _moments(layout, float(betas[position]))
    return out[0], out[1]


def _moments(layout: Strip, beta: float) -> tuple[float, float]:
    first = np.arange(2**layout.width) if layout.closed else None
    psi = start(layout, first, 1)
    mean, variance = np.zeros_like(psi), np.zeros_like(psi)
    log_scale = np.zeros(len(psi))
    energies = np.empty(psi.shape[2])

    def exchange_all(couplings: Array) -> None:
        for c, J in enumerate(couplings.tolist()):
            like, unlike = factors(beta * J)
            exchange_moments(psi[:, 0], mean[:, 0], variance[:, 0], c, like, unlike, J)
        # The log scale of the exchange is that of all first rows: averages do not see it.

    for r in range(layout.length):
        if r:
            exchange_all(layout.along[r - 1])
        row_energies(energies, layout.across[r], layout.field[r])
        dress(psi, log_scale, energies, beta)
        mean += energies
    if first is None:
        p, m, v = psi[0, 0], mean[0, 0], variance[0, 0]
    else:
        exchange_all(layout.along[-1])
        p = _closed_weights(psi, log_scale)
        m, v = mean[:, 0].diagonal(), variance[:, 0].diagonal()
    p = p / p.sum()
    average = float(p @ m)
    return average, float(p @ (v + (m - average) ** 2))


# --- samples --------------------------------------------------------------------------------------


def _choose(weights: Array, uniforms: Array) -> NDArray[np.int64]:
    """Indices drawn with probabilities proportional to `weights`."""
    cumulative = np.cumsum(weights)
    return np.searchsorted(cumulative, uniforms * cumulative[-1], side="right")


def _backwards(
    layout: Strip, beta: float, first: int | None, n: int, generator: np.random.Generator
) -> NDArray[np.int8]:
    """Samples int8 (n, length, width), given the first row on a closed strip."""
    psi = start(layout, None if first is None else np.array([first]), 1)
    log_scale, energies = np.zeros(1), np.empty(psi.shape[2])
    rows = np.empty((layout.length, psi.shape[2]))
    for r in range(layout.length):
        if r:
            exchange_row(psi, log_scale, beta * layout.along[r - 1])
        row_energies(energies, layout.across[r], layout.field[r])
        dress(psi, log_scale, energies, beta)
        rows[r] = psi[0, 0]
    spins = np.empty((n, layout.length, layout.width), np.int8)
    columns = np.arange(layout.width)
    if first is None:
        index = _choose(rows[-1], generator.random(n))
    else:
        index = _undo(rows[-1], np.full(n, first), beta * layout.along[-1], generator)
    for r in range(layout.length - 1, -1, -1):
        spins[:, r] = 2 * ((index[:, None] >> columns) & 1) - 1
        if r:
            index = _undo(rows[r - 1], index, beta * layout.along[r - 1], generator)
    return spins


def _undo(
    psi: Array, after: NDArray[np.int64], K: Array, generator: np.random.Generator
) -> NDArray[np.int64]:
    """States of a row drawn given those of the row after it."""
    before = np.empty((len(K), len(psi)))
    for c, each in enumerate(K.tolist()):
        before[c] = psi
        psi = psi.copy()
        exchange(psi[None], c, *factors(each))
    index = after.astype(np.int64)
    backtrack(before, index, K, generator.random((len(K), len(index))))
    return index


__all__ = ["draw", "energy", "energy_variance", "log_z", "magnetization_distribution"]
