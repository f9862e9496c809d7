"""Estimators of log Z where their distributions are known in closed form: work, weights, bounds.

Whether their error bars are honest on all kinds of systems is asked in `calibration`.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logsumexp
from scipy.stats import norm

from statmech_ml import lattices
from statmech_ml.exact import enumeration, kaufman, quadrature, rbm
from statmech_ml.models import DraggedTrap, Gaussian, HarmonicTrap, Ising
from statmech_ml.partition import (
    Geometric,
    Switching,
    Tempering,
    Weights,
    ais,
    bar_from_work,
    exact_sum,
    importance_sampling,
    jarzynski,
    wang_landau,
)
from statmech_ml.samplers import ULA, BlockGibbs, Sampler, State
from statmech_ml.samplers.base import Info, advanced
from statmech_ml.statistics import mean
from validation.check import (
    Check,
    Measurement,
    Mutant,
    against,
    calibration,
    derive_seed,
    identity,
)

from .rbm import asymmetric

_LOG_ROOT_2PI = 0.5 * math.log(2.0 * math.pi)


def _mean(values: np.ndarray, name: str, exact: float) -> Measurement:
    """The mean of independent values."""
    return against(name, mean(np.asarray(values)[:, None]), exact)


# --- a Gaussian that moves ------------------------------------------------------------------------


@dataclass(frozen=True)
class Relaxing(Sampler):
    """Exact relaxation in a harmonic well of centre lambda d and stiffness k, for a given time.

    x' = c + a (x - c) + sqrt((1 - a^2) / k) noise: a = 0 draws afresh, a = 1 stands still.
    """

    distance: float
    stiffness: float = 1.0
    memory: float = 0.0
    stream: ClassVar[str] = "relaxing"

    def check(self, model: Any) -> None:
        """Accept every model."""

    def advance(
        self, model: Any, state: State, beta: np.ndarray, n_sweeps: int, device: str = "cpu"
    ) -> tuple[State, Info]:
        """One relaxation; lambda is in the place of beta."""
        centre, a = beta[:, None] * self.distance, self.memory
        noise = np.random.default_rng([state.seed, state.sweep]).normal(size=state.x.shape)
        x = centre + a * (state.x - centre) + math.sqrt((1.0 - a * a) / self.stiffness) * noise
        return advanced(state, x, n_sweeps), {}


def _gaussian_shift(
    seed: int, scale: int, *, swap: bool = False, memory: float = 0.0
) -> list[Measurement]:
    """log w ~ N(-+mu^2 / 2K, mu^2 / K) from perfect moves, so the bounds are mu^2 / K apart."""
    mu, n, found = 1.5, 10_000 * scale, []
    path = Geometric(Gaussian(), Gaussian(mean=mu), sampler=Relaxing(mu, memory=memory))
    for K in (1, 6):
        stream = derive_seed(seed, f"{K} steps")
        start = np.random.default_rng(stream).normal(mu, 1.0, (n, 1))
        result = ais(path, n_levels=K, n_chains=n, rng=stream, direction="both", start=start)
        half = 0.5 * mu**2 / K
        forward = np.asarray(result.diagnostics["log_weights"]) + _LOG_ROOT_2PI
        backward = np.asarray(result.diagnostics["reverse_log_weights"]) + _LOG_ROOT_2PI
        if swap:
            forward, backward = backward, forward
        squares = (forward - (_LOG_ROOT_2PI - half)) ** 2
        lower, upper = result.lower or math.nan, result.upper or math.nan
        error = math.hypot(result.diagnostics["lower_stderr"], result.diagnostics["upper_stderr"])
        width = (lower - upper) if swap else (upper - lower)
        found += [
            _mean(forward, f"E[log w] = log Z - mu^2 / 2K, K = {K}", _LOG_ROOT_2PI - half),
            _mean(backward, f"E[reverse] = log Z + mu^2 / 2K, K = {K}", _LOG_ROOT_2PI + half),
            _mean(squares, f"var log w = mu^2 / K, K = {K}", 2.0 * half),
            Measurement(
                f"width of the sandwich, K = {K}",
                width,
                2.0 * half,
                error,
                n,
                (width - 2.0 * half) / error,
            ),
        ]
    return found


# --- traps ----------------------------------------------------------------------------------------


def _mean_work(k: float, distance: float, steps: int, memory: float) -> float:
    """Mean work of dragging in steps: k delta (middle of the step - mean position) summed up."""
    delta, position, total = distance / steps, 0.0, 0.0
    for step in range(steps):
        total += k * delta * ((step + 0.5) * delta - position)
        centre = (step + 1) * delta
        position = centre + memory * (position - centre)
    return total


def _dragged_trap(
    seed: int, scale: int, *, sign: float = 1.0, stuck: bool = False
) -> list[Measurement]:
    """Gaussian work of known mean and, as nothing is gained (dF = 0), twice that variance."""
    found = []
    n, k = 20_000 * scale, 2.0
    for steps, memory, d in ((1, 0.0, 1.0), (10, 0.0, 2.0), (10, 0.7, 1.5)):
        name = f"{steps} steps, memory {memory}"
        sampler = Relaxing(d, k, 1.0 if stuck else memory)
        path = Switching(DraggedTrap(stiffness=k, distance=d), sampler=sampler)
        run = jarzynski(path, n_levels=steps, n_chains=n, rng=derive_seed(seed, name))
        work = sign * np.asarray(run.diagnostics["work"])
        exact = _mean_work(k, d, steps, memory)
        found += [
            _mean(work, f"<W>, {name}", exact),
            _mean((work - exact) ** 2, f"var W = 2 <W>, {name}", 2.0 * exact),
            _mean(np.exp(-work), f"<exp(-W)>, {name}", 1.0),
        ]
    return found


def _reweighting(seed: int, scale: int, *, lost_dim: bool = False) -> list[Measurement]:
    """ESS / N = [sqrt(k_0 (2 k_1 - k_0)) / k_1]^dim of draws of one trap, weighed for another."""
    found = []
    # The mean of w^2 has an error where 4 k_1 > 3 k_0.
    for ends, dim in (((1.0, 4.0), 1), ((1.0, 4.0), 3), ((2.0, 1.8), 2)):
        k_0, k_1 = ends
        name = f"k = {k_0:g} -> {k_1:g}, dim {dim}"
        path = Switching(HarmonicTrap(stiffness=ends, dim=dim))
        stream = derive_seed(seed, name)
        runs = [
            importance_sampling(path, n_chains=20_000, rng=derive_seed(stream, f"{r}"))
            for r in range(30 * scale)
        ]
        share = np.array([r.diagnostics["ess"] / r.diagnostics["n_chains"] for r in runs])
        exact = (math.sqrt(k_0 * (2.0 * k_1 - k_0)) / k_1) ** (1 if lost_dim else dim)
        found.append(_mean(share, f"ESS / N, {name}", exact))
        z = [r.z(path.model.log_z(1.0)) for r in runs]
        found += calibration(f"log Z, {name}", z)
    return found


class Uncorrected(ULA):
    """Unadjusted moves that are taken for exact ones."""

    invariant: ClassVar[bool] = True


def _ula(seed: int, scale: int, *, kind: type[ULA] = ULA) -> list[Measurement]:
    """Langevin moves without accept/reject: exact in the weights, if their work is counted."""
    found = []
    for ends, dim, step in (((1.0, 4.0), 1, 0.15), ((1.0, 4.0), 2, 0.1), ((4.0, 1.0), 1, 0.1)):
        name = f"k = {ends[0]:g} -> {ends[1]:g}, dim {dim}, step {step}"
        trap = HarmonicTrap(stiffness=ends, dim=dim)
        path = Switching(trap, sampler=kind(step_size=step))
        run = ais(path, n_levels=20, n_chains=20_000 * scale, rng=derive_seed(seed, name))
        log_w = np.asarray(run.diagnostics["log_weights"]) + path.log_z_reference
        found.append(_mean(np.exp(log_w - trap.log_z(1.0)), f"E[Zhat] / Z, {name}", 1.0))
    return found


# --- Gaussian work both ways ----------------------------------------------------------------------


def _bar_error(sigma: float, n_f: int, n_r: int) -> float:
    """Bennett's asymptotic error: 1 / int (n_F p_F + n_R p_R) f (1 - f) dw - 1 / n_F - 1 / n_R."""

    def from_both(w: np.ndarray) -> np.ndarray:
        w = np.atleast_1d(w)
        f = expit(math.log(n_r / n_f) - w)
        density = n_f * norm.pdf(w, 0.5 * sigma**2, sigma)
        density = density + n_r * norm.pdf(w, -0.5 * sigma**2, sigma)
        return np.asarray(-np.log(density * f * (1.0 - f)))

    product = math.exp(quadrature.log_z(from_both, -12.0 * sigma, 12.0 * sigma).value)
    return math.sqrt(1.0 / product - 1.0 / n_f - 1.0 / n_r)


