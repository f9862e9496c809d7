"""Generative adversarial networks: the closed forms of perfect players, and of critics that were
trained.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import nn

from statmech_ml.exact import adversarial
from statmech_ml.generative import GAN
from statmech_ml.generative import _adversarial as terms
from statmech_ml.spaces import Reals
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

Function = Callable[[Any], Any]

_SEPARATIONS = (0.5, 1.0, 2.0, 3.0, 4.0)
_WIDTH = 1.3  # of the data: objectives differ where the pair is not symmetric


class Shift(nn.Module):
    """z -> theta + z."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.theta + z


class _Best(nn.Module):
    """The best score between data N(mu, width) and a model N(0, 1), with a label of data."""

    def __init__(self, mu: float, width: float, label: float = 1.0) -> None:
        super().__init__()
        self.mu, self.width, self.label = mu, width, label

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logit = 0.5 * x**2 - 0.5 * ((x - self.mu) / self.width) ** 2 - math.log(self.width)
        if self.label == 1.0:
            return logit
        rest = torch.logaddexp(torch.zeros_like(logit), math.log1p(-self.label) + logit)
        return math.log(self.label) + logit - rest


def _laws(mu: float, width: float) -> tuple[Function, Function, Function, Function]:
    """log-densities of data and model, and their derivatives."""
    return (
        norm(mu, width).logpdf, norm(0.0, 1.0).logpdf,
        lambda x: (mu - x) / width**2, lambda x: -x,
    )  # fmt: skip


