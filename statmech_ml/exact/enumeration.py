"""Exact results by visiting every state of a small discrete model.

    Z(beta) = sum_x exp(-u_beta(x)),    p(x) = exp(-u_beta(x)) / Z,

with u the model's reduced energy: beta E(x), or what a model with summed-out variables says instead
(an RBM's is F_beta(v)). States are numbered by ``space.index``, site 0 the fastest digit.

Domain: spins, bits and levels with at most 2^26 states. Memory is bounded: states stream by in
chunks, and only functions that return one number per state hold them all (at most 2^24).

Two-valued models with the capability `Local` are walked in Gray code, one flip and one energy
difference per state (F. Gray, US patent 2632058, 1953). A sum of 2^26 differences would collect
rounding errors, so a walk covers 2^10 states only and the next one starts from an energy computed
afresh; within a walk the error stays below 2^10 roundings. Walks do not trust the differences:
their sum is compared with the energy itself at every state of the first walk, and at the steps 1,
2, 4, ... and the last one of the others, so a model whose `delta_energy` contradicts its `energy`
is refused instead of summed. All other models are evaluated in batches through
``reduced_energy``.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import (
    Values,
    inverse_temperature,
    like_input,
    one_inverse_temperature,
    whole_number,
)
from statmech_ml.exact._gray_code import chunk, stream
from statmech_ml.spaces import Discrete
from statmech_ml.systems import EnergyModel

MAX_STATES = 2**26
"""Largest number of states that is summed over."""
MAX_TABLE = 2**24
"""Largest number of states for which one number each is returned."""
MAX_LEVELS = 2**20
"""Largest number of distinct energies that a density of states holds."""
Observable = Callable[[np.ndarray], Any]
"""A function of configurations (batch, size), returning (batch,) or (batch, ...)."""


def states(space: Discrete) -> np.ndarray:
    """All configurations of a small discrete space in index order.

    Parameters
    ----------
    space
        Spins, Bits or Levels with at most 2^24 states.

    Returns
    -------
    int8 array (n_states, size).

    Raises
    ------
    InvalidInput
        For continuous spaces and too many states.

    >>> from statmech_ml.spaces import Spins
    >>> states(Spins(2)).tolist()
    [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    """
    _check_space(space, MAX_TABLE)
    return space.from_index(np.arange(space.n_states))


def energies(model: EnergyModel) -> np.ndarray:
    """E(x) of every state in index order, float64 (n_states,); at most 2^24 states.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> energies(Ising(lattices.chain(2, boundary="open"), field=0.5)).tolist()
    [0.0, 1.0, 1.0, -2.0]
    """
    space = _check_space(model.space, MAX_TABLE)
    return np.concatenate([e for _, e in stream(model, space, None)])


def log_z(model: EnergyModel, beta: ArrayLike) -> Values:
    """Logarithm of the partition function, log sum_x exp(-u_beta(x)), in nats.

    Parameters
    ----------
    model
        Any model with a discrete space of at most 2^26 states.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For continuous spaces, too many states, or energies that are NaN or -inf.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(log_z(Ising(lattices.square(4, 4)), beta=0.44), 9)
    15.504726539
    """
    space = _check_space(model.space, MAX_STATES)
    betas = inverse_temperature(beta)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        lowest, log_sum = _normaliser(model, space, float(betas[position]))
        out[position] = log_sum - lowest
    return like_input(out)


def distribution(model: EnergyModel, beta: float) -> np.ndarray:
    """Probability of every state in index order, float64 (n_states,), at most 2^24 states.

    Parameters and errors as in `log_z`, with one beta.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> distribution(Ising(lattices.chain(2, boundary="open")), beta=0.0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    space = _check_space(model.space, MAX_TABLE)
    beta = one_inverse_temperature(beta)
    lowest, log_sum = _normaliser(model, space, beta)
    return np.concatenate([np.exp(lowest - u - log_sum) for _, u in stream(model, space, beta)])


def draw(model: EnergyModel, beta: float, n: int, rng: Any) -> np.ndarray:
    """Independent exact draws from the distribution, (n, size) in the dtype of the space.

    Parameters
    ----------
    model, beta
        As in `distribution`.
    n
        Number of draws.
    rng
        Seed, an int or numpy Generator.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> cold = draw(Ising(lattices.chain(3)), beta=20.0, n=1000, rng=1)
    >>> sorted(set(cold.sum(axis=1).tolist()))
    [-3, 3]
    """
    n = whole_number(n, "n", 1, "draws are counted.")
    generator = np.random.default_rng(_rng.seed_from(rng))
    cumulative = np.cumsum(distribution(model, beta))
    # Scaled by its own end, so that rounding leaves no gap above the last state.
    index = np.searchsorted(cumulative, generator.random(n) * cumulative[-1], side="right")
    return _check_space(model.space, MAX_TABLE).from_index(index)


def mean(model: EnergyModel, beta: float, f: Observable) -> Any:
    """Thermal average <f> = sum_x p(x) f(x).

    Parameters
    ----------
    model, beta
        As in `log_z`, with one beta.
    f
        Function of configurations (batch, size), returning (batch,) or (batch, ...).

    Returns
    -------
    float, or float64 array of the trailing shape of f.

    Raises
    ------
    InvalidInput
        As `log_z`, and when f does not return one entry per configuration.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> free = Ising(lattices.chain(3), coupling=0.0, field=1.0)
    >>> round(mean(free, 0.5, lambda s: s[:, 0]), 9)  # tanh(0.5)
    0.462117157
    """
    space = _check_space(model.space, MAX_STATES)

    def values(first: int, u: np.ndarray) -> np.ndarray:
        return _observe(f, space, first, len(u))

    result = _average(model, space, one_inverse_temperature(beta), values)
    return float(result) if np.ndim(result) == 0 else result


def moments(model: EnergyModel, beta: float, f: Observable, order: int = 4) -> np.ndarray:
    """The moments <f>, <f^2>, ..., <f^order>, float64 (order, ...).

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> ring = Ising(lattices.chain(4))
    >>> moments(ring, 0.0, lambda s: s.sum(axis=1), order=4).round(9).tolist()
    [0.0, 4.0, 0.0, 40.0]
    """
    order = whole_number(order, "order", 1, "the first moment is the mean.")

    def powers(x: np.ndarray) -> np.ndarray:
        value = np.asarray(f(x), np.float64)
        return np.stack([value**k for k in range(1, order + 1)], axis=1)

    return np.asarray(mean(model, beta, powers))


def energy_per_site(model: EnergyModel, beta: float) -> float:
    """Mean energy per site, <E> / N; E is ``model.energy`` (an RBM's is F_1(v)).

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(energy_per_site(Ising(lattices.square(4, 4)), beta=0.4406867935097715), 10)
    -1.5656237876
    """
    space, beta = _check_space(model.space, MAX_STATES), one_inverse_temperature(beta)
    return float(_average(model, space, beta, _energy_of(model, space))) / space.size


def specific_heat(model: EnergyModel, beta: float) -> float:
    """Specific heat per site, beta^2 (<E^2> - <E>^2) / N, in units of k_B.

    The variance is summed about the mean, so it keeps its digits when nearly all weight is on one
    level.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(specific_heat(Ising(lattices.square(4, 4)), beta=0.4406867935097715), 7)
    0.7832668
    """
    space, beta = _check_space(model.space, MAX_STATES), one_inverse_temperature(beta)
    energy_of = _energy_of(model, space)
    centre = float(_average(model, space, beta, energy_of))

    def squares(first: int, u: np.ndarray) -> np.ndarray:
        return (energy_of(first, u) - centre) ** 2

    return beta**2 * float(_average(model, space, beta, squares)) / space.size


def entropy(model: EnergyModel, beta: float) -> float:
    """Entropy of the distribution over states, S = -sum_x p log p = log Z + <u>, total, in nats.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(entropy(Ising(lattices.square(4, 4)), beta=0.4406867935097715) / 16, 9)
    0.280169989
    """
    space, beta = _check_space(model.space, MAX_STATES), one_inverse_temperature(beta)
    lowest, log_sum = _normaliser(model, space, beta)
    # The lowest reduced energy cancels between log Z and <u>, so it is never added.
    return log_sum + float(_average(model, space, beta, lambda first, u: u - lowest))


def density_of_states(model: EnergyModel, tolerance: float = 1e-9) -> tuple[np.ndarray, np.ndarray]:
    """The distinct energies of a model and how many states have each.

    Parameters
    ----------
    model
        Any model with a discrete space of at most 2^26 states.
    tolerance
        Energies closer than this times the largest |E| (or times 1, if that is smaller) are one
        level: sums of equal couplings in different order differ by rounding.

    Returns
    -------
    energies : float64 (level,), increasing
    counts : int64 (level,)

    Raises
    ------
    InvalidInput
        As `log_z`, and for more than 2^20 levels (random couplings give every state its own).

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> levels, counts = density_of_states(Ising(lattices.square(4, 4)))
    >>> counts[:4].tolist()
    [2, 32, 64, 424]
    """
    pairs, counts = _histogram(model, None)
    levels, place = _levels(pairs.real, tolerance)
    total = np.zeros(len(levels), np.int64)
    np.add.at(total, place, counts)
    return levels, total


def joint_density_of_states(
    model: EnergyModel, f: Observable, tolerance: float = 1e-9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many states have each pair of energy and observable, such as the magnetisation.

    Parameters
    ----------
    model, tolerance
        As in `density_of_states`.
    f
        Function of configurations (batch, size), returning (batch,).

    Returns
    -------
    energies : float64 (level,), increasing
    values : float64 (value,), increasing
    counts : int64 (level, value)

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> ring = Ising(lattices.chain(4))
    >>> joint_density_of_states(ring, lambda s: s.sum(axis=1))[2].tolist()
    [[1, 0, 0, 0, 1], [0, 4, 4, 4, 0], [0, 0, 2, 0, 0]]
    """
    pairs, counts = _histogram(model, f)
    levels, row = _levels(pairs.real, tolerance)
    values, column = _levels(pairs.imag, tolerance)
    table = np.zeros((len(levels), len(values)), np.int64)
    np.add.at(table, (row, column), counts)
    return levels, values, table


# --- sums over all states -------------------------------------------------------------------------


def _normaliser(model: Any, space: Discrete, beta: float) -> tuple[float, float]:
    """The lowest reduced energy u_0, and log sum_x exp(u_0 - u(x))."""
    lowest, total = math.inf, 0.0
    for _, u in stream(model, space, beta):
        least = float(u.min())
        if math.isnan(least) or least == -math.inf:
            raise InvalidInput(
                f"{model!r} has states of reduced energy {least} at beta={beta:g}, which have no "
                "Boltzmann weight. Energies must be numbers; a forbidden state has energy +inf."
            )
        if least < lowest:
            total *= math.exp(least - lowest)
            lowest = least
        if lowest < math.inf:
            total += float(np.exp(lowest - u).sum())
    if lowest == math.inf:
        raise InvalidInput(
            f"Every state of {model!r} has infinite energy: Z = 0, and no state to draw."
        )
    return lowest, math.log(total)


def _average(
    model: Any, space: Discrete, beta: float, g: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """sum_x p(x) g(x); g gets the index of a chunk's first state and its reduced energies."""
    lowest, log_sum = _normaliser(model, space, beta)
    total: Any = 0.0
    for first, u in stream(model, space, beta):
        p, values = np.exp(lowest - u - log_sum), g(first, u)
        allowed = p > 0.0  # an infinite energy times no weight is nothing
        total = total + np.tensordot(p[allowed], values[allowed], axes=1)
    return np.asarray(total)


def _histogram(model: Any, f: Observable | None) -> tuple[np.ndarray, np.ndarray]:
    """Distinct pairs energy + i f, and their counts."""
    space = _check_space(model.space, MAX_STATES)
    pairs, counts = np.empty(0, np.complex128), np.empty(0, np.int64)
    for first, e in stream(model, space, None):
        here = np.zeros(len(e), np.complex128)
        here.real = e
        if f is not None:
            values = _observe(f, space, first, len(e))
            if values.ndim != 1:
                raise InvalidInput(
                    f"f returned shape {values.shape} for {len(e)} configurations; a histogram "
                    f"needs one number each, ({len(e)},)."
                )
            here.imag = values
        if np.isnan(here).any():
            raise InvalidInput(f"{model!r} has states whose energy or observable is NaN.")
        new, new_counts = np.unique(here, return_counts=True)
        pairs, place = np.unique(np.concatenate([pairs, new]), return_inverse=True)
        total = np.zeros(len(pairs), np.int64)
        np.add.at(total, place, np.concatenate([counts, new_counts]))
        counts = total
        if len(pairs) > MAX_LEVELS:
            raise InvalidInput(
                f"{model!r} has more than {MAX_LEVELS} distinct levels: nearly every state has "
                "its own, and counting them tells nothing. Use mean, moments or distribution."
            )
    return pairs, counts


def _levels(values: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values up to rounding, and for each given value which one it is."""
    if not tolerance >= 0.0:
        raise InvalidInput(f"tolerance={tolerance!r} must be a number >= 0.")
    exact, place = np.unique(values, return_inverse=True)
    finite = exact[np.isfinite(exact)]
    scale = max(1.0, float(np.abs(finite).max())) if len(finite) else 1.0
    is_new = np.append(True, np.diff(exact) > tolerance * scale)
    return exact[is_new], (np.cumsum(is_new) - 1)[place]


def _energy_of(model: Any, space: Discrete) -> Callable[[int, np.ndarray], np.ndarray]:
    return lambda first, u: chunk(model, space, first, len(u), None)


def _observe(f: Observable, space: Discrete, first: int, n: int) -> np.ndarray:
    values = np.asarray(f(space.from_index(np.arange(first, first + n))), np.float64)
    if values.ndim == 0 or len(values) != n:
        raise InvalidInput(
            f"f returned shape {values.shape} for {n} configurations; it must return one entry "
            f"each, ({n},) or ({n}, ...)."
        )
    return values


def _check_space(space: Any, limit: int) -> Discrete:
    if not isinstance(space, Discrete):
        raise InvalidInput(
            f"Enumeration visits every state, but {space!r} is continuous. Use exact.quadrature "
            "for one-dimensional densities, or partition.ais with a Geometric path."
        )
    if space.n_states > limit:
        raise InvalidInput(
            f"{space!r} has {space.n_values}^{space.size} states, more than the "
            f"2^{limit.bit_length() - 1} that are enumerated here. Take a smaller system, a "
            "closed form (exact.kaufman, exact.ring), exact.rbm for RBMs with one small layer, "
            "or estimate: partition.ais."
        )
    return space


__all__ = [
    "density_of_states",
    "distribution",
    "draw",
    "energies",
    "energy_per_site",
    "entropy",
    "joint_density_of_states",
    "log_z",
    "mean",
    "moments",
    "specific_heat",
    "states",
]
