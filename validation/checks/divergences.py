"""Divergences: closed forms, quadrature and samples agree; errors and p-values are honest."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import sqrtm
from scipy.special import ndtr, ndtri

from statmech_ml import divergences
from statmech_ml.divergences import discrete, gaussian, plane, quadrature
from statmech_ml.exact import quadrature as integrals
from validation import two_samples
from validation.check import (
    Check,
    Measurement,
    Mutant,
    by_p_value,
    calibration,
    derive_seed,
    identity,
)
from validation.two_samples import DEVIATIONS, TESTS, P, Test, exponential, ising, normal, of

Array = np.ndarray

# --- closed forms and quadrature ------------------------------------------------------------------

_COURSE = {1: 0.1114214822, 2: 0.3368308203, 3: 0.5267773065}  # JS of N(0, 1) and N(mu, 1)
_A = np.array([[1.5, 0.5], [0.5, 0.8]])
_B = np.array([[0.7, -0.3], [-0.3, 1.1]])  # does not commute with A
_BOX = ((-11.0, 12.0), (-9.0, 9.0))


def _log_normal(mean: Sequence[float], covariance: Array) -> Callable[[Array], Array]:
    precision = np.linalg.inv(covariance)
    return lambda x: -0.5 * np.einsum("ni,ij,nj->n", x - mean, precision, x - mean)


def _bell(mean: float) -> Callable[[Array], Array]:
    return lambda x: -((x - mean) ** 2) / 2


def _score(mean: Sequence[float], covariance: Array) -> Callable[[Array], Array]:
    return lambda x: -np.linalg.solve(covariance, (x - mean).T).T


def _same(name: str, value: float, exact: float, rtol: float) -> Measurement:
    return identity(name, value, exact, rtol * abs(exact))


def _by_cholesky(A: Array, B: Array) -> float:
    """Not the Bures distance: distance of two roots, right only where they commute."""
    return float(np.linalg.norm(np.linalg.cholesky(A) - np.linalg.cholesky(B)))


def _closed_forms(
    seed: int,
    scale: int,
    *,
    half: float = 0.5,
    bures: Callable[[Array, Array], float] = gaussian.bures,
    scores: float = 1.0,
) -> list[Measurement]:
    found = []
    for mu, told in _COURSE.items():
        value, _ = quadrature.js(_bell(0.0), _bell(mu))
        found.append(identity(f"JS, shift {mu}", 2.0 * half * value, told, 5.1e-11))
    p, q = (lambda x: -((x + 0.4) ** 2) / 1.28), (lambda x: -((x - 0.9) ** 2) / 4.5)
    line: Any = (-0.4, [[0.64]], 0.9, [[2.25]])
    found += [
        _same("KL on the line", quadrature.kl(p, q).value, 2.0 * half * gaussian.kl(*line), 1e-9),
        _same(
            "Fisher on the line",
            quadrature.fisher(p, lambda x: -(x + 0.4) / 0.64, lambda x: (0.9 - x) / 2.25).value,
            scores * gaussian.fisher(*line),
            1e-9,
        ),
    ]
    for order, closed in ((1.0, gaussian.w1(-0.4, 0.8, 0.9, 1.5)), (2.0, gaussian.w2(*line))):
        value, _ = quadrature.wasserstein(
            lambda t: 0.8 * ndtri(t) - 0.4, lambda t: 1.5 * ndtri(t) + 0.9, p=order
        )
        found.append(_same(f"W{order:g} on the line", value, closed, 1e-7))
    a, b = [0.3, -0.2], [-0.5, 0.4]
    densities, law = (_log_normal(a, _A), _log_normal(b, _B)), (a, _A, b, _B)
    shifted = _log_normal(np.add(a, np.linalg.cholesky(_A)[:, 1]).tolist(), _A)
    found += [
        _same(
            "KL on the plane", plane.kl(*densities, _BOX).value, 2 * half * gaussian.kl(*law), 1e-7
        ),
        _same(
            "Fisher on the plane",
            plane.fisher(densities[0], _score(a, _A), _score(b, _B), _BOX).value,
            scores * gaussian.fisher(*law),
            1e-7,
        ),
        identity(
            "JS, one sd on the plane", plane.js(densities[0], shifted, _BOX).value, _COURSE[1], 1e-8
        ),
    ]
    # Of 2 x 2 matrices tr (A^1/2 B A^1/2)^1/2 = sqrt(tr AB + 2 sqrt(det AB)).
    fidelity = math.sqrt(np.trace(_A @ _B) + 2.0 * math.sqrt(np.linalg.det(_A @ _B)))
    C = np.diag([1.0, 0.2, 3.0]) + 0.4
    root = np.real(sqrtm(C))
    third = np.trace(C + np.eye(3) * 2.0 - 2.0 * root * math.sqrt(2.0))
    found += [
        _same("Bures, 2 x 2", bures(_A, _B) ** 2, np.trace(_A + _B) - 2.0 * fidelity, 1e-10),
        _same("Bures, commuting", bures(C, 2.0 * np.eye(3)) ** 2, float(third), 1e-10),
        identity("Bures of equal covariances", bures(C, C), 0.0, 1e-12),
    ]
    return found + _characteristic()


def _characteristic() -> list[Measurement]:
    """MMD^2 = int |phi_p - phi_q|^2 dkappa, D^2 = 2 int (F - G)^2, TV = E_p (1 - q / p)_+."""

    def gap(w: Array) -> Array:
        p = np.exp(-0.4j * w - 0.32 * w**2)
        return np.abs(p - np.exp(0.9j * w - 1.125 * w**2)) ** 2

    def below(x: Array) -> Array:
        return (ndtr((x + 0.4) / 0.8) - ndtr((x - 0.9) / 1.5)) ** 2

    spectral = integrals.mean(lambda w: 0.5 * (0.7 * w) ** 2, gap).value
    area = math.exp(integrals.log_z(lambda x: -np.log(np.maximum(below(x), 1e-300)), -12, 14).value)
    shared = integrals.mean(
        lambda x: 0.5 * x**2, lambda x: np.maximum(0.0, -np.expm1(1.3 * x - 0.845)), points=[0.65]
    ).value
    p = np.array([0.5, 0.3, 0.2])
    return [
        _same(
            "MMD^2 on the line",
            gaussian.mmd_squared(-0.4, [[0.64]], 0.9, [[2.25]], 0.7),
            spectral,
            1e-9,
        ),
        _same("energy distance", gaussian.energy_distance(-0.4, 0.8, 0.9, 1.5), 2.0 * area, 1e-8),
        _same("TV", gaussian.total_variation(0.0, 1.3, [[1.0]]), shared, 1e-8),
        _same(
            "JS of two vectors from their KLs",
            discrete.js(p, p[::-1]),
            0.5 * (discrete.kl(p, (p + p[::-1]) / 2) + discrete.kl(p[::-1], (p + p[::-1]) / 2)),
            1e-13,
        ),
        _same("KL of two vectors", discrete.kl(p, p[::-1]), 0.3 * math.log(2.5), 1e-13),
    ]


# --- estimates from samples -----------------------------------------------------------------------

Reading = tuple[float, float, float]
"""An estimate, its standard error, and the exact value."""

_L = 0.9
_PAIR: Any = (0.0, 1.0, 0.8, 1.4)  # mean and sd of p and of q
_LAWS: Any = (0.0, [[1.0]], 0.8, [[1.96]])


def _log(x: Array, mean: float, sd: float) -> Array:
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2.0 * math.pi)


def _draws(g: np.random.Generator, paired: bool, n: int = 150, m: int = 200) -> tuple[Array, Array]:
    """Draws of both; `paired` makes those of q out of those of p."""
    x = g.normal(size=max(n, m))
    y = 0.8 + 1.4 * (x if paired else g.normal(size=m))
    return x[:n], y[:m]


def _of_two(found: divergences.TwoSample, exact: float) -> Reading:
    return found.statistic, found.stderr, exact


def _mmd(g: np.random.Generator, paired: bool = False) -> Reading:
    x, y = _draws(g, paired)
    exact = gaussian.mmd_squared(0.0, [[1.0]], 0.8, [[1.96]], _L)
    return _of_two(divergences.mmd(x, y, rng=1, bandwidth=_L, n_permutations=0), exact)


def _energy(g: np.random.Generator, paired: bool = False) -> Reading:
    x, y = _draws(g, paired)
    exact = gaussian.energy_distance(*_PAIR)
    return _of_two(divergences.energy_distance(x, y, rng=1, n_permutations=0), exact)


def _w1(g: np.random.Generator, paired: bool = False) -> Reading:
    """A shift so long that the samples do not overlap: W1 has no bias there."""
    x, y = _draws(g, paired)
    found = divergences.wasserstein(x, y + 12.0, rng=1, n_permutations=0)
    return _of_two(found, gaussian.w1(0.0, 1.0, 12.8, 1.4))


def _w2(g: np.random.Generator, paired: bool = False) -> Reading:
    """A long shift, beside which the bias of W2 (that of the widths) is small."""
    x, y = _draws(g, paired)
    found = divergences.wasserstein(x, y + 40.0, p=2, rng=1, n_permutations=0)
    return _of_two(found, gaussian.w2(0.0, [[1.0]], 40.8, [[1.96]]))


def _overlapping(g: np.random.Generator, paired: bool = False, p: float = 1.0) -> Reading:
    """Where the samples overlap the value has a bias, and the error bar is judged alone."""
    x, y = _draws(g, paired, 600, 800)
    found = divergences.wasserstein(x, y, p=p, rng=1, n_permutations=0)
    return _of_two(found, math.nan)


def _sliced(g: np.random.Generator, paired: bool = False) -> Reading:
    """Error bars hold the scatter over directions too, which a seed of its own draws each time."""
    x = g.normal(size=(200, 2))
    y = 1.4 * (x if paired else g.normal(size=(200, 2))) + [1.5, 0.5]
    rng = int(g.integers(2**31))
    found = divergences.sliced_wasserstein(x, y, rng=rng, n_directions=16, n_permutations=0)
    return _of_two(found, math.nan)


class _Rule:
    """A classifier that learns nothing: x is what lies below the middle of both samples."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def set_params(self) -> "_Rule":
        return self

    def fit(self, x: Array, y: Array) -> "_Rule":
        return self

    def predict(self, x: Array) -> Array:
        return (x[:, 0] > 0.0).astype(int)


