"""Two-sample tests under the null hypothesis and under stated deviations from it.

A test is a function (x, y, rng) -> p-value and its step: p - U step, U uniform on (0, 1), is
exactly uniform where both samples come from one law, with ties or without, on the grid of
permutations or of the hypergeometric law. So Kolmogorov and Smirnov's test applies as it stands.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from statmech_ml import divergences
from statmech_ml.exact import enumeration
from statmech_ml.lattices import square
from statmech_ml.models import Ising

Array = np.ndarray
Draw = Callable[[np.random.Generator, int], Array]
"""draw(generator, n) -> n independent configurations."""


class P(NamedTuple):
    """A p-value and what ties and counting are worth."""

    p: float
    step: float


Test = Callable[[Array, Array, int], P]


def of(function: Callable[..., divergences.TwoSample], **settings: Any) -> Test:
    """The p-value of a function of `divergences`; picklable, for checks in other processes."""
    return partial(_p_value, function, settings)


def _p_value(
    function: Callable[..., divergences.TwoSample],
    settings: dict[str, Any],
    x: Array,
    y: Array,
    rng: int,
) -> P:
    found = function(x, y, rng=rng, **settings)
    assert found.p_value is not None
    return P(found.p_value, found.p_step)


# --- laws -----------------------------------------------------------------------------------------


def exponential(generator: np.random.Generator, n: int) -> Array:
    """Skewed numbers (n,)."""
    return generator.exponential(size=n)


def normal(
    generator: np.random.Generator, n: int, shift: float = 0.0, width: float = 1.0, r: float = 0.0
) -> Array:
    """(n, 2): the first coordinate has mean `shift` and the given width, r is the correlation."""
    z = generator.normal(size=(n, 2))
    second = r * z[:, 0] + np.sqrt(1.0 - r * r) * z[:, 1]
    return np.stack([shift + width * z[:, 0], second], axis=1)


@lru_cache(maxsize=8)
def _ising(T: float) -> tuple[Array, Array]:
    model: Any = Ising(square(4, 4))
    states = model.space.from_index(np.arange(model.space.n_states))
    weight = np.exp(-model.energy(states) / T - enumeration.log_z(model, 1.0 / T))
    return states, np.cumsum(weight)


def ising(generator: np.random.Generator, n: int, T: float = 2.5) -> Array:
    """Independent exact draws of the 4 x 4 Ising model, (n, 16) int8."""
    states, below = _ising(T)
    return states[np.searchsorted(below, generator.random(n) * below[-1], side="right")]


# --- p-values over replicas -----------------------------------------------------------------------


def p_values(
    test: Test, draw_x: Draw, draw_y: Draw, n: int, m: int, seed: int, replicas: int
) -> tuple[Array, Array]:
    """p and randomised p of `replicas` pairs of samples."""
    generator, found = np.random.default_rng(seed), np.empty((replicas, 2))
    for i in range(replicas):
        x, y = draw_x(generator, n), draw_y(generator, m)
        found[i] = test(x, y, int(generator.integers(2**32)))
    return found[:, 0], found[:, 0] - generator.random(replicas) * found[:, 1]


# --- mistakes -------------------------------------------------------------------------------------


def per_matrix(x: Array, y: Array) -> float:
    """MMD^2 with a median bandwidth for each of its three matrices."""

    def k(a: Array, b: Array, same: bool) -> float:
        squares = (a[:, None] - b) ** 2
        squares = squares[~np.eye(len(a), dtype=bool)] if same else squares.ravel()
        return float(np.exp(-0.5 * squares / np.median(squares)).mean())

    return k(x, x, True) + k(y, y, True) - 2.0 * k(x, y, False)


def without_one(x: Array, y: Array, rng: int) -> P:
    """p = #{T* >= T} / B, of one permutation."""
    found = divergences.energy_distance(x, y, rng=rng, n_permutations=1)
    return P(2.0 * float(found.p_value or 0.0) - 1.0, found.p_step)


