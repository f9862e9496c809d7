"""`Estimate`, a number with its error as every measurement returns it, and the mean of a series.

    stderr = sqrt(2 tau_int var / n)

with n the draws of all chains together and var taken about their pooled mean. A tau_int known to
30% makes an error that is too small as often as too large, and the small ones hurt: tau_int is
raised to the amount that its own error asks for (`raised_tau`), 40% in the variance for 100 tau_int
draws, 4% for a thousand.

References
----------
A. D. Sokal (1997), "Monte Carlo Methods in Statistical Mechanics: Foundations and New Algorithms",
section 3; U. Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics.autocorrelation import (
    MIN_INDEPENDENT,
    FloatArray,
    TauResult,
    Trouble,
    as_chains,
    between_chains,
    measure_tau,
    trouble_message,
)

OnShort = Literal["raise", "accept"]

_FIXED_POINT = (-5, 8)  # decimal exponents printed without "e"
_DOUBLE_DIGITS = 17


@dataclass(frozen=True)
class Estimate:
    """A measured number with its statistical error.

    Attributes
    ----------
    value
        The estimate.
    stderr
        Its standard error (one sigma), in the same units.
    tau_int
        Integrated autocorrelation time behind the error, in draws, raised by what it is not known
        to; 1/2 for independent draws. `integrated_time` gives it as measured.
    ess
        Effective number of independent draws, n / (2 tau_int).
    n
        Number of draws, all chains together.

    Examples
    --------
    >>> print(Estimate(-1.43372, 0.00124, tau_int=2.0, ess=2000.0, n=8000))
    -1.4337(12)
    >>> print(Estimate(12341.0, 561.0, tau_int=0.5, ess=100.0, n=100))
    12340(560)
    >>> print(Estimate(6.02214e23, 1.2e19, tau_int=0.5, ess=100.0, n=100))
    6.02214(12)e+23
    """

    value: float
    stderr: float
    tau_int: float
    ess: float
    n: int

    def __str__(self) -> str:
        return with_error(self.value, self.stderr)

    def z(self, exact: float) -> float:
        """How many standard errors the estimate lies above `exact`.

        Raises InvalidInput when the error is zero, infinite or NaN: there is then no such number.

        >>> Estimate(1.5, 0.25, tau_int=0.5, ess=64.0, n=64).z(exact=1.0)
        2.0
        """
        if not (math.isfinite(self.stderr) and self.stderr > 0.0):
            raise InvalidInput(
                f"The error of {self} is {self.stderr!r}, so a deviation from {exact!r} cannot "
                "be counted in errors. Measure longer, or compare the values themselves."
            )
        return (self.value - exact) / self.stderr


def with_error(value: float, stderr: float) -> str:
    """A number as physicists write it: the error's two leading digits in brackets, `-1.4337(12)`.

    The brackets count in units of the last digit shown; where the error reaches the integers they
    hold it in full, `123.4(1.2)`, `12340(560)`. Very large and small numbers share one exponent,
    `1.660(12)e-27`. An error of zero prints as (0), one that is NaN or infinite as itself.

    >>> with_error(0.5, 0.00996)
    '0.500(10)'
    """
    value, stderr = float(value), float(stderr)  # numpy scalars print their type
    if not (math.isfinite(value) and math.isfinite(stderr)) or stderr < 0.0:
        return f"{value:.6g}({stderr:.2g})"
    if stderr == 0.0:
        return f"{value!r}(0)"
    error = Decimal(f"{stderr:.1e}")  # 0.0996 becomes 1.0e-1: the rounding may carry
    leading = max(error.adjusted(), Decimal(value).adjusted() if value else error.adjusted())
    if leading - error.adjusted() >= _DOUBLE_DIGITS:  # below the rounding of the value itself
        return f"{value!r}({stderr:.1e})"
    exponent = 0 if _FIXED_POINT[0] <= leading < _FIXED_POINT[1] else leading
    error = error.scaleb(-exponent)
    number = Decimal(value).scaleb(-exponent)
    last = error.adjusted() - 1
    shown = number.quantize(Decimal(1).scaleb(last), rounding=ROUND_HALF_EVEN)
    shown = abs(shown) if shown.is_zero() else shown  # no "-0.0"
    digits = f"{error:f}" if last >= -1 and error.adjusted() >= 0 else f"{error.scaleb(-last):f}"
    return f"{shown:f}({digits})" + (f"e{exponent:+03d}" if exponent else "")


def mean(x: npt.ArrayLike, on_short: OnShort = "raise", tolerance: float = 50.0) -> Estimate:
    """Mean of a series over all chains and draws, with an error that knows its autocorrelation.

        value = xbar,   stderr = sqrt(2 tau_int var / n),   n = chains x draws
        tau_int = tau (1 + 2 (dtau / tau)^2)   of the measured tau +- dtau

    Chains too short for tau_int to be measured are still answered when there are twenty or more of
    them: the scatter of their means is an honest error whatever tau_int is, provided they are
    independent.

    Parameters
    ----------
    x
        (chain, draw) or (draw,), real, any units.
    on_short
        What to do when tau_int cannot be trusted. "raise", or "accept" a conservative answer:
        tau_int raised by its own error and to what the scatter of the chain means asks for. The
        error is infinite when nothing at all is known, and still a lower bound when the chains
        are shorter than a few tau_int.
    tolerance
        How many tau_int all draws together must hold, as measured.

    Returns
    -------
    Estimate

    Raises
    ------
    InvalidInput
        A series that never changes: it has no fluctuation to measure an error from.
    ShortChain
        Too few draws for their tau_int, or chains that disagree. Its `partial` is the conservative
        Estimate that on_short="accept" returns.

    References
    ----------
    Sokal (1997), section 3; Wolff (2004), doi:10.1016/S0010-4655(03)00467-3.

    Examples
    --------
    >>> import numpy as np
    >>> print(mean(np.random.default_rng(1).normal(loc=3.0, size=(4, 2500))))
    2.9891(98)
    """
    chains = as_chains(x)
    check_on_short(on_short)
    result, trouble = measure_tau(chains, tolerance=tolerance)
    value = float(chains.mean())
    if not trouble:
        return from_tau(value, raised_tau(result), result.variance, chains.size)
    if trouble == "short" and many_independent(chains):
        variance = float(chains.var(ddof=1))
        tau = between_chains(chains) * chains.size / (2.0 * variance)
        if tau > 0.0:
            return from_tau(value, tau, variance, chains.size)
    partial = from_tau(value, upper_tau(chains, result), result.variance, chains.size)
    return answer_or_raise(partial, trouble, chains, result, tolerance, on_short)


def from_tau(value: float, tau: float, variance: float, n: int) -> Estimate:
    """The Estimate whose error is sqrt(2 tau variance / n)."""
    return Estimate(value, math.sqrt(2.0 * tau * variance / n), tau, n / (2.0 * tau), n)


def raised_tau(result: TauResult) -> float:
    """The tau_int that gives z-scores a standard deviation of one, from one measured +- stderr.

        tau (1 + 2 (stderr / tau)^2),   at most tau + 2 stderr

    An error known to nu = 2 tau^2 / stderr^2 degrees of freedom makes z Student's t, of variance nu
    / (nu - 2): one time (stderr / tau)^2. The other is for the selection: where a series is barely
    long enough, those are accepted whose tau came out low. On AR(1) series of 50 to 200 tau, those
    that are accepted have z-scores of standard deviation 0.9 to 1.1, and 1.0 to 1.3 without this.
    """
    tau, stderr = result.tau_int, result.stderr
    return tau + 2.0 * stderr * (stderr / tau if stderr < tau else 1.0)


def many_independent(chains: FloatArray) -> bool:
    """Whether the scatter of chain means may serve as error: enough chains, and they move."""
    n_chains, n_draws = chains.shape
    frozen = n_draws > 1 and bool(np.all(chains.min(axis=1) == chains.max(axis=1)))
    return n_chains >= MIN_INDEPENDENT and not frozen


def upper_tau(chains: FloatArray, result: TauResult) -> float:
    """A tau_int not likely exceeded, from a measurement that fell short: never below 1/2."""
    candidates = [0.5]
    if chains.shape[0] > 1:
        candidates.append(between_chains(chains) * chains.size / (2.0 * result.variance))
    if result.window or chains.shape[0] == 1:
        candidates += [result.tau_int + result.stderr, raised_tau(result)]
    return max(candidates)


def answer_or_raise(
    partial: Estimate,
    trouble: Trouble,
    chains: FloatArray,
    result: TauResult,
    tolerance: float,
    on_short: OnShort,
) -> Estimate:
    """Hand back the conservative answer where the caller accepts it; else raise it, ShortChain."""
    if on_short == "accept":
        return partial
    raise ShortChain(trouble_message(trouble, chains, result, tolerance), partial)


def check_on_short(on_short: str) -> None:
    """Refuse a misspelt policy before any work."""
    if on_short not in ("raise", "accept"):
        raise InvalidInput(f"on_short={on_short!r} is not known. Use 'raise' or 'accept'.")
