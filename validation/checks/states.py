"""Visited states: the final states of many independent chains against the exact distribution."""

from functools import partial
from typing import Any

import numpy as np

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import enumeration
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Metropolis, Sampler, SwendsenWang, Wolff
from statmech_ml.spaces import Spins
from validation.check import Check, Measurement, Mutant, derive_seed
from validation.frequencies import final_states, frequencies

# --- systems of at most 12 spins --------------------------------------------------------------


def _glass(field: float) -> Ising:
    """Eight spins, 14 random bonds of both signs, in general frustrated."""
    g = np.random.default_rng(77)
    pairs = [(i, j) for i in range(8) for j in range(i)]
    edges = [pairs[k] for k in g.permutation(len(pairs))[:14]]
    return Ising(lattices.from_edges(edges), coupling=g.normal(size=14), field=field)


def refused(sampler: Sampler, model: Ising) -> bool:
    """Whether the sampler says that it cannot sample this model."""
    try:
        sampler.check(model)
    except (InvalidInput, MissingCapability):
        return True
    return False


def _cases(clusters: bool) -> list[tuple[str, Ising, float]]:
    """Systems of at most 12 spins where bugs show: J < 0, h != 0, odd ring, Lx != Ly, beta != 1."""
    cases = [
        ("3 x 4, J = 1.3", Ising(lattices.square(3, 4), 1.3), 0.3),
        ("4 x 2, J = -0.8", Ising(lattices.square(4, 2), -0.8), 0.4),
        ("ring of 7, J = 1", Ising(lattices.chain(7)), 0.4),
    ]
    if clusters:
        return cases
    return [
        *cases,
        ("4 x 2, J = -1, h = 0.6", Ising(lattices.square(4, 2), -1.0, 0.6), 0.35),
        ("glass, h = 0.3", _glass(0.3), 0.35),
        ("triangular 3 x 3, J = -1", Ising(lattices.triangular(3, 3), -1.0, 0.2), 0.5),
        ("ring of 5, J = -1, h = 0.35", Ising(lattices.chain(5), -1.0, 0.35), 0.5),
    ]


def _states(
    seed: int,
    scale: int,
    *,
    sampler: Sampler,
    clusters: bool = False,
    sweeps: int = 40,
    hotter: float = 1.0,
    flip: bool = False,
    cut: bool = False,
    cases: slice = slice(None),
) -> list[Measurement]:
    found = []
    fitting = [case for case in _cases(clusters) if not refused(sampler, case[1])]
    for name, model, beta in fitting[cases]:
        run = model
        if cut:
            couplings = np.full(model.lattice.n_bonds, model.coupling)
            couplings[0] = 0.0
            run = Ising(model.lattice, couplings)
        elif flip:  # wrong sign of the field, or of the coupling where there is no field
            sign = (1.0, -1.0) if np.any(model.field) else (-1.0, 1.0)
            run = Ising(model.lattice, sign[0] * model.coupling, sign[1] * model.field)
        last = final_states(
            run, sampler, beta=hotter * beta, n_chains=scale * 20_000, sweeps=sweeps,
            seed=derive_seed(seed, name),
        )  # fmt: skip
        law = enumeration.distribution(model, beta)
        found.append(frequencies(name, Spins(last.shape[1]).index(last), law))
    return found


class AlwaysAccept(Metropolis):
    """Metropolis that accepts every move; the mistake is in the name."""

    def advance(self, model: Any, state: Any, beta: Any, n_sweeps: int, device: str = "cpu") -> Any:
        """Metropolis at next to infinite temperature."""
        return super().advance(model, state, np.full_like(beta, 1e-9), n_sweeps, device)


def _states_check(name: str, claim: str, sampler: Sampler, *more: Mutant, **how: Any) -> Check:
    run = partial(_states, sampler=sampler, **how)
    mutants = (
        Mutant("temperature 10% too high", partial(run, hotter=1 / 1.1, cases=slice(2))),
        Mutant("one bond lost", partial(run, cut=True, cases=slice(2)))
        if how.get("clusters")
        else Mutant("wrong sign of a coupling or field", partial(run, flip=True, cases=slice(2))),
        *more,
    )
    return Check(
        name,
        "The final states of 20,000 chains follow exp(-beta E) / Z on systems of at most 12 "
        f"spins: {claim}.",
        run,
        mutants,
    )


# --- 4 x 4 torus ----------------------------------------------------------------------------------


def _histogram(seed: int, scale: int, *, sampler: Sampler, sign: float = 1.0) -> list[Measurement]:
    """The joint histogram of E and M at beta = 0.44."""
    model, n = Ising(lattices.square(4, 4)), 200_000 * scale
    x = enumeration.states(Spins(16))
    _, cell = np.unique(
        np.stack([model.energy(x), x.sum(axis=1, dtype=np.int64)]), axis=1, return_inverse=True
    )
    p = np.bincount(cell.ravel(), enumeration.distribution(model, 0.44))
    run = Ising(model.lattice, coupling=sign)
    last = final_states(run, sampler, beta=0.44, n_chains=n, sweeps=60, seed=seed)
    return [frequencies("P(E, M)", cell.ravel()[Spins(16).index(last)], p)]


def _all_states(
    seed: int, scale: int, *, sampler: Sampler, beta: float = 0.05
) -> list[Measurement]:
    """All 65,536 states at beta = 0.05 from two million chains."""
    model, cells = Ising(lattices.square(4, 4)), []
    for part in range(10 * scale):
        stream = derive_seed(seed, f"part {part}")
        last = final_states(model, sampler, beta=beta, n_chains=200_000, sweeps=12, seed=stream)
        cells.append(Spins(16).index(last))
    law = enumeration.distribution(model, 0.05)
    return [frequencies("65,536 states", np.concatenate(cells), law)]


CHECKS = (
    _states_check("samplers.heat-bath-states", "HeatBath", HeatBath(), sweeps=20),
    _states_check(
        "samplers.metropolis-states",
        "Metropolis at random sites",
        Metropolis(),
        Mutant("always accept", partial(_states, sampler=AlwaysAccept(), cases=slice(2))),
    ),
    _states_check(
        "samplers.checkerboard-states",
        "Metropolis by colour, where that is ergodic",
        Metropolis("checkerboard"),
        sweeps=25,
    ),
    _states_check("samplers.wolff-states", "Wolff", Wolff(), clusters=True, sweeps=60),
    _states_check("samplers.swendsen-wang-states", "SwendsenWang", SwendsenWang(), clusters=True),
    Check(
        "samplers.histogram-4x4",
        "The joint histogram of E and M of the 4 x 4 torus at beta = 0.44 follows exp(-beta E) / "
        "Z.",
        partial(_histogram, sampler=SwendsenWang()),
        (Mutant("wrong sign of J", partial(_histogram, sampler=HeatBath(), sign=-1.0)),),
        tier="full",
    ),
    Check(
        "samplers.all-states-4x4",
        "All 65,536 states of the 4 x 4 torus at beta = 0.05 appear with probability exp(-beta E) "
        "/ Z.",
        partial(_all_states, sampler=HeatBath()),
        (Mutant("temperature 25% too high", partial(_all_states, sampler=HeatBath(), beta=0.04)),),
        tier="full",
    ),
)
