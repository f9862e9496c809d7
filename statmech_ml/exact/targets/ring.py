"""A ring in the plane: the radius is spread around R, the direction is uniform.

    p(x) = exp(-(|x| - R)^2 / 2 w^2) / Z,   Z = 2 pi w (R G + w E),
    c = R / w,   G = int_{-c}^inf e^{-t^2/2} dt = sqrt(2 pi) Phi(c),   E = e^{-c^2/2}.

Under the noise the angle can be integrated out,

    p_t(x) = 1 / (Z v) int_0^inf r dr exp(-(r - R)^2 / 2 w^2 - (rho - a r)^2 / 2 v) i_0(a rho r / v)

with rho = |x| and i_k(z) = exp(-z) I_k(z); E[x_0 | x] points along x, and its length is that
average of r I_1 / I_0. The integral over r is by Gauss-Legendre panels, and so is the one over rho
that makes the mmse. Relative errors below 1e-9. The angle given the radius is von Mises's: Mardia
and Jupp, Directional Statistics (2000), section 3.5.4, doi:10.1002/9780470316979. Where i_k is
beyond the reach of scipy (above z = 1e9), and where 1 - i_1 / i_0 cancels, its series in
1 / z stands (Abramowitz and Stegun 9.7.1).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number
from statmech_ml.exact.targets._panels import average
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.spaces import Reals

_BATCH = 10_000
_RTOL = 1e-9
_FAR = 1e4  # from here on four terms of the series have the precision of doubles
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_STEPS = np.array([0.0, 0.75, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 40.0])
_EDGES = np.concatenate([-_STEPS[:0:-1], _STEPS])


class Ring(Target):
    """Points of the plane at a distance of about `radius` from the origin.

    Parameters
    ----------
    radius : float
        R >= 0, where the density is largest.
    width : float
        w > 0, of the density across the ring, in the units of x.

    Raises
    ------
    InvalidInput
        For a radius < 0, a width <= 0, or numbers that are not finite.

    >>> target = Ring(2.0, 0.3)
    >>> round(target.entropy(), 9)
    2.745989976
    >>> target.denoiser([[1.0, 0.0]], log_snr=2.0).round(6).tolist()
    [[1.578311, 0.0]]
    """

    def __init__(self, radius: float, width: float) -> None:
        R, w = finite_number(radius, "radius"), finite_number(width, "width")
        if R < 0.0 or w <= 0.0:
            raise InvalidInput(f"radius={R} must be >= 0 and width={w} > 0.")
        self.radius, self.width, self.space = R, w, Reals(2)
        c = R / w
        E, G = math.exp(-0.5 * c * c), math.sqrt(2.0 * math.pi) * float(special.ndtr(c))
        # Moments int_{-c}^inf (R + w t) t^k e^{-t^2/2} dt of the radius R + w t, k = 0, 1, 2.
        moments = R * G + w * E, R * E + w * (G - c * E), R * (G - c * E) + w * (c * c + 2.0) * E
        self._log_z = math.log(2.0 * math.pi * w * moments[0])
        self._t1, self._t2 = moments[1] / moments[0], moments[2] / moments[0]

    def __repr__(self) -> str:
        return f"Ring(radius={self.radius:g}, width={self.width:g})"

    def mean(self) -> Array:
        """Mean of a configuration: the origin, float64 (2,)."""
        return np.zeros(2)

    def covariance(self) -> Array:
        """Covariance of a configuration, <r^2> / 2 times the unit matrix, float64 (2, 2)."""
        R, w = self.radius, self.width
        return 0.5 * (R * R + 2.0 * R * w * self._t1 + w * w * self._t2) * np.eye(2)

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        # r exp(-(r - R)^2 / 2 w^2) lies below its mode's normal of width w, since log r is concave:
        # draws of that normal are kept with probability (r / r*) exp(1 - r / r*).
        top = 0.5 * (self.radius + math.sqrt(self.radius**2 + 4.0 * self.width**2))
        found: list[Array] = []
        while (missing := n - sum(map(len, found))) > 0:
            r = generator.normal(top, self.width, size=missing + missing // 2 + 16) / top
            with np.errstate(over="ignore"):
                keep = generator.random(len(r)) < r * np.exp(1.0 - r)
            found.append(top * r[keep & (r > 0.0)][:missing])
        angle = 2.0 * np.pi * generator.random(n)
        radii = np.concatenate(found)
        return np.stack([radii * np.cos(angle), radii * np.sin(angle)], axis=1)

    def _log_prob(self, x: Array) -> Array:
        t = (np.hypot(x[:, 0], x[:, 1]) - self.radius) / self.width
        return np.asarray(-0.5 * t * t - self._log_z)

    def _entropy(self) -> float:
        return self._log_z + 0.5 * self._t2

    def _given(self, rho: Array, a: Array, v: Array) -> "_Given":
        """What is known of x_0 at distances rho (n,)."""
        parts = [
            self._integrals(rho[rows, None], a[rows], v[rows])
            for rows in (slice(k, k + _BATCH) for k in range(0, len(rho), _BATCH))
        ]
        return _Given(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _integrals(self, rho: Array, a: Array, v: Array) -> "_Given":
        stiffness = 1.0 / self.width**2 + a * a / v
        centre = (self.radius / self.width**2 + a * rho / v) / stiffness
        # r = centre + u = centre + scale t, so that little noise does not drown in the rounding of
        # r; both squares together are t^2 and what is left at the centre.
        scale = 1.0 / np.sqrt(stiffness)
        edges = np.maximum(_EDGES, -centre / scale)
        half = 0.5 * np.diff(edges, axis=1)[:, :, None]
        t = (0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None] + half * _NODES).reshape(len(rho), -1)
        log_w = -0.5 * t * t
        top = log_w.max(axis=1, keepdims=True)
        left = -0.5 * (rho - a * self.radius) ** 2 / (v + (a * self.width) ** 2)
        u = scale * t
        r = centre + u
        i0, cos, gap = _bessel(a * rho * r / v)
        w = np.exp(log_w - top) * r * (half * _WEIGHTS).reshape(len(rho), -1) * i0
        mass = w.sum(axis=1)
        log_p = (top + left + np.log(scale))[:, 0] + np.log(mass) - np.log(v[:, 0]) - self._log_z
        d = ((w * r * cos).sum(axis=1) / mass)[:, None]
        # E|x_0 - d|^2 = E[(r - d)^2 + 2 d r (1 - cos)]; d = centre + shift, without its rounding.
        shift = ((w * (u - r * gap)).sum(axis=1) / mass)[:, None]
        spread = (w * ((u - shift) ** 2 + 2.0 * d * r * gap)).sum(axis=1) / mass
        # d log p / dx_0 = -(r - R) / w^2 along x_0
        pull = (w * (centre - self.radius + u) * cos).sum(axis=1) / mass
        return _Given(log_p, d[:, 0], spread, pull / self.width**2)

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(np.hypot(x[:, 0], x[:, 1]), a, v).log_p

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        rho = np.hypot(x[:, 0], x[:, 1])
        return self._given(rho, a, v).length[:, None] * _directions(x, rho)

    def _score(self, x: Array, a: Array, v: Array) -> Array:
        """Tweedie's formula, or where it cancels E[grad log p(x_0) | x] / a, which does so at low
        snr."""
        rho = np.hypot(x[:, 0], x[:, 1])
        found = self._given(rho, a, v)
        far = (a * found.length[:, None] - rho[:, None]) / v
        score = np.where(a * a > v, -found.pull[:, None] / a, far)
        return np.asarray(score * _directions(x, rho))

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(np.hypot(x[:, 0], x[:, 1]), a, v).spread

    def _mmse(self, snr: float) -> float:
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)

        def given(rho: Array) -> tuple[Array, Array]:
            ones = np.ones((len(rho), 1))
            found = self._given(rho, a * ones, v * ones)
            with np.errstate(divide="ignore"):  # at the origin
                return found.log_p + np.log(rho), found.spread

        spread = math.sqrt(v + a * a * self.width**2)
        edges = np.maximum(a * self.radius + spread * np.linspace(-12.0, 12.0, 17), 0.0)
        return average(given, edges, _RTOL)


class _Given(NamedTuple):
    """log p_t, |E[x_0 | x]|, E|x_0 - E[x_0 | x]|^2 and -E[d log p(x_0) / dx_0 | x] along x, (n,)
    each."""

    log_p: Array
    length: Array
    spread: Array
    pull: Array


def _bessel(z: Array) -> tuple[Array, Array, Array]:
    """i_0(z) = exp(-z) I_0(z), cos = i_1 / i_0 and 1 - cos; z >= 0."""
    far = z > _FAR
    near, y = np.where(far, 0.0, z), 1.0 / np.where(far, z, 1.0)
    i0, i1 = special.ive(0, near), special.ive(1, near)
    series = 1.0 + y * (1.0 / 8.0 + y * (9.0 / 128.0 + y * 75.0 / 1024.0))
    gap = 0.5 * y * (1.0 + y * (0.25 + y * (0.25 + y * 25.0 / 64.0)))
    cos = i1 / i0
    return (
        np.where(far, np.sqrt(y / (2.0 * np.pi)) * series, i0),
        np.where(far, 1.0 - gap, cos),
        np.where(far, gap, 1.0 - cos),
    )


def _directions(x: Array, rho: Array) -> Array:
    """x / |x|, and 0 at the origin."""
    return np.divide(x, rho[:, None], out=np.zeros_like(x), where=rho[:, None] > 0.0)
