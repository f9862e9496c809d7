"""Hierarchical VAEs: the linear one against its exact evidence, spins against quadrature."""

import math

import numpy as np
import pytest
import torch
from latent_checks import deviations, louder, nodes, rows, site_prob
from scipy.stats import multivariate_normal

from statmech_ml.errors import InvalidInput, StoreError, TrainingDiverged
from statmech_ml.generative import VAE, HierarchicalVAE, LinearHierarchicalVAE
from statmech_ml.generative._latent import log_standard
from statmech_ml.generative._linear import put
from statmech_ml.spaces import Reals, Spins

STATES = Spins(4).from_index(np.arange(16))


def linear(spread=0.0):
    """Three sites, one number at each of three levels, and the exact posterior for an encoder,
    its log variances raised by `spread`.

    h_3 ~ N(0, 1), h_t = a_t h_t+1 + b_t + N(0, s_t), x = w h_1 + c + N(0, 0.6 I)
    """
    a, b, s = (0.8, -1.3), (0.5, -0.2), (0.7, 1.2)
    w, c, noise = np.array([0.9, -0.4, 1.5]), np.array([0.3, 1.0, -0.6]), 0.6
    model = LinearHierarchicalVAE(3, (1, 1, 1), rng=1, variance=noise, dtype=torch.float64)
    mean, var = [0.0], [1.0]  # of h_3, h_2, h_1
    for t in (1, 0):
        mean.append(a[t] * mean[-1] + b[t])
        var.append(a[t] ** 2 * var[-1] + s[t])
        part = model.decoders[t + 1]
        put(part.affine.weight, [[a[t]]])
        put(part.affine.bias, [b[t]])
        put(part.log_variance, [math.log(s[t])])
    put(model.decoders[0][0].weight, w[:, None])
    put(model.decoders[0][0].bias, c)
    mean, var = mean[::-1], var[::-1]  # of h_1, h_2, h_3
    # p(h_1 | x) and p(h_t+1 | h_t): products of two normals.
    precision = 1.0 / var[0] + w @ w / noise
    slopes = [(w / noise / precision)[None]]
    shifts = [(mean[0] / var[0] - w @ c / noise) / precision]
    variances = [1.0 / precision]
    for t in (0, 1):
        precision = 1.0 / var[t + 1] + a[t] ** 2 / s[t]
        slopes.append([[a[t] / s[t] / precision]])
        shifts.append((mean[t + 1] / var[t + 1] - a[t] * b[t] / s[t]) / precision)
        variances.append(1.0 / precision)
    for part, slope, shift, v in zip(model.encoders, slopes, shifts, variances, strict=True):
        put(part.affine.weight, slope)
        put(part.affine.bias, [shift])
        put(part.log_variance, [math.log(v) + spread])
    return model


def configurations(n=12):
    return np.random.default_rng(4).normal(size=(n, 3)) * 1.5 + 0.5


# --- the linear chain -----------------------------------------------------------------------------


def test_evidence_is_the_normal_marginal():
    """By hand: Cov = 0.6 I + v w w^T, v and mean of h_1 down the chain."""
    model = linear()
    v1 = 0.64 * (1.69 * 1.0 + 1.2) + 0.7
    w, c = np.array([0.9, -0.4, 1.5]), np.array([0.3, 1.0, -0.6])
    mean, covariance = c + w * (0.8 * -0.2 + 0.5), 0.6 * np.eye(3) + v1 * np.outer(w, w)
    np.testing.assert_allclose(model.marginal()[0], mean, rtol=1e-12)
    np.testing.assert_allclose(model.marginal()[1], covariance, rtol=1e-12)
    exact = multivariate_normal(mean, covariance).logpdf(configurations())
    np.testing.assert_allclose(model.evidence(configurations()).values, exact, rtol=1e-10)


def test_no_gap_at_the_exact_posterior(seed):
    """There every log-weight is the evidence, so that the bound has neither gap nor noise (its
    closed-form prior term aside)."""
    model, x = linear(), configurations()
    exact = model.evidence(x).values
    found = model.log_likelihood(x, n_draws=60, rng=seed)
    np.testing.assert_allclose(found.values, exact, rtol=1e-10)
    assert found.stderr.max() < 1e-6
    assert found.kind == "estimate"
    log_w = model.log_weights(model.configurations(x), None, 5, model.generator(seed))
    np.testing.assert_allclose(log_w.detach(), np.broadcast_to(exact, (5, len(x))), rtol=1e-10)


