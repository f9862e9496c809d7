"""Single-site updates on the CPU, through the capabilities Local and Tabulated.

Arguments that all kernels share: the compiled model; x (chain, size) int8, changed in place; the
schedule (order, starts); chains uint32 (chain,) and seed, which address the random words; sweep,
the number of sweeps done before; n_sweeps; and word buffers (uint32, a multiple of 64 long).
"""

import math

import numpy as np

from ..._jit import jit, kernel
from ..._rng import LOCAL, LOCAL_LOW, PROPOSAL, SITE, block, fill_words, padded, unit, word_at
from ...systems import delta_reduced_energy, environment


@jit
def tie_below(low, seed, chain, sweep, colour, position):
    """Whether a 64-bit uniform whose high half ties with its threshold is below it.

    The low half is drawn only here, once in 2^32 updates: thresholds are exact to 2^-64 at no cost.
    """
    return word_at(seed, chain, sweep, LOCAL_LOW, colour, position) < low


@kernel
def heat_bath_tabulated(
    model, x, high, low, values, order, starts, chains, seed, sweep, n_sweeps, buffer
):
    """Heat bath by integer thresholds (chain, environment) for the higher of two values."""
    lower, higher = values[0], values[1]
    for c in range(x.shape[0]):
        state, chain, upper_half, lower_half = x[c], chains[c], high[c], low[c]
        for t in range(sweep, sweep + n_sweeps):
            for colour in range(starts.shape[0] - 1):
                start, stop = starts[colour], starts[colour + 1]
                for first in range(start, stop, buffer.shape[0]):
                    n = min(buffer.shape[0], stop - first)
                    fill_words(buffer[: padded(n)], seed, chain, t, LOCAL, colour, first - start)
                    for p in range(n):
                        site = order[first + p]
                        e = environment(model, state, site)
                        up = buffer[p] < upper_half[e]
                        if buffer[p] == upper_half[e]:
                            up = tie_below(lower_half[e], seed, chain, t, colour, first - start + p)
                        state[site] = higher if up else lower


@kernel
def heat_bath(
    model, x, beta, values, order, starts, chains, seed, sweep, n_sweeps, buffer, low_buffer
):
    """Heat bath by conditional probabilities, any number of values per site."""
    q = values.shape[0]
    weights = np.empty(q)
    for c in range(x.shape[0]):
        state, chain = x[c], chains[c]
        for t in range(sweep, sweep + n_sweeps):
            for colour in range(starts.shape[0] - 1):
                start, stop = starts[colour], starts[colour + 1]
                for first in range(start, stop, buffer.shape[0]):
                    n = min(buffer.shape[0], stop - first)
                    m = padded(n)
                    fill_words(buffer[:m], seed, chain, t, LOCAL, colour, first - start)
                    fill_words(low_buffer[:m], seed, chain, t, LOCAL_LOW, colour, first - start)
                    for p in range(n):
                        site = order[first + p]
                        u = unit(buffer[p], low_buffer[p])
                        if q == 2:
                            sign = 1.0 if state[site] == values[0] else -1.0
                            other = values[1] if state[site] == values[0] else values[0]
                            gap = sign * delta_reduced_energy(model, state, site, other, beta[c])
                            state[site] = values[1] if u < logistic(-gap) else values[0]
                        else:
                            lowest = 0.0
                            for k in range(q):
                                weights[k] = delta_reduced_energy(
                                    model, state, site, values[k], beta[c]
                                )
                                lowest = min(lowest, weights[k])
                            total = 0.0
                            for k in range(q):
                                total += math.exp(lowest - weights[k])
                                weights[k] = total
                            k = 0
                            while k < q - 1 and u * total >= weights[k]:
                                k += 1
                            state[site] = values[k]


@jit
def logistic(z):
    """1 / (1 + exp(-z)) without overflow, and without a branch on a random sign."""
    e = math.exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


@jit
def proposal(values, current, word):
    """One of the other values, uniformly."""
    q = values.shape[0]
    k = np.int64((np.uint64(word) * np.uint64(q - 1)) >> np.uint64(32))
    return values[q - 1] if values[k] == current else values[k]


@kernel
def metropolis_random(model, x, beta, values, chains, seed, sweep, n_sweeps, accepted):
    """Metropolis at random sites, `size` attempts a sweep. Adds to accepted, int64 (chain,).

    The first attempt of a sweep is left out with probability 1/2: otherwise the parity of the
    number of flips is that of the number of attempts where all moves are free.
    """
    size = x.shape[1]
    for c in range(x.shape[0]):
        state = x[c]
        for t in range(sweep, sweep + n_sweeps):
            for attempt in range(size):
                w0, w1, w2, w3 = block(seed, chains[c], t, SITE, 0, attempt)
                if attempt == 0 and w3 & np.uint64(1):  # proposals read the high bits
                    continue
                site = np.int64((w0 * np.uint64(size)) >> np.uint64(32))
                value = proposal(values, state[site], w3)
                change = delta_reduced_energy(model, state, site, value, beta[c])
                if change <= 0.0 or unit(w1, w2) < math.exp(-change):
                    state[site] = value
                    accepted[c] += 1


@kernel
def metropolis_scheduled(
    model,
    x,
    beta,
    values,
    order,
    starts,
    chains,
    seed,
    sweep,
    n_sweeps,
    accepted,
    buffer,
    low_buffer,
):
    """Metropolis in schedule order (checkerboard on bipartite lattices)."""
    q = values.shape[0]
    for c in range(x.shape[0]):
        state, chain = x[c], chains[c]
        for t in range(sweep, sweep + n_sweeps):
            for colour in range(starts.shape[0] - 1):
                start, stop = starts[colour], starts[colour + 1]
                for first in range(start, stop, buffer.shape[0]):
                    n = min(buffer.shape[0], stop - first)
                    m = padded(n)
                    fill_words(buffer[:m], seed, chain, t, SITE, colour, first - start)
                    fill_words(low_buffer[:m], seed, chain, t, LOCAL_LOW, colour, first - start)
                    for p in range(n):
                        site = order[first + p]
                        word = np.uint64(0)  # between two values there is nothing to choose
                        if q > 2:
                            word = word_at(seed, chain, t, PROPOSAL, colour, first - start + p)
                        value = proposal(values, state[site], word)
                        change = delta_reduced_energy(model, state, site, value, beta[c])
                        if change <= 0.0 or unit(buffer[p], low_buffer[p]) < math.exp(-change):
                            state[site] = value
                            accepted[c] += 1
