"""Pseudo-likelihood: how well the model predicts each unit from all others, exactly.

    PL(v) = sum_i log p(v_i | v_-i) = - sum_i log sum_w exp(F(v) - F(v with v_i = w))

Every unit is visited: nothing is estimated from one flipped unit a configuration. Needs no
partition function. J. Besag, The Statistician 24, 179 (1975), doi:10.2307/2987782. Cost: q - 1 free
energies a unit; of an RBM, where a changed unit moves the fields of the hidden ones by a row of W,
n_visible (q - 1) n_hidden operations a configuration.
"""

import torch
from torch import Tensor

from ..errors import MissingCapability
from ..spaces import Discrete
from .rbm import TrainableRBM
from .shell import Trainable


def pseudo_log_likelihood(shell: Trainable, x: Tensor) -> Tensor:
    """sum_i log p(x_i | x_-i) in nats, (n, size) -> (n,).

    Raises
    ------
    MissingCapability
        Where units are real: F does not give their conditional laws in closed form.

    >>> from statmech_ml.models import BernoulliRBM
    >>> shell = BernoulliRBM([0.0, 0.0], [0.0], [[0.0], [0.0]]).thaw()
    >>> pseudo_log_likelihood(shell, shell.tensor([[0, 1]]))  # 2 log(1/2)
    tensor([-1.3863])
    """
    space = shell.space
    if not isinstance(space, Discrete):
        raise MissingCapability(
            f"The pseudo-likelihood sums over the values of each unit, but those of {space!r} are "
            "real. Use the log-likelihood, or a score-matching loss."
        )
    values = torch.as_tensor(space.values, device=x.device).to(x.dtype)
    with torch.no_grad():
        rise = _RBMRise(shell, x) if isinstance(shell, TrainableRBM) else _Rise(shell, x)
        total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for site in range(space.size):
            if len(values) == 2:  # the other value of each configuration
                others = (values.sum() - x[:, site])[:, None]
                weights = torch.cat([torch.zeros_like(others), -rise(site, others)], dim=1)
            else:
                weights = -rise(site, values.expand(len(x), -1))
            total -= torch.logsumexp(weights, dim=1)
    return total


class _Rise:
    """F(x with x_i = w) - F(x) of any shell."""

    def __init__(self, shell: Trainable, x: Tensor) -> None:
        self.shell, self.x, self.energy = shell, x, shell.free_energy(x)

    def __call__(self, site: int, values: Tensor) -> Tensor:
        """(n, k) values of one site -> (n, k)."""
        found = torch.empty_like(values)
        changed = self.x.clone()
        for k in range(values.shape[1]):
            changed[:, site] = values[:, k]
            found[:, k] = self.shell.free_energy(changed) - self.energy
        return found


class _RBMRise:
    """The same of an RBM, from the fields of the hidden units."""

    def __init__(self, shell: TrainableRBM, x: Tensor) -> None:
        self.shell, self.x = shell, x
        self.field = shell.hidden_field(shell.features(x))
        self.sums = shell.log_sum(self.field).sum(dim=-1)

    def __call__(self, site: int, values: Tensor) -> Tensor:
        """(n, k) values of one site -> (n, k)."""
        bias, weights = self.shell.visible_bias[site], self.shell.weights[site]
        here = self.x[:, site]
        if self.shell.visible == "levels":
            here, values = here.long(), values.long()
            own = bias[values] - bias[here][:, None]
            shift = weights[values] - weights[here][:, None]
        else:
            own = (values - here[:, None]) * bias
            shift = (values - here[:, None])[..., None] * weights
        moved = self.shell.log_sum(self.field[:, None] + shift).sum(dim=-1)
        return -own - (moved - self.sums[:, None])
