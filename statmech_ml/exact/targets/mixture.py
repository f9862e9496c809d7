"""A mixture of Gaussians: closed forms under any noise, and integrals in one and two dimensions.

    p(x) = sum_k w_k N(x; mu_k, C_k),   p_t(x) = sum_k w_k N(x; a mu_k, a^2 C_k + v I),
    E[x_0 | x] = sum_k r_k(x) E_k[x_0 | x],   r_k(x) = w_k N(x; a mu_k, a^2 C_k + v I) / p_t(x).

Entropy and mmse are integrals: by quadrature in one dimension (exact.quadrature, to 1e-10), by
draws beyond (an Estimate; give rng=). Cost: O(K d^2) for each configuration.

D. Guo, S. Shamai and S. Verdu (2005), doi:10.1109/TIT.2005.844072.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import quadrature
from statmech_ml.exact._arguments import real_array
from statmech_ml.exact.targets._component import component
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.spaces import Reals

_RTOL = 1e-10  # of the integrals in one dimension
_SUM = 1e-9  # what the weights may miss 1 by: they are divided by their sum


class GaussianMixture(Target):
    """sum_k weights_k N(means_k, covariances_k).

    Parameters
    ----------
    weights : array (K,)
        Positive, adding up to 1.
    means : array (K, d), or (K,) in one dimension
    covariances : array (K, d, d); (K,) in one dimension; (d, d) for one that all share
        Symmetric and positive definite, in units of x^2.

    Raises
    ------
    InvalidInput
        For weights that are not positive or do not add up to 1, shapes that do not fit, numbers
        that are not finite, and covariances that are not symmetric or not positive definite.

    >>> target = GaussianMixture([0.7, 0.3], [-1.0, 2.0], [0.25, 0.5])
    >>> round(target.entropy(), 9)
    1.425124315
    >>> target.denoiser([[0.4]], log_snr=1.0).round(9).tolist()
    [[0.124613826]]
    """

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        w, mu = real_array(weights, "weights"), real_array(means, "means")
        if w.ndim != 1 or w.size == 0 or not (np.isfinite(w) & (w > 0.0)).all():
            raise InvalidInput(
                f"weights={weights!r} must be positive numbers (K,); leave out empty components."
            )
        if abs(float(w.sum()) - 1.0) > _SUM:
            raise InvalidInput(f"weights add up to {w.sum():.12g}, not to 1: divide by their sum.")
        if mu.ndim == 1:
            mu = mu[:, None]
        if mu.ndim != 2 or len(mu) != len(w) or mu.shape[1] == 0:
            raise InvalidInput(
                f"means has shape {np.shape(means)}; {len(w)} weights need ({len(w)}, d), or "
                f"({len(w)},) in one dimension."
            )
        K, d = mu.shape
        C = real_array(covariances, "covariances")
        if C.shape == (K,) and d == 1:
            C = C[:, None, None]
        if C.shape == (d, d):
            C = np.broadcast_to(C, (K, d, d))
        if C.shape != (K, d, d):
            raise InvalidInput(
                f"covariances has shape {np.shape(covariances)}; {K} means in {d} dimensions need "
                f"({K}, {d}, {d}), or ({d}, {d}) for all."
            )
        self.space = Reals(d)
        self.weights: Array = w / w.sum()
        self._components = [
            component(mu[k], C[k], f"covariance {k} of the mixture") for k in range(K)
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_components={len(self.weights)}, dim={self.space.size})"

    @property
    def means(self) -> Array:
        """Means of the components, float64 (K, d)."""
        return np.stack([c.mean for c in self._components])

    @property
    def covariances(self) -> Array:
        """Covariances of the components, float64 (K, d, d)."""
        return np.stack([c.covariance for c in self._components])

    def mean(self) -> Array:
        """Mean of a configuration, float64 (d,)."""
        return np.asarray(self.weights @ self.means)

    def covariance(self) -> Array:
        """Covariance of a configuration, float64 (d, d): within the components and between."""
        away = self.means - self.mean()
        within = np.tensordot(self.weights, self.covariances, axes=1)
        return np.asarray(within + (away.T * self.weights) @ away)

    def responsibilities(self, x: ArrayLike, log_snr: ArrayLike) -> Array:
        """Probability of each component given x_t = x, float64 (n, K)."""
        return self._responsibilities(*self._noisy(x, log_snr))

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        x = np.empty((n, self.space.size))
        which = generator.choice(len(self.weights), size=n, p=self.weights)
        for k, c in enumerate(self._components):
            mine = which == k
            x[mine] = c.sample(int(mine.sum()), generator)
        return x

    def _log_terms(self, x: Array, a: Array | float = 1.0, v: Array | float = 0.0) -> Array:
        """log w_k N(x; ...), (n, K)."""
        return np.stack([c.log_prob(x, a, v) for c in self._components], 1) + np.log(self.weights)

    def _log_prob(self, x: Array) -> Array:
        return np.asarray(logsumexp(self._log_terms(x), axis=1))

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return np.asarray(logsumexp(self._log_terms(x, a, v), axis=1))

    def _responsibilities(self, x: Array, a: Array, v: Array) -> Array:
        terms = self._log_terms(x, a, v)
        return np.asarray(np.exp(terms - logsumexp(terms, axis=1, keepdims=True)))

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        guesses = np.stack([c.denoiser(x, a, v) for c in self._components], axis=1)
        return np.asarray(np.einsum("nk,nkd->nd", self._responsibilities(x, a, v), guesses))

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        scores = np.stack([c.score(x, a, v) for c in self._components], axis=1)
        return np.asarray(np.einsum("nk,nkd->nd", self._responsibilities(x, a, v), scores))

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        r = self._responsibilities(x, a, v)
        guesses = np.stack([c.denoiser(x, a, v) for c in self._components], axis=1)
        away = guesses - np.einsum("nk,nkd->nd", r, guesses)[:, None]
        within = np.stack([c.posterior_variance(a, v) for c in self._components], axis=1)
        return np.asarray((r * (within + (away * away).sum(axis=2))).sum(axis=1))

    def _entropy(self) -> float | None:
        if self.space.size > 1:
            return None

        def u(x: Array) -> Array:
            return -self._log_prob(x[:, None])

        return quadrature.mean(u, u, points=self._places(), rtol=_RTOL).value

    def _mmse(self, snr: float) -> float | None:
        if self.space.size > 1:
            return None
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)

        def shaped(x: Array) -> tuple[Array, Array, Array]:
            return x[:, None], np.full((len(x), 1), a), np.full((len(x), 1), v)

        return quadrature.mean(
            lambda x: -self._log_prob_noisy(*shaped(x)),
            lambda x: self._posterior_variance(*shaped(x)),
            points=[a * p for p in self._places()],
            rtol=_RTOL,
        ).value

    def _places(self) -> list[float]:
        """Where a one-dimensional mixture has its modes."""
        return sorted({float(c.mean[0]) for c in self._components})
