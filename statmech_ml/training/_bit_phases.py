"""Phases of an RBM of two-valued units from compiled sums instead of matrix products.

    sum_r share_r dF/dtheta,    F(v) = -a.v - sum_j L(f_j),    f = b + v.W

Configurations are bits, so v.W and v^T <h> are sums of rows, looked up in tables
(`samplers._cpu.bit_layers`), and means and free energies come out of the same pass. Matrix products
overtake it on many threads.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..samplers._cpu import bit_layers, bit_phases
from ..samplers.base import over_chains
from .shell import Gradients

_ENOUGH = 64  # rows, below which a matrix product is as fast
_ENOUGH_STEP = 16  # rows of a whole step of PCD
_THREADS = 2  # of a matrix product that are as fast as one here


def suits(shell: Any, x: Tensor, n_chains: int = 0) -> bool:
    """Whether `phase_sums` takes this `TrainableRBM` and batch, and is the faster way; or
    `persistent`, with that many chains beside it."""
    return bool(
        shell.visible in ("bits", "spins")
        and shell.hidden in ("bits", "spins")
        and x.dtype == shell.dtype == torch.float32
        and x.device.type == "cpu"
        and len(x) + n_chains >= (_ENOUGH_STEP if n_chains else _ENOUGH)
        and torch.get_num_threads() <= _THREADS
        # Means of bits are data too where nobody forbids them (`RBMEstimator`).
        and bit_phases.two_valued(x.numpy(), -1 if shell.visible == "spins" else 0, 1)
    )


def persistent(
    shell: Any, data: Tensor, h: np.ndarray, k: int, seed: int, step: int
) -> tuple[Gradients, list[float], np.ndarray, np.ndarray]:
    """A step of PCD-k of chains whose hidden units are h int8 (chain, n_hidden): the gradient, the
    means of F over both phases, and v and h of the chains afterwards."""
    n_chains, n_hidden = h.shape
    spins = shell.visible == "spins", shell.hidden == "spins"
    lows, steps = tuple(-int(s) for s in spins), tuple(1 + int(s) for s in spins)
    a, b, w = (p.detach().numpy() for p in (shell.visible_bias, shell.hidden_bias, shell.weights))
    layers, key = (w, a, b, lows, steps), np.uint64(seed)
    chains, v = np.arange(n_chains, dtype=np.uint32), np.empty((n_chains, len(a)), np.int8)

    def run(part: slice) -> None:
        bit_phases.walk(h[part], *layers, key, chains[part], step * k, k, v[part])

    over_chains(n_chains, k * (v.size + h.size), run)
    sums, products = np.empty(len(a) + n_hidden, np.float32), np.empty_like(w)
    energies, after = np.empty(2), np.empty_like(h)
    bit_phases.phases(
        data.numpy(), v, *layers, key, chains, (step + 1) * k, sums, products, energies, after
    )
    gradients = {
        "visible_bias": torch.from_numpy(sums[: len(a)]),
        "hidden_bias": torch.from_numpy(sums[len(a) :]),
        "weights": torch.from_numpy(products),
    }
    return gradients, energies.tolist(), v, after


def phase_sums(shell: Any, x: Tensor, share: Tensor) -> tuple[Gradients, Tensor]:
    """Sum of share dF/dtheta over configurations x (n, n_visible), and F of each (n,)."""
    space = shell.space
    low, step = space.values[0], np.float32(space.step)
    a, b, w = (p.detach().numpy() for p in (shell.visible_bias, shell.hidden_bias, shell.weights))
    v, r = np.ascontiguousarray(x.numpy()), -share.numpy()[:, None]
    n, n_hidden = len(v), len(b)
    codes = np.empty((n, bit_layers.padded(v.shape[1]) // 4), np.uint8)
    bit_layers.pack(v, low, codes)
    bias = np.full(bit_layers.padded(n_hidden), -np.inf, np.float32)
    bias[:n_hidden] = b + low * w.sum(axis=0) if low else b
    h, log_sums = np.empty((n, n_hidden), np.float32), np.empty(n)
    scale = np.float32(2.0 if shell.hidden == "spins" else 1.0)
    bit_layers.means(codes, w, step, bias, scale, h, log_sums)
    # By torch: numpy would warn of flags that BLAS raises behind the end of a short row.
    energy = -(x @ torch.from_numpy(a)).numpy() - log_sums
    if shell.hidden == "spins":  # <h> = 2 sigmoid(2 f) - 1, log 2 cosh f = log(1 + exp(2 f)) - f
        h = 2.0 * h - np.float32(1.0)
        energy += (x @ torch.from_numpy(w.sum(axis=1))).numpy() + b.sum()
    h *= r
    total = h.sum(axis=0)
    codes = np.empty((v.shape[1], bit_layers.padded(n) // 4), np.uint8)
    bit_layers.pack_transposed(v, low, codes)
    base = np.zeros(bit_layers.padded(n_hidden), np.float32)
    base[:n_hidden] = low * total
    products = np.empty(w.shape, np.float32)
    bit_layers.product(codes, h, step, base, products)
    found = {"hidden_bias": total, "weights": products}
    gradients = {name: torch.from_numpy(value) for name, value in found.items()}
    gradients["visible_bias"] = -(share @ x)
    return gradients, torch.from_numpy(energy.astype(np.float32))
