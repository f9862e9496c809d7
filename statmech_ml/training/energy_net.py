"""Deep energies: any torch module with one output per configuration, as an energy model.

    E(x) = f_theta(x) + |x|^2 / (2 s^2),    p(x) = exp(-beta E(x)) / Z,    x in R^size.

f_theta is the network. The second term confines: a network alone may fall without bound in some
direction, and then exp(-E) has no integral, chains run away and log Z does not exist. A network
whose activations grow at most linearly, as those of the ready-made ones do, is a density with any
finite s; without the term (confinement=None) that is for the user to know.

Y. LeCun et al., "A tutorial on energy-based learning" (2006); Y. Du and I. Mordatch (2019),
arXiv:1903.08689.

An energy costs a forward pass, a gradient a forward and a backward pass. Torch stays inside:
`EnergyNet` trains, `freeze` gives a `NeuralEnergy`, which samplers and estimators see as numpy
arrays in double precision, whatever the precision of the parameters.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..models import Gaussian
from ..partition import Geometric
from ..samplers import MALA, Sampler
from ..spaces import Reals
from ..systems import Model, common_shape
from . import _networks
from .shell import Trainable

_ROWS = 8192  # configurations per pass of a frozen network, which bounds its memory
_PROBES = 3  # configurations on which a new module is tried
STEP = 0.01
"""Step of the default sampler: the square of a tenth of the width of data of unit scale."""


class EnergyNet(Trainable):
    """A torch module with a scalar output as a trainable energy on R^size.

    Parameters
    ----------
    module : torch.nn.Module
        (n, size) -> (n, 1) or (n,), each energy from its own row alone and without randomness, so
        no batch normalisation and no dropout. For pictures begin it with
        ``torch.nn.Unflatten(1, (channels, rows, columns))``. It is used, not copied.
    size : int
        Number of coordinates of x.
    confinement : float, optional
        s, the standard deviation of the confining Gaussian, in the units of x; wide against the
        data. Without it nothing ensures that exp(-E) can be normalised.

    Raises
    ------
    InvalidInput
        When the module does not do that on three random points, or has no parameters of one
        floating type, and for a confinement that is not positive.

    >>> net = EnergyNet(torch.nn.Linear(2, 1), size=2, confinement=3.0)
    >>> net.freeze().energy([[0.5, 1.0]]).shape
    (1,)
    """

    def __init__(self, module: nn.Module, size: int, confinement: float | None = None) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise InvalidInput(
                f"{type(module).__name__} is no torch.nn.Module. An energy net is one with a "
                "single output; for a plain function use models.LogDensity."
            )
        self.space = Reals(size)
        self.confinement = _positive(confinement, "confinement")
        self.module = module
        _check(module, self.space)

    @classmethod
    def dense(
        cls,
        size: int,
        hidden: Sequence[int] = (128, 128),
        activation: str = "silu",
        *,
        rng: Any,
        confinement: float | None = 3.0,
        dtype: torch.dtype = torch.float32,
    ) -> "EnergyNet":
        """A fully connected network.

        Parameters
        ----------
        size : int
        hidden : sequence of int, default (128, 128)
            Widths of the hidden layers.
        activation : "silu", "softplus", "tanh", "gelu" or "elu"
        rng : int or numpy Generator
            What the initial parameters are drawn from.
        confinement : float or None, default 3.0
            Wide for data of unit scale; in the units of x.
        dtype : torch.float32 or torch.float64
        """
        return cls(_networks.dense(size, hidden, activation, rng, dtype), size, confinement)

    @classmethod
    def convolutional(
        cls,
        shape: Sequence[int] = (8, 8),
        channels: Sequence[int] = (32, 64, 64),
        activation: str = "silu",
        *,
        rng: Any,
        periodic: bool = False,
        confinement: float | None = 3.0,
        dtype: torch.dtype = torch.float32,
    ) -> "EnergyNet":
        """A network of 3 x 3 convolutions for pictures, or fields on a lattice, row by row.

        Parameters
        ----------
        shape : (rows, columns)
        channels : sequence of int, default (32, 64, 64)
            Of each convolution; all but the first halve both sides.
        activation, rng, confinement, dtype
            As in `dense`.
        periodic : bool, default False
            Whether the picture is a torus.
        """
        network = _networks.convolutional(shape, channels, activation, periodic, rng, dtype)
        return cls(network, int(shape[0]) * int(shape[1]), confinement)

    def free_energy(self, x: Tensor) -> Tensor:
        """E(x), (*batch, size) -> (*batch,), in the parameters' dtype."""
        if x.ndim == 0 or x.shape[-1] != self.space.size:
            raise InvalidInput(
                f"x has shape {tuple(x.shape)}, but this energy has {self.space.size} coordinates "
                "on the last axis."
            )
        rows = x.reshape(-1, x.shape[-1])
        energy: Tensor = self.module(rows).reshape(x.shape[:-1])
        if self.confinement is not None:
            energy = energy + 0.5 / self.confinement**2 * (x * x).sum(dim=-1)
        return energy

    def freeze(self) -> "NeuralEnergy":
        """The array model with these parameters, copied, on the device where they are."""
        return NeuralEnergy(self)

    def sampler(self) -> Sampler:
        """Langevin moves with accept/reject."""
        return MALA(step_size=STEP)

    def path(self) -> Any:
        """From the confining Gaussian alone to the whole, u = lambda f + |x|^2 / (2 s^2); None
        without a confinement.

        `train` anneals along it for the likelihood at every epoch that its `Monitor` looks at,
        which takes some thousand passes: see its `every`, or log_likelihood=None.
        """
        if self.confinement is None:
            return None
        reference = Gaussian(stddev=self.confinement, dim=self.space.size)
        return Geometric(reference, self.freeze(), sampler=MALA(step_size=STEP))

    def extra_repr(self) -> str:
        """Size and confinement."""
        return f"size={self.space.size}, confinement={self.confinement}"


