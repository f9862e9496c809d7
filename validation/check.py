"""What a check is, and when it passes.

A check runs one piece of the library and returns measurements, each beside the exact answer. There
are two kinds:

    statistical   z = (value - exact) / error; all |z| of a run stay below a bound
    identity      |value - exact| <= tolerance, with a tolerance of rounding errors

The bound of a single z is 4, which chance exceeds once in 16,000 runs (`ALPHA`). A run of n
z-scores is judged by Bonferroni's bound, which keeps that rate for the run as a whole (Holm's
procedure accepts the same runs: its first step is Bonferroni's). A run outside the bounds is
repeated once, with a fresh seed and four times the draws: a bias doubles its z, chance does not
repeat, and the false-alarm rate of the check is ALPHA squared.

A check without power shows nothing, so every check carries mutants: the same measurements with one
mistake made on purpose. A mutant that stays within the bounds fails its check.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from statmech_ml.errors import InvalidInput
from statmech_ml.statistics import Estimate

BOUND = 4.0
ALPHA = float(2.0 * stats.norm.sf(BOUND))
RETRY_SCALE = 4
_TINY = 1e-300  # p-values below have normal deviates beyond 37, whatever they are

Tier = Literal["fast", "full"]


@dataclass(frozen=True)
class Measurement:
    """One number beside its exact answer.

    Made by `against`, `by_p_value`, `calibration` and `identity`.

    Attributes
    ----------
    name : str
        What was measured, with the parameters that matter.
    value, exact : float
    error : float
        Standard error of a statistical measurement; tolerance of an identity.
    n : int
        Draws (or numbers compared) behind the value.
    z : float
        Deviation in errors, or in tolerances.
    is_identity : bool
    """

    name: str
    value: float
    exact: float
    error: float
    n: int
    z: float
    is_identity: bool = False


def against(name: str, estimate: Estimate, exact: Any) -> Measurement:
    """An `Estimate` beside the exact value."""
    exact = float(exact)
    z = estimate.z(exact)
    return Measurement(name, estimate.value, exact, estimate.stderr, estimate.n, z)


def by_p_value(
    name: str, p: float, n: int, value: float, exact: float, error: float
) -> Measurement:
    """A test that ends in a p-value; z is the normal deviate exceeded on two sides as rarely."""
    z = float(stats.norm.isf(max(p, _TINY) / 2.0))
    return Measurement(name, float(value), float(exact), float(error), n, z)


def identity(name: str, value: Any, exact: Any, tolerance: Any, n: int = 1) -> Measurement:
    """Two ways to the same number, equal up to rounding."""
    value, exact = float(value), float(exact)
    return Measurement(name, value, exact, tolerance, n, (value - exact) / tolerance, True)


def calibration(name: str, z: Any) -> list[Measurement]:
    """Mean 0 and standard deviation 1 of independent z-scores: unbiased values, honest errors.

    Under normal z the mean has the error 1/sqrt(n) and the sum of squares is chi-square with n
    degrees of freedom; the deviation of the standard deviation is quoted as its normal deviate.
    """
    z = np.asarray(z, np.float64)
    n = z.size
    squares = float((z**2).sum())
    upper, lower = stats.chi2.sf(squares, n), stats.chi2.cdf(squares, n)
    deviate = float(stats.norm.isf(max(upper, _TINY)))
    if lower < upper:
        deviate = float(stats.norm.ppf(max(lower, _TINY)))
    mean = Measurement(
        f"mean z of {name}", float(z.mean()), 0.0, n**-0.5, n, float(z.mean()) * n**0.5
    )
    spread = Measurement(
        f"sd of z of {name}", math.sqrt(squares / n), 1.0, (2 * n) ** -0.5, n, deviate
    )
    return [mean, spread]


Run = Callable[[int, int], Sequence[Measurement]]
"""run(seed, scale) -> measurements from `scale` times the usual number of draws."""


@dataclass(frozen=True)
class Mutant:
    """The measurements of a check with one mistake made on purpose."""

    name: str
    run: Run


@dataclass(frozen=True)
class Check:
    """A claim about the library, how it is measured, and the mistakes that the measurement notices.

    Attributes
    ----------
    name : str
        ``room.what``, lower case.
    claim : str
        One sentence with the equation or its source.
    run : callable
        ``run(seed, scale)`` -> measurements.
    mutants : tuple of Mutant
        At least one.
    tier : "fast" or "full"
        The full tier includes the fast one.
    repeatable : bool
        False where the draws are given and no second run can be made; the false-alarm rate is then
        ALPHA.
    """

    name: str
    claim: str
    run: Run
    mutants: tuple[Mutant, ...]
    tier: Tier = "fast"
    repeatable: bool = True

    def __post_init__(self) -> None:
        if not self.mutants:
            raise InvalidInput(
                f"The check {self.name!r} has no mutants, so nothing shows that it can fail. Add "
                "at least one mistake that it must reject."
            )
        if self.tier not in ("fast", "full"):
            raise InvalidInput(f"tier={self.tier!r} of {self.name!r} must be 'fast' or 'full'.")


@dataclass(frozen=True)
class Judgement:
    """The decision on one run: whether it lies within bounds, and its worst measurement."""

    accepted: bool
    worst: Measurement
    bound: float


@dataclass(frozen=True)
class MutantVerdict:
    """Whether a mutant was rejected, and how far out it lay."""

    name: str
    rejected: bool
    z: float
    error: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    passed : bool
        Within bounds (in the first or the second run), and every mutant rejected.
    z, bound : float
        The worst measurement in errors (identities: in tolerances), and what it had to stay below.
    false_alarm : float
        Probability that chance alone fails the measurements twice; 0 for identities.
    worst : Measurement or None
        The effect with its error: value, exact and error of the worst measurement.
    n : int
        Draws behind all measurements of the run that decided.
    repeated : bool
        Whether a second run was needed.
    warnings : tuple of str
        What was warned of on the way; shown, not judged.
    error : str or None
        What was raised, if the check broke.
    """

    name: str
    claim: str
    tier: Tier
    passed: bool
    z: float
    bound: float
    false_alarm: float
    worst: Measurement | None
    n: int
    seed: int
    seconds: float
    repeated: bool = False
    measurements: tuple[Measurement, ...] = ()
    mutants: tuple[MutantVerdict, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def is_identity(self) -> bool:
        """Whether rounding decides, not statistics."""
        return self.worst is not None and self.worst.is_identity

    @property
    def survivors(self) -> list[str]:
        """Mutants that were not rejected."""
        return [mutant.name for mutant in self.mutants if not mutant.rejected]


def bonferroni(n: int) -> float:
    """The bound that the largest of n independent |z| exceeds with probability ALPHA at most."""
    return float(stats.norm.isf(ALPHA / (2.0 * n)))


def judge(measurements: Sequence[Measurement]) -> Judgement:
    """Whether a run lies within bounds. Raises InvalidInput for a run that measured nothing."""
    if not measurements:
        raise InvalidInput("The run returned no measurements, so there is nothing to judge.")
    for m in measurements:
        if math.isnan(m.z):
            raise InvalidInput(f"{m.name!r} is not a number: value {m.value}, error {m.error}.")
    limit = bonferroni(max(1, sum(not m.is_identity for m in measurements)))
    bounds = [1.0 if m.is_identity else limit for m in measurements]
    used = [abs(m.z) / bound for m, bound in zip(measurements, bounds, strict=True)]
    at = int(np.argmax(used))
    # An identity may use its tolerance up; a z-score must stay below its bound.
    inside = all(
        u <= 1.0 if m.is_identity else u < 1.0 for m, u in zip(measurements, used, strict=True)
    )
    return Judgement(inside, measurements[at], bounds[at])


def derive_seed(seed: int, label: str) -> int:
    """A 32-bit seed from `seed` and a name, so checks stay independent of each other."""
    entropy = np.random.SeedSequence([seed, zlib.crc32(label.encode())])
    return int(entropy.generate_state(1)[0])
