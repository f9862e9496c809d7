"""Settings of samplers that adapt: found in a pilot run, then fixed at each lambda.

The pilot has random numbers of its own, so in the run itself every move leaves its law invariant.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.interpolate import interp1d

from ..samplers import Sampler, State
from .path import Path

# Few chains climb a coarse ladder, and what they find is interpolated to the fine one.
_CHAINS = 16
_LEVELS = 25
_SWEEPS = 20
_FIRST = 200  # sweeps at the first level, which starts from a step that may be far off


def tuned(path: Path, lams: np.ndarray, seed: int) -> tuple[list[Sampler], int]:
    """One fixed sampler per lambda, and the sweeps that finding them took."""
    sampler: Any = path.sampler
    if not (getattr(sampler, "adapt", False) and sampler.adapted) or len(lams) < 3:
        return [path.sampler] * len(lams), 0
    chains = np.arange(_CHAINS, dtype=np.uint32)
    state = State(path.sample_reference(seed, chains), seed, chains, 0)
    places = np.unique(np.linspace(0, len(lams) - 1, _LEVELS).round().astype(int))
    logs: dict[str, list[np.ndarray]] = {name: [] for name in sampler.adapted}
    sweeps = 0
    for i, k in enumerate(places):
        n = _SWEEPS if i else _FIRST
        betas = np.full(_CHAINS, path.beta_at(lams[k]), np.float64)
        adapted, state = sampler.warm_up(path.model, state, betas, n)
        for name, axes in sampler.adapted.items():
            found = np.log(getattr(adapted, name))
            logs[name].append(found.mean(axis=0) if found.ndim > axes else found)
        sampler = replace(sampler, step_size=float(np.exp(logs["step_size"][-1])))
        sweeps += n * _CHAINS
    every = np.arange(len(lams))
    settings = {
        name: np.exp(interp1d(places, np.stack(found), axis=0)(every))
        for name, found in logs.items()
    }
    fixed = [
        replace(sampler, adapt=False, **{name: values[k] for name, values in settings.items()})
        for k in every
    ]
    return fixed, sweeps


def per_chain(samplers: Sequence[Sampler], n_chains: int) -> Sampler:
    """One sampler for chains laid out level-fastest: chain r K + k moves like samplers[k]."""
    first: Any = samplers[0]
    if all(sampler == first for sampler in samplers):
        return samplers[0]
    levels = {name: [getattr(s, name) for s in samplers] for name in first.adapted}
    return replace(first, **{name: values * n_chains for name, values in levels.items()})
