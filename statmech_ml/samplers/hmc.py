"""Hamiltonian (hybrid) Monte Carlo: a proposal is the end of a trajectory at constant energy.

    H(x, p) = u(x) + p^2 / 2m,    u the reduced energy, so that any beta is one temperature, T = 1;

momenta are drawn anew, n_steps kick-drift-kick leapfrog steps follow, and the end is accepted with
probability min(1, exp(-dH)): exact at any step. S. Duane, A. D. Kennedy, B. J. Pendleton and D.
Roweth, Phys. Lett. B 195, 216 (1987), doi:10.1016/0370-2693(87)91197-X; R. M. Neal, in Handbook of
Markov Chain Monte Carlo (2011), arXiv:1206.1901. The identity <exp(-dH)> = 1 (M. Creutz, Phys. Rev.
D 38, 1228 (1988), doi:10.1103/PhysRevD.38.1228) tells whether a run is in equilibrium and its
leapfrog correct.

Without accept/reject the chain keeps the law of the leapfrog: on u = x^2/2 the leapfrog conserves
p^2 + x^2 (1 - eps^2/4) exactly, so the variance is 1/(1 - eps^2/4), at any number of steps.

Trajectories have random lengths: on a harmonic well one of fixed length may be a whole period, and
the chain would come back to where it was for ever. The number of steps does not depend on the
state, so every choice leaves the law alone (P. B. Mackenzie, Phys. Lett. B 226, 369 (1989),
doi:10.1016/0370-2693(89)91212-4).

A state and the step that was chosen because of it are not independent, so adaptation moves the
distribution away from the target. It happens in the warm-up only, whose last quarter runs with the
final settings and forgets those states, if it is a few autocorrelation times long.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from ..errors import InvalidInput
from ..systems import EnergyModel, require
from ._adaptation import DualAveraging, Variances, windows
from ._devices import in_batches
from ._hamiltonian import trajectories, trajectories_in_batches
from .base import Info, Sampler, State, advanced, over_chains

_LEAST = 20  # sweeps of warm-up below which there is nothing to learn from
_ADAPTING = 0.75  # part of the warm-up that adapts

Masses = float | tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class HMC(Sampler):
    """Hamiltonian Monte Carlo for `Differentiable` models; one sweep is one trajectory.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eps, in units of x (times sqrt(mass) per sqrt of reduced energy).
    n_steps : int, default 10
        Leapfrog steps of a trajectory, on average.
    adapt : bool, default True
        Whether the warm-up tunes each chain's step to `target`, and the masses where none are
        given. A warm-up of fewer than 20 sweeps changes nothing. Always False where `adjusted` is:
        the law depends on the step then.
    target : float in (0, 1), default 0.8
        Mean acceptance probability to tune to.
    mass : array (dim,) or (chain, dim), optional
        The diagonal of the mass matrix: best the inverse variances. Default: ones, or what the
        warm-up finds, equal for chains at one beta, with a geometric mean of 1. Kept as a tuple.
    jitter : float in [0, 1), default 0.5
        Numbers of steps are uniform in n_steps (1 - jitter) .. n_steps (1 + jitter), and for any
        jitter > 0 at least in n_steps - 1 .. n_steps + 1: whole numbers know no smaller spread. 0
        keeps them all at n_steps, and a trajectory of one step has none.
    adjusted : bool, default True
        Whether to accept and reject; without it the law is biased by the step (`invariant` is
        False), on N(0, 1) to a variance of 1 / (1 - eps^2 / 4).

    Info of `advance` holds means over its sweeps, (chain,): "acceptance"; "energy_error", dH, and
    "divergences", the share of trajectories with dH > 1000 or leaving the domain of the energy;
    "effective_temperature", 1, that of the momenta drawn. Where `adjusted` is False also
    "kinetic_temperature", p^2 / m per coordinate at the ends of trajectories, and "correction", -dH
    summed over the sweeps: its exponential averages to one in equilibrium and makes annealed
    importance sampling exact.

    Raises InvalidInput for settings that cannot work, and, where `adjusted` is False, when chains
    leave the finite numbers.

    >>> from statmech_ml import sample
    >>> from statmech_ml.models import Gaussian
    >>> target = Gaussian([1.0, -1.0], [0.5, 2.0])
    >>> chain = sample(target, HMC(), beta=1.0, n_chains=4, n_draws=500, burn_in=200, rng=1)
    >>> bool(chain.info["acceptance"].mean() > 0.6)
    True
    """

    step_size: float | tuple[float, ...] = 0.1
    n_steps: int = 10
    adapt: bool = True
    target: float = 0.8
    mass: Any = None
    jitter: float = 0.5
    adjusted: bool = True

    stream: ClassVar[str] = "hmc/philox4x32-10/1"
    adapted: ClassVar[Mapping[str, int]] = MappingProxyType({"step_size": 0, "mass": 1})
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __post_init__(self) -> None:
        steps = _positive("step_size", self.step_size, (0, 1), "a number, or one per chain")
        object.__setattr__(self, "step_size", _plain(steps))
        whole = isinstance(self.n_steps, int | np.integer) and not isinstance(self.n_steps, bool)
        if not whole or self.n_steps < 1:
            raise InvalidInput(
                f"n_steps={self.n_steps!r} must be a whole number of leapfrog steps, at least 1."
            )
        object.__setattr__(self, "n_steps", int(self.n_steps))
        if not (_number(self.target) and 0.0 < self.target < 1.0):
            raise InvalidInput(
                f"target={self.target!r} must lie between 0 and 1: the mean acceptance to tune to, "
                "e.g. 0.8."
            )
        if not (_number(self.jitter) and 0.0 <= self.jitter < 1.0):
            raise InvalidInput(
                f"jitter={self.jitter!r} must be at least 0 and less than 1: the numbers of steps "
                "are n_steps (1 - jitter) to n_steps (1 + jitter)."
            )
        if not self.adjusted:
            object.__setattr__(self, "adapt", False)
        if self.mass is not None:
            shape = "an array (dim,), or (chain, dim)"
            object.__setattr__(self, "mass", _plain(_positive("mass", self.mass, (1, 2), shape)))

    @property
    def invariant(self) -> bool:  # type: ignore[override]
        """Whether the law is exact: it is with accept/reject."""
        return self.adjusted

    @property
    def reversible(self) -> bool:
        """Yes: trajectories run backwards are trajectories."""
        return True

    @property
    def effective_temperature(self) -> float:
        """1: momenta are drawn at the temperature of the model."""
        return 1.0

    @property
    def lengths(self) -> tuple[int, int]:
        """Fewest and most steps of a trajectory."""
        if self.n_steps == 1:
            return 1, 1
        # A spread below one step would round to none, and trajectories to one fixed length.
        spread = max(1.0, self.jitter * self.n_steps) if self.jitter else 0.0
        fewest = max(1, math.ceil(self.n_steps - spread))
        return fewest, max(fewest, math.floor(self.n_steps + spread))

    def check(self, model: EnergyModel) -> None:
        """Raise MissingCapability unless Differentiable, InvalidInput for masses of another
        dimension."""
        require(model, "Differentiable", "HMC", "Use HeatBath or Metropolis for discrete states.")
        size = int(model.space.size)
        if self.mass is not None and np.shape(self.mass)[-1] != size:
            raise InvalidInput(
                f"mass has {np.shape(self.mass)[-1]} entries for the {size} coordinates of "
                f"{model!r}. Give one per coordinate, (dim,), or (chain, dim)."
            )

    def of_chains(self, chosen: np.ndarray) -> Self:
        """The sampler of some of the chains, with their steps and masses."""
        steps, mass = np.asarray(self.step_size), self.mass
        if np.ndim(mass) == 2:
            mass = np.asarray(mass)[chosen]
        return replace(self, step_size=_plain(steps[chosen] if steps.ndim else steps), mass=mass)

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` trajectories per chain; what info holds is said above."""
        n = len(state.x)
        steps = np.asarray(self.step_size, np.float64)
        if steps.ndim and len(steps) != n:
            raise InvalidInput(
                f"step_size has {len(steps)} entries for {n} chains. Give one number, or one per "
                "chain."
            )
        masses = np.ones((1, state.x.shape[1])) if self.mass is None else np.array(self.mass)
        masses = masses[None] if masses.ndim == 1 else masses
        if len(masses) not in (1, n):
            raise InvalidInput(
                f"mass has {len(masses)} rows for {n} chains. Give one, (dim,), or one per chain."
            )
        steps = np.ascontiguousarray(np.broadcast_to(steps, n))
        return self._trajectories(model, state, beta, n_sweeps, device, steps, masses)

    def _trajectories(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str,
        steps: np.ndarray, masses: np.ndarray,
    ) -> tuple[State, Info]:  # fmt: skip
        """`advance` with steps (chain,) and masses (1 or chain, dim) that may still change."""
        x, n = state.x.copy(), len(state.x)
        beta, scales = np.asarray(beta, np.float64), masses**-0.5
        taken, diverged = np.zeros(n, np.int64), np.zeros(n, np.int64)
        errors, squares = np.zeros(n), np.zeros(n)
        compiled = hasattr(model, "arrays")
        model = model if compiled else in_batches(model, device)

        def run(part: slice) -> None:
            move = trajectories if compiled else trajectories_in_batches
            move(
                model.arrays if compiled else model, x[part], beta[part], steps[part],
                scales[part] if len(scales) > 1 else scales, *self.lengths, self.adjusted,
                state.chains[part], np.uint64(state.seed), state.sweep, n_sweeps,
                taken[part], errors[part], diverged[part], squares[part],
            )  # fmt: skip

        if device == "cuda" and compiled:
            from ._cuda.hamiltonian import trajectories as on_device

            on_device(
                model.arrays, x, beta, steps, scales, *self.lengths, self.adjusted, state,
                n_sweeps, (taken, errors, diverged, squares),
            )  # fmt: skip
        elif compiled:
            over_chains(n, x.size * n_sweeps * self.n_steps, run)
        else:  # a user's function need not be safe on threads
            run(slice(None))
        sweeps = max(1, n_sweeps)
        info: Info = {
            "acceptance": taken / sweeps,
            "energy_error": errors / sweeps,
            "divergences": diverged / sweeps,
            "effective_temperature": np.ones(n),
        }
        if not self.adjusted:
            lost = ~(np.isfinite(x).all(axis=1) & np.isfinite(errors))
            if lost.any():
                raise InvalidInput(
                    f"{lost.sum()} of {n} chains of HMC without accept/reject left the finite "
                    f"numbers, or the domain of {model!r}, with steps up to {steps.max():g}: the "
                    "leapfrog diverges where the step exceeds 2 over the square root of the "
                    "curvature. Use a smaller step_size, or adjusted=True."
                )
            info["correction"] = -errors
            info["kinetic_temperature"] = squares / (sweeps * x.shape[1])
        return advanced(state, x, n_sweeps), info

    def warm_up(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple["HMC", State]:
        """Burn in: three quarters adapt, the rest keeps the result.

        Steps follow dual averaging all the time; masses, which chains at one beta share, are set at
        the ends of windows that double in length.
        """
        if not self.adapt or n_sweeps < _LEAST:
            return self, self.advance(model, state, beta, n_sweeps, device)[0]
        betas, group = np.unique(np.asarray(beta, np.float64), return_inverse=True)
        given = None if self.mass is None else np.atleast_2d(np.array(self.mass))
        masses = np.ones((len(betas), state.x.shape[1]))
        start = np.broadcast_to(np.asarray(self.step_size, np.float64), len(state.x))
        tuner = DualAveraging(start, self.target)
        adapting = int(_ADAPTING * n_sweeps)
        for length, learning in windows(adapting):
            variances = Variances(state.x, group)
            rows = given if given is not None else masses[group] if len(betas) > 1 else masses
            for _ in range(length):
                state, info = self._trajectories(model, state, beta, 1, device, tuner.steps, rows)
                tuner.learn(np.exp(-np.maximum(info["energy_error"], 0.0)))
                variances.learn(state.x)
            if learning and given is None:
                masses = variances.masses(masses)
                tuner.restart()
        mass = rows[0] if len(rows) == 1 else rows
        fixed = replace(self, step_size=tuple(tuner.averaged.tolist()), mass=mass, adapt=False)
        return fixed, fixed.advance(model, state, beta, n_sweeps - adapting, device)[0]


def _number(given: Any) -> bool:
    return isinstance(given, int | float | np.integer | np.floating)


def _positive(name: str, given: Any, dims: tuple[int, ...], shape: str) -> np.ndarray:
    try:
        values = np.asarray(given, np.float64)
        right = values.ndim in dims and values.size and (np.isfinite(values) & (values > 0)).all()
    except (TypeError, ValueError):  # no numbers, or rows of different lengths
        right = False
    if not right:
        raise InvalidInput(f"{name}={given!r} must be positive and finite: {shape}.")
    return values


def _plain(values: np.ndarray) -> Any:
    """Numbers in tuples: settings compare, and are stored, as they are."""
    if values.ndim == 0:
        return float(values)
    return tuple(tuple(row) if isinstance(row, list) else row for row in values.tolist())
