"""Belief propagation on a forest, in the log domain: what `tree` and `chains` share.

Each site i sends its parent p the message m_i(s_p) = log sum_s exp(-beta e(s_p, s) + inside_i(s)),
with inside_i(s) = -beta e_i(s) + the messages of its children; at a root the sum over `inside` is
Z. A second pass, downwards, gives every marginal. Messages are kept less their largest entry, which
goes to log Z.
"""

import math
from typing import NamedTuple

import numpy as np

from statmech_ml._jit import jit, kernel
from statmech_ml.errors import InvalidInput
from statmech_ml.exact._interactions import Interactions

_DRAWN = 2**22  # random numbers held at a time


class Forest(NamedTuple):
    """Sites in an order in which parents come first, and how each is tied to its parent.

    Fields, int64 (n,): order; parent, -1 for roots; via, the bond to the parent, -1 for roots.
    """

    order: np.ndarray
    parent: np.ndarray
    via: np.ndarray


class Beliefs(NamedTuple):
    """log Z with marginals: sites float64 (n, q), pairs float64 (n_bonds, q, q) in bond order."""

    log_z: float
    sites: np.ndarray
    pairs: np.ndarray


def forest(n: int, bonds: np.ndarray) -> tuple[Forest, list[int]]:
    """The graph as a forest, and the sites of a loop, first and last the same, if it is none."""
    ends = bonds.reshape(-1, 2)
    site = ends.ravel()
    slots = np.argsort(site, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(site, minlength=n))])
    found = Forest(*(np.full(n, fill, np.int64) for fill in (0, -2, -1)))
    neighbours = np.ascontiguousarray(ends[:, ::-1]).ravel()[slots]
    closing = _explore(starts, neighbours, slots // 2, found.order, found.parent, found.via)
    if closing < 0:
        return found, []
    left, right = (_ancestors(found.parent, int(end)) for end in ends[closing])
    shared = set(left) & set(right)
    meeting = next(i for i in left if i in shared)
    left, right = left[: left.index(meeting) + 1], right[: right.index(meeting)]
    return found, [*left, *right[::-1], left[0]]


def log_z(tree: Forest, energies: Interactions, beta: float) -> float:
    """log Z of the forest."""
    return _inside(tree, energies, beta)[0]


def beliefs(tree: Forest, energies: Interactions, beta: float) -> Beliefs:
    """log Z, and the marginals of every site and bond."""
    total, inside = _inside(tree, energies, beta)
    sites = np.empty_like(inside)
    n_bonds, q = len(energies.bonds), inside.shape[1]
    pairs = np.empty((n_bonds, q, q))
    couplings = beta * energies.couplings
    bonds = np.ascontiguousarray(energies.bonds.reshape(-1, 2))
    _downward(*tree, bonds, couplings, energies.kind, inside, sites, pairs)
    return Beliefs(total, sites, pairs)


def mean_energy(energies: Interactions, found: Beliefs) -> float:
    """U = <E>, the total."""
    per_bond = np.einsum("bst,st->b", found.pairs, energies.kind)
    return float((energies.sites * found.sites).sum() - energies.couplings @ per_bond)


def draw(
    tree: Forest, energies: Interactions, beta: float, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Independent draws as indices of values, int64 (n, sites)."""
    _, inside = _inside(tree, energies, beta)
    couplings = beta * energies.couplings
    out = np.empty((len(inside), n), np.int64)
    step = max(1, _DRAWN // len(inside))
    for first in range(0, n, step):
        part = out[:, first : first + step]
        _draw(*tree, couplings, energies.kind, inside, generator.random(part.shape), part)
    return np.ascontiguousarray(out.T)


def _inside(tree: Forest, energies: Interactions, beta: float) -> tuple[float, np.ndarray]:
    """log Z and inside_i(s), float64 (n, q)."""
    with np.errstate(over="ignore"):
        inside, couplings = -beta * energies.sites, beta * energies.couplings
    logs = np.empty(len(inside))
    _upward(*tree, couplings, energies.kind, inside, logs)
    total = float(logs.sum())  # numpy adds in pairs: a long chain keeps its digits
    if not math.isfinite(total):
        raise InvalidInput(
            f"At beta={beta:g} energies over k_B T exceed what a double holds. Take a smaller beta."
        )
    return total, inside


def _ancestors(parent: np.ndarray, site: int) -> list[int]:
    """The site, its parent, and so on up to the root."""
    line = [site]
    while parent[line[-1]] >= 0:
        line.append(int(parent[line[-1]]))
    return line


@kernel
def _explore(starts, neighbours, bond_of, order, parent, via):
    """Breadth first from every site not yet seen (parent -2); the bond that closes a loop, or -1.

    The neighbours of site i are neighbours[starts[i]:starts[i + 1]], by the bonds `bond_of`.
    """
    count, head = 0, 0
    for root in range(order.shape[0]):
        if parent[root] != -2:
            continue
        parent[root] = -1
        order[count] = root
        count += 1
        while head < count:
            i = order[head]
            head += 1
            for k in range(starts[i], starts[i + 1]):
                if bond_of[k] == via[i]:
                    continue
                j = neighbours[k]
                if parent[j] != -2:
                    return bond_of[k]
                parent[j] = i
                via[j] = bond_of[k]
                order[count] = j
                count += 1
    return -1


@jit
def _log_sum(terms):
    """log sum exp."""
    top = terms[0]
    for s in range(1, terms.shape[0]):
        top = max(top, terms[s])
    total = 0.0
    for s in range(terms.shape[0]):
        total += math.exp(terms[s] - top)
    return top + math.log(total)


@kernel
def _upward(order, parent, via, couplings, kind, inside, logs):
    """Messages to the parents, leaves first; `inside` comes in as that of lone sites.

    Leaves in `logs` what each message gives to log Z, and each root.
    """
    q = kind.shape[0]
    terms, message = np.empty(q), np.empty(q)
    for k in range(order.shape[0] - 1, -1, -1):
        i = order[k]
        p = parent[i]
        if p < 0:
            logs[i] = _log_sum(inside[i])
            continue
        K = couplings[via[i]]
        for s in range(q):
            for t in range(q):
                terms[t] = K * kind[s, t] + inside[i, t]
            message[s] = _log_sum(terms)
        top = message.max()
        logs[i] = top
        for s in range(q):
            inside[p, s] += message[s] - top


@kernel
def _downward(order, parent, via, bonds, couplings, kind, inside, sites, pairs):
    """Marginals of sites and bonds, roots first."""
    q = kind.shape[0]
    joint = np.empty((q, q))  # of a parent's value and its child's
    for k in range(order.shape[0]):
        i = order[k]
        p = parent[i]
        if p < 0:
            total = _log_sum(inside[i])
            for s in range(q):
                sites[i, s] = math.exp(inside[i, s] - total)
            continue
        K = couplings[via[i]]
        for s in range(q):
            sites[i, s] = 0.0
        for s in range(q):
            # p(t | s): what the child's side says, given its parent's value
            for t in range(q):
                joint[s, t] = K * kind[s, t] + inside[i, t]
            total = _log_sum(joint[s])
            for t in range(q):
                joint[s, t] = sites[p, s] * math.exp(joint[s, t] - total)
                sites[i, t] += joint[s, t]
        b = via[i]
        swapped = bonds[b, 0] == i
        for s in range(q):
            for t in range(q):
                pairs[b, s, t] = joint[t, s] if swapped else joint[s, t]


@kernel
def _draw(order, parent, via, couplings, kind, inside, uniforms, out):
    """Values of all sites (sites, draws) by inversion of p(value | value of the parent)."""
    q = kind.shape[0]
    cumulative = np.empty((q, q))
    for k in range(order.shape[0]):
        i = order[k]
        p = parent[i]
        K = couplings[via[i]] if p >= 0 else 0.0
        for s in range(q):
            for t in range(q):
                cumulative[s, t] = K * kind[s, t] + inside[i, t]
            total = _log_sum(cumulative[s])
            running = 0.0
            for t in range(q):
                running += math.exp(cumulative[s, t] - total)
                cumulative[s, t] = running
        for c in range(out.shape[1]):
            s = out[p, c] if p >= 0 else 0
            # Scaled by its own end, so that rounding leaves no gap above the last value.
            u = uniforms[i, c] * cumulative[s, q - 1]
            t = 0
            while t < q - 1 and u >= cumulative[s, t]:
                t += 1
            out[i, c] = t
