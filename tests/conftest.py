"""What all tests share: the seed of a run, and how a statistical check decides.

The seed of a run is drawn fresh, printed in the header and beside every failure, and repeated by
setting STATMECH_SEED. Each test derives its own number from it and from its own name, so tests stay
independent of one another and of the order in which they run.

A statistical check returns z-scores against an exact answer. `assert_unbiased` fails it when some
|z| reaches `BOUND` twice: in a first run, and in a second one with a fresh seed and `RETRY_SCALE`
times the draws. A real bias doubles its z in the second run, chance does not repeat.
"""

import os
import secrets
import zlib
from collections.abc import Callable

# Before anything imports matplotlib: figures are drawn to files, on machines without a display.
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest

# False alarms: a normal z lies outside +-4 with probability 6.3e-5. A check of n z-scores fails its
# first run by chance with probability below 6.3e-5 n, and both runs with probability below
# (6.3e-5 n)^2: 4e-9 for one z-score, 4e-5 for a hundred.
BOUND = 4.0
RETRY_SCALE = 4

Run = Callable[[int, int], np.ndarray]
"""run(seed, scale) -> z-scores of any shape, from `scale` times the usual number of draws."""


def derive_seed(seed: int, label: str) -> int:
    """A 32-bit seed that depends on `seed` and on a name."""
    entropy = np.random.SeedSequence([seed, zlib.crc32(label.encode())])
    return int(entropy.generate_state(1)[0])


def largest(z: np.ndarray) -> float:
    """Largest |z|; a check that returns no number, or not a number, is broken and not unlucky."""
    z = np.asarray(z, dtype=np.float64)
    if z.size == 0 or np.isnan(z).any():
        pytest.fail(f"the check returned {z.size} z-scores, {int(np.isnan(z).sum())} of them nan")
    return float(np.abs(z).max())


def rejections(run: Run, seed: int) -> list[float]:
    """Largest |z| of each run that left the bounds: empty or one entry if accepted, else two."""
    first = largest(run(seed, 1))
    if first < BOUND:
        return []
    second = largest(run(derive_seed(seed, "second run"), RETRY_SCALE))
    return [first] if second < BOUND else [first, second]


@pytest.fixture(scope="session")
def assert_unbiased() -> Callable[[Run, int], None]:
    """assert_unbiased(run, seed): `run` agrees with the exact answer; see the module docstring."""

    def check(run: Run, seed: int) -> None:
        outside = rejections(run, seed)
        if len(outside) == 2:
            pytest.fail(
                f"biased: max |z| = {outside[0]:.1f}, and {outside[1]:.1f} with a fresh seed and "
                f"{RETRY_SCALE} times the draws (bound {BOUND:g})"
            )

    return check


@pytest.fixture(scope="session")
def assert_rejected() -> Callable[[Run, int], None]:
    """assert_rejected(run, seed): the same check refuses this mutant, so it has power."""

    def check(run: Run, seed: int) -> None:
        if len(rejections(run, seed)) < 2:
            pytest.fail("a mutant passed: the check has no power against it (more draws needed?)")

    return check


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Seed of this test, derived from the run's seed and the test's name."""
    return derive_seed(request.config.stash[SESSION_SEED], request.node.nodeid)


# --- the seed of a run, also in the processes of pytest-xdist -------------------------------------

SESSION_SEED = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[SESSION_SEED] = worker["statmech_seed"]
        return
    given = os.environ.get("STATMECH_SEED", "")
    if given and not given.isdecimal():
        raise pytest.UsageError(f"STATMECH_SEED must be a whole number >= 0, not {given!r}")
    config.stash[SESSION_SEED] = int(given) if given else secrets.randbits(32)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["statmech_seed"] = node.config.stash[SESSION_SEED]


def pytest_report_header(config: pytest.Config) -> str:
    return f"STATMECH_SEED={config.stash[SESSION_SEED]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if report.failed and "seed" in getattr(item, "fixturenames", ()):
        again = f'STATMECH_SEED={item.config.stash[SESSION_SEED]} pytest "{item.nodeid}"'
        report.sections.append(("to repeat with the same draws", again))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """numba chooses its CUDA simulator when it is imported: these tests need their own process."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return
    skip = pytest.mark.skip(reason="set NUMBA_ENABLE_CUDASIM=1, see `make test`")
    for item in items:
        if item.get_closest_marker("cudasim"):
            item.add_marker(skip)
