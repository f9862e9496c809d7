"""Distributions that are known exactly, for generative models to learn and be judged by.

Each has `sample`, `log_prob`, `entropy`, `mean`, `covariance` and, where they exist, the density
`log_prob_noisy`, `score`, `denoiser` and `mmse` under the forward noise of a diffusion.
`predict_sampler` says what a sampler makes of such a target when its network is perfect.
"""

from statmech_ml.exact.targets._target import Target
from statmech_ml.exact.targets.gaussian import Gaussian
from statmech_ml.exact.targets.ising import Ising
from statmech_ml.exact.targets.mixture import GaussianMixture
from statmech_ml.exact.targets.ppca import PPCA
from statmech_ml.exact.targets.prediction import (
    Prediction,
    optimal_variances,
    predict_sampler,
)
from statmech_ml.exact.targets.product import Law, Product, Uniform
from statmech_ml.exact.targets.ring import Ring
from statmech_ml.exact.targets.spins import Spins
from statmech_ml.exact.targets.torus import Torus

__all__ = [
    "PPCA",
    "Gaussian",
    "GaussianMixture",
    "Ising",
    "Law",
    "Prediction",
    "Product",
    "Ring",
    "Spins",
    "Target",
    "Torus",
    "Uniform",
    "optimal_variances",
    "predict_sampler",
]
