"""Exact results on open and closed chains of Ising or Potts spins, with disorder, by transfer.

    Z = sum_{s_0} e^{-beta e_0(s_0)} [T_1 T_2 ... T_L]_{s_0, s_0},
    T_i(s, s') = exp(-beta (e_{i-1,i}(s, s') + e_i(s'))),

every bond with its own coupling and every site with its own field. An open chain is a tree, and is
passed to its belief propagation: vectors where Z has matrices. A closed one is cut at its first
site: for each value of that the rest is an open chain, with the two cut bonds as fields on its
ends, and Z, averages and draws are mixtures over the q values.

Domain: any couplings, fields and beta >= 0, in the log domain; the sites may be numbered along the
chain in any order. Cost: O(q^2) per site, closed chains O(q^3). `exact.ring` has closed forms for
uniform Ising rings of any length.

Kramers and Wannier (1941), doi:10.1103/PhysRev.60.252.
"""

from dataclasses import dataclass
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


def log_z(model: Any, beta: ArrayLike) -> Values:
    """Logarithm of the partition function of a chain, log Z, in nats.

    Parameters
    ----------
    model
        An `Ising` or `Potts` model on one open or closed chain: `lattices.chain`, or any graph
        that is one.
    beta
        Inverse temperature, scalar or array, finite and >= 0.

    Returns
    -------
    float or array of the shape of `beta`.

    Raises
    ------
    InvalidInput
        For other models and graphs, and beta that is negative or not finite.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(log_z(Ising(lattices.chain(8)), beta=1.0), 12)  # as ring.log_z(8, 1.0)
    9.122649352006
    """
    betas, chain = inverse_temperature(beta), _read(model)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        out[position] = np.logaddexp.reduce(_log_parts(chain, float(betas[position])))
    return like_input(out)


def energy_per_site(model: Any, beta: ArrayLike) -> Values:
    """Mean energy per site, <E> / N, in the units of the coupling.

    Parameters, returns and errors as in `log_z`.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Potts
    >>> bond = Potts(lattices.chain(2, boundary="open"), q=3)
    >>> round(2 * energy_per_site(bond, beta=1.0), 10)  # -e / (e + 2) per bond of any open chain
    -0.5761168848
    """
    betas, chain = inverse_temperature(beta), _read(model)
    n = len(chain.energies.sites)
    out = np.empty(betas.shape)
    for position in np.ndindex(*betas.shape):
        found = _beliefs_of(chain, float(betas[position]))
        out[position] = _beliefs.mean_energy(chain.energies, found) / n
    return like_input(out)


def site_marginals(model: Any, beta: float) -> np.ndarray:
    """Probability of each value at each site, float64 (n_sites, q), values as in the model's space.

    Parameters and errors as in `log_z`, with one beta.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> p = site_marginals(Ising(lattices.chain(8), field=0.1), beta=1.0)
    >>> (p[:, 1] - p[:, 0]).round(9)[0]  # as ring.magnetization(8, 1.0, field=0.1)
    np.float64(0.520410114)
    """
    return _beliefs_of(_read(model), one_inverse_temperature(beta)).sites


