"""Tempered persistent contrastive divergence: the negative phase from chains that exchange.

Each negative chain is the cold end of a ladder of inverse temperatures 0 <= beta_1 < ... < beta_K =
1. Every rung is swept at its beta, neighbours swap on the reduced energy F_beta (not on beta F_1,
see `samplers.ReplicaExchange`), and only the chains at beta = 1 enter the gradient. A mode that
plain chains cannot leave is left through the hot rungs, so the chains follow a model whose modes
are far apart; where swaps fail they do not, and the least swap acceptance is watched for that.

G. Desjardins, A. Courville, Y. Bengio, P. Vincent and O. Delalleau, AISTATS (2010), PMLR 9, 145;
K. Cho, T. Raiko and A. Ilin, IJCNN (2010), doi:10.1109/IJCNN.2010.5596837. A step costs K times the
sweeps of `PersistentCD` with as many chains, and K reduced energies of each chain.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import InvalidInput
from ..samplers import ReplicaExchange, State
from ._arguments import check_at_least
from .contrastive import contrast
from .method import Carried, Method, Step
from .shell import Trainable


@dataclass(frozen=True)
class TemperedPCD(Method):
    """PCD-k with replica exchange in beta.

    Parameters
    ----------
    k : int, default 1
        Sweeps of every rung at each step; after each of them neighbours try to swap, even and odd
        pairs in turn.
    n_chains : int, default 100
        Ladders: chains at beta = 1 that enter the gradient.
    n_betas : int, optional
        Rungs of an even ladder, by default 8: from 0 to 1 in finite spaces, elsewhere (where beta =
        0 has no law) from 1 / n_betas.
    betas : sequence of float, optional
        The ladder instead: increasing, >= 0, ending at 1.

    Raises InvalidInput for settings that cannot work.

    Notes
    -----
    Watched at each step: "swap_acceptance", the mean probability of all swaps tried, and
    "least_swap_acceptance", that of the weakest pair. Below a few percent the ladder is torn: take
    more rungs.

    >>> TemperedPCD(n_chains=64, betas=(0.0, 0.4, 0.7, 1.0)).k
    1
    """

    k: int = 1
    n_chains: int = 100
    n_betas: int | None = None
    betas: Any = None

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1, "sweeps")
        check_at_least("n_chains", self.n_chains, 1, "ladders")
        if self.betas is None:
            n = 8 if self.n_betas is None else self.n_betas
            check_at_least("n_betas", n, 2, "rungs")
            return
        if self.n_betas is not None:
            raise InvalidInput("Give one of n_betas= and betas=; both were given.")
        try:
            ladder = np.array(self.betas, np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"betas={self.betas!r} is no list of numbers.") from error
        rising = ladder.ndim == 1 and len(ladder) > 1 and bool((np.diff(ladder) > 0.0).all())
        if not rising or not ladder[0] >= 0.0 or ladder[-1] != 1.0:
            raise InvalidInput(
                f"betas={self.betas!r} must be at least two increasing inverse temperatures from "
                "0 or above to exactly 1, where the model is trained."
            )
        object.__setattr__(self, "betas", tuple(ladder.tolist()))

    def ladder(self, shell: Trainable) -> np.ndarray:
        """The inverse temperatures of the rungs for this shell, ascending, float64 (rung,)."""
        if self.betas is not None:
            return np.array(self.betas)
        n = 8 if self.n_betas is None else int(self.n_betas)
        return np.linspace(0.0 if flat_at_zero(shell.freeze()) else 1.0 / n, 1.0, n)

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise MissingCapability unless the shell's sampler takes its model, and InvalidInput for
        a rung at beta = 0 where the model has no law there."""
        model = shell.freeze()
        ReplicaExchange(shell.sampler()).check(model)
        if self.ladder(shell)[0] == 0.0 and not flat_at_zero(model):
            raise InvalidInput(
                f"A rung at beta=0 has no law for {model!r}, some units of which are real numbers. "
                "Start the ladder above 0."
            )

    def init(self, shell: Trainable, data: np.ndarray, seed: int) -> Carried:
        """All rungs at random: "x", (n_chains, rung, size), and the "betas" that they are at."""
        betas, model = self.ladder(shell), shell.freeze()
        x = shell.sampler().init(model, self.n_chains * len(betas), seed).x
        return {"x": x.reshape(self.n_chains, len(betas), -1), "betas": betas}

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Data phase minus the phase of the chains at beta = 1, k sweeps and swaps on."""
        x, betas = carried["x"], carried["betas"]
        chains = np.arange(x.shape[0] * x.shape[1], dtype=np.uint32)
        state = State(x.reshape(len(chains), -1), seed, chains, step * self.k)
        exchange = ReplicaExchange(shell.sampler())
        ladders = np.tile(betas, len(x))
        state, watched = exchange.advance(shell.freeze(), state, ladders, self.k)
        x = state.x.reshape(x.shape)
        gradients, info = contrast(shell, batch, shell.tensor(x[:, -1]))
        rates = watched["swap_acceptance"].reshape(len(x), -1)[:, :-1].mean(axis=0)
        tried = rates[np.isfinite(rates)]
        if len(tried):
            info |= {
                "swap_acceptance": float(tried.mean()),
                "least_swap_acceptance": float(tried.min()),
            }
        return Step(gradients, carried | {"x": x}, info)

    def negatives(
        self, shell: Trainable, data: np.ndarray, carried: Carried, seed: int, step: int
    ) -> np.ndarray | None:
        """The chains at beta = 1."""
        return np.ascontiguousarray(carried["x"][:, -1])


def flat_at_zero(model: Any) -> bool:
    """Whether every unit, the hidden ones too, has finitely many values: then beta = 0 is a law."""
    layers = [model.space, getattr(model, "hidden_space", model.space)]
    return all(hasattr(space, "n_values") for space in layers)
