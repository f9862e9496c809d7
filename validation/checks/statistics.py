"""Error bars: over many independent runs, z-scores have mean 0 and standard deviation 1."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from statmech_ml import Estimate, observables, sample
from statmech_ml.exact import kaufman
from statmech_ml.lattices import square
from statmech_ml.models import Ising
from statmech_ml.samplers import HeatBath, Sampler, SwendsenWang, Wolff
from statmech_ml.statistics import blocking_error, integrated_time, jackknife, mean
from validation import torus
from validation.check import Check, Measurement, Mutant, calibration, derive_seed

Change = Callable[[Estimate], Estimate]
"""What a mutant does to an estimate before its z is taken."""


def unchanged(estimate: Estimate) -> Estimate:
    """No mistake."""
    return estimate


def half_width(estimate: Estimate) -> Estimate:
    """A 95% confidence half-width where a standard error belongs."""
    return replace(estimate, stderr=1.96 * estimate.stderr)


def ignoring_correlation(estimate: Estimate) -> Estimate:
    """The error of independent draws."""
    return replace(estimate, stderr=estimate.stderr / np.sqrt(2.0 * estimate.tau_int))


# --- a process whose answers are known: AR(1) -----------------------------------------------------


@lru_cache(maxsize=4)
def _ar1(seed: int, runs: int, rho: float = 0.8, n: int = 8000) -> np.ndarray:
    """Stationary AR(1) series (run, chain, draw), x' = rho x + noise, variance 1 and mean 0."""
    rng = np.random.default_rng(seed)
    x = np.empty((runs, 2, n))
    x[..., 0] = rng.normal(size=(runs, 2))
    noise = np.sqrt(1.0 - rho**2) * rng.normal(size=(runs, 2, n))
    for t in range(1, n):
        x[..., t] = rho * x[..., t - 1] + noise[..., t]
    return x


def _ar1_tau(seed: int, scale: int, *, factor: float = 1.0) -> list[Measurement]:
    """tau_int = 1/2 + sum rho^t = (1 + rho) / (2 (1 - rho)) = 4.5 at rho = 0.8."""
    taus = [factor * integrated_time(x).tau_int for x in _ar1(seed, 32 * scale)]
    n = len(taus)
    mean_tau, error = float(np.mean(taus)), float(np.std(taus, ddof=1)) / n**0.5
    # Sokal's window ends at W >= 5 tau = 22.5, which leaves out sum_{t > W} rho^t.
    exact = 4.5 - 0.8**24 / (1.0 - 0.8)
    return [
        Measurement("tau_int, rho = 0.8", mean_tau, exact, error, n, (mean_tau - exact) / error)
    ]


def _ar1_errors(seed: int, scale: int, *, change: Change = unchanged) -> list[Measurement]:
    runs = _ar1(seed, 96 * scale)
    found = calibration("mean (tau)", [change(mean(x)).z(0.0) for x in runs])
    found += calibration("mean (blocking)", [change(blocking_error(x)).z(0.0) for x in runs])
    squares = [change(jackknife(lambda m: np.sqrt(m), x**2)).z(1.0) for x in runs]
    return found + calibration("sqrt <x^2> (jackknife)", squares)


# --- Ising ----------------------------------------------------------------------------------------

_QUANTITIES = ("energy_per_site", "specific_heat", "abs_magnetization", "binder")


def _exact(L: int, beta: float) -> dict[str, float]:
    """Kaufman for the energy, the transfer matrix for the magnetisation."""
    return {
        "energy_per_site": float(kaufman.energy_per_site(L, L, beta)),
        "specific_heat": float(kaufman.specific_heat(L, L, beta)),
        "abs_magnetization": torus.abs_magnetization(L, L, beta),
        "binder": torus.binder(L, L, beta),
    }


