"""Bennett's acceptance ratio: log Z from the work between two states, sampled at both.

With w_F = u_1(x) - u_0(x) for n_F samples of state 0, w_R = u_0(x) - u_1(x) for n_R samples of
state 1, and M = log(n_F / n_R), the difference D = log Z_0 - log Z_1 solves

    sum_F f(M + w_F - D) = sum_R f(-M + w_R + D),    f(t) = 1 / (1 + e^t).

No other estimator from these numbers has a smaller variance, and it is the two-state case of MBAR.
The works may as well be those of switching out of equilibrium, forward and reverse. Along a ladder
neighbouring pairs share samples, so their errors are not independent: the total's is taken from the
influences of each chain on all pairs together.

C. H. Bennett, J. Comput. Phys. 22, 245 (1976), doi:10.1016/0021-9991(76)90078-4; M. R. Shirts, E.
Bair, G. Hooker and V. S. Pande, Phys. Rev. Lett. 91, 140601 (2003),
doi:10.1103/PhysRevLett.91.140601.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit

from ..errors import InvalidInput, StatmechError
from ._equilibrium import (
    DEFAULT_BURN_IN,
    DEFAULT_CHAINS,
    DEFAULT_DRAWS,
    correlation,
    drift,
    effective,
    equilibrate,
    settings,
)
from ._influence import Clusters, stderr
from ._mbar_result import real_numbers
from .logz import CONSTANT, LogZ, judge
from .path import Path

_NO_OVERLAP = 1e-100  # sum of p_0 p_1

_LARGEST = 1e150  # kT, of works: their squares are numbers
# Works that differ by less than this are equal up to the rounding of the energies.
_EQUAL = 1e-12


def bar(
    path: Path,
    n_levels: int | None = None,
    n_chains: int = DEFAULT_CHAINS,
    *,
    rng: Any,
    n_draws: int = DEFAULT_DRAWS,
    burn_in: int = DEFAULT_BURN_IN,
    thin: int = 1,
    exchange: bool = False,
    ladder: Any = None,
) -> LogZ:
    """log Z of a path's target by Bennett's acceptance ratio between neighbouring levels.

    Parameters
    ----------
    path : Path
    n_levels : int, default 16
        Number of steps of an even ladder.
    n_chains : int, default 32
        Independent chains, at least 4, each with samples at all levels; their scatter is the error.
    rng : int or numpy Generator
        The seed. There is no default.
    n_draws : int, default 200
        Samples of each chain at each level.
    burn_in : int, default 50
        Sweeps at each level on the way up. After them all levels run n_draws thin sweeps more, with
        exchange where there is any, before the first sample.
    thin : int, default 1
        Sweeps between samples.
    exchange : bool, default False
        Whether neighbouring levels of a chain exchange configurations (`ReplicaExchange`).
    ladder : array, optional
        Increasing lambdas from 0 to 1, in place of n_levels.

    Returns
    -------
    LogZ
        lower and upper are the mean works, bounds in equilibrium. diagnostics: differences (of log
        Z, by pairs) and their stderr; overlap (least of the pairs), overlaps; tau, ess (least of
        the levels, and no more than the error allows), drift (change of log Z between the halves of
        the run, in errors), n_chains, n_draws, ladder, cost, provenance; acceptance, and with
        exchange swap_acceptance and round_trips.

    Raises
    ------
    InvalidInput
        For arguments that cannot work, and energies that are NaN or -inf.
    StatmechError
        When every sample of a level is forbidden at its neighbour.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> from statmech_ml.partition import Tempering
    >>> path = Tempering(Ising(lattices.square(4, 4)), beta=0.3)
    >>> result = bar(path, n_levels=4, rng=1, n_draws=50)  # exact: 12.786
    >>> result.ok, abs(result.z(exact=12.7858)) < 4
    (True, True)
    """
    run = settings("bar", path, n_levels, n_chains, rng, n_draws, burn_in, thin, exchange, ladder)
    lams = run.lams

    def works(x: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Work to the level above and to the level below, (2, chain)."""
        k = np.searchsorted(lams, at)
        here = path.reduced_energy(x, at)
        up = path.reduced_energy(x, lams[np.minimum(k + 1, len(lams) - 1)])
        down = path.reduced_energy(x, lams[np.maximum(k - 1, 0)])
        return np.stack([up - here, down - here])

    sampled = equilibrate(path, run, works, evaluations=3)
    up, down = sampled.values
    _check(up, "the works up the ladder")
    _check(down, "the works down the ladder")
    pairs = [_solve(up[k], down[k + 1], f"levels {k} and {k + 1}") for k in range(len(lams) - 1)]
    psi = np.stack([p.forward.sum(axis=1) + p.reverse.sum(axis=1) for p in pairs], axis=1)
    differences = np.array([-pair.difference for pair in pairs])
    tau, ess = correlation(np.concatenate([up[:-1], down[-1:]]))
    error = float(stderr(psi.sum(axis=1)))
    n = up[0].size
    influence = np.zeros(up.shape)
    for k, pair in enumerate(pairs):
        influence[k] += pair.forward
        influence[k + 1] += pair.reverse
    evidence = {
        "overlap": min(pair.overlap for pair in pairs),
        "ess": effective(ess, n, float((influence**2).sum()), error),
        "drift": drift(n * influence),
    }
    if not all(math.isfinite(pair.spread) for pair in pairs):
        error = math.inf
    status = judge(
        **evidence,
        round_trips=sampled.diagnostics.get("round_trips", math.inf),
        n_chains=run.n_chains,
    )
    error = max(error, 1.0 / n)
    if all(pair.constant for pair in pairs):
        status = CONSTANT
    reference = path.log_z_reference
    return LogZ(
        reference + float(differences.sum()),
        error,
        reference - float(up[:-1].mean(axis=(1, 2)).sum()),
        reference + float(down[1:].mean(axis=(1, 2)).sum()),
        "bar",
        status,
        sampled.diagnostics
        | evidence
        | {
            "differences": differences,
            "difference_stderr": stderr(psi),
            "overlaps": np.array([pair.overlap for pair in pairs]),
            "tau": tau,
            "lower_stderr": _stderr_of_mean(up[:-1]),
            "upper_stderr": _stderr_of_mean(down[1:]),
        },
    )


