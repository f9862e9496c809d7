"""Exact energies and specific heats for the datasets that have them, and z-scores against them."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from statmech_ml import observables
from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.exact import kaufman, ring
from statmech_ml.statistics import Estimate

from .spec import Spec

# Fewer independent draws than this give no z-score worth judging: the error itself is too
# uncertain.
ENOUGH = 100
# A mean is no normal variable while most draws are ground states and fewer than this many are not:
# then the number of excited draws is compared with its binomial distribution instead. The specific
# heat, which lives on the rarer double excitations, is left undecided for longer.
_RARE = {"energy_per_site": (0.5, 400), "specific_heat": (0.9, 1500)}


@dataclass(frozen=True)
class Reference:
    """Exact values per site at each temperature, arrays (temperature,), and where they come from.

    `excited` is the probability that a configuration lies above the ground energy; nan where the
    ground states are not counted here.
    """

    source: str
    energy: np.ndarray
    specific_heat: np.ndarray
    excited: np.ndarray
    ground: float


@dataclass(frozen=True)
class Comparison:
    """A measured value beside the exact one; z is nan where the draws are too few to judge."""

    measured: Estimate | None
    exact: float
    z: float
    note: str = ""


def reference(spec: Spec) -> Reference | None:
    """The exact result that applies to a spec, or None."""
    beta, J = 1.0 / np.array(spec.temperatures), spec.coupling
    periodic = all(side == "periodic" for side in spec.boundary)
    if not periodic or J == 0:
        return None
    unfrustrated = J > 0 or all(side % 2 == 0 for side in spec.size)
    if spec.lattice == "chain":
        (L,) = spec.size
        log_z = ring.log_z(L, beta, J, spec.field)
        energy = ring.energy_per_site(L, beta, J, spec.field)
        heat = ring.specific_heat(L, beta, J, spec.field)
        source = "transfer matrix (exact.ring)"
    elif spec.lattice == "square" and unfrustrated and spec.field == 0:
        rows, columns = spec.size
        log_z = kaufman.log_z(rows, columns, beta, J)
        energy = kaufman.energy_per_site(rows, columns, beta, J)
        heat = kaufman.specific_heat(rows, columns, beta, J)
        source = "Kaufman 1949 (exact.kaufman)"
    else:
        return None
    ground, count = _ground_states(spec, unfrustrated)
    # Clipped: the exponent is a difference of large numbers that may round to above zero.
    excited = np.clip(-np.expm1(math.log(count) - beta * ground - log_z), 0.0, 1.0)
    return Reference(source, np.asarray(energy), np.asarray(heat), excited, ground)


def _ground_states(spec: Spec, unfrustrated: bool) -> tuple[float, float]:
    """Lowest energy and the number of configurations that have it; nan where it is not known."""
    graph, J, h = spec.graph(), abs(spec.coupling), abs(spec.field)
    bonds, sites = graph.n_bonds * J, graph.n_sites
    if spec.coupling > 0:
        return -bonds - h * sites, 1.0 if h else 2.0
    if h == 0:  # an odd ring has one unsatisfied bond, in any place
        return (-bonds, 2.0) if unfrustrated else (-bonds + 2.0 * J, 2.0 * sites)
    if unfrustrated and h < 2.0 * J:
        return -bonds, 2.0
    return (bonds - h * sites, 1.0) if h > 2.0 * J else (math.nan, math.nan)


def compare(name: str, spec: Spec, index: int, energy: np.ndarray, exact: Reference) -> Comparison:
    """ "energy_per_site" or "specific_heat" of one temperature, energy (chain, draw) totals."""
    is_energy = name == "energy_per_site"
    value = float((exact.energy if is_energy else exact.specific_heat)[index])
    beta, sites = 1.0 / spec.temperatures[index], spec.model().space.size
    excited = float(exact.excited[index])
    trouble = ""
    try:
        measured = observables.estimate(name, energy=energy, beta=beta, n_sites=sites)
    except ShortChain as error:
        measured, trouble = error.partial, "too short"
    except InvalidInput:  # no fluctuations
        measured, trouble = None, "still"
    share, draws = _RARE[name]
    if excited < share and energy.size * excited < draws:
        if not is_energy:
            return Comparison(measured, value, math.nan, "rare")
        count = int((energy > exact.ground + 1e-9 * abs(exact.ground)).sum())
        return Comparison(measured, value, _binomial_z(count, energy.size, excited), "rare")
    if measured is None or trouble or measured.ess < ENOUGH:
        return Comparison(measured, value, math.nan, trouble or "too few")
    return Comparison(measured, value, measured.z(value))


def _binomial_z(count: int, n: int, p: float) -> float:
    """The normal deviate as improbable as `count` or worse among n, counting half of its own
    weight."""
    law = stats.binom(n, p)
    own = 0.5 * law.pmf(count)
    below, above = law.cdf(count) - own, law.sf(count) + own
    return float(stats.norm.isf(above) if above < below else -stats.norm.isf(below))


def bound(n_scores: int) -> tuple[float, float]:
    """Bound on |z| for n z-scores and the probability that a correct dataset exceeds it
    (Bonferroni).

    4, unless so many scores are compared that 4 would fail one correct dataset in a hundred.

    >>> limit, alarm = bound(34)
    >>> limit, round(alarm, 4)
    (4.0, 0.0022)
    """
    n = max(1, n_scores)
    limit = max(4.0, float(stats.norm.isf(0.005 / n)))
    return limit, min(1.0, 2.0 * n * float(stats.norm.sf(limit)))
