"""Runs checks: each with its own seed, a second run where the first leaves the bounds, then its
mutants.
"""

import math
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from multiprocessing import get_context
from typing import Any

from .check import (
    ALPHA,
    RETRY_SCALE,
    Check,
    Judgement,
    Measurement,
    Mutant,
    MutantVerdict,
    Run,
    Verdict,
    derive_seed,
    judge,
)

FORMAT = "statmech-ml validation 1"
PACKAGES = ("statmech-ml", "numpy", "scipy", "numba", "torch", "xarray", "zarr", "matplotlib")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """All verdicts of one run of the runner, with what is needed to repeat it."""

    verdicts: tuple[Verdict, ...]
    tier: str
    seed: int
    seconds: float
    started: str
    versions: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(verdict.passed for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings; the layout of verdicts.json.

        JSON has no infinities: a mutant that lies infinitely far out has the z "inf" or "-inf".
        """
        return {
            "format": FORMAT,
            "passed": self.passed,
            "tier": self.tier,
            "seed": self.seed,
            "started": self.started,
            "seconds": round(self.seconds, 2),
            "versions": self.versions,
            "verdicts": [_finite(asdict(verdict)) for verdict in self.verdicts],
        }


def run_checks(
    checks: Iterable[Check],
    *,
    tier: str,
    seed: int,
    progress: Progress = lambda name: None,
    workers: int = 1,
) -> Outcome:
    """Run every check, in this process or in several; the verdicts are the same.

    `progress` is told the name of each check before it starts; of those in other processes, as
    their verdicts are waited for.
    """
    begin, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    verdicts = []
    seeds = [(check, derive_seed(seed, check.name)) for check in checks]
    if workers == 1:
        for check, own in seeds:
            progress(check.name)
            verdicts.append(run_check(check, own))
    else:
        # Processes are started afresh: a fork would share the threads of numba and the BLAS.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = [(check.name, pool.submit(run_check, check, own)) for check, own in seeds]
            for name, verdict in waiting:
                progress(name)
                verdicts.append(verdict.result())
    seconds = time.perf_counter() - begin
    return Outcome(tuple(verdicts), tier, seed, seconds, started, versions())


def run_check(check: Check, seed: int) -> Verdict:
    """Measure, repeat if need be, and try every mutant.

    A check that raises has failed. Mutants see the seed of the check: the same draws, and one
    mistake.
    """
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            measurements = tuple(check.run(seed, 1))
            judgement, repeated = judge(measurements), False
            if check.repeatable and not (judgement.accepted or judgement.worst.is_identity):
                measurements = tuple(check.run(derive_seed(seed, "second run"), RETRY_SCALE))
                judgement, repeated = judge(measurements), True
        except Exception:
            return _broken(check, seed, time.perf_counter() - begin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mutants are expected to misbehave
        mutants = tuple(_try_mutant(mutant, seed) for mutant in check.mutants)
    statistical = any(not m.is_identity for m in measurements)
    return Verdict(
        name=check.name,
        claim=check.claim,
        tier=check.tier,
        passed=judgement.accepted and all(mutant.rejected for mutant in mutants),
        z=judgement.worst.z,
        bound=judgement.bound,
        false_alarm=(ALPHA**2 if check.repeatable else ALPHA) if statistical else 0.0,
        worst=judgement.worst,
        n=sum(m.n for m in measurements),
        seed=seed,
        seconds=time.perf_counter() - begin,
        repeated=repeated,
        measurements=measurements,
        mutants=mutants,
        warnings=tuple(dict.fromkeys(str(w.message) for w in caught)),
    )


def _finite(value: Any) -> Any:
    """`value` with numbers that JSON does not know as strings."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """Python, the operating system and the packages that the numbers depend on."""
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _try_mutant(mutant: Mutant, seed: int) -> MutantVerdict:
    try:
        first = _judged(mutant.run, seed, 1)
        # Beyond twice the bound (chance: 1e-15) a second run with four times the draws is a
        # foregone conclusion, and it would cost most of the running time.
        if first.accepted or first.worst.is_identity or _is_far(first.worst, first.bound):
            return MutantVerdict(mutant.name, not first.accepted, first.worst.z)
        second = _judged(mutant.run, derive_seed(seed, "second run"), RETRY_SCALE)
        return MutantVerdict(mutant.name, not second.accepted, second.worst.z)
    except Exception as error:
        return MutantVerdict(mutant.name, False, 0.0, f"{type(error).__name__}: {error}")


def _judged(run: Run, seed: int, scale: int) -> Judgement:
    return judge(run(seed, scale))


def _is_far(worst: Measurement, bound: float) -> bool:
    return abs(worst.z) >= 2.0 * bound


def _broken(check: Check, seed: int, seconds: float) -> Verdict:
    return Verdict(
        name=check.name,
        claim=check.claim,
        tier=check.tier,
        passed=False,
        z=0.0,
        bound=0.0,
        false_alarm=0.0,
        worst=None,
        n=0,
        seed=seed,
        seconds=seconds,
        error=traceback.format_exc(limit=-4),
    )
