"""predict_sampler against the course's numbers and against the samplers carried out literally."""

from typing import NamedTuple

import numpy as np
import pytest
from exact_targets import BIASED, GAUSSIAN, LINE, MIXTURE, REAL
from scipy import stats

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.exact import targets

METHODS = (
    "ddpm-small", "ddpm-large", "ddpm-optimal", "ddim", "euler-maruyama", "ode-euler", "ode-heun",
)  # fmt: skip


class Schedule(NamedTuple):
    alpha_bar: np.ndarray


def linear(T, scale=None):
    """Betas from 1e-4 to 0.02, times 1000 / T."""
    betas = np.linspace(1e-4, 0.02, T) * (1000 / T if scale is None else scale)
    return Schedule(np.append(1.0, np.cumprod(1.0 - betas)))


def cosine(T):
    """Nichol and Dhariwal, arXiv:2102.09672, eq. 17, without its cut."""
    f = np.cos((np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    return Schedule(np.append(f[:-1] / f[0], 1e-3))


STANDARD = targets.Gaussian([0.0], 1.0)


@pytest.mark.parametrize(
    ("method", "coarse", "fine"),
    [
        ("ddpm-small", 0.853636, 0.991067),
        ("ddpm-large", 0.998000, 0.999900),
        ("ddim", 0.927276, 0.996252),
    ],
)
def test_variance_ratios_of_the_course(method, coarse, fine):
    """N(0, 1), linear betas, T = 50 and 1000."""
    for T, exact in ((50, coarse), (1000, fine)):
        found = targets.predict_sampler(STANDARD, linear(T), method)
        assert found.variance_ratios[0] == pytest.approx(exact, abs=5e-7)
        assert found.covariance[0, 0] == found.variance_ratios[0]
        assert found.steps == T
    unscaled = targets.predict_sampler(STANDARD, linear(50, scale=1.0), method)
    assert abs(unscaled.variance_ratios[0] - coarse) > 1e-3


def simulate(target, bars, method, x, noise):
    """The sampler as its paper writes it, from x (n, d) at the terminal level; `noise(shape)` is
    called wherever it adds noise."""
    for t in range(len(bars) - 1, 0, -1):
        A, B = bars[t], bars[t - 1]
        alpha, log_snr = A / B, np.log(A / (1 - A))
        beta, b = 1 - alpha, -np.log(alpha)
        guess, score = target.denoiser(x, log_snr), target.score(x, log_snr)
        if method.startswith("ddpm"):
            mean = np.sqrt(B) * beta / (1 - A) * guess + np.sqrt(alpha) * (1 - B) / (1 - A) * x
            variance = {"small": beta * (1 - B) / (1 - A), "large": beta}.get(method[5:])
            if variance is None:  # Bao et al. (2022), theorem 1 with Gamma = E|score|^2 (1 - A) / d
                d = x.shape[1]
                C = A * target.covariance() + (1 - A) * np.eye(d)
                gamma = np.trace(np.linalg.inv(C)) * (1 - A) / d
                lever = np.sqrt((1 - A) / alpha) - np.sqrt(1 - B - beta * (1 - B) / (1 - A))
                variance = beta * (1 - B) / (1 - A) + lever**2 * (1 - gamma)
            x = mean + (np.sqrt(variance) * noise(x.shape) if t > 1 else 0.0)
        elif method == "ddim":
            x = np.sqrt(B) * guess + np.sqrt(1 - B) * (x - np.sqrt(A) * guess) / np.sqrt(1 - A)
        elif method == "euler-maruyama":
            x = x + b * (0.5 * x + score) + (np.sqrt(b) * noise(x.shape) if t > 1 else 0.0)
        else:
            step = 0.5 * b * (x + score)
            end = x + step
            if method == "ode-heun" and t > 1:
                step = 0.5 * (step + 0.5 * b * (end + target.score(end, np.log(B / (1 - B)))))
            x = x + step
    return x


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bars", [linear(30).alpha_bar, cosine(10).alpha_bar], ids=["30", "10"])
def test_law_of_the_literal_sampler(method, bars, seed):
    """All maps are affine: one path without noise gives the mean, one for each noise coordinate a
    column of its lever."""
    d, target = 2, GAUSSIAN
    predicted = targets.predict_sampler(target, Schedule(bars), method)
    steps = len(bars) - 1 if method.startswith(("ddpm", "euler")) else 1
    levers = []
    for k in range(-1, steps * d):
        kicks = np.zeros((steps, d))
        if k >= 0:
            kicks[divmod(k, d)] = 1.0
        kicks = iter(kicks[1:])
        start = np.zeros((1, d))
        if 0 <= k < d:
            start[0, k] = 1.0
        levers.append(simulate(target, bars, method, start, lambda _: next(kicks)[None])[0])  # noqa: B023
    mean, columns = levers[0], np.array(levers[1:]) - levers[0]
    np.testing.assert_allclose(predicted.mean, mean, atol=1e-12)
    np.testing.assert_allclose(predicted.covariance, columns.T @ columns, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", ["ddpm-small", "ddpm-optimal", "euler-maruyama", "ode-heun"])
def test_law_of_drawn_samples(method, seed, assert_unbiased, assert_rejected):
    """Mean and covariance of the literal sampler's output; beta in place of beta~ is seen."""
    bars = linear(50).alpha_bar

    def run(s, k, other=method):
        generator = np.random.default_rng(s)
        n = 5_000 * k
        law = targets.predict_sampler(GAUSSIAN, Schedule(bars), other)
        start = generator.normal(size=(n, 2))
        x = simulate(GAUSSIAN, bars, method, start, lambda shape: generator.normal(size=shape))
        away = x - law.mean
        pairs = np.einsum("ni,nj->nij", away, away).reshape(n, 4)[:, [0, 1, 3]]
        exact = law.covariance[[0, 0, 1], [0, 1, 1]]
        z_pairs = (pairs.mean(0) - exact) / (pairs.std(0) / np.sqrt(n))
        return np.append(away.mean(0) / (away.std(0) / np.sqrt(n)), z_pairs)

    assert_unbiased(run, seed)
    if method == "ddpm-small":
        assert_rejected(lambda s, k: run(s, k, other="ddpm-large"), seed)


def test_heun_is_of_second_order():
    """Its error falls four times when the steps are halved, Euler's twice. The terminal level must
    hold no signal for that: 2e-9 of the variance."""

    def ladder(T):
        return Schedule(1 / (1 + np.exp(-np.linspace(6.0, -20.0, T + 1))))

    for method, order in (("ode-heun", 2.0), ("ode-euler", 1.0)):
        error = [
            abs(targets.predict_sampler(targets.Gaussian([0.0], 2.0), ladder(T), method)
                .variance_ratios[0] - targets.predict_sampler(
                    targets.Gaussian([0.0], 2.0), ladder(8 * T), method).variance_ratios[0])
            for T in (150, 300)
        ]  # fmt: skip
        assert np.log2(error[0] / error[1]) == pytest.approx(order, abs=0.15)


def test_optimal_variance_is_exact_in_one_dimension():
    """There the reverse step is this very Gaussian, so only the last step's noise is missing."""
    bars = cosine(10).alpha_bar.copy()
    bars[-1] = 1e-9
    target = targets.Gaussian([0.7], 0.25)
    found = targets.predict_sampler(target, Schedule(bars), "ddpm-optimal")
    missing = targets.optimal_variances(target, Schedule(bars))[0]
    assert found.covariance[0, 0] + missing == pytest.approx(0.25, rel=1e-7)
    assert found.mean[0] == pytest.approx(0.7, abs=1e-4)


def test_optimal_variances_of_other_targets(seed):
    """E|score|^2 in Bao et al.'s form, averaged over draws."""
    bars = cosine(6).alpha_bar
    exact = targets.optimal_variances(LINE, Schedule(bars))
    assert exact.shape == (6,)
    t, A, B = 3, bars[3], bars[2]
    a2 = np.random.default_rng(seed)
    x = np.sqrt(A) * LINE.sample(50_000, seed) + np.sqrt(1 - A) * a2.normal(size=(50_000, 1))
    gammas = LINE.score(x, np.log(A / (1 - A)))[:, 0] ** 2 * (1 - A)
    beta = 1 - A / B
    small = beta * (1 - B) / (1 - A)
    lever = np.sqrt((1 - A) / (A / B)) - np.sqrt(1 - B - small)
    error = lever**2 * gammas.std() / np.sqrt(len(gammas))
    bao = small + lever**2 * (1 - gammas.mean())
    assert abs(exact[t - 1] - bao) < 5 * error  # false alarms below 1e-6
    beta_ = 1 - bars[1:] / bars[:-1]
    small = beta_ * (1 - bars[:-1]) / (1 - bars[1:])
    assert (exact >= small).all()
    spins = targets.optimal_variances(BIASED, Schedule(bars))
    assert np.isfinite(spins).all()
    assert targets.optimal_variances(MIXTURE, Schedule(bars), rng=1).shape == (6,)


def test_gaussians_by_other_names():
    """Products of normal laws, pPCA, a mixture of one; a schedule that starts with noise."""
    product = targets.Product([stats.norm(1.0, 0.5), stats.norm(-2.0, 3.0)])
    same = targets.Gaussian([1.0, -2.0], np.diag([0.25, 9.0]))
    for target in (product, targets.GaussianMixture([1.0], [[1.0, -2.0]], [np.diag([0.25, 9.0])])):
        found = targets.predict_sampler(target, linear(50), "ddim")
        exact = targets.predict_sampler(same, linear(50), "ddim")
        np.testing.assert_allclose(found.covariance, exact.covariance)
        np.testing.assert_allclose(found.mean, exact.mean)
    assert targets.predict_sampler(REAL["PPCA"], linear(50), "ode-heun").law.space.size == 3
    late = Schedule(linear(50).alpha_bar[1:])
    whole = targets.predict_sampler(same, linear(50), "ddpm-small")
    np.testing.assert_allclose(
        targets.predict_sampler(same, late, "ddpm-small").covariance, whole.covariance
    )


def test_refusals():
    for target in (LINE, REAL["Ring"], BIASED, REAL["Product"]):
        with pytest.raises(MissingCapability, match="Simulate instead"):
            targets.predict_sampler(target, linear(50), "ddim")
    with pytest.raises(InvalidInput, match="not one of ddpm-small"):
        targets.predict_sampler(STANDARD, linear(50), "ddpm")
    bad = ([1.0], [1.0, 0.5, 0.5], [0.1, 0.5], [1.0, 0.0], [1.1, 0.5], [1.0, np.nan], [[1.0, 0.5]])
    for bars in bad:
        with pytest.raises(InvalidInput, match="alpha_bar"):
            targets.predict_sampler(STANDARD, Schedule(np.array(bars)), "ddim")
    with pytest.raises(InvalidInput, match="alpha_bar"):
        targets.predict_sampler(STANDARD, object(), "ddim")
