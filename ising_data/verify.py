"""`verify`: is a dataset what it says? Checksums, exact values, agreement of starts, stripes.

    files           every file has the size and the SHA-256 that the manifest states
    labels          temperatures, phases, energies and magnetisations follow from spec and spins
    energy          <E>/N against the exact result, |z| below a bound
    specific heat   likewise, with a jackknifed error
    starts          split R-hat of E and |M| between chains from ordered and from random starts
    stripes         no chain below T_c spends most of its draws cut in two

The bound on |z| is 4, or more where many are compared, and the report states how often a correct
dataset would fail it. Checks for which there is no exact result, or not enough draws, say so and
decide nothing.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

from statmech_ml import observables
from statmech_ml.chains.equilibration import MAX_R_HAT

from . import _exact, _layout
from ._sampling import r_hat
from .phases import PHASES, is_staggered, phase_codes
from .store import Dataset, damaged_files, read_root
from .stripes import striped


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check; `passed` is None where it could decide nothing."""

    check: str
    passed: bool | None
    detail: str


@dataclass(frozen=True)
class Row:
    """What was found at one temperature; comparisons are None without an exact result."""

    temperature: float
    phase: str
    energy: _exact.Comparison | None
    specific_heat: _exact.Comparison | None
    tau_int: float
    r_hat: float
    stripes: np.ndarray | None
    """Fraction of striped draws in each chain (chain,); None where they are not looked for."""


@dataclass(frozen=True)
class Report:
    """Verdicts on a dataset, and what they rest on."""

    path: Path
    verdicts: list[Verdict]
    rows: list[Row] = field(default_factory=list)
    source: str | None = None

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(verdict.passed is not False for verdict in self.verdicts)


def verify(path: str | Path) -> Report:
    """Check a dataset against its checksums and against exact results.

    Parameters
    ----------
    path : path of a dataset

    Returns
    -------
    Report

    Raises
    ------
    StoreError
        There is no complete dataset to check.

    >>> from ising_data import Spec, generate
    >>> spec = Spec("square", 8, (2.0, 3.0), samples=400, seed=1)
    >>> verify(generate(spec, "small.zarr").path).passed
    True
    """
    dataset = read_root(path)
    damage = damaged_files(dataset, thorough=True)
    total = len(dataset.manifest)
    if damage:
        shown = "; ".join(damage[:5]) + (f"; and {len(damage) - 5} more" if len(damage) > 5 else "")
        return Report(dataset.path, [Verdict("files", False, shown)])
    files = Verdict("files", True, f"{total} files match their SHA-256")
    wrong: list[str] = []
    exact = _exact.reference(dataset.spec)
    rows = [_row(dataset, i, exact, wrong) for i in range(len(dataset.temperature))]
    labels = Verdict("labels", not wrong, "; ".join(wrong[:5]) or _labels_text(dataset))
    verdicts = [files, labels]
    if exact is None:
        nothing = "no exact result for this lattice, boundary, coupling and field"
        verdicts += [Verdict(name, None, nothing) for name in ("energy", "specific heat")]
    else:
        scores = _scores(rows, "energy"), _scores(rows, "specific_heat")
        limit, alarm = _exact.bound(sum(map(len, scores)))
        verdicts.append(_judge("energy", scores[0], len(rows), limit, alarm))
        verdicts.append(_judge("specific heat", scores[1], len(rows), limit, alarm))
    verdicts += [_judge_starts(dataset, rows), _judge_stripes(dataset, rows)]
    return Report(dataset.path, verdicts, rows, exact.source if exact else None)


