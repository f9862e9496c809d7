"""A ring in the plane: the radius is spread around R, the direction is uniform.

    p(x) = exp(-(|x| - R)^2 / 2 w^2) / Z,   Z = 2 pi w (R G + w E),
    c = R / w,   G = int_{-c}^inf e^{-t^2/2} dt = sqrt(2 pi) Phi(c),   E = e^{-c^2/2}.

Under the noise the angle can be integrated out,

    p_t(x) = 1 / (Z v) int_0^inf r dr exp(-(r - R)^2 / 2 w^2 - (rho - a r)^2 / 2 v) i_0(a rho r / v)

with rho = |x| and i_k(z) = exp(-z) I_k(z); E[x_0 | x] points along x, and its length is that
average of r I_1 / I_0. The integral over r is by Gauss-Legendre panels, and so is the one over rho
that makes the mmse. Relative errors below 1e-9. The angle given the radius is von Mises's: Mardia
and Jupp, Directional Statistics (2000), section 3.5.4, doi:10.1002/9780470316979.
"""

import math

import numpy as np
from scipy import special

from statmech_ml.errors import InvalidInput
from statmech_ml.exact._arguments import finite_number
from statmech_ml.exact.targets._panels import average
from statmech_ml.exact.targets._target import Array, Target
from statmech_ml.spaces import Reals

_BATCH = 10_000
_RTOL = 1e-9
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

    def _given(self, rho: Array, a: Array, v: Array) -> tuple[Array, Array, Array]:
        """log p_t, |E[x_0 | x]| and E|x_0|^2 - |E[x_0 | x]|^2 at distances rho, (n,) each."""
        parts = [
            self._integrals(rho[rows, None], a[rows], v[rows])
            for rows in (slice(k, k + _BATCH) for k in range(0, len(rho), _BATCH))
        ]
        log_p, length, variance = (np.concatenate(part) for part in zip(*parts, strict=True))
        return log_p, length, variance

    def _integrals(self, rho: Array, a: Array, v: Array) -> tuple[Array, Array, Array]:
        stiffness = 1.0 / self.width**2 + a * a / v
        centre = (self.radius / self.width**2 + a * rho / v) / stiffness
        edges = np.maximum(centre + _EDGES / np.sqrt(stiffness), 0.0)
        half = 0.5 * np.diff(edges, axis=1)[:, :, None]
        r = (0.5 * (edges[:, 1:] + edges[:, :-1])[:, :, None] + half * _NODES).reshape(len(rho), -1)
        log_w = -0.5 * ((r - self.radius) / self.width) ** 2 - 0.5 * (rho - a * r) ** 2 / v
        top = log_w.max(axis=1, keepdims=True)
        w = np.exp(log_w - top) * r * (half * _WEIGHTS).reshape(len(rho), -1)
        k = a * rho * r / v
        along = w * special.ive(1, k)
        w = w * special.ive(0, k)
        mass = w.sum(axis=1)
        length = (along * r).sum(axis=1) / mass
        log_p = top[:, 0] + np.log(mass) - np.log(v[:, 0]) - self._log_z
        # E|x_0 - d|^2 with d of this length: (r - d)^2 + 2 d (r - r cos) avoids E r^2 - d^2.
        d = length[:, None]
        spread = (w * (r - d) ** 2 + 2.0 * d * r * (w - along)).sum(axis=1) / mass
        return log_p, length, spread

    def _log_prob_noisy(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(np.hypot(x[:, 0], x[:, 1]), a, v)[0]

    def _denoiser(self, x: Array, a: Array, v: Array) -> Array:
        rho = np.hypot(x[:, 0], x[:, 1])
        length = self._given(rho, a, v)[1]
        direction = np.divide(x, rho[:, None], out=np.zeros_like(x), where=rho[:, None] > 0.0)
        return length[:, None] * direction

    def _posterior_variance(self, x: Array, a: Array, v: Array) -> Array:
        return self._given(np.hypot(x[:, 0], x[:, 1]), a, v)[2]

    def _mmse(self, snr: float) -> float:
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)

        def given(rho: Array) -> tuple[Array, Array]:
            ones = np.ones((len(rho), 1))
            log_p, _, variance = self._given(rho, a * ones, v * ones)
            with np.errstate(divide="ignore"):  # at the origin
                return log_p + np.log(rho), variance

        spread = math.sqrt(v + a * a * self.width**2)
        edges = np.maximum(a * self.radius + spread * np.linspace(-12.0, 12.0, 17), 0.0)
        return average(given, edges, _RTOL)
