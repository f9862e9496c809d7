"""log Z without error: every state visited, or the smaller layer of an RBM summed out.

The exact results that know more than states (transfer matrix, Pfaffian, trees, Kaufman) are in
`statmech_ml.exact`.
"""

import math
from typing import Any

from ..errors import InvalidInput
from ..exact import enumeration, pairwise, rbm
from ..models import RBM, BoltzmannMachine, GaussianRBM, Hopfield, Ising, PottsRBM
from ..spaces import Discrete
from ..systems import EnergyModel
from .logz import EXACT, LogZ
from .path import Path


def exact_sum(model: Any, beta: float | None = None) -> LogZ:
    """Exact log Z of an RBM with one small layer, or of any model with a small discrete space.

    Parameters
    ----------
    model : EnergyModel or Path
        RBMs of every kind, Boltzmann machines, Hopfield networks: the table of `exact.rbm` (32
        bits or spins in the smaller layer, 44 beside a layer of normal units). Ising models: up to
        44 spins (2^38 states take about ten seconds). Other models: up to 2^26 states. Of a path,
        the target.
    beta : float, default 1.0
        Inverse temperature, finite and >= 0 (> 0 for normal units). A path knows its own.

    Returns
    -------
    LogZ
        With status "exact", stderr 0 and both bounds at the value.

    Raises
    ------
    InvalidInput
        For what is no model, spaces that are continuous or too large, and beta= together with a
        path.

    >>> from statmech_ml.models import BernoulliRBM
    >>> rbm = BernoulliRBM(visible_bias=[0.5], hidden_bias=[-1.0], weights=[[2.0]])
    >>> print(exact_sum(rbm))  # log(1 + e^0.5 + e^-1 + e^1.5)
    log_z = 2.0146749655 [exact, 2 states]
    """
    if isinstance(model, Path):
        if beta is not None:
            raise InvalidInput(
                f"beta={beta!r} together with a path: the path ends at its own beta."
            )
        model, beta = model.target
    if not isinstance(model, EnergyModel):
        raise InvalidInput(
            f"{model!r} is no model: it has no space, energy(x) and reduced_energy(x, beta). Give "
            "one of statmech_ml.models, or a path to one."
        )
    beta = 1.0 if beta is None else beta
    if isinstance(model, RBM | PottsRBM | GaussianRBM | BoltzmannMachine | Hopfield):
        value = rbm.log_z(model, beta)
        n_states = _summed(model)
    elif isinstance(model, Ising):
        value = pairwise.log_z(model, beta)
        n_states = 2**model.space.size
    else:
        value = enumeration.log_z(model, beta)
        space: Any = model.space
        n_states = space.n_states
    if not isinstance(value, float):
        raise InvalidInput(f"beta={beta!r} is an array; exact_sum answers for one beta.")
    return LogZ(
        value, 0.0, value, value, method=EXACT, status=EXACT, diagnostics={"n_states": n_states}
    )


def _summed(model: Any) -> int:
    """Number of states of the layer that is summed over; of all units where they are joined."""
    if isinstance(model, BoltzmannMachine):
        return 2 ** (model.n_visible + model.n_hidden)
    layers = [model.space] if isinstance(model, Hopfield) else [model.space, model.hidden_space]
    return int(min(s.n_states if isinstance(s, Discrete) else math.inf for s in layers))