def _row(dataset: Dataset, index: int, exact: _exact.Reference | None, wrong: list[str]) -> Row:
    """Measure one temperature; what contradicts the spec or the spins is added to `wrong`."""
    spec = dataset.spec
    temperature = spec.temperatures[index]
    energy, magnetization = dataset.energy[index], dataset.magnetization[index]
    spins = _layout.unpack(dataset.packed(index), dataset.n_sites)
    code = int(phase_codes(spec)[index])
    if dataset.temperature[index] != temperature or dataset.phase[index] != code:
        wrong.append(f"T = {temperature:g} is labelled {dataset.temperature[index]:g}")
    scale = abs(spec.coupling) * spec.graph().n_bonds + abs(spec.field) * dataset.n_sites
    off = np.abs(spec.model().energy(spins) - energy) > 1e-10 * scale
    for what, bad in [
        ("energies", off),
        ("magnetisations", observables.magnetization(spins) != magnetization),
    ]:
        if bad.any():
            wrong.append(
                f"T = {temperature:g}: {int(bad.sum())} {what} do not follow from the spins"
            )
    compared = [
        None if exact is None else _exact.compare(name, spec, index, energy, exact)
        for name in ("energy_per_site", "specific_heat")
    ]
    return Row(
        temperature,
        next(name for name, number in PHASES.items() if number == code),
        compared[0],
        compared[1],
        float(dataset.label("tau_int")[index]),
        float(np.fmax(r_hat(energy), r_hat(np.abs(magnetization)))),
        _stripes(dataset, code, spins),
    )


def _stripes(dataset: Dataset, code: int, spins: np.ndarray) -> np.ndarray | None:
    spec = dataset.spec
    winds = spec.lattice in ("square", "triangular") and "open" not in spec.boundary
    if code != PHASES["ordered"] or not winds:
        return None
    sign = np.where(spec.graph().colours == 0, 1, -1) if is_staggered(spec) else np.int8(1)
    shaped = (spins * sign).reshape(*spins.shape[:-1], *dataset.grid)
    return striped(shaped, diagonal=spec.lattice == "triangular").mean(axis=1)


def _labels_text(dataset: Dataset) -> str:
    n = dataset.energy.size
    return f"energy and magnetisation of {n} configurations follow from their spins"


def _scores(rows: list[Row], name: str) -> list[float]:
    found = [getattr(row, name) for row in rows]
    return [c.z for c in found if c is not None and not math.isnan(c.z)]


def _judge(check: str, scores: list[float], n_rows: int, limit: float, alarm: float) -> Verdict:
    left_out = f"; {n_rows - len(scores)} undecided" if len(scores) < n_rows else ""
    if not scores:
        return Verdict(check, None, "too few draws, or too few excitations, at every temperature")
    worst = float(np.abs(scores).max())
    detail = (
        f"largest |z| = {worst:.2f} of {len(scores)}, bound {limit:.3g}{left_out}; a correct "
        f"dataset leaves the bounds once in {1.0 / alarm:,.0f}"
    )
    return Verdict(check, worst < limit, detail)


def _judge_starts(dataset: Dataset, rows: list[Row]) -> Verdict:
    spec = dataset.spec
    n, m = spec.n_draws // 2, 2 * spec.n_chains
    values = np.array([row.r_hat for row in rows])
    if n < 2 or np.isnan(values).all():
        return Verdict("starts", None, "too few draws, or too few fluctuations, for an R-hat")
    # Independent draws exceed this once in 10,000 datasets; with short halves that is more than
    # 1.1.
    ratio = float(stats.f.isf(1e-4 / len(rows), m - 1, m * (n - 1)))
    limit = max(MAX_R_HAT, math.sqrt((n - 1 + ratio) / n))
    worst = float(np.nanmax(values))
    detail = f"largest R-hat = {worst:.3f} between ordered and random starts, bound {limit:.3g}"
    return Verdict("starts", worst < limit, detail)


def _judge_stripes(dataset: Dataset, rows: list[Row]) -> Verdict:
    looked = [row.stripes for row in rows if row.stripes is not None]
    if not looked:
        return Verdict("stripes", None, "no temperature below T_c on a square or triangular torus")
    draws = dataset.spec.n_draws
    count = round(sum(float(fractions.sum()) for fractions in looked) * draws)
    stuck = sum(int((fractions > 0.5).sum()) for fractions in looked)
    lowest = min(
        (row.temperature for row in rows if row.stripes is not None and row.stripes.any()),
        default=None,
    )
    where = "" if lowest is None else f", all at T >= {lowest:g}"
    detail = (
        f"{stuck} of {len(looked) * dataset.spec.n_chains} chains below T_c are stuck in stripes; "
        f"{count} of {len(looked) * dataset.spec.samples} configurations are striped{where}"
    )
    return Verdict("stripes", stuck == 0, detail)
