"""Datasets: what `ising_data` writes and reads back, against Kaufman and against its own spins."""

import math
import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import ising_data
from statmech_ml import observables
from statmech_ml.exact import kaufman
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, identity

_SIDES = (8, 12)
_TEMPERATURES = (1.9, 2.3, 3.0)


@lru_cache(maxsize=2)
def _generated(seed: int, samples: int) -> dict[str, Any]:
    """A small dataset, through the disk: energies, magnetisations and spins (temperature, chain,
    draw).
    """
    spec = ising_data.Spec(
        "square", _SIDES, _TEMPERATURES, samples=samples, seed=seed, n_chains=8, spacing=4
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.zarr"
        ising_data.generate(spec, path, progress=False)
        dataset = ising_data.load(path)
        spins = np.stack([dataset.spins(T) for T in _TEMPERATURES])
        parts = dataset.split("chain", {"train": 0.5, "test": 0.5}, seed=seed)
        return {
            "energy": dataset.energy,
            "magnetization": dataset.magnetization,
            "spins": spins,
            "model": spec.model(),
            "parts": parts,
        }


def _round_trip(seed: int, scale: int, *, mistake: str = "") -> list[Measurement]:
    data = _generated(seed, 1600 * scale)
    spins, energy, parts = data["spins"], data["energy"], data["parts"]
    if mistake == "draws":
        spins = np.roll(spins, 1, axis=2)
    n = energy.size
    off = int((data["model"].energy(spins) != energy).sum())
    found = [identity("energies that do not follow from the spins", off, 0, 0.5, n)]
    off = int((observables.magnetization(spins) != data["magnetization"]).sum())
    found.append(identity("magnetisations that do not follow from the spins", off, 0, 0.5, n))
    shared = set(parts["train"].chains) & set(parts["test"].chains)
    found.append(identity("chains shared by two parts of a split", len(shared), 0, 0.5))
    labels = _TEMPERATURES[::-1] if mistake == "temperatures" else _TEMPERATURES
    for i, T in enumerate(labels):
        at, sites = (*_SIDES, 1.0 / T), math.prod(_SIDES)
        series = {"energy": energy[i], "beta": 1.0 / T, "n_sites": sites}
        found.append(
            against(f"u, T = {T}", mean(energy[i] / sites), float(kaufman.energy_per_site(*at)))
        )
        heat = observables.estimate("specific_heat", **series)
        found.append(against(f"c, T = {T}", heat, float(kaufman.specific_heat(*at))))
    return found


CHECKS = (
    Check(
        "datasets.round-trip",
        "A dataset read back has labels that follow from its spins, and Kaufman's energy and "
        "specific heat.",
        _round_trip,
        (
            Mutant("labels of the next draw", partial(_round_trip, mistake="draws")),
            Mutant("temperatures in reverse order", partial(_round_trip, mistake="temperatures")),
        ),
    ),
)


# --- a dataset that is there already --------------------------------------------------------------


@lru_cache(maxsize=1)
def _report(path: Path) -> ising_data.Report:
    return ising_data.verify(path)


def _given(seed: int, scale: int, *, path: Path, reverse: bool = False) -> list[Measurement]:
    report = _report(path)
    found = [
        identity(f"verify: {verdict.check}", float(verdict.passed), 1.0, 0.5)
        for verdict in report.verdicts
        if verdict.passed is not None
    ]
    rows = report.rows
    for row, exact in zip(rows, rows[::-1] if reverse else rows, strict=True):
        for name in ("energy", "specific_heat"):
            here, there = getattr(row, name), getattr(exact, name)
            if here is None or here.measured is None or math.isnan(here.z):
                continue
            m = here.measured
            z = (m.value - there.exact) / m.stderr if reverse else here.z
            label = f"{name.replace('_', ' ')}, T = {row.temperature:g}"
            found.append(Measurement(label, m.value, there.exact, m.stderr, m.n, z))
    return found


def _shifted(seed: int, scale: int, *, path: Path) -> list[Measurement]:
    """The labels of the next draw, at the highest temperature."""
    dataset = ising_data.load(path)
    i = int(np.argmax(dataset.temperature))
    spins = np.roll(dataset.spins(float(dataset.temperature[i])), 1, axis=1)
    off = int((dataset.spec.model().energy(spins) != dataset.energy[i]).sum())
    return [identity("energies that do not follow from the spins", off, 0, 0.5, spins.shape[1])]


def given(path: Path) -> Check:
    """The check of a dataset on disk: its own `verify`, and every z-score behind it."""
    run = partial(_given, path=path)
    mutants = [Mutant("labels of the next draw", partial(_shifted, path=path))]
    if _report(path).source is not None and len(_report(path).rows) > 1:
        mutants.append(Mutant("temperatures in reverse order", partial(run, reverse=True)))
    return Check(
        "datasets.given",
        f"{path.name}: checksums, labels, R-hat of ordered against random starts, stripes, exact "
        "u and c.",
        run,
        tuple(mutants),
        repeatable=False,
    )
