"""Annealed importance sampling against exact log Z: its errors over many seeds, and its two
bounds.
"""

from collections.abc import Callable
from functools import cache, lru_cache, partial

import numpy as np
from scipy.special import logsumexp

from statmech_ml import lattices
from statmech_ml.exact import kaufman, quadrature, rbm
from statmech_ml.models import DoubleWell, Gaussian, Ising
from statmech_ml.partition import Geometric, LogZ, Path, Tempering, Weights, ais, exact_sum
from statmech_ml.samplers import BlockGibbs
from statmech_ml.statistics import mean
from validation.check import (
    Check,
    Measurement,
    Mutant,
    against,
    calibration,
    derive_seed,
    identity,
)

from .rbm import asymmetric


@cache
def _ising() -> tuple[Path, float, str]:
    model = Ising(lattices.square(4, 6), coupling=1.0)
    return Tempering(model, beta=0.25), float(kaufman.log_z(4, 6, 0.25)), "4 x 6 torus"


@cache
def _weights() -> tuple[Path, float, str]:
    model = asymmetric()
    return Weights(model), float(rbm.log_z(model)), "RBM by its weights"


@cache
def _rbm_tempering() -> tuple[Path, float, str]:
    model = asymmetric()
    path = Tempering(model, beta=1.3, sampler=BlockGibbs())
    return path, float(rbm.log_z(model, 1.3)), "RBM at beta = 1.3"


@cache
def _well() -> tuple[Path, float, str]:
    model = DoubleWell(barrier=2.0, tilt=0.4)
    path = Geometric(Gaussian(stddev=1.2), model, beta=1.2)
    exact = quadrature.log_z(lambda x: model.reduced_energy(x[:, None], 1.2)).value
    return path, exact, "double well"


@lru_cache(maxsize=8)
def _runs(
    system: Callable[[], tuple[Path, float, str]], levels: int, chains: int, runs: int, seed: int
) -> tuple[LogZ, ...]:
    path = system()[0]
    return tuple(
        ais(path, n_levels=levels, n_chains=chains, rng=derive_seed(seed, f"run {k}"))
        for k in range(runs)
    )


def _calibration(
    seed: int,
    scale: int,
    *,
    system: Callable[[], tuple[Path, float, str]],
    levels: int,
    chains: int = 400,
    runs: int = 80,
    mistake: str = "",
) -> list[Measurement]:
    path, exact, name = system()
    results = _runs(system, levels, chains, runs * scale, seed)
    log_w = np.array([r.diagnostics["log_weights"] for r in results]) + path.log_z_reference
    values = np.array([r.value for r in results])
    errors = np.array([r.stderr for r in results])
    if mistake == "mean of log w":
        values = log_w.mean(axis=1)
    elif mistake == "half-width":
        errors = 1.96 * errors
    elif mistake == "reference":
        values, log_w = values - path.log_z_reference, log_w - path.log_z_reference
    found = calibration(f"log Z, {name}", (values - exact) / errors)
    # E[w] = Z / Z_0: no bias at all, however few levels.
    ratio = np.exp(logsumexp(log_w, axis=1) - np.log(log_w.shape[1]) - exact)
    if mistake == "mean of log w":
        ratio = np.exp(values - exact)
    found.append(against(f"Zhat / Z, {name}", mean(ratio[:, None]), 1.0))
    return found


def _ais_check(
    name: str, claim: str, system: Callable[[], tuple[Path, float, str]], levels: int
) -> Check:
    run = partial(_calibration, system=system, levels=levels)
    return Check(
        f"partition.ais-{name}",
        f"AIS from {claim}: over 80 seeds z of log Z has mean 0 and sd 1, and E[Zhat] = Z (Neal "
        "2001).",
        run,
        (
            Mutant("mean of log w for log of mean w", partial(run, mistake="mean of log w")),
            Mutant("95% half-width as standard error", partial(run, mistake="half-width")),
            Mutant("log Z of the reference forgotten", partial(run, mistake="reference")),
        ),
    )


# Both ways from exact draws: E[log w] <= log Z <= E[reverse]. With perfect moves on a Gaussian
# shifted by mu in K steps log w ~ N(-mu^2 / 2K, mu^2 / K), so both bounds are known: log Z -+ mu^2
# / 2K. One step needs no moves at all, and is exact.


