"""What every exactly known target distribution can be asked, clean and under the forward noise.

The noise is that of a variance-preserving diffusion, named by one number, the log-SNR lambda:

    x_t = a x_0 + sqrt(v) eps,   a^2 = sigmoid(lambda),   v = 1 - a^2,   eps ~ N(0, I).

The best guess of x_0 and the score of the noisy density are two faces of one function (Robbins 1956
and Efron 2011, who name the formula after Tweedie):

    score(x, lambda) = grad_x log p_t(x) = (a E[x_0 | x_t = x] - x) / v,

and what the best guess still misses, mmse(snr) = E |x_0 - E[x_0 | x_t]|^2 at snr = a^2 / v, is the
derivative of information, dI / dsnr = mmse / 2 (Guo, Shamai and Verdu 2005, eq. 1): for a discrete
target entropy = 1/2 int_0^inf mmse dsnr, in nats.

A target's file fills in the hooks with an underscore; arguments are checked here, once. What a
target does not have, it refuses, and says what to use.

H. Robbins, Proc. 3rd Berkeley Symp. 1, 157 (1956); B. Efron, J. Am. Stat. Assoc. 106, 1602 (2011),
doi:10.1198/jasa.2011.tm11181; D. Guo, S. Shamai and S. Verdu, IEEE Trans. Inf. Theory 51, 1261
(2005), doi:10.1109/TIT.2005.844072.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from statmech_ml._rng import seed_from
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact._arguments import Values, finite_number, real_array, whole_number
from statmech_ml.spaces import Reals, Space
from statmech_ml.statistics import Estimate

Array = NDArray[np.float64]

_BATCH = 10_000  # draws of a Monte Carlo average held at a time
_MOST_LOG_SNR = 700.0  # beyond, v or a^2 is no double
_MOST = 1e100  # of a coordinate


class Target(ABC):
    """A distribution whose density, entropy and moments are known, in nats and units of x.

    Attributes
    ----------
    space : Space
        Of one configuration: `Reals` or `Spins`.
    """

    space: Space
    _without_noise = ""  # why there is no density under the noise, and what to use

    # --- the law itself ---------------------------------------------------------------------------

    def sample(self, n: int, rng: Any) -> np.ndarray:
        """Independent draws.

        Parameters
        ----------
        n : int
        rng : int or numpy Generator
            The seed. There is no default.

        Returns
        -------
        array (n, size) in the dtype of the space
        """
        n = whole_number(n, "n", 1, "draws are counted.")
        return self._sample(n, np.random.default_rng(seed_from(rng)))

    def log_prob(self, x: ArrayLike) -> Array:
        """Logarithm of the density (of the probability, where x is discrete), in nats.

        Parameters
        ----------
        x : array (n, size)
            Configurations of the space.

        Returns
        -------
        float64 (n,); -inf outside the support
        """
        return self._log_prob(rows(self.space, x))

    def entropy(self, *, rng: Any = None, n_draws: int = 100_000) -> float | Estimate:
        """Entropy -<log p> of a whole configuration (differential, where x is real), in nats.

        Parameters
        ----------
        rng : int or numpy Generator, optional
            The seed, needed only where the entropy is a Monte Carlo average: the class says where.
        n_draws : int, default 100_000
            Draws of such an average.

        Returns
        -------
        float where it is exact, else Estimate
        """
        found = self._entropy()
        if found is not None:
            return found
        return self._average(lambda generator, n: -self._log_prob(self._sample(n, generator)),
                             "entropy", rng, n_draws)  # fmt: skip

    @abstractmethod
    def mean(self) -> Array:
        """Mean of a configuration, float64 (size,)."""

    @abstractmethod
    def covariance(self) -> Array:
        """Covariance of a configuration, float64 (size, size)."""

    # --- under the forward noise ------------------------------------------------------------------

    def log_prob_noisy(self, x: ArrayLike, log_snr: ArrayLike) -> Array:
        """Logarithm of the density of x_t = a x_0 + sqrt(v) eps, in nats.

        Parameters
        ----------
        x : array (n, size)
            Noisy configurations: real numbers, also of spins.
        log_snr : float or array (n,)
            log(a^2 / v) with a^2 + v = 1; from -700 to 700, where both are doubles.

        Returns
        -------
        float64 (n,)

        Raises
        ------
        MissingCapability
            For targets whose noisy density is not known.
        """
        return self._log_prob_noisy(*self._noisy(x, log_snr))

    def denoiser(self, x: ArrayLike, log_snr: ArrayLike) -> Array:
        """E[x_0 | x_t = x], float64 (n, size): what a perfect network answers at x and log_snr.

        Parameters and errors as in `log_prob_noisy`.
        """
        return self._denoiser(*self._noisy(x, log_snr))

    def score(self, x: ArrayLike, log_snr: ArrayLike) -> Array:
        """Gradient of `log_prob_noisy` with respect to x, float64 (n, size).

        Parameters and errors as in `log_prob_noisy`.
        """
        return self._score(*self._noisy(x, log_snr))

    def posterior_variance(self, x: ArrayLike, log_snr: ArrayLike) -> Array:
        """E[|x_0 - E[x_0 | x]|^2 | x_t = x], summed over the coordinates, float64 (n,).

        Its mean over x_t is `mmse`. Parameters and errors as in `log_prob_noisy`.
        """
        return self._posterior_variance(*self._noisy(x, log_snr))

    def mmse(self, snr: ArrayLike, *, rng: Any = None, n_draws: int = 20_000) -> Values | Estimate:
        """E|x_0 - E[x_0 | x_t]|^2 of a whole configuration, in units of x^2: the least mean squared
        error of any denoiser.

        Parameters
        ----------
        snr : float or array
            a^2 / v, from 0 to e^700; at 0 it is the trace of the covariance. One number where the
            answer is a Monte Carlo average.
        rng : int or numpy Generator, optional
            The seed, needed only for such an average: the class says where.
        n_draws : int, default 20_000
            Draws of such an average, which is of `posterior_variance` over x_t.

        Returns
        -------
        float or array of the shape of `snr` where it is exact, else Estimate

        Raises
        ------
        InvalidInput
            For an snr outside its domain, and where an average is needed and rng is missing.
        MissingCapability
            For targets whose noisy density is not known.
        """
        ratios = real_array(snr, "snr")
        if not ((ratios >= 0.0) & (ratios <= np.exp(_MOST_LOG_SNR))).all():
            raise InvalidInput(
                f"snr={snr!r} must be from 0 to e^{_MOST_LOG_SNR:g}: it is exp(log_snr)."
            )
        self._require_noise()
        found = np.empty(ratios.shape)
        for position in np.ndindex(*ratios.shape):
            ratio = float(ratios[position])
            exact = float(np.trace(self.covariance())) if ratio == 0.0 else self._mmse(ratio)
            if exact is None:
                return self._mmse_by_draws(finite_number(snr, "snr"), rng, n_draws)  # type: ignore[arg-type]
            found[position] = exact
        return found if found.ndim else float(found)

    # --- hooks ------------------------------------------------------------------------------------

    @abstractmethod
    def _sample(self, n: int, generator: np.random.Generator) -> np.ndarray: ...

    @abstractmethod
    def _log_prob(self, x: np.ndarray) -> Array: ...

    @abstractmethod
    def _entropy(self) -> float | None:
        """The exact entropy, or None: it is then averaged over draws."""

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        """As `log_prob_noisy`, with a and v of shape (n, 1)."""
        raise self._missing()

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        raise self._missing()

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        raise self._missing()

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        """By Tweedie's formula; where a form exists that does not cancel at v -> 0, that."""
        return np.asarray((a * self._denoiser(x, a, v) - x) / v)

    def _mmse(self, snr: float) -> float | None:
        """The exact mmse at snr > 0, or None: it is then averaged over draws."""
        return None

    # --- shared -----------------------------------------------------------------------------------

    def _missing(self) -> MissingCapability:
        return MissingCapability(f"{self!r} has no density under the noise. {self._without_noise}")

    def _require_noise(self) -> None:
        if self._without_noise:
            raise self._missing()

    def _noisy(self, x: ArrayLike, log_snr: ArrayLike) -> tuple[Array, Array, Array]:
        """x (n, size), a (n, 1), v (n, 1), checked."""
        self._require_noise()
        x = rows(Reals(self.space.size), x)
        levels = real_array(log_snr, "log_snr")
        inside = (np.abs(levels) <= _MOST_LOG_SNR).all()  # not so of NaN
        if levels.shape not in ((), (len(x),)) or not inside:
            raise InvalidInput(
                f"log_snr={log_snr!r} must be one number from -{_MOST_LOG_SNR:g} to "
                f"{_MOST_LOG_SNR:g}, or one for each of the {len(x)} configurations. Without noise "
                "(log_snr = inf) x_0 is x itself, and its density is log_prob."
            )
        if not (np.abs(x) <= _MOST).all():
            raise InvalidInput(
                f"x holds {float(np.abs(x).max()):.3g}; beyond {_MOST:g} squares are no doubles."
            )
        levels = np.broadcast_to(levels, len(x))[:, None]
        return x, np.sqrt(expit(levels)), expit(-levels)

    def _mmse_by_draws(self, snr: float, rng: Any, n_draws: int) -> Estimate:
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)

        def draw(generator: np.random.Generator, n: int) -> Array:
            x = a * self._sample(n, generator) + np.sqrt(v) * generator.normal(
                size=(n, self.space.size)
            )
            return self._posterior_variance(x, np.full((n, 1), a), np.full((n, 1), v))

        return self._average(draw, "mmse", rng, n_draws)

    def _average(self, draw: Any, name: str, rng: Any, n_draws: int) -> Estimate:
        """Mean over independent draws, `draw(generator, n)` -> (n,), in batches."""
        if rng is None:
            raise InvalidInput(
                f"The {name} of {self!r} has no closed form: it is averaged over draws and needs a "
                "seed, rng=7 for example."
            )
        n_draws = whole_number(n_draws, "n_draws", 2, "an average needs an error.")
        generator = np.random.default_rng(seed_from(rng))
        found = np.concatenate(
            [draw(generator, min(_BATCH, n_draws - first)) for first in range(0, n_draws, _BATCH)]
        )
        error = float(np.sqrt(found.var(ddof=1) / n_draws))
        return Estimate(float(found.mean()), error, 0.5, float(n_draws), n_draws)


def rows(space: Space, x: ArrayLike) -> np.ndarray:
    """`x` as configurations (n, size) of a space, or InvalidInput."""
    found = space.check(x)
    if found.ndim != 2:
        raise InvalidInput(
            f"x has shape {found.shape}; configurations stand in rows, (n, {space.size})."
        )
    return found
