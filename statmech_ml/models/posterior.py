"""The posterior of a user's statistical model: a prior, a likelihood of independent data, the data.

    E(theta) = -log p(theta) - sum_n log p(x_n | theta),    reduced energy beta E.

At beta = 1, exp(-E) is the unnormalised posterior and log Z the log evidence. A sampler that takes
minibatches sees, of a batch of b rows drawn uniformly from n data,

    grad E ~ -grad log p(theta) - n/b sum_{r in batch} grad log p(x_r | theta),

which is unbiased with replacement and without: M. Welling and Y. W. Teh, Proc. 28th Int. Conf.
Machine Learning (2011), p. 681, eq. 4. Everything is evaluated in numpy, in batches of chains and
data.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model, common_shape
from ._arguments import data_rows

_STEP = float(np.cbrt(np.finfo(np.float64).eps))  # balances truncation and rounding
_TERMS = 2**20  # log-likelihoods of one datum evaluated at a time

# A gradient further than this from differences, beyond what these are uncertain by, is another
# function's. They are taken at several steps, whose disagreement tells how far they can be trusted.
_CLOSE = 1e-3
_STEPS = _STEP * np.array([1.0, 32.0, 512.0, 1024.0])
_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)  # of a value, relatively, as functions compute it
_ROWS = 8  # data that gradients are compared at, one by one
_DIRECTIONS = 64  # of theta that are compared: all coordinates, or as many random directions
_SCALES = np.array([1.0, 1.0, 1.0, 0.1])  # of random points

Function = Callable[..., Any]


class Posterior(Model):
    """The energy -log prior - sum of log-likelihoods of a user's functions, in numpy.

    Parameters
    ----------
    log_prior : callable
        Of theta (chain, dim), returning (chain,). It may be -inf.
    log_likelihood : callable
        Of theta (chain, 1, dim) and data x (1 or chain, batch, *event), returning (chain, batch):
        log p(x_n | theta), one number for each chain and datum. Written with numpy's broadcasting
        it takes both: ``lambda theta, x: -0.5 * (x - theta[..., 0])**2`` for numbers x.
    data : array (n, *event)
        The data, one a row; put what belongs together (inputs and outputs) side by side.
    dim : int
        Number of parameters.
    grad_log_prior : callable, optional
        Of theta (chain, dim), returning (chain, dim).
    grad_log_likelihood : callable, optional
        Of theta and x as above, returning (chain, batch, dim). Default of both: central
        differences, 2 dim calls.

    Attributes
    ----------
    data : frozen array (n, *event)
    n_data : int

    Raises
    ------
    InvalidInput
        When a function returns another shape or NaN, or a gradient is not that of its function,
        to one part in a thousand, at random points of order 1 and single data; for data that are
        empty or not finite.

    >>> data = [1.0, 2.0, 3.0]
    >>> mean = Posterior(
    ...     lambda theta: -0.5 * theta[:, 0]**2,
    ...     lambda theta, x: -0.5 * (x - theta[..., 0])**2,
    ...     data, dim=1,
    ... )
    >>> mean.energy([[0.0], [2.0]])  # 14 / 2; 4 / 2 + 2 / 2
    array([7., 3.])
    """

    capabilities = frozenset({"Differentiable", "Minibatched"})

    def __init__(
        self,
        log_prior: Function,
        log_likelihood: Function,
        data: Any,
        dim: int,
        grad_log_prior: Function | None = None,
        grad_log_likelihood: Function | None = None,
    ) -> None:
        given = {
            "log_prior": log_prior,
            "log_likelihood": log_likelihood,
            "grad_log_prior": grad_log_prior,
            "grad_log_likelihood": grad_log_likelihood,
        }
        for name, function in given.items():
            if not callable(function) and not (name.startswith("grad") and function is None):
                raise InvalidInput(f"{name}={function!r} is no function.")
        space = Reals(dim)
        self.space, self.lattice = space, None
        self.data = data_rows(data, "data")
        self.n_data = len(self.data)
        self.log_prior, self.log_likelihood = log_prior, log_likelihood
        self.grad_log_prior, self.grad_log_likelihood = grad_log_prior, grad_log_likelihood
        chains = np.arange(len(_SCALES), dtype=np.uint32)
        self._try(_SCALES[:, None] * space.random(0, chains))

    def energy(self, x: Any) -> np.ndarray:
        """E(theta), float64 (*batch, dim) -> (*batch,); +inf where the density vanishes."""
        x = self.space.check(x)
        theta = x.reshape(-1, self.space.size)
        total = self._prior(theta)
        for rows in self._parts(len(theta)):
            total += self._likelihood(theta, self.data[None, rows])
        return np.asarray(-total.reshape(x.shape[:-1]))

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """beta E(theta), float64; +inf at every beta where the density vanishes."""
        energy, beta = self.energy(x), np.asarray(beta, np.float64)
        common_shape(energy.shape, beta)
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(energy), energy, beta * energy)

    def reduced_gradient(self, x: Any, beta: Any) -> np.ndarray:
        """beta grad E(theta) from all data, float64 (*batch, dim)."""
        x, beta = self.space.check(x), np.asarray(beta, np.float64)
        common_shape(x.shape[:-1], beta)
        theta = x.reshape(-1, self.space.size)
        slope = self._prior_slope(theta)
        for rows in self._parts(len(theta)):
            slope += self._likelihood_slope(theta, self.data[None, rows])
        return np.asarray(-beta[..., None] * slope.reshape(x.shape))

    def minibatch_gradient(self, theta: Any, beta: Any, rows: Any) -> np.ndarray:
        """The gradient of the reduced energy as a minibatch of data estimates it.

        Parameters
        ----------
        theta : float64 (chain, dim)
        beta : float64, a number or (chain,)
        rows : int (chain, batch)
            The data that each chain sees, from 0 to n_data - 1.

        Returns
        -------
        float64 (chain, dim), unbiased where the rows are drawn uniformly.
        """
        theta, rows = np.asarray(theta, np.float64), np.asarray(rows)
        slope = self._likelihood_slope(theta, self.data[rows])
        slope *= self.n_data / rows.shape[-1]
        slope += self._prior_slope(theta)
        return np.asarray(-np.asarray(beta, np.float64)[..., None] * slope)

    def _parts(self, n_chains: int) -> list[slice]:
        """The data in pieces that fit into memory for this many chains."""
        length = max(1, _TERMS // max(1, n_chains))
        return [slice(first, first + length) for first in range(0, self.n_data, length)]

    def _prior(self, theta: np.ndarray) -> np.ndarray:
        """log p(theta), (chain,)."""
        return self._call(self.log_prior, "log_prior", (len(theta),), theta)

    def _likelihood(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """log p(x | theta) summed over the batch x (1 or chain, batch, *event), (chain,)."""
        return np.asarray(self._each(theta, x).sum(axis=1))

    def _each(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """log p(x | theta) of each datum, (chain, batch)."""
        shape = (len(theta), x.shape[1])
        return self._call(self.log_likelihood, "log_likelihood", shape, theta[:, None], x)

    def _prior_slope(self, theta: np.ndarray) -> np.ndarray:
        """grad log p(theta), (chain, dim)."""
        if self.grad_log_prior is None:
            return _differences(self._prior, theta)
        return self._call(self.grad_log_prior, "grad_log_prior", theta.shape, theta)

    def _likelihood_slope(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """grad log p(x | theta) summed over the batch, (chain, dim)."""
        if self.grad_log_likelihood is None:
            return _differences(lambda t: self._likelihood(t, x), theta)
        return np.asarray(self._each_slope(theta, x).sum(axis=1))

    def _each_slope(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """grad log p(x | theta) of each datum as it was given, (chain, batch, dim)."""
        given: Any = self.grad_log_likelihood
        shape = (len(theta), x.shape[1], self.space.size)
        return self._call(given, "grad_log_likelihood", shape, theta[:, None], x)

    def _call(
        self, function: Function, name: str, shape: tuple[int, ...], theta: np.ndarray, *x: Any
    ) -> np.ndarray:
        """A user's function, float64 of this shape and no NaN, or InvalidInput."""
        with np.errstate(all="ignore"):  # what comes of it is judged below
            found = np.asarray(function(theta.copy(), *x))  # it may write to its argument
        if found.dtype.kind not in "biuf" or found.shape != shape:
            told = f"theta {theta.shape}" + "".join(f" and data {rows.shape}" for rows in x)
            raise InvalidInput(
                f"{name} returned dtype {found.dtype}, shape {found.shape} for {told}; numbers of "
                f"shape {shape} are needed. Sum over the last axis of events, and let numpy "
                "broadcast theta against the data."
            )
        if np.isnan(found).any() or (found == np.inf).any():
            at = np.argwhere(~(found < np.inf))[0][0]
            raise InvalidInput(
                f"{name} is NaN or +inf at theta = {theta[at].ravel()}. A log-density is a number, "
                "or -inf where the density vanishes: return -np.inf there."
            )
        return found.astype(np.float64)

    def _try(self, theta: np.ndarray) -> None:
        """Call every function at these points, and compare gradients with differences."""
        few = np.arange(min(2, self.n_data))
        alike, own = self.data[None, few], self.data[np.stack([few] * len(theta))]
        values = self._likelihood(theta, alike), self._likelihood(theta, own)
        if not np.allclose(*values, rtol=1e-9, equal_nan=True):
            raise InvalidInput(
                "log_likelihood gives other numbers for data of shape (chain, batch, ...) than for "
                "the same data of shape (1, batch, ...). Each number must come from its own chain "
                "and its own datum alone."
            )
        if self.grad_log_prior is not None:
            known = theta[np.isfinite(self._prior(theta))]
            slope = self._prior_slope(known)[:, None]
            _compare("log_prior", lambda t: self._prior(t)[:, None], slope, known)
        if self.grad_log_likelihood is not None:
            rows = np.unique(np.linspace(0, self.n_data - 1, _ROWS).astype(int))
            x = self.data[None, rows]
            known = theta[np.isfinite(self._each(theta, x)).all(axis=1)]
            slope = self._each_slope(known, x)
            _compare("log_likelihood", lambda t: self._each(t, x), slope, known)

    def __repr__(self) -> str:
        name = getattr(self.log_likelihood, "__name__", "log_likelihood")
        return f"Posterior({name}, {self.n_data} data, dim={self.space.size})"


