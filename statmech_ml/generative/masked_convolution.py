"""`MaskedConvolution`: convolutions over a lattice that see the sites before each site only.

Sites are in reading order. Two stacks of layers run side by side, so that there is no blind spot:

    v_{l+1}(r, c) = v_l + f(K_l * v_l)              of the rows above r, in all columns
    h_{l+1}(r, c) = h_l + f(k_l * h_l + 1x1 v_{l+1})  and of the row r, left of c

v_0 is the configuration moved down by a row, h_0 the one moved right by a column. Columns wrap
around in v (rows above are known in full); rows cannot, as the row below the last one is the first,
which is seen from above if the layers reach that far: `reach` >= the number of rows and columns.
Each site has biases of its own in the first layer, as no torus has a first site but the order has.

A. van den Oord et al., Adv. Neural Inf. Process. Syst. 29 (2016), arXiv:1606.05328, section 2.2.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..training._arguments import check_at_least
from ._conditionals import drawn_signs
from .networks import activation, check_dtype, draw_weights, empty_layer


class MaskedConvolution(nn.Module):
    """Configurations (n, rows * columns) of -1 and +1, with n_conditions numbers beside them, ->
    log-odds (n, rows * columns) of +1, each given the sites before it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    channels : int, default 16
    n_layers : int, default 4
        Of each stack.
    rng : int or numpy Generator
        Of the first weights. There is no default.
    kernel : int, default 3
        Rows and columns of a kernel; odd.
    periodic : bool, default True
        Whether columns wrap around.
    n_conditions : int, default 0
        Numbers that every output sees.
    act : str, default "silu"
        Activation, a name of `networks.ACTIVATIONS`.
    dtype : torch.dtype, default torch.float32
    """

    def __init__(
        self,
        shape: tuple[int, int],
        channels: int = 16,
        n_layers: int = 4,
        *,
        rng: Any,
        kernel: int = 3,
        periodic: bool = True,
        n_conditions: int = 0,
        act: str = "silu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise InvalidInput(f"shape={shape!r} must be (rows, columns).")
        for name, value, least, what in (
            ("rows", shape[0], 1, "row"),
            ("columns", shape[1], 1, "column"),
            ("channels", channels, 1, "channel"),
            ("n_layers", n_layers, 1, "layer"),
            ("kernel", kernel, 1, "site"),
            ("n_conditions", n_conditions, 0, "numbers beside each configuration"),
        ):
            check_at_least(name, value, least, what)
        check_dtype(dtype)
        if kernel % 2 == 0 or kernel > 2 * shape[1] - 1:
            raise InvalidInput(
                f"kernel={kernel} must be odd, so that it has a middle, and at most twice the "
                f"{shape[1]} columns less one."
            )
        self.shape, self.kernel, self.periodic = (int(shape[0]), int(shape[1])), kernel, periodic
        self.n_conditions = int(n_conditions)
        depths = [1] + [channels] * (n_layers - 1)
        conv, square = nn.Conv2d, (kernel, kernel)
        self.vertical = nn.ModuleList(empty_layer(conv, d, channels, square) for d in depths)
        self.horizontal = nn.ModuleList(empty_layer(conv, d, channels, (1, kernel)) for d in depths)
        self.link = nn.ModuleList(empty_layer(conv, channels, channels, 1) for _ in depths)
        self.conditions = empty_layer(nn.Linear, n_conditions, channels) if n_conditions else None
        self.out = empty_layer(conv, channels, 1, 1)
        self.activation = activation(act)()
        self.to(dtype)
        draw_weights(self, rng)
        self.position = nn.Parameter(torch.zeros((channels, *self.shape), dtype=dtype))

    @property
    def reach(self) -> int:
        """Rows above, and columns to the left, that an output sees."""
        return 1 + len(self.link) * (self.kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, rows * columns + n_conditions) -> (n, rows * columns)."""
        size = self.shape[0] * self.shape[1]
        plane = x[:, :size].reshape(-1, 1, *self.shape)
        extra = self._extra(x[:, size:] if self.n_conditions else None)
        links = self._above(nn.functional.pad(plane[:, :, :-1], (0, 0, 1, 0)), extra)
        return self._row(nn.functional.pad(plane[..., :-1], (1, 0)), links, extra).flatten(1)

    def draw(self, uniforms: Tensor, condition: Tensor | None) -> Tensor:
        """Configurations (n, rows * columns) of -1 and +1: site i is +1 where uniforms[:, i],
        float64, lies below its probability. What the rows above say is computed once a row."""
        (rows, columns), n = self.shape, len(uniforms)
        extra = self._extra(condition)
        # A row and a column of zeros stand before the first ones.
        plane = self.position.new_zeros((n, 1, rows + 1, columns + 1))
        for r in range(rows):
            links = self._above(plane[:, :, : r + 1, 1:], extra[:, :, : r + 1])
            links = [link[:, :, -1:] for link in links]
            row = plane[:, :, r + 1 : r + 2]
            for c in range(columns):
                seen = [link[..., : c + 1] for link in links]
                logit = self._row(row[..., : c + 1], seen, extra[:, :, r : r + 1, : c + 1])
                u = uniforms[:, r * columns + c]
                row[:, 0, 0, c + 1] = drawn_signs(u, logit[:, 0, -1], row.dtype)
        return plane[:, 0, 1:, 1:].flatten(1)

    def _extra(self, condition: Tensor | None) -> Tensor:
        """What the first layers add: biases of the sites, and the condition's."""
        found = self.position[None]
        if self.conditions is not None:
            found = found + self.conditions(condition)[:, :, None, None]
        return found

    def _above(self, v: Tensor, extra: Tensor) -> list[Tensor]:
        """For each layer what the rows above tell the row; v is moved down by a row already."""
        side, found = self.kernel // 2, []
        for number, (layer, link) in enumerate(zip(self.vertical, self.link, strict=True)):
            wide = v
            if side:
                mode = "circular" if self.periodic else "constant"
                wide = nn.functional.pad(v, (side, side, 0, 0), mode=mode)
            new = layer(nn.functional.pad(wide, (0, 0, self.kernel - 1, 0)))
            v = self.activation(new + extra) if number == 0 else v + self.activation(new)
            found.append(link(v))
        return found

    def _row(self, h: Tensor, links: list[Tensor], extra: Tensor) -> Tensor:
        """Log-odds (n, rows, columns); h is moved right by a column already."""
        for number, (layer, link) in enumerate(zip(self.horizontal, links, strict=True)):
            new = layer(nn.functional.pad(h, (self.kernel - 1, 0))) + link
            h = self.activation(new + extra) if number == 0 else h + self.activation(new)
        odds: Tensor = self.out(h)
        return odds[:, 0]

    def extra_repr(self) -> str:
        """What a checkpoint compares."""
        return (
            f"shape={self.shape}, kernel={self.kernel}, periodic={self.periodic}, "
            f"n_conditions={self.n_conditions}"
        )
