"""Comparing sampled states with an exact distribution: chi-square tests, and mutants of kernels.

A check of a distribution returns p-values by name. `assert_distribution` corrects them by Holm's
method over the family, and fails when the smallest stays below `ALPHA` twice, the second time with
a fresh seed and four times the chains, or below ALPHA^2 at once: chance does either to one correct
family in a million. `assert_refuted` asks the same of a mutant, which must fail.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import chi2

from statmech_ml._jit import Kernel, jit

ALPHA = 1e-3
SCALE = 4  # times the chains in the second run

PValues = Callable[[int, int], Mapping[str, float]]
"""run(seed, scale) -> p-values by name, from `scale` times the usual number of chains."""


class Exact(NamedTuple):
    """All states of a small discrete model at one beta, in index order."""

    states: np.ndarray
    energy: np.ndarray
    probability: np.ndarray


def exact(model, beta: float) -> Exact:
    """Every state, its energy and its probability, from `model.reduced_energy` and nothing else."""
    states = model.space.from_index(np.arange(model.space.n_states))
    log_weight = -model.reduced_energy(states, beta)
    weight = np.exp(log_weight - log_weight.max())
    return Exact(states, model.energy(states), weight / weight.sum())


def chi_square(counts: np.ndarray, probability: np.ndarray, least: float = 10.0) -> float:
    """p-value of counts under exact probabilities, cells pooled to an expectation of `least`."""
    total = counts.sum()
    expected = total * np.asarray(probability, np.float64)
    assert not counts[expected == 0.0].any(), "a state of probability zero was visited"
    pools = [[0.0, 0.0]]
    for cell in np.argsort(expected):  # the rarest first; a pool is closed when it is full
        if pools[-1][0] >= least:
            pools.append([0.0, 0.0])
        pools[-1][0] += expected[cell]
        pools[-1][1] += counts[cell]
    if pools[-1][0] < least and len(pools) > 1:
        rest = pools.pop()
        pools[-1] = [pools[-1][0] + rest[0], pools[-1][1] + rest[1]]
    pooled, pooled_counts = np.array(pools).T
    assert len(pooled) > 1, "all cells in one pool: too few draws to test anything"
    statistic = ((pooled_counts - pooled) ** 2 / pooled).sum()
    return float(chi2.sf(statistic, len(pooled) - 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm 1979), in increasing order."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected, worst = {}, 0.0
    for rank, (name, p) in enumerate(ordered):
        worst = max(worst, min(1.0, p * (len(ordered) - rank)))
        corrected[name] = worst
    return corrected


def refutations(run: PValues, seed: int) -> list[dict[str, float]]:
    """Corrected p-values below ALPHA of each run; empty if the law may be right."""
    found = []
    for attempt_seed, scale in ((seed, 1), (seed ^ 0x5EED, SCALE)):
        corrected = holm(run(attempt_seed, scale))
        assert corrected, "the check returned no p-values"
        small = {name: p for name, p in corrected.items() if not p >= ALPHA}
        if not small:
            return []
        found.append(small)
        if min(small.values()) < ALPHA**2:
            break
    return found


def assert_distribution(run: PValues, seed: int) -> None:
    """`run` agrees with the exact distributions."""
    found = refutations(run, seed)
    if found:
        pytest.fail(f"wrong distribution, p corrected by Holm, run by run: {found}")


def assert_refuted(run: PValues, seed: int) -> None:
    """The same check refuses this mutant, so it has power."""
    if not refutations(run, seed):
        pytest.fail("a mutant passed: the check has no power against it")


def mutant(kernel: Kernel, right: str, wrong: str) -> Kernel:
    """`kernel` with one piece of its source replaced; install it with monkeypatch.setattr.

    The piece stands in the kernel, or in one compiled function that the kernel calls by name.
    """
    namespace = dict(kernel.py_func.__globals__)
    function = kernel.py_func
    if right not in inspect.getsource(function):
        called = [namespace.get(name) for name in function.__code__.co_names]
        helpers = [f.py_func for f in called if hasattr(f, "py_func")]
        (helper,) = [f for f in helpers if right in inspect.getsource(f)]
        inside = dict(helper.__globals__)
        namespace[helper.__name__] = jit(_replaced(helper, right, wrong, inside))
        return Kernel(_replaced(function, "", "", namespace))
    return Kernel(_replaced(function, right, wrong, namespace))


def _replaced(function, right: str, wrong: str, namespace: dict):
    source = textwrap.dedent(inspect.getsource(function))
    assert not right or source.count(right) == 1, f"{right!r} occurs {source.count(right)} times"
    body = source[source.index("def ") :]
    body = body.replace(right, wrong) if right else body
    exec(compile(body, f"<mutant of {function.__name__}>", "exec"), namespace)
    return namespace[function.__name__]


def wrong_stride(move: type, right: str, wrong: str) -> type:
    """A move of a Langevin sampler (a NamedTuple) with one piece of its `stride` replaced."""
    stride = _replaced(move.stride, right, wrong, dict(move.stride.__globals__))
    # In no importable module, so that no kernel for it is kept on disk.
    return type(move.__name__, (move,), {"stride": stride, "__module__": "__main__"})
