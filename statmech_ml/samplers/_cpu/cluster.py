"""Cluster updates on the CPU, through the capability Clusterable.

Both kernels take the compiled model; x (chain, size) int8, changed in place; limits uint64 (chain,
n_links), the thresholds of the bond probabilities 1 - exp(-beta * link); levels, the number of
values 0, 1, ... of a site, or 0 for spins, whose clusters turn over; and the stream address
(chains, seed, sweep, n_sweeps). A cluster needs an unpredictable number of variates, so they come
from a generator seeded per (seed, chain, sweep).
"""

import numpy as np

from ..._jit import jit, kernel
from ..._rng import BONDS, CLUSTER, next_xoshiro, seed_xoshiro, xoshiro_step
from ...systems import link

_CHUNK = 2048  # sites whose activated bonds are listed before they are joined


@kernel
def wolff(model, x, limits, levels, chains, seed, sweep, n_sweeps, flipped):
    """One Wolff cluster a sweep; adds the number of sites changed to `flipped`, int64 (chain,)."""
    size = x.shape[1]
    stack = np.empty(size + 1, np.int32)
    generator = np.empty(4, np.uint64)
    for c in range(x.shape[0]):
        state, limit = x[c], limits[c]
        for t in range(sweep, sweep + n_sweeps):
            seed_xoshiro(generator, seed, chains[c], t, CLUSTER)
            high = next_xoshiro(generator) >> np.uint64(32)
            site = np.uint32((high * np.uint64(size)) >> np.uint64(32))
            if levels:
                flipped[c] += recolour_cluster(
                    model, model.neighbours, state, limit, stack, generator, site, levels
                )
            else:
                flipped[c] += flip_cluster(
                    model, model.neighbours, state, limit, stack, generator, site
                )


@jit
def flip_cluster(model, neighbours, state, limit, stack, generator, site):
    """Grow a cluster from `site` and flip it; returns its size.

    The random outcome is not branched on: the stack is written always and advanced on success.
    """
    s0, s1, s2, s3 = generator[0], generator[1], generator[2], generator[3]
    one, nothing = np.uint64(1), np.uint64(0)
    state[site] = -state[site]
    stack[0] = site
    top, count = one, 0
    while top > nothing:
        top -= one
        site = np.uint32(stack[top])  # unsigned: no check for indices from the end
        count += 1
        before = -state[site]
        for k in range(neighbours.shape[1]):
            # Asked with the value before the flip, the bonds to members of the cluster, flipped
            # already, are unsatisfied: nobody joins twice.
            which = link(model, state, site, k, before)
            if which >= 0:
                j = np.uint32(neighbours[site, k])
                word, s0, s1, s2, s3 = xoshiro_step(s0, s1, s2, s3)
                joins = word < limit[which]
                stack[top] = j
                top += one if joins else nothing
                state[j] = -state[j] if joins else state[j]
    return count


@jit
def recolour_cluster(model, neighbours, state, limit, stack, generator, site, levels):
    """Grow a cluster of one value from `site`, give it one of the others, and return its size."""
    before = np.int64(state[site])
    high = next_xoshiro(generator) >> np.uint64(32)
    value = np.int64((high * np.uint64(levels - 1)) >> np.uint64(32))
    value += 1 if value >= before else 0
    state[site] = value
    stack[0] = site
    top, count = 1, 0
    while top > 0:
        top -= 1
        site = stack[top]
        count += 1
        for k in range(neighbours.shape[1]):
            which = link(model, state, site, k, before)
            if which >= 0 and next_xoshiro(generator) < limit[which]:
                j = neighbours[site, k]
                state[j] = value
                stack[top] = j
                top += 1
    return count


@kernel
def swendsen_wang(model, x, limits, levels, chains, seed, sweep, n_sweeps, n_clusters):
    """Swendsen-Wang sweeps; adds the number of clusters to `n_clusters`, int64 (chain,)."""
    size, width = x.shape[1], model.neighbours.shape[1]
    parent = np.empty(size, np.int32)
    pairs = np.empty((_CHUNK * width + 1, 2), np.int32)
    flips = np.empty(size, np.int8)  # of each cluster: its factor, or its new value
    generator = np.empty(4, np.uint64)
    for c in range(x.shape[0]):
        state, limit = x[c], limits[c]
        for t in range(sweep, sweep + n_sweeps):
            seed_xoshiro(generator, seed, chains[c], t, BONDS)
            for i in range(size):
                parent[i] = i
            for first in range(0, size, _CHUNK):
                last = min(first + _CHUNK, size)
                n = activate(model, model.neighbours, state, limit, generator, first, last, pairs)
                join(parent, pairs, n)
            if levels:
                n_clusters[c] += recolour_clusters(parent, generator, flips, state, levels)
            else:
                n_clusters[c] += flip_clusters(parent, generator, flips, state)


@jit
def activate(model, neighbours, state, limit, generator, first, last, pairs):
    """List the activated bonds from sites first..last-1 to higher sites; returns how many."""
    n = 0
    s0, s1, s2, s3 = generator[0], generator[1], generator[2], generator[3]
    for i in range(first, last):
        for k in range(neighbours.shape[1]):
            j = neighbours[i, k]
            if j > i:
                which = link(model, state, i, k, state[i])
                bound = limit[which] if which >= 0 else np.uint64(0)
                pairs[n, 0] = i
                pairs[n, 1] = j
                word, s0, s1, s2, s3 = xoshiro_step(s0, s1, s2, s3)
                n += 1 if word < bound else 0
    generator[0], generator[1], generator[2], generator[3] = s0, s1, s2, s3
    return n


@jit
def join(parent, pairs, n):
    """Union of the listed pairs; the smaller root wins, so a parent never has a higher index."""
    for b in range(n):
        i, j = root_of(parent, pairs[b, 0]), root_of(parent, pairs[b, 1])
        parent[max(i, j)] = min(i, j)


@jit
def root_of(parent, i):
    """The root of a tree in a union-find forest, halving the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@jit
def flip_clusters(parent, generator, flips, state):
    """Flip every cluster with probability 1/2; returns the number of clusters."""
    count = 0
    for i in range(state.shape[0]):
        if parent[i] == i:
            count += 1
            flips[i] = 1 if next_xoshiro(generator) >> np.uint64(63) else -1
        else:
            flips[i] = flips[parent[i]]
        state[i] *= flips[i]
    return count


@jit
def recolour_clusters(parent, generator, colours, state, levels):
    """Give every cluster a value, all equally likely; returns the number of clusters."""
    count = 0
    for i in range(state.shape[0]):
        if parent[i] == i:
            count += 1
            high = next_xoshiro(generator) >> np.uint64(32)
            colours[i] = (high * np.uint64(levels)) >> np.uint64(32)
        else:
            colours[i] = colours[parent[i]]
        state[i] = colours[i]
    return count
