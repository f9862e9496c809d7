"""The way from an array model back to its trainable shell: the one import from the rooms above."""

from typing import Any


def thaw(model: Any, dtype: Any = None) -> Any:
    """The torch shell that starts from the parameters of an RBM or a Boltzmann machine.

    dtype: torch.float32 (the default) or torch.float64.
    """
    from ..training.boltzmann import TrainableBoltzmann
    from ..training.rbm import TrainableRBM
    from . import BoltzmannMachine

    kind = TrainableBoltzmann if isinstance(model, BoltzmannMachine) else TrainableRBM
    return kind(model, dtype)
