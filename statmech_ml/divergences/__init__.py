"""Distances between distributions: closed forms, quadrature, and estimates from samples.

what is known                      function                                    gives
------------------------------------------------------------------------------------------------
both laws Gaussian                 gaussian.kl, jeffreys, fisher, bures, w2,   float
                                   w1, total_variation, mmd_squared,
                                   energy_distance
both probability vectors           discrete.kl, js, total_variation            float
both densities, on the line        quadrature.kl, js, fisher, wasserstein      Integral
both densities, on the plane       plane.kl, js, fisher                        Integral
log-densities at draws             kl_from_log_prob, js_from_log_prob,         Estimate
                                   fisher_from_scores
draws in cells, one law exact      js_from_counts                              Estimate
draws of both, on the line         wasserstein                                 TwoSample
draws of both                      mmd, energy_distance, c2st,                 TwoSample
                                   sliced_wasserstein

An `Integral` is a value with a bound on its error, an `Estimate` and a `TwoSample` have standard
errors, and a `TwoSample` a p-value: the probability of a distance as large between samples of one
law. All draws must be independent of one another; of a Markov chain keep every k-th, k well above
2 tau_int, or one of each of many chains. KL, JS and TV are in nats or pure numbers, W in units of
x, Fisher is E_p |s_p - s_q|^2 without a 1/2.

What each measures, where it fails and what it detects: docs/divergences.md.
"""

from . import discrete, gaussian, permutation, plane, quadrature
from .classifier import c2st
from .discrete import js_from_counts
from .energy import energy_distance
from .kernel import median_distance, mmd
from .likelihood_ratio import fisher_from_scores, js_from_log_prob, kl_from_log_prob
from .result import TwoSample
from .transport import sliced_wasserstein, wasserstein

__all__ = [
    "TwoSample",
    "c2st",
    "discrete",
    "energy_distance",
    "fisher_from_scores",
    "gaussian",
    "js_from_counts",
    "js_from_log_prob",
    "kl_from_log_prob",
    "median_distance",
    "mmd",
    "permutation",
    "plane",
    "quadrature",
    "sliced_wasserstein",
    "wasserstein",
]
