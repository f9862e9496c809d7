"""Diffusion models with a perfect network: what is left is the samplers' and the bound's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statmech_ml.exact.targets import Gaussian, Target, predict_sampler
from statmech_ml.generative import (
    Cosine,
    DiffusionModel,
    ExactDenoiser,
    GradientGuide,
    Linear,
    LinearMeasurement,
    LogLinear,
    Schedule,
    _diffusion_samplers,
    _ode,
)
from statmech_ml.spaces import Reals
from statmech_ml.statistics import Estimate
from statmech_ml.statistics.estimate import from_tau
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

_MEAN = np.array([0.4, -0.3, 0.1])
_COVARIANCE = np.array([[1.0, 0.5, -0.2], [0.5, 0.8, 0.1], [-0.2, 0.1, 0.5]])
CORRELATED = Gaussian(_MEAN, _COVARIANCE)
_METHODS = _diffusion_samplers.METHODS


class _Pooled(DiffusionModel):
    """Draws its noise from a pool, so that many runs of one length pay for it once."""

    pool: Tensor
    turn: int = 0

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        self.turn = (self.turn + 1) % len(self.pool)
        return self.pool[self.turn]


def perfect(
    target: Target,
    schedule: Schedule,
    dtype: torch.dtype = torch.float64,
    kind: type[DiffusionModel] = DiffusionModel,
) -> DiffusionModel:
    """A model whose network is the target's denoiser, calibrated by its exact mmse."""
    model = kind(
        Reals(target.space.size),
        schedule=LogLinear(),
        network=ExactDenoiser(target),
        prediction="x0",
        dtype=dtype,
    ).eval()
    model.schedule = schedule  # also those that the constructor refuses: a mutant is one
    if schedule.steps is not None:
        bars = model.levels().alpha_bar[1:]
        mse = np.array([target.mmse(bar / (1.0 - bar)) for bar in bars]) / target.space.size
        model._calibration = _diffusion_samplers.Calibration(
            bars, mse, _diffusion_samplers.fingerprint(model)
        )
    return model


def average(values: np.ndarray) -> Estimate:
    """Mean of independent values."""
    return from_tau(float(values.mean()), 0.5, float(values.var(ddof=1)), len(values))


@contextmanager
def replaced(module: Any, name: str, other: Any) -> Iterator[None]:
    """A function of a module replaced by another for a while."""
    kept = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, kept)


# --- samplers -------------------------------------------------------------------------------------


def _along(name: str, x: np.ndarray, law: Any, target: Gaussian) -> list[Measurement]:
    """Mean and variance of samples in the directions of the target."""
    found = []
    for i, direction in enumerate(target.directions.T):
        away = (x - law.mean) @ direction
        exact = law.variance_ratios[i] * target.eigenvalues[i]
        found.append(against(f"{name}: mean {i}", average(away), 0.0))
        found.append(against(f"{name}: variance {i}", average(away**2), exact))
    return found


def _samplers(
    seed: int,
    scale: int,
    *,
    asked: dict[str, str] | None = None,
    clip: tuple[float, float] | None = None,
    step: Callable[..., Any] | None = None,
    schedule: Schedule | None = None,
) -> list[Measurement]:
    """All samplers on a correlated Gaussian against their predicted laws."""
    found = []
    for known in (Linear(50), Cosine(10)):
        model = perfect(CORRELATED, schedule or known)
        for method in _METHODS:
            name = f"{known!r} {method}"
            drawn = (asked or {}).get(method, method)
            with replaced(_diffusion_samplers, "step", step or _diffusion_samplers.step):
                x = model.sample(
                    2_000 * scale, rng=derive_seed(seed, name), method=drawn, clip=clip
                )
            found += _along(name, x, predict_sampler(CORRELATED, known, method), CORRELATED)  # type: ignore[arg-type]
    return found


def _half_noise(method: str, A: float, B: float, mse: float = 0.0) -> Any:
    """The SDE's step with noise sqrt(b / 2): half of what the fluctuations need."""
    right = _RIGHT_STEP(method, A, B, mse)
    lost = 0.5**0.5 if method == "euler-maruyama" else 1.0
    return right._replace(noise=lost * right.noise)


def _whole_score(method: str, A: float, B: float, mse: float = 0.0) -> Any:
    """The flow with the whole score in place of half of it."""
    return _RIGHT_STEP("euler-maruyama" if method == "ode-euler" else method, A, B, mse)._replace(
        noise=_RIGHT_STEP(method, A, B, mse).noise
    )


