"""Labelled lattice datasets: specify, generate, store, load, verify, export.

>>> from ising_data import Spec, generate, load
>>> spec = Spec("square", 8, "2.0:3.0:0.5", samples=40, seed=1)
>>> dataset = generate(spec, "ising8.zarr")
>>> dataset.energy.shape, dataset.spins(temperature=2.5).shape
((3, 4, 10), (4, 10, 64))
"""

from ._fields import parse_temperatures
from ._layout import unpack
from .export import export
from .generate import generate
from .phases import PHASES, critical_temperature
from .spec import Spec
from .splits import Part
from .store import Dataset, load
from .verify import Report, verify

__all__ = [
    "PHASES",
    "Dataset",
    "Part",
    "Report",
    "Spec",
    "critical_temperature",
    "export",
    "generate",
    "load",
    "parse_temperatures",
    "unpack",
    "verify",
]
