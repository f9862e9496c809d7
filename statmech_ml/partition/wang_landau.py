"""Wang-Landau sampling by the 1/t algorithm: a random walk that learns the density of states.

A walker proposes another value at a random site and accepts with probability min(1, g(E) / g(E')),
g its present estimate; then log g of the energy where it stands grows by F, and F shrinks:

    F -> F / 2  when all energies met have been visited again,   until F <= 1/t,
    F = 1 / t   from then on,     t = attempted moves / number of energies met.

With F halved for ever, as F. Wang and D. P. Landau, Phys. Rev. Lett. 86, 2050 (2001),
doi:10.1103/PhysRevLett.86.2050, have it, the error stops falling; with 1/t it goes on as t^-1/2:
R. E. Belardinelli and V. D. Pereyra, Phys. Rev. E 75, 046701 (2007),
doi:10.1103/PhysRevE.75.046701. An energy met for the first time starts with the log g of the one
from which it was reached, and F with 1.

While g is learnt the walk is no Markov chain, and a bias of order 1/t is left. So the second half
of a walk keeps g and counts visits: they are proportional to g_true(E) / g(E), as in a
multicanonical run, B. A. Berg and T. Neuhaus, Phys. Rev. Lett. 68, 9 (1992),
doi:10.1103/PhysRevLett.68.9. Walkers are independent and give the errors; one run serves every
temperature.
"""

import math
import time
from dataclasses import replace
from importlib import metadata
from typing import Any, overload

import numpy as np
from scipy.special import logsumexp

from .. import _rng
from .._jit import jit, kernel
from ..errors import InvalidInput
from ..samplers._cpu.local import proposal
from ..samplers._local import check_local
from ..samplers.base import over_chains
from ..systems import EnergyModel, delta_energy, energy, require
from ._arguments import check_count
from ._influence import MIN_CLUSTERS
from .density_of_states import DensityOfStates, mean_log_g, stderr_log_g
from .logz import MAX_WIDTH, LogZ
from .path import Path, Tempering

STREAM = "wang-landau/philox4x32-10/1"

_PROBES = 64  # random states that find the spacing of levels and the first range of energies
_TOLERANCE = 1e-6  # of a spacing by which an energy may miss its level
_MAX_LEVELS = 2**20
_VISITS = 10  # of every energy before F is halved
_RIGHT, _TOO_LOW, _TOO_HIGH, _FORBIDDEN = range(4)


