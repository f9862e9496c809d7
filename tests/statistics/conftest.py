"""AR(1) processes, where every answer is known exactly, and the calibration of error bars on "
"them."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal


@pytest.fixture(scope="session")
def ar1() -> Callable[..., np.ndarray]:
    """x_{t+1} = rho x_t + sqrt(1 - rho^2) w, started in equilibrium.

    Every x_t is N(0, 1) and rho(t) = rho^t, so tau_int = (1 + rho) / (1 - rho) / 2.
    """

    def draw(rng: np.random.Generator, rho: float, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.normal(size=shape)
        noise[..., 1:] *= np.sqrt(1.0 - rho**2)
        return signal.lfilter([1.0], [1.0, -rho], noise, axis=-1)

    return draw


@pytest.fixture(scope="session")
def calibration() -> Callable[..., Callable]:
    """calibration(measure)(change) is a check for `assert_unbiased` and `assert_rejected`.

    `measure(rng)` returns (z, tau_int) of one independent run. Over many runs z should have mean 0
    and standard deviation 1; the check returns how many errors each of the two is away from that.
    `change(z, tau)` turns honest z-scores into those of a mutant; runs are shared between mutants.
    """

    def of(measure: Callable, n_runs: int = 400) -> Callable:
        @functools.cache
        def runs(seed: int, scale: int) -> np.ndarray:
            rng = np.random.default_rng(seed)
            return np.array([measure(rng) for _ in range(n_runs * scale)]).T

        def check(change: Callable = lambda z, tau: z) -> Callable[[int, int], np.ndarray]:
            def run(seed: int, scale: int) -> np.ndarray:
                z = change(*runs(seed, scale))
                bias = np.mean(z) * np.sqrt(z.size)
                spread = (np.std(z, ddof=1) - 1.0) * np.sqrt(2.0 * z.size)
                return np.array([bias, spread])

            return run

        return check

    return of


@pytest.fixture(scope="session")
def mutants() -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """What wrong error bars and biased values do to z."""
    return {
        "autocorrelation ignored": lambda z, tau: z * np.sqrt(2.0 * tau),
        "a factor two lost in the variance": lambda z, tau: z * np.sqrt(2.0),
        "emcee's tau taken for ours": lambda z, tau: z / np.sqrt(2.0),
        "a bias of half an error": lambda z, tau: z + 0.5,
    }
