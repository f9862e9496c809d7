"""Diffusion of spins: the bound with an exact denoiser, the last step, and the denoiser itself."""

from functools import partial
from typing import Any

import numpy as np
import torch

from statmech_ml import lattices, models
from statmech_ml.exact import targets, transfer_matrix
from statmech_ml.generative import DiffusionModel, ExactDenoiser, SpinDiffusion, SpinSchedule
from statmech_ml.generative.spin_diffusion import log_spins_given
from statmech_ml.spaces import Spins
from statmech_ml.statistics import Estimate
from statmech_ml.statistics.estimate import from_tau
from validation.check import (
    Check,
    Measurement,
    Mutant,
    against,
    calibration,
    derive_seed,
    identity,
)
from validation.frequencies import frequencies

_T_C = 2.269185314213
_RING = targets.Ising(
    models.Ising(lattices.chain(5), coupling=0.8, field=[0.5, -0.2, 0.1, 0.0, 0.3]), 0.9
)
_OTHER = targets.Ising(models.Ising(lattices.chain(5), coupling=0.8, field=-0.2), 0.9)
_FAIR = targets.Spins(np.zeros(3))


class _Turned(torch.nn.Module):
    """A denoiser that reads the field of the image with the wrong sign."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any, log_snr: Any, condition: Any = None) -> Any:
        return self.network(-x, log_snr, condition)


class _LostTwo(SpinDiffusion):
    """p(s | z) = sigmoid(a z s / sigma^2), without its 2."""

    def log_decoder(self, x: Any, guess: Any, z: Any, log_snr: Any) -> Any:
        return log_spins_given(x, 0.5 * z, log_snr)


class _OtherSign(SpinDiffusion):
    """p(s | z) with the field turned around."""

    def log_decoder(self, x: Any, guess: Any, z: Any, log_snr: Any) -> Any:
        return log_spins_given(x, -z, log_snr)


class _Smeared(SpinDiffusion):
    """Spins taken for real numbers."""

    log_decoder = DiffusionModel.log_decoder


class _HalfField(SpinDiffusion):
    """Draws the last step in half of the field."""

    def decode(self, last: Any, guess: Any, z: Any, log_snr: float, generator: Any) -> Any:
        return super().decode(last, guess, 0.5 * z, log_snr, generator)


def _model(target: Any, kind: Any = SpinDiffusion, *, turned: bool = False, **more: Any) -> Any:
    """A diffusion model whose network is the exact denoiser of a target."""
    network: Any = ExactDenoiser(target)
    return kind(
        Spins(target.space.size), network=_Turned(network) if turned else network,
        prediction="x0", dtype=torch.float64, **more,
    )  # fmt: skip


def _average(values: np.ndarray) -> Estimate:
    """Mean of independent numbers."""
    return from_tau(float(values.mean()), 0.5, float(values.var(ddof=1)), len(values))


def _cost(p: np.ndarray, q: np.ndarray | None = None) -> float:
    """-<log q> under p, by enumeration: the entropy of p without q."""
    return -float(p @ np.log(p if q is None else q))


# --- the bound ------------------------------------------------------------------------------------


def _by_state(model: Any, target: Any, seed: int, copies: int) -> list[Measurement]:
    """The bound of every state beside log Q."""
    states = target.space.from_index(np.arange(target.space.n_states))
    found = model.elbo(np.repeat(states, copies, axis=0), rng=seed, n_draws=2)["elbo"]
    exact = target.log_prob(states)
    return [
        against(f"bound on log P of state {k}", _average(values), exact[k])
        for k, values in enumerate(found.reshape(len(states), copies))
    ]


def _pointwise(
    seed: int, scale: int, *, denoiser: Any = _RING, turned: bool = False
) -> list[Measurement]:
    return _by_state(_model(denoiser, turned=turned), _RING, seed, 500 * scale)


def _last_step(seed: int, scale: int, *, kind: Any = SpinDiffusion) -> list[Measurement]:
    """Fair spins, latents that end at a signal as strong as the noise."""
    model = _model(_FAIR, kind, schedule=SpinSchedule(high=0.5))
    return _by_state(model, _FAIR, seed, 2000 * scale)


def _entropy(
    seed: int, scale: int, *, kind: Any = SpinDiffusion, warmer: float = 1.0
) -> list[Measurement]:
    """Bits for a configuration of the 4 x 4 torus at T_c."""
    lattice = models.Ising(lattices.square(4, 4))
    target = targets.Ising(lattice, 1.0 / _T_C)
    model = _model(targets.Ising(lattice, 1.0 / (warmer * _T_C)), kind)
    x = target.sample(1500 * scale, derive_seed(seed, "data"))
    found = model.elbo(x, rng=seed, n_draws=2)
    gap = (
        target.log_prob(x) - found["elbo"]
    )  # its mean is D(P || model), its noise the draws' alone
    return [
        against("mean bound", found.mean(), -_cost(target.probability)),
        against("mean of log P - bound", _average(gap), 0.0),
    ]


def _divergence(seed: int, scale: int, *, counted: bool = True) -> list[Measurement]:
    """The denoiser of Q on data of P."""
    p, q = _RING.probability, _OTHER.probability
    expected = _cost(p, q if counted else p)
    x = _RING.sample(4000 * scale, derive_seed(seed, "data"))
    found = _model(_OTHER).elbo(x, rng=seed, n_draws=4).mean()
    return [against("mean bound", found, -expected)]


def _calibrated(seed: int, scale: int, *, slip: float = 1.0) -> list[Measurement]:
    """z of the mean bound over runs, and of single configurations by their own errors."""
    model, z, single = _model(_RING), [], []
    for run in range(40 * scale):
        x = _RING.sample(200, derive_seed(seed, f"data {run}"))
        found = model.log_likelihood(x, rng=derive_seed(seed, f"noise {run}"), n_draws=64)
        away = found.values - _RING.log_prob(x)
        z.append(away.mean() / (away.std(ddof=1) / np.sqrt(len(x))) / slip)
        single.append(np.mean(away**2) / np.mean(found.stderr**2) / slip**2)
    return [
        *calibration("the mean bound", np.array(z)),
        against("<(bound - log P)^2> / <error^2>", _average(np.array(single)), 1.0),
    ]


# --- the denoiser by another route, and the spins that are drawn ----------------------------------


def _denoiser(seed: int, scale: int, *, factor: float = 1.0) -> list[Measurement]:
    """E[s | x] beside magnetisations in the fields a x / sigma^2, by the transfer matrix:
    Z(B_i + b) = Z (cosh b + <s_i> sinh b)."""
    beta, b, found = 1.0 / _T_C, 0.7, []
    target = targets.Ising(models.Ising(lattices.square(4, 4)), beta)

    def log_z(fields: np.ndarray) -> float:
        model = models.Ising(lattices.square(4, 4), field=fields / beta)
        return float(transfer_matrix.log_z(model, beta))

    g = np.random.default_rng(seed)
    for level in (-1.5, 0.0, 1.5):
        snr = np.exp(level)
        a, v = np.sqrt(snr / (1.0 + snr)), 1.0 / (1.0 + snr)
        x = a * target.sample(1, g) + np.sqrt(v) * g.normal(size=(1, 16))
        fields = factor * x[0] * a / v
        ratio = np.exp(np.array([log_z(fields + b * e) for e in np.eye(16)]) - log_z(fields))
        exact = (ratio - np.cosh(b)) / np.sinh(b)
        away = np.abs(target.denoiser(x, level)[0] - exact).max()
        found.append(identity(f"largest error at log_snr {level:g}", away, 0.0, 1e-10, n=16))
    return found


def _drawn(
    seed: int, scale: int, *, kind: Any = SpinDiffusion, high: float = 5.0
) -> list[Measurement]:
    """States of the ring that come out of the sampler; the last step in given fields."""
    model = _model(_RING, kind, schedule=SpinSchedule(high=high))
    x = model.sample(3000 * scale, rng=seed, method="ddpm-small", n_steps=100)
    found = [frequencies("states of the ring", _RING.space.index(x), _RING.probability)]
    z = torch.tensor([[0.6, -0.2, 0.1, -0.9, 0.0]], dtype=torch.float64)
    last = model.decode(z, z, z.repeat(4000 * scale, 1), -0.3, model.generator(seed)).numpy()
    snr = np.exp(-0.3)
    exact = np.tanh(z[0].numpy() * np.sqrt(snr * (1.0 + snr)))
    return found + [
        against(f"<s_{i}> of the last step", _average(last[:, i]), exact[i]) for i in range(5)
    ]


CHECKS = (
    Check(
        "spin-diffusion.pointwise",
        "With the exact denoiser of a ring in fields the bound is log P(s), for every s.",
        _pointwise,
        (
            Mutant("field of the image turned", partial(_pointwise, turned=True)),
            Mutant("denoiser of other fields", partial(_pointwise, denoiser=_OTHER)),
        ),
    ),
    Check(
        "spin-diffusion.last-step",
        "Of fair spins the bound is -N log 2 wherever the latents end: "
        "p(s | z) = sigmoid(2 a z s / sigma^2).",
        _last_step,
        (
            Mutant("factor 2 lost", partial(_last_step, kind=_LostTwo)),
            Mutant("sign of the field", partial(_last_step, kind=_OtherSign)),
            Mutant("density of smeared reals", partial(_last_step, kind=_Smeared)),
        ),
    ),
    Check(
        "spin-diffusion.entropy",
        "4 x 4 Ising at T_c: with the exact denoiser the mean bound is minus the entropy, "
        "1/2 int mmse d snr.",
        _entropy,
        (
            Mutant("density of smeared reals", partial(_entropy, kind=_Smeared)),
            Mutant("denoiser of another temperature", partial(_entropy, warmer=1.6)),
        ),
    ),
    Check(
        "spin-diffusion.divergence",
        "Data of P under the denoiser of Q cost the entropy + D(P || Q) (Verdu 2010).",
        _divergence,
        (Mutant("the entropy alone expected", partial(_divergence, counted=False)),),
    ),
    Check(
        "spin-diffusion.exact-denoiser",
        "E[s | x] of the 4 x 4 Ising model is its magnetisation in the fields a x / sigma^2, by "
        "the transfer matrix.",
        _denoiser,
        (
            Mutant("sign of the field", partial(_denoiser, factor=-1.0)),
            Mutant("half the field", partial(_denoiser, factor=0.5)),
        ),
    ),
    Check(
        "spin-diffusion.samples",
        "Spins drawn with the exact denoiser follow the law of the ring; those of the last step "
        "have <s> = tanh(a z / sigma^2).",
        _drawn,
        (
            Mutant("half the field in the last step", partial(_drawn, kind=_HalfField)),
            Mutant("latents that end too early", partial(_drawn, high=-1.0)),
        ),
    ),
    Check(
        "spin-diffusion.errors",
        "Errors of the bound: z over 40 runs, and the noise of single configurations.",
        _calibrated,
        (Mutant("errors a quarter too small", partial(_calibrated, slip=0.75)),),
        tier="full",
    ),
)  # fmt: skip
