"""Partition functions: log Z by one Path, one LogZ, one estimator a file."""

from .ais import ais, ais_from_log_weights
from .exact_sum import exact_sum
from .logz import LogZ
from .path import Geometric, Path, Switching, Tempering, Weights

__all__ = [
    "Geometric",
    "LogZ",
    "Path",
    "Switching",
    "Tempering",
    "Weights",
    "ais",
    "ais_from_log_weights",
    "exact_sum",
]
