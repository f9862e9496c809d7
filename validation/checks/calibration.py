"""Every estimator of log Z on every target that it fits: over many seeds, z-scores against the
exact value have mean 0 and standard deviation 1.

A run whose status is not "ok" says that its error bar is not to be trusted. Such runs are left out
of the z-scores, and counted: the share of "ok" is a measurement of its own, at least 0.9 on the
easy targets, and whatever it is on the others (docs/estimators.md lists them). E[Zhat] = Z of the
unbiased estimators is measured on the easy targets over all runs, whatever their status.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from statmech_ml.partition import LogZ, Path, Tempering
from statmech_ml.samplers import State
from statmech_ml.statistics import mean
from validation.check import (
    Check,
    Measurement,
    Mutant,
    against,
    by_p_value,
    calibration,
    derive_seed,
    identity,
)
from validation.estimators import ESTIMATORS, Estimator
from validation.targets import TARGETS, Target

RUNS, RUNS_FAST, RUNS_WRONG = 40, 6, 12
MIN_OK = 0.9
EASIEST = ("RBM 16x8, weights", "stiffened trap", "Ising 4x4 torus")

SHARE = "share ok, "
"""How the measurement of the share of trusted runs is called, before the target's name."""


class Runs(NamedTuple):
    """Independent runs of one estimator on one target, arrays (run,): value, stderr, lower, the
    error with pairs of levels taken as independent (NaN where there are none), and whether the
    status is ok.
    """

    value: np.ndarray
    stderr: np.ndarray
    lower: np.ndarray
    pairs: np.ndarray
    ok: np.ndarray


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _collected(run: Callable[[int], LogZ], n: int, seed: int) -> Runs:
    rows = []
    for k in range(n):
        r = run(derive_seed(seed, f"run {k}"))
        pairs = r.diagnostics.get("difference_stderr", [math.nan])
        rows.append((r.value, r.stderr, _number(r.lower), float(np.linalg.norm(pairs)), r.ok))
    return Runs(*(np.array(column) for column in zip(*rows, strict=True)))


@lru_cache(maxsize=256)
def _runs(estimator: str, target: str, n: int, seed: int, quick: bool = False) -> Runs:
    """Mutants that see the same seed need not run them again."""
    chosen = ESTIMATORS[estimator]
    run = partial(chosen, TARGETS[target], **(chosen.quick if quick else {}))
    return _collected(run, n, derive_seed(seed, f"{estimator}, {target}"))


# --- mistakes with what a run returned ------------------------------------------------------------

Mistake = Callable[[Target, Runs], Runs]


def unchanged(target: Target, runs: Runs) -> Runs:
    """No mistake."""
    return runs


def half_width(target: Target, runs: Runs) -> Runs:
    """A 95% confidence half-width where a standard error belongs."""
    return runs._replace(stderr=1.96 * runs.stderr)


def no_reference(target: Target, runs: Runs) -> Runs:
    """log(Z / Z_0) for log Z."""
    return runs._replace(value=runs.value - target.path.log_z_reference)


def mean_of_log(target: Target, runs: Runs) -> Runs:
    """The lower bound for the estimate."""
    return runs._replace(value=runs.lower)


def independent_pairs(target: Target, runs: Runs) -> Runs:
    """Errors of neighbouring pairs of levels added up as if they had no samples in common."""
    return runs._replace(stderr=runs.pairs)


# --- mistakes inside a run: paths whose energies or moves are wrong -------------------------------


