"""Independent coordinates, each with a law of its own, and the uniform box among them.

    p(x) = prod_i p_i(x_i):  scores and denoisers act on each factor alone, entropies and mmse add.

A factor is a scipy.stats frozen distribution (any continuous one with a finite variance), or a
target of this package, of any dimension. E[x_0 | x_t] of a scipy law is a one-dimensional integral
for each configuration, by Gauss-Legendre panels around x_t / a and between places of the law that
are chosen once, so that its own density integrates to its own distribution function (`_panels.py`;
relative error about 1e-10). Its mmse is by the same rule over x_t, with panels halved until they
agree. Cost: 500 evaluations of the law's density or more per coordinate and configuration. Noise
narrower than 1e-8 of the law is refused: its panels cannot be told apart from rounding.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import real_array
from statmech_ml.exact.targets._panels import Posterior, average, posterior, refined, total_mass
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.exact.targets.gaussian import Gaussian
from statmech_ml.spaces import Reals

_BATCH = 2_000  # configurations whose integrals are held at a time
_RTOL = 1e-9
_QUANTILES = np.array([1e-15, 1e-8, 1e-4, 0.05, 0.5])  # from either end
_MASS = 1e-12  # to which the panels between them must integrate the density
_TOTAL = 1e-6  # to which the density must integrate to 1
_MOST_SNR = 1e16  # in units of 1 / variance: noise of 1e-8 of the law's width
_NEEDED = ("logpdf", "pdf", "cdf", "sf", "ppf", "isf", "rvs", "support", "mean", "var", "entropy")


class Law(Target):
    """One coordinate with the law of a scipy.stats frozen distribution.

    Parameters
    ----------
    frozen
        A continuous distribution with its parameters, scipy.stats.gamma(2.0) for example: anything
        with logpdf, pdf, cdf, sf, ppf, isf, rvs, support, mean, var and entropy.

    Raises
    ------
    InvalidInput
        For what lacks one of them, has no finite mean and variance, or a density that does not
        integrate to 1; and for an snr above 1e16 over the variance.

    >>> from scipy import stats
    >>> round(Law(stats.laplace(1.0, 0.5)).mmse(2.0), 9)
    0.239580103
    """

    def __init__(self, frozen: Any) -> None:
        missing = [name for name in _NEEDED if not hasattr(frozen, name)]
        if missing:
            raise InvalidInput(
                f"{frozen!r} is no continuous scipy.stats frozen distribution: it has no "
                f"{', '.join(missing)}. Give scipy.stats.gamma(2.0), for example, or a target."
            )
        moments = float(frozen.mean()), float(frozen.var())
        if not (np.isfinite(moments).all() and moments[1] > 0.0):
            raise InvalidInput(
                f"The law has mean {moments[0]} and variance {moments[1]}; both must be finite, "
                "or no denoiser has a finite error without signal."
            )
        self.frozen, self.space = frozen, Reals(1)
        self._moments = moments
        low, high = frozen.support()
        self._support = float(low), float(high)
        ends = np.concatenate([frozen.ppf(_QUANTILES), frozen.isf(_QUANTILES)])
        self._places = refined(frozen.pdf, frozen.cdf, frozen.sf, ends[np.isfinite(ends)], _MASS)
        total = total_mass(frozen.pdf, self._places, self._support)
        if not abs(total - 1.0) < _TOTAL:
            raise InvalidInput(
                f"The density of {self!r} integrates to {total:.9g} on its support {self._support}"
                ", not to 1. A law on a circle (scipy.stats.vonmises) repeats itself on the line: "
                "give one with a support of its own."
            )

    def __repr__(self) -> str:
        law = getattr(getattr(self.frozen, "dist", None), "name", type(self.frozen).__name__)
        return f"Law({law})"

    def mean(self) -> Array:
        """Mean, float64 (1,)."""
        return np.array([self._moments[0]])

    def covariance(self) -> Array:
        """Variance, float64 (1, 1)."""
        return np.array([[self._moments[1]]])

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        return np.asarray(self.frozen.rvs(size=(n, 1), random_state=generator), np.float64)

    def _log_prob(self, x: Array) -> Array:
        return np.asarray(self.frozen.logpdf(x[:, 0]), np.float64)

    def _entropy(self) -> float:
        return float(self.frozen.entropy())

    def _given(self, x: Array, a: Array, v: Array) -> Posterior:
        self._check_snr(float((a * a / v).max(initial=0.0)))
        parts = [
            self._integrals(x[rows], a[rows], v[rows])
            for rows in (slice(k, k + _BATCH) for k in range(0, len(x), _BATCH))
        ]
        return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _integrals(self, x: Array, a: Array, v: Array) -> Posterior:
        centre, width = (x / a)[:, 0], (np.sqrt(v) / a)[:, 0]
        return posterior(self.frozen.logpdf, centre, width, self._support, self._places)

    def _check_snr(self, snr: float) -> None:
        most = _MOST_SNR / self._moments[1]
        if snr > most:
            raise InvalidInput(
                f"The snr {snr:.3g} is above {most:.3g} (log_snr {np.log(most):.1f}), where the "
                f"noise is 1e-8 of the width of {self!r} and drowns in rounding. Without noise "
                "use log_prob; the mmse of a smooth density goes to 1 / snr."
            )

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(x, a, v).log_mass - 0.5 * np.log(2.0 * np.pi * v[:, 0])

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(x, a, v).mean[:, None]

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        """Tweedie's formula, a E[x_0 | x] - x = a E[x_0 - x / a | x], without its cancellation."""
        return np.asarray(a * self._given(x, a, v).shift[:, None] / v)

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(x, a, v).variance

    def _mmse(self, snr: float) -> float:
        self._check_snr(snr)
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)

        def given(x: Array) -> tuple[Array, Array]:
            found = self._given(x[:, None], np.full((len(x), 1), a), np.full((len(x), 1), v))
            return found.log_mass, found.variance

        places = a * self._places
        outside = 12.0 * np.sqrt(v)  # standard deviations of the noise: e^-72 of the weight
        edges = np.concatenate([[places[0] - outside], places, [places[-1] + outside]])
        return average(given, edges, _RTOL)


