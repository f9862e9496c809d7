"""VAEs: both terms of the bound, likelihoods against quadrature over the latents, sampling, and
what is refused."""

import math

import numpy as np
import pytest
import torch
from latent_checks import deviations, log_p, louder, nodes, rows, site_prob
from scipy.special import expit
from scipy.stats import norm
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml.errors import InvalidInput, StoreError, TrainingDiverged
from statmech_ml.generative import VAE, _latent
from statmech_ml.generative._decoders import NormalSites, TwoValuedSites
from statmech_ml.generative._latent import Normal
from statmech_ml.generative._weights import tail_shape
from statmech_ml.spaces import Bits, Levels, Reals, Spins


def small(n_latent=2, size=4, rng=11, factor=2.0, kind=VAE, **settings):
    """Spins that hang together, up more often than down."""
    settings = {"rng": rng, "act": "tanh", "dtype": torch.float64} | settings
    vae = louder(kind(Spins(size), n_latent, (8,), **settings), factor)
    with torch.no_grad():
        vae.decoder[-1].bias.add_(0.4)
        vae.encoder[-1].weight.div_(factor)
        vae.encoder[-1].bias[n_latent:] = 1.5  # wider than the posterior: weights have a variance
    return vae


STATES = Spins(4).from_index(np.arange(16))


# --- the terms ------------------------------------------------------------------------------------


def test_rates_are_the_divergences():
    """By quadrature of q log(q / p)."""
    mean, sd = np.array([0.7, -1.3, 0.0]), np.array([0.5, 1.6, 1.0])
    q = Normal(torch.tensor(np.concatenate([mean, 2.0 * np.log(sd)]))[None])
    z, log_w = nodes(1)
    h = mean + sd * z
    ratio = norm.logpdf(h, mean, sd) - norm.logpdf(h)
    np.testing.assert_allclose(q.rates()[0], np.exp(log_w) @ ratio, rtol=1e-10, atol=1e-12)
    density = norm.logpdf(h, mean, sd).sum(axis=1)
    np.testing.assert_allclose(q.log_prob(torch.tensor(h)), density, rtol=1e-12)


def test_sites_are_summed():
    out, x = np.random.default_rng(1).normal(size=(2, 5, 3))
    law = NormalSites(3, "per-site", torch.float64)
    with torch.no_grad():
        law.log_variance.copy_(torch.tensor([0.3, -0.4, 1.0], dtype=torch.float64))
    exact = norm.logpdf(x, out, np.exp([0.15, -0.2, 0.5])).sum(axis=1)
    found = law.log_prob(torch.tensor(x), torch.tensor(out)).detach()
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    for low, step in ((-1, 2), (0, 1)):
        up = x > 0
        sites = TwoValuedSites(low, step)
        values = torch.tensor(np.where(up, low + step, low).astype(float))
        exact = np.log(np.where(up, expit(out), expit(-out))).sum(axis=1)
        np.testing.assert_allclose(sites.log_prob(values, torch.tensor(out)), exact, rtol=1e-12)
        mean = low + step * expit(out)
        np.testing.assert_allclose(sites.mean(torch.tensor(out)), mean, rtol=1e-12)


def test_loss_and_history_have_both_terms():
    vae = small(beta=2.5)
    history = vae.fit(STATES, epochs=1, rng=1, batch_size=16)
    terms = {name: history[name][0] for name in ("loss", "reconstruction", "kl", "elbo")}
    assert math.isclose(terms["elbo"], terms["reconstruction"] - terms["kl"])
    assert math.isclose(terms["loss"], 2.5 * terms["kl"] - terms["reconstruction"])
    assert terms["kl"] > 0.0


# --- likelihoods ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_latent", [1, 2])
def test_probabilities_of_all_states_sum_to_one(n_latent, seed):
    """By quadrature (whose nodes are enough), and by importance weights within their errors."""
    vae = small(n_latent)
    exact = np.exp(log_p(vae, STATES))
    assert math.isclose(exact.sum(), 1.0, rel_tol=1e-10)
    assert exact.max() > 4.0 * exact.min()  # not the uniform law
    np.testing.assert_allclose(np.exp(log_p(vae, STATES, n=90)), exact, rtol=1e-4)
    found = vae.log_likelihood(STATES, n_draws=4000, rng=seed)
    error = math.sqrt(((np.exp(found.values) * found.stderr) ** 2).sum())
    assert abs(np.exp(found.values).sum() - 1.0) < 5.0 * error


