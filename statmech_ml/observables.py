"""What is measured on configurations, and the quantities derived from series of energy and
magnetisation.

Pure numpy on arrays of states; totals are float64 totals, whatever integer type the spins have.
Nothing here knows a model. `DERIVED` lists the quantities that `estimate` (and `Chain.estimate`)
can name:

    energy_per_site      <E> / N
    specific_heat        beta^2 (<E^2> - <E>^2) / N
    magnetization        <M> / N
    abs_magnetization    <|M|> / N
    susceptibility       beta (<M^2> - <|M|>^2) / N
    binder               1 - <M^4> / (3 <M^2>^2)

Reference: K. Binder, Z. Phys. B 43, 119 (1981), doi:10.1007/BF01293604 (fourth-order cumulant).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from statmech_ml.errors import InvalidInput
from statmech_ml.statistics.autocorrelation import FloatArray, as_chains
from statmech_ml.statistics.estimate import Estimate, OnShort, mean
from statmech_ml.statistics.jackknife import jackknife

_TRANSFORM_BYTES = 2**25  # configurations are transformed in batches of about this size


def magnetization(states: npt.ArrayLike) -> FloatArray:
    """Total magnetisation M = sum_i s_i of each configuration.

    Parameters
    ----------
    states
        (..., n) spins (int8 in {-1, +1}, or any real numbers).

    Returns
    -------
    M : (...) float64
        In spins, not per site; exact for integers.

    Raises
    ------
    InvalidInput
        States without a site axis.

    Examples
    --------
    >>> import numpy as np
    >>> magnetization(np.ones((2, 1000), dtype=np.int8))
    array([1000., 1000.])
    """
    spins = _sites(states)
    # Integers are added as int64, in which no number of int8 spins overflows.
    total = np.int64 if spins.dtype.kind in "bui" else np.float64
    return np.asarray(np.sum(spins, axis=-1, dtype=total), dtype=np.float64)


def staggered_magnetization(states: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Staggered magnetisation M_s = sum_i (-1)^(x_i + y_i + ...) s_i, the order of an
    antiferromagnet.

    Parameters
    ----------
    states
        (..., n) spins, sites in row-major order of `shape`.
    shape
        Sides of the lattice. On a periodic lattice odd sides have no two sublattices: the sum is
        defined, but the antiferromagnet is frustrated there.

    Returns
    -------
    M_s : (...) float64

    Raises
    ------
    InvalidInput
        A shape whose product is not n.

    Examples
    --------
    >>> staggered_magnetization([1, -1, -1, 1], shape=(2, 2))
    array(4.)
    """
    spins = _sites(states)
    _check_shape(spins, shape)
    signs = 1 - 2 * (np.indices(shape).sum(axis=0).ravel() % 2)
    even = magnetization(spins[..., signs > 0])
    return np.asarray(even - magnetization(spins[..., signs < 0]))


