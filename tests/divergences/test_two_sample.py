"""Two-sample statistics against brute force, their p-values, and refusals."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from statmech_ml import divergences
from statmech_ml.divergences import (
    _quadratic,
    c2st,
    energy_distance,
    mmd,
    permutation,
    sliced_wasserstein,
    transport,
    wasserstein,
)
from statmech_ml.errors import InvalidInput

TESTS = {
    "mmd": mmd,
    "energy": energy_distance,
    "w1": wasserstein,
    "sliced": lambda x, y, **kw: sliced_wasserstein(x, y, n_directions=4, **kw),
}


def draws(n, m, size=None, seed=3):
    g = np.random.default_rng(seed)
    shape = (lambda k: (k, size)) if size else (lambda k: k)
    return g.normal(size=shape(n)), 0.3 + 1.2 * g.exponential(size=shape(m))


def naive(k, n):
    """The unbiased statistic of a kernel matrix whose first n rows are x."""
    off = k - np.diag(np.diag(k))
    m = len(k) - n
    within = off[:n, :n].sum() / (n * (n - 1)) + off[n:, n:].sum() / (m * (m - 1))
    return within - 2.0 * k[:n, n:].mean()


def test_quadratic_statistics_by_brute_force():
    x, y = draws(7, 9, 2)
    pooled = np.concatenate([x, y])
    d = np.linalg.norm(pooled[:, None] - pooled, axis=-1)
    found = mmd(x, y, rng=1, bandwidth=0.8, n_permutations=0)
    assert found.statistic == pytest.approx(naive(np.exp(-(d**2) / 1.28), 7), abs=1e-12)
    assert found.p_value is None
    found = energy_distance(x, y, rng=1, n_permutations=0)
    assert found.statistic == pytest.approx(naive(-d, 7), abs=1e-12)


def test_relabellings_by_brute_force(monkeypatch):
    """Small blocks of rows, and single precision, give the statistics of relabelled samples."""
    x, y = draws(8, 5, 2)
    pooled, dealt = np.concatenate([x, y]), permutation.labels(8, 5, 20, 4)
    d = np.linalg.norm(pooled[:, None] - pooled, axis=-1)
    orders = [np.concatenate([np.flatnonzero(row), np.flatnonzero(~row)]) for row in dealt]
    exact = [naive(-d[np.ix_(order, order)], 8) for order in orders]
    expected = permutation.p_value(exact[0], exact[1:], 1e-12)
    for block, single in ((2**22, 4096), (30, 4096), (30, 1)):
        monkeypatch.setattr(_quadratic, "_BLOCK", block)
        monkeypatch.setattr(_quadratic, "_SINGLE", single)
        found = energy_distance(x, y, rng=4, n_permutations=20)
        assert found.statistic == pytest.approx(exact[0], abs=1e-12)
        assert (found.p_value, found.p_step) == expected


@pytest.mark.parametrize(("n", "m"), [(20, 20), (20, 13), (4, 9)])
@pytest.mark.parametrize("p", [1.0, 2.0, 1.5])
def test_wasserstein_of_any_sizes(n, m, p):
    """By the levels of both samples repeated to a common size."""
    x, y = draws(n, m)
    common = math.lcm(n, m)
    xs, ys = (np.repeat(np.sort(a), common // len(a)) for a in (x, y))
    exact = np.mean(np.abs(xs - ys) ** p) ** (1 / p)
    assert wasserstein(x, y, p=p, rng=1, n_permutations=0).statistic == pytest.approx(exact)
    if p == 1.0:
        assert exact == pytest.approx(stats.wasserstein_distance(x, y))


def test_relabelled_wasserstein(monkeypatch):
    x, y = draws(6, 4)
    pooled, dealt = np.concatenate([x, y]), permutation.labels(6, 4, 30, 9)
    exact = [stats.wasserstein_distance(pooled[row], pooled[~row]) for row in dealt]
    expected = permutation.p_value(exact[0], exact[1:], 1e-12)
    for chunk in (2**21, 25):
        monkeypatch.setattr(transport, "_CHUNK", chunk)
        found = wasserstein(x, y, rng=9, n_permutations=30)
        assert (found.p_value, found.p_step) == expected


def test_potentials_of_a_shift():
    """f' = p |s|^(p-1) sign(x - y), x coupled with x + s: a line of slope -p s^(p-1)."""
    x = draws(2000, 4)[0]
    for p, s in ((1.0, 3.0), (2.0, 3.0), (3.0, 0.5)):
        f = transport._potential(x, x + s, p)
        slope, _ = np.polyfit(x, f, 1)
        assert slope == pytest.approx(-p * s ** (p - 1), rel=0.03)
        assert np.corrcoef(x, f)[0, 1] < -0.999


