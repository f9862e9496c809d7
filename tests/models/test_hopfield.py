"""The Hopfield network, and the RBM of normal hidden units that is the same thing."""

import numpy as np
import pytest
from machines import normal
from statistical import assert_distribution, assert_refuted, chi_square, exact

from statmech_ml.errors import InvalidInput
from statmech_ml.models import RBM, Hopfield
from statmech_ml.samplers import BlockGibbs, HeatBath

XI = np.where(normal(3, 8, seed=3) > 0, 1, -1)
NETWORK = Hopfield(XI)
S = NETWORK.space.from_index(np.arange(256))


def energies():
    """-(1 / 2N) sum_mu (xi_mu . s)^2, pattern by pattern."""
    total = np.zeros(256)
    for xi in XI:
        total -= (S @ xi) ** 2 / (2 * 8)
    return total


def test_energy_from_the_definition():
    assert NETWORK.energy(S) == pytest.approx(energies(), abs=1e-12)
    assert NETWORK.reduced_energy(S, 0.7) == pytest.approx(0.7 * energies(), abs=1e-12)
    assert NETWORK.capabilities == {"Local"}


def test_overlaps():
    assert NETWORK.overlaps(XI) == pytest.approx(XI @ XI.T / 8, abs=1e-15)
    assert NETWORK.overlaps(S[3]).shape == (3,)
    assert NETWORK.overlaps(-XI).diagonal() == pytest.approx(-np.ones(3))


@pytest.mark.parametrize("beta", [0.1, 0.6, 1.0, 1.9, 10.0])
def test_the_twin_has_the_same_law_up_to_its_constant(beta):
    twin = NETWORK.rbm()
    constant = 1.5 * np.log(2 * np.pi / beta)
    found = twin.reduced_energy(S, beta) + constant
    assert np.abs(found - NETWORK.reduced_energy(S, beta)).max() < 1e-10


def test_the_normal_hidden_units_are_the_overlaps():
    """<h_mu | s> = sqrt(N) m_mu: the order parameters, seen as hidden units."""
    assert NETWORK.rbm().hidden_mean(S, 0.6) == pytest.approx(np.sqrt(8) * NETWORK.overlaps(S))


def p_values(beta, twin):
    """Final states of the network by HeatBath and of `twin` by BlockGibbs, against one law."""

    def run(seed, scale):
        probability = exact(NETWORK, beta).probability
        found = {}
        for name, sampler, model, n_sweeps in (
            ("network", HeatBath(), NETWORK, 40),
            ("twin", BlockGibbs(), twin, 60),
        ):
            state = sampler.init(model, 5_000 * scale, seed)
            x = sampler.advance(model, state, np.full(5_000 * scale, beta), n_sweeps)[0].x
            found[name] = chi_square(np.bincount(model.space.index(x), minlength=256), probability)
        return found

    return run


def test_both_are_sampled_to_the_same_law(seed):
    assert_distribution(p_values(1.1, NETWORK.rbm()), seed)


@pytest.mark.parametrize("mistake", ["weights xi / N", "hidden bits"])
def test_a_wrong_twin_is_refuted(mistake, seed):
    zero = np.zeros(8), np.zeros(3)
    if mistake == "hidden bits":
        twin = RBM(*zero, XI.T / np.sqrt(8), hidden="bits")
    else:
        twin = RBM(*zero, XI.T / 8, hidden="normal")
    assert_refuted(p_values(1.1, twin), seed)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([[1, 0, 1]], "2 x - 1"),
        ([1, -1], "2 non-empty"),
        ([[]], "non-empty"),
        ([[1.0, np.nan]], "NaN"),
        ("ab", "no array of numbers"),
    ],
)
def test_patterns_that_cannot_be(patterns, message):
    with pytest.raises(InvalidInput, match=message):
        Hopfield(patterns)