_RIGHT_STEP = _diffusion_samplers.step


def _million(
    seed: int, scale: int, *, n: int = 1_000_000, methods: tuple[str, ...] = _METHODS,
    asked: dict[str, str] | None = None,
) -> list[Measurement]:  # fmt: skip
    """One dimension, variances 1/4, 1 and 4 about a mean, n draws of every sampler; the runs of one
    schedule share their noise."""
    chunk, found = 40_000, []
    for schedule in (Linear(50), Cosine(10), Linear(1000)):
        models = {s2: perfect(Gaussian(0.3, s2), schedule, torch.float32, _Pooled)
                  for s2 in (0.25, 1.0, 4.0)}  # fmt: skip
        sums: dict[tuple[float, str], np.ndarray] = {}
        generator = torch.Generator().manual_seed(derive_seed(seed, repr(schedule)))
        pool = torch.empty((schedule.steps + 1, chunk, 1))
        runs = -(-n * scale // chunk)
        for _ in range(runs):
            pool.normal_(generator=generator)
            for s2, model in models.items():
                model.pool = pool
                for method in methods:
                    model.turn = 0  # type: ignore[assignment]
                    drawn = (asked or {}).get(method, method)
                    x = model.sample(chunk, rng=1, method=drawn, batch_size=chunk)[:, 0]
                    law = predict_sampler(Gaussian(0.3, s2), schedule, method)  # type: ignore[arg-type]
                    away = x - law.mean[0]
                    powers = np.array([np.mean(away**p) for p in (1, 2, 4)])
                    sums[s2, method] = sums.get((s2, method), 0.0) + powers / runs
        for (s2, method), (first, second, fourth) in sums.items():
            law = predict_sampler(Gaussian(0.3, s2), schedule, method)  # type: ignore[arg-type]
            name, total = f"{schedule!r} {method}, s2 = {s2:g}", runs * chunk
            variance = second - first**2
            spread = from_tau(second, 0.5, fourth - second**2, total)
            found.append(against(f"{name}: mean", from_tau(first, 0.5, variance, total), 0.0))
            found.append(against(f"{name}: variance", spread, law.covariance[0, 0]))
    return found


# --- the flow -------------------------------------------------------------------------------------


def _pushforward(target: Gaussian, schedule: Schedule) -> Gaussian:
    """N(0, I) carried by the flow: along each eigenvector by sqrt(V(high) / V(low))."""
    bars = 1.0 / (1.0 + np.exp(-schedule.log_snr([1.0, 0.0])))
    low, high = bars[:, None] * target.eigenvalues + 1.0 - bars[:, None]
    stretch, a = np.sqrt(high / low), np.sqrt(bars)
    Q = target.directions
    centre = Q.T @ target.mean() * (1.0 - stretch * a[0] / a[1])
    return Gaussian(Q @ centre, (Q * (stretch / a[1]) ** 2) @ Q.T)


_RIGHT_FLOW = _ode.flow


def _turned_flow(*args: Any) -> tuple[np.ndarray, np.ndarray]:
    velocity, divergence = _RIGHT_FLOW(*args)
    return velocity, -divergence


def _flow(seed: int, scale: int, *, flow: Callable[..., Any] = _RIGHT_FLOW) -> list[Measurement]:
    """log p(x) by the exact trace, against the flow's own law and against the target's."""
    found = []
    for high, low in ((10.0, -10.0), (6.0, -5.0)):
        schedule = LogLinear(high, low)
        x = CORRELATED.sample(30, rng=derive_seed(seed, f"{high}"))
        with replaced(_ode, "flow", flow):
            value = perfect(CORRELATED, schedule).log_likelihood(x, tolerance=1e-9).values
        worst = np.abs(value - _pushforward(CORRELATED, schedule).log_prob(x)).max()
        found.append(identity(f"[{low:g}, {high:g}]: worst log p(x)", worst, 0.0, 1e-6, n=30))
    return found


def _probes(seed: int, scale: int, *, factor: float = 1.0) -> list[Measurement]:
    """Hutchinson's estimate: unbiased, and its squared error on average the variance seen."""
    schedule = LogLinear(7.0, -7.0)
    n = 400 * scale
    x = CORRELATED.sample(n, rng=derive_seed(seed, "x"))
    found = perfect(CORRELATED, schedule).log_likelihood(
        x, divergence="hutchinson", rng=derive_seed(seed, "probes"), n_probes=4
    )
    away = found.values - _pushforward(CORRELATED, schedule).log_prob(x)
    told = (factor * found.stderr) ** 2
    return [
        against("deviation", average(away), 0.0),
        against("error told^2 - deviation^2", average(told - away**2), 0.0),
    ]


# --- posterior ------------------------------------------------------------------------------------

_MATRIX, _VALUES, _NOISE = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), np.array([0.7, -1.1]), 0.3