def test_sliced_shift():
    """Equal clouds a vector d apart: SW2^2 is the mean of (a.d)^2, |d|^2 / size over directions."""
    x = draws(50, 50, 3)[0]
    shift = np.array([1.0, 2.0, -2.0])
    found = sliced_wasserstein(x, x + shift, rng=1, n_directions=1000, n_permutations=0)
    assert found.statistic**2 == pytest.approx(3.0, rel=0.1)


# --- p-values -------------------------------------------------------------------------------------


def test_p_value_counts_itself_and_ties():
    assert permutation.p_value(9.0, [1.0, 2.0, 3.0]).p == 0.25
    assert permutation.p_value(1.0, [1.0, 1.0, 1.0]) == (1.0, 1.0)
    assert permutation.p_value(2.0, [1.0, 2.0, 3.0]) == (0.75, 0.5)
    assert permutation.p_value(2.0, [2.0 - 1e-13], tolerance=1e-12).p == 1.0
    with pytest.raises(InvalidInput, match="NaN"):
        permutation.p_value(np.nan, [1.0])


def test_c2st_p_value_counts_every_relabelling():
    """The hypergeometric tail is the share of all ways to deal the labels of held-out draws."""
    from statmech_ml.divergences.classifier import _verdict

    called = np.array([True, True, True, False, True, False, False])  # as x; the first 4 are x
    found = _verdict(called[:4], called[4:], 8, 6, "")

    def accuracy(of_x):
        mine = called[list(of_x)]
        theirs = called[[i for i in range(7) if i not in of_x]]
        return 0.5 * (mine.mean() + (~theirs).mean())

    every = [accuracy(of_x) for of_x in itertools.combinations(range(7), 4)]
    assert found.statistic == pytest.approx(accuracy(range(4)))
    assert found.p_value == pytest.approx(np.mean(np.array(every) >= found.statistic - 1e-12))


def _uniform(seed, scale, test=energy_distance, plus_one=True):
    """z of the mean of p - U step under the null; without the 1, p = #{T* >= T} / B."""
    g, n, B = np.random.default_rng(seed), 150 * scale, 7 if plus_one else 1
    values = np.empty(n)
    for i in range(n):
        x, y = g.exponential(size=12), g.exponential(size=8)
        found = test(x, y, rng=g, n_permutations=B)
        p = found.p_value if plus_one else ((B + 1) * found.p_value - 1) / B
        values[i] = p - g.random() * found.p_step
    return (values.mean() - 0.5) * (12 * n) ** 0.5


@pytest.mark.parametrize("name", ["energy", "w1"])
def test_p_is_uniform_under_the_null(name, seed, assert_unbiased, assert_rejected):
    assert_unbiased(lambda seed, scale: _uniform(seed, scale, TESTS[name]), seed)
    assert_rejected(lambda seed, scale: _uniform(seed, scale, plus_one=False), seed)


@pytest.mark.parametrize("name", TESTS)
def test_a_long_shift_has_the_smallest_p(name):
    x = draws(40, 30, None if name == "w1" else 2)[0]
    y = draws(30, 30, None if name == "w1" else 2, seed=8)[0] + 4.0
    found = TESTS[name](x, y, rng=5, n_permutations=39)
    assert found.p_value == found.p_step == 1 / 40
    assert (found.n, found.m, found.n_permutations) == (40, 30, 39)
    assert found.stderr > 0.0


@pytest.mark.parametrize("name", TESTS)
def test_same_rng_same_result(name):
    x, y = draws(20, 25, None if name == "w1" else 2)
    run = TESTS[name](x, y, rng=5, n_permutations=19)
    assert run == TESTS[name](x, y, rng=5, n_permutations=19)
    assert TESTS[name](x, y, rng=np.random.default_rng(5), n_permutations=19).n == 20


@pytest.mark.parametrize("name", TESTS)
def test_identical_samples(name):
    """No NaN, no small p; the unbiased distances are negative there."""
    x = draws(20, 20, None if name == "w1" else 2)[0]
    found = TESTS[name](x, x.copy(), rng=5, n_permutations=19)
    assert found.p_value >= 0.5
    assert found.statistic <= 1e-12
    assert math.isfinite(found.stderr)
    assert found.stderr > 0.0


