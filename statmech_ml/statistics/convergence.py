"""Have the chains converged? Split R-hat, drift within chains, and arviz's rank-based versions.

R-hat compares chains with each other and needs several that started apart; drift compares the
beginning of the chains with their end and works with one. Neither proves equilibrium: chains stuck
in the same metastable state pass both. Start some ordered and some random.
"""

import math

import numpy as np
import numpy.typing as npt

from statmech_ml.errors import InvalidInput
from statmech_ml.statistics.autocorrelation import (
    FloatArray,
    as_chains,
    constant_message,
    integrated_time,
    is_constant,
)


def split_r_hat(x: npt.ArrayLike) -> float:
    """Gelman and Rubin's potential scale reduction, each chain cut into two halves.

        R = sqrt(((n - 1)/n W + B/n) / W)

    with n the draws in a half, W the mean variance inside halves, and B/n the variance of their
    means. It tends to 1 as the halves come to agree; above 1.01 they have not. Halves that are
    frozen at different values give infinity.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real, at least four draws; of an odd number the middle one is
        left out.

    Returns
    -------
    float

    Raises
    ------
    InvalidInput
        Fewer than four draws, or a series that never changes.

    References
    ----------
    A. Gelman, D. B. Rubin, Statist. Sci. 7, 457 (1992), doi:10.1214/ss/1177011136; A. Vehtari et
    al., Bayesian Anal. 16, 667 (2021), eqs. 1-4, doi:10.1214/20-BA1221.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(4, 1000))
    >>> round(split_r_hat(x), 2), split_r_hat(x + np.arange(4)[:, None]) > 1.5
    (1.0, True)
    """
    halves = _halves(_moving(x, 4))
    n = halves.shape[1]
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    if within == 0.0:
        return math.inf
    return math.sqrt((n - 1) / n + between / within)


def drift_z(x: npt.ArrayLike, first: float = 0.1, last: float = 0.5) -> float:
    """How many errors the first part of the chains lies above their last part (Geweke's
    diagnostic).

        z = (mean_first - mean_last) / sqrt(2 tau_int var (1/n_first + 1/n_last))

    tau_int and var come from the last part, which a forgotten start has spoilt least. In
    equilibrium z is standard normal; |z| > 4 means that burn-in was too short.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real.
    first, last
        Fractions of the draws compared; together at most 1.

    Returns
    -------
    float

    Raises
    ------
    InvalidInput
        Fractions that overlap or hold no draw, or a last part that never changes.
    ShortChain
        tau_int of the last part cannot be measured; then nothing is known about drift either.

    References
    ----------
    J. Geweke, in Bayesian Statistics 4 (1992), p. 169; U. Wolff (2004),
    doi:10.1016/S0010-4655(03)00467-3, for the errors.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(4, 1000))
    >>> abs(drift_z(x)) < 4, drift_z(x + np.exp(-np.arange(1000) / 50)) > 4
    (True, True)
    """
    chains = as_chains(x)
    n_draws = chains.shape[1]
    if not (first > 0.0 and last > 0.0 and first + last <= 1.0):
        raise InvalidInput(
            f"first={first} and last={last} must be positive fractions that do not overlap. "
            "Try 0.1 and 0.5."
        )
    head, tail = chains[:, : int(first * n_draws)], chains[:, n_draws - int(last * n_draws) :]
    if head.size == 0 or tail.size == 0:
        raise InvalidInput(
            f"{n_draws} draws are too few to compare their first {first:g} with their last "
            f"{last:g}. Draw longer, or compare larger parts."
        )
    tau = integrated_time(tail)
    error = math.sqrt(2.0 * tau.tau_int * tau.variance * (1.0 / head.size + 1.0 / tail.size))
    return float(head.mean() - tail.mean()) / error


def rank_r_hat(x: npt.ArrayLike) -> float:
    """Rank-normalised split R-hat, the larger of bulk and tail, from arviz (imported on call).

    It sees chains that differ in spread as well as in mean, and works for heavy tails.

    Parameters
    ----------
    x
        (chain, draw), real, at least four draws.

    Raises
    ------
    InvalidInput
        Fewer than four draws, or a series that never changes.

    References
    ----------
    Vehtari et al. (2021), section 4, doi:10.1214/20-BA1221.

    Examples
    --------
    >>> import numpy as np
    >>> round(rank_r_hat(np.random.default_rng(1).normal(size=(4, 1000))), 2)
    1.0
    """
    chains = _moving(x, 4)
    import arviz

    return float(arviz.rhat(chains, method="rank"))


def ess_bulk(x: npt.ArrayLike) -> float:
    """Effective number of draws of the rank-normalised series, from arviz (imported on call).

    Comparable across quantities whatever their distribution, and not the `ess` of an `Estimate`,
    which is the one that gives the error of the mean.

    Parameters
    ----------
    x
        (chain, draw), real, at least four draws.

    Raises
    ------
    InvalidInput
        Fewer than four draws, or a series that never changes.

    References
    ----------
    Vehtari et al. (2021), section 4, doi:10.1214/20-BA1221.

    Examples
    --------
    >>> import numpy as np
    >>> ess_bulk(np.random.default_rng(1).normal(size=(4, 1000))) > 3000
    True
    """
    chains = _moving(x, 4)
    import arviz

    return float(arviz.ess(chains, method="bulk"))


def _moving(x: npt.ArrayLike, at_least: int) -> FloatArray:
    chains = as_chains(x)
    if chains.shape[1] < at_least:
        raise InvalidInput(
            f"{chains.shape[1]} draws per chain are too few to compare halves of chains. "
            f"Draw at least {at_least}."
        )
    if is_constant(chains):
        raise InvalidInput(constant_message("The series", chains))
    return chains


def _halves(chains: FloatArray) -> FloatArray:
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])
