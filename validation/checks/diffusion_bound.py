"""The lower bound of a diffusion model with a perfect network: its terms and its two forms."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statmech_ml.exact.targets import Gaussian, GaussianMixture, Target
from statmech_ml.generative import Linear, LogLinear, Schedule, _diffusion_elbo
from validation.check import Check, Measurement, Mutant, against, derive_seed

from .diffusion import CORRELATED, average, perfect, replaced

_MIXTURE = GaussianMixture([0.7, 0.3], [-1.0, 1.4], [0.2, 0.1])


def _closed(target: Target, snr: np.ndarray, diffusion: float | None = None) -> dict[str, float]:
    """Terms averaged over the data, latents at `snr`, falling."""
    d = target.space.size
    second = float(np.trace(target.covariance()) + target.mean() @ target.mean())
    bar = snr[-1] / (1.0 + snr[-1])
    best: Any = target.mmse(snr)
    start = 0.5 * d * np.log(snr[0] / (2.0 * np.pi)) - 0.5 * snr[0] * best[0]
    end = 0.5 * (bar * second - d * bar - d * np.log1p(-bar))
    if diffusion is None:
        diffusion = 0.5 * float(((snr[:-1] - snr[1:]) * best[1:]).sum())
    return {
        "reconstruction": start,
        "prior": end,
        "diffusion": diffusion,
        "elbo": start - end - diffusion,
    }


def _bound(seed: int, scale: int, *, factor: float = 1.0) -> list[Measurement]:
    """Three ranges of log-SNR, continuous and in steps; and the mixture, 1/2 int mmse dsnr."""
    cases: list[tuple[str, Target, Schedule, dict[str, float]]] = []
    for high, low in ((10.0, -10.0), (6.0, -7.0), (3.0, -5.0)):
        ends = np.exp([high, low])
        logs = 0.5 * np.log1p(ends[:, None] * CORRELATED.eigenvalues).sum(axis=1)
        exact = _closed(CORRELATED, ends, float(logs[0] - logs[1]))
        cases.append((f"[{low:g}, {high:g}]", CORRELATED, LogLinear(high, low), exact))
        steps = LogLinear(high, low, steps=20)
        snr = np.exp(steps.log_snr(np.linspace(0.0, 1.0, 21)))
        cases.append((f"[{low:g}, {high:g}], T = 20", CORRELATED, steps, _closed(CORRELATED, snr)))
    levels = np.linspace(-8.0, 8.0, 33)
    rates = 0.5 * np.exp(levels) * np.asarray(_MIXTURE.mmse(np.exp(levels)))
    exact = _closed(_MIXTURE, np.exp([8.0, -8.0]), float(np.trapezoid(rates, levels)))
    cases.append(("mixture", _MIXTURE, LogLinear(8.0, -8.0), exact))
    found = []
    for name, target, schedule, terms in cases:
        x = target.sample(4_000 * scale, rng=derive_seed(seed, name))
        bound = perfect(target, schedule).elbo(x, rng=derive_seed(seed, "noise"), n_draws=2)
        for term, value in terms.items():
            values = bound[term] + (factor - 1.0) * bound["diffusion"] * (term == "diffusion")
            found.append(against(f"{name}: {term}", average(values), value))
    return found


def _as_divergence(
    model: Any, x: Tensor, condition: Any, u: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """KL(q(z_i | z_i-1) || p(z_i | z_i+1)) in place of the log-ratio over the triple."""
    last, _ = _RIGHT_CONSISTENCY(model, x, condition, u, generator)
    K = _diffusion_elbo.n_terms(model.schedule)
    i = (u * K).long().clamp(max=K - 1)
    bars = [_diffusion_elbo.level_at(model.schedule, i + j).sigmoid() for j in (0, 1)]
    before = _diffusion_elbo.level_at(model.schedule, (i - 1).clamp(min=0)).sigmoid()
    before = torch.where(i > 0, before, 1.0)
    bar, later = bars
    shape = tuple(x.shape)
    start = before.sqrt() * x + (1 - before).sqrt() * model.noise(shape, generator)
    up, down = bar / before, later / bar
    middle = up.sqrt() * start + (1 - up).sqrt() * model.noise(shape, generator)
    end = down.sqrt() * middle + (1 - down).sqrt() * model.noise(shape, generator)
    guess = model.guess(end, torch.logit(later), condition)
    mean = (bar.sqrt() * (1 - down) * guess + down.sqrt() * (1 - bar) * end) / (1 - later)
    ratio = (1 - up) * (1 - later) / ((1 - down) * (1 - bar))
    across = (up.sqrt() * start - mean) ** 2 * (1 - later) / ((1 - down) * (1 - bar))
    return last, 0.5 * K * (ratio - 1 - torch.log(ratio) + across).sum(dim=1)


_RIGHT_CONSISTENCY = _diffusion_elbo.consistency


def _forms(
    seed: int, scale: int, *, consistency: Callable[..., Any] = _RIGHT_CONSISTENCY
) -> list[Measurement]:
    """The bound in both forms against the closed form."""
    found = []
    for schedule in (Linear(30), LogLinear(6.0, -6.0, steps=12)):
        model = perfect(CORRELATED, schedule)
        bars = schedule.alpha_bar[schedule.alpha_bar < 1.0]
        exact = _closed(CORRELATED, bars / (1.0 - bars))["elbo"]
        for form in _diffusion_elbo.FORMS:
            name = f"{schedule!r} {form}"
            x = CORRELATED.sample(10_000 * scale, rng=derive_seed(seed, name))
            with replaced(_diffusion_elbo, "consistency", consistency):
                bound = model.elbo(x, rng=derive_seed(seed, "noise"), n_draws=2, form=form)
            found.append(against(name, average(bound["elbo"]), exact))
    return found


def _consistency_variance(variance: float, bars: np.ndarray) -> float:
    """Exact variance of K times the log-ratio at one i drawn uniformly, data N(0, variance): a
    quadratic form of x and of the noise of three steps; `bars` from 1 down."""
    K = len(bars) - 2
    means, spreads = [], []
    basis = np.diag([np.sqrt(variance), 1.0, 1.0, 1.0])
    for before, bar, later in zip(bars[:-2], bars[1:-1], bars[2:], strict=True):
        up, down = bar / before, later / bar
        start = np.sqrt(before) * basis[0] + np.sqrt(1 - before) * basis[1]
        middle = np.sqrt(up) * start + np.sqrt(1 - up) * basis[2]
        end = np.sqrt(down) * middle + np.sqrt(1 - down) * basis[3]
        gain = np.sqrt(later) * variance / (later * variance + 1 - later)
        of_end = (np.sqrt(bar) * (1 - down) * gain + np.sqrt(down) * (1 - bar)) / (1 - later)
        width = (1 - down) * (1 - bar) / (1 - later)
        a, b = (middle - np.sqrt(up) * start) / np.sqrt(1 - up), (middle - of_end * end)
        form = 0.5 * (np.outer(b, b) / width - np.outer(a, a))
        means.append(np.trace(form) + 0.5 * np.log(width / (1 - up)))
        spreads.append(2.0 * np.trace(form @ form))
    return float(K**2 * (np.mean(spreads) + np.var(means)))


def _variance(seed: int, scale: int, *, grows: bool = True) -> list[Measurement]:
    """The variance of the consistency form's estimate at one step, against T."""
    target, found = Gaussian(0.0, 0.6), []
    for T in (20, 80, 320):
        schedule = LogLinear(5.0, -5.0, steps=T)
        model = perfect(target, schedule)
        told = schedule if grows else LogLinear(5.0, -5.0, steps=20)
        exact = _consistency_variance(0.6, np.append(1.0, told.alpha_bar))
        x = model.tensor(target.sample(20_000 * scale, rng=derive_seed(seed, f"{T}")))
        generator = model.generator(derive_seed(seed, "noise"))
        u = torch.rand((len(x), 1), generator=generator, dtype=torch.float64)
        with torch.no_grad():
            draws = _diffusion_elbo.consistency(model, x, None, u, generator)[1].numpy()
        squares = (draws - draws.mean()) ** 2
        found.append(against(f"T = {T}", average(squares), exact))
    return found


CHECKS = (
    Check(
        "diffusion.bound",
        "Reconstruction, prior and diffusion terms equal their closed forms; diffusion = "
        "1/2 int mmse dsnr (Guo, Shamai, Verdu 2005).",
        _bound,
        (Mutant("lost 1/2", partial(_bound, factor=2.0)),),
    ),
    Check(
        "diffusion.forms",
        "Denoising-matching and consistency form are one bound; the consistency term is a "
        "log-ratio over the triple.",
        _forms,
        (Mutant("consistency as a KL", partial(_forms, consistency=_as_divergence)),),
    ),
    Check(
        "diffusion.consistency-variance",
        "One step of the consistency form, times their number, has a variance that grows as T^2: "
        "the exact one of a quadratic form.",
        _variance,
        (Mutant("no growth with T", partial(_variance, grows=False)),),
    ),
)