@lru_cache(maxsize=8)
def _estimates(
    sampler: Sampler, L: int, T: float, runs: int, draws: int, thin: int, apart: bool, seed: int
) -> dict[str, list[Estimate]]:
    """Estimates of independent runs of 4 chains each; one seed for each run where `apart`."""
    model, n_chains = Ising(square(L, L)), 4
    found: dict[str, list[Estimate]] = {name: [] for name in _QUANTITIES}
    batch = 1 if apart else runs
    for first in range(0, runs, batch):
        chain = sample(
            model, sampler, temperature=T, n_chains=n_chains * batch, n_draws=draws, thin=thin,
            burn_in=200, rng=derive_seed(seed, f"run {first}"), keep_states=False, progress=False,
        )  # fmt: skip
        for k in range(batch):
            part = slice(n_chains * k, n_chains * (k + 1))
            for name in _QUANTITIES:
                estimate = observables.estimate(
                    name,
                    energy=chain.energy[part],
                    magnetization=chain.observables["magnetization"][part],
                    beta=1.0 / T,
                    n_sites=L * L,
                )
                found[name].append(estimate)
    return found


def _honest(
    seed: int,
    scale: int,
    *,
    sampler: Sampler,
    L: int,
    T: float,
    runs: int,
    draws: int,
    thin: int = 1,
    apart: bool = False,
    change: Change = unchanged,
) -> list[Measurement]:
    exact = _exact(L, 1.0 / T)
    estimates = _estimates(sampler, L, T, runs * scale, draws, thin, apart, seed)
    found = []
    for name in _QUANTITIES:
        z = [change(estimate).z(exact[name]) for estimate in estimates[name]]
        found += calibration(name, z)
    return found


_MUTANTS = (
    ("95% half-width as standard error", half_width),
    ("autocorrelation ignored", ignoring_correlation),
)


def _honest_full(sampler: Sampler, L: int, T: float, draws: int, thin: int) -> Check:
    run = partial(_honest, sampler=sampler, L=L, T=T, runs=100, draws=draws, thin=thin, apart=True)
    name = {"HeatBath": "heat-bath", "SwendsenWang": "swendsen-wang", "Wolff": "wolff"}
    return Check(
        f"statistics.honest-{name[type(sampler).__name__]}",
        f"Over 100 seeds of {type(sampler).__name__}, {L} x {L} at T = {T}, z of energy, specific "
        "heat, |m| and Binder cumulant has mean 0 and sd 1.",
        run,
        tuple(Mutant(mistake, partial(run, change=change)) for mistake, change in _MUTANTS),
        tier="full",
    )


_FAST = partial(_honest, sampler=HeatBath(), L=6, T=2.6, runs=96, draws=1200, thin=2)

CHECKS = (
    Check(
        "statistics.tau",
        "AR(1) with rho = 0.8 has tau_int = (1 + rho) / (2 (1 - rho)) = 4.5 (1/2 + sum "
        "convention).",
        _ar1_tau,
        (Mutant("tau = 1 + 2 sum rho", partial(_ar1_tau, factor=2.0)),),
    ),
    Check(
        "statistics.error-bars",
        "Means, blocking errors and jackknife errors of AR(1) series: z has mean 0 and sd 1 over "
        "96 series.",
        _ar1_errors,
        tuple(Mutant(mistake, partial(_ar1_errors, change=change)) for mistake, change in _MUTANTS),
    ),
    Check(
        "statistics.honest-errors",
        "z of energy, specific heat, |m| and Binder cumulant (6 x 6, T = 2.6) has mean 0 and sd 1 "
        "over 96 runs.",
        _FAST,
        tuple(Mutant(mistake, partial(_FAST, change=change)) for mistake, change in _MUTANTS),
    ),
    _honest_full(HeatBath(), 8, 2.6, draws=3000, thin=2),
    _honest_full(SwendsenWang(), 8, 2.269185314213, draws=3000, thin=1),
    _honest_full(Wolff(), 8, 3.0, draws=3000, thin=1),
)
