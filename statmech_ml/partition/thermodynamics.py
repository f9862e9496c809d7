"""Thermodynamics of a model against temperature, from one tempered run and MBAR.

With u(x, beta) the reduced energy, Z = sum_x exp(-u) and <.> the mean at beta,

    F = -log Z / beta,            U = <u'> = -d log Z / d beta,          S = beta U + log Z,
    C = beta^2 (var(u') - <u''>) = dU/dT,          chi = beta (<M^2> - <M>^2) = d<M>/dh,

primes derivatives by beta and M the sum of the visible units (magnetisation of spins, activity of
bits), to which a field h couples. Where u = beta E, u' = E and u'' = 0. Of an RBM the marginal
F_beta stands for the joint ensemble of (v, h): u' is the mean of E(v, h) over h given v, and -u''
its variance, a sum over independent hidden units, so that U = <E(v, h)>, C = beta^2 var E(v, h).

One run of replica exchange on a ladder of betas gives samples, MBAR their weights at any beta in
between, log Z counts from a beta where it is known, and every error is that of the influence of
independent ladders, the correlation of log Z and U in S included. Cost: one matrix product per
sample, and an exponential per sample, hidden unit and temperature (of the ladder and asked for).

M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105 (2008), doi:10.1063/1.2978177; replica
exchange on F_beta: see `samplers.ReplicaExchange`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import _rng
from ..chains import round_trips, sample, swap_rates
from ..errors import InvalidInput
from ..samplers import ReplicaExchange, Sampler
from ..spaces import Levels
from ..statistics import Estimate
from ..statistics.estimate import with_error
from ..systems import EnergyModel
from ._arguments import check_count
from ._influence import MIN_CLUSTERS, stderr
from ._mbar_result import Mbar, as_table, roots
from ._tempered import Tempered, tempered
from ._thermodynamics_arguments import grid, ladder_of, reference_of, sampler_of
from .logz import OK, judge
from .mbar import mbar_from_energies

QUANTITIES = ("free_energy", "internal_energy", "entropy", "heat_capacity", "susceptibility")
"""What `Thermodynamics` holds, in the order of its table."""


class Curve(NamedTuple):
    """A quantity against temperature: value and stderr, float64 (temperature,) each."""

    value: np.ndarray
    stderr: np.ndarray

    def z(self, exact: Any) -> np.ndarray:
        """Deviations from `exact` (temperature,) in standard errors; NaN where there is none."""
        known = self.stderr > 0.0
        away = self.value - np.asarray(exact, np.float64)
        return np.divide(away, self.stderr, out=np.full(len(away), math.nan), where=known)


@dataclass(frozen=True)
class Thermodynamics:
    """Thermodynamics of a model: totals (not per site), k_B = 1.

    Attributes
    ----------
    temperatures, betas : float64 (temperature,)
        Where it was asked for, in the order given.
    free_energy, internal_energy, entropy, heat_capacity, susceptibility : Curve
        F and U in units of the energy, S and C in units of k_B; chi in counts^2 per unit of energy.
    log_z : Curve
        log Z at each temperature, in nats.
    ess : float64 (temperature,)
        Effective number of independent draws behind U at each temperature.
    n_sites : int
        Visible units.
    status : str
        "ok", or why errors should not be trusted, by the thresholds of `LogZ`: "low ess", "low
        overlap", "few round trips", "drifting", "few chains", "constant weights".
    ladder : float64 (rung,)
        The betas that were sampled.
    diagnostics : mapping
        overlap, overlap_matrix (of the rungs), swap_acceptance, round_trips, drift, n_chains,
        n_draws, reference, provenance.
    """

    temperatures: np.ndarray
    betas: np.ndarray
    free_energy: Curve
    internal_energy: Curve
    entropy: Curve
    heat_capacity: Curve
    susceptibility: Curve
    log_z: Curve
    ess: np.ndarray
    n_sites: int
    status: str
    ladder: np.ndarray
    diagnostics: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether values and errors can be trusted."""
        return self.status == OK

    def estimate(self, name: str, temperature: float) -> Estimate:
        """One quantity at one of the temperatures, by its name (see `QUANTITIES`, or "log_z").

        Raises InvalidInput for another name or temperature.
        """
        if name not in (*QUANTITIES, "log_z"):
            raise InvalidInput(f"{name!r} is unknown. There are {', '.join(QUANTITIES)}, log_z.")
        at = np.flatnonzero(np.isclose(self.temperatures, temperature, rtol=1e-9, atol=0.0))
        if not len(at):
            raise InvalidInput(
                f"temperature={temperature!r} was not asked for; there are "
                f"{self.temperatures.tolist()}."
            )
        curve, k = getattr(self, name), int(at[0])
        n = int(self.diagnostics["n_chains"] * self.diagnostics["n_draws"] * len(self.ladder))
        ess = float(self.ess[k])
        return Estimate(float(curve.value[k]), float(curve.stderr[k]), n / (2.0 * ess), ess, n)

    def plot(self, exact: Mapping[str, Any] | None = None, per_site: bool = False) -> Any:
        """The five quantities and the effective draws against temperature, a matplotlib Figure.

        Parameters
        ----------
        exact : mapping, optional
            Name of a quantity -> exact values (temperature,), drawn as a line.
        per_site : bool, default False
            Whether totals are divided by the number of visible units.
        """
        from ._thermodynamics_figure import draw

        return draw(self, exact or {}, per_site)

    def __str__(self) -> str:
        head = ["T", "beta", "F", "U", "S", "C", "chi", "ess"]
        rows = [head]
        for k, temperature in enumerate(self.temperatures):
            curves = [getattr(self, name) for name in QUANTITIES]
            numbers = [
                "-" if math.isnan(c.value[k]) else with_error(c.value[k], c.stderr[k])
                for c in curves
            ]
            row = [f"{temperature:.5g}", f"{self.betas[k]:.5g}", *numbers, f"{self.ess[k]:.0f}"]
            rows.append(row)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows
        ]
        d = self.diagnostics
        lines.append(
            f"[{self.status}; {len(self.ladder)} rungs x {d['n_chains']} ladders x {d['n_draws']} "
            f"draws, overlap {d['overlap']:.2f}, {d['round_trips']} round trips]"
        )
        return "\n".join(lines)


