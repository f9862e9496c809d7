"""Small machines on a training run, with what a method says of log Z on the way, and what is so."""

import math

import numpy as np
import torch
from scipy.stats import chi2, norm

from statmech_ml.exact import enumeration
from statmech_ml.models import RBM, BoltzmannMachine, GaussianRBM, PottsRBM
from statmech_ml.partition import exact_sum

KINDS = ["bits bits", "spins spins", "bits normal", "potts", "gaussian", "boltzmann"]

# Plain gradient steps; a Gaussian RBM whose interactions outgrow its widths has no log Z.
RATES = {"gaussian": 0.05, "bits normal": 0.1}


def shell_of(kind, seed=0, scale=0.3):
    """A small asymmetric machine, in doubles, with interactions of some strength from the start."""
    g = np.random.default_rng([seed, 40])
    a, b, w = g.normal(0, 0.5, 5), g.normal(0, 0.5, 3), g.normal(0, scale, (5, 3))
    if kind == "potts":
        model = PottsRBM(g.normal(0, 0.5, (3, 3)), b, g.normal(0, scale, (3, 3, 3)), "spins")
    elif kind == "gaussian":
        model = GaussianRBM(a, b, w, sigma=0.8)
    elif kind == "boltzmann":
        upper = np.triu(g.normal(0, scale, (5, 5)), 1)
        model = BoltzmannMachine(a, upper + upper.T, b, w)
    else:
        visible, hidden = kind.split()
        model = RBM(a, b, w, visible=visible, hidden=hidden)
    return model.thaw(torch.float64)


def exact_log_z(model):
    """By the sum over all visible states, or over the hidden ones where those are real."""
    if hasattr(model.space, "n_states"):
        return enumeration.log_z(model, 1.0)
    return exact_sum(model).value


def two_modes(shell, n=400):
    """Data of which half are one configuration: something to learn."""
    data = shell.space.random(9, np.arange(n, dtype=np.uint32))
    data[: n // 2] = data[0]
    return data


def path_of(shell, method, seed, steps, rate, every=10):
    """log Z by the method and exact, before the first step and after every so many; rejections."""
    data = two_modes(shell)
    carried, rng, rejected = method.init(shell, data, seed), np.random.default_rng(seed), 0
    found = [(method.log_z(shell, carried), exact_log_z(shell.freeze()))]
    for step in range(steps):
        batch = shell.tensor(data[rng.integers(0, len(data), 50)])
        result = method.gradient(shell, batch, carried, seed, step)
        before = {name: p.detach().clone() for name, p in shell.named_parameters()}
        with torch.no_grad():
            for name, p in shell.named_parameters():
                p -= rate * result.gradients.get(name, 0.0)
        carried, kept = method.stepped(shell, before, result.carried, seed, step)
        if not kept:
            rejected += 1
            with torch.no_grad():
                for name, p in shell.named_parameters():
                    p.copy_(before[name])
        if (step + 1) % every == 0:
            found.append((method.log_z(shell, carried), exact_log_z(shell.freeze())))
    return found, carried, rejected


def throughout(kind, method, steps=30, n_runs=1, rate=None):
    """z of the mean of independent runs at each recorded step, and the deviate of their squares."""
    rate = RATES.get(kind, 0.5) if rate is None else rate

    def run(seed, scale):
        z = []
        for s in np.random.SeedSequence(seed).generate_state(n_runs * scale):
            path, _, _ = path_of(shell_of(kind), method, int(s), steps, rate)
            z.append([estimate.z(exact) for estimate, exact in path])
        z = np.array(z)
        squares = np.maximum(chi2.sf((z**2).sum(axis=0), len(z)), 1e-300)
        return np.stack([z.sum(axis=0) / math.sqrt(len(z)), norm.isf(squares)])

    return run
