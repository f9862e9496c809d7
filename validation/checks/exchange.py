"""Replica exchange: what it leaves invariant, and how often neighbours swap."""

from functools import partial
from typing import Any

import numpy as np
from scipy.special import betainc

from statmech_ml import sample
from statmech_ml.exact import enumeration
from statmech_ml.models import BernoulliRBM, Gaussian
from statmech_ml.samplers import MALA, BlockGibbs, ReplicaExchange, State
from statmech_ml.spaces import Bits
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed
from validation.frequencies import frequencies

# --- the cold marginal of a small RBM -------------------------------------------------------------

_LADDER = np.array([0.2, 0.5, 1.0])


class SwapOnBetaF1(BernoulliRBM):
    """Block Gibbs as it should be, but swaps on beta F_1(v) in place of F_beta(v)."""

    def reduced_energy(self, v: Any, beta: Any) -> np.ndarray:
        """The mistake."""
        return np.asarray(np.asarray(beta) * super().reduced_energy(v, 1.0))


class SwapBlindly(BernoulliRBM):
    """Every swap accepted."""

    def reduced_energy(self, v: Any, beta: Any) -> np.ndarray:
        """The mistake."""
        return np.zeros(np.broadcast_shapes(v.shape[:-1], np.shape(beta)))


def _machine(kind: type[BernoulliRBM]) -> BernoulliRBM:
    """Four visible and three hidden units, strongly coupled."""
    g = np.random.default_rng(29979)
    return kind(g.normal(0, 1.0, 4), g.normal(0, 1.0, 3), g.normal(0, 2.0, (4, 3)))


def _marginals(
    seed: int, scale: int, *, kind: type[BernoulliRBM] = BernoulliRBM
) -> list[Measurement]:
    """Visible states of every slot, one final configuration of each of many ladders."""
    n = 20_000 * scale
    chain = sample(
        _machine(kind), ReplicaExchange(BlockGibbs()), beta=np.tile(_LADDER, n), n_draws=1,
        burn_in=40, rng=seed, keep_states=False, progress=False,
    )  # fmt: skip
    cells = Bits(4).index(chain.final.x).reshape(n, len(_LADDER))
    exact = _machine(BernoulliRBM)
    return [
        frequencies(f"P(v), beta = {beta}", cells[:, k], enumeration.distribution(exact, beta))
        for k, beta in enumerate(_LADDER)
    ]


# --- harmonic wells -------------------------------------------------------------------------------


def _swap_rates(
    seed: int, scale: int, *, dims_of: float = 1.0, ratio_of: float = 1.0
) -> list[Measurement]:
    """Energies of a well in d dimensions follow Gamma(d/2, beta); neighbours swap with probability
    2 P(E_hot < E_cold) = 2 I_{beta_1 / (beta_1 + beta_2)}(d/2, d/2).

    From exact draws at both temperatures, through one move and one swap.
    """
    found = []
    n = 4000 * scale
    for d in (1, 3, 12):
        for hot, cold in ((0.7, 1.0), (0.5, 2.0)):
            name = f"d = {d}, beta = {hot} and {cold}"
            model = Gaussian(stddev=1.3, dim=d)
            betas = np.tile([hot, cold], n)
            stream = derive_seed(seed, name)
            chains = np.arange(2 * n, dtype=np.uint32)
            x = model.draws(stream, chains) / np.sqrt(betas)[:, None]
            sampler = ReplicaExchange(MALA(step_size=0.3, adapt=False))
            state = State(x, stream + 1, chains, 0)
            after, info = sampler.advance(model, state, betas, 1)
            rate = info["swap_acceptance"][::2]
            exact = 2.0 * betainc(
                dims_of * d / 2, dims_of * d / 2, ratio_of * hot / (ratio_of * hot + cold)
            )
            found.append(against(f"swap rate, {name}", mean(rate[:, None]), exact))
            energy = model.energy(after.x).reshape(n, 2)
            for k, beta in enumerate((hot, cold)):
                label = f"<E> at beta = {beta}, {name}"
                found.append(against(label, mean(energy[:, k][:, None]), dims_of * d / (2 * beta)))
    return found


CHECKS = (
    Check(
        "exchange.rbm-marginals",
        "Replica exchange on a 4 x 3 RBM leaves exp(-F_beta(v)) / Z at every beta: swaps on "
        "F_beta(v), not on beta F_1(v).",
        _marginals,
        (
            Mutant("swaps on beta F_1(v)", partial(_marginals, kind=SwapOnBetaF1)),
            Mutant("every swap accepted", partial(_marginals, kind=SwapBlindly)),
        ),
    ),
    Check(
        "exchange.harmonic-swap-rate",
        "Harmonic wells in d dimensions swap with probability 2 I_x(d/2, d/2), x = beta_1 / "
        "(beta_1 + beta_2), and keep <E> = d / 2 beta.",
        _swap_rates,
        (
            Mutant("twice the dimensions", partial(_swap_rates, dims_of=2.0)),
            Mutant("hot slot 10% too cold", partial(_swap_rates, ratio_of=1.1)),
        ),
    ),
)
