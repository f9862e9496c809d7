"""Whether the negative chains of a training run are in equilibrium with the model they stand for.

Copies of the chains go on at fixed parameters for a while. Were they in equilibrium, the law of a
configuration would not change, so the mean of F over chains would stay; and they have forgotten
where they started only if they have had more sweeps than their autocorrelation time. Out of
equilibrium means one of

    drift > MAX_DRIFT and |z| > MAX_Z      F moved, by a part of its standard deviation that matters
                                           and by more than chance,
    mixing time > sweeps                   tau_int, the larger of that of F and of the projection on
                                           the first principal axis of the data, against the sweeps
                                           since the chains were started,
    stuck                                  the probe was too short for tau_int, and chains do not
                                           forget each other in it (below).

A probe of S sweeps measures tau_int up to S / 10 or so, and a lower bound, at most S / 2, beyond.
But the chains are many, and what they have in common with themselves t sweeps later,

    C(t) = covariance over chains of F (or of the place on the axis) now and t sweeps later,

falls as exp(-t / T) once the fast modes are gone. Quarters of the probe, averaged, give C at S / 4
and at 3 S / 4, so 1 / T = log(C(S/4) / C(3S/4)) / (S / 2), with a jackknife error s over chains.
Chains are stuck if

    C(3S/4) > MAX_SHARE var                they still differ, by more than R-hat = 1.2 admits,
    T > sweeps                             as estimated, no decay at all included, and
    1 / (1/T + 2 s), at most n S / 6,      what T is at least at 95 %, is longer than the sweeps or
        > min(sweeps, LONG S)              than LONG probes.

n chains that hop between two modes do so every 2 T sweeps each, so n S sweeps without a hop exclude
T < n S / 6 and no more: fewer than 6 LONG = 24 chains are never called stuck. That chains of unlike
modes are stuck does not make a gradient wrong by itself; it means that they cannot follow the
weights of the modes any more, since as many remain in each as came there early in training. Chains
that all sit in one and the same state are stuck too, unless chains from random starts come to it.
All of this is asked only of chains that count sweeps (`Method.sweeps`). As 1 / T is known to s
only, frozen chains with more than some 1 / (4 s) sweeps behind them are found out in part of the
probes: of 100 chains and 50 sweeps a probe, in all that were tried at 800 sweeps, in about 7 of 10
at 5000. Longer probes (`Monitor.probe_sweeps`) reach further.

The drift finds chains that lag behind parameters which move too fast, and CD-k chains that remember
the data. Modes that no chain ever visits are seen by none of this: compare log-likelihoods.
Such runs train a model of the dynamics and not of the data: A. Decelle, C. Furtlehner and B.
Seoane, NeurIPS (2021), arXiv:2105.13889. R-hat: A. Gelman and D. B. Rubin, Stat. Sci. 7, 457
(1992), doi:10.1214/ss/1177011136.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import stdtrit

from ..samplers import State
from ..spaces import Discrete
from ..statistics.autocorrelation import between_chains, is_constant, measure_tau
from .shell import Trainable

MAX_DRIFT = 0.25
"""Change of the mean of F, in standard deviations of F over the model, above which chains lag."""
MAX_Z = 4.0
"""Change of the mean of F in standard errors that chance does not make (6e-5)."""
MAX_SHARE = 1.0 - 1.2**-2
"""Part of the variance in which chains may still differ 3/4 of a probe later: R-hat = 1.2."""
LONG = 4
"""Relaxation times longer than so many probes are too long for one of them, if T > sweeps too."""


class Equilibrium(NamedTuple):
    """What a probe found.

    Fields: drift, change of mean F in standard deviations of F; drift_z, the same in standard
    errors; mixing_time, tau_int in sweeps, and its error, infinite where the probe was too short
    and the value is a lower bound, both NaN where nothing moves; sweeps that the chains had; stuck,
    whether they do not forget where they are; broken, the verdict.
    """

    drift: float
    drift_z: float
    mixing_time: float
    mixing_time_error: float
    sweeps: float
    stuck: bool = False

    @property
    def broken(self) -> bool:
        """Whether the chains are out of equilibrium."""
        drifts = abs(self.drift) > MAX_DRIFT and abs(self.drift_z) > MAX_Z
        return drifts or self.stuck or self.mixing_time > self.sweeps

    def __str__(self) -> str:
        had = f" after {self.sweeps:g} sweeps" if math.isfinite(self.sweeps) else ""
        words = (
            f"left alone{had}, their mean free energy moves by {self.drift:+.2f} of its standard "
            f"deviation ({self.drift_z:+.1f} errors; limits {MAX_DRIFT:g} and {MAX_Z:g})"
        )
        if math.isnan(self.mixing_time):
            return f"{words}, and none of them leaves its state"
        bound = "at least " if math.isinf(self.mixing_time_error) else ""
        stay = "; they do not leave the modes that they are in" if self.stuck else ""
        return f"{words}, and their mixing time is {bound}{self.mixing_time:.3g} sweeps{stay}"


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
    still = True
    for t in range(n_sweeps + 1):
        if t:
            state, _ = sampler.advance(model, state, np.ones(len(x)), 1)
            still = still and np.array_equal(state.x, x)
        with torch.no_grad():
            energy[:, t] = shell.free_energy(shell.tensor(state.x)).cpu().numpy()
        place[:, t] = _coded(shell, state.x) @ axis
    if still and math.isfinite(sweeps):
        return _of_still(shell, x, n_sweeps, sweeps, seed)
    late = energy[:, (n_sweeps + 1) // 2 :]
    moved = late.mean(axis=1) - energy[:, 0]
    spread, error = float(late.std()), float(moved.std(ddof=1)) / math.sqrt(len(x))
    mean = float(moved.mean())
    times = [_times(series[:, 1:], sweeps) for series in (energy, place)]
    tau, tau_error, _ = max(times)
    return Equilibrium(
        mean / spread if spread else 0.0,
        mean / error if error else 0.0,
        tau,
        tau_error,
        sweeps,
        any(stuck for _, _, stuck in times),
    )


def _of_still(
    shell: Trainable, x: np.ndarray, n_sweeps: int, sweeps: float, seed: int
) -> Equilibrium:
    """Of chains that never moved: a law of one state is one that random starts lead to."""
    if (x == x[0]).all():
        model, sampler = shell.freeze(), shell.sampler()
        state = sampler.init(model, len(x), seed, "random")
        state, _ = sampler.advance(model, state, np.ones(len(x)), n_sweeps)
        if (state.x == x[0]).all():
            return Equilibrium(0.0, 0.0, 0.5, 0.0, sweeps)
    return Equilibrium(0.0, 0.0, math.nan, math.nan, sweeps, True)


def _times(series: np.ndarray, sweeps: float) -> tuple[float, float, bool]:
    """tau_int in sweeps, its error, and whether chains are stuck; a lower bound and infinity where
    the series is short."""
    if is_constant(series):  # this quantity has one value, and says nothing
        return 0.5, 0.0, False
    result, trouble = measure_tau(series)
    if not trouble and math.isfinite(result.stderr):
        return float(result.tau_int), float(result.stderr), False
    # Chains that never meet say by the scatter of their means how long they are stuck at least.
    apart = between_chains(series) * series.size / (2.0 * result.variance)
    tau = max(0.5, float(result.tau_int), apart)
    share, rate, error = _relaxation(series)
    if share <= MAX_SHARE:
        return tau, math.inf, False
    n_chains, n_sweeps = series.shape
    slowest = rate + 2.0 * error
    least = min(1.0 / slowest if slowest > 0.0 else math.inf, n_chains * n_sweeps / 6.0)
    stuck = rate * sweeps < 1.0 and least > min(sweeps, LONG * n_sweeps)
    return max(tau, least), math.inf, bool(stuck and math.isfinite(sweeps))


def _relaxation(series: np.ndarray) -> tuple[float, float, float]:
    """Part of the variance that chains keep for 3/4 of a series (chain, sweep), the rate at which
    they lose it, per sweep, and half the width of its interval of 95 %."""
    n_chains, n_sweeps = series.shape
    if n_sweeps < 4 or n_chains < 3:
        return 0.0, math.inf, 0.0
    quarters = [part.mean(axis=1) for part in np.array_split(series, 4, axis=1)]
    q = np.stack([part - part.mean() for part in quarters])
    near = (q[0] * q[1] + q[1] * q[2] + q[2] * q[3]) / 3.0
    far = q[0] * q[3]
    share = float(far.mean() / series.var())
    if far.mean() <= 0.0 or near.mean() <= 0.0:
        return share, math.inf, 0.0
    lag = n_sweeps / 2.0
    rate = math.log(near.mean() / far.mean()) / lag
    # The jackknife of a ratio of means, to first order.
    influence = (near / near.mean() - far / far.mean()) / lag
    error = float(influence.std(ddof=1)) / math.sqrt(n_chains)
    return share, rate, error * float(stdtrit(n_chains - 1, 0.975)) / 2.0


def _coded(shell: Trainable, x: np.ndarray) -> np.ndarray:
    """Configurations as vectors: one-hot where units have more than two values."""
    space = shell.space
    if isinstance(space, Discrete) and space.n_values > 2:
        return np.asarray((x[..., None] == space.values).reshape(len(x), -1), np.float32)
    return x
