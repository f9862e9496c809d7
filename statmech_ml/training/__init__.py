"""Training of energy-based models: torch shells, gradient methods, histories and checkpoints."""

from .method import Method, Step
from .shell import Trainable

__all__ = ["Method", "Step", "Trainable"]
