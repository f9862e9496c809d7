"""The units of a layer, summed out one by one.

A unit x in the field f has the energy own(x) - f x, with own(x) = 0 for bits and spins and x^2 / 2
for normal units. What a two-layer model needs of it, elementwise in f:

============  =======================  =============================  ==========================
units         values                   log sum_x exp(-beta (own - f x))  log-odds or law given f
============  =======================  =============================  ==========================
``BITS``      {0, 1}                   log(1 + exp(beta f))           beta f
``SPINS``     {-1, +1}                 log(2 cosh(beta f))            2 beta f
``NORMAL``    R                        beta f^2 / 2 + log(2 pi / beta) / 2   N(f, 1 / beta)
============  =======================  =============================  ==========================

Normal units need beta > 0: at beta = 0 their law is flat and their integral infinite.

All sums are in forms that neither overflow nor cancel.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from ..errors import InvalidInput
from ..spaces import Bits, Reals, Space, Spins


class Units(ABC):
    """One kind of unit; f and beta are arrays that broadcast, and so are the results."""

    name: ClassVar[str]
    space: ClassVar[type[Space]]

    @staticmethod
    @abstractmethod
    def log_sum(f: np.ndarray, beta: Any) -> np.ndarray:
        """log sum_x exp(-beta (own(x) - f x)); an integral for normal units."""

    @staticmethod
    @abstractmethod
    def mean(f: np.ndarray, beta: Any) -> np.ndarray:
        """The mean of x."""

    @staticmethod
    @abstractmethod
    def mean_energy(f: np.ndarray, beta: Any) -> np.ndarray:
        """The mean of own(x) - f x: minus the derivative of `log_sum` by beta."""


class BitUnits(Units):
    """x in {0, 1}."""

    name = "bits"
    space = Bits

    @staticmethod
    def log_sum(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.logaddexp(0.0, beta * f)

    @staticmethod
    def mean(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.asarray(expit(beta * f))

    @staticmethod
    def mean_energy(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.asarray(-f * expit(beta * f))


class SpinUnits(Units):
    """x in {-1, +1}."""

    name = "spins"
    space = Spins

    @staticmethod
    def log_sum(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.logaddexp(beta * f, -beta * f)

    @staticmethod
    def mean(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.tanh(beta * f)

    @staticmethod
    def mean_energy(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.asarray(-f * np.tanh(beta * f))


class NormalUnits(Units):
    """x in R with own(x) = x^2 / 2; beta > 0."""

    name = "normal"
    space = Reals

    @staticmethod
    def log_sum(f: np.ndarray, beta: Any) -> np.ndarray:
        beta = with_width(beta)
        return np.asarray(0.5 * beta * f * f + 0.5 * np.log(2.0 * math.pi / beta))

    @staticmethod
    def mean(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.asarray(f + 0.0 * with_width(beta))

    @staticmethod
    def mean_energy(f: np.ndarray, beta: Any) -> np.ndarray:
        return np.asarray(0.5 / with_width(beta) - 0.5 * f * f)


UNITS: dict[str, type[Units]] = {u.name: u for u in (BitUnits, SpinUnits, NormalUnits)}


def units_named(name: Any, layer: str, allowed: tuple[str, ...]) -> type[Units]:
    """The kind of units called `name`, or InvalidInput."""
    if name not in allowed:
        raise InvalidInput(f"{layer}={name!r} is unknown. Use one of {', '.join(allowed)}.")
    return UNITS[name]


def with_width(beta: Any) -> np.ndarray:
    """beta as an array, all of it positive, or InvalidInput: a normal unit needs a width."""
    found = np.asarray(beta)
    if not (found > 0.0).all():
        raise InvalidInput(
            f"beta={found.min():g} with normal units: at beta = 0 they are flat and Z is infinite. "
            "Use beta > 0."
        )
    return found
