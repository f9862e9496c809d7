"""What the players of a generative adversarial network see: where a critic's slope is penalised,
and the condition beside each configuration.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from statmech_ml.generative import GAN
from statmech_ml.generative import _adversarial as terms
from statmech_ml.spaces import Reals
from statmech_ml.statistics import Estimate
from statmech_ml.statistics.estimate import from_tau
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

Penalty = Callable[..., Tensor]

_DATA, _MODEL = np.array([2.0, 1.0]), np.array([-1.0, 0.5])
_CURVATURE, _STRENGTH = 0.8, 3.0


class _Point(nn.Module):
    """Whatever z is, the same configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.at = nn.Parameter(torch.from_numpy(_MODEL.copy()))

    def forward(self, z: Tensor) -> Tensor:
        return self.at.expand(len(z), 2)


class _Bowl(nn.Module):
    """a(x) = c |x|^2 / 2: its slope |c x| tells where it is taken, as no linear critic's does."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.tensor(_CURVATURE, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * self.c * (x**2).sum(1, keepdim=True)


def _bowl(objective: Any, **settings: Any) -> GAN:
    return GAN(
        Reals(2), 1, objective, gradient_penalty=_STRENGTH, generator=_Point(), critic=_Bowl(),
        dtype=torch.float64, **settings,
    )  # fmt: skip


def _drawn(value: Any, exact: np.ndarray, n: int) -> tuple[Estimate, float]:
    """A mean over n draws of u, with the error that it must have, and what it must be."""
    return from_tau(float(value), 0.5, float(exact.var()), n), float(exact.mean())


def _penalties(seed: int, scale: int, *, penalty: Penalty = terms.penalty) -> list[Measurement]:
    """Penalties and the critic's gradients, data and model in a point each."""
    found, c, n = [], _CURVATURE, 20_000 * scale
    data = torch.from_numpy(_DATA).expand(n, 2)
    u = (np.arange(100_000) + 0.5) / 100_000
    at = np.linalg.norm(u[:, None] * _DATA + (1.0 - u[:, None]) * _MODEL, axis=1)
    of_data, of_model = float(_DATA @ _DATA), float(_MODEL @ _MODEL)
    with patch.object(terms, "penalty", penalty):
        for one_sided in (False, True):
            gan = _bowl("wasserstein", one_sided=one_sided)
            rng = derive_seed(seed, str(one_sided))
            gradients, values = gan.gradients(data, None, gan.generator(rng), 0)
            excess = c * at - 1.0
            excess = np.maximum(excess, 0.0) if one_sided else excess
            where = f"Wasserstein, one side {one_sided}"
            found.append(against(f"penalty, {where}", *_drawn(values["penalty"], excess**2, n)))
            slope = 0.5 * (of_model - of_data) + 2.0 * _STRENGTH * excess * at
            of_c = gradients["critic_network.c"]
            found.append(against(f"d loss / dc, {where}", *_drawn(of_c, slope, n)))
        gan = _bowl("non-saturating")
        gradients, values = gan.gradients(data, None, gan.generator(1), 0)
    found.append(identity("penalty, R1", values["penalty"], 0.5 * c**2 * of_data, 1e-10))
    d_data, d_model = (1.0 / (1.0 + np.exp(-0.5 * c * square)) for square in (of_data, of_model))
    slope = 0.5 * (d_model * of_model - (1.0 - d_data) * of_data) + _STRENGTH * c * of_data
    found.append(identity("d loss / dc, R1", gradients["critic_network.c"], slope, 1e-10))
    read = _bowl("wasserstein").w1_from_critic(data.numpy(), rng=derive_seed(seed, "read"))
    found.append(against("slope that goes with a reading", *_drawn(read.slope, c * at, n)))
    return found


def _misplaced(
    critic: Any, x: Tensor, made: Tensor, *rest: Any, data: bool, true: Penalty = terms.penalty
) -> Tensor:
    """The penalty at one end of the segment."""
    at = x if data else made
    return true(critic, at, at, *rest)


