"""Denoising networks: what a diffusion model calls with a noisy configuration and its noise level.

    network(x_t, log_snr, condition) -> (n, size)

x_t (n, size) = sqrt(abar) x + sqrt(1 - abar) eps, log_snr (n, 1), condition (n, n_conditions) or
None. What comes out is read as the noise eps, as x, or as v = sqrt(abar) eps - sqrt(1 - abar) x,
whichever the model's `prediction` says. Any torch module with this signature serves.

`DenseDenoiser` learns. `ExactDenoiser` knows: E[x | x_t] of a target whose law is known, so that
what a sampler or a bound does with a perfect network can be seen apart from what networks get
wrong.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..exact.targets import Gaussian, GaussianMixture, Target
from ..training._arguments import check_at_least
from .networks import activation, draw_weights, empty_layer

_SLOWEST = math.pi / 32.0  # one period holds all noise levels in use, log_snr from -32 to 32


def level_features(log_snr: Tensor, n_frequencies: int) -> Tensor:
    """What networks see of the noise level: log_snr / 8, sines and cosines of octaves.

    (n, 1) -> (n, 1 + 2 n_frequencies).
    """
    octaves = 2.0 ** torch.arange(n_frequencies, device=log_snr.device, dtype=log_snr.dtype)
    angles = _SLOWEST * log_snr * octaves
    return torch.cat([log_snr / 8.0, angles.sin(), angles.cos()], dim=1)


class DenseDenoiser(nn.Module):
    """Dense layers with shortcuts, for vectors.

    Every layer sees the noise level and the conditions anew. Beside them stands a linear part,
    x_t times a gain that depends on the level and the conditions: of independent Gaussian data
    with one variance the best guess is that alone.

    Parameters
    ----------
    size : int
        Coordinates of a configuration.
    hidden : sequence of int
        Widths; layers of equal width pass what they were given on beside what they add.
    n_conditions : int
        Numbers beside each configuration. Bring them to order 1.
    n_frequencies : int
        Octaves of the level's sines and cosines.
    rng : int or numpy Generator
        Of the first weights.
    act : str
        See `networks.ACTIVATIONS`.
    """

    def __init__(
        self,
        size: int,
        hidden: Sequence[int] = (128, 128, 128),
        *,
        rng: Any,
        n_conditions: int = 0,
        n_frequencies: int = 6,
        act: str = "silu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_at_least("size", size, 1, "coordinates")
        check_at_least("n_frequencies", n_frequencies, 1, "octaves")
        for width in hidden:
            check_at_least("width of a layer", width, 1, "units")
        check_at_least("layers in hidden", len(hidden), 1, "layers")
        self.n_frequencies = n_frequencies
        beside = 1 + 2 * n_frequencies + n_conditions
        widths = [size, *hidden]
        self.layers = nn.ModuleList(
            empty_layer(nn.Linear, a + beside, b) for a, b in pairwise(widths)
        )
        self.out = empty_layer(nn.Linear, widths[-1], size)
        self.gain = empty_layer(nn.Linear, beside, size)
        self.act = activation(act)()
        self.to(dtype)
        draw_weights(self, rng)

    def forward(self, x: Tensor, log_snr: Tensor, condition: Tensor | None = None) -> Tensor:
        """See the head of this file."""
        beside = level_features(log_snr, self.n_frequencies)
        if condition is not None:
            beside = torch.cat([beside, condition], dim=1)
        h = x
        for number, layer in enumerate(self.layers):
            new = self.act(layer(torch.cat([h, beside], dim=1)))
            h = h + new if number and h.shape == new.shape else new
        found: Tensor = self.out(h) + self.gain(beside) * x
        return found


class ExactDenoiser(nn.Module):
    """E[x | x_t] of a target that is known: a perfect network, for `prediction="x0"`.

    Gaussians and mixtures of them are computed in torch, in doubles, and have derivatives; other
    targets by their own `denoiser` in numpy, which has none, so that likelihoods by the flow and
    posterior sampling refuse them.

    Parameters
    ----------
    target : statmech_ml.exact.targets.Target
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.law = _NormalMixture.of(target)

    def extra_repr(self) -> str:
        """The target; its numbers are not in its name."""
        return repr(self.target)

    def forward(self, x: Tensor, log_snr: Tensor, condition: Tensor | None = None) -> Tensor:
        """See the head of this file."""
        if self.law is not None:
            found: Tensor = self.law(x, log_snr)
            return found.to(x.dtype)
        if x.requires_grad and torch.is_grad_enabled():
            raise NotImplementedError(
                f"{self.target!r} has its denoiser in numpy, without derivatives: take a Gaussian "
                "or a mixture of Gaussians, or a network."
            )
        rows = log_snr.expand(len(x), 1)[:, 0]
        values = self.target.denoiser(
            x.detach().double().cpu().numpy(), rows.detach().double().cpu().numpy()
        )
        return torch.as_tensor(values, dtype=x.dtype, device=x.device)


