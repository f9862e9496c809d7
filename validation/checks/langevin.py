"""Langevin samplers: on Gaussians the law of every one is known at any step, bias and all."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov

from statmech_ml.errors import EffectiveTemperatureWarning
from statmech_ml.exact import langevin
from statmech_ml.models import BayesianLinearRegression, Gaussian
from statmech_ml.samplers import BAOAB, PSGLD, SGHMC, SGLD, ULA, PolynomialDecay, Sampler
from statmech_ml.statistics import mean
from statmech_ml.training import EnergyNet, LangevinReplay
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

_BETA = 0.7
_MEAN = np.array([0.4, -0.3])
_COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.9]])


def _well(slope: float = 1.0) -> Gaussian:
    """A correlated Gaussian, or the model that a gradient `slope` times too long belongs to."""
    return Gaussian(_MEAN, covariance=_COVARIANCE / slope)


def _modes() -> tuple[np.ndarray, np.ndarray]:
    """Curvatures (2,) of the reduced energy at _BETA, and their directions, the columns."""
    k, directions = np.linalg.eigh(np.linalg.inv(_COVARIANCE))
    return _BETA * k, directions


def _run(model: Any, sampler: Sampler, n: int, sweeps: int, seed: int) -> tuple[np.ndarray, Any]:
    """Final states of independent chains, and the info of their last move."""
    beta = np.full(n, _BETA)
    state = sampler.init(model, n, seed)
    state, _ = sampler.advance(model, state, beta, sweeps - 1)
    state, info = sampler.advance(model, state, beta, 1)
    return state.x, info


def _along(
    name: str, x: np.ndarray, exact: np.ndarray, centre: np.ndarray = _MEAN
) -> list[Measurement]:
    """Mean and variance of final states along the two directions."""
    found = []
    for i, direction in enumerate(_modes()[1].T):
        away = (x - centre) @ direction
        found.append(against(f"{name}: <x_{i}>", mean(away[:, None]), 0.0))
        found.append(against(f"{name}: <x_{i}^2>", mean((away**2)[:, None]), exact[i]))
    return found


# --- closed forms ---------------------------------------------------------------------------------


def _stationary(transfer: Any, noise: Any) -> np.ndarray:
    """Covariance kept by z' = M z + v w, w ~ N(0, 1)."""
    return np.asarray(solve_discrete_lyapunov(np.array(transfer), np.outer(noise, noise)))


def _closed_forms(seed: int, scale: int, *, kick: float = 1.0) -> list[Measurement]:
    found = []
    for h, k, C in ((0.2, 1.0, 0.5), (0.9, 2.5, 0.6)):
        g = kick * k  # a wrong gradient in the recursions
        where = f"h = {h}, k = {k}"
        ula = _stationary([[1 - 0.3 * h * g]], [np.sqrt(0.6 * h)])
        half, a = np.array([[1, 0], [-h * g / 2, 1]]), np.array([[1, h / 2], [0, 1]])
        leap = (half @ a @ a @ half)[0]
        c = np.exp(-C * h)
        baoab = _stationary(
            half @ a @ np.diag([1, c]) @ a @ half, half @ a @ [0, np.sqrt(1 - c * c)]
        )
        kept, width = 1 - h * C, np.sqrt(2 * h * C)
        sghmc = _stationary([[1 - h * h * g, h * kept], [-h * g, kept]], [h * width, width])
        pairs = {
            "ULA": (langevin.ula_variance(0.3 * h, k), ula[0, 0]),
            "leapfrog": (
                langevin.leapfrog_variance(h, k),
                _stationary([[leap[0]]], [leap[1]])[0, 0],
            ),
            "BAOAB": (langevin.baoab_variance(h, k), baoab[0, 0]),
            "BAOAB <p^2>": (langevin.baoab_kinetic_temperature(h, k), baoab[1, 1]),
            "SGHMC": (langevin.sghmc_variance(h, C, k), sghmc[0, 0]),
            "SGHMC <p^2>": (langevin.sghmc_kinetic_temperature(h, C, k), sghmc[1, 1]),
        }
        for name, (closed, solved) in pairs.items():
            found.append(identity(f"{name}, {where}", closed, solved, 1e-11 * abs(solved)))
    return found


# --- overdamped and with momenta ------------------------------------------------------------------


