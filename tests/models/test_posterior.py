"""Posteriors: the Gaussian one in closed form, any other by quadrature, and their minibatches."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from scipy.stats import norm as normal_law

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import plane
from statmech_ml.models import BayesianLinearRegression, BayesianLogisticRegression, Posterior


def rng(k):
    return np.random.default_rng(k)


X = rng(1).normal(size=(30, 2)) * [1.0, 2.0] + 0.3
Y = X @ [0.7, -0.4] + 0.5 * rng(2).normal(size=30)
LABELS = rng(3).random(30) < 1 / (1 + np.exp(-X @ [1.0, 0.5]))
SCALE = np.array([0.8, 1.5])
LINEAR = BayesianLinearRegression(X, Y, noise=0.5, prior_scale=SCALE)
LOGISTIC = BayesianLogisticRegression(X, LABELS, prior_scale=SCALE)


def log_prior(theta):
    return normal_law.logpdf(theta, scale=SCALE).sum(axis=-1)


def grad_log_prior(theta):
    return -theta / SCALE**2


def log_likelihood(theta, rows):
    return normal_law.logpdf(rows[..., 2], (rows[..., :2] * theta).sum(axis=-1), 0.5)


def grad_log_likelihood(theta, rows):
    residual = rows[..., 2] - (rows[..., :2] * theta).sum(axis=-1)
    return residual[..., None] * rows[..., :2] / 0.25


DATA = np.column_stack([X, Y])
SAME = Posterior(log_prior, log_likelihood, DATA, 2, grad_log_prior, grad_log_likelihood)
ROUGH = Posterior(log_prior, log_likelihood, DATA, 2)
ALL = pytest.mark.parametrize("model", [LINEAR, LOGISTIC, SAME, ROUGH], ids=repr)
THETA = rng(5).normal(size=(7, 2))


# --- linear regression ----------------------------------------------------------------------------


def test_the_posterior_is_the_gaussian_that_it_says():
    for beta in (0.6, 1.0):
        law = LINEAR.exact(beta)
        log_density = multivariate_normal(LINEAR.mean, np.linalg.inv(LINEAR.precision) / beta)
        expected = -LINEAR.reduced_energy(THETA, beta) - LINEAR.log_z(beta)
        assert log_density.logpdf(THETA) == pytest.approx(expected, abs=1e-9)
        assert -law.energy(THETA) - law.log_z() == pytest.approx(expected, abs=1e-9)


def test_the_evidence_is_the_density_of_the_data():
    """log p(y | X) as a Gaussian of y with covariance noise^2 I + X S X^T: Bishop, eq. 2.115."""
    covariance = 0.25 * np.eye(30) + X @ np.diag(SCALE**2) @ X.T
    assert LINEAR.log_z() == pytest.approx(multivariate_normal(cov=covariance).logpdf(Y), rel=1e-12)


def test_the_energy_is_prior_and_likelihood():
    total = log_prior(THETA) + normal_law.logpdf(Y, THETA @ X.T, 0.5).sum(axis=1)
    assert LINEAR.energy(THETA) == pytest.approx(-total, rel=1e-12)
    eta = THETA @ X.T
    total = log_prior(THETA) - np.logaddexp(0.0, np.where(LABELS, -eta, eta)).sum(axis=1)
    assert LOGISTIC.energy(THETA) == pytest.approx(-total, rel=1e-12)


def test_the_logarithm_of_the_logistic_is_stable():
    far = BayesianLogisticRegression([[1.0], [1.0]], [0, 1], prior_scale=1e8)
    x = np.array([[900.0], [-900.0]])
    assert far.energy(x) - far.energy([0.0]) == pytest.approx(900.0 - 2 * np.log(2), abs=1e-6)
    assert np.isfinite(far.reduced_gradient(x, 1.0)).all()


def test_the_evidence_of_the_logistic_shrinks_with_its_prior():
    """Against quadrature over theta: for a narrow prior every label has probability 1/2."""
    box = ((-8.0, 8.0), (-8.0, 8.0))
    value = plane.log_z(lambda t: LOGISTIC.reduced_energy(t, 1.0), box).value
    assert 30 * np.log(0.5) < value < 0.0
    narrow = BayesianLogisticRegression(X, LABELS, prior_scale=1e-4)
    found = plane.log_z(lambda t: narrow.reduced_energy(t, 1.0), ((-0.001, 0.001),) * 2).value
    assert found == pytest.approx(30 * np.log(0.5), abs=1e-5)


# --- a user's functions ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SAME, ROUGH])
def test_a_posterior_of_functions_is_that_of_the_regression(model):
    assert model.energy(THETA) == pytest.approx(LINEAR.energy(THETA), rel=1e-12)
    assert model.reduced_energy(THETA, 0.3) == pytest.approx(LINEAR.reduced_energy(THETA, 0.3))
    close = {"rel": 1e-12} if model is SAME else {"rel": 1e-6, "abs": 1e-6}
    expected = LINEAR.reduced_gradient(THETA, 0.3)
    assert model.reduced_gradient(THETA, 0.3) == pytest.approx(expected, **close)
    rows = rng(6).integers(30, size=(7, 5))
    expected = LINEAR.minibatch_gradient(THETA, np.full(7, 0.3), rows)
    found = model.minibatch_gradient(THETA, np.full(7, 0.3), rows)
    assert found == pytest.approx(expected, **close)


def test_data_are_taken_in_pieces_that_fit(monkeypatch):
    from statmech_ml.models import posterior

    whole = SAME.energy(THETA), SAME.reduced_gradient(THETA, 1.0)
    monkeypatch.setattr(posterior, "_TERMS", 20)
    assert len(SAME._parts(7)) == 15
    assert SAME.energy(THETA) == pytest.approx(whole[0], rel=1e-12)
    assert SAME.reduced_gradient(THETA, 1.0) == pytest.approx(whole[1], rel=1e-12)


def test_a_prior_that_vanishes_somewhere():
    def half(theta):
        return np.where(theta[:, 0] > 0.0, -theta[:, 0], -np.inf)

    model = Posterior(half, lambda t, x: -0.5 * (x - t[..., 0]) ** 2, [1.0, 2.0], 1)
    assert model.energy([[-1.0], [1.0]]).tolist() == [np.inf, 1.5]
    assert model.reduced_energy([-1.0], 0.0) == np.inf


# --- minibatches ----------------------------------------------------------------------------------


@ALL
def test_the_minibatch_of_all_data_is_the_gradient(model):
    assert {"Minibatched", "Differentiable"} <= model.capabilities
    assert model.n_data == 30
    rows = np.tile(rng(7).permutation(30), (7, 1))
    beta = np.linspace(0.3, 1.4, 7)
    found = model.minibatch_gradient(THETA, beta, rows)
    assert found == pytest.approx(model.reduced_gradient(THETA, beta), rel=1e-6, abs=1e-6)


@ALL
def test_minibatches_are_unbiased(model):
    """The mean over every row, and over every pair of rows, is the gradient."""
    theta = np.tile(THETA[0], (30, 1))
    each = model.minibatch_gradient(theta, 0.7, np.arange(30)[:, None])
    full = model.reduced_gradient(THETA[0], 0.7)
    assert each.mean(axis=0) == pytest.approx(full, rel=1e-6, abs=1e-6)
    pairs = np.array([(i, j) for i in range(30) for j in range(i)])
    two = model.minibatch_gradient(np.tile(THETA[0], (len(pairs), 1)), 0.7, pairs)
    assert two.mean(axis=0) == pytest.approx(full, rel=1e-6, abs=1e-6)
    unscaled = model.minibatch_gradient(theta, 0.7, np.arange(30)[:, None]) / 30  # n/b lost
    assert unscaled.mean(axis=0) != pytest.approx(full, rel=1e-2)


@pytest.mark.parametrize("model", [LINEAR, LOGISTIC], ids=repr)
def test_the_noise_of_minibatches_by_enumeration(model):
    """Over all single rows, all ordered pairs with replacement, and all pairs without."""
    i, j = (k.ravel() for k in np.indices((30, 30)))
    choices = {
        (1, True): np.arange(30)[:, None],
        (1, False): np.arange(30)[:, None],
        (2, True): np.stack([i, j], axis=1),
        (2, False): np.stack([i, j], axis=1)[i < j],
    }
    for (size, replace), rows in choices.items():
        found = model.minibatch_gradient(np.tile(THETA[1], (len(rows), 1)), 0.7, rows)
        exact = np.cov(found.T, bias=True)
        noise = model.gradient_noise(THETA[1], size, beta=0.7, replace=replace)
        assert noise == pytest.approx(exact, rel=1e-10)
    assert np.abs(model.gradient_noise(THETA[1], 30, replace=False)).max() == 0.0


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"X": [1.0, 2.0]}, "X has shape"),
        ({"y": [1.0]}, "30 rows and y 1"),
        ({"y": np.full(30, np.nan)}, "NaN"),
        ({"noise": 0.0}, "noise"),
        ({"prior_scale": -1.0}, "prior_scale"),
        ({"prior_scale": [1.0, 2.0, 3.0]}, "does not fit 2 parameters"),
    ],
)
def test_regressions_that_cannot_be(arguments, match):
    with pytest.raises(InvalidInput, match=match):
        BayesianLinearRegression(**({"X": X, "y": Y} | arguments))


def test_labels_are_zero_or_one():
    with pytest.raises(InvalidInput, match=r"\(y \+ 1\) / 2"):
        BayesianLogisticRegression(X, 2.0 * LABELS - 1.0)


def test_noise_of_a_batch_that_cannot_be():
    for size in (0, 2.5, True):
        with pytest.raises(InvalidInput, match="batch_size"):
            LINEAR.gradient_noise(THETA[0], size)
    with pytest.raises(InvalidInput, match="at most 30"):
        LINEAR.gradient_noise(THETA[0], 31, replace=False)
    with pytest.raises(InvalidInput, match="one point"):
        LINEAR.gradient_noise(THETA, 3)


# Log-likelihoods of one parameter and their gradients: x ~ data, f(theta, x), df/dtheta.
LIKELIHOODS = {
    "logistic": (
        rng(8).normal(size=40) * 30.0,  # inputs on a scale of their own
        lambda t, x: -np.logaddexp(0.0, -t * x),
        lambda t, x: x / (1.0 + np.exp(t * x)),
    ),
    "logistic as one would write it": (
        rng(8).normal(size=40) * 10.0,
        lambda t, x: np.log(1.0 - 1.0 / (1.0 + np.exp(-t * x))),  # rounds far from the transition
        lambda t, x: -x / (1.0 + np.exp(-t * x)),
    ),
    "Poisson": (
        rng(9).poisson(5.0, 40).astype(float),
        lambda t, x: x * t - np.exp(t),
        lambda t, x: x - np.exp(t),
    ),
    "tiny slopes": (
        rng(10).normal(1.0, 10.0, 1000),
        lambda t, x: -((x - t) ** 2) / 200 - np.log(10),
        lambda t, x: (x - t) / 100,
    ),
    "stiff": (
        rng(11).normal(0.0, 1e-4, 40),
        lambda t, x: -0.5 * ((x - t) / 1e-4) ** 2,
        lambda t, x: (x - t) / 1e-8,
    ),
    "a large constant": (
        rng(12).normal(size=40),
        lambda t, x: -0.5 * (x - t) ** 2 + 1e8,
        lambda t, x: x - t,
    ),
    "a tail with kinks": (
        rng(13).normal(size=40),
        lambda t, x: -np.abs(x - t),
        lambda t, x: np.sign(x - t),
    ),
}


def of_likelihood(name, wrong=lambda g: g):
    """The posterior of one of these with a flat prior, its gradient changed by `wrong`."""
    data, f, slope = LIKELIHOODS[name]
    return Posterior(
        lambda t: 0.0 * t[:, 0], lambda t, x: f(t[..., 0], x), data, 1, lambda t: 0.0 * t,
        lambda t, x: wrong(slope(t[..., 0], x))[..., None],
    )  # fmt: skip


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.filterwarnings("ignore:overflow|divide:RuntimeWarning")
def test_right_gradients_pass_and_wrong_ones_do_not(name):
    assert of_likelihood(name).n_data == len(LIKELIHOODS[name][0])
    for factor in (0.5, 3.0, -1.0, 0.99, 0.0):
        with pytest.raises(InvalidInput, match="grad_log_likelihood does not belong"):
            of_likelihood(name, lambda g, factor=factor: factor * g)
    with pytest.raises(InvalidInput, match="does not belong"):
        of_likelihood(name, np.abs)  # right for some of the data


def test_a_wrong_gradient_of_many_parameters_is_found():
    """More than there are directions to look along: one coordinate of 200 is left out."""
    data = rng(14).normal(size=(20, 201))

    def residual(theta, x):
        return x[..., -1] - (x[..., :-1] * theta).sum(axis=-1)

    def slope(theta, x, kept=1.0):
        return kept * residual(theta, x)[..., None] * x[..., :-1]

    given = {"log_prior": lambda t: -0.5 * (t**2).sum(axis=1), "dim": 200, "data": data}
    given["log_likelihood"] = lambda t, x: -0.5 * residual(t, x) ** 2
    assert Posterior(grad_log_likelihood=slope, **given).n_data == 20
    kept = np.where(np.arange(200) == 77, 0.0, 1.0)
    with pytest.raises(InvalidInput, match="slope along a random direction"):
        Posterior(grad_log_likelihood=lambda t, x: slope(t, x, kept), **given)


def test_a_gradient_that_is_no_number_where_the_density_vanishes():
    """Is not asked for there; where it does not vanish, infinite ones are refused."""

    def half(theta):
        return np.where(theta[:, 0] > 0.0, -theta[:, 0], -np.inf)

    def slope(theta, beyond=np.nan, inside=-1.0):
        return np.where(theta > 0.0, inside, beyond)

    given = {"log_likelihood": lambda t, x: -0.5 * (x - t[..., 0]) ** 2, "data": [1.0], "dim": 1}
    Posterior(half, grad_log_prior=slope, **given)
    for wrong in (-0.5, -np.inf):
        with pytest.raises(InvalidInput, match="does not belong"):
            Posterior(half, grad_log_prior=lambda t, w=wrong: slope(t, inside=w), **given)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"log_prior": 3.0}, "no function"),
        ({"grad_log_prior": "slope"}, "no function"),
        ({"log_prior": lambda t: t}, "log_prior returned"),
        ({"log_likelihood": lambda t, x: x[..., 0].sum()}, "log_likelihood returned"),
        ({"log_likelihood": lambda t, x: np.nan * (x[..., 0] + t[..., 0])}, "NaN"),
        ({"log_likelihood": lambda t, x: x[..., 0] * x.shape[0] + t[..., 0]}, "other numbers"),
        ({"grad_log_prior": lambda t: t / SCALE**2}, "does not belong to log_prior"),
        ({"grad_log_likelihood": lambda t, x: -grad_log_likelihood(t, x)}, "does not belong"),
        ({"grad_log_likelihood": lambda t, x: t}, "grad_log_likelihood returned"),
        ({"data": []}, "one datum a row"),
        ({"data": [[1.0, 2.0, np.inf]]}, "NaN or infinite"),
        ({"data": [["a"]]}, "no array of numbers"),
    ],
)
def test_posteriors_that_cannot_be(changed, match):
    given = {
        "log_prior": log_prior, "log_likelihood": log_likelihood, "data": DATA, "dim": 2,
        "grad_log_prior": grad_log_prior, "grad_log_likelihood": grad_log_likelihood,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match=match):
        Posterior(**(given | changed))
