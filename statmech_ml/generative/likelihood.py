"""`LogLikelihood`: log p(x) of configurations under a model, each with its error."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..statistics import Estimate
from ..statistics.estimate import from_tau

Kind = Literal["exact", "estimate", "lower bound"]


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x) of n configurations, in nats.

    Attributes
    ----------
    values : float64 array (n,)
        log p(x), of each configuration.
    stderr : float64 array (n,)
        Standard error of each from the method's own noise; 0 where there is none.
    kind : "exact", "estimate" or "lower bound"
        What `values` are of the model's log p(x). A lower bound lies below it on average.
    method : str
        Where they come from, in words.
    """

    values: np.ndarray
    stderr: np.ndarray
    kind: Kind
    method: str

    @property
    def mean(self) -> Estimate:
        """Mean over the configurations, taken as independent; its error holds the spread of the
        configurations, which contains the noise of the method. One configuration has no spread:
        its error is the method's alone."""
        n = len(self.values)
        variance = float(np.var(self.values, ddof=1) if n > 1 else self.stderr[0] ** 2)
        return from_tau(float(np.mean(self.values)), 0.5, variance, n)

    def bits_per_site(self, n_sites: int) -> Estimate:
        """-mean log2 p per site: the cost of storing a configuration with a code of this model."""
        mean, unit = self.mean, -n_sites * np.log(2.0)
        return Estimate(mean.value / unit, abs(mean.stderr / unit), 0.5, mean.ess, mean.n)

    def __str__(self) -> str:
        return f"log p(x) = {self.mean} nats [{self.kind}, {self.method}]"
