"""The bound of a diffusion model with a perfect network equals its closed forms, term by term, in
both forms; the consistency term as a KL does not."""

import numpy as np
import pytest
import torch
from diffusions import CORRELATED, closed_form, perfect, z_of
from statistical import _replaced

from statmech_ml.errors import InvalidInput
from statmech_ml.exact.targets import Gaussian, GaussianMixture
from statmech_ml.generative import LearnedLogSNR, Linear, LogLinear
from statmech_ml.generative import _diffusion_elbo as bound

RANGES = [(10.0, -10.0), (6.0, -7.0), (3.0, -5.0)]


def ladder(schedule, n=None):
    """snr of the latents of a schedule in steps."""
    bars = schedule.levels(n).alpha_bar
    bars = bars[bars < 1.0]
    return bars / (1.0 - bars)


def in_the_limit(target, high, low):
    """Closed forms in continuous time: 1/2 int l / (1 + snr l) dsnr for a Gaussian."""
    ends = np.exp([high, low])
    terms = closed_form(target, ends)
    exact = 0.5 * np.log1p(ends[:, None] * target.eigenvalues).sum(axis=1)
    terms["diffusion"] = exact[0] - exact[1]
    terms["elbo"] = terms["reconstruction"] - terms["prior"] - terms["diffusion"]
    return terms


def terms_of(model, target, n, seed, form="matching"):
    found = model.elbo(target.sample(n, rng=seed), rng=seed + 1, n_draws=2, form=form)
    return {name: found[name] for name in (*bound.TERMS, "elbo")}


@pytest.mark.parametrize("ends", RANGES)
@pytest.mark.parametrize("steps", [None, 25])
def test_terms_equal_closed_forms(ends, steps, seed, assert_unbiased):
    schedule = LogLinear(*ends, steps=steps)
    model = perfect(CORRELATED, schedule)
    if steps is None:
        exact = in_the_limit(CORRELATED, *ends)
    else:
        exact = closed_form(CORRELATED, ladder(schedule))

    def run(seed, scale):
        found = terms_of(model, CORRELATED, 4_000 * scale, seed)
        return np.array([z_of(found[name], exact[name]) for name in found])

    assert_unbiased(run, seed)


def test_lost_half_is_rejected(seed, assert_rejected, monkeypatch):
    mutant = _replaced(bound.matching, "return 0.5 * weight", "return weight", dict(vars(bound)))
    monkeypatch.setattr(bound, "matching", mutant)
    model, exact = perfect(CORRELATED, LogLinear()), in_the_limit(CORRELATED, 10.0, -10.0)

    def run(seed, scale):
        found = terms_of(model, CORRELATED, 2_000 * scale, seed)
        return np.array([z_of(found[name], exact[name]) for name in found])

    assert_rejected(run, seed)


def test_mixture(seed, assert_unbiased):
    """1/2 int mmse dsnr by quadrature; the bound in continuous time is tight."""
    target = GaussianMixture([0.7, 0.3], [-1.0, 1.4], [0.2, 0.1])
    model = perfect(target, LogLinear(8.0, -8.0))
    levels = np.linspace(-8.0, 8.0, 25)
    exact = np.trapezoid(0.5 * np.exp(levels) * target.mmse(np.exp(levels)), levels)

    def run(seed, scale):
        found = terms_of(model, target, 5_000 * scale, seed)
        return np.array([z_of(found["diffusion"], exact)])

    assert_unbiased(run, seed)
    ends = closed_form(target, np.exp([8.0, -8.0]))
    elbo = ends["reconstruction"] - ends["prior"] - exact
    # What is left open is the latents' noise, exp(-8) of the data's variance at either end.
    assert elbo == pytest.approx(-target.entropy(), abs=0.01)
    assert elbo < -target.entropy()


@pytest.mark.parametrize("schedule", [Linear(30), LogLinear(6.0, -6.0, steps=15)], ids=repr)
def test_forms_agree(schedule, seed, assert_unbiased):
    model = perfect(CORRELATED, schedule)
    exact = closed_form(CORRELATED, ladder(schedule))["elbo"]

    def run(seed, scale):
        found = terms_of(model, CORRELATED, 20_000 * scale, seed, "consistency")
        return np.array([z_of(found["elbo"], exact)])

    assert_unbiased(run, seed)


def test_consistency_as_a_divergence_is_rejected(seed, assert_rejected, monkeypatch):
    """KL(q(z_i | z_i-1) || p(z_i | z_i+1)), z_i averaged as if z_i+1 were not known."""
    right = "return last, terms * (up - down)"
    wrong = """
    across = alpha_up.sqrt() * start - mean
    spread, width = 1.0 - alpha_up, beta * (1.0 - bar) / noise
    inside = spread / width - 1.0 - torch.log(spread / width) + across**2 / width
    return last, terms * 0.5 * inside.sum(dim=1)"""
    monkeypatch.setattr(
        bound, "consistency", _replaced(bound.consistency, right, wrong, dict(vars(bound)))
    )
    schedule = Linear(30)
    model = perfect(CORRELATED, schedule)
    exact = closed_form(CORRELATED, ladder(schedule))["elbo"]
    found = terms_of(model, CORRELATED, 20_000, seed, "consistency")["elbo"]
    assert found.mean() < exact - 10.0  # tens of nats below: no bound anyone would want

    def run(seed, scale):
        found = terms_of(model, CORRELATED, 20_000 * scale, seed, "consistency")
        return np.array([z_of(found["elbo"], exact)])

    assert_rejected(run, seed)