def _c2st(g: np.random.Generator, paired: bool = False) -> Reading:
    x = g.normal(size=400)
    y = 1.0 - x if paired else 1.0 + g.normal(size=400)
    found = divergences.c2st(x, y, rng=int(g.integers(2**31)), classifier=_Rule())
    return _of_two(found, float(ndtr(0.5)))


def _kl(g: np.random.Generator, paired: bool = False) -> Reading:
    x = g.normal(size=200)
    found = divergences.kl_from_log_prob(_log(x, 0.0, 1.0), _log(x, 0.8, 1.4))
    return found.value, found.stderr, gaussian.kl(*_LAWS)


def _js(g: np.random.Generator, paired: bool = False) -> Reading:
    x = g.normal(size=200)
    y = 2.0 + (x if paired else g.normal(size=200))
    found = divergences.js_from_log_prob(
        _log(x, 0.0, 1.0), _log(x, 2.0, 1.0), _log(y, 2.0, 1.0), _log(y, 0.0, 1.0)
    )
    return found.value, found.stderr, _COURSE[2]


def _scores(g: np.random.Generator, paired: bool = False) -> Reading:
    x = g.normal(size=400)
    found = divergences.fisher_from_scores(-x, (0.8 - x) / 1.96)
    return found.value, found.stderr, gaussian.fisher(*_LAWS)


