"""The warnings after a run: chains that disagree, drift, never move or diverge, and the heat of
minibatches.

Moves without accept/reject have no law at all where the step is too long for the curvature. Then
energies grow exponentially, for thousands of moves before they overflow, and neither R-hat nor a
drift in standard errors sees it, as the scatter grows too. Nothing else grows so: a burn-in from
the bottom of a well brings energies up linearly in time, or to a plateau a few widths higher; heavy
tails come and go, and medians do not follow them.
"""

import warnings
from typing import Any

import numpy as np

from ..errors import (
    EffectiveTemperatureWarning,
    EquilibrationWarning,
    InvalidInput,
    ShortChain,
)
from ..statistics import drift_z, split_r_hat
from . import betas

# R-hat above 1.1, or a drift that equilibrium shows once in 1.7 million runs.
MAX_R_HAT = 1.1
MAX_DRIFT = 5.0
MAX_DIVERGENCES = 0.01  # of all trajectories; regions that they cannot enter go unseen
# Of the median energy from a chain's first quarter to its last tenth, in widths of that quarter
# (largest less smallest) and in units of the temperature: an entropy of as much would have to be
# gained by the way.
MAX_GROWTH = 1e4
MAX_RISE = 0.05  # of the temperature, by the noise of gradients, as a mean over a run
_MIN_DRAWS = 50  # shorter chains are not judged


def warn_unless_equilibrated(chain: Any) -> None:
    """Compare chains that ran at one beta, and the beginning of each with its end."""
    if chain.n_draws < _MIN_DRAWS:
        return
    if not chain.sampler.invariant:
        growing = int((growth(chain.energy, chain.beta) > MAX_GROWTH).sum())
        if growing:
            warnings.warn(
                f"{growing} of {chain.n_chains} chains of {type(chain.sampler).__name__} diverge, "
                "their energies growing by orders of magnitude: without accept/reject a step too "
                "long for the curvature has no equilibrium, and averages mean nothing. Use a "
                "smaller step_size, or MALA.",
                EquilibrationWarning,
                stacklevel=3,
            )
            return  # what cannot come into equilibrium is not compared with it
    complaints = []
    if "acceptance" in chain.info:
        stuck = int((chain.info["acceptance"].sum(axis=1) == 0).sum())
        if stuck:
            complaints.append(f"{stuck} of {chain.n_chains} chains never moved (never_moved)")
    if "divergences" in chain.info:
        share = float(chain.info["divergences"].mean())
        if share > MAX_DIVERGENCES:
            complaints.append(
                f"{share:.0%} of the trajectories diverged, where the step is too long for the "
                "curvature (give a smaller step_size, or let the warm-up adapt it)"
            )
    different, group = betas.groups(chain.beta)
    for k, beta in enumerate(different):
        energies = chain.energy[group == k]
        if not np.ptp(energies):
            continue  # a ground state does not fluctuate, and all chains share it
        comparable = len(energies) > 1 and chain.sampler.ergodic
        r_hat = split_r_hat(energies) if comparable else 1.0
        if r_hat > MAX_R_HAT:
            complaints.append(
                f"at beta={beta:.6g} the chains disagree on the energy (R-hat {r_hat:.3g})"
            )
            continue
        try:
            coupled = chain.sampler.coupled
            drift = drift_z(energies.mean(axis=0, keepdims=True) if coupled else energies)
        except (ShortChain, InvalidInput):
            continue  # too short, or too still, for a drift to be measured
        if abs(drift) > MAX_DRIFT:
            complaints.append(f"at beta={beta:.6g} the energy drifts ({drift:.1f} standard errors)")
    if complaints:
        warnings.warn(
            "; ".join(complaints) + ". Burn in longer, or use a sampler that mixes faster.",
            EquilibrationWarning,
            stacklevel=3,
        )


def growth(energy: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """How far each chain's energies (chain, draw) climb at beta (chain,), in widths of their first
    quarter or in units of the temperature, whichever is less."""
    n = energy.shape[1]
    early, late = energy[:, : max(2, n // 4)], energy[:, -max(1, n // 10) :]
    with np.errstate(invalid="ignore", over="ignore"):  # energies may overflow where x does not
        climbed = np.median(late, axis=1) - np.median(early, axis=1)
        return np.asarray(beta * climbed / np.maximum(1.0, beta * np.ptp(early, axis=1)))


def warn_of_heat(chain: Any) -> None:
    """Tell by how much gradients from minibatches changed the temperature, where that matters."""
    if "temperature_rise" not in chain.info:
        return
    rises = np.asarray(chain.info["temperature_rise"])
    if np.isnan(rises).all():
        told = (
            "Batches of one row show no spread, so that the rise of the temperature by the noise "
            "of gradients could not be measured: use batch_size=2 or more to see it, or compare "
            "with a smaller step"
        )
    else:
        different, group = betas.groups(chain.beta)
        means = np.array([rises[group == k].mean() for k in range(len(different))])
        worst = int(np.argmax(np.abs(means)))
        if not abs(means[worst]) > MAX_RISE:
            return
        told = (
            f"The noise of gradients from minibatches changed the temperature by "
            f"{means[worst]:+.2g} (in units of the model's, at beta={different[worst]:.6g}), so "
            f"that averages are those at about {1.0 + means[worst]:.3g} times the temperature "
            "asked for: use a smaller step, larger batches, or steps that fall (PolynomialDecay); "
            "SGHMC can count on the noise (noise_estimate)"
        )
    warnings.warn(told + ".", EffectiveTemperatureWarning, stacklevel=3)
