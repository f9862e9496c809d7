"""Score matching: training of densities on R^d without samples of the model and without log Z.

The score of a density is s(x) = grad log p(x) = -grad F(x); log Z drops out of it. Each loss is an
average over the data whose minimum is where the scores agree:

    exact      1/2 |grad F(x)|^2 - tr H(x),                     H the Hessian of F by x
    sliced     1/2 |grad F(x)|^2 - mean over v of v.H(x).v,     <v v^T> = I
    denoising  1/2 |grad F(x + sigma e) - e / sigma|^2,         e ~ N(0, I)

exact: A. Hyvarinen, J. Mach. Learn. Res. 6, 695 (2005), theorem 1. sliced: Y. Song, S. Garg, J. Shi
and S. Ermon, UAI (2019), arXiv:1905.07088, eq. 8 (variance reduced), here with v of random signs;
unbiased for the exact one. denoising: P. Vincent, Neural Comput. 23, 1661 (2011),
doi:10.1162/NECO_a_00142, eq. 9; what it learns is the density of the data *smoothed* by a Gaussian
of standard deviation sigma, not that of the data.

For F = x.P.x / 2 and data with second moments C the exact loss is tr(P C P) / 2 - tr P, with its
minimum at P = C^-1; the denoising one ends at P = (C + sigma^2 I)^-1.

All three see the data only where they are: the weights of modes that lie far apart are not learnt
(the score within a mode does not know them), and nothing is learnt about regions between them.

Cost a step, in forward and backward passes of the batch: exact d + 2, sliced n_projections + 2,
denoising 2, and one more backward pass through all of that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from .. import _rng
from ..errors import InvalidInput
from ..spaces import Reals
from ._arguments import check_at_least, configurations
from .method import Carried, Method, Step
from .shell import Trainable

FreeEnergy = Callable[[Tensor], Tensor]

_NOISE, _SIGNS = 1, 2  # colours of the random streams of a step

# Activations whose second derivative vanishes almost everywhere.
_PIECEWISE_LINEAR = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardtanh, nn.Threshold, nn.Hardsigmoid,
)  # fmt: skip


@dataclass(frozen=True)
class ScoreMatching(Method):
    """Training by agreement of scores, for any shell on real coordinates.

    Parameters
    ----------
    kind : "exact", "denoising" or "sliced", default "exact"
    sigma : float, optional
        Width of the noise, in the units of x; needed by "denoising" and by nothing else. The
        density that is learnt is that of the data smoothed by it.
    n_projections : int, default 1
        Random directions per configuration of "sliced".

    A step's info holds "loss", and "energy_data", the mean of F over the batch.

    Raises
    ------
    InvalidInput
        For a kind that is unknown, sigma <= 0, missing or without use, and n_projections < 1.

    >>> ScoreMatching("denoising", sigma=0.1)
    ScoreMatching(kind='denoising', sigma=0.1, n_projections=1)
    """

    kind: Literal["exact", "denoising", "sliced"] = "exact"
    sigma: float | None = None
    n_projections: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "denoising", "sliced"):
            raise InvalidInput(f"kind={self.kind!r} must be 'exact', 'denoising' or 'sliced'.")
        if (self.sigma is None) == (self.kind == "denoising"):
            raise InvalidInput(
                f"sigma={self.sigma!r} with kind={self.kind!r}: the width of the noise belongs to "
                "'denoising', which needs one, such as a tenth of the data's standard deviation."
            )
        if self.sigma is not None and not (np.isfinite(self.sigma) and self.sigma > 0.0):
            raise InvalidInput(
                f"sigma={self.sigma!r} must be positive and finite: without noise nothing is "
                "denoised. Use kind='exact' or 'sliced'."
            )
        check_at_least("n_projections", self.n_projections, 1, "directions")

    def check(self, shell: Trainable, data: np.ndarray) -> None:
        """Raise InvalidInput for discrete units, data off the space, and networks with kinks."""
        check_real(shell, data, "Score matching")
        kinks = sorted({type(m).__name__ for m in shell.modules() if _is_kinked(m)})
        if kinks and self.kind != "denoising":
            raise InvalidInput(
                f"{self.kind} score matching needs the second derivative of the energy, which "
                f"vanishes for piecewise linear networks ({', '.join(kinks)}). Use SiLU, Softplus "
                "or Tanh, or kind='denoising'."
            )

    def gradient(
        self, shell: Trainable, batch: Tensor, carried: Carried, seed: int, step: int
    ) -> Step:
        """Gradient of the mean loss over the batch (n, size)."""
        named = {n: p for n, p in shell.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            loss = self.losses(shell, batch, seed, step).mean()
            found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
        gradients = {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(named.items(), found, strict=True)
        }
        with torch.no_grad():
            energy = shell.free_energy(batch).mean()
        info = {"loss": float(loss.detach()), "energy_data": float(energy)}
        return Step(gradients, carried, info)

    def losses(self, shell: Trainable, x: Tensor, seed: int, step: int) -> Tensor:
        """The loss of each row of x (n, size), (n,), differentiable by the parameters."""
        if self.sigma is not None:
            return denoising(shell.free_energy, x, _normals(x, seed, step), self.sigma)
        if self.kind == "sliced":
            return sliced(shell.free_energy, x, _signs(x, self.n_projections, seed, step))
        return exact(shell.free_energy, x)


def exact(free_energy: FreeEnergy, x: Tensor) -> Tensor:
    """1/2 |grad F|^2 - tr H of each row, (n, size) -> (n,)."""
    x, slope = _slope(free_energy, x)
    trace = torch.zeros_like(slope[:, 0])
    for i in range(x.shape[1]):
        trace = trace + _derivative(slope[:, i], x)[:, i]
    return 0.5 * (slope * slope).sum(dim=1) - trace


def sliced(free_energy: FreeEnergy, x: Tensor, directions: Tensor) -> Tensor:
    """1/2 |grad F|^2 - mean of v.H.v over directions (k, n, size), of each row, (n,)."""
    x, slope = _slope(free_energy, x)
    curvature = torch.zeros_like(slope[:, 0])
    for v in directions:
        curvature = curvature + (_derivative((slope * v).sum(dim=1), x) * v).sum(dim=1)
    return 0.5 * (slope * slope).sum(dim=1) - curvature / len(directions)


def denoising(free_energy: FreeEnergy, x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """1/2 |grad F(x + sigma e) - e / sigma|^2 of each row, noise e (n, size), (n,)."""
    _, slope = _slope(free_energy, x + sigma * noise)
    miss = slope - noise / sigma
    return 0.5 * (miss * miss).sum(dim=1)


def check_real(shell: Trainable, data: Any, who: str) -> None:
    """InvalidInput unless the shell's units are real and the data configurations of them."""
    if not isinstance(shell.space, Reals):
        raise InvalidInput(
            f"{who} differentiates by the configuration, but the units of {type(shell).__name__} "
            f"are discrete: {shell.space}. Use PersistentCD, or TemperedPCD."
        )
    configurations(shell, data, "data")


