"""What `mbar_from_energies` returns: free energies, overlaps, and averages on request."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ._mbar_mixture import Mixture
from ._mbar_solver import Table
from .logz import OK


@dataclass(frozen=True)
class Expectation:
    """Averages in one state, from samples of all.

    Attributes
    ----------
    value, stderr : float (m,)
        Averages and their standard errors; numbers where one observable was given.
    covariance : float (m, m)
    variance : float (m, m)
        Covariance of the observables themselves in that state.
    ess : float
        Effective number of samples, 1 / sum_n W_n^2, were they independent.
    """

    value: Any
    stderr: Any
    covariance: np.ndarray
    variance: np.ndarray
    ess: float


@dataclass(frozen=True)
class FreeEnergies:
    """f of some states, relative to that of the first state of the table.

    Attributes
    ----------
    f : float (l,)
    covariance : float (l, l)
    ess : float (l,)
        Effective number of samples, 1 / sum_n W_n^2, were they independent.
    """

    f: np.ndarray
    covariance: np.ndarray
    ess: np.ndarray


@dataclass(frozen=True)
class Mbar:
    """The solution of the MBAR equations.

    Attributes
    ----------
    f_k : float (K,)
        Reduced free energies -log Z_k, relative to f_k[0] = 0.
    covariance : float (K, K)
        Of f_k; ``f_k[i] - f_k[j]`` has variance c_ii + c_jj - 2 c_ij.
    n_k : int (K,)
        Samples from each state.
    n_effective : float (K,)
        Effective number of samples in each state, 1 / sum_n W_nk^2.
    overlap_matrix : float (K, K)
        O_ij = sum_n W_ni N_j W_nj: the part of state i that samples of state j stand for. Rows sum
        to 1.
    overlap : float
        The weakest link: states i and j overlap by sum_n W_ni W_nj / sqrt(sum_n W_ni^2 sum_n
        W_nj^2), and this is the least overlap that must be crossed to reach every state. 1 where
        all states are one; where little overlaps, what O_ij would be between two states of equally
        many samples.
    inefficiency : float (K,)
        Variance of f_k - f_k[0] over that of independent samples.
    status : str
        "ok"; "low overlap" where overlap is below 0.03; "constant weights" where all states are one
        up to a constant: the samples do not tell an error, and it is given as 1 / n.
    passes : int
        How often all samples were visited to solve the equations.
    """

    f_k: np.ndarray
    covariance: np.ndarray
    n_k: np.ndarray
    n_effective: np.ndarray
    overlap_matrix: np.ndarray
    overlap: float
    inefficiency: np.ndarray
    status: str
    passes: int
    _mixture: Mixture = field(repr=False, compare=False)

    @property
    def stderr(self) -> np.ndarray:
        """Standard errors (K,) of f_k - f_k[0]."""
        return roots(self.covariance)

    @property
    def ok(self) -> bool:
        """Whether f_k and their errors can be trusted."""
        return self.status == OK

    def difference(self, i: int, j: int) -> tuple[float, float]:
        """f_k[j] - f_k[i] and its standard error."""
        c = self.covariance
        variance = max(0.0, float(c[i, i] + c[j, j] - 2.0 * c[i, j]))
        return float(self.f_k[j] - self.f_k[i]), math.sqrt(variance)

    def expectation(self, a_n: Any, u_n: Any) -> Expectation:
        """Averages of observables in a state, whether it was sampled or not.

        Parameters
        ----------
        a_n : float (N,) or (m, N)
            One or several observables of each sample.
        u_n : float (N,), or int
            Reduced energies of the samples in the state; +inf where it forbids them. A whole number
            is a state of the table.

        Raises InvalidInput for other shapes and for values that are not finite.
        """
        given = self._mixture.table
        observables = real_numbers("a_n", a_n)
        several = np.atleast_2d(observables)
        if several.ndim != 2 or several.shape[1] != given.n_samples:
            raise InvalidInput(
                f"a_n has shape {observables.shape}; one value is needed for each of the "
                f"{given.n_samples} samples, (N,) or (m, N)."
            )
        if not np.isfinite(several).all():
            raise InvalidInput("a_n holds NaN or infinity, so its average does not exist.")
        if isinstance(u_n, int | np.integer) and not isinstance(u_n, bool):
            if not 0 <= u_n < given.n_states:
                raise InvalidInput(f"State {u_n} does not exist; there are {given.n_states}.")
            row = int(u_n)
            u = np.concatenate(list(given.map(lambda a, b, chunk: chunk[row])))
        else:
            u = real_numbers("u_n", u_n)
        f = self._mixture.normalise(as_table(u[None], given))
        w = np.exp(f[0] - u - self._mixture.log_d)
        value = several @ w

        def columns(a: int, b: int, _: np.ndarray) -> np.ndarray:
            return w[a:b] * (several[:, a:b] - value[:, None])

        covariance = self._mixture.covariance(self._mixture.moments(columns))
        centred = several - value[:, None]
        variance = (w * centred) @ centred.T
        stderr = roots(covariance)
        one = observables.ndim == 1
        return Expectation(
            float(value[0]) if one else value,
            float(stderr[0]) if one else stderr,
            covariance,
            variance,
            1.0 / float((w**2).sum()),
        )

    def free_energies(self, u_ln: Any) -> FreeEnergies:
        """Free energies of other states, relative to the first state of the table.

        Parameters
        ----------
        u_ln : float (l, N), or anything sliced like u_kn
            Reduced energies of the samples in l states, such as ``TemperedEnergies``.

        Raises InvalidInput for other shapes, NaN, -inf, and states that forbid every sample.
        """
        mixture = self._mixture
        others = as_table(u_ln, mixture.table)
        f, f0 = mixture.normalise(others), mixture.f_0

        def columns(a: int, b: int, u: np.ndarray) -> np.ndarray:
            first = np.exp(f0 - u[0] - mixture.log_d[a:b])
            return np.exp(f[:, None] - others.chunk(a, b) - mixture.log_d[a:b]) - first

        def squares(a: int, b: int, u: np.ndarray) -> np.ndarray:
            return np.exp(2.0 * (f[:, None] - u - mixture.log_d[a:b])).sum(axis=1)

        covariance = mixture.covariance(mixture.moments(columns))
        return FreeEnergies(f - f0, covariance, 1.0 / np.sum(list(others.map(squares)), axis=0))


def roots(covariance: np.ndarray) -> np.ndarray:
    """Standard errors; a variance that rounding took below zero is zero."""
    return np.asarray(np.sqrt(np.maximum(np.diag(covariance), 0.0)))


def as_table(u_ln: Any, given: Table) -> Table:
    """Energies of the samples of `given` in other states, checked but for their values."""
    u_ln = sliced("u_ln", u_ln)
    if len(u_ln.shape) != 2 or not u_ln.shape[0] or u_ln.shape[1] != given.n_samples:
        raise InvalidInput(
            f"The reduced energies have shape {tuple(u_ln.shape)}; each state needs one for each "
            f"of the {given.n_samples} samples."
        )
    return Table(u_ln, None)


def sliced(name: str, given: Any) -> Any:
    """Energies that are sliced, of a dtype of real numbers where they tell; else an array."""
    kind = np.dtype(getattr(given, "dtype", np.float64)).kind
    return given if hasattr(given, "shape") and kind in "biuf" else real_numbers(name, given)


def real_numbers(name: str, given: Any) -> np.ndarray:
    """An array of float64, of whatever shape."""
    try:
        array = np.asarray(given)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise InvalidInput(f"{name}={given!r} is not an array of real numbers.")