def _overdamped(
    seed: int, scale: int, *, noise: float | None = None, slope: float = 1.0, law: bool = True
) -> list[Measurement]:
    """ULA and SGLD at a step where the bias is large, and falling steps after two of them."""
    k, directions = _modes()
    eta, found = 0.5, []
    exact = langevin.ula_variance(eta, k) if law else 1.0 / k
    for sampler in (ULA(eta, noise=noise), SGLD(eta, noise=noise)):
        name = type(sampler).__name__
        x, _ = _run(_well(slope), sampler, 10_000 * scale, 60, derive_seed(seed, name))
        found += _along(name, x, np.asarray(exact))
    decay = PolynomialDecay(0.5, b=1.0, gamma=0.6)
    away, variance = -directions.T @ _MEAN, np.ones(2)
    for t in range(2):
        step = decay.step(t) if law else decay.step(0)
        away, variance = (1 - step * k) * away, (1 - step * k) ** 2 * variance + 2 * step
    x, _ = _run(_well(slope), SGLD(schedule=decay), 10_000 * scale, 2, derive_seed(seed, "falling"))
    return found + _along("two falling steps", x, variance, _MEAN + directions @ away)


def _momenta(
    seed: int, scale: int, *, noise: float = 1.0, slope: float = 1.0, law: bool = True
) -> list[Measurement]:
    """BAOAB and SGHMC: positions and momenta."""
    k, _ = _modes()
    h, C = 0.9, 0.8
    positions = langevin.sghmc_variance(h, C, k) if law else 1.0 / k
    warmth = langevin.baoab_kinetic_temperature(h, k), langevin.sghmc_kinetic_temperature(h, C, k)
    widths = np.sqrt(-np.expm1(-2 * C * h)), np.sqrt(2 * h * C)
    laws = np.asarray(langevin.baoab_variance(h, k)), np.asarray(positions)
    found = []
    for kind, width, exact, kinetic in zip((BAOAB, SGHMC), widths, laws, warmth, strict=True):
        sampler: Any = kind(h, friction=C, noise=noise * float(width))
        name = kind.__name__
        x, info = _run(_well(slope), sampler, 10_000 * scale, 60, derive_seed(seed, name))
        found += _along(name, x, exact)
        measured = mean(info["kinetic_temperature"][:, None])
        told = np.mean(kinetic) if law else 1.0
        found.append(against(f"{name}: <p^2>", measured, told))
    return found


# --- minibatches ----------------------------------------------------------------------------------


def _line() -> BayesianLinearRegression:
    rng = np.random.default_rng(92)
    X = rng.normal([0.5, 0.0], 1.0, (20, 2))
    return BayesianLinearRegression(X, X @ [1.0, -0.5] + rng.exponential(size=20))


def _minibatches(
    seed: int, scale: int, *, blind: bool = False, noise: float | None = None
) -> list[Measurement]:
    """SGLD on a regression at beta = 0.7, that of data and prior wider by beta^-1/2."""
    line, step, size = _line(), 0.01, 4
    wider = _BETA**-0.5
    batch = None if blind else size
    exact = langevin.sgld_covariance(step, batch, line.X, line.y, wider, wider)
    sampler = SGLD(step, size, noise=noise)
    x, _ = _run(line, sampler, 4_000 * scale, 90, derive_seed(seed, "batches"))
    away = x - line.mean
    found = [against(f"<theta_{i}>", mean(away[:, i : i + 1]), 0.0) for i in range(2)]
    for i, j in ((0, 0), (0, 1), (1, 1)):
        series = mean((away[:, i] * away[:, j])[:, None])
        found.append(against(f"<theta_{i} theta_{j}>", series, exact[i, j]))
    return found


def _rise(seed: int, scale: int, *, step: float = 0.01) -> list[Measurement]:
    """The reported rise of the temperature, of one move from the mean."""
    line, n = _line(), 10_000 * scale
    found = []
    for size in (2, 5):
        sampler = SGLD(0.01, size)
        state = sampler.init(line, n, derive_seed(seed, f"{size}"), line.mean)
        _, info = sampler.advance(line, state, np.full(n, _BETA), 1)
        noise = np.trace(line.gradient_noise(line.mean, size, _BETA)) / 2
        series = mean(info["temperature_rise"][:, None])
        found.append(against(f"rise, batches of {size}", series, 0.5 * step * noise))
    return found


# --- preconditioned -------------------------------------------------------------------------------


