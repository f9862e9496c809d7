"""Can a classifier tell samples of a model from data? A face of `divergences.c2st`.

The classifier, two hidden layers of 64 units, sees the spins and, beside them, what physics would
look at first: |m|, and s_i s_{i + r} averaged over the sites, for r = 1 .. L/2. It learns on half
of the configurations and is judged on the other half.
"""

from typing import Any

import numpy as np

from statmech_ml.divergences.classifier import c2st

from .observables import along_axes


def features(x: np.ndarray) -> np.ndarray:
    """What the classifier sees, float32 (n, N + 1 + L/2)."""
    m = np.abs(x.mean(axis=1, dtype=np.float64, keepdims=True))
    return np.concatenate([x, m, along_axes(x)], axis=1).astype(np.float32)


def tell_apart(samples: np.ndarray, data: np.ndarray, seed: int) -> dict[str, Any]:
    """Held-out accuracy (0.5: no difference found) with its error, and an exact p-value."""
    found = c2st(features(samples), features(data), rng=seed)
    return {
        "accuracy": found.statistic,
        "stderr": found.stderr,
        "p_value": found.p_value,
        "method": f"{found.name}, mlp, {found.method}",
    }
