"""Transition kernels that leave exp(-reduced_energy) invariant, one file each."""

from .base import Sampler, State
from .block_gibbs import BlockGibbs
from .heat_bath import HeatBath
from .mala import MALA
from .metropolis import Metropolis
from .swendsen_wang import SwendsenWang
from .wolff import Wolff

__all__ = [
    "MALA",
    "BlockGibbs",
    "HeatBath",
    "Metropolis",
    "Sampler",
    "State",
    "SwendsenWang",
    "Wolff",
]
