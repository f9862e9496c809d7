"""The exact gradient of the log-likelihood: the model's phase by enumeration, no chains.

For machines whose smaller layer has at most 2^22 states (`exact.rbm.moments`): what all sampled
gradients are measured against, and the way to the maximum of the likelihood itself. A step costs
the sum over the states, whatever the batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import MissingCapability
from ..partition import exact_sum
from .boltzmann import TrainableBoltzmann
from .method import Carried, Method, Step
from .rbm import TrainableRBM
from .shell import Trainable


@dataclass(frozen=True)
class ExactGradient(Method):
    """Data phase minus the exact phase of the model; of RBMs and Boltzmann machines.

    With a batch of all data the steps are those of gradient descent on the log-likelihood, with
    smaller ones the data are the only noise. There are no draws of the model, so the history has
    no energies of theirs.
    """

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability for other shells, and InvalidInput for too many states."""
        if not isinstance(shell, TrainableRBM | TrainableBoltzmann):
            raise MissingCapability(
                f"ExactGradient sums over the states of an RBM or a Boltzmann machine, but "
                f"{type(shell).__name__} is neither. Use PersistentCD or ScoreMatching."
            )
        shell.exact_phase()

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the mean over the model."""
        assert isinstance(shell, TrainableRBM | TrainableBoltzmann)
        positive, energy = shell.phase_with_energy(batch)
        negative = shell.exact_phase()
        gradients = {name: positive[name] - negative[name] for name in positive}
        return Step(gradients, {}, {"energy_data": float(energy)})

    def log_z(self, shell: Trainable, carried: Carried) -> Any:
        """The exact one."""
        return exact_sum(shell.freeze())
