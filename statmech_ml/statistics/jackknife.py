"""Jackknife: error and bias of any function of means, from correlated chains.

Blocks of consecutive draws are left out in turn. They lie inside chains, and are long enough that
what is left out does not know of its neighbours, so the spread of the leave-one-out values carries
the autocorrelation by itself.

How long is decided by the quantity itself. To first order f fluctuates as its *influence series*

    y_i = (n - 1) (f(means) - f(means without draw i)),

one number per draw, and tau_int of that series is the one that matters: the energy of a lattice can
decorrelate slowly while its specific heat does not. Cost: f on n leave-one-out means, once.

References
----------
F. M. T. A. Busing, E. Meijer, R. van der Leeden, Statistics and Computing 9, 3 (1999),
doi:10.1023/A:1008800423698 (delete-m jackknife for blocks of unequal length).
U. Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3 (autocorrelation
of derived quantities).
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics.autocorrelation import (
    MIN_INDEPENDENT,
    FloatArray,
    as_chains,
    constant_message,
    is_constant,
    measure_tau,
)
from statmech_ml.statistics.estimate import (
    Estimate,
    OnShort,
    answer_or_raise,
    check_on_short,
    many_independent,
    upper_tau,
)

# A block of ten tau_int misses a tenth of the variance, a twentieth of the error.
_SHORTEST_BLOCK = 10.0


def jackknife(
    f: Callable[..., Any],
    *series: npt.ArrayLike,
    n_blocks: int | None = None,
    on_short: OnShort = "raise",
) -> Estimate:
    """Bias-corrected value and error of f(<x>, <y>, ...), a function of means of correlated series.

        theta_j = f(means without block j),   h_j = n / m_j   (m_j draws in block j of g)
        value = g theta - sum_j (1 - 1/h_j) theta_j
        stderr^2 = 1/g sum_j (h_j theta - (h_j - 1) theta_j - value)^2 / (h_j - 1)

    Left to itself the block length is b = (8 n tau_int^2)^(1/3), where the share tau_int / b of
    the variance that blocks miss is a quarter of the noise that n / b blocks leave in it.

    Parameters
    ----------
    f
        Called with one array of means per series, all of the same shape (k,), and returns k values.
        Write it with numpy operations: `lambda e, e2: beta**2 * (e2 - e**2)`.
    series
        (chain, draw) or (draw,) each, all of one shape, any units. Subtract constants that f does
        not need (centre energies before squaring): f sees means in double precision and nothing
        else.
    n_blocks
        Blocks in all chains together, a multiple of the number of chains. Chosen from tau_int if
        None.
    on_short
        What to do when there are not twenty blocks (or `n_blocks`) long enough: "raise", or
        "accept" a conservative error, the larger of what blocks and tau_int give.

    Returns
    -------
    Estimate
        tau_int and ess of the influence series, as the blocks measure them.

    Raises
    ------
    InvalidInput
        Series that never change or differ in shape, an f that is not finite, does not respond to
        its arguments or is not vectorised, an n_blocks that the chains cannot be cut into.
    ShortChain
        Blocks too few or too short for tau_int, or chains that disagree. Its `partial` is the
        Estimate that on_short="accept" returns.

    References
    ----------
    Busing, Meijer and van der Leeden (1999), doi:10.1023/A:1008800423698; Wolff (2004),
    doi:10.1016/S0010-4655(03)00467-3; R. M. Lee et al., Phys. Rev. E 83, 066706 (2011),
    doi:10.1103/PhysRevE.83.066706 (block length).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(scale=2.0, size=(4, 2500))
    >>> print(jackknife(lambda mean, square: square - mean**2, x, x**2))
    3.988(55)
    """
    check_on_short(on_short)
    chains = _same_shape(series)
    n_chains, n_draws = chains[0].shape
    n = n_chains * n_draws
    totals = [float(x.sum()) for x in chains]
    theta = float(_values(f, [np.array([total / n]) for total in totals])[0])
    influence = _influence(f, chains, totals, theta)

    result, trouble = measure_tau(influence)
    by_chain = trouble == "short" and many_independent(influence)
    if n_blocks is not None:
        per_chain = _requested_blocks(n_blocks, n_chains, n_draws)
        enough = by_chain and per_chain == 1
        enough |= not trouble and n_draws / per_chain >= _SHORTEST_BLOCK * result.tau_int
    else:
        length = math.ceil((8.0 * n * max(result.tau_int, 0.5) ** 2) ** (1.0 / 3.0))
        per_chain = 1 if by_chain else max(1, n_draws // length)
        if trouble and not by_chain:
            # tau_int is only a lower bound: as few blocks, as long as possible, as give an error.
            per_chain = min(n_draws, -(-MIN_INDEPENDENT // n_chains))
        enough = (by_chain or not trouble) and n_chains * per_chain >= MIN_INDEPENDENT

    variance = result.variance
    value, stderr = _delete_blocks(f, chains, totals, theta, per_chain)
    if enough and stderr > 0.0:
        return _with_inflation(value, stderr, variance, n)
    floor = math.sqrt(2.0 * upper_tau(influence, result) * variance / n)
    partial = _with_inflation(value, max(stderr, floor), variance, n)
    if trouble:
        return answer_or_raise(partial, trouble, influence, result, 50.0, on_short)
    if on_short == "accept":
        return partial
    raise ShortChain(
        f"{n_chains} x {n_draws} draws cut into {n_chains * per_chain} blocks are too short for "
        f"a jackknife: tau_int of the quantity is {result.tau_int:.3g}, and blocks should hold "
        f"{_SHORTEST_BLOCK:g} of it and number at least {MIN_INDEPENDENT}. Draw at least "
        f"{300 * result.tau_int:.0f} in all"
        + ("" if n_blocks is None else ", or leave n_blocks to be chosen")
        + ".",
        partial,
    )


def _same_shape(series: tuple[npt.ArrayLike, ...]) -> list[FloatArray]:
    if not series:
        raise InvalidInput("jackknife(f) was given no series. Pass the series whose means f takes.")
    chains = [as_chains(x, f"series {i}") for i, x in enumerate(series)]
    shapes = {x.shape for x in chains}
    if len(shapes) > 1:
        raise InvalidInput(
            f"The series have shapes {sorted(shapes)}, but a draw must have a value in each. "
            "Measure all of them on the same draws."
        )
    if chains[0].size < 2:
        raise InvalidInput("A jackknife needs at least two draws, and one was given.")
    if all(is_constant(x) for x in chains):
        raise InvalidInput(constant_message("Every series", chains[0]))
    return chains


def _values(f: Callable[..., Any], means: list[FloatArray]) -> FloatArray:
    """f at k sets of means, checked: k finite numbers."""
    with np.errstate(all="ignore"):  # a division by zero in f is reported below, as an error
        values = np.asarray(f(*means), dtype=np.float64)
    if values.shape != means[0].shape:
        raise InvalidInput(
            f"f returned shape {values.shape} for means of shape {means[0].shape}. It must work "
            "element by element on arrays of means, with numpy functions, and return one number "
            "for each."
        )
    if not np.all(np.isfinite(values)):
        at = int(np.argmin(np.isfinite(values)))
        raise InvalidInput(
            f"f is {values[at]} at the means {tuple(float(m[at]) for m in means)}. It must be "
            "finite at the means of all draws and of all but a few; look for a division by a "
            "mean that vanishes."
        )
    return values


def _influence(
    f: Callable[..., Any], chains: list[FloatArray], totals: list[float], theta: float
) -> FloatArray:
    """What each draw adds to f, to first order; (chain, draw)."""
    n = chains[0].size
    without = [(total - x.ravel()) / (n - 1) for x, total in zip(chains, totals, strict=True)]
    values = _values(f, without)
    spread = float(values.max() - values.min())
    size = max(abs(theta), float(np.abs(values).max()))
    if spread <= 100.0 * np.finfo(np.float64).eps * size:
        raise InvalidInput(
            f"f is {theta!r} whichever draw is left out, so it does not respond to the "
            "fluctuations of its series and they give it no error. If it is a constant (a factor "
            "beta = 0, say), quote it as exact; if it cancels large means, subtract a constant "
            "from the series first."
        )
    return ((n - 1) * (theta - values)).reshape(chains[0].shape)


def _requested_blocks(n_blocks: int, n_chains: int, n_draws: int) -> int:
    per_chain, left = divmod(n_blocks, n_chains)
    if left or n_blocks < 2 or not 1 <= per_chain <= n_draws:
        raise InvalidInput(
            f"n_blocks={n_blocks} cannot be cut from {n_chains} chains of {n_draws} draws, "
            "because blocks do not cross from one chain to the next. Give a multiple of "
            f"{n_chains}, at least 2 and at most {n_chains * n_draws}, or leave it out."
        )
    return per_chain


def _delete_blocks(
    f: Callable[..., Any],
    chains: list[FloatArray],
    totals: list[float],
    theta: float,
    per_chain: int,
) -> tuple[float, float]:
    """Value and error by Busing et al. (1999); blocks differ in length by one draw at most."""
    n_chains, n_draws = chains[0].shape
    n = n_chains * n_draws
    edges = np.linspace(0, n_draws, per_chain + 1).astype(np.int64)
    m = np.tile(np.diff(edges), n_chains)
    if m.size < 2:
        return theta, math.inf
    without = [
        (total - np.add.reduceat(x, edges[:-1], axis=1).ravel()) / (n - m)
        for x, total in zip(chains, totals, strict=True)
    ]
    values = _values(f, without)
    h = n / m
    value = float(m.size * theta - np.sum((1.0 - 1.0 / h) * values))
    pseudo = h * theta - (h - 1.0) * values
    return value, math.sqrt(float(np.mean((pseudo - value) ** 2 / (h - 1.0))))


def _with_inflation(value: float, stderr: float, variance: float, n: int) -> Estimate:
    """tau_int such that stderr = sqrt(2 tau_int variance / n)."""
    tau = 0.5 * n * stderr**2 / variance
    return Estimate(value, stderr, tau, n / (2.0 * tau), n)