class _NormalMixture(nn.Module):
    """sum_k r_k(x) (mu_k + a C_k (a^2 C_k + v I)^-1 (x - a mu_k)), in the directions of C_k."""

    log_weights: Tensor
    means: Tensor
    eigenvalues: Tensor
    directions: Tensor

    def __init__(self, weights: Any, means: Any, covariances: Any) -> None:
        super().__init__()
        covariance = torch.as_tensor(covariances, dtype=torch.float64)
        eigenvalues, directions = torch.linalg.eigh(covariance)
        weights = torch.as_tensor(weights, dtype=torch.float64)
        for name, value in (
            ("log_weights", weights.log()),  # (k,)
            ("means", torch.as_tensor(means, dtype=torch.float64)),  # (k, d)
            ("eigenvalues", eigenvalues),  # (k, d)
            ("directions", directions),  # (k, d, d), in the columns
        ):
            self.register_buffer(name, value, persistent=False)

        one = self.means.numel() == 1
        self._one = (self.means.item(), self.eigenvalues.item()) if one else None

    def _affine(self, log_snr: float) -> tuple[float, float]:
        """E[x | x_t] = gain x_t + shift, of one Gaussian in one dimension."""
        assert self._one is not None
        mean, variance = self._one
        bar, v = 1.0 / (1.0 + math.exp(-log_snr)), 1.0 / (1.0 + math.exp(log_snr))
        a = math.sqrt(bar)
        gain = a * variance / (bar * variance + v)
        return gain, (1.0 - gain * a) * mean

    @classmethod
    def of(cls, target: Target) -> "_NormalMixture | None":
        if isinstance(target, Gaussian):
            return cls([1.0], target.mean()[None], target.covariance()[None])
        if isinstance(target, GaussianMixture):
            return cls(target.weights, target.means, target.covariances)
        return None

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        # A sampler gives one level to all rows, as a view: its coefficients are then computed once,
        # and in one dimension as plain numbers, since small tensors cost as much as long ones.
        level = log_snr[:1] if log_snr.stride(0) == 0 else log_snr
        if self._one is not None and len(level) == 1:
            gain, shift = self._affine(level.item())
            return (gain * x).add_(shift)
        a, v = level.sigmoid().sqrt(), (-level).sigmoid()
        a, v = a[:, None], v[:, None]  # (n or 1, k, d) from here on
        width = a * a * self.eigenvalues + v
        away = torch.einsum("nkd,kde->nke", x[:, None] - a * self.means, self.directions)
        guess = self.means + torch.einsum(
            "nke,kde->nkd", away * (a * self.eigenvalues / width), self.directions
        )
        if len(self.log_weights) == 1:
            return guess[:, 0]
        terms = self.log_weights - 0.5 * (away * away / width + width.log()).sum(dim=2)
        return (terms.softmax(dim=1)[:, :, None] * guess).sum(dim=1)
