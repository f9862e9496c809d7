"""Exact results on trees and forests, by belief propagation.

On a graph without loops the sum over configurations factorises from the leaves to the root,

    m_{i->p}(s_p) = sum_s exp(-beta (e_ip(s_p, s) + e_i(s))) prod_{children c of i} m_{c->i}(s),

and Z is what arrives at the root; the way back down gives every marginal, and independent draws.

Domain: Ising and Potts models on graphs without a loop (`lattices.from_edges`, open chains,
diluted graphs; a forest is a product of its trees), any couplings and fields, any beta: the
messages are kept in the log domain. Cost: O(q^2) per site.

Pearl, Probabilistic Reasoning in Intelligent Systems (1988), ch. 4; Mezard and Montanari,
Information, Physics, and Computation (2009), ch. 14, doi:10.1093/acprof:oso/9780198570837.001.0001.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _beliefs
from statmech_ml.exact._arguments import (
    Values,
    inverse_temperature,
    like_input,
    one_inverse_temperature,
    whole_number,
)
from statmech_ml.exact._interactions import Interactions, interactions

_NAMED = 12  # sites of a loop that an error message names


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of a model on a forest, log Z, in nats.

    Parameters
    ----------
    model
        An `Ising` or `Potts` model on a graph without a loop.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For other models, graphs with a loop, and beta that is negative or not finite.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> star = Ising(lattices.from_edges([(0, 1), (0, 2), (0, 3)]))
    >>> round(log_z(star, beta=1.0), 12)  # log(2 (2 cosh 1)^3)
    4.073931213689
    """
    betas = inverse_temperature(beta)
    forest, energies = _read(model)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        out[position] = _beliefs.log_z(forest, energies, float(betas[position]))
    return like_input(out)


def energy_per_site(model: Any, beta: ArrayLike) -> Values:
    """Mean energy per site, <E> / N, in the units of the coupling.

    Parameters, returns and errors as in `log_z`.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> pair = Ising(lattices.chain(2, boundary="open"))
    >>> round(2 * energy_per_site(pair, beta=1.0), 12)  # -tanh 1
    -0.761594155956
    """
    betas = inverse_temperature(beta)
    forest, energies = _read(model)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        found = _beliefs.beliefs(forest, energies, float(betas[position]))
        out[position] = _beliefs.mean_energy(energies, found) / len(energies.sites)
    return like_input(out)


def site_marginals(model: Any, beta: float) -> np.ndarray:
    """Probability of each value at each site, float64 (n_sites, q), values as in the model's space.

    Parameters and errors as in `log_z`, with one beta.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> pair = Ising(lattices.chain(2, boundary="open"), field=[0.5, 0.0])
    >>> p = site_marginals(pair, beta=1.0)
    >>> (p[:, 1] - p[:, 0]).round(9).tolist()  # tanh 0.5, and that times tanh 1
    [0.462117157, 0.351945726]
    """
    return _beliefs.beliefs(*_read(model), one_inverse_temperature(beta)).sites


def pair_marginals(model: Any, beta: float) -> np.ndarray:
    """Joint probability of the two values at each bond, float64 (n_bonds, q, q).

    Bonds are in the order of ``model.lattice.bonds``, the first site's value on the second axis.
    Parameters and errors as in `log_z`, with one beta.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Potts
    >>> pair = Potts(lattices.chain(2, boundary="open"), q=2)
    >>> pair_marginals(pair, beta=0.0).tolist()
    [[[0.25, 0.25], [0.25, 0.25]]]
    """
    return _beliefs.beliefs(*_read(model), one_inverse_temperature(beta)).pairs


def draw(model: Any, beta: float, n: int, rng: Any) -> np.ndarray:
    """Independent exact draws, (n, n_sites) in the dtype of the space.

    Parameters
    ----------
    model, beta
        As in `site_marginals`.
    n
        Number of draws.
    rng
        Seed, an int or numpy Generator.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> cold = draw(Ising(lattices.chain(5, boundary="open")), beta=30.0, n=100, rng=1)
    >>> sorted(set(cold.sum(axis=1).tolist()))
    [-5, 5]
    """
    forest, energies = _read(model)
    beta = one_inverse_temperature(beta)
    n = whole_number(n, "n", 1, "draws are counted.")
    generator = np.random.default_rng(_rng.seed_from(rng))
    digits = _beliefs.draw(forest, energies, beta, n, generator)
    return np.asarray(model.space.values[digits])


def _read(model: Any) -> tuple[_beliefs.Forest, Interactions]:
    energies = interactions(model, "exact.tree")
    forest, loop = _beliefs.forest(len(energies.sites), energies.bonds)
    if loop:
        shown = [str(site) for site in loop]
        if len(loop) > _NAMED:
            shown[_NAMED - 2 : -1] = ["..."]
        raise InvalidInput(
            f"{model!r} has a loop through the sites {'-'.join(shown)}, but belief propagation is "
            "exact on trees and forests only. Use exact.chains for one closed ring, exact.pairwise "
            "for up to 44 spins, exact.enumeration for small models, or estimate: partition.ais."
        )
    return forest, energies


__all__ = ["draw", "energy_per_site", "log_z", "pair_marginals", "site_marginals"]