@pytest.mark.parametrize("name", ["energy", "w1", "sliced"])
def test_data_that_never_change(name):
    shape = (10,) if name == "w1" else (10, 2)
    found = TESTS[name](np.ones(shape), np.ones(shape), rng=5, n_permutations=19)
    assert (found.statistic, found.p_value) == (0.0, 1.0)


def test_spins_and_lattices():
    g = np.random.default_rng(2)
    x, y = g.choice(np.array([-1, 1], np.int8), size=(2, 40, 3, 3))
    flat = mmd(x.reshape(40, 9), y.reshape(40, 9), rng=1, n_permutations=19)
    assert mmd(x, y, rng=1, n_permutations=19) == flat
    assert math.isfinite(c2st(x, y, rng=1, classifier="knn").p_value)


def test_bandwidth_is_the_median_of_pooled_pairs():
    x, y = draws(30, 20)
    pooled = np.concatenate([x, y])
    gaps = np.abs(pooled[:, None] - pooled)[np.triu_indices(50, 1)]
    length = divergences.median_distance(pooled, rng=1)
    assert length == pytest.approx(np.median(gaps))
    by_hand = mmd(x, y, rng=1, bandwidth=length, n_permutations=0)
    assert mmd(x, y, rng=1, n_permutations=0).statistic == pytest.approx(by_hand.statistic)
    assert divergences.median_distance([0.0] * 9 + [2.0], rng=1) == 2.0  # equal pairs: no say
    many = np.linspace(0.0, 1.0, 1200)
    assert divergences.median_distance(many, rng=1) == pytest.approx(1 - 0.5**0.5, abs=0.03)


def test_far_from_the_origin():
    """Distances survive an offset of 10^8 widths / 10^4."""
    x, y = draws(20, 20, 2)
    near = energy_distance(x, y, rng=1, n_permutations=0).statistic
    far = energy_distance(x + 1e4, y + 1e4, rng=1, n_permutations=0).statistic
    assert far == pytest.approx(near, rel=1e-8)


# --- the classifier -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["logistic", "quadratic", "knn", "mlp"])
def test_accuracy_of_a_long_shift_is_bounded_by_total_variation(kind):
    g = np.random.default_rng(4)
    x, y = g.normal(size=(600, 2)), g.normal([2.0, 0.0], size=(400, 2))
    found = c2st(x, y, rng=7, classifier=kind)
    best = 0.5 * (1.0 + divergences.gaussian.total_variation([0, 0], [2, 0], np.eye(2)))
    assert 0.75 < found.statistic < best + 5 * found.stderr
    assert found.p_value < 1e-6
    assert found == c2st(x, y, rng=7, classifier=kind)


def test_only_quadratic_sees_correlations():
    g = np.random.default_rng(4)
    x = g.choice(np.array([-1, 1], np.int8), size=(800, 4))
    y = x[::-1].copy()
    y[:, 1] = np.where(g.random(800) < 0.8, y[:, 0], -y[:, 0])
    assert c2st(x, y, rng=7, classifier="quadratic").p_value < 1e-3
    assert c2st(x, y, rng=7, classifier="logistic").p_value > 1e-3


def test_a_classifier_of_ones_own():
    from sklearn.tree import DecisionTreeClassifier

    mine, (x, y) = DecisionTreeClassifier(max_depth=2), draws(60, 60)
    assert c2st(x, y, rng=1, classifier=mine) == c2st(x, y, rng=1, classifier=mine)
    assert not hasattr(mine, "tree_")  # it was cloned, not trained