def _counts(g: np.random.Generator, paired: bool = False) -> Reading:
    p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.25, 0.25, 0.15, 0.35])
    found = divergences.js_from_counts(g.multinomial(1000, p), q)
    return found.value, found.stderr, discrete.js(p, q)


_READINGS: dict[str, Callable[..., Reading]] = {
    "MMD^2": _mmd,
    "energy distance": _energy,
    "W1": _w1,
    "W2": _w2,
    "W1, overlapping": _overlapping,
    "W2, overlapping": partial(_overlapping, p=2.0),
    "sliced W2": _sliced,
    "C2ST accuracy": _c2st,
    "KL from log-densities": _kl,
    "JS from log-densities": _js,
    "Fisher from scores": _scores,
    "JS from counts": _counts,
}


def _errors(
    seed: int, scale: int, *, replicas: int = 50, paired: bool = False, factor: float = 1.0
) -> list[Measurement]:
    """Deviations in units of the root mean square error bar.

    In units of their own error bars they are skewed at these n: value and error grow together.
    """
    found = []
    for name, read in _READINGS.items():
        g = np.random.default_rng(derive_seed(seed, name))
        values = np.array([read(g, paired) for _ in range(replicas * scale)])
        exact = values[:, 2]
        if np.isnan(exact).all():  # none is known that has the bias: the mean, and n - 1 are free
            n = len(values)
            exact = values[:, 0].mean()
            values[:, 0] = exact + (values[:, 0] - exact) * math.sqrt(n / (n - 1))
        z = (values[:, 0] - exact) / (factor * np.sqrt((values[:, 1] ** 2).mean()))
        found += calibration(name, z)
    return found