def thermodynamics(
    model: EnergyModel,
    betas: Any = None,
    *,
    temperatures: Any = None,
    rng: Any,
    sampler: Sampler | None = None,
    reference: tuple[float, Any] | None = None,
    ladder: Any = None,
    n_chains: int = 16,
    n_draws: int = 400,
    burn_in: int | None = None,
    thin: int = 1,
    observable: Callable[[np.ndarray], np.ndarray] | None = None,
    absolute: bool = False,
    progress: bool | None = None,
) -> Thermodynamics:
    """Free energy, internal energy, entropy, heat capacity and susceptibility against temperature.

    Parameters
    ----------
    model : EnergyModel
        With reduced energy beta E, or with ``slope(x, beta)``, its derivative by beta (all RBMs:
        the thermodynamics of (v, h) together).
    betas, temperatures : float or array (temperature,)
        One of the two, positive and finite; beta = 1 / T.
    rng : int or numpy Generator
        The seed. There is no default.
    sampler : Sampler, optional
        Moves between swaps; by default what fits: BlockGibbs, HeatBath or MALA.
    reference : (beta, log Z), optional
        Where log Z is known: a number, or a `LogZ` (such as `ais(Weights(rbm, beta=b), ...)`),
        whose error is added. By default beta = 0 in finite spaces; of an RBM with real units and a
        layer of up to 20 others the exact sum at the least beta. Elsewhere it must be given.
    ladder : array (rung,), optional
        Betas to sample, ascending; they must cover what is asked for and the reference. By default
        tuned to a swap acceptance of a half between the reference and the coldest temperature.
    n_chains : int, default 16
        Independent ladders, at least 4; their scatter is the error. Below 8 the status is "few
        chains": errors are right on average, but off by factors in single runs.
    n_draws : int, default 400
        Draws of each rung of each ladder.
    burn_in : int, optional
        Sweeps, with exchange, before the first draw; default: half of those that are kept.
    thin : int, default 1
        Sweeps between draws.
    observable : callable, optional
        M: configurations (n, size) -> (n,), what a field couples to. Default: the sum of the
        visible units; of q-valued ones there is none, and the susceptibility is NaN.
    absolute : bool, default False
        Whether to subtract <abs M>^2 in place of <M>^2, as is usual for lattices without a field.
    progress : bool, optional
        Whether to show a progress bar; default: on a terminal.

    Returns
    -------
    Thermodynamics
        Prints as a table; `plot()` draws it.

    Raises
    ------
    InvalidInput
        For arguments that cannot work, before any work.
    MissingCapability
        For samplers that do not fit, and models that do not tell their derivative by beta.
    StatmechError
        When neighbouring rungs do not overlap, or no ladder is found.

    Warns
    -----
    EquilibrationWarning
        What `sample` warns of: chains at one rung that disagree or drift. Draw longer.

    >>> from statmech_ml import lattices
    >>> from statmech_ml.models import Ising
    >>> ring = Ising(lattices.chain(8))
    >>> result = thermodynamics(ring, temperatures=[1.0, 2.0, 4.0], rng=1, n_draws=100)
    >>> from statmech_ml.exact import enumeration
    >>> exact = [enumeration.mean(ring, beta, ring.energy) for beta in result.betas]
    >>> bool((abs(result.internal_energy.z(exact)) < 4).all())
    True
    """
    if not isinstance(model, EnergyModel):
        raise InvalidInput(
            f"{model!r} is no model: it has no space, energy(x) and reduced_energy(x, beta). Give "
            "one of statmech_ml.models, or freeze() a shell."
        )
    asked = grid(betas, temperatures)
    moves = sampler_of(model, sampler)
    for name, value, least in (("n_chains", n_chains, MIN_CLUSTERS), ("n_draws", n_draws, 4)):
        check_count(name, value, least)
    check_count("thin", thin, 1)
    if burn_in is not None:
        check_count("burn_in", burn_in, 0)
    if observable is not None and not callable(observable):
        raise InvalidInput(
            f"observable={observable!r} is no function. Give one of configurations, (n, size) -> "
            "(n,), such as lambda x: x.sum(axis=1), which is the default."
        )
    at, log_z, log_z_error = reference_of(model, asked, moves, reference)
    seeds = np.random.SeedSequence(_rng.seed_from(rng)).generate_state(2, np.uint64)
    low, high = min(at, float(asked.min())), max(at, float(asked.max()))
    rungs = ladder_of(model, moves, low, high, ladder, int(seeds[0]))
    chain = sample(
        model, ReplicaExchange(moves), beta=np.tile(rungs, n_chains), n_draws=n_draws, thin=thin,
        burn_in=n_draws * thin // 2 if burn_in is None else burn_in, rng=int(seeds[1]),
        progress=progress,
    )  # fmt: skip
    # Samples in the order of rungs, and clusters that are ladders.
    states = chain.states.reshape(n_chains, len(rungs), n_draws, -1).swapaxes(0, 1)  # type: ignore
    x = states.reshape(-1, states.shape[-1])
    n = n_chains * n_draws
    law = tempered(model, x, chain.boltzmann)
    solution = mbar_from_energies(
        law.reduced_energies(rungs), np.full(len(rungs), n),
        clusters=np.tile(np.repeat(np.arange(n_chains), n_draws), len(rungs)),
    )  # fmt: skip
    moments = _order(model, x, observable)
    found = _reweighted(solution, law, asked, at, moments, absolute)
    error = np.sqrt(found.log_z.stderr**2 + log_z_error**2)
    total = Curve(log_z + found.log_z.value, error)
    evidence = {
        "ess": float(found.ess.min()),
        "overlap": solution.overlap,
        "round_trips": int(round_trips(chain).sum()),
        "drift": _drift(law, rungs, n_chains, n_draws),
    }
    status = judge(**evidence, n_chains=n_chains) if solution.ok else solution.status
    return Thermodynamics(
        temperatures=1.0 / asked,
        betas=asked,
        free_energy=Curve(-total.value / asked, error / asked),
        internal_energy=found.energy,
        entropy=Curve(
            log_z + found.entropy.value, np.sqrt(found.entropy.stderr**2 + log_z_error**2)
        ),
        heat_capacity=found.capacity,
        susceptibility=found.susceptibility,
        log_z=total,
        ess=found.ess,
        n_sites=int(model.space.size),
        status=status,
        ladder=rungs,
        diagnostics=evidence
        | {
            "overlap_matrix": solution.overlap_matrix,
            "swap_acceptance": swap_rates(chain),
            "n_chains": n_chains,
            "n_draws": n_draws,
            "reference": (at, log_z, log_z_error),
            "provenance": dict(chain.provenance),
        },
    )


