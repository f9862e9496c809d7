"""State spaces: what is legal, how configurations are drawn and numbered."""

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.spaces import Bits, Levels, Reals, Spins

DISCRETE = [Spins(4), Bits(5), Levels(3, 4), Levels(2, 127)]


@pytest.mark.parametrize("space", DISCRETE, ids=repr)
def test_indices_and_configurations_are_one_to_one(space):
    index = np.arange(space.n_states)
    states = space.from_index(index)
    assert states.shape == (space.n_states, space.size)
    assert states.dtype == np.int8
    assert space.index(states).tolist() == index.tolist()
    assert len(np.unique(states, axis=0)) == space.n_states
    assert (np.diff(states[:, 0])[: space.n_values - 1] > 0).all()  # site 0 varies fastest
    assert space.check(states) is not None
    assert set(np.unique(states)) == set(space.values.tolist())


@pytest.mark.parametrize("space", DISCRETE[:3], ids=repr)
def test_random_configurations_are_uniform(space, assert_unbiased, seed):
    def run(seed, scale):
        n = 50 * scale * space.n_states
        counts = np.bincount(
            space.index(space.random(seed, np.arange(n, dtype=np.uint32))),
            minlength=space.n_states,
        )
        p = 1 / space.n_states
        return (counts - n * p) / np.sqrt(n * p * (1 - p))

    assert_unbiased(run, seed)


def test_random_reals_are_standard_normal(assert_unbiased, seed):
    def run(seed, scale):
        x = Reals(3).random(seed, np.arange(20_000 * scale, dtype=np.uint32))
        moments = [(x, 0.0), (x**2, 1.0), (x**3, 0.0), (x**4, 3.0)]
        z = [(f - m).mean(axis=0) / f.std(axis=0) * np.sqrt(len(x)) for f, m in moments]
        pairs = x[:, [0, 1, 2]] * x[:, [1, 2, 0]]
        return np.array([*z, pairs.mean(axis=0) / pairs.std(axis=0) * np.sqrt(len(x))])

    assert_unbiased(run, seed)


@pytest.mark.parametrize("space", [*DISCRETE, Reals(3)], ids=repr)
def test_a_chain_draws_the_same_start_in_any_company(space):
    chains = np.arange(6, dtype=np.uint32)
    together = space.random(11, chains)
    for c in chains:
        assert np.array_equal(space.random(11, chains[c : c + 1])[0], together[c])
    assert together.shape == (6, space.size)
    assert not np.array_equal(space.random(12, chains), together)


def test_ordered_starts():
    assert Spins(3).ordered(2).tolist() == [[1, 1, 1]] * 2
    assert Bits(2).ordered(1).tolist() == [[1, 1]]
    assert Levels(2, 5).ordered(1).tolist() == [[4, 4]]
    assert Reals(2).ordered(1).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("space", "x", "message"),
    [
        (Spins(3), [1, 0, 1], "values of Spins are -1, 1"),
        (Spins(3), [1, -1], "3 sites"),
        (Spins(3), 1, "shape"),
        (Spins(3), [1, np.nan, 1], "nan"),
        (Spins(3), [1, 1.5, 1], "1.5"),
        (Spins(3), np.array([255, 1, 1], np.uint8), "255"),
        (Spins(3), ["1", "1", "1"], "real numbers"),
        (Spins(3), [1, 1j, 1], "real numbers"),
        (Bits(2), [0, 2], "values of Bits are 0, 1"),
        (Levels(2, 3), [0, 3], "values of Levels"),
        (Reals(2), [0.0, np.inf], "NaN or infinite"),
        (Reals(2), [0.0], "2 sites"),
    ],
)
def test_configurations_off_the_space_are_refused(space, x, message):
    with pytest.raises(InvalidInput, match=message):
        space.check(x)


def test_check_converts_what_is_legal():
    assert Spins(2).check([[1.0, -1.0]]).dtype == np.int8
    assert Bits(2).check([True, False]).tolist() == [1, 0]
    assert Reals(2).check([1, 2]).dtype == np.float64
    assert Spins(2).check(np.ones((3, 4, 2))).shape == (3, 4, 2)
    assert Spins(2).check(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_sizes_are_whole_and_positive(size):
    with pytest.raises(InvalidInput, match="size"):
        Spins(size)


@pytest.mark.parametrize("n", [1, 128, 2.5])
def test_levels_fit_into_int8(n):
    with pytest.raises(InvalidInput, match="n_levels"):
        Levels(2, n)


def test_too_many_states_to_index():
    assert Spins(100).n_states == 2**100
    with pytest.raises(InvalidInput, match="too many"):
        Spins(100).index(np.ones(100))
