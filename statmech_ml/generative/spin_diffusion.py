"""`SpinDiffusion`: a diffusion model of spins or bits, with a likelihood of the bits.

Spins s are noised as real numbers are, z = a s + sigma eps (bits as the spins 2 b - 1), and the
last step back is a law of spins, not of reals smeared around them: the posterior of fair
independent spins (Kingma et al., section 3.3),

    p(s_i | z_0) = sigmoid(2 a z_0i s_i / sigma^2),

so that the three terms bound the log *probability* of a configuration, in nats:

    log P(s) >= E log p(s | z_0) - KL(q(z_1 | s) || N(0, I)) - 1/2 int E |s - guess|^2 d snr.

With the exact denoiser E[s | z] of a law Q in continuous time, and ends that leave nothing, the
bound is log Q(s) itself, for every s: q(z | s) is then the posterior of the latents (Girsanov). On
average over data from P it costs D(P || Q) above the entropy, which for Q = P is the I-MMSE
relation H = 1/2 int mmse d snr (D. Guo, S. Shamai, S. Verdu 2005, doi:10.1109/TIT.2005.844072; S.
Verdu 2010, doi:10.1109/TIT.2010.2050800).

The exact denoiser of an Ising model is its magnetisation in the fields B = a z / sigma^2 that the
noisy image exerts. That of a site depends on its own field by tanh(B_i + u_i), where u_i, what the
other sites do to it, does not depend on B_i and is bounded by the couplings. So the network says
u(z): `prediction="field"`, guess = tanh(B + u) in (-1, 1).

D. P. Kingma, T. Salimans, B. Poole, J. Ho (2021), arXiv:2107.00630.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ..errors import InvalidInput
from ..spaces import Bits, Space, Spins
from ._model import Losses
from .diffusion import DiffusionModel
from .lattice_denoiser import noise_field
from .likelihood import LogLikelihood
from .spin_schedule import SpinSchedule


def log_spins_given(s: Tensor, z: Tensor, log_snr: Tensor) -> Tensor:
    """log p(s | z) = sum_i log sigmoid(2 B_i s_i), B the field of z: fair independent spins.

    s, z (n, size), log_snr (n, 1) -> float64 (n,).
    """
    return logsigmoid(2.0 * noise_field(z.double(), log_snr.double()) * s.double()).sum(dim=1)


class SpinDiffusion(DiffusionModel):
    """A diffusion model of spins or bits.

    Networks, noisy configurations and guesses (`denoise`, `score`) are in units of spins, for bits
    too. Data, samples, and what `sample` is told of them (`clip`, likelihoods) are in the space's.

    Parameters
    ----------
    space : Space
        `Spins(size)` or `Bits(size)`.
    schedule : Schedule or LearnedLogSNR, default SpinSchedule()
        As of `DiffusionModel`. Its data's end must know the spins: with log_snr = 5 or more nothing
        is left to the last step.
    network : torch module, optional
        As of `DiffusionModel`; for a lattice take `LatticeDenoiser`.
    prediction : "field", "x0", "epsilon" or "v"
        What the network's output is. "field": u, so that the guess is tanh(B + u). "x0" is for
        networks that answer within [-1, 1] by themselves, such as `ExactDenoiser`.
    loss, n_conditions, rng, dtype
        As of `DiffusionModel`; loss="simple" is not for "field".

    Raises
    ------
    InvalidInput
        As `DiffusionModel`, and for a space of reals.
    """

    def __init__(
        self,
        space: Space,
        *,
        schedule: Any = None,
        network: nn.Module | None = None,
        prediction: str = "field",
        loss: str = "elbo",
        n_conditions: int = 0,
        rng: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        by_field = prediction == "field"
        if by_field and loss == "simple":
            raise InvalidInput(
                'loss="simple" compares the output of the network with noise or data, and '
                'prediction="field" is neither. Take loss="elbo", or another prediction.'
            )
        super().__init__(
            space,
            schedule=SpinSchedule() if schedule is None else schedule,
            network=network,
            prediction="x0" if by_field else prediction,
            loss=loss,
            n_conditions=n_conditions,
            rng=rng,
            dtype=dtype,
        )
        self.prediction = prediction

    def _check_space(self, space: Space) -> None:
        if not isinstance(space, Spins | Bits):
            raise InvalidInput(
                f"SpinDiffusion has a law of two values for the last step, and {space!r} is of "
                "other ones. Take DiffusionModel for real numbers."
            )

    def check_data(self, x: np.ndarray) -> None:
        """Nothing: spins have a mean square of 1."""

    # --- bits as spins ----------------------------------------------------------------------------

    def configurations(self, x: Any, name: str = "x") -> Tensor:
        """Data (n, size) of the model's space as a tensor of spins; InvalidInput otherwise."""
        return self.as_latents(super().configurations(x, name))

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """As of `DiffusionModel`; x of the model's space."""
        return super().losses(self.as_latents(x), condition, generator)

    def as_latents(self, x: Tensor) -> Tensor:
        """Bits as spins."""
        return 2.0 * x - 1.0 if isinstance(self.space, Bits) else x

    def as_configurations(self, x: Tensor) -> Tensor:
        """Spins as bits, where the space is of bits."""
        return 0.5 * (1.0 + x) if isinstance(self.space, Bits) else x

    # --- the law of the last step, and the guess --------------------------------------------------

    def log_decoder(self, x: Tensor, guess: Tensor, z: Tensor, log_snr: Tensor) -> Tensor:
        """log p(s | z_0), `log_spins_given`; the guess is not asked."""
        return log_spins_given(x, z, log_snr)

    def decode(
        self, last: Tensor, guess: Tensor, z: Tensor, log_snr: float, generator: torch.Generator
    ) -> Tensor:
        """Configurations of the space, drawn from p(s | z_0)."""
        field = noise_field(z.double(), torch.tensor(log_snr, device=z.device))
        uniform = torch.rand(z.shape, generator=generator, device=z.device, dtype=torch.float64)
        probability = torch.sigmoid(2.0 * field)
        up = (uniform < probability).to(z.dtype)
        # A probability that is no number stays one, for `sample` to refuse, and is not "down".
        up = torch.where(torch.isnan(probability), torch.nan, up)
        return self.as_configurations(2.0 * up - 1.0)

    def guess(self, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """As of `DiffusionModel`: E[s | x_t] (n, size)."""
        if self.prediction != "field":
            return super().guess(x, log_snr, condition)
        level = log_snr.to(x.dtype)
        return torch.tanh(noise_field(x, level) + self.answer(x, level, condition))

    # --- the likelihood ---------------------------------------------------------------------------

    def log_likelihood(  # type: ignore[override]
        self, x: Any, *, rng: Any, n_draws: int = 64, condition: Any = None
    ) -> LogLikelihood:
        """Lower bound on log P(x), the probability of a configuration, in nats.

        Parameters
        ----------
        x : array (n, size)
        rng : int or numpy Generator
            The seed. There is no default.
        n_draws : int, default 64
            Noise draws for each configuration; at least 2.
        condition : as in `sample`

        Returns
        -------
        LogLikelihood
            kind "lower bound", `elbo(x)` with its error. `bits_per_site` is the cost of a code.
        """
        found = self.elbo(x, rng=rng, n_draws=n_draws, condition=condition)
        return LogLikelihood(
            found["elbo"], found.stderr["elbo"], "lower bound", f"elbo, {n_draws} draws"
        )
