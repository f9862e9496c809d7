"""Energies, one file each: physics in plain Python, compiled on use."""

from .boltzmann import BoltzmannMachine
from .double_well import DoubleWell
from .funnel import Funnel
from .gaussian import Gaussian
from .gaussian_mixture import GaussianMixture
from .gaussian_rbm import GaussianRBM
from .gaussian_shells import GaussianShells
from .hopfield import Hopfield
from .ising import Ising
from .linear_regression import BayesianLinearRegression
from .log_density import LogDensity
from .logistic_regression import BayesianLogisticRegression
from .mueller_brown import MuellerBrown
from .posterior import Posterior
from .potts import Potts
from .potts_rbm import PottsRBM
from .quartic import Quartic
from .rbm import RBM, BernoulliRBM
from .ring_of_wells import RingOfWells
from .rosenbrock import Rosenbrock
from .trap import DraggedTrap, HarmonicTrap

__all__ = [
    "RBM",
    "BayesianLinearRegression",
    "BayesianLogisticRegression",
    "BernoulliRBM",
    "BoltzmannMachine",
    "DoubleWell",
    "DraggedTrap",
    "Funnel",
    "Gaussian",
    "GaussianMixture",
    "GaussianRBM",
    "GaussianShells",
    "HarmonicTrap",
    "Hopfield",
    "Ising",
    "LogDensity",
    "MuellerBrown",
    "Posterior",
    "Potts",
    "PottsRBM",
    "Quartic",
    "RingOfWells",
    "Rosenbrock",
]