def test_a_pipeline_has_the_random_numbers_of_rng():
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    class Global(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.cut_ = np.random.normal()  # noqa: NPY002 - as a caller's class may
            return self

        def predict(self, x):
            return (x[:, 0] > self.cut_).astype(int)

    (x, y), before = draws(60, 60), np.random.get_state()[1].copy()  # noqa: NPY002
    pipe = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=3))
    for classifier in (pipe, Global()):
        found = [c2st(x, y, rng=1, classifier=classifier) for _ in range(2)]
        assert found[0] == found[1]
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_error_of_an_accuracy_is_binomial():
    """A rule that learns nothing: accuracies of held-out draws scatter as their errors say."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Rule(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            return self

        def predict(self, x):
            return (x[:, 0] > 0.0).astype(int)

    found = c2st(np.full(80, -1.0), np.resize([-1.0, 1.0], 160), rng=1, classifier=Rule())
    wrong = 160 - round(160 * (2.0 * found.statistic - 1.0))
    assert 0 < wrong < 160  # half of the held-out y are called x, about
    share = np.array([40.5 / 41.0, (80 * (2.0 * found.statistic - 1.0) + 0.5) / 81.0])
    error = 0.5 * math.sqrt((share * (1.0 - share) / [40, 80]).sum())
    assert found.stderr == pytest.approx(error)


@pytest.mark.parametrize("kind", ["logistic", "quadratic", "knn", "mlp"])
@pytest.mark.parametrize(("n", "m", "held_out"), [(8, 8, 0.5), (8, 60, 0.9), (40, 9, 0.1)])
def test_few_draws(kind, n, m, held_out):
    x, y = draws(n, m, 2)
    found = c2st(x, y, rng=1, classifier=kind, held_out=held_out)
    assert 0.0 < found.p_value <= 1.0
    assert 0.0 <= found.statistic <= 1.0


def test_all_calls_right_is_still_no_certainty():
    found = c2st(np.arange(20.0), np.arange(20.0) + 100, rng=1, classifier="logistic")
    assert found.statistic == 1.0
    assert found.stderr > 0.01


# --- refusals -------------------------------------------------------------------------------------

X = np.zeros((10, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mmd(X, X[:, :1], rng=1), "one space"),
        (lambda: mmd(X, X, rng=1), "bandwidth"),
        (lambda: mmd(X, X + np.nan, rng=1), "10 of 10 draws in y"),
        (lambda: mmd(X + np.inf, X, rng=1), "infinite"),
        (lambda: mmd(X[:3], X, rng=1), "at least 4"),
        (lambda: mmd(X + 1j, X, rng=1), "complex"),
        (lambda: mmd(X, X + 1, rng=1, bandwidth=0.0), "bandwidth"),
        (lambda: mmd(X, X + 1, rng=1, n_permutations=-1), "n_permutations"),
        (lambda: mmd(X, X + 1, rng=1, n_permutations=9.5), "whole number"),
        (lambda: mmd(X, X + 1, rng=None), "rng"),
        (lambda: energy_distance(X, X[:1], rng=1), "at least 4"),
        (lambda: wasserstein(X, X, rng=1), "coordinates"),
        (lambda: wasserstein([1.0], [2.0, 3.0], rng=1), "at least 2"),
        (lambda: wasserstein([1.0, 2.0], [2.0, 3.0], p=0.5, rng=1), "order"),
        (lambda: sliced_wasserstein(X[:, 0], X[:, 0], rng=1), "one coordinate"),
        (lambda: sliced_wasserstein(X, X, rng=1, n_directions=1), "n_directions"),
        (lambda: c2st(X[:5], X, rng=1), "at least 8"),
        (lambda: c2st(X, X, rng=1, classifier="forest"), "mlp"),
        (lambda: c2st(X, X, rng=1, classifier=3), "no fit"),
        (lambda: c2st(X, X, rng=1, held_out=0.95), "held_out"),
        (lambda: c2st(X, X, rng=1, held_out="half"), "held_out"),
        (lambda: mmd(np.ma.masked_array(X, X == 0), X, rng=1), "masked"),
        (lambda: sliced_wasserstein(X, X + 1e200, rng=1), "Rescale"),
        (lambda: c2st(np.zeros((9, 200)), np.ones((9, 200)), rng=1, classifier="quadratic"), "mlp"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


# --- cost -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "quadratic", "knn"])
def test_five_thousand_lattices_in_seconds(kind):
    g = np.random.default_rng(2)
    x, y = g.choice(np.array([-1, 1], np.int8), size=(2, 5000, 64))
    assert 0.4 < c2st(x, y, rng=1, classifier=kind).statistic < 0.6


@pytest.mark.slow
def test_memory_is_linear():
    """10^4 + 10^4 draws: kernel and distances of all pairs would take 3 GB each."""
    import tracemalloc

    g = np.random.default_rng(2)
    x, y = g.normal(size=(2, 10_000, 4))
    tracemalloc.start()
    mmd(x, y, rng=1, n_permutations=99)
    assert tracemalloc.get_traced_memory()[1] < 4e8
    tracemalloc.stop()
