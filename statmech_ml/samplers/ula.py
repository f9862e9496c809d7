"""The unadjusted Langevin algorithm: every move is taken, and the step biases the law.

    x' = x - eta grad u(x) + sqrt(2 eta) w,    w ~ N(0, I),    u the reduced energy.

On u = x^2/2 the chain settles on a variance of 1/(1 - eta/2), not 1, and has none for eta >= 2;
elsewhere the bias is of order eta too. G. O. Roberts and R. L. Tweedie, Bernoulli 2, 341 (1996),
doi:10.2307/3318418, section 1.4.

What the bias costs is known move by move. With F(x'|x) the density of a move and B(x|x') that of
its way back, each chain reports

    correction = sum over its moves of  log B(x|x') - log F(x'|x) + u(x) - u(x'),

and E[exp(correction)] = 1 for a start from exp(-u), at any step (G. E. Crooks, Phys. Rev. E 60,
2721 (1999), doi:10.1103/PhysRevE.60.2721). Added to the log-weights of annealed importance sampling
it makes them exact; without it the estimate of log Z is biased.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import InvalidInput
from ._langevin import Langevin
from .base import Info, State, advanced


@dataclass(frozen=True)
class ULA(Langevin):
    """Langevin moves without accept/reject, for `Differentiable` models; biased at any step.

    `sample` runs it as it is: averages over its chains are those of the biased law. Use `MALA` for
    the exact one.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy.
    """

    stream: ClassVar[str] = "ula/philox4x32-10/1"
    invariant: ClassVar[bool] = False

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain; info holds the correction of the log-weight, (chain,).

        Raises InvalidInput when the step is so long that chains left the finite numbers.
        """
        x, _, gain = self._moved(model, state, beta, n_sweeps, adjusted=False)
        lost = ~np.isfinite(x).all(axis=1) | np.isnan(gain)
        if lost.any():
            raise InvalidInput(
                f"{lost.sum()} of {len(x)} chains of ULA left the finite numbers, or the domain of "
                f"{model!r}, with steps up to {np.max(self.step_size):g}: unadjusted moves diverge "
                "where the step exceeds 2 over the curvature. Use a smaller step_size, or MALA."
            )
        return advanced(state, x, n_sweeps), {"correction": gain}