def _doubled(
    critic: Any, x: Tensor, made: Tensor, objective: str, *rest: Any,
    true: Penalty = terms.penalty,
) -> Tensor:  # fmt: skip
    """R1 without its 1/2."""
    found = true(critic, x, made, objective, *rest)
    return found if objective == "wasserstein" else 2.0 * found


def _by_coordinate(
    critic: Any, x: Tensor, made: Tensor, objective: str, one_sided: bool,
    generator: torch.Generator, true: Penalty = terms.penalty,
) -> Tensor:  # fmt: skip
    """A number u for each coordinate: points of the box, not of the segment."""
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype)
    inside = u * x + (1.0 - u) * made
    at = x if objective != "wasserstein" else inside
    return true(critic, at, at, objective, one_sided, generator)


def _other_side(
    critic: Any, x: Tensor, made: Tensor, objective: str, one_sided: bool,
    generator: torch.Generator, true: Penalty = terms.penalty,
) -> Tensor:  # fmt: skip
    return true(critic, x, made, objective, not one_sided, generator)


# --- conditions -----------------------------------------------------------------------------------


class _Line(nn.Module):
    """(z, c) -> b + w c, whatever z is."""

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, given: Tensor) -> Tensor:
        return self.b + self.w * given[:, 1:]


class _Tilt(nn.Module):
    """(x, c) -> (u + v c) x."""

    def __init__(self) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.v = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, given: Tensor) -> Tensor:
        return (self.u + self.v * given[:, 1:]) * given[:, :1]


class _BlindGenerator(GAN):
    def _make(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        return super()._make(n, None if condition is None else 0.0 * condition, generator)


class _BlindCritic(GAN):
    def _scores(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return super()._scores(x, None if condition is None else 0.0 * condition)


def _conditional(seed: int, scale: int, *, kind: type[GAN] = GAN) -> list[Measurement]:
    """Data are 1/4 + c / 2 at the conditions c = -1 and 1, and the model learns the line.

    Near the end, at each condition, the distance d that is left and the critic's tilt s obey d' =
    -s / 2 and s' = d / 2 - (lambda + x^2 / 2) s, with |x| <= 3/4 the data: the slowest rate is 1/3
    at lambda = 0.8, and steps of 1/2 in turn, 200 in all, leave 1e-6 of the start.
    """
    gan = kind(
        Reals(1), 1, gradient_penalty=0.8, n_conditions=1, generator=_Line(), critic=_Tilt(),
        dtype=torch.float64,
    )  # fmt: skip
    c = np.array([-1.0, 1.0])
    gan.fit(
        (0.25 + 0.5 * c)[:, None], epochs=200, rng=seed, condition=c, batch_size=2, progress=False,
        optimizer=partial(torch.optim.SGD, lr=0.5),
    )  # fmt: skip
    made = gan.sample(3, rng=seed, condition=np.array([-1.0, 0.0, 1.0]))[:, 0]
    return [
        identity(f"made at c = {at}", value, 0.25 + 0.5 * at, 1e-5)
        for at, value in zip((-1.0, 0.0, 1.0), made, strict=True)
    ]


CHECKS = (
    Check(
        "gan.penalty",
        "A critic c |x|^2 / 2 pays lambda <(|c x| - 1)^2> on the segment from data to model, or "
        "lambda |c x|^2 / 2 at data (R1), and its gradient is that.",
        _penalties,
        (
            Mutant("taken at data", partial(_penalties, penalty=partial(_misplaced, data=True))),
            Mutant(
                "taken at the model's", partial(_penalties, penalty=partial(_misplaced, data=False))
            ),
            Mutant("R1 without its 1/2", partial(_penalties, penalty=_doubled)),
            Mutant("off the segment", partial(_penalties, penalty=_by_coordinate)),
            Mutant("one side for two", partial(_penalties, penalty=_other_side)),
        ),
    ),
    Check(
        "gan.conditional",
        "A conditional GAN learns where the data of each condition are: 1/4 + c / 2.",
        _conditional,
        (
            Mutant("generator blind to the condition", partial(_conditional, kind=_BlindGenerator)),
            Mutant("critic blind to the condition", partial(_conditional, kind=_BlindCritic)),
        ),
    ),
)
