"""Every target under the forward noise: its answers against one another and against draws."""

import numpy as np
import pytest
from exact_targets import LINE, NOISY, REAL, noisy
from scipy import integrate, stats

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import quadrature, targets
from statmech_ml.statistics import Estimate

LEVELS = (-3.0, 0.5, 4.0)
H = 1e-4  # of central differences, of fourth order


def slope(f, x, i):
    """df/dx_i by differences."""
    e = np.zeros(x.shape[1])
    e[i] = H
    return (8.0 * (f(x + e) - f(x - e)) - f(x + 2 * e) + f(x - 2 * e)) / (12.0 * H)


@pytest.mark.parametrize("log_snr", LEVELS)
@pytest.mark.parametrize("name", NOISY)
def test_score_denoiser_and_spread(name, log_snr, seed):
    """score = grad log p_t; Tweedie; Var[x_0 | x] = (v / a) d E[x_0 | x] / dx: three functions of
    x from separate code, tied together."""
    target = NOISY[name]
    _, x = noisy(target, log_snr, 12, seed)
    d = target.space.size
    a, v = np.sqrt(1 / (1 + np.exp(-log_snr))), 1 / (1 + np.exp(log_snr))
    score, guess = target.score(x, log_snr), target.denoiser(x, log_snr)
    numeric = [slope(lambda y: target.log_prob_noisy(y, log_snr), x, i) for i in range(d)]
    np.testing.assert_allclose(score, np.stack(numeric, 1), rtol=1e-6, atol=1e-6 / v)
    np.testing.assert_allclose(v * score, a * guess - x, atol=1e-9)
    spread = sum(slope(lambda y, i=i: target.denoiser(y, log_snr)[:, i], x, i) for i in range(d))
    np.testing.assert_allclose(
        target.posterior_variance(x, log_snr), v / a * spread, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", NOISY)
def test_one_level_each(name, seed):
    """log_snr may differ from row to row."""
    target = NOISY[name]
    _, x = noisy(target, 0.0, 3, seed)
    levels = np.array([-1.0, 2.0, 0.3])
    for method in (
        target.score, target.denoiser, target.log_prob_noisy, target.posterior_variance,
    ):  # fmt: skip
        alone = [method(x[i : i + 1], levels[i])[0] for i in range(3)]
        np.testing.assert_allclose(method(x, levels), alone, rtol=1e-12, atol=1e-13)


def errors_of_guess(target, log_snr, n, seed, mmse, shift=0.0, turn=1.0):
    """z of <(x_0 - guess) g(x_t)>, zero for the conditional mean and every g, and of
    <|x_0 - guess|^2> - mmse."""
    x0, x = noisy(target, log_snr, n, seed)
    miss = x0 - target.denoiser(turn * x, log_snr + shift)
    found = [miss[:, i] * g for i in range(x.shape[1]) for g in (1.0, x[:, i], np.cos(x[:, 0]))]
    square = (miss**2).sum(axis=1)
    error = np.hypot(square.std() / n**0.5, getattr(mmse, "stderr", 0.0))
    z = [f.mean() / (f.std() / n**0.5) for f in found]
    return np.array([*z, (square.mean() - getattr(mmse, "value", mmse)) / error])


INTEGRATED = {"gamma", "Product", "Uniform", "Ring"}  # a thousand times dearer than closed forms


@pytest.mark.parametrize("name", NOISY)
def test_denoiser_is_the_conditional_mean(name, seed, assert_unbiased, assert_rejected):
    target, n = NOISY[name], 500 if name in INTEGRATED else 8_000
    mmse = target.mmse(np.exp(1.0), rng=seed)
    assert_unbiased(lambda s, k: errors_of_guess(target, 1.0, n * k, s, mmse), seed)
    if name not in INTEGRATED:  # at another noise than it is told, and for the mirror image
        for wrong in ({"shift": 1.0}, {"turn": -1.0}):
            assert_rejected(
                lambda s, k, w=wrong: errors_of_guess(target, 1.0, n * k, s, mmse, **w), seed
            )


@pytest.mark.parametrize("name", ["mixture on a line", "gamma"])
@pytest.mark.parametrize("log_snr", [-3.0, 1.0, 6.0])
def test_noisy_density_and_denoiser_by_convolution(name, log_snr):
    """p_t(x) = int p(x_0) N(x; a x_0, v) dx_0, integrated by other means; it is normalised."""
    target = REAL[name]
    a2 = 1 / (1 + np.exp(-log_snr))
    a, v = np.sqrt(a2), 1 - a2
    for x in (-1.7, 2.1):
        low = 0.0 if name == "gamma" else -np.inf
        u = lambda t: -target.log_prob(t[:, None]) + (x - a * t) ** 2 / (2 * v)  # noqa: B023, E731
        points = (x / a,) if x / a > low else ()
        log_p = quadrature.log_z(u, low, points=points).value - 0.5 * np.log(2 * np.pi * v)
        guess = quadrature.mean(u, lambda t: t, low, points=points).value
        np.testing.assert_allclose(target.log_prob_noisy([[x]], log_snr), log_p, rtol=1e-9)
        np.testing.assert_allclose(target.denoiser([[x]], log_snr), guess, rtol=1e-8)
    x = np.linspace(-8.0, 25.0, 3_001)
    p = np.exp(target.log_prob_noisy(x[:, None], log_snr))
    assert integrate.simpson(p, x=x) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", REAL)
def test_without_noise_the_density_is_that_of_the_data(name, seed):
    """p_t(a x) a^d -> p(x) as v -> 0, away from jumps."""
    target = REAL[name]
    x = target.sample(5, seed)
    a = np.sqrt(1 / (1 + np.exp(-18.0)))
    limit = target.log_prob_noisy(a * x, 18.0) + target.space.size * np.log(a)
    inside = np.abs(target.posterior_variance(a * x, 18.0) * np.exp(18.0) / x.shape[1] - 1) < 1e-3
    assert inside.any()
    np.testing.assert_allclose(limit[inside], target.log_prob(x)[inside], atol=2e-3)


def information(target, snr):
    """I(x_0; x_t) = h(x_t) - h(noise), in nats."""
    if target is REAL["Gaussian"]:
        return 0.5 * np.linalg.slogdet(target.covariance() * snr + np.eye(2))[1]
    x = np.linspace(-9.0, 18.0, 901)  # of densities that are analytic and 0.3 wide, or more
    log_p = target.log_prob_noisy(x[:, None], np.log(snr))
    h = -(np.exp(log_p) * log_p).sum() * (x[1] - x[0])
    return h - 0.5 * np.log(2 * np.pi * np.e / (1 + snr))


@pytest.mark.parametrize("name", ["Gaussian", "mixture on a line", "gamma"])
@pytest.mark.parametrize("snr", [0.3, 4.0])
def test_mmse_is_the_slope_of_information(name, snr):
    """dI/dsnr = mmse / 2, Guo, Shamai and Verdu (2005), eq. 1."""
    target, step = REAL[name], 0.02 * snr
    up, down, far_up, far_down = (information(target, snr + k * step) for k in (1, -1, 2, -2))
    numeric = (8 * (up - down) - far_up + far_down) / (12 * step)
    assert target.mmse(snr) / 2 == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize("name", ["Uniform", "Ring", "Product", "Spins", "mixture on a line"])
def test_mmse_is_the_mean_spread(name, seed, assert_unbiased, assert_rejected):
    """The integral over x_t against draws of it."""
    target, n = NOISY[name], 400 if name in INTEGRATED else 4_000
    right, wrong = target.mmse(3.0), target.mmse(6.0)
    assert_unbiased(lambda s, k: np.array([target._mmse_by_draws(3.0, s, n * k).z(right)]), seed)
    assert_rejected(lambda s, k: np.array([target._mmse_by_draws(3.0, s, n * k).z(wrong)]), seed)


def test_mmse_ends():
    """No signal: the variance. Little noise: d / snr, where x is real."""
    for target in REAL.values():
        assert target.mmse(0.0, rng=1) == pytest.approx(np.trace(target.covariance()))
    assert LINE.mmse(1e7) * 1e7 == pytest.approx(1.0, rel=1e-4)
    assert REAL["Ring"].mmse(1e6) * 1e6 == pytest.approx(2.0, rel=1e-3)
    assert LINE.mmse(np.array([0.5, 1.0])).shape == (2,)


@pytest.mark.parametrize("log_snr", [-50.0, -6.0, 1.0, 20.0, 36.0, 300.0])
@pytest.mark.parametrize("name", ["Ring", "Law"])
def test_any_noise(name, log_snr):
    """Normal laws by integrals, against closed forms: little noise must not drown in rounding."""
    target, x = targets.Ring(0.0, 0.8), np.array([[0.3, -0.4], [1.0, 2.0], [0.2, 0.1]])
    exact = targets.Gaussian([0.0, 0.0], 0.64 * np.eye(2))
    if name == "Law":
        target, x = targets.Law(stats.norm(0.3, 0.7)), x[:, :1]
        exact = targets.Gaussian([0.1 + 0.2], 0.49)
        x = x + 0.25
    if name == "Law" and log_snr > 40.0:
        for call in (lambda: target.score(x, log_snr), lambda: target.mmse(np.exp(log_snr))):
            with pytest.raises(InvalidInput, match="drowns in rounding"):
                call()
        return
    for method in ("score", "denoiser", "posterior_variance", "log_prob_noisy"):
        found, right = getattr(target, method)(x, log_snr), getattr(exact, method)(x, log_snr)
        np.testing.assert_allclose(found, right, rtol=1e-7, atol=0.0)
    assert target.mmse(np.exp(log_snr)) == pytest.approx(exact.mmse(np.exp(log_snr)), rel=1e-9)


def test_a_ring_with_little_noise():
    """Across and along, 1 / snr each; the score is that of the clean density."""
    ring = targets.Ring(2.0, 0.3)
    assert ring.mmse(np.exp(18.0)) == pytest.approx(2.0 * np.exp(-18.0), rel=1e-6)
    x = np.array([[0.3, -0.4], [1.0, 1.5]])
    rho = np.hypot(x[:, 0], x[:, 1])[:, None]
    np.testing.assert_allclose(ring.score(x, 40.0), -(rho - 2.0) / 0.09 * x / rho, rtol=1e-12)


def test_average_needs_a_seed():
    mixture = REAL["mixture"]
    with pytest.raises(InvalidInput, match="rng=7"):
        mixture.mmse(1.0)
    found = mixture.mmse(1.0, rng=1, n_draws=500)
    assert isinstance(found, Estimate)
    assert found.n == 500
    with pytest.raises(InvalidInput, match="one real number"):
        mixture.mmse([1.0, 2.0], rng=1)


@pytest.mark.parametrize(
    ("x", "log_snr", "message"),
    [
        ([[0.0, np.nan]], 0.0, "NaN"),
        ([[0.0, 0.0, 0.0]], 0.0, "shape"),
        ([0.0, 0.0], 0.0, "rows"),
        ([[0.0, 0.0]], np.inf, "from -700 to 700"),
        ([[0.0, 0.0]], np.nan, "from -700 to 700"),
        ([[0.0, 0.0]], 745.0, "from -700 to 700"),
        ([[0.0, 1e200]], 0.0, "beyond 1e"),
        ([[0.0, 0.0]], [0.0, 1.0], "one for each"),
        ([[0.0, 0.0]], "high", "real number"),
    ],
)
def test_bad_noise_is_refused(x, log_snr, message):
    for method in (REAL["Gaussian"].score, REAL["Ring"].denoiser, REAL["mixture"].log_prob_noisy):
        with pytest.raises(InvalidInput, match=message):
            method(x, log_snr)


@pytest.mark.parametrize("snr", [-1.0, np.nan, np.inf, 1e305, "much"])
def test_bad_snr_is_refused(snr):
    with pytest.raises(InvalidInput, match="snr"):
        LINE.mmse(snr)


def test_singular_and_far():
    """Integrable singularities at the ends, and x_t where the law has no weight."""
    edge = targets.Product([stats.beta(0.5, 0.7)])
    x = np.linspace(-4.0, 5.0, 601)
    p = np.exp(edge.log_prob_noisy(x[:, None], 1.0))
    assert integrate.simpson(p, x=x) == pytest.approx(1.0, abs=1e-8)
    assert edge.denoiser([[1e4]], 2.0)[0, 0] == pytest.approx(1.0, abs=1e-3)
    far = targets.Uniform(0.0, 1.0).denoiser([[-50.0]], 0.0)[0, 0]
    # Beyond the end the posterior falls like exp(-t / l), l = v / (a |x|), with a small curvature.
    assert far == pytest.approx(0.5 / (np.sqrt(0.5) * 50.0), rel=1e-2)