def bar_from_work(
    w_f: Any,
    w_r: Any,
    *,
    clusters_f: Any = None,
    clusters_r: Any = None,
    log_z_reference: float = 0.0,
) -> LogZ:
    """log Z from the works of both directions.

    Parameters
    ----------
    w_f : float (n_f,)
        Work from state 0 to state 1 in units of kT, u_1(x) - u_0(x) for samples of state 0, or that
        of switching from 0 to 1; +inf where state 1 forbids the sample.
    w_r : float (n_r,)
        Work from state 1 to state 0, u_0(x) - u_1(x) for samples of state 1.
    clusters_f, clusters_r : int (n_f,), int (n_r,), optional
        Equal for samples that may be correlated, within and between the two. Without them samples
        count as independent, with the variance 1 / sum_n p_0 p_1 - 1 / n_f - 1 / n_r of two-state
        MBAR, p_k the probability that a sample came from state k.
    log_z_reference : float, default 0.0
        log Z_0.

    Returns
    -------
    LogZ
        lower and upper are the mean works, bounds on average. diagnostics: overlap (see
        `mbar.Mbar`), ess, n_f, n_r, lower_stderr, upper_stderr.

    Raises
    ------
    InvalidInput
        For NaN or -inf, fewer than 2 works, clusters that do not fit or are fewer than 4.
    StatmechError
        When one direction has infinite work in all samples.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)  # Gaussian work, log Z_1 - log Z_0 = 0 where var = 2 mean
    >>> print(bar_from_work(*rng.normal(loc=0.5, size=(2, 1000))))
    log_z = 0.035(23) [bar, ess 1000/1000]
    """
    forward, reverse = (_works(w, name) for w, name in ((w_f, "w_f"), (w_r, "w_r")))
    pair = _solve(forward, reverse, "the two states")
    n = np.array([len(forward), len(reverse)])
    independent = max(0.0, pair.spread - 1.0 / n[0] - 1.0 / n[1])
    variance, ess = independent, float(n.min())
    if (clusters_f is None) != (clusters_r is None):
        raise InvalidInput("Give clusters of both directions, or of neither.")
    if clusters_f is not None and math.isfinite(variance):
        labels = [np.asarray(given) for given in (clusters_f, clusters_r)]
        for name, given, n_works in zip(("clusters_f", "clusters_r"), labels, n, strict=True):
            if given.shape != (n_works,):
                raise InvalidInput(
                    f"{name} has shape {given.shape}; one label is needed for each of {n_works} "
                    "works, (n,)."
                )
        groups = Clusters(np.concatenate(labels), n)
        columns = np.concatenate([pair.forward, pair.reverse])[None]
        psi = groups.influence(groups.sums(columns, 0))
        variance = float(groups.covariance(psi)[0, 0])
        ess *= min(1.0, independent / variance) if variance else 1.0
    evidence = {"overlap": pair.overlap, "ess": ess}
    status, error = judge(**evidence), math.sqrt(variance)
    error = max(error, 1.0 / float(n.min()))
    if pair.constant:
        status = CONSTANT
    return LogZ(
        log_z_reference - pair.difference,
        error,
        log_z_reference - float(forward.mean()),
        log_z_reference + float(reverse.mean()),
        "bar",
        status,
        evidence
        | {
            "n_chains": int(n.min()),
            "n_f": int(n[0]),
            "n_r": int(n[1]),
            "lower_stderr": _stderr_of_mean(forward[None, :, None]),
            "upper_stderr": _stderr_of_mean(reverse[None, :, None]),
        },
    )


