"""Exactly known targets under the forward noise, and the laws of samplers with a perfect network.

Densities, scores, denoisers and least errors are computed by separate code and tied together by
theorems: Tweedie's formula, the orthogonality of the conditional mean, and dI/dsnr = mmse / 2.
"""

from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
from scipy import stats

from statmech_ml import lattices
from statmech_ml.exact import correlations, enumeration, kaufman, targets
from statmech_ml.exact.targets import Target
from statmech_ml.exact.targets.prediction import Method
from statmech_ml.models import Ising
from statmech_ml.statistics import Estimate, mean
from validation.check import Check, Measurement, Mutant, against, derive_seed, identity

Array = np.ndarray
Change = Callable[[Array, Array, Any, Any], Array]
"""A mistake: (right answer, x, a, v) -> wrong answer."""


@cache
def _targets() -> dict[str, Target]:
    """One of each kind, none of them symmetric."""
    line = targets.GaussianMixture([0.7, 0.3], [-1.0, 2.0], [0.25, 0.5])
    ring = lattices.chain(5)
    model = Ising(ring, coupling=np.linspace(0.4, 1.3, 5), field=np.linspace(-0.5, 0.8, 5))
    W = [[1.0, 0.2], [0.5, -0.3], [0.0, 0.8]]
    return {
        "Gaussian": targets.Gaussian([1.0, -0.5], [[1.5, 0.7], [0.7, 0.6]]),
        "mixture": targets.GaussianMixture(
            [0.7, 0.3],
            [[1.0, 0.0], [-1.5, 1.0]],
            [[[0.3, 0.1], [0.1, 0.2]], [[0.1, 0.0], [0.0, 0.5]]],
        ),
        "mixture on a line": line,
        "pPCA": targets.PPCA(W, 0.3, mean=[0.0, 1.0, -1.0]),
        "product": targets.Product([stats.gamma(2.5), stats.norm(1.0, 0.5)]),
        "uniform": targets.Uniform([0.0, -1.0], [1.0, 2.5]),
        "ring": targets.Ring(1.5, 0.4),
        "biased spins": targets.Spins([0.4, -0.9, 0.0]),
        "Ising ring": targets.Ising(model, beta=0.6),
    }


_BY_INTEGRALS = {"product", "uniform", "ring"}  # dear: fewer draws
_BETA = 0.44


@cache
def _square() -> targets.Ising:
    return targets.Ising(Ising(lattices.square(4, 4)), _BETA)


def _amplitudes(log_snr: float) -> tuple[float, float]:
    return float(np.sqrt(1 / (1 + np.exp(-log_snr)))), float(1 / (1 + np.exp(log_snr)))


def _noisy(target: Target, log_snr: float, n: int, seed: int) -> tuple[Array, Array]:
    """x_0 and its noisy images, (n, size)."""
    generator = np.random.default_rng(seed)
    a, v = _amplitudes(log_snr)
    x0 = target.sample(n, generator).astype(float)
    return x0, a * x0 + np.sqrt(v) * generator.normal(size=x0.shape)


# --- score, density, denoiser and spread ----------------------------------------------------------


def _right(answer: Array, x: Array, a: Any, v: Any) -> Array:
    return answer


# Functions with names, so that a check can be sent to another process.
def _times_variance(s: Array, x: Array, a: Any, v: Any) -> Array:
    return v * s


def _turned(s: Array, x: Array, a: Any, v: Any) -> Array:
    return -s


def _noise(d: Array, x: Array, a: Any, v: Any) -> Array:
    return (x - a * d) / np.sqrt(v)