def _with_diagonal(x: Array, y: Array) -> float:
    """MMD^2 with the pairs (x, x): biased by (1 - <k>)(1/n + 1/m)."""

    def k(a: Array, b: Array) -> float:
        return float(np.exp(-((a[:, None] - b) ** 2) / (2.0 * _L**2)).mean())

    return k(x, x) + k(y, y) - 2.0 * k(x, y)


def _unbiased(x: Array, y: Array) -> float:
    return divergences.mmd(x, y, rng=1, bandwidth=_L, n_permutations=0).statistic


def _mean_mmd(
    seed: int, scale: int, *, statistic: Callable[[Array, Array], float] = _unbiased
) -> list[Measurement]:
    """MMD^2 of 20 + 30 draws: 0 for equal laws, the closed form for a shift and for a width."""
    g, found, replicas = np.random.default_rng(seed), [], 150 * scale
    for shift, sd in ((0.0, 1.0), (0.8, 1.0), (0.0, 2.0)):
        exact = gaussian.mmd_squared(0.0, [[1.0]], shift, [[sd**2]], _L)
        values = [
            statistic(g.normal(size=20), shift + sd * g.normal(size=30)) for _ in range(replicas)
        ]
        mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / replicas**0.5
        name = f"MMD^2, shift {shift:g}, width {sd:g}"
        found.append(Measurement(name, mean, exact, error, replicas, (mean - exact) / error))
    return found


# --- p-values -------------------------------------------------------------------------------------

_FEW = {"n_permutations": 99}
_NULLS: dict[str, tuple[Test, Any, int, int]] = {
    "MMD, plane": (of(divergences.mmd, **_FEW), normal, 25, 35),
    "MMD, spins": (of(divergences.mmd, **_FEW), ising, 30, 30),
    "energy distance": (of(divergences.energy_distance, **_FEW), exponential, 30, 20),
    "energy distance, 4 permutations": (
        of(divergences.energy_distance, n_permutations=4), normal, 20, 20
    ),
    "W1": (of(divergences.wasserstein, **_FEW), exponential, 40, 25),
    "W2": (of(divergences.wasserstein, p=2, **_FEW), exponential, 30, 30),
    "sliced W2": (of(divergences.sliced_wasserstein, n_directions=8, **_FEW), normal, 30, 20),
    "C2ST logistic": (of(divergences.c2st, classifier="logistic"), normal, 60, 40),
    "C2ST quadratic": (of(divergences.c2st, classifier="quadratic"), ising, 60, 60),
    "C2ST knn": (of(divergences.c2st, classifier="knn"), normal, 60, 60),
    "C2ST mlp": (of(divergences.c2st), normal, 60, 60),
}  # fmt: skip


