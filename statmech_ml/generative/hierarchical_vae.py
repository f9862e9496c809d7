"""Hierarchical VAE: a Markov chain of latents, h_1 next to the data and h_T furthest.

    up     q(h_1 | x) q(h_2 | h_1) ... q(h_T | h_T-1)         normal, networks
    down   p(h_T) = N(0, I), p(h_T-1 | h_T) ... p(h_1 | h_2), p(x | h_1)

    elbo = E_q[log p(x | h_1)]                                 "reconstruction"
         - sum_t<T E_q[log q(h_t | h_t-1) - log p(h_t | h_t+1)]   "ratio_1" ... "ratio_T-1"
         - E_q[KL(q(h_T | h_T-1) || N(0, I))]                  "prior"

with h_0 = x. The middle terms are log-ratios averaged over the joint q(h_t-1, h_t, h_t+1). They are
no divergences KL(q(h_t | h_t-1) || p(h_t | h_t+1)), in which h_t would be drawn without regard to
h_t+1, that is drawn from it.

C. K. Sonderby et al. (2016), arXiv:1602.02282, section 2; C. Luo (2022), arXiv:2208.11970,
eq. 28. Cost: T + 1 networks a configuration, up and down.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..spaces import Reals, Space
from . import networks
from ._decoders import Variance, check_finite, check_network, joined, law_of
from ._latent import LatentModel, Normal, array, evaluating, log_standard, seeds
from ._linear import AffineNormal, normal_evidence
from .likelihood import LogLikelihood
from .pca import check_width


class HierarchicalVAE(LatentModel):
    """VAE with a chain of latents.

    Parameters
    ----------
    space : Reals, Spins or Bits
        Of the configurations.
    latents : sequence of int
        Numbers at each level, h_1 first; each at most `space.size`.
    hidden : sequence of int, default (128,)
        Widths of the layers of every network.
    rng : int or numpy Generator
        Draws the first weights. Needed unless all networks are given.
    n_conditions : int, default 0
        Numbers beside each configuration, which every network sees.
    variance : "learned" (default), "per-site", or a number
        Of Reals given h_1.
    act : str, default "silu"
    encoders, decoders : sequences of torch modules, optional
        encoders[t] reads h_t (x for t = 0) and gives means and log variances of h_t+1; decoders[0]
        reads h_1 and gives what `VAE`'s does, decoders[t] reads h_t+1 and gives means and log
        variances of h_t.
    dtype : torch dtype, default float32

    Examples
    --------
    >>> from statmech_ml.spaces import Spins
    >>> model = HierarchicalVAE(Spins(16), (8, 2), (32,), rng=1)
    >>> bound = model.elbo(np.ones((3, 16)), n_draws=4, rng=2)
    >>> list(bound.terms)
    ['reconstruction', 'ratio_1', 'prior', 'elbo']
    """

    def __init__(
        self,
        space: Space,
        latents: Sequence[int],
        hidden: Sequence[int] = (128,),
        *,
        rng: Any = None,
        n_conditions: int = 0,
        variance: Variance | None = None,
        act: str = "silu",
        encoders: Sequence[nn.Module] | None = None,
        decoders: Sequence[nn.Module] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space, n_conditions)
        self.latents = _levels(latents, space.size)
        self.sites = law_of(space, variance, dtype)
        n, extra = len(self.latents), self.n_conditions
        up, down = _widths(space.size, self.latents, extra)
        if encoders is None or decoders is None:
            words = seeds(rng, 2 * n)
        if encoders is None:
            encoders = [
                networks.dense(*width, hidden, rng=word, act=act, dtype=dtype)
                for width, word in zip(up, words[:n], strict=True)
            ]
        if decoders is None:
            decoders = [
                networks.dense(*width, hidden, rng=word, act=act, dtype=dtype)
                for width, word in zip(down, words[n:], strict=True)
            ]
        for name, given, widths in (("encoders", encoders, up), ("decoders", decoders, down)):
            if len(given) != n:
                raise InvalidInput(f"{len(given)} {name} for {n} levels of latents.")
            for t, (network, width) in enumerate(zip(given, widths, strict=True)):
                check_network(network, f"{name}[{t}]", *width)
        self.encoders, self.decoders = nn.ModuleList(encoders), nn.ModuleList(decoders)

    # --- the model --------------------------------------------------------------------------------

    def _up(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> Iterator[tuple[Normal, Tensor]]:
        """q(h_t | h_t-1) and a draw of it, level by level."""
        h = x
        for network, n in zip(self.encoders, self.latents, strict=True):
            q = Normal(network(joined(h, condition)))
            h = q.draw(self.noise((len(x), n), generator))
            yield q, h

    def _down(self, t: int, h: Tensor, condition: Tensor | None) -> Normal:
        """p(h_t | h_t+1), t = 1 .. T - 1."""
        return Normal(self.decoders[t](joined(h, condition)))

    def terms(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """reconstruction, ratio_1 .. ratio_T-1, prior, and elbo: the first minus the others."""
        up = list(self._up(x, condition, generator))
        out = self.decoders[0](joined(up[0][1], condition))
        found = {"reconstruction": self.sites.log_prob(x, out)}
        for t in range(1, len(up)):
            (q, h), (_, above) = up[t - 1], up[t]
            found[f"ratio_{t}"] = q.log_prob(h) - self._down(t, above, condition).log_prob(h)
        found["prior"] = up[-1][0].rates().sum(-1)
        costs = torch.stack([v for name, v in found.items() if name != "reconstruction"])
        return found | {"elbo": found["reconstruction"] - costs.sum(0)}

    def log_weights(
        self, x: Tensor, condition: Tensor | None, n_draws: int, generator: torch.Generator
    ) -> Tensor:
        """log p(x, h_1 .. h_T) - log q(h_1 .. h_T | x), (n_draws, n)."""
        rows = x.repeat(n_draws, 1)
        given = None if condition is None else condition.repeat(n_draws, 1)
        up = list(self._up(rows, given, generator))
        total = self.sites.log_prob(rows, self.decoders[0](joined(up[0][1], given)))
        for t, (q, h) in enumerate(up, start=1):
            top = t == len(up)
            p = log_standard(h) if top else self._down(t, up[t][1], given).log_prob(h)
            total = total + p - q.log_prob(h)
        return total.unflatten(0, (n_draws, len(x)))

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        h = self.noise((n, self.latents[-1]), generator)
        for t in range(len(self.latents) - 1, 0, -1):
            p = self._down(t, h, condition)
            h = p.draw(self.noise((n, self.latents[t - 1]), generator))
        return self.sites.draw(self.decoders[0](joined(h, condition)), generator)

    # --- what users call --------------------------------------------------------------------------

    def encode(self, x: Any, *, rng: Any, condition: Any = None) -> list[np.ndarray]:
        """One draw of the chain h_1 .. h_T from q for each configuration (n, size): float64 arrays
        (n, latents[t])."""
        rows = self.configurations(x)
        given = self.conditions(condition, len(rows), "condition")
        with evaluating(self):
            chain = self._up(rows, given, self.generator(rng))
            return [array(check_finite(h, "encoder")) for _, h in chain]

    def decode(self, h: Any, *, condition: Any = None) -> np.ndarray:
        """Mean of each site given h_1 (n, latents[0]), float64 (n, size)."""
        rows = Reals(self.latents[0]).check(h, "h")
        if rows.ndim != 2:
            raise InvalidInput(f"h has shape {rows.shape}; rows (n, {self.latents[0]}) are needed.")
        given = self.conditions(condition, len(rows), "condition")
        with evaluating(self):
            out = check_finite(self.decoders[0](joined(self.tensor(rows), given)), "decoder")
            return array(self.sites.mean(out))

    def extra_repr(self) -> str:
        """Settings that the networks do not show."""
        return f"latents={self.latents}, n_conditions={self.n_conditions}"


class LinearHierarchicalVAE(HierarchicalVAE):
    """A hierarchical VAE whose networks are affine and whose variances are constants: p(x) is a
    normal law.

    Parameters
    ----------
    size : int
    latents : sequence of int
    rng : int or numpy Generator
        Draws the first weights.
    variance : "learned" (default), "per-site", or a number
    dtype : torch dtype, default float32
    """

    def __init__(
        self,
        size: int,
        latents: Sequence[int],
        *,
        rng: Any,
        variance: Variance = "learned",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        levels = _levels(latents, Reals(size).size)
        up, down = _widths(size, levels, 0)
        words = seeds(rng, 2 * len(levels))
        made = [
            AffineNormal(a, b // 2, rng=word, dtype=dtype)
            for (a, b), word in zip([*up, *down[1:]], words[1:], strict=True)
        ]
        first = networks.dense(levels[0], size, (), rng=words[0], dtype=dtype)
        super().__init__(
            Reals(size), levels, variance=variance, dtype=dtype, encoders=made[: len(up)],
            decoders=[first, *made[len(up) :]],
        )  # fmt: skip

    def marginal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (size,) and covariance (size, size) of the model's p(x): C_t = W C_t+1 W^T + S down
        the chain."""
        mean, C = np.zeros(self.latents[-1]), np.eye(self.latents[-1])
        layers: list[Any] = [*self.decoders]
        for part in reversed(layers[1:]):
            W, b = array(part.affine.weight), array(part.affine.bias)
            mean, C = W @ mean + b, W @ C @ W.T + np.diag(np.exp(array(part.log_variance)))
        W, b = array(layers[0][0].weight), array(layers[0][0].bias)
        law: Any = self.sites
        noise = np.exp(array(law.log_variance)) * np.ones(len(b))
        return W @ mean + b, W @ C @ W.T + np.diag(noise)

    def evidence(self, x: Any) -> LogLikelihood:
        """log p(x) of configurations (n, size), exact."""
        return normal_evidence(self.checked(x, "x"), *self.marginal())


def _levels(latents: Any, size: int) -> tuple[int, ...]:
    if isinstance(latents, int | str) or not (found := tuple(latents)):
        raise InvalidInput(f"latents={latents!r} must be whole numbers, h_1 first: (16, 4).")
    for n in found:
        check_width("latents", n, size)
    return tuple(int(n) for n in found)


def _widths(
    size: int, latents: tuple[int, ...], extra: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(n_in, n_out) of encoders and decoders."""
    below = (size, *latents[:-1])
    up = [(a + extra, 2 * b) for a, b in zip(below, latents, strict=True)]
    down = [(b + extra, 2 * a) for a, b in zip(below, latents, strict=True)]
    down[0] = (latents[0] + extra, size)  # the sites' law has its own variance
    return up, down