def _formulas(
    seed: int, scale: int, *, score: Change = _right, denoiser: Change = _right
) -> list[Measurement]:
    """Largest misses over random x, in the units of the noise."""
    found, h = [], 1e-4
    for name, target in _targets().items():
        for log_snr in (-2.0, 3.0):
            a, v = _amplitudes(log_snr)
            _, x = _noisy(target, log_snr, 8, derive_seed(seed, name))
            d = x.shape[1]
            s = score(target.score(x, log_snr), x, a, v)
            guess = denoiser(target.denoiser(x, log_snr), x, a, v)
            slopes, spread = np.empty(x.shape), np.zeros(len(x))
            for i in range(d):
                e = h * np.eye(d)[i]
                p = [target.log_prob_noisy(x + k * e, log_snr) for k in (1, -1, 2, -2)]
                slopes[:, i] = (8 * (p[0] - p[1]) - p[2] + p[3]) / (12 * h)
                g = [target.denoiser(x + k * e, log_snr)[:, i] for k in (1, -1, 2, -2)]
                spread += v / a * (8 * (g[0] - g[1]) - g[2] + g[3]) / (12 * h)
            at = f"{name}, log snr {log_snr:g}"
            away = float(np.abs(v * (s - slopes)).max())
            found.append(identity(f"(1 - abar)(score - grad log p), {at}", away, 0.0, 1e-6))
            away = float(np.abs(v * s - (a * guess - x)).max())
            found.append(identity(f"Tweedie, {at}", away, 0.0, 1e-9))
            away = float(np.abs(target.posterior_variance(x, log_snr) - spread).max())
            found.append(identity(f"Var[x_0|x] - (v/a) div E[x_0|x], {at}", away, 0.0, 2e-6))
    return found


def _means(
    seed: int, scale: int, *, turn: float = 1.0, shift: float = 0.0, slip: float = 1.0
) -> list[Measurement]:
    """<(x_0 - E[x_0|x]) g(x)> = 0 and <|x_0 - E[x_0|x]|^2> = mmse."""
    found, log_snr = [], 1.0
    for name, target in _targets().items():
        n = (200 if name in _BY_INTEGRALS else 3_000) * scale
        x0, x = _noisy(target, log_snr, n, derive_seed(seed, name))
        miss = x0 - target.denoiser(turn * x, log_snr + shift)
        for i in range(x.shape[1]):
            for g, word in ((np.ones(n), "1"), (x[:, i], "x"), (np.cos(x[:, 0]), "cos x_0")):
                series = mean((miss[:, i] * g)[:, None])
                found.append(against(f"{name}: <miss_{i} {word}>", series, 0.0))
        square = mean((miss**2).sum(axis=1)[:, None])
        exact = target.mmse(slip * np.exp(log_snr), rng=seed)
        if isinstance(exact, Estimate):  # the same average by its other form
            error = float(np.hypot(square.stderr, exact.stderr))
            square = Estimate(square.value, error, 0.5, square.ess, square.n)
            exact = exact.value
        found.append(against(f"{name}: <miss^2>", square, exact))
    return found


# --- the 4 x 4 lattice ----------------------------------------------------------------------------


def _fields(
    seed: int, scale: int, *, turn: float = 1.0, over_noise: bool = True, over_beta: bool = True
) -> list[Measurement]:
    """The denoiser against enumeration in the fields that the noisy image exerts."""
    found, target = [], _square()
    for log_snr in (-1.0, 1.0, 4.0):
        a, v = _amplitudes(log_snr)
        _, x = _noisy(target, log_snr, 1, derive_seed(seed, f"{log_snr}"))
        field = turn * a * x[0] / (v if over_noise else 1.0) / (_BETA if over_beta else 1.0)
        tilted = Ising(lattices.square(4, 4), field=field)
        exact = enumeration.mean(tilted, _BETA, lambda s: s)
        away = float(np.abs(target.denoiser(x, log_snr)[0] - exact).max())
        found.append(identity(f"magnetisations, log snr {log_snr:g}", away, 0.0, 1e-11, 16))
    return found


_LOG_SNRS = np.arange(-9.0, 5.01, 0.5)


def _integral(mmse: Array, variance: float, half: float) -> Array:
    """half times int mmse dsnr by the trapezoidal rule in log snr; mmse (..., level). Below the
    first level it is the variance, whose geometric series is summed."""
    total = (mmse * np.exp(_LOG_SNRS)).sum(axis=-1)
    return np.asarray(half * 0.5 * (total + variance * np.exp(_LOG_SNRS[0]) / np.expm1(0.5)))


def _information(
    seed: int, scale: int, *, half: float = 0.5, amplitude: bool = False, n: int = 100
) -> list[Measurement]:
    """Entropy = 1/2 int_0^inf mmse dsnr of discrete targets."""
    found = []
    power = 0.5 if amplitude else 1.0
    for name, spins in (("fair", np.zeros(2)), ("biased", np.array([0.4, -0.9, 1.5]))):
        target = targets.Spins(spins)
        mmse = np.asarray(target.mmse(np.exp(power * _LOG_SNRS)))
        value = float(_integral(mmse, float(np.trace(target.covariance())), half))
        found.append(identity(f"{name} spins", value, target.entropy(), 1e-7))
    square = _square()
    x0 = square.sample(n * scale, seed).astype(float)
    noise = np.random.default_rng(derive_seed(seed, "noise")).normal(size=x0.shape)
    spread = np.empty((len(x0), len(_LOG_SNRS)))
    for k, u in enumerate(power * _LOG_SNRS):
        a, v = _amplitudes(u)
        spread[:, k] = square.posterior_variance(a * x0 + np.sqrt(v) * noise, u)
    each = _integral(spread, float(np.trace(square.covariance())), half)
    entropy = 16 * kaufman.entropy_per_site(4, 4, _BETA)
    return [*found, against("4 x 4 Ising, against Kaufman", mean(each[:, None]), entropy)]