def on_training_data(x: Array, y: Array, rng: int) -> P:
    """The accuracy of a classifier on the draws that it has learnt from."""
    from sklearn.neighbors import KNeighborsClassifier

    pooled, labels = np.concatenate([x, y]), np.arange(len(x) + len(y)) >= len(x)
    called = KNeighborsClassifier(5).fit(pooled, labels).predict(pooled)
    law = stats.hypergeom(len(pooled), int((~called).sum()), len(x))
    right = int((~called[: len(x)]).sum())
    return P(float(law.sf(right - 1)), float(law.pmf(right)))


def each_its_bandwidth(x: Array, y: Array, rng: int) -> P:
    """Three bandwidths in the statistic, the pooled one in the permutations."""
    generator, pooled = np.random.default_rng(rng), np.concatenate([x, y])
    lengths = np.median(np.abs(pooled[:, None] - pooled)[~np.eye(len(pooled), dtype=bool)])
    kernel = np.exp(-((pooled[:, None] - pooled) ** 2) / (2.0 * lengths**2))

    def relabelled() -> float:
        order = generator.permutation(len(pooled))
        a, b = order[: len(x)], order[len(x) :]
        within = [k.sum() - len(k) for k in (kernel[np.ix_(a, a)], kernel[np.ix_(b, b)])]
        sizes = [len(k) * (len(k) - 1) for k in (a, b)]
        return float(within[0] / sizes[0] + within[1] / sizes[1] - 2 * kernel[np.ix_(a, b)].mean())

    found = divergences.permutation.p_value(per_matrix(x, y), [relabelled() for _ in range(99)])
    return P(*found)


def twice(test: Test, x: Array, y: Array, rng: int) -> P:
    """Every draw counted twice, as those of a chain that stands still are."""
    return test(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0), rng)


# --- power ----------------------------------------------------------------------------------------

ALPHA = 0.05

DEVIATIONS: dict[str, tuple[Draw, Draw]] = {
    "mean shifted by 0.2 sd": (normal, partial(normal, shift=0.2)),
    "mean shifted by 0.5 sd": (normal, partial(normal, shift=0.5)),
    "width times 1.3": (normal, partial(normal, width=1.3)),
    "correlation 0.4": (normal, partial(normal, r=0.4)),
    "4 x 4 Ising, T = 2.5 and 3.0": (ising, partial(ising, T=3.0)),
}

TESTS: dict[str, Test] = {
    "MMD": of(divergences.mmd, n_permutations=99),
    "energy distance": of(divergences.energy_distance, n_permutations=99),
    "sliced W2": of(divergences.sliced_wasserstein, n_directions=16, n_permutations=99),
    "C2ST logistic": of(divergences.c2st, classifier="logistic"),
    "C2ST quadratic": of(divergences.c2st, classifier="quadratic"),
    "C2ST knn": of(divergences.c2st, classifier="knn"),
    "C2ST mlp": of(divergences.c2st, classifier="mlp"),
}


def power(test: Test, deviation: str, n: int, seed: int, replicas: int) -> float:
    """Share of replicas, n + n draws each, in which the test rejects at level 0.05."""
    p, _ = p_values(test, *DEVIATIONS[deviation], n, n, seed, replicas)
    return float(np.mean(p <= ALPHA + 1e-12))


def power_table(
    seed: int, replicas: int = 200, n: int = 200, tests: Iterable[str] = tuple(TESTS)
) -> str:
    """The power of every test at every deviation as a Markdown table, +- one standard error."""
    lines = ["| deviation | " + " | ".join(tests) + " |", "|---" * (1 + len(tuple(tests))) + "|"]
    for deviation in DEVIATIONS:
        row = [deviation]
        for name in tests:
            share = power(TESTS[name], deviation, n, seed, replicas)
            error = np.sqrt((share + 1 / replicas) * (1 - share + 1 / replicas) / replicas)
            row.append(f"{share:.2f} +- {error:.2f}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(power_table(seed=1))
