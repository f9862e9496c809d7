"""Multiple histograms: lattice data from a few temperatures, reweighted to any temperature between.

Samples at inverse temperatures beta_k have reduced energies beta_k E, and the equations of
Ferrenberg and Swendsen for log Z(beta_k) are those of MBAR, without bins:

    log Z(beta) = log sum_n exp(-beta E_n) / D_n,    D_n = sum_k N_k exp(-beta_k E_n) / Z(beta_k)
    <A>(beta)   = sum_n w_n A_n,                     w_n = exp(-beta E_n) / (D_n Z(beta))

Errors are those of the influence of independent clusters: the chains, cut into blocks of time of at
least ten autocorrelation times where there are few.

A. M. Ferrenberg and R. H. Swendsen, Phys. Rev. Lett. 63, 1195 (1989),
doi:10.1103/PhysRevLett.63.1195; as MBAR: M. R. Shirts and J. D. Chodera, J. Chem. Phys. 129, 124105
(2008), doi:10.1063/1.2978177.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..chains import Chain
from ..chains.betas import groups
from ..errors import InvalidInput, ShortChain, StatmechError
from ..observables import DERIVED
from ..statistics import Estimate
from ..statistics.autocorrelation import MIN_INDEPENDENT, as_chains, is_constant, measure_tau
from ..statistics.estimate import check_on_short, raised_tau, upper_tau
from ._arguments import check_count
from ._mbar_result import Mbar
from .energies import TemperedEnergies
from .logz import CONSTANT, MIN_ESS, LogZ, judge
from .mbar import mbar_from_energies

_SHORTEST_BLOCK = 10.0  # tau_int; a block misses a tenth of the variance then


@dataclass(frozen=True)
class MultipleHistogram:
    """Lattice data of several temperatures as one; ask it at any temperature within their reach.

    Attributes
    ----------
    betas : float (K,)
        Inverse temperatures of the data, ascending.
    log_z_k : float (K,)
        log Z at these, relative to the reference, or to betas[0].
    mbar : Mbar
        The solution, with overlaps and covariances.
    tau_int : float
        The longest autocorrelation time of the energy or |M|, in draws.
    n_clusters : int
        Independent parts of the data that errors are taken from.
    """

    betas: np.ndarray
    log_z_k: np.ndarray
    mbar: Mbar
    tau_int: float
    n_clusters: int
    _energy: np.ndarray = field(repr=False, compare=False)
    _magnetization: np.ndarray | None = field(repr=False, compare=False)
    _n_sites: int | None
    _reference: tuple[float, float] | None

    def estimate(self, name: str, beta: float) -> Estimate:
        """A quantity at an inverse temperature.

        Parameters
        ----------
        name : str
            "energy" (total), "energy_per_site", "specific_heat", "magnetization",
            "abs_magnetization", "susceptibility" or "binder"; see `statmech_ml.observables`.
        beta : float

        Raises
        ------
        InvalidInput
            For an unknown name, and what was not recorded.
        StatmechError
            Where the data reach beta with fewer than 50 effective samples.
        """
        beta = _number("beta", beta)
        series: tuple[np.ndarray, ...]
        if name == "energy":
            series, function = (self._energy,), None
        elif name in DERIVED:
            if self._n_sites is None:
                raise InvalidInput(f"{name!r} is per site; give n_sites= to multiple_histogram.")
            given = {"energy": self._energy, "magnetization": self._magnetization}
            needed = [given[key] for key in DERIVED[name].requires]
            if any(x is None for x in needed):
                raise InvalidInput(f"{name!r} needs the magnetization, which was not given.")
            series = DERIVED[name].series(*needed, n_sites=self._n_sites)
            function = DERIVED[name].function
        else:
            raise InvalidInput(f"{name!r} is unknown. There are energy, {', '.join(DERIVED)}.")
        found = self.mbar.expectation(np.stack(series), beta * self._energy)
        if not found.ess >= MIN_ESS:
            raise StatmechError(
                f"beta={beta:.6g} is out of reach: data at beta from {self.betas[0]:.6g} to "
                f"{self.betas[-1]:.6g} have only {found.ess:.1f} effective samples there, and "
                f"{MIN_ESS:g} are needed. Simulate nearer to it."
            )
        if function is None:
            value, gradient = float(found.value[0]), np.ones(1)
        else:
            settings = {"beta": beta, "n_sites": self._n_sites}
            value = float(function(*found.value, **settings))
            # A hundredth of an error up and down: the means are known to no more than the error.
            steps = np.diag(0.01 * found.stderr)
            up, down = (function(*(found.value[:, None] + s * steps), **settings) for s in (1, -1))
            steps = np.where(found.stderr > 0.0, 0.02 * found.stderr, 1.0)
            gradient = (up - down) / steps
        stderr = math.sqrt(gradient @ found.covariance @ gradient)
        variance = float(gradient @ found.variance @ gradient)
        if not stderr > 0.0:
            raise StatmechError(
                f"{name} does not fluctuate in the data at beta={beta:.6g}, so it has no error. At "
                "beta = 0 a specific heat is 0 exactly; elsewhere draw more."
            )
        n = len(self._energy)
        ess = variance / stderr**2
        return Estimate(value, stderr, n / (2.0 * ess), ess, n)

    def log_z(self, beta: float) -> LogZ:
        """log Z at an inverse temperature: absolute where a reference was given.

        Without one it is log Z(beta) - log Z(betas[0]), and at betas[0] itself there is nothing to
        ask. The status is "low ess" where the data hardly reach (`estimate`, which has no status,
        raises there) and "constant weights" where fewer than 50 energies differ from the others;
        the error is then 1 / n at least. A negative beta is that of the model with -E for E.
        """
        beta = _number("beta", beta)
        start, known = (float(self.betas[0]), 0.0) if self._reference is None else self._reference
        if beta == start:
            raise InvalidInput(
                f"beta={beta!r} is the reference itself, whose log Z is {known!r} without error."
            )
        found = self.mbar.free_energies(TemperedEnergies([start, beta], self._energy))
        c = found.covariance
        variance = max(0.0, float(c[0, 0] + c[1, 1] - 2.0 * c[0, 1]))
        evidence = {"ess": float(found.ess.min()), "overlap": self.mbar.overlap}
        status, n = judge(**evidence), len(self._energy)
        # So few energies differ from the others that they do not tell their variance.
        rare = np.count_nonzero(self._energy != np.median(self._energy))
        if self.mbar.status == CONSTANT or rare < min(MIN_ESS, 0.5 * n):
            status = CONSTANT
        return LogZ(
            known - float(found.f[1] - found.f[0]),
            max(math.sqrt(variance), 1.0 / n),
            method="multiple histogram",
            status=status,
            diagnostics=evidence
            | {
                "n_chains": len(self._energy),
                "reference_beta": start,
                "tau": self.tau_int,
                "n_clusters": self.n_clusters,
            },
        )

    def ess(self, beta: float) -> float:
        """Effective number of samples at an inverse temperature, were they independent."""
        energies = TemperedEnergies([_number("beta", beta)], self._energy)
        return float(self.mbar.free_energies(energies).ess[0])


def multiple_histogram(
    data: Any,
    betas: Any = None,
    *,
    magnetization: Any = None,
    n_sites: int | None = None,
    reference: tuple[float, float] | None = None,
    on_short: Any = "raise",
) -> MultipleHistogram:
    """Combine the data of several temperatures.

    Parameters
    ----------
    data : Chain, or list of float (chain, draw) or (draw,)
        A run at one or several betas, of a model whose reduced energy is beta E; or total energies
        in units of the coupling, one array for each beta. The r-th chains at all betas may be one
        ladder of replica exchange.
    betas : float (K,)
        Inverse temperatures of the arrays. A chain knows its own.
    magnetization : list of arrays like `data`, optional
        Total magnetisation of the same draws. A chain of spins has it.
    n_sites : int, optional
        Needed for what is per site. A chain knows it.
    reference : (beta, log Z), optional
        What makes log Z absolute: (0.0, n log 2) for n Ising spins, where beta = 0 is within reach,
        or any exact value.
    on_short : "raise" or "accept"
        What to do with data that are too short for their autocorrelation time to give 20
        independent clusters: raise ShortChain, or accept errors that may be too small.

    Raises
    ------
    InvalidInput
        For arrays that do not fit together, values that are not finite, and chains whose reduced
        energy is not beta E.
    ShortChain
        See `on_short`; its `partial` is the MultipleHistogram that "accept" gives.
    StatmechError
        When the energies at neighbouring temperatures do not overlap.

    Examples
    --------
    >>> from statmech_ml import lattices, sample
    >>> from statmech_ml.models import Ising
    >>> betas = [0.3, 0.4, 0.5] * 8
    >>> chain = sample(Ising(lattices.square(8)), beta=betas, n_draws=1000, rng=1)
    >>> data = multiple_histogram(chain)
    >>> from statmech_ml.exact import kaufman
    >>> exact = kaufman.energy_per_site(8, 8, beta=0.35)
    >>> abs(data.estimate("energy_per_site", beta=0.35).z(exact)) < 4
    True
    """
    check_on_short(on_short)
    if isinstance(data, Chain):
        if betas is not None or magnetization is not None or n_sites is not None:
            raise InvalidInput(
                "A chain knows its betas, magnetization and n_sites; leave them out, or give "
                "arrays in place of the chain."
            )
        if not data.boltzmann:
            raise InvalidInput(
                "The reduced energy of this model is not beta times its energy (an RBM's sums the "
                "hidden units out at beta), so its energies cannot be reweighted in beta. Use "
                "mbar_from_energies with reduced energies, or for an RBM sample rbm.joint()."
            )
        different, group = groups(data.beta)
        parts = [group == k for k in range(len(different))]
        energies = [as_chains(data.energy[part], "energy") for part in parts]
        spins = data.observables.get("magnetization")
        moments = None if spins is None else [as_chains(spins[part]) for part in parts]
        return _combine(different, energies, moments, data.n_sites, reference, on_short)
    if betas is None:
        raise InvalidInput("Arrays of energies need betas=, the inverse temperature of each.")
    listed = enumerate(_listed("betas", betas))
    different = np.array([_number(f"betas[{k}]", beta) for k, beta in listed])
    energies = [as_chains(e, "energy") for e in _listed("data", data)]
    moments = None
    if magnetization is not None:
        moments = [as_chains(m, "magnetization") for m in _listed("magnetization", magnetization)]
    if len(energies) != len(different):
        raise InvalidInput(f"There are {len(energies)} arrays for {len(different)} betas.")
    if moments is not None and [m.shape for m in moments] != [e.shape for e in energies]:
        raise InvalidInput("magnetization and energies differ in shape; each draw needs both.")
    if n_sites is not None:
        check_count("n_sites", n_sites, 1)
    order = np.argsort(different, kind="stable")
    return _combine(
        different[order],
        [energies[k] for k in order],
        None if moments is None else [moments[k] for k in order],
        n_sites,
        reference,
        on_short,
    )


def _combine(
    betas: np.ndarray,
    energies: list[np.ndarray],
    moments: list[np.ndarray] | None,
    n_sites: int | None,
    reference: Any,
    on_short: str,
) -> MultipleHistogram:
    if reference is not None:
        try:
            start, log_z = reference
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"reference={reference!r} must be a pair (beta, log Z).") from error
        reference = _number("reference beta", start), _number("reference log Z", log_z)
    n_chains = min(len(e) for e in energies)
    blocks, tau = _blocks(energies, moments)
    enough = n_chains * blocks >= MIN_INDEPENDENT
    if not enough:
        shortest = min(e.shape[1] for e in energies)
        blocks = min(shortest, max(blocks, -(-MIN_INDEPENDENT // n_chains)))
    labels = np.concatenate([_labels(e.shape, blocks) for e in energies])
    energy = np.concatenate([e.ravel() for e in energies])
    solution = mbar_from_energies(
        TemperedEnergies(betas, energy), [e.size for e in energies], clusters=labels
    )
    log_z_k = -solution.f_k
    if reference is not None:
        found = solution.free_energies(TemperedEnergies([reference[0]], energy))
        log_z_k = log_z_k + reference[1] + float(found.f[0])
    result = MultipleHistogram(
        betas,
        log_z_k,
        solution,
        tau,
        int(labels.max()) + 1,
        energy,
        None if moments is None else np.concatenate([m.ravel() for m in moments]),
        n_sites,
        reference,
    )
    if enough or on_short == "accept":
        return result
    raise ShortChain(
        f"{n_chains} chains at each beta, with autocorrelation times up to {tau:.3g} draws, cannot "
        f"be cut into {MIN_INDEPENDENT} independent blocks. Draw longer, run more chains, or use a "
        "sampler that decorrelates faster; `partial` holds the result so far.",
        result,
    )


def _blocks(energies: list[np.ndarray], moments: list[np.ndarray] | None) -> tuple[int, float]:
    """Blocks of time that every chain can be cut into, and the longest tau_int."""
    blocks, longest = math.inf, 0.5
    for k, energy in enumerate(energies):
        for series in (energy,) if moments is None else (energy, np.abs(moments[k])):
            tau = 0.5
            if not is_constant(series):
                result, trouble = measure_tau(series)
                tau = max(tau, upper_tau(series, result) if trouble else raised_tau(result))
            longest = max(longest, tau)
            length = max(_SHORTEST_BLOCK * tau, (8.0 * series.size * tau**2) ** (1.0 / 3.0))
            blocks = min(blocks, series.shape[1] // length)
    return max(1, int(blocks)), longest


def _labels(shape: tuple[int, int], blocks: int) -> np.ndarray:
    """Cluster of each draw: chain r and block b of time are cluster r B + b, at every beta."""
    n_chains, n_draws = shape
    block = np.arange(n_draws) * blocks // n_draws
    return (np.arange(n_chains)[:, None] * blocks + block).ravel()


def _listed(name: str, given: Any) -> Sequence[Any]:
    if isinstance(given, str | Mapping) or not hasattr(given, "__len__") or not len(given):
        raise InvalidInput(f"{name}={given!r} must be a list with an entry for each beta.")
    return list(given)


def _number(name: str, given: Any) -> float:
    try:
        value = float(given)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}={given!r} is not one number.") from error
    if not math.isfinite(value):
        raise InvalidInput(f"{name}={given!r} must be finite.")
    return value
