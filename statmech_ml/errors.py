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
    `Clusterable`, `Conditional`, `Minibatched`; see `statmech_ml.systems`). The message names the
    missing one and the samplers that do without it.
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


class EffectiveTemperatureWarning(UserWarning):
    """Step and noise of a Langevin sampler imply another temperature than the one asked for.

    A move x - eta grad u + s w samples at T = s^2 / (2 eta): noise sqrt(eta) without the 2 is
    T = 1/2, step 10 with noise 0.005 is T = 1.25e-6, which is gradient descent. Leave ``noise=``
    out, and set temperatures by ``beta=`` or ``temperature=``.
    """


class TrainingWarning(UserWarning):
    """The negative chains of a training run are out of equilibrium with the model that they stand
    for: its gradient is not that of the likelihood. See `statmech_ml.training.equilibrium`."""


class TrainingDiverged(StatmechError):
    """Training met a gradient, an energy or a parameter that is no number or exploded.

    Attributes
    ----------
    epoch, step : int
        Where: the epoch, and the step counted from the start of training.
    history
        The `History` of the epochs before. The shell holds the parameters of the end of the last
        of them, and the checkpoint on disk, if any, is untouched.
    """

    def __init__(self, message: str, epoch: int, step: int, history: Any) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step
        self.history = history
