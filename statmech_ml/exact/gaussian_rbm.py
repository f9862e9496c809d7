"""Exact log Z of a Gaussian-Bernoulli restricted Boltzmann machine: a sum of 2^n_hidden Gaussians.

    Z = prod_i sqrt(2 pi s_i^2 / beta) sum_h exp(beta (c.h + h.Q.h / 2)),

    Q_jk = sum_i W_ij W_ik / s_i^2 (j != k),    c_j = b_j + sum_i (a_i W_ij + W_ij^2 / 2) / s_i^2,

as the integral over v completes the square around a + W.h. What is left is a Boltzmann machine of
the hidden units, which `pairwise` sums with spins 2 h - 1. Domain: at most 44 hidden units (36
where their weights are very uneven), any number of visible ones, beta > 0. Cost: that of
`pairwise`, 2^n_hidden multiplications.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import pairwise
from statmech_ml.exact._arguments import Values, inverse_temperature, like_input


def log_z(rbm: Any, beta: ArrayLike = 1.0) -> Values:
    """Logarithm of Z = sum_h integral dv exp(-beta E(v, h)), in nats.

    Parameters
    ----------
    rbm
        A `GaussianRBM`: anything with visible_bias, sigma (n_visible,), hidden_bias (n_hidden,) and
        weights (n_visible, n_hidden).
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
    n_hidden = len(rbm.hidden_bias)
    if n_hidden > pairwise.MAX_SPINS:
        raise InvalidInput(
            f"{rbm!r} is a mixture of 2^{n_hidden} Gaussians, more than the 2^{pairwise.MAX_SPINS} "
            "that are summed here. Estimate log Z: partition.ais(partition.Weights(rbm), ...)."
        )
    betas = inverse_temperature(beta)
    if not (betas > 0.0).all():
        raise InvalidInput(
            f"beta={beta!r}: at beta = 0 the integral over the visible units is infinite. Use "
            "beta > 0."
        )
    scaled = rbm.weights / rbm.sigma[:, None]
    products = scaled.T @ scaled
    c = rbm.hidden_bias + scaled.T @ (rbm.visible_bias / rbm.sigma) + 0.5 * products.diagonal()
    pairs = 0.5 * (products + products.T)
    np.fill_diagonal(pairs, 0.0)
    # h = (1 + s) / 2
    couplings, field = 0.25 * pairs, 0.5 * c + 0.25 * pairs.sum(axis=1)
    constant = 0.5 * c.sum() + 0.125 * pairs.sum()
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        scale = float(betas[position])
        widths = np.log(rbm.sigma).sum() + 0.5 * len(rbm.sigma) * math.log(2.0 * math.pi / scale)
        spins = pairwise.log_z_from_couplings(scale * couplings, scale * field)
        out[position] = widths + scale * constant + spins
    return like_input(out)


__all__ = ["log_z"]
