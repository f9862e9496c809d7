"""Generative adversarial networks that were trained, judged by exact densities."""

from functools import partial
from typing import Any

import numpy as np
import torch

from statmech_ml.divergences import c2st, js_from_counts
from statmech_ml.exact import targets
from statmech_ml.generative import GAN
from statmech_ml.generative.networks import dense
from statmech_ml.spaces import Reals
from validation.check import Check, Measurement, Mutant, derive_seed, identity

from .gan import Shift, quantiles


class _Backward(GAN):
    """The published mistake: the sign of the generator's loss is wrong."""

    def _generator_loss(self, made: Any, condition: Any) -> Any:
        return {"loss": -super()._generator_loss(made, condition)["loss"]}


def _falling(seed: int, scale: int, *, kind: type[GAN] = GAN) -> list[Measurement]:
    """W1 of a shift falls in training, from 3 to less than half of it."""
    gan = kind(
        Reals(1), 1, "wasserstein", generator=Shift(), n_critic=2, dtype=torch.float64, rng=seed
    )

    def rates(parameters: Any) -> torch.optim.Optimizer:
        theta, *critic = parameters
        groups: Any = [{"params": [theta], "lr": 0.1}, {"params": critic}]
        return torch.optim.Adam(groups, lr=0.01, betas=(0.0, 0.9))

    gan.fit(
        3.0 + quantiles(1000), epochs=18, rng=seed, batch_size=100, optimizer=rates,
        progress=False,
    )  # fmt: skip
    theta = float(gan.get_parameter("generator_network.theta").detach())
    return [identity("W1 after training", abs(3.0 - theta), 0.0, 1.5)]


# Activation, rate and batch size by dimension, and twice the epochs of twice the batch: those of
# examples/gan_densities.py.
_SETTINGS: dict[int, tuple[str, float, int]] = {1: ("tanh", 5e-3, 256), 2: ("silu", 8e-3, 512)}


def _networks(size: int, seed: int, kind: type[GAN] = GAN) -> GAN:
    act = _SETTINGS[size][0]
    return kind(
        Reals(size), 2 * size, "non-saturating", gradient_penalty=0.02, n_critic=2,
        generator=dense(2 * size, size, (64, 64), act=act, rng=seed),
        critic=dense(size, 1, (64, 64), act=act, rng=seed + 1),
    )  # fmt: skip


def _fit(
    gan: GAN, data: np.ndarray, epochs: int, seed: int, rate: float = 5e-3, batch: int = 256
) -> None:
    gan.fit(
        data, epochs=epochs, rng=seed, batch_size=batch, progress=False,
        optimizer=lambda p: torch.optim.Adam(p, lr=rate, betas=(0.0, 0.9)),
        schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, epochs),
    )  # fmt: skip


_TARGETS: dict[str, tuple[Any, float]] = {
    "Gaussian, 1D": (targets.Gaussian([1.0], [[2.25]]), 0.1),
    "mixture, 1D": (
        targets.GaussianMixture([0.6, 0.4], [[-1.5], [1.5]], [[[0.36]], [[0.81]]]), 0.1
    ),
    "Gaussian, 2D": (targets.Gaussian([1.0, -0.5], [[1.0, 0.8], [0.8, 1.6]]), 0.2),
    "mixture, 2D": (
        targets.GaussianMixture(
            [0.5, 0.3, 0.2],
            [[-1.5, 0.0], [1.2, 1.5], [0.8, -1.5]],
            [0.64 * np.eye(2), 0.49 * np.eye(2), 0.81 * np.eye(2)],
        ), 0.2,
    ),
}  # fmt: skip


def _js(target: Any, draws: np.ndarray, width: float) -> float:
    """JSD from counts in cells of that width, and outside."""
    size, edge, finer = target.space.size, 8.0, 4
    n = round(2.0 * edge / width)
    nodes, weights = np.polynomial.legendre.leggauss(finer)
    at = np.linspace(-edge, edge, n + 1)
    points = (0.5 * (at[1:] + at[:-1])[:, None] + 0.5 * width * nodes).ravel()
    grid = np.stack(np.meshgrid(*[points] * size, indexing="ij"), axis=-1).reshape(-1, size)
    exact = np.exp(target.log_prob(grid)).reshape((n, finer) * size)
    for axis in range(size):
        exact = np.tensordot(exact, 0.5 * width * weights, axes=(axis + 1, 0))
    counts = np.histogramdd(draws, bins=[at] * size)[0]
    return js_from_counts(
        np.append(counts, len(draws) - counts.sum()),
        np.append(exact, max(0.0, 1.0 - exact.sum())),
    ).value


