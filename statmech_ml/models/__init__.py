"""Energies, one file each: physics in plain Python, compiled on use."""

from .double_well import DoubleWell
from .gaussian import Gaussian
from .ising import Ising
from .rbm import BernoulliRBM

__all__ = ["BernoulliRBM", "DoubleWell", "Gaussian", "Ising"]