def consistency_variance(variance, schedule):
    """Exact variance of the consistency term at one step drawn uniformly, data N(0, variance): the
    log-ratio is a quadratic form of four normals (x, and the noise of the triple's steps)."""
    bars = np.concatenate([[1.0], (lambda s: s / (1.0 + s))(ladder(schedule))])
    K = len(bars) - 2
    means, spreads = [], []
    for i in range(1, K + 1):
        before, bar, later = bars[i - 1], bars[i], bars[i + 1]
        up, down = bar / before, later / bar
        basis = np.diag([np.sqrt(variance), 1.0, 1.0, 1.0])
        start = np.sqrt(before) * basis[0] + np.sqrt(1 - before) * basis[1]
        middle = np.sqrt(up) * start + np.sqrt(1 - up) * basis[2]
        end = np.sqrt(down) * middle + np.sqrt(1 - down) * basis[3]
        gain = np.sqrt(later) * variance / (later * variance + 1 - later)
        of_guess = np.sqrt(bar) * (1 - down) / (1 - later) * gain
        mean = (of_guess + np.sqrt(down) * (1 - bar) / (1 - later)) * end
        width = (1 - down) * (1 - bar) / (1 - later)
        a, b = (middle - np.sqrt(up) * start) / np.sqrt(1 - up), (middle - mean) / np.sqrt(width)
        form = 0.5 * (np.outer(b, b) - np.outer(a, a))
        means.append(np.trace(form) + 0.5 * np.log(width / (1 - up)))
        spreads.append(2.0 * np.trace(form @ form))
    return K**2 * (np.mean(spreads) + np.var(means))


def test_variance_of_consistency_form_against_steps(seed, assert_unbiased):
    """It grows as T^2 while that of the matching form stays; measured against the exact law."""
    law = Gaussian(0.0, 0.6)
    exact = [consistency_variance(0.6, LogLinear(5.0, -5.0, steps=T)) for T in (20, 80, 320)]
    assert exact[1] / exact[0] > 8.0
    assert exact[2] / exact[1] > 12.0

    def run(seed, scale):
        z = []
        for steps, variance in zip((20, 80), exact, strict=False):
            model = perfect(law, LogLinear(5.0, -5.0, steps=steps))
            x = model.tensor(law.sample(20_000 * scale, rng=seed))
            generator = model.generator(seed)
            u = torch.rand((len(x), 1), generator=generator, dtype=torch.float64)
            with torch.no_grad():
                found = bound.consistency(model, x, None, u, generator)[1].numpy()
            z.append(z_of((found - found.mean()) ** 2, variance))
        return np.array(z)

    assert_unbiased(run, seed)


def test_matching_forms_variance_does_not_grow():
    law, spread = Gaussian(0.0, 0.6), []
    for steps in (20, 320):
        model = perfect(law, LogLinear(5.0, -5.0, steps=steps))
        spread.append(terms_of(model, law, 10_000, 3)["diffusion"].var())
    assert spread[1] < 1.5 * spread[0]


def test_errors_are_those_of_the_draws(seed, assert_unbiased):
    """The squared error told is on average the variance seen between runs on one configuration."""
    model, one = perfect(CORRELATED, LogLinear(steps=10)), CORRELATED.sample(1, rng=1)

    def run(seed, scale):
        n = 3_000 * scale
        found = model.elbo(np.repeat(one, n, axis=0), rng=seed, n_draws=4)
        values, told = found["elbo"], found.stderr["elbo"] ** 2
        assert (found.stderr["prior"] == 0.0).all()
        return np.array([z_of(told - (values - values.mean()) ** 2 * n / (n - 1), 0.0)])

    assert_unbiased(run, seed)


def test_learned_schedule_in_continuous_time_has_the_same_bound(seed, assert_unbiased):
    """The bound depends on the ends alone, not on the way between them."""
    schedule = LearnedLogSNR(rng=1, high=6.0, low=-7.0)
    with torch.no_grad():
        schedule.weight[:] = 1.0  # far from a straight line
    middle = float(schedule.log_snr(0.5))
    assert abs(middle + 0.5) > 0.2
    model, exact = perfect(CORRELATED, schedule), in_the_limit(CORRELATED, 6.0, -7.0)

    def run(seed, scale):
        found = terms_of(model, CORRELATED, 4_000 * scale, seed)
        return np.array([z_of(found[name], exact[name]) for name in found])

    assert_unbiased(run, seed)


def test_one_configuration_has_the_error_of_its_draws():
    model, one = perfect(CORRELATED, LogLinear(steps=10)), CORRELATED.sample(1, rng=1)
    found = model.elbo(one, rng=1, n_draws=4)
    assert found.mean().stderr == pytest.approx(found.stderr["elbo"][0])
    assert found.mean().stderr > 0.0
    assert "nan" not in str(found)
    exact = model.log_likelihood(one)
    assert exact.mean.stderr == 0.0
    assert "nan" not in str(exact)


def test_refusals():
    model, x = perfect(CORRELATED, LogLinear()), CORRELATED.sample(3, rng=1)
    for settings, words in (
        ({"form": "consistency"}, "continuous time"),
        ({"form": "kl"}, "matching, consistency"),
        ({"n_draws": 1}, "n_draws=1"),
    ):
        with pytest.raises(InvalidInput, match=words):
            model.elbo(x, rng=1, **settings)
    with pytest.raises(InvalidInput, match="finite"):
        model.elbo(x * np.nan, rng=1)