def _null(
    seed: int, scale: int, *, replicas: int = 500, names: Sequence[str] = tuple(_NULLS),
    wrong: tuple[Test, Any, int, int] | None = None,
) -> list[Measurement]:  # fmt: skip
    """KS of p - U step against the uniform law; a mutant stands in for all tests."""
    cases = {name: _NULLS[name] for name in names} if wrong is None else {"mutant": wrong}
    found = []
    for name, (test, law, n, m) in cases.items():
        count, label = replicas * scale, derive_seed(seed, name)
        p, uniform = two_samples.p_values(test, law, law, n, m, label, count)
        ks = stats.kstest(uniform, "uniform")
        spread = (12.0 * count) ** -0.5
        found.append(
            by_p_value(f"mean p of {name}", float(ks.pvalue), count, p.mean(), 0.5, spread)
        )
    return found


_QUICK = ("MMD, spins", "energy distance, 4 permutations", "W1", "C2ST logistic")
_NULL_MUTANTS: dict[str, tuple[Test, Any, int, int]] = {
    "p without the 1": (two_samples.without_one, normal, 20, 20),
    "accuracy on training data": (two_samples.on_training_data, normal, 30, 30),
    "per-matrix bandwidth": (two_samples.each_its_bandwidth, exponential, 30, 30),
    "every draw twice": (partial(two_samples.twice, _NULLS["W1"][0]), exponential, 30, 30),
}

# --- power ----------------------------------------------------------------------------------------

# Each test beside a deviation that it is said to detect: 200 + 200 draws, 1 time in 2 at least.
_FLOOR, _DRAWS = 0.5, 200
_DETECTS = {
    "MMD": "mean shifted by 0.5 sd",
    "energy distance": "mean shifted by 0.5 sd",
    "sliced W2": "mean shifted by 0.5 sd",
    "C2ST logistic": "mean shifted by 0.5 sd",
    "C2ST quadratic": "4 x 4 Ising, T = 2.5 and 3.0",
    "C2ST knn": "4 x 4 Ising, T = 2.5 and 3.0",
    "C2ST mlp": "mean shifted by 0.5 sd",
}


def _at_least_half(name: str, share: float, replicas: int) -> Measurement:
    error = math.sqrt(_FLOOR * (1.0 - _FLOOR) / replicas)
    return Measurement(name, share, _FLOOR, error, replicas, min(0.0, (share - _FLOOR) / error))


def _power(
    seed: int, scale: int, *, replicas: int = 40, detects: dict[str, str] = _DETECTS,
    flipped: bool = False,
) -> list[Measurement]:  # fmt: skip
    """Power at level 0.05, and no more than that of the best test of a known shift."""
    found, count = [], replicas * scale
    for name, deviation in detects.items():
        test = TESTS[name]
        if flipped:

            def test(x: Array, y: Array, rng: int, right: Test = TESTS[name]) -> P:
                p, step = right(x, y, rng)
                return P(1.0 - p + step, step)

        label = derive_seed(seed, name)
        share = two_samples.power(test, deviation, _DRAWS, label, count)
        found.append(_at_least_half(f"{name}, {deviation}", share, count))
    return found


