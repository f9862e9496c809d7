"""Transition kernels, one file each; those with ``invariant = False`` are biased by their step."""

from ._minibatch import PolynomialDecay
from .baoab import BAOAB
from .base import Sampler, State
from .block_gibbs import BlockGibbs
from .ensemble import EnsembleSampler
from .heat_bath import HeatBath
from .hmc import HMC
from .mala import MALA
from .metropolis import Metropolis
from .psgld import PSGLD
from .replica_exchange import ReplicaExchange
from .sghmc import SGHMC
from .sgld import SGLD
from .swendsen_wang import SwendsenWang
from .ula import ULA
from .wolff import Wolff

__all__ = [
    "BAOAB",
    "HMC",
    "MALA",
    "PSGLD",
    "SGHMC",
    "SGLD",
    "ULA",
    "BlockGibbs",
    "EnsembleSampler",
    "HeatBath",
    "Metropolis",
    "PolynomialDecay",
    "ReplicaExchange",
    "Sampler",
    "State",
    "SwendsenWang",
    "Wolff",
]