def _gaussian_work(
    seed: int, scale: int, *, flip: bool = False, independent: float = 1.0
) -> list[Measurement]:
    """W_F ~ N(dF + s^2/2, s^2) and W_R ~ N(-dF + s^2/2, s^2): calibrated, with Bennett's error."""
    dF, n_f, n_r, found = 3.7, 2000, 1200, []
    for sigma in (0.5, 2.0):
        name = f"sigma = {sigma}"
        rng = np.random.default_rng(derive_seed(seed, name))
        z, errors = [], []
        for _ in range(100 * scale):
            w_f = rng.normal(dF + 0.5 * sigma**2, sigma, n_f)
            w_r = rng.normal(-dF + 0.5 * sigma**2, sigma, n_r)
            run = bar_from_work(w_f, -w_r if flip else w_r)
            errors.append(independent * run.stderr)
            z.append((run.value + dF) / errors[-1])
        found += calibration(f"dF, {name}", z)
        found.append(_mean(np.array(errors), f"error, {name}", _bar_error(sigma, n_f, n_r)))
    return found


# --- bounds, densities of states, sums ------------------------------------------------------------


def _bounds(seed: int, scale: int, *, swap: bool = False) -> list[Measurement]:
    """The gap of each bound has the right sign: z of max(0, wrong-way gap)."""
    found = []
    model = asymmetric()
    for name, path, levels, exact in (
        ("4 x 4 torus", Tempering(Ising(lattices.square(4)), 0.4), 12, kaufman.log_z(4, 4, 0.4)),
        ("RBM by its weights", Weights(model), 3, rbm.log_z(model)),
        ("RBM at beta = 1.3", Tempering(model, 1.3, BlockGibbs()), 6, rbm.log_z(model, 1.3)),
    ):
        n = 1000 * scale
        result = ais(
            path, n_levels=levels, n_chains=n, rng=derive_seed(seed, name), direction="both"
        )
        lower, upper = result.lower, result.upper
        errors = result.diagnostics["lower_stderr"], result.diagnostics["upper_stderr"]
        if lower is None or upper is None:
            raise AssertionError("a run in both directions has two bounds")
        if swap:
            lower, upper, errors = upper, lower, errors[::-1]
        for label, gap, error in (
            ("lower bound - log Z", lower - float(exact), errors[0]),
            ("log Z - upper bound", float(exact) - upper, errors[1]),
        ):
            z = max(0.0, gap) / error
            found.append(Measurement(f"{label}, {name}", gap, 0.0, error, n, z))
    return found


