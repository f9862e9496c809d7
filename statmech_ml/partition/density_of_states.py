"""`DensityOfStates`: how many states a model has at each energy, and what follows at any beta.

    log Z(beta) = log sum_E g(E) exp(-beta E),     <E> = -d log Z / d beta,
    C = beta^2 (<E^2> - <E>^2),                    sum_E g(E) = n_values^n_sites.

Errors are over independent walkers. g of one walker errs at many energies together, so a quantity
is computed from the mean g and again without each walker in turn (jackknife, which also takes out
the bias of order 1 / walkers), never from errors of single levels.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ..errors import InvalidInput
from ..statistics import Estimate
from ._weights import disagree, widening
from .logz import (
    EXACT,
    LEVELS_MISSED,
    MAX_MISSED,
    MAX_WIDTH,
    NOT_CONVERGED,
    OK,
    WALKERS_DISAGREE,
    LogZ,
)
from .path.base import LARGEST

_METHOD = "wang-landau"


@dataclass(frozen=True)
class DensityOfStates:
    """Number of states g(E) at each energy, with errors over independent walkers.

    Attributes
    ----------
    energies : float64 (level,)
        Ascending; the mean energy of a bin where levels were binned.
    log_g : float64 (level,)
        log of the mean g(E) over walkers, normalised: the sum of g is n_values^n_sites.
    stderr : float64 (level,)
        Standard errors of `log_g` over walkers; infinite where only one walker was. They are
        correlated between levels.
    log_g_walkers : float64 (walker, level)
        Normalised log g of each walker, -inf at levels where it never was while it measured.
    variances : float64 (level,)
        Variance of the energy inside a bin; zero for exact levels.
    bin_width : float
        Distance of two levels, or width of the bins.
    log_n_states : float
        n_sites log(n_values).
    converged : bool (walker,)
        Whether the walker's modification factor fell as 1/t when it stopped learning.
    diagnostics : mapping
        cost and provenance.
    """

    energies: np.ndarray
    log_g: np.ndarray
    stderr: np.ndarray
    log_g_walkers: np.ndarray
    variances: np.ndarray
    bin_width: float
    log_n_states: float
    converged: np.ndarray
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_walkers(self) -> int:
        """Number of independent walkers."""
        return len(self.log_g_walkers)

    def log_z(self, beta: float) -> LogZ:
        """log Z at one beta, with the jackknife error over walkers.

        The status is "not converged" when a walker's modification factor did not yet fall as 1/t,
        "levels missed" when levels that matter at this beta were not met by some walker, "walkers
        disagree" when their log Z spread by more than 0.5 or less than half of them carry Z,
        otherwise "ok".

        Raises InvalidInput unless beta is one finite number, and where bins are wider than 1/beta.
        """
        beta = self._beta(beta)
        diagnostics = dict(self.diagnostics) | {"density_of_states": self}
        if beta == 0.0:  # the number of states
            return LogZ(self.log_n_states, 0.0, None, None, _METHOD, EXACT, diagnostics)
        value, stderr = self._jackknife(lambda log_g: self._moments(log_g, beta)[0])
        of_each = self._moments(self.log_g_walkers, beta)[0]
        met = np.isfinite(self.log_g_walkers)
        missed = ~met.all(axis=0)
        status = OK
        if not self.converged.all():
            status = NOT_CONVERGED
        elif self._weights(self.log_g, beta)[missed].sum() > MAX_MISSED * stderr:
            status = LEVELS_MISSED
        elif disagree(of_each):
            status = WALKERS_DISAGREE
        diagnostics |= {
            "n_chains": self.n_walkers,
            "log_z_walkers": of_each,
            "levels_missed": self.energies[missed],
        }
        return LogZ(value, stderr, None, None, _METHOD, status, diagnostics)

    def energy(self, beta: float) -> Estimate:
        """Mean total energy at one beta. Raises what `log_z` raises."""
        beta = self._beta(beta)
        return self._estimate(lambda log_g: self._moments(log_g, beta)[1])

    def specific_heat(self, beta: float) -> Estimate:
        """Total heat capacity beta^2 (<E^2> - <E>^2) at one beta.

        Raises what `log_z` raises, and InvalidInput at beta = 0, where it is zero and has no error.
        """
        beta = self._beta(beta)
        if beta == 0.0:
            raise InvalidInput("At beta=0 the specific heat is zero. Ask at another beta.")
        return self._estimate(lambda log_g: beta * beta * self._moments(log_g, beta)[2])

    def _beta(self, beta: Any) -> float:
        try:
            value = float(beta)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"beta={beta!r} is not one number.") from error
        if not math.isfinite(value):
            raise InvalidInput(f"beta={beta!r} is not finite.")
        if abs(value) > LARGEST:
            raise InvalidInput(
                f"beta={beta!r} is above {LARGEST:g}: beta E leaves double precision."
            )
        if self.variances.any() and abs(value) * self.bin_width > MAX_WIDTH:
            raise InvalidInput(
                f"Bins of width {self.bin_width:g} are too wide for beta={value:g}: the energies "
                f"inside a bin differ in weight. Take bin_width below {MAX_WIDTH / abs(value):.3g}."
            )
        return value

    def _weights(self, log_g: np.ndarray, beta: float) -> np.ndarray:
        """Probability of each level at beta."""
        log_w = self._log_weights(log_g, beta)
        return np.asarray(np.exp(log_w - logsumexp(log_w, axis=-1, keepdims=True)))

    def _log_weights(self, log_g: np.ndarray, beta: float) -> np.ndarray:
        # Inside a bin <exp(-beta (E - mean))> = exp(beta^2 variance / 2) to third order.
        return np.asarray(log_g - beta * self.energies + 0.5 * beta * beta * self.variances)

    def _moments(self, log_g: np.ndarray, beta: float) -> tuple[Any, Any, Any]:
        """log Z, mean and variance of the energy, along the last axis of log_g."""
        log_w = self._log_weights(log_g, beta)
        log_z = logsumexp(log_w, axis=-1)
        p = np.exp(log_w - np.asarray(log_z)[..., None])
        inside = self.energies - beta * self.variances  # d/dbeta of the tilted bin
        mean = (p * inside).sum(axis=-1)
        spread = (p * ((inside - np.asarray(mean)[..., None]) ** 2 + self.variances)).sum(axis=-1)
        return log_z, mean, spread

    def _jackknife(self, f: Callable[[np.ndarray], Any]) -> tuple[float, float]:
        """f of the mean over walkers, corrected for its bias, and the standard error."""
        n = self.n_walkers
        whole = float(f(self.log_g))
        without = np.array(
            [f(mean_log_g(np.delete(self.log_g_walkers, w, axis=0))) for w in range(n)]
        )
        stderr = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
        value = n * whole - (n - 1) * float(without.mean())
        # What walkers differ by may lie below the rounding of the value.
        return value, max(widening(n) * stderr, float(np.spacing(abs(value))))

    def _estimate(self, f: Callable[[np.ndarray], Any]) -> Estimate:
        value, stderr = self._jackknife(f)
        return Estimate(value, stderr, tau_int=0.5, ess=float(self.n_walkers), n=self.n_walkers)

    def __str__(self) -> str:
        low, high = self.energies[[0, -1]]
        return f"{len(self.energies)} levels from {low:g} to {high:g}, {self.n_walkers} walkers"


def mean_log_g(log_g: np.ndarray) -> np.ndarray:
    """log of the mean g over walkers, (walker, level) -> (level,); normalised if theirs are."""
    return np.asarray(logsumexp(log_g, axis=0) - math.log(len(log_g)))


def stderr_log_g(log_g: np.ndarray) -> np.ndarray:
    """Jackknife errors of `mean_log_g`, widened; infinite where only one walker was."""
    n = len(log_g)
    known = np.isfinite(log_g).sum(axis=0) >= 2
    without = np.array([mean_log_g(np.delete(log_g[:, known], w, axis=0)) for w in range(n)])
    stderr = np.full(log_g.shape[1], np.inf)
    stderr[known] = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return widening(n) * stderr