# --- draws, entropies and closed forms ------------------------------------------------------------


def _draws(seed: int, scale: int, *, stretch: float = 1.0) -> list[Measurement]:
    """Means, products of deviations and -<log p> of draws against the exact ones."""
    found = []
    for name, target in _targets().items():
        x = target.sample(20_000 * scale, derive_seed(seed, name))
        log_p = target.log_prob(x)
        away = stretch * x - target.mean()
        C = target.covariance()
        for i in range(x.shape[1]):
            found.append(against(f"{name}: <x_{i}>", mean(away[:, i, None]), 0.0))
            product = away[:, i] * away[:, i - 1]
            found.append(against(f"{name}: C_{i},{i - 1}", mean(product[:, None]), C[i, i - 1]))
        if name == "uniform":  # log p never changes there
            found.append(identity("uniform: entropy", -log_p[0], target._entropy(), 1e-12))
            continue
        h = target.entropy(rng=derive_seed(seed, "entropy"), n_draws=20_000 * scale)
        series = mean(-stretch * log_p[:, None])
        if isinstance(h, Estimate):
            error = float(np.hypot(series.stderr, h.stderr))
            series, h = Estimate(series.value, error, 0.5, series.ess, series.n), h.value
        found.append(against(f"{name}: entropy", series, h))
    return found


def _torus(
    seed: int, scale: int, *, sides: tuple[tuple[int, int], ...] = ((8, 8), (9, 10)), n: int = 100,
    n_sweeps: int = 30, warm: float = 1.0,
) -> list[Measurement]:  # fmt: skip
    """Draws of square lattices, by transfer matrix and by clusters, against Kaufman's formula."""
    found = []
    for Lx, Ly in sides:
        target = targets.Torus(Lx, Ly, _BETA, n_sweeps=n_sweeps)
        drawn = targets.Torus(Lx, Ly, _BETA / warm, n_sweeps=n_sweeps)
        count = (5 if target.is_exact_sampler else 1) * n * scale
        x = drawn.sample(count, derive_seed(seed, f"{Lx}"))
        how = "transfer matrix" if target.is_exact_sampler else "clusters"
        energy = -(target.log_prob(x) + target.log_z) / _BETA
        u, c = (
            f(Lx, Ly, _BETA) * Lx * Ly for f in (kaufman.energy_per_site, kaufman.specific_heat)
        )
        at = f"{Lx} x {Ly} by {how}"
        found.append(against(f"energy, {at}", mean(energy[:, None]), u))
        square = mean(((energy - u) ** 2)[:, None])
        found.append(against(f"variance of the energy, {at}", square, c / _BETA**2))
        found.append(
            against(f"-<log p>, {at}", mean(-target.log_prob(x)[:, None]), target._entropy())
        )
        if min(Lx, Ly) <= 10:
            G = correlations.spin_spin(Lx, Ly, _BETA).mean() * Lx * Ly
            m2 = mean((x.sum(axis=1, dtype=float) ** 2 / (Lx * Ly))[:, None])
            found.append(against(f"<M^2> / N, {at}", m2, G))
    return found


def _ppca(seed: int, scale: int, *, mistake: str = "") -> list[Measurement]:
    """Tipping and Bishop's maximum for eigenvalues (4, 2, 0.5, 0.25) and two latents."""
    S = np.diag([4.0, 2.0, 0.5, 0.25])
    fitted = targets.PPCA.fit(S, 2)
    if mistake == "noise":
        fitted = targets.PPCA(fitted.weights, 0.25)
    if mistake == "weights":  # W = U sqrt(L), the noise not taken out of it
        fitted = targets.PPCA(np.eye(4)[:, :2] * np.sqrt([4.0, 2.0]), fitted.variance)
    return [
        identity("log-likelihood", fitted.log_likelihood(S), -5.7346456506, 1e-10),
        identity("variance of the noise", fitted.variance, 0.375, 1e-13),
    ]