def _preconditioned(
    seed: int, scale: int, *, law: bool = True, noise: float | None = None
) -> list[Measurement]:
    """PSGLD with what a burn-in froze: every chain has the variance of its own steps."""
    well, n = Gaussian(0.4, 0.6), 10_000 * scale
    beta, k = np.full(n, _BETA), _BETA / 0.36
    sampler = PSGLD(0.7, alpha=0.9, regulariser=0.3, noise=noise)
    state = sampler.init(well, n, derive_seed(seed, "psgld"))
    frozen, state = sampler.warm_up(well, state, beta, 20)
    state, _ = frozen.advance(well, state, beta, 60)
    steps = 0.7 / (0.3 + np.sqrt(state.carried["mean_square"][:, 0]))
    variance = np.asarray(langevin.ula_variance(steps, k)) if law else np.full(n, 1.0 / k)
    ratio = (state.x[:, 0] - 0.4) / np.sqrt(variance)
    return [
        against("<x>", mean(ratio[:, None]), 0.0),
        against("<x^2> / exact", mean((ratio**2)[:, None]), 1.0),
    ]


def _adapting(seed: int, scale: int, *, boltzmann: bool = False) -> list[Measurement]:
    """PSGLD that never freezes, at a small step on N(0, 1): p ~ exp(-x^2/2) (lambda + |x|)."""
    n, floor, grid = 6_000 * scale, 0.5, np.linspace(-9.0, 9.0, 200_001)
    weight = np.exp(-(grid**2) / 2.0) * (1.0 if boltzmann else floor + np.abs(grid))
    sampler = PSGLD(0.004, alpha=0.5, regulariser=floor, freeze=False)
    state = sampler.init(Gaussian(), n, derive_seed(seed, "adapting"))
    x = sampler.advance(Gaussian(), state, np.ones(n), 2_500)[0].x
    found = []
    for p in (1, 2):
        exact = float(weight @ np.abs(grid) ** p / weight.sum())
        found.append(against(f"<|x|^{p}>", mean(np.abs(x) ** p), exact))
    return found


# --- the temperature that settings imply ----------------------------------------------------------


def _settings(seed: int) -> list[tuple[Any, float]]:
    """Samplers of every kind with random settings, and the noise that temperature 1 demands."""
    g, found = np.random.default_rng(seed), []
    for _ in range(10):
        step, C = float(g.uniform(0.01, 1.5)), float(g.uniform(0.1, 0.6))
        of_step, kept = np.sqrt(2.0 * step), np.sqrt(-np.expm1(-2.0 * C * step))
        found += [
            (partial(ULA, step), of_step),
            (partial(SGLD, step), of_step),
            (partial(PSGLD, step), of_step),
            (partial(SGHMC, step, friction=C), np.sqrt(2.0 * step * C)),
            (partial(BAOAB, step, friction=C), kept),
            (partial(LangevinReplay, step_size=step), of_step),
        ]
    return [(make, float(demanded)) for make, demanded in found]


