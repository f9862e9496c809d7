"""Autoregressive spins: normalised, drawn as they say, and tied to exact results by their free
energy and their weights.
"""

from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from statmech_ml import lattices
from statmech_ml.divergences import discrete
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman, transfer_matrix
from statmech_ml.generative import AutoregressiveSpins, MaskedConvolution, MaskedDense, Reweighted
from statmech_ml.generative.variational import FreeEnergyDescent
from statmech_ml.models import Ising
from statmech_ml.spaces import Spins
from statmech_ml.statistics import Estimate, mean
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity
from validation.frequencies import frequencies

_DOUBLE = torch.float64
_BETA = 1.0 / 2.269
# A field from site to site: nothing is symmetric, and a lost sign shows.
_TILTED = Ising(lattices.square(3, 3), coupling=1.0, field=np.linspace(-0.3, 0.6, 9))
_STATES = Spins(9).from_index(np.arange(512))


class _Pairs(torch.nn.Module):
    """a_i = b_i + sum_{j < i} J_ij s_j; `shift` 0 lets a site see itself."""

    def __init__(self, shift: int = -1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.J = torch.nn.Parameter(0.4 * torch.randn((9, 9), generator=generator, dtype=_DOUBLE))
        self.b = torch.nn.Parameter(0.3 * torch.randn(9, generator=generator, dtype=_DOUBLE))
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.J.tril(self.shift).T + self.b


def _network(name: str) -> torch.nn.Module:
    if name == "pairs":
        return _Pairs()
    if name == "dense":
        network: torch.nn.Module = MaskedDense(9, (20, 13), rng=1, dtype=_DOUBLE)
    else:
        network = MaskedConvolution((3, 3), 4, 2, rng=2, dtype=_DOUBLE)
    with torch.no_grad():  # conditionals far from 1/2
        for p in network.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(8)))
    return network


_NAMES = ("pairs", "dense", "convolution")


def _log_p(model: AutoregressiveSpins, mistake: str = "") -> np.ndarray:
    """log p of all states, or what a mistake in it would make."""
    if not mistake:
        return model.log_prob(_STATES)
    x = model.configurations(_STATES)
    with torch.no_grad():
        odds = model.log_odds(x)
        if mistake == "mask":  # output i sees the input i, and not i - 1: the mask is one too far
            odds = model.log_odds(x.roll(-1, 1))
        if mistake == "bits":  # s in place of (1 + s) / 2 in s log p + (1 - s) log(1 - p)
            found = x * logsigmoid(odds) + (1.0 - x) * logsigmoid(-odds)
        else:
            found = logsigmoid(x * odds)
    return found.sum(1).numpy()


def _normalised(seed: int, scale: int, *, mistake: str = "") -> list[Measurement]:
    found = []
    for name in _NAMES:
        for flip in (False, True):
            model = AutoregressiveSpins(Spins(9), _network(name), flip_symmetry=flip)
            total = np.exp(_log_p(model, mistake)).sum()
            found.append(identity(f"sum of p, {name}, flips {flip}", total, 1.0, 1e-12, 512))
            if flip:
                log_p = _log_p(model, mistake)
                away = np.abs(log_p - log_p[::-1]).max()
                found.append(identity(f"log p(s) - log p(-s), {name}", away, 0.0, 1e-11, 512))
    return found


def _refused(seed: int, scale: int, *, checked: bool = True) -> list[Measurement]:
    """A network that sees itself is refused, one that does not is accepted."""
    found = []
    for shift, exact in ((-1, 0.0), (0, 1.0)):
        refused = 0.0
        try:
            if checked:
                AutoregressiveSpins(Spins(9), _Pairs(shift))
        except InvalidInput:
            refused = 1.0
        found.append(identity(f"refused, mask from the diagonal {shift}", refused, exact, 0.5))
    return found


