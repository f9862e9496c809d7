"""Contrastive divergence: the negative phase from a few sweeps of the model's own sampler.

CD-k starts its chains at the data of the batch (G. E. Hinton, Neural Comput. 14, 1771 (2002),
doi:10.1162/089976602760128018). It follows no gradient of a likelihood, and where k sweeps do not
forget the data its fixed point is biased. PCD-k lets chains go on from step to step (L. Younes,
Stochastics 65, 177 (1999), doi:10.1080/17442509908834179; T. Tieleman, ICML (2008),
doi:10.1145/1390156.1390290); they follow the model as long as it moves more slowly than they mix.

A step costs k sweeps of the batch or the chains, and two phases.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ..errors import InvalidInput
from ..samplers import State
from . import _bit_phases
from ._arguments import check_at_least as check_at_least
from .method import Carried, Method, Step
from .rbm import TrainableRBM
from .shell import Gradients, Trainable


@dataclass(frozen=True)
class CD(Method):
    """CD-k: chains of k sweeps from the data.

    Parameters
    ----------
    k : int, default 1
        Sweeps from the data to the negative phase.
    """

    k: int = 1

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1, "sweeps")

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability unless the shell's sampler takes its model."""
        shell.sampler().check(shell.freeze())

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the phase k sweeps later."""
        start: np.ndarray = batch.cpu().numpy().astype(shell.space.dtype)
        v = swept(shell, start, self.k, seed, step)
        gradients, info = contrast(shell, batch, shell.tensor(v))
        return Step(gradients, {}, info)

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray:
        """Data k sweeps later."""
        return swept(shell, data, self.k, seed, step)

    def sweeps(self, step: int) -> float:
        """k: the chains start anew at each step."""
        return self.k


@dataclass(frozen=True)
class PersistentCD(Method):
    """PCD-k: persistent chains, k sweeps a step.

    Chains of a restricted Boltzmann machine carry both layers. A sweep draws v given h, then h
    given v, and the last h of a step comes from the means at v that the gradient takes: from the
    parameters before the step, as in the reference. At fixed parameters v is that of k sweeps.

    Parameters
    ----------
    k : int, default 1
        Sweeps of the chains at each step.
    n_chains : int, default 100
    start : "random" or "data", default "random"
        Where the chains start: uniformly at random (standard normal where units are real), or at
        the first configurations of the data, again and again if these are too few.
    """

    k: int = 1
    n_chains: int = 100
    start: Literal["random", "data"] = "random"

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1, "sweeps")
        check_at_least("n_chains", self.n_chains, 1, "chains")
        if self.start not in ("random", "data"):
            raise InvalidInput(f"start={self.start!r} must be 'random' or 'data'.")

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability unless the shell's sampler takes its model."""
        shell.sampler().check(shell.freeze())

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """The chains before the first sweep: "x", (n_chains, size), and of an RBM "h", the hidden
        units that the first sweep starts from, (n_chains, n_hidden)."""
        start: Any = self.start
        if start == "data":
            start = np.resize(data, (self.n_chains, data.shape[1]))
        model = shell.freeze()
        x = shell.sampler().init(model, self.n_chains, seed, start).x
        if not isinstance(shell, TrainableRBM):
            return {"x": x}
        return {"x": x, "h": shell.sampler().hidden(model, x, seed, 0)}

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the phase of the chains, k sweeps on."""
        if not isinstance(shell, TrainableRBM):
            v = swept(shell, carried["x"], self.k, seed, step)
            gradients, info = contrast(shell, batch, shell.tensor(v))
            return Step(gradients, {"x": v}, info)
        if _bit_phases.suits(shell, batch, self.n_chains):
            gradients, energies, v, h = _bit_phases.persistent(
                shell, batch, carried["h"], self.k, seed, step
            )
            info = {"energy_data": energies[0], "energy_model": energies[1]}
            return Step(gradients, {"x": v, "h": h}, info)
        sampler, model = shell.sampler(), shell.view()
        first, last = step * self.k, (step + 1) * self.k
        v = sampler.visible(model, carried["h"], seed, first)
        if self.k > 1:
            state = State(v, seed, np.arange(len(v), dtype=np.uint32), first + 1)
            v = sampler.advance(model, state, np.ones(len(v)), self.k - 1)[0].x
        gradients, info = contrast(shell, batch, shell.tensor(v))
        return Step(gradients, {"x": v, "h": sampler.hidden(model, v, seed, last)}, info)

    def sweeps(self, step: int) -> float:
        """k for every step so far."""
        return self.k * step


def swept(shell: Trainable, v: np.ndarray, k: int, seed: int, step: int) -> np.ndarray:
    """Chains v (chain, size) after k sweeps of the shell's sampler at beta = 1."""
    state = State(v, seed, np.arange(len(v), dtype=np.uint32), step * k)
    return shell.sampler().advance(shell.view(), state, np.ones(len(v)), k)[0].x


def contrast(
    shell: Trainable, data: Tensor, model: Tensor, weights: Tensor | None = None
) -> tuple[Gradients, dict[str, float]]:
    """Data phase minus model phase, with weights of the model's configurations if given; and the
    mean of F over both."""
    gradients, energy_data, energy_model = shell.contrast(data, model, weights)
    return gradients, {"energy_data": float(energy_data), "energy_model": float(energy_model)}
