"""Second-order jets: a function of beta carried with its first two derivatives.

A jet holds f, beta f' and beta^2 f'' (the scaled derivatives stay finite where f' itself diverges,
as that of log sinh(2 beta J) does at beta = 0). Sums, products and compositions follow the chain
rule, so the derivatives of a formula are as exact, and as free of cancellation, as the formula is.
Entries are floats or arrays of one shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

Operand = Union["Jet", float]


@dataclass(frozen=True, slots=True, eq=False)
class Jet:
    """f with beta f' (`first`) and beta^2 f'' (`second`)."""

    value: Any
    first: Any
    second: Any

    __array_ufunc__ = None  # ndarray * Jet must come here and not become an array of objects

    def map(self, value: Any, slope: Any, curvature: Any) -> "Jet":
        """Jet of g(f), given g, g' and g'' evaluated at f."""
        return Jet(value, slope * self.first, curvature * self.first**2 + slope * self.second)

    def sum(self) -> "Jet":
        """Sum over all entries."""
        return Jet(np.sum(self.value), np.sum(self.first), np.sum(self.second))

    def __add__(self, other: Operand) -> "Jet":
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value, self.first + other.first, self.second + other.second
            )
        return Jet(self.value + other, self.first, self.second)

    def __neg__(self) -> "Jet":
        return Jet(-self.value, -self.first, -self.second)

    def __sub__(self, other: Operand) -> "Jet":
        return self + (-other)

    def __rsub__(self, other: float) -> "Jet":
        return -self + other

    def __mul__(self, other: Operand) -> "Jet":
        if isinstance(other, Jet):
            return Jet(
                self.value * other.value,
                self.first * other.value + self.value * other.first,
                self.second * other.value
                + 2.0 * self.first * other.first
                + self.value * other.second,
            )
        return Jet(self.value * other, self.first * other, self.second * other)

    def __truediv__(self, other: "Jet") -> "Jet":
        inverse = 1.0 / other.value
        return self * other.map(inverse, -(inverse**2), 2.0 * inverse**3)

    __radd__ = __add__
    __rmul__ = __mul__


def linear(value: Any) -> Jet:
    """A quantity proportional to beta, such as K = beta J."""
    return Jet(value, value, 0.0 * value)


def exp(f: Jet) -> Jet:
    g = np.exp(f.value)
    return f.map(g, g, g)


def sqrt(f: Jet) -> Jet:
    g = np.sqrt(f.value)
    return f.map(g, 0.5 / g, -0.25 / (g * f.value))


def log1p(f: Jet) -> Jet:
    slope = 1.0 / (1.0 + f.value)
    return f.map(np.log1p(f.value), slope, -(slope**2))


def log(f: Jet) -> Jet:
    slope = 1.0 / f.value
    return f.map(np.log(f.value), slope, -(slope**2))


def expm1(f: Jet) -> Jet:
    g = np.exp(f.value)
    return f.map(np.expm1(f.value), g, g)


def sinh(f: Jet) -> Jet:
    g = np.sinh(f.value)
    return f.map(g, np.cosh(f.value), g)


def cosh(f: Jet) -> Jet:
    g = np.cosh(f.value)
    return f.map(g, np.sinh(f.value), g)


def arctanh(f: Jet) -> Jet:
    slope = 1.0 / ((1.0 - f.value) * (1.0 + f.value))
    return f.map(np.arctanh(f.value), slope, 2.0 * f.value * slope**2)


def log_cosh(f: Jet) -> Jet:
    """log cosh f, keeping its digits near 0 and finite where cosh overflows."""
    size = np.abs(f.value)
    # log cosh x = log(1 + 2 sinh^2(x/2)); beyond 1 the usual form, whose exponential is harmless.
    near = np.log1p(2.0 * np.sinh(0.5 * np.minimum(size, 1.0)) ** 2)
    far = size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0)
    slope = np.tanh(f.value)
    # sech^2 written with a decaying exponential: 1 - tanh^2 has no digits left beyond x = 18.
    sech_squared = 4.0 * np.exp(-2.0 * size) / (1.0 + np.exp(-2.0 * size)) ** 2
    return f.map(np.where(size < 1.0, near, far), slope, sech_squared)


def stack(jets: Sequence[Jet], shape: tuple[int, ...]) -> Jet:
    """One jet of arrays of the given shape from jets of numbers, in row-major order."""
    columns = np.array([(j.value, j.first, j.second) for j in jets], dtype=float).reshape(-1, 3)
    return Jet(*(columns[:, i].reshape(shape) for i in range(3)))