def test_bound_has_no_gap_at_the_exact_posterior(seed, assert_unbiased, assert_rejected):
    """Mean of all terms. The mutant is the middle term as a divergence: h_1 drawn without regard
    to h_2, so that KL(q(h_1 | x) || p(h_1 | h_2)) stands for the log-ratio."""

    class Divergent(LinearHierarchicalVAE):
        def terms(self, x, condition, generator):
            found = super().terms(x, condition, generator)
            (_, _), (_, above), _ = self._up(x, condition, generator)
            q = next(self._up(x, condition, generator))[0]
            p = self._down(1, above, condition)
            fresh = q.draw(self.noise((len(x), 1), generator))
            found["elbo"] = found["elbo"] + found["ratio_1"] - q.log_prob(fresh)
            found["elbo"] = found["elbo"] + p.log_prob(fresh)
            return found

    def z(kind):
        def run(s, scale):
            model, m = linear(), 1000 * scale
            model.__class__ = kind
            x = np.repeat(configurations(4), m, axis=0)
            bound = model.elbo(x, n_draws=2, rng=s)["elbo"].reshape(4, m)
            exact = model.evidence(configurations(4)).values
            return (bound.mean(axis=1) - exact) / (bound.std(axis=1) / m**0.5)

        return run

    assert_unbiased(z(LinearHierarchicalVAE), seed)
    assert_rejected(z(Divergent), seed)


def test_importance_weights_find_the_evidence(seed, assert_unbiased, assert_rejected):
    """Off the exact posterior. The mutant leaves a level out of its weights."""

    class Short(LinearHierarchicalVAE):
        def log_weights(self, x, condition, n_draws, generator):
            found = super().log_weights(x, condition, n_draws, generator)
            top = list(self._up(x, condition, generator))[-1]
            return found - log_standard(top[1]) + top[0].log_prob(top[1])

    def z(kind):
        def run(s, scale):
            model, x = linear(0.4), configurations()
            model.__class__ = kind
            found = model.log_likelihood(x, n_draws=3000 * scale, rng=s)
            each = deviations(found, model.evidence(x).values)
            return np.append(each, each.mean() * len(x) ** 0.5)

        return run

    bound = linear(0.4).elbo(configurations(), n_draws=200, rng=seed)["elbo"]
    assert bound.mean() < linear(0.4).evidence(configurations()).values.mean()
    assert_unbiased(z(LinearHierarchicalVAE), seed)
    assert_rejected(z(Short), seed)


def test_samples_have_the_marginal(seed, assert_unbiased):
    def run(s, scale):
        model = linear()
        mean, covariance = model.marginal()
        x = model.sample(4000 * scale, rng=s) - mean
        pairs = x[:, :, None] * x[:, None, :]
        second = (pairs.mean(axis=0) - covariance) / (pairs.std(axis=0) / len(x) ** 0.5)
        first = x.mean(axis=0) / (x.std(axis=0) / len(x) ** 0.5)
        return np.append(first, second[np.triu_indices(3)])

    assert_unbiased(run, seed)


# --- spins ----------------------------------------------------------------------------------------


def spins(**settings):
    settings = {"rng": 6, "act": "tanh", "dtype": torch.float64} | settings
    model = louder(HierarchicalVAE(Spins(4), (1, 1), (8,), **settings), 2.0)
    with torch.no_grad():
        model.decoders[0][-1].bias.add_(0.4)
        for part in list(model.decoders)[1:]:
            part[-1].weight.div_(2.0)
            part[-1].bias[1] = -0.5
        for network in model.encoders:  # wider than the posterior, lest weights have no variance
            network[-1].weight.div_(8.0)
            network[-1].bias.copy_(torch.tensor([0.0, 1.0]))
    return model


def probabilities(model, condition=None):
    """P(state) by quadrature over h_2, and over h_1 given each node of it."""
    z, log_w = nodes(1)
    w, found = np.exp(log_w), 0.0
    given = model.conditions(condition, len(z), "condition")
    seen = [torch.tensor(z)] if given is None else [torch.tensor(z), given]
    numbers = model.decoders[1](torch.cat(seen, dim=1)).detach().numpy()
    for (mean, log_variance), weight in zip(numbers, w, strict=True):
        h = mean + np.exp(0.5 * log_variance) * z
        found = found + weight * (site_prob(STATES, model.decode(h, condition=condition)) @ w)
    return found


