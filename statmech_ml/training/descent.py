"""One step of the optimiser: decay, clipping, the step itself, and the running mean of parameters.

    g <- g + decay W                       on weights only (`training.centring` has its own)
    g <- g min(1, clip / |g|)              |g| over all parameters together
    theta <- optimiser(theta, g)
    ema <- ema rate + theta (1 - rate)

in this order.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInput
from .shell import Gradients, Shell

EXPLODED = 1e6
"""Parameters this many times larger than the largest at the start (or than 1) have exploded."""

OptimizerMaker = Callable[[Iterable[Tensor]], torch.optim.Optimizer]
ScheduleMaker = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]


class Moved(NamedTuple):
    """What a step was: the norm of the gradient before clipping, and whether it was clipped."""

    norm: float
    clipped: bool


class Descent:
    """The parameters of a shell on their way down; arguments as those of `train`."""

    def __init__(
        self,
        shell: Shell,
        optimizer: OptimizerMaker | None,
        learning_rate: float | None,
        schedule: ScheduleMaker | None,
        weight_decay: float,
        clip: float | None,
        ema: float | None,
    ) -> None:
        self.parameters = {n: p for n, p in shell.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise InvalidInput(f"{type(shell).__name__} has no parameters to train.")
        self.moving = shell.moving
        self.optimizer: Any
        self.optimizer = _optimizer(
            self.parameters, optimizer, learning_rate, light=schedule is None
        )
        self.schedule = None if schedule is None else _schedule(self.optimizer, schedule)
        self.weight_decay = _number("weight_decay", weight_decay, 0.0, math.inf)
        self.decayed = tuple(name for name in shell.decayed if name in self.parameters)
        self.clip = None if clip is None else _number("clip", clip, 0.0, math.inf, open_=True)
        self.rate = None if ema is None else _number("ema", ema, 0.0, 1.0, open_=True)
        self.ema = None if ema is None else {n: self.copy()[n] for n in self.parameters}
        self._limit = EXPLODED * max(1.0, self._largest())
        self._reach = math.inf  # bound of all parameters

    def copy(self) -> dict[str, Tensor]:
        """All that training changes, copied: parameters, and buffers where there are any."""
        return {name: p.detach().clone() for name, p in self.moving.items()}

    def put(self, values: dict[str, Tensor]) -> None:
        """Give the shell these values."""
        with torch.no_grad():
            for name, p in self.moving.items():
                p.copy_(values[name])
        self._reach = math.inf

    def optimizer_copy(self) -> dict[str, Any]:
        """The state of the optimiser, copied."""
        state = self.optimizer.state_dict()
        state["state"] = {
            key: {n: v.clone() if isinstance(v, Tensor) else v for n, v in entry.items()}
            for key, entry in state["state"].items()
        }
        return state

    @property
    def settings(self) -> dict[str, Any]:
        """What a checkpoint compares: optimiser, schedule, decay, clipping, running means."""
        return {
            "optimizer": type(self.optimizer).__name__,
            "optimizer settings": self._optimizer_settings(),
            "schedule": type(self.schedule).__name__,
            "schedule settings": words_of(
                None if self.schedule is None else self.schedule.state_dict()
            ),
            "weight_decay": self.weight_decay,
            "clip": self.clip,
            "ema": self.rate,
        }

    def _optimizer_settings(self) -> str:
        """Settings of the groups of parameters, in words: rates, decays, and whose they are."""
        names = {id(p): name for name, p in self.parameters.items()}
        groups = [
            {**group, "params": [names[id(p)] for p in group["params"]]}
            for group in self.optimizer.param_groups
        ]
        return words_of(groups)

    def check_comparable(self) -> None:
        """Raise InvalidInput for a schedule of functions: no file can hold one, or tell two apart,
        so that a resumed run might follow another."""
        found = _functions(self.schedule)
        if found:
            raise InvalidInput(
                f"{type(self.schedule).__name__} follows the function {found[0]}, which a "
                "checkpoint cannot hold or compare. Use StepLR, ExponentialLR, CosineAnnealingLR "
                "or several of these in a SequentialLR, or train without checkpoint=."
            )

    def decay(self, name: str) -> Tensor | None:
        """What weight decay adds to the gradient by this parameter; None where it adds nothing."""
        if not self.weight_decay or name not in self.decayed:
            return None
        return self.weight_decay * self.parameters[name].detach()

    def step(self, gradients: Gradients, decay: bool = True) -> Moved:
        """Move the parameters that have a gradient (a GAN's players take turns); one that is not
        finite moves nothing and has such a norm.

        `decay` says whether the decay of the weights is still to be added.
        """
        if self.weight_decay and decay:
            gradients = dict(gradients)
            for name in (name for name in self.decayed if name in gradients):
                added = self.weight_decay * self.parameters[name].detach()
                gradients[name] = gradients[name] + added
        moving = {name: p for name, p in self.parameters.items() if name in gradients}
        norm = _norm([gradients[name] for name in moving])
        if not math.isfinite(norm):
            return Moved(norm, False)
        clipped, scale = False, 1.0
        if self.clip is not None and norm > self.clip:
            clipped, scale = True, self.clip / norm
        for name, p in moving.items():
            p.grad = gradients[name] * scale if clipped else gradients[name]
        self.optimizer.step()
        if isinstance(self.optimizer, _Plain):
            self._reach += self.learning_rate * norm * scale
        else:
            self._reach = math.inf
        for p in moving.values():
            p.grad = None
        return Moved(norm, clipped)

    def exploded(self) -> str | None:
        """Which parameter is no number or too large, in words; None if all are well.

        None of them is larger than its bound, which a step of plain gradient descent raises by the
        length of that step; nor than the norm of all. Most steps need not look at every one.
        """
        if self._reach > self._limit:
            with torch.no_grad():
                self._reach = _norm(list(self.parameters.values()))
        if self._reach <= self._limit:
            return None
        self._reach = self._largest()
        if self._reach <= self._limit:
            return None
        for name, p in self.parameters.items():
            if not bool(torch.isfinite(p).all()):
                return f"{name} is not finite"
        return f"parameters reached {self._largest():.3g} (limit {self._limit:.3g})"

    def average(self) -> None:
        """Take the present parameters into their running mean."""
        if self.ema is not None and self.rate is not None:
            with torch.no_grad():
                for name, p in self.parameters.items():
                    self.ema[name].lerp_(p, 1.0 - self.rate)

    @property
    def learning_rate(self) -> float:
        """Of the first group of parameters."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _largest(self) -> float:
        largest = [p.detach().abs().max() for p in self.parameters.values() if p.numel()]
        return float(torch.stack(largest).max())


def _norm(tensors: list[Tensor]) -> float:
    """Over all of them together."""
    norms = [torch.linalg.vector_norm(t) for t in tensors]
    return math.hypot(*torch.stack(norms).tolist())


class _Plain:
    """theta - rate g, with the face of a torch optimiser: the first of those to be made in a
    process imports for seconds."""

    def __init__(self, parameters: list[Tensor], lr: float) -> None:
        self.defaults = {"lr": lr}
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, "params": parameters}]

    def state_dict(self) -> dict[str, Any]:
        """The rate."""
        return {"state": {}, "param_groups": [{"lr": self.param_groups[0]["lr"]}]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the rate back."""
        self.param_groups[0]["lr"] = float(state["param_groups"][0]["lr"])

    def step(self) -> None:
        """One step along the gradients, which all parameters hold."""
        rate = self.param_groups[0]["lr"]
        parameters = [p for p in self.param_groups[0]["params"] if p.grad is not None]
        with torch.no_grad():
            torch._foreach_add_(parameters, [p.grad for p in parameters], alpha=-rate)


def _optimizer(
    parameters: Mapping[str, Tensor],
    made: OptimizerMaker | None,
    learning_rate: float | None,
    light: bool,
) -> Any:
    if made is None:
        rate = _number("learning_rate", 0.01 if learning_rate is None else learning_rate, 0, 1e9)
        return (_Plain if light else torch.optim.SGD)(list(parameters.values()), lr=rate)
    if learning_rate is not None:
        raise InvalidInput(
            f"learning_rate={learning_rate!r} belongs to the plain gradient descent that is used "
            "without optimizer=. Give the rate to the optimiser: optimizer=lambda p: Adam(p, "
            "lr=1e-3)."
        )
    found = _called("optimizer", made, list(parameters.values()))
    if not isinstance(found, torch.optim.Optimizer):
        raise InvalidInput(
            f"optimizer={made!r} must be a function of the parameters that returns a torch "
            "optimiser: optimizer=lambda p: torch.optim.Adam(p, lr=1e-3)."
        )
    if isinstance(found, torch.optim.LBFGS):
        raise InvalidInput("LBFGS evaluates the loss, which has no closed form here. Use another.")
    held = {id(p) for group in found.param_groups for p in group["params"]}
    if held != {id(p) for p in parameters.values()}:
        raise InvalidInput(
            "The optimiser does not hold the parameters that optimizer= was given. Give it all of "
            "them; to keep one fixed, set its requires_grad to False."
        )
    return found


def _schedule(
    optimizer: torch.optim.Optimizer, made: ScheduleMaker
) -> torch.optim.lr_scheduler.LRScheduler:
    found = _called("schedule", made, optimizer)
    kinds = torch.optim.lr_scheduler
    if not isinstance(found, kinds.LRScheduler) or isinstance(found, kinds.ReduceLROnPlateau):
        raise InvalidInput(
            f"schedule={made!r} must be a function of the optimiser that returns a torch scheduler "
            "which steps once an epoch without a metric: schedule=lambda o: StepLR(o, 10)."
        )
    return found


def _called(name: str, made: Any, given: Any) -> Any:
    """What the user's function makes; None of what is no function."""
    if not callable(made):
        return None
    try:
        return made(given)
    except (ValueError, TypeError) as error:  # Adam(p, lr=nan) refuses its own arguments
        raise InvalidInput(
            f"{name}={made!r} made nothing: {type(error).__name__}: {error}. Look at its settings."
        ) from error


def words_of(state: Any) -> str:
    """The settings in a state of torch, in words that are equal where these are."""
    if isinstance(state, Tensor | np.ndarray | np.generic):
        return words_of(state.tolist())
    if isinstance(state, dict):
        items = sorted((str(key), words_of(value)) for key, value in state.items())
        return "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
    if isinstance(state, list | tuple):
        return "[" + ", ".join(words_of(value) for value in state) + "]"
    return repr(state)


def _functions(schedule: Any) -> list[str]:
    """Names of the user's functions in a schedule, and in those that it is made of."""
    found = []
    for name, value in vars(schedule).items() if schedule is not None else ():
        for part in value if isinstance(value, list | tuple) else [value]:
            if name == "_schedulers":
                found += _functions(part)
            elif name != "optimizer" and _is_own_function(part):
                found.append(getattr(part, "__qualname__", type(part).__name__))
    return found


def _is_own_function(value: Any) -> bool:
    module = getattr(value, "__module__", None) or ""
    return callable(value) and not isinstance(value, type) and not module.startswith("torch")


def _number(name: str, value: Any, least: float, most: float, open_: bool = False) -> float:
    """A float in [least, most), or in (least, most) if `open_`; InvalidInput otherwise."""
    number = isinstance(value, int | float | np.integer | np.floating)
    number = number and not isinstance(value, bool)
    if not number or not least <= value < most or (open_ and value == least):
        bounds = f"{'(' if open_ else '['}{least:g}, {most:g})"
        raise InvalidInput(f"{name}={value!r} must be a number in {bounds}.")
    return float(value)
