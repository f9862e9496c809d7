"""Whether the negative chains of a training run are in equilibrium with the model they stand for.

Copies of the chains go on at fixed parameters for a while. Were they in equilibrium, the law of a
configuration would not change, so the mean of F over chains would stay; and they have forgotten
where they started only if they have had more sweeps than their autocorrelation time. Out of
equilibrium means either of

    drift > MAX_DRIFT and |z| > MAX_Z      F moved, by a part of its standard deviation that matters
                                           and by more than chance,
    mixing time > sweeps                   tau_int, the larger of that of F and of the projection on
                                           the first principal axis of the data, against the sweeps
                                           since the chains were started.

The drift finds chains that lag behind parameters which move too fast, and CD-k chains that remember
the data. Modes that no chain ever visits are seen by neither: compare log-likelihoods for these.
Such runs train a model of the dynamics and not of the data: A. Decelle, C. Furtlehner and B.
Seoane, NeurIPS (2021), arXiv:2105.13889.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from ..samplers import State
from ..spaces import Discrete
from ..statistics.autocorrelation import between_chains, is_constant, measure_tau
from .shell import Trainable

MAX_DRIFT = 0.25
"""Change of the mean of F, in standard deviations of F over the model, above which chains lag."""
MAX_Z = 4.0
"""Change of the mean of F in standard errors that chance does not make (6e-5)."""


class Equilibrium(NamedTuple):
    """What a probe found.

    Fields: drift, change of mean F in standard deviations of F; drift_z, the same in standard
    errors; mixing_time, tau_int in sweeps, and its error, infinite where the probe was too short
    and the value is a lower bound; sweeps that the chains had; broken, the verdict.
    """

    drift: float
    drift_z: float
    mixing_time: float
    mixing_time_error: float
    sweeps: float

    @property
    def broken(self) -> bool:
        """Whether the chains are out of equilibrium."""
        drifts = abs(self.drift) > MAX_DRIFT and abs(self.drift_z) > MAX_Z
        return drifts or self.mixing_time > self.sweeps

    def __str__(self) -> str:
        bound = "at least " if math.isinf(self.mixing_time_error) else ""
        had = f" after {self.sweeps:g} sweeps" if math.isfinite(self.sweeps) else ""
        return (
            f"left alone{had}, their mean free energy moves by {self.drift:+.2f} of its standard "
            f"deviation ({self.drift_z:+.1f} errors; limits {MAX_DRIFT:g} and {MAX_Z:g}), and "
            f"their mixing time is {bound}{self.mixing_time:.3g} sweeps"
        )


def principal_axis(shell: Trainable, data: np.ndarray) -> np.ndarray:
    """First principal axis of the data, float64 (features,); of q-valued units, of their code."""
    coded = _coded(shell, data).astype(np.float64)
    coded -= coded.mean(axis=0)
    return np.asarray(np.linalg.svd(coded, full_matrices=False)[2][0])


def probe(
    shell: Trainable, x: np.ndarray, axis: np.ndarray, n_sweeps: int, sweeps: float, seed: int
) -> Equilibrium:
    """Let chains x (chain, size) go on for n_sweeps at the shell's parameters; x stays as it is.

    `sweeps` is how many they have had, `seed` that of the random numbers of the probe.
    """
    model, sampler = shell.freeze(), shell.sampler()
    state = State(x, seed, np.arange(len(x), dtype=np.uint32), 0)
    energy, place = np.empty((2, len(x), n_sweeps + 1))
    for t in range(n_sweeps + 1):
        if t:
            state, _ = sampler.advance(model, state, np.ones(len(x)), 1)
        with torch.no_grad():
            energy[:, t] = shell.free_energy(shell.tensor(state.x)).cpu().numpy()
        place[:, t] = _coded(shell, state.x) @ axis
    late = energy[:, (n_sweeps + 1) // 2 :]
    moved = late.mean(axis=1) - energy[:, 0]
    spread, error = float(late.std()), float(moved.std(ddof=1)) / math.sqrt(len(x))
    mean = float(moved.mean())
    times = [_tau(series[:, 1:]) for series in (energy, place)]
    tau, tau_error = max(times)
    return Equilibrium(
        mean / spread if spread else 0.0, mean / error if error else 0.0, tau, tau_error, sweeps
    )


def _tau(series: np.ndarray) -> tuple[float, float]:
    """tau_int in sweeps and its error; a lower bound and infinity where the series is short."""
    if is_constant(series):  # nothing moves, or nothing can
        return 0.5, 0.0
    result, trouble = measure_tau(series)
    if trouble or not math.isfinite(result.stderr):
        # Chains that never meet say by the scatter of their means how long they are stuck at least.
        apart = between_chains(series) * series.size / (2.0 * result.variance)
        return max(0.5, float(result.tau_int), apart), math.inf
    return float(result.tau_int), float(result.stderr)


def _coded(shell: Trainable, x: np.ndarray) -> np.ndarray:
    """Configurations as vectors: one-hot where units have more than two values."""
    space = shell.space
    if isinstance(space, Discrete) and space.n_values > 2:
        return np.asarray((x[..., None] == space.values).reshape(len(x), -1), np.float32)
    return x
