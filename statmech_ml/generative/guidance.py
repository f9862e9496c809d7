"""Posterior sampling: a diffusion model times a likelihood of what was measured.

p(x_0 | y) ~ p(x_0) p(y | x_0) is diffused by the score of its own noisy law, which by Bayes and
Tweedie's formula is a guess of x_0 that has seen y too:

    E[x_0 | x_t, y] = E[x_0 | x_t] + v / a  grad log p(y | x_t),   a^2 = abar, v = 1 - abar.

p(y | x_t) is the likelihood averaged over what x_t leaves open of x_0.

`LinearMeasurement`: y = A x_0 + noise of covariance R. With g = E[x_0 | x_t] and
C = Cov[x_0 | x_t] = (v / a) dg/dx (Tweedie's formula of second order), and x_0 | x_t taken for
normal,

    E[x_0 | x_t, y] = g + C A^T (A C A^T + R)^-1 (y - A g).

Exact for Gaussian data; for others it is an approximation, as C alone describes a spread that need
not be normal (B. Boys et al. 2023, arXiv:2310.06721). It costs one derivative of the network for
each measured number.

`GradientGuide`: any differentiable log-likelihood, taken at g as if x_t left nothing open (H. Chung
et al. 2022, arXiv:2209.14687): an approximation even for Gaussian data.

Both speak of configurations in the units of the model's space: of a model of bits they see bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import InvalidInput
from ._diffusion_elbo import amplitudes


class LinearMeasurement:
    """y = A x_0 + noise, noise ~ N(0, R).

    Parameters
    ----------
    matrix : array (m, size)
        A.
    values : array (m,)
        y.
    noise : float or array (m, m)
        R; a number is the variance of every measured value.

    Raises
    ------
    InvalidInput
        For shapes that do not fit, and noise that is no covariance.
    """

    def __init__(self, matrix: ArrayLike, values: ArrayLike, noise: ArrayLike) -> None:
        A, y, R = (
            _array(name, value)
            for name, value in (("matrix", matrix), ("values", values), ("noise", noise))
        )
        if A.ndim != 2 or y.shape != (len(A),) or not len(A):
            raise InvalidInput(
                f"matrix has shape {A.shape} and values {y.shape}; (m, size) and (m,) are needed."
            )
        R = R * np.eye(len(A)) if R.ndim == 0 else R
        if R.shape != (len(A), len(A)):
            raise InvalidInput(
                f"noise has shape {R.shape}; a variance or ({len(A)}, {len(A)}) is needed."
            )
        if not all(np.isfinite(part).all() for part in (A, y, R)):
            raise InvalidInput("matrix, values or noise hold a number that is not finite.")
        if not np.array_equal(R, R.T) or np.linalg.eigvalsh(R)[0] <= 0.0:
            raise InvalidInput(
                "noise must be a covariance, symmetric and positive definite. A measurement "
                "without noise is the limit of a small variance."
            )
        self.matrix, self.values, self.noise = A, y, R

    def check(self, model: Any) -> None:
        """Raise InvalidInput for a model of another size."""
        if self.matrix.shape[1] != model.space.size:
            raise InvalidInput(
                f"The measurement is of {self.matrix.shape[1]} coordinates, and the model has "
                f"{model.space.size}."
            )

    def guess(self, model: Any, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """E[x_0 | x_t, y] (n, size), at levels (n, 1) float64."""
        A, y, R = (
            torch.as_tensor(part, device=x.device)
            for part in (self.matrix, self.values, self.noise)
        )
        # y = A x with x = b + c g in the guess's units: a measurement of g, less A b.
        zeros = torch.zeros(A.shape[1], dtype=A.dtype, device=A.device)
        y = y - A @ model.as_configurations(zeros)
        A = A * (model.as_configurations(zeros + 1.0) - model.as_configurations(zeros))
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            guess = model.guess(noisy, log_snr, condition)
            seen = guess.double() @ A.T
            # dg/dx is symmetric, being a covariance: row i of A C is C A_i as well.
            columns = [
                torch.autograd.grad(seen[:, i].sum(), noisy, retain_graph=i + 1 < len(A))[0]
                for i in range(len(A))
            ]
        # In doubles: rows that are nearly alike and a small noise are close to singular.
        a, s = amplitudes(log_snr, torch.float64)
        CA = (s**2 / a)[:, :, None] * torch.stack(columns, dim=2).double()  # (n, size, m)
        spread = A @ CA + R
        # What a trained network says of C need not be symmetric to the last digit.
        spread = 0.5 * (spread + spread.transpose(1, 2))
        pull, singular = torch.linalg.solve_ex(spread, (y - seen.detach())[:, :, None])
        if bool(singular.any()):
            raise InvalidInput(
                "The covariance of the measured values is singular at one noise level: rows of "
                "the matrix say the same, or the noise is too small. Leave rows out, or raise it."
            )
        return guess.detach() + (CA @ pull)[:, :, 0].to(x.dtype)


class GradientGuide:
    """A log-likelihood of one's own, taken at the guess of x_0.

    Parameters
    ----------
    log_likelihood : callable
        log p(y | x) of configurations, tensor (n, size) -> (n,), differentiable. Of spins and
        bits it sees their expected values, real numbers.
    """

    def __init__(self, log_likelihood: Callable[[Tensor], Tensor]) -> None:
        if not callable(log_likelihood):
            raise InvalidInput(
                f"log_likelihood={log_likelihood!r} must be a function of a tensor (n, size)."
            )
        self.log_likelihood = log_likelihood

    def check(self, model: Any) -> None:
        """Nothing to refuse before the first call."""

    def guess(self, model: Any, x: Tensor, log_snr: Tensor, condition: Tensor | None) -> Tensor:
        """E[x_0 | x_t, y] (n, size), at levels (n, 1) float64; an approximation."""
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            guess = model.guess(noisy, log_snr, condition)
            value = self.log_likelihood(model.as_configurations(guess))
            if not isinstance(value, Tensor) or not value.requires_grad:
                raise InvalidInput(
                    "log_likelihood answers something that cannot be differentiated: compute it "
                    "from the given tensor with torch's functions, without numpy or detach."
                )
            if value.shape != x.shape[:1]:
                raise InvalidInput(
                    f"log_likelihood answers {tuple(value.shape)} to {tuple(x.shape)}; one number "
                    "for each configuration is needed."
                )
            (slope,) = torch.autograd.grad(value.sum(), noisy)
        a, s = amplitudes(log_snr, x.dtype)
        return guess.detach() + s**2 / a * slope


def _array(name: str, value: ArrayLike) -> np.ndarray:
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}={value!r} must be an array of numbers.") from error