class _Pair(NamedTuple):
    """log Z_0 - log Z_1; influences of the works on it; 1 / sum p_0 p_1; overlap."""

    difference: float
    forward: np.ndarray
    reverse: np.ndarray
    spread: float
    overlap: float
    constant: bool


def _solve(w_f: np.ndarray, w_r: np.ndarray, where: str) -> _Pair:
    for w, name in ((w_f, "forward"), (w_r, "reverse")):
        if np.isposinf(w).all():
            raise StatmechError(
                f"All {w.size} {name} works between {where} are infinite: what one state does, "
                "the other forbids, so nothing is known of their difference. Put levels in between "
                "that allow both, or choose a reference that covers the target."
            )
    m = math.log(w_f.size / w_r.size)

    def excess(difference: float) -> float:
        """log of the left side less log of the right side, which rises with the difference."""
        return _log_sum(difference - m - w_f) - _log_sum(m - w_r - difference)

    finite = np.concatenate([w_f[np.isfinite(w_f)], -w_r[np.isfinite(w_r)]])
    low, high, step = float(finite.min()), float(finite.max()), 1.0 + abs(m)
    while excess(low) > 0.0:
        low, step = low - step, 2.0 * step
    while excess(high) < 0.0:
        high, step = high + step, 2.0 * step
    difference = low if low == high else brentq(excess, low, high, xtol=1e-13, rtol=1e-14)
    # Probabilities of the forward samples to be from state 1, and of the reverse ones from state 0.
    p_f, p_r = expit(difference - m - w_f), expit(m - w_r - difference)
    product = float((p_f * (1.0 - p_f)).sum() + (p_r * (1.0 - p_r)).sum())
    squares = ((1.0 - p_f) ** 2).sum() + (p_r**2).sum(), (p_f**2).sum() + ((1.0 - p_r) ** 2).sum()
    constant = len(finite) == w_f.size + w_r.size and bool(
        np.ptp(finite) <= _EQUAL * max(1.0, abs(difference))
    )
    # Without any overlap nothing is known: errors are infinite, and influences do not exist.
    spread = 1.0 / product if product > _NO_OVERLAP else math.inf
    scale = spread if math.isfinite(spread) else 0.0
    return _Pair(
        difference, scale * (p_f.mean() - p_f), scale * (p_r - p_r.mean()), spread,
        product / math.sqrt(squares[0] * squares[1]), constant,
    )  # fmt: skip


def _log_sum(t: np.ndarray) -> float:
    """log of the sum of 1 / (1 + e^-t)."""
    terms = log_expit(t)
    top = float(terms.max())
    return top + math.log(float(np.exp(terms - top).sum()))


def _stderr_of_mean(works: np.ndarray) -> float:
    """Of the sum over pairs of mean works (pair, chain, draw)."""
    if not np.isfinite(works).all():
        return math.inf
    n = works.shape[1]
    return float(works.mean(axis=2).sum(axis=0).std(ddof=1)) / math.sqrt(n)


def _works(given: Any, name: str) -> np.ndarray:
    w = real_numbers(name, given)
    if w.ndim != 1 or len(w) < 2:
        raise InvalidInput(f"{name} has shape {w.shape}; at least 2 works are needed, (n,).")
    _check(w, name)
    if (np.abs(w[np.isfinite(w)]) > _LARGEST).any():
        raise InvalidInput(
            f"{name} holds works beyond {_LARGEST:g} kT, which double precision cannot add up. "
            "Where they stand for what is forbidden, give +inf."
        )
    return w


def _check(w: np.ndarray, name: str) -> None:
    bad = np.isnan(w) | np.isneginf(w)
    if bad.any():
        raise InvalidInput(
            f"{int(bad.sum())} of {w.size} values of {name} are NaN or -inf. Energies must be "
            "numbers, or +inf where a state is forbidden; a sample has a finite energy in its own "
            "state. If they overflow, the reference reaches where the model is not defined: choose "
            "a narrower one."
        )
