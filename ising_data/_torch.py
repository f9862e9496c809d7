"""A dataset as torch sees it; imported on first use, because it imports torch."""

from typing import Any

import numpy as np
import torch

from statmech_ml.errors import InvalidInput

from . import _layout
from .splits import Part

LABELS = ("phase", "temperature", "beta", "energy", "magnetization")


class SpinDataset(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Configurations with a label each; made by `Dataset.torch`."""

    def __init__(self, dataset: Any, part: Part | None, label: str) -> None:
        if label not in LABELS:
            raise InvalidInput(f"label={label!r} is unknown. There are {', '.join(LABELS)}.")
        spec = dataset.spec
        everything = Part(tuple(range(len(spec.temperatures))), tuple(range(spec.n_chains)))
        self.part = everything if part is None else part
        self._dataset, self._n_draws = dataset, spec.n_draws
        values = getattr(dataset, label)
        shape = (len(spec.temperatures), spec.n_chains, spec.n_draws)
        values = np.broadcast_to(values.reshape(*values.shape, *(1,) * (3 - values.ndim)), shape)
        self._labels = torch.tensor(
            np.array(values), dtype=torch.int64 if label == "phase" else torch.float32
        )
        self._packed: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.part.temperatures) * len(self.part.chains) * self._n_draws

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not -len(self) <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        which, draw = divmod(int(item) % len(self), self._n_draws)
        row, column = divmod(which, len(self.part.chains))
        t, chain = self.part.temperatures[row], self.part.chains[column]
        if t not in self._packed:
            self._packed[t] = self._dataset.packed(t)
        spins = _layout.unpack(self._packed[t][chain, draw], self._dataset.n_sites)
        shaped = spins.reshape(1, *self._dataset.grid)
        return torch.from_numpy(shaped.astype(np.float32)), self._labels[t, chain, draw]
