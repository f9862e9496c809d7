"""`LogZ`, a log partition function as every estimator returns it, and the thresholds that judge it.

The thresholds stand here, one set for all estimators, so that none of them bends a threshold to its
result.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInput
from ..statistics.estimate import with_error

MIN_ESS = 50.0
"""Effective number of independent weights below which an error bar is not trusted."""
MIN_ESS_PER_CHAIN = 5.0
"""Effective draws of each chain below which it may remember its start: it ran for ten tau."""
MIN_OVERLAP = 0.03
"""Overlap of neighbouring ensembles below which their free-energy difference is not trusted."""
MAX_DISAGREEMENT = 4.0
"""Difference of two independent estimates, in standard errors, above which both are doubted."""
MAX_DISCRETISATION = 1.0
"""Discretisation error, in sampling errors, above which a ladder is too coarse to integrate."""
MIN_ROUND_TRIPS = 10
"""Round trips of all replicas together below which replica exchange has not mixed the ladder; on
average each independent ladder must have seen one besides."""
MIN_CHAINS = 8
"""Independent chains or ladders of an equilibrium run below which their scatter is no error to
trust: z-scores are Student's t of one degree of freedom fewer. Errors are widened so that z has a
standard deviation of one, but |z| > 4 comes once in 160 runs of 4 chains, in 470 of 8 and in 1600
of 16."""
MAX_SPREAD = 0.5
"""Standard deviation of log Z over walkers or populations above which their mean is not trusted."""
MIN_EVENNESS = 0.5
"""Effective number of walkers or populations, as a part of all, below which a few decide alone."""
MAX_TAIL = 0.7
"""Pareto shape of the largest weights above which their mean converges too slowly to trust errors;
of n weights 1 - 1 / log10(n) where that is less: Vehtari, Simpson, Gelman, Yao and Gabry, J. Mach.
Learn. Res. 25, 72 (2024), arXiv:1507.02646."""
MAX_MISSED = 0.01
"""Weight of levels that some walker never met, in standard errors of log Z, that may be ignored."""
MAX_WIDTH = 1.0
"""Largest beta * bin width at which the second-order correction inside bins is trusted."""
MAX_PLEFKA = 1.0
"""Plefka's parameter from which on the TAP expansion is not trusted."""

OK = "ok"
EXACT = "exact"
LOWER_BOUND = "lower bound"
APPROXIMATE = "approximate"
LOW_ESS = "low ess"
LOW_OVERLAP = "low overlap"
DISAGREE = "forward and reverse disagree"
COARSE = "coarse ladder"
FEW_ROUND_TRIPS = "few round trips"
DRIFTING = "drifting"
FEW_CHAINS = "few chains"
CONSTANT = "constant weights"
HEAVY_TAIL = "heavy tail"
NOT_CONVERGED = "not converged"
LEVELS_MISSED = "levels missed"
WALKERS_DISAGREE = "walkers disagree"
POPULATIONS_DISAGREE = "populations disagree"


