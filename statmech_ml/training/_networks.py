"""Ready-made networks with one output, for `EnergyNet`: dense and convolutional.

Activations are smooth, because Langevin moves need the gradient of the energy and score matching
its second derivative; a piecewise linear one (ReLU) has none. Weights and biases of a layer with n
inputs are uniform in (-1/sqrt n, 1/sqrt n), drawn from a generator of their own: neither torch's
global seed nor its state is touched.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from .._rng import seed_from
from ..errors import InvalidInput

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "elu": nn.ELU,
}


def dense(
    size: int, hidden: Sequence[int], activation: str, rng: Any, dtype: torch.dtype
) -> nn.Sequential:
    """size -> hidden[0] -> ... -> 1, an activation after each layer but the last."""
    widths = [_whole(size, "size"), *(_whole(n, "hidden") for n in _several(hidden, "hidden"))]
    act = _activation(activation)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [empty_layer(nn.Linear, n_in, n_out), act()]
    layers.append(empty_layer(nn.Linear, widths[-1], 1))
    return drawn(layers, rng, dtype)


def convolutional(
    shape: Sequence[int],
    channels: Sequence[int],
    activation: str,
    periodic: bool,
    rng: Any,
    dtype: torch.dtype,
) -> nn.Sequential:
    """3 x 3 convolutions, the first at full resolution, each further one halving both sides."""
    sides = [_whole(n, "shape") for n in _several(shape, "shape")]
    if len(sides) != 2:
        raise InvalidInput(
            f"shape={shape!r} must be (rows, columns) of a picture with one channel."
        )
    act = _activation(activation)
    layers: list[nn.Module] = [nn.Unflatten(1, (1, *sides))]
    depth = 1
    for k, wide in enumerate(_whole(n, "channels") for n in _several(channels, "channels")):
        stride = 1 if k == 0 else 2
        if periodic and min(sides) < 2:
            raise InvalidInput(
                f"{len(channels)} convolutions shrink {tuple(shape)} below 2 x 2, where periodic "
                "boundaries wrap around more than once. Give fewer channels."
            )
        layers.append(
            empty_layer(
                nn.Conv2d, depth, wide, 3, stride=stride, padding=1,
                padding_mode="circular" if periodic else "zeros",
            )
        )  # fmt: skip
        layers.append(act())
        depth, sides = wide, [-(-n // stride) for n in sides]
    layers += [nn.Flatten(), empty_layer(nn.Linear, depth * sides[0] * sides[1], 1)]
    return drawn(layers, rng, dtype)


def empty_layer(kind: Any, *args: Any, **options: Any) -> nn.Module:
    """A layer whose parameters are not drawn yet: torch would draw them from its global state."""
    module: nn.Module = torch.nn.utils.skip_init(kind, *args, **options)
    return module


def drawn(layers: Iterable[nn.Module], rng: Any, dtype: torch.dtype) -> nn.Sequential:
    network = nn.Sequential(*layers).to(dtype)
    draw_weights(network, rng)
    return network


def draw_weights(network: nn.Module, rng: Any) -> None:
    """Give all dense and convolutional layers of a network their first weights and biases."""
    generator = torch.Generator().manual_seed(seed_from(rng))
    with torch.no_grad():
        for layer in _with_weights(network):
            limit = 1.0 / math.sqrt(layer.weight[0].numel())
            for parameter in layer.parameters():
                # In doubles, so that both precisions start from the same network.
                drawn = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(limit * (2.0 * drawn - 1.0))


def _with_weights(network: nn.Module) -> Iterator[Any]:
    return (layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d))


def _activation(name: str) -> type[nn.Module]:
    if name not in ACTIVATIONS:
        raise InvalidInput(
            f"activation={name!r} is not one of {', '.join(ACTIVATIONS)}. They are smooth: "
            "Langevin moves and score matching differentiate the energy. For another one, give "
            "EnergyNet a module of your own."
        )
    return ACTIVATIONS[name]


def _several(values: Any, name: str) -> tuple[Any, ...]:
    if isinstance(values, int | str) or not (found := tuple(values)):
        raise InvalidInput(f"{name}={values!r} must be whole numbers, such as (32, 64).")
    return found


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"{name} holds {value!r}; whole numbers of at least 1 are needed.")
    return value