class Product(Target):
    """Independent factors side by side.

    Parameters
    ----------
    factors : sequence
        Each a scipy.stats frozen distribution of one coordinate, or a target on the reals of any
        dimension. The same object given twice is two independent coordinates of one law, and its
        integrals are done once.

    Attributes
    ----------
    factors : tuple of Target
        Normal scipy laws as `Gaussian`, the others as `Law`.

    Raises
    ------
    InvalidInput
        For no factors, and factors that are neither.

    >>> from scipy import stats
    >>> target = Product([stats.gamma(2.0), stats.norm(1.0, 0.5)])
    >>> target.denoiser([[1.0, 1.0]], log_snr=0.0).round(9).tolist()
    [[1.446801194, 1.082842712]]
    """

    def __init__(self, factors: Sequence[Any]) -> None:
        try:
            given = list(factors)
        except TypeError as error:
            raise InvalidInput(f"factors={factors!r} must be a list of laws.") from error
        if not given:
            raise InvalidInput("A product needs at least one factor.")
        made: dict[int, Target] = {}
        for factor in given:
            if id(factor) not in made:
                made[id(factor)] = _as_target(factor)
        self.factors: tuple[Target, ...] = tuple(made[id(factor)] for factor in given)
        self._ends = np.cumsum([0] + [f.space.size for f in self.factors])
        self.space = Reals(int(self._ends[-1]))
        # Distinct factors, and the first columns of each of their copies.
        self._groups = [
            (f, [int(e) for e, g in zip(self._ends, self.factors, strict=False) if g is f])
            for f in dict.fromkeys(self.factors)
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.factors)} factors, dim={self.space.size})"

    def mean(self) -> Array:
        """Mean of a configuration, float64 (size,)."""
        return np.concatenate([f.mean() for f in self.factors])

    def covariance(self) -> Array:
        """Covariance of a configuration, float64 (size, size), a block for each factor."""
        C = np.zeros((self.space.size, self.space.size))
        for first, f in zip(self._ends, self.factors, strict=False):
            mine = slice(first, first + f.space.size)
            C[mine, mine] = f.covariance()
        return C

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        x = np.empty((n, self.space.size))
        for f, copies in self._groups:
            drawn = f._sample(n * len(copies), generator).reshape(n, len(copies), f.space.size)
            for k, first in enumerate(copies):
                x[:, first : first + f.space.size] = drawn[:, k]
        return x

    def _apply(self, method: str, x: Array, *noise: Array) -> list[tuple[int, Array]]:
        """(first column, what `method` of its factor answers), for all factors."""
        found: list[tuple[int, Array]] = []
        for f, copies in self._groups:
            size = f.space.size
            stacked = np.concatenate([x[:, first : first + size] for first in copies])
            answer = getattr(f, method)(stacked, *(np.tile(z, (len(copies), 1)) for z in noise))
            found += zip(copies, np.split(answer, len(copies)), strict=True)
        return found

    def _total(self, method: str, x: Array, *noise: Array) -> Array:
        return np.asarray(sum(answer for _, answer in self._apply(method, x, *noise)))

    def _beside(self, method: str, x: Array, *noise: Array) -> Array:
        out = np.empty(x.shape)
        for first, answer in self._apply(method, x, *noise):
            out[:, first : first + answer.shape[1]] = answer
        return out

    def _log_prob(self, x: Array) -> Array:
        return self._total("_log_prob", x)

    def _entropy(self) -> float | None:
        return _add([(f._entropy(), len(copies)) for f, copies in self._groups])

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return self._total("_log_prob_noisy", x, a, v)

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        return self._beside("_denoiser", x, a, v)

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        return self._beside("_score", x, a, v)

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return self._total("_posterior_variance", x, a, v)

    def _mmse(self, snr: float) -> float | None:
        return _add([(f._mmse(snr), len(copies)) for f, copies in self._groups])


