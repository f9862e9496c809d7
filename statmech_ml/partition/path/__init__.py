"""A Path from a reference whose log Z is known (lambda = 0) to the target (lambda = 1).

Estimators see a path only: a reduced energy u_lambda(x), a sampler that leaves exp(-u_lambda)
invariant, log Z and exact draws at lambda = 0. Whatever serves these serves every estimator.

=========  ===============================================  =====================================
path       u_lambda(x)                                      reference, lambda = 0
=========  ===============================================  =====================================
Tempering  u of the model at lambda beta                    uniform over a finite space
Geometric  (1 - lambda) u_reference + lambda u_model(beta)  Gaussian, or any law drawn exactly
Weights    of an RBM with lambda W in place of W            independent units
Switching  of a model whose own protocol runs with lambda   where the protocol starts
=========  ===============================================  =====================================
"""

from .base import Path
from .geometric import Geometric, Reference
from .switching import Switching
from .tempering import Tempering, is_linear
from .weights import Weights

__all__ = [
    "Geometric",
    "Path",
    "Reference",
    "Switching",
    "Tempering",
    "Weights",
    "is_linear",
]
