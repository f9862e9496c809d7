"""The linear VAE against probabilistic PCA: evidence, gap, active latents and rates."""

import math

import numpy as np
import pytest
import torch
from latent_checks import MEAN, deviations, falling, rows, swift
from scipy.stats import multivariate_normal

from statmech_ml.errors import InvalidInput
from statmech_ml.generative import VAE, LinearVAE

LAMBDA = np.array([4.0, 2.0, 0.5, 0.25])
EVIDENCE = -5.7346456506  # q = 2, sigma^2 = 0.375; Tipping and Bishop (1999)
# Variance, beta, latents, and how many of them are active.
SETTINGS = [(0.375, 1.0, 3, 3), (1.0, 1.0, 4, 2), (2.5, 1.0, 4, 1), (0.75, 2.0, 4, 2)]


def fitted(n_latent, n_steps=400, rng=3, **settings):
    vae = LinearVAE(4, n_latent, rng=rng, dtype=torch.float64, **settings)
    vae.fit(
        rows(), epochs=n_steps, rng=rng, batch_size=64, optimizer=swift(),
        schedule=falling(n_steps),
    )  # fmt: skip
    return vae


def test_evidence_and_gap_by_gradient():
    x, vae = rows(), fitted(2)
    evidence, bound = vae.evidence(x).values.mean(), vae.elbo(x)["elbo"].mean()
    assert abs(evidence - EVIDENCE) < 1e-3
    assert 0.0 <= evidence - bound < 1e-3
    exact = 0.5 * np.log([2.0 / 0.375, 4.0 / 0.375])
    np.testing.assert_allclose(np.sort(vae.rates(x)), exact, atol=0.01)


@pytest.mark.parametrize(
    ("variance", "beta", "q", "n_active"),
    [pytest.param(*s, marks=[pytest.mark.slow] * (s[1] == 1.0)) for s in SETTINGS],
)
def test_active_latents_and_rates_by_gradient(variance, beta, q, n_active):
    """Rates within 0.01 nats, the threshold below which a latent counts as inactive."""
    steps = 1200 if beta == 1.0 else 400
    x, vae = rows(), fitted(q, steps, variance=variance, beta=beta)
    exact = 0.5 * np.log(np.maximum(LAMBDA[:q] / (beta * variance), 1.0))
    np.testing.assert_allclose(np.sort(vae.rates(x))[::-1], exact, atol=0.01)
    assert vae.active_latents(x).sum() == n_active
    terms = vae.elbo(x)
    assert math.isclose(vae.rates(x).sum(), terms["kl"].mean(), rel_tol=1e-12)
    best = LinearVAE(4, q, rng=1, dtype=torch.float64, variance=variance, beta=beta)
    best.solve(x)
    reached = (terms["reconstruction"] - beta * terms["kl"]).mean()
    optimum = (best.elbo(x)["reconstruction"] - beta * best.elbo(x)["kl"]).mean()
    assert -1e-12 <= optimum - reached < 1e-3
    if beta == 1.0:
        assert vae.evidence(x).values.mean() - terms["elbo"].mean() < 1e-3


@pytest.mark.parametrize(
    ("variance", "beta", "q"), [("learned", 1.0, 2), *(s[:3] for s in SETTINGS)]
)
def test_closed_form_is_stationary(variance, beta, q):
    """All gradients vanish there, and its rates are those of the formula."""
    x = rows()
    vae = LinearVAE(4, q, rng=1, dtype=torch.float64, variance=variance, beta=beta)
    pca = vae.solve(x)
    losses = vae.losses(vae.configurations(x), None, vae.generator(1))
    grads = torch.autograd.grad(losses["loss"], list(vae.parameters()))
    assert max(float(g.abs().max()) for g in grads) < 1e-12
    np.testing.assert_allclose(vae.rates(x), vae.optimal_rates(pca), atol=1e-12)
    np.testing.assert_allclose(vae.marginal()[0], MEAN, rtol=1e-12)


def test_closed_form_has_no_gap():
    x = rows()
    vae = LinearVAE(4, 2, rng=1, dtype=torch.float64)
    vae.solve(x)
    evidence = vae.evidence(x)
    np.testing.assert_allclose(vae.elbo(x)["elbo"], evidence.values, rtol=1e-12)
    assert abs(evidence.values.mean() - EVIDENCE) < 1e-10
    assert evidence.kind == "exact"


