"""The lower bound of a diffusion model, in three terms and two forms.

Latents z_0 .. z_K have the levels of the schedule that carry noise (z_0 the least), and no data
point sees another; snr_i = exp(log_snr_i). With g = guess(z_i) and j = i - 1,

    reconstruction   E log p(x | z_0)
    prior            KL(q(z_K | x) || N(0, I))
    diffusion        sum_i E KL(q(z_j | z_i, x) || p(z_j | z_i))
                     = sum_i 1/2 (snr_j - snr_i) E |x - g|^2          (denoising matching)
                     = 1/2 int E |x - g|^2 d snr                      (continuous time)

    elbo = reconstruction - prior - diffusion <= log p(x).

With a perfect network the diffusion term is 1/2 int mmse(snr) d snr. The sum is estimated at one
time drawn anew for each configuration, times the number of terms.

The same bound in consistency form (Luo, arXiv:2208.11970, section "Variational diffusion models")
pairs the steps up with the steps down,

    prior            E KL(q(z_K | z_K-1) || N(0, I))
    diffusion        sum_i E log q(z_i | z_i-1) / p(z_i | z_i+1),   i = 0 .. K - 1, z_-1 = x,

an average over the *triple* (z_i-1, z_i, z_i+1). It is not E KL(q(z_i | z_i-1) || p(z_i | z_i+1)),
which averages z_i over q given z_i-1 alone, as if z_i+1 did not depend on it, and is larger. Every
log-ratio carries the noise of two steps, however small these are: T terms drawn one at a time have
a variance that grows as T^2, where the matching form's stays.

D. P. Kingma et al. (2021), arXiv:2107.00630, eqs. 11, 13, 17.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInput
from ..training.shell import Gradients
from ._latent import EvidenceBound

FORMS = ("matching", "consistency")
TERMS = ("reconstruction", "prior", "diffusion")
_ROWS = 10_000
_SHARE = 8  # in continuous time one row in so many pays a second call, for its reconstruction


def amplitudes(log_snr: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """sqrt(abar) and sqrt(1 - abar)."""
    return log_snr.sigmoid().sqrt().to(dtype), (-log_snr).sigmoid().sqrt().to(dtype)


def noised(x: Tensor, log_snr: Tensor, noise: Tensor) -> Tensor:
    """x_t at levels (n, 1)."""
    a, s = amplitudes(log_snr, x.dtype)
    return a * x + s * noise


# --- where the latents are ------------------------------------------------------------------------


def first_latent(schedule: Any) -> int:
    """The step of z_0: 0, or 1 where the schedule begins without noise."""
    return int(schedule.log_snr(0.0) == math.inf)


def level_at(schedule: Any, i: Tensor) -> Tensor:
    """log_snr of z_i, float64, for whole numbers i of i's shape."""
    first, steps = first_latent(schedule), schedule.steps
    found: Tensor = schedule.at((i.double() + first) / steps)
    return found


def n_terms(schedule: Any) -> int:
    """K, the number of diffusion terms of a discrete schedule."""
    return int(schedule.steps) - first_latent(schedule)


