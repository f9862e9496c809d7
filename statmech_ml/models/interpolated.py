"""The energy between two models, for paths from one to the other.

    u_lambda(x) = (1 - lambda) u_start(x) + lambda u_end(x; beta),    0 <= lambda <= 1,

with lambda in the place that beta has in other models, so samplers for continuous states run on it.
"""

from typing import Any, NamedTuple

import numpy as np

from ..systems import Model, common_shape, reduced_energy, reduced_gradient


class InterpolatedArrays(NamedTuple):
    """Compiled interpolation of two compiled models; beta float, the end's inverse temperature."""

    start: Any
    end: Any
    beta: float

    def energy(self, x):
        return reduced_energy(self.end, x, self.beta)

    def reduced_energy(self, x, lam):
        # The ends by themselves: an infinite energy times zero is not a number.
        if lam <= 0.0:
            return reduced_energy(self.start, x, 1.0)
        if lam >= 1.0:
            return reduced_energy(self.end, x, self.beta)
        u = reduced_energy(self.start, x, 1.0)
        return (1.0 - lam) * u + lam * reduced_energy(self.end, x, self.beta)

    def reduced_gradient(self, x, lam, out):
        reduced_gradient(self.start, x, 1.0, out)
        if lam > 0.0:
            other = np.empty(out.shape[0])
            reduced_gradient(self.end, x, self.beta, other)
            for i in range(out.shape[0]):
                out[i] = (1.0 - lam) * out[i] + lam * other[i]


class Interpolated(Model):
    """The model between `start` (at beta = 1) and `end` (at `beta`), two models on one space.

    Its `energy` is the reduced energy of the end. It is Differentiable where both ends are, and
    compiled where both are; otherwise it answers in batches.

    Parameters
    ----------
    start, end : Model
        On the same space.
    beta : float, default 1.0
        Inverse temperature of `end`.

    >>> from statmech_ml.models import DoubleWell, Gaussian
    >>> between = Interpolated(Gaussian(stddev=2.0), DoubleWell(barrier=2.0))
    >>> float(between.reduced_energy([0.0], 0.25))  # a quarter of the barrier
    0.5
    """

    capabilities: frozenset[str] = frozenset()

    def __init__(self, start: Any, end: Any, beta: float = 1.0) -> None:
        self.start, self.end, self.beta = start, end, float(beta)
        if hasattr(start, "arrays") and hasattr(end, "arrays"):
            super().__init__(end.space, InterpolatedArrays(start.arrays, end.arrays, self.beta))
        else:
            self.space, self.lattice = end.space, None
        self.capabilities = frozenset({"Differentiable"}) & start.capabilities & end.capabilities

    def energy(self, x: Any) -> np.ndarray:
        """The reduced energy of the end, float64 (*batch,)."""
        return np.asarray(self.end.reduced_energy(x, self.beta))

    def reduced_energy(self, x: Any, lam: Any) -> np.ndarray:
        """u_lambda(x), float64; lambda and the batch broadcast against each other."""
        if hasattr(self, "arrays"):
            return super().reduced_energy(x, lam)
        lam = np.asarray(lam, np.float64)
        common_shape(np.shape(x)[:-1], lam)
        return _between(
            self.start.reduced_energy(x, 1.0), self.end.reduced_energy(x, self.beta), lam
        )

    def reduced_gradient(self, x: Any, lam: Any) -> np.ndarray:
        """Gradient of u_lambda, float64 (*batch, size)."""
        if hasattr(self, "arrays"):
            return super().reduced_gradient(x, lam)
        lam = np.asarray(lam, np.float64)
        common_shape(np.shape(x)[:-1], lam)
        return _between(
            self.start.reduced_gradient(x, 1.0),
            self.end.reduced_gradient(x, self.beta),
            lam[..., None],
        )


def _between(start: np.ndarray, end: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """(1 - lambda) start + lambda end, and the ends by themselves, which may be infinite."""
    with np.errstate(invalid="ignore"):
        inner = (1.0 - lam) * start + lam * end
    return np.where(lam <= 0.0, start, np.where(lam >= 1.0, end, inner))