def _wang_landau(seed: int, scale: int, *, boundary: str = "periodic") -> list[Measurement]:
    """Every level of the 4 x 4 torus, within the error over walkers, and log Z at three betas."""
    model = Ising(lattices.square(4, 4))
    other = Ising(lattices.square(4, 4, boundary))
    levels, counts = enumeration.density_of_states(model)
    found = wang_landau(other, n_chains=64 * scale, n_sweeps=4000, rng=seed)
    log_g = dict(
        zip(found.energies.tolist(), zip(found.log_g, found.stderr, strict=True), strict=True)
    )
    n, measured = 64 * scale, []
    for E, count in zip(levels.tolist(), counts.tolist(), strict=True):
        value, error = log_g.get(E, (-math.inf, 1.0))
        exact = math.log(count)
        z = (value - exact) / error
        measured.append(Measurement(f"log g({E:g})", value, exact, error, n, z))
    for beta in (0.2, 0.44, 1.0):
        run = found.log_z(beta)
        exact = float(kaufman.log_z(4, 4, beta))
        measured.append(
            Measurement(f"log Z, beta = {beta}", run.value, exact, run.stderr, n, run.z(exact))
        )
    total = float(logsumexp(found.log_g))
    measured.append(identity("log of the number of states", total, 16 * math.log(2.0), 1e-9))
    return measured


