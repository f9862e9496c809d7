"""Transition kernels, one file each; all but ULA leave exp(-reduced_energy) invariant."""

from .base import Sampler, State
from .block_gibbs import BlockGibbs
from .heat_bath import HeatBath
from .mala import MALA
from .metropolis import Metropolis
from .replica_exchange import ReplicaExchange
from .swendsen_wang import SwendsenWang
from .ula import ULA
from .wolff import Wolff

__all__ = [
    "MALA",
    "ULA",
    "BlockGibbs",
    "HeatBath",
    "Metropolis",
    "ReplicaExchange",
    "Sampler",
    "State",
    "SwendsenWang",
    "Wolff",
]
