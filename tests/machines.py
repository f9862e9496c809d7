"""Small machines of every kind, and their energies term by term from the parameters alone.

Normal units stand on a grid of Gauss-Hermite nodes, whose sums are integrals: exact here, as what
is integrated is a Gaussian times an exponential of small argument.
"""

import itertools

import numpy as np

from statmech_ml.models import RBM, BernoulliRBM, GaussianRBM, PottsRBM

VALUES = {"bits": (0.0, 1.0), "spins": (-1.0, 1.0)}


def normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def rbm(visible, hidden, n_visible=4, n_hidden=3, seed=1, scale=0.6):
    parts = (
        normal(n_visible, seed=seed),
        normal(n_hidden, seed=seed + 1),
        scale * normal(n_visible, n_hidden, seed=seed + 2),
    )
    if (visible, hidden) == ("bits", "bits"):
        return BernoulliRBM(*parts)
    return RBM(*parts, visible=visible, hidden=hidden)


def potts(hidden, n_visible=3, q=3, n_hidden=3, seed=4):
    return PottsRBM(
        normal(n_visible, q, seed=seed),
        normal(n_hidden, seed=seed + 1),
        0.6 * normal(n_visible, q, n_hidden, seed=seed + 2),
        hidden=hidden,
    )


def gaussian(hidden, n_visible=2, n_hidden=3, seed=7):
    return GaussianRBM(
        normal(n_visible, seed=seed),
        normal(n_hidden, seed=seed + 1),
        0.6 * normal(n_visible, n_hidden, seed=seed + 2),
        sigma=np.linspace(0.7, 1.3, n_visible),
        hidden=hidden,
    )


MACHINES = {
    f"{v} over {h}": rbm(v, h, n_hidden=2 if h == "normal" else 3)
    for v, h in itertools.product(("bits", "spins"), ("bits", "spins", "normal"))
}
MACHINES |= {
    f"levels over {h}": potts(h, n_hidden=2 if h == "normal" else 3)
    for h in ("bits", "spins", "normal")
}
MACHINES |= {f"normal over {h}": gaussian(h) for h in ("bits", "spins")}


def layer(n, kind, beta, centre=0.0, width=1.0, nodes=64):
    """(states (s, n), log weights (s,)): what one sums over a layer; nodes for normal units."""
    if kind in VALUES:
        states = np.array(list(itertools.product(VALUES[kind], repeat=n)))
        return states, np.zeros(len(states))
    x, w = np.polynomial.hermite.hermgauss(nodes)
    step = np.sqrt(2.0 / beta) * width
    points = centre + step * x
    states = np.array(list(itertools.product(points, repeat=n)))
    log_w = np.log(w) + x * x + np.log(step)
    return states, np.array([sum(c) for c in itertools.product(log_w, repeat=n)])


def kinds(machine):
    """The kinds of the visible and the hidden units, by the names that their values have."""
    hidden = machine.hidden_units.name
    if isinstance(machine, PottsRBM):
        return "levels", hidden
    if isinstance(machine, GaussianRBM):
        return "normal", hidden
    return machine.visible_units.name, hidden


def visible_states(machine, beta=1.0):
    """(states, log weights) of the visible layer."""
    kind = kinds(machine)[0]
    if kind == "levels":
        n, q = machine.visible_bias.shape
        states = np.array(list(itertools.product(range(q), repeat=n)))
        return states, np.zeros(len(states))
    return layer(machine.n_visible, kind, beta, width=1.3)


def hidden_states(machine, beta=1.0):
    """(states, log weights) of the hidden layer."""
    return layer(machine.n_hidden, kinds(machine)[1], beta)


def one_hot(machine, v):
    """What the visible biases multiply: v, or the one-hot code of levels, (*batch, *shape)."""
    if kinds(machine)[0] != "levels":
        return v.astype(float)
    return (v[..., None] == np.arange(machine.visible_bias.shape[1])).astype(float)


def energy(machine, v, h):
    """E(v, h) from the definition, by explicit sums over units."""
    a, b, W = machine.visible_bias, machine.hidden_bias, machine.weights
    total = 0.0
    for j in range(len(b)):
        total -= b[j] * h[j]
        if kinds(machine)[1] == "normal":
            total += 0.5 * h[j] ** 2
    for i in range(len(v)):
        if kinds(machine)[0] == "levels":
            k = int(v[i])
            total -= a[i, k]
            total -= sum(W[i, k, j] * h[j] for j in range(len(b)))
        elif kinds(machine)[0] == "normal":
            s = machine.sigma[i]
            total += (v[i] - a[i]) ** 2 / (2 * s**2)
            total -= sum(v[i] * W[i, j] * h[j] for j in range(len(b))) / s**2
        else:
            total -= a[i] * v[i]
            total -= sum(v[i] * W[i, j] * h[j] for j in range(len(b)))
    return total


def energies(machine, V, H):
    """E of all pairs, (n_v, n_h), the same sums in arrays."""
    b, kind = machine.hidden_bias, kinds(machine)
    code = one_hot(machine, V).reshape(len(V), -1)
    weights = machine.weights.reshape(-1, len(b))
    if kind[0] == "normal":
        own = (0.5 * ((V - machine.visible_bias) / machine.sigma) ** 2).sum(axis=1)
        code = code / machine.sigma**2
    else:
        own = -code @ machine.visible_bias.ravel()
    hidden = -H @ b + (0.5 * (H**2).sum(axis=1) if kind[1] == "normal" else 0.0)
    return own[:, None] + hidden[None, :] - np.einsum("vi,ij,hj->vh", code, weights, H)
