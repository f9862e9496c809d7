"""Timing two things in turn, so that a slow spell of the machine hits both."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Result:
    """One comparison: rates in work per nanosecond, their ratio, and what was aimed at."""

    name: str
    unit: str
    rate: float
    reference: str
    reference_rate: float
    ratio: float
    target: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    name: str,
    unit: str,
    work: float,
    run: Callable[[], Any],
    reference: str,
    reference_work: float,
    reference_run: Callable[[], Any],
    target: float,
    repeats: int = 7,
) -> Result:
    """Median of the ratios of `repeats` alternating runs, after one run of each to warm up."""
    run()
    reference_run()
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(work / _seconds(run) / 1e9)
        theirs.append(reference_work / _seconds(reference_run) / 1e9)
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    return Result(name, unit, median(ours), reference, median(theirs), ratio, target)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Hardware and versions behind the figures."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    packages = (
        "statmech-ml",
        "numpy",
        "numba",
        "torch",
        "mcising",
        "pymbar",
        "rbms",
        "scikit-learn",
    )
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"processor": model, "python": platform.python_version(), "versions": versions}