class Uniform(Product):
    """Uniform in the box low_i <= x_i <= high_i.

    Parameters
    ----------
    low, high : float or array (d,)
        Ends of each coordinate, finite, low < high.

    Raises
    ------
    InvalidInput
        For ends that are not finite or not in order, or do not fit together.

    >>> target = Uniform([0.0, -1.0], [2.0, 1.0])
    >>> round(target.entropy(), 9)  # log 4
    1.386294361
    """

    def __init__(self, low: ArrayLike, high: ArrayLike) -> None:
        ends = real_array(low, "low"), real_array(high, "high")
        try:
            lows, highs = np.broadcast_arrays(*(np.atleast_1d(end) for end in ends))
        except ValueError as error:
            raise InvalidInput(
                f"low has shape {ends[0].shape} and high {ends[1].shape}; give numbers or (d,)."
            ) from error
        fitting = lows.ndim == 1 and lows.size > 0
        if not (fitting and np.isfinite([lows, highs]).all() and (lows < highs).all()):
            raise InvalidInput(
                f"low={low!r} and high={high!r} must be finite numbers or arrays (d,), low < high."
            )
        sides = list(zip(lows.tolist(), highs.tolist(), strict=True))
        laws = {side: stats.uniform(side[0], side[1] - side[0]) for side in set(sides)}
        super().__init__([laws[side] for side in sides])
        self.low, self.high = np.array(lows), np.array(highs)


def _as_target(factor: Any) -> Target:
    if isinstance(factor, Target):
        if not isinstance(factor.space, Reals):
            raise InvalidInput(
                f"{factor!r} lives on {factor.space!r}; a Product is of targets on the reals. "
                "Independent spins are targets.Spins."
            )
        return factor
    if getattr(getattr(factor, "dist", None), "name", "") == "norm":
        return Gaussian(float(factor.mean()), float(factor.var()))
    return Law(factor)


def _add(terms: list[tuple[float | None, int]]) -> float | None:
    """Sum over factors of value times copies; None where one has no exact value."""
    total = 0.0
    for value, copies in terms:
        if value is None:
            return None
        total += copies * value
    return total