@overload
def wang_landau(
    path: Path,
    n_levels: None = None,
    n_chains: int = 16,
    *,
    rng: Any,
    n_sweeps: int = 20_000,
    bin_width: float | None = None,
) -> LogZ: ...
@overload
def wang_landau(
    path: EnergyModel,
    n_levels: None = None,
    n_chains: int = 16,
    *,
    rng: Any,
    n_sweeps: int = 20_000,
    bin_width: float | None = None,
) -> DensityOfStates: ...
def wang_landau(
    path: Any,
    n_levels: None = None,
    n_chains: int = 16,
    *,
    rng: Any,
    n_sweeps: int = 20_000,
    bin_width: float | None = None,
) -> LogZ | DensityOfStates:
    """The density of states of a discrete model, or log Z at the end of a path to it.

    Parameters
    ----------
    path : EnergyModel or Tempering
        A `Local` model with reduced energy beta E; or a path, for log Z at its beta.
    n_levels : None
        There is no ladder; the levels are the energies.
    n_chains : int, default 16
        Independent walkers, at least 4.
    rng : int or numpy Generator
        The seed. There is no default.
    n_sweeps : int, default 20000
        Sweeps of each walker, n_sites attempted moves each: half to learn g, half to measure; at
        least 20.
    bin_width : float, optional
        Width of energy bins, for models whose energies are no multiples of one unit. Inside a bin
        states are taken to be visited evenly, and weighed by mean and variance of their energy.

    Returns
    -------
    DensityOfStates, or for a path LogZ
        diagnostics of LogZ: density_of_states, log_z_walkers, levels_missed, n_chains, cost,
        provenance.

    Raises
    ------
    MissingCapability
        Unless the model is Local.
    InvalidInput
        For other paths, models with another reduced energy or with forbidden states, energies
        without a common spacing and no bin_width, and counts that are too small.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> ring = wang_landau(Ising(lattices.chain(6)), rng=1)
    >>> ring.energies, np.exp(ring.log_g).round()
    (array([-6., -2.,  2.,  6.]), array([ 2., 30., 30.,  2.]))
    """
    if n_levels is not None:
        raise InvalidInput(
            f"n_levels={n_levels!r}: Wang-Landau has no ladder. Leave it out; n_sweeps= sets the "
            "length of the run."
        )
    check_count("n_chains", n_chains, MIN_CLUSTERS)
    check_count("n_sweeps", n_sweeps, 20)
    if isinstance(path, Path) and not isinstance(path, Tempering):
        raise InvalidInput(
            f"Wang-Landau counts the states of a discrete model, but {path!r} is no such path. Use "
            "Tempering(model, beta), or another estimator, such as ais."
        )
    model, beta = path.target if isinstance(path, Path) else (path, 0.0)
    _check_model(model)
    seed = _rng.seed_from(rng)
    began = time.perf_counter()
    x = model.space.random(seed, np.arange(n_chains, dtype=np.uint32))
    width, origin = _levels(model, seed, bin_width, beta)
    walk, origin = _walks(model, x, seed, n_sweeps, width, origin)
    density = _density(model, walk, width, origin, bin_width is not None)
    sweeps = n_chains * n_sweeps
    diagnostics = {
        "cost": {
            "sweeps": sweeps,
            "energy_evaluations": sweeps,
            "seconds": time.perf_counter() - began,
        },
        "provenance": {
            "path": repr(path),
            "stream": STREAM,
            "seed": str(seed),
            "versions": {p: metadata.version(p) for p in ("statmech-ml", "numpy", "numba")},
        },
    }
    density = replace(density, diagnostics=diagnostics)
    return density.log_z(beta) if isinstance(path, Path) else density


def _check_model(model: Any) -> None:
    require(model, "Local", "Wang-Landau", "Use another estimator, such as ais.")
    check_local(model, "Wang-Landau")
    probes = model.space.random(0, np.arange(8, dtype=np.uint32))
    e = np.asarray(model.energy(probes))
    for beta in (0.5, 1.0):
        u = np.asarray(model.reduced_energy(probes, beta))
        if not np.allclose(u, beta * e, rtol=1e-9, atol=1e-9, equal_nan=True):
            raise InvalidInput(
                f"The reduced energy of {model!r} is not beta times its energy, so a density of "
                "states does not give log Z at any beta. Use another estimator, such as ais."
            )


# --- levels ---------------------------------------------------------------------------------------


def _levels(model: Any, seed: int, bin_width: Any, beta: float) -> tuple[float, float]:
    """Distance of two levels, and the energy of one of them."""
    x = model.space.random(seed, np.arange(_PROBES, dtype=np.uint32))
    values = model.space.values
    sites = np.arange(_PROBES) % model.space.size
    neighbours = x.copy()
    rank = np.searchsorted(values, x[np.arange(_PROBES), sites])
    neighbours[np.arange(_PROBES), sites] = values[(rank + 1) % len(values)]
    energies = np.asarray(model.energy(np.concatenate([x, neighbours])))
    if not np.isfinite(energies).all():
        raise InvalidInput(_FORBIDDEN_STATES.format(model))
    origin = float(energies[0])
    gaps = np.abs(energies - origin)
    scale = max(float(gaps.max()), 1e-12 * float(np.abs(energies).max()))
    if bin_width is not None:
        width = _width(bin_width)
    else:
        width = 0.0
        for gap in np.unique(gaps).tolist():
            while gap > 1e-9 * scale:  # Euclid's algorithm; the rest nearest to zero
                width, gap = gap, abs(width - gap * round(width / gap))
    if not scale > 0.0 or width == 0.0:
        raise InvalidInput(
            f"All of {2 * _PROBES} states of {model!r} have the energy {origin + 0.0:g}: there is "
            "nothing to count. log Z is that of free sites, n_sites log(n_values) - beta E."
        )
    if scale / width > _MAX_LEVELS:
        # Fine enough to see the shape of g, and for the weights at the path's beta.
        fits = min(scale / 100, 0.5 * MAX_WIDTH / beta if beta else math.inf)
        raise InvalidInput(
            f"The energies of {model!r} have no common spacing above {width:.3g}, which gives too "
            f"many levels. Collect them in bins: bin_width={fits:.2g}, for example."
        )
    return width, origin


