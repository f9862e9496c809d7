"""`TwoSample`: a distance between two samples, its error, and how often chance exceeds it."""

from dataclasses import dataclass

from ..statistics import Estimate
from ..statistics.estimate import with_error


@dataclass(frozen=True)
class TwoSample:
    """What a two-sample test found.

    Attributes
    ----------
    name : str
        What was measured.
    statistic : float
        Its value; the units are those of `name`.
    stderr : float
        Standard error of `statistic` about its own mean; each test says what it holds.
    p_value : float or None
        Probability, if both samples are independent draws from one law, of a statistic at least as
        large. None where no test was asked for.
    p_step : float
        The probability at stake in ties and in the counting of permutations: p_value - U p_step, U
        uniform on (0, 1), is exactly uniform under the null hypothesis; p_value itself is
        conservative.
    n, m : int
        Draws of x and of y.
    n_permutations : int
        Permutations behind the p-value; 0 where it was computed without any.
    method : str
        Settings that matter, in words.

    >>> result = TwoSample("W1", 0.512, 0.034, 0.001, 0.001, 500, 400, 999, "one dimension")
    >>> print(result)
    W1 = 0.512(34), p = 0.001 [500 + 400 draws, 999 permutations, one dimension]
    """

    name: str
    statistic: float
    stderr: float
    p_value: float | None
    p_step: float
    n: int
    m: int
    n_permutations: int
    method: str

    def z(self, exact: float) -> float:
        """How many standard errors the statistic lies above `exact`."""
        return Estimate(self.statistic, self.stderr, 0.5, self.n, self.n).z(exact)

    def __str__(self) -> str:
        p = "" if self.p_value is None else f", p = {self.p_value:.3g}"
        counted = f", {self.n_permutations} permutations" if self.n_permutations else ""
        value = with_error(self.statistic, self.stderr)
        return f"{self.name} = {value}{p} [{self.n} + {self.m} draws{counted}, {self.method}]"
