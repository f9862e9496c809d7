"""Autoencoders and VAEs: the linear ones against principal components, spins against quadrature
over their latents, a chain of latents against its exact posterior.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statmech_ml.errors import TrainingDiverged
from statmech_ml.generative import (
    PCA,
    VAE,
    LinearAutoencoder,
    LinearHierarchicalVAE,
    LinearVAE,
    LogLikelihood,
)
from statmech_ml.spaces import Spins
from statmech_ml.statistics import mean
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

_EIGENVALUES = np.array([4.0, 2.0, 0.5, 0.25])
_PPCA = (
    -5.7346456506
)  # log-likelihood per sample, q = 2, sigma^2 = 0.375: Tipping and Bishop (1999)
_STATES = Spins(4).from_index(np.arange(16))


def _rows(seed: int, n: int = 64) -> np.ndarray:
    """Points whose covariance (divided by n) has these eigenvalues exactly, along random axes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4))
    z -= z.mean(axis=0)
    z = np.linalg.solve(np.linalg.cholesky(z.T @ z / n), z.T).T
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    return np.asarray((z * np.sqrt(_EIGENVALUES)) @ turn.T + rng.normal(size=4))


# --- mistakes -------------------------------------------------------------------------------------


def _altered(terms: dict[str, Tensor], kl: float, reconstruction: float) -> dict[str, Tensor]:
    found = {
        "reconstruction": reconstruction * terms["reconstruction"],
        "kl": kl * terms["kl"],
    }
    return found | {"elbo": found["reconstruction"] - found["kl"]}


class _HalfLost(LinearVAE):
    """The divergence without its 1/2."""

    def terms(self, x: Tensor, condition: Any, generator: Any) -> dict[str, Tensor]:
        return _altered(super().terms(x, condition, generator), 2.0, 1.0)


class _MeanForSum(LinearVAE):
    """The reconstruction as a mean over sites."""

    def terms(self, x: Tensor, condition: Any, generator: Any) -> dict[str, Tensor]:
        return _altered(super().terms(x, condition, generator), 1.0, 1.0 / self.space.size)


class _BetaDropped(LinearVAE):
    """A loss at beta = 1 whatever was asked for."""

    def objective(self, terms: dict[str, Tensor]) -> Tensor:
        return terms["elbo"]


class _ReversedWeights(VAE):
    """log q / p for log p / q."""

    def log_weights(self, x: Tensor, condition: Any, n_draws: int, generator: Any) -> Tensor:
        return -super().log_weights(x, condition, n_draws, generator)


# --- the linear ones ------------------------------------------------------------------------------

_SETTINGS: tuple[tuple[Any, float, int], ...] = (
    ("learned", 1.0, 2),
    (0.375, 1.0, 3),
    (1.0, 1.0, 4),
    (2.5, 1.0, 4),
    (0.75, 2.0, 4),
)


def _optimum(seed: int, scale: int, *, kind: type[LinearVAE] = LinearVAE) -> list[Measurement]:
    """At the closed form: no gradient, no gap, the evidence of pPCA, the rates."""
    x, found = _rows(seed), []
    for variance, beta, q in _SETTINGS:
        vae = kind(4, q, rng=seed, beta=beta, variance=variance, dtype=torch.float64)
        vae.solve(x)
        loss = vae.losses(vae.configurations(x), None, vae.generator(seed))["loss"]
        worst = max(float(g.abs().max()) for g in torch.autograd.grad(loss, [*vae.parameters()]))
        where = f"variance {variance}, beta = {beta:g}"
        found.append(identity(f"largest gradient, {where}", worst, 0.0, 1e-10))
        noise = 0.375 if variance == "learned" else variance
        rates = 0.5 * np.log(np.maximum(_EIGENVALUES[:q] / (beta * noise), 1.0))
        off = np.abs(vae.rates(x) - rates).max()
        found.append(identity(f"largest error of a rate, {where}", off, 0.0, 1e-10, n=q))
        if beta == 1.0:
            gap = vae.evidence(x).values.mean() - vae.elbo(x)["elbo"].mean()
            if variance == "learned":
                value = vae.evidence(x).values.mean()
                found.append(identity("log p(x) of pPCA", value, _PPCA, 1e-9))
                found.append(identity("gap", gap, 0.0, 1e-10))
    return found


