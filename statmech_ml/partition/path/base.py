"""What every path is: energies and moves at each lambda, and an exact start at lambda = 0."""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...errors import InvalidInput
from ...samplers import Sampler, State
from ...samplers.base import Info


class Path(ABC):
    """Base class of all paths.

    Attributes
    ----------
    model : EnergyModel
        Its reduced energy at inverse temperature ``beta_at(lam)`` is u_lambda.
    sampler : Sampler
        Moves that leave exp(-u_lambda) invariant at each lambda.
    target : (model, beta)
        What log Z is asked of: the reduced energy of ``model`` at ``beta`` is u_1.
    """

    model: Any
    sampler: Sampler
    target: tuple[Any, float]

    @property
    @abstractmethod
    def log_z_reference(self) -> float:
        """log Z at lambda = 0, exact."""

    @abstractmethod
    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at lambda = 0, (chain, *event), one stream per chain."""

    def beta_at(self, lam: Any) -> Any:
        """The inverse temperature at which `model` is the ensemble of lambda: lambda itself."""
        return lam

    def reduced_energy(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """u_lambda(x), float64, (*batch, *event) -> (*batch,); lambda broadcasts with the batch."""
        return np.asarray(self.model.reduced_energy(x, self.beta_at(lam)))

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u of the same configurations at many lambdas, float64 (len(lams), *batch)."""
        return np.stack([self.reduced_energy(x, float(lam)) for lam in lams])

    @abstractmethod
    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """du_lambda/dlambda, float64 (*batch,); MissingCapability where the model cannot tell."""

    def advance(
        self, state: State, lam: Any, n_sweeps: int, sampler: Sampler | None = None
    ) -> tuple[State, Info]:
        """`n_sweeps` sweeps at lambda, one or one per chain, by `sampler` (default: the path's)."""
        betas = np.empty(len(state.x))
        betas[:] = self.beta_at(lam)
        return (sampler or self.sampler).advance(self.model, state, betas, n_sweeps)

    def weigh(self, x: np.ndarray, lam: float, next_lam: float) -> np.ndarray:
        """What a step of the ladder adds to log-weights: u_lam(x) - u_next(x), float64 (chain,).

        -inf where either law forbids x, and InvalidInput for energies that are no numbers.
        """
        before, after = self.reduced_energies(x, [lam, next_lam])
        for u in (before, after):
            bad = np.isnan(u) | (u == -math.inf)
            if bad.any():
                raise InvalidInput(
                    f"The reduced energy of {int(bad.sum())} of {len(u)} chains is {u[bad][0]} "
                    f"near lambda = {next_lam:.6g}. Energies must be numbers (+inf for forbidden "
                    "states). If they overflow, the reference reaches where the model is not "
                    "defined: choose a narrower one."
                )
        allowed = (before < math.inf) & (after < math.inf)
        return np.subtract(before, after, out=np.full(len(before), -math.inf), where=allowed)

    def weigh_and_move(
        self,
        state: State,
        lam: float,
        next_lam: float,
        n_sweeps: int,
        sampler: Sampler | None = None,
    ) -> tuple[np.ndarray, State, Info]:
        """One step of an annealed run: weigh from lam to next_lam, then `n_sweeps` sweeps there.

        Returns what the step adds to the log-weights (chain,), the new state and the sampler's
        info. Moves that are not exact (`sampler.invariant` is False) add info["correction"], their
        work of discretisation, with which the weights stay exact: D. A. Sivak, J. D. Chodera and
        G. E. Crooks, Phys. Rev. X 3, 011007 (2013), doi:10.1103/PhysRevX.3.011007.
        """
        sampler = sampler or self.sampler
        log_w = self.weigh(state.x, lam, next_lam)
        if not n_sweeps:
            return log_w, state, {}
        state, info = self.advance(state, next_lam, n_sweeps, sampler)
        if not sampler.invariant:
            if "correction" not in info:
                raise InvalidInput(
                    f"{sampler!r} does not leave its law invariant, nor does it report by how "
                    "much, so weights cannot be exact. Use MALA, or ULA, which reports it."
                )
            log_w = log_w + info["correction"]
        return log_w, state, info


SMALLEST, LARGEST = 1e-50, 1e50
"""Inverse temperatures beyond which powers of beta E leave double precision."""


def check_sampler(sampler: Any) -> None:
    """InvalidInput for what is no sampler, its name for example."""
    if not isinstance(sampler, Sampler):
        raise InvalidInput(
            f"sampler={sampler!r} is no sampler. Give one of statmech_ml.samplers with its "
            "settings, such as HeatBath() or MALA()."
        )
    if sampler.coupled:
        raise InvalidInput(
            f"{sampler!r} moves its chains along one another, but a path weighs or compares each "
            "chain for itself: a chain that lags behind the target would pull the others. Use "
            "MALA() or another sampler whose chains are independent."
        )
    if getattr(sampler, "clamped", None) is not None:
        raise InvalidInput(
            f"{sampler!r} never changes the clamped units, so its chains see a part of the states "
            "only. Give the path the machine of the free units: rbm.condition(sites, values)."
        )


def inverse_temperature(beta: Any) -> float:
    """The beta at which a path ends, or InvalidInput."""
    try:
        if isinstance(beta, bool | np.bool_ | str | bytes):
            raise TypeError("a number is needed")
        value = float(beta)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"beta={beta!r} is not one number; a path ends at one beta.") from error
    if not (math.isfinite(value) and value >= 0.0):
        raise InvalidInput(
            f"beta={beta!r} cannot work: inverse temperatures are finite and >= 0. For an "
            "antiferromagnet turn the sign of the coupling."
        )
    if value and not SMALLEST <= value <= LARGEST:
        raise InvalidInput(
            f"beta={beta!r} lies beyond {SMALLEST:g} to {LARGEST:g}, where powers of beta E leave "
            "double precision. Measure energies in other units."
        )
    return value
