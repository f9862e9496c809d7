"""What the tests of diffusion models share: perfect networks, and closed forms of their bound."""

import numpy as np
import torch

from statmech_ml.exact.targets import Gaussian
from statmech_ml.generative import DiffusionModel, ExactDenoiser
from statmech_ml.spaces import Reals

# Neither centred nor symmetric, and correlated: a sign or a transpose that is wrong shows.
MEAN = np.array([0.4, -0.3, 0.1])
COVARIANCE = np.array([[1.0, 0.5, -0.2], [0.5, 0.8, 0.1], [-0.2, 0.1, 0.5]])
CORRELATED = Gaussian(MEAN, COVARIANCE)


def perfect(target, schedule=None, dtype=torch.float64):
    """A diffusion model whose network is the target's own denoiser."""
    return DiffusionModel(
        Reals(target.space.size), schedule=schedule, network=ExactDenoiser(target),
        prediction="x0", dtype=dtype,
    )  # fmt: skip


def closed_form(target, snr):
    """Terms of the bound, averaged over the data, with a perfect network and latents at `snr`,
    falling (K + 1,), in steps; in the limit of many steps `diffusion` is 1/2 int mmse dsnr."""
    d = target.space.size
    second = float(np.trace(target.covariance()) + target.mean() @ target.mean())
    bar = snr[-1] / (1.0 + snr[-1])
    best = np.array([target.mmse(s) for s in snr])
    terms = {
        "reconstruction": 0.5 * d * np.log(snr[0] / (2.0 * np.pi)) - 0.5 * snr[0] * best[0],
        "prior": 0.5 * (bar * second - d * bar - d * np.log1p(-bar)),
        "diffusion": 0.5 * float(((snr[:-1] - snr[1:]) * best[1:]).sum()),
    }
    terms["elbo"] = terms["reconstruction"] - terms["prior"] - terms["diffusion"]
    return terms


def z_of(values, exact):
    """z-score of the mean of independent values."""
    values = np.asarray(values)
    return (values.mean() - exact) / (values.std(ddof=1) / np.sqrt(len(values)))
