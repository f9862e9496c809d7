"""log p(x) by the probability flow equals the exact density of the flow's law."""

import numpy as np
import pytest
from diffusions import CORRELATED, perfect
from scipy import stats
from statistical import _replaced

from statmech_ml.errors import InvalidInput
from statmech_ml.exact.targets import Gaussian, GaussianMixture
from statmech_ml.generative import DenseDenoiser, DiffusionModel, Linear, LogLinear, _ode
from statmech_ml.spaces import Reals


def pushforward(target, schedule, high=None):
    """N(0, I) carried by the flow of a Gaussian: along each eigenvector x - a mu is stretched by
    sqrt(V(high) / V(low)), V = a^2 l + 1 - a^2, since the flow is linear."""
    levels = np.array([schedule.log_snr(1.0), high if high is not None else schedule.log_snr(0.0)])
    bars = 1.0 / (1.0 + np.exp(-levels))
    low, high = bars[:, None] * target.eigenvalues + 1.0 - bars[:, None]
    stretch, a = np.sqrt(high / low), np.sqrt(bars)
    Q = target.directions
    centre = Q.T @ target.mean()
    mean = centre - stretch * a[0] / a[1] * centre
    return Gaussian(Q @ mean, (Q * (stretch / a[1]) ** 2) @ Q.T)


@pytest.mark.parametrize("ends", [(10.0, -10.0), (6.0, -5.0)])
def test_correlated_gaussian(ends):
    """Exact to the tolerance, also where the noise that is left shows; and near the target."""
    schedule = LogLinear(*ends)
    model, x = perfect(CORRELATED, schedule), CORRELATED.sample(50, rng=1)
    found = model.log_likelihood(x, tolerance=1e-9)
    law = pushforward(CORRELATED, schedule)
    np.testing.assert_allclose(found.values, law.log_prob(x), atol=1e-6)
    assert found.kind == "exact"
    assert (found.stderr == 0.0).all()
    if ends[0] == 10.0:  # KL(target || law) of order exp(-10) / 2 l and exp(-10) (|mu|^2 + 1) / 2
        assert abs(np.mean(found.values - CORRELATED.log_prob(x))) < 0.01


def test_discrete_schedule_begins_at_its_first_noisy_level():
    schedule = Linear(1000)
    model, x = perfect(CORRELATED, schedule), CORRELATED.sample(20, rng=2)
    law = pushforward(CORRELATED, schedule, high=schedule.log_snr(1e-3))
    found = model.log_likelihood(x, tolerance=1e-9).values
    np.testing.assert_allclose(found, law.log_prob(x), atol=1e-6)


def test_density_integrates_to_one_for_a_mixture():
    target = GaussianMixture([0.7, 0.3], [-1.0, 1.4], [0.2, 0.1])
    model = perfect(target, LogLinear(8.0, -8.0))
    x = np.linspace(-5.0, 5.0, 201)[:, None]
    found = np.exp(model.log_likelihood(x, tolerance=1e-6).values)
    assert np.trapezoid(found, x[:, 0]) == pytest.approx(1.0, abs=1e-4)
    assert np.abs(found - np.exp(target.log_prob(x))).max() < 0.02


def test_network():
    """Of an untrained network, in single precision, too: what the flow carries is a density."""
    network = DenseDenoiser(1, (8, 8), rng=1)
    model = DiffusionModel(Reals(1), schedule=LogLinear(2.0, -5.0), network=network, prediction="v")
    x = np.linspace(-12.0, 12.0, 241)[:, None]
    density = np.exp(model.log_likelihood(x, tolerance=1e-3).values)
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=0.01)


def test_hutchinsons_error_is_honest(seed):
    """Over configurations: unbiased, and z-scores with spread 1 (of Student's t with 7 degrees)."""
    model, x = perfect(CORRELATED, LogLinear(7.0, -7.0)), CORRELATED.sample(300, rng=seed)
    exact = model.log_likelihood(x).values
    found = model.log_likelihood(x, divergence="hutchinson", rng=seed, n_probes=8)
    assert found.kind == "estimate"
    # Of a Gaussian the trace by a probe does not depend on x: eight values, four of them different
    # up to sign, so that rows are independent draws of one law.
    errors = found.values - exact
    z = errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors)))
    assert abs(z) < 4.0
    told, seen = np.mean(found.stderr**2), np.var(errors, ddof=1)
    # Both are variances of the same mean; each known to sqrt(2 / 300), and told's is smaller.
    assert abs(told / seen - 1.0) < 4.0 * np.sqrt(2.0 / 300) * 1.5


def test_wrong_sign_of_the_divergence_is_seen(monkeypatch):
    wrong = _replaced(_ode._batch, "[:, None] + spread", "[:, None] - spread", dict(vars(_ode)))
    monkeypatch.setattr(_ode, "_batch", wrong)
    schedule = LogLinear()
    model, x = perfect(CORRELATED, schedule), CORRELATED.sample(10, rng=1)
    law = pushforward(CORRELATED, schedule)
    assert np.abs(model.log_likelihood(x).values - law.log_prob(x)).min() > 1.0


def test_samples_of_the_flow_have_its_density(seed):
    """Many small steps of ode-heun against the closed law of the flow."""
    schedule = LogLinear(6.0, -5.0)
    x = perfect(CORRELATED, schedule).sample(2000, rng=seed, method="ode-heun", n_steps=200)
    law = pushforward(CORRELATED, schedule)
    away = np.linalg.solve(np.linalg.cholesky(law.covariance()), (x - law.mean()).T)
    # p-values of a right law fall below 1e-5 once in 30,000 runs of three.
    assert min(stats.kstest(row, "norm").pvalue for row in away) > 1e-5


def test_refusals():
    model, x = perfect(CORRELATED, LogLinear()), CORRELATED.sample(2, rng=1)
    for settings, words in (
        ({"divergence": "trace"}, "exact, hutchinson"),
        ({"divergence": "hutchinson"}, "rng"),
        ({"divergence": "hutchinson", "rng": 1, "n_probes": 1}, "n_probes=1"),
        ({"rng": 1}, "probes"),
        ({"tolerance": 0.0}, "tolerance"),
    ):
        with pytest.raises(InvalidInput, match=words):
            model.log_likelihood(x, **settings)
