"""log Z and mean values of Boltzmann machines and Hopfield networks.

All units, hidden ones included, are joined in pairs, so `_quadratic` sums them; or the visible
states are visited and the hidden units summed out in closed form, which the means need.
"""

from typing import Any

import numpy as np

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _layer_sums, _quadratic


def log_z(model: Any, beta: float) -> float:
    """log Z of a `BoltzmannMachine`, in nats."""
    n, m = model.n_visible, model.n_hidden
    if m and model.space.n_states <= _layer_sums.MAX_STATES < 2 ** (n + m):
        return _layer_sums.log_of_sum(model.space, lambda v: model.reduced_energy(v, beta), n + m)
    _check_size(model, n + m)
    c = np.concatenate([model.visible_bias, model.hidden_bias])
    K = np.zeros((n + m, n + m))
    K[:n, :n] = model.couplings
    K[:n, n:], K[n:, :n] = model.weights, model.weights.T
    kinds = [model.visible_units.name] * n + [model.hidden_units.name] * m
    return _quadratic.log_z(beta * c, beta * K, np.array(kinds) == "spins")


def hopfield_log_z(model: Any, beta: float) -> float:
    """log Z of a `Hopfield` network, in nats."""
    n = model.space.size
    _check_size(model, n)
    xi = model.patterns.astype(np.float64)
    return _quadratic.log_z(np.zeros(n), beta * (xi.T @ xi) / n, np.ones(n, bool))


def _check_size(model: Any, n: int) -> None:
    if n > _quadratic.MAX_UNITS:
        raise InvalidInput(
            f"The {n} units of {model!r} have 2^{n} states, more than the "
            f"2^{_quadratic.MAX_UNITS} that are summed here. Estimate log Z: partition.ais("
            "partition.Tempering(model, beta=1.0), ...)."
        )


def sums(model: Any, beta: float) -> tuple[_layer_sums.Sums, np.ndarray]:
    """The sums over the visible states, and <v_i v_j> (n_visible, n_visible) without diagonal."""
    n = model.n_visible
    if model.space.n_states > _layer_sums.MAX_STATES:
        raise InvalidInput(
            f"{model!r} has 2^{n} visible states, more than the 2^22 that are visited here. Sample "
            "it: sample(model, HeatBath(), ...)."
        )
    i, j = np.triu_indices(n, 1)

    def visit(v: np.ndarray) -> _layer_sums.Visited:
        x = v.astype(np.float64)
        u, hidden = model.reduced_energy(v, beta), model.hidden_mean(v, beta)
        return _layer_sums.Visited(u, x, hidden, x[:, i] * x[:, j])

    found = _layer_sums.total(model.space, visit, n * n + model.n_hidden)
    pairs = np.zeros((n, n))
    pairs[i, j] = pairs[j, i] = found.extra
    return found, pairs
