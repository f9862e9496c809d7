"""Ladders with steps of equal length, from a pilot population with random numbers of its own.

The length of a step is the spread of its increment, sqrt(-log(CESS / N)), with the conditional
effective sample size

    CESS / N = (mean w)^2 / (mean w^2) = exp(-variance of log w)  for normal log w,

of chains that were equally weighted before the step. The sum of squared lengths is what the
variance of log-weights grows with, and for a given number of steps it is least when all are equal:
G. E. Crooks, Phys. Rev. Lett. 99, 100602 (2007), doi:10.1103/PhysRevLett.99.100602. The pilot: Y.
Zhou, A. M. Johansen and J. A. D. Aston, J. Comput. Graph. Stat. 25, 701 (2016),
doi:10.1080/10618600.2015.1060885.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..errors import StatmechError
from ..samplers import State
from ._resampling import systematic
from ._tuning import tuned
from .path import Path

_CHAINS = 128
_SWEEPS = 3  # per step of the pilot
_CESS = 0.95  # of a step of the pilot
_LONGEST = 1 / 16  # step in lambda, so that a short path is resolved too
_SHORTEST = 1e-6  # step in lambda; doubled while even the shortest loses too much weight
_HALVINGS = 12


class Ladder(NamedTuple):
    """Lambdas from 0 to 1, and what finding them cost."""

    lams: np.ndarray
    sweeps: int
    energy_evaluations: int


def equal_steps(path: Path, n_levels: int, seed: int) -> Ladder:
    """`n_levels` steps of about equal length."""
    rough = np.linspace(0.0, 1.0, 26)
    samplers, sweeps = tuned(path, rough, seed)
    chains = np.arange(_CHAINS, dtype=np.uint32)
    state = State(path.sample_reference(seed, chains), seed, chains, 0)
    offsets = np.random.default_rng(seed)
    lams, lengths = [0.0], [0.0]
    step, shortest, evaluations = _LONGEST, _SHORTEST, 0
    while lams[-1] < 1.0:
        lam = lams[-1]
        upper = min(1.0 - lam, 2.0 * step, _LONGEST)
        step, log_w, tried = _longest(path, state.x, lam, upper, shortest)
        shortest = 2.0 * shortest if step == shortest else _SHORTEST
        evaluations += 2 * _CHAINS * tried
        share = _shares(log_w)
        cess = 1.0 / (_CHAINS * float((share**2).sum()))
        lams.append(min(1.0, lam + step))
        lengths.append(math.sqrt(max(0.0, -math.log(cess))))
        state = state._replace(x=state.x[systematic(share, offsets.random())])
        nearest = samplers[round(lams[-1] * (len(rough) - 1))]
        state, _ = path.advance(state, lams[-1], _SWEEPS, nearest)
        sweeps += _SWEEPS * _CHAINS
    return Ladder(_divide(np.array(lams), np.array(lengths), n_levels), sweeps, evaluations)


def _longest(
    path: Path, x: np.ndarray, lam: float, upper: float, shortest: float
) -> tuple[float, np.ndarray, int]:
    """The longest step up to `upper` that keeps the CESS, by bisection; its log-weights; trials."""
    shortest = min(shortest, upper)
    low, high = 0.0, upper
    tried = upper
    for n in range(1, _HALVINGS + 1):
        log_w = path.weigh(x, lam, lam + tried)
        keeps = _cess(log_w) >= _CESS
        if keeps:
            low = tried
        else:
            high = tried
        if keeps and (tried == upper or high - low < 0.1 * low):
            return tried, log_w, n
        tried = max(0.5 * (low + high), shortest)
        if high <= shortest:
            break
    step = max(low, shortest)
    return step, path.weigh(x, lam, lam + step), n + 1


def _shares(log_w: np.ndarray) -> np.ndarray:
    top = log_w.max()
    if top == -math.inf:
        raise StatmechError(
            f"All {len(log_w)} chains of the pilot run ended where the target has no weight, so no "
            "ladder can be made. Take a reference that covers the target."
        )
    w = np.exp(log_w - top)
    return np.asarray(w / w.sum())


def _cess(log_w: np.ndarray) -> float:
    if np.isneginf(log_w).all():
        return 0.0
    return 1.0 / (len(log_w) * float((_shares(log_w) ** 2).sum()))


def _divide(lams: np.ndarray, lengths: np.ndarray, n_levels: int) -> np.ndarray:
    """Lambdas at equal parts of the length along the pilot's."""
    along = np.cumsum(lengths)
    if not along[-1] > 0.0:
        return np.linspace(0.0, 1.0, n_levels + 1)
    # Where nothing changes length stands still; a little of lambda keeps the map invertible.
    along = along / along[-1] + 1e-3 * lams
    found = PchipInterpolator(along, lams)(np.linspace(0.0, along[-1], n_levels + 1))
    found[0], found[-1] = 0.0, 1.0
    return np.asarray(found)
