"""Random streams: known answers, and the same words however they are asked for."""

import numpy as np
import pytest

from statmech_ml import _rng
from statmech_ml._jit import kernel
from statmech_ml.errors import InvalidInput

# Random123's kat_vectors for philox 4x32, 10 rounds: counter, key, answer (Salmon et al. 2011).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
PURPOSES = (_rng.LOCAL, _rng.LOCAL_LOW, _rng.CLUSTER, _rng.REFERENCE)


@kernel
def _philox(arguments, out):
    a = arguments
    out[0], out[1], out[2], out[3] = _rng.philox(a[0], a[1], a[2], a[3], a[4], a[5])


@kernel
def _block(out, seed, chain, sweep, purpose, colour, index):
    out[0], out[1], out[2], out[3] = _rng.block(seed, chain, sweep, purpose, colour, index)


@kernel
def _words_one_by_one(out, seed, chain, sweep, purpose, colour, first):
    for i in range(out.shape[0]):
        out[i] = _rng.word_at(seed, chain, sweep, purpose, colour, first + i)


@kernel
def _words_at_once(out, seed, chain, sweep, purpose, colour, first):
    _rng.fill_words(out, seed, chain, sweep, purpose, colour, first)


@kernel
def _xoshiro(state, out):
    for i in range(out.shape[0]):
        out[i] = _rng.next_xoshiro(state)


@kernel
def _seeded(state, seed, chain, sweep, purpose):
    _rng.seed_xoshiro(state, seed, chain, sweep, purpose)


@kernel
def _normals(words, out):
    for i in range(out.shape[0]):
        w = words[i]
        out[i, 0], out[i, 1] = _rng.normal_pair(w[0], w[1], w[2], w[3])


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN, ids=["zeros", "ones", "pi"])
@pytest.mark.parametrize("compiled", [True, False])
def test_philox_meets_the_known_answers_of_random123(counter, key, answer, compiled):
    out = np.zeros(4, np.uint64)
    run = _philox if compiled else _philox.py_func
    run(np.array([*counter, *key], np.uint64), out)
    assert [hex(v) for v in out.tolist()] == [hex(v) for v in answer]


def test_an_address_becomes_the_counter_and_key_that_the_docstring_says():
    seed, chain, sweep, purpose, colour, index = 2**63 + 5, 2**32 - 1, 2**39 + 77, 5, 300, 2**31
    words = np.zeros(4, np.uint64)
    _block(words, np.uint64(seed), np.uint32(chain), sweep, purpose, colour, index)
    counter = (
        index,
        sweep % 2**32,
        chain,
        (purpose << 24) | (colour << 8) | (sweep >> 32),
    )
    expected = np.zeros(4, np.uint64)
    _philox(np.array([*counter, seed % 2**32, seed >> 32], np.uint64), expected)
    assert words.tolist() == expected.tolist()


@pytest.mark.parametrize("sweep", [0, 1, 2**32 - 1, 2**32, 2**40 - 1])
@pytest.mark.parametrize("first", [0, 64, 6400, 2**31])
def test_words_filled_together_are_the_words_at_each_position(sweep, first):
    at_once, one_by_one = np.zeros(256, np.uint32), np.zeros(256, np.uint32)
    address = (np.uint64(2**64 - 3), np.uint32(17), sweep, _rng.LOCAL, 1)
    _words_at_once(at_once, *address, first)
    _words_one_by_one(one_by_one, *address, first)
    assert at_once.tolist() == one_by_one.tolist()


def test_the_plain_python_run_gives_the_same_words():
    compiled, plain = np.zeros(128, np.uint32), np.zeros(128, np.uint32)
    address = (np.uint64(2**64 - 3), np.uint32(17), 2**33 + 1, _rng.BONDS, 2)
    _words_at_once(compiled, *address, 64)
    _words_at_once.py_func(plain, *address, 64)
    assert compiled.tolist() == plain.tolist()


def test_no_two_addresses_share_a_block():
    """Neighbouring seeds, chains, sweeps, purposes, colours and indices all differ."""
    words = np.zeros(4, np.uint64)
    seen = set()
    n = 0
    for seed in (1, 2**32, 2**32 + 1):
        for chain in (0, 1):
            for sweep in (0, 1, 256, 2**32):
                for purpose in PURPOSES:
                    for colour in (0, 1, 256):
                        for index in (0, 1):
                            address = (np.uint64(seed), np.uint32(chain), sweep, purpose, colour)
                            _block(words, *address, index)
                            seen.add(tuple(words.tolist()))
                            n += 1
    assert len(seen) == n


