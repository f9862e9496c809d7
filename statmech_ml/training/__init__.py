"""Training of energy-based models: torch shells, gradient methods, histories and checkpoints."""

from typing import Any

from .boltzmann import TrainableBoltzmann
from .checkpoint import Checkpoint, load_checkpoint
from .contrastive import CD, PersistentCD
from .energy_net import EnergyNet, NeuralEnergy
from .exact_gradient import ExactGradient
from .history import History
from .jarzynski import JarzynskiPCD
from .method import Method, Step
from .monitor import Monitor
from .pseudo_likelihood import pseudo_log_likelihood
from .rbm import TrainableRBM
from .replay import LangevinReplay
from .score_matching import ScoreMatching
from .shell import Trainable
from .tempered import TemperedPCD
from .train import train
from .trajectory import TrajectoryTempering

__all__ = [
    "CD",
    "Checkpoint",
    "EnergyNet",
    "ExactGradient",
    "History",
    "JarzynskiPCD",
    "LangevinReplay",
    "Method",
    "Monitor",
    "NeuralEnergy",
    "PersistentCD",
    "RBMEstimator",
    "ScoreMatching",
    "Step",
    "TemperedPCD",
    "Trainable",
    "TrainableBoltzmann",
    "TrainableRBM",
    "TrajectoryTempering",
    "load_checkpoint",
    "pseudo_log_likelihood",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "RBMEstimator":  # a subclass of scikit-learn's, so it is imported on use
        from .estimator import RBMEstimator

        return RBMEstimator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
