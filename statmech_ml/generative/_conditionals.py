"""One site of an autoregressive draw: up with its probability."""

import torch
from torch import Tensor


def drawn_signs(uniforms: Tensor, log_odds: Tensor, dtype: torch.dtype) -> Tensor:
    """+1 where a uniform number lies below the probability of these log-odds, else -1. Log-odds
    that are NaN stay so, where a comparison would draw -1 and say nothing."""
    p = torch.sigmoid(log_odds.double())
    return (2.0 * (uniforms < p) - 1.0 + 0.0 * p).to(dtype)