def _differences(f: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    """Central differences of f (chain, dim) -> (chain,)."""
    out = np.empty(theta.shape)
    for i in range(theta.shape[1]):
        up, down = theta.copy(), theta.copy()
        step = _STEP * np.maximum(1.0, np.abs(theta[:, i]))
        up[:, i] += step
        down[:, i] -= step
        with np.errstate(invalid="ignore"):  # both may be infinite
            out[:, i] = (f(up) - f(down)) / (up[:, i] - down[:, i])
    return out


def _compare(
    name: str, f: Callable[[np.ndarray], np.ndarray], given: np.ndarray, theta: np.ndarray
) -> None:
    """InvalidInput unless `given` (chain, row, dim) is the gradient of f: (chain, dim) -> (chain,
    row), term by term: a sum over rows may cancel."""
    if not len(theta):  # the density vanishes at all points that were tried
        return
    value, dim = np.abs(f(theta)), theta.shape[1]
    directions = np.eye(dim) if dim <= _DIRECTIONS else _random_signs(dim)
    for i, direction in enumerate(directions):
        found, trust = _slope(f, theta, direction, value)
        with np.errstate(invalid="ignore"):  # infinite components are refused below
            told = given @ direction
        close = trust + _CLOSE * np.maximum(np.abs(told), np.abs(found))
        far = np.where(np.isfinite(told), np.abs(told - found) > close, np.isfinite(trust))
        if far.any():
            c, row = np.argwhere(far)[0]
            what = f"component {i}" if dim <= _DIRECTIONS else "slope along a random direction"
            raise InvalidInput(
                f"grad_{name} does not belong to {name}: at theta = {theta[c]} its {what} is "
                f"{told[c, row]:g}, but {name} changes by {found[c, row]:g} per unit of it. It "
                "must be the gradient of the logarithm, without a minus. Leave it out to use "
                "differences."
            )


def _random_signs(dim: int) -> np.ndarray:
    """Unit vectors (_DIRECTIONS, dim) that every coordinate has a share in."""
    words = _rng.words(0, np.arange(_DIRECTIONS, dtype=np.uint32), 0, _rng.INITIAL, 1, dim)
    return np.where(words & 1, 1.0, -1.0) / np.sqrt(dim)


def _slope(
    f: Callable[[np.ndarray], np.ndarray],
    theta: np.ndarray,
    direction: np.ndarray,
    value: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The slope of f along a unit vector by central differences, (chain, row), and how far it can
    be wrong.

    `value` is |f(theta)|. Short steps round, long ones bend: steps that rounding spoils are left
    out, but for the longest two, and by what the others disagree they are uncertain; where f is
    infinite, infinitely.
    """
    steps = _STEPS[:, None] * np.maximum(1.0, np.abs(theta @ direction))
    away = steps[..., None] * direction
    points = np.stack([theta + away, theta - away], axis=1)
    values = f(points.reshape(-1, theta.shape[1])).reshape(len(steps), 2, *value.shape)
    width = (points[:, 0] - points[:, 1]) @ direction
    with np.errstate(invalid="ignore"):  # infinite values on both sides
        slopes = (values[:, 0] - values[:, 1]) / width[..., None]
    rounding = _ROUNDING * np.maximum(1.0, value) / width[..., None]
    unknown = ~np.isfinite(slopes).all(axis=0)
    slopes = np.where(unknown, 0.0, slopes)
    good = rounding <= np.maximum(rounding[-2], 0.1 * _CLOSE * np.abs(slopes[-1]))
    first = np.argmax(good, axis=0)[None]  # the shortest of them
    found = np.take_along_axis(slopes, first, axis=0)[0]
    spread = np.where(good, np.abs(slopes - found), 0.0).max(axis=0)
    trust = spread + np.take_along_axis(rounding, first, axis=0)[0]
    return found, np.where(unknown, np.inf, trust)