def _trained(
    seed: int, scale: int, *, kind: type[LinearVAE] = LinearVAE, all_of_it: bool = True
) -> list[Measurement]:
    """From random weights, by gradient: bounds of 1e-3 on error, evidence and gap, 0.01 nats on
    rates. An excess error of 1e-3 leaves sin^2 of an angle = 1e-3 x 0.75 / (2 - 0.5)."""
    x, steps, found = _rows(seed), 1500, []

    def fit(model: Any) -> Any:
        model.fit(
            x, epochs=steps, rng=seed, batch_size=len(x), progress=False,
            optimizer=lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.9, 0.99)),
            schedule=lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, steps),
        )  # fmt: skip
        return model

    if all_of_it:
        linear = fit(LinearAutoencoder(4, 2, rng=seed, dtype=torch.float64))
        pca = PCA.of(x, 2)
        found += [
            identity("error of the autoencoder", linear.error(x).mean(), 0.75, 0.75e-3),
            identity("its angle", pca.angles(linear.basis).max(), 0.0, math.asin(0.0005**0.5)),
        ]
    for variance, beta, q in _SETTINGS if all_of_it else (_SETTINGS[0], _SETTINGS[-1]):
        vae = fit(kind(4, q, rng=seed, beta=beta, variance=variance, dtype=torch.float64))
        where = f"variance {variance}, beta = {beta:g}"
        noise = 0.375 if variance == "learned" else variance
        rates = 0.5 * np.log(np.maximum(_EIGENVALUES[:q] / (beta * noise), 1.0))
        off = np.abs(np.sort(vae.rates(x))[::-1] - rates).max()
        found.append(identity(f"largest error of a rate, {where}", off, 0.0, 0.01, n=q))
        active = int(vae.active_latents(x).sum())
        found.append(identity(f"active latents, {where}", active, int((rates > 0).sum()), 0.5))
        evidence = vae.evidence(x).values.mean()
        if variance == "learned":
            found.append(identity("log p(x) of pPCA", evidence, _PPCA, 1e-3))
        if beta == 1.0:
            gap = evidence - vae.elbo(x)["elbo"].mean()
            found.append(identity(f"gap, {where}", gap, 0.0, 1e-3))
    return found


# --- spins, whose likelihood is a quadrature ------------------------------------------------------


