"""The centred gradient of restricted Boltzmann machines.

With offsets mu of the features f of the visible units and lambda of the hidden ones, the energy
-(f - mu).W.(h - lambda) + ... is the same machine with other biases; its gradient, taken back to
the biases of the plain form, is

    dW' = dW - mu db^T - da lambda^T + decay W,    da' = da - dW' lambda,    db' = db - dW'^T mu,

with the decay of the weights in dW' before it is taken back: added afterwards it would move W
without the biases, and pull training to another optimum. The gradient does not change when units
are relabelled 0 <-> 1, and steps towards the same fixed points. mu is the mean of the data, lambda
a running mean of <h|v> over batches, with the rate 0.01 of the reference: J. Melchior, A. Fischer
and L. Wiskott, J. Mach. Learn. Res. 17, 99 (2016), arXiv:1311.1354, algorithm 1 (the variant "dd");
G. Montavon and K.-R. Mueller (2012), doi:10.1007/978-3-642-35289-8_33.
"""

import torch
from torch import Tensor

from .rbm import TrainableRBM
from .shell import Gradients

RATE = 0.01
"""Weight of the latest batch in the running mean of the hidden units."""


class Centring:
    """Offsets of both layers, and what they make of a gradient.

    Attributes
    ----------
    visible : Tensor (n_features,)
        mu, the mean of the features of the data.
    hidden : Tensor (n_hidden,)
        lambda. It starts as the mean of <h|v> over all data.
    """

    def __init__(self, shell: TrainableRBM, data: Tensor, rows: int = 4096) -> None:
        with torch.no_grad():
            # In parts: the one-hot code of a large data set need not stand in memory at once.
            parts = [shell.features(part) for part in data.split(rows)]
            self.visible = torch.stack([f.sum(dim=0) for f in parts]).sum(dim=0) / len(data)
            means = [shell.hidden_mean(part).sum(dim=0) for part in data.split(rows)]
            self.hidden = torch.stack(means).sum(dim=0) / len(data)

    def follow(self, shell: TrainableRBM, batch: Tensor) -> None:
        """Move the hidden offsets towards the mean of this batch."""
        with torch.no_grad():
            self.hidden = torch.lerp(self.hidden, shell.hidden_mean(batch).mean(dim=0), RATE)

    def __call__(self, plain: Gradients, decay: Tensor | None = None) -> Gradients:
        """The centred gradient, of the shapes of the plain one.

        `decay` is what weight decay adds to the gradient by the weights, of their shape.
        """
        shape, n_hidden = plain["weights"].shape, len(self.hidden)
        a, b = plain["visible_bias"].flatten(), plain["hidden_bias"]
        w = plain["weights"].reshape(-1, n_hidden)
        w = w - torch.outer(self.visible, b) - torch.outer(a, self.hidden)
        if decay is not None:
            w = w + decay.reshape(-1, n_hidden)
        return plain | {
            "weights": w.reshape(shape),
            "visible_bias": (a - w @ self.hidden).reshape(plain["visible_bias"].shape),
            "hidden_bias": b - self.visible @ w,
        }
