"""What the players of a generative adversarial network do when they are perfect, in closed form.

For data p_r and a generator p_g, densities on the line,

    D* = s p_r / (p_r + p_g)                      best discriminator, s the label of data
    V(D) = <log D>_r + <log(1 - D)>_g             value;  V(D*) = 2 JSD - 2 log 2 at s = 1
    grad <log(1 - D*)>_g - grad <log D*>_g = grad KL(p_g || p_r)

where D* stands still while the generator's parameter moves its configurations x. Of two unit
Gaussians mu apart the first of the two gradients, the generator's in the minimax game, vanishes as
exp(-mu^2 / 8): a discriminator that is never wrong teaches nothing. The Wasserstein game has no
such fault; but with a gradient penalty lambda its critic, where it is linear, takes the slope 1 +
mu / (2 lambda) between laws whose means are mu apart.

Expectations are integrals, computed as `exact.quadrature` does, with panels fitted to both
densities; its head says what its bounds cannot see. Functions of x are called with float64 arrays.

I. Goodfellow et al., NeurIPS (2014), arXiv:1406.2661, propositions 1 and 2; T. Salimans et al.,
NeurIPS (2016), arXiv:1606.03498, section 3.4 (smoothed labels); M. Arjovsky and L. Bottou, ICLR
(2017), arXiv:1701.04862, theorem 2.5 and section 2.2.1 (the gradients); I. Gulrajani et al.,
NeurIPS (2017), arXiv:1704.00028 (the penalty).
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _densities, quadrature
from statmech_ml.exact._arguments import Values, finite_number, like_input, real_array
from statmech_ml.exact.quadrature import Integral

Array = NDArray[np.float64]
Function = Callable[[Array], Array]


def optimal_score(log_data: ArrayLike, log_model: ArrayLike, label: float = 1.0) -> Values:
    """The critic's best score, the logit of D*: log p_r - log p_g for s = 1.

    Parameters and result as those of `optimal_discriminator`.
    """
    return like_input(_score(_logit(log_data, log_model), _label(label)))


def optimal_discriminator(log_data: ArrayLike, log_model: ArrayLike, label: float = 1.0) -> Values:
    """D* = s p_r / (p_r + p_g), from log-densities at the same points.

    Parameters
    ----------
    log_data, log_model
        log p_r and log p_g, of any shapes that broadcast; normalised alike. -inf where a density
        vanishes, which only one of the two may do at a point.
    label
        s in (0, 1], the label of data: 1 - label_smoothing of `GAN`. Labels of the model's
        configurations are 0 ("one-sided").

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> optimal_discriminator(-1.0, -1.0), optimal_discriminator(-1.0, -1.0, label=0.5)
    (0.5, 0.25)
    """
    return like_input(np.asarray(_label(label) * expit(_logit(log_data, log_model))))


def value(
    log_data: Function,
    log_model: Function,
    score: Function | None = None,
    label: float = 1.0,
    *,
    points: Iterable[float] = (),
) -> Integral:
    """V = <s log D + (1 - s) log(1 - D)>_r + <log(1 - D)>_g, which the discriminator raises.

    Parameters
    ----------
    log_data, log_model
        log p_r(x) and log p_g(x) on the line, normalised.
    score
        The logit a(x) of a discriminator D = sigmoid(a); that of the best, D*, by default.
    label
        s, as in `optimal_discriminator`. With s = 1 the best value is 2 JSD - 2 log 2.
    points
        Places to look at, as of `exact.quadrature.mean`: where `score` changes abruptly, spikes on
        a broad density.

    Returns
    -------
    Integral
        (value, bound on its absolute error).

    >>> from scipy.stats import norm
    >>> best = value(norm(0.0, 1.0).logpdf, norm(1.0, 1.0).logpdf)
    >>> round(0.5 * best.value + math.log(2.0), 10)
    0.1114214822
    """
    s = _label(label)

    def a(x: Array) -> Array:
        if score is not None:
            return score(x)
        # Nodes far out may lie where both underflow; such a place has no weight.
        log_r, log_g = np.asarray(log_data(x)), np.asarray(log_model(x))
        both = (log_r == -np.inf) & (log_g == -np.inf)
        return _score(np.subtract(log_r, log_g, out=np.zeros_like(log_r), where=~both), s)

    def on_data(x: Array) -> Array:
        scores = a(x)
        return -s * np.logaddexp(0.0, -scores) - (1.0 - s) * np.logaddexp(0.0, scores)

    places = list(points)
    real = _mean(log_data, on_data, log_model, places)
    made = _mean(log_model, lambda x: -np.logaddexp(0.0, a(x)), log_data, places)
    return Integral(real.value + made.value, real.error + made.error)


def jensen_shannon(
    log_data: Function, log_model: Function, *, points: Iterable[float] = ()
) -> Integral:
    """JSD = KL(p_r || m) / 2 + KL(p_g || m) / 2 with m = (p_r + p_g) / 2, in nats.

    Arguments and result as those of `value`, which gives it from D* in another way.

    >>> from scipy.stats import norm
    >>> js = jensen_shannon(norm(0.0, 1.0).logpdf, norm(1.0, 1.0).logpdf)
    >>> round(js.value, 10)
    0.1114214822
    """
    places = list(points)
    return _densities.js(
        log_data,
        log_model,
        _densities.Rule(
            partial(quadrature.log_z, points=places),
            lambda u, f, beside: quadrature.mean(u, f, beside=beside, points=places),
        ),
    )


def generator_gradient(
    log_data: Function,
    log_model: Function,
    score_data: Function,
    score_model: Function,
    objective: Literal["minimax", "non-saturating", "both"],
    velocity: Function | None = None,
    *,
    points: Iterable[float] = (),
) -> Integral:
    """Derivative of what a generator minimises, by a parameter that moves its configurations.

    The discriminator is D*, held fixed. With l = log p_r - log p_g its logit,

        minimax          <-D* l' v>_g         of <log(1 - D*)>_g
        non-saturating   <-(1 - D*) l' v>_g   of -<log D*>_g
        both             <-l' v>_g            their sum, which is d KL(p_g || p_r) / d theta

    Parameters
    ----------
    log_data, log_model
        log p_r(x) and log p_g(x) on the line, normalised.
    score_data, score_model
        Their derivatives by x.
    objective
        "minimax", "non-saturating" or "both".
    velocity
        v(x) = dx/dtheta of the configuration at x; 1 by default, a shift. (x - m) / s is that of a
        width s about m.
    points
        As of `value`.

    Returns
    -------
    Integral
        (derivative, bound on its absolute error).
    """
    if objective not in ("minimax", "non-saturating", "both"):
        raise InvalidInput(
            f"objective={objective!r} must be 'minimax', 'non-saturating' or 'both'."
        )

    def integrand(x: Array) -> Array:
        logit = log_data(x) - log_model(x)
        weight = {
            "minimax": expit(logit), "non-saturating": expit(-logit), "both": np.ones_like(logit)
        }[objective]  # fmt: skip
        slope = score_data(x) - score_model(x)
        return -weight * slope * (1.0 if velocity is None else velocity(x))

    return _mean(log_model, integrand, log_data, list(points))


def saturated_gradient(mu: ArrayLike) -> Values:
    """d <log(1 - D*)>_g / d theta of p_g = N(theta, 1) at theta = 0, for p_r = N(mu, 1).

        -mu exp(-mu^2 / 8) < 1 / (2 cosh(mu z / 2)) >,  z ~ N(0, 1)

    since D* p_g = sqrt(p_r p_g) / (2 cosh(l / 2)) with l the logit of D*. Over exp(-mu^2 / 8) it
    tends to -sqrt(pi / 2) for large mu, and to -mu / 2 for small.

    Parameters
    ----------
    mu
        Distance of the two means, any sign.

    Returns
    -------
    float, or array of the shape of `mu`.

    >>> round(saturated_gradient(2.0), 4)
    -0.4496
    """
    m = real_array(mu, "mu")
    if not np.isfinite(m).all():
        raise InvalidInput("mu holds a number that is not finite.")
    # The trapezoidal rule, whose error falls exponentially for functions as smooth as this one, on
    # a grid as wide as the narrower of its two factors.
    z = np.linspace(-40.0, 40.0, 1601) / np.sqrt(1.0 + 0.25 * m[..., None] ** 2)
    half = 0.5 * np.abs(m[..., None]) * z
    log_integrand = -0.5 * z**2 - np.logaddexp(half, -half) - 0.5 * math.log(2.0 * math.pi)
    average = np.exp(log_integrand).sum(axis=-1) * (z[..., 1] - z[..., 0])
    return like_input(np.asarray(-m * np.exp(-0.125 * m**2) * average))


def penalised_slope(mu: ArrayLike, penalty: float) -> Values:
    """Slope of the linear critic that WGAN-GP trains: 1 + |mu| / (2 lambda).

    A critic a = w x between laws whose means are mu apart maximises w mu - lambda (|w| - 1)^2.

    Parameters
    ----------
    mu
        Distance of the two means.
    penalty
        lambda > 0.

    Returns
    -------
    float, or array of the shape of `mu`: |w|, whose sign is that of mu.

    >>> penalised_slope(2.0, 10.0)
    1.1
    """
    m, strength = real_array(mu, "mu"), _positive(penalty, "penalty")
    return like_input(np.asarray(1.0 + np.abs(m) / (2.0 * strength)))


def penalised_reading(mu: ArrayLike, penalty: float) -> Values:
    """What that critic reads for W1 = |mu|: |mu| (1 + |mu| / (2 lambda)), always too much.

    Arguments and result as those of `penalised_slope`.

    >>> penalised_reading(2.0, 10.0)
    2.2
    """
    m = np.abs(real_array(mu, "mu"))
    return like_input(np.asarray(m * penalised_slope(m, penalty)))


def _logit(log_data: ArrayLike, log_model: ArrayLike) -> Array:
    """log p_r - log p_g, or InvalidInput where there is none."""
    log_r, log_g = np.broadcast_arrays(
        real_array(log_data, "log_data"), real_array(log_model, "log_model")
    )
    for name, log_p in (("log_data", log_r), ("log_model", log_g)):
        if (np.isnan(log_p) | (log_p == np.inf)).any():
            raise InvalidInput(f"{name} holds NaN or +inf, which is no logarithm of a density.")
    if ((log_r == -np.inf) & (log_g == -np.inf)).any():
        raise InvalidInput(
            "Both densities vanish at a point: no discriminator is better than another there. "
            "Leave such points out."
        )
    return np.asarray(log_r - log_g)


def _score(logit: Array, s: float) -> Array:
    """log D* / (1 - D*), with s r / (1 + (1 - s) r) its exponential and r = p_r / p_g."""
    if s == 1.0:
        return logit
    return np.asarray(math.log(s) - np.logaddexp(-logit, math.log1p(-s)))


def _mean(
    log_density: Function, f: Function, log_other: Function, points: Iterable[float]
) -> Integral:
    """<f> under one density, f made of both."""
    return quadrature.mean(
        lambda x: -log_density(x), f, beside=[lambda x: -log_other(x)], points=points
    )


def _label(label: float) -> float:
    s = finite_number(label, "label")
    if not 0.0 < s <= 1.0:
        raise InvalidInput(f"label={label!r} must lie in (0, 1]: it is what data are called.")
    return s


def _positive(value_: float, name: str) -> float:
    number = finite_number(value_, name)
    if number <= 0.0:
        raise InvalidInput(f"{name}={value_!r} must be above 0.")
    return number