def _posterior(seed: int, scale: int, *, guide: Any = None) -> list[Measurement]:
    """Samples of a Gaussian times a linear measurement, against the sampler's law on Bayes'."""
    precision = np.linalg.inv(_COVARIANCE) + _MATRIX.T @ _MATRIX / _NOISE
    covariance = np.linalg.inv(precision)
    pull = np.linalg.solve(_COVARIANCE, _MEAN) + _MATRIX.T @ _VALUES / _NOISE
    exact = Gaussian(covariance @ pull, 0.5 * (covariance + covariance.T))
    model, found = perfect(CORRELATED, Linear(50)), []
    guide = guide or LinearMeasurement(_MATRIX, _VALUES, _NOISE)
    for method in ("ddpm-small", "ddim", "euler-maruyama"):
        x = model.sample(
            2_000 * scale, rng=derive_seed(seed, method), method=method, likelihood=guide
        )
        found += _along(method, x, predict_sampler(exact, Linear(50), method), exact)
    return found


def _at_the_guess(x: Tensor) -> Tensor:
    """The likelihood at the guess of x_0, as if x_t left nothing open."""
    away = x @ torch.as_tensor(_MATRIX.T) - torch.as_tensor(_VALUES)
    return -0.5 * (away**2).sum(dim=1) / _NOISE


CHECKS = (
    Check(
        "diffusion.samplers",
        "DDPM (three variances), DDIM, Euler-Maruyama and the flow (Euler, Heun) with the exact "
        "score produce the Gaussian that predict_sampler computes.",
        _samplers,
        (
            Mutant(
                "beta in place of beta~", partial(_samplers, asked={"ddpm-small": "ddpm-large"})
            ),
            Mutant("unscaled betas", partial(_samplers, schedule=Linear(200, rescaled=False))),
            Mutant("noise of the SDE without its 2", partial(_samplers, step=_half_noise)),
            Mutant("flow with the whole score", partial(_samplers, step=_whole_score)),
            Mutant("guess clipped to [-1, 1]", partial(_samplers, clip=(-1.0, 1.0))),
        ),
    ),
    Check(
        "diffusion.million",
        "The same at 10^6 draws: linear T = 50 and 1000, cosine T = 10, variances 1/4, 1 and 4.",
        _million,
        (
            Mutant(
                "beta in place of beta~",
                partial(
                    _million, n=40_000, methods=("ddpm-small",), asked={"ddpm-small": "ddpm-large"}
                ),
            ),
            Mutant(
                "Euler in place of Heun",
                partial(_million, n=40_000, methods=("ode-heun",), asked={"ode-heun": "ode-euler"}),
            ),
        ),
        tier="full",
    ),
    Check(
        "diffusion.flow",
        "log p(x) by the probability flow is the density of N(0, I) carried by it, in closed form "
        "on correlated Gaussians.",
        _flow,
        (Mutant("divergence with the wrong sign", partial(_flow, flow=_turned_flow)),),
    ),
    Check(
        "diffusion.hutchinson",
        "The flow's log-likelihood by probes is unbiased, and tells its error.",
        _probes,
        (
            Mutant("error of one probe", partial(_probes, factor=2.0)),
            Mutant("error of twice the probes", partial(_probes, factor=0.5**0.5)),
        ),
    ),
    Check(
        "diffusion.posterior",
        "A Gaussian model times a linear Gaussian measurement: samples have the sampler's law on "
        "Bayes' posterior.",
        _posterior,
        (
            Mutant(
                "likelihood at the guess", partial(_posterior, guide=GradientGuide(_at_the_guess))
            ),
            Mutant(
                "noise doubled",
                partial(_posterior, guide=LinearMeasurement(_MATRIX, _VALUES, 2 * _NOISE)),
            ),
        ),
    ),
)
