"""A weighted sum of Gaussians: several modes, exact log Z and exact draws.

E(x) = -log sum_k w_k N(x; m_k, diag(s_k^2)),    log Z = log sum_k w_k    at beta = 1.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model
from ._arguments import at_beta_one, frozen, numbers


class GaussianMixtureArrays(NamedTuple):
    """Compiled mixture: heights float64 (K,), log of w_k and the norm; means, precisions (K, n)."""

    heights: np.ndarray
    means: np.ndarray
    precisions: np.ndarray

    def energy(self, x):
        highest, total = -math.inf, 0.0
        for k in range(self.heights.shape[0]):
            one = self.heights[k]
            for i in range(x.shape[0]):
                shift = x[i] - self.means[k, i]
                one -= 0.5 * self.precisions[k, i] * shift * shift
            if one > highest:
                total = total * math.exp(highest - one) + 1.0
                highest = one
            else:
                total += math.exp(one - highest)
        return -highest - math.log(total)

    def gradient(self, x, out):
        log_sum = -self.energy(x)
        for i in range(x.shape[0]):
            out[i] = 0.0
        for k in range(self.heights.shape[0]):
            one = self.heights[k]
            for i in range(x.shape[0]):
                shift = x[i] - self.means[k, i]
                one -= 0.5 * self.precisions[k, i] * shift * shift
            share = math.exp(one - log_sum)
            for i in range(x.shape[0]):
                out[i] += share * self.precisions[k, i] * (x[i] - self.means[k, i])


class GaussianMixture(Model):
    """A mixture of Gaussians with independent coordinates; a reference with several modes.

    Parameters
    ----------
    weights : array (K,)
        Positive. They need not sum to 1; the mixture is then not normalised, and log Z the log of
        their sum.
    means : array (K, dim)
        One row per component: ``[[-2.0], [2.0]]`` for two on a line.
    stddevs : float, array (K,) or (K, dim), default 1.0
        In the units of x.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, values that are not finite, and weights or stddevs <= 0.

    >>> two = GaussianMixture(weights=[1.0, 3.0], means=[[-2.0], [2.0]], stddevs=0.5)
    >>> round(two.log_z(), 6)  # log 4
    1.386294
    """

    def __init__(self, weights: Any, means: Any, stddevs: Any = 1.0) -> None:
        self.weights = numbers(weights, 1, "weights")
        self.means = numbers(means, 2, "means")
        n_components, dim = self.means.shape
        try:
            given = np.array(stddevs, np.float64)
            wide = given[:, None] if given.ndim == 1 else given
            self.stddevs = np.broadcast_to(wide, self.means.shape).copy()
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"stddevs={stddevs!r} does not fit means of shape {self.means.shape}. Give a "
                f"number, one per component ({n_components},), or an array of that shape."
            ) from error
        if len(self.weights) != n_components:
            raise InvalidInput(
                f"weights has {len(self.weights)} entries, but means has {n_components} rows: each "
                "component has one of both."
            )
        widths = np.isfinite(self.stddevs).all() and (self.stddevs > 0.0).all()
        if not (widths and (self.weights > 0.0).all()):
            raise InvalidInput(
                f"weights={weights!r} and stddevs={stddevs!r} must be positive and finite. Leave "
                "out components without weight."
            )
        self.stddevs.setflags(write=False)
        norms = np.log(self.stddevs).sum(axis=1) + 0.5 * dim * math.log(2.0 * math.pi)
        arrays = GaussianMixtureArrays(np.log(self.weights) - norms, self.means, self.stddevs**-2)
        super().__init__(Reals(dim), frozen(arrays))

    def log_z(self, beta: float = 1.0) -> float:
        """log sum_k w_k, exact. Raises InvalidInput unless beta is 1."""
        at_beta_one(beta, "a mixture")
        return math.log(self.weights.sum())

    def draws(self, seed: int, chains: np.ndarray) -> np.ndarray:
        """Exact independent draws at beta = 1, float64 (chain, dim), one stream per chain."""
        word = _rng.words(seed, chains, 0, _rng.REFERENCE, 1, 1)[:, 0]
        upper = np.cumsum(self.weights) / self.weights.sum()
        chosen = np.searchsorted(upper[:-1], (word + 0.5) / 2**32, side="right")
        normals = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, self.space.size)
        return self.means[chosen] + self.stddevs[chosen] * normals

    def __repr__(self) -> str:
        return f"GaussianMixture({len(self.weights)} components, dim={self.space.size})"
