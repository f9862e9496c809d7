"""What the report draws: estimates against temperature, exact curves beside them, and snapshots.

Two lattices. A large one, from a dataset or sampled here, has Kaufman's energy and specific heat;
its |m| and susceptibility are set against the infinite lattice. On a small one (6 x 8) all four are
known exactly at finite size, the last two by transfer matrix.

Above T_c the fluctuation <M^2> - <|M|>^2 of a large lattice, whose M is Gaussian, is 1 - 2/pi times
<M^2>; the asymptotic susceptibility is drawn with that factor. Amplitudes and critical exponent:

    chi / beta ~ C_+- |1 - T_c / T|^(-7/4),   C_+ = 0.9625817323,  C_- = 0.0255369745

T. T. Wu, B. M. McCoy, C. A. Tracy, E. Barouch, Phys. Rev. B 13, 316 (1976),
doi:10.1103/PhysRevB.13.316.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ising_data
from statmech_ml import Estimate, lattices, observables, sample
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import kaufman, onsager
from statmech_ml.models import Ising
from statmech_ml.samplers import SwendsenWang

from . import torus
from .check import derive_seed

QUANTITIES = ("energy_per_site", "specific_heat", "abs_magnetization", "susceptibility")
_SMALL = (6, 8)
_C_PLUS, _C_MINUS = 0.9625817323, 0.0255369745


@dataclass(frozen=True)
class Curve:
    """One quantity at several temperatures, with its exact answer and a curve to draw.

    `exact` (temperature,) and the curve belong to the same finite lattice, except where `infinite`
    is set: then they belong to the infinite lattice, and the residuals show finite size, not
    errors.
    """

    name: str
    lattice: str
    temperature: np.ndarray
    estimates: tuple[Estimate | None, ...]
    exact: np.ndarray
    fine: np.ndarray
    line: np.ndarray
    source: str
    critical_temperature: float
    infinite: bool = False

    def residuals(self) -> np.ndarray:
        """(value - exact) / stderr, (temperature,); nan where there is no estimate."""
        return np.array(
            [
                math.nan if e is None or not e.stderr > 0 else (e.value - x) / e.stderr
                for e, x in zip(self.estimates, self.exact, strict=True)
            ]
        )


@dataclass(frozen=True)
class Figures:
    """Everything that the report draws about lattices."""

    curves: tuple[Curve, ...]
    snapshots: tuple[tuple[float, np.ndarray], ...]
    origin: str


@dataclass(frozen=True)
class _Series:
    """Totals (temperature, chain, draw) on one square torus, J > 0 in `coupling`."""

    shape: tuple[int, int]
    coupling: float
    temperature: np.ndarray
    energy: np.ndarray
    magnetization: np.ndarray


def collect(seed: int, dataset: Path | None) -> Figures:
    """Curves and snapshots, from the dataset where its lattice has exact answers, else sampled
    here.
    """
    small = _sample(_SMALL, np.linspace(1.4, 4.0, 14), 2000, derive_seed(seed, "small lattice"))[0]
    found = None if dataset is None else _from_dataset(dataset)
    if found is None:
        T = np.array([1.6, 1.8, 2.0, 2.1, 2.2, 2.269185, 2.3, 2.4, 2.6, 2.8, 3.0, 3.2])
        found = _sample((32, 32), T, 150, derive_seed(seed, "large lattice"))
        origin = "Swendsen-Wang in this run, 12 temperatures, 8 chains of 150 draws each"
        if dataset is not None:
            origin += f" ({dataset.name} is not a ferromagnet on a square torus without a field)"
    else:
        origin = f"the dataset {dataset.name}" if dataset is not None else ""
    large, snapshots = found
    return Figures((*_large_curves(large), *_small_curves(small)), snapshots, origin)


def _sample(
    shape: tuple[int, int], temperature: np.ndarray, n_draws: int, seed: int
) -> tuple[_Series, tuple[tuple[float, np.ndarray], ...]]:
    n_chains = 8
    chain = sample(
        Ising(lattices.square(*shape)), SwendsenWang(),
        temperature=np.repeat(temperature, n_chains), n_draws=n_draws, thin=2, burn_in=60,
        rng=seed, keep_states=False, progress=False,
    )  # fmt: skip
    grid = (len(temperature), n_chains, n_draws)
    M = chain.observables["magnetization"].reshape(grid)
    series = _Series(shape, 1.0, temperature, chain.energy.reshape(grid), M)
    last = chain.final.x.reshape(len(temperature), n_chains, *shape)[:, 0]
    return series, _pick(temperature, last, 1.0)


def _from_dataset(path: Path) -> tuple[_Series, tuple[tuple[float, np.ndarray], ...]] | None:
    dataset = ising_data.load(path)
    spec = dataset.spec
    torus_without_field = (
        spec.lattice == "square"
        and spec.coupling > 0
        and spec.field == 0
        and all(side == "periodic" for side in spec.boundary)
        and min(spec.size) > 2
    )
    if not torus_without_field:
        return None
    T = dataset.temperature
    series = _Series(tuple(spec.size), spec.coupling, T, dataset.energy, dataset.magnetization)
    wanted = {i: dataset.spins(float(T[i]), on_grid=True)[-1, -1] for i in _near(T, spec.coupling)}
    return series, tuple((float(T[i]), spins) for i, spins in wanted.items())


def _near(temperature: np.ndarray, coupling: float) -> list[int]:
    """Positions of the lowest temperature, of the one nearest to T_c, and of the highest."""
    at = int(np.argmin(np.abs(temperature - onsager.critical_temperature(coupling))))
    return sorted({int(np.argmin(temperature)), at, int(np.argmax(temperature))})


def _pick(
    temperature: np.ndarray, states: np.ndarray, coupling: float
) -> tuple[tuple[float, np.ndarray], ...]:
    return tuple((float(temperature[i]), states[i]) for i in _near(temperature, coupling))


def _estimates(series: _Series, name: str) -> tuple[Estimate | None, ...]:
    n = math.prod(series.shape)
    found: list[Estimate | None] = []
    for i, T in enumerate(series.temperature):
        try:
            estimate = observables.estimate(
                name,
                energy=series.energy[i],
                magnetization=series.magnetization[i],
                beta=1.0 / T,
                n_sites=n,
                on_short="accept",
            )
        except InvalidInput:  # a ground state that does not fluctuate has no error to show
            estimate = None
        found.append(estimate)
    return tuple(found)


def _fine(temperature: np.ndarray) -> np.ndarray:
    return np.linspace(temperature.min() * 0.99, temperature.max() * 1.01, 240)


def _large_curves(series: _Series) -> list[Curve]:
    T, (rows, columns), J = series.temperature, series.shape, series.coupling
    fine, lattice, curves = _fine(T), f"{rows} x {columns}", []
    exact: Any
    for name in QUANTITIES:
        infinite = name in ("abs_magnetization", "susceptibility")
        if name == "abs_magnetization":
            exact, source = _yang(J), "Yang 1952, infinite lattice"
        elif name == "susceptibility":
            exact = _asymptotic(J)
            source = "Wu et al. 1976, infinite lattice, leading asymptote"
        else:
            function = getattr(kaufman, name)

            def exact(t: np.ndarray, function: Any = function) -> np.ndarray:
                return np.asarray(function(rows, columns, 1.0 / t, J))

            source = f"Kaufman 1949, exact for {lattice}"
        curves.append(
            Curve(
                name,
                lattice,
                T,
                _estimates(series, name),
                exact(T),
                fine,
                exact(fine),
                source,
                onsager.critical_temperature(J),
                infinite,
            )
        )
    return curves


def _small_curves(series: _Series) -> list[Curve]:
    T, (rows, columns) = series.temperature, series.shape
    fine, lattice, curves = _fine(T)[::4], f"{rows} x {columns}", []

    def moments(t: float) -> tuple[float, float]:
        M, p = torus.magnetization_distribution(columns, rows, 1.0 / t)
        n = rows * columns
        first, second = float(p @ np.abs(M)), float(p @ M**2)
        return first / n, (second - first**2) / (n * t)

    for k, name in ((0, "abs_magnetization"), (1, "susceptibility")):
        exact, line = (np.array([moments(float(t))[k] for t in grid]) for grid in (T, fine))
        source = f"transfer matrix, exact for {lattice}"
        estimates, T_c = _estimates(series, name), onsager.critical_temperature()
        curves.append(Curve(name, lattice, T, estimates, exact, fine, line, source, T_c))
    return curves


def _yang(J: float) -> Any:
    return lambda t: np.asarray(onsager.magnetization(1.0 / t, J))


def _asymptotic(J: float) -> Any:
    def chi(t: np.ndarray) -> np.ndarray:
        T_c = onsager.critical_temperature(J)
        amplitude = np.where(t > T_c, (1.0 - 2.0 / math.pi) * _C_PLUS, _C_MINUS)
        distance = np.abs(1.0 - T_c / t)
        # Within 1% of T_c the asymptote diverges and leaves the figure.
        return np.where(
            distance < 0.01, np.nan, amplitude * np.maximum(distance, 1e-9) ** -1.75 / t
        )

    return chi