def _width(given: Any) -> float:
    try:
        width = float(given)
    except (TypeError, ValueError):
        width = math.nan
    if not (math.isfinite(width) and width > 0.0):
        raise InvalidInput(f"bin_width={given!r} must be a positive number.")
    return width


_FORBIDDEN_STATES = (
    "{!r} has states of infinite energy. How many are allowed is unknown, so g cannot be "
    "normalised. Use another estimator, such as ais."
)


# --- walks ----------------------------------------------------------------------------------------


class _Walk:
    """What walkers learn, arrays (walker, level)."""

    def __init__(self, n_walkers: int, n_levels: int) -> None:
        shape = (n_walkers, n_levels)
        self.log_g = np.full(shape, -np.inf)
        self.visits = np.zeros(shape, np.int64)  # since F was halved; then of the measurement
        self.sums = np.zeros((*shape, 2))  # of energies and squares, from the middle of the level
        self.inverse_time = np.zeros(n_walkers, bool)  # whether F = 1/t was reached
        self.ends = np.full(n_walkers, _RIGHT)


def _walks(
    model: Any, x: np.ndarray, seed: int, n_sweeps: int, width: float, origin: float
) -> tuple[_Walk, float]:
    """Run all walkers. Where one leaves the range of levels, it is doubled on that side and the
    walks are repeated: their random numbers are addressed, so they take the same steps again."""
    energies = np.asarray(model.energy(x))
    below, above = (int(abs(e - origin) / width) + 8 for e in (energies.min(), energies.max()))
    while True:
        if below + above > _MAX_LEVELS:
            raise InvalidInput(
                f"There are more than {_MAX_LEVELS} levels at a distance of {width:.3g}. Collect "
                "them in wider bins: bin_width=."
            )
        lowest = origin - below * width
        walk = _Walk(len(x), below + above + 1)
        _run(model, x.copy(), seed, n_sweeps, lowest, width, walk)
        if (walk.ends == _FORBIDDEN).any():
            raise InvalidInput(_FORBIDDEN_STATES.format(model))
        if (walk.ends == _RIGHT).all():
            return walk, lowest
        range_ = below + above
        below += range_ * int((walk.ends == _TOO_LOW).any())
        above += range_ * int((walk.ends == _TOO_HIGH).any())


def _run(
    model: Any,
    x: np.ndarray,
    seed: int,
    n_sweeps: int,
    lowest: float,
    width: float,
    walk: _Walk,
) -> None:
    """All walkers once, on numba's threads."""
    arrays, values = model.arrays, model.space.values
    chains = np.arange(len(x), dtype=np.uint32)

    def run(part: slice) -> None:
        _walk(
            arrays, x[part], values, walk.log_g[part], walk.visits[part], walk.sums[part],
            lowest, width, np.uint64(seed), chains[part], n_sweeps, walk.inverse_time[part],
            walk.ends[part],
        )  # fmt: skip

    over_chains(len(x), x.size * n_sweeps, run)


@jit
def _level(e, lowest, width):
    """Index of the level or bin of energy e."""
    return math.floor((e - lowest) / width + 0.5)


