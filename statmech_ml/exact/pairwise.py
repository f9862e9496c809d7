"""Exact log Z of n Ising spins with any pairwise couplings and fields, by matrix products.

    log Z = log sum_s exp(sum_{i<j} K_ij s_i s_j + sum_i H_i s_i),    K = beta J,  H = beta h.

The spins are dealt to three groups a, b, c. No term joins all three, so the sum over c is a product
of two matrices, and nearly all of the work is done by the BLAS:

    Z = sum_ab e^{E(a, b)} [X Y^T]_ab,    X_ac = e^{E(a, c) + E(c)},    Y_bc = e^{E(b, c)}.

Each row of X and Y is divided by its largest entry, and these go to E(a, b) in the log domain. What
then underflows is smaller than e^-708 times the largest of the bounds E(a, b); if that could matter
at the sixteenth digit (spins of the third group pulled by more than about 25 k_B T each), the sum
is repeated with fewer spins in the third group, and at last in Gray code (F. Gray, US patent
2632058, 1953): the outer spins are flipped one at a time, which adds a vector to the log weights of
all states of the inner ones.

Domain: any finite couplings, up to 44 spins; up to 36 where the Gray code is needed. Without a
field one spin is held up and counted twice, so that 2^(n-1) states remain. Cost: a multiplication
and an addition per state, double precision; n = 38 takes ten seconds on two cores of 2023. The
number of threads is that of the BLAS (OPENBLAS_NUM_THREADS). Memory: 100 MB for any n. Relative
accuracy 1e-13 of the largest |E| / k_B T in the sum.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import Values, inverse_temperature, like_input, real_array
from statmech_ml.exact._interactions import interactions
from statmech_ml.spaces import Spins

MAX_SPINS = 44
"""Largest number of spins that is summed over."""
MAX_GRAY_SPINS = 36
"""Largest number of spins where the weights are too uneven for matrix products."""

_ROWS = 10  # at most 2^10 rows of X and of Y at a time
_THIRD_GROUP = (12, 6, 3)  # spins in it: fewer are slower, and lose less to underflow
_INNER = 14  # 2^14 log weights, 128 KiB, stay in the cache
_WALK = 2**10  # steps in Gray code between log weights computed afresh
_UNDERFLOW = 708.0  # e^-708 is the smallest normal number
_NEGLIGIBLE = 37.0  # e^-37 = 2^-53.4


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of an Ising model on any graph, log Z, in nats.

    Parameters
    ----------
    model
        An `Ising` model of at most 44 spins, on any lattice or graph; the number of bonds does not
        matter.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For other models, beta that is negative or not finite, and too many spins.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(log_z(Ising(lattices.square(4, 4)), beta=0.44), 9)
    15.504726539
    """
    found = interactions(model, "pairwise.log_z")
    if not isinstance(model.space, Spins):
        raise InvalidInput(
            f"pairwise.log_z sums over two values a site, but {model!r} has "
            f"{model.space.n_values}. Use exact.tree, exact.chains or exact.enumeration."
        )
    betas = inverse_temperature(beta)
    n = model.space.size
    _check_size(n)
    couplings = np.zeros((n, n))
    i, j = found.bonds.T
    np.add.at(couplings, (i, j), found.couplings)  # a side of length 2 has two bonds a pair
    couplings += couplings.T
    field = -found.sites[:, 1]
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        with np.errstate(over="ignore"):  # refused with a word
            K, H = betas[position] * couplings, betas[position] * field
        out[position] = log_z_from_couplings(K, H)
    return like_input(out)


def log_z_from_couplings(couplings: ArrayLike, field: ArrayLike = 0.0) -> float:
    """log sum_s exp(s.K.s / 2 + H.s) over s in {-1, +1}^n, from plain arrays, in nats.

    Parameters
    ----------
    couplings
        K = beta J, dimensionless, (n, n), symmetric with a zero diagonal.
    field
        H = beta h, a number or (n,).

    Returns
    -------
    float

    Raises
    ------
    InvalidInput
        For other shapes, values that are not finite, a matrix that is not symmetric or has a
        diagonal, and too many spins.

    >>> round(log_z_from_couplings([[0.0, 1.0], [1.0, 0.0]]), 12)  # log(4 cosh 1)
    1.820075191603
    """
    K, H = real_array(couplings, "couplings"), real_array(field, "field")
    n = len(K) if K.ndim else 0
    if K.shape != (n, n) or n == 0 or H.shape not in ((), (n,)):
        raise InvalidInput(
            f"couplings has shape {K.shape} and field {H.shape}; a square matrix (n, n) and one "
            "field per spin (n,), or one for all, are needed."
        )
    with np.errstate(over="ignore"):
        if not np.abs(K).sum() + np.abs(H).sum() < np.inf:
            raise InvalidInput(
                "couplings or field (times beta) hold NaN or infinite values, or add up to one."
            )
    if not np.array_equal(K, K.T) or np.diagonal(K).any():
        raise InvalidInput(
            "couplings must be symmetric with a zero diagonal: K_ij is the coupling of the pair "
            "i, j, which is counted once. Give (K + K.T) for a triangular K; s_i^2 = 1, so a "
            "diagonal only adds half its trace to log Z."
        )
    _check_size(n)
    H = np.array(np.broadcast_to(H, n))
    twice = 0.0
    if not H.any():  # s and -s weigh the same: the last spin is held up
        K, H, twice = K[:-1, :-1], K[:-1, -1], math.log(2.0)
    order = np.argsort(np.abs(K).sum(axis=1), kind="stable")  # the weakest go to the third group
    K, H = K[np.ix_(order, order)], H[order]
    for third in _THIRD_GROUP:
        value, bound = _matrix_products(K, H, third)
        if bound - value < _UNDERFLOW - _NEGLIGIBLE - n * math.log(2.0):
            return twice + value
    if n > MAX_GRAY_SPINS:
        raise InvalidInput(
            f"The weights of these {n} spins span too many orders of magnitude for matrix "
            f"products (largest coupling {np.abs(K).max():.3g} k_B T); the Gray code, which does "
            f"not mind, is for at most {MAX_GRAY_SPINS}. Take a smaller beta: this close to T = 0 "
            "log Z is -beta E_0 + log(number of ground states)."
        )
    return twice + _gray_code(K, H)


