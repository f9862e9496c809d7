"""Tempering: from infinite temperature to the target's."""

import math
from typing import Any

import numpy as np

from ...errors import InvalidInput, MissingCapability
from ...samplers import HeatBath, Sampler
from ...spaces import Discrete
from ...systems import EnergyModel
from .base import Path, check_sampler, inverse_temperature


class Tempering(Path):
    """From infinite temperature to beta: u_lambda is the model's reduced energy at lambda beta.

    At lambda = 0 all states are equally likely, so the space must be finite:
    log Z_0 = log(number of states) - u_0.

    Parameters
    ----------
    model : EnergyModel
        With a discrete space.
    beta : float
        Inverse temperature of the target, finite and >= 0.
    sampler : Sampler, default HeatBath()
        BlockGibbs() for RBMs, Wolff() or SwendsenWang() where clusters may move, ...

    Raises
    ------
    InvalidInput
        For unbounded spaces, beta that is negative or not finite, and models that are not uniform
        at beta = 0.
    MissingCapability
        When the sampler does not fit the model.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> round(Tempering(Ising(lattices.square(4, 4)), beta=0.44).log_z_reference, 6)  # 16 log 2
    11.090355
    """

    def __init__(self, model: EnergyModel, beta: float, sampler: Sampler | None = None) -> None:
        self.model: Any = model
        self.sampler = HeatBath() if sampler is None else sampler
        check_sampler(self.sampler)
        self.beta = inverse_temperature(beta)
        self.target = (model, self.beta)
        if not isinstance(model, EnergyModel):
            raise InvalidInput(
                f"The model {model!r} has no space, energy(x) and reduced_energy(x, beta). Give a "
                "model: one of statmech_ml.models."
            )
        space = model.space
        if not isinstance(space, Discrete):
            raise InvalidInput(
                f"Tempering starts at infinite temperature, where {space!r} has no uniform law: "
                "its volume is infinite, and so is Z. Use Geometric(reference, model) with a "
                "Gaussian reference."
            )
        self.sampler.check(model)
        probes = np.concatenate([space.ordered(1), space.random(0, np.arange(8, dtype=np.uint32))])
        u = np.asarray(model.reduced_energy(probes, 0.0))
        if not (np.isfinite(u).all() and np.ptp(u) <= 1e-9 * max(1.0, float(np.abs(u).max()))):
            raise InvalidInput(
                f"{model!r} is not uniform at beta = 0: its reduced energies there reach from "
                f"{u.min():g} to {u.max():g}. (A state that is forbidden at every temperature has "
                "energy +inf at beta = 0 too.) Tempering needs a model whose reduced energy at "
                "beta = 0 is constant."
            )
        self._log_z_reference = space.size * math.log(space.n_values) - float(u[0])

    @property
    def log_z_reference(self) -> float:
        """log of the number of states, less the constant reduced energy at beta = 0."""
        return self._log_z_reference

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Uniform draws (chain, size)."""
        return np.asarray(self.model.space.random(seed, chains))

    def beta_at(self, lam: Any) -> Any:
        """lambda beta."""
        return np.asarray(lam) * self.beta

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas; one energy serves all of them where u = beta E."""
        if not is_linear(self.model):
            return super().reduced_energies(x, lams)
        return np.multiply.outer(self.beta_at(lams), self.model.energy(x))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """beta E(x), or beta times the model's own du/dbeta at lambda beta."""
        return self.beta * slope_in_beta(self.model, x, self.beta_at(lam))

    def __repr__(self) -> str:
        return f"Tempering({self.model!r}, beta={self.beta:g}, sampler={self.sampler!r})"


def is_linear(model: Any) -> bool:
    """Whether the reduced energy is beta times the energy: no compiled method says otherwise."""
    own = {"reduced_energy", "delta_reduced_energy"}
    return hasattr(model, "arrays") and not own & set(dir(type(model.arrays)))


def slope_in_beta(model: Any, x: np.ndarray, beta: Any) -> np.ndarray:
    """du/dbeta, float64 (*batch,): the model's own `slope`, or E where u = beta E."""
    if hasattr(model, "slope"):
        return np.asarray(model.slope(x, beta))
    if is_linear(model):
        return np.asarray(model.energy(x))
    raise MissingCapability(
        f"{model!r} does not tell how its reduced energy depends on beta. Give the class a method "
        "slope(x, beta), the derivative of reduced_energy(x, beta) by beta."
    )