@dataclass(frozen=True)
class LogZ:
    """log Z with its error, its bounds, and a verdict on whether they can be trusted.

    Attributes
    ----------
    value : float
        log Z in nats.
    stderr : float
        Standard error of `value`; 0 for an exact result, infinite where nothing is known about it.
    lower, upper : float or None
        Bounds that hold on average over runs (stochastic estimators) or always; their errors are
        `lower_stderr` and `upper_stderr` in `diagnostics`.
    method : str
        "ais", "exact", ...
    status : str
        "exact", "ok", or what is wrong: "low ess", "low overlap", "forward and reverse disagree",
        "coarse ladder", "few round trips", "drifting", "few chains", "constant weights", "not
        converged", "levels missed", "walkers disagree", "populations disagree", "heavy tail".
        Anything but the first two says: do not trust the error bar. Deterministic approximations
        have none at all; theirs says "lower bound" or "approximate".
    diagnostics : mapping
        What the method knows besides: ess, log-weights, ladder, cost, provenance.

    >>> print(LogZ(951.64213, 0.0312, method="ais", diagnostics={"ess": 187.2, "n_chains": 256}))
    log_z = 951.642(31) [ais, ess 187/256]
    """

    value: float
    stderr: float
    lower: float | None = None
    upper: float | None = None
    method: str = ""
    status: str = OK
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether value and error can be trusted."""
        return self.status in (OK, EXACT)

    def z(self, exact: float) -> float:
        """How many standard errors the estimate lies above `exact`.

        Raises InvalidInput when the error is zero or infinite: there is then no such number.

        >>> LogZ(1.5, 0.25).z(exact=1.0)
        2.0
        """
        if not (math.isfinite(self.stderr) and self.stderr > 0.0):
            raise InvalidInput(
                f"The error of {self} is {self.stderr!r}, so a deviation from {exact!r} cannot be "
                "counted in errors. Compare the values themselves, or run more chains."
            )
        return (self.value - exact) / self.stderr

    def __str__(self) -> str:
        if self.status == EXACT:
            number = f"{self.value:.12g}"
        elif self.status in (LOWER_BOUND, APPROXIMATE, NOT_CONVERGED) and self.stderr == math.inf:
            number = f"{self.value:.6g}"  # a deterministic approximation has no error bar
        else:
            number = with_error(self.value, self.stderr)
        notes = [self.method]
        if "ess" in self.diagnostics:
            # Equilibrium runs take many draws from each chain, annealed ones a single weight.
            total = self.diagnostics["n_chains"] * self.diagnostics.get("n_draws", 1)
            notes.append(f"ess {self.diagnostics['ess']:.0f}/{total}")
            if "reverse_ess" in self.diagnostics:
                n_reverse = self.diagnostics["n_reverse_chains"]
                notes.append(f"reverse ess {self.diagnostics['reverse_ess']:.0f}/{n_reverse}")
        if "n_states" in self.diagnostics:
            notes.append(f"{self.diagnostics['n_states']} states")
        if self.status not in (OK, self.method):
            notes.append(self.status)
        return f"log_z = {number} [{', '.join(notes)}]"


def judge(
    ess: float = math.inf,
    overlap: float = 1.0,
    disagreement: float = 0.0,
    discretisation: float = 0.0,
    round_trips: float = math.inf,
    tail: float = -math.inf,
    n: float = math.inf,
    drift: float = 0.0,
    n_chains: float = 0.0,
) -> str:
    """The status of an estimate, from what its method knows about it.

    Parameters
    ----------
    ess : float
        Effective number of independent weights or draws, the smallest that matters.
    overlap : float
        Smallest overlap of neighbouring ensembles.
    disagreement : float
        Difference of independent estimates in standard errors.
    discretisation : float
        Discretisation error in sampling errors.
    round_trips : float
        Round trips of replicas over the whole ladder.
    tail, n : float
        Pareto shape of the largest weights, and the number of all weights.
    drift : float
        Change of log Z from the first half of an equilibrium run to the second, in its errors.
    n_chains : float
        Independent chains or ladders of an equilibrium run, each of which must have relaxed, and
        whose scatter is the error; 0 where errors come from elsewhere.

    >>> judge(ess=12.0)
    'low ess'
    """
    # Written so that a NaN fails.
    if not ess >= max(MIN_ESS, MIN_ESS_PER_CHAIN * n_chains):
        return LOW_ESS
    if not tail <= min(MAX_TAIL, 1.0 - 1.0 / math.log10(n)):
        return HEAVY_TAIL
    if not overlap >= MIN_OVERLAP:
        return LOW_OVERLAP
    if not abs(disagreement) <= MAX_DISAGREEMENT:
        return DISAGREE
    if not abs(discretisation) <= MAX_DISCRETISATION:
        return COARSE
    if not round_trips >= max(MIN_ROUND_TRIPS, n_chains):
        return FEW_ROUND_TRIPS
    if not abs(drift) <= MAX_DISAGREEMENT:
        return DRIFTING
    if 0 < n_chains < MIN_CHAINS:
        return FEW_CHAINS
    return OK
