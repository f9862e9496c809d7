"""The linear VAE: probabilistic PCA, so that evidence, optimum and rates are known.

    p(x | h) = N(W h + b, sigma^2 I),   q(h | x) = N(V x + c, diag s^2)
    p(x) = N(b, W W^T + sigma^2 I)

With eigenvalues lambda_j of the data's covariance, largest first, the optimum at weight beta is

    w_j^2 = lambda_j - beta sigma^2,   s_j^2 = beta sigma^2 / lambda_j
    rate_j = KL(q(h_j | x) || N(0, 1)) averaged = 1/2 log(lambda_j / (beta sigma^2))

along the eigenvectors where lambda_j > beta sigma^2; the other latents are inactive (w = 0, rate
0). At beta = 1 the bound has no gap there, and a learnt sigma^2 is the mean discarded eigenvalue.
The encoder's diagonal variance leaves no freedom to rotate the latents.

All expectations over h are in closed form: the loss of a batch has no sampling noise.

J. Lucas, G. Tucker, R. Grosse and M. Norouzi (2019), arXiv:1911.02469, sections 3 and 4; M. E.
Tipping and C. M. Bishop (1999), doi:10.1111/1467-9868.00196, eqs. 3, 7 and 8. Cost: O(size
n_latent) a configuration; `evidence` O(size^3) once.
"""

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..spaces import Reals
from ..training._arguments import check_at_least
from ._decoders import NormalSites, Variance, check_finite
from ._latent import EvidenceBound, array, evaluating, seeds
from ._linear import AffineNormal, normal_evidence, put
from .likelihood import LogLikelihood
from .networks import dense
from .pca import PCA
from .vae import VAE


class LinearVAE(VAE):
    """A VAE whose networks are linear.

    Parameters
    ----------
    size, n_latent : int
        Sites and latents, n_latent <= size.
    rng : int or numpy Generator
        Draws the first weights.
    beta : float, default 1
        Weight of the divergence.
    variance : "learned" (default), "per-site", or a number
        sigma^2; "per-site" is factor analysis.
    dtype : torch dtype, default float32

    Examples
    --------
    >>> x = np.random.default_rng(1).normal(size=(500, 3)) * [2.0, 1.0, 0.5]
    >>> vae = LinearVAE(3, 1, rng=2, dtype=torch.float64)
    >>> pca = vae.solve(x)
    >>> gap = vae.evidence(x).values.mean() - vae.elbo(x)["elbo"].mean()
    >>> bool(abs(gap) < 1e-12)
    True
    """

    encoder: AffineNormal
    sites: NormalSites

    def __init__(
        self,
        size: int,
        n_latent: int,
        *,
        rng: Any,
        beta: float = 1.0,
        variance: Variance = "learned",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_at_least("n_latent", n_latent, 1, "numbers")
        space = Reals(size)
        first, second = seeds(rng, 2)
        super().__init__(
            space, n_latent, beta=beta, variance=variance, dtype=dtype,
            encoder=AffineNormal(size, n_latent, rng=first, dtype=dtype),
            decoder=dense(n_latent, size, (), rng=second, dtype=dtype),
        )  # fmt: skip

    def terms(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """reconstruction, kl and elbo, averaged over h in closed form: E|x - W h - b|^2 adds
        sum_j s_j^2 |W_j|^2 to that at the mean."""
        q, layer = self.posterior(x, None), self._layer
        spread = (layer.weight**2) @ torch.exp(self.encoder.log_variance)
        blur = (spread * torch.exp(-self.sites.log_variance)).sum()
        reconstruction = self.sites.log_prob(x, layer(q.mean)) - 0.5 * blur
        kl = q.rates().sum(-1)
        return {"reconstruction": reconstruction, "kl": kl, "elbo": reconstruction - kl}

    def elbo(
        self, x: Any, *, n_draws: int = 2, rng: Any = 0, condition: Any = None
    ) -> EvidenceBound:
        """The bound of configurations (n, size), exact: nothing is drawn, and `n_draws` and `rng`
        are not used."""
        rows = self.configurations(x)
        self.conditions(condition, len(rows), "condition")
        with evaluating(self):
            terms = self.terms(rows, None, self.generator(rng))
            found = {
                name: array(check_finite(value, f"term {name!r}")) for name, value in terms.items()
            }
        return EvidenceBound(found, {name: np.zeros(len(rows)) for name in found})

    def marginal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (size,) and covariance (size, size) of the model's p(x)."""
        W = array(self._layer.weight)
        noise = np.exp(array(self.sites.log_variance)) * np.ones(len(W))
        return array(self._layer.bias), W @ W.T + np.diag(noise)

    def evidence(self, x: Any) -> LogLikelihood:
        """log p(x) of configurations (n, size), exact."""
        return normal_evidence(self.checked(x, "x"), *self.marginal())

    def optimal_rates(self, pca: PCA) -> np.ndarray:
        """Rates (n_latent,) in nats, largest first, of the optimum for data with these principal
        components, at this beta and the present sigma^2: 1/2 log(lambda / (beta sigma^2)), or 0."""
        floor = self.beta * self._variance()
        leading = pca.eigenvalues[: self.n_latent]
        return 0.5 * np.log(np.maximum(leading, floor) / floor)

    def solve(self, data: Any) -> PCA:
        """Take the optimum for the data (n, size), in closed form; returns their principal
        components.

        Raises InvalidInput where there is no closed form (a variance for each site; one that is
        learnt while beta is not 1), or the learnt sigma^2 is 0.
        """
        learnt = self.sites.setting == "learned"
        if learnt and self.beta != 1.0:
            raise InvalidInput(
                f"beta={self.beta} with a learnt variance has no closed form here. Give variance="
            )
        pca = PCA.of(self.checked(data, "data"), self.n_latent)
        variance = pca.noise_variance if learnt else self._variance()
        if not variance > 1e-12 * pca.eigenvalues[0]:
            raise InvalidInput(
                f"The data lie in {self.n_latent} dimensions: the learnt variance is 0, and their "
                "likelihood has no bound. Take fewer latents, or give variance=."
            )
        floor = self.beta * variance
        total = np.maximum(pca.eigenvalues[: self.n_latent], floor)
        w = np.sqrt(total - floor)
        read = (w / total)[:, None] * pca.components
        put(self._layer.weight, pca.components.T * w)
        put(self._layer.bias, pca.mean)
        put(self.encoder.affine.weight, read)
        put(self.encoder.affine.bias, -read @ pca.mean)
        put(self.encoder.log_variance, np.log(floor / total))
        if learnt:
            put(self.sites.log_variance, [np.log(variance)])
        return pca

    def _variance(self) -> float:
        if self.sites.setting == "per-site":
            raise InvalidInput(
                "A variance for each site is factor analysis, which has no closed form. Use "
                "variance='learned' or a number, or `fit`."
            )
        return float(np.exp(array(self.sites.log_variance))[0])

    @property
    def _layer(self) -> nn.Linear:
        layer: Any = self.decoder
        return cast(nn.Linear, layer[0])
