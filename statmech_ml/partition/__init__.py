"""Partition functions: log Z by one Path, one LogZ, one estimator a file."""

from ._mbar_result import Mbar
from .ais import ais, ais_from_log_weights
from .bar import bar, bar_from_work
from .bethe import bethe
from .compare import Comparison, compare
from .density_of_states import DensityOfStates
from .energies import AffineEnergies, TemperedEnergies
from .exact_sum import exact_sum
from .importance import importance_sampling
from .logz import LogZ
from .mbar import mbar, mbar_from_energies
from .mean_field import mean_field
from .multiple_histogram import MultipleHistogram, multiple_histogram
from .path import Geometric, Path, Switching, Tempering, Weights
from .population_annealing import population_annealing
from .tap import tap
from .thermodynamic_integration import thermodynamic_integration
from .thermodynamics import Thermodynamics, thermodynamics
from .wang_landau import wang_landau
from .work import crooks, jarzynski, jarzynski_from_work

__all__ = [
    "AffineEnergies",
    "Comparison",
    "DensityOfStates",
    "Geometric",
    "LogZ",
    "Mbar",
    "MultipleHistogram",
    "Path",
    "Switching",
    "TemperedEnergies",
    "Tempering",
    "Thermodynamics",
    "Weights",
    "ais",
    "ais_from_log_weights",
    "bar",
    "bar_from_work",
    "bethe",
    "compare",
    "crooks",
    "exact_sum",
    "importance_sampling",
    "jarzynski",
    "jarzynski_from_work",
    "mbar",
    "mbar_from_energies",
    "mean_field",
    "multiple_histogram",
    "population_annealing",
    "tap",
    "thermodynamic_integration",
    "thermodynamics",
    "wang_landau",
]
