"""log Z and moments of machines of every kind against brute force over both layers."""

import numpy as np
import pytest
from machines import (
    MACHINES,
    energies,
    gaussian,
    hidden_states,
    normal,
    one_hot,
    potts,
    rbm,
    visible_states,
)
from scipy.special import logsumexp

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, gaussian_rbm
from statmech_ml.exact import rbm as exact_rbm
from statmech_ml.models import RBM, BernoulliRBM, BoltzmannMachine, Hopfield, Ising

ALL = pytest.mark.parametrize("name", MACHINES)
BETAS = pytest.mark.parametrize("beta", [0.4, 1.0, 1.7])


def brute(machine, beta):
    """log Z, and the means of v, h, v h and v^2, by weights of all pairs of states."""
    (V, log_v), (H, log_h) = visible_states(machine, beta), hidden_states(machine, beta)
    log_w = log_v[:, None] + log_h - beta * energies(machine, V, H)
    log_z = logsumexp(log_w)
    p = np.exp(log_w - log_z)
    code = one_hot(machine, V)
    product = np.einsum("vh,vx,hj->xj", p, code.reshape(len(V), -1), H, optimize=True)
    return (
        log_z,
        np.einsum("vh,v...->...", p, code),
        np.einsum("vh,hj->j", p, H),
        product.reshape(machine.weights.shape),
        np.einsum("vh,v...->...", p, code**2),
    )


def accuracy(name):
    """Sums are exact to rounding; the nodes of normal units leave a little more."""
    return 1e-11 if "normal" in name else 1e-12


@ALL
@BETAS
def test_log_z_of_every_kind(name, beta):
    machine = MACHINES[name]
    assert exact_rbm.log_z(machine, beta) == pytest.approx(
        brute(machine, beta)[0], abs=accuracy(name)
    )


@ALL
@BETAS
def test_moments_of_every_kind(name, beta):
    machine = MACHINES[name]
    found = exact_rbm.moments(machine, beta)
    log_z, visible, hidden, product, square = brute(machine, beta)
    tolerance = accuracy(name)
    assert found.log_z == pytest.approx(log_z, abs=tolerance)
    assert found.log_z == pytest.approx(exact_rbm.log_z(machine, beta), abs=1e-12)
    assert found.visible == pytest.approx(visible, abs=tolerance)
    assert found.hidden == pytest.approx(hidden, abs=tolerance)
    assert found.product == pytest.approx(product, abs=tolerance)
    assert found.pairs is None
    if name.startswith("normal"):
        assert found.square == pytest.approx(square, abs=tolerance)
    else:
        assert found.square is None


WIDE = {
    "bits over bits": rbm("bits", "bits", 3, 7),
    "spins over bits": rbm("spins", "bits", 7, 3),
    "spins over spins": rbm("spins", "spins", 3, 6),
    "levels over bits": potts("bits", 2, 4, 7),
    "levels over spins": potts("spins", 5, 3, 2),
    "normal over spins": gaussian("spins", 1, 5),
}


@pytest.mark.parametrize("name", WIDE)
def test_either_layer_may_be_the_smaller_one(name):
    machine = WIDE[name]
    found, expected = exact_rbm.moments(machine, 0.8), brute(machine, 0.8)
    tolerance = accuracy(name)
    for value, right in zip(found, expected[:4], strict=False):
        assert value == pytest.approx(right, abs=tolerance)
    assert exact_rbm.log_z(machine, 0.8) == pytest.approx(expected[0], abs=tolerance)


@ALL
def test_the_gradient_of_log_z_is_beta_times_the_moments(name):
    """By finite differences of log Z in one entry of each parameter."""
    machine, beta, step = MACHINES[name], 1.3, 1e-5
    found = exact_rbm.moments(machine, beta)
    given = {
        "visible_bias": machine.visible_bias,
        "hidden_bias": machine.hidden_bias,
        "weights": machine.weights,
    }
    extra = {"hidden": machine.hidden_units.name}
    if type(machine) is RBM:
        extra["visible"] = machine.visible_units.name
    if isinstance(machine, BernoulliRBM):
        extra = {}
    s2 = np.ones(1)
    if name.startswith("normal"):
        extra["sigma"], s2 = machine.sigma, machine.sigma**2
    slopes = {
        "visible_bias": found.visible,
        "hidden_bias": found.hidden,
        "weights": found.product,
    }
    if name.startswith("normal"):
        slopes["visible_bias"] = (found.visible - machine.visible_bias) / s2
        slopes["weights"] = found.product / s2[:, None]
    for parameter, slope in slopes.items():
        place = tuple(k - 1 for k in given[parameter].shape)
        values = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in given.items()}
            moved[parameter][place] += sign * step
            values.append(exact_rbm.log_z(type(machine)(**moved, **extra), beta))
        change = (values[0] - values[1]) / (2 * step)
        assert change == pytest.approx(beta * slope[place], abs=1e-8)


def test_chunks_change_nothing(monkeypatch):
    """More states than fit in a chunk: 2^12 states of 300 larger units, in hundreds of chunks."""
    machine = rbm("spins", "bits", 300, 12, scale=0.1)
    whole = exact_rbm.moments(machine, 0.9)
    from statmech_ml.exact import _layer_sums

    monkeypatch.setattr(_layer_sums, "_CHUNK", 3000)
    pieces = exact_rbm.moments(machine, 0.9)
    for one, other in zip(whole[:4], pieces[:4], strict=True):
        assert one == pytest.approx(other, abs=1e-13)
    assert whole.log_z == pytest.approx(exact_rbm.log_z(machine, 0.9), rel=1e-13)


# --- Boltzmann machines and Hopfield networks -----------------------------------------------------


