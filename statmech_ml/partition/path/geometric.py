"""Geometric paths: from any law with exact log Z and draws to a model on the same space."""

from typing import Any, Protocol

import numpy as np

from ...errors import InvalidInput
from ...models.interpolated import Interpolated
from ...samplers import MALA, Sampler
from ...spaces import Space
from ...systems import EnergyModel
from .base import Path, check_sampler, inverse_temperature


class Reference(Protocol):
    """What Geometric starts from: a model with exact log Z and draws, like `Gaussian`."""

    space: Space

    def log_z(self, beta: float = 1.0) -> float:
        """log Z, exact."""
        ...

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact draws at beta = 1, (chain, *event)."""
        ...


class Geometric(Path):
    """From a reference law to a model: u_lambda = (1 - lambda) u_reference + lambda u_model(beta).

    Parameters
    ----------
    reference : model with exact log Z and draws
        `Gaussian` on real spaces. It should cover the model: where the model is wider, log-weights
        spread.
    model : EnergyModel
        On the same space.
    beta : float, default 1.0
        Inverse temperature of the target, finite and > 0.
    sampler : Sampler, default MALA()
        A step that adapts is tuned in a pilot run and then fixed at each lambda.

    Raises
    ------
    InvalidInput
        For a reference on another space or without exact draws, and a beta that is not positive.
    MissingCapability
        When the sampler does not fit the interpolated model, which is Differentiable where both
        ends are.

    >>> from statmech_ml.models import DoubleWell, Gaussian
    >>> path = Geometric(Gaussian(stddev=2.0), DoubleWell(tilt=0.5))
    >>> float(path.reduced_energy([0.0], lam=0.5))  # half the barrier of 2
    1.0
    """

    def __init__(
        self,
        reference: Reference,
        model: EnergyModel,
        beta: float = 1.0,
        sampler: Sampler | None = None,
    ) -> None:
        self.reference = reference
        self.sampler = MALA() if sampler is None else sampler
        check_sampler(self.sampler)
        self.beta = inverse_temperature(beta)
        if self.beta == 0.0:
            raise InvalidInput(
                "beta=0 makes the target flat, and Z infinite where the space is unbounded. Use "
                "beta > 0."
            )
        self.target = (model, self.beta)
        if not (hasattr(reference, "log_z") and hasattr(reference, "draws")):
            raise InvalidInput(
                f"{reference!r} cannot be a reference: it has no exact log_z() and draws(). Use "
                "models.Gaussian, or give the class of your reference these two methods."
            )
        try:
            self._log_z_reference = float(reference.log_z())
        except TypeError as error:
            raise InvalidInput(
                f"{reference!r} cannot be a reference: its log Z depends on where its protocol "
                "stands, and a reference is one law. Use Switching(model) along the protocol, or "
                "models.Gaussian as the reference."
            ) from error
        if not isinstance(model, EnergyModel):
            raise InvalidInput(
                f"The model {model!r} has no space, energy(x) and reduced_energy(x, beta). Give a "
                "model: one of statmech_ml.models, or LogDensity(f, dim) around a function."
            )
        if reference.space != model.space:
            raise InvalidInput(
                f"The reference lives on {reference.space!r} but the model on {model.space!r}; "
                "both ends of a path need one space."
            )
        self.model = Interpolated(reference, model, self.beta)
        self.sampler.check(self.model)

    @property
    def log_z_reference(self) -> float:
        """log Z of the reference."""
        return self._log_z_reference

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Draws of the reference (chain, size)."""
        return np.asarray(self.reference.draws(seed, chains))

    def reduced_energies(self, x: np.ndarray, lams: Any) -> np.ndarray:
        """u at many lambdas from the energies of the two ends."""
        start, end = self.reduced_energy(x, 0.0), self.reduced_energy(x, 1.0)
        # The ends by themselves: an infinite energy times zero is not a number.
        return np.stack(
            [
                (1.0 - lam) * start + lam * end if 0.0 < lam < 1.0 else (end if lam else start)
                for lam in lams
            ]
        )

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """u_1(x) - u_0(x), at any lambda."""
        return self.reduced_energy(x, 1.0) - self.reduced_energy(x, 0.0)

    def __repr__(self) -> str:
        return (
            f"Geometric({self.reference!r}, {self.target[0]!r}, beta={self.beta:g}, "
            f"sampler={self.sampler!r})"
        )
