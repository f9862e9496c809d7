"""statmech-ml: energy-based models as statistical-mechanics systems.

Samplers, exact results and partition functions for lattices, restricted Boltzmann machines and
continuous energies; every number carries its error and is checked against something exact.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import exact, lattices, models, observables, partition, samplers, statistics, training
    from .chains import Chain, sample
    from .statistics import Estimate

# Name -> module that holds it; loaded on first use, so that `import statmech_ml` stays light.
_ROOMS = {
    "Chain": "chains",
    "Estimate": "statistics",
    "divergences": "",
    "exact": "",
    "generative": "",
    "lattices": "",
    "models": "",
    "observables": "",
    "partition": "",
    "sample": "chains",
    "samplers": "",
    "statistics": "",
    "training": "",
}

__all__ = [
    "Chain",
    "Estimate",
    "divergences",
    "exact",
    "generative",
    "lattices",
    "models",
    "observables",
    "partition",
    "sample",
    "samplers",
    "statistics",
    "training",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'statmech_ml' has no attribute {name!r}")
    room = importlib.import_module(f"{__name__}.{_ROOMS[name] or name}")
    return getattr(room, name) if _ROOMS[name] else room


def __dir__() -> list[str]:
    return sorted(__all__)
