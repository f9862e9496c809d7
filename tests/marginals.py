"""Site and pair marginals of small discrete models: by enumeration, and of draws against it."""

import numpy as np

from statmech_ml.exact import enumeration


def enumerated_marginals(model, beta):
    """p(x_i) and p(x_i, x_j) of every site and bond, by summing over all states."""
    p = enumeration.distribution(model, beta)
    is_value, i, j = _indicators(model, enumeration.states(model.space))
    sites = np.einsum("x,xis->is", p, is_value)
    return sites, np.einsum("x,xbs,xbt->bst", p, is_value[:, i], is_value[:, j])


def draws_against_enumeration(draw, model, beta, source=None):
    """run(seed, scale) -> z of every marginal of ``draw(source, ...)`` (default: the model)."""
    sites, pairs = enumerated_marginals(model, beta)
    expected = np.concatenate([sites.ravel(), pairs.ravel()])

    def run(seed, scale):
        n = 4000 * scale
        is_value, i, j = _indicators(model, draw(source or model, beta, n, rng=seed))
        seen_pairs = np.einsum("xbs,xbt->bst", is_value[:, i], is_value[:, j]) / n
        seen = np.concatenate([is_value.mean(axis=0).ravel(), seen_pairs.ravel()])
        common = n * np.minimum(expected, 1 - expected) > 10  # fewer are no normal
        error = np.sqrt(expected * (1 - expected) / n)
        return (seen - expected)[common] / error[common]

    return run


def _indicators(model, x):
    """Whether each site has each value, (state, site, value), and the ends of all bonds."""
    space = model.space
    is_value = np.eye(space.n_values)[(x.astype(int) - space.low) // space.step]
    return is_value, *model.lattice.bonds.reshape(-1, 2).T