def _warned(sampler: Any) -> bool:
    """Whether the check before a run warns of the temperature."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if isinstance(sampler, LangevinReplay):
            shell = EnergyNet(torch.nn.Linear(2, 1), 2)
            sampler.check(shell, np.zeros((3, 2)))
        else:
            sampler.check(_well())
    return any(issubclass(w.category, EffectiveTemperatureWarning) for w in caught)


def _told(
    seed: int, scale: int, *, slip: float = 1.0, spread: float = 1.0, factor: float = 1.0
) -> list[Measurement]:
    """Of settings that are right (no noise given, or the one demanded) none may warn; of settings
    whose noise is off by 5% or more all must, and tell the temperature (noise / demanded)^2."""
    g, right, wrong, worst = np.random.default_rng(seed + 1), [], [], 0.0
    for make, demanded in _settings(seed):
        right += [_warned(make()), _warned(make(noise=slip * demanded))]
        for sign in (-1.0, 1.0):
            ratio = np.exp(spread * sign * (0.05 + g.exponential()))
            sampler = make(noise=float(ratio * demanded))
            wrong.append(not _warned(sampler))
            off = factor * sampler.effective_temperature / ratio**2 - 1.0
            worst = max(worst, abs(float(off)))
    return [
        identity("right settings that warned", sum(right), 0.0, 0.5, n=len(right)),
        identity("wrong settings that did not", sum(wrong), 0.0, 0.5, n=len(wrong)),
        identity("temperature told, largest relative error", worst, 0.0, 1e-10, n=len(wrong)),
    ]


def _sampled_as_told(seed: int, scale: int, *, believed: bool = True) -> list[Measurement]:
    """Noises too small and too large: the variance at the temperature that the sampler tells."""
    k, found = _modes()[0], []
    for ratio in (0.6, 1.5):
        for sampler, law in (
            (ULA(0.4, noise=ratio * 0.8**0.5), langevin.ula_variance(0.4, k)),
            (BAOAB(0.7, friction=1.2, noise=ratio * np.sqrt(-np.expm1(-1.68))), 1.0 / k),
        ):
            told = float(sampler.effective_temperature) if believed else 1.0
            name = f"{type(sampler).__name__}, T = {float(sampler.effective_temperature):.3g}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", EffectiveTemperatureWarning)
                x, _ = _run(_well(), sampler, 6_000 * scale, 60, derive_seed(seed, name))
            found += _along(name, x, told * np.asarray(law))
    return found


_SQRT_ETA = 0.5**0.5

CHECKS = (
    Check(
        "langevin.closed-forms",
        "ULA 1/(k(1 - eta k/2)), leapfrog 1/(k(1 - eps^2 k/4)), BAOAB 1/k and SGHMC solve the "
        "Lyapunov equation of their moves.",
        _closed_forms,
        (Mutant("kick 1% too long", partial(_closed_forms, kick=1.01)),),
    ),
    Check(
        "langevin.overdamped",
        "ULA and SGLD on a correlated Gaussian: 1/(k(1 - eta k/2)) along each eigenvector; falling "
        "steps follow their recursion.",
        _overdamped,
        (
            Mutant("noise sqrt(eta)", partial(_overdamped, noise=_SQRT_ETA)),
            Mutant("a loss without its 1/2", partial(_overdamped, slope=2.0)),
            Mutant("no bias expected", partial(_overdamped, law=False)),
        ),
    ),
    Check(
        "langevin.momenta",
        "BAOAB is exact in position and has <p^2> = 1 - h^2 k/4; SGHMC has its recursion's.",
        _momenta,
        (
            Mutant("noise without the 2", partial(_momenta, noise=_SQRT_ETA)),
            Mutant("kick doubled", partial(_momenta, slope=2.0)),
            Mutant("no bias expected", partial(_momenta, law=False)),
        ),
    ),
    Check(
        "langevin.gradient-noise",
        "SGLD on linear regression with minibatches: the covariance with the gradient noise of its "
        "batches, exact.",
        _minibatches,
        (
            Mutant("gradient noise forgotten", partial(_minibatches, blind=True)),
            Mutant("noise sqrt(eta)", partial(_minibatches, noise=0.1)),
        ),
    ),
    Check(
        "langevin.temperature-rise",
        "The rise of temperature that SGLD reports is eta/2 times the variance of its gradient.",
        _rise,
        (Mutant("eta for eta/2", partial(_rise, step=0.02)),),
    ),
    Check(
        "langevin.told-temperature",
        "Langevin samplers and the replay buffer tell the temperature (noise / demanded noise)^2, "
        "and warn when it is not 1 and only then.",
        _told,
        (
            Mutant("noise sqrt(eta) called right", partial(_told, slip=0.5**0.5)),
            Mutant("right noises called wrong", partial(_told, spread=0.0)),
            Mutant("noise^2 / eta", partial(_told, factor=2.0)),
        ),
    ),
    Check(
        "langevin.sampled-temperature",
        "With a noise of one's own ULA and BAOAB sample at the temperature that they tell.",
        _sampled_as_told,
        (Mutant("temperature 1 expected", partial(_sampled_as_told, believed=False)),),
    ),
    Check(
        "langevin.preconditioned",
        "PSGLD, its preconditioner frozen, has the variance of ULA with the steps eta G.",
        _preconditioned,
        (
            Mutant("no bias expected", partial(_preconditioned, law=False)),
            Mutant("noise sqrt(eta)", partial(_preconditioned, noise=0.7**0.5)),
        ),
    ),
    Check(
        "langevin.never-frozen",
        "PSGLD as published leaves Gamma out: at small steps its law is exp(-u) (lambda + |u'|).",
        _adapting,
        (Mutant("exp(-u) expected", partial(_adapting, boltzmann=True)),),
        tier="full",
    ),
)