def _check_size(n: int) -> None:
    if n > MAX_SPINS:
        raise InvalidInput(
            f"{n} spins have 2^{n} states, more than the 2^{MAX_SPINS} that are summed here. Use "
            "exact.tree for graphs without loops, exact.transfer_matrix or exact.kaufman for "
            "lattices, or estimate: partition.ais."
        )


def _spins(n: int, first: int = 0, count: int | None = None) -> np.ndarray:
    """States first, first + 1, ... of n spins, float64 (count, n); all by default."""
    index = np.arange(first, first + (2**n if count is None else count))
    return 2.0 * ((index[:, None] >> np.arange(n)) & 1) - 1.0


def _log_weights(spins: np.ndarray, K: np.ndarray, H: np.ndarray) -> np.ndarray:
    """s.K.s / 2 + H.s of each state."""
    return np.asarray(spins @ H + 0.5 * np.einsum("si,si->s", spins @ K, spins))


def _matrix_products(K: np.ndarray, H: np.ndarray, third: int) -> tuple[float, float]:
    """log Z but for what underflows, and the largest bound on log weights that was factored out."""
    n = len(H)
    n_c = min(third, n // 3)
    n_a = min(_ROWS, (n - n_c) // 2)
    n_b = n - n_c - n_a
    c, a, b = np.split(np.arange(n), [n_c, n_c + n_a])
    c_states, a_states = _spins(n_c), _spins(n_a)
    X = np.empty((len(a_states), len(c_states)))
    own = _log_weights(c_states, K[np.ix_(c, c)], H[c])
    row = _scale(X, a_states @ K[np.ix_(a, c)], c_states, own)
    row += _log_weights(a_states, K[np.ix_(a, a)], H[a])
    count = 2 ** min(_ROWS, n_b)
    Y = np.empty((count, len(c_states)))  # these three once: fresh pages cost more than a pass
    weights, products = np.empty((2, len(X), count))
    bound, total = -math.inf, 0.0
    for first in range(0, 2**n_b, count):
        b_states = _spins(n_b, first, count)
        column = _scale(Y, b_states @ K[np.ix_(b, c)], c_states, 0.0)
        column += _log_weights(b_states, K[np.ix_(b, b)], H[b])
        np.matmul(a_states @ K[np.ix_(a, b)], b_states.T, out=weights)
        weights += row[:, None]
        weights += column
        top = float(weights.max())
        if top > bound:
            total *= math.exp(bound - top)
            bound = top
        weights -= bound
        np.exp(weights, out=weights)
        np.matmul(X, Y.T, out=products)
        total += float(np.vdot(weights, products))
    return (bound + math.log(total) if total > 0.0 else -math.inf), bound


def _scale(table: np.ndarray, fields: np.ndarray, states: np.ndarray, own: Any) -> np.ndarray:
    """Fill with exp(fields . state + own) over the largest of each row; the logarithms of these."""
    np.matmul(fields, states.T, out=table)
    table += own
    largest = table.max(axis=1)
    table -= largest[:, None]
    np.exp(table, out=table)
    return np.asarray(largest)


def _gray_code(K: np.ndarray, H: np.ndarray) -> float:
    """log Z with every weight compared in the log domain."""
    n_inner = min(_INNER, len(H))
    inner = _spins(n_inner)
    own = _log_weights(inner, K[:n_inner, :n_inner], H[:n_inner])
    steps = 2.0 * (K[n_inner:, :n_inner] @ inner.T)
    K_outer, H_outer = K[n_inner:, n_inner:], H[n_inner:]
    n_outer = len(H_outer)
    scaled = np.empty_like(own)
    highest, total = -math.inf, 0.0
    for first in range(0, 2**n_outer, _WALK):
        outer = _spins(n_outer, first, 1)[0]
        weights = own + 0.5 * (outer @ steps)
        for step in range(min(_WALK, 2**n_outer)):
            if step:
                flipped = (step & -step).bit_length() - 1  # number of trailing zeros
                outer[flipped] *= -1.0
                move = np.add if outer[flipped] > 0.0 else np.subtract
                move(weights, steps[flipped], out=weights)
            shift = float(_log_weights(outer[None], K_outer, H_outer)[0])
            top = float(weights.max()) + shift
            if top < highest - 2.0 * _NEGLIGIBLE:  # 2^36 of these are still nothing
                continue
            if top > highest:
                total *= math.exp(highest - top)
                highest = top
            np.subtract(weights, highest - shift, out=scaled)
            total += float(np.exp(scaled, out=scaled).sum())
    return highest + math.log(total)


__all__ = ["log_z", "log_z_from_couplings"]
