"""Ready-made networks: dense ones, and convolutions on periodic lattices.

Any torch module of the right shapes can stand in their place. Weights and biases of a layer with n
inputs are uniform in (-1/sqrt n, 1/sqrt n), drawn from the generator that is given.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..training._arguments import check_at_least
from ..training._networks import draw_weights, drawn, empty_layer

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}

__all__ = [
    "ACTIVATIONS",
    "activation",
    "check_dtype",
    "dense",
    "draw_weights",
    "drawn",
    "empty_layer",
    "lattice_reader",
    "lattice_writer",
    "layer_widths",
]


def activation(name: str) -> type[nn.Module]:
    """The layer of that name; InvalidInput for another."""
    if name not in ACTIVATIONS:
        raise InvalidInput(f"activation={name!r} is not one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name]


def layer_widths(widths: Any, name: str = "hidden") -> tuple[int, ...]:
    """Units of each layer, (128, 128) for example; () for none. InvalidInput otherwise."""
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise InvalidInput(f"{name}={widths!r} must be a number for each layer, such as (64, 64).")
    found = tuple(widths)
    for width in found:
        check_at_least(f"a width in {name}", width, 1, "units")
    return tuple(int(width) for width in found)


def check_dtype(dtype: Any) -> None:
    """Raise InvalidInput unless networks can have this dtype."""
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InvalidInput(f"dtype={dtype!r} must be torch.float32 or torch.float64.")


def dense(
    n_in: int,
    n_out: int,
    hidden: Sequence[int] = (128, 128),
    *,
    rng: Any,
    act: str = "silu",
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """n_in -> hidden[0] -> ... -> n_out, an activation after each layer but the last."""
    check_dtype(dtype)
    for width in (n_in, n_out):
        check_at_least("width of a layer", width, 1, "units")
    widths = [n_in, *layer_widths(hidden), n_out]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [empty_layer(nn.Linear, a, b), activation(act)()]
    return drawn(layers[:-1], rng, dtype)


def lattice_reader(
    shape: tuple[int, int],
    n_out: int,
    channels: Sequence[int] = (32, 64),
    *,
    rng: Any,
    n_extra: int = 0,
    act: str = "silu",
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """Configurations (n, rows * columns), with n_extra numbers beside them, -> (n, n_out): periodic
    3 x 3 convolutions, the first at full resolution, each further one halving both sides."""
    channels = layer_widths(channels, "channels")
    check_dtype(dtype)
    sides = _sides(shape, len(channels))
    layers: list[nn.Module] = [_Planes(shape, n_extra)]
    depth = 1 + n_extra
    for k, wide in enumerate(channels):
        stride = 1 if k == 0 else 2
        layers += [_convolution(depth, wide, stride), activation(act)()]
        depth = wide
    layers += [nn.Flatten(), empty_layer(nn.Linear, depth * sides[0] * sides[1], n_out)]
    return drawn(layers, rng, dtype)


def lattice_writer(
    n_in: int,
    shape: tuple[int, int],
    channels: Sequence[int] = (64, 32),
    *,
    rng: Any,
    n_planes: int = 1,
    act: str = "silu",
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """(n, n_in) -> (n, n_planes * rows * columns): a dense layer, then periodic 3 x 3 convolutions,
    each but the last after both sides were doubled."""
    channels = layer_widths(channels, "channels")
    check_dtype(dtype)
    sides = _sides(shape, len(channels))
    layers: list[nn.Module] = [
        empty_layer(nn.Linear, n_in, channels[0] * sides[0] * sides[1]),
        activation(act)(),
        nn.Unflatten(1, (channels[0], *sides)),
    ]
    for a, b in pairwise(channels):
        layers += [nn.Upsample(scale_factor=2), _convolution(a, b, 1), activation(act)()]
    layers += [_convolution(channels[-1], n_planes, 1), nn.Flatten()]
    return drawn(layers, rng, dtype)


class _Planes(nn.Module):
    """(n, rows * columns + extra) -> (n, 1 + extra, rows, columns): each extra number fills a
    plane."""

    def __init__(self, shape: tuple[int, int], n_extra: int) -> None:
        super().__init__()
        self.shape, self.n_extra = shape, n_extra

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.shape
        plane = x[:, : rows * columns].reshape(-1, 1, rows, columns)
        extra = x[:, rows * columns :, None, None].expand(-1, self.n_extra, rows, columns)
        return torch.cat([plane, extra], dim=1)


def _convolution(n_in: int, n_out: int, stride: int) -> nn.Module:
    return empty_layer(nn.Conv2d, n_in, n_out, 3, stride=stride, padding=1, padding_mode="circular")


def _sides(shape: tuple[int, int], n_layers: int) -> tuple[int, int]:
    """Sides after every layer but one has halved them."""
    if not n_layers:
        raise InvalidInput("channels is empty; give one number for each convolution: (16, 32).")
    factor = 2 ** (n_layers - 1)
    if len(shape) != 2 or any(n % factor or n // factor < 2 for n in shape):
        raise InvalidInput(
            f"{n_layers} convolutions halve a lattice of shape {tuple(shape)} {n_layers - 1} "
            f"times; both sides must be multiples of {factor}, and at least {2 * factor}. Give "
            "fewer channels."
        )
    return shape[0] // factor, shape[1] // factor
