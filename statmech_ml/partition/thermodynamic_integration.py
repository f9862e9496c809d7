"""Thermodynamic integration: log Z from the mean slope of the energy along a path.

    log Z_1 - log Z_0 = - int_0^1 g dlambda,    g = <du/dlambda>_lambda

Between two nodes a and b, h apart, the integral is that of the cubic which has the values and the
slopes of g at both (Hermite; the trapezium rule with its end correction), and these slopes are
averages over the same samples:

    h (g_a + g_b) / 2 + h^2 (g'_a - g'_b) / 12 + O(h^5),    g' = <d2u/dlambda2> - var(du/dlambda)

The error of discretisation is a fifteenth of what changes where two intervals are made one, added
up without regard to signs. That is what order h^4 leaves. A ladder is too coarse to count on it
where this, or a third of the change of the whole integral, which order h^2 would leave, is more
than the sampling error; the error is then all of the change. `stderr` is the root of the sum of
squares of this and of the sampling error.

J. G. Kirkwood, J. Chem. Phys. 3, 300 (1935), doi:10.1063/1.1749657; A. Gelman and X.-L. Meng, Stat.
Sci. 13, 163 (1998), doi:10.1214/ss/1028905934; the corrected rule: P. J. Davis and P. Rabinowitz,
Methods of Numerical Integration (1984), section 2.9.
"""

import math
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ._equilibrium import (
    DEFAULT_BURN_IN,
    DEFAULT_CHAINS,
    DEFAULT_DRAWS,
    correlation,
    drift,
    effective,
    equilibrate,
    is_affine,
    settings,
)
from ._influence import stderr
from .logz import CONSTANT, MAX_DISCRETISATION, LogZ, judge
from .path import Path

# Step in lambda of the difference quotient for d2u/dlambda2; its error is of the order of the step.
_STEP = 1e-4
# Slopes that scatter by less than this are equal up to the rounding of the energies.
_EQUAL = 1e-12


def thermodynamic_integration(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = DEFAULT_CHAINS,
    *,
    rng: Any,
    n_draws: int = DEFAULT_DRAWS,
    burn_in: int = DEFAULT_BURN_IN,
    thin: int = 1,
    exchange: bool = False,
    ladder: Any = None,
) -> LogZ:
    """log Z of a path's target by integrating the mean slope of the energy.

    Parameters
    ----------
    path : Path
    n_levels : int, default 16
        Number of intervals of an even ladder; samples are taken at their ends.
    n_chains : int, default 32
        Independent chains, at least 4, each with samples at all levels; their scatter is the error.
    rng : int or numpy Generator
        The seed. There is no default.
    n_draws : int, default 200
        Samples of each chain at each level.
    burn_in : int, default 50
        Sweeps at each level on the way up. After them all levels run n_draws thin sweeps more, with
        exchange where there is any, before the first sample.
    thin : int, default 1
        Sweeps between samples.
    exchange : bool, default False
        Whether neighbouring levels of a chain exchange configurations (`ReplicaExchange`).
    ladder : array, optional
        Increasing lambdas from 0 to 1, in place of n_levels. Put more where the slope bends.

    Returns
    -------
    LogZ
        The status is "coarse ladder" where discretisation errs by more than sampling. diagnostics:
        slopes, slope_stderr and curvature (dg/dlambda) at the levels; sampling_error,
        discretisation_error; tau, ess (least of the levels, and no more than the error allows),
        drift (change of log Z between the halves of the run, in errors), n_chains, n_draws, ladder,
        cost, provenance; acceptance, and with exchange swap_acceptance and round_trips.

    Raises
    ------
    InvalidInput
        For arguments that cannot work, and slopes that are not finite.
    MissingCapability
        When the model does not tell its slope.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> result = thermodynamic_integration(path, n_levels=4, rng=1, n_draws=50)  # exact: 12.786
    >>> result.ok, abs(result.z(exact=12.7858)) < 4
    (True, True)
    """
    run = settings(
        "thermodynamic_integration", path, n_levels, n_chains, rng, n_draws, burn_in, thin,
        exchange, ladder,
    )  # fmt: skip
    affine = is_affine(path)

    def slopes(x: np.ndarray, at: np.ndarray) -> np.ndarray:
        """du/dlambda and, where it is not zero, d2u/dlambda2."""
        slope = path.slope(x, at)
        if affine:
            return slope[None]
        low, high = np.maximum(at - _STEP, 0.0), np.minimum(at + _STEP, 1.0)
        return np.stack([slope, (path.slope(x, high) - path.slope(x, low)) / (high - low)])

    # A slope costs what an energy does; that of a mixture needs the energies of both ends.
    sampled = equilibrate(path, run, slopes, evaluations=2 if affine else 3)
    slope = sampled.values[0]  # (level, chain, draw)
    _check_finite(slope, run.lams)
    mean = slope.mean(axis=(1, 2))
    tau, ess = correlation(slope)
    # Of the measured variance the error of the mean is missing.
    excess = (slope - mean[:, None, None]) ** 2 * (ess / (ess - 1.0))[:, None, None]
    bend = (0.0 if affine else sampled.values[1]) - excess
    curvature = bend.mean(axis=(1, 2))

    value, weights = _hermite(run.lams, mean, curvature)
    discretisation, early = _discretisation(run.lams, mean, curvature, value)
    # What each chain adds to the means, (2, level, chain).
    by_chain = np.stack([slope.mean(axis=2), bend.mean(axis=2)]) / run.n_chains
    sampling = float(stderr(np.einsum("wk,wkr->r", weights, by_chain)))
    independent = float(weights[0] ** 2 @ slope.var(axis=(1, 2))) / slope[0].size
    ratio = max(discretisation, early) / sampling if sampling else math.inf
    if ratio > MAX_DISCRETISATION:
        discretisation *= 15.0
    evidence = {
        "ess": effective(ess, slope[0].size, independent, sampling),
        "drift": drift(weights[0][:, None, None] * slope),
    }
    status = judge(
        **evidence,
        discretisation=ratio,
        round_trips=sampled.diagnostics.get("round_trips", math.inf),
        n_chains=run.n_chains,
    )
    error = math.hypot(sampling, discretisation)
    if np.ptp(slope) <= _EQUAL * max(1.0, float(np.abs(mean).max())):
        status, error = CONSTANT, 1.0 / slope[0].size
    return LogZ(
        path.log_z_reference - float(value.sum()),
        error,
        method="thermodynamic integration",
        status=status,
        diagnostics=sampled.diagnostics
        | evidence
        | {
            "slopes": mean,
            "slope_stderr": stderr(by_chain[0].T),
            "curvature": curvature,
            "sampling_error": sampling,
            "discretisation_error": discretisation,
            "tau": tau,
        },
    )


