"""Score matching against the closed forms of Gaussians, and the three losses against each other."""

import numpy as np
import pytest
import torch
from torch import nn

from statmech_ml.errors import InvalidInput
from statmech_ml.models import BernoulliRBM, GaussianRBM
from statmech_ml.training import EnergyNet, ScoreMatching, TrainableRBM, score_matching, train

STEPS = 100  # draws of the noise behind a z-score


class Quadratic(nn.Module):
    """x.P.x / 2; of P only the symmetric part matters."""

    def __init__(self, precision):
        super().__init__()
        self.precision = nn.Parameter(torch.tensor(precision))

    def forward(self, x):
        return 0.5 * torch.einsum("ni,ij,nj->n", x, self.precision, x)


def gaussian(precision):
    return EnergyNet(Quadratic(np.array(precision)), len(precision))


RNG = np.random.default_rng(17)
DATA = RNG.normal(size=(60, 3)) @ np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.5], [0.0, 0.0, 1.3]])
C = DATA.T @ DATA / len(DATA)
P = np.array([[1.4, 0.3, -0.2], [0.3, 0.9, 0.1], [-0.2, 0.1, 2.0]])
BATCH = torch.tensor(DATA)
EVERYWHERE = np.full((3, 3), True)


def gradient_of(method, precision, step=0):
    shell = gaussian(precision)
    found = method.gradient(shell, BATCH, {}, 5, step)
    return found.info["loss"], found.gradients["module.precision"].numpy()


def closed_form(precision, second_moments):
    """Loss and gradient of tr(P C P) / 2 - tr P."""
    loss = 0.5 * np.trace(precision @ second_moments @ precision) - np.trace(precision)
    both = precision @ second_moments + second_moments @ precision
    return loss, 0.5 * both - np.eye(len(precision))


# --- exact ----------------------------------------------------------------------------------------


def test_exact_loss_and_gradient_are_the_closed_form():
    loss, gradient = gradient_of(ScoreMatching(), P)
    expected, slope = closed_form(P, C)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(slope, rel=1e-8, abs=1e-10)


def test_exact_loss_is_least_at_the_inverse_of_the_second_moments():
    best = np.linalg.inv(C)
    loss, gradient = gradient_of(ScoreMatching(), best)
    assert np.abs(gradient).max() < 1e-10
    assert loss == pytest.approx(-0.5 * np.trace(best), rel=1e-12)
    for change in (P - best, -0.1 * np.eye(3)):
        assert gradient_of(ScoreMatching(), best + 0.1 * change)[0] > loss


@pytest.mark.parametrize(
    ("half", "sign"), [(1.0, 1.0), (0.5, -1.0)], ids=["lost 1/2", "sign of the trace"]
)
def test_mutants_miss_the_closed_form(monkeypatch, half, sign):
    def wrong(free_energy, x):
        x, slope = score_matching._slope(free_energy, x)
        trace = sum(score_matching._derivative(slope[:, i], x)[:, i] for i in range(3))
        return half * (slope * slope).sum(dim=1) - sign * trace

    monkeypatch.setattr(score_matching, "exact", wrong)
    best = np.linalg.inv(C)
    assert np.abs(gradient_of(ScoreMatching(), best)[1]).max() > 0.1
    assert abs(gradient_of(ScoreMatching(), P)[0] - closed_form(P, C)[0]) > 0.1


def test_the_trace_is_that_of_the_hessian():
    """On a network, against torch's own Hessian."""
    net = EnergyNet.dense(3, (12,), "tanh", rng=2, dtype=torch.float64)
    losses = score_matching.exact(net.free_energy, BATCH[:5]).detach()
    for row, loss in zip(BATCH[:5], losses, strict=True):
        hessian = torch.autograd.functional.hessian(net.free_energy, row)
        slope = torch.autograd.functional.jacobian(net.free_energy, row)
        assert float(loss) == pytest.approx(float(0.5 * slope @ slope - hessian.trace()), rel=1e-11)


def test_training_ends_at_the_inverse_of_the_second_moments():
    shell = gaussian(np.eye(3))
    train(
        shell, DATA, ScoreMatching(), epochs=120, batch_size=len(DATA), learning_rate=0.25,
        monitor=None, rng=1, progress=False,
    )  # fmt: skip
    found = shell.module.precision.detach().numpy()
    assert 0.5 * (found + found.T) == pytest.approx(np.linalg.inv(C), abs=1e-4)


# --- sliced and denoising -------------------------------------------------------------------------


def z_of_gradient(method, precision, expected, entries=EVERYWHERE):
    """z-scores of the mean gradient over many draws of the noise, at these entries."""

    def run(seed, scale):
        shell = gaussian(precision)
        found = np.stack(
            [
                method.gradient(shell, BATCH, {}, seed, s).gradients["module.precision"][entries]
                for s in range(STEPS * scale)
            ]
        )
        error = found.std(axis=0, ddof=1) / len(found) ** 0.5
        return (found.mean(axis=0) - expected[entries]) / error

    return run


def test_sliced_is_unbiased_for_exact(seed, assert_unbiased, assert_rejected):
    slope = closed_form(P, C)[1]
    sliced = ScoreMatching("sliced")
    # On the diagonal v_i^2 = 1 leaves nothing to chance: only the other entries fluctuate.
    chance = ~np.eye(3, dtype=bool)
    assert np.diag(gradient_of(sliced, P)[1]) == pytest.approx(np.diag(slope), rel=1e-10)
    assert_unbiased(z_of_gradient(sliced, P, slope, chance), seed)
    assert_rejected(z_of_gradient(sliced, P, slope + 0.1, chance), seed)


