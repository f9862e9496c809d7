"""The restricted Boltzmann machine: which ensemble block Gibbs samples at beta, and the two
views of it.
"""

from functools import partial
from typing import Any

import numpy as np

from statmech_ml.exact import enumeration
from statmech_ml.models import BernoulliRBM
from statmech_ml.samplers import BlockGibbs, HeatBath, Sampler
from statmech_ml.spaces import Bits
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed
from validation.frequencies import final_states, frequencies

_BETAS = (0.5, 1.0, 1.6)


def asymmetric() -> BernoulliRBM:
    """Seven visible and five hidden units with biases and weights of both signs."""
    g = np.random.default_rng(40417)
    return BernoulliRBM(g.normal(0, 0.5, 7), g.normal(0, 0.5, 5), g.normal(0, 0.8, (7, 5)))


def _law(model: BernoulliRBM, beta: float, times_beta: bool) -> np.ndarray:
    """P(v): exp(-F_beta(v)) / Z, or the mistaken exp(-beta F_1(v)) / Z."""
    if not times_beta:
        return enumeration.distribution(model, beta)
    w = np.exp(-beta * model.free_energy(enumeration.states(Bits(7))))
    return np.asarray(w / w.sum())


def _sampled(model: Any, sampler: Sampler, beta: float, n: int, seed: int) -> np.ndarray:
    return final_states(model, sampler, beta=beta, n_chains=n, sweeps=40, seed=seed)


def _frequencies(
    seed: int, scale: int, *, times_beta: bool = False, slip: float = 1.0
) -> list[Measurement]:
    model = asymmetric()
    other = BernoulliRBM(model.visible_bias, model.hidden_bias, slip * model.weights)
    found = []
    for beta in _BETAS:
        v = _sampled(other, BlockGibbs(), beta, 20_000 * scale, derive_seed(seed, f"{beta}"))
        law = _law(model, beta, times_beta)
        found.append(frequencies(f"P(v), beta = {beta}", Bits(7).index(v), law))
    return found


def _joint(
    seed: int, scale: int, *, times_beta: bool = False, lose_hidden_bias: bool = False
) -> list[Measurement]:
    """Heat bath on (v, h) together: its visible units follow the marginal, its energy the joint
    law.
    """
    model = asymmetric()
    joint = model.joint()
    sampled = joint
    if lose_hidden_bias:
        bias = np.zeros(model.n_hidden)
        sampled = BernoulliRBM(model.visible_bias, bias, model.weights).joint()
    found = []
    for beta in (0.5, 1.3):
        x = _sampled(sampled, HeatBath(), beta, 20_000 * scale, derive_seed(seed, f"{beta}"))
        law = _law(model, beta, times_beta)
        name = f"beta = {beta}"
        found.append(frequencies(f"P(v), {name}", Bits(7).index(x[:, :7]), law))
        energy = model.joint_energy(x[:, :7], x[:, 7:])
        exact = enumeration.mean(joint, beta, joint.energy)
        found.append(against(f"<E(v, h)>, {name}", mean(energy[:, None]), float(exact)))
    return found


CHECKS = (
    Check(
        "rbm.state-frequencies",
        "Block Gibbs at beta visits v with probability exp(-F_beta(v)) / Z, F_beta = -log sum_h "
        "exp(-beta E(v, h)).",
        _frequencies,
        (
            Mutant("beta F_1(v) for F_beta(v)", partial(_frequencies, times_beta=True)),
            Mutant("weights 10% too large", partial(_frequencies, slip=1.1)),
            Mutant("wrong sign of the weights", partial(_frequencies, slip=-1.0)),
        ),
    ),
    Check(
        "rbm.joint-and-marginal",
        "Heat bath on (v, h) gives the same law of v as the marginal view, and <E(v, h)> as "
        "enumerated.",
        _joint,
        (
            Mutant("beta F_1(v) for F_beta(v)", partial(_joint, times_beta=True)),
            Mutant("hidden biases lost", partial(_joint, lose_hidden_bias=True)),
        ),
    ),
)