class _Found(NamedTuple):
    """log Z and S relative to the reference, U, C, chi; effective draws."""

    log_z: Curve
    energy: Curve
    entropy: Curve
    capacity: Curve
    susceptibility: Curve
    ess: np.ndarray


def _reweighted(
    solution: Mbar,
    law: Tempered,
    betas: np.ndarray,
    reference: float,
    order: np.ndarray | None,
    absolute: bool,
) -> _Found:
    """All quantities at all betas, with the covariance of log Z and the averages."""
    mixture = solution._mixture
    log_d = mixture.log_d
    u_0 = law.reduced_energies(np.array([reference]))[0]
    f_0 = float(mixture.normalise(as_table(u_0[None], mixture.table))[0])
    w_0 = np.exp(f_0 - u_0 - log_d)
    rows = []
    for beta in betas:
        u, slope, spread = law.at(float(beta))
        f = float(mixture.normalise(as_table(u[None], mixture.table))[0])
        w = np.exp(f - u - log_d)
        mean_energy = float(w @ slope)
        # To first order the influence of a variance is that of the squares about a fixed mean.
        square = (slope - mean_energy) ** 2 + spread
        spread_of_energy = float(w @ square)
        columns = [w - w_0, w * (slope - mean_energy), w * (square - spread_of_energy)]
        response = math.nan
        if order is not None:
            away = np.abs(order) if absolute else order
            mean = float(w @ away)
            # <M^2> - <|M|>^2 is the variance of |M| too.
            off = (away - mean) ** 2
            response = float(w @ off)
            columns.append(w * (off - response))
        x = np.stack(columns)
        moments = mixture.moments(_slices(x))
        covariance = mixture.covariance(moments)
        errors = roots(covariance)
        # The columns are the influences of f and of minus the averages; S = -(f + beta (-U)).
        s = np.array([1.0, beta])
        entropy_error = math.sqrt(max(0.0, float(s @ covariance[:2, :2] @ s)))
        gain = f_0 - f
        independent = float(w @ (slope - mean_energy) ** 2)
        kish = 1.0 / float((w**2).sum())
        ess = min(kish, independent / covariance[1, 1]) if covariance[1, 1] > 0.0 else kish
        rows.append(
            [gain, errors[0], mean_energy, errors[1], beta * mean_energy + gain, entropy_error,
             beta**2 * spread_of_energy, beta**2 * errors[2], beta * response,
             beta * errors[3] if order is not None else math.nan, ess]
        )  # fmt: skip
    t = np.array(rows).T
    log_z, energy, entropy, capacity, chi = (Curve(t[k], t[k + 1]) for k in range(0, 10, 2))
    return _Found(log_z, energy, entropy, capacity, chi, t[10])