def pair_marginals(model: Any, beta: float) -> np.ndarray:
    """Joint probability of the two values at each bond, float64 (n_bonds, q, q).

    Bonds are in the order of ``model.lattice.bonds``, the first site's value on the second axis.
    Parameters and errors as in `log_z`, with one beta.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Potts
    >>> pair_marginals(Potts(lattices.chain(3), q=2), beta=0.0)[2].round(12).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    return _beliefs_of(_read(model), one_inverse_temperature(beta)).pairs


def draw(model: Any, beta: float, n: int, rng: Any) -> np.ndarray:
    """Independent exact draws, (n, n_sites) in the dtype of the space, site after site.

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
    >>> cold = draw(Ising(lattices.chain(5)), beta=30.0, n=100, rng=1)
    >>> sorted(set(cold.sum(axis=1).tolist()))
    [-5, 5]
    """
    chain, beta = _read(model), one_inverse_temperature(beta)
    n = whole_number(n, "n", 1, "draws are counted.")
    generator = np.random.default_rng(_rng.seed_from(rng))
    weights = _log_parts(chain, beta)
    p = np.exp(weights - weights.max())
    digits = np.empty((n, len(chain.energies.sites)), np.int64)
    of = generator.choice(len(p), size=n, p=p / p.sum())
    for value, part in enumerate(chain.parts):
        rows = np.flatnonzero(of == value)
        if len(rows) == 0:
            continue
        inside = _beliefs.draw(chain.forest, part, beta, len(rows), generator)
        if chain.closed:
            digits[rows, 0] = value
            digits[rows[:, None], np.arange(1, digits.shape[1])] = inside
        else:
            digits[rows] = inside
    return np.asarray(model.space.values[digits])


@dataclass(frozen=True)
class _Chain:
    """A chain as a mixture of open ones.

    `parts` of an open chain is itself; of a closed one the sites 1, 2, ..., once for each value of
    site 0, and `uncut` tells their bonds among all. `forest` is what the parts share.
    """

    energies: Interactions
    closed: bool
    uncut: np.ndarray
    forest: _beliefs.Forest
    parts: list[Interactions]


def _read(model: Any) -> _Chain:
    whole = interactions(model, "exact.chains")
    n = len(whole.sites)
    degrees = np.bincount(whole.bonds.ravel(), minlength=n)
    closed = len(whole.bonds) == n
    one = model.lattice.n_components == 1 and degrees.max(initial=0) <= 2
    if not one or len(whole.bonds) not in (n - 1, n):
        raise InvalidInput(
            f"{model!r} is no chain: its graph has {n} sites, {len(whole.bonds)} bonds, "
            f"{model.lattice.n_components} component(s) and up to {degrees.max(initial=0)} bonds a "
            "site. Use exact.tree for graphs without loops, exact.pairwise for up to 44 spins, or "
            "exact.enumeration for small models."
        )
    touching = (whole.bonds == 0).any(axis=1)
    if not closed:
        forest, _ = _beliefs.forest(n, whole.bonds)
        return _Chain(whole, False, np.ones(n - 1, bool), forest, [whole])
    uncut = ~touching
    bonds, couplings = whole.bonds[uncut] - 1, whole.couplings[uncut]
    ends = whole.bonds[touching].sum(axis=1) - 1  # the other site of each cut bond is 0
    parts = []
    for value in range(whole.kind.shape[0]):
        sites = np.array(whole.sites[1:])
        np.add.at(sites, ends, -whole.couplings[touching, None] * whole.kind[value])
        parts.append(Interactions(bonds, sites, couplings, whole.kind))
    return _Chain(whole, True, uncut, _beliefs.forest(n - 1, bonds)[0], parts)


def _log_parts(chain: _Chain, beta: float) -> np.ndarray:
    """log Z of each part, with the energy of site 0 where that was cut out."""
    parts = np.array([_beliefs.log_z(chain.forest, part, beta) for part in chain.parts])
    return parts - beta * chain.energies.sites[0] if chain.closed else parts


def _beliefs_of(chain: _Chain, beta: float) -> _beliefs.Beliefs:
    """Marginals of the mixture."""
    found = [_beliefs.beliefs(chain.forest, part, beta) for part in chain.parts]
    if not chain.closed:
        return found[0]
    weights = np.array([part.log_z for part in found]) - beta * chain.energies.sites[0]
    log_total = float(np.logaddexp.reduce(weights))
    p = np.exp(weights - log_total)
    rest = np.stack([part.sites for part in found])
    sites = np.concatenate([p[None], np.einsum("v,vis->is", p, rest)])
    q = len(p)
    pairs = np.empty((len(chain.energies.bonds), q, q))
    pairs[chain.uncut] = np.einsum("v,vbst->bst", p, np.stack([part.pairs for part in found]))
    for bond in np.flatnonzero(~chain.uncut):
        first, second = chain.energies.bonds[bond]
        joint = p[:, None] * rest[:, max(first, second) - 1]
        pairs[bond] = joint if first == 0 else joint.T
    return _beliefs.Beliefs(log_total, sites, pairs)


__all__ = ["draw", "energy_per_site", "log_z", "pair_marginals", "site_marginals"]
