"""What is true of an L x L torus: what samples of a model are judged by.

Energy, specific heat, entropy and log Z are Kaufman's, exact at every size. Up to L = 10 the
distribution of M and the correlation function are exact too, by transfer matrix. Beyond, no exact
value is known: |m|, susceptibility, Binder cumulant and G(r) come from a long Swendsen-Wang run,
and its errors enter every z-score.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.exact import correlations, kaufman
from statmech_ml.models import Ising
from statmech_ml.samplers import SwendsenWang
from statmech_ml.statistics import jackknife, mean

from .. import torus
from .observables import FORMULAS, along_axes, distances

WIDEST = 10
"""Largest side with exact |m|, susceptibility, Binder cumulant and G(r)."""


@dataclass(frozen=True)
class Answer:
    """A value, its standard error (0: exact) and where it comes from."""

    value: float
    stderr: float
    source: str


@dataclass(frozen=True)
class Answers:
    """By the names of `observables.names`; entropy in nats a site, log Z of the whole lattice."""

    size: int
    temperature: float
    values: dict[str, Answer]
    entropy: float
    log_z: float

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """log p of configurations (n, L * L), exact: -beta E - log Z (Kaufman)."""
        energy = Ising(lattices.square(self.size, self.size)).energy(x)
        return -energy / self.temperature - self.log_z


def answers(size: int, temperature: float, *, seed: int, n_draws: int = 20_000) -> Answers:
    """All that is known about one torus; `seed` and `n_draws` (of each of 16 chains) belong to the
    Swendsen-Wang run of a lattice wider than `WIDEST`."""
    beta, side = 1.0 / temperature, size
    energy = float(kaufman.energy_per_site(side, side, beta=beta))
    heat = float(kaufman.specific_heat(side, side, beta=beta))
    found = {
        "energy": Answer(energy, 0.0, "Kaufman"),
        "specific heat": Answer(heat, 0.0, "Kaufman"),
        "m": Answer(0.0, 0.0, "symmetry"),
    }
    if side <= WIDEST:
        found |= _by_transfer_matrix(side, beta)
    else:
        found |= _by_clusters(side, temperature, seed, n_draws)
    return replace(law(size, temperature), values=found)


def law(size: int, temperature: float) -> Answers:
    """Entropy and log Z, and so log p of every configuration, without observables."""
    beta = 1.0 / temperature
    entropy = float(kaufman.entropy_per_site(size, size, beta=beta))
    return Answers(size, temperature, {}, entropy, float(kaufman.log_z(size, size, beta=beta)))


def _by_transfer_matrix(L: int, beta: float) -> dict[str, Answer]:
    M, p = torus.magnetization_distribution(L, L, beta)
    first, second = float(p @ np.abs(M)), float(p @ M**2)
    exact = {
        "abs m": first / L**2,
        "susceptibility": beta * (second - first**2) / L**2,
        "Binder cumulant": torus.binder(L, L, beta),
    }
    G = correlations.spin_spin(L, L, beta)
    exact |= {f"G({r})": float(G[0, r]) for r in distances(L)}
    return {name: Answer(value, 0.0, "transfer matrix") for name, value in exact.items()}


def _by_clusters(L: int, temperature: float, seed: int, n_draws: int) -> dict[str, Answer]:
    chain = sample(
        Ising(lattices.square(L, L)),
        SwendsenWang(),
        temperature=temperature,
        n_chains=16,
        n_draws=n_draws,
        burn_in=500,
        thin=2,
        rng=seed,
        keep_states=False,
        observables={"G": along_axes},
        progress=False,
    )
    m = chain.observables["magnetization"] / L**2
    found = {
        name: jackknife(lambda *means, f=FORMULAS[name]: f(L, temperature, *means), *series)
        for name, series in {
            "abs m": (np.abs(m),),
            "susceptibility": (np.abs(m), m**2),
            "Binder cumulant": (m**2, m**4),
        }.items()
    }
    G = chain.observables["G"]
    found |= {f"G({r})": mean(G[..., r - 1]) for r in distances(L)}
    return {
        name: Answer(e.value, e.stderr, f"Swendsen-Wang, {e.ess:.0f} effective draws")
        for name, e in found.items()
    }


def combined_z(value: float, stderr: float, answer: Answer) -> float:
    """(value - answer) / both errors together; nan where the value has none."""
    error = math.hypot(stderr, answer.stderr)
    return (value - answer.value) / error if error > 0.0 else math.nan
