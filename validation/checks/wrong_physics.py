"""Bugs of released codes that gave wrong physics without an error; each is a mutant that is
rejected here.

Sweep orders that are not ergodic, cluster updates on J < 0, a coupling missing in an observable,
one seed for all workers, stripes taken for equilibrium. (A half-width printed or used as a standard
error is a mutant of `exact.printed-error` and of all calibrations in `statistics` and `partition`.)
"""

from functools import lru_cache, partial
from typing import Any

import numpy as np

from statmech_ml import Chain, _rng, lattices, sample
from statmech_ml.exact import kaufman, onsager, ring
from statmech_ml.graphs import Schedule
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Metropolis, Sampler, State, SwendsenWang, Wolff
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

from .states import refused

# --- sweep order ----------------------------------------------------------------------------------


class SiteBySite(Ising):
    """An Ising model whose sites are visited from first to last."""

    @property
    def schedule(self) -> Schedule:
        """Natural order instead of colours."""
        return Schedule.sequential(self.space.size)


class FixedOrder(Metropolis):
    """Metropolis in a fixed order without the guard that refuses rings; the mistake is in the
    name.
    """

    def check(self, model: Any) -> None:
        """Accept every model."""


def _ring(
    seed: int, scale: int, *, samplers: tuple[Sampler, ...], sign: float = 1.0
) -> list[Measurement]:
    model, found = SiteBySite(lattices.chain(64)), []
    exact = float(ring.energy_per_site(64, 1.0))
    for sampler in samplers:
        name = type(sampler).__name__
        chain = sample(
            model, sampler, beta=1.0, n_chains=100, n_draws=400 * scale, burn_in=300,
            rng=derive_seed(seed, name), keep_states=False, progress=False,
        )  # fmt: skip
        energy = mean(sign * chain.energy / 64, on_short="accept")
        found.append(against(f"u of the ring, {name}", energy, exact))
    is_refused = float(refused(Metropolis("checkerboard"), model))
    found.append(identity("a fixed order on a ring is refused", is_refused, 1.0, 0.5))
    return found


# --- cluster updates on J < 0 ---------------------------------------------------------------------


def _antiferromagnet(seed: int, scale: int, *, no_bonds: bool = False) -> list[Measurement]:
    """A gauge turns the bipartite antiferromagnet into a ferromagnet; a frustrated one is
    refused.
    """
    model, found = Ising(lattices.square(12, 16), coupling=-1.0), []
    for sampler in (SwendsenWang(), Wolff()):
        name = type(sampler).__name__
        # Bonds with probability 1 - exp(-2 beta J) < 0 are never made: infinite temperature.
        beta = 0.0 if no_bonds else 0.42
        chain = sample(
            model, sampler, beta=beta, n_chains=64, n_draws=150 * scale, thin=2, burn_in=60,
            rng=derive_seed(seed, name), keep_states=False, progress=False,
        )  # fmt: skip
        energy = mean(chain.energy / model.space.size)
        exact = kaufman.energy_per_site(12, 16, 0.42, coupling=-1.0)
        found.append(against(f"u, J = -1, {name}", energy, float(exact)))
        frustrated = Ising(lattices.triangular(4, 4), coupling=-1.0)
        is_refused = float(refused(sampler, frustrated))
        found.append(identity(f"frustrated J < 0 is refused, {name}", is_refused, 1.0, 0.5))
    return found


# --- J in observables -----------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _couplings(J: float, draws: int, seed: int) -> Chain:
    return sample(
        Ising(lattices.square(12, 12), coupling=J), SwendsenWang(), temperature=2.4 * J,
        n_chains=64, n_draws=draws, burn_in=60, rng=seed, keep_states=False, progress=False,
    )  # fmt: skip


def _coupling(seed: int, scale: int, *, forget: str = "") -> list[Measurement]:
    found = []
    for J in (0.4, 2.5):
        chain = _couplings(J, 200 * scale, derive_seed(seed, f"J = {J}"))
        at = (12, 12, 1.0 / (2.4 * J), J)
        u, c = float(kaufman.energy_per_site(*at)), float(kaufman.specific_heat(*at))
        if forget == "energy":
            u /= J
        if forget == "specific heat":
            c /= J**2
        if forget == "temperature":
            u = float(kaufman.energy_per_site(12, 12, 1.0 / 2.4, J))
        found.append(against(f"u, J = {J}", chain.estimate("energy_per_site"), u))
        found.append(against(f"c, J = {J}", chain.estimate("specific_heat"), c))
    return found


# --- one seed for all workers ---------------------------------------------------------------------