def _average(mu: float, width: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (n, 1) and weights (n,) of averages over N(mu, width): the trapezoidal rule."""
    z = np.linspace(-13.0, 13.0, 3001)
    w = norm.pdf(z)
    return torch.from_numpy(mu + width * z)[:, None], torch.from_numpy(w / w.sum())


def _value(seed: int, scale: int, *, smoothed: bool = True, flipped: bool = False) -> Any:
    """What the critic minimises, with D* plugged in, against -V by quadrature and against JSD."""
    found = []
    for mu in _SEPARATIONS:
        (x, w), (made, v) = _average(mu, _WIDTH), _average(0.0, 1.0)
        if flipped:
            x, made = made, x
        for label in (1.0, 0.8):
            critic = _Best(mu, _WIDTH, label if smoothed else 1.0)
            loss = w @ terms.data_terms(critic(x)[:, 0], "minimax", label)
            loss = loss + v @ terms.model_terms(critic(made)[:, 0], "minimax")
            exact = -adversarial.value(*_laws(mu, _WIDTH)[:2], label=label).value
            found.append(identity(f"-V, mu = {mu}, label {label}", loss, exact, 1e-9))
            if label == 1.0:
                js = adversarial.jensen_shannon(*_laws(mu, _WIDTH)[:2]).value
                read = math.log(2.0) - 0.5 * float(loss)
                found.append(identity(f"JSD, mu = {mu}", read, js, 1e-9))
    return found


def _slope(gan: GAN, swapped: bool) -> float:
    """d loss / d theta of a shift generator, averaged exactly over z."""
    z, w = _average(0.0, 1.0)
    scores = gan.critic_network(gan.generator_network(z))[:, 0]
    objective = {"minimax": "non-saturating", "non-saturating": "minimax"}[gan.objective]
    loss = w @ terms.generator_terms(scores, objective if swapped else gan.objective)
    (slope,) = torch.autograd.grad(loss, gan.get_parameter("generator_network.theta"))
    return float(slope)


def _gradients(seed: int, scale: int, *, swapped: bool = False, half: bool = False) -> Any:
    """Gradients of both generators: by quadrature, their sum grad KL, and how one vanishes."""
    found = []
    for mu in _SEPARATIONS:
        for width in (_WIDTH, 1.0):
            both = {}
            for objective in ("minimax", "non-saturating"):
                gan = GAN(
                    Reals(1), 1, objective, generator=Shift(), critic=_Best(mu, width),
                    dtype=torch.float64,
                )  # fmt: skip
                both[objective] = _slope(gan, swapped)
                exact = adversarial.generator_gradient(*_laws(mu, width), objective).value
                name = f"{objective}, mu = {mu}, width {width}"
                found.append(identity(name, both[objective], exact, 1e-8))
            total = both["minimax"] if half else sum(both.values())
            found.append(identity(f"sum = grad KL, mu = {mu}", total, -mu / width**2, 1e-8))
        vanishing = both["minimax"] / math.exp(-(mu**2) / 8.0)
        exact = float(adversarial.saturated_gradient(mu)) / math.exp(-(mu**2) / 8.0)
        found.append(identity(f"over exp(-mu^2 / 8), mu = {mu}", vanishing, exact, 1e-7))
    return found


# --- critics that were trained --------------------------------------------------------------------


class _Grid(nn.Module):
    """Whatever z is, the quantiles of N(0, 1): a generator without sampling noise."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(quantiles(len(z)))


def quantiles(n: int) -> np.ndarray:
    """Mid-quantiles of N(0, 1), (n, 1): draws without noise."""
    return np.asarray(norm.ppf((np.arange(n) + 0.5) / n))[:, None]


def _linear_critic(
    seed: int, scale: int, *, lost: bool = False, believed: bool = False
) -> list[Measurement]:
    """A linear critic that WGAN-GP trained: its slope, and what it reads for W1."""
    found = []
    for mu, strength in ((2.0, 1.0), (-1.0, 0.5), (3.0, 10.0)):
        critic = nn.Linear(1, 1, dtype=torch.float64)
        nn.init.constant_(critic.weight, math.copysign(0.5, mu))
        nn.init.zeros_(critic.bias)
        gan = GAN(
            Reals(1), 1, "wasserstein", gradient_penalty=0.0 if lost else strength,
            one_sided=False, generator=_Grid(), critic=critic, dtype=torch.float64,
        )  # fmt: skip
        data = mu + quantiles(200)
        gan.fit(
            data, epochs=20, rng=1, batch_size=200, progress=False,
            # Each step leaves a fifth of what is missing.
            optimizer=partial(torch.optim.SGD, lr=0.4 / strength),
        )  # fmt: skip
        read = gan.w1_from_critic(data, rng=1)
        where = f"mu = {mu}, lambda = {strength}"
        slope = float(critic.weight.detach().abs())
        exact = float(adversarial.penalised_slope(mu, strength))
        found.append(identity(f"slope, {where}", slope, exact, 1e-3))
        exact = abs(mu) if believed else float(adversarial.penalised_reading(mu, strength))
        found.append(identity(f"W1 read, {where}", read.estimate.value, exact, 1e-3 * exact))
    return found


def _word(seed: int, scale: int, *, weak: float = 1.0, timid: bool = False) -> list[Measurement]:
    """JSD as the best critic reads it from draws, and the error of that."""
    found = []
    for mu in (1.0, 2.0, 3.0):

        class _Scaled(_Best):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return weak * super().forward(x)

        gan = GAN(
            Reals(1), 1, generator=Shift(), critic=_Scaled(mu, 1.0), dtype=torch.float64
        )  # fmt: skip
        rng = np.random.default_rng(derive_seed(seed, f"{mu}"))
        x = rng.normal(mu, 1.0, (40_000 * scale, 1))
        exact = adversarial.jensen_shannon(*_laws(mu, 1.0)[:2]).value
        read = gan.js_from_critic(x, rng=rng).estimate
        found.append(against(f"JSD read, mu = {mu}", read, exact))
        # Its error is known to about half a percent of itself from so many draws.
        error = _error(mu, len(x))
        stderr = 2.0 * read.stderr if timid else read.stderr
        found.append(identity(f"error of it, mu = {mu}", stderr, error, 0.05 * error))
    return found


def _error(mu: float, n: int) -> float:
    """Standard error of the best critic's reading from n draws of both, widths 1."""
    variance = 0.0
    for at, sign in ((mu, 1.0), (0.0, -1.0)):
        x, w = _average(at, 1.0)
        half = 0.5 * nn.functional.logsigmoid(sign * _Best(mu, 1.0)(x)[:, 0])
        variance += float(w @ half**2 - (w @ half) ** 2)
    return math.sqrt(variance / n)


CHECKS = (
    Check(
        "gan.value",
        "With D* = s p_r / (p_r + p_g) the critic's loss is -V by quadrature, and V = 2 JSD - 2 "
        "log 2 at s = 1.",
        _value,
        (
            Mutant("label smoothing ignored", partial(_value, smoothed=False)),
            Mutant("data and model exchanged", partial(_value, flipped=True)),
        ),
    ),
    Check(
        "gan.gradients",
        "Minimax and non-saturating gradients at D* add to grad KL(p_g || p_r); the first vanishes "
        "as exp(-mu^2 / 8).",
        _gradients,
        (
            Mutant("minimax and non-saturating swapped", partial(_gradients, swapped=True)),
            Mutant("one of the two alone", partial(_gradients, half=True)),
        ),
    ),
    Check(
        "gan.linear-critic",
        "A linear critic trained with a gradient penalty takes the slope 1 + mu / (2 lambda) and "
        "reads mu times that.",
        _linear_critic,
        (
            Mutant("penalty lost", partial(_linear_critic, lost=True)),
            Mutant("critic's word believed", partial(_linear_critic, believed=True)),
        ),
    ),
    Check(
        "gan.critics-word",
        "The best critic reads JSD from draws, with an honest error; any other less.",
        _word,
        (
            Mutant("a weak critic believed", partial(_word, weak=0.3)),
            Mutant("a blind critic believed", partial(_word, weak=0.01)),
            Mutant("error doubled", partial(_word, timid=True)),
        ),
    ),
)
