"""Noise schedules: how fast a diffusion model forgets its data.

The forward process keeps the variance: x_t = sqrt(abar) x + sqrt(1 - abar) eps, and the noise level
is one number everywhere, log_snr = log(abar / (1 - abar)), so that abar = sigmoid(log_snr). A
schedule is the way down from the data (t = 0) to pure noise (t = 1), in `steps` steps or, with
steps=None, in continuous time.

    Linear      beta_t from 1e-4 to 0.02, times 1000 / T    J. Ho et al., arXiv:2006.11239
    Cosine      abar = cos^2                                A. Nichol and P. Dhariwal, 2102.09672
    LogLinear   log_snr falls linearly                      D. P. Kingma et al., arXiv:2107.00630
    LearnedLogSNR (learned_schedule.py): a monotone network, ends included; the same reference

A sampler starts from N(0, I), so what is left of the data at t = 1 is an error that no training
removes. For data of unit variance it is the prior term of the bound, -log(1 - abar_T) / 2 nats a
dimension; more than `TERMINAL_KL` is refused (sqrt(abar_T) < 0.1, a tenth of the data's amplitude).
"""

import math
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from torch import Tensor

from ..errors import InvalidInput
from ..training._arguments import check_at_least

TERMINAL_KL = -0.5 * math.log1p(-0.01)  # 0.0050 nats a dimension: abar_T = 0.01
HIGHEST_END = -math.log(99.0)  # log_snr there
FARTHEST = 32.0  # |log_snr| beyond which abar or 1 - abar is lost in the digits of the other


class Schedule(ABC):
    """What every schedule offers.

    Attributes
    ----------
    steps : int or None
        T; None is continuous time.
    """

    steps: int | None

    @property
    @abstractmethod
    def alpha_bar(self) -> np.ndarray:
        """Squared amplitudes of the data, float64 (steps + 1,), falling; [0] is the data's end."""

    @abstractmethod
    def log_snr(self, t: Any) -> np.ndarray:
        """Log signal-to-noise ratio at times t in [0, 1], float64 of t's shape; may be infinite at
        t = 0. Between the steps of a discrete schedule log(abar) is interpolated."""

    @abstractmethod
    def at(self, t: Tensor) -> Tensor:
        """`log_snr` for torch, float64: at the steps t = i / steps, or at any t in continuous time.
        Differentiable by what is learned, and in continuous time by t."""

    def levels(self, n_steps: int | None = None) -> "Levels":
        """The squared amplitudes that a sampler in `n_steps` steps passes through.

        A discrete schedule gives all of its own steps (None) or `n_steps` of them, evenly spread;
        continuous time has none of its own, and n_steps must be given.
        """
        if n_steps is not None:
            check_at_least("n_steps", n_steps, 1, "steps")
        if self.steps is None:
            if n_steps is None:
                raise InvalidInput(
                    f"{self!r} is in continuous time, so it has no steps of its own. Give "
                    "n_steps=, such as 200."
                )
            return self._ladder(expit(self.log_snr(np.linspace(0.0, 1.0, n_steps + 1))))
        if n_steps is None or n_steps == self.steps:
            return self._ladder(self.alpha_bar)
        if n_steps > self.steps:
            raise InvalidInput(
                f"n_steps={n_steps}, but the schedule has {self.steps}. Take at most these, or a "
                "schedule in continuous time."
            )
        kept = np.round(np.linspace(0.0, self.steps, n_steps + 1)).astype(int)
        return self._ladder(self.alpha_bar[kept])

    def _ladder(self, bars: np.ndarray) -> "Levels":
        if (np.diff(bars) >= 0.0).any():
            raise InvalidInput(
                f"In {len(bars) - 1} steps neighbouring levels of {self!r} are the same number in "
                "double precision. Take fewer steps, or a lower log_snr for the data's end."
            )
        return Levels(bars)


class Discrete(Schedule):
    """A schedule that is the list of its squared amplitudes; use `Linear`, `Cosine`, `Levels`."""

    def log_snr(self, t: Any) -> np.ndarray:
        """See `Schedule.log_snr`."""
        bars = self.alpha_bar
        at = times(t)
        log_bar = np.interp(at, np.linspace(0.0, 1.0, len(bars)), np.log(bars))
        with np.errstate(divide="ignore"):  # +inf where nothing is noisy yet
            found: np.ndarray = log_bar - np.log(-np.expm1(log_bar))
        return found

    def at(self, t: Tensor) -> Tensor:
        """See `Schedule.at`."""
        bars = self.alpha_bar
        table = torch.as_tensor(logit(bars), device=t.device)  # +inf where nothing is noisy
        return table[torch.round(t * (len(bars) - 1)).long()]