def correlation_function(
    states: npt.ArrayLike,
    shape: tuple[int, ...],
    *,
    connected: bool = False,
    average: bool = True,
) -> FloatArray:
    """Two-point function of spins on a periodic lattice, averaged over all sites, by FFT.

        G(r) = 1/N sum_x s(x) s(x + r),   connected: G(r) - sbar^2

    with sbar the mean spin of all the states given. Sum rule: sum_r G(r) = M^2 / N. Cost: O(N log
    N) per configuration instead of O(N^2).

    Parameters
    ----------
    states
        (..., n) spins, sites in row-major order of `shape`.
    shape
        Sides of the periodic lattice.
    connected
        Subtract sbar^2.
    average
        Average over the leading axes too. False keeps them, for a series (chain, draw) of G at one
        r that `statistics.mean` can give an error.

    Returns
    -------
    G : `shape`, or (..., *shape), float64
        G[r] at displacement r; negative displacements wrap around, G[0, ..., 0] = <s^2>.

    Raises
    ------
    InvalidInput
        A shape whose product is not n, or no states.

    Examples
    --------
    >>> import numpy as np
    >>> correlation_function(np.array([1, 1, 1, -1], dtype=np.int8), shape=(4,))
    array([1., 0., 0., 0.])
    """
    spins = _sites(states)
    _check_shape(spins, shape)
    n_sites = spins.shape[-1]
    flat = spins.reshape(-1, *shape)
    if flat.shape[0] == 0:
        raise InvalidInput("correlation_function was given no states. Give at least one.")
    axes = tuple(range(1, len(shape) + 1))
    step = max(1, _TRANSFORM_BYTES // (8 * n_sites))
    kept = np.empty(flat.shape) if not average else None
    power_sum: Any = 0.0
    for start in range(0, flat.shape[0], step):
        transformed = np.fft.rfftn(flat[start : start + step].astype(np.float64), axes=axes)
        power = transformed.real**2 + transformed.imag**2
        if kept is None:
            power_sum = power_sum + power.sum(axis=0, keepdims=True)
        else:
            kept[start : start + step] = np.fft.irfftn(power, s=shape, axes=axes)
    if kept is None:
        g = np.fft.irfftn(power_sum, s=shape, axes=axes)[0] / (n_sites * flat.shape[0])
    else:
        g = kept.reshape(*spins.shape[:-1], *shape) / n_sites
    if connected:
        g -= float(np.mean(magnetization(spins)) / n_sites) ** 2
    return np.asarray(g, dtype=np.float64)


class Derived(NamedTuple):
    """A quantity made from means of recorded observables.

    Attributes
    ----------
    requires
        Names of the observables it is made from, among "energy" and "magnetization".
    series
        `series(*observables, n_sites)`: the series (chain, draw) whose means are taken, in that
        order. Constants that the function does not need are subtracted here, before any squaring.
    function
        `function(*means, beta, n_sites)` of those means, element by element; None where the
        quantity is the mean of its only series.
    """

    requires: tuple[str, ...]
    series: Callable[..., tuple[FloatArray, ...]]
    function: Callable[..., FloatArray] | None = None


def _centred(x: FloatArray) -> FloatArray:
    return np.asarray(x - x.mean())


def _per_site(x: FloatArray, n_sites: int) -> tuple[FloatArray, ...]:
    return (x / n_sites,)


def _abs_per_site(x: FloatArray, n_sites: int) -> tuple[FloatArray, ...]:
    return (np.abs(x) / n_sites,)


def _energy_moments(energy: FloatArray, n_sites: int) -> tuple[FloatArray, ...]:
    e = _centred(energy)
    return e, e**2


def _abs_moments(total: FloatArray, n_sites: int) -> tuple[FloatArray, ...]:
    m = _centred(np.abs(total))  # M^2 = |M|^2: the susceptibility is the variance of |M|
    return m, m**2


def _even_moments(total: FloatArray, n_sites: int) -> tuple[FloatArray, ...]:
    m = total / n_sites
    return m**2, m**4


def _specific_heat(e: FloatArray, e2: FloatArray, *, beta: float, n_sites: int) -> FloatArray:
    return np.asarray(beta**2 * (e2 - e**2) / n_sites)


def _susceptibility(m: FloatArray, m2: FloatArray, *, beta: float, n_sites: int) -> FloatArray:
    return np.asarray(beta * (m2 - m**2) / n_sites)


def _binder(m2: FloatArray, m4: FloatArray, *, beta: float, n_sites: int) -> FloatArray:
    return np.asarray(1.0 - m4 / (3.0 * m2**2))


DERIVED: dict[str, Derived] = {
    "energy_per_site": Derived(("energy",), _per_site),
    "specific_heat": Derived(("energy",), _energy_moments, _specific_heat),
    "magnetization": Derived(("magnetization",), _per_site),
    "abs_magnetization": Derived(("magnetization",), _abs_per_site),
    "susceptibility": Derived(("magnetization",), _abs_moments, _susceptibility),
    "binder": Derived(("magnetization",), _even_moments, _binder),
}


def estimate(
    name: str,
    *,
    energy: npt.ArrayLike | None = None,
    magnetization: npt.ArrayLike | None = None,
    beta: float,
    n_sites: int,
    on_short: OnShort = "raise",
    coupled: bool = False,
) -> Estimate:
    """A derived quantity of `DERIVED` with its error, from series of totals.

    Means get their error from tau_int, functions of means from the jackknife.

    Parameters
    ----------
    name
        A key of `DERIVED`.
    energy, magnetization
        (chain, draw) or (draw,) totals: E in units of the coupling, M in spins. Only what the
        quantity needs must be given.
    beta
        Inverse temperature of all the chains given, one number.
    n_sites
        Number of sites N.
    on_short
        "raise" ShortChain when the chains are too short for an error, or "accept" a conservative
        one.
    coupled
        Whether the chains are the walkers of one ensemble, of which only the means over all
        walkers make a Markov series; n, tau_int and ess then count draws of the ensemble.

    Returns
    -------
    Estimate

    Raises
    ------
    InvalidInput
        An unknown name, an observable not given, a beta or n_sites that cannot be, or a quantity
        that does not fluctuate in the series.
    ShortChain
        See `statistics.mean` and `statistics.jackknife`.

    Examples
    --------
    >>> import numpy as np
    >>> M = np.random.default_rng(1).normal(scale=8.0, size=(4, 2500))  # 64 free spins: chi = beta
    >>> estimate("magnetization", magnetization=M, beta=0.5, n_sites=64).z(exact=0.0) < 4
    True
    """
    if name not in DERIVED:
        raise InvalidInput(f"{name!r} is not a quantity known here. Known: {', '.join(DERIVED)}.")
    _check_ensemble(beta, n_sites)
    derived = DERIVED[name]
    given = {"energy": energy, "magnetization": magnetization}
    observables = {key: as_chains(x, key) for key, x in given.items() if x is not None}
    missing = [key for key in derived.requires if key not in observables]
    if missing:
        raise InvalidInput(
            f"{name!r} is made from {' and '.join(derived.requires)}, but {missing[0]} was not "
            "recorded. Record it while sampling, or keep the states and measure it on them."
        )
    series = derived.series(*[observables[key] for key in derived.requires], n_sites=n_sites)
    if coupled:
        series = tuple(x.mean(axis=0, keepdims=True) for x in series)
    function = derived.function
    if function is None:
        return mean(series[0], on_short=on_short)
    return jackknife(
        lambda *means: function(*means, beta=float(beta), n_sites=n_sites),
        *series,
        on_short=on_short,
    )


def _check_ensemble(beta: float, n_sites: int) -> None:
    if np.ndim(beta) != 0:
        raise InvalidInput(
            f"beta has shape {np.shape(beta)}, but an estimate belongs to one temperature. "
            "Give the chains of one beta at a time."
        )
    if not math.isfinite(beta):
        raise InvalidInput(f"beta={beta!r} is not a finite number. Give the inverse temperature.")
    if n_sites < 1:
        raise InvalidInput(f"n_sites={n_sites!r} is not a number of sites. Give N >= 1.")


def _sites(states: npt.ArrayLike) -> npt.NDArray[Any]:
    spins = np.asarray(states)
    if spins.ndim == 0:
        raise InvalidInput("states is a single number, but needs a last axis of sites, (..., n).")
    if spins.dtype.kind not in "buif":
        raise InvalidInput(f"states has dtype {spins.dtype}, but spins are real numbers.")
    return spins


def _check_shape(spins: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
    whole = isinstance(shape, tuple | list) and all(isinstance(n, int | np.integer) for n in shape)
    if not whole:
        raise InvalidInput(
            f"shape={shape!r} is not a tuple of whole numbers. Give the sides of the lattice: "
            "(rows, columns), or (length,) for a chain."
        )
    if not shape or min(shape) < 1 or math.prod(shape) != spins.shape[-1]:
        raise InvalidInput(
            f"shape={shape} holds {math.prod(shape)} sites, but each state has {spins.shape[-1]}. "
            "Give the sides of the lattice that the states live on."
        )
