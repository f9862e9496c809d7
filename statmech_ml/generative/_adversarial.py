"""What the two players of a `GAN` minimise, as functions of the critic's scores.

With a score a(x), D = sigmoid(a), and y the label of data (1 unless smoothed):

    critic      minimax, non-saturating   -y log D(x) - (1 - y) log(1 - D(x))    of data
                                          -log(1 - D(x))                         of the model's
                wasserstein               -a(x) of data, a(x) of the model's
    generator   minimax log(1 - D(x)),  non-saturating -log D(x),  wasserstein -a(x)

plus the critic's penalties on its slope |grad_x a|: (lambda / 2) |grad a|^2 at data (R1: L.
Mescheder, A. Geiger and S. Nowozin, ICML 2018, arXiv:1801.04406), or lambda (|grad a| - 1)^2
between data and the model's (I. Gulrajani et al., NeurIPS 2017, arXiv:1704.00028), or the same of
slopes above 1 alone (H. Petzka, A. Fischer and D. Lukovnikov, ICLR 2018, arXiv:1709.08894).

The two-sided one has a trap in one dimension. Between laws mu apart a slope w costs -w mu + lambda
(|w| - 1)^2, which has a second minimum, at w = -(1 - mu / (2 lambda)), for mu < 2 lambda: a critic
that starts backward stays backward, and so does the generator. In more dimensions the gradient can
turn around without passing 0; of the one-sided penalty there is no such minimum.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

Objective = Literal["minimax", "non-saturating", "wasserstein"]
OBJECTIVES = ("minimax", "non-saturating", "wasserstein")

Scores = Callable[[Tensor], Tensor]
"""Configurations (n, size) -> scores (n,)."""


def data_terms(scores: Tensor, objective: str, label: float) -> Tensor:
    """What the critic minimises on data, by configuration."""
    if objective == "wasserstein":
        return -scores
    return label * softplus(-scores) + (1.0 - label) * softplus(scores)


def model_terms(scores: Tensor, objective: str) -> Tensor:
    """What the critic minimises on the generator's configurations, one by one."""
    return scores if objective == "wasserstein" else softplus(scores)


def generator_terms(scores: Tensor, objective: str) -> Tensor:
    """What the generator minimises, by configuration."""
    if objective == "wasserstein":
        return -scores
    return -softplus(scores) if objective == "minimax" else softplus(-scores)


def slopes(critic: Scores, x: Tensor) -> Tensor:
    """|grad_x a| (n,) at x (n, size), differentiable by the critic's parameters."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    # The norm has no derivative at 0, where a critic without hidden units may well start.
    return torch.sqrt((gradient**2).sum(1) + torch.finfo(x.dtype).tiny)


def penalty(
    critic: Scores,
    x: Tensor,
    made: Tensor,
    objective: str,
    one_sided: bool,
    generator: torch.Generator,
) -> Tensor:
    """What lambda multiplies: a mean over the batch of data x and as many of the model's."""
    if objective != "wasserstein":
        return 0.5 * (slopes(critic, x) ** 2).mean()
    u = torch.rand((len(x), 1), generator=generator, device=x.device, dtype=x.dtype)
    excess = slopes(critic, u * x + (1.0 - u) * made) - 1.0
    return ((torch.relu(excess) if one_sided else excess) ** 2).mean()


def straight_through(y: Tensor, generator: torch.Generator) -> Tensor:
    """Spins that are +1 with probability (1 + y) / 2, with the gradient of their mean y.

    The gradient is biased: that of a critic which were linear between the two values of a spin.
    Y. Bengio, N. Leonard and A. Courville (2013), arXiv:1308.3432.
    """
    u = 2.0 * torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype) - 1.0
    spins = torch.where(u < y, 1.0, -1.0).to(y.dtype)
    return spins + (y - y.detach())
