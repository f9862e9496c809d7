"""Cluster updates on the CPU, through the capability Clusterable.

Both kernels take the compiled model; x (chain, size) int8 spins, changed in place; limits uint64
(chain, n_links), the thresholds of the bond probabilities 1 - exp(-beta * link); and the stream address
(chains, seed, sweep, n_sweeps). A cluster needs an unpredictable number of variates, so they come from a
generator seeded per (seed, chain, sweep).
"""

import numpy as np

from ..._jit import jit, kernel
from ..._rng import BONDS, CLUSTER, next_xoshiro, seed_xoshiro
from ...systems import link


@kernel
def wolff(model, x, limits, chains, seed, sweep, n_sweeps, flipped):
    """One Wolff cluster a sweep; adds the number of spins flipped to `flipped`, int64 (chain,)."""
    size, width = x.shape[1], model.neighbours.shape[1]
    stack = np.empty(size * width + 1, np.int32)
    generator = np.empty(4, np.uint64)
    for c in range(x.shape[0]):
        state, limit = x[c], limits[c]
        for t in range(sweep, sweep + n_sweeps):
            seed_xoshiro(generator, seed, chains[c], t, CLUSTER)
            site = np.int64(
                ((next_xoshiro(generator) >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)
            )
            state[site] = -state[site]
            stack[0] = site
            top = 1
            while top > 0:
                top -= 1
                site = stack[top]
                flipped[c] += 1
                # `link` asks about the bond before the flip; members of the cluster, flipped already,
                # then look unsatisfied and are not joined twice.
                state[site] = -state[site]
                for k in range(width):
                    which = link(model, state, site, k)
                    # Store always and advance on success: the branch would be unpredictable.
                    if which >= 0:
                        j = model.neighbours[site, k]
                        joins = next_xoshiro(generator) < limit[which]
                        stack[top] = j
                        top += 1 if joins else 0
                        state[j] = -state[j] if joins else state[j]
                state[site] = -state[site]


@jit
def root_of(parent, i):
    """The root of a tree in a union-find forest, halving the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def swendsen_wang(model, x, limits, chains, seed, sweep, n_sweeps, n_clusters):
    """Swendsen-Wang sweeps; adds the number of clusters to `n_clusters`, int64 (chain,)."""
    size, width = x.shape[1], model.neighbours.shape[1]
    parent = np.empty(size, np.int32)
    flips = np.empty(size, np.int8)
    generator = np.empty(4, np.uint64)
    for c in range(x.shape[0]):
        state, limit = x[c], limits[c]
        for t in range(sweep, sweep + n_sweeps):
            seed_xoshiro(generator, seed, chains[c], t, BONDS)
            for i in range(size):
                parent[i] = i
            for i in range(size):
                for k in range(width):
                    j = model.neighbours[i, k]
                    if j > i:
                        which = link(model, state, i, k)
                        if which >= 0 and next_xoshiro(generator) < limit[which]:
                            a, b = root_of(parent, i), root_of(parent, j)
                            # The smaller index becomes the root, so every parent comes before its children.
                            parent[max(a, b)] = min(a, b)
            for i in range(size):
                if parent[i] == i:
                    n_clusters[c] += 1
                    flips[i] = 1 if next_xoshiro(generator) >> np.uint64(63) else -1
                else:
                    flips[i] = flips[parent[i]]
                state[i] *= flips[i]