@pytest.mark.parametrize("condition", [None, 1.5])
def test_spins_against_quadrature(condition, seed, assert_unbiased):
    model = spins(n_conditions=0 if condition is None else 1)
    exact = probabilities(model, condition)
    assert exact.max() > 2.0 * exact.min()

    def run(s, scale):
        weights = model.log_likelihood(STATES, n_draws=4000 * scale, rng=s, condition=condition)
        x = model.sample(4000 * scale, rng=s, condition=condition)
        counts = np.bincount(Spins(4).index(x), minlength=16)
        spread = np.sqrt(len(x) * exact * (1.0 - exact))
        z = deviations(weights, np.log(exact))
        return np.append(z, (counts - len(x) * exact) / spread)

    assert_unbiased(run, seed)


def test_one_level_is_a_vae():
    """Same networks, same draws, same terms."""
    vae = VAE(Spins(4), 2, (8,), rng=1, dtype=torch.float64)
    chain = HierarchicalVAE(
        Spins(4), (2,), encoders=[vae.encoder], decoders=[vae.decoder], dtype=torch.float64
    )
    x = vae.configurations(STATES)
    one, other = (m.terms(x, None, m.generator(3)) for m in (vae, chain))
    np.testing.assert_allclose(one["elbo"].detach(), other["elbo"].detach(), rtol=1e-12)
    np.testing.assert_allclose(one["kl"].detach(), other["prior"].detach(), rtol=1e-12)


def test_every_term_is_in_the_history():
    model = HierarchicalVAE(Spins(4), (3, 2, 1), (8,), rng=1)
    history = model.fit(STATES, epochs=30, rng=2, batch_size=8, learning_rate=0.01)
    names = ("ratio_1", "ratio_2", "prior")
    total = history["reconstruction"] - sum(history[name] for name in names)
    np.testing.assert_allclose(history["elbo"], total, rtol=1e-5)
    np.testing.assert_allclose(history["loss"], -total, rtol=1e-5)
    assert history["elbo"][-1] > history["elbo"][0]
    assert [h.shape[1] for h in model.encode(STATES, rng=1)] == [3, 2, 1]
    assert model.decode(np.zeros((2, 3))).shape == (2, 4)


# --- what goes wrong ------------------------------------------------------------------------------


def test_nan_variance_is_caught():
    model = HierarchicalVAE(Reals(4), (2, 1), (8,), rng=1)
    with torch.no_grad():
        model.decoders[1][-1].bias[2] = math.nan  # a log variance of p(h_1 | h_2)
    with pytest.raises(TrainingDiverged, match="is nan"):
        model.fit(rows(), epochs=1, rng=1, batch_size=8)
    with pytest.raises(InvalidInput, match="not finite"):
        model.log_likelihood(rows(), n_draws=5, rng=1)
    with pytest.raises(InvalidInput, match="not finite"):
        model.elbo(rows(), n_draws=5, rng=1)


def test_resumed_equals_uninterrupted_and_knows_its_own(tmp_path):
    def model(latents=(2, 1)):
        return HierarchicalVAE(Spins(4), latents, (8,), rng=4)

    whole, parts, again = model(), model(), model()
    settings = {"rng": 3, "batch_size": 5}
    whole.fit(STATES, epochs=3, **settings)
    parts.fit(STATES, epochs=1, checkpoint=tmp_path / "run", **settings)
    again.fit(STATES, epochs=3, checkpoint=tmp_path / "run", resume=True, **settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    with pytest.raises(StoreError, match="another shell"):
        model((2, 2)).fit(STATES, epochs=3, checkpoint=tmp_path / "run", resume=True, **settings)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: HierarchicalVAE(Spins(4), (5, 1), rng=1), "wider than the data"),
        (lambda: HierarchicalVAE(Spins(4), (), rng=1), "latents"),
        (lambda: HierarchicalVAE(Spins(4), 3, rng=1), "latents"),
        (lambda: HierarchicalVAE(Spins(4), (2, 1)), "rng"),
        (
            lambda: HierarchicalVAE(Spins(4), (2, 1), rng=1, encoders=[torch.nn.Linear(4, 4)]),
            "1 encoders for 2 levels",
        ),
        (
            lambda: HierarchicalVAE(Spins(4), (2,), rng=1, encoders=[torch.nn.Linear(4, 2)]),
            r"encoders\[0\] turns",
        ),
        (lambda: spins().fit(rows(), epochs=1, rng=1, batch_size=1), "Spins"),
        (lambda: spins().decode([[1.0, 2.0]]), "1 sites"),
        (lambda: spins().decode([1.0]), "rows"),
        (lambda: spins().encode(STATES, rng=None), "rng"),
        (lambda: linear().evidence(configurations() * math.nan), "NaN"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