def _nodes(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes (n^2, 2) of N(0, I), and weights."""
    x, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / w.sum()
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    return grid, np.outer(w, w).reshape(-1)


def _spins(kind: type[VAE] = VAE) -> VAE:
    """Four spins and two latents, with weights that say something and an encoder near the prior."""
    vae = kind(Spins(4), 2, (8,), rng=11, act="tanh", dtype=torch.float64)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.mul_(2.0)
        layers: Any = vae.encoder, vae.decoder
        layers[1][-1].bias.add_(0.4)
        layers[0][-1].weight.div_(2.0)
        layers[0][-1].bias[2:] = 1.5  # wider than the posterior, lest weights have no variance
    return vae


def _probabilities(states: np.ndarray, m: np.ndarray) -> np.ndarray:
    """P(state | h) of spins with magnetisations m (nodes, 4): (states, nodes)."""
    return np.asarray(((1.0 + states[:, None, :] * m) / 2.0).prod(-1))


def _terms(
    seed: int, scale: int, *, kl: float = 1.0, reconstruction: float = 1.0
) -> list[Measurement]:
    """Both terms of the bound; the closed form of one, and draws for the other."""
    vae, (z, w) = _spins(), _nodes()
    q = vae.encode(_STATES)
    rows = np.repeat(_STATES, 1000 * scale, axis=0)
    terms = vae.terms(vae.configurations(rows), None, vae.generator(derive_seed(seed, "terms")))
    altered = _altered(terms, kl, reconstruction)
    parts = {name: v.detach().numpy().reshape(16, -1) for name, v in altered.items()}
    found = []
    for i in (0, 6, 11):
        h = q.mean[i] + q.sd[i] * z
        log_q = -0.5 * z**2 - np.log(q.sd[i])
        divergence = w @ (log_q + 0.5 * h**2).sum(axis=1)
        found.append(identity(f"kl of state {i}", parts["kl"][i, 0], divergence, 1e-8))
        exact = w @ np.log(_probabilities(_STATES[i : i + 1], vae.decode(h))[0])
        name = f"reconstruction of state {i}"
        found.append(against(name, mean(parts["reconstruction"][i][:, None]), exact))
    return found


def _deviations(found: LogLikelihood, exact: np.ndarray) -> np.ndarray:
    """z-scores; a likelihood that gives no error has failed, and deviates without bound."""
    z = (found.values - exact) / found.stderr
    return np.where(np.isfinite(found.stderr), z, np.inf)


def _weighed(seed: int, scale: int, *, kind: type[VAE] = VAE) -> list[Measurement]:
    """log p(state) by importance weights, of all states, and their sum."""
    vae, (z, w) = _spins(kind), _nodes()
    exact = np.log(_probabilities(_STATES, vae.decode(z)) @ w)
    n = 4000 * scale
    weighed = vae.log_likelihood(_STATES, n_draws=n, rng=derive_seed(seed, "weights"))
    z_scores = _deviations(weighed, exact)
    found = [
        Measurement(f"log p of state {i}", weighed.values[i], exact[i], weighed.stderr[i], n, score)
        for i, score in enumerate(z_scores)
    ]
    p = np.exp(weighed.values)
    total, error = p.sum(), math.sqrt(((p * weighed.stderr) ** 2).sum())
    return [*found, Measurement("sum of p", total, 1.0, error, n, (total - 1.0) / error)]


def _correlations(seed: int, scale: int, *, alike: bool = False) -> list[Measurement]:
    """<s_i s_j> of samples, and E[m_i m_j]; or E[m^2], m the mean over sites."""
    vae, (z, w) = _spins(), _nodes()
    m = vae.decode(z)
    x = vae.sample(6000 * scale, rng=derive_seed(seed, "spins")).astype(float)
    found = []
    for i, j in ((0, 1), (0, 3), (1, 2), (2, 3)):
        exact = w @ (m.mean(axis=1) ** 2 if alike else m[:, i] * m[:, j])
        found.append(against(f"<s_{i} s_{j}>", mean((x[:, i] * x[:, j])[:, None]), exact))
    return found


# --- likelihoods whose exact values are known -----------------------------------------------------


def _off_optimum(seed: int) -> tuple[LinearVAE, np.ndarray]:
    """A linear VAE whose encoder is not the posterior, and data."""
    x = _rows(seed)
    vae = LinearVAE(4, 2, rng=seed, dtype=torch.float64)
    vae.solve(x)
    affine: Any = vae.encoder.affine
    with torch.no_grad():
        affine.weight.mul_(0.8)
        vae.encoder.log_variance.add_(0.3)
    return vae, x[:40]


def _evidence(seed: int, scale: int, *, bound: bool = False) -> list[Measurement]:
    """Importance weights, each z and their mean; the bound in their place is no likelihood."""
    vae, x = _off_optimum(seed)
    found = vae.log_likelihood(x, n_draws=4000 * scale, rng=derive_seed(seed, "evidence"))
    values = vae.elbo(x)["elbo"] if bound else found.values
    z = _deviations(replace(found, values=values), vae.evidence(x).values)
    worst = int(np.abs(z).argmax())
    error = 1.0 / math.sqrt(len(z))
    return [
        Measurement("mean z", z.mean(), 0.0, error, len(z), z.mean() / error),
        *(
            Measurement(
                f"log p(x_{i})", values[i], vae.evidence(x).values[i], found.stderr[i], 4000, z[i]
            )
            for i in {0, 1, 2, worst}
        ),
    ]


class _Divergent(LinearHierarchicalVAE):
    """The middle term as KL(q(h_1 | x) || p(h_1 | h_2)), h_1 drawn without regard to h_2."""

    def terms(self, x: Tensor, condition: Any, generator: Any) -> dict[str, Tensor]:
        found = super().terms(x, condition, generator)
        (q, _), (_, above) = self._up(x, condition, generator)
        fresh = q.draw(self.noise((len(x), 1), generator))
        ratio = q.log_prob(fresh) - self._down(1, above, condition).log_prob(fresh)
        return found | {"elbo": found["elbo"] + found["ratio_1"] - ratio}


class _Forgetful(LinearHierarchicalVAE):
    """A bound without the term of the prior."""

    def terms(self, x: Tensor, condition: Any, generator: Any) -> dict[str, Tensor]:
        found = super().terms(x, condition, generator)
        return found | {"elbo": found["elbo"] + found["prior"]}


def _chain(
    seed: int, scale: int, *, kind: type[LinearHierarchicalVAE] = LinearHierarchicalVAE
) -> list[Measurement]:
    """h_2 ~ N(0, 1), h_1 = a h_2 + b + N(0, s), x = w h_1 + N(0, 0.6): with the exact posterior
    the bound is the evidence, and so is every weight."""
    a, b, s, w = 0.8, 0.5, 0.7, np.array([0.9, -0.4, 1.5])
    model = kind(3, (1, 1), rng=1, variance=0.6, dtype=torch.float64)
    variance = a**2 + s  # of h_1
    up, above = 1.0 / variance + w @ w / 0.6, 1.0 + a**2 / s  # precisions of h_1 | x, h_2 | h_1
    parts: Any = (
        (model.decoders[1], [[a]], [b], s),
        (model.encoders[0], (w / 0.6 / up)[None], [b / variance / up], 1.0 / up),
        (model.encoders[1], [[a / s / above]], [-a * b / s / above], 1.0 / above),
    )
    with torch.no_grad():
        for part, slope, shift, v in parts:
            part.affine.weight.copy_(torch.as_tensor(np.array(slope)))
            part.affine.bias.copy_(torch.as_tensor(np.array(shift)))
            part.log_variance.fill_(math.log(v))
        first: Any = model.decoders[0]
        first[0].weight.copy_(torch.as_tensor(w[:, None]))
        first[0].bias.zero_()
    x = np.array([[1.0, 0.2, 2.5], [-1.0, 0.5, 0.3], [0.0, -2.0, 1.0]])
    exact = model.evidence(x).values
    weights = model.log_likelihood(x, n_draws=60, rng=derive_seed(seed, "w")).values
    found = [
        identity("largest error of a log-weight", np.abs(weights - exact).max(), 0.0, 1e-9, n=3)
    ]
    rows = np.repeat(x, 3000 * scale, axis=0)
    bound = model.elbo(rows, n_draws=2, rng=derive_seed(seed, "elbo"))["elbo"].reshape(3, -1)
    for i, values in enumerate(bound):
        found.append(against(f"bound of x_{i}", mean(values[:, None]), exact[i]))
    return found


# --- a variance that is no number -----------------------------------------------------------------


class _Broken(torch.nn.Module):
    """An encoder whose log variance is that of -1; `hidden` puts a number in its place."""

    means: Any
    hidden: bool

    def __init__(self, hidden: bool) -> None:
        super().__init__()
        self.means, self.hidden = torch.nn.utils.skip_init(torch.nn.Linear, 4, 1), hidden
        torch.nn.init.zeros_(self.means.weight)
        torch.nn.init.zeros_(self.means.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Mean and log variance."""
        m: Tensor = self.means(x)
        log_variance = torch.log(m * 0.0 - 1.0)
        if self.hidden:
            log_variance = torch.nan_to_num(log_variance)
        return torch.cat([m, log_variance], dim=1)


def _nan(seed: int, scale: int, *, hidden: bool = False) -> list[Measurement]:
    """Whether a training run with a NaN variance says so, at its first step."""
    vae = VAE(Spins(4), 1, (4,), rng=seed, encoder=_Broken(hidden))
    caught = 0
    try:
        vae.fit(_STATES, epochs=2, rng=seed, batch_size=8, progress=False)
    except TrainingDiverged as error:
        caught = int(error.step == 0 and error.epoch == 1)
    return [identity("caught at the first step", caught, 1.0, 0.5)]


def _mutants(run: Callable[..., list[Measurement]], **options: Any) -> tuple[Mutant, ...]:
    """The mistakes that a loss can have."""
    return (
        Mutant("lost 1/2 in the divergence", partial(run, kind=_HalfLost, **options)),
        Mutant("mean over sites for their sum", partial(run, kind=_MeanForSum, **options)),
        Mutant("beta dropped", partial(run, kind=_BetaDropped, **options)),
    )


CHECKS = (
    Check(
        "autoencoders.linear-optimum",
        "The linear VAE's closed form has no gradient and no gap, pPCA's evidence, and the rates "
        "1/2 log(lambda / (beta sigma^2)) (Lucas et al. 2019).",
        _optimum,
        _mutants(_optimum),
    ),
    Check(
        "autoencoders.bound",
        "Both terms of the bound of a spin VAE, by quadrature over its latents: the sum over sites "
        "of log p(x_i | h), and the divergence of a normal encoder.",
        _terms,
        (
            Mutant("lost 1/2 in the divergence", partial(_terms, kl=2.0)),
            Mutant("mean over sites for their sum", partial(_terms, reconstruction=0.25)),
        ),
    ),
    Check(
        "autoencoders.importance-weights",
        "log p of all states of a spin VAE by importance weights (Burda et al. 2016), against "
        "quadrature; they sum to 1.",
        _weighed,
        (Mutant("sign of the log-weights", partial(_weighed, kind=_ReversedWeights)),),
    ),
    Check(
        "autoencoders.evidence",
        "Importance weights of a linear VAE off its optimum find its exact evidence, and their "
        "mean z is 0.",
        _evidence,
        (Mutant("the bound for the likelihood", partial(_evidence, bound=True)),),
    ),
    Check(
        "autoencoders.spin-correlations",
        "Spins that are independent given the latents have <s_i s_j> = E[m_i m_j].",
        _correlations,
        (Mutant("E[m^2] at every distance", partial(_correlations, alike=True)),),
    ),
    Check(
        "autoencoders.chain-of-latents",
        "With the exact posterior the bound of a linear chain of latents, term by term, is its "
        "evidence, and so is every log-weight.",
        _chain,
        (
            Mutant("a divergence for the log-ratio", partial(_chain, kind=_Divergent)),
            Mutant("prior forgotten", partial(_chain, kind=_Forgetful)),
        ),
    ),
    Check(
        "autoencoders.nan-variance",
        "A variance that is no number stops training at its first step.",
        _nan,
        (Mutant("put right in silence", partial(_nan, hidden=True)),),
    ),
    Check(
        "autoencoders.linear-training",
        "By gradient: the linear autoencoder loses the discarded eigenvalues within 1e-3; the "
        "linear VAE has pPCA's evidence and no gap within 1e-3 nats, and its rates within 0.01 at "
        "three variances and at beta = 2.",
        _trained,
        _mutants(_trained, all_of_it=False),
        tier="full",
    ),
)
