"""Tempered thermodynamics of a model, and training with chains that exchange or carry weights."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import chi2

from statmech_ml import lattices
from statmech_ml.exact import enumeration, kaufman
from statmech_ml.models import RBM, BernoulliRBM, Ising
from statmech_ml.partition import LogZ, thermodynamics
from statmech_ml.partition.thermodynamics import QUANTITIES, Thermodynamics
from statmech_ml.samplers import SwendsenWang
from statmech_ml.training import (
    JarzynskiPCD,
    Monitor,
    PersistentCD,
    TemperedPCD,
    TrajectoryTempering,
    train,
)
from statmech_ml.training.method import Carried, Method
from validation.check import Check, Measurement, Mutant, by_p_value, calibration

_QUIET = Monitor(log_likelihood=None, pseudo_likelihood=False, equilibrium=False)

# --- thermodynamics -------------------------------------------------------------------------------

_TEMPERATURES = np.array([0.6, 1.0, 2.5])
_LADDER = (0.0, 0.4, 0.9, 1.4, 5.0 / 3.0)


class OnBetaF1(BernoulliRBM):
    """beta F_1(v) in place of F_beta(v), in swaps and in weights."""

    def reduced_energy(self, v: Any, beta: Any) -> np.ndarray:
        """The mistake."""
        return np.asarray(np.asarray(beta) * super().reduced_energy(v, 1.0))

    def slope(self, v: Any, beta: Any) -> np.ndarray:
        """Its derivative."""
        return np.asarray(super().reduced_energy(v, 1.0) + 0.0 * np.asarray(beta))


def _machine(kind: type[BernoulliRBM]) -> BernoulliRBM:
    """Six visible and four hidden units."""
    g = np.random.default_rng(16021766)
    return kind(g.normal(0.2, 0.5, 6), g.normal(-0.1, 0.5, 4), g.normal(0.0, 0.7, (6, 4)))


def _by_enumeration(rbm: BernoulliRBM) -> np.ndarray:
    """The five quantities (quantity, temperature), from all states of both layers."""
    v = rbm.space.from_index(np.arange(rbm.space.n_states))
    h = rbm.hidden_space.from_index(np.arange(rbm.hidden_space.n_states))
    energy = rbm.joint_energy(v[:, None], h[None])
    order = np.broadcast_to(v.sum(axis=1)[:, None], energy.shape).ravel()
    energy = energy.ravel()
    found = []
    for t in _TEMPERATURES:
        log_z = float(logsumexp(-energy / t))
        p = np.exp(-energy / t - log_z)
        u, m = p @ energy, p @ order
        c, chi = p @ (energy - u) ** 2 / t**2, p @ (order - m) ** 2 / t
        found.append([-t * log_z, u, u / t + log_z, c, chi])
    return np.array(found).T


def _rbm_thermodynamics(
    seed: int, scale: int, *, kind: type[BernoulliRBM] = BernoulliRBM, lost: str = ""
) -> list[Measurement]:
    """Calibration over independent runs: unbiased, with honest errors, at each temperature."""
    truth = _by_enumeration(_machine(BernoulliRBM))
    if lost:
        truth[QUANTITIES.index(lost)] *= _TEMPERATURES
    found: list[Thermodynamics] = [
        thermodynamics(
            _machine(kind), temperatures=_TEMPERATURES, ladder=_LADDER, n_draws=80, rng=int(s)
        )
        for s in np.random.SeedSequence(seed).generate_state(6 * scale)
    ]
    measured = []
    for name, exact in zip(QUANTITIES, truth, strict=True):
        z = np.array([getattr(r, name).z(exact) for r in found])
        for k, t in enumerate(_TEMPERATURES):
            measured += calibration(f"{name}, T = {t:g}", z[:, k])
    return measured


def _torus_thermodynamics(
    seed: int, scale: int, *, heat_of: float = 1.0, energy_of: float = 1.0
) -> list[Measurement]:
    """16 x 16 spins from above to below T_c."""
    size, t = 16, np.array([2.0, 2.269185, 2.6])
    model = Ising(lattices.square(size, size))
    found = thermodynamics(
        model, temperatures=t, sampler=SwendsenWang(), n_draws=300 * scale, rng=seed
    )
    n, betas = size * size, 1.0 / t
    log_z, u, c = (
        np.array([f(size, size, float(b)) for b in betas])
        for f in (kaufman.log_z, kaufman.energy_per_site, kaufman.specific_heat)
    )
    u, c = energy_of * n * u, heat_of * n * c
    truth = {
        "free_energy": -log_z / betas, "internal_energy": u,
        "entropy": betas * u + log_z, "heat_capacity": c,
    }  # fmt: skip
    measured = []
    for name, exact in truth.items():
        curve = getattr(found, name)
        for k, z in enumerate(curve.z(exact)):
            n_draws = int(found.diagnostics["n_chains"] * found.diagnostics["n_draws"])
            measured.append(
                Measurement(
                    f"{name} of {size} x {size}, T = {t[k]:g}", float(curve.value[k]),
                    float(exact[k]), float(curve.stderr[k]), n_draws, float(z),
                )
            )  # fmt: skip
    return measured


# --- log Z as a by-product of training ------------------------------------------------------------


class WrongSign(JarzynskiPCD):
    """Weights gain new minus old energies."""

    def _walked(self, model: Any, shell: Any, carried: Carried, seed: int) -> Carried:
        new = np.asarray(model.reduced_energy(carried["x"], 1.0))
        turned = carried | {"energy": 2.0 * new - carried["energy"]}
        return super()._walked(model, shell, turned, seed)


class MovesFirst(JarzynskiPCD):
    """Weights are updated at the configurations after the moves."""

    def _walked(self, model: Any, shell: Any, carried: Carried, seed: int) -> Carried:
        # The energies under the old parameters belong to the walkers before their last sweep.
        moved = super()._walked(model, shell, carried, seed)
        gain = np.asarray(model.reduced_energy(carried["x"], 1.0)) - moved["energy"]
        return moved | {"log_weights": moved["log_weights"] + gain}


class DriversTestify(JarzynskiPCD):
    """log Z from the walkers that drove the gradient, which flee from what they hold."""

    def log_z(self, shell: Any, carried: Carried) -> LogZ | None:
        n = self.n_chains
        drivers = carried | {
            "log_weights": np.concatenate([carried["log_weights"][:n]] * 2),
            "log_z": np.repeat(carried["log_z"][:1], 1 + self.n_populations),
        }
        return super().log_z(shell, drivers)


class TurnedWork(TrajectoryTempering):
    """Works of the wrong sign."""

    def log_z(self, shell: Any, carried: Carried) -> LogZ | None:
        found = super().log_z(shell, carried)
        assert found is not None
        return LogZ(2.0 * float(carried["log_z_reference"]) - found.value, found.stderr)


def _log_z_throughout(
    seed: int, scale: int, *, method: Method, every: int, n_records: int, rate: float = 0.3
) -> list[Measurement]:
    """log Z by the method against the sum over all states, at records along a training run."""
    g = np.random.default_rng(seed)
    true = _machine(BernoulliRBM)
    law = enumeration.distribution(true, 1.0)
    z: list[list[float]] = []
    for _ in range(3 * scale):
        data = true.space.from_index(g.choice(len(law), 500, p=law))
        start = BernoulliRBM(np.zeros(6), np.zeros(4), g.normal(0.0, 0.3, (6, 4)))
        shell = start.thaw(torch.float64)
        stream = int(g.integers(2**32))
        carried, found = method.init(shell, data, stream), []
        for step in range(every * n_records):
            batch = shell.tensor(data[g.integers(0, len(data), 50)])
            result = method.gradient(shell, batch, carried, stream, step)
            before = {name: p.detach().clone() for name, p in shell.named_parameters()}
            with torch.no_grad():
                for name, p in shell.named_parameters():
                    p -= rate * result.gradients[name]
            carried, _ = method.stepped(shell, before, result.carried, stream, step)
            if (step + 1) % every == 0:
                found.append(method.log_z(shell, carried).z(enumeration.log_z(shell.freeze(), 1.0)))
        z.append(found)
    measured = []
    for record, column in enumerate(np.array(z).T):
        measured += calibration(f"log Z after {(record + 1) * every} steps", column)
    return measured


# --- modes far apart ------------------------------------------------------------------------------


def _two_modes(seed: int, scale: int, *, method: Callable[[], Method]) -> list[Measurement]:
    """12 spins, mostly up in 3 of 4 configurations, else mostly down: the model's share of up.

    The error is that of the difference of two such data sets, which the data could not tell apart;
    what 400 chains add over the memory of the parameters is less.
    """
    n, n_data, share, flip = 12, 1000, 0.75, 0.03
    g = np.random.default_rng(seed)
    found, expected = [], []
    for _ in range(2 * scale):
        up = np.where(g.random((n_data, 1)) < share, 1, -1)
        data = np.where(g.random((n_data, n)) < flip, -up, up).astype(np.int8)
        shell = RBM(np.zeros(n), np.zeros(4), g.normal(0.0, 0.05, (n, 4))).thaw()
        train(
            shell, data, method(), epochs=40, rng=g, learning_rate=0.05, monitor=_QUIET,
            schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.95), progress=False,
        )  # fmt: skip
        model = shell.freeze()
        x = model.space.from_index(np.arange(2**n))
        p = enumeration.distribution(model, 1.0)
        found.append(float(p[(x > 0).sum(axis=1) > n / 2].sum()))
        expected.append(float((data.sum(axis=1) > 0).mean()))
    error = math.sqrt(2.0 * share * (1.0 - share) / n_data)
    return [
        Measurement(f"share of the mode, run {k}", a, b, error, n_data, (a - b) / error)
        for k, (a, b) in enumerate(zip(found, expected, strict=True))
    ]


# --- to the maximum of the likelihood -------------------------------------------------------------


class TooHot(TemperedPCD):
    """Chains at beta = 0.9 enter the gradient."""

    def ladder(self, shell: Any) -> np.ndarray:
        """The mistake."""
        return 0.9 * super().ladder(shell)


def _maximum_likelihood(
    seed: int, scale: int, *, method: Callable[[], Method]
) -> list[Measurement]:
    """2 n times the likelihood that training leaves to the maximum, on data of a known RBM.

    The true parameters fall short of the maximum by a chi-square with as many degrees of freedom as
    there are parameters (Wilks): what falls short by no more cannot be told from the maximum by the
    data. Training starts from 0.8 of the maximum's parameters.
    """
    true, n_data = _machine(BernoulliRBM), 20_000 * scale
    n_parameters = 6 + 4 + 24
    law = enumeration.distribution(true, 1.0)
    drawn = np.random.default_rng(seed).choice(len(law), n_data, p=law)
    states = true.space.from_index(np.arange(len(law)))
    share = np.bincount(drawn, minlength=len(law)) / n_data
    shell = true.thaw(torch.float64)
    x, weights = shell.tensor(states), torch.from_numpy(share)

    def loss() -> torch.Tensor:
        energy = shell.free_energy(x)
        return (weights * energy).sum() + torch.logsumexp(-energy, 0)

    climb = torch.optim.LBFGS(
        shell.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9
    )

    def closure() -> torch.Tensor:
        climb.zero_grad()
        value = loss()
        value.backward()
        return value

    climb.step(closure)
    with torch.no_grad():
        best = float(loss())
        for parameter in shell.parameters():
            parameter *= 0.8
        before = 2.0 * n_data * (float(loss()) - best)
    train(
        shell, true.space.from_index(drawn), method(), epochs=20, rng=seed, batch_size=500 * scale,
        learning_rate=0.5, monitor=_QUIET, progress=False,
        schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8),
    )  # fmt: skip
    with torch.no_grad():
        short = 2.0 * n_data * (float(loss()) - best)
    return [
        by_p_value(
            f"2 n (L_max - L) after training, {before:.0f} before it",
            float(chi2.sf(short, n_parameters)), n_data, short, n_parameters,
            math.sqrt(2 * n_parameters),
        )
    ]  # fmt: skip


_JARZYNSKI: dict[str, Any] = {"n_chains": 64, "n_witnesses": 64, "start_levels": 4}
_TRAJECTORY: dict[str, Any] = {"n_chains": 64, "n_witnesses": 64, "acceptance": 0.6}


def _mutant_log_z(kind: Any, **settings: Any) -> Any:
    return partial(_log_z_throughout, method=kind(**settings), every=10, n_records=2)


CHECKS = (
    Check(
        "tempered.rbm-thermodynamics",
        "F, U, S, C and chi of a 6 x 4 RBM from one tempered run with MBAR are those of "
        "enumeration of both layers, with honest errors.",
        _rbm_thermodynamics,
        (
            Mutant("beta F_1(v) for F_beta(v)", partial(_rbm_thermodynamics, kind=OnBetaF1)),
            Mutant("C without 1 / T", partial(_rbm_thermodynamics, lost="heat_capacity")),
            Mutant("S without 1 / T", partial(_rbm_thermodynamics, lost="entropy")),
        ),
        tier="full",
    ),
    Check(
        "tempered.torus-thermodynamics",
        "F, U, S and C of the 16 x 16 Ising model through T_c from one tempered run are Kaufman's.",
        _torus_thermodynamics,
        (
            Mutant("specific heat 10% too large", partial(_torus_thermodynamics, heat_of=1.1)),
            Mutant("bonds counted twice", partial(_torus_thermodynamics, energy_of=2.0)),
        ),
        tier="full",
    ),
    Check(
        "tempered.jarzynski-log-z",
        "Z_theta = Z_0 <w> throughout training (Carbone et al. 2023, algorithm 1), from walkers "
        "that do not drive it.",
        partial(_log_z_throughout, method=JarzynskiPCD(**_JARZYNSKI), every=10, n_records=2),
        (
            Mutant("new minus old energies", _mutant_log_z(WrongSign, **_JARZYNSKI)),
            Mutant("weights after the moves", _mutant_log_z(MovesFirst, **_JARZYNSKI)),
            Mutant("walkers that drove the gradient", _mutant_log_z(DriversTestify, **_JARZYNSKI)),
        ),
    ),
    Check(
        "tempered.trajectory-log-z",
        "BAR along the checkpoints of a training run gives the exact log Z throughout.",
        partial(
            _log_z_throughout, method=TrajectoryTempering(**_TRAJECTORY), every=10, n_records=2
        ),
        (Mutant("works of the wrong sign", _mutant_log_z(TurnedWork, **_TRAJECTORY)),),
    ),
    Check(
        "tempered.maximum-likelihood",
        "On data of a 6 x 4 RBM tempered PCD ends within the sampling error of the maximum of the "
        "likelihood.",
        partial(_maximum_likelihood, method=partial(TemperedPCD, n_chains=500, n_betas=3)),
        (
            Mutant(
                "chains at beta = 0.9 in the gradient",
                partial(_maximum_likelihood, method=partial(TooHot, n_chains=500, n_betas=3)),
            ),
        ),
        tier="full",
    ),
    Check(
        "tempered.two-modes",
        "Tempered PCD gives two modes far apart the shares of the data, where chains that cannot "
        "go over lose them.",
        partial(_two_modes, method=partial(TemperedPCD, n_chains=400, n_betas=6)),
        (
            Mutant(
                "chains that do not exchange",
                partial(_two_modes, method=partial(PersistentCD, n_chains=400)),
            ),
        ),
        tier="full",
    ),
)
