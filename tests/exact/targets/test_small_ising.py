"""Enumerated models: the denoiser against enumeration in fields, and I-MMSE for their entropies."""

import numpy as np
import pytest
from exact_targets import BIASED, SPINS, noisy, ring_model

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, ring, targets
from statmech_ml.models import BernoulliRBM, Ising

BETA = 0.44
SQUARE = targets.Ising(Ising(lattices.square(4, 4)), BETA)


def in_fields(model, beta, x, log_snr, turn=1.0):
    """Magnetisations of the model with the fields a x / v of a noisy image added to its own, by
    exact.enumeration."""
    a, v = np.sqrt(1 / (1 + np.exp(-log_snr))), 1 / (1 + np.exp(log_snr))
    field = np.broadcast_to(model.field, x.shape) + turn * a * x / v / beta
    tilted = Ising(model.lattice, coupling=model.coupling, field=field)
    return enumeration.mean(tilted, beta, lambda s: s)


@pytest.mark.parametrize(
    ("target", "beta"), [(SQUARE, BETA), (SPINS["Ising"], 0.6)], ids=["4x4", "ring"]
)
@pytest.mark.parametrize("log_snr", [-2.0, 1.0, 5.0])
def test_denoiser_is_magnetisation_in_fields(target, beta, log_snr, seed):
    _, x = noisy(target, log_snr, 3, seed)
    guess = target.denoiser(x, log_snr)
    for i in range(3):
        exact = in_fields(target.model, beta, x[i], log_snr)
        np.testing.assert_allclose(guess[i], exact, rtol=0, atol=1e-11)
        wrong = in_fields(target.model, beta, x[i], log_snr, turn=-1.0)
        assert np.abs(guess[i] - wrong).max() > 1e-3


def test_noisy_density_is_a_sum_over_states(seed):
    target = SPINS["Ising"]
    states = enumeration.states(target.space).astype(float)
    _, x = noisy(target, 0.7, 6, seed)
    a, v = np.sqrt(1 / (1 + np.exp(-0.7))), 1 / (1 + np.exp(0.7))
    normal = np.exp(-0.5 * ((x[:, None] - a * states) ** 2).sum(2) / v) / (2 * np.pi * v) ** 2.5
    p = enumeration.distribution(target.model, 0.6)
    np.testing.assert_allclose(target.log_prob_noisy(x, 0.7), np.log(normal @ p), rtol=1e-12)


def test_the_law_is_that_of_enumeration():
    target, model = SPINS["Ising"], SPINS["Ising"].model
    states = enumeration.states(target.space)
    p = enumeration.distribution(model, 0.6)
    np.testing.assert_allclose(np.exp(target.log_prob(states)), p, rtol=1e-12)
    np.testing.assert_allclose(target.probability, p, rtol=1e-12)
    assert target.log_z == pytest.approx(enumeration.log_z(model, 0.6), rel=1e-13)
    assert target.entropy() == pytest.approx(enumeration.entropy(model, 0.6), rel=1e-12)
    np.testing.assert_allclose(target.mean(), p @ states, atol=1e-13)
    C = (states * p[:, None]).T @ states - np.outer(p @ states, p @ states)
    np.testing.assert_allclose(target.covariance(), C, atol=1e-13)
    uniform = targets.Ising(Ising(lattices.chain(6)), 0.7)
    assert uniform.log_z == pytest.approx(ring.log_z(6, 0.7), rel=1e-13)


def test_sizes_without_halves():
    """One spin, two spins, and a model that is no lattice."""
    one = targets.Ising(Ising(lattices.from_edges(np.empty((0, 2), int), n_sites=1), field=0.5), 2)
    x = np.array([[0.3]])
    np.testing.assert_allclose(one.denoiser(x, 0.2), targets.Spins([1.0]).denoiser(x, 0.2))
    rows = np.array([[0.3, -0.2, 1.0]])
    free = targets.Ising(Ising(lattices.chain(3), coupling=0.0, field=BIASED.fields / 0.7), 0.7)
    np.testing.assert_allclose(free.denoiser(rows, 1.0), BIASED.denoiser(rows, 1.0))
    np.testing.assert_allclose(free.log_prob_noisy(rows, 1.0), BIASED.log_prob_noisy(rows, 1.0))


LOG_SNRS = np.arange(-9.0, 5.01, 0.5)


def entropy_by_mmse(mmse, variance):
    """1/2 int mmse dsnr by the trapezoidal rule in log snr; below the first the mmse is taken as
    the variance, and that geometric series summed."""
    values = np.array([mmse(u) for u in LOG_SNRS]) * np.exp(LOG_SNRS)
    return 0.25 * (values.sum() + variance * np.exp(LOG_SNRS[0]) / np.expm1(0.5))


def test_entropy_of_spins_by_mmse():
    """Twice the entropy is the integral of the mmse over snr: discrete x, Guo et al. (2005)."""
    for target in (BIASED, targets.Spins(np.zeros(2))):
        variance = np.trace(target.covariance())
        found = entropy_by_mmse(lambda u, t=target: t.mmse(np.exp(u)), variance)
        # Beyond snr = e^5 is e^-74; below e^-9 mmse falls by e^-9 of it, 1e-8 in all.
        assert found == pytest.approx(target.entropy(), abs=1e-7)


def test_entropy_of_ising_by_mmse(seed, assert_unbiased, assert_rejected):
    """The same for the 4 x 4 lattice, its mmse averaged over the same noisy images at all snr."""
    variance = np.trace(SQUARE.covariance())

    def run(s, k, beta=BETA, n=100):
        generator = np.random.default_rng(s)
        x0 = SQUARE.sample(n * k, s).astype(float)
        noise = generator.normal(size=x0.shape)
        found = []
        for u in LOG_SNRS:
            a, v = np.sqrt(1 / (1 + np.exp(-u))), 1 / (1 + np.exp(u))
            found.append(SQUARE.posterior_variance(a * x0 + np.sqrt(v) * noise, u))
        each = np.array([entropy_by_mmse(dict(zip(LOG_SNRS, m, strict=True)).get, variance)
                         for m in np.transpose(found)])  # fmt: skip
        exact = enumeration.entropy(SQUARE.model, beta)
        return np.array([(each.mean() - exact) / (each.std() / np.sqrt(n * k))])

    assert_unbiased(run, seed)
    assert_rejected(lambda s, k: run(s, k, beta=0.8 * BETA), seed)


def test_mmse_is_an_estimate():
    found = SPINS["Ising"].mmse(1.0, rng=3, n_draws=4_000)
    assert 0.0 < found.stderr < 0.05
    assert found.value < np.trace(SPINS["Ising"].covariance())
    with pytest.raises(InvalidInput, match="rng=7"):
        SQUARE.mmse(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: targets.Ising(Ising(lattices.square(5, 5)), 0.4), "2\\^25 states"),
        (lambda: targets.Ising(ring_model(), 0.0), "targets.Spins"),
        (lambda: targets.Ising(ring_model(), -1.0), "beta"),
        (lambda: targets.Ising(ring_model(), np.inf), "beta"),
        (lambda: targets.Ising(ring_model(), np.array([0.1, 0.2])), "one number"),
        (lambda: targets.Ising(ring_model(), 100.0), "Raise the temperature"),
        (lambda: targets.Ising(BernoulliRBM([0.0], [0.0], [[1.0]]), 1.0), "not on spins"),
        (lambda: targets.Ising(None, 1.0), "not on spins"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