def ends(schedule: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """log_snr (1, 1) of z_0 and of z_K."""
    t = torch.zeros((1, 1), dtype=torch.float64, device=like.device)
    if schedule.steps is not None:
        t = t + first_latent(schedule) / schedule.steps
    return schedule.at(t), schedule.at(torch.ones_like(t))


# --- terms of one draw, by row --------------------------------------------------------------------


def prior(x: Tensor, low: Tensor) -> Tensor:
    """KL(q(z_K | x) || N(0, I)), (n,): (abar x^2 - abar - log(1 - abar)) / 2 a coordinate."""
    bar = low.sigmoid()
    squares = (x.double() ** 2).sum(dim=1)
    per_site = -bar + torch.nn.functional.softplus(low)
    return 0.5 * (bar * squares[:, None] + x.shape[1] * per_site)[:, 0]


def reconstruction(
    model: Any, x: Tensor, condition: Tensor | None, high: Tensor, generator: torch.Generator
) -> Tensor:
    """log p(x | z_0), (n,)."""
    level = high.expand(len(x), 1)
    z = noised(x, level, model.noise(tuple(x.shape), generator))
    found: Tensor = model.log_decoder(x, model.guess(z, level, condition), z, level)
    return found


def matching(
    model: Any, x: Tensor, condition: Tensor | None, u: Tensor, generator: torch.Generator
) -> Tensor:
    """The diffusion term (n,) at times that uniforms u (n, 1) name, times their number."""
    schedule = model.schedule
    if schedule.steps is None:
        level, weight = _continuous(schedule, u)
    else:
        terms = n_terms(schedule)
        if not terms:
            return torch.zeros(len(x), dtype=torch.float64, device=x.device)
        i = 1 + (u * terms).long().clamp(max=terms - 1)
        level = level_at(schedule, i)
        weight = terms * torch.expm1(level_at(schedule, i - 1) - level) * level.exp()
    noisy = noised(x, level, model.noise(tuple(x.shape), generator))
    squares = ((x - model.guess(noisy, level, condition)).double() ** 2).sum(dim=1)
    return 0.5 * weight[:, 0] * squares


def consistency(
    model: Any, x: Tensor, condition: Tensor | None, u: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The prior and the diffusion term (n,) of the consistency form, at one i each."""
    schedule = model.schedule
    terms = n_terms(schedule)
    shape = tuple(x.shape)
    low = level_at(schedule, torch.full((1, 1), terms, device=x.device))
    if terms:
        before = level_at(schedule, torch.full((1, 1), terms - 1, device=x.device))
        z = noised(x, before, model.noise(shape, generator))
        alpha = (low.sigmoid() / before.sigmoid()).expand(len(x), 1)
    else:
        z, alpha = x, low.sigmoid().expand(len(x), 1)
    squares = (z.double() ** 2).sum(dim=1)
    per_site = -alpha - torch.log1p(-alpha)
    last = 0.5 * (alpha[:, 0] * squares + x.shape[1] * per_site[:, 0])
    if not terms:
        return last, torch.zeros_like(last)
    i = (u * terms).long().clamp(max=terms - 1)
    bar, later = level_at(schedule, i).sigmoid(), level_at(schedule, i + 1).sigmoid()
    earlier = torch.where(i > 0, level_at(schedule, (i - 1).clamp(min=0)).sigmoid(), 1.0)
    # Walk up the triple: z_i-1 given x, z_i given z_i-1, z_i+1 given z_i.
    start = earlier.sqrt() * x + (1.0 - earlier).sqrt() * model.noise(shape, generator)
    alpha_up, alpha_down = bar / earlier, later / bar
    middle = alpha_up.sqrt() * start + (1.0 - alpha_up).sqrt() * model.noise(shape, generator)
    end = alpha_down.sqrt() * middle + (1.0 - alpha_down).sqrt() * model.noise(shape, generator)
    guess = model.guess(end.to(x.dtype), level_at(schedule, i + 1), condition)
    beta, noise = 1.0 - alpha_down, 1.0 - later
    mean = (bar.sqrt() * beta * guess + alpha_down.sqrt() * (1.0 - bar) * end) / noise
    up = _log_normal(middle - alpha_up.sqrt() * start, 1.0 - alpha_up)
    down = _log_normal(middle - mean, beta * (1.0 - bar) / noise)
    return last, terms * (up - down)


def _log_normal(away: Tensor, variance: Tensor) -> Tensor:
    """log N(away; 0, variance I), (n,), variance (n, 1)."""
    logs = torch.log(2.0 * math.pi * variance)
    return -0.5 * (away.double() ** 2 / variance + logs).sum(dim=1)


def _continuous(schedule: Any, u: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (n, 1) at times u, and -d snr / dt there; differentiable by the schedule."""
    with torch.enable_grad():
        t = u.detach().double().requires_grad_()
        level = schedule.at(t)
        (slope,) = torch.autograd.grad(level.sum(), t, create_graph=True)
    if not torch.is_grad_enabled():
        level, slope = level.detach(), slope.detach()
    return level, -slope * level.exp()


# --- estimates and losses -------------------------------------------------------------------------


def estimate(
    model: Any,
    x: Tensor,
    condition: Tensor | None,
    generator: torch.Generator,
    n_draws: int,
    form: str,
) -> EvidenceBound:
    """Every term with its error; see `DiffusionModel.elbo`."""
    schedule = model.schedule
    if form == "consistency" and schedule.steps is None:
        raise InvalidInput(
            'form="consistency" pairs one step with the next, and continuous time has none. Take '
            'form="matching", or a schedule in steps.'
        )
    model.eval()
    found: dict[str, list[Tensor]] = {name: [] for name in (*TERMS, "elbo")}
    errors: dict[str, list[Tensor]] = {name: [] for name in found}
    with torch.no_grad():
        for first in range(0, len(x), _ROWS):
            rows = x[first : first + _ROWS]
            given = None if condition is None else condition[first : first + _ROWS]
            draws = [_terms(model, rows, given, generator, form) for _ in range(n_draws)]
            for name in found:
                values = torch.stack([draw[name] for draw in draws])
                found[name].append(values.mean(dim=0))
                errors[name].append(values.std(dim=0) / math.sqrt(n_draws))
    return EvidenceBound(
        {name: torch.cat(parts).cpu().numpy() for name, parts in found.items()},
        {name: torch.cat(parts).cpu().numpy() for name, parts in errors.items()},
    )


def _terms(
    model: Any, x: Tensor, condition: Tensor | None, generator: torch.Generator, form: str
) -> dict[str, Tensor]:
    """One draw of all terms, by row."""
    high, low = ends(model.schedule, x)
    u = torch.rand((len(x), 1), generator=generator, device=x.device, dtype=torch.float64)
    if form == "matching":
        last, middle = prior(x, low), matching(model, x, condition, u, generator)
    else:
        last, middle = consistency(model, x, condition, u, generator)
    start = reconstruction(model, x, condition, high, generator)
    return {
        "reconstruction": start,
        "prior": last,
        "diffusion": middle,
        "elbo": start - last - middle,
    }


def training_terms(
    model: Any, x: Tensor, condition: Tensor | None, generator: torch.Generator
) -> dict[str, Tensor]:
    """The terms of the matching form for a batch, times spread evenly over the rows (each by itself
    is uniform; Kingma et al., appendix I.1), the reconstruction from a share of them."""
    high, low = ends(model.schedule, x)
    some = slice(0, -(-len(x) // _SHARE))
    given = None if condition is None else condition[some]
    return {
        "reconstruction": reconstruction(model, x[some], given, high, generator),
        "prior": prior(x, low),
        "diffusion": matching(model, x, condition, even_times(x, generator), generator),
    }


def even_times(x: Tensor, generator: torch.Generator) -> Tensor:
    """(u + row / n) mod 1, float64 (n, 1), u uniform."""
    u = torch.rand((), generator=generator, device=x.device, dtype=torch.float64)
    rows = torch.arange(len(x), device=x.device, dtype=torch.float64)
    return ((u + rows / len(x)) % 1.0)[:, None]


def simple(
    model: Any, x: Tensor, condition: Tensor | None, generator: torch.Generator
) -> dict[str, Tensor]:
    """E |target - prediction|^2, all levels alike: J. Ho et al. (2020), eq. 14."""
    schedule, u = model.schedule, even_times(x, generator)
    if schedule.steps is None:
        level = schedule.at(u)
    else:
        terms = n_terms(schedule) + 1
        level = level_at(schedule, (u * terms).long().clamp(max=terms - 1))
    noise = model.noise(tuple(x.shape), generator)
    a, s = amplitudes(level, x.dtype)
    found = model.answer(a * x + s * noise, level.to(x.dtype), condition)
    target = {"epsilon": noise, "x0": x, "v": a * noise - s * x}[model.prediction]
    return {"loss": ((found - target) ** 2).sum(dim=1).mean()}


def two_aims(
    model: Any, x: Tensor, condition: Tensor | None, generator: torch.Generator
) -> tuple[Gradients, dict[str, Tensor]]:
    """Gradients of the loss for the network and the schedule's ends, and of the mean square of the
    diffusion term for the schedule's shape."""
    terms = training_terms(model, x, condition, generator)
    means = {name: value.mean() for name, value in terms.items()}
    loss = means["prior"] + means["diffusion"] - means["reconstruction"]
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    ids = {id(p) for p in model.schedule.shape_parameters()}
    shape = {n: p for n, p in named.items() if id(p) in ids}
    rest = {n: p for n, p in named.items() if id(p) not in ids}
    found = {}
    for aim, group in ((loss, rest), ((terms["diffusion"] ** 2).mean(), shape)):
        grads = torch.autograd.grad(
            aim, list(group.values()), allow_unused=True, retain_graph=group is rest
        )
        for (name, p), g in zip(group.items(), grads, strict=True):
            found[name] = torch.zeros_like(p) if g is None else g
    return found, {"loss": loss, **means}
