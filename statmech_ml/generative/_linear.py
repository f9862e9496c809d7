"""Linear-Gaussian parts, of which everything is known: an affine encoder of constant variance, and
the evidence of data under a normal law."""

from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn

from ..errors import InvalidInput
from ._decoders import LOG_2_PI
from .likelihood import LogLikelihood
from .networks import check_dtype, draw_weights, empty_layer


class AffineNormal(nn.Module):
    """(n, n_in) -> (n, 2 n_out): means W x + b, and log variances that do not depend on x."""

    def __init__(self, n_in: int, n_out: int, *, rng: Any, dtype: torch.dtype) -> None:
        super().__init__()
        check_dtype(dtype)
        affine = empty_layer(nn.Linear, n_in, n_out).to(dtype)
        draw_weights(affine, rng)
        self.affine = affine
        self.log_variance = nn.Parameter(torch.zeros(n_out, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Means, then log variances."""
        mean = self.affine(x)
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=-1)


def put(parameter: Any, values: Any) -> None:
    """Give a parameter these values."""
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(np.array(values), dtype=parameter.dtype))


def normal_evidence(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> LogLikelihood:
    """log N(x; mean, covariance) of rows x, exact. InvalidInput for a singular covariance."""
    try:
        root = linalg.cholesky(covariance, lower=True)
    except (linalg.LinAlgError, ValueError) as error:
        raise InvalidInput(
            f"The model's covariance is not positive definite ({error}): its parameters are no "
            "numbers, or its variance is zero."
        ) from error
    away = linalg.solve_triangular(root, (x - mean).T, lower=True)
    log_det = 2.0 * np.log(np.diag(root)).sum()
    values = -0.5 * ((away**2).sum(axis=0) + log_det + len(mean) * LOG_2_PI)
    return LogLikelihood(values, np.zeros(len(x)), "exact", "normal marginal")
