"""The Mueller-Brown surface: three curved minima in a plane, the usual trial of path samplers.

    E(x, y) = scale sum_k A_k exp(a_k (x - x_k)^2 + b_k (x - x_k)(y - y_k) + c_k (y - y_k)^2)

with four terms of the published constants. Minima at (-0.558, 1.442), (-0.050, 0.467) and (0.623,
0.028) lie at -146.70, -80.77 and -108.17; the barriers between them are 106 and 8.5 high, seen from
the left: energies are in the paper's own unit, so beta near 0.05 gives a few rare crossings.

K. Mueller and L. D. Brown, Theor. Chim. Acta 53, 75 (1979), doi:10.1007/BF00547608. No closed form
of log Z is known: `exact.plane` integrates it.
"""

import math
from typing import NamedTuple

import numpy as np

from ..spaces import Reals
from ..systems import Model
from ._arguments import frozen, number

_HEIGHTS = (-200.0, -100.0, -170.0, 15.0)
_XX = (-1.0, -1.0, -6.5, 0.7)
_XY = (0.0, 0.0, 11.0, 0.6)
_YY = (-10.0, -10.0, -6.5, 0.7)
_CENTRES = ((1.0, 0.0), (0.0, 0.5), (-0.5, 1.5), (-1.0, 1.0))


class MuellerBrownArrays(NamedTuple):
    """Compiled surface: heights float64 (4,), forms (4, 3) as (xx, xy, yy), centres (4, 2)."""

    heights: np.ndarray
    forms: np.ndarray
    centres: np.ndarray

    def energy(self, x):
        total = 0.0
        for k in range(self.heights.shape[0]):
            dx, dy = x[0] - self.centres[k, 0], x[1] - self.centres[k, 1]
            form = self.forms[k, 0] * dx * dx + self.forms[k, 1] * dx * dy
            form += self.forms[k, 2] * dy * dy
            # The fourth term rises without end: far out it stays at the edge of what a double holds
            total += self.heights[k] * math.exp(min(form, 600.0))
        return total

    def gradient(self, x, out):
        out[0] = 0.0
        out[1] = 0.0
        for k in range(self.heights.shape[0]):
            dx, dy = x[0] - self.centres[k, 0], x[1] - self.centres[k, 1]
            form = self.forms[k, 0] * dx * dx + self.forms[k, 1] * dx * dy
            form += self.forms[k, 2] * dy * dy
            term = self.heights[k] * math.exp(min(form, 600.0))
            out[0] += term * (2.0 * self.forms[k, 0] * dx + self.forms[k, 1] * dy)
            out[1] += term * (self.forms[k, 1] * dx + 2.0 * self.forms[k, 2] * dy)


class MuellerBrown(Model):
    """The Mueller-Brown surface in two dimensions, with the published constants.

    Parameters
    ----------
    scale : float, default 1.0
        Multiplies the energy; 1 gives the paper's unit, in which beta is of order 0.05.

    Raises
    ------
    InvalidInput
        For a scale that is not positive and finite.

    >>> MuellerBrown().energy([[-0.558224, 1.441726], [0.623499, 0.028038]]).round(3)
    array([-146.7  , -108.167])
    """

    arrays: MuellerBrownArrays

    def __init__(self, scale: float = 1.0) -> None:
        heights = number(scale, "scale", positive=True) * np.array(_HEIGHTS)
        forms = np.stack([_XX, _XY, _YY], axis=1)
        super().__init__(Reals(2), frozen(MuellerBrownArrays(heights, forms, np.array(_CENTRES))))

    def __repr__(self) -> str:
        return f"MuellerBrown(scale={self.arrays.heights[3] / _HEIGHTS[3]:g})"
