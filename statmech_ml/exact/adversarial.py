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

Expectations are integrals, computed as `exact.quadrature` does. Functions of x are called with
float64 arrays.

I. Goodfellow et al., NeurIPS (2014), arXiv:1406.2661, propositions 1 and 2; T. Salimans et al.,
NeurIPS (2016), arXiv:1606.03498, section 3.4 (smoothed labels); M. Arjovsky and L. Bottou, ICLR
(2017), arXiv:1701.04862, theorem 2.5 and section 2.2.1 (the gradients); I. Gulrajani et al.,
NeurIPS (2017), arXiv:1704.00028 (the penalty).
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import quadrature
from statmech_ml.exact._arguments import Values, finite_number, like_input, real_array
from statmech_ml.exact.quadrature import Integral

Array = NDArray[np.float64]
Function = Callable[[Array], Array]


def optimal_score(log_data: ArrayLike, log_model: ArrayLike, label: float = 1.0) -> Values:
    """The critic's best score, the logit of D*: log p_r - log p_g for s = 1.

    Parameters and result as those of `optimal_discriminator`.
    """
    s = _label(label)
    log_r, log_g = real_array(log_data, "log_data"), real_array(log_model, "log_model")
    logit = log_r - log_g
    if s == 1.0:
        return like_input(np.asarray(logit))
    # D* / (1 - D*) = s r / (1 + (1 - s) r) with r = p_r / p_g
    return like_input(np.asarray(math.log(s) + logit - np.logaddexp(0.0, math.log1p(-s) + logit)))


def optimal_discriminator(log_data: ArrayLike, log_model: ArrayLike, label: float = 1.0) -> Values:
    """D* = s p_r / (p_r + p_g), from log-densities at the same points.

    Parameters
    ----------
    log_data, log_model
        log p_r and log p_g, of any shapes that broadcast; normalised alike.
    label
        s in (0, 1], the label of data: 1 - label_smoothing of `GAN`. Labels of the model's
        configurations are 0 ("one-sided").

    Returns
    -------
    float, or array of the shape to which the arguments broadcast.

    >>> optimal_discriminator(-1.0, -1.0), optimal_discriminator(-1.0, -1.0, label=0.5)
    (0.5, 0.25)
    """
    log_r, log_g = real_array(log_data, "log_data"), real_array(log_model, "log_model")
    return like_input(np.asarray(_label(label) * expit(log_r - log_g)))


def value(
    log_data: Function, log_model: Function, score: Function | None = None, label: float = 1.0
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
        return np.asarray(optimal_score(log_data(x), log_model(x), s))

    def on_data(x: Array) -> Array:
        scores = a(x)
        return -s * np.logaddexp(0.0, -scores) - (1.0 - s) * np.logaddexp(0.0, scores)

    return _sum(_mean(log_data, on_data), _mean(log_model, lambda x: -np.logaddexp(0.0, a(x))))


def jensen_shannon(log_data: Function, log_model: Function) -> Integral:
    """JSD = KL(p_r || m) / 2 + KL(p_g || m) / 2 with m = (p_r + p_g) / 2, in nats.

    Arguments and result as those of `value`, which gives it from D* in another way.

    >>> from scipy.stats import norm
    >>> js = jensen_shannon(norm(0.0, 1.0).logpdf, norm(1.0, 1.0).logpdf)
    >>> round(js.value, 10)
    0.1114214822
    """
    log_2 = math.log(2.0)

    def above(one: Function, other: Function) -> Function:
        return lambda x: 0.5 * (log_2 - np.logaddexp(0.0, other(x) - one(x)))

    return _sum(
        _mean(log_data, above(log_data, log_model)), _mean(log_model, above(log_model, log_data))
    )


def generator_gradient(
    log_data: Function,
    log_model: Function,
    score_data: Function,
    score_model: Function,
    objective: Literal["minimax", "non-saturating", "both"],
    velocity: Function | None = None,
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

    return _mean(log_model, integrand)


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


def _mean(log_density: Function, f: Function) -> Integral:
    return quadrature.mean(lambda x: -log_density(x), f)


def _sum(a: Integral, b: Integral) -> Integral:
    return Integral(a.value + b.value, a.error + b.error)


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