def _slope(free_energy: FreeEnergy, x: Tensor) -> tuple[Tensor, Tensor]:
    """x as a leaf, and dF/dx (n, size) with a graph."""
    x = x.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(free_energy(x).sum(), x, create_graph=True)
    return x, slope


def _derivative(values: Tensor, x: Tensor) -> Tensor:
    """Derivative of each row's value by its row of x, (n, size), with a graph; 0 where there is
    none.
    """
    if not values.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(values.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def _is_kinked(module: nn.Module) -> bool:
    return isinstance(module, _PIECEWISE_LINEAR)


def _rows(x: Tensor) -> np.ndarray:
    return np.arange(len(x), dtype=np.uint32)


def _normals(x: Tensor, seed: int, step: int) -> Tensor:
    """Standard normals of the shape of x, addressed by (seed, row, step)."""
    w = _rng.normals(seed, _rows(x), step, _rng.TRAINING, _NOISE, x.shape[1])
    return torch.from_numpy(w).to(x)


def _signs(x: Tensor, n: int, seed: int, step: int) -> Tensor:
    """Random signs (n, *x.shape), addressed by (seed, row, step)."""
    size = x.shape[1]
    words = _rng.words(seed, _rows(x), step, _rng.TRAINING, _SIGNS, n * size)
    signs = (words >> np.uint32(31)).astype(np.float64) * 2.0 - 1.0
    return torch.from_numpy(signs.reshape(len(x), n, size)).to(x).transpose(0, 1)
