"""The chi-square test of the other tests: uniform p-values under the null, power beside it."""

import numpy as np
from scipy.stats import kstest
from statistical import chi_square, holm


def test_p_values_are_uniform_where_the_law_is_right(assert_unbiased, seed):
    """By Kolmogorov and Smirnov, with rare cells that must be pooled; p to a z-score."""
    from scipy.stats import norm

    law = np.random.default_rng(0).dirichlet(np.full(60, 0.3))

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        p = [chi_square(rng.multinomial(4000, law), law) for _ in range(400 * scale)]
        return np.array([norm.isf(kstest(p, "uniform").pvalue / 2)])

    assert_unbiased(run, seed)


def test_a_slightly_wrong_law_is_refuted(seed):
    rng = np.random.default_rng(seed)
    law = np.full(50, 0.02)
    tilted = law * (1 + 0.2 * np.cos(np.arange(50)))
    assert chi_square(rng.multinomial(20_000, tilted / tilted.sum()), law) < 1e-6


def test_pools_have_the_expectation_that_is_asked_for():
    law = np.array([1e-6, 1e-6, 0.004, 0.006, 0.3, 0.7 - 0.010002])
    counts = np.round(1000 * law).astype(int)
    assert chi_square(counts, law) > 0.9


def test_holm_by_hand():
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert corrected == {"a": 0.03, "c": 0.06, "b": 0.06}