class WrongSign(Tempering):
    """Weights of the wrong sign."""

    factor = -1.0

    def reduced_energy(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """What enters weights; moves do not see it."""
        return self.factor * super().reduced_energy(x, lam)

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """The same at many lambdas."""
        return np.stack([self.reduced_energy(x, lam) for lam in lams])

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """Its derivative."""
        return self.factor * super().slope(x, lam)


class BetaTwice(WrongSign):
    """beta multiplies the energy once more in the weights."""

    def __init__(self, model: Any, beta: float, sampler: Any) -> None:
        super().__init__(model, beta, sampler)
        self.factor = beta


class ReversedLadder(Tempering):
    """Moves walk the ladder from the wrong end."""

    def advance(
        self, state: State, lam: Any, n_sweeps: int, sampler: Any = None
    ) -> tuple[State, Any]:
        """At 1 - lambda."""
        return super().advance(state, 1.0 - np.asarray(lam), n_sweeps, sampler)


# On an even ladder with fast moves the order of the levels does not matter: the same ratios of Z
# are multiplied. Uneven steps tell a ladder from its reverse.
_UNEVEN = np.linspace(0.0, 1.0, 17) ** 2


@dataclass(frozen=True)
class Wrong:
    """A mistake that is tried on one target alone: a wrong path to it (a tempered one), settings
    under which it shows, or a mistake with the results.
    """

    name: str
    path: type[Tempering] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    target: str = "Ising 4x4 torus"
    mistake: Mistake = unchanged
    n: int = RUNS_WRONG

    def __call__(self, seed: int, scale: int, *, estimator: Estimator) -> list[Measurement]:
        """The measurements of the target with the mistake."""
        target: Any = TARGETS[self.target]
        path: Path = target.path
        if self.path is not None:
            path = self.path(target.path.model, target.path.beta, target.path.sampler)
        run = partial(estimator, target, path=path, **self.settings)
        runs = self.mistake(target, _collected(run, self.n * scale, seed))
        return _judged(target, runs, unbiased=False)[0]


_SIGN = Wrong("sign of the log-weights", WrongSign)
_TWICE = Wrong("beta used twice", BetaTwice)
_REVERSED = Wrong("reversed ladder", ReversedLadder, {"ladder": _UNEVEN, "n_levels": None})
_PAIRS = Wrong(
    "pair errors summed as independent",
    settings={"n_levels": 8, "n_draws": 25, "burn_in": 20},
    target="stiffened trap",
    mistake=independent_pairs,
    n=300,
)


# --- checks ---------------------------------------------------------------------------------------


def _judged(target: Target, runs: Runs, unbiased: bool) -> tuple[list[Measurement], np.ndarray]:
    """The measurements of one target, and the z-scores of its trusted runs."""
    z = (runs.value - target.log_z)[runs.ok] / runs.stderr[runs.ok]
    tolerance = 1.0 - MIN_OK if target.easy else 1.0
    n = len(runs.ok)
    found = [identity(f"{SHARE}{target.name}", runs.ok.mean(), 1.0, tolerance, n)]
    if len(z):
        found += calibration(f"log Z, {target.name}", z)
    if unbiased and target.easy:
        ratio = np.exp(runs.value - target.log_z)
        found.append(against(f"Zhat / Z, {target.name}", mean(ratio[:, None]), 1.0))
    return found, z


def _calibration(
    seed: int, scale: int, *, estimator: Estimator, mistake: Mistake = unchanged
) -> list[Measurement]:
    if mistake is not unchanged:
        scale = 1  # the second run of a mutant: as long as the first will do
    found, every_z = [], []
    for name in estimator.targets:
        runs = mistake(TARGETS[name], _runs(estimator.name, name, RUNS * scale, seed))
        measured, z = _judged(TARGETS[name], runs, estimator.unbiased)
        found += measured
        every_z.append(z)
    return found + calibration("log Z, all targets", np.concatenate(every_z))


def _check(estimator: Estimator, wrong: tuple[Wrong, ...], *mistakes: tuple[str, Mistake]) -> Check:
    run = partial(_calibration, estimator=estimator)
    claim = "; E[Zhat] = Z" if estimator.unbiased else ""
    common: tuple[tuple[str, Mistake], ...] = (
        ("95% half-width as standard error", half_width),
        ("log Z of the reference forgotten", no_reference),
    )
    return Check(
        f"calibration.{estimator.name.replace(',', '').replace(' ', '-')}",
        f"{estimator.name}: over {RUNS} seeds on each of {len(estimator.targets)} targets z of log "
        f"Z has mean 0 and sd 1{claim}.",
        run,
        tuple(Mutant(name, partial(run, mistake=mistake)) for name, mistake in common + mistakes)
        + tuple(Mutant(w.name, partial(w, estimator=estimator)) for w in wrong),
        tier="full",
    )


def _every_estimator(seed: int, scale: int, *, factor: float = 1.0, shift: bool = False) -> list:
    """A few seeds of short runs of each estimator on the two easiest of its targets."""
    found, every_z = [], []
    for estimator in ESTIMATORS.values():
        names = [name for name in EASIEST if name in estimator.targets][:2]
        parts = []
        for name in names:
            target = TARGETS[name]
            runs = _runs(estimator.name, name, RUNS_FAST * scale, seed, quick=True)
            runs = runs._replace(stderr=factor * runs.stderr)
            if shift:
                runs = no_reference(target, runs)
            z = (runs.value - target.log_z)[runs.ok] / runs.stderr[runs.ok]
            parts.append(z)
        n = RUNS_FAST * scale * len(names)
        z = np.concatenate(parts)
        # So few runs can only contradict a share; the full tier asks for it.
        p, error = binom.cdf(len(z), n, MIN_OK), math.sqrt(MIN_OK * (1.0 - MIN_OK) / n)
        found.append(by_p_value(f"{SHARE}{estimator.name}", p, n, len(z) / n, MIN_OK, error))
        if len(z):
            found += calibration(estimator.name, z)
        every_z.append(z)
    return found + calibration("all estimators", np.concatenate(every_z))


_WRONG_WEIGHTS = (_SIGN, _TWICE)
_WRONG_PATHS = (*_WRONG_WEIGHTS, _REVERSED)
_NO_LADDER = (replace(_SIGN, target="RBM 16x8, tempered"),)
_MEAN_OF_LOG = ("mean of log w for log of mean w", mean_of_log)

_MISTAKES: dict[str, tuple[tuple[Wrong, ...], tuple[tuple[str, Mistake], ...]]] = {
    "importance sampling": (_NO_LADDER, (_MEAN_OF_LOG,)),
    "ais": (_WRONG_PATHS, (_MEAN_OF_LOG,)),
    "ais, adaptive ladder": ((_SIGN,), (_MEAN_OF_LOG,)),
    "ais, reverse": (_WRONG_WEIGHTS, ()),
    "population annealing": (_WRONG_PATHS, (_MEAN_OF_LOG,)),
    "jarzynski": ((), (_MEAN_OF_LOG,)),
    "crooks": (_NO_LADDER, (_MEAN_OF_LOG,)),
    "thermodynamic integration": (_WRONG_WEIGHTS, ()),
    "bar": ((*_WRONG_WEIGHTS, _PAIRS), ()),
    "mbar": (_WRONG_PATHS, ()),
    "mbar, exchange": ((_TWICE,), ()),
}

CHECKS = (
    *(
        _check(estimator, wrong, *mistakes)
        for estimator in ESTIMATORS.values()
        for wrong, mistakes in [_MISTAKES.get(estimator.name, ((), ()))]
    ),
    Check(
        "calibration.every-estimator",
        f"{len(ESTIMATORS)} estimators of log Z, {RUNS_FAST} seeds on two easy targets each: z "
        "has mean 0 and sd 1.",
        _every_estimator,
        (
            Mutant("95% half-width as standard error", partial(_every_estimator, factor=1.96)),
            Mutant("log Z of the reference forgotten", partial(_every_estimator, shift=True)),
        ),
    ),
)
