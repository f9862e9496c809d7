"""The trainable shell of every restricted Boltzmann machine.

    F(v) = own(v) - sum_j L(f_j(v)),    f(v) = b + features(v).W,

with own, features and L of the kinds of units (`models._two_layers`): L = log(1 + e^f) for bits,
log(2 cosh f) for spins, f^2 / 2 + log(2 pi) / 2 for normal hidden units. Its derivatives are means
of products of both layers,

    dF/da = -features(v),    dF/db = -<h|v>,    dF/dW = -features(v) <h|v>,

(of a Gaussian RBM dF/da = -(v - a) / s^2, and dF/dlog s = -(v - a)^2 / s^2 + 2 v (W <h|v>) / s^2),
so a phase is two matrix products and no automatic differentiation: P. Smolensky (1986); G. E.
Hinton, Neural Comput. 14, 1771 (2002), doi:10.1162/089976602760128018; for s K. Cho, A. Ilin and T.
Raiko, ICANN (2011), eqs. 5-8, doi:10.1007/978-3-642-21735-7_2.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from ..errors import InvalidInput
from ..exact import rbm as exact_rbm
from ..models import RBM, BernoulliRBM, GaussianRBM, PottsRBM
from ..partition import Weights, exact_sum
from ..samplers import BlockGibbs
from ..spaces import Discrete, Levels
from . import _bit_phases
from .shell import Gradients, Trainable

# Beyond it torch replaces softplus(x) by x: e^-40 is below the rounding of doubles, e^-20 is not.
_LINEAR = 40.0


class TrainableRBM(Trainable):
    """A restricted Boltzmann machine as a torch module; `freeze` gives the array model.

    Parameters
    ----------
    model : RBM, BernoulliRBM, PottsRBM or GaussianRBM
        Kinds of units and the parameters to start from.
    dtype : torch.dtype, default float32
        Of the parameters; float64 where gradients are compared with enumeration.
    device : str or torch.device, default "cpu"
    learn_sigma : bool, default False
        Whether the widths of a `GaussianRBM` are trained (as log_sigma) or stay as they are.

    Attributes
    ----------
    visible_bias, hidden_bias, weights : Parameter
        a, b, W in the shapes of the model.
    log_sigma : Parameter or buffer (n_visible,)
        Of Gaussian visible units only.

    Raises
    ------
    InvalidInput
        For a model that is no RBM of this package, and learn_sigma without Gaussian units.

    >>> shell = BernoulliRBM([0.0, 0.5], [0.1], [[1.0], [-1.0]]).thaw(torch.float64)
    >>> shell.free_energy(shell.tensor([[1, 1]])).detach()  # -0.5 - log(1 + e^0.1)
    tensor([-1.2444], dtype=torch.float64)
    """

    visible_bias: Tensor
    hidden_bias: Tensor
    weights: Tensor
    log_sigma: Tensor

    def __init__(
        self,
        model: Any,
        dtype: torch.dtype | None = None,
        device: Any = "cpu",
        learn_sigma: bool = False,
    ) -> None:
        super().__init__()
        if type(model) not in (RBM, BernoulliRBM, PottsRBM, GaussianRBM):
            raise InvalidInput(
                f"TrainableRBM cannot hold {model!r}. Give an RBM, BernoulliRBM, PottsRBM or "
                "GaussianRBM, or write a shell of your own: a subclass of training.Trainable."
            )
        if learn_sigma and not isinstance(model, GaussianRBM):
            raise InvalidInput(
                f"learn_sigma=True, but {model!r} has no sigma; only GaussianRBM has."
            )
        self._kind = type(model)
        self._model: Any = None  # of this kind, kept by `view`
        self.space = model.space
        self.visible = "normal" if isinstance(model, GaussianRBM) else "levels"
        if isinstance(model, RBM):
            self.visible = model.visible_units.name
        self.hidden = model.hidden_units.name
        dtype = torch.float32 if dtype is None else dtype
        for name in ("visible_bias", "hidden_bias", "weights"):
            value = torch.tensor(getattr(model, name), dtype=dtype, device=device)
            setattr(self, name, torch.nn.Parameter(value))
        if isinstance(model, GaussianRBM):
            widths = torch.tensor(np.log(model.sigma), dtype=dtype, device=device)
            if learn_sigma:
                self.log_sigma = torch.nn.Parameter(widths)
            else:
                self.register_buffer("log_sigma", widths)

    @classmethod
    def like(cls, about: dict[str, Any]) -> "TrainableRBM":
        """A shell of zeros with the structure that another one's `about` describes."""
        *visible, n_hidden = about["shape"]
        a, b, w = np.zeros(visible), np.zeros(n_hidden), np.zeros(about["shape"])
        kinds: dict[str, Any] = {
            "BernoulliRBM": lambda: BernoulliRBM(a, b, w),
            "RBM": lambda: RBM(a, b, w, about["visible"], about["hidden"]),
            "PottsRBM": lambda: PottsRBM(a, b, w, about["hidden"]),
            "GaussianRBM": lambda: GaussianRBM(a, b, w, 1.0, about["hidden"]),
        }
        dtype = {"float32": torch.float32, "float64": torch.float64}[about["dtype"]]
        return cls(kinds[about["model"]](), dtype, learn_sigma=about["learn_sigma"])

    @property
    def about(self) -> dict[str, Any]:
        """Class of the model, kinds of units, shape of the weights, what is learnt, and dtype."""
        return {
            "class": type(self).__name__,
            "model": self._kind.__name__,
            "visible": self.visible,
            "hidden": self.hidden,
            "shape": list(self.weights.shape),
            "learn_sigma": "log_sigma" in dict(self.named_parameters()),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.weights.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.weights.dtype

    @property
    def n_hidden(self) -> int:
        """Number of hidden units."""
        return len(self.hidden_bias)

    @property
    def decayed(self) -> tuple[str, ...]:
        """The weights; biases do not decay."""
        return ("weights",)

    def features(self, v: Tensor) -> Tensor:
        """What the weights multiply, (*batch, n_features): v, its one-hot code, or v / s^2."""
        if isinstance(self.space, Levels):
            return one_hot(v.long(), self.space.n_values).flatten(-2).to(self.dtype)
        if self.visible == "normal":
            return v * torch.exp(-2.0 * self.log_sigma)
        return v

    def hidden_field(self, features: Tensor) -> Tensor:
        """f = b + features.W, (*batch, n_hidden)."""
        return features @ self.weights.reshape(-1, self.n_hidden) + self.hidden_bias

    def hidden_mean(self, v: Tensor) -> Tensor:
        """<h|v>, (*batch, n_hidden)."""
        return self._mean(self.hidden_field(self.features(v)))

    def free_energy(self, x: Tensor) -> Tensor:
        """F(v), (*batch, n_visible) -> (*batch,)."""
        features = self.features(x)
        field = self.hidden_field(features)
        return self._own(x, features) - self.log_sum(field).sum(dim=-1)

    def phase_with_energy(
        self, x: Tensor, weights: Tensor | None = None
    ) -> tuple[Gradients, Tensor]:
        """Means of dF/dtheta and of F over x (n, n_visible), from one matrix product each way."""
        share = x.new_full((len(x),), 1.0 / len(x)) if weights is None else weights
        gradients, energy = self._sums(x, share)
        return gradients, share @ energy

    def contrast(
        self, data: Tensor, model: Tensor, weights: Tensor | None = None
    ) -> tuple[Gradients, Tensor, Tensor]:
        """Data phase minus model phase, and the means of F over both: one matrix product each way
        for both together."""
        n = len(data)
        share = data.new_full((n + len(model),), 1.0 / n)
        share[n:] = -1.0 / len(model) if weights is None else -weights
        gradients, energy = self._sums(torch.cat([data, model]), share)
        return gradients, share[:n] @ energy[:n], -share[n:] @ energy[n:]

    def _sums(self, x: Tensor, share: Tensor) -> tuple[Gradients, Tensor]:
        """Sum of share dF/dtheta over x (n, n_visible), and F of each (n,)."""
        if _bit_phases.suits(self, x):
            return _bit_phases.phase_sums(self, x, share)
        with torch.no_grad():
            features = self.features(x)
            field = self.hidden_field(features)
            h = self._mean(field)
            energy = self._own(x, features) - self.log_sum(field).sum(dim=-1)
            weighted = h * share[:, None]
            products = features.T @ weighted
            found: Gradients = {
                "hidden_bias": -weighted.sum(dim=0),
                "weights": -products.reshape(self.weights.shape),
            }
            if self.visible == "normal":
                precision = torch.exp(-2.0 * self.log_sigma)
                distance = x - self.visible_bias
                found["visible_bias"] = -precision * (share @ distance)
                if self.log_sigma.requires_grad:
                    cross = 2.0 * (products * self.weights).sum(dim=-1)
                    found["log_sigma"] = cross - precision * (share @ distance**2)
            else:
                found["visible_bias"] = -(share @ features).reshape(self.visible_bias.shape)
        return found, energy

    def phase(self, x: Tensor, weights: Tensor | None = None) -> Gradients:
        """Mean of dF/dtheta over x (n, n_visible), with weights (n,) that sum to 1 if given."""
        return self.phase_with_energy(x, weights)[0]

    def freeze(self) -> Any:
        """The array model with these parameters, of the class that was given."""
        a, b, w = (array(p) for p in (self.visible_bias, self.hidden_bias, self.weights))
        if self._kind is GaussianRBM:
            return GaussianRBM(a, b, w, np.exp(array(self.log_sigma)), self.hidden)
        if self._kind is PottsRBM:
            return PottsRBM(a, b, w, self.hidden)
        if self._kind is BernoulliRBM:
            return BernoulliRBM(a, b, w)
        return RBM(a, b, w, self.visible, self.hidden)

    def exact_phase(self) -> Gradients:
        """Mean of dF/dtheta over the model, by the sum over the smaller layer."""
        model = self.freeze()
        found = exact_rbm.moments(model)
        means = {"hidden_bias": found.hidden}
        if found.square is None:
            means |= {"visible_bias": found.visible, "weights": found.product}
        else:
            precision, a = model.sigma**-2.0, model.visible_bias
            means["visible_bias"] = precision * (found.visible - a)
            means["weights"] = precision[:, None] * found.product
            if self.log_sigma.requires_grad:
                square = found.square - 2.0 * a * found.visible + a * a
                cross = 2.0 * (means["weights"] * model.weights).sum(axis=1)
                means["log_sigma"] = precision * square - cross
        return {name: self.tensor(-value) for name, value in means.items()}

    def view(self) -> Any:
        """The array model on the parameters themselves where they are on the CPU."""
        if self.device.type != "cpu":
            return self.freeze()
        if self._model is None:
            self._model = self.freeze()
        names = ["visible_bias", "hidden_bias", "weights"]
        arrays = {name: getattr(self, name).detach().numpy() for name in names}
        if self._kind is GaussianRBM:
            arrays["sigma"] = np.exp(array(self.log_sigma))
        return self._model.on(**arrays)

    def log_z_exact(self, most_states: int) -> float | None:
        """log Z by the sum over the smaller layer whose units are discrete."""
        sizes = []
        if self.hidden != "normal":
            sizes.append(2.0**self.n_hidden)
        if isinstance(self.space, Discrete):
            sizes.append(float(self.space.n_values) ** self.space.size)
        if not sizes or min(sizes) > most_states:
            return None
        return float(exact_sum(self.freeze()).value)

    def path(self) -> Any:
        """Weights scaled from 0."""
        return Weights(self.freeze())

    def sampler(self) -> BlockGibbs:
        """Block Gibbs, in the precision of the parameters."""
        return BlockGibbs("double" if self.dtype == torch.float64 else "single")

    def _own(self, v: Tensor, features: Tensor) -> Tensor:
        """The energy of the visible units alone, (*batch,)."""
        if self.visible == "normal":
            distance = (v - self.visible_bias) * torch.exp(-self.log_sigma)
            return 0.5 * (distance * distance).sum(dim=-1)
        return -(features @ self.visible_bias.flatten())

    def log_sum(self, field: Tensor) -> Tensor:
        """log sum_h exp(f h - own(h)), unit by unit."""
        return log_sum(self.hidden, field)

    def _mean(self, field: Tensor) -> Tensor:
        return hidden_mean(self.hidden, field)

    def extra_repr(self) -> str:
        """Sizes and kinds of units."""
        return f"{self.space.size} visible {self.visible}, {self.n_hidden} hidden {self.hidden}"


def log_sum(units: str, field: Tensor) -> Tensor:
    """log sum_h exp(f h - own(h)) of "bits", "spins" or "normal" units, elementwise; stable."""
    if units == "bits":
        return softplus(field, threshold=_LINEAR)
    if units == "spins":
        # Smooth at 0, unlike |f| + log(1 + exp(-2 |f|)), whose second derivative is lost there.
        return softplus(2.0 * field, threshold=_LINEAR) - field
    return 0.5 * field * field + 0.5 * math.log(2.0 * math.pi)


def hidden_mean(units: str, field: Tensor) -> Tensor:
    """<h> in the field f, elementwise: the derivative of `log_sum`."""
    if units == "bits":
        return torch.sigmoid(field)
    return torch.tanh(field) if units == "spins" else field


def array(parameter: Tensor) -> np.ndarray:
    """A parameter as float64, which holds float32 values exactly."""
    return parameter.detach().cpu().to(torch.float64).numpy()
