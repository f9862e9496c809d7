"""The law that a diffusion sampler produces when its network is perfect, so that what is left to
the network is known: finite steps deviate from the target even then.

Every step from abar_t = A to abar_{t-1} = B, alpha = A / B, is x_{t-1} = c_x x_t + c_g D(x_t) +
c_n eps, with D the denoiser E[x_0 | x_t], score = (sqrt(A) D - x_t) / (1 - A), b = -log alpha:

    ddpm-*          c_x = sqrt(alpha) (1 - B) / (1 - A),  c_g = sqrt(B) (1 - alpha) / (1 - A);
                    c_n^2 = beta~ = (1 - alpha) (1 - B) / (1 - A) (small), 1 - alpha (large), or
                    beta~ + c_g^2 mmse / d (optimal, see `optimal_variances`)
    ddim            x_{t-1} = sqrt(B) D + sqrt(1 - B) (x_t - sqrt(A) D) / sqrt(1 - A)
    euler-maruyama  x_{t-1} = x_t + b (x_t / 2 + score) + sqrt(b) eps
    ode-euler       x_{t-1} = x_t + b (x_t + score) / 2
    ode-heun        the same with the mean of the slopes at both ends; in the last step Euler's,
                    since there is no score where there is no noise

from x_T ~ N(0, I) down to abar = 1; a schedule whose alpha_bar[0] lies below 1 gets one more step
to there. No method adds noise in the last step, to abar = 1. For a Gaussian target D is affine and
acts on each eigenvector of the covariance alone: mean and variance of every mode follow exactly,
mode by mode and step by step. Cost: O(T d).

Methods: J. Ho, A. Jain and P. Abbeel (2020), arXiv:2006.11239, eqs. 6, 7 and section 3.2; J. Song,
C. Meng and S. Ermon (2021), arXiv:2010.02502, eq. 12; Y. Song et al. (2021), arXiv:2011.13456, eqs.
6 and 13; F. Bao, C. Li, J. Zhu and B. Zhang (2022), arXiv:2201.06503, theorem 1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact._arguments import real_array
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.exact.targets.gaussian import Gaussian
from statmech_ml.exact.targets.mixture import GaussianMixture
from statmech_ml.exact.targets.product import Product
from statmech_ml.statistics import Estimate

Method = Literal[
    "ddpm-small", "ddpm-large", "ddpm-optimal", "ddim", "euler-maruyama", "ode-euler", "ode-heun"
]


class Levels(Protocol):
    """What is read of a schedule: `alpha_bar`, float64 (T + 1,), falling from the data's end."""

    @property
    def alpha_bar(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """The Gaussian law of a sampler's output.

    Attributes
    ----------
    mean : float64 (d,)
    covariance : float64 (d, d)
    variance_ratios : float64 (d,)
        Variance over that of the target along each eigenvector of the target's covariance, by
        rising eigenvalue; 1 is right.
    method : str
    steps : int
    """

    mean: Array
    covariance: Array
    variance_ratios: Array
    method: str
    steps: int

    @property
    def law(self) -> Gaussian:
        """The same as a target, with `log_prob`, `sample` and so on."""
        return Gaussian(self.mean, self.covariance)


def predict_sampler(target: Target, schedule: Levels, method: Method) -> Prediction:
    """The law of a diffusion sampler's output for a network that answers target.denoiser.

    Parameters
    ----------
    target : Target
        A Gaussian: `Gaussian`, `PPCA`, a `Product` of normal laws, a mixture of one component.
    schedule
        Anything with `alpha_bar`, float (T + 1,): squared amplitudes of the data, falling, inside
        (0, 1]; [0] is the data's end.
    method : str
        "ddpm-small", "ddpm-large", "ddpm-optimal", "ddim", "euler-maruyama", "ode-euler" or
        "ode-heun".

    Returns
    -------
    Prediction

    Raises
    ------
    InvalidInput
        For an unknown method and amplitudes that do not fall inside (0, 1].
    MissingCapability
        For targets that are no Gaussian: the law of the output has no closed form there.

    >>> class Linear:
    ...     alpha_bar = np.cumprod(np.append(1.0, 1.0 - np.linspace(1e-4, 0.02, 1000)))
    >>> round(float(predict_sampler(Gaussian([0.0], 1.0), Linear(), "ddpm-small").mean[0]), 9)
    0.0
    >>> found = predict_sampler(Gaussian([0.0], 1.0), Linear(), "ddpm-small")
    >>> found.variance_ratios.round(6).tolist()
    [0.991067]
    """
    if method not in get_args(Method):
        raise InvalidInput(f"method={method!r} is not one of {', '.join(get_args(Method))}.")
    bars, gaussian = _ladder(schedule), _as_gaussian(target)
    modes = _Modes(gaussian.directions.T @ gaussian.mean(), gaussian.eigenvalues)
    mean, variance = np.zeros(len(modes.mean)), np.ones(len(modes.mean))
    for A, B in _steps(bars):
        slope, shift, noise = _step(method, modes, A, B)
        mean, variance = slope * mean + shift, slope * slope * variance + noise
    Q = gaussian.directions
    return Prediction(
        Q @ mean,
        np.asarray((Q * variance) @ Q.T),
        variance / modes.variance,
        method,
        len(bars) - 1,
    )


def optimal_variances(target: Target, schedule: Levels, *, rng: Any = None) -> Array:
    """The isotropic variances with which DDPM's steps come closest to the reverse process.

        sigma_t^2 = beta~_t + c_g^2 mmse(snr_t) / d,   c_g = sqrt(B) (1 - alpha) / (1 - A):

    the spread of x_{t-1} about its mean given x_0, and of that mean given x_t. Of correlated
    targets it is the mean over directions, trace / d. Bao et al. write the second part with the
    mean square of the score; that is the same, E|score|^2 = (d - snr mmse) / (1 - A).

    Parameters
    ----------
    target : Target
        Any with an `mmse`.
    schedule
        As in `predict_sampler`.
    rng : int or numpy Generator, optional
        The seed, for targets whose mmse is an average.

    Returns
    -------
    float64 (T,)
        For the steps t -> t - 1, t = 1 .. T. Samplers add no noise in the step to abar = 1, and
        leave out what stands there.

    References
    ----------
    Bao et al. (2022), arXiv:2201.06503, theorem 1.
    """
    found = []
    for A, B in reversed(list(_steps(_ladder(schedule)))):
        mmse = target.mmse(A / (1.0 - A), rng=rng)
        error = mmse.value if isinstance(mmse, Estimate) else float(mmse)
        _, of_guess, small = _posterior(A, B)
        found.append(small + of_guess**2 * error / target.space.size)
    return np.array(found)


class _Modes(NamedTuple):
    """Mean and variance of the target along its eigenvectors, (d,) each."""

    mean: Array
    variance: Array

    def guess(self, bar: float) -> tuple[Array, Array]:
        """The denoiser at abar as slope and shift of x."""
        a = math.sqrt(bar)
        gain = a * self.variance / (bar * self.variance + 1.0 - bar)
        return gain, self.mean * (1.0 - gain * a)

    def score(self, bar: float) -> tuple[Array, Array]:
        """The score at abar as slope and shift of x."""
        gain, shift = self.guess(bar)
        a = math.sqrt(bar)
        return (a * gain - 1.0) / (1.0 - bar), a * shift / (1.0 - bar)


def _step(method: str, modes: _Modes, A: float, B: float) -> tuple[Array, Array, float]:
    """One step as slope and shift of x_t, and the variance that is added."""
    last = B == 1.0
    if method.startswith("ddpm"):
        of_x, of_guess, small = _posterior(A, B)
        gain, shift = modes.guess(A)
        mmse = (modes.variance * (1.0 - A) / (A * modes.variance + 1.0 - A)).mean()
        noise = {
            "ddpm-small": small,
            "ddpm-large": 1.0 - A / B,
            "ddpm-optimal": small + of_guess**2 * mmse,
        }[method]
        return of_x + of_guess * gain, of_guess * shift, 0.0 if last else float(noise)
    if method == "ddim":
        gain, shift = modes.guess(A)
        kept = math.sqrt((1.0 - B) / (1.0 - A))
        of_guess = math.sqrt(B) - kept * math.sqrt(A)
        return kept + of_guess * gain, of_guess * shift, 0.0
    b = math.log(B / A)
    slope, shift = modes.score(A)
    if method == "euler-maruyama":
        return 1.0 + b * (0.5 + slope), b * shift, 0.0 if last else b
    first = 1.0 + 0.5 * b * (1.0 + slope), 0.5 * b * shift  # Euler's step
    if method == "ode-euler" or last:
        return *first, 0.0
    end_slope, end_shift = modes.score(B)
    second = 1.0 + 0.5 * b * (1.0 + end_slope)
    # x + (k1 + k2) / 2 = (x + second(first(x))) / 2, k2 = second - 1 at the end of Euler's step.
    return 0.5 * (1.0 + second * first[0]), 0.5 * (second * first[1] + 0.5 * b * end_shift), 0.0


def _posterior(A: float, B: float) -> tuple[float, float, float]:
    """q(x_{t-1} | x_t, x_0): its mean's weights of x_t and x_0, and its variance beta~."""
    beta = (B - A) / B
    return (
        math.sqrt(A / B) * (1.0 - B) / (1.0 - A),
        math.sqrt(B) * beta / (1.0 - A),
        beta * (1.0 - B) / (1.0 - A),
    )


def _ladder(schedule: Any) -> Array:
    """Squared amplitudes from 1 downwards, checked."""
    bars = real_array(getattr(schedule, "alpha_bar", schedule), "schedule.alpha_bar")
    if bars.ndim != 1 or len(bars) < 2 or not np.isfinite(bars).all():
        raise InvalidInput(
            f"schedule={schedule!r} has no `alpha_bar` of finite numbers (T + 1,); in continuous "
            "time take its levels of T steps."
        )
    if not (bars[0] <= 1.0 and bars[-1] > 0.0 and (np.diff(bars) < 0.0).all()):
        raise InvalidInput(
            f"alpha_bar goes from {bars[0]:g} to {bars[-1]:g}; it must fall in every step and stay "
            "inside (0, 1]: squared amplitudes of the data, the data's end first."
        )
    return bars if bars[0] == 1.0 else np.append(1.0, bars)


def _steps(bars: Array) -> Iterator[tuple[float, float]]:
    """(abar_t, abar_{t-1}) from the noisy end on."""
    for t in range(len(bars) - 1, 0, -1):
        yield float(bars[t]), float(bars[t - 1])


def _as_gaussian(target: Target) -> Gaussian:
    if isinstance(target, Gaussian):
        return target
    factors = target.factors if isinstance(target, Product) else (target,)
    if all(_is_gaussian(f) for f in factors):
        return Gaussian(target.mean(), target.covariance())
    raise MissingCapability(
        f"{target!r} is no Gaussian, so its denoiser is not affine and the sampler's law has no "
        "closed form. Simulate instead: run the sampler with target.denoiser in the network's "
        "place, and compare with that."
    )


def _is_gaussian(target: Target) -> bool:
    one = isinstance(target, GaussianMixture) and len(target.weights) == 1
    return one or isinstance(target, Gaussian)
