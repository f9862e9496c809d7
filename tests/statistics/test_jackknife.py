"""Jackknife: its algebra, its blocks, and honest errors on AR(1), where every answer is exact."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.statistics import Estimate, jackknife, mean
from statmech_ml.statistics.jackknife import _delete_blocks


def variance(m, m2):
    return m2 - m**2


def binder(m2, m4):
    return 1.0 - m4 / (3.0 * m2**2)


def test_delete_one_makes_the_sample_variance_unbiased(seed):
    """Algebra: the jackknife of <x^2> - <x>^2 over single draws is the n - 1 variance."""
    x = np.random.default_rng(seed).normal(size=(2, 50))
    value = jackknife(variance, x, x**2, n_blocks=100, on_short="accept").value
    assert value == pytest.approx(float(np.var(x, ddof=1)), rel=1e-12)


def test_blocks_against_loops(seed):
    """37 draws in 4 blocks: unequal lengths, three chains, no block across a boundary."""
    rng = np.random.default_rng(seed)
    x = rng.normal(loc=2.0, size=(3, 37)) + np.array([[0.0], [1.0], [5.0]])
    y = x**2
    theta = float(variance(x.mean(), y.mean()))
    value, stderr = _delete_blocks(variance, [x, y], [x.sum(), y.sum()], theta, 4)

    n, kept, m = x.size, [], []
    for chain in range(3):
        for start, stop in ((0, 9), (9, 18), (18, 27), (27, 37)):
            mask = np.ones(x.shape, dtype=bool)
            mask[chain, start:stop] = False
            kept.append(variance(x[mask].mean(), y[mask].mean()))
            m.append(stop - start)
    kept, h = np.array(kept), n / np.array(m)
    expected = 12 * theta - np.sum((1 - 1 / h) * kept)
    pseudo = h * theta - (h - 1) * kept
    assert value == pytest.approx(expected, rel=1e-12)
    assert stderr == pytest.approx(
        math.sqrt(np.mean((pseudo - expected) ** 2 / (h - 1))), rel=1e-10
    )


QUANTITIES = {
    # name: (f, series of x, exact)
    "mean": (lambda m: m, lambda x: (x,), 0.0),
    "specific heat": (variance, lambda x: (x, x**2), 1.0),
    # <sin^2> = (1 - e^-2) / 2, <sin^4> = 3/8 - e^-2 / 2 + e^-8 / 8 for a unit Gaussian.
    "binder": (
        binder,
        lambda x: (np.sin(x) ** 2, np.sin(x) ** 4),
        1.0
        - (0.375 - math.exp(-2.0) / 2.0 + math.exp(-8.0) / 8.0)
        / (3.0 * ((1.0 - math.exp(-2.0)) / 2.0) ** 2),
    ),
    # log <exp(x / 2)> = 1 / 8
    "free energy": (np.log, lambda x: (np.exp(x / 2.0),), 0.125),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_error_is_honest_and_wrong_ones_are_rejected(
    seed, ar1, calibration, mutants, assert_unbiased, assert_rejected, name
):
    f, series, exact = QUANTITIES[name]

    def measure(rng):
        estimate = jackknife(f, *series(ar1(rng, 0.8, (4, 2048))))
        return estimate.z(exact), estimate.tau_int

    check = calibration(measure)
    assert_unbiased(check(), seed)
    for mutant in mutants.values():
        assert_rejected(check(mutant), seed)


def test_bias_is_removed(seed, ar1, assert_unbiased, assert_rejected):
    """200 draws: <x^2> - <x>^2 is low by 2 tau / n = 4.5%, and the jackknife gets that back."""

    def z_of(answer):
        def run(seed, scale):
            rng = np.random.default_rng(seed)
            values = [answer(ar1(rng, 0.8, (1, 200))) for _ in range(1500 * scale)]
            return (np.mean(values) - 1.0) * math.sqrt(len(values)) / np.std(values)

        return run

    def corrected(x):
        return jackknife(variance, x, x**2, n_blocks=5, on_short="accept").value

    assert_unbiased(z_of(corrected), seed)
    assert_rejected(z_of(np.var), seed)


def test_mean_and_jackknife_of_the_mean_agree(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.8, (4, 20_000))
    a, b = mean(x), jackknife(lambda m: m, x)
    assert b.value == pytest.approx(a.value, rel=1e-9)
    assert b.stderr == pytest.approx(a.stderr, rel=0.25)
    assert b.stderr == pytest.approx(math.sqrt(2 * b.tau_int * np.var(x) / x.size), rel=1e-3)
    assert b.ess == pytest.approx(b.n / (2 * b.tau_int))


def test_tau_is_that_of_the_quantity(seed, ar1):
    """The variance of AR(1) decorrelates as rho^2: tau 2.28 where the mean has 4.5."""
    x = ar1(np.random.default_rng(seed), 0.8, (4, 50_000))
    exact = 0.5 * (1 + 0.64) / (1 - 0.64)
    assert jackknife(variance, x, x**2).tau_int == pytest.approx(exact, rel=0.25)


def test_many_short_chains(seed, ar1, calibration, mutants, assert_unbiased, assert_rejected):
    """Chains of one tau each, but sixty-four: whole chains are the blocks."""

    def measure(rng):
        estimate = jackknife(lambda m: np.log(2.0 + m), ar1(rng, 0.9, (64, 10)))
        return estimate.z(math.log(2.0)), estimate.tau_int

    check = calibration(measure)
    assert_unbiased(check(), seed)
    for mutant in mutants.values():
        assert_rejected(check(mutant), seed)


def test_chosen_number_of_blocks(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 2500))
    estimate = jackknife(variance, x, x**2, n_blocks=40)
    assert estimate.stderr == pytest.approx(jackknife(variance, x, x**2).stderr, rel=0.6)
    with pytest.raises(ShortChain, match=r"cut into 4000 blocks.*leave n_blocks") as caught:
        jackknife(variance, x, x**2, n_blocks=4000)
    assert isinstance(caught.value.partial, Estimate)
    for wrong in (1, 2, 41, 20_000):
        with pytest.raises(InvalidInput, match=f"n_blocks={wrong} cannot be cut"):
            jackknife(variance, x, x**2, n_blocks=wrong)


def test_short_chain(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.99, (1, 300))  # 3 tau
    with pytest.raises(ShortChain) as caught:
        jackknife(lambda m: m, x)
    partial = caught.value.partial
    assert partial == jackknife(lambda m: m, x, on_short="accept")
    assert partial.stderr > 2.0 * np.std(x) / math.sqrt(x.size)
    # 127 tau: long enough to know tau, not for twenty blocks of the length that it asks for.
    x = ar1(np.random.default_rng(0), 0.9, (1, 1200))
    assert 3.0 < mean(x).tau_int < 20.0
    with pytest.raises(ShortChain, match="too short for a jackknife"):
        jackknife(lambda m: m, x)


def test_chains_that_disagree(seed, ar1):
    x = ar1(np.random.default_rng(seed), 0.5, (4, 2000))
    x[0] *= 1.5
    with pytest.raises(ShortChain, match="disagree") as caught:
        jackknife(variance, x, x**2)
    assert caught.value.partial.stderr > np.std(x.var(axis=1), ddof=1) / 2.0 * 0.9


@pytest.mark.parametrize(
    ("f", "series", "message"),
    [
        (lambda: 0.0, (), "no series"),
        (lambda a, b: a + b, (np.arange(10.0), np.arange(9.0)), "shapes"),
        (lambda a: a, (np.ones(100),), "no fluctuation"),
        (lambda a: 0.0 * a, (np.arange(100.0),), "does not respond"),
        (lambda a: 1.0, (np.arange(100.0),), "element by element"),
        (lambda a: np.sum(a), (np.arange(100.0),), "element by element"),
        (lambda a: 1.0 / (a - a), (np.arange(100.0),), "must be finite"),
        (lambda a: a, ([1.0],), "two draws"),
        (lambda a: a, ([1.0, np.nan],), "NaN"),
    ],
)
def test_bad_input(f, series, message):
    with pytest.raises(InvalidInput, match=message):
        jackknife(f, *series)
