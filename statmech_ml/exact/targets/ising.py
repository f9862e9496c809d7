"""Any small model of spins, all its states at hand: the ring and the 4 x 4 Ising model among them.

    p(s) = exp(-u_beta(s)) / Z,   u_beta = beta E for lattices of spins.

A noisy image x = a s + sqrt(v) eps exerts the field a x_i / v on spin i, and nothing else:

    p(s | x) ~ exp(-u_beta(s) + (a / v) x . s),
    p_t(x) = (2 pi v)^(-N/2) exp(-(|x|^2 + a^2 N) / 2 v) sum_s p(s) exp((a / v) x . s),

so the denoiser is the magnetisations of the model in these fields, and the mean squared error of
that guess is sum_i (1 - m_i^2). With the spins cut in two halves, s = (s1, s2), the sum over states
is a product of matrices: P of the probabilities, (2^n1, 2^n2), and of exp(field . s1) and
exp(field . s2), which are small. A 4 x 4 lattice costs 2 x 65,536 multiplications for each image
and not one exponential more than 512.

Domain: spaces of spins with at most 2^20 states. The mmse is an average over noisy images (an
Estimate, give rng=); its integral over snr is twice the entropy, Guo, Shamai and Verdu (2005), eq.
1, doi:10.1109/TIT.2005.844072.
"""

from typing import Any

import numpy as np

from statmech_ml import spaces
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.exact._arguments import one_inverse_temperature
from statmech_ml.exact.targets._target import Array, Target

MAX_SPINS = 20
"""Largest number of spins."""
_SPAN = 600.0  # of reduced energies: exp(-600) is still a double, its products with others too
_BATCH = 2**22  # numbers in one matrix product


class Ising(Target):
    """The Boltzmann distribution of a small model of spins, by enumeration.

    Parameters
    ----------
    model
        Any model of `statmech_ml.models` on a space of at most 20 spins.
    beta : float
        Inverse temperature, finite and > 0.

    Raises
    ------
    InvalidInput
        For other spaces, too many spins, beta <= 0 (at beta = 0 use Spins(numpy.zeros(n))) or not
        finite, and temperatures so low that weights fall out of the range of doubles.

    >>> from statmech_ml import lattices, models
    >>> target = Ising(models.Ising(lattices.chain(4), field=0.1), beta=0.5)
    >>> round(target.entropy(), 9)
    2.204192276
    >>> target.denoiser([[1.0, 0.5, 0.0, -1.0]], log_snr=0.0).round(6).tolist()
    [[0.863691, 0.759987, 0.100725, -0.603838]]
    """

    space: spaces.Spins

    def __init__(self, model: Any, beta: float) -> None:
        space = getattr(model, "space", None)
        if not isinstance(space, spaces.Spins):
            raise InvalidInput(
                f"{model!r} lives on {space!r}, not on spins. Models of bits become models of "
                "spins by s = 2 x - 1."
            )
        if space.size > MAX_SPINS:
            raise InvalidInput(
                f"{model!r} has 2^{space.size} states, more than the 2^{MAX_SPINS} that are "
                "enumerated here. A square torus without a field is targets.Torus, of any size."
            )
        self.beta = one_inverse_temperature(beta)
        if self.beta == 0.0:
            raise InvalidInput("beta=0 leaves no interaction: use targets.Spins(numpy.zeros(n)).")
        self.model, self.space = model, space
        states = enumeration.states(space)
        u = np.asarray(model.reduced_energy(states, self.beta), np.float64)
        if not np.isfinite(u).all() or u.max() - u.min() > _SPAN:
            raise InvalidInput(
                f"Reduced energies of {model!r} at beta={self.beta:g} span {u.max() - u.min():g}; "
                f"beyond {_SPAN:g} weights are no doubles any more. Raise the temperature."
            )
        self._log_z = float(-u.min() + np.log(np.exp(u.min() - u).sum()))
        self._probability = np.exp(-u - self._log_z)
        self._entropy_exact = float((self._probability * (u + self._log_z)).sum())
        # Site 0 is the fastest digit of the index, so the first half of the spins is the column.
        self._n1 = space.size // 2
        halves = spaces.Spins(max(self._n1, 1)), spaces.Spins(space.size - self._n1)
        self._second = enumeration.states(halves[1]).astype(np.float64)
        self._first = enumeration.states(halves[0]).astype(np.float64)
        if not self._n1:
            self._first = np.zeros((1, 0))
        self._P = self._probability.reshape(len(self._second), len(self._first)).T.copy()
        weighted = self._probability[:, None] * states
        self._mean = weighted.sum(axis=0)
        self._covariance = weighted.T @ states - np.outer(self._mean, self._mean)

    def __repr__(self) -> str:
        return f"Ising({self.model!r}, beta={self.beta:g})"

    @property
    def probability(self) -> Array:
        """p(s) of all states in the order of `space.index`, float64 (2^n,)."""
        return self._probability.copy()

    @property
    def log_z(self) -> float:
        """log sum_s exp(-u(s)), in nats."""
        return self._log_z

    def mean(self) -> Array:
        """<s_i>, float64 (n,)."""
        return self._mean.copy()

    def covariance(self) -> Array:
        """<s_i s_j> - <s_i><s_j>, float64 (n, n)."""
        return self._covariance.copy()

    def _sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        cumulative = np.cumsum(self._probability)
        index = np.searchsorted(cumulative, generator.random(n) * cumulative[-1], side="right")
        return self.space.from_index(index)

    def _log_prob(self, x: np.ndarray) -> Array:
        return -np.asarray(self.model.reduced_energy(x, self.beta)) - self._log_z

    def _entropy(self) -> float:
        return self._entropy_exact

    def _given(self, fields: Array) -> tuple[Array, Array]:
        """log sum_s p(s) exp(field . s) (n,), and the magnetisations (n, N), in fields (n, N)."""
        logs, means = [], []
        chunk = max(1, _BATCH // len(self._second))
        for rows in (slice(k, k + chunk) for k in range(0, len(fields), chunk)):
            f = fields[rows]
            # The largest exponent of each half is that of spins along their fields.
            top = np.abs(f).sum(axis=1)
            one, two = f[:, : self._n1], f[:, self._n1 :]
            w1 = np.exp(one @ self._first.T - np.abs(one).sum(axis=1, keepdims=True))
            w2 = np.exp(two @ self._second.T - np.abs(two).sum(axis=1, keepdims=True))
            on_first = w1 * (w2 @ self._P.T)
            on_second = w2 * (w1 @ self._P)
            total = on_first.sum(axis=1)
            sums = np.concatenate([on_first @ self._first, on_second @ self._second], axis=1)
            logs.append(top + np.log(total))
            means.append(sums / total[:, None])
        return np.concatenate(logs), np.concatenate(means)

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        n = self.space.size
        log_sum, _ = self._given(a * x / v)
        distance = ((x * x).sum(axis=1) + n * (a * a)[:, 0]) / v[:, 0]
        return np.asarray(log_sum - 0.5 * (distance + n * np.log(2.0 * np.pi * v[:, 0])))

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(a * x / v)[1]

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        m = self._denoiser(x, a, v)
        return np.asarray(((1.0 - m) * (1.0 + m)).sum(axis=1))
