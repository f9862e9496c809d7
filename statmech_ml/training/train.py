"""The training loop."""

from typing import Any

import numpy as np
import torch

from .. import _rng
from .method import Method
from .shell import Trainable


def train(
    shell: Trainable,
    data: Any,
    method: Method,
    *,
    epochs: int,
    rng: Any,
    batch_size: int = 100,
    learning_rate: float = 0.01,
) -> None:
    """Minimal loop, being written."""
    seed = _rng.seed_from(rng)
    x = shell.space.check(data, "data")
    method.check(shell, x)
    batches = shell.tensor(x)
    carried = method.init(shell, x, seed)
    parameters = dict(shell.named_parameters())
    step = 0
    for epoch in range(epochs):
        keys = _rng.words(seed, np.zeros(1, np.uint32), epoch, _rng.MINIBATCH, 0, 2 * len(x))
        order = torch.from_numpy(np.argsort(keys.view(np.uint64)[0], kind="stable"))
        for first in range(0, len(x), batch_size):
            batch = batches[order[first : first + batch_size]]
            before = {n: p.detach().clone() for n, p in parameters.items()}
            found = method.gradient(shell, batch, carried, seed, step)
            with torch.no_grad():
                for name, p in parameters.items():
                    p -= learning_rate * found.gradients[name]
            carried, _ = method.stepped(shell, before, found.carried, seed, step)
            step += 1