def test_likelihood_by_importance_weights(seed, assert_unbiased, assert_rejected):
    class Reversed(VAE):
        def log_weights(self, x, condition, n_draws, generator):
            return -super().log_weights(x, condition, n_draws, generator)

    def z(kind):
        def run(s, scale):
            vae = small(kind=kind)
            found = vae.log_likelihood(STATES, n_draws=4000 * scale, rng=s)
            return deviations(found, log_p(vae, STATES))

        return run

    assert_unbiased(z(VAE), seed)
    assert_rejected(z(Reversed), seed)


def test_elbo_is_the_mean_log_weight(seed, assert_unbiased, assert_rejected):
    """E_q[log w] by quadrature, each term. The mutant has lost the 1/2 of the divergence."""
    vae = small()
    q, (z, log_w) = vae.encode(STATES), nodes(2)
    exact = {"kl": 0.5 * (q.mean**2 + q.sd**2 - 1.0 - 2.0 * np.log(q.sd)).sum(axis=1)}
    per_state, spreads = [], []
    for i, state in enumerate(STATES):
        m = vae.decode(q.mean[i] + q.sd[i] * z)
        log_p_site = np.log(site_prob(state[None], m)[0])
        per_state.append(np.exp(log_w) @ log_p_site)
        spreads.append(np.sqrt(np.exp(log_w) @ (log_p_site - per_state[-1]) ** 2))
    exact["elbo"] = np.array(per_state) - exact["kl"]

    def run_with(half):
        def run(s, scale):
            found = vae.elbo(STATES, n_draws=100 * scale, rng=s)
            np.testing.assert_allclose(found["kl"], exact["kl"], rtol=1e-10)
            assert (found.stderr["kl"] < 1e-12).all()
            bound = found["reconstruction"] - found["kl"] * half
            return (bound - exact["elbo"]) / found.stderr["elbo"]

        return run

    assert (exact["elbo"] < log_p(vae, STATES)).all()
    assert_unbiased(run_with(1.0), seed)
    assert_rejected(run_with(2.0), seed)
    # Errors that are too large would pass all of this.
    error = vae.elbo(STATES, n_draws=400, rng=1).stderr["elbo"]
    assert (error * np.sqrt(400) / spreads).mean() == pytest.approx(1.0, abs=0.1)


def test_collapsed_weights_are_a_lower_bound():
    vae = small()
    with torch.no_grad():
        vae.encoder[-1].bias[:2] += 6.0  # q far from the posterior, and narrow
        vae.encoder[-1].bias[2:] -= 2.0
    found = vae.log_likelihood(STATES, n_draws=200, rng=1)
    assert found.kind == "lower bound"
    assert np.isinf(found.stderr).all()
    assert "too few or their tail too heavy in 16 of 16" in found.method
    assert vae.log_likelihood(STATES, n_draws=10, rng=1).kind == "lower bound"


def test_tail_of_weights(seed):
    """Pareto tails of known shape, within four standard errors of a shape, (1 + k) / sqrt(M) / 10
    over 100 columns of M = 190 each (and 0.02 for the prior, which pulls towards 1/2)."""
    u = np.random.default_rng(seed).random((4000, 100))
    for k in (0.3, 0.6, 0.9):
        found = tail_shape(np.log(u**-k)).mean()
        assert abs(found - k) < 4.0 * (1.0 + k) / 190**0.5 / 10.0 + 0.02 + 0.05 * abs(k - 0.5)
    assert np.isneginf(tail_shape(np.zeros((100, 2)))).all()
    assert np.isnan(tail_shape(np.zeros((20, 2)))).all()


