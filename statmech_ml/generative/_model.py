"""What every generative model is: a torch module that is fitted to data and drawn from.

A model has a `space` (what one configuration is made of) and, if it is conditional, `n_conditions`
numbers that stand beside each configuration (a temperature, for example). Its file says what it
minimises, `losses`, and how it draws, `_draw`; the loop, checkpoints and history are `fit`'s.

Random numbers come from generators that are given: every training step has one of its own,
addressed by (seed, step), so that a run which is stopped and resumed equals one that was not, bit
for bit. Neither torch's global seed nor its state is touched.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._rng import seed_from
from ..errors import InvalidInput
from ..spaces import Space
from ..training import History
from ..training._arguments import check_at_least
from ..training.descent import OptimizerMaker, ScheduleMaker
from ..training.shell import Gradients, Shell
from ._fit import fit

Drawing = Callable[[int, Tensor | None, torch.Generator], Tensor]

Losses = dict[str, Tensor]
"""Scalars by name, of a batch: "loss" is minimised, the others are watched in `History`."""


class GenerativeModel(Shell, ABC):
    """Base class of all generative models.

    Attributes
    ----------
    space : Space
        Of one configuration: `Reals`, `Spins` or `Bits`.
    n_conditions : int
        Numbers beside each configuration; 0 for a model without conditions.
    """

    def __init__(self, space: Space, n_conditions: int = 0) -> None:
        super().__init__()
        if not isinstance(space, Space):
            raise InvalidInput(
                f"space={space!r} must say what a configuration is made of: Reals(n), Spins(n) or "
                "Bits(n) of n sites."
            )
        check_at_least("n_conditions", n_conditions, 0, "numbers beside each configuration")
        self.space, self.n_conditions = space, int(n_conditions)

    # --- what a model's file says -----------------------------------------------------------------

    @abstractmethod
    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """Losses of a batch x (n, size) with conditions (n, n_conditions), means over the batch,
        in nats a configuration where they are likelihoods; one noise draw each."""

    @abstractmethod
    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        """n configurations (n, size) of the model, without gradients."""

    def gradients(
        self, x: Tensor, condition: Tensor | None, generator: torch.Generator, step: int
    ) -> tuple[Gradients, Losses]:
        """Gradients of the loss by parameter name, and the losses. A model whose players take
        turns says here whose turn it is: parameters without an entry do not move."""
        found = self.losses(x, condition, generator)
        named = {n: p for n, p in self.named_parameters() if p.requires_grad}
        grads = torch.autograd.grad(found["loss"], list(named.values()), allow_unused=True)
        return {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(named.items(), grads, strict=True)
        }, found

    def optimizer(self, learning_rate: float) -> OptimizerMaker:
        """The optimiser unless another is given: Adam.

        D. P. Kingma and J. Ba, ICLR (2015), arXiv:1412.6980.
        """
        return lambda parameters: torch.optim.Adam(parameters, lr=learning_rate)

    def check_data(self, x: np.ndarray) -> None:
        """Raise InvalidInput for configurations of the space that this model cannot learn."""

    def check_early_stopping(self) -> None:
        """Raise InvalidInput where the loss of held-out data does not judge the model."""

    # --- what users call --------------------------------------------------------------------------

    def fit(
        self,
        data: Any,
        *,
        epochs: int,
        rng: Any,
        condition: Any = None,
        batch_size: int = 100,
        learning_rate: float = 1e-3,
        optimizer: OptimizerMaker | None = None,
        schedule: ScheduleMaker | None = None,
        weight_decay: float = 0.0,
        clip: float | None = None,
        ema: float | None = None,
        validation_data: Any = None,
        validation_condition: Any = None,
        early_stopping: int | None = None,
        checkpoint: Any = None,
        checkpoint_every: int = 1,
        resume: bool = False,
        progress: bool | None = None,
    ) -> History:
        """Train on data, in place.

        Parameters
        ----------
        data : array (n, size)
            Configurations of the model's space.
        epochs : int
            In all, those before a checkpoint included; 0 does nothing.
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model; a number stands beside all configurations.
        batch_size : int, default 100
            At most n. The last batch of an epoch is smaller where it does not divide n.
        learning_rate : float, default 1e-3
            Of the model's own optimiser (`optimizer`); another one has its own.
        optimizer, schedule, weight_decay, clip, ema, checkpoint, checkpoint_every, resume, progress
            As those of `statmech_ml.training.train`.
        validation_data, validation_condition : arrays, optional
            The history then has "validation_" series of all losses, whose noise is the same at
            every epoch.
        early_stopping : int, optional
            Stop when the validation loss has not fallen for so many epochs; the model then has the
            best parameters. A `GAN` refuses it: its losses judge nothing.

        Returns
        -------
        History
            Means of the losses over each epoch, by name.

        Raises
        ------
        InvalidInput
            Before any work, for what cannot work.
        StoreError
            For a checkpoint that exists (without `resume`), is damaged, or of another run.
        TrainingDiverged
            When a loss, a gradient or a parameter is no number, or parameters exploded; says when.
            The model then has the parameters of the end of the last epoch before.
        """
        return fit(
            self, data, epochs=epochs, rng=rng, condition=condition, batch_size=batch_size,
            learning_rate=learning_rate, optimizer=optimizer, schedule=schedule,
            weight_decay=weight_decay, clip=clip, ema=ema, validation_data=validation_data,
            validation_condition=validation_condition, early_stopping=early_stopping,
            checkpoint=checkpoint, checkpoint_every=checkpoint_every, resume=resume,
            progress=progress,
        )  # fmt: skip

    def sample(
        self, n: int, *, rng: Any, condition: Any = None, batch_size: int = 10_000
    ) -> np.ndarray:
        """Draw configurations.

        Parameters
        ----------
        n : int
        rng : int or numpy Generator
            The seed. There is no default.
        condition : array (n, n_conditions), (n,), or a number
            Of a conditional model.
        batch_size : int, default 10_000
            Drawn at a time. Random numbers are dealt out batch by batch: one seed gives the same
            draws for the same n and batch_size, and other draws of the same law for others.

        Returns
        -------
        array (n, size) of the space's dtype

        Raises
        ------
        InvalidInput
            For n < 1, conditions that do not fit, and a model that has diverged: its parameters or
            what it draws are no finite numbers.
        """
        return self._in_batches(self._draw, n, condition, rng, batch_size)

    def _in_batches(
        self, draw: Drawing, n: int, condition: Any, rng: Any, batch_size: int
    ) -> np.ndarray:
        """Configurations from a function like `_draw`, so many at a time; see `sample`."""
        check_at_least("n", n, 1, "configurations")
        check_at_least("batch_size", batch_size, 1, "configurations")
        conditions = self.conditions(condition, n, "condition")
        for name, value in self.state_dict().items():
            self._check_finite(value, name)
        generator = self.generator(rng)
        drawn: list[np.ndarray] = []
        self.eval()
        with torch.no_grad():
            for first in range(0, n, batch_size):
                rows = slice(first, min(n, first + batch_size))
                given = None if conditions is None else conditions[rows]
                x = draw(rows.stop - rows.start, given, generator)
                self._check_finite(x, "what it draws")
                drawn.append(x.to("cpu", torch.float64).numpy().astype(self.space.dtype))
        return np.concatenate(drawn)

    def _check_finite(self, values: Tensor, what: str) -> None:
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise InvalidInput(
                f"This {type(self).__name__} cannot be drawn from: {what} holds numbers that are "
                "not finite. Load an earlier checkpoint, or train again with a smaller learning "
                "rate or clip=."
            )

    # --- what models share ------------------------------------------------------------------------

    def generator(self, rng: Any) -> torch.Generator:
        """A torch generator on the model's device, from an int or a numpy Generator."""
        return torch.Generator(self.device).manual_seed(seed_from(rng) % 2**63)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Independent standard normals of the model's dtype, on its device."""
        return torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype)

    def configurations(self, x: Any, name: str = "x") -> Tensor:
        """Data (n, size) of the model's space as a tensor; InvalidInput otherwise."""
        return self.tensor(self.checked(x, name))

    def checked(self, x: Any, name: str) -> np.ndarray:
        """Data (n, size) of the model's space, n >= 1; InvalidInput otherwise."""
        found = self.space.check(x, name)
        if found.ndim != 2 or not len(found):
            raise InvalidInput(
                f"{name} has shape {found.shape}; at least one configuration is needed, as rows "
                f"(n, {self.space.size})."
            )
        self.check_data(found)
        return found

    def conditions(self, condition: Any, n: int, name: str) -> Tensor | None:
        """Conditions (n, n_conditions) as a tensor, None of a model without; InvalidInput for what
        does not fit."""
        found = self.checked_conditions(condition, n, name)
        return None if found is None else self.tensor(found)

    def checked_conditions(self, condition: Any, n: int, name: str) -> np.ndarray | None:
        """Conditions float64 (n, n_conditions); None of a model without."""
        k = self.n_conditions
        if not k:
            if condition is not None:
                raise InvalidInput(
                    f"{name} was given, but this {type(self).__name__} has none. Make it with "
                    "n_conditions=1 to have it depend on one number, such as a temperature."
                )
            return None
        if condition is None:
            raise InvalidInput(f"This {type(self).__name__} has n_conditions={k}: give {name}=.")
        if np.ma.isMaskedArray(condition):
            raise InvalidInput(
                f"{name} is a masked array, and what lies behind its mask is no data: "
                "x.filled(value)."
            )
        try:
            found = np.asarray(condition, np.float64)
            if found.ndim == 1 and k == 1 and len(found) == n:
                found = found[:, None]
            found = np.array(np.broadcast_to(found, (n, k)))
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"{name} must be an array ({n}, {k}) of numbers, or one row for all: {error}."
            ) from error
        if not np.isfinite(found).all():
            raise InvalidInput(f"{name} holds a number that is not finite.")
        return found