# --- samplers with a perfect network --------------------------------------------------------------


def _linear(T: int, *, rescaled: bool = True) -> Array:
    betas = np.linspace(1e-4, 0.02, T) * (1000 / T if rescaled else 1.0)
    return np.append(1.0, np.cumprod(1.0 - betas))


_COURSE = {
    "ddpm-small": (0.853636, 0.991067),
    "ddpm-large": (0.998000, 0.999900),
    "ddim": (0.927276, 0.996252),
}


def _ratios(
    seed: int, scale: int, *, rescaled: bool = True, swapped: bool = False
) -> list[Measurement]:
    """Variance ratios of N(0, 1): the course's table."""
    found, target = [], targets.Gaussian([0.0], 1.0)
    for method, exact in _COURSE.items():
        other = {"ddpm-small": "ddpm-large"}.get(method, method) if swapped else method
        for T, ratio in zip((50, 1000), exact, strict=True):
            bars = SimpleNamespace(alpha_bar=_linear(T, rescaled=rescaled or T == 1000))
            law = targets.predict_sampler(target, bars, other)  # type: ignore[arg-type]
            found.append(identity(f"{method}, T = {T}", law.variance_ratios[0], ratio, 5.1e-7))
    return found


def _bao(target: Target, A: float, B: float, small: float) -> float:
    """The optimal variance in the words of Bao et al. (2022), theorem 1, for a Gaussian: by its
    mean square score, and their sigma_n^2 the small one."""
    alpha, d = A / B, target.space.size
    score = np.trace(np.linalg.inv(A * target.covariance() + (1 - A) * np.eye(d))) / d
    gain = np.sqrt((1 - A) / alpha) - np.sqrt(1 - B - small)
    return float(small + gain**2 * (1 - (1 - A) * score))


