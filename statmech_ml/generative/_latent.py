"""What models with latents share: the evidence lower bound, and importance weights.

    log p(x) >= E_q[log w],   w = p(x, h) / q(h | x)                     the bound
    log p(x) ~ log (1/K) sum_k w_k,   h_k ~ q(h | x)                     importance weights

The weights average to p(x) without bias, so that their logarithm is biased low (Jensen), by
var(w) / (2 K <w>^2) to first order, and rises towards log p(x) with K. Where few weights carry the
sum the estimate knows neither its value nor its error: it is then a lower bound and nothing more,
and says so (`_weights`). An encoder narrower than the posterior is the usual cause.

Y. Burda, R. Grosse and R. Salakhutdinov (2016), arXiv:1509.00519. Cost: K decoder passes a
configuration.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._rng import seed_from
from ..errors import InvalidInput
from ..statistics import Estimate
from ..statistics.estimate import from_tau
from ..training._arguments import check_at_least
from ._decoders import LOG_2_PI, SiteLaw, check_finite
from ._model import GenerativeModel, Losses
from ._weights import Weighed, weigh
from .likelihood import Kind, LogLikelihood

_ROWS = 2**16  # rows that pass a network at a time


@dataclass(frozen=True)
class EvidenceBound:
    """The evidence lower bound of n configurations, term by term, in nats.

    Attributes
    ----------
    terms : mapping of float64 arrays (n,)
        By name, "elbo" among them; of each configuration, averaged over draws of the latents.
    stderr : mapping of float64 arrays (n,)
        Standard errors from those draws; 0, up to rounding, for what is in closed form.
    """

    terms: Mapping[str, np.ndarray]
    stderr: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.terms:
            raise InvalidInput(f"There is no term {name!r}; there are {', '.join(self.terms)}.")
        return self.terms[name]

    def mean(self, name: str = "elbo") -> Estimate:
        """Mean over the configurations, taken as independent; its error holds their spread, which
        contains the noise of the draws. One configuration has no spread: its error is that of
        the draws alone."""
        values = self[name]
        n = len(values)
        variance = float(np.var(values, ddof=1) if n > 1 else self.stderr[name][0] ** 2)
        return from_tau(float(values.mean()), 0.5, variance, n)

    def __str__(self) -> str:
        return ", ".join(f"{name} {self.mean(name)}" for name in self.terms)


class LatentModel(GenerativeModel):
    """Base class of models p(x, h) with an encoder q(h | x). A file says `terms` and
    `log_weights`."""

    sites: SiteLaw

    @abstractmethod
    def terms(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the bound for each configuration (n,), "elbo" last; one draw of the latents."""

    @abstractmethod
    def log_weights(
        self, x: Tensor, condition: Tensor | None, n_draws: int, generator: torch.Generator
    ) -> Tensor:
        """log p(x, h) - log q(h | x) for draws of h from q, (n_draws, n)."""

    def objective(self, terms: dict[str, Tensor]) -> Tensor:
        """What is maximised: the bound, unless a model weighs its terms otherwise."""
        return terms["elbo"]

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """Minus the objective, and every term of the bound."""
        terms = self.terms(x, condition, generator)
        return {"loss": -self.objective(terms).mean()} | {
            name: value.mean() for name, value in terms.items()
        }

    def elbo(self, x: Any, *, n_draws: int, rng: Any, condition: Any = None) -> EvidenceBound:
        """The evidence lower bound of configurations, term by term.

        Parameters
        ----------
        x : array (n, size)
        n_draws : int
            Of the latents for each configuration, at least 2.
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.
        """
        check_at_least("n_draws", n_draws, 2, "draws")
        rows = self.configurations(x)
        given = self.conditions(condition, len(rows), "condition")
        generator = self.generator(rng)
        sums: dict[str, np.ndarray] = {}
        squares: dict[str, np.ndarray] = {}
        with evaluating(self):
            for k in range(n_draws):
                for name, found in self._terms_in_parts(rows, given, generator).items():
                    if k == 0:
                        sums[name], squares[name] = found, np.zeros_like(found)
                        continue
                    away = found - sums[name] / k  # Welford (1962): no difference of large squares
                    squares[name] += away**2 * (k / (k + 1))
                    sums[name] = sums[name] + found
        return EvidenceBound(
            {name: total / n_draws for name, total in sums.items()},
            {name: np.sqrt(s / (n_draws * (n_draws - 1))) for name, s in squares.items()},
        )

    def _terms_in_parts(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator
    ) -> dict[str, np.ndarray]:
        parts: dict[str, list[np.ndarray]] = {}
        for first in range(0, len(x), _ROWS):
            rows = slice(first, first + _ROWS)
            given = None if condition is None else condition[rows]
            for name, value in self.terms(x[rows], given, generator).items():
                parts.setdefault(name, []).append(array(check_finite(value, f"term {name!r}")))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def log_likelihood(
        self, x: Any, *, n_draws: int, rng: Any, condition: Any = None
    ) -> LogLikelihood:
        """log p(x) by importance weights, each configuration with its error.

        Parameters
        ----------
        x : array (n, size)
        n_draws : int
            Weights K for each configuration, at least 2.
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.

        Returns
        -------
        LogLikelihood
            Values are biased low, by half their squared error to first order; the error is
            sd(w) / (<w> sqrt K), first order too. A configuration of fewer than 50 effective
            weights, (sum w)^2 / sum w^2, or whose largest weights have a Pareto tail of shape above
            0.7, has the error inf, and the kind of the whole is then "lower bound" instead of
            "estimate".
        """
        check_at_least("n_draws", n_draws, 2, "draws")
        rows = self.configurations(x)
        given = self.conditions(condition, len(rows), "condition")
        generator = self.generator(rng)
        parts, at_once = [], max(1, _ROWS // n_draws)
        with evaluating(self):
            for first in range(0, len(rows), at_once):
                some = slice(first, first + at_once)
                log_w = self._all_log_weights(
                    rows[some], None if given is None else given[some], n_draws, generator
                )
                parts.append(weigh(array(log_w)))
        found = Weighed(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        bad = found.collapsed
        method = f"{n_draws} importance weights, effectively {found.ess.min():.3g} at least"
        if bad.any():
            method += f"; too few or their tail too heavy in {int(bad.sum())} of {len(bad)}"
        kind: Kind = "lower bound" if bad.any() else "estimate"
        return LogLikelihood(found.log_mean, np.where(bad, np.inf, found.stderr), kind, method)

    def _all_log_weights(
        self, x: Tensor, condition: Tensor | None, n_draws: int, generator: torch.Generator
    ) -> Tensor:
        """float64 (n_draws, n), so many rows at a time as fit."""
        found, at_once = [], max(1, _ROWS // len(x))
        for first in range(0, n_draws, at_once):
            k = min(at_once, n_draws - first)
            found.append(self.log_weights(x, condition, k, generator).double())
        return check_finite(torch.cat(found), "encoder or the decoder")


class Normal:
    """Independent normals N(mean, exp(log_variance)), (*batch, size) each."""

    def __init__(self, numbers: Tensor) -> None:
        self.mean, self.log_variance = numbers.chunk(2, dim=-1)

    def draw(self, noise: Tensor) -> Tensor:
        """mean + sd noise: reparametrised, so that gradients pass."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_prob(self, h: Tensor) -> Tensor:
        """Density at h, summed: (*batch,)."""
        squares = (h - self.mean) ** 2 * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance + LOG_2_PI).sum(-1)

    def rates(self) -> Tensor:
        """KL(N(mean, variance) || N(0, 1)) of each latent, nats, (*batch, size)."""
        return 0.5 * (self.mean**2 + torch.exp(self.log_variance) - 1.0 - self.log_variance)


def log_standard(h: Tensor) -> Tensor:
    """log N(h; 0, I), summed over the last axis."""
    return -0.5 * (h**2 + LOG_2_PI).sum(-1)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Without gradients, and with networks as they are used (no dropout)."""
    model.eval()
    with torch.no_grad():
        yield


def array(values: Tensor) -> np.ndarray:
    """As float64 numpy."""
    return values.detach().to("cpu", torch.float64).numpy()


def seeds(rng: Any, n: int) -> list[int]:
    """Independent seeds, one for each network."""
    words = np.random.SeedSequence(seed_from(rng)).generate_state(n, np.uint32)
    return [int(word) for word in words]
