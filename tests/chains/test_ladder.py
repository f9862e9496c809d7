"""Ladders: round trips of a history known by hand, swap rates, and ladders tuned automatically."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import betainc

from statmech_ml import lattices, sample
from statmech_ml.chains import Ladder, ladder, round_trips, swap_rates, tune_ladder
from statmech_ml.errors import InvalidInput, MissingCapability, StatmechError
from statmech_ml.models import Gaussian, Ising
from statmech_ml.samplers import MALA, HeatBath, ReplicaExchange

RING = Ising(lattices.chain(8))
TORUS = Ising(lattices.square(6))


# --- round trips ----------------------------------------------------------------------------------


def history(*moves):
    """(chain, draw) from one permutation of the slots per draw."""
    return np.array(moves).T


UP, DOWN, REST = [1, 0, 2], [0, 2, 1], [0, 1, 2]  # swap slots 0 and 1, swap 1 and 2


@pytest.mark.parametrize(
    ("moves", "trips"),
    [
        ([REST] * 5, 0),
        ([UP, UP], 0),  # half-way and back
        ([UP, DOWN], 0),  # replica 0 is at the top
        ([UP, DOWN, REST, DOWN, UP], 1),  # and back
        # Replica 2 was at the top first: its way down is no trip.
        ([DOWN, UP], 0),
        # 0 goes up and down; 1 returns half-way. Twice.
        ([UP, DOWN, DOWN, UP] * 2, 2),
        # All three go round: each transposition of (0 1)(1 2) turns the ring of replicas.
        ([UP, DOWN] * 3, 1),
    ],
)
def test_round_trips_by_hand(moves, trips):
    assert round_trips(history(*moves)).tolist() == [trips]


def by_positions(moves):
    """Trips of one ladder, from the path of each replica over the slots."""
    holder, total = np.arange(len(moves)), 0
    paths = [holder]
    for move in moves.T:
        holder = holder[move]
        paths.append(holder)
    where = np.argsort(np.array(paths), axis=1)  # (draw, replica) -> slot
    for path in where.T:
        ends = [s for s in path if s in (0, len(moves) - 1)]
        turns = [s for s, before in zip(ends, [None, *ends], strict=False) if s != before]
        while turns and turns[0] != 0:
            turns = turns[1:]
        total += (len(turns) - 1) // 2 if turns else 0
    return total


def test_round_trips_are_those_of_the_replicas_paths():
    chain = sample(
        RING, ReplicaExchange(HeatBath()), beta=np.tile([0.1, 0.3, 0.5, 0.7], 3), n_draws=400,
        rng=1, keep_states=False,
    )  # fmt: skip
    found = round_trips(chain)
    replica = chain.info["replica"]
    expected = [by_positions(replica[4 * r : 4 * r + 4] - 4 * r) for r in range(3)]
    assert found.tolist() == expected
    assert min(expected) > 3
    assert np.array_equal(round_trips(replica, n_levels=4), found)


@pytest.mark.parametrize("thin", [1, 3])
def test_the_history_is_the_same_however_often_one_looks(thin):
    """Where replicas end does not depend on the draws in between."""
    run = {"beta": [0.1, 0.4, 0.7], "burn_in": 5, "rng": 2}
    often = sample(RING, ReplicaExchange(HeatBath()), n_draws=30, **run)
    chain = sample(RING, ReplicaExchange(HeatBath()), n_draws=30 // thin, thin=thin, **run)

    def last(replica):
        holder = np.arange(3)
        for move in replica.T:
            holder = holder[move]
        return holder.tolist()

    assert last(often.info["replica"]) == last(chain.info["replica"])


@pytest.mark.parametrize(
    "bad",
    [
        [[0, 1], [0, 0]],
        [[0.0, 1.0], [1.0, 0.0]],
        [0, 1],
        [[[0]], [[1]]],
        np.empty((2, 0), int),
        [[1], [2]],
        "replica",
        None,
        [[np.nan], [1.0]],
    ],
)
def test_what_is_no_history_is_refused(bad):
    with pytest.raises(InvalidInput, match="replica"):
        round_trips(bad)


@pytest.mark.parametrize("n_levels", [0, 1, 3, -2, 2.0, "2", True])
def test_ladders_must_divide_the_chains(n_levels):
    with pytest.raises(InvalidInput, match="n_levels"):
        round_trips(np.tile(np.arange(4)[:, None], 5), n_levels)


def test_replicas_of_another_ladder_are_refused():
    with pytest.raises(InvalidInput, match="permute the slots of each ladder"):
        round_trips(np.array([[2], [3], [0], [1]]), n_levels=2)


# --- swap rates -----------------------------------------------------------------------------------


def harmonic(dim, low, high):
    return 2.0 * betainc(dim / 2, dim / 2, low / (low + high))  # test_replica_exchange derives it


def test_swap_rates_of_wells_are_the_closed_form(assert_unbiased, seed):
    betas = np.array([0.5, 0.8, 1.4, 2.0])
    exact = [harmonic(4, low, high) for low, high in pairwise(betas)]

    def run(seed, scale):
        chain = sample(
            Gaussian(dim=4), ReplicaExchange(MALA(), 2), beta=np.tile(betas, 24), thin=6,
            n_draws=100 * scale, burn_in=200, rng=seed, keep_states=False,
        )  # fmt: skip
        per_ladder = np.array(
            [
                np.nanmean(chain.info["swap_acceptance"][4 * r : 4 * r + 3], axis=1)
                for r in range(24)
            ]
        )
        rates = swap_rates(chain)
        assert np.allclose(rates, per_ladder.mean(axis=0), rtol=0.05)
        return (rates - exact) / (per_ladder.std(axis=0, ddof=1) / np.sqrt(24))

    assert_unbiased(run, seed)


def test_a_pair_that_never_met_has_no_rate():
    chain = sample(RING, ReplicaExchange(HeatBath()), beta=[0.1, 0.2, 0.3], n_draws=1, rng=1)
    assert np.isnan(swap_rates(chain)).sum() == 1


def test_rates_and_trips_need_whole_ladders():
    chain = sample(RING, ReplicaExchange(HeatBath()), beta=[0.1, 0.2] * 2, n_draws=5, rng=1)
    plain = sample(RING, beta=[0.1, 0.2], n_draws=5, rng=1)
    for f in (swap_rates, round_trips):
        with pytest.raises(InvalidInput, match="whole run"):
            f(chain.at(0.1))
        with pytest.raises(InvalidInput, match="ReplicaExchange"):
            f(plain)
    with pytest.raises(InvalidInput, match="ReplicaExchange"):
        swap_rates(np.zeros((2, 3)))


# --- tuned ladders --------------------------------------------------------------------------------


def test_a_tuned_ladder_of_wells_is_geometric(seed):
    """The acceptance of wells depends on the ratio of betas: equal ones mean equal ratios."""
    found = tune_ladder(Gaussian(dim=10), MALA(), 0.2, 5.0, n_levels=6, n_ladders=40, rng=seed)
    assert isinstance(found, Ladder)
    assert found.betas[[0, -1]].tolist() == [0.2, 5.0]
    ratios = found.betas[1:] / found.betas[:-1]
    rates = np.array([harmonic(10, 1.0, ratio) for ratio in ratios])
    # What the tuning promises of the measured ones, and their errors.
    slack = np.maximum(ladder._EVEN, 3 * found.stderr) + 5 * found.stderr
    assert (np.abs(rates - rates.mean()) < slack + slack.mean()).all()
    assert (np.abs(rates - found.acceptance) < 6 * found.stderr).all()


@pytest.mark.parametrize(
    ("wanted", "inner"), [(0.3, HeatBath()), (0.6, ReplicaExchange(HeatBath(), 2))]
)
def test_the_acceptance_asked_for_is_met_across_the_transition(wanted, inner, seed):
    found = tune_ladder(TORUS, inner, 0.0, 0.7, acceptance=wanted, rng=seed)
    assert found.betas[0] == 0.0
    assert (np.diff(found.betas) > 0).all()
    assert found.acceptance.min() > wanted - 0.15
    again = sample(
        TORUS, ReplicaExchange(HeatBath()), beta=np.tile(found.betas, 8), n_draws=400, rng=seed,
        keep_states=False,
    )  # fmt: skip
    assert (np.abs(swap_rates(again) - found.acceptance) < 0.12).all()
    fewer = np.linspace(0.0, 0.7, len(found.betas) // 2 + 1)
    worse = sample(TORUS, ReplicaExchange(HeatBath()), beta=np.tile(fewer, 8), n_draws=400, rng=1)
    assert swap_rates(worse).min() < swap_rates(again).min()


def test_the_same_seed_gives_the_same_ladder():
    one, two = (tune_ladder(RING, HeatBath(), 0.1, 1.0, n_levels=4, rng=5) for _ in range(2))
    assert np.array_equal(one.betas, two.betas)
    assert str(one).startswith("4 betas from 0.1 to 1, swap acceptance ")
    assert one.sweeps % (2 * 400 * 4 * 8) == 0


def test_two_rungs_are_the_ends():
    found = tune_ladder(RING, HeatBath(), 0.1, 0.3, n_levels=2, rng=1)
    assert found.betas.tolist() == [0.1, 0.3]
    assert found.acceptance.shape == (1,)


def test_too_few_rungs_are_an_error_with_a_number():
    with pytest.raises(StatmechError, match=r"About \d+ rungs would swap") as info:
        tune_ladder(
            Ising(lattices.square(16)), HeatBath(), 0.0, 1.0, n_levels=3, rng=1, n_sweeps=40
        )
    assert not isinstance(info.value, InvalidInput)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_levels": None},
        {"n_levels": 4, "acceptance": 0.3},
        {"n_levels": 1},
        {"n_levels": 2.5},
        {"n_levels": "4"},
        {"n_levels": [4]},
        {"n_levels": 10**6},
        {"n_levels": None, "acceptance": 0.99},
        {"n_levels": None, "acceptance": np.nan},
        {"n_levels": None, "acceptance": "0.3"},
        {"low": 1.0},
        {"low": -0.1},
        {"low": np.nan},
        {"high": np.inf},
        {"low": "cold"},
        {"low": [0.1, 0.2]},
        {"n_ladders": 1},
        {"n_ladders": 0},
        {"n_sweeps": 0},
        {"n_sweeps": 1e3},
        {"rng": None},
        {"sampler": "HeatBath"},
        {"sampler": None},
    ],
    ids=str,
)
def test_bad_arguments_are_refused(arguments):
    given = {"sampler": HeatBath(), "low": 0.1, "high": 1.0, "n_levels": 4, "rng": 1} | arguments
    with pytest.raises(InvalidInput):
        tune_ladder(RING, **given)


def test_a_sampler_that_does_not_fit_is_refused():
    with pytest.raises(MissingCapability):
        tune_ladder(RING, MALA(), 0.1, 1.0, n_levels=4, rng=1)


def test_one_of_rungs_and_acceptance_is_wanted():
    for given, wanted in (("both were", {"n_levels": 4, "acceptance": 0.5}), ("neither was", {})):
        with pytest.raises(InvalidInput, match=f"; {given} given"):
            tune_ladder(TORUS, HeatBath(), 0.0, 0.7, rng=1, **wanted)
