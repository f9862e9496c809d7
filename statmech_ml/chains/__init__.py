"""`sample`: run a sampler on a model; `Chain`: what comes out.

Chains are a batch axis and draws the next one, so every series is ``(chain, draw)`` and
configurations are ``(chain, draw, size)``. A chain's `final` state continues bit for bit: the run
of 1000 draws and the run of 400 continued for 600 are the same run.
"""

from .chain import Chain
from .ladder import Ladder, round_trips, swap_rates, tune_ladder
from .run import sample

__all__ = ["Chain", "Ladder", "round_trips", "sample", "swap_rates", "tune_ladder"]
