"""BAOAB: a splitting of Langevin dynamics with momenta that is exact in position on Gaussians.

Kicks B, drifts A and the friction O of dx = p dt, dp = -grad u dt - gamma p dt + sqrt(2 gamma) dW:

    B   p -= h/2 grad u(x)        A   x += h/2 p        O   p = c p + sqrt(1 - c^2) w,
    then A and B again,           c = exp(-gamma h).

B. Leimkuhler and C. Matthews, Appl. Math. Res. eXpress 2013, 34 (2013), doi:10.1093/amrx/abs010. On
u = k x^2/2 the variance of x is exactly 1/k at every stable step, h^2 k < 4, and <p^2> is
1 - h^2 k / 4; elsewhere the bias of positions is of order h^2, and of order h^4 for large gamma.

Between two moves the halves of B make one kick at one position, so a move is written as gradient,
whole kick, A, O, A: one gradient a move, and the positions of BAOAB. The momenta that are carried
are those before the last half kick.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ._langevin import number
from ._walk import Walker


class KickDriftRub(NamedTuple):
    """The move: steps h, kept share c of the momenta and widths of the noise, float64 (chain,)."""

    steps: np.ndarray
    kept: np.ndarray
    widths: np.ndarray

    def stride(self, c: int, t: int, x: Any, carried: Any, force: Any, noise: Any) -> float:
        """B (the last half of the move before and the first of this one), A, O, A."""
        half = 0.5 * self.steps[c]
        kinetic = 0.0
        for i in range(x.shape[0]):
            p = carried[i] - half * force[i]
            kinetic += p * p  # between the half kicks, where BAOAB's moves end
            p -= half * force[i]
            x[i] += half * p
            p = self.kept[c] * p + self.widths[c] * noise[i]
            x[i] += half * p
            carried[i] = p
        return kinetic / x.shape[0]


@dataclass(frozen=True)
class BAOAB(Walker):
    """Langevin dynamics with momenta for `Differentiable` models; unit masses, no accept/reject.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        h, a time: in units of x per square root of reduced energy.
    friction : float, default 1.0
        gamma, a rate; momenta forget within 1 / (gamma h) moves.
    noise : float or tuple of float (one per chain), optional
        Standard deviation of the noise in O; default sqrt(1 - c^2), c = exp(-gamma h). With another
        one the effective temperature is noise^2 / (1 - c^2), and `check` warns unless that is 1.

    Info of `advance` holds "effective_temperature" and "kinetic_temperature", mean p^2 over moves
    and coordinates.
    """

    friction: float = 1.0

    stream: ClassVar[str] = "baoab/philox4x32-10/1"
    carries: ClassVar[str] = "momenta"
    balance: ClassVar[str] = "noise^2 / (1 - exp(-2 friction step_size))"
    stability: ClassVar[str] = "where step_size^2 times the curvature exceeds 4"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "friction", number("friction", self.friction))
        if not (np.isfinite(self.friction) and self.friction > 0.0):
            raise InvalidInput(
                f"friction={self.friction!r} must be positive and finite: without it nothing "
                "brings the momenta to a temperature. HMC does without friction."
            )

    def _variance(self) -> np.ndarray:
        return np.asarray(-np.expm1(-2.0 * self.friction * np.asarray(self.step_size)))

    def _move(self, n_chains: int) -> Any:
        steps = self._steps(n_chains)
        width = np.sqrt(self._variance()) if self.noise is None else self.noise
        kept = np.exp(-self.friction * steps)
        return KickDriftRub(steps, kept, self._of_each("noise", width, n_chains))
