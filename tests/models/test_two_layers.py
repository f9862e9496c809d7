"""Every kind of restricted Boltzmann machine: definitions, sums over a layer, conditionals."""

import machines
import numpy as np
import pytest
from machines import MACHINES, energies, energy, hidden_states, kinds, one_hot, visible_states
from scipy.special import expit, logsumexp, softmax
from scipy.stats import norm

from statmech_ml.errors import InvalidInput
from statmech_ml.models import RBM, BernoulliRBM, GaussianRBM, PottsRBM
from statmech_ml.samplers import BlockGibbs

ALL = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
TWO_VALUED = {name: m for name, m in MACHINES.items() if isinstance(m, RBM)}


def some(states, n, seed=0):
    return states[np.random.default_rng(seed).permutation(len(states))[:n]]


@ALL
def test_joint_energy_from_the_definition_term_by_term(machine):
    V, H = some(visible_states(machine)[0], 8), some(hidden_states(machine)[0], 6)
    expected = [[energy(machine, v, h) for h in H] for v in V]
    assert energies(machine, V, H) == pytest.approx(np.array(expected), abs=1e-12)
    assert machine.joint_energy(V[:, None], H[None]) == pytest.approx(np.array(expected), abs=1e-12)


@ALL
@pytest.mark.parametrize("beta", [0.3, 1.0, 2.5])
def test_reduced_energy_sums_the_hidden_units_out(machine, beta):
    V, (H, log_w) = some(visible_states(machine)[0], 8), hidden_states(machine, beta)
    expected = -logsumexp(log_w - beta * energies(machine, V, H), axis=1)
    assert machine.reduced_energy(V, beta) == pytest.approx(expected, abs=1e-10)
    if beta == 1.0:
        assert machine.free_energy(V) == pytest.approx(expected, abs=1e-10)
    else:  # beta F_1 it is not, but for normal hidden units, where a constant parts them
        differs = np.ptp(machine.reduced_energy(V, beta) - beta * machine.free_energy(V)) > 0.01
        assert differs == (kinds(machine)[1] != "normal")


@ALL
@pytest.mark.parametrize("beta", [0.3, 2.5])
def test_the_visible_units_are_summed_out_alike(machine, beta):
    H, (V, log_w) = some(hidden_states(machine)[0], 8), visible_states(machine, beta)
    expected = -logsumexp(log_w[:, None] - beta * energies(machine, V, H), axis=0)
    assert machine.hidden_reduced_energy(H, beta) == pytest.approx(expected, abs=1e-9)


def averages(values, log_weight, axis):
    """Means of values (s, ...) under weights over the axis that holds the states."""
    weight = np.moveaxis(softmax(log_weight, axis=axis), axis, -1)
    return np.tensordot(weight, values, axes=1)


@ALL
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_conditionals_by_bayes(machine, beta):
    kind = kinds(machine)
    V, log_v = visible_states(machine, beta)
    H, log_h = hidden_states(machine, beta)
    some_v, some_h = some(V, 5), some(H, 5)
    given_v = averages(H, log_h - beta * energies(machine, some_v, H), 1)
    weight = log_v[:, None] - beta * energies(machine, V, some_h)
    given_h = averages(one_hot(machine, V), weight, 0)
    assert machine.hidden_mean(some_v, beta) == pytest.approx(given_v, abs=1e-9)
    assert machine.visible_mean(some_h, beta) == pytest.approx(given_h, abs=1e-9)
    v, h = machine.space.check(some_v), machine.hidden_space.check(some_h)
    if kind[1] == "normal":
        mean, stddev = machine.hidden_normal(v, beta)
        density = norm.logpdf(some_h[None], mean[:, None], stddev[:, None]).sum(axis=-1)
        # log p(h | v) = -beta E(v, h) + a constant of v
        assert np.ptp(density + beta * energies(machine, some_v, some_h), axis=1).max() < 1e-10
    else:
        on = expit(machine.hidden_logits(v, beta))
        low, high = machines.VALUES[kind[1]]
        assert low + (high - low) * on == pytest.approx(given_v, abs=1e-12)
    if kind[0] == "normal":
        mean, stddev = machine.visible_normal(h, beta)
        density = norm.logpdf(some_v[:, None], mean[None], stddev[None]).sum(axis=-1)
        assert np.ptp(density + beta * energies(machine, some_v, some_h), axis=0).max() < 1e-10
    elif kind[0] == "levels":
        assert softmax(machine.visible_logits(h, beta), -1) == pytest.approx(given_h, abs=1e-12)
    else:
        on = expit(machine.visible_logits(h, beta))
        low, high = machines.VALUES[kind[0]]
        assert low + (high - low) * on == pytest.approx(given_h, abs=1e-12)


