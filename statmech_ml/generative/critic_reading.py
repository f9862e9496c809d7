"""`CriticReading`: a divergence as the critic of a `GAN` reads it, and the sign of its bias."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..statistics import Estimate
from ..statistics.estimate import from_tau


@dataclass(frozen=True)
class CriticReading:
    """A divergence as a critic reads it, and in which direction that may be wrong.

    Attributes
    ----------
    estimate : Estimate
        The reading; its error is that of the draws alone, and knows nothing of the critic's own.
    kind : "lower bound" or "no bound"
        Of the true divergence, on average over draws that the critic was not trained on.
    bias : str
        Why, in words.
    slope : float or None
        Mean |grad a| between data and the model's, of a Wasserstein critic; 1 is what W1 means.
    steepest : float or None
        The largest of them; the reading over it is the word of a critic that keeps slope 1 there.
    """

    estimate: Estimate
    kind: Literal["lower bound", "no bound"]
    bias: str
    slope: float | None = None
    steepest: float | None = None

    def __str__(self) -> str:
        return f"{self.estimate} [{self.kind}: {self.bias}]"


def js_reading(of_data: np.ndarray, of_model: np.ndarray, smoothed: bool) -> CriticReading:
    """<log D>_data / 2 + <log(1 - D)>_model / 2 + log 2 from scores (n,) of both."""
    bias = "any critic but the best reads less"
    if smoothed:
        bias += ", and one trained on smoothed labels is not the best even where it could be"
    on_data, on_model = -np.logaddexp(0.0, -of_data), -np.logaddexp(0.0, of_model)
    reading = _combined(0.5 * on_data, 0.5 * on_model, math.log(2.0))
    return CriticReading(reading, "lower bound", bias)


def w1_reading(of_data: np.ndarray, of_model: np.ndarray, slopes: np.ndarray) -> CriticReading:
    """<a>_data - <a>_model from scores (n,) of both, and the slopes between them."""
    slope, steepest = float(slopes.mean()), float(slopes.max())
    bias = (
        f"its mean slope is {slope:.3g}, not 1, so it reads {'more' if slope > 1.0 else 'less'} "
        "than a critic of slope 1 would; any but the best reads less"
    )
    return CriticReading(
        _combined(of_data, -of_model, 0.0), "no bound", bias, slope, steepest
    )  # fmt: skip


def _combined(a: np.ndarray, b: np.ndarray, constant: float) -> Estimate:
    """<a> + <b> + constant, of n independent draws each."""
    variance = float(np.var(a, ddof=1) + np.var(b, ddof=1))
    return from_tau(float(a.mean() + b.mean()) + constant, 0.5, variance, len(a))
