"""Data whose covariance is exact, and quadrature over latents: what the tests of autoencoders and
VAEs share."""

import numpy as np
import torch

MEAN = np.array([1.0, -0.5, 0.3, 2.0])


def rows(eigenvalues=(4.0, 2.0, 0.5, 0.25), n=64, mean=MEAN):
    """n points whose covariance (divided by n) has these eigenvalues, along rotated axes."""
    rng = np.random.default_rng(17)
    d = len(eigenvalues)
    z = rng.normal(size=(n, d))
    z -= z.mean(axis=0)
    z = np.linalg.solve(np.linalg.cholesky(z.T @ z / n), z.T).T
    turn, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return (z * np.sqrt(eigenvalues)) @ turn.T + mean


def swift(rate=0.1):
    """Adam with a shorter memory of squares, for whole batches without noise."""
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.99))


def falling(n_steps):
    """A rate that falls to zero in n_steps epochs."""
    return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def nodes(dim, n=60):
    """Gauss-Hermite nodes (n**dim, dim) of N(0, I), and their log weights."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    grids = np.meshgrid(*[x] * dim, indexing="ij")
    weights = np.meshgrid(*[np.log(w / w.sum())] * dim, indexing="ij")
    return np.stack(grids, -1).reshape(-1, dim), sum(weights).reshape(-1)


def site_prob(states, m):
    """P(state | h) of spins with magnetisations m (nodes, size): (states, nodes)."""
    return ((1.0 + states[:, None, :] * m) / 2.0).prod(-1)


def log_p(vae, states, condition=None, n=60):
    """log p(state) of a VAE of spins, by quadrature over its latents."""
    h, log_w = nodes(vae.n_latent, n)
    return np.log(site_prob(states, vae.decode(h, condition=condition)) @ np.exp(log_w))


def deviations(found, exact):
    """z-scores of a `LogLikelihood`; one without an error has failed: inf."""
    z = (found.values - exact) / found.stderr
    return np.where(np.isfinite(found.stderr), z, np.inf)


def louder(model, factor):
    """The model with its weights scaled up: networks as they are drawn say almost nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    return model
