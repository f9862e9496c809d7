"""Exact results for chains, trees and machines with real units, each by a second way."""

import math
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from statmech_ml import lattices
from statmech_ml.exact import chains, enumeration, gaussian_rbm, quadrature, ring, tree
from statmech_ml.graphs import Graph
from statmech_ml.models import GaussianRBM, Ising, Potts
from validation.check import Check, Measurement, Mutant, derive_seed, identity
from validation.frequencies import frequencies
from validation.targets import gaussian_machine_law

_EQUAL = 1e-12


def _chain_models(slip: float = 1.0) -> list[tuple[str, Ising | Potts, float]]:
    g = np.random.default_rng(2236)
    found: list[tuple[str, Ising | Potts, float]] = []
    for boundary in ("open", "periodic"):
        lattice = lattices.chain(9, boundary)
        J, h = g.normal(size=lattice.n_bonds), g.normal(0.0, 0.5, 9)
        J[-1] *= slip
        found.append((f"Ising {boundary}", Ising(lattice, J, h), 0.8))
        found.append((f"Potts q=3 {boundary}", Potts(lattice, 3, J, [0.1, -0.4, 0.3]), 1.1))
    return found


def _chains(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    found = []
    for (name, model, beta), (_, other, _) in zip(
        _chain_models(), _chain_models(slip), strict=True
    ):
        exact = float(enumeration.log_z(model, beta))
        value = chains.log_z(other, beta)
        found.append(identity(f"log Z, {name}", value, exact, _EQUAL * exact))
        exact = enumeration.energy_per_site(model, beta)
        value = chains.energy_per_site(other, beta)
        found.append(identity(f"u, {name}", value, exact, _EQUAL * 10))
    value = chains.log_z(Ising(lattices.chain(64), coupling=slip, field=0.2), 0.7)
    exact = float(ring.log_z(64, 0.7, 1.0, 0.2))
    found.append(identity("log Z, ring of 64 in a field", value, exact, _EQUAL * exact))
    bond = Potts(lattices.chain(2, "open"), 3, coupling=slip)
    value = 2 * chains.energy_per_site(bond, 1.0)
    exact = -math.e / (math.e + 2.0)
    found.append(identity("energy per bond, q = 3, K = 1", value, exact, 1e-12))
    return found


def _tree() -> Graph:
    return lattices.from_edges([(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (6, 7), (7, 8)], n_sites=9)


def _trees(seed: int, scale: int, *, slip: float = 1.0, beta_of: float = 1.0) -> list[Measurement]:
    g = np.random.default_rng(2645)
    J, h, values = g.normal(size=7), g.normal(size=9), g.normal(0, 0.5, (9, 3))
    other = np.append(J[:-1], slip * J[-1])
    found = []
    for name, model, used in (
        ("Ising", Ising(_tree(), J, h), Ising(_tree(), other, h)),
        ("Potts q=3", Potts(_tree(), 3, J, values), Potts(_tree(), 3, other, values)),
    ):
        exact = float(enumeration.log_z(model, 0.9))
        value = tree.log_z(used, beta_of * 0.9)
        found.append(identity(f"log Z, {name}", value, exact, _EQUAL * exact))
        exact = enumeration.energy_per_site(model, 0.9)
        value = tree.energy_per_site(used, beta_of * 0.9)
        found.append(identity(f"u, {name}", value, exact, _EQUAL * 10))
    return found


def _draws(seed: int, scale: int, *, beta_of: float = 1.0) -> list[Measurement]:
    """State frequencies of exact draws from chains, rings and trees."""
    found = []
    g = np.random.default_rng(2828)
    lattice = lattices.from_edges([(0, 1), (1, 2), (1, 3), (4, 5)], n_sites=6)
    J, h = g.normal(size=4), g.normal(0, 0.6, 6)
    for name, room, model in (
        ("tree, Ising", tree, Ising(lattice, J, h)),
        ("tree, Potts", tree, Potts(lattice, 3, J)),
        ("ring, Ising", chains, Ising(lattices.chain(7), g.normal(size=7), 0.3)),
        ("open chain, Potts", chains, Potts(lattices.chain(5, "open"), 3, g.normal(size=4))),
    ):
        x = room.draw(model, beta_of * 0.9, 20_000 * scale, derive_seed(seed, name))
        law = enumeration.distribution(model, 0.9)
        space: Any = model.space
        found.append(frequencies(f"states, {name}", space.index(x), law))
    return found


def _gaussian_rbm(
    seed: int, scale: int, *, lose_beta: bool = False, lose_sigma: bool = False
) -> list[Measurement]:
    """The sum over the hidden layer against quadrature over one visible unit, and at beta = 1
    against the mixture of Gaussians written out.
    """
    g = np.random.default_rng(3162)
    found = []
    for n_hidden in (1, 4):
        parts = g.normal(size=1), g.normal(size=n_hidden), g.normal(size=(1, n_hidden))
        model = GaussianRBM(*parts, sigma=0.7)
        used = GaussianRBM(*parts, sigma=1.0) if lose_sigma else model
        for beta in (0.4, 1.0, 1.8):

            def u(v: np.ndarray, model: GaussianRBM = model, beta: float = beta) -> np.ndarray:
                return model.reduced_energy(v[:, None], beta)

            value = gaussian_rbm.log_z(used, 1.0 if lose_beta else beta)
            name = f"log Z, 1 visible and {n_hidden} hidden, beta = {beta}"
            found.append(identity(name, value, quadrature.log_z(u).value, 1e-9))
    model = GaussianRBM(
        g.normal(size=6), g.normal(size=5), g.normal(size=(6, 5)), np.linspace(0.5, 2, 6)
    )
    value = gaussian_rbm.log_z(model, 1.0 + 0.01 * lose_beta)
    exact = float(logsumexp(gaussian_machine_law(model)[1]))
    found.append(identity("log Z, 6 visible and 5 hidden", value, exact, _EQUAL * 10))
    return found


CHECKS = (
    Check(
        "exact.chains",
        "Open and closed chains with random couplings and fields equal enumeration; the uniform "
        "ring its transfer matrix.",
        _chains,
        (Mutant("one coupling 0.1% too large", partial(_chains, slip=1.001)),),
    ),
    Check(
        "exact.trees",
        "Belief propagation on a forest gives the log Z and energy of enumeration, Ising and "
        "Potts.",
        _trees,
        (
            Mutant("one coupling 0.1% too large", partial(_trees, slip=1.001)),
            Mutant("beta 0.1% too large", partial(_trees, beta_of=1.001)),
        ),
    ),
    Check(
        "exact.chain-and-tree-draws",
        "Draws from chains and trees follow exp(-beta E) / Z.",
        _draws,
        (Mutant("beta 15% too large", partial(_draws, beta_of=1.15)),),
    ),
    Check(
        "exact.gaussian-rbm",
        "Z of a Gaussian RBM is a sum of 2^n_hidden Gaussian integrals, at any beta (quadrature).",
        _gaussian_rbm,
        (
            Mutant("beta forgotten", partial(_gaussian_rbm, lose_beta=True)),
            Mutant("sigma forgotten", partial(_gaussian_rbm, lose_sigma=True)),
        ),
    ),
)
