"""`LearnedLogSNR`: a schedule that is trained with the model.

    log_snr(t) = high - (high - low) g(t),   g(0) = 0, g(1) = 1, rising,

g a small network with positive weights, beside a straight line. In T steps the bound depends on all
of it. In continuous time the bound depends on the ends alone (change variables from t to snr), and
the shape is trained to make its estimate less noisy.

D. P. Kingma, T. Salimans, B. Poole, J. Ho (2021), arXiv:2107.00630, section 4 and appendix H.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import softplus

from .._rng import seed_from
from ..errors import InvalidInput
from ..training._arguments import check_at_least
from .schedules import HIGHEST_END, LogLinear, Schedule, check_terminal, times, whole_steps

_LEAST_SPAN = 1.0  # of log_snr between the ends


class LearnedLogSNR(nn.Module, Schedule):
    """A monotone network for log_snr(t), its ends included.

    Parameters
    ----------
    steps : int or None
        T; None is continuous time.
    high, low : float
        log_snr of the data's end and of the noise's, to begin with; a straight line between them.
        They stay 1 apart or more, wherever training moves them.
    learn_ends : bool, default True
        The noise's end stays where its signal is negligible, whatever the bound would have.
    hidden : int
        Units of the network.
    rng : int or numpy Generator
        Of the first weights.
    """

    def __init__(
        self,
        steps: int | None = None,
        *,
        rng: Any,
        high: float = 10.0,
        low: float = -10.0,
        learn_ends: bool = True,
        hidden: int = 16,
    ) -> None:
        super().__init__()
        check_terminal(LogLinear(high, low, steps))
        if high - low < _LEAST_SPAN:
            raise InvalidInput(
                f"high={high!r} and low={low!r} must be at least {_LEAST_SPAN:g} apart: training "
                "never brings the ends of a learned schedule closer."
            )
        check_at_least("hidden", hidden, 1, "units")
        self.steps = steps
        self.start = (float(high), float(low))
        generator = torch.Generator().manual_seed(seed_from(rng) % 2**63)
        # In doubles: differences of log_snr from step to step are small. Unit k turns around
        # t = place_k; all weigh little beside the straight line to begin with.
        place = torch.rand(hidden, generator=generator, dtype=torch.float64)
        self.steepness = nn.Parameter(torch.full((hidden,), 8.0, dtype=torch.float64))
        self.place = nn.Parameter(place)
        self.weight = nn.Parameter(torch.full((hidden,), -6.0, dtype=torch.float64))
        self.ends = nn.Parameter(torch.zeros(2, dtype=torch.float64), requires_grad=learn_ends)

    def extra_repr(self) -> str:
        """The settings, which a checkpoint compares."""
        return (
            f"steps={self.steps}, high={self.start[0]}, low={self.start[1]}, "
            f"hidden={len(self.place)}, learn_ends={self.ends.requires_grad}"
        )

    def shape_parameters(self) -> list[nn.Parameter]:
        """What says how the schedule runs between its ends."""
        return [self.steepness, self.place, self.weight]

    @property
    def alpha_bar(self) -> np.ndarray:
        """See `Schedule.alpha_bar`, with the present parameters."""
        return expit(self.log_snr(np.linspace(0.0, 1.0, whole_steps(self) + 1)))

    def log_snr(self, t: Any) -> np.ndarray:
        """See `Schedule.log_snr`, with the present parameters."""
        at = torch.as_tensor(times(t), device=self.place.device)
        with torch.no_grad():
            found: np.ndarray = self.at(at).cpu().numpy()
        return found

    def at(self, t: Tensor) -> Tensor:
        """See `Schedule.at`; differentiable by the parameters, and by t."""
        high, low = self.start
        # Soft bounds that the ends cannot cross, wherever training moves them.
        bottom = HIGHEST_END - softplus(self.ends[1] + _unsoft(HIGHEST_END - low))
        span = _LEAST_SPAN + softplus(self.ends[0] + _unsoft(high - low - _LEAST_SPAN))
        return bottom + span * (1.0 - self._rise(t.double()))

    def _rise(self, t: Tensor) -> Tensor:
        """g(t)."""
        first, last = self._raw(torch.tensor([0.0, 1.0], dtype=torch.float64, device=t.device))
        return (self._raw(t) - first) / (last - first)

    def _raw(self, t: Tensor) -> Tensor:
        units = torch.sigmoid(softplus(self.steepness) * (t[..., None] - self.place))
        return t + (softplus(self.weight) * units).sum(dim=-1)


def _unsoft(y: float) -> float:
    """The inverse of softplus at y > 0, bounded where y is 0."""
    y = max(y, 1e-6)
    return y + math.log(-math.expm1(-y))