@dataclass(frozen=True)
class Linear(Discrete):
    """Variances beta_t of the steps rise linearly from `first` to `last`, both times 1000 / steps
    where `rescaled`: the noise that is added in all is then the same for every T.

    Raises
    ------
    InvalidInput
        Where a beta reaches 1: with the usual ends and rescaling, for T <= 20.
    """

    steps: int
    first: float = 1e-4
    last: float = 0.02
    rescaled: bool = True

    def __post_init__(self) -> None:
        check_at_least("steps", self.steps, 1, "steps")
        for name, value in (("first", self.first), ("last", self.last)):
            check_number(name, value)
        if not 0.0 < self.first <= self.last < math.inf:
            raise InvalidInput(
                f"first={self.first!r} and last={self.last!r} must be variances above 0, the "
                "first not the larger."
            )
        if self.betas[-1] >= 1.0:
            raise InvalidInput(
                f"With {self.steps} steps the last beta is {self.betas[-1]:.3g}; a variance of 1 "
                f"or more leaves nothing of the data in one step. Take more than "
                f"{self.last * 1000:g} steps, or Cosine or LogLinear, which serve for any number."
            )

    @property
    def betas(self) -> np.ndarray:
        """beta_1 .. beta_T, float64 (steps,)."""
        scale = 1000.0 / self.steps if self.rescaled else 1.0
        return np.linspace(self.first, self.last, self.steps) * scale

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """See `Schedule.alpha_bar`; [0] is 1."""
        return _fixed(np.exp(np.concatenate([[0.0], np.cumsum(np.log1p(-self.betas))])))


@dataclass(frozen=True)
class Cosine(Discrete):
    """abar_t = f(t) / f(0), f(t) = cos^2(pi/2 (t/T + offset) / (1 + offset)).

    f(T) is 0, which no step can reach: each beta_t = 1 - abar_t / abar_(t-1) is cut at `most`
    (0.999 in the paper, section 3.2), so that the last step keeps a thousandth of the signal's
    variance. In few steps that cut decides abar_T, in many only the last step feels it.
    """

    steps: int
    offset: float = 0.008
    most: float = 0.999

    def __post_init__(self) -> None:
        check_at_least("steps", self.steps, 1, "steps")
        for name, value in (("offset", self.offset), ("most", self.most)):
            check_number(name, value)
        if not 0.0 < self.offset < 1.0 or not 0.0 < self.most < 1.0:
            raise InvalidInput(
                f"offset={self.offset!r} and most={self.most!r} must lie between 0 and 1."
            )

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """See `Schedule.alpha_bar`; [0] is 1."""
        t = np.arange(self.steps + 1) / self.steps
        f = np.cos(0.5 * np.pi * (t + self.offset) / (1.0 + self.offset)) ** 2
        alpha = np.maximum(f[1:] / f[:-1], 1.0 - self.most)
        return _fixed(np.concatenate([[1.0], np.cumprod(alpha)]))


@dataclass(frozen=True)
class LogLinear(Schedule):
    """log_snr falls linearly from `high` to `low`. At t = 0 a noise of exp(-high) of the signal's
    variance is left, which the model's decoder p(x | z_0) removes."""

    high: float = 10.0
    low: float = -10.0
    steps: int | None = None

    def __post_init__(self) -> None:
        check_ends(self.high, self.low)
        if self.steps is not None:
            check_at_least("steps", self.steps, 1, "steps")

    @property
    def alpha_bar(self) -> np.ndarray:
        """See `Schedule.alpha_bar`; [0] is sigmoid(high)."""
        return expit(self.log_snr(np.linspace(0.0, 1.0, whole_steps(self) + 1)))

    def log_snr(self, t: Any) -> np.ndarray:
        """See `Schedule.log_snr`."""
        return self.high - (self.high - self.low) * times(t)

    def at(self, t: Tensor) -> Tensor:
        """See `Schedule.at`."""
        return self.high - (self.high - self.low) * t.double()


