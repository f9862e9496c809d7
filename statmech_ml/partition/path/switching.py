"""Switching: along the protocol of a model that has one of its own."""

from typing import Any

import numpy as np

from ...errors import InvalidInput
from ...samplers import MALA, Sampler
from .base import Path, check_sampler


class Switching(Path):
    """Along the protocol of a model that has one: u_lambda is its own reduced energy at lambda.

    What is switched by hand in an experiment: a trap that is dragged or stiffened. The weights of
    `jarzynski` are then exp(-work), with work in units of kT.

    Parameters
    ----------
    model : Model
        With lambda in the place of beta in its reduced energy, and with ``log_z(lam)`` and
        ``draws(seed, chains)``, exact at lambda = 0: `HarmonicTrap`, `DraggedTrap`.
    sampler : Sampler, default MALA()

    Raises
    ------
    InvalidInput
        When the model has no exact start.
    MissingCapability
        When the sampler does not fit.
    """

    def __init__(self, model: Any, sampler: Sampler | None = None) -> None:
        if not all(hasattr(model, name) for name in ("log_z", "draws", "slope")):
            raise InvalidInput(
                f"{model!r} has no protocol: Switching needs log_z(lam), draws(seed, chains) and "
                "slope(x, lam) of the model. Use models.HarmonicTrap or models.DraggedTrap, or "
                "Geometric(reference, model) for a model without a protocol."
            )
        self.model = model
        self.sampler = MALA() if sampler is None else sampler
        check_sampler(self.sampler)
        self.target = (model, 1.0)
        self.sampler.check(model)

    @property
    def log_z_reference(self) -> float:
        """log Z where the protocol starts."""
        return float(self.model.log_z(0.0))

    def sample_reference(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Draws where the protocol starts (chain, size)."""
        return np.asarray(self.model.draws(seed, chains))

    def slope(self, x: np.ndarray, lam: Any) -> np.ndarray:
        """The power that the protocol spends on x, du_lambda/dlambda."""
        return np.asarray(self.model.slope(x, lam))

    def __repr__(self) -> str:
        return f"Switching({self.model!r}, sampler={self.sampler!r})"
