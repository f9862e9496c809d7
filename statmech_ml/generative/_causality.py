"""Is a network autoregressive? Output i must not move when an input from i on is changed.

Tried on random configurations with one site turned over at a time, at the network's own weights
and at weights moved at random: a mask that was multiplied into the first weights once, and that
training would fill again, is found out so.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InvalidInput

_SEED = 20_190  # of the probes: the same verdict every time
_PROBES = 2
_WIDTH = 0.1  # of the random weights that are added
_ROUNDINGS = 1e3  # units of the last place, of the largest log-odds


def check_causal(network: nn.Module, size: int, n_conditions: int) -> None:
    """Raise InvalidInput for a network that is not autoregressive, or of other shapes."""
    if not isinstance(network, nn.Module) or next(network.parameters(), None) is None:
        raise InvalidInput(f"network={network!r} must be a torch module with parameters.")
    if any(isinstance(part, _BatchNorm) for part in network.modules()):
        raise InvalidInput(
            "The network normalises over the batch: what a configuration's conditionals are then "
            "depends on the others, and p(x) is no distribution. Use LayerNorm over channels, or "
            "none."
        )
    generator = torch.Generator().manual_seed(_SEED)
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for p in (p for p in moved.parameters() if p.requires_grad):
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            p.add_((_WIDTH * noise).to(p.device, p.dtype))
        for tried in (network, moved):
            for _ in range(_PROBES):
                _probe(tried, size, n_conditions, generator)


def _probe(network: nn.Module, size: int, k: int, generator: torch.Generator) -> None:
    first = next(network.parameters())
    drawn = torch.rand((1, size + k), generator=generator, dtype=torch.float64)
    row = drawn.to(first.device, first.dtype)
    row[:, :size] = 2.0 * (row[:, :size] < 0.5).to(row.dtype) - 1.0
    rows = row.repeat(size + 1, 1)
    rows[torch.arange(size), torch.arange(size)] *= -1.0  # row j has site j turned, the last none
    odds = _answer(network, rows, size, k)
    if odds.shape != (size + 1, size):
        raise InvalidInput(
            f"The network makes {tuple(rows.shape)} into {tuple(odds.shape)}; it must return one "
            f"log-odds for each of the {size} sites."
        )
    # A difference of odds that are no numbers is none: the likelihood shows those, at once.
    change = (odds[:size] - odds[size]).abs().tril().nan_to_num(0.0)  # (j, i): i <= j must not move
    scale = max(1.0, float(odds.abs().nan_to_num(0.0).max()))
    limit = _ROUNDINGS * torch.finfo(odds.dtype).eps * scale
    if float(change.max()) > limit:
        j, i = divmod(int(change.argmax()), size)
        what = "itself" if i == j else f"site {j}, which comes later"
        raise InvalidInput(
            f"The network is not autoregressive: the log-odds of site {i} depend on {what} (they "
            f"moved by {float(change.max()):.3g}; {int((change > limit).sum())} pairs do so). "
            "Output i may see the inputs before i only, at all weights that training can reach: "
            "mask the weights in forward(). See MaskedDense."
        )


def _answer(network: nn.Module, rows: Tensor, size: int, k: int) -> Any:
    training = network.training
    network.eval()
    try:
        return network(rows)
    except (RuntimeError, ValueError, IndexError) as error:
        beside = f" and {k} conditions beside them" if k else ""
        raise InvalidInput(
            f"The network does not take rows (n, {size + k}), {size} sites{beside}: {error}."
        ) from error
    finally:
        network.train(training)
