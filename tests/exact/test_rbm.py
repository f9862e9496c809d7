"""The sum over an RBM's smaller layer, against sums over either layer and over both."""

import math

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _bit_layers, enumeration, rbm
from statmech_ml.models import BernoulliRBM


def machine(seed, n_visible, n_hidden, scale=1.0):
    rng = np.random.default_rng(seed)
    return BernoulliRBM(
        rng.normal(size=n_visible),
        rng.normal(size=n_hidden),
        scale * rng.normal(size=(n_visible, n_hidden)),
    )


@pytest.mark.parametrize("shape", [(1, 1), (8, 6), (6, 8), (2, 13), (12, 5)])
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 2.5])
def test_equals_enumeration_of_both_layers(shape, beta):
    model = machine(1, *shape)
    value = rbm.log_z(model, beta)
    assert value == pytest.approx(enumeration.log_z(model, beta), rel=1e-12)
    if sum(shape) <= 17:
        assert value == pytest.approx(enumeration.log_z(model.joint(), beta), rel=1e-12)


def test_array_of_betas():
    model = machine(2, 5, 3)
    betas = np.array([[0.5, 1.0], [1.5, 2.0]])
    values = rbm.log_z(model, betas)
    assert values.shape == betas.shape
    assert values[1, 0] == rbm.log_z(model, 1.5)


def test_layers_exchange():
    """Transposing the machine changes nothing."""
    model = machine(3, 9, 4)
    turned = BernoulliRBM(model.hidden_bias, model.visible_bias, model.weights.T)
    assert rbm.log_z(turned, 0.7) == pytest.approx(rbm.log_z(model, 0.7), rel=1e-14)


def test_free_units():
    """Without weights Z is a product; 1300 units need their product of factors cut in pieces."""
    rng = np.random.default_rng(4)
    a, b = 0.1 * rng.normal(size=1300), rng.normal(size=3)
    model = BernoulliRBM(a, b, np.zeros((1300, 3)))
    exact = np.logaddexp(0, a).sum() + np.logaddexp(0, b).sum()
    assert rbm.log_z(model) == pytest.approx(exact, rel=1e-13)


def test_strong_weights_stay_in_the_log_domain():
    """Weights of 1000: one configuration has all the weight, and Z would overflow a double."""
    model = BernoulliRBM([-1.0, -1.0], [-2.0, -2.0], np.full((2, 2), 1000.0))
    assert rbm.log_z(model) == pytest.approx(4000 - 6, rel=1e-14)


def test_more_than_one_chunk():
    """2^17 states of the smaller layer, against the free product times one coupled pair."""
    a, b = np.linspace(-1, 1, 18), np.linspace(-2, 1, 17)
    weights = np.zeros((18, 17))
    weights[3, 16] = 1.5
    exact = np.logaddexp(0, np.delete(a, 3)).sum() + np.logaddexp(0, np.delete(b, 16)).sum()
    exact += np.log(1 + np.exp(a[3]) + np.exp(b[16]) + np.exp(a[3] + b[16] + 1.5))
    assert rbm.log_z(BernoulliRBM(a, b, weights)) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("scale", [3.0, 40.0, 300.0, 1e5])
@pytest.mark.parametrize("shape", [(40, 12), (11, 30)])
def test_groups_of_factors_and_the_log_domain(shape, scale, seed):
    """Products cut before they overflow, and units that alone would; some of each at scale 40."""
    model = machine(seed, *shape, scale=scale)
    a, b, weights = model.visible_bias, model.hidden_bias, model.weights
    if len(a) < len(b):
        a, b, weights = b, a, weights.T
    states = (np.arange(2 ** len(b))[:, None] >> np.arange(len(b))) & 1
    terms = states @ b + np.logaddexp(0.0, states @ weights.T + a).sum(axis=1)
    assert rbm.log_z(model) == pytest.approx(np.logaddexp.reduce(terms), rel=1e-13)


def test_threads_change_no_digit(seed, monkeypatch):
    model = machine(seed, 200, 18, scale=0.3)
    values = []
    for threads in (1, 2):
        monkeypatch.setattr(_bit_layers, "thread_count", lambda n=threads: n)
        values.append(rbm.log_z(model))
    assert values[0] == values[1]


@pytest.mark.slow
def test_two_to_the_twenty_five():
    """All weights of one unit equal: only its number of partners counts, 26 terms."""
    n, w, a, b = 25, 0.2, -1.5, 0.3
    model = BernoulliRBM(np.full(30, a), np.full(n, b), np.full((30, n), w))
    k = np.arange(n + 1)
    terms = np.array([math.log(math.comb(n, int(i))) for i in k]) + b * k
    terms += 30 * np.logaddexp(0.0, a + w * k)
    assert rbm.log_z(model) == pytest.approx(np.logaddexp.reduce(terms), rel=1e-13)


def test_mutant_sign_is_seen():
    """The comparison has power: weights of the other sign give another Z."""
    model = machine(5, 6, 4)
    mutant = BernoulliRBM(model.visible_bias, model.hidden_bias, -model.weights)
    assert abs(rbm.log_z(mutant) - enumeration.log_z(model, 1.0)) > 0.1


def test_refusals():
    with pytest.raises(InvalidInput, match=r"2\^33 states.*ais"):
        rbm.log_z(BernoulliRBM(np.zeros(33), np.zeros(34), np.zeros((33, 34))))
    with pytest.raises(InvalidInput, match="finite and >= 0"):
        rbm.log_z(machine(6, 2, 2), beta=-1.0)
    with pytest.raises(InvalidInput, match="more than a double holds"):
        rbm.log_z(BernoulliRBM([0.0], [0.0], [[1e300]]), beta=1e300)
