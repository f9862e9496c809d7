"""Autoencoders: two networks and a bottleneck between them.

    loss = <|x - xhat|^2>                                      reconstruction="mse"
    loss = -<sum_i x_i log xhat_i + (1 - x_i) log(1 - xhat_i)>  reconstruction="cross-entropy"

with xhat = decode(encode(x)), summed over sites and averaged over configurations. The linear one
finds the principal subspace, and its error is the sum of the discarded eigenvalues (`pca`).

G. E. Hinton and R. R. Salakhutdinov (2006), doi:10.1126/science.1127647. Cost: one pass through
both networks a configuration.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ..errors import InvalidInput
from ..spaces import Reals, Space, Spins
from . import networks
from ._decoders import check_finite, check_network
from ._latent import array, evaluating, seeds
from ._model import GenerativeModel, Losses
from .pca import PCA, check_width

Output = Literal["identity", "relu", "leaky_relu", "sigmoid"]
Reconstruction = Literal["mse", "cross-entropy"]

_LEAST = {"relu": 0.0, "sigmoid": 0.0}
_MOST = {"sigmoid": 1.0}


class Autoencoder(GenerativeModel):
    """Encoder, bottleneck, decoder.

    Parameters
    ----------
    space : Space
        Of the configurations.
    n_latent : int
        Numbers in the bottleneck, at most `space.size`.
    hidden : sequence of int, default (128, 64)
        Widths of the encoder's layers; the decoder's are the same, mirrored.
    rng : int or numpy Generator
        Draws the first weights. Needed unless both networks are given.
    output : "identity" (default), "relu", "leaky_relu" or "sigmoid"
        What the decoder's last layer goes through.
    reconstruction : "mse" (default) or "cross-entropy"
        Cross-entropy needs output="sigmoid" and data in [0, 1].
    act : str, default "silu"
        Activation of the hidden layers, by name (`networks.ACTIVATIONS`).
    encoder, decoder : torch modules, optional
        (n, size) -> (n, n_latent), and (n, n_latent) -> (n, size) before `output`.
    dtype : torch dtype, default float32
        Of the networks made here.

    Raises
    ------
    InvalidInput
        For settings that contradict one another, a bottleneck wider than the data, and, in `fit`
        and the rest, data that the output cannot write.

    Examples
    --------
    >>> from statmech_ml.spaces import Bits
    >>> settings = {"output": "sigmoid", "reconstruction": "cross-entropy"}
    >>> model = Autoencoder(Bits(6), 2, (8,), rng=1, **settings)
    >>> model.encode([[0, 1, 1, 0, 0, 1]]).shape
    (1, 2)
    """

    def __init__(
        self,
        space: Space,
        n_latent: int,
        hidden: Sequence[int] = (128, 64),
        *,
        rng: Any = None,
        output: Output = "identity",
        reconstruction: Reconstruction = "mse",
        act: str = "silu",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(space)
        check_width("n_latent", n_latent, space.size)
        self.n_latent, self.output, self.reconstruction = int(n_latent), output, reconstruction
        self._check_settings()
        hidden = networks.layer_widths(hidden)
        first, second = seeds(rng, 2) if encoder is None or decoder is None else (0, 0)
        if encoder is None:
            encoder = networks.dense(space.size, n_latent, hidden, rng=first, act=act, dtype=dtype)
        if decoder is None:
            decoder = networks.dense(
                n_latent, space.size, hidden[::-1], rng=second, act=act, dtype=dtype
            )
        check_network(encoder, "encoder", space.size, n_latent)
        check_network(decoder, "decoder", n_latent, space.size)
        self.encoder, self.decoder = encoder, decoder
        self.last = networks.activation(output)()

    def _check_settings(self) -> None:
        if self.output not in ("identity", "relu", "leaky_relu", "sigmoid"):
            raise InvalidInput(
                f"output={self.output!r} is not one of identity, relu, leaky_relu, sigmoid."
            )
        if self.reconstruction not in ("mse", "cross-entropy"):
            raise InvalidInput(
                f"reconstruction={self.reconstruction!r} is not one of mse, cross-entropy."
            )
        if self.reconstruction == "cross-entropy" and self.output != "sigmoid":
            raise InvalidInput(
                f"Cross-entropy compares probabilities, and output={self.output!r} gives numbers "
                "outside [0, 1]. Use output='sigmoid'."
            )
        if self.output in _LEAST and isinstance(self.space, Spins):
            raise InvalidInput(
                f"output={self.output!r} writes no -1, but the configurations are spins. Use "
                "output='identity', or Bits: (s + 1) / 2."
            )

    def check_data(self, x: np.ndarray) -> None:
        """Refuse values that the output never reaches."""
        low, high = _LEAST.get(self.output, -np.inf), _MOST.get(self.output, np.inf)
        if x.min() < low or x.max() > high:
            found = x.min() if x.min() < low else x.max()
            raise InvalidInput(
                f"The data hold {found:.4g}, which output={self.output!r} never reaches (its "
                f"values lie in [{low:g}, {high:g}]). Rescale the data, or use output='identity'."
            )

    def losses(self, x: Tensor, condition: Tensor | None, generator: torch.Generator) -> Losses:
        """The reconstruction error, a mean over the batch."""
        return {"loss": self._errors(x).mean()}

    def _errors(self, x: Tensor) -> Tensor:
        """Of each configuration, summed over sites."""
        out = self.decoder(self.encoder(x))
        if self.reconstruction == "mse":
            return ((x - self.last(out)) ** 2).sum(-1)
        return binary_cross_entropy_with_logits(out, x, reduction="none").sum(-1)

    def _draw(self, n: int, condition: Tensor | None, generator: torch.Generator) -> Tensor:
        raise InvalidInput(
            f"{type(self).__name__} has no distribution over its latents, so there is nothing to "
            "draw from. Use a VAE."
        )

    # --- what users call --------------------------------------------------------------------------

    def encode(self, x: Any) -> np.ndarray:
        """Latents float64 (n, n_latent) of configurations (n, size)."""
        with evaluating(self):
            return array(check_finite(self.encoder(self.configurations(x)), "encoder"))

    def decode(self, h: Any) -> np.ndarray:
        """Reconstructions float64 (n, size) from latents (n, n_latent)."""
        rows = Reals(self.n_latent).check(h, "h")
        if rows.ndim != 2:
            raise InvalidInput(f"h has shape {rows.shape}; rows (n, {self.n_latent}) are needed.")
        with evaluating(self):
            return array(check_finite(self.last(self.decoder(self.tensor(rows))), "decoder"))

    def reconstruct(self, x: Any) -> np.ndarray:
        """decode(encode(x)), float64 (n, size)."""
        return self.decode(self.encode(x))

    def error(self, x: Any) -> np.ndarray:
        """Reconstruction error of each configuration, summed over sites, float64 (n,)."""
        with evaluating(self):
            return array(check_finite(self._errors(self.configurations(x)), "decoder"))

    def extra_repr(self) -> str:
        """Settings that the networks do not show."""
        return f"n_latent={self.n_latent}, reconstruction={self.reconstruction!r}"


class LinearAutoencoder(Autoencoder):
    """xhat = W (V x + c) + b: fitted by gradient (`fit`) or in closed form (`solve`), it spans the
    principal subspace.

    Parameters
    ----------
    size, n_latent : int
    rng : int or numpy Generator
        Draws the first weights.
    dtype : torch dtype, default float32

    Notes
    -----
    Every other critical point of the loss is a saddle (Baldi and Hornik 1989), so `fit` arrives if
    it is given the steps. A whole-batch Adam with a falling rate reaches the minimum to rounding;
    minibatches hover about it.
    """

    def __init__(
        self, size: int, n_latent: int, *, rng: Any, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(Reals(size), n_latent, (), rng=rng, dtype=dtype)

    def solve(self, data: Any) -> PCA:
        """Take the closed-form minimum: encoder and decoder project on the principal components of
        the data, which are returned."""
        pca = PCA.of(self.checked(data, "data"), self.n_latent)
        with torch.no_grad():
            for layer, weight, bias in (
                (self._layer("encoder"), pca.components, -pca.components @ pca.mean),
                (self._layer("decoder"), pca.components.T, pca.mean),
            ):
                layer.weight.copy_(self.tensor(np.ascontiguousarray(weight)))
                layer.bias.copy_(self.tensor(bias))
        return pca

    @property
    def basis(self) -> np.ndarray:
        """Columns (size, n_latent) that span what the decoder can write about its bias, float64."""
        return array(self._layer("decoder").weight)

    def _layer(self, name: str) -> nn.Linear:
        layer = getattr(self, name)[0]
        assert isinstance(layer, nn.Linear)
        return layer
