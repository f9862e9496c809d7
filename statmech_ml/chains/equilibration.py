"""The warning that chains have not equilibrated: they disagree, drift, or never move."""

import warnings
from typing import Any

import numpy as np

from ..errors import EquilibrationWarning, InvalidInput, ShortChain
from ..statistics import drift_z, split_r_hat
from . import betas

# R-hat above 1.1, or a drift that equilibrium shows once in 1.7 million runs.
MAX_R_HAT = 1.1
MAX_DRIFT = 5.0
MAX_DIVERGENCES = 0.01  # of all trajectories; regions that they cannot enter go unseen
_MIN_DRAWS = 50  # shorter chains are not judged


def warn_unless_equilibrated(chain: Any) -> None:
    """Compare chains that ran at one beta, and the beginning of each with its end."""
    if chain.n_draws < _MIN_DRAWS:
        return
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