def _trained(
    seed: int, scale: int, *, kind: type[GAN] = GAN, steps: int = 2700
) -> list[Measurement]:
    """JSD of trained generators by the exact density, and how far D is from 1/2, over data and
    the model's: one run of each target.

    8 of 10 runs below 0.02 are asked for, which ten seeds of examples/gan_densities.py show; of the
    four runs here the largest may be a rare one, and the second largest is judged.
    """
    js, apart = {}, {}
    for name, (target, width) in _TARGETS.items():
        size, of = target.space.size, derive_seed(seed, name)
        _, rate, batch = _SETTINGS[size]
        gan = _networks(size, of, kind)
        _fit(gan, target.sample(20_480, rng=of), round(steps * batch / 20_480), of, rate, batch)
        draws = gan.sample(400_000, rng=of + 2)
        js[name] = _js(target, draws, width)
        both = np.concatenate([target.sample(5000, rng=of + 3), draws[:5000]])
        apart[name] = 0.5 * float(np.abs(np.tanh(0.5 * gan.scores(both))).mean())
    second = sorted(js, key=js.__getitem__)[-2]
    return [
        identity(f"second largest JSD of four targets: {second}", js[second], 0.0, 0.02, n=4)
    ] + [identity(f"<|D - 1/2|>, {name}", value, 0.0, 0.05) for name, value in apart.items()]


_RING = targets.GaussianMixture(
    np.full(8, 0.125),
    [[2.0 * np.cos(t), 2.0 * np.sin(t)] for t in np.arange(8) * np.pi / 4.0],
    [0.04 * np.eye(2)] * 8,
)


def _collapsed(seed: int, scale: int, *, whole: bool = False) -> list[Measurement]:
    """A starved generator loses modes of a ring, and C2ST finds out (p < 1e-4)."""
    gan = GAN(
        Reals(2), 1, "minimax", generator=dense(1, 2, (16,), act="tanh", rng=seed),
        critic=dense(2, 1, (64, 64), act="tanh", rng=seed + 1),
    )  # fmt: skip
    _fit(gan, _RING.sample(10_240, rng=seed), 15, seed)
    draws = _RING.sample(1000, rng=seed + 2) if whole else gan.sample(1000, rng=seed + 2)
    angle = np.arctan2(draws[:, 1], draws[:, 0])
    near = np.bincount(np.round(angle / (np.pi / 4.0)).astype(int) % 8, minlength=8)
    test = c2st(_RING.sample(1000, rng=seed + 3), draws, rng=seed + 4, classifier="knn")
    told = test.p_value is not None and test.p_value < 1e-4
    lost = float((near < 0.1 * 125).sum())
    return [
        identity("modes lost or not, told by C2ST", told, 1.0, 0.5),
        identity("modes with a tenth of their share, of 8, above 0", min(lost, 1.0), 1.0, 0.5),
    ]


CHECKS = (
    Check(
        "gan.w1-falls",
        "W1 between a Wasserstein GAN's shift and the data falls in training.",
        _falling,
        (Mutant("sign of the generator's loss", partial(_falling, kind=_Backward)),),
        tier="full",
    ),
    Check(
        "gan.trained",
        "Generators of a Gaussian and a mixture in 1D and in 2D, one run each: JSD by exact "
        "densities below 0.02 for three of the four, and D near 1/2 at every configuration.",
        _trained,
        (
            Mutant("generator trained backward", partial(_trained, kind=_Backward, steps=320)),
            Mutant("hardly trained", partial(_trained, steps=80)),
        ),
        tier="full",
    ),
    Check(
        "gan.collapse",
        "A starved generator in the minimax game loses modes, and C2ST tells.",
        _collapsed,
        (Mutant("exact draws in its place", partial(_collapsed, whole=True)),),
        tier="full",
    ),
)
