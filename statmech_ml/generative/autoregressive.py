"""`AutoregressiveSpins`: a network of spins whose likelihood is exact and whose draws are too.

    p(s) = prod_i p(s_i | s_0 .. s_{i-1}),     p(s_i | s_<i) = 1 / (1 + exp(-s_i a_i(s_<i)))

with a_i, the log-odds of an upward spin, from one network whose output i sees the inputs before i
only. The product is normalised whatever the network is: there is no log Z. It is the reference that
has both, a likelihood and independent draws; what a draw costs is the sites one after the other.

Where the physics has the symmetry s -> -s, `flip_symmetry=True` builds it in: p(s) is the mean of
the network's p(s) and p(-s), exactly normalised and symmetric, for two passes of the network. Below
T_c the network then need not find both phases. (One pass in the gauge s_0 = +1 would be symmetric
too, but splits the ordered phase by the rare turned s_0, which variational training then misses.)

Trained on data (`fit`, maximum likelihood) or, without any, on an energy (`fit_variational`). The
latter minimises KL(p || exact), which forgives whole regions that the model never draws: it can
miss modes (stripes, phases, the minima of a glass), and neither the free energy nor the weights of
the model's own draws say so. Annealing beta and the flip symmetry help; where exact draws exist,
compare.

M. Germain et al., ICML (2015), arXiv:1502.03509; D. Wu, L. Wang and P. Zhang, Phys. Rev. Lett. 122,
080602 (2019), doi:10.1103/PhysRevLett.122.080602.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..spaces import Bits, Space, Spins
from ..statistics import Estimate
from ..training import History
from ..training.descent import OptimizerMaker, ScheduleMaker
from . import variational
from ._causality import check_causal
from ._conditionals import drawn_signs
from ._decoders import check_finite
from ._model import GenerativeModel, Losses
from .likelihood import LogLikelihood
from .masked_dense import MaskedDense
from .variational import Reweighted

_ROWS = 4096  # configurations at a time


class AutoregressiveSpins(GenerativeModel):
    """A normalised distribution of spins or bits, site by site.

    Parameters
    ----------
    space : Spins or Bits
    network : torch module, optional
        (n, size + n_conditions) -> (n, size): configurations of -1 and +1 (bits too), conditions
        beside them, to the log-odds of the higher value of each site given those before it.
        `MaskedDense`, `MaskedConvolution`, or your own; output i must see the inputs before i only,
        which is tried on random configurations. By default `MaskedDense` with one layer of two
        units a site. A network of yours that has `draw(uniforms, condition)` is drawn from by it,
        otherwise by one pass for each site.
    flip_symmetry : bool, default False
        Whether p(-s) = p(s), for bits p(1 - b) = p(b).
    n_conditions : int, default 0
        Numbers beside each configuration, such as a temperature.
    rng : int or numpy Generator
        Of the first weights of the default network.
    dtype : torch.dtype, default torch.float32
        Of the default network. Likelihoods are summed in float64.

    Raises
    ------
    InvalidInput
        For other spaces, a network of another shape, and one that is not autoregressive.

    >>> from statmech_ml.spaces import Spins
    >>> model = AutoregressiveSpins(Spins(4), rng=1)
    >>> states = Spins(4).from_index(np.arange(16))
    >>> round(float(np.exp(model.log_prob(states)).sum()), 6)
    1.0
    """

    def __init__(
        self,
        space: Space,
        network: nn.Module | None = None,
        *,
        flip_symmetry: bool = False,
        n_conditions: int = 0,
        rng: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space, n_conditions)
        if not isinstance(space, Spins | Bits):
            raise InvalidInput(
                f"AutoregressiveSpins has two values on every site, but {space!r} was given. Use "
                "Spins or Bits; for real numbers DiffusionModel or VAE."
            )
        if not isinstance(flip_symmetry, bool):
            raise InvalidInput(f"flip_symmetry={flip_symmetry!r} must be True or False.")
        size = space.size
        if network is None:
            if rng is None:
                raise InvalidInput("Give rng=, the seed of the network's first weights.")
            network = MaskedDense(
                size, (2 * size,), rng=rng, n_conditions=n_conditions, dtype=dtype
            )
        elif rng is not None:
            raise InvalidInput("rng= draws the default network; a given one has its weights.")
        self.network, self.flip_symmetry = network, flip_symmetry
        check_causal(network, size, self.n_conditions)

    def extra_repr(self) -> str:
        """What a checkpoint compares."""
        return (
            f"{self.space!r}, n_conditions={self.n_conditions}, flip_symmetry={self.flip_symmetry}"
        )

    # --- the distribution -------------------------------------------------------------------------

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """-log p(x) in nats a configuration, mean over the batch."""
        return {"loss": -self.log_density(x, condition).mean()}

    def log_density(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p(x) of tensors x (n, size) of the space's values: float64 (n,), differentiable by
        the parameters."""
        signs = self._signs(x)
        found = self._of_network(signs, condition)
        if self.flip_symmetry:
            found = torch.logaddexp(found, self._of_network(-signs, condition)) - math.log(2.0)
        return found

    def log_odds(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p(higher | sites before) / p(lower | sites before), each site: float64 (n, size), of
        the network alone, before it is made symmetric."""
        return self._network(self._signs(x), condition).double()

    def _of_network(self, signs: Tensor, condition: Tensor | None) -> Tensor:
        """log p of the network alone, of configurations of -1 and +1."""
        return nn.functional.logsigmoid(signs * self._network(signs, condition).double()).sum(1)

    def _network(self, signs: Tensor, condition: Tensor | None) -> Tensor:
        rows = signs if condition is None else torch.cat([signs, condition], dim=1)
        found: Tensor = self.network(rows)
        return found

    def _signs(self, x: Tensor) -> Tensor:
        """-1 and +1 of the space's values."""
        return x if isinstance(self.space, Spins) else 2.0 * x - 1.0

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        shape = (n, self.space.size + self.flip_symmetry)
        # Doubles, as probabilities are then exact to 2^-53 and not to 2^-24.
        u = torch.rand(shape, generator=generator, device=self.device, dtype=torch.float64)
        signs = self._drawn(u, condition)
        return signs if isinstance(self.space, Spins) else (signs + 1.0) / 2.0

    def _drawn(self, u: Tensor, condition: Tensor | None) -> Tensor:
        """Configurations of -1 and +1 from uniform numbers, one a site and one for the flip."""
        size = self.space.size
        turned = 1.0 - 2.0 * (u[:, size:] < 0.5).to(self.dtype)  # (n, 0) without the symmetry
        u = u[:, :size]
        if hasattr(self.network, "draw"):
            network: Any = self.network
            signs = network.draw(u, condition)
        else:
            signs = draw_one_by_one(self._network, u, condition, self.dtype)
        return turned * signs if self.flip_symmetry else signs

    # --- what users call --------------------------------------------------------------------------

    def log_prob(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """log p(x), exact and normalised.

        Parameters
        ----------
        x : array (n, size)
            Configurations of the space.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.

        Returns
        -------
        float64 array (n,), in nats; with the rounding of the network's dtype.

        Raises
        ------
        InvalidInput
            For what is no configuration of the space, conditions that do not fit, and a network
            that gives no finite numbers.
        """
        rows = self.configurations(x)
        conditions = self.conditions(condition, len(rows), "condition")
        self.eval()
        found = []
        with torch.no_grad():
            for first in range(0, len(rows), _ROWS):
                part = slice(first, first + _ROWS)
                given = None if conditions is None else conditions[part]
                log_p = check_finite(self.log_density(rows[part], given), "network")
                found.append(log_p.cpu().numpy())
        return np.concatenate(found)

    def log_likelihood(self, x: Any, *, condition: Any = None, rng: Any = None) -> LogLikelihood:
        """`log_prob` as every likelihood is returned; there is no noise, so rng= is not used."""
        values = self.log_prob(x, condition=condition)
        return LogLikelihood(values, np.zeros_like(values), "exact", "product of conditionals")

    def fit_variational(
        self,
        model: Any,
        *,
        beta: Any,
        n_steps: int,
        rng: Any,
        condition: Any = None,
        batch_size: int = 200,
        anneal_steps: int = 0,
        learning_rate: float = 1e-3,
        optimizer: OptimizerMaker | None = None,
        schedule: ScheduleMaker | None = None,
        weight_decay: float = 0.0,
        clip: float | None = None,
        ema: float | None = None,
        steps_per_epoch: int = 50,
        checkpoint: Any = None,
        checkpoint_every: int = 1,
        resume: bool = False,
        progress: bool | None = None,
    ) -> History:
        """Train without data, on an energy, in place: minimise the variational free energy

            beta F = E_p[log p(s) + u(s)] = -log Z + KL(p || exp(-u) / Z)

        over draws of the model itself. The gradient is that of the score function with the mean of
        the other draws of the batch as baseline, which leaves it unbiased (W. Kool, H. van Hoof and
        M. Welling, "Buy 4 REINFORCE samples, get a baseline for free!", ICLR workshop (2019)):

            1/(n - 1) sum_k (f_k - mean f) grad log p(s_k),     f = log p + u

        Parameters
        ----------
        model : EnergyModel
            Of the same space; its `reduced_energy` at beta is u.
        beta : float, or array (k,) with as many conditions
            Above 0 and finite.
        n_steps : int
            In all, those before a checkpoint included; a multiple of steps_per_epoch.
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (k, n_conditions) or (k,)
            Of a conditional model: what stands beside each beta, such as 1 / beta. Each step draws
            batch_size / k configurations of each.
        batch_size : int, default 200
            Configurations drawn a step, at least 2 for each condition.
        anneal_steps : int, default 0
            beta grows in proportion to the step until so many were made: modes are then found
            while the landscape is flat.
        learning_rate, optimizer, schedule, weight_decay, clip, ema, checkpoint, checkpoint_every, \
resume, progress
            As those of `fit`.
        steps_per_epoch : int, default 50
            What one row of the history, one step of the schedule and a checkpoint stand for.

        Returns
        -------
        History
            "loss" (beta F at the beta of the step, nats), "energy" (mean u), "entropy" (-mean log
            p), "spread" (standard deviation of f, which is 0 where p is exact), and "annealed" (the
            part of beta that had been reached).

        Raises
        ------
        InvalidInput
            Before any work, for what cannot work.
        StoreError
            For a checkpoint that exists (without `resume`), is damaged, or of another run.
        TrainingDiverged
            As `fit`.
        """
        return variational.fit_variational(
            self, model, beta=beta, n_steps=n_steps, rng=rng, condition=condition,
            batch_size=batch_size, anneal_steps=anneal_steps, learning_rate=learning_rate,
            optimizer=optimizer, schedule=schedule, weight_decay=weight_decay, clip=clip, ema=ema,
            steps_per_epoch=steps_per_epoch, checkpoint=checkpoint,
            checkpoint_every=checkpoint_every, resume=resume, progress=progress,
        )  # fmt: skip

    def free_energy(
        self, model: Any, beta: float, n: int = 10_000, *, rng: Any, condition: Any = None
    ) -> Estimate:
        """The variational free energy beta F = E_p[log p + u] >= -log Z, in nats, with its error.

        An upper bound on -log Z on average; what it lies above is KL(p || exact). It says nothing
        of regions that the model never draws.

        Parameters
        ----------
        model : EnergyModel
            Of the same space.
        beta : float
        n : int, default 10_000
            Independent draws, at least 2.
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n_conditions,) or a number
            Of a conditional model.
        """
        return variational.free_energy(self, model, beta, n, rng, condition)

    def reweight(
        self, model: Any, beta: float, n: int = 10_000, *, rng: Any, condition: Any = None
    ) -> Reweighted:
        """Draws with importance weights exp(-u) / p, from which averages of the exact ensemble
        follow, and log Z.

        Arguments are those of `free_energy`. K. A. Nicoli et al., Phys. Rev. E 101, 023304 (2020),
        doi:10.1103/PhysRevE.101.023304, section III.
        """
        return variational.reweight(self, model, beta, n, rng, condition)


def draw_one_by_one(
    network: Any, uniforms: Tensor, condition: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """Configurations (n, size) of -1 and +1 from network(signs, condition) -> log-odds, by one pass
    for each site."""
    x = torch.ones(uniforms.shape, device=uniforms.device, dtype=dtype)
    for i in range(uniforms.shape[1]):
        x[:, i] = drawn_signs(uniforms[:, i], network(x, condition)[:, i], dtype)
    return x
