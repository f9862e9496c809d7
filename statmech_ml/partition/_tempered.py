"""Samples of one model and their reduced energies at any beta, from one matrix product.

    u(x, beta),    u' = du/dbeta,    -u'' >= 0,

u' the energy, or its mean over the units that are summed out, and -u'' the variance of what these
add. Three kinds of model: u = beta E (one number per sample); two layers, where fields f = f(v) of
the samples are kept and each hidden unit adds, with m its mean energy,

    bits  -m (f + m),    spins  f^2 - m^2,    normal  1 / (2 beta^2);

and any other that tells its slope u', whose own derivative is taken by central differences.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..models._two_layers import TwoLayers
from .path.tempering import slope_in_beta

_CHUNK = 2**21  # fields worked on at a time: 16 MiB
_STEP = 1e-4  # relative, of the central difference: errors of its square, and rounding / step


class Tempered(ABC):
    """Reduced energies of n samples."""

    @abstractmethod
    def reduced_energies(self, betas: np.ndarray) -> np.ndarray:
        """u at many betas, float64 (len(betas), n)."""

    @abstractmethod
    def at(self, beta: float, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, Any]:
        """u, u' and -u'' at one beta > 0 of some samples; -u'' is 0 where nothing is summed out.

        At beta = 0, u' alone is meant.
        """


def tempered(model: Any, x: np.ndarray, linear: bool) -> Tempered:
    """Samples x (n, size) of `model`, whose reduced energy is `linear` in beta or not.

    Raises MissingCapability where neither is known nor a slope.
    """
    if linear:
        return _Linear(np.asarray(model.energy(x)))
    if isinstance(model, TwoLayers):
        return _Fields(model, x)
    slope_in_beta(model, x[:1], np.ones(1))
    return _Sloped(model, x)


class _Linear(Tempered):
    """u = beta E."""

    def __init__(self, energy: np.ndarray) -> None:
        self._energy = energy

    def reduced_energies(self, betas: np.ndarray) -> np.ndarray:
        return np.multiply.outer(betas, self._energy)

    def at(self, beta: float, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, Any]:
        energy = self._energy[part]
        return beta * energy, energy, 0.0


class _Fields(Tempered):
    """u = beta own(v) - sum_j log sum_h exp(-beta (own(h) - f_j h))."""

    def __init__(self, model: TwoLayers, x: np.ndarray) -> None:
        self._units = model.hidden_units
        self._own = np.asarray(model.visible_energy(x))
        self._rows = max(1, _CHUNK // model.n_hidden)
        self._field = np.concatenate(
            [model.hidden_field(x[a : a + self._rows]) for a in range(0, len(x), self._rows)]
        )

    def reduced_energies(self, betas: np.ndarray) -> np.ndarray:
        u = np.multiply.outer(betas, self._own)
        for a in range(0, len(self._own), self._rows):
            field = self._field[a : a + self._rows]
            for k, beta in enumerate(betas):
                u[k, a : a + self._rows] -= self._units.log_sum(field, beta).sum(axis=-1)
        return u

    def at(self, beta: float, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, Any]:
        own, fields = self._own[part], self._field[part]
        u, slope, spread = beta * own, own.copy(), np.empty(len(own))
        for a in range(0, len(own), self._rows):
            here = slice(a, a + self._rows)
            field = fields[here]
            mean = self._units.mean_energy(field, beta)
            u[here] -= self._units.log_sum(field, beta).sum(axis=-1)
            slope[here] += mean.sum(axis=-1)
            spread[here] = self._variance(field, mean, beta).sum(axis=-1)
        return u, slope, spread

    def _variance(self, field: np.ndarray, mean: np.ndarray, beta: float) -> np.ndarray:
        """Of the energy of each hidden unit given v: minus the derivative of its mean by beta."""
        if self._units.name == "normal":
            return np.full_like(field, 0.5 / beta**2)
        # Energies are 0 or -f of bits, +-f of spins, so their squares are known from the mean.
        second = -field * mean if self._units.name == "bits" else field * field
        return np.maximum(second - mean * mean, 0.0)


class _Sloped(Tempered):
    """Any model with ``slope(x, beta)``."""

    def __init__(self, model: Any, x: np.ndarray) -> None:
        self._model, self._x = model, x

    def reduced_energies(self, betas: np.ndarray) -> np.ndarray:
        return np.stack([self._model.reduced_energy(self._x, beta) for beta in betas])

    def at(self, beta: float, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, Any]:
        x, step = self._x[part], _STEP * beta
        slope = slope_in_beta(self._model, x, beta)
        if not step:
            return np.asarray(self._model.reduced_energy(x, beta)), slope, 0.0
        up, down = (slope_in_beta(self._model, x, beta + s) for s in (step, -step))
        return np.asarray(self._model.reduced_energy(x, beta)), slope, (down - up) / (2.0 * step)