@kernel
def _walk(
    model, x, values, log_g, visits, sums, lowest, width, seed, chains, n_sweeps, inverse_time, ends
):
    """Walkers, one after the other, from the states x; writes to all arrays, see `_Walk`."""
    size, n_levels = x.shape[1], log_g.shape[1]
    for c in range(x.shape[0]):
        state, log_g_c, visits_c, sums_c = x[c], log_g[c], visits[c], sums[c]
        e = energy(model, state)
        k = _level(e, lowest, width)
        log_g_c[k] = 0.0
        met, attempts = 1, 0
        factor, harmonic = 1.0, False
        learning = n_sweeps // 2
        for t in range(n_sweeps):
            e = energy(model, state)  # so that rounding does not pile up
            if t == learning:
                inverse_time[c] = harmonic
                visits_c[:] = 0
            for attempt in range(size):
                w0, w1, w2, w3 = _rng.block(seed, chains[c], t, _rng.WANG_LANDAU, 0, attempt)
                site = np.int64((w0 * np.uint64(size)) >> np.uint64(32))
                value = proposal(values, state[site], w3)
                new_e = e + delta_energy(model, state, site, value)
                if not abs(new_e) < math.inf:
                    ends[c] = _FORBIDDEN
                    return
                new_k = _level(new_e, lowest, width)
                if new_k < 0 or new_k >= n_levels:
                    ends[c] = _TOO_LOW if new_k < 0 else _TOO_HIGH
                    return
                if log_g_c[new_k] == -math.inf:
                    log_g_c[new_k] = log_g_c[k]
                    met += 1
                    if t < learning:
                        factor, harmonic = 1.0, False
                        visits_c[:] = 0
                gain = log_g_c[k] - log_g_c[new_k]
                if gain >= 0.0 or _rng.unit(w1, w2) < math.exp(gain):
                    state[site] = value
                    e, k = new_e, new_k
                visits_c[k] += 1
                if t >= learning:
                    shift = e - (lowest + k * width)
                    sums_c[k, 0] += shift
                    sums_c[k, 1] += shift * shift
                    continue
                attempts += 1
                if harmonic:
                    factor = met / attempts
                log_g_c[k] += factor
            if t < learning and not harmonic:
                fewest = attempts
                for i in range(n_levels):
                    if log_g_c[i] > -math.inf:
                        fewest = min(fewest, visits_c[i])
                if fewest >= _VISITS:
                    factor *= 0.5
                    visits_c[:] = 0
                    harmonic = factor <= met / attempts


def _density(model: Any, walk: _Walk, width: float, lowest: float, binned: bool) -> DensityOfStates:
    """What the walkers found, normalised."""
    found = np.flatnonzero(walk.visits.any(axis=0))
    visits, count = walk.visits[:, found], walk.visits[:, found].sum(axis=0)
    shift, square = (walk.sums[:, found].sum(axis=0) / count[:, None]).T
    energies, variances = lowest + found * width, np.zeros(len(found))
    if binned:
        energies, variances = energies + shift, np.maximum(square - shift**2, 0.0)
    elif (np.sqrt(square) > _TOLERANCE * width).any():
        raise InvalidInput(
            f"The energies of {model!r} are no multiples of {width:.6g}, the spacing of the first "
            f"states. Collect them in bins: bin_width={width:.2g}, for example."
        )
    log_g = np.full(visits.shape, -np.inf)
    met = visits > 0
    log_g[met] = walk.log_g[:, found][met] + np.log(visits[met])
    log_n_states = model.space.size * math.log(model.space.n_values)
    log_g += log_n_states - logsumexp(log_g, axis=1, keepdims=True)
    return DensityOfStates(
        energies,
        mean_log_g(log_g),
        stderr_log_g(log_g),
        log_g,
        variances,
        width,
        log_n_states,
        walk.inverse_time,
    )
