"""Independent spins in fields, fair (without) or biased.

    p(s) = prod_i exp(h_i s_i) / (2 cosh h_i),   s_i in {-1, +1}.

A noisy image x = a s + sqrt(v) eps exerts the field a x_i / v on spin i, so that
E[s_i | x] = tanh(h_i + a x_i / v). With u = h + a x / v, which is normal of mean h + snr s and
variance snr given s,

    mmse(snr) = sum_i < 1 - tanh^2(u_i) >,   and   1/2 int_0^inf mmse dsnr = entropy,

by the trapezoidal rule, which converges geometrically here (Trefethen and Weideman 2014, section
5, doi:10.1137/130932132); relative error below 1e-12.

D. Guo, S. Shamai and S. Verdu (2005), eq. 17 for fair spins, doi:10.1109/TIT.2005.844072.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from statmech_ml import spaces
from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import real_array
from statmech_ml.exact.targets._target import Array, Target

_STEP = 0.2  # of the trapezoidal rule: its error is exp(-pi^2 / step), 4e-22
_REACH = 45.0  # sech^2 of it is 3e-39


class Spins(Target):
    """Independent spins with probabilities proportional to exp(h_i s_i).

    Parameters
    ----------
    fields : array (n,)
        h, dimensionless (beta included); zeros for fair spins.

    Raises
    ------
    InvalidInput
        For fields that are no finite numbers (n,).

    >>> round(Spins([0.0, 0.5]).entropy(), 9)
    1.275350289
    >>> Spins([0.0, 0.5]).denoiser([[1.0, -1.0]], log_snr=0.0).round(6).tolist()
    [[0.888386, -0.723148]]
    """

    def __init__(self, fields: ArrayLike) -> None:
        h = real_array(fields, "fields")
        if h.ndim != 1 or h.size == 0 or not np.isfinite(h).all():
            raise InvalidInput(
                f"fields={fields!r} must be finite numbers (n,), one for each spin: numpy.zeros(n) "
                "for n fair ones."
            )
        self.fields, self.space = h.copy(), spaces.Spins(len(h))

    @classmethod
    def from_means(cls, means: ArrayLike) -> "Spins":
        """Spins with given <s_i>, (n,), each inside (-1, 1): h = artanh of it."""
        m = real_array(means, "means")
        if not (np.abs(m) < 1.0).all():
            raise InvalidInput("means must lie inside (-1, 1): a spin that never turns has none.")
        return cls(np.arctanh(m))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.space.size} {'biased' if any(self.fields) else 'fair'})"
        )

    def mean(self) -> Array:
        """<s_i> = tanh(h_i), float64 (n,)."""
        return np.tanh(self.fields)

    def covariance(self) -> Array:
        """Diagonal, 1 / cosh^2(h_i), float64 (n, n)."""
        return np.diag(_sech2(self.fields))

    def _sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        up = generator.random((n, len(self.fields))) < expit(2.0 * self.fields)
        return np.where(up, 1, -1).astype(np.int8)

    def _log_prob(self, x: np.ndarray) -> Array:
        return np.asarray(log_expit(2.0 * self.fields * x).sum(axis=1))

    def _entropy(self) -> float:
        two_h = 2.0 * self.fields
        terms = -expit(two_h) * log_expit(two_h) - expit(-two_h) * log_expit(-two_h)
        return float(terms.sum())

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        up = log_expit(2.0 * self.fields) - 0.5 * (x - a) ** 2 / v
        down = log_expit(-2.0 * self.fields) - 0.5 * (x + a) ** 2 / v
        return np.asarray((np.logaddexp(up, down) - 0.5 * np.log(2.0 * np.pi * v)).sum(axis=1))

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        return np.tanh(self.fields + a * x / v)

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return np.asarray(_sech2(self.fields + a * x / v).sum(axis=1))

    def _mmse(self, snr: float) -> float:
        width = np.sqrt(snr)
        fields, copies = np.unique(self.fields, return_counts=True)
        total = 0.0
        for h, n in zip(fields, copies, strict=True):
            for spin in (-1.0, 1.0):
                centre = h + snr * spin
                # The normal of u is narrow at low snr, and 1 - tanh^2 of it at high snr.
                step = _STEP * min(1.0, width)
                first = max(-_REACH, centre - _REACH * width)
                last = min(_REACH, centre + _REACH * width)
                u = np.arange(first, last + step, step)
                normal = np.exp(-0.5 * ((u - centre) / width) ** 2)
                value = (normal * _sech2(u)).sum() * step / (np.sqrt(2.0 * np.pi) * width)
                total += n * expit(2.0 * h * spin) * value
        return float(total)


def _sech2(u: Array) -> Array:
    """1 - tanh^2 without its cancellation."""
    return np.asarray(4.0 * expit(2.0 * u) * expit(-2.0 * u))