def test_words_for_a_batch_are_those_of_each_chain():
    chains = np.array([3, 0, 7], np.uint32)
    batch = _rng.words(5, chains, 11, _rng.HIDDEN, 0, 100)
    alone = np.zeros(128, np.uint32)
    for row, chain in zip(batch, chains, strict=True):
        _words_at_once(alone, np.uint64(5), chain, 11, _rng.HIDDEN, 0, 0)
        assert row.tolist() == alone[:100].tolist()


def test_xoshiro_agrees_with_unbounded_integers():
    """xoshiro256++ 1.0 of Blackman and Vigna, written out with Python's integers."""
    mask = 2**64 - 1

    def rotl(x, k):
        return ((x << k) | (x >> (64 - k))) & mask

    state = np.array([1, 2**63 + 11, 0x9E3779B97F4A7C15, mask], np.uint64)
    s = state.tolist()
    expected = []
    for _ in range(1000):
        expected.append((rotl((s[0] + s[3]) & mask, 23) + s[0]) & mask)
        t = (s[1] << 17) & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)
    out = np.zeros(1000, np.uint64)
    plain_state, plain = state.copy(), np.zeros(1000, np.uint64)
    _xoshiro(state, out)
    assert out.tolist() == expected
    assert state.tolist() == s
    with np.errstate(over="ignore"):
        _xoshiro.py_func(plain_state, plain)
    assert plain.tolist() == expected


def test_xoshiro_is_seeded_from_its_address():
    states = set()
    for address in [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)]:
        state = np.zeros(4, np.uint64)
        _seeded(state, np.uint64(address[0]), np.uint32(address[1]), address[2], _rng.CLUSTER)
        assert state.any()
        states.add(tuple(state.tolist()))
    assert len(states) == 4


@pytest.mark.parametrize(
    ("p", "whole"),
    [
        (0.0, 0),
        (1.0, 2**64 - 1),
        (0.5, 2**63),
        (2.0**-64, 1),
        (2.0**-65, 0),
        (2.0**-11, 2**53),
        (1.0 - 2.0**-53, 2**64 - 2**11),
        (1e-300, 0),
        (0.1, int(0.1 * 2**64)),  # exact: a power of two scales a double without rounding
    ],
)
def test_thresholds_are_exact(p, whole):
    assert int(_rng.thresholds(p)) == whole
    assert _rng.thresholds([p, p]).tolist() == [whole, whole]
    assert _rng.thresholds(p).dtype == np.uint64


def test_thresholds_are_monotonic():
    p = np.sort(np.random.default_rng(0).random(1000) ** 8)
    assert (np.diff(_rng.thresholds(p).astype(object)) >= 0).all()


def test_units_and_normals_have_their_moments(assert_unbiased, seed):
    def run(seed, scale):
        words = _rng.words(seed, np.arange(scale), 0, _rng.LANGEVIN, 0, 80_000).reshape(-1, 4)
        x = np.zeros((len(words), 2))
        _normals(words, x)
        n = len(x)
        moments = [
            (x[:, 0], 0.0),
            (x[:, 0] ** 2, 1.0),
            (x[:, 1] ** 3, 0.0),
            (x[:, 1] ** 4, 3.0),
            (x[:, 0] * x[:, 1], 0.0),
            (x[:, 0] ** 2 * x[:, 1] ** 2, 1.0),
            (words[:, 0] / 2.0**32, 0.5),
        ]
        return np.array([(f.mean() - m) / (f.std() / np.sqrt(n)) for f, m in moments])

    assert_unbiased(run, seed)


def test_seeds_come_from_ints_and_generators():
    assert _rng.seed_from(7) == _rng.seed_from(np.int64(7)) != _rng.seed_from(8)
    assert 0 <= _rng.seed_from(2**200) < 2**64
    generator = np.random.default_rng(1)
    assert _rng.seed_from(generator) != _rng.seed_from(generator)  # a Generator moves on


@pytest.mark.parametrize("rng", [None, -1, 1.5, True, "7", np.random.RandomState(1)])
def test_anything_else_is_no_seed(rng):
    with pytest.raises(InvalidInput, match="rng="):
        _rng.seed_from(rng)