def _pair_correlation(energy: np.ndarray, name: str) -> Measurement:
    """Mean product of the energy fluctuations of two different chains; 0 where they are
    independent.
    """
    e = energy - 64 * float(kaufman.energy_per_site(8, 8, 1.0 / 3.0))
    e, n = e / e.std(), len(e)
    pairs = (e.sum(axis=0) ** 2 - (e**2).sum(axis=0)) / (n * (n - 1))
    return against(f"correlation of chains, {name}", mean(pairs, on_short="accept"), 0.0)


def _streams(
    seed: int, scale: int, *, one_stream: bool = False, one_seed: bool = False
) -> list[Measurement]:
    """Chains of one run, and runs of neighbouring seeds, from the same ordered start."""
    model, found = Ising(lattices.square(8, 8)), []
    for sampler in (HeatBath(), Metropolis(), SwendsenWang(), Wolff()):
        name = type(sampler).__name__
        runs = []
        for k in range(2):
            key = _rng.seed_from(seed if one_seed else seed + k)
            chains = np.arange(16, dtype=np.uint32)
            streams = np.zeros_like(chains) if one_stream else chains
            start = State(np.ones((16, 64), np.int8), key, streams, 0)
            chain = sample(
                model, sampler, temperature=3.0, n_draws=400 * scale, thin=4, burn_in=50,
                start=start, keep_states=False, progress=False,
            )  # fmt: skip
            runs.append(chain.energy)
        if not one_seed:
            found.append(_pair_correlation(runs[0], name))
        pairs = np.stack([runs[0].mean(axis=0), runs[1].mean(axis=0)])
        found.append(_pair_correlation(pairs, f"two seeds, {name}"))
    return found


# --- stripes --------------------------------------------------------------------------------------


def _stripes(seed: int, scale: int, *, sampler: Sampler) -> list[Measurement]:
    """From ordered and from random starts to the same energy and |m|, far below T_c."""
    L, T, found = 24, 1.5, []
    model = Ising(lattices.square(L, L))
    exact = float(kaufman.energy_per_site(L, L, 1.0 / T))
    # In the ordered phase finite sizes matter by exp(-L sigma), sigma = 2 K + log tanh K = 0.79.
    yang = float(onsager.magnetization(1.0 / T))
    for start in ("ordered", "random"):
        chain = sample(
            model, sampler, temperature=T, n_chains=300, n_draws=30 * scale, thin=2, burn_in=60,
            start=start, rng=derive_seed(seed, start), keep_states=False, progress=False,
        )  # fmt: skip
        m = np.abs(chain.observables["magnetization"]) / L**2
        for name, series, answer in (("u", chain.energy / L**2, exact), ("|m|", m, yang)):
            estimate = mean(series, on_short="accept")
            found.append(against(f"{name} from {start} start", estimate, answer))
    return found


CHECKS = (
    Check(
        "wrong-physics.sweep-order",
        "The ring of 64 spins at T = 1 has u = -0.7616 in any ergodic order; a fixed Metropolis "
        "order is refused.",
        partial(_ring, samplers=(HeatBath(), Metropolis(), Wolff(), SwendsenWang())),
        (
            Mutant(
                "Metropolis in a fixed order",
                partial(_ring, samplers=(FixedOrder("checkerboard"),)),
            ),
            Mutant(
                "wrong sign of J", partial(_ring, samplers=(HeatBath(), Metropolis()), sign=-1.0)
            ),
        ),
    ),
    Check(
        "wrong-physics.antiferromagnet",
        "Cluster updates give Kaufman's energy for J < 0 on a bipartite torus and refuse "
        "frustrated lattices.",
        _antiferromagnet,
        (
            Mutant(
                "bond probability 1 - exp(-2 beta J), J < 0",
                partial(_antiferromagnet, no_bonds=True),
            ),
        ),
    ),
    Check(
        "wrong-physics.lost-coupling",
        "At J = 0.4 and 2.5 and the same beta J, u scales with J and c does not (Kaufman).",
        _coupling,
        (
            Mutant("J missing in the energy", partial(_coupling, forget="energy")),
            Mutant("J missing in the specific heat", partial(_coupling, forget="specific heat")),
            Mutant("J missing in the temperature", partial(_coupling, forget="temperature")),
        ),
    ),
    Check(
        "wrong-physics.shared-stream",
        "Energies of different chains, and of runs with neighbouring seeds, are uncorrelated.",
        _streams,
        (
            Mutant("one stream for all chains", partial(_streams, one_stream=True)),
            Mutant("one seed for two runs", partial(_streams, one_seed=True)),
        ),
    ),
    Check(
        "wrong-physics.stripes",
        "At T = 1.5, L = 24, ordered and random starts reach Kaufman's energy and Yang's |m|.",
        partial(_stripes, sampler=SwendsenWang()),
        (Mutant("local updates from random starts", partial(_stripes, sampler=HeatBath())),),
    ),
)
