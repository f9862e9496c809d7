"""The Ising model as a restricted Boltzmann machine: the control that must show no deviation.

One hidden spin a bond represents the 8x8 torus exactly (`Ising.as_rbm`), so what is measured of
trained machines is measured here of one without a training error, against Kaufman's solution.
"""

from functools import partial

import numpy as np

from statmech_ml import lattices, sample
from statmech_ml.exact import kaufman, transfer_matrix
from statmech_ml.models import RBM, Ising
from statmech_ml.partition import Weights, ais
from statmech_ml.samplers import BlockGibbs, SwendsenWang
from statmech_ml.statistics import jackknife, mean
from validation.check import Check, Measurement, Mutant, against, derive_seed
from validation.frequencies import final_states

_L, _BETA = 8, 1.0 / 2.269
_MODEL = Ising(lattices.square(_L, _L))
_N = _MODEL.space.size


def _machine(slip: float) -> RBM:
    """The RBM of the model, or of couplings `slip` times as strong."""
    return _MODEL.as_rbm(slip * _BETA)[0]


def _exact_heat() -> float:
    return float(kaufman.specific_heat(_L, _L, beta=_BETA))


def _exact_energy() -> float:
    return float(kaufman.energy_per_site(_L, _L, beta=_BETA))


def _kept(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    """From cluster draws of the model, through sweeps of the machine, to one state a chain.

    Clusters forget their start in a few sweeps, where block Gibbs takes thousands at T_c; moves
    that leave another law invariant lead away from it in a few.
    """
    n = 4_000 * scale
    start = final_states(
        _MODEL, SwendsenWang(), beta=_BETA, n_chains=n, sweeps=40, seed=derive_seed(seed, "start")
    )
    chain = sample(
        _machine(slip), BlockGibbs(), beta=1.0, n_chains=n, n_draws=1, burn_in=30, start=start,
        rng=derive_seed(seed, "block Gibbs"), keep_states=False, progress=False,
    )  # fmt: skip
    x = chain.final.x
    u, c = _exact_energy(), _exact_heat()
    E, order = _MODEL.energy(x) / _N, np.abs(x.mean(axis=1, dtype=np.float64))
    M, p = transfer_matrix.magnetization_distribution(_MODEL, _BETA)
    heat = _N * _BETA**2 * (E - u) ** 2
    return [
        against("energy per spin", mean(E[:, None]), u),
        against("specific heat", mean(heat[:, None]), c),
        against("|m|", mean(order[:, None]), float(p @ np.abs(M)) / _N),
    ]


def _log_z(
    seed: int, scale: int, *, slip: float = 1.0, lose_constant: bool = False
) -> list[Measurement]:
    """log Z of the machine, less the constant: Kaufman's."""
    rbm, constant = _MODEL.as_rbm(slip * _BETA)
    found = ais(
        Weights(rbm), n_levels=300, n_chains=400 * scale, rng=derive_seed(seed, "ais"),
        progress=False,
    )  # fmt: skip
    exact = float(kaufman.log_z(_L, _L, beta=_BETA)) + (0.0 if lose_constant else constant)
    z = found.z(exact)
    return [Measurement("log Z", found.value, exact, found.stderr, 400 * scale, z)]


def _from_random_starts(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    """Block Gibbs alone, from random starts, with errors that count its correlations."""
    chain = sample(
        _machine(slip), BlockGibbs(), beta=1.0, n_chains=200, n_draws=500 * scale, thin=5,
        burn_in=2_500, rng=seed, keep_states=False, progress=False,
        observables={"E": _MODEL.energy},
    )  # fmt: skip
    E, unit = chain.observables["E"], _BETA**2 / _N
    heat = jackknife(lambda e, e2: (e2 - e * e) * unit, E, E * E)
    return [
        against("energy per spin", mean(E / _N), _exact_energy()),
        against("specific heat", heat, _exact_heat()),
    ]


CHECKS = (
    Check(
        "ising-rbm.kaufman",
        "Block Gibbs of the RBM with one hidden spin a bond leaves the law of the 8x8 torus at "
        "T = 2.269 invariant: Kaufman's energy and specific heat, |m| of the transfer matrix.",
        _kept,
        (Mutant("couplings 3% too strong", partial(_kept, slip=1.03)),),
    ),
    Check(
        "ising-rbm.log-z",
        "AIS of that RBM gives Kaufman's log Z plus the sum over bonds of log 2 + beta |J|.",
        _log_z,
        (
            Mutant("constant lost", partial(_log_z, lose_constant=True)),
            Mutant("couplings 5% too strong", partial(_log_z, slip=1.05)),
        ),
    ),
    Check(
        "ising-rbm.from-random-starts",
        "Block Gibbs of that RBM comes to Kaufman's energy and specific heat from random starts.",
        _from_random_starts,
        (Mutant("couplings 3% too strong", partial(_from_random_starts, slip=1.03)),),
        tier="full",
    ),
)
