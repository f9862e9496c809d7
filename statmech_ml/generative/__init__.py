"""Generative models, each against a distribution that is known exactly."""

from ._model import GenerativeModel
from .likelihood import LogLikelihood

__all__ = ["GenerativeModel", "LogLikelihood"]
