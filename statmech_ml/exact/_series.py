"""Truncated power series in beta, in floats or in decimals of any length.

A series is an array whose first axis is the order: x(beta + d) = x[0] + x[1] d + x[2] d^2 + ...
Carrying orders 0 to 2 gives a function with its exact first two derivatives (times 1 and 1/2).
Entries are float64, or `decimal.Decimal` objects with the precision of the current decimal context.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import numpy as np

Series = np.ndarray[Any, Any]


class Arithmetic(NamedTuple):
    """A kind of number with what sweeps need of it.

    `log` of a series refuses a sum below `least`: its terms, of order 1, cancelled to that. With
    `noise` results are off by a few roundings of doubles on purpose: tanh is that much smaller,
    and updates of matrices err at random.
    """

    number: Callable[[Any], Any]
    exp: Callable[[Any], Any]
    log: Callable[[Any], Any]
    least: float = 0.0
    noise: float = 0.0

    def zeros(self, *shape: int) -> Series:
        return np.full(shape, self.number(0))

    def constant(self, value: Any, orders: int) -> Series:
        """The series of a number that does not depend on beta."""
        out = self.zeros(orders)
        out[0] = self.number(value)
        return out

    def exact(self, values: np.ndarray) -> Series:
        """Floats as these numbers, without rounding."""
        return np.array([self.number(v) for v in values.ravel().tolist()]).reshape(values.shape)

    def update(self, A: Series, change: Series) -> None:
        """Add a change less its transpose to the antisymmetric matrices A, in place."""
        if self.noise:
            change = change + self.noise * _pattern(A.shape[-1]) * (A + change)
        A += change - change.swapaxes(-1, -2)  # one rounding, so A stays antisymmetric


@cache
def _pattern(size: int) -> Series:
    """A fixed matrix of random numbers in [-1, 1)."""
    return np.random.default_rng(0).uniform(-1.0, 1.0, (size, size))


FLOAT = Arithmetic(float, math.exp, math.log)
DECIMAL = Arithmetic(Decimal, Decimal.exp, Decimal.ln)


def multiply(a: Series, b: Series) -> Series:
    """The product, truncated; other axes broadcast."""
    if len(a) == 1:
        return a * b
    return np.stack(
        [np.sum([a[i] * b[k - i] for i in range(k + 1)], axis=0) for k in range(len(a))]
    )


def divide(a: Series, b: Series) -> Series:
    """a / b of two series of numbers."""
    out = a.copy()
    for k in range(len(a)):
        for i in range(k):
            out[k] = out[k] - out[i] * b[k - i]
        out[k] = out[k] / b[0]
    return out


def log(a: Series, arithmetic: Arithmetic) -> Series:
    """log a of a series of numbers; an ArithmeticError unless a[0] > arithmetic.least."""
    if not a[0] > arithmetic.least:
        raise ArithmeticError(f"only {float(a[0]):.1e} is left")
    out = a.copy()
    out[0] = arithmetic.log(a[0])
    for k in range(1, len(a)):
        for i in range(1, k):
            out[k] = out[k] - out[i] * a[k - i] * i / k
        out[k] = out[k] / a[0]
    return out


def exp(a: Series, arithmetic: Arithmetic) -> Series:
    """e^a of a series of numbers."""
    out = a.copy()
    out[0] = arithmetic.exp(a[0])
    for k in range(1, len(a)):
        out[k] = sum((a[i] * out[k - i] * i for i in range(1, k + 1)), arithmetic.number(0)) / k
    return out


def bond(J: Any, beta: Any, orders: int, arithmetic: Arithmetic) -> tuple[Series, Series]:
    """tanh(beta J) and log cosh(beta J) of a number J, to at most three orders."""
    K = J * beta
    e = arithmetic.exp(-2 * abs(K))
    t = (1 - e) / (1 + e) if K >= 0 else (e - 1) / (1 + e)
    if arithmetic.noise:
        t *= 1.0 - arithmetic.noise
    # sech^2 by a decaying exponential: 1 - t^2 has no digits left at low temperature.
    s = 4 * e / (1 + e) ** 2
    tanh = [t, J * s, -J * J * t * s]
    log_cosh = [abs(K) + arithmetic.log((1 + e) / 2), J * t, J * J * s / 2]
    return np.array(tanh[:orders]), np.array(log_cosh[:orders])
