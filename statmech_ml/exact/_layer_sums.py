"""log Z and mean values of a machine of two layers, by visiting every state of one layer.

The other layer is summed out, or integrated, unit by unit:

    Z = sum_h exp(-u(h)),    <v> = sum_h p(h) <v | h>,    <v h> = sum_h p(h) <v | h> h,

u(h) = -log sum_v exp(-beta E(v, h)), or the same with v and h exchanged. So no mean has more
rounding than the weights. States stream by in chunks; memory is bounded.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.spaces import Discrete, Space

MAX_STATES = 2**22
"""Largest number of states of the layer that is visited."""

_CHUNK = 2**18  # numbers held at a time


class Visited(NamedTuple):
    """Some states of one layer, and what the other layer then is on average.

    Fields: u float64 (n,), the reduced energies; visible (n, n_features), hidden (n, n_hidden), one
    of them the states themselves and one means; extra (n, n_extra), what else is averaged.
    """

    u: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray
    extra: np.ndarray


class Sums(NamedTuple):
    """log Z, and means: visible (n_features,), hidden (n_hidden,), product (n_features, n_hidden),
    extra (n_extra,)."""

    log_z: float
    visible: np.ndarray
    hidden: np.ndarray
    product: np.ndarray
    extra: np.ndarray


def n_states(space: Space) -> float:
    """Number of states of a layer; infinite for real units."""
    return space.n_states if isinstance(space, Discrete) else math.inf


def smaller_layer(rbm: Any) -> str:
    """ "hidden" or "visible", the layer with fewer states; InvalidInput if these are too many."""
    hidden, visible = n_states(rbm.hidden_space), n_states(rbm.space)
    if min(hidden, visible) > MAX_STATES:
        raise InvalidInput(
            f"Both layers of {rbm!r} have more than 2^{int(math.log2(MAX_STATES))} states, which "
            "are visited here. Estimate: partition.ais(partition.Weights(rbm), ...) for log Z, "
            "sample(rbm, BlockGibbs(), ...) for means."
        )
    return "hidden" if hidden <= visible else "visible"


def layer_sums(rbm: Any, beta: float) -> Sums:
    """The sums over the layer with fewer states."""
    if smaller_layer(rbm) == "hidden":
        n_features = rbm.weights.size // rbm.n_hidden
        return total(rbm.hidden_space, lambda h: _given_hidden(rbm, h, beta), n_features)
    return total(rbm.space, lambda v: _given_visible(rbm, v, beta), rbm.n_hidden)


def log_z(rbm: Any, beta: float) -> float:
    """log Z alone, over the layer with fewer states."""
    if smaller_layer(rbm) == "hidden":
        n_features = rbm.weights.size // rbm.n_hidden
        return log_of_sum(
            rbm.hidden_space, lambda h: rbm.hidden_reduced_energy(h, beta), n_features
        )
    return log_of_sum(rbm.space, lambda v: rbm.reduced_energy(v, beta), rbm.n_hidden)


def log_of_sum(space: Any, energy: Callable[[np.ndarray], np.ndarray], width: int) -> float:
    """log sum_x exp(-energy(x)) over all states; `width` numbers are held for each."""
    highest, z = -math.inf, 0.0
    for x in chunks(space, width):
        weights = -energy(x)
        top = max(highest, float(weights.max()))
        z = z * math.exp(highest - top) + float(np.exp(weights - top).sum())
        highest = top
    return highest + math.log(z)


def chunks(space: Any, width: int) -> Iterator[np.ndarray]:
    """All states in order, a few at a time."""
    step = max(1, _CHUNK // (width + space.size))
    for first in range(0, space.n_states, step):
        yield space.from_index(np.arange(first, min(first + step, space.n_states)))


def total(space: Any, visit: Callable[[np.ndarray], Visited], width: int) -> Sums:
    """The sums over all states of `space`, from what `visit` says of some of them."""
    highest = -math.inf
    sums: list[Any] = [0.0, 0.0, 0.0, 0.0, 0.0]
    for x in chunks(space, width):
        found = visit(x)
        top = max(highest, float(-found.u.min()))
        weight = np.exp(-found.u - top)
        here = (
            weight.sum(),
            weight @ found.visible,
            weight @ found.hidden,
            (weight[:, None] * found.visible).T @ found.hidden,
            weight @ found.extra,
        )
        scale = math.exp(highest - top)
        sums = [scale * old + new for old, new in zip(sums, here, strict=True)]
        highest = top
    z, visible, hidden, product, extra = sums
    return Sums(highest + math.log(z), visible / z, hidden / z, product / z, extra / z)


def _given_hidden(rbm: Any, h: np.ndarray, beta: float) -> Visited:
    mean = rbm.visible_mean(h, beta).reshape(len(h), -1)
    # The mean square of normal units, which their widths multiply.
    real = not isinstance(rbm.space, Discrete)
    square = mean**2 + rbm.sigma**2 / beta if real else np.empty((len(h), 0))
    return Visited(rbm.hidden_reduced_energy(h, beta), mean, h.astype(np.float64), square)


def _given_visible(rbm: Any, v: np.ndarray, beta: float) -> Visited:
    u, features = rbm.reduced_energy(v, beta), rbm.features(v)
    return Visited(u, features, rbm.hidden_mean(v, beta), np.empty((len(v), 0)))