def _best(
    seed: int,
    scale: int,
    *,
    replicas: int = 150,
    shift: float = 0.2,
    level: float = two_samples.ALPHA,
) -> list[Measurement]:
    """A shift of 0.2: no test rejects more often than Neyman and Pearson's, the one-sided z test of
    the projected mean, which knows where to look."""
    found, count, n = [], replicas * scale, 100
    best = float(stats.norm.cdf(0.2 * math.sqrt(n / 2.0) - stats.norm.isf(two_samples.ALPHA)))
    for name in ("MMD", "energy distance", "C2ST logistic"):
        law = partial(normal, shift=shift)
        p, _ = two_samples.p_values(TESTS[name], normal, law, n, n, derive_seed(seed, name), count)
        share, error = float(np.mean(p <= level + 1e-12)), math.sqrt(best * (1.0 - best) / count)
        z = max(0.0, (share - best) / error)
        found.append(Measurement(f"{name}, shift 0.2", share, best, error, count, z))
    return found


_WIDTHS = {"C2ST logistic": "width times 1.3"}

CHECKS = (
    Check(
        "divergences.closed-forms",
        "KL, JS, Fisher, W1, W2, Bures, MMD, energy distance and TV: closed forms = quadrature; JS "
        "of N(0, 1), N(mu, 1) = 0.1114214822, 0.3368308203, 0.5267773065.",
        _closed_forms,
        (
            Mutant("lost 1/2", partial(_closed_forms, half=1.0)),
            Mutant("Bures as if matrices commuted", partial(_closed_forms, bures=_by_cholesky)),
            Mutant("Fisher with a 1/2", partial(_closed_forms, scores=0.5)),
        ),
    ),
    Check(
        "divergences.unbiased-mmd",
        "MMD^2 of 20 + 30 draws has the mean of its closed form, 0 for equal laws.",
        _mean_mmd,
        (
            Mutant("pairs of a draw with itself", partial(_mean_mmd, statistic=_with_diagonal)),
            Mutant("per-matrix bandwidth", partial(_mean_mmd, statistic=two_samples.per_matrix)),
        ),
    ),
    Check(
        "divergences.standard-errors",
        "MMD, energy distance, W1, W2, C2ST, KL, JS and Fisher from samples: no bias (but for W "
        "where samples overlap), and the scatter that their standard errors say (50 replicas).",
        _errors,
        (Mutant("paired draws as independent", partial(_errors, paired=True)),),
    ),
    Check(
        "divergences.standard-errors-full",
        "The same of 400 replicas, where the error of an error bar is 4%.",
        partial(_errors, replicas=400),
        (Mutant("error bars 30% too large", partial(_errors, replicas=400, factor=1.3)),),
        tier="full",
    ),
    Check(
        "divergences.null-p-values-quick",
        "Samples of one law: p, randomised within its step, is uniform (KS, 120 replicas of MMD, "
        "energy distance, W1 and C2ST).",
        partial(_null, replicas=120, names=_QUICK),
        tuple(
            Mutant(mistake, partial(_null, replicas=120, wrong=_NULL_MUTANTS[mistake]))
            for mistake in ("p without the 1", "every draw twice")
        ),
    ),
    Check(
        "divergences.null-p-values",
        "Samples of one law: p of every test, randomised within its step, is uniform (KS, 500 "
        "replicas of each).",
        _null,
        tuple(
            Mutant(mistake, partial(_null, wrong=wrong)) for mistake, wrong in _NULL_MUTANTS.items()
        ),
        tier="full",
    ),
    Check(
        "divergences.power",
        "Every two-sample test detects the deviation that it is said to detect, 200 + 200 draws, "
        "half of the time at least.",
        _power,
        (
            Mutant("the other tail", partial(_power, flipped=True)),
            Mutant("a linear classifier for a width", partial(_power, detects=_WIDTHS)),
        ),
        tier="full",
    ),
    Check(
        "divergences.power-bound",
        "At a shift of 0.2 no test is more powerful than Neyman and Pearson's.",
        _best,
        (Mutant("a level of 0.5", partial(_best, level=0.5)),),
        tier="full",
    ),
)
assert set(_DETECTS) == set(TESTS)
assert set(_DETECTS.values()) <= set(DEVIATIONS)