def _gaussian_shift(seed: int, scale: int, *, swap: bool = False) -> list[Measurement]:
    mu = 1.5
    path = Geometric(Gaussian(), Gaussian(mean=mu))
    n = 20_000 * scale
    start = np.random.default_rng(derive_seed(seed, "target")).normal(mu, 1.0, (n, 1))
    result = ais(path, n_levels=1, n_chains=n, rng=seed, direction="both", start=start)
    log_z, half = 0.5 * np.log(2.0 * np.pi), 0.5 * mu**2
    forward = np.asarray(result.diagnostics["log_weights"]) + log_z
    backward = np.asarray(result.diagnostics["reverse_log_weights"]) + log_z
    if swap:
        forward, backward = backward, forward
    squares = (forward - (log_z - half)) ** 2
    return [
        against("E[log w] = log Z - mu^2 / 2", mean(forward[:, None]), log_z - half),
        against("E[reverse] = log Z + mu^2 / 2", mean(backward[:, None]), log_z + half),
        against("var log w = mu^2", mean(squares[:, None]), mu**2),
    ]


def _bounds(seed: int, scale: int, *, swap: bool = False) -> list[Measurement]:
    """The gap of each bound has the right sign: z of max(0, wrong-way gap)."""
    found = []
    for system, levels in ((_ising, 12), (_weights, 3), (_rbm_tempering, 6)):
        path, exact, name = system()
        result = ais(
            path,
            n_levels=levels,
            n_chains=1000 * scale,
            rng=derive_seed(seed, name),
            direction="both",
        )
        lower, upper = result.lower, result.upper
        errors = result.diagnostics["lower_stderr"], result.diagnostics["upper_stderr"]
        if lower is None or upper is None:
            raise AssertionError("a run in both directions has two bounds")
        if swap:
            lower, upper, errors = upper, lower, errors[::-1]
        n = 1000 * scale
        for label, gap, error in (
            ("lower bound - log Z", lower - exact, errors[0]),
            ("log Z - upper bound", exact - upper, errors[1]),
        ):
            z = max(0.0, gap) / error
            found.append(Measurement(f"{label}, {name}", gap, 0.0, error, n, z))
    return found


def _exact_sum(seed: int, scale: int, *, layer: str = "") -> list[Measurement]:
    model = asymmetric()
    found = []
    for beta in (0.5, 1.0, 2.0):
        value = exact_sum(model, beta=beta).value
        used = 1.0 if layer else beta
        found.append(identity(f"RBM, beta = {beta}", value, float(rbm.log_z(model, used)), 1e-12))
    torus = Ising(lattices.square(4, 4))
    value = exact_sum(torus, beta=0.44).value
    exact = float(kaufman.log_z(4, 4, 0.88 if layer else 0.44))
    found.append(identity("4 x 4 torus, beta = 0.44", value, exact, 1e-12 * exact))
    return found


CHECKS = (
    Check(
        "partition.exact-sum",
        "exact_sum gives log Z of an RBM (smaller layer summed) and of the 4 x 4 torus (Kaufman).",
        _exact_sum,
        (Mutant("wrong beta", partial(_exact_sum, layer="wrong")),),
    ),
    _ais_check("ising", "infinite temperature to a 4 x 6 torus at beta = 0.25", _ising, 20),
    _ais_check("rbm-weights", "independent units to an RBM", _weights, 8),
    _ais_check("rbm-tempering", "infinite temperature to an RBM at beta = 1.3", _rbm_tempering, 15),
    _ais_check("double-well", "a Gaussian to the tilted double well", _well, 10),
    Check(
        "partition.gaussian-shift",
        "One step over a shift mu of a unit Gaussian has log w ~ N(-mu^2 / 2, mu^2), and the "
        "reverse N(+mu^2 / 2, mu^2).",
        _gaussian_shift,
        (Mutant("forward and reverse swapped", partial(_gaussian_shift, swap=True)),),
    ),
    Check(
        "partition.bounds",
        "E[log w] <= log Z <= E[reverse log w] (Grosse, Ghahramani, Adams 2015), from few levels "
        "so the gaps are wide.",
        _bounds,
        (Mutant("bounds swapped", partial(_bounds, swap=True)),),
    ),
)
