"""The start of every log Z that training counts: the shell's model with its interactions set to 0.

Units are independent then, u(x) = c + sum_i u_i(x_i), so that

    log Z = -u(x_0) + sum_i log sum_k exp(u_i(x_0i) - u_i(k)),

for any x_0, and draws are exact, unit by unit. Normal units have their closed form. Which
parameters are interactions the shell says (`Trainable.decayed`: matrices and kernels, no biases),
and whether the units are independent without them is checked on the draws.
"""

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _rng
from ..errors import InvalidInput
from .shell import Trainable

_TOLERANCE = 1e-9  # of energies that must add up, relative to the largest


class Start(NamedTuple):
    """Exact draws (chain, size) of the model without interactions, and its log Z."""

    x: np.ndarray
    log_z: float


def parameters_of(shell: Trainable) -> dict[str, np.ndarray]:
    """Copies of all parameters, by name."""
    return {name: p.detach().cpu().numpy().copy() for name, p in shell.named_parameters()}


def with_parameters(shell: Trainable, values: dict[str, np.ndarray]) -> Trainable:
    """A copy of the shell with other parameters."""
    other = copy.deepcopy(shell)
    with torch.no_grad():
        for name, p in other.named_parameters():
            p.copy_(torch.as_tensor(values[name], device=p.device))
    return other


def scaled(shell: Trainable, scale: float) -> Trainable:
    """A copy of the shell with its interactions times `scale`."""
    values = parameters_of(shell)
    return with_parameters(
        shell, {n: v * v.dtype.type(scale) if n in shell.decayed else v for n, v in values.items()}
    )


def check_start(shell: Trainable, method: str) -> None:
    """Raise unless the shell's sampler keeps the model's law, and a start with log Z is known."""
    sampler = shell.sampler()
    sampler.check(shell.freeze())
    if not sampler.invariant:
        raise InvalidInput(
            f"{sampler!r} does not leave the model's law invariant, so weights and swaps would not "
            f"belong to its chains. {method} needs moves that do, such as BlockGibbs()."
        )
    independent(shell, 2, 0)


def independent(shell: Trainable, n: int, seed: int) -> Start:
    """n exact draws without interactions, and log Z; InvalidInput where units still interact."""
    model = scaled(shell, 0.0).freeze()
    chains = np.arange(n, dtype=np.uint32)
    if hasattr(model.space, "n_values"):
        start, expected = _discrete(model, seed, chains)
    elif hasattr(model, "visible_normal"):
        start, expected = _normal(model, seed, chains)
    else:
        raise InvalidInput(
            f"log Z of {model!r} is known nowhere: its units are real and have no normal law. A "
            "method that counts log Z from a known start trains RBMs and Boltzmann machines; use "
            "PersistentCD or LangevinReplay."
        )
    u = np.asarray(model.reduced_energy(start.x, 1.0))
    if not np.allclose(u, expected, rtol=_TOLERANCE, atol=_TOLERANCE * (1.0 + np.abs(u).max())):
        raise InvalidInput(
            f"{model!r} still has interactions when {', '.join(shell.decayed) or 'nothing'} is set "
            "to zero, so its log Z is not known and there is no start to count from. Use "
            "PersistentCD or TemperedPCD, and estimate log Z afterwards (partition.ais)."
        )
    return start


def _discrete(model: Any, seed: int, chains: np.ndarray) -> tuple[Start, np.ndarray]:
    """Draws from the law of each unit, found by changing one at a time."""
    space = model.space
    base = np.broadcast_to(space.values[0], (space.size,)).astype(space.dtype)
    changed = np.broadcast_to(base, (space.n_values, space.size, space.size)).copy()
    for k, value in enumerate(space.values):
        np.einsum("ii->i", changed[k])[:] = value
    flat = np.asarray(model.reduced_energy(changed.reshape(-1, space.size), 1.0))
    here = float(model.reduced_energy(base[None], 1.0)[0])
    own = flat.reshape(space.n_values, space.size).T - here  # (unit, value)
    weight = np.exp(-(own - own.min(axis=1, keepdims=True)))
    total = weight.sum(axis=1)
    log_z = -here + float((np.log(total) - own.min(axis=1)).sum())
    edges = np.cumsum(weight / total[:, None], axis=1)[:, :-1]
    words = _rng.words(seed, chains, 0, _rng.REFERENCE, 0, 2 * space.size).astype(np.float64)
    uniform = (words[:, : space.size] + words[:, space.size :] / 2**32) / 2**32
    k = (uniform[..., None] >= edges).sum(axis=-1)
    energy = here + own[np.arange(space.size), k].sum(axis=1)
    return Start(space.values[k].astype(space.dtype), log_z), energy


def _normal(model: Any, seed: int, chains: np.ndarray) -> tuple[Start, np.ndarray]:
    """Normal units around their biases."""
    silent = np.zeros((1, model.hidden_space.size))
    mean, width = (np.asarray(part)[0] for part in model.visible_normal(silent, np.ones(1)))
    noise = _rng.normals(seed, chains, 0, _rng.REFERENCE, 0, model.space.size)
    here = float(model.reduced_energy(mean[None], 1.0)[0])
    log_z = -here + float((np.log(width) + 0.5 * math.log(2.0 * math.pi)).sum())
    return Start(mean + width * noise, log_z), here + 0.5 * (noise**2).sum(axis=1)
