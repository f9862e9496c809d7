"""What `thermodynamics` is asked, checked: temperatures, moves, a known log Z, a ladder."""

import math
from typing import Any

import numpy as np

from ..chains import tune_ladder
from ..errors import InvalidInput, MissingCapability
from ..models._two_layers import TwoLayers
from ..samplers import MALA, BlockGibbs, HeatBath, ReplicaExchange, Sampler
from ..spaces import Discrete
from .exact_sum import exact_sum
from .logz import LogZ
from .path.base import check_sampler
from .path.tempering import Tempering

_ACCEPTANCE = 0.5  # of neighbours, where no ladder is given
_PILOT = 100  # sweeps of a run that tunes the ladder
_EXACT_UNITS = 20  # of the smaller layer of an RBM that is summed without being asked


def grid(betas: Any, temperatures: Any) -> np.ndarray:
    """Inverse temperatures asked for, float64 (temperature,)."""
    if (betas is None) == (temperatures is None):
        given = "neither" if betas is None else "both"
        raise InvalidInput(f"Give one of betas= and temperatures=; {given} was given.")
    name, value = ("betas", betas) if temperatures is None else ("temperatures", temperatures)
    try:
        found = np.atleast_1d(np.array(value, np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}={value!r} is no list of numbers.") from error
    if found.ndim != 1 or not len(found) or not (np.isfinite(found) & (found > 0.0)).all():
        raise InvalidInput(
            f"{name}={value!r} must be positive finite numbers: at beta = 0 the free energy "
            "-log Z / beta is infinite, at T = 0 nothing fluctuates."
        )
    return found if temperatures is None else 1.0 / found


def sampler_of(model: Any, given: Any) -> Sampler:
    """The moves between swaps: what was given, or the first that fits."""
    if given is not None:
        check_sampler(given)
        found: Sampler = given.sampler if isinstance(given, ReplicaExchange) else given
        ReplicaExchange(found).check(model)
        return found
    for candidate in (BlockGibbs(), HeatBath(), MALA()):
        try:
            candidate.check(model)
        except MissingCapability:
            continue
        return candidate
    raise MissingCapability(
        f"None of BlockGibbs, HeatBath and MALA can sample {model!r}. Give sampler=."
    )


def reference_of(
    model: Any, asked: np.ndarray, moves: Sampler, given: Any
) -> tuple[float, float, float]:
    """beta of the reference, log Z there and its error."""
    if given is not None:
        try:
            at, log_z = given
            at = float(at)
            value, error = (
                (log_z.value, log_z.stderr) if isinstance(log_z, LogZ) else (float(log_z), 0.0)
            )
        except (TypeError, ValueError) as trouble:
            raise InvalidInput(
                f"reference={given!r} must be a pair (beta, log Z), log Z a number or a LogZ."
            ) from trouble
        if not (math.isfinite(at) and at >= 0.0 and math.isfinite(value) and math.isfinite(error)):
            raise InvalidInput(
                f"reference={given!r}: beta must be >= 0, and log Z and its error finite."
            )
        if at == 0.0 and not _finite_at_zero(model):
            raise InvalidInput(
                f"reference at beta = 0, where log Z of {model!r} is infinite. Use beta > 0."
            )
        return at, value, error
    if _finite_at_zero(model):
        return 0.0, Tempering(model, 1.0, sampler=moves).log_z_reference, 0.0
    at = float(asked.min())
    layers = [model.space, getattr(model, "hidden_space", model.space)]
    small = [
        layer for layer in layers if isinstance(layer, Discrete) and layer.size <= _EXACT_UNITS
    ]
    if isinstance(model, TwoLayers) and small:
        return at, float(exact_sum(model, at).value), 0.0
    raise InvalidInput(
        f"log Z of {model!r} is infinite at beta = 0, so it must be known elsewhere to count from: "
        "give reference=(beta, log Z), with an exact value or a LogZ such as "
        "ais(Weights(rbm, beta=beta), ...) or ais(Geometric(Gaussian(...), model, beta=beta), "
        "...); (beta, 0.0) gives log Z relative to that beta."
    )


def _finite_at_zero(model: Any) -> bool:
    """Whether Z at infinite temperature is a number: finite spaces without normal hidden units."""
    if not isinstance(model.space, Discrete):
        return False
    units = getattr(model, "hidden_units", None)
    return units is None or units.name != "normal"


def ladder_of(
    model: Any, moves: Sampler, low: float, high: float, given: Any, seed: int
) -> np.ndarray:
    """Betas to sample, ascending."""
    if given is None:
        if low == high:
            raise InvalidInput(
                f"All temperatures and the reference are at beta={low:g}; there is nothing to "
                "exchange with. Ask for another temperature too, or give ladder=."
            )
        tuned = tune_ladder(
            model, moves, low, high, acceptance=_ACCEPTANCE, rng=seed, n_sweeps=_PILOT
        )
        return tuned.betas
    try:
        rungs = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"ladder={given!r} is no list of betas.") from error
    rising = rungs.ndim == 1 and len(rungs) > 1 and bool((np.diff(rungs) > 0.0).all())
    if not rising or not np.isfinite(rungs).all() or rungs[0] < 0.0:
        raise InvalidInput(f"ladder={given!r} must be at least two betas >= 0 that ascend.")
    slack = 1e-9 * high
    if rungs[0] > low + slack or rungs[-1] < high - slack:
        raise InvalidInput(
            f"The ladder goes from beta = {rungs[0]:g} to {rungs[-1]:g}, but the temperatures "
            f"asked for and the reference reach from {low:g} to {high:g}. Samples tell nothing "
            "outside of their ladder: extend it."
        )
    return rungs