def _hermite(lams: np.ndarray, g: np.ndarray, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The integral over each interval, and the weights (2, level) of g and g' in their sum."""
    h = np.diff(lams)
    value = 0.5 * h * (g[:-1] + g[1:]) + h**2 / 12.0 * (bend[:-1] - bend[1:])
    weights = np.zeros((2, len(lams)))
    weights[0, :-1] += 0.5 * h
    weights[0, 1:] += 0.5 * h
    weights[1, :-1] += h**2 / 12.0
    weights[1, 1:] -= h**2 / 12.0
    return value, weights


def _discretisation(
    lams: np.ndarray, g: np.ndarray, bend: np.ndarray, value: np.ndarray
) -> tuple[float, float]:
    """Error of the rule from intervals of twice the length: of order h^4, and before it has come
    to its order."""
    if len(value) == 1:  # no coarser rule of this order: that of order h^2
        return (abs(float(value[0]) - 0.5 * float(g[0] + g[1])),) * 2
    starts = np.arange(0, len(value), 2)
    ends = np.append(starts[1:], len(value))
    nodes = np.append(starts, len(value))
    coarse, _ = _hermite(lams[nodes], g[nodes], bend[nodes])
    fine = np.add.reduceat(value, starts)
    changed = fine - coarse
    if ends[-1] - starts[-1] == 1:  # an odd one out errs as its neighbour did
        changed[-1] = 0.5 * changed[-2]
    return float(np.abs(changed).sum()) / 15.0, abs(float(changed.sum())) / 3.0


def _check_finite(slope: np.ndarray, lams: np.ndarray) -> None:
    bad = ~np.isfinite(slope).all(axis=(1, 2))
    if bad.any():
        raise InvalidInput(
            f"The slope du/dlambda is infinite or NaN for some samples at lambda = "
            f"{lams[bad][0]:.6g}: there one end of the path forbids what the other allows, and the "
            "mean slope, which is to be integrated, does not exist. Choose a reference that stays "
            "where the model is finite, or use mbar or ais, which weigh by exp(-u) and take "
            "infinite energies."
        )