def boltzmann(visible, hidden, n=4, m=3, seed=11):
    J = normal(n, n, seed=seed)
    J = np.triu(J, 1) + np.triu(J, 1).T
    layers = {} if m == 0 else {"hidden_bias": normal(m, seed=seed + 1)}
    if m:
        layers["weights"] = normal(n, m, seed=seed + 2)
    return BoltzmannMachine(normal(n, seed=seed + 3), J, visible=visible, hidden=hidden, **layers)


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins", None])
@BETAS
def test_boltzmann_machines(visible, hidden, beta):
    machine = boltzmann(visible, hidden or "bits", m=3 if hidden else 0)
    V = machine.space.from_index(np.arange(16)).astype(float)
    H = np.zeros((1, 0))
    if hidden:
        H = machine.hidden_units.space(3).from_index(np.arange(8)).astype(float)
    E = -(V @ machine.visible_bias + 0.5 * np.einsum("vi,ij,vj->v", V, machine.couplings, V))
    E = E[:, None] - H @ machine.hidden_bias - V @ machine.weights @ H.T
    log_z = logsumexp(-beta * E)
    p = np.exp(-beta * E - log_z)
    found = exact_rbm.moments(machine, beta)
    assert found.log_z == pytest.approx(log_z, abs=1e-12)
    assert exact_rbm.log_z(machine, beta) == pytest.approx(log_z, abs=1e-12)
    assert enumeration.log_z(machine, beta) == pytest.approx(log_z, abs=1e-12)
    assert found.visible == pytest.approx(np.einsum("vh,vi->i", p, V), abs=1e-12)
    assert found.hidden == pytest.approx(np.einsum("vh,hj->j", p, H), abs=1e-12)
    assert found.product == pytest.approx(np.einsum("vh,vi,hj->ij", p, V, H), abs=1e-12)
    pairs = np.einsum("vh,vi,vj->ij", p, V, V)
    np.fill_diagonal(pairs, 0.0)
    assert found.pairs == pytest.approx(pairs, abs=1e-12)


def test_a_boltzmann_machine_without_couplings_is_an_rbm():
    machine = boltzmann("spins", "spins", 5, 4)
    plain = BoltzmannMachine(
        machine.visible_bias,
        np.zeros((5, 5)),
        machine.hidden_bias,
        machine.weights,
        visible="spins",
        hidden="spins",
    )
    twin = RBM(machine.visible_bias, machine.hidden_bias, machine.weights)
    assert exact_rbm.log_z(plain, 0.7) == pytest.approx(exact_rbm.log_z(twin, 0.7), abs=1e-12)
    one, other = exact_rbm.moments(plain, 0.7), exact_rbm.moments(twin, 0.7)
    assert one.product == pytest.approx(other.product, abs=1e-13)


def test_many_hidden_units_are_no_obstacle():
    """70 hidden units: all pairs of units cannot be summed, the visible states can."""
    machine = boltzmann("bits", "spins", 5, 70)
    assert exact_rbm.log_z(machine, 0.6) == pytest.approx(
        enumeration.log_z(machine, 0.6), rel=1e-13
    )


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
def test_hopfield_by_states_by_pairs_and_by_its_twin(beta):
    network = Hopfield(np.where(normal(3, 10, seed=5) > 0, 1, -1))
    value = exact_rbm.log_z(network, beta)
    assert value == pytest.approx(enumeration.log_z(network, beta), abs=1e-12)
    twin = exact_rbm.log_z(network.rbm(), beta) - 1.5 * np.log(2 * np.pi / beta)
    assert value == pytest.approx(twin, abs=1e-12)


# --- what is refused, and mistakes that would show ------------------------------------------------


def test_spins_are_not_summed_as_bits():
    """The sum that takes spins for bits, which duck typing would allow, is far off."""
    machine = MACHINES["spins over spins"]
    a, b, weights = machine.visible_bias, machine.hidden_bias, machine.weights
    mistaken = exact_rbm.log_z(BernoulliRBM(a, b, weights))
    assert abs(mistaken - exact_rbm.log_z(machine)) > 0.1


class Named:
    """No machine, but it has all names that one has."""

    visible_bias, hidden_bias, weights = np.zeros(2), np.zeros(2), np.zeros((2, 2))
    sigma = np.ones(2)


@pytest.mark.parametrize("what", [Named(), Ising(lattices.chain(4)), None, 3.0])
def test_what_is_no_machine_is_refused(what):
    for ask in (exact_rbm.log_z, exact_rbm.moments):
        with pytest.raises(InvalidInput, match="is no machine"):
            ask(what)
    with pytest.raises(InvalidInput, match=r"is no GaussianRBM"):
        gaussian_rbm.log_z(what)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (rbm("spins", "normal", 45, 2), "visible states"),
        (potts("bits", 24, 3, 23), "2.22"),
        (boltzmann("bits", "bits", 45, 0), "2.44"),
        (rbm("spins", "spins", 34, 33), r"2\^33 states.*ais"),
    ],
    ids=["normal hidden", "levels", "boltzmann", "spins"],
)
def test_layers_too_large_are_refused(machine, message):
    with pytest.raises(InvalidInput, match=message):
        exact_rbm.log_z(machine)
    with pytest.raises(InvalidInput, match=r"more than|visited"):
        exact_rbm.moments(machine)


def test_betas_that_cannot_be():
    with pytest.raises(InvalidInput, match="beta > 0"):
        exact_rbm.log_z(MACHINES["spins over normal"], 0.0)
    with pytest.raises(InvalidInput, match="one number"):
        exact_rbm.moments(MACHINES["spins over bits"], [0.5, 1.0])
    with pytest.raises(InvalidInput, match="finite and >= 0"):
        exact_rbm.moments(MACHINES["spins over bits"], -1.0)
