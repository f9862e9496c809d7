"""Variational autoencoders: latents h ~ N(0, I), a decoder p(x | h), and an encoder q(h | x).

    q(h | x) = N(mu(x), diag s(x)^2),   h = mu + s eps
    elbo = reconstruction - kl <= log p(x)
    reconstruction = E_q[log p(x | h)]                     summed over sites
    kl = KL(q(h | x) || N(0, I)) = 1/2 sum_j (mu_j^2 + s_j^2 - 1 - log s_j^2)
    loss = -(reconstruction - beta kl)                     averaged over configurations

Kingma and Welling (2014), arXiv:1312.6114, eqs. 3 and 10; beta: Higgins et al. (2017), ICLR;
conditional: Sohn, Lee and Yan (2015), NeurIPS.

Sites are independent given h, so that spins have the correlations G(i, j) = E_h[m_i m_j], i != j,
of their magnetisations m(h). Only where m is uniform over the sites is that E[m^2] at every
distance, with -2 E[m^2] for the energy per site of a square lattice: a decoder that writes local
structure needs latents for it.

Cost: one pass through both networks a configuration; `log_likelihood` K passes through the decoder.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..spaces import Reals, Space, Spins
from . import networks
from ._decoders import Variance, check_finite, check_network, check_positive, joined, law_of
from ._latent import LatentModel, Normal, array, evaluating, log_standard, seeds
from .pca import check_width


class Latents(NamedTuple):
    """Mean and standard deviation of q(h | x), float64 (n, n_latent) each."""

    mean: np.ndarray
    sd: np.ndarray


class VAE(LatentModel):
    """Variational autoencoder with a normal encoder and independent sites.

    Parameters
    ----------
    space : Reals, Spins or Bits
        Of the configurations: normal sites, or sites of two values.
    n_latent : int
        At most `space.size`.
    hidden : sequence of int, default (128, 128)
        Widths of the encoder's layers; the decoder's are the same, mirrored.
    rng : int or numpy Generator
        Draws the first weights. Needed unless both networks are given.
    beta : float, default 1
        Weight of the divergence in the loss. Only at 1 is the loss the bound.
    n_conditions : int, default 0
        Numbers beside each configuration, such as a temperature, that encoder and decoder both see.
        Any finite numbers: what they mean is the caller's affair.
    variance : "learned" (default), "per-site", or a number
        Of Reals given the latents: one number for all sites, one a site, or fixed.
    act : str, default "silu"
        Activation of the hidden layers, by name (`networks.ACTIVATIONS`).
    encoder, decoder : torch modules, optional
        (n, size + n_conditions) -> (n, 2 n_latent), means and then log variances; and
        (n, n_latent + n_conditions) -> (n, size), the means of Reals, or the log-odds of the higher
        value.
    dtype : torch dtype, default float32
        Of what is made here.

    Raises
    ------
    InvalidInput
        For settings and data that cannot work.

    Examples
    --------
    >>> vae = VAE(Spins(16), 2, (32,), rng=1)
    >>> history = vae.fit(np.ones((50, 16)), epochs=2, rng=2, batch_size=25)
    >>> sorted(history.series)[:3], vae.sample(5, rng=3).shape
    (['elbo', 'gradient_norm', 'kl'], (5, 16))
    """

    def __init__(
        self,
        space: Space,
        n_latent: int,
        hidden: Sequence[int] = (128, 128),
        *,
        rng: Any = None,
        beta: float = 1.0,
        n_conditions: int = 0,
        variance: Variance | None = None,
        act: str = "silu",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space, n_conditions)
        check_width("n_latent", n_latent, space.size)
        self.n_latent, self.beta = int(n_latent), check_positive("beta", beta)
        hidden = networks.layer_widths(hidden)
        read, write = space.size + self.n_conditions, n_latent + self.n_conditions
        first, second = seeds(rng, 2) if encoder is None or decoder is None else (0, 0)
        self.sites = law_of(space, variance, dtype)
        if encoder is None:
            encoder = networks.dense(read, 2 * n_latent, hidden, rng=first, act=act, dtype=dtype)
        if decoder is None:
            decoder = networks.dense(
                write, space.size, hidden[::-1], rng=second, act=act, dtype=dtype
            )
        check_network(encoder, "encoder", read, 2 * n_latent)
        check_network(decoder, "decoder", write, space.size)
        self.encoder, self.decoder = encoder, decoder

    @classmethod
    def lattice(
        cls,
        shape: tuple[int, int],
        n_latent: int,
        channels: Sequence[int] = (16, 32),
        *,
        rng: Any,
        kind: type[Space] = Spins,
        n_conditions: int = 0,
        act: str = "silu",
        dtype: torch.dtype = torch.float32,
        **settings: Any,
    ) -> "VAE":
        """A VAE of configurations on a periodic rows x columns lattice, its networks convolutions
        (`networks.lattice_reader`, `lattice_writer` with the channels mirrored). `settings` are
        `beta` and `variance`."""
        first, second = seeds(rng, 2)
        channels = networks.layer_widths(channels, "channels")
        read = networks.lattice_reader(
            shape, 2 * n_latent, channels, rng=first, n_extra=n_conditions, act=act, dtype=dtype
        )
        write = networks.lattice_writer(
            n_latent + n_conditions, shape, channels[::-1], rng=second, act=act, dtype=dtype
        )
        return cls(
            kind(shape[0] * shape[1]), n_latent, n_conditions=n_conditions, encoder=read,
            decoder=write, dtype=dtype, **settings,
        )  # fmt: skip

    # --- the model --------------------------------------------------------------------------------

    def posterior(self, x: Tensor, condition: Tensor | None) -> Normal:
        """q(h | x) of a batch."""
        return Normal(self.encoder(joined(x, condition)))

    def terms(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """reconstruction, kl, and elbo = reconstruction - kl, whatever beta is."""
        q = self.posterior(x, condition)
        h = q.draw(self.noise((len(x), self.n_latent), generator))
        reconstruction = self.sites.log_prob(x, self.decoder(joined(h, condition)))
        kl = q.rates().sum(-1)
        return {"reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}

    def objective(self, terms: dict[str, Tensor]) -> Tensor:
        """reconstruction - beta kl."""
        return terms["reconstruction"] - self.beta * terms["kl"]

    def log_weights(
        self, x: Tensor, condition: Tensor | None, n_draws: int, generator: torch.Generator
    ) -> Tensor:
        """log p(x | h) + log p(h) - log q(h | x), (n_draws, n)."""
        q = self.posterior(x, condition)
        h = q.draw(self.noise((n_draws, len(x), self.n_latent), generator))
        given = None if condition is None else condition.expand(n_draws, *condition.shape)
        out = self.decoder(joined(h, given).flatten(0, 1)).unflatten(0, (n_draws, len(x)))
        return self.sites.log_prob(x, out) + log_standard(h) - q.log_prob(h)

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        h = self.noise((n, self.n_latent), generator)
        return self.sites.draw(self.decoder(joined(h, condition)), generator)

    # --- what users call --------------------------------------------------------------------------

    def encode(self, x: Any, *, condition: Any = None) -> Latents:
        """Mean and standard deviation of q(h | x), of configurations (n, size)."""
        q = self._posterior_of(x, condition)
        return Latents(array(q.mean), array(torch.exp(0.5 * q.log_variance)))

    def decode(self, h: Any, *, condition: Any = None) -> np.ndarray:
        """Mean of each site given latents (n, n_latent), float64 (n, size): magnetisations of
        spins, probabilities of bits."""
        rows = Reals(self.n_latent).check(h, "h")
        if rows.ndim != 2:
            raise InvalidInput(f"h has shape {rows.shape}; rows (n, {self.n_latent}) are needed.")
        given = self.conditions(condition, len(rows), "condition")
        with evaluating(self):
            out = check_finite(self.decoder(joined(self.tensor(rows), given)), "decoder")
            return array(self.sites.mean(out))

    def rates(self, x: Any, *, condition: Any = None) -> np.ndarray:
        """Mean over configurations of KL(q(h_j | x) || N(0, 1)) of each latent, in nats, float64
        (n_latent,). They sum to the term "kl"."""
        return array(self._posterior_of(x, condition).rates().double().mean(0))

    def active_latents(
        self, x: Any, *, threshold: float = 0.01, condition: Any = None
    ) -> np.ndarray:
        """Which latents carry more than `threshold` nats about the configurations, (n_latent,)."""
        threshold = check_positive("threshold", threshold)
        return np.asarray(self.rates(x, condition=condition) > threshold)

    def _posterior_of(self, x: Any, condition: Any) -> Normal:
        rows = self.configurations(x)
        given = self.conditions(condition, len(rows), "condition")
        with evaluating(self):
            return Normal(check_finite(self.encoder(joined(rows, given)), "encoder"))

    def extra_repr(self) -> str:
        """Settings that the networks do not show."""
        return f"n_latent={self.n_latent}, beta={self.beta}, n_conditions={self.n_conditions}"