def test_sliced_loss_of_a_network_is_unbiased(seed, assert_unbiased, assert_rejected, monkeypatch):
    net = EnergyNet.dense(3, (12,), "tanh", rng=2, dtype=torch.float64)
    with torch.no_grad():
        net.module[-1].weight *= 10.0
    expected = float(score_matching.exact(net.free_energy, BATCH).mean().detach())

    def run(seed, scale):
        method = ScoreMatching("sliced", n_projections=2)
        found = [
            float(method.losses(net, BATCH, seed, s).mean().detach()) for s in range(STEPS * scale)
        ]
        return np.array([(np.mean(found) - expected) / (np.std(found, ddof=1) / len(found) ** 0.5)])

    assert_unbiased(run, seed)
    right = score_matching._signs
    monkeypatch.setattr(score_matching, "_signs", lambda *args: 1.1 * right(*args))
    assert_rejected(run, seed)


def test_in_one_dimension_signs_leave_nothing_to_chance():
    net = EnergyNet.dense(1, (8,), rng=1, dtype=torch.float64)
    x = BATCH[:, :1]
    sliced = ScoreMatching("sliced").losses(net, x, 3, 0).detach()
    assert sliced.numpy() == pytest.approx(ScoreMatching().losses(net, x, 3, 0).detach().numpy())


def test_denoising_learns_the_smoothed_density(seed, assert_unbiased, assert_rejected):
    sigma = 0.6
    smoothed = C + sigma**2 * np.eye(3)
    method = ScoreMatching("denoising", sigma=sigma)
    zero = np.zeros((3, 3))
    assert_unbiased(z_of_gradient(method, np.linalg.inv(smoothed), zero), seed)
    assert_unbiased(z_of_gradient(method, P, closed_form(P, smoothed)[1]), seed)
    assert_rejected(z_of_gradient(method, np.linalg.inv(C), zero), seed)


@pytest.mark.parametrize(
    "method",
    [
        ScoreMatching(),
        ScoreMatching("sliced", n_projections=2),
        ScoreMatching("denoising", sigma=0.5),
    ],
    ids=lambda m: m.kind,
)
def test_a_step_is_addressed_and_changes_nothing(method):
    shell = gaussian(P)
    before = shell.module.precision.detach().clone()
    batch = BATCH.clone()
    one = method.gradient(shell, batch, {}, 5, 3)
    again = method.gradient(shell, batch, {}, 5, 3)
    later = method.gradient(shell, batch, {}, 5, 4)
    assert torch.equal(one.gradients["module.precision"], again.gradients["module.precision"])
    assert (one.info["loss"] == later.info["loss"]) == (method.kind == "exact")
    assert torch.equal(shell.module.precision, before)
    assert torch.equal(batch, BATCH)
    assert not batch.requires_grad


# --- other shells, refusals -----------------------------------------------------------------------


def test_a_gaussian_rbm_learns_by_it():
    """The loss of an RBM against the formula of its mixture's score and curvature."""
    g = np.random.default_rng(4)
    rbm = GaussianRBM(g.normal(size=3), g.normal(size=2), g.normal(size=(3, 2)), sigma=0.8)
    shell = TrainableRBM(rbm, dtype=torch.float64)
    found = ScoreMatching().gradient(shell, BATCH, {}, 0, 0)
    slope = rbm.reduced_gradient(DATA, 1.0)
    p = rbm.hidden_mean(DATA)
    trace = 3 / 0.8**2 - (p * (1 - p)) @ (rbm.weights**2).sum(axis=0) / 0.8**4
    expected = (0.5 * (slope**2).sum(axis=1) - trace).mean()
    assert found.info["loss"] == pytest.approx(expected, rel=1e-10)
    assert set(found.gradients) == {"visible_bias", "hidden_bias", "weights"}
    assert (found.gradients["weights"] != 0.0).all()


def test_discrete_data_are_refused():
    shell = TrainableRBM(BernoulliRBM([0.0, 0.1], [0.2], [[0.3], [0.4]]))
    with pytest.raises(InvalidInput, match="discrete"):
        ScoreMatching().check(shell, np.ones((3, 2)))


def test_bad_data_are_refused():
    shell = gaussian(P)
    for data in (np.full((4, 3), np.nan), np.zeros((4, 2))):
        with pytest.raises(InvalidInput, match="data"):
            ScoreMatching().check(shell, data)


def test_kinked_networks_are_refused_where_they_cannot_learn():
    net = EnergyNet(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)), 3)
    for kind in ("exact", "sliced"):
        with pytest.raises(InvalidInput, match=r"ReLU.*denoising"):
            ScoreMatching(kind).check(net, DATA)
    ScoreMatching("denoising", sigma=0.1).check(net, DATA)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "fisher"},
        {"kind": "denoising"},
        {"kind": "denoising", "sigma": 0.0},
        {"kind": "denoising", "sigma": -1.0},
        {"kind": "denoising", "sigma": float("nan")},
        {"kind": "exact", "sigma": 0.1},
        {"kind": "sliced", "n_projections": 0},
        {"kind": "sliced", "n_projections": 1.5},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(InvalidInput):
        ScoreMatching(**settings)