class NeuralEnergy(Model):
    """A frozen `EnergyNet`: an energy model of numpy arrays, with torch inside.

    Made by `EnergyNet.freeze`. It is Differentiable and answers in batches, so Langevin samplers
    run on it, and estimators along ``Geometric(Gaussian(...), model)``. Results are float64;
    they are computed in the parameters' precision, so with float32 an energy carries a relative
    error of 1e-7.
    """

    capabilities = frozenset({"Differentiable"})

    def __init__(self, net: EnergyNet) -> None:
        self.space, self.lattice = net.space, None
        self._net = copy.deepcopy(net).eval()
        self._net.zero_grad(set_to_none=True)  # an optimiser's gradients would be copied along

    def energy(self, x: Any) -> np.ndarray:
        """E(x), float64, (*batch, size) -> (*batch,)."""
        x = self.space.check(x)
        return self._in_parts(self._energies, x, x.shape[:-1])

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """beta E(x), float64; beta and the batch broadcast against each other."""
        beta = np.asarray(beta, np.float64)
        common_shape(np.shape(x)[:-1], beta)
        return np.asarray(beta * self.energy(x))

    def gradient(self, x: Any) -> np.ndarray:
        """dE/dx, float64 (*batch, size)."""
        x = self.space.check(x)
        return self._in_parts(self._gradients, x, x.shape)

    def reduced_gradient(self, x: Any, beta: Any) -> np.ndarray:
        """beta dE/dx, float64 (*batch, size)."""
        beta = np.asarray(beta, np.float64)
        common_shape(np.shape(x)[:-1], beta)
        return np.asarray(beta[..., None] * self.gradient(x))

    def to(self, device: Any) -> "NeuralEnergy":
        """This energy with its network on `device` ("cpu", "cuda"); itself where it is there."""
        if self._net.device.type == torch.device(device).type:
            return self
        return NeuralEnergy(copy.deepcopy(self._net).to(device))

    def thaw(self, dtype: torch.dtype | None = None) -> EnergyNet:
        """A trainable shell with these parameters, copied; in their dtype unless one is given."""
        net = copy.deepcopy(self._net).train()
        return net if dtype is None else net.to(dtype)

    def _energies(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return self._net.free_energy(rows)

    def _gradients(self, rows: Tensor) -> Tensor:
        return gradient_by_x(self._net, rows)

    def _in_parts(
        self, f: Callable[[Tensor], Tensor], x: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """f of all rows, `_ROWS` at a time, as float64 of this shape."""
        rows = x.reshape(-1, x.shape[-1])
        net, found = self._net, [np.empty((0, *shape[x.ndim - 1 :]))]
        for first in range(0, len(rows), _ROWS):
            # A copy, as torch shares memory and would warn of arrays that are read-only.
            part = torch.tensor(rows[first : first + _ROWS], dtype=net.dtype, device=net.device)
            found.append(f(part).cpu().numpy().astype(np.float64))
        return np.concatenate(found).reshape(shape)

    def __repr__(self) -> str:
        return f"NeuralEnergy({_told(self._net)})"


def gradient_by_x(shell: Trainable, x: Tensor) -> Tensor:
    """dF/dx of rows x (n, size), (n, size); without a graph of its own."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (found,) = torch.autograd.grad(shell.free_energy(x).sum(), x)
    return found


def _told(net: EnergyNet) -> str:
    n = sum(p.numel() for p in net.parameters())
    kind = type(net.module).__name__
    return f"{kind}, size={net.space.size}, {n} parameters, confinement={net.confinement}"


def _positive(value: Any, name: str) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not (np.isfinite(number) and number > 0.0):
        raise InvalidInput(
            f"{name}={value!r} must be positive and finite: a standard deviation in the units of "
            "x. Use None to leave the energy to the network alone."
        )
    return number


def _check(module: nn.Module, space: Reals) -> None:
    """InvalidInput unless the module gives one finite number for each row, from that row alone."""
    kinds = {p.dtype for p in module.parameters()}
    if len(kinds) != 1 or not next(iter(kinds)).is_floating_point:
        told = ", ".join(sorted(map(str, kinds))) or "none"
        raise InvalidInput(
            f"The module's parameters have the dtypes: {told}. An energy net needs parameters, all "
            "of one floating type: module.float(), or module.double()."
        )
    tried = copy.deepcopy(module)  # layers that count their calls must not count this one
    first = next(tried.parameters())
    x = torch.tensor(
        space.random(0, np.arange(_PROBES, dtype=np.uint32)), dtype=first.dtype, device=first.device
    )
    try:
        with torch.no_grad():
            both, alone = tried(x), tried(x[:1])
    except Exception as error:  # a user's module may raise anything on what it is not made for
        raise InvalidInput(
            f"The module failed on a batch of shape {tuple(x.shape)}: {error}. It is called with "
            "rows of coordinates (n, size); for pictures begin it with "
            "torch.nn.Unflatten(1, (channels, rows, columns))."
        ) from error
    shape = tuple(both.shape) if isinstance(both, Tensor) else type(both).__name__
    if shape not in ((_PROBES,), (_PROBES, 1)):
        raise InvalidInput(
            f"The module returned {shape} for a batch of shape {tuple(x.shape)}; an energy is one "
            f"number per row, ({_PROBES}, 1) or ({_PROBES},). End it with a layer of one output, "
            "or sum over the outputs."
        )
    if not bool(torch.isfinite(both).all()):
        raise InvalidInput("The module returned NaN or infinite energies at random points.")
    close = 1e-3 * (1.0 + float(both.abs().max()))  # products round differently in other shapes
    if abs(float(both.reshape(-1)[0]) - float(alone.reshape(-1)[0])) > close:
        raise InvalidInput(
            f"The module gives {float(both.reshape(-1)[0]):g} for a row among others and "
            f"{float(alone.reshape(-1)[0]):g} for the same row alone. An energy is a function of "
            "its configuration: leave out batch normalisation and dropout, or put the module into "
            "eval() mode."
        )
