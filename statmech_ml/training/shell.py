"""The trainable shell of an energy model: torch parameters outside, an array model to sample.

Torch trains, arrays sample. A shell is a torch module with a differentiable free energy F(x) at
beta = 1 (units of k_B T); `freeze` copies its parameters into the array model that samplers,
estimators and exact results see, and `thaw` of that model makes a shell again. The gradient of the
negative log-likelihood is a difference of two phases,

    d(-log p)/dtheta = <dF/dtheta> over data - <dF/dtheta> over the model,

and `phase` is one of them.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..samplers import Sampler
from ..spaces import Space

Gradients = dict[str, Tensor]
"""Parameter name -> derivative, of the parameter's shape."""


class Shell(torch.nn.Module):
    """What every trained thing is: torch parameters over configurations of a space. Energy models
    (`Trainable`) and generative models are trained by one loop, `training.run`, which needs this
    much of them."""

    space: Space
    """The state space of one configuration."""

    @property
    def about(self) -> dict[str, Any]:
        """What this shell is, in plain words and numbers: a checkpoint of it holds this, and loads
        into shells only that say the same."""
        return {"class": type(self).__name__, "space": repr(self.space), "structure": repr(self)}

    @property
    def moving(self) -> dict[str, Tensor]:
        """What training changes, by name: parameters that require a gradient, and buffers (running
        means of a network's normalisation, for example)."""
        kept = self.state_dict()
        buffers = {name: b for name, b in self.named_buffers() if name in kept}
        return {name: p for name, p in self.named_parameters() if p.requires_grad} | buffers

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.parameters()).dtype

    def tensor(self, x: np.ndarray) -> Tensor:
        """Configurations as a tensor of the parameters' dtype and device."""
        return torch.as_tensor(x, device=self.device, dtype=self.dtype)

    @property
    def decayed(self) -> tuple[str, ...]:
        """Names of the parameters that weight decay acts on: matrices and kernels, no biases."""
        return tuple(name for name, p in self.named_parameters() if p.ndim >= 2)


class Trainable(Shell, ABC):
    """Base class of the shells of energy models."""

    @abstractmethod
    def free_energy(self, x: Tensor) -> Tensor:
        """F(x) at beta = 1, (*batch, size) -> (*batch,); differentiable by parameters (and by x
        where x is real)."""

    @abstractmethod
    def freeze(self) -> Any:
        """The array model (`EnergyModel`) with these parameters, copied."""

    def view(self) -> Any:
        """The array model with the present parameters, for use before they move: not copied where
        that can be avoided."""
        return self.freeze()

    @abstractmethod
    def sampler(self) -> Sampler:
        """The sampler of the negative phase unless another is named."""

    def log_z_exact(self, most_states: int) -> float | None:
        """log Z by a sum over at most so many states; None where it takes more, or no finite sum
        gives it (the default)."""
        return None

    def path(self) -> Any:
        """A `partition.Path` to this model, for annealed importance sampling; None (the default)
        where there is none."""
        return None

    def phase(self, x: Tensor, weights: Tensor | None = None) -> Gradients:
        """Mean of dF/dtheta over x (n, size), with weights (n,) that sum to 1 if given."""
        return self.phase_with_energy(x, weights)[0]

    def phase_with_energy(
        self, x: Tensor, weights: Tensor | None = None
    ) -> tuple[Gradients, Tensor]:
        """`phase`, and the mean of F over x (a tensor without dimensions)."""
        with torch.enable_grad():
            energy = self.free_energy(x)
            mean = energy.mean() if weights is None else (weights * energy).sum()
            named = {n: p for n, p in self.named_parameters() if p.requires_grad}
            found = torch.autograd.grad(mean, list(named.values()), allow_unused=True)
        gradients = {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(named.items(), found, strict=True)
        }
        return gradients, mean.detach()

    def contrast(
        self, data: Tensor, model: Tensor, weights: Tensor | None = None
    ) -> tuple[Gradients, Tensor, Tensor]:
        """Phase of the data minus phase of the model's configurations (with weights that sum to 1
        if given), and the mean of F over both."""
        positive, energy_data = self.phase_with_energy(data)
        negative, energy_model = self.phase_with_energy(model, weights)
        gradients = {name: positive[name] - negative[name] for name in positive}
        return gradients, energy_data, energy_model
