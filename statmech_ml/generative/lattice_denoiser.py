"""`LatticeDenoiser`: a denoising network for spins on a periodic lattice.

    network(x_t, log_snr (n, 1), condition or None) -> (n, size)

A stack of blocks over c channels of lattice fields h,

    h <- h + U f(W (K * (1 + scale) h) ),      f(a) = a / (1 + |a|),

K * a convolution of each channel by itself with a kernel as large as the lattice (at T_c all
sites feel all others), W and U mix the channels of a site. The noise level and the conditions scale
channels. The input is x_t beside tanh of the field that it exerts (`noise_field`): the
magnetisation that the noisy value of a site would give it alone.

Moving x_t across the torus moves the answer along, always. With `flip` there are no additive terms
and f is odd, so that -x_t gets minus the answer: the symmetry of an Ising model without a field.

Cost: c S (S + 2 c) multiplications forward a block and configuration, S sites; above 128 sites the
convolutions are products of Fourier transforms, c S log S.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus, softsign

from .._rng import seed_from
from ..errors import InvalidInput
from ..training._arguments import check_at_least
from .denoisers import level_features

_PRODUCT = 128  # sites up to which a matrix product beats Fourier transforms


def noise_field(x_t: Tensor, log_snr: Tensor) -> Tensor:
    """Field that a noisy image exerts on the spins below it.

    x_t = a s + sigma eps gives p(s | x_t) ~ p(s) exp(B . s), with

        B = a x_t / sigma^2 = x_t sqrt(snr (1 + snr)).

    Parameters
    ----------
    x_t : tensor (n, size)
    log_snr : tensor (n, 1)

    Returns
    -------
    tensor (n, size), in units of k_B T
    """
    return x_t * torch.exp(0.5 * (log_snr + softplus(log_snr)))


class LatticeDenoiser(nn.Module):
    """Convolutions over the whole of a periodic lattice.

    Parameters
    ----------
    shape : tuple of int
        Sides of the lattice, sites numbered row by row: (8, 8), or (12,) for a ring.
    width : int
        Channels.
    depth : int
        Blocks.
    rng : int or numpy Generator
        Of the first weights.
    n_conditions : int
        Numbers beside each configuration. Bring them to order 1.
    flip : bool, default True
        Odd in x_t by construction. Take False where a field breaks the symmetry.
    n_frequencies : int
        Octaves of the level's sines and cosines (`level_features`).
    dtype : torch dtype

    Raises
    ------
    InvalidInput
        For a shape, width or depth that is none.
    """

    displacement: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        width: int = 24,
        depth: int = 2,
        *,
        rng: Any,
        n_conditions: int = 0,
        flip: bool = True,
        n_frequencies: int = 6,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if isinstance(shape, int | str) or not len(tuple(shape)):
            raise InvalidInput(f"shape={shape!r} must be the sides of a lattice, such as (8, 8).")
        for side in shape:
            check_at_least("side of the lattice", side, 1, "sites")
        check_at_least("width", width, 1, "channels")
        check_at_least("depth", depth, 1, "blocks")
        check_at_least("n_frequencies", n_frequencies, 1, "octaves")
        self.shape, self.width, self.depth = tuple(int(n) for n in shape), int(width), int(depth)
        self.flip, self.n_frequencies, self.n_conditions = bool(flip), n_frequencies, n_conditions
        self.size = math.prod(self.shape)
        beside = 1 + 2 * n_frequencies + n_conditions
        generator = torch.Generator().manual_seed(seed_from(rng))

        def drawn(*sizes: int, scale: float) -> nn.Parameter:
            # In doubles, so that both precisions start from the same network.
            values = torch.randn(sizes, generator=generator, dtype=torch.float64)
            return nn.Parameter((scale * values).to(dtype))

        def zeros(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(sizes, dtype=dtype))

        c = self.width
        self.reader = drawn(c, 2, scale=2.0**-0.5)
        self.kernels = nn.ParameterList(drawn(c, self.size, scale=0.1) for _ in range(depth))
        self.mixers = nn.ParameterList(drawn(c, c, scale=c**-0.5) for _ in range(depth))
        self.returns = nn.ParameterList(drawn(c, c, scale=0.5 * c**-0.5) for _ in range(depth))
        # Scales of the channels before the convolution and after f.
        self.scales = nn.ParameterList(
            drawn(beside, 2 * c, scale=0.3 * beside**-0.5) for _ in range(depth)
        )
        self.writer = drawn(1, c, scale=0.1 * c**-0.5)
        self.gain = zeros(beside, 1)
        self.shifts = None if flip else nn.ParameterList(zeros(beside, c) for _ in range(depth))
        self.offset = None if flip else zeros(beside, 1)
        if self.size <= _PRODUCT:
            self.register_buffer("displacement", _displacements(self.shape), persistent=False)

    def extra_repr(self) -> str:
        """The settings, which a checkpoint compares."""
        return (
            f"shape={self.shape}, width={self.width}, depth={self.depth}, flip={self.flip}, "
            f"n_conditions={self.n_conditions}, n_frequencies={self.n_frequencies}"
        )

    def forward(self, x: Tensor, log_snr: Tensor, condition: Tensor | None = None) -> Tensor:
        """See the head of this file."""
        n, c, sites = len(x), self.width, self.size
        beside = level_features(log_snr, self.n_frequencies)
        if condition is not None:
            beside = torch.cat([beside, condition], dim=1)
        # Channels first, (c, n, sites): mixing channels is then one matrix product, convolving
        # one product a channel, and neither moves data.
        alone = torch.tanh(noise_field(x, log_snr))
        h = (self.reader @ torch.stack([x, alone]).reshape(2, -1)).view(c, n, sites)
        for block in range(self.depth):
            scale = 1.0 + (beside @ self.scales[block]).T[:, :, None]
            spread = self._convolved(h * scale[:c], self.kernels[block])
            a = (self.mixers[block] @ spread.reshape(c, -1)).view(c, n, sites)
            if self.shifts is not None:
                a = a + (beside @ self.shifts[block]).T[:, :, None]
            a = softsign(a) * scale[c:]
            h = h + (self.returns[block] @ a.view(c, -1)).view(c, n, sites)
        found = (self.writer @ h.view(c, -1)).view(n, sites) * (1.0 + beside @ self.gain)
        return found if self.offset is None else found + beside @ self.offset

    def _convolved(self, h: Tensor, kernel: Tensor) -> Tensor:
        """Each channel of h (c, n, sites) by its kernel (c, sites), around the torus."""
        if self.size <= _PRODUCT:
            circulant = kernel.index_select(1, self.displacement)
            return torch.bmm(h, circulant.view(len(kernel), self.size, self.size))
        axes = tuple(range(-len(self.shape), 0))
        waves = torch.fft.rfftn(h.view(*h.shape[:2], *self.shape), dim=axes)
        filters = torch.fft.rfftn(kernel.view(len(kernel), 1, *self.shape), dim=axes)
        found: Tensor = torch.fft.irfftn(waves * filters, s=self.shape, dim=axes)
        return found.flatten(2)


def _displacements(shape: tuple[int, ...]) -> Tensor:
    """Number of the site at r_j - r_i around the torus, for all pairs (i, j), flat."""
    sites = np.indices(shape).reshape(len(shape), -1)
    away = sites[:, None, :] - sites[:, :, None]
    found = np.ravel_multi_index(tuple(d % n for d, n in zip(away, shape, strict=True)), shape)
    return torch.as_tensor(found.reshape(-1))