class _Scaled(torch.nn.Module):
    """Log-odds times a factor; drawn from by one pass for each site."""

    def __init__(self, network: torch.nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.network(x)


def _frequencies(
    seed: int, scale: int, *, factor: float = 1.0, turned: bool = True
) -> list[Measurement]:
    found, n = [], 6000 * scale
    for name, flip in ((name, flip) for name in _NAMES for flip in (False, True)):
        network = _network(name)
        model = AutoregressiveSpins(Spins(9), network, flip_symmetry=flip)
        drawn = network if factor == 1.0 else _Scaled(network, factor)
        drawer = AutoregressiveSpins(Spins(9), drawn, flip_symmetry=flip and turned)
        x = drawer.sample(n, rng=derive_seed(seed, f"{name} {flip}"))
        p = np.exp(model.log_prob(_STATES))
        where = f"frequencies, {name}, flips {flip}"
        found.append(frequencies(where, Spins(9).index(x), p))
    return found


# --- variational ----------------------------------------------------------------------------------


class _NoEntropy(AutoregressiveSpins):
    """log p is forgotten in f = log p + u."""

    def log_prob(self, x: Any, *, condition: Any = None) -> np.ndarray:
        return np.zeros(len(x))


def _gap(
    seed: int, scale: int, *, kind: Any = AutoregressiveSpins, factor: float = 1.0
) -> list[Measurement]:
    """F of draws + log Z = KL(p || exact) of the enumerated laws."""
    found = []
    exact = np.exp(-_TILTED.reduced_energy(_STATES, _BETA))
    exact = exact / exact.sum()
    log_z = float(enumeration.log_z(_TILTED, _BETA))
    for name in _NAMES:
        network = _network(name)
        p = np.exp(AutoregressiveSpins(Spins(9), network).log_prob(_STATES))
        kl = discrete.kl(p / p.sum(), exact)
        drawer = kind(Spins(9), network if factor == 1.0 else _Scaled(network, factor))
        F = drawer.free_energy(_TILTED, _BETA, 1000 * scale, rng=derive_seed(seed, name))
        total = Estimate(F.value + log_z, F.stderr, F.tau_int, F.ess, F.n)
        found.append(against(f"F + log Z, {name}", total, kl))
    return found


class _HalfFlipped(AutoregressiveSpins):
    """Draws are turned or not, and scored by the network's own p(s)."""

    def log_density(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self._of_network(self._signs(x), condition)


class _Forgetful(AutoregressiveSpins):
    """log p has the right gradient and the value 0, so that it drops out of f = log p + u."""

    def log_density(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        found = super().log_density(x, condition)
        return found - found.detach()


def _gradient(
    seed: int,
    scale: int,
    *,
    sign: float = 1.0,
    kind: Any = AutoregressiveSpins,
    batch: int = 10,
    steps: int = 60,
    flip: bool = False,
) -> list[Measurement]:
    """Along the exact gradient, along its part from log p, and along a third direction: a random
    one, or where flips are built in the mean score of the network before it is made symmetric."""
    model = AutoregressiveSpins(Spins(9), _network("pairs"), flip_symmetry=flip)
    names, parameters = zip(*model.named_parameters(), strict=True)
    log_p = model.log_density(model.configurations(_STATES))
    u = torch.as_tensor(_TILTED.reduced_energy(_STATES, _BETA))
    size = sum(p.numel() for p in parameters)
    directions = np.random.default_rng(5).normal(size=(3, size))
    for k, f in enumerate((log_p + u, log_p)):
        parts = torch.autograd.grad((log_p.exp() * f).sum(), parameters, retain_graph=True)
        directions[k] = torch.cat([g.reshape(-1) for g in parts]).numpy()
    if flip:  # its mean vanishes over the network's own draws, but not over the symmetric ones
        own = model._of_network(model.configurations(_STATES), None)
        parts = torch.autograd.grad((log_p.exp().detach() * own).sum(), parameters)
        directions[2] = torch.cat([g.reshape(-1) for g in parts]).numpy()
    exact = directions @ directions[0]
    method = FreeEnergyDescent(_TILTED, np.array([_BETA]), None, batch, 0)
    shell = kind(Spins(9), model.network, flip_symmetry=flip)
    rows = []
    for step in range(steps * scale):
        g = method.gradient(shell, torch.zeros(1), {}, seed, step).gradients
        rows.append(np.concatenate([g[name].reshape(-1).numpy() for name in names]))
    along = sign * np.array(rows) @ directions.T
    wheres = ("along itself", "along that of E[log p]", "along a third direction")
    return [
        against(f"gradient of F {where}", mean(along[:, k][:, None]), exact[k])
        for k, where in enumerate(wheres)
    ]


def _judged(r: Reweighted, name: str, energy: float, log_z: float) -> list[Measurement]:
    n = len(r.x)
    z = r.log_z.z(log_z)
    return [
        against(f"<E>, {name}", r.mean(r.energy, "accept"), energy),
        Measurement(f"log Z, {name}", r.log_z.value, log_z, r.log_z.stderr, n, z),
    ]


def _mistaken(r: Reweighted, weighed: bool) -> Reweighted:
    """All weights equal where they are forgotten; log Z is left alone."""
    if weighed:
        return r
    return Reweighted(r.x, r.energy, np.zeros_like(r.log_weights), r.log_z)


def _weights(seed: int, scale: int, *, weighed: bool = True) -> list[Measurement]:
    """A network far from the ensemble, beta = 0.2."""
    model, beta, found = AutoregressiveSpins(Spins(9), _network("dense")), 0.2, []
    energy = 9 * enumeration.energy_per_site(_TILTED, beta)
    log_z = float(enumeration.log_z(_TILTED, beta))
    for k in range(3):
        r = model.reweight(_TILTED, beta, 3000 * scale, rng=derive_seed(seed, str(k)))
        found += _judged(_mistaken(r, weighed), f"run {k}", energy, log_z)
    return found


@lru_cache
def _trained(way: str) -> AutoregressiveSpins:
    """8 x 8 at T = 2.269, from exact draws or from the energy alone."""
    ising = Ising(lattices.square(8, 8))
    network = MaskedDense(64, (128,), rng=1)
    model = AutoregressiveSpins(Spins(64), network, flip_symmetry=True)
    if way == "likelihood":
        data = transfer_matrix.draw(ising, _BETA, 20_000, rng=1)
        model.fit(data, epochs=8, rng=1, batch_size=200, learning_rate=2e-3, progress=False)
    else:
        model.fit_variational(
            ising, beta=_BETA, n_steps=600, rng=1, anneal_steps=300, learning_rate=3e-3,
            progress=False,
        )  # fmt: skip
    return model


def _critical(seed: int, scale: int, *, weighed: bool = True) -> list[Measurement]:
    ising, found = Ising(lattices.square(8, 8)), []
    energy = 64 * float(kaufman.energy_per_site(8, 8, _BETA))
    log_z = float(kaufman.log_z(8, 8, _BETA))
    for way in ("likelihood", "variational"):
        r = _trained(way).reweight(ising, _BETA, 20_000 * scale, rng=derive_seed(seed, way))
        found += _judged(_mistaken(r, weighed), way, energy, log_z)
    return found


CHECKS = (
    Check(
        "autoregressive.normalised",
        "sum_s p(s) = 1 over all states, and p(-s) = p(s) where that is built in, for every kind "
        "of network.",
        _normalised,
        (
            Mutant("mask shifted by one", partial(_normalised, mistake="mask")),
            Mutant("lost factor from spins to bits", partial(_normalised, mistake="bits")),
        ),
    ),
    Check(
        "autoregressive.causal",
        "A network whose outputs see their own inputs is refused before any work.",
        _refused,
        (Mutant("not looked at", partial(_refused, checked=False)),),
    ),
    Check(
        "autoregressive.frequencies",
        "Draws come with the frequencies p(s), with the flip symmetry and without.",
        _frequencies,
        (
            Mutant("lost factor 2 in the odds of a spin", partial(_frequencies, factor=0.5)),
            Mutant("never turned", partial(_frequencies, turned=False)),
        ),
    ),
    Check(
        "autoregressive.free-energy",
        "E_p[log p + u] + log Z = KL(p || exact) (Wu, Wang and Zhang 2019).",
        _gap,
        (
            Mutant("log p dropped", partial(_gap, kind=_NoEntropy)),
            Mutant("log-odds halved", partial(_gap, factor=0.5)),
        ),
    ),
    Check(
        "autoregressive.gradient",
        "The score-function gradient with the mean of the other draws as baseline is, on average, "
        "that of the enumerated variational free energy.",
        _gradient,
        (
            Mutant("sign of the reward", partial(_gradient, sign=-1.0)),
            Mutant("log p dropped", partial(_gradient, kind=_Forgetful)),
            Mutant("own draw in the baseline", partial(_gradient, sign=0.5, batch=2, steps=240)),
        ),
    ),
    Check(
        "autoregressive.gradient-symmetric",
        "So it is where p is the mean of the network's p(s) and p(-s).",
        partial(_gradient, batch=100, flip=True),
        (
            Mutant(
                "scored before it is made symmetric",
                partial(_gradient, kind=_HalfFlipped, batch=100, flip=True),
            ),
        ),
    ),
    Check(
        "autoregressive.weights",
        "Importance weights exp(-u) / p give <E> and log Z of the exact ensemble, from a network "
        "that is far from it (Nicoli et al. 2020).",
        _weights,
        (Mutant("weights forgotten", partial(_weights, weighed=False)),),
    ),
    Check(
        "autoregressive.critical-8x8",
        "A network trained on exact draws, and one on the energy alone, give Kaufman's energy and "
        "log Z of the 8 x 8 torus at T = 2.269 by their weights.",
        _critical,
        (Mutant("weights forgotten", partial(_critical, weighed=False)),),
        tier="full",
    ),
)
