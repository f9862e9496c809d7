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

from ._langevin import Unadjusted
from .base import Info, State, advanced


@dataclass(frozen=True)
class ULA(Unadjusted):
    """Langevin moves without accept/reject, for `Differentiable` models; biased at any step.

    `sample` runs it as it is: averages over its chains are those of the biased law, whose variance
    on a Gaussian is `exact.langevin.ula_variance`. Use `MALA` for the exact one.

    Parameters
    ----------
    step_size : float or tuple of float (one per chain), default 0.1
        eta, in units of x^2 per unit of reduced energy.
    noise : float or tuple of float (one per chain), optional
        Standard deviation of the noise in one move; default sqrt(2 eta). With another one the
        effective temperature is noise^2 / (2 eta), and `check` warns unless that is 1.
    """

    stream: ClassVar[str] = "ula/philox4x32-10/1"

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """Run `n_sweeps` moves per chain.

        Info holds the correction of the log-weight and the effective temperature, (chain,). Raises
        InvalidInput when the step is so long that chains left the finite numbers.
        """
        x, _, gain = self._moved(model, state, beta, n_sweeps, False, device)
        self._require_finite(model, x, gain)
        info = {"correction": gain, "effective_temperature": self._temperatures(len(x))}
        return advanced(state, x, n_sweeps), info
