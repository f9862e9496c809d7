"""Samplers of diffusion models: one step from noise level t to s, all of one form,

    x_s = c_x x_t + c_g guess(x_t) + c_n eps.

With A = abar_t, B = abar_s, alpha = A / B, beta = 1 - alpha:

    ddpm-*          c_g = sqrt(B) beta / (1 - A),  c_x = sqrt(alpha) (1 - B) / (1 - A), the mean of
                    q(x_s | x_t, x_0); Ho et al., arXiv:2006.11239, eq. 7. c_n^2 =
      small         beta~ = beta (1 - B) / (1 - A), right for data that are one point
      large         beta, right for data of unit variance
      optimal       beta~ + c_g^2 mse / dim, right for the network's own error;
                    F. Bao et al., arXiv:2201.06503, theorem 1
    ddim            x_s = sqrt(B) guess + sqrt(1 - B) (x_t - sqrt(A) guess) / sqrt(1 - A);
                    J. Song et al., arXiv:2010.02502, eq. 12 with sigma = 0
    euler-maruyama  x_s = x_t + b (x_t / 2 + score) + sqrt(b) eps, b = -log alpha, on the reverse
                    SDE; Y. Song et al., arXiv:2011.13456, eq. 6
    ode-euler       x_s = x_t + b (x_t + score) / 2, on the probability flow; eq. 13 there
    ode-heun        the same twice, the second time from where the first arrived, and the mean of
                    both; the last step, at whose end there is no score, stays Euler's

Every ladder ends without noise (abar = 1), and the step there adds none. Finite steps leave errors
that a perfect network has too: `exact.targets.predict_sampler` says which. Cost: one call of the
network a step, two for "ode-heun".
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput
from .schedules import Levels

METHODS = (
    "ddpm-small", "ddpm-large", "ddpm-optimal", "ddim", "euler-maruyama", "ode-euler", "ode-heun",
)  # fmt: skip
STEPS_IN_CONTINUOUS_TIME = 200
_ROWS = 10_000  # configurations of a calibration at a time


class Step(NamedTuple):
    """x_s = of_x x_t + of_guess guess + noise eps."""

    of_x: float
    of_guess: float
    noise: float


@dataclass(frozen=True)
class Calibration:
    """Mean squared error a dimension (steps,) at the noisy levels `bars` (steps,), and the
    `fingerprint` of the model that it was measured of."""

    bars: np.ndarray
    mse: np.ndarray
    of: int


class Guide(Protocol):
    """What turns the model's guess into the posterior's, E[x_0 | x_t, y]."""

    def check(self, model: Any) -> None:
        """Raise InvalidInput for a model that it does not fit."""

    def guess(self, model: Any, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """(n, size), of x (n, size) at one level."""


@dataclass(frozen=True)
class Plan:
    """A sampler with its ladder, checked."""

    method: str
    bars: np.ndarray
    steps: tuple[Step, ...]
    guide: Guide | None
    clip: tuple[float, float] | None


def levels(model: Any, n_steps: int | None) -> Levels:
    """The ladder of a sampler, closed by the level without noise."""
    schedule = model.schedule
    if schedule.steps is None and n_steps is None:
        n_steps = STEPS_IN_CONTINUOUS_TIME
    found = schedule.levels(n_steps)
    if found.alpha_bar[0] == 1.0:
        return found
    return Levels(np.concatenate([[1.0], found.alpha_bar]))


def step(method: str, A: float, B: float, mse: float = 0.0) -> Step:
    """The step from abar = A to abar = B > A; mse a dimension is needed for "ddpm-optimal"."""
    alpha, beta = A / B, (B - A) / B
    noise, last = 1.0 - A, B == 1.0
    if method == "ddim":
        kept = math.sqrt((1.0 - B) / noise)
        return Step(kept, math.sqrt(B) - kept * math.sqrt(A), 0.0)
    if method.startswith("ddpm"):
        of_guess = math.sqrt(B) * beta / noise
        small = beta * (1.0 - B) / noise
        variance = {
            "ddpm-small": small,
            "ddpm-large": beta,
            "ddpm-optimal": small + of_guess**2 * mse,
        }[method]
        of_x = math.sqrt(alpha) * (1.0 - B) / noise
        return Step(of_x, of_guess, 0.0 if last else math.sqrt(variance))
    b = -math.log(alpha)  # of the score (sqrt(A) guess - x) / (1 - A)
    share = b if method == "euler-maruyama" else 0.5 * b
    of_x = 1.0 + 0.5 * b - share / noise
    spread = math.sqrt(b) if method == "euler-maruyama" and not last else 0.0
    return Step(of_x, share * math.sqrt(A) / noise, spread)


def plan(
    model: Any,
    method: str,
    n_steps: int | None,
    likelihood: Guide | None,
    clip: tuple[float, float] | None,
) -> Plan:
    """Settings of a run, or InvalidInput."""
    if method not in METHODS:
        raise InvalidInput(f"method={method!r} is not one of {', '.join(METHODS)}.")
    if likelihood is not None:
        if not all(callable(getattr(likelihood, name, None)) for name in ("check", "guess")):
            raise InvalidInput(
                f"likelihood={likelihood!r} must be a LinearMeasurement, or a GradientGuide around "
                "a function of one's own."
            )
        likelihood.check(model)
    bars = levels(model, n_steps).alpha_bar
    mse = np.zeros(len(bars) - 1)
    if method == "ddpm-optimal":
        mse = _measured(model, bars)
    steps = tuple(
        step(method, float(bars[i]), float(bars[i - 1]), float(mse[i - 1]))
        for i in range(1, len(bars))
    )
    return Plan(method, bars, steps, likelihood, _box(model, clip))


def _box(model: Any, clip: Any) -> tuple[float, float] | None:
    """Bounds of guesses, in the units of these, from bounds of configurations; or InvalidInput."""
    if clip is None:
        return None
    try:
        low, high = (float(end) for end in clip)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"clip={clip!r} must be two numbers (low, high), or None.") from error
    if not low < high:
        raise InvalidInput(f"clip={clip!r} must be (low, high), low below high, or None.")
    low, high = model.as_latents(torch.tensor([low, high], dtype=torch.float64)).tolist()
    return low, high


def draw(
    model: Any, plan: Plan, n: int, condition: Tensor | None, generator: torch.Generator
) -> Tensor:
    """n configurations, from N(0, I) down the ladder."""
    shape = (n, int(model.space.size))
    x = model.noise(shape, generator)
    for i in range(len(plan.steps), 0, -1):
        at = plan.steps[i - 1]
        level = _log_snr(plan.bars[i])
        guess = _guess(model, plan, x, level, condition)
        moved = torch.add(at.of_x * x, guess, alpha=at.of_guess)
        if plan.method == "ode-heun" and i > 1:
            moved = _corrected(model, plan, i, x, moved, condition)
        if at.noise > 0.0:
            moved = moved.add_(model.noise(shape, generator), alpha=at.noise)
        if i == 1:
            moved = model.decode(moved, guess, x, level, generator)
        x = moved
    return x


def measure(
    model: Any,
    x: Tensor,
    condition: Tensor | None,
    generator: torch.Generator,
    n_steps: int | None,
    n_draws: int,
) -> Calibration:
    """The network's mean squared error on data, at every level of a ladder."""
    bars = levels(model, n_steps).alpha_bar
    sums = np.zeros(len(bars) - 1)
    with torch.no_grad():
        for i, bar in enumerate(bars[1:]):
            for _ in range(n_draws):
                for rows in torch.arange(len(x)).split(_ROWS):
                    clean = x[rows[0] : rows[-1] + 1]
                    given = None if condition is None else condition[rows[0] : rows[-1] + 1]
                    noise = model.noise(tuple(clean.shape), generator)
                    noisy = math.sqrt(bar) * clean + math.sqrt(1.0 - bar) * noise
                    guess = model.guess(noisy, _rows(model, _log_snr(bar), len(clean)), given)
                    sums[i] += float(((guess - clean).double() ** 2).sum())
    return Calibration(bars[1:], sums / (n_draws * x.numel()), fingerprint(model))


