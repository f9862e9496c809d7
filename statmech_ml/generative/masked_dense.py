"""`MaskedDense`: a dense network whose output i sees the sites before i only.

Every hidden unit has a degree d: it may see the sites 0 .. d - 1. Unit k of a layer sees the units
of the layer below whose degree is not larger than its own, and output i the units of degree i or
less, so weights are multiplied by

    mask_kj = [d_k >= d_j],    d of the input site j is j + 1,   d of the output i is i.

Degrees are spread evenly and ascend along each layer, so that the units which a new spin unlocks
stand side by side: all conditionals of a draw together then cost one pass through the network.

M. Germain, K. Gregor, I. Murray and H. Larochelle, Proc. ICML (2015), arXiv:1502.03509, with the
direct connections of its equation 11.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..training._arguments import check_at_least
from ._conditionals import drawn_signs
from .networks import activation, check_dtype, draw_weights, empty_layer, layer_widths


class MaskedDense(nn.Module):
    """Configurations (n, size) of -1 and +1, with n_conditions numbers beside them, -> log-odds
    (n, size) of +1, each given the sites before it.

    Parameters
    ----------
    size : int
        Sites.
    hidden : sequence of int, default (256, 256)
        Units of each hidden layer.
    rng : int or numpy Generator
        Of the first weights. There is no default.
    n_conditions : int, default 0
        Numbers that every output sees.
    act : str, default "silu"
        Activation, a name of `networks.ACTIVATIONS`.
    dtype : torch.dtype, default torch.float32
    """

    def __init__(
        self,
        size: int,
        hidden: Sequence[int] = (256, 256),
        *,
        rng: Any,
        n_conditions: int = 0,
        act: str = "silu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_at_least("size", size, 1, "sites")
        check_at_least("n_conditions", n_conditions, 0, "numbers beside each configuration")
        hidden = layer_widths(hidden)
        check_dtype(dtype)
        self.size, self.n_conditions = int(size), int(n_conditions)
        # What sees no site serves only where there is a condition to see.
        first = 0 if n_conditions else 1
        self.degrees = [first + torch.arange(w) * max(1, size - first) // w for w in hidden]
        inputs = torch.cat([torch.arange(1, size + 1), torch.zeros(n_conditions, dtype=torch.long)])
        outputs = torch.arange(size)
        widths = [size + n_conditions, *hidden, size]
        self.layers: Any = nn.ModuleList(empty_layer(nn.Linear, a, b) for a, b in pairwise(widths))
        self.direct: Any = empty_layer(nn.Linear, widths[0], size, bias=False)
        self.activation = activation(act)()
        self.to(dtype)
        draw_weights(self, rng)
        for number, (below, above) in enumerate(pairwise([inputs, *self.degrees, outputs])):
            self.register_buffer(f"mask_{number}", _mask(below, above, dtype), persistent=False)
        self.register_buffer("mask_direct", _mask(inputs, outputs, dtype), persistent=False)

    def _weights(self) -> list[Tensor]:
        """Masked weights of all layers, the direct ones last."""
        found = [
            layer.weight * self.get_buffer(f"mask_{number}")
            for number, layer in enumerate(self.layers)
        ]
        return [*found, self.direct.weight * self.get_buffer("mask_direct")]

    def forward(self, x: Tensor) -> Tensor:
        """(n, size + n_conditions) -> (n, size)."""
        *weights, direct = self._weights()
        h = x
        for number, (weight, layer) in enumerate(zip(weights, self.layers, strict=True)):
            h = nn.functional.linear(h, weight, layer.bias)
            if number < len(weights) - 1:
                h = self.activation(h)
        return h + nn.functional.linear(x, direct)

    def draw(self, uniforms: Tensor, condition: Tensor | None) -> Tensor:
        """Configurations (n, size) of -1 and +1: site i is +1 where uniforms[:, i], float64, lies
        below its probability. Every hidden unit is computed once, when the last site that it sees
        is known."""
        size, n = self.size, len(uniforms)
        *weights, direct = self._weights()
        of_condition = [weights[0].new_zeros(()), direct.new_zeros(())]
        if condition is not None:
            of_condition = [w[:, size:] @ condition.T for w in (weights[0], direct)]
        # (unit, n): the units that are known stand first, in one block of memory.
        x = weights[0].new_empty((size, n))
        hidden = [x] + [x.new_empty((len(d), n)) for d in self.degrees]
        known = [0] * len(hidden)
        for i in range(size):
            known[0] = i
            for k, degrees in enumerate(self.degrees):
                a = known[k + 1]
                b = int(torch.searchsorted(degrees, i, right=True))
                if b > a:
                    new = weights[k][a:b, : known[k]] @ hidden[k][: known[k]]
                    new += self.layers[k].bias[a:b, None]
                    if k == 0 and condition is not None:
                        new += of_condition[0][a:b]
                    hidden[k + 1][a:b] = self.activation(new)
                    known[k + 1] = b
            logit = weights[-1][i, : known[-1]] @ hidden[-1][: known[-1]] + self.layers[-1].bias[i]
            logit = logit + direct[i, :i] @ x[:i]
            if condition is not None:
                logit = logit + of_condition[1][i]
                if len(hidden) == 1:  # the only layer is the last, and sees the condition itself
                    logit = logit + of_condition[0][i]
            x[i] = drawn_signs(uniforms[:, i], logit, x.dtype)
        return x.T

    def extra_repr(self) -> str:
        """What a checkpoint compares."""
        return f"size={self.size}, n_conditions={self.n_conditions}"


def _mask(below: Tensor, above: Tensor, dtype: torch.dtype) -> Tensor:
    """Which units (above, below) may be joined, 1 or 0."""
    return (above[:, None] >= below[None, :]).to(dtype)
