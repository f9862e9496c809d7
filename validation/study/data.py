"""The configurations of a study, all from `ising_data`: Swendsen-Wang chains, 20 sweeps apart.

At L = 8 and 16 that is several autocorrelation times at every temperature, and each configuration
is flipped as a whole or not with even odds, so they count as independent.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ising_data import Spec, generate

from .plan import CHAINS, WRONG, Task


@dataclass(frozen=True)
class Data:
    """Configurations int8 (n, L * L) of one task: datasets of their own seeds, sharing no chain.

    Attributes
    ----------
    train, held_out : arrays
        To learn from, and to measure likelihoods on; the same for every model.
    fresh : array
        What samples are told apart from.
    control, wrong : arrays
        Exact configurations once more, and those of the wrong temperature.
    """

    train: np.ndarray
    held_out: np.ndarray
    fresh: np.ndarray
    control: np.ndarray
    wrong: np.ndarray


def load(task: Task, folder: Path) -> Data:
    """The data of a task, generated into `folder` where they are not there yet."""
    right, wrong = task.temperature, WRONG * task.temperature
    return Data(
        train=_generate(task, folder, "train", right, task.n_train),
        held_out=_generate(task, folder, "held-out", right, task.n_held_out),
        fresh=_generate(task, folder, "fresh", right, task.n_judged),
        control=_generate(task, folder, "control", right, task.n_judged),
        wrong=_generate(task, folder, "wrong", wrong, task.n_judged),
    )


def _generate(
    task: Task, folder: Path, purpose: str, temperature: float, samples: int
) -> np.ndarray:
    """Spins int8 (samples, L * L); read where they have been made before."""
    data = replace(task, model="data")  # the seeds of data do not depend on who learns them
    spec = Spec(
        "square", task.size, temperature, samples=samples, seed=data.seed_for(purpose),
        n_chains=CHAINS, spacing=20, burn_in=400,
    )  # fmt: skip
    dataset = generate(spec, folder / f"{data.name}-{purpose}.zarr", progress=False)
    return dataset.spins(dataset.spec.temperatures[0]).reshape(samples, task.size**2)