def _simulated(
    target: Target, bars: Array, method: str, n: int, seed: int, last_noise: bool, sign: float
) -> Array:
    """The samplers as their papers write them, the network replaced by the exact answer."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, target.space.size))
    for t in range(len(bars) - 1, 0, -1):
        A, B = bars[t], bars[t - 1]
        alpha, log_snr = A / B, float(np.log(A / (1 - A)))
        beta, b = 1 - alpha, -np.log(alpha)
        guess, score = target.denoiser(x, log_snr), sign * target.score(x, log_snr)
        noise = generator.normal(size=x.shape) if t > 1 or last_noise else 0.0
        if method.startswith("ddpm"):
            small = beta * (1 - B) / (1 - A)
            variance = {"ddpm-small": small, "ddpm-large": beta}.get(method)
            if variance is None:
                variance = _bao(target, A, B, small)
            x = np.sqrt(B) * beta / (1 - A) * guess + np.sqrt(alpha) * (1 - B) / (1 - A) * x
            x = x + np.sqrt(variance) * noise
        elif method == "ddim":
            x = np.sqrt(B) * guess + np.sqrt(1 - B) * (x - np.sqrt(A) * guess) / np.sqrt(1 - A)
        elif method == "euler-maruyama":
            x = x + b * (0.5 * x + score) + np.sqrt(b) * noise
        else:
            step = 0.5 * b * (x + score)
            if method == "ode-heun" and t > 1:
                end = x + step
                level = float(np.log(B / (1 - B)))
                step = 0.5 * (step + 0.5 * b * (end + sign * target.score(end, level)))
            x = x + step
    return np.asarray(x)


def _laws(
    seed: int, scale: int, *, swapped: bool = False, last_noise: bool = False, sign: float = 1.0,
    n: int = 2_500, steps: int = 25,
) -> list[Measurement]:  # fmt: skip
    """Mean and covariance of simulated samplers against predict_sampler."""
    found, bars = [], _linear(steps)
    # In the narrow one the noise of a last step would be a third of the variance.
    pair = {"correlated": _targets()["Gaussian"], "narrow": targets.Gaussian([0.7], 0.01)}
    for method in get_args(Method):
        run = {"ddpm-small": "ddpm-large"}.get(method, method) if swapped else method
        for name, target in pair.items():
            own = derive_seed(seed, method + name)
            x = _simulated(target, bars, run, n * scale, own, last_noise, sign)
            law = targets.predict_sampler(target, SimpleNamespace(alpha_bar=bars), method)
            away = x - law.mean
            for i in range(x.shape[1]):
                at = f"{method}, {name}"
                found.append(against(f"{at}: <x_{i}>", mean(away[:, i, None]), 0.0))
                for j in range(i, x.shape[1]):
                    product = mean((away[:, i] * away[:, j])[:, None])
                    found.append(against(f"{at}: C_{i}{j}", product, law.covariance[i, j]))
    return found


CHECKS = (
    Check(
        "exact_targets.formulas",
        "score = grad log p_t = (a E[x_0|x] - x)/(1 - abar), and Var[x_0|x] is the slope of "
        "E[x_0|x], for every target.",
        _formulas,
        (
            Mutant(
                "score without its 1/(1 - abar)",
                partial(_formulas, score=_times_variance),
            ),
            Mutant("score of the other sign", partial(_formulas, score=_turned)),
            Mutant(
                "the noise taken for x_0",
                partial(_formulas, denoiser=_noise),
            ),
        ),
    ),
    Check(
        "exact_targets.denoisers",
        "The miss of E[x_0|x] is orthogonal to functions of x, and its mean square is the mmse.",
        _means,
        (
            Mutant("fields of the other sign", partial(_means, turn=-1.0)),
            Mutant("another noise level", partial(_means, shift=1.0)),
            Mutant("mmse of another snr", partial(_means, slip=1.5)),
        ),
    ),
    Check(
        "exact_targets.ising-denoiser",
        "On the 4 x 4 Ising model E[s|x] is the magnetisations in the fields a x/(1 - abar), by "
        "enumeration.",
        _fields,
        (
            Mutant("fields of the other sign", partial(_fields, turn=-1.0)),
            Mutant("fields not divided by the noise", partial(_fields, over_noise=False)),
            Mutant("fields not divided by beta", partial(_fields, over_beta=False)),
        ),
    ),
    Check(
        "exact_targets.information",
        "Entropy = 1/2 int mmse dsnr (Guo, Shamai and Verdu 2005), of spins and of the 4 x 4 Ising "
        "model against Kaufman.",
        _information,
        (
            Mutant("the 1/2 lost", partial(_information, half=1.0)),
            Mutant("amplitude in place of snr", partial(_information, amplitude=True)),
        ),
    ),
    Check(
        "exact_targets.draws",
        "Draws of every target have its mean, covariance and entropy.",
        _draws,
        (Mutant("draws 3% too wide", partial(_draws, stretch=1.03)),),
    ),
    Check(
        "exact_targets.torus",
        "Draws of square lattices by transfer matrix and clusters have Kaufman's energy, specific "
        "heat and entropy.",
        _torus,
        (
            Mutant("10% too warm", partial(_torus, warm=1.1)),
            Mutant("one sweep", partial(_torus, n_sweeps=1)),
        ),
    ),
    Check(
        "exact_targets.ppca",
        "Probabilistic PCA of eigenvalues (4, 2, 0.5, 0.25) with two latents (Tipping and Bishop "
        "1999).",
        _ppca,
        (
            Mutant("smallest eigenvalue as noise", partial(_ppca, mistake="noise")),
            Mutant("noise left in the weights", partial(_ppca, mistake="weights")),
        ),
    ),
    Check(
        "exact_targets.variance-ratios",
        "DDPM and DDIM with a perfect network on N(0, 1): the course's variance ratios.",
        _ratios,
        (
            Mutant("unscaled betas", partial(_ratios, rescaled=False)),
            Mutant("beta in place of beta~", partial(_ratios, swapped=True)),
        ),
    ),
    Check(
        "exact_targets.sampler-laws",
        "Samplers carried out with the exact denoiser have the law that predict_sampler says.",
        _laws,
        (
            Mutant("beta in place of beta~", partial(_laws, swapped=True)),
            Mutant("score of the other sign", partial(_laws, sign=-1.0)),
            Mutant("noise in the last step", partial(_laws, last_noise=True)),
        ),
    ),
    Check(
        "exact_targets.torus-16",
        "Clusters on 16 x 16 sites have Kaufman's energy, specific heat and entropy.",
        partial(_torus, sides=((16, 16),), n=1_500, n_sweeps=100),
        (
            Mutant("one sweep", partial(_torus, sides=((16, 16),), n=1_500, n_sweeps=1)),
            Mutant("3% too warm", partial(_torus, sides=((16, 16),), n=1_000, warm=1.03)),
        ),
        tier="full",
    ),
)
