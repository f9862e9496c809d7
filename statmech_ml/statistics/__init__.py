"""Errors of correlated data: autocorrelation time, blocking, jackknife, convergence of chains.

Series are arrays (chain, draw), or (draw,) for one chain. Only numpy and scipy are imported here;
`rank_r_hat` and `ess_bulk` load arviz when they are called.
"""

from statmech_ml.statistics.autocorrelation import TauResult, autocovariance, integrated_time
from statmech_ml.statistics.blocking import Blocking, blocking_error, blocking_levels
from statmech_ml.statistics.convergence import drift_z, ess_bulk, rank_r_hat, split_r_hat
from statmech_ml.statistics.estimate import Estimate, mean
from statmech_ml.statistics.jackknife import jackknife

__all__ = [
    "Blocking",
    "Estimate",
    "TauResult",
    "autocovariance",
    "blocking_error",
    "blocking_levels",
    "drift_z",
    "ess_bulk",
    "integrated_time",
    "jackknife",
    "mean",
    "rank_r_hat",
    "split_r_hat",
]