def fingerprint(model: Any) -> int:
    """A digest of the settings and of all parameters and buffers of a model."""
    digest = zlib.crc32(repr(model).encode())
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        digest = zlib.crc32(name.encode(), digest)
        digest = zlib.crc32(value.detach().cpu().contiguous().numpy().tobytes(), digest)
    return digest


def _measured(model: Any, bars: np.ndarray) -> np.ndarray:
    """Mean squared errors at the levels of this ladder, or InvalidInput."""
    found = model._calibration
    if found is None:
        raise InvalidInput(
            'method="ddpm-optimal" takes its variance from the network\'s mean squared error. '
            "Call model.calibrate(data, rng=...) after training, with the n_steps of the sampler."
        )
    if found.of != fingerprint(model):
        raise InvalidInput(
            "The network or the schedule has changed since it was calibrated. Call "
            "model.calibrate(data, rng=...) again."
        )
    if not np.array_equal(found.bars, bars[1:]):
        raise InvalidInput(
            f"The model was calibrated for {len(found.bars)} steps, and this sampler has "
            f"{len(bars) - 1} others. Call model.calibrate(data, rng=..., n_steps=...) for them."
        )
    return found.mse


def _guess(model: Any, plan: Plan, x: Tensor, level: float, condition: Tensor | None) -> Tensor:
    column = _rows(model, level, len(x))
    if plan.guide is None:
        found: Tensor = model.guess(x, column, condition)
    else:
        found = plan.guide.guess(model, x, column, condition)
    return found if plan.clip is None else found.clamp(*plan.clip)


def _corrected(
    model: Any, plan: Plan, i: int, x: Tensor, moved: Tensor, condition: Tensor | None
) -> Tensor:
    """Heun's second half: x + (first step's move + move by the slope at its end) / 2."""
    A, B = float(plan.bars[i]), float(plan.bars[i - 1])
    guess = _guess(model, plan, moved, _log_snr(B), condition)
    half = -0.5 * math.log(A / B)
    slope = half * (moved + (math.sqrt(B) * guess - moved) / (1.0 - B))
    return 0.5 * (x + moved + slope)


def _rows(model: Any, level: float, n: int) -> Tensor:
    """One level for n rows, as a view: (n, 1) float64."""
    return torch.full((1, 1), level, dtype=torch.float64, device=model.device).expand(n, 1)


def _log_snr(bar: float) -> float:
    return math.log(bar) - math.log1p(-bar)
