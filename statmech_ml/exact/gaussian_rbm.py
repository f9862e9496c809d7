"""Exact log Z of a restricted Boltzmann machine of normal visible units: a sum of Gaussians.

    Z = prod_i sqrt(2 pi s_i^2 / beta) sum_h exp(beta (c.h + h.Q.h / 2)),

    Q_jk = sum_i W_ij W_ik / s_i^2,    c_j = b_j + sum_i a_i W_ij / s_i^2,

as the integral over v completes the square around a + W.h. What is left is a Boltzmann machine of
the hidden units, bits or spins, which `pairwise` sums in spins. Domain: at most 44 hidden units (36
where their weights are very uneven), any number of visible ones, beta > 0. Cost: that of
`pairwise`, 2^n_hidden multiplications.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _quadratic
from statmech_ml.exact._arguments import Values, inverse_temperature, like_input
from statmech_ml.models import GaussianRBM


def log_z(rbm: Any, beta: ArrayLike = 1.0) -> Values:
    """Logarithm of Z = sum_h integral dv exp(-beta E(v, h)), in nats.

    Parameters
    ----------
    rbm
        A `GaussianRBM`.
    beta
        Inverse temperature, scalar or array, finite and > 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For beta <= 0, where the integral is infinite, and more than 44 hidden units.

    >>> from statmech_ml.models import GaussianRBM
    >>> rbm = GaussianRBM(visible_bias=[0.0], hidden_bias=[0.0], weights=[[2.0]])
    >>> round(log_z(rbm), 9)  # log(sqrt(2 pi) (1 + e^2))
    3.045866544
    """
    if not isinstance(rbm, GaussianRBM):
        raise InvalidInput(f"{rbm!r} is no GaussianRBM. Other machines: exact.rbm.log_z.")
    n_hidden = rbm.n_hidden
    if n_hidden > _quadratic.MAX_UNITS:
        raise InvalidInput(
            f"{rbm!r} is a mixture of 2^{n_hidden} Gaussians, more than the "
            f"2^{_quadratic.MAX_UNITS} that are summed here. Estimate log Z: "
            "partition.ais(partition.Weights(rbm), ...)."
        )
    betas = inverse_temperature(beta)
    if not (betas > 0.0).all():
        raise InvalidInput(
            f"beta={beta!r}: at beta = 0 the integral over the visible units is infinite. Use "
            "beta > 0."
        )
    scaled = rbm.weights / rbm.sigma[:, None]
    products = scaled.T @ scaled
    c = rbm.hidden_bias + scaled.T @ (rbm.visible_bias / rbm.sigma)
    spins = np.full(n_hidden, rbm.hidden_units.name == "spins")
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        scale = float(betas[position])
        widths = np.log(rbm.sigma).sum() + 0.5 * len(rbm.sigma) * math.log(2.0 * math.pi / scale)
        out[position] = widths + _quadratic.log_z(scale * c, scale * products, spins)
    return like_input(out)


__all__ = ["log_z"]