def test_evidence_is_the_normal_marginal():
    vae = LinearVAE(4, 2, rng=5, dtype=torch.float64, variance="per-site")
    with torch.no_grad():
        vae.sites.log_variance.copy_(torch.tensor([0.1, -0.3, 0.5, 0.0], dtype=torch.float64))
    mean, covariance = vae.marginal()
    exact = multivariate_normal(mean, covariance).logpdf(rows())
    np.testing.assert_allclose(vae.evidence(rows()).values, exact, rtol=1e-10)
    W = vae.decoder[0].weight.detach().numpy()
    np.testing.assert_allclose(
        covariance, W @ W.T + np.diag(np.exp([0.1, -0.3, 0.5, 0.0])), rtol=1e-12
    )


def off_optimum():
    """Parameters as they are drawn, latents wide, and a variance for each site."""
    vae = LinearVAE(4, 2, rng=8, dtype=torch.float64, variance="per-site")
    with torch.no_grad():
        vae.sites.log_variance.copy_(torch.tensor([0.4, -0.2, 0.1, 0.7]))
        vae.encoder.log_variance.copy_(torch.tensor([-0.5, 0.3]))
    return vae


def test_closed_form_terms_are_the_sampled_ones(seed, assert_unbiased, assert_rejected):
    """Means over h of `VAE.terms`, which draws. The mutant forgets the spread of h."""

    def z(factor):
        def run(s, scale):
            vae = off_optimum()
            x = vae.configurations(np.repeat(rows()[:3], 3000 * scale, axis=0))
            exact = vae.terms(x, None, vae.generator(s))["reconstruction"]
            with torch.no_grad():
                vae.encoder.log_variance.add_(2.0 * math.log(factor))
            drawn = VAE.terms(vae, x, None, vae.generator(s))["reconstruction"]
            away = (drawn - exact).detach().numpy().reshape(3, -1)
            return away.mean(axis=1) / (away.std(axis=1) / away.shape[1] ** 0.5)

        return run

    assert_unbiased(z(1.0), seed)
    assert_rejected(z(0.8), seed)


def test_importance_weights_find_the_evidence(seed, assert_unbiased, assert_rejected):
    """The values, and their mean z over configurations, which is biased by half the relative error
    of one mean weight. The mutant has the sign of its log-weights turned."""

    class Turned(LinearVAE):
        def log_weights(self, x, condition, n_draws, generator):
            return -super().log_weights(x, condition, n_draws, generator)

    def z(kind):
        def run(s, scale):
            vae, x = kind(4, 2, rng=8, dtype=torch.float64), rows()[:40]
            vae.solve(rows())
            with torch.no_grad():  # off the optimum, where all weights are equal
                vae.encoder.affine.weight.mul_(0.8)
                vae.encoder.log_variance.add_(0.3)
            found = vae.log_likelihood(x, n_draws=4000 * scale, rng=s)
            each = deviations(found, vae.evidence(x).values)
            return np.append(each, each.mean() * len(x) ** 0.5)

        return run

    assert_unbiased(z(LinearVAE), seed)
    assert_rejected(z(Turned), seed)


def test_samples_have_the_marginal(seed, assert_unbiased):
    def run(s, scale):
        vae = off_optimum()
        mean, covariance = vae.marginal()
        x = vae.sample(4000 * scale, rng=s) - mean
        pairs = x[:, :, None] * x[:, None, :]
        upper = np.triu_indices(4)
        second = (pairs.mean(axis=0) - covariance) / (pairs.std(axis=0) / len(x) ** 0.5)
        return np.append(x.mean(axis=0) / (x.std(axis=0) / len(x) ** 0.5), second[upper])

    assert_unbiased(run, seed)


def diverged():
    model = LinearVAE(4, 2, rng=1)
    model.sites.log_variance.data.fill_(math.nan)
    return model


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearVAE(4, 5, rng=1), "wider than the data"),
        (lambda: LinearVAE(4, 0, rng=1), "n_latent"),
        (lambda: LinearVAE(4, 2, rng=1, beta=2.0).solve(rows()), "variance="),
        (lambda: LinearVAE(4, 2, rng=1, variance="per-site").solve(rows()), "factor analysis"),
        (lambda: LinearVAE(4, 4, rng=1).solve(rows()), "All 4 components"),
        (lambda: LinearVAE(4, 2, rng=1).solve(rows()[:, :1] * np.ones(4)), "variance is 0"),
        (lambda: LinearVAE(4, 2, rng=1).evidence(rows() * math.nan), "NaN"),
        (lambda: diverged().elbo(rows()), "not finite"),
        (lambda: diverged().sample(3, rng=1), "log_variance holds"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