@ALL
def test_single_precision_is_asked_for_and_given(machine):
    """No array of doubles leaks into the matrix products, whatever beta is."""
    beta = np.linspace(0.5, 1.5, 4)
    v = machine.space.random(1, np.arange(4, dtype=np.uint32))
    name = "hidden_normal" if kinds(machine)[1] == "normal" else "hidden_logits"
    single, double = (getattr(machine, name)(v, beta, t) for t in (np.float32, np.float64))
    if name == "hidden_normal":
        single, double = single[0], double[0]
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert single == pytest.approx(double, rel=1e-5, abs=1e-5)
    h = machine.hidden_space.random(2, np.arange(4, dtype=np.uint32))
    name = "visible_normal" if kinds(machine)[0] == "normal" else "visible_logits"
    single, double = (getattr(machine, name)(h, beta, t) for t in (np.float32, np.float64))
    if name == "visible_normal":
        single, double = single[0], double[0]
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert single == pytest.approx(double, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins", "normal"])
def test_extreme_fields_do_not_overflow(visible, hidden):
    """Fields of 10^5 k_B T and more: the sums over units are the larger term, nothing is nan."""
    rbm = RBM([1e4], [-1e4], [[3e5]], visible=visible, hidden=hidden)
    H = np.array(machines.VALUES.get(hidden, (0.0,)))[:, None]
    V = rbm.space.values[:, None]
    if hidden == "normal":
        f = -1e4 + 3e5 * V[:, 0].astype(float)
        expected = -1e4 * V[:, 0] - 0.5 * f**2 - 0.5 * np.log(2 * np.pi)
    else:
        expected = energies(rbm, V, H).min(axis=1)
    assert rbm.free_energy(V) == pytest.approx(expected, rel=1e-14)
    assert np.isfinite(rbm.slope(V, 0.7)).all()
    state = BlockGibbs().init(rbm, 3, 1)
    moved, _ = BlockGibbs().advance(rbm, state, np.full(3, 2.0), 3)
    rbm.space.check(moved.x)


def test_extreme_levels_and_normal_units_do_not_overflow():
    rbm = PottsRBM([[1e5, 0.0, -1e5]], [0.0], [[[2e5], [0.0], [1.0]]])
    assert rbm.free_energy([[0], [1]]) == pytest.approx([-3e5, -np.log(2)])
    state = BlockGibbs().init(rbm, 3, 1)
    assert (BlockGibbs().advance(rbm, state, np.ones(3), 2)[0].x == 0).all()
    wide = GaussianRBM([1e5], [-1e5], [[1e5]], sigma=1.0, hidden="spins")
    assert wide.free_energy([[0.0], [1.0]]) == pytest.approx([4.9999e9, 4.9998e9 - 0.0], rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.array([1.0, 0.0])])
@pytest.mark.parametrize("name", [n for n in MACHINES if "normal" in n])
def test_normal_units_need_a_temperature(name, beta):
    machine = MACHINES[name]
    x = machine.space.random(1, np.arange(2, dtype=np.uint32))
    by_layer = {
        "visible": lambda: machine.visible_normal(np.ones((2, 3)), beta),
        "hidden": lambda: machine.reduced_energy(x, beta),
    }
    with pytest.raises(InvalidInput, match="Use beta > 0"):
        by_layer["visible" if name.startswith("normal") else "hidden"]()
    state = BlockGibbs().init(machine, 2, 1)
    with pytest.raises(InvalidInput, match="beta > 0"):
        BlockGibbs().advance(machine, state, np.broadcast_to(beta, 2), 1)


@pytest.mark.parametrize("name", TWO_VALUED)
def test_the_joint_view_is_the_same_energy(name):
    machine = TWO_VALUED[name]
    if len(set(kinds(machine))) == 2:
        with pytest.raises(InvalidInput, match="one kind"):
            machine.joint()
        return
    joint = machine.joint()
    both = joint.space.random(1, np.arange(50, dtype=np.uint32))
    expected = machine.joint_energy(both[:, :4], both[:, 4:])
    assert joint.energy(both) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", TWO_VALUED)