class Levels(Discrete):
    """Squared amplitudes of one's own, (steps + 1,), falling, in (0, 1], from the data's end on."""

    def __init__(self, alpha_bar: ArrayLike) -> None:
        try:
            bars = np.array(alpha_bar, np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"alpha_bar={alpha_bar!r} must be a list of numbers.") from error
        good = bars.ndim == 1 and len(bars) > 1 and np.isfinite(bars).all()
        if not good or bars[0] > 1.0 or bars[-1] <= 0.0 or (np.diff(bars) >= 0.0).any():
            raise InvalidInput(
                "alpha_bar must be a falling list of at least two numbers in (0, 1], from the "
                f"data's end to the noise, not {alpha_bar!r}."
            )
        self._bars = _fixed(bars)
        self.steps = len(bars) - 1

    @property
    def alpha_bar(self) -> np.ndarray:
        """See `Schedule.alpha_bar`."""
        return self._bars

    def __repr__(self) -> str:
        """With a digest of the numbers: a checkpoint compares what models say of themselves."""
        digest = zlib.crc32(self._bars.tobytes())
        return f"Levels(steps={self.steps}, digest={digest:08x})"


def check_ends(high: Any, low: Any) -> None:
    """Raise InvalidInput unless both are finite numbers and high > low, neither beyond +-32."""
    for name, value in (("high", high), ("low", low)):
        check_number(name, value)
    if not math.isfinite(high) or not math.isfinite(low) or high <= low:
        raise InvalidInput(
            f"high={high!r} and low={low!r} are log signal-to-noise ratios, finite, of the data's "
            "end and of the noise's: the first must be the higher."
        )
    if max(high, -low) > FARTHEST:
        raise InvalidInput(
            f"high={high!r} and low={low!r} must lie within +-{FARTHEST:g}: beyond, e^-log_snr is "
            "lost in the digits of double precision. +-10 leaves 5e-5 of noise or signal."
        )


def check_number(name: str, value: Any) -> None:
    """Raise InvalidInput unless `value` is a real number."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise InvalidInput(f"{name}={value!r} must be a number.")


def times(t: Any) -> np.ndarray:
    """Times as float64, or InvalidInput for what is outside of [0, 1]."""
    try:
        at = np.asarray(t, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"t={t!r} must be numbers in [0, 1].") from error
    if not ((at >= 0.0) & (at <= 1.0)).all():
        raise InvalidInput(f"t={t!r} must lie in [0, 1], 0 the data and 1 the noise.")
    return at


def check_terminal(schedule: Any) -> None:
    """Raise InvalidInput for a schedule that ends with a signal which is not negligible."""
    bar = float(expit(schedule.log_snr(1.0)))
    divergence = -0.5 * math.log1p(-bar)
    if divergence > TERMINAL_KL:
        raise InvalidInput(
            f"{schedule!r} ends at sqrt(alpha_bar) = {math.sqrt(bar):.2f}: of data of unit "
            f"variance {divergence:.3g} nats a dimension are left where samplers start from pure "
            f"noise, more than {TERMINAL_KL:.3g}. Betas must be rescaled with the number of "
            "steps (Linear(T) does it); else take Cosine, or LogLinear with a lower end, "
            "at most -4.6."
        )


def check_scale(schedule: Schedule, x: np.ndarray) -> None:
    """Raise InvalidInput for data so large that at the end of the schedule a signal is left."""
    mean_square = float(np.mean(np.square(x, dtype=np.float64)))
    bar = float(expit(schedule.log_snr(1.0)))
    divergence = 0.5 * (bar * (mean_square - 1.0) - math.log1p(-bar))
    # A schedule that is at the limit for data of unit variance stays open to these.
    if divergence > max(TERMINAL_KL, -0.5 * math.log1p(-bar)):
        raise InvalidInput(
            f"The data have a mean square of {mean_square:.3g}, so that at the end of the schedule "
            f"they still differ from the noise by {divergence:.3g} nats a dimension (at most "
            f"{TERMINAL_KL:.3g}). Subtract their mean and divide by their standard deviation."
        )


def whole_steps(schedule: Any) -> int:
    """Steps of a discrete schedule, or InvalidInput."""
    if schedule.steps is None:
        raise InvalidInput(
            f"{schedule!r} is in continuous time; its amplitudes in n steps are "
            "schedule.levels(n).alpha_bar."
        )
    return int(schedule.steps)


def _fixed(values: np.ndarray) -> np.ndarray:
    """The same array, read-only: a schedule is not changed in place."""
    values.flags.writeable = False
    return values
