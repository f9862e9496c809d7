"""Laws of the sites given the latents: what the numbers that a decoder writes stand for.

    reals         x_i ~ N(out_i, sigma^2)           sigma^2 learnt (one, or one a site) or fixed
    spins, bits   P(x_i = the higher value) = 1 / (1 + exp(-out_i))

Sites are independent given the latents, and log p(x | h) is the sum over the sites, never the mean:
a mean would weigh the divergence of the latents `size` times as much.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import InvalidInput
from ..spaces import Bits, Reals, Space, Spins
from .networks import check_dtype

Variance = Literal["learned", "per-site"] | float

LOG_2_PI = math.log(2.0 * math.pi)


class SiteLaw(nn.Module, ABC):
    """The law of independent sites, given the decoder's output (*batch, size)."""

    @abstractmethod
    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """log p(x | out), nats a configuration, summed over sites: (*batch,)."""

    @abstractmethod
    def draw(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """One configuration for each row of `out`."""

    @abstractmethod
    def mean(self, out: Tensor) -> Tensor:
        """Mean of each site."""


class NormalSites(SiteLaw):
    """x_i ~ N(out_i, sigma_i^2). `log_variance` is (1,) or (size,)."""

    log_variance: Tensor

    def __init__(self, size: int, variance: Variance, dtype: torch.dtype) -> None:
        super().__init__()
        self.size, self.setting = size, variance
        if isinstance(variance, str) and variance in ("learned", "per-site"):
            n = size if variance == "per-site" else 1
            self.log_variance = nn.Parameter(torch.zeros(n, dtype=dtype))
        else:
            number = check_positive("variance", variance, "'learned', 'per-site', or ")
            self.register_buffer("log_variance", torch.full((1,), math.log(number), dtype=dtype))

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """The normal density."""
        log_variance = self.log_variance.expand(self.size)
        squares = ((x - out) ** 2 * torch.exp(-log_variance)).sum(-1)
        return -0.5 * (squares + log_variance.sum() + self.size * LOG_2_PI)

    def draw(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """The mean and noise."""
        noise = torch.randn(out.shape, generator=generator, device=out.device, dtype=out.dtype)
        return out + torch.exp(0.5 * self.log_variance) * noise

    def mean(self, out: Tensor) -> Tensor:
        """The output itself."""
        return out

    def extra_repr(self) -> str:
        """Size and variance."""
        return f"{self.size}, variance={self.setting!r}"


class TwoValuedSites(SiteLaw):
    """The higher of two values with log-odds `out`."""

    def __init__(self, low: int, step: int) -> None:
        super().__init__()
        self.low, self.step = low, step

    def log_prob(self, x: Tensor, out: Tensor) -> Tensor:
        """log sigmoid(+-out)."""
        sign = (x - self.low) * (2.0 / self.step) - 1.0
        return -softplus(-sign * out).sum(-1)

    def draw(self, out: Tensor, generator: torch.Generator) -> Tensor:
        """The higher value with its probability. NaN would draw the lower one, silently."""
        check_finite(out, "decoder")
        uniform = torch.rand(out.shape, generator=generator, device=out.device, dtype=out.dtype)
        return (uniform < torch.sigmoid(out)).to(out.dtype) * self.step + self.low

    def mean(self, out: Tensor) -> Tensor:
        """tanh(out / 2) of spins, sigmoid(out) of bits."""
        return self.low + self.step * torch.sigmoid(out)

    def extra_repr(self) -> str:
        """Both values."""
        return f"{self.low}, {self.low + self.step}"


def law_of(space: Space, variance: Variance | None, dtype: torch.dtype) -> SiteLaw:
    """The law for configurations of a space; InvalidInput for a space that has none."""
    check_dtype(dtype)
    if isinstance(space, Reals):
        return NormalSites(space.size, "learned" if variance is None else variance, dtype)
    if not isinstance(space, Spins | Bits):
        raise InvalidInput(
            f"No decoder writes configurations of {space!r}. The spaces are Reals (normal sites), "
            "Spins and Bits."
        )
    if variance is not None:
        raise InvalidInput(
            f"variance={variance!r} belongs to a decoder of Reals; {space!r} has probabilities."
        )
    return TwoValuedSites(space.low, space.step)


def check_positive(name: str, value: Any, also: str = "") -> float:
    """The value as a float; InvalidInput unless it is a finite number above 0."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not 0.0 < value < math.inf:
        raise InvalidInput(f"{name}={value!r} must be {also}a finite number above 0.")
    return float(value)


def check_finite(values: Tensor, who: str) -> Tensor:
    """The values; InvalidInput where a network gave what is no number."""
    if not bool(torch.isfinite(values).all()):
        raise InvalidInput(
            f"The {who} gives numbers that are not finite. If these are data unlike those that it "
            "was trained on, rescale them; if it diverged, train again with a smaller learning "
            "rate or clip=."
        )
    return values


def check_network(network: nn.Module, name: str, n_in: int, n_out: int) -> None:
    """Raise InvalidInput unless a network maps (n, n_in) to (n, n_out)."""
    if not isinstance(network, nn.Module):
        raise InvalidInput(f"{name}={network!r} is no torch module.")
    first = next(network.parameters(), None)
    dtype = torch.float32 if first is None else first.dtype
    device = torch.device("cpu") if first is None else first.device
    training = {part: part.training for part in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            found = network(torch.zeros((2, n_in), dtype=dtype, device=device))
    except Exception as error:  # whatever a user's network raises
        raise InvalidInput(
            f"{name} cannot read (2, {n_in}): {type(error).__name__}: {error}. It is given what "
            "it encodes or decodes, and then the conditions, in one row."
        ) from error
    finally:
        for part, was in training.items():  # one by one: some may be frozen
            part.training = was
    if not isinstance(found, Tensor) or tuple(found.shape) != (2, n_out):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InvalidInput(f"{name} turns (2, {n_in}) into {shape}; (2, {n_out}) is needed.")


def joined(x: Tensor, condition: Tensor | None) -> Tensor:
    """Rows [x, condition]."""
    return x if condition is None else torch.cat([x, condition], dim=-1)
