"""Energies, one file each: physics in plain Python, compiled on use."""

from .double_well import DoubleWell
from .gaussian import Gaussian
from .gaussian_mixture import GaussianMixture
from .gaussian_rbm import GaussianRBM
from .gaussian_shells import GaussianShells
from .ising import Ising
from .log_density import LogDensity
from .potts import Potts
from .potts_rbm import PottsRBM
from .quartic import Quartic
from .rbm import RBM, BernoulliRBM
from .trap import DraggedTrap, HarmonicTrap

__all__ = [
    "RBM",
    "BernoulliRBM",
    "DoubleWell",
    "DraggedTrap",
    "Gaussian",
    "GaussianMixture",
    "GaussianRBM",
    "GaussianShells",
    "HarmonicTrap",
    "Ising",
    "LogDensity",
    "Potts",
    "PottsRBM",
    "Quartic",
]