def test_a_narrow_encoder_is_found_out():
    """Weights of infinite variance: q has a third of the prior's standard deviation, and a decoder
    that says nothing. Their effective number seems to be in order."""

    class Silent(torch.nn.Module):
        def forward(self, h):
            return 0.0 * h.sum(-1, keepdim=True).expand(-1, 4)

    vae = VAE(Spins(4), 1, (4,), rng=1, decoder=Silent(), dtype=torch.float64)
    with torch.no_grad():
        vae.encoder[-1].weight.zero_()
        vae.encoder[-1].bias.copy_(torch.tensor([0.0, 2.0 * math.log(1.0 / 3.0)]))
    found = vae.log_likelihood(STATES, n_draws=20_000, rng=1)
    assert found.kind == "lower bound"
    assert np.isinf(found.stderr).mean() > 0.9
    with torch.no_grad():
        vae.encoder[-1].bias[1] = 2.0 * math.log(1.2)
    assert vae.log_likelihood(STATES, n_draws=20_000, rng=1).kind == "estimate"


def test_rows_at_a_time_do_not_matter(monkeypatch, seed):
    vae = small()
    whole = vae.log_likelihood(STATES, n_draws=1000, rng=seed)
    bound = vae.elbo(STATES, n_draws=100, rng=seed)
    monkeypatch.setattr(_latent, "_ROWS", 50)
    parts = vae.log_likelihood(STATES, n_draws=1000, rng=seed)
    assert np.abs(whole.values - parts.values).max() < 8.0 * whole.stderr.max()  # 5.6 sigma
    monkeypatch.setattr(_latent, "_ROWS", 7)
    again = vae.elbo(STATES, n_draws=100, rng=seed)
    assert np.abs(bound["elbo"] - again["elbo"]).max() < 8.0 * bound.stderr["elbo"].max()
    with pytest.raises(InvalidInput, match="no term"):
        _ = bound["energy"]
    assert "kl" in str(bound)


# --- samples --------------------------------------------------------------------------------------


def test_samples_have_the_law(seed):
    exact = np.exp(log_p(small(), STATES))

    def run(factor):
        def p_values(s, scale):
            drawn = small(factor=factor).sample(4000 * scale, rng=s)
            counts = np.bincount(Spins(4).index(drawn), minlength=16)
            return {"states": chi_square(counts, exact)}

        return p_values

    assert_distribution(run(2.0), seed)
    assert_refuted(run(1.6), seed)


def test_correlations_are_those_of_the_magnetisations(seed, assert_unbiased, assert_rejected):
    """<s_i s_j> = E_h[m_i m_j]; as if sites were alike, E_h[mean(m)^2] is another number."""
    vae = small()
    h, log_w = nodes(2)
    m, w = vae.decode(h), np.exp(log_w)
    i, j = np.triu_indices(4, 1)
    exact = w @ (m[:, i] * m[:, j])
    alike = np.full(len(i), w @ m.mean(axis=1) ** 2)

    def run_against(expected):
        def run(s, scale):
            x = vae.sample(4000 * scale, rng=s).astype(float)
            pairs = x[:, i] * x[:, j]
            return (pairs.mean(axis=0) - expected) / (pairs.std(axis=0) / len(x) ** 0.5)

        return run

    assert_unbiased(run_against(exact), seed)
    assert_rejected(run_against(alike), seed)