def _exact_sum(seed: int, scale: int, *, layer: str = "") -> list[Measurement]:
    model = asymmetric()
    found = []
    for beta in (0.5, 1.0, 2.0):
        value = exact_sum(model, beta=beta).value
        used = 1.0 if layer else beta
        found.append(identity(f"RBM, beta = {beta}", value, float(rbm.log_z(model, used)), 1e-12))
    torus = Ising(lattices.square(4, 4))
    value = exact_sum(torus, beta=0.44).value
    exact = float(kaufman.log_z(4, 4, 0.88 if layer else 0.44))
    found.append(identity("4 x 4 torus, beta = 0.44", value, exact, 1e-12 * exact))
    return found


CHECKS = (
    Check(
        "partition.exact-sum",
        "exact_sum gives log Z of an RBM (smaller layer summed) and of the 4 x 4 torus (Kaufman).",
        _exact_sum,
        (Mutant("wrong beta", partial(_exact_sum, layer="wrong")),),
    ),
    Check(
        "partition.gaussian-shift",
        "A unit Gaussian moved by mu in K steps with perfect moves: log w ~ N(-mu^2 / 2K, mu^2 / "
        "K), the reverse N(+mu^2 / 2K, mu^2 / K).",
        _gaussian_shift,
        (
            Mutant("forward and reverse swapped", partial(_gaussian_shift, swap=True)),
            Mutant("no moves", partial(_gaussian_shift, memory=1.0)),
        ),
    ),
    Check(
        "partition.dragged-trap",
        "Work on a dragged trap is Gaussian, with the mean of linear response at any speed and "
        "variance 2 <W>, as dF = 0 (Mazonka, Jarzynski 1999).",
        _dragged_trap,
        (
            Mutant("sign of the work", partial(_dragged_trap, sign=-1.0)),
            Mutant("a particle that does not move", partial(_dragged_trap, stuck=True)),
        ),
    ),
    Check(
        "partition.reweighting",
        "Draws of one trap weighed for another: ESS / N = [sqrt(k_0 (2 k_1 - k_0)) / k_1]^dim, and "
        "calibrated log Z.",
        _reweighting,
        (Mutant("one dimension only", partial(_reweighting, lost_dim=True)),),
    ),
    Check(
        "partition.unadjusted-moves",
        "AIS with unadjusted Langevin moves keeps E[Zhat] = Z when their work enters the weights "
        "(Sivak, Chodera, Crooks 2013).",
        _ula,
        (Mutant("moves taken for exact ones", partial(_ula, kind=Uncorrected)),),
    ),
    Check(
        "partition.gaussian-work",
        "BAR on Gaussian work of both directions: z of dF has mean 0 and sd 1, and the error is "
        "Bennett's (1976).",
        _gaussian_work,
        (
            Mutant("sign of the reverse work", partial(_gaussian_work, flip=True)),
            Mutant("error sqrt 2 too small", partial(_gaussian_work, independent=0.5**0.5)),
        ),
    ),
    Check(
        "partition.bounds",
        "E[log w] <= log Z <= E[reverse log w] (Grosse, Ghahramani, Adams 2015), from few levels "
        "so the gaps are wide.",
        _bounds,
        (Mutant("bounds swapped", partial(_bounds, swap=True)),),
    ),
    Check(
        "partition.density-of-states",
        "Wang-Landau finds 2, 32, 64, 424, .. states of the 4 x 4 torus within its errors, and "
        "Kaufman's log Z at every beta.",
        _wang_landau,
        (Mutant("open boundary", partial(_wang_landau, boundary="open")),),
    ),
)
