"""Reduced energies of many samples in many states, computed when asked for.

A table u_kn of K states and N samples does not fit into memory when N is of the size of lattice
data. Where u is affine in a parameter, one or two numbers per sample are enough: these two stand in
for the table, and `mbar_from_energies` takes them, or anything else with ``.shape`` that gives
slices ``u_kn[:, a:b]``: an array, a `numpy.memmap`, a zarr array.
"""

from typing import Any

import numpy as np

from ..errors import InvalidInput
from ._mbar_result import real_numbers


class TemperedEnergies:
    """u_kn = beta_k E_n: samples of one model at many inverse temperatures.

    Parameters
    ----------
    betas : float (K,)
        In units of 1 / energy.
    energies : float (N,)

    Raises InvalidInput for other shapes and for betas that are not finite.

    >>> TemperedEnergies([0.5, 1.0], [-4.0, 8.0, 4.0])[:, 0:2]
    array([[-2.,  4.],
           [-4.,  8.]])
    """

    def __init__(self, betas: Any, energies: Any) -> None:
        self.betas, self.energies = _line("betas", betas), _line("energies", energies)
        _check_finite("betas", self.betas)
        self.shape = (len(self.betas), len(self.energies))

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        states, samples = key
        return _product(self.betas[states], self.energies[samples])


class AffineEnergies:
    """u_kn = (1 - lambda_k) u_n(0) + lambda_k u_n(1): samples along a path that mixes two ends.

    Parameters
    ----------
    lams : float (K,)
        From 0 to 1.
    start, end : float (N,)
        Reduced energies of the samples at both ends. An infinite energy counts from the first
        lambda at which it has a share.

    Raises InvalidInput for other shapes and for lambdas outside [0, 1].

    >>> AffineEnergies([0.0, 0.5, 1.0], start=[1.0, 2.0], end=[3.0, np.inf])[:, :]
    array([[ 1.,  2.],
           [ 2., inf],
           [ 3., inf]])
    """

    def __init__(self, lams: Any, start: Any, end: Any) -> None:
        self.lams, self.start, self.end = (
            _line("lams", lams),
            _line("start", start),
            _line("end", end),
        )
        if not ((self.lams >= 0.0) & (self.lams <= 1.0)).all():
            raise InvalidInput(f"lams must lie between 0 and 1, but are {self.lams}.")
        if self.start.shape != self.end.shape:
            raise InvalidInput(
                f"There are {len(self.start)} energies at the start and {len(self.end)} at the "
                "end; every sample needs both."
            )
        self.shape = (len(self.lams), len(self.start))

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        states, samples = key
        lams = self.lams[states]
        u = _product(1.0 - lams, self.start[samples])
        u += _product(lams, self.end[samples])
        return u


def _product(factors: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """The outer product, in which nothing times infinity is nothing."""
    with np.errstate(invalid="ignore"):
        u = np.multiply.outer(factors, energies)
    if not np.isfinite(energies).all():
        u[factors == 0.0] = 0.0
    return u


def _line(name: str, given: Any) -> np.ndarray:
    values = real_numbers(name, given)
    if values.ndim != 1 or not len(values):
        raise InvalidInput(f"{name} has shape {values.shape}; a list of numbers is needed.")
    return values


def _check_finite(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise InvalidInput(f"{name} must be finite, but are {values}.")
