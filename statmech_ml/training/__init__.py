"""Training of energy-based models: torch shells, gradient methods, histories and checkpoints."""

from .contrastive import CD, PersistentCD
from .method import Method, Step
from .rbm import TrainableRBM
from .shell import Trainable
from .train import train

__all__ = ["CD", "Method", "PersistentCD", "Step", "Trainable", "TrainableRBM", "train"]
