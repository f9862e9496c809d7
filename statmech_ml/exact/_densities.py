"""KL, JS and Fisher divergence of densities, over whatever `log_z` and `mean` integrate over.

Log-densities need not be normalised: log Z of each is computed first, and its error counted. An
average under one density is told of the others, whose modes the integrand shows.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from statmech_ml.exact.quadrature import Integral

Function = Callable[[Any], Any]

_NOTHING = -690.0  # log of a density below 1e-300: a -inf there is an underflow, not a support


class Rule(NamedTuple):
    """Integrals over one region: of exp(-u), and of f exp(-u) over that of exp(-u), with the
    energies that f is made of."""

    log_z: Callable[[Function], Integral]
    mean: Callable[[Function, Function, Sequence[Function]], Integral]


class _Unsupported(Exception):
    """q vanishes where p does not."""


def kl(log_p: Function, log_q: Function, rule: Rule) -> Integral:
    """KL(p || q) in nats; inf where q vanishes and p does not."""
    z_p, z_q = rule.log_z(_minus(log_p)), rule.log_z(_minus(log_q))

    def ratio(x: Any) -> np.ndarray:
        p, q = _values(log_p, log_q, x)
        empty = q == -np.inf
        if np.any(empty & (p - z_p.value > _NOTHING)):
            raise _Unsupported
        return np.subtract(p, q, out=np.zeros_like(p), where=~empty)

    try:
        with np.errstate(over="ignore"):  # a tail that is followed to its divergence
            average = rule.mean(_minus(log_p), ratio, [_minus(log_q)])
    except _Unsupported:
        return Integral(math.inf, 0.0)
    value = average.value + z_q.value - z_p.value
    return Integral(value, average.error + z_p.error + z_q.error)


def js(log_p: Function, log_q: Function, rule: Rule) -> Integral:
    """JS(p, q) in nats."""
    z_p, z_q = rule.log_z(_minus(log_p)), rule.log_z(_minus(log_q))
    value, error = 0.0, z_p.error + z_q.error
    for own, other, shift in (
        (log_p, log_q, z_p.value - z_q.value),
        (log_q, log_p, z_q.value - z_p.value),
    ):

        def share(
            x: Any, own: Function = own, other: Function = other, shift: float = shift
        ) -> np.ndarray:
            mine, theirs = _values(own, other, x)
            here = mine > -np.inf
            odds = np.subtract(theirs, mine, out=np.zeros_like(mine), where=here) + shift
            return np.asarray(math.log(2.0) - np.logaddexp(0.0, odds))

        average = rule.mean(_minus(own), share, [_minus(other)])
        value, error = value + 0.5 * average.value, error + 0.5 * average.error
    return Integral(value, error)


def fisher(log_p: Function, score_p: Function, score_q: Function, rule: Rule) -> Integral:
    """E_p |s_p - s_q|^2, in units of 1 / x^2."""

    def square(x: Any) -> np.ndarray:
        difference = np.asarray(score_p(x), np.float64) - np.asarray(score_q(x), np.float64)
        squares = difference**2
        return np.asarray(squares if squares.ndim < 2 else squares.sum(axis=-1))

    return rule.mean(_minus(log_p), square, [])


def _minus(log_density: Function) -> Function:
    return lambda x: np.negative(np.asarray(log_density(x), np.float64))


def _values(log_p: Function, log_q: Function, x: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(log_p(x), np.float64), np.asarray(log_q(x), np.float64)