def test_uniform_magnetisations_give_the_energy_of_independent_spins():
    """A decoder whose sites are alike: u = -2 E[m^2] on a square lattice, at every distance."""

    class Alike(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = torch.nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

        def forward(self, h):
            return (self.slope * h + 0.3).expand(-1, 16)

    vae = VAE(Spins(16), 1, rng=1, decoder=Alike(), dtype=torch.float64)
    h, log_w = nodes(1)
    m2 = np.exp(log_w) @ vae.decode(h)[:, 0] ** 2
    x = vae.sample(20_000, rng=5).reshape(-1, 4, 4).astype(float)
    u = -(x * (np.roll(x, 1, 1) + np.roll(x, 1, 2))).mean(axis=(1, 2))
    assert abs(u.mean() + 2.0 * m2) < 4.0 * u.std() / len(u) ** 0.5


@pytest.mark.parametrize("space", [Reals(6), Spins(6), Bits(6)])
def test_samples_belong_to_the_space(space):
    vae = VAE(space, 2, (8,), rng=1)
    x = vae.sample(10, rng=2)
    assert space.check(x).dtype == x.dtype
    np.testing.assert_array_equal(x, vae.sample(10, rng=2))
    assert vae.decode(np.zeros((3, 2))).shape == (3, 6)
    assert vae.active_latents(x).dtype == bool


# --- conditions, variances, lattices --------------------------------------------------------------


def test_encoder_and_decoder_both_see_the_condition(seed):
    vae = small(n_conditions=1)
    for t in (-1.0, 2.0):
        exact = np.exp(log_p(vae, STATES, condition=t))
        assert math.isclose(exact.sum(), 1.0, rel_tol=1e-9)
        found = vae.log_likelihood(STATES, n_draws=4000, rng=seed, condition=t)
        assert np.abs(deviations(found, np.log(exact))).max() < 5.5
    cold, hot = (vae.encode(STATES, condition=t).mean for t in (-1.0, 2.0))
    assert np.abs(cold - hot).min() > 0.0
    each = vae.sample(4000, rng=1, condition=np.repeat([-1.0, 2.0], 2000))
    exact = [np.exp(log_p(vae, STATES, t)) @ STATES.mean(axis=1) for t in (-1.0, 2.0)]
    drawn = each.mean(axis=1).reshape(2, 2000)
    assert np.abs((drawn.mean(axis=1) - exact) / (drawn.std(axis=1) / 2000**0.5)).max() < 5.0


def test_variance_for_each_site_is_learnt(seed):
    """Latents that are not used leave x_i ~ N(b_i, sigma_i^2), the variance of the data."""

    class Deaf(torch.nn.Linear):
        def forward(self, h):
            return super().forward(0.0 * h)

    decoder = torch.nn.utils.skip_init(Deaf, 1, 4, dtype=torch.float64)
    torch.nn.init.zeros_(decoder.weight)
    torch.nn.init.zeros_(decoder.bias)
    vae = VAE(Reals(4), 1, (4,), rng=1, decoder=decoder, variance="per-site", dtype=torch.float64)
    vae.fit(rows(), epochs=200, rng=seed, batch_size=64, learning_rate=0.05)
    np.testing.assert_allclose(
        vae.sites.log_variance.detach(), np.log(rows().var(axis=0)), atol=0.01
    )


def test_lattice():
    vae = VAE.lattice((4, 8), 3, (4, 8), rng=1, n_conditions=1, beta=2.0)
    x = np.where(np.random.default_rng(1).random((20, 32)) < 0.5, -1, 1)
    vae.fit(x, epochs=1, rng=1, batch_size=10, condition=2.0)
    assert vae.encode(x, condition=2.0).mean.shape == (20, 3)
    assert vae.sample(5, rng=1, condition=1.0).shape == (5, 32)
    assert vae.beta == 2.0


# --- what goes wrong ------------------------------------------------------------------------------


class NoVariance(torch.nn.Module):
    """An encoder whose log variance is that of a negative number."""

    def __init__(self, size):
        super().__init__()
        self.mean = torch.nn.Linear(size, 1)
        torch.nn.init.zeros_(self.mean.weight)

    def forward(self, x):
        mean = self.mean(x)
        return torch.cat([mean, torch.log(mean * 0.0 - 1.0)], dim=1)


@pytest.mark.parametrize("space", [Reals(4), Spins(4)])
def test_nan_variance_is_caught(space):
    vae = VAE(space, 1, (4,), rng=1, encoder=NoVariance(4))
    before = vae.decode([[0.3]])
    with pytest.raises(TrainingDiverged, match="is nan"):
        vae.fit(STATES, epochs=2, rng=1, batch_size=8)
    np.testing.assert_array_equal(vae.decode([[0.3]]), before)
    for call in (
        lambda: vae.log_likelihood(STATES, n_draws=10, rng=1),
        lambda: vae.elbo(STATES, n_draws=10, rng=1),
        lambda: vae.encode(STATES),
        lambda: vae.rates(STATES),
    ):
        with pytest.raises(InvalidInput, match="not finite"):
            call()


def test_decoder_without_numbers_draws_no_spins():
    vae = small()
    with torch.no_grad():
        vae.decoder[-1].bias[0] = math.nan
    with pytest.raises(InvalidInput, match="not finite"):
        vae.sample(3, rng=1)


def test_divergence_keeps_the_last_good_state():
    vae = VAE(Reals(4), 2, (8,), rng=1)
    vae.fit(rows(), epochs=2, rng=1, batch_size=16)
    before = vae.encode(rows()).mean
    with pytest.raises(TrainingDiverged, match="end of epoch 0") as found:
        vae.fit(rows(), epochs=2, rng=1, batch_size=16, learning_rate=1e8)
    assert found.value.epoch == 1
    np.testing.assert_array_equal(vae.encode(rows()).mean, before)


def test_resumed_equals_uninterrupted_and_knows_its_own(tmp_path):
    def vae(beta=1.0):
        return VAE(Spins(4), 2, (8,), rng=4, beta=beta, n_conditions=1)

    settings = {"rng": 3, "batch_size": 5, "condition": np.linspace(1.0, 3.0, 16)}
    whole, parts, again = vae(), vae(), vae()
    history = whole.fit(STATES, epochs=4, **settings)
    parts.fit(STATES, epochs=2, checkpoint=tmp_path / "run", **settings)
    resumed = again.fit(STATES, epochs=4, checkpoint=tmp_path / "run", resume=True, **settings)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    np.testing.assert_array_equal(history["kl"], resumed["kl"])
    for other in (vae(2.0), VAE(Spins(4), 1, (8,), rng=4, n_conditions=1)):
        with pytest.raises(StoreError, match="another shell"):
            other.fit(STATES, epochs=4, checkpoint=tmp_path / "run", resume=True, **settings)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: VAE(Spins(4), 5, rng=1), "wider than the data"),
        (lambda: VAE(Spins(4), 2.0, rng=1), "n_latent"),
        (lambda: VAE(Spins(4), 2), "rng"),
        (lambda: VAE(3, 2, rng=1), "space=3"),
        (lambda: VAE(Spins(4), 2, 8, rng=1), "hidden=8"),
        (lambda: VAE(Spins(4), 2, (8, 0), rng=1), "width in hidden"),
        (lambda: VAE(Spins(4), 2, rng=1, dtype="float32"), "torch.float32"),
        (lambda: VAE(Reals(4), 2, rng=1, variance=np.ones(4)), "variance"),
        (lambda: VAE.lattice((4, 4), 2, (), rng=1), "channels"),
        (lambda: small().decode(np.ma.masked_array([[1.0, 2.0]])), "masked"),
        (lambda: VAE(Levels(4, 3), 2, rng=1), "No decoder"),
        (lambda: VAE(Spins(4), 2, rng=1, variance=1.0), "belongs to a decoder of Reals"),
        (lambda: VAE(Reals(4), 2, rng=1, variance=0.0), "above 0"),
        (lambda: VAE(Reals(4), 2, rng=1, variance="none"), "'learned'"),
        (lambda: VAE(Reals(4), 2, rng=1, beta=-1.0), "beta"),
        (lambda: VAE(Spins(4), 2, rng=1, encoder=torch.nn.Linear(4, 2)), "encoder turns"),
        (lambda: VAE(Spins(4), 2, rng=1, decoder=torch.tanh), "no torch module"),
        (lambda: small().fit([[0, 1, 1, 0]], epochs=1, rng=1, batch_size=1), "Spins"),
        (lambda: small().fit(rows(), epochs=1, rng=1, batch_size=1), "Spins"),
        (lambda: small().log_likelihood(rows() * math.nan, n_draws=5, rng=1), "Spins"),
        (lambda: VAE(Bits(4), 2, rng=1).encode(STATES), "Bits"),
        (lambda: VAE(Reals(4), 2, rng=1).encode(rows() * math.nan), "NaN"),
        (lambda: small().log_likelihood(STATES, n_draws=1, rng=1), "n_draws"),
        (lambda: small().elbo(STATES, n_draws=1, rng=1), "n_draws"),
        (lambda: small().log_likelihood(STATES, n_draws=5, rng=None), "rng"),
        (lambda: small().decode([[1.0]]), "2 sites"),
        (lambda: small().decode([1.0, 2.0]), "rows"),
        (lambda: small().encode(STATES, condition=2.0), "n_conditions"),
        (lambda: small(n_conditions=1).sample(3, rng=1), "give condition"),
        (lambda: small(n_conditions=1).encode(STATES, condition=math.inf), "finite"),
        (lambda: small().active_latents(STATES, threshold=-1.0), "threshold"),
        (lambda: VAE.lattice((4, 5), 2, rng=1), "multiples"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
