"""A density given as a plain Python function: any posterior, network or formula in numpy.

    E(x) = -f(x),    f the logarithm of a density, normalised or not.

Nothing is compiled: samplers call the function in batches, once per sweep and more often where the
gradient is a central difference, so it is slower than a compiled model and needs nothing but `f`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..spaces import Reals
from ..systems import Model, common_shape

_STEP = float(np.cbrt(np.finfo(np.float64).eps))  # balances truncation and rounding
_COMPARED = 3  # points at which a gradient is compared with differences
_CLOSE = 0.1  # a gradient further than this from the differences, relatively, is another function's


class LogDensity(Model):
    """The energy -f(x) of a user's log-density f, with its gradient or central differences.

    Parameters
    ----------
    f : callable
        Of a batch (batch, dim), returning (batch,), or of one point (dim,), returning a number:
        it is tried once, first on a batch. It may be -inf where the density vanishes, but neither
        NaN nor +inf. It must not depend on anything but x.
    dim : int
    gradient : callable, optional
        df/dx, called as f is: (batch, dim) -> (batch, dim), or (dim,) -> (dim,). Default: central
        differences, 2 dim calls of f.

    Raises
    ------
    InvalidInput
        When f or gradient is no function or returns other shapes, and when the gradient is not
        that of f at some random points; later, when f is NaN or +inf at a point.

    >>> normal = LogDensity(lambda x: -0.5 * (x**2).sum(axis=-1), dim=2)
    >>> normal.energy([[1.0, 1.0], [0.0, 2.0]])
    array([1., 2.])
    """

    capabilities = frozenset({"Differentiable"})

    def __init__(
        self,
        f: Callable[[np.ndarray], Any],
        dim: int,
        gradient: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        for name, function in (("f", f), ("gradient", gradient)):
            if not callable(function) and not (name == "gradient" and function is None):
                raise InvalidInput(f"{name}={function!r} is no function of x.")
        self.space, self.lattice = Reals(dim), None
        self.f, self.gradient = f, gradient
        # One row more than columns, so that a function of columns cannot pass for one of rows.
        x = self.space.random(0, np.arange(dim + 1, dtype=np.uint32))
        self.vectorised = _takes_batches(f, x)
        if gradient is not None:
            self._compare(x[:_COMPARED], gradient)

    def energy(self, x: Any) -> np.ndarray:
        """-f(x), float64 (*batch,); +inf where the density vanishes."""
        x = self.space.check(x)
        rows = x.reshape(-1, self.space.size)
        values = self._call(self.f, "f", rows, (len(rows),))
        wrong = np.isnan(values) | (values == np.inf)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise InvalidInput(
                f"f is {values[k]} at x = {rows[k]}. A log-density is a number, or -inf where the "
                "density vanishes: return -np.inf there."
            )
        return np.asarray(-values.reshape(x.shape[:-1]))

    def reduced_energy(self, x: Any, beta: Any) -> np.ndarray:
        """-beta f(x), float64; +inf at every beta where the density vanishes."""
        energy, beta = self.energy(x), np.asarray(beta, np.float64)
        common_shape(energy.shape, beta)
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(energy), energy, beta * energy)

    def reduced_gradient(self, x: Any, beta: Any) -> np.ndarray:
        """-beta df/dx, float64 (*batch, dim); not finite where the density vanishes."""
        x, beta = self.space.check(x), np.asarray(beta, np.float64)
        common_shape(x.shape[:-1], beta)
        rows = x.reshape(-1, self.space.size)
        if self.gradient is None:
            slopes = self._differences(rows)
        else:
            slopes = self._call(self.gradient, "gradient", rows, rows.shape)
        return np.asarray(-beta[..., None] * slopes.reshape(x.shape))

    def _differences(self, rows: np.ndarray) -> np.ndarray:
        """Central differences of f, (rows, dim)."""
        out = np.empty(rows.shape)
        for i in range(rows.shape[1]):
            up, down = rows.copy(), rows.copy()
            step = _STEP * np.maximum(1.0, np.abs(rows[:, i]))
            up[:, i] += step
            down[:, i] -= step
            with np.errstate(invalid="ignore"):  # both may be infinite
                change = self.energy(down) - self.energy(up)
            out[:, i] = change / (up[:, i] - down[:, i])
        return out

    def _call(
        self,
        function: Callable[[np.ndarray], Any],
        name: str,
        rows: np.ndarray,
        shape: tuple[int, ...],
    ) -> np.ndarray:
        """`function` of all rows, float64 of this shape, or InvalidInput."""
        with np.errstate(all="ignore"):  # what comes of it is judged by the caller
            given = rows.copy()  # a function that writes to its argument must not change the chain
            found = function(given) if self.vectorised else [function(row) for row in given]
        values = _numbers(found)
        if values is None or values.shape != shape:
            how = "a batch" if self.vectorised else "points one by one"
            raise InvalidInput(
                f"{name} returned {_told(values)} for {how}, in all of shape {rows.shape}, and "
                f"{shape} is needed. It is called as f could be when the model was made."
            )
        return values

    def _compare(self, x: np.ndarray, gradient: Callable[[np.ndarray], Any]) -> None:
        """Raise InvalidInput unless the gradient is roughly that of f, where f is finite."""
        given = self._call(gradient, "gradient", x, x.shape)
        values = self._call(self.f, "f", x, (len(x),))
        known = np.isfinite(values)
        slopes, given = self._differences(x[known]), given[known]
        scale = np.maximum(np.maximum(1.0, np.abs(slopes)), np.abs(values[known])[:, None])
        far = np.isfinite(slopes) & ~(np.abs(given - slopes) <= _CLOSE * scale)
        if far.any():
            row, i = np.argwhere(far)[0]
            raise InvalidInput(
                f"gradient does not belong to f: at x = {x[known][row]} its component {i} is "
                f"{given[row, i]:g}, but f changes by {slopes[row, i]:g} per unit of it. It must "
                "be df/dx of the log-density, not of the energy. Leave gradient= out to use "
                "differences."
            )

    def __repr__(self) -> str:
        return f"LogDensity({getattr(self.f, '__name__', 'f')}, dim={self.space.size})"


def _takes_batches(f: Callable[[np.ndarray], Any], x: np.ndarray) -> bool:
    """Whether f maps a batch to one number per row, each its own; else whether it maps one row."""
    tried: list[np.ndarray | None] = []
    failure: Exception | None = None
    for argument in (x, x[:1], x[0]):
        try:
            with np.errstate(all="ignore"):
                tried.append(_numbers(f(argument.copy())))
        except Exception as error:  # a user's code may raise anything on what it is not made for
            failure = error
            tried.append(None)
    batch, first, point = tried
    if batch is not None and first is not None:
        alone = batch.shape == (len(x),) and first.shape == (1,)
        if alone and np.allclose(first, batch[:1], equal_nan=True):
            return True
    if point is not None and point.shape == ():
        return False
    raise InvalidInput(
        f"f returned {_told(batch)} for a batch of shape {x.shape} and {_told(point)} for one "
        f"point of shape {x[0].shape}. It must return one number per row, ({len(x)},), each from "
        "its own row alone, or one number for one point: sum over the last axis."
    ) from failure


def _numbers(value: Any) -> np.ndarray | None:
    """float64, or None for what is no array of real numbers."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def _told(values: np.ndarray | None) -> str:
    return "no array of numbers" if values is None else f"shape {values.shape}"