def test_bits_stand_for_spins_up_to_a_constant(name):
    machine = TWO_VALUED[name]
    if kinds(machine)[1] == "normal":
        with pytest.raises(InvalidInput, match="normal"):
            machine.as_bernoulli()
        return
    bits, constant = machine.as_bernoulli()
    V, H = visible_states(machine)[0], hidden_states(machine)[0]
    expected = bits.joint_energy(V[:, None] > 0, H[None] > 0) + constant
    assert energies(machine, V, H) == pytest.approx(expected, abs=1e-12)
    if isinstance(machine, BernoulliRBM):
        assert constant == 0.0
        assert bits.weights.tolist() == machine.weights.tolist()


@ALL
@pytest.mark.parametrize("beta", [0.4, 1.0])
def test_conditioning_is_the_restricted_law_and_its_constant(machine, beta):
    """F_beta(v) = F'_beta(rest) + beta own(held): both laws agree up to what does not vary."""
    sites = np.array([0] if machine.n_visible == 2 else [2, 0])
    V = some(visible_states(machine)[0], 12)
    values = V[0, sites]
    rest = np.setdiff1d(np.arange(machine.n_visible), sites)
    given = machine.condition(sites, values)
    assert type(given) is type(machine)
    assert given.n_visible == len(rest)
    V[:, sites] = values
    difference = machine.reduced_energy(V, beta) - given.reduced_energy(V[:, rest], beta)
    own = np.zeros(machine.n_visible)
    for i, value in zip(sites, values, strict=True):
        a = machine.visible_bias[i]
        if kinds(machine)[0] == "levels":
            own[i] = -a[int(value)]
        elif kinds(machine)[0] == "normal":
            own[i] = (value - a) ** 2 / (2 * machine.sigma[i] ** 2)
        else:
            own[i] = -a * value
    assert difference == pytest.approx(np.full(len(V), beta * own.sum()), abs=1e-10)


@pytest.mark.parametrize(
    ("sites", "values", "message"),
    [
        ([0, 0], [1, 1], "each once"),
        ([4], [1], "0 to 3"),
        ([-1], [1], "0 to 3"),
        ([0, 1, 2, 3], [1, 1, 1, 1], "leaves no model"),
        ([0], [2], "holds"),
        ([0, 1], [1], "shape"),
        ([0], [[1], [0]], "one value for each"),
        ([True, False, False, False], [1], "flatnonzero"),
        ([], [], "numbers of visible units"),
    ],
)
def test_conditions_that_cannot_be(sites, values, message):
    with pytest.raises(InvalidInput, match=message):
        MACHINES["bits over bits"].condition(sites, values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RBM([0.0], [0.0], [[1.0]], visible="normal"), "bits, spins"),
        (lambda: RBM([0.0], [0.0], [[1.0]], hidden="spin"), "bits, spins, normal"),
        (lambda: PottsRBM([[0.0]], [0.0], [[[1.0]]]), "2..127"),
        (lambda: PottsRBM([[0.0, 1.0]], [0.0], [[[1.0]]]), "of 2 levels each"),
        (lambda: PottsRBM([0.0, 1.0], [0.0], [[[1.0]]]), "2 non-empty"),
        (lambda: PottsRBM([[0.0, np.nan]], [0.0], [[[1.0], [1.0]]]), "NaN"),
        (lambda: GaussianRBM([0.0], [0.0], [[1.0]], hidden="normal"), "bits, spins"),
    ],
)
def test_machines_that_cannot_be(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize("weights", [np.full((3, 2), 1e39), np.array([[1e38] * 9, [-1e38] * 9])])
def test_weights_beyond_single_precision_are_refused_there(weights):
    """In floats they, or their sums, would be infinite, and infinities cancel to no number."""
    n_visible, n_hidden = weights.shape
    rbm = BernoulliRBM(np.zeros(n_visible), np.zeros(n_hidden), weights)
    for n_chains in (4, 200):  # matrix products, and tables of sums
        state = BlockGibbs().init(rbm, n_chains, 1)
        with pytest.raises(InvalidInput, match=r"float32 ends at 3\.4.*precision='double'"):
            BlockGibbs().advance(rbm, state, np.ones(n_chains), 1)
        moved, _ = BlockGibbs("double").advance(rbm, state, np.ones(n_chains), 1)
        assert rbm.space.check(moved.x).shape == (n_chains, n_visible)
    small = BernoulliRBM(np.zeros(n_visible), np.zeros(n_hidden), 1e-3 * weights)
    BlockGibbs().advance(small, BlockGibbs().init(small, 4, 1), np.ones(4), 1)
