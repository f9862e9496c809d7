"""Hamiltonian Monte Carlo: its identity, the law of its leapfrog, and what adaptation may not."""

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
from scipy.stats import norm

from statmech_ml.exact import quadrature
from statmech_ml.exact.langevin import leapfrog_variance
from statmech_ml.models import Gaussian, GaussianMixture
from statmech_ml.samplers import HMC
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed
from validation.frequencies import frequencies

_BINS = 30

# --- <exp(-dH)> = 1 -------------------------------------------------------------------------------


def _creutz(seed: int, scale: int, *, wrong_mean: float = 0.0) -> list[Measurement]:
    """From exact draws, one trajectory without accept/reject; weighted averages of its ends too."""
    found, n = [], 20_000 * scale
    model = Gaussian([0.5, -1.0], covariance=[[0.8, 0.5], [0.5, 1.2]])
    for eps, n_steps in ((0.3, 1), (0.6, 4)):
        name = f"eps = {eps}, {n_steps} steps"
        stream = derive_seed(seed, name)
        sampler = HMC(eps, n_steps, adjusted=False, mass=(1.5, 0.7))
        start = model.draws(stream, np.arange(n, dtype=np.uint32)) + wrong_mean
        state = sampler.init(model, n, stream + 1, start)
        state, info = sampler.advance(model, state, np.ones(n), 1)
        weight = np.exp(info["correction"])
        shift = weight * (state.x[:, 0] - 0.5)
        square = weight * (state.x[:, 1] + 1.0) ** 2
        for label, values, exact in (
            ("<exp(-dH)>", weight, 1.0),
            ("<x exp(-dH)> - <x>", shift, 0.0),
            ("<y^2 exp(-dH)> about the mean", square, 1.2),
        ):
            found.append(against(f"{label}, {name}", mean(values[:, None]), exact))
    return found


# --- the leapfrog's own law -----------------------------------------------------------------------


def _leapfrog(
    seed: int, scale: int, *, exact: bool = False, eta: bool = False
) -> list[Measurement]:
    """Final states without accept/reject, in cells that the law makes equally probable."""
    found, n = [], 10_000 * scale
    for stiffness, eps, n_steps in ((1.0, 1.0, 1), (1.0, 0.7, 6), (2.5, 0.7, 3)):
        name = f"k = {stiffness}, eps = {eps}, {n_steps} steps"
        model = Gaussian(0.3, stiffness**-0.5)
        sampler = HMC(eps, n_steps, adjusted=False)
        state = sampler.init(model, n, derive_seed(seed, name))
        x = sampler.advance(model, state, np.ones(n), 25)[0].x[:, 0]
        variance = float(leapfrog_variance(eps, stiffness))
        if exact:
            variance = 1.0 / stiffness
        if eta:
            variance = 1.0 / (stiffness * (1.0 - eps * stiffness / 2.0))
        u = norm.cdf(x, 0.3, np.sqrt(variance))
        cells = np.minimum((u * _BINS).astype(int), _BINS - 1)
        found.append(frequencies(f"P(x), {name}", cells, np.full(_BINS, 1.0 / _BINS)))
    return found


# --- laws after the warm-up -----------------------------------------------------------------------


@lru_cache(maxsize=8)
def _edges(model: GaussianMixture, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """A grid and the distribution function on it, checked against quadrature."""
    grid = np.linspace(-6.0, 6.0, 200_001)
    density = np.exp(-np.asarray(model.reduced_energy(grid[:, None], beta)))
    law = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    z = quadrature.log_z(lambda x: model.reduced_energy(x[:, None], beta), -6.0, 6.0).value
    if abs(np.log(law[-1] * (grid[1] - grid[0])) - z) > 1e-6:
        raise ArithmeticError(f"the grid is too coarse for {model!r}")
    return grid, law / law[-1]


# Narrow and wide by turns: the step that suits one place does not suit the other.
_UNEVEN = GaussianMixture([1.0, 1.0], [[-0.6], [0.6]], [0.1, 0.8])


def _after_warm_up(
    seed: int, scale: int, *, left_on: bool = False, cooler: float = 1.0
) -> list[Measurement]:
    found, n = [], 3_000 * scale
    for beta in (1.0, 0.7):
        model, name = _UNEVEN, f"P(x), beta = {beta}"
        betas = np.full(n, cooler * beta)
        sampler = HMC(0.3, 3)
        state = sampler.init(model, n, derive_seed(seed, name))
        if left_on:
            x = _adapting_for_ever(model, sampler, state, betas)
        else:
            fixed, state = sampler.warm_up(model, state, betas, 100)
            x = fixed.advance(model, state, betas, 200)[0].x
        grid, law = _edges(model, beta)
        cells = np.minimum((np.interp(x[:, 0], grid, law) * _BINS).astype(int), _BINS - 1)
        found.append(frequencies(name, cells, np.full(_BINS, 1.0 / _BINS)))
    return found


def _adapting_for_ever(model, sampler, state, betas) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Every sweep moves each chain's step by its last acceptance."""
    log_step = np.full(len(betas), np.log(sampler.step_size))
    for _ in range(120):
        moving = replace(sampler, step_size=tuple(np.exp(log_step).tolist()))
        state, info = moving.advance(model, state, betas, 1)
        log_step += 2.0 * (np.exp(-np.maximum(info["energy_error"], 0.0)) - sampler.target)
    return np.asarray(state.x)


CHECKS = (
    Check(
        "hmc.energy-error",
        "<exp(-dH)> = 1 over trajectories that start in equilibrium (Creutz 1988), and weighted so "
        "their ends have the moments of the target.",
        _creutz,
        (Mutant("starts out of equilibrium", partial(_creutz, wrong_mean=0.2)),),
    ),
    Check(
        "hmc.leapfrog-law",
        "Without accept/reject the leapfrog samples a harmonic well with variance "
        "1 / (k (1 - eps^2 k / 4)), whatever the number of steps.",
        _leapfrog,
        (
            Mutant("no bias", partial(_leapfrog, exact=True)),
            Mutant("the bias of ULA", partial(_leapfrog, eta=True)),
        ),
    ),
    Check(
        "hmc.after-warm-up",
        "Steps and masses are adapted in the warm-up only; what follows has the exact law, on a "
        "mixture of a narrow and a wide Gaussian.",
        _after_warm_up,
        (
            Mutant("adaptation left on", partial(_after_warm_up, left_on=True)),
            Mutant("25% too cold", partial(_after_warm_up, cooler=1.25)),
        ),
    ),
)
