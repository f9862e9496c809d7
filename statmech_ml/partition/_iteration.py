"""Fixed points of the deterministic approximations: iterate, and say how it went."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from ..exact._arguments import finite_number
from ._arguments import check_count
from ._pairwise import Pairwise


class Fixed(NamedTuple):
    """Where one start led: log Z, marginals (n, q), the last change, and the sweeps it took."""

    value: float
    marginals: np.ndarray
    residual: float
    n_sweeps: int


def check_settings(tol: Any, max_sweeps: Any, damping: Any = 0.0) -> None:
    """InvalidInput unless tol > 0, max_sweeps >= 1 and 0 <= damping < 1."""
    if not finite_number(tol, "tol") > 0.0:
        raise InvalidInput(f"tol={tol!r} is never reached; give a small positive number.")
    check_count("max_sweeps", max_sweeps, 1)
    if not 0.0 <= finite_number(damping, "damping") < 1.0:
        raise InvalidInput(
            f"damping={damping!r} must be at least 0, no damping, and less than 1, no movement."
        )


def iterate(sweep: Callable[[], float], tol: float, max_sweeps: int) -> tuple[float, int]:
    """Sweep until nothing changes by more than `tol`; the last change and the number of sweeps."""
    residual, n = math.inf, 0
    while residual > tol and n < max_sweeps:
        residual, n = sweep(), n + 1
    return residual, n


def report(
    problem: Pairwise,
    best: Fixed,
    found: Sequence[Fixed],
    tol: float,
    began: float,
) -> dict[str, Any]:
    """The diagnostics that all three approximations share."""
    diagnostics: dict[str, Any] = {"marginals": best.marginals}
    if problem.is_numeric:
        diagnostics["magnetizations"] = best.marginals @ problem.values
    return diagnostics | {
        "iterations": best.n_sweeps,
        "residual": best.residual,
        "converged": best.residual <= tol,
        "n_starts": len(found),
        "cost": {
            "sweeps": sum(fixed.n_sweeps for fixed in found),
            "energy_evaluations": len(found),
            "seconds": time.perf_counter() - began,
        },
        "provenance": problem.provenance,
    }
