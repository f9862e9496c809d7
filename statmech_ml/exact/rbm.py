"""Exact log Z of a restricted Boltzmann machine: the sum over its smaller layer.

    Z = sum_h exp(beta b.h) prod_i (1 + exp(beta (a_i + (W h)_i)))

and the same with v and h exchanged: the units of one layer are independent given the other. Domain:
at most 2^28 states of the smaller layer. Cost: one pass over the larger layer per state of the
smaller one, in Gray code, so that a state costs one row of W; every 2^10 states the fields are
computed afresh, which keeps rounding errors from piling up. Memory is bounded.

Smolensky (1986); Salakhutdinov and Murray, ICML (2008), section 2.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml._jit import kernel
from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import Values, inverse_temperature, like_input

MAX_UNITS = 28
"""Largest smaller layer that is summed over."""

_WALK = 2**10
_CHUNK = 2**16


def log_z(rbm: Any, beta: ArrayLike = 1.0) -> Values:
    """Logarithm of Z = sum_{v, h} exp(-beta E(v, h)), in nats.

    Parameters
    ----------
    rbm
        A `BernoulliRBM`: anything with visible_bias (n_visible,), hidden_bias (n_hidden,) and
        weights (n_visible, n_hidden), units in {0, 1}.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        When both layers have more than 28 units.

    >>> from statmech_ml.models import BernoulliRBM
    >>> rbm = BernoulliRBM(visible_bias=[0.5], hidden_bias=[-1.0], weights=[[2.0]])
    >>> round(log_z(rbm), 9)  # log(1 + e^0.5 + e^-1 + e^1.5)
    2.014674966
    """
    a, b, weights = rbm.visible_bias, rbm.hidden_bias, rbm.weights
    if len(a) < len(b):
        a, b, weights = b, a, weights.T
    if len(b) > MAX_UNITS:
        raise InvalidInput(
            f"The smaller layer of {rbm!r} has 2^{len(b)} states, more than the 2^{MAX_UNITS} "
            "that are summed here. Estimate log Z: partition.ais(partition.Weights(rbm), ...)."
        )
    betas = inverse_temperature(beta)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        scale = betas[position]
        out[position] = _log_sum(scale * a, scale * b, np.ascontiguousarray(scale * weights.T))
    return like_input(out)


def _log_sum(large: np.ndarray, small: np.ndarray, weights: np.ndarray) -> float:
    """log sum over the small layer; weights (small, large), everything already times beta."""
    n_states = 2 ** len(small)
    highest, total = -math.inf, 0.0
    fields, bits = np.empty(len(large)), np.empty(len(small), np.int8)
    for first in range(0, n_states, _CHUNK):
        terms = np.empty(min(_CHUNK, n_states - first))
        _walk(large, small, weights, bits, fields, first, min(_WALK, n_states), terms)
        top = float(terms.max())
        if top > highest:
            total *= math.exp(highest - top)
            highest = top
        total += float(np.exp(terms - highest).sum())
    return highest + math.log(total)


@kernel
def _walk(large, small, weights, bits, fields, first, length, out):
    """log of the summand of the states first, first + 1, ... (len(out) a multiple of length)."""
    n_small, n_large = weights.shape
    for start in range(0, out.shape[0], length):
        linear = 0.0
        for i in range(n_large):
            fields[i] = large[i]
        for j in range(n_small):
            bits[j] = ((first + start) >> j) & 1
            if bits[j]:
                linear += small[j]
                for i in range(n_large):
                    fields[i] += weights[j, i]
        index = start
        for step in range(length):
            if step:
                j = 0
                while (step >> j) & 1 == 0:
                    j += 1
                sign = -1.0 if bits[j] else 1.0
                bits[j] = 1 - bits[j]
                index ^= 1 << j
                linear += sign * small[j]
                for i in range(n_large):
                    fields[i] += sign * weights[j, i]
            # log(1 + e^f) = max(f, 0) + log(1 + e^-|f|); the factors lie in (1, 2], so 512 of them
            # multiply without overflow before one logarithm is taken.
            term, product, count = linear, 1.0, 0
            for i in range(n_large):
                term += max(fields[i], 0.0)
                product *= 1.0 + math.exp(-abs(fields[i]))
                count += 1
                if count == 512:
                    term += math.log(product)
                    product, count = 1.0, 0
            out[index] = term + math.log(product)


__all__ = ["log_z"]
