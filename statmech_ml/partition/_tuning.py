"""Steps for samplers that adapt one: found in a pilot run, then fixed at each lambda.

The pilot has random numbers of its own, so in the run itself every move leaves its law invariant.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..samplers import Sampler, State
from .path import Path

# Few chains climb a coarse ladder, and the steps that they find are interpolated to the fine one.
_CHAINS = 16
_LEVELS = 25
_SWEEPS = 20
_FIRST = 200  # sweeps at the first level, which starts from a step that may be far off


def tuned(path: Path, lams: np.ndarray, seed: int) -> tuple[list[Sampler], int]:
    """One fixed sampler per lambda, and the sweeps that finding them took."""
    sampler: Any = path.sampler
    if not (getattr(sampler, "adapt", False) and hasattr(sampler, "step_size")) or len(lams) < 3:
        return [path.sampler] * len(lams), 0
    chains = np.arange(_CHAINS, dtype=np.uint32)
    state = State(path.sample_reference(seed, chains), seed, chains, 0)
    places = np.unique(np.linspace(0, len(lams) - 1, _LEVELS).round().astype(int))
    log_steps, sweeps = [], 0
    for i, k in enumerate(places):
        n = _SWEEPS if i else _FIRST
        betas = np.full(_CHAINS, path.beta_at(lams[k]), np.float64)
        adapted, state = sampler.warm_up(path.model, state, betas, n)
        log_steps.append(float(np.mean(np.log(adapted.step_size))))
        sampler = replace(sampler, step_size=math.exp(log_steps[-1]))
        sweeps += n * _CHAINS
    steps = np.exp(np.interp(np.arange(len(lams)), places, log_steps))
    return [replace(sampler, step_size=float(step), adapt=False) for step in steps], sweeps


def per_chain(samplers: Sequence[Sampler], n_chains: int) -> Sampler:
    """One sampler for chains laid out level-fastest: chain r K + k moves like samplers[k]."""
    steps = [getattr(sampler, "step_size", None) for sampler in samplers]
    if len(set(steps)) == 1:
        return samplers[0]
    first: Any = samplers[0]
    return replace(first, step_size=tuple(steps) * n_chains)
