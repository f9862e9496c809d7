"""Deep energies: gradients, score matching against closed forms, the chains of the replay buffer, a
network sampled and integrated.
"""

from functools import lru_cache, partial

import numpy as np
import torch

from statmech_ml import sample
from statmech_ml.exact import plane
from statmech_ml.models import Gaussian
from statmech_ml.partition import Geometric, ais
from statmech_ml.samplers import MALA
from statmech_ml.statistics import mean
from statmech_ml.training import EnergyNet, LangevinReplay, NeuralEnergy, ScoreMatching
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

_BOX = ((-12.0, 12.0), (-12.0, 12.0))


@lru_cache(maxsize=1)
def network() -> NeuralEnergy:
    """An asymmetric energy of two coordinates, in double precision."""
    net = EnergyNet.dense(2, (16, 16), rng=3, dtype=torch.float64, confinement=1.4)
    with torch.no_grad():
        last = net.get_submodule("module.4")
        assert isinstance(last, torch.nn.Linear)
        last.weight *= 12.0
    return net.freeze()


class Quadratic(torch.nn.Module):
    """x.P.x / 2, with P symmetric up to rounding."""

    def __init__(self, precision: np.ndarray) -> None:
        super().__init__()
        self.precision = torch.nn.Parameter(torch.tensor(precision))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, size) -> (n,)."""
        return 0.5 * torch.einsum("ni,ij,nj->n", x, self.precision, x)


_P = np.array([[1.4, 0.3, -0.2], [0.3, 0.9, 0.1], [-0.2, 0.1, 2.0]])


def _data(second_moments: bool = False) -> np.ndarray:
    g = np.random.default_rng(1618)
    x = g.normal(size=(60, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.5], [0.0, 0.0, 1.3]])
    return x.T @ x / len(x) if second_moments else x


# --- gradients ------------------------------------------------------------------------------------


def _gradients(seed: int, scale: int, *, beta_of: float = 1.0) -> list[Measurement]:
    model, step, beta = network(), 1e-5, 0.7
    x = np.random.default_rng(seed).normal(size=(40, 2))
    found = []
    given = model.reduced_gradient(x, beta_of * beta)
    for i in range(2):
        shift = step * np.eye(2)[i]
        change = model.reduced_energy(x + shift, beta) - model.reduced_energy(x - shift, beta)
        worst = np.abs(given[:, i] - change / (2.0 * step)).max()
        found.append(identity(f"du/dx_{i} against differences", worst, 0.0, 1e-8, n=len(x)))
    return found


# --- score matching -------------------------------------------------------------------------------


def _score_step(method: ScoreMatching, seed: int, step: int) -> tuple[float, np.ndarray]:
    shell = EnergyNet(Quadratic(_P), 3)
    found = method.gradient(shell, shell.tensor(_data()), {}, seed, step)
    return found.info["loss"], found.gradients["module.precision"].numpy()


def _closed_form(C: np.ndarray, half: float, sign: float) -> tuple[float, np.ndarray]:
    """tr(P C P) / 2 - tr P and its gradient."""
    loss = half * np.trace(_P @ C @ _P) - sign * np.trace(_P)
    return float(loss), half * (_P @ C + C @ _P) - sign * np.eye(3)


def _exact_scores(
    seed: int, scale: int, *, half: float = 0.5, sign: float = 1.0
) -> list[Measurement]:
    loss, gradient = _score_step(ScoreMatching(), seed, 0)
    expected, slope = _closed_form(_data(second_moments=True), half, sign)
    worst = np.abs(gradient - slope).max()
    return [
        identity("loss", loss, expected, 1e-12 * abs(expected)),
        identity("gradient by P", worst, 0.0, 1e-12, n=9),
    ]


def _random_scores(
    seed: int, scale: int, *, width: float = 1.0, miss: float = 0.0
) -> list[Measurement]:
    """Denoising sees C + sigma^2, sliced sees C, on average over their noise."""
    C, sigma, found = _data(second_moments=True), 0.6, []
    for method, moments in (
        (ScoreMatching("sliced"), C + miss * np.eye(3)[::-1]),
        (ScoreMatching("denoising", sigma=sigma), C + (width * sigma) ** 2 * np.eye(3)),
    ):
        slope = _closed_form(moments, 0.5, 1.0)[1]
        steps = np.stack([_score_step(method, seed, s)[1] for s in range(150 * scale)])
        for i, j in ((0, 1), (2, 0)):
            name = f"dL/dP_{i}{j}, {method.kind}"
            found.append(against(name, mean(steps[:, i, j][:, None]), slope[i, j]))
        if method.kind == "denoising":
            found.append(against("dL/dP_00, denoising", mean(steps[:, 0, 0][:, None]), slope[0, 0]))
    return found


# --- chains of the buffer -------------------------------------------------------------------------


def _chains(
    seed: int, scale: int, *, noise: float | None = None, bias: bool = True
) -> list[Measurement]:
    """Variance 1 / (p (1 - eta p / 2)) of unadjusted moves on p x^2 / 2."""
    eta, p = 0.4, np.array([1.7, 0.6])
    n = 3000 * scale
    method = LangevinReplay(n, batch=n, n_steps=25, step_size=eta, noise=noise, restart=0.0)
    shell = EnergyNet(Quadratic(np.diag(p)), 2)
    data = np.array([[-1.0, -1.0], [1.0, 1.0]])
    carried = method.init(shell, data, seed)
    for step in range(2):
        carried = method.gradient(shell, shell.tensor(data), carried, seed, step).carried
    variance = 1.0 / (p * (1.0 - eta * p / 2.0)) if bias else 1.0 / p
    x = carried["buffer"]
    return [
        against(f"<x_{i}^2>, eta = {eta}", mean(x[:, i][:, None] ** 2), variance[i])
        for i in range(2)
    ]


# --- a network sampled and integrated -------------------------------------------------------------


def _sampled(seed: int, scale: int, *, beta_of: float = 1.0) -> list[Measurement]:
    model, beta = network(), 0.7

    def u(x: np.ndarray) -> np.ndarray:
        return model.reduced_energy(x, beta)

    chain = sample(
        model, MALA(step_size=0.5), beta=beta_of * beta, n_chains=800 * scale, n_draws=1,
        burn_in=60, rng=derive_seed(seed, "mala"), progress=False,
    )  # fmt: skip
    found = []
    for name, f in (("<E>", model.energy), ("<x_0>", lambda x: x[:, 0])):
        exact = plane.mean(u, f, _BOX, rtol=1e-6).value
        found.append(against(f"{name}, MALA", mean(f(chain.final.x)[:, None]), exact))
    path = Geometric(Gaussian(stddev=1.6, dim=2), model, beta_of * beta, MALA(0.2, adapt=False))
    log_z = ais(path, 30, 150 * scale, rng=derive_seed(seed, "ais"), progress=False)
    exact = plane.log_z(u, _BOX, rtol=1e-6).value
    found.append(
        Measurement("log Z, ais", log_z.value, exact, log_z.stderr, 150 * scale, log_z.z(exact))
    )
    return found


CHECKS = (
    Check(
        "deep-energies.gradients",
        "The frozen network's gradient is that of its energy, by central differences.",
        _gradients,
        (Mutant("beta lost", partial(_gradients, beta_of=1.0 / 0.7)),),
    ),
    Check(
        "deep-energies.score-matching",
        "On x.P.x / 2 the exact loss is tr(P C P) / 2 - tr P (Hyvarinen 2005), with its gradient.",
        _exact_scores,
        (
            Mutant("lost 1/2", partial(_exact_scores, half=1.0)),
            Mutant("sign of the trace", partial(_exact_scores, sign=-1.0)),
        ),
    ),
    Check(
        "deep-energies.noisy-scores",
        "Sliced score matching is unbiased for the exact gradient; denoising has that of the data "
        "smoothed by sigma, second moments C + sigma^2 (Vincent 2011).",
        _random_scores,
        (
            Mutant("smoothing forgotten", partial(_random_scores, width=0.0)),
            Mutant("directions that are correlated", partial(_random_scores, miss=0.2)),
        ),
    ),
    Check(
        "deep-energies.replay",
        "Chains of the replay buffer at fixed parameters have the variance 1 / (p (1 - eta p / 2)) "
        "of unadjusted Langevin moves.",
        _chains,
        (
            Mutant("noise sqrt(eta)", partial(_chains, noise=0.4**0.5)),
            Mutant("step bias forgotten", partial(_chains, bias=False)),
        ),
    ),
    Check(
        "deep-energies.sampled",
        "MALA and AIS on a network agree with two-dimensional quadrature at beta = 0.7.",
        _sampled,
        (Mutant("beta lost", partial(_sampled, beta_of=1.0 / 0.7)),),
    ),
)
