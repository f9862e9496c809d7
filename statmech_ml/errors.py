"""Errors that teach: each message says what was given, why it cannot work, and what to do instead.

Everything the package raises on purpose derives from `StatmechError`, so one `except` clause
catches it; the second base class (`ValueError`, `TypeError`) keeps ordinary Python idioms working.
"""

from typing import Any


class StatmechError(Exception):
    """Base class of every error that statmech-ml raises on purpose."""


class InvalidInput(StatmechError, ValueError):
    """An argument has a value that cannot work; raised before any work starts."""


class MissingCapability(StatmechError, TypeError):
    """A sampler or estimator was asked to use a model that lacks what it needs.

    Samplers ask models for small capabilities (`Local`, `Tabulated`, `Differentiable`,
    `Clusterable`, `Conditional`; see `statmech_ml.systems`). The message names the missing one and
    the samplers that do without it.
    """


class ShortChain(StatmechError):
    """A chain is too short for its autocorrelation time to be measured.

    Attributes
    ----------
    partial
        What could be measured: a `TauResult` from `integrated_time`, an `Estimate` from `mean`,
        `jackknife` and `blocking_error`. Its autocorrelation time is a lower bound, because a short
        chain cannot show long correlations.
    """

    def __init__(self, message: str, partial: Any) -> None:
        super().__init__(message)
        self.partial = partial


class StoreError(StatmechError):
    """A file or store on disk is missing, damaged, foreign, or cannot be written."""


class EquilibrationWarning(UserWarning):
    """The chains of a run disagree with each other or drift: the burn-in was too short."""
