"""The trainable shell of a Boltzmann machine, fully visible or with hidden units.

    F(v) = -a.v - sum_{i<j} J_ij v_i v_j - sum_j L(b_j + (v.W)_j),
    dF/da = -v,    dF/dJ_ij = -v_i v_j,    dF/db = -<h|v>,    dF/dW = -v <h|v>,

with L of `training.rbm`. Each pair is one parameter, so couplings stay symmetric without a diagonal
whatever the optimiser does. D. H. Ackley, G. E. Hinton and T. J. Sejnowski, Cogn. Sci. 9, 147
(1985), doi:10.1207/s15516709cog0901_7. A phase costs n^2 + n m operations a configuration.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput
from ..exact import rbm as exact_rbm
from ..models import BoltzmannMachine
from ..partition import Tempering, exact_sum
from ..samplers import HeatBath, Sampler
from .rbm import array, hidden_mean, log_sum
from .shell import Gradients, Trainable


class TrainableBoltzmann(Trainable):
    """A Boltzmann machine as a torch module; `freeze` gives the array model.

    Parameters
    ----------
    model : BoltzmannMachine
        Kinds of units and the parameters to start from.
    dtype : torch.dtype, default float32
    device : str or torch.device, default "cpu"

    Attributes
    ----------
    visible_bias : Parameter (n_visible,)
    couplings : Parameter (n_visible (n_visible - 1) / 2,)
        J_ij of the pairs i < j, row by row; `coupling_matrix` is the symmetric matrix.
    hidden_bias, weights : Parameter (n_hidden,), (n_visible, n_hidden)
        Where there are hidden units.

    Raises InvalidInput for another model.

    >>> shell = BoltzmannMachine([0.5, 0.0], [[0.0, 2.0], [2.0, 0.0]]).thaw()
    >>> shell.free_energy(shell.tensor([[1, 1]])).detach()  # -0.5 - 2
    tensor([-2.5000])
    """

    visible_bias: Tensor
    couplings: Tensor
    hidden_bias: Tensor
    weights: Tensor

    def __init__(self, model: Any, dtype: torch.dtype | None = None, device: Any = "cpu") -> None:
        super().__init__()
        if type(model) is not BoltzmannMachine:
            raise InvalidInput(
                f"TrainableBoltzmann cannot hold {model!r}. Give a BoltzmannMachine, or write a "
                "shell of your own: a subclass of training.Trainable."
            )
        self.space = model.space
        self.visible, self.hidden = model.visible_units.name, model.hidden_units.name
        self.n_hidden = model.n_hidden
        dtype = torch.float32 if dtype is None else dtype
        i, j = np.triu_indices(model.n_visible, 1)
        self._pairs = torch.tensor(np.stack([i, j]), device=device)
        values = {"visible_bias": model.visible_bias, "couplings": model.couplings[i, j]}
        if self.n_hidden:
            values |= {"hidden_bias": model.hidden_bias, "weights": model.weights}
        for name, value in values.items():
            tensor = torch.tensor(value, dtype=dtype, device=device)
            setattr(self, name, torch.nn.Parameter(tensor))

    @classmethod
    def like(cls, about: dict[str, Any]) -> "TrainableBoltzmann":
        """A shell of zeros with the structure that another one's `about` describes."""
        n, m = about["n_visible"], about["n_hidden"]
        b, w = (np.zeros(m), np.zeros((n, m))) if m else (None, None)
        kinds = {"visible": about["visible"], "hidden": about["hidden"]}
        model = BoltzmannMachine(np.zeros(n), np.zeros((n, n)), b, w, **kinds)
        return cls(model, {"float32": torch.float32, "float64": torch.float64}[about["dtype"]])

    @property
    def about(self) -> dict[str, Any]:
        """Class, numbers and kinds of units, and dtype."""
        return {
            "class": type(self).__name__,
            "visible": self.visible,
            "hidden": self.hidden,
            "n_visible": int(self.space.size),
            "n_hidden": self.n_hidden,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def decayed(self) -> tuple[str, ...]:
        """Couplings and weights; biases do not decay."""
        return ("couplings", "weights") if self.n_hidden else ("couplings",)

    def coupling_matrix(self) -> Tensor:
        """J, (n_visible, n_visible), symmetric with a zero diagonal."""
        n = self.space.size
        matrix = torch.zeros(n, n, dtype=self.dtype, device=self.device)
        matrix = matrix.index_put((self._pairs[0], self._pairs[1]), self.couplings)
        return matrix + matrix.T

    def free_energy(self, x: Tensor) -> Tensor:
        """F(v), (*batch, n_visible) -> (*batch,)."""
        return self._own(x) - self._hidden_sum(x)

    def phase_with_energy(
        self, x: Tensor, weights: Tensor | None = None
    ) -> tuple[Gradients, Tensor]:
        """Means of dF/dtheta and of F over x (n, n_visible), in closed form."""
        with torch.no_grad():
            energy = self.free_energy(x)
            share = torch.full_like(energy, 1.0 / len(x)) if weights is None else weights
            products = x.T @ (x * share[:, None])
            found: Gradients = {
                "visible_bias": -(share @ x),
                "couplings": -products[self._pairs[0], self._pairs[1]],
            }
            if self.n_hidden:
                h = hidden_mean(self.hidden, x @ self.weights + self.hidden_bias)
                weighted = h * share[:, None]
                found |= {"hidden_bias": -weighted.sum(dim=0), "weights": -(x.T @ weighted)}
        return found, share @ energy

    def exact_phase(self) -> Gradients:
        """Mean of dF/dtheta over the model, by a sum over the visible states."""
        found = exact_rbm.moments(self.freeze())
        assert found.pairs is not None
        i, j = self._pairs.cpu().numpy()
        means = {"visible_bias": found.visible, "couplings": found.pairs[i, j]}
        if self.n_hidden:
            means |= {"hidden_bias": found.hidden, "weights": found.product}
        return {name: self.tensor(-value) for name, value in means.items()}

    def log_z_exact(self, most_states: int) -> float | None:
        """log Z by a sum over the states of all units."""
        if 2.0 ** (self.space.size + self.n_hidden) > most_states:
            return None
        return float(exact_sum(self.freeze()).value)

    def path(self) -> Any:
        """Tempering."""
        return Tempering(self.freeze(), 1.0, self.sampler())

    def freeze(self) -> BoltzmannMachine:
        """The array model with these parameters."""
        b, w = (array(self.hidden_bias), array(self.weights)) if self.n_hidden else (None, None)
        a, matrix = array(self.visible_bias), array(self.coupling_matrix())
        return BoltzmannMachine(a, matrix, b, w, visible=self.visible, hidden=self.hidden)

    def sampler(self) -> Sampler:
        """Heat bath of the visible units, the hidden ones summed out."""
        return HeatBath()

    def _own(self, v: Tensor) -> Tensor:
        pairs = 0.5 * ((v @ self.coupling_matrix()) * v).sum(dim=-1)
        return -(v @ self.visible_bias) - pairs

    def _hidden_sum(self, v: Tensor) -> Tensor | float:
        if not self.n_hidden:
            return 0.0
        return log_sum(self.hidden, v @ self.weights + self.hidden_bias).sum(dim=-1)

    def extra_repr(self) -> str:
        """Sizes and kinds of units."""
        hidden = f", {self.n_hidden} hidden {self.hidden}" if self.n_hidden else ""
        return f"{self.space.size} visible {self.visible}{hidden}"