def _slices(x: np.ndarray) -> Callable[[int, int, np.ndarray], np.ndarray]:
    """Columns x (m, n) of some samples, as `Mixture.moments` asks for them."""
    return lambda a, b, _: x[:, a:b]


def _drift(law: Tempered, rungs: np.ndarray, n_chains: int, n_draws: int) -> float:
    """Change of log Z over the ladder, by integrating u', between halves of the run, in errors."""
    shape = (n_chains, n_draws)
    slopes = np.stack(
        [
            law.at(float(beta), slice(k * n_chains * n_draws, (k + 1) * n_chains * n_draws))[1]
            for k, beta in enumerate(rungs)
        ]
    ).reshape(len(rungs), *shape)
    middle = n_draws // 2
    change = slopes[..., middle:].mean(axis=-1) - slopes[..., :middle].mean(axis=-1)
    total = np.trapezoid(change, rungs, axis=0)
    error = float(stderr(total / n_chains))
    return float(total.mean()) / error if error > 0.0 else 0.0


def _order(model: Any, x: np.ndarray, observable: Any) -> np.ndarray | None:
    """M of each sample, float64 (n,), or None where there is none."""
    if observable is None:
        return None if isinstance(model.space, Levels) else x.sum(axis=1, dtype=np.float64)
    found = np.asarray(observable(x.copy()))
    if found.shape != (len(x),) or found.dtype.kind not in "biuf" or not np.isfinite(found).all():
        raise InvalidInput(
            f"observable returned shape {found.shape} and dtype {found.dtype} for {len(x)} "
            "configurations; one finite number each is needed, (n, size) -> (n,)."
        )
    return found.astype(np.float64)
