"""What the warm-up of HMC learns: steps by dual averaging, masses from variances in windows.

Dual averaging (Y. Nesterov 2009) as M. D. Hoffman and A. Gelman use it, J. Mach. Learn. Res. 15,
1593 (2014), arXiv:1111.4246, section 3.2: with a_t the acceptance probability of trajectory t,

    Hbar_t = (1 - 1/(t + t0)) Hbar_(t-1) + (target - a_t) / (t + t0),
    log eps_t = mu - sqrt(t) / gamma Hbar_t,
    log epsbar_t = t^-kappa log eps_t + (1 - t^-kappa) log epsbar_(t-1),

and epsbar is what remains. mu is log eps_0; the paper's log(10 eps_0) prefers long steps, of which
its sampler needs fewer, while here their number is given. The windows, which double in length, are
those of B. Carpenter et al., J. Stat. Softw. 76, 1 (2017), doi:10.18637/jss.v076.i01 (Stan).
"""

import numpy as np

_GAMMA, _T0, _KAPPA = 0.05, 10.0, 0.75  # Hoffman and Gelman, section 3.2.1
_LOG_STEPS = 300.0  # steps stay within exp(-300) .. exp(300), where they and their squares exist
_FIRST, _LAST = 0.15, 0.3  # parts of the adaptation before and after the windows: steps alone
_WINDOW = 25  # sweeps in the first window
_PRIOR = 5.0  # draws that the average variance counts as, for each coordinate


class DualAveraging:
    """Steps (chain,) that are on their way to an acceptance probability of `target`."""

    def __init__(self, steps: np.ndarray, target: float) -> None:
        self.target = target
        self._log, self._mean = np.log(steps), np.log(steps)
        self.restart()

    def restart(self) -> None:
        """Begin anew from the averaged steps, as after a change of the masses."""
        self._mu = self._mean
        self._log = self._mean.copy()
        self._error, self._t = np.zeros_like(self._log), 0

    @property
    def steps(self) -> np.ndarray:
        """To be used for the next trajectory."""
        return np.asarray(np.exp(self._log))

    @property
    def averaged(self) -> np.ndarray:
        """To be kept."""
        return np.asarray(np.exp(self._mean))

    def learn(self, acceptance: np.ndarray) -> None:
        """Take in the acceptance probability of one trajectory of each chain."""
        self._t += 1
        weight = 1.0 / (self._t + _T0)
        self._error = (1.0 - weight) * self._error + weight * (self.target - acceptance)
        log = self._mu - np.sqrt(self._t) / _GAMMA * self._error
        self._log = np.clip(log, -_LOG_STEPS, _LOG_STEPS)
        share = self._t**-_KAPPA
        self._mean = share * self._log + (1.0 - share) * self._mean


class Variances:
    """Variance of each coordinate over chains of a group and sweeps of a window."""

    def __init__(self, x: np.ndarray, group: np.ndarray) -> None:
        """x (chain, dim) is where the window begins; group (chain,) numbers from 0."""
        self._group, self._chains = group, np.bincount(group)
        # Sums of small differences keep the digits that sums of large coordinates lose.
        self._origin = self._sums(x) / self._chains[:, None]
        self._first, self._second = np.zeros((2, *self._origin.shape))
        self._sweeps = 0

    def _sums(self, values: np.ndarray) -> np.ndarray:
        out = np.zeros((len(self._chains), values.shape[1]))
        np.add.at(out, self._group, values)
        return out

    def learn(self, x: np.ndarray) -> None:
        """Take in one sweep."""
        away = x - self._origin[self._group]
        self._first += self._sums(away)
        self._second += self._sums(away**2)
        self._sweeps += 1

    def masses(self, before: np.ndarray) -> np.ndarray:
        """Inverse variances with a geometric mean of 1, (group, dim); steps carry the scale.

        Few draws are drawn towards equal masses, in logarithms. A group in which some coordinate
        never moved keeps the masses it had `before`.
        """
        n = self._chains[:, None] * self._sweeps
        variance = self._second / n - (self._first / n) ** 2
        found = (np.isfinite(variance) & (variance > 0.0)).all(axis=1)
        masses = before.copy()
        log = np.log(variance[found])
        log -= log.mean(axis=1, keepdims=True)
        masses[found] = np.exp(-log * (n / (n + _PRIOR))[found])
        return masses


def windows(n_sweeps: int) -> list[tuple[int, bool]]:
    """(length, whether masses are learnt) of the parts of `n_sweeps` sweeps that adapt."""
    first, last = int(_FIRST * n_sweeps), int(_LAST * n_sweeps)
    left, length = n_sweeps - first - last, _WINDOW
    parts = [(first, False)]
    while left > 0:
        # What the next window would leave over is too short for one of its own.
        length = left if left < 3 * length else length
        parts.append((length, True))
        left, length = left - length, 2 * length
    return [*parts, (last, False)]
