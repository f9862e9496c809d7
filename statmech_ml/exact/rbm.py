"""Exact log Z and mean values of restricted Boltzmann machines, and of Boltzmann machines.

The units of one layer are independent given the other, so one layer is summed out (or integrated)
unit by unit and only the states of the other one are visited:

    Z = sum_h exp(beta (b.h - own(h))) prod_i sum_{v_i} exp(beta (f_i(h) v_i - own(v_i))),

or the same with v and h exchanged. `log_z` takes the fastest way for each kind:

================================  ==============================================  ==================
visible, hidden units             sum over                                        domain
================================  ==============================================  ==================
bits or spins, bits or spins      the smaller layer, in bits, as products         32 units
bits or spins, normal             the visible layer; h leaves pairwise couplings  44 visible units
normal, bits or spins             the hidden layer; v leaves pairwise couplings   44 hidden units
levels (Potts), any               the layer with fewer states                     2^22 states
`BoltzmannMachine`, `Hopfield`    all units, by pairs, or the visible states      44, or 2^22 states
================================  ==============================================  ==================

`moments` visits up to 2^22 states of one layer: the means under the model of what each parameter
multiplies, which are its part of the gradient of the log-likelihood.

Smolensky (1986); Salakhutdinov and Murray, ICML (2008), section 2.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _bit_layers, _boltzmann, _layer_sums, _quadratic, gaussian_rbm
from statmech_ml.exact._arguments import (
    Values,
    inverse_temperature,
    like_input,
    one_inverse_temperature,
)
from statmech_ml.models import RBM, BoltzmannMachine, GaussianRBM, Hopfield, PottsRBM

MAX_UNITS = 32
"""Largest smaller layer of bits or spins that `log_z` sums over."""


class Moments(NamedTuple):
    """Means under a machine's law of what its parameters multiply, exact.

    Fields
    ------
    log_z : float
        A by-product.
    visible : array of the visible bias's shape
        <v>; of Potts units the probability of each value.
    hidden : array (n_hidden,)
        <h>.
    product : array of the weights' shape
        <v h>.
    pairs : array (n_visible, n_visible), or None
        <v v> of a `BoltzmannMachine`, which its couplings multiply, each pair once; 0 on the
        diagonal, where it has no couplings.
    square : array (n_visible,), or None
        <v^2> of normal visible units.
    """

    log_z: float
    visible: np.ndarray
    hidden: np.ndarray
    product: np.ndarray
    pairs: np.ndarray | None = None
    square: np.ndarray | None = None


def log_z(rbm: Any, beta: ArrayLike = 1.0) -> Values:
    """Logarithm of Z = sum_{v, h} exp(-beta E(v, h)), in nats; an integral over normal units.

    Parameters
    ----------
    rbm : RBM (BernoulliRBM), PottsRBM, GaussianRBM, BoltzmannMachine or Hopfield
    beta
        Inverse temperature, scalar or array, finite and >= 0 (> 0 for normal units).

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For other models, for layers that are too large to be summed (the table above), and for beta
        outside its domain.

    >>> from statmech_ml.models import BernoulliRBM
    >>> rbm = BernoulliRBM(visible_bias=[0.5], hidden_bias=[-1.0], weights=[[2.0]])
    >>> round(log_z(rbm), 9)  # log(1 + e^0.5 + e^-1 + e^1.5)
    2.014674966
    """
    if isinstance(rbm, GaussianRBM):
        return gaussian_rbm.log_z(rbm, beta)
    one: Callable[[Any, float], float]
    if isinstance(rbm, BoltzmannMachine):
        one = _boltzmann.log_z
    elif isinstance(rbm, Hopfield):
        one = _boltzmann.hopfield_log_z
    elif isinstance(rbm, PottsRBM):
        one = _layer_sums.log_z
    elif isinstance(rbm, RBM):
        one = _normal_hidden if rbm.hidden_units.name == "normal" else _two_valued
    else:
        raise _no_machine(rbm)
    betas = inverse_temperature(beta)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        out[position] = one(rbm, float(betas[position]))
    return like_input(out)


def moments(model: Any, beta: float = 1.0) -> Moments:
    """Exact means of what the parameters of a machine multiply.

    One function for all machines: `RBM` and `BernoulliRBM`, `PottsRBM`, `GaussianRBM` and
    `BoltzmannMachine`. The gradient of log Z is beta times these: d log Z / da = beta <v>, / db =
    beta <h>, / dW = beta <v h>, / dJ_ij = beta <v_i v_j>. (A `GaussianRBM` divides by its widths:
    / da = beta <v - a> / s^2, / dW = beta <v h> / s^2, and / ds takes <v^2> too.)

    Parameters
    ----------
    model
        With at most 2^22 states in its smaller layer; of a `BoltzmannMachine`, 2^22 visible states.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0 (> 0 for normal units).

    Returns
    -------
    Moments
        The layer that is not visited is averaged in closed form, given the other.

    Raises
    ------
    InvalidInput
        For other models, too many states, and beta outside its domain.

    >>> from statmech_ml.models import BernoulliRBM
    >>> found = moments(BernoulliRBM(visible_bias=[0.0], hidden_bias=[0.0], weights=[[2.0]]))
    >>> found.product.round(6)  # e^2 / (3 + e^2)
    array([[0.711235]])
    """
    one_beta = one_inverse_temperature(beta)
    if isinstance(model, BoltzmannMachine):
        found, pairs = _boltzmann.sums(model, one_beta)
        return Moments(found.log_z, found.visible, found.hidden, found.product, pairs)
    if not isinstance(model, RBM | PottsRBM | GaussianRBM):
        raise _no_machine(model)
    found = _layer_sums.layer_sums(model, one_beta)
    return Moments(
        found.log_z,
        found.visible.reshape(model.visible_bias.shape),
        found.hidden,
        found.product.reshape(model.weights.shape),
        square=found.extra if isinstance(model, GaussianRBM) else None,
    )


def _two_valued(rbm: RBM, beta: float) -> float:
    """The smaller layer as bits; spins bring a constant."""
    bits, constant = rbm.as_bernoulli()
    a, b, weights = bits.visible_bias, bits.hidden_bias, bits.weights
    if len(a) < len(b):
        a, b, weights = b, a, weights.T
    if len(b) > MAX_UNITS:
        raise InvalidInput(
            f"The smaller layer of {rbm!r} has 2^{len(b)} states, more than the 2^{MAX_UNITS} "
            "that are summed here. Estimate log Z: partition.ais(partition.Weights(rbm), ...)."
        )
    largest = beta * float(max(np.abs(x).max() for x in (a, b, weights)))  # inf is no warning
    if not largest * (len(a) + 1) * (len(b) + 1) < math.inf:
        raise InvalidInput(
            f"At beta={beta:g} the energies of {rbm!r} over k_B T add up to more than a double "
            "holds. Take a smaller beta."
        )
    value = _bit_layers.log_sum(beta * a, beta * b, np.ascontiguousarray(beta * weights.T))
    return value - beta * constant


def _normal_hidden(rbm: RBM, beta: float) -> float:
    """The hidden units integrated: exp(beta |b + v.W|^2 / 2) sqrt(2 pi / beta)^n_hidden."""
    if beta == 0.0:
        raise InvalidInput("beta=0 makes the hidden units flat, and Z infinite. Use beta > 0.")
    if rbm.n_visible > _quadratic.MAX_UNITS:
        raise InvalidInput(
            f"{rbm!r} has 2^{rbm.n_visible} visible states, more than the "
            f"2^{_quadratic.MAX_UNITS} that are summed where hidden units are normal. Estimate "
            "log Z: partition.ais(partition.Weights(rbm), ...)."
        )
    b, weights = rbm.hidden_bias, rbm.weights
    spins = np.full(rbm.n_visible, rbm.visible_units.name == "spins")
    c, K = rbm.visible_bias + weights @ b, weights @ weights.T
    own = 0.5 * beta * float(b @ b) + 0.5 * rbm.n_hidden * math.log(2.0 * math.pi / beta)
    return own + _quadratic.log_z(beta * c, beta * K, spins)


def _no_machine(model: Any) -> InvalidInput:
    return InvalidInput(
        f"{model!r} is no machine of visible and hidden units: RBM, BernoulliRBM, PottsRBM, "
        "GaussianRBM, BoltzmannMachine. Sum small discrete models with exact.enumeration."
    )


__all__ = ["Moments", "log_z", "moments"]
