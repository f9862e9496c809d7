"""`SpinSchedule`: noise levels for spins and bits.

Cosine noise in continuous time, between two ends: abar = cos^2(pi u / 2), u linear in t, so that

    log_snr = -2 log tan(pi u / 2),    density of levels ~ 1 / cosh(log_snr / 2).

Spins are decided around log_snr = 0, where most levels lie: the diffusion term, an integral over
levels, is then estimated with little variance, and samplers take their shortest steps there. A.
Nichol and P. Dhariwal (2021), arXiv:2102.09672, have its discrete form (`schedules.Cosine`).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .schedules import Schedule, check_ends, times, whole_steps


@dataclass(frozen=True)
class SpinSchedule(Schedule):
    """Cosine noise in continuous time.

    Parameters
    ----------
    high, low : float
        log_snr of the data's end and of the noise's. At high = 5 a spin is taken for its opposite
        with probability Q(e^2.5) = 2e-34; at low = -8 a share of 3e-4 of the signal is left.
    """

    high: float = 5.0
    low: float = -8.0

    def __post_init__(self) -> None:
        check_ends(self.high, self.low)

    @property
    def steps(self) -> None:  # type: ignore[override]
        """None: continuous time."""
        return None

    @property
    def alpha_bar(self) -> np.ndarray:
        """Continuous time has no list of amplitudes: InvalidInput says where to get one."""
        return self.levels(whole_steps(self)).alpha_bar

    def log_snr(self, t: Any) -> np.ndarray:
        """See `Schedule.log_snr`."""
        return -2.0 * np.log(np.tan(self._first + self._span * times(t)))

    def at(self, t: Tensor) -> Tensor:
        """See `Schedule.at`."""
        return -2.0 * torch.log(torch.tan(self._first + self._span * t.double()))

    @property
    def _first(self) -> float:
        return math.atan(math.exp(-0.5 * self.high))

    @property
    def _span(self) -> float:
        return math.atan(math.exp(-0.5 * self.low)) - self._first
