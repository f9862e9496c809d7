"""Half sweeps and phases from tables of sums, against matrix products in double precision."""

import numpy as np
import pytest
from scipy.special import expit

from statmech_ml import _rng
from statmech_ml.models import RBM
from statmech_ml.samplers import BlockGibbs, base
from statmech_ml.samplers._cpu import bit_layers
from statmech_ml.samplers._cpu.bit_layers import padded

SIZES = [(1, 1, 1), (3, 5, 63), (17, 16, 64), (20, 130, 65), (33, 67, 129)]


def case(n_rows, n, m, low=0, step=1):
    """Units of a layer, weights and biases; codes and padded biases for the kernels."""
    rng = np.random.default_rng(n_rows)
    x = (low + step * rng.integers(0, 2, (n_rows, n))).astype(np.float32)
    weights = rng.normal(size=(n, m)).astype(np.float32)
    bias = np.zeros(padded(m), np.float32)
    bias[:m] = rng.normal(size=m)
    codes = np.full((n_rows, padded(n) // 4), 255, np.uint8)
    bit_layers.pack(x, low, codes)
    return x, weights, bias, codes


def drawn(codes, weights, step, bias, scale, held, bits):
    """Bits after one call, with the words of seed 9, sweep 4."""
    bits = np.pad(bits.astype(np.int8), ((0, 0), (0, padded(weights.shape[1]) - bits.shape[1])))
    out = np.zeros((len(bits), bits.shape[1] // 4), np.uint8)
    chains = np.arange(len(bits), dtype=np.uint32)
    held = np.pad(held.astype(np.uint8), (0, bits.shape[1] - len(held)), constant_values=1)
    seed, step = np.uint64(9), np.float32(step)
    bit_layers.draw(
        codes, weights, step, bias, scale, seed, chains, 4, _rng.HIDDEN, held, bits, out
    )
    return bits, out


def expected(logits):
    n_rows, m = logits.shape
    words = _rng.words(9, np.arange(n_rows, dtype=np.uint32), 4, _rng.HIDDEN, 0, m)
    u = (words + 0.5) / 2**32
    # A word this close to the threshold may fall on either side in single precision.
    near = np.abs(u - expit(logits)) < 1e-5
    return u < expit(logits), near


@pytest.mark.parametrize(("n_rows", "n", "m"), SIZES)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("step", [1, 2])
def test_draws_by_the_words_of_the_stream(n_rows, n, m, order, step):
    x, weights, bias, codes = case(n_rows, n, m)
    weights = np.asarray(weights, order=order)
    scale = np.linspace(0.3, 2.0, n_rows).astype(np.float32)
    bits, out = drawn(codes, weights, step, bias, scale, np.zeros(m), np.zeros((n_rows, m)))
    logits = scale[:, None].astype(float) * (bias[:m] + step * (x.astype(float) @ weights))
    wanted, near = expected(logits)
    assert ((bits[:, :m] == wanted) | near).all()
    assert near.mean() < 0.01
    assert not bits[:, m:].any()
    again = np.empty_like(out)
    bit_layers.pack(bits, 0, again)
    np.testing.assert_array_equal(out, again)


def test_held_units_stay():
    _, weights, bias, codes = case(33, 67, 129)
    held = np.arange(129) % 3 == 0
    before = np.random.default_rng(5).integers(0, 2, (33, 129))
    one = np.ones(33, np.float32)
    bits, _ = drawn(codes, weights, 1, bias, one, held, before)
    free, _ = drawn(codes, weights, 1, bias, one, 0 * held, before)
    np.testing.assert_array_equal(bits[:, :129], np.where(held, before, free[:, :129]))


def test_rows_do_not_depend_on_their_batch():
    """Bit for bit, as matrix products do not promise."""
    x, weights, bias, codes = case(33, 67, 129)
    sums, alone = np.empty((33, 129), np.float32), np.empty((1, 129), np.float32)
    bit_layers.product(codes, weights, np.float32(1.0), bias, sums)
    bit_layers.product(codes[20:21], weights, np.float32(1.0), bias, alone)
    np.testing.assert_array_equal(sums[20:21], alone)
    np.testing.assert_allclose(sums, x @ weights + bias[:129], atol=1e-4)


@pytest.mark.parametrize(("n_rows", "n", "m"), SIZES)
@pytest.mark.parametrize(("low", "step"), [(0, 1), (-1, 2)])
def test_products_of_the_transpose(n_rows, n, m, low, step):
    """x^T H, where x is low + step bits."""
    x, _, _, _ = case(n_rows, n, m, low, step)
    h = np.random.default_rng(3).normal(size=(n_rows, m)).astype(np.float32)
    codes = np.full((n, padded(n_rows) // 4), 255, np.uint8)
    bit_layers.pack_transposed(x, low, codes)
    base = np.pad(low * h.sum(axis=0), (0, padded(m) - m))
    out = np.empty((n, m), np.float32)
    bit_layers.product(codes, h, np.float32(step), base, out)
    np.testing.assert_allclose(out, x.astype(float).T @ h, atol=2e-5)


@pytest.mark.parametrize(("n_rows", "n", "m"), SIZES)
@pytest.mark.parametrize("scale", [0.5, 40.0])
def test_means_and_log_sums(n_rows, n, m, scale):
    """At the larger scale some log-odds lie in the hundreds."""
    x, weights, bias, codes = case(n_rows, n, m)
    bias[m:] = -np.inf
    out, log_sums = np.empty((n_rows, m), np.float32), np.empty(n_rows)
    bit_layers.means(codes, weights, np.float32(1), bias, np.float32(scale), out, log_sums)
    logits = scale * (bias[:m] + x.astype(float) @ weights)
    rounding = 2.0**-22 * scale * np.abs(weights).sum()  # of the log-odds
    assert (np.abs(out - expit(logits)) < 1e-6 + rounding * expit(logits) * expit(-logits)).all()
    softplus = np.logaddexp(0.0, logits).sum(axis=1)
    np.testing.assert_allclose(log_sums, softplus, rtol=1e-6, atol=rounding * m)


@pytest.mark.parametrize("visible", ["bits", "spins"])
@pytest.mark.parametrize("hidden", ["bits", "spins"])
@pytest.mark.parametrize("clamped", [False, True])
def test_block_gibbs_takes_the_decisions_of_double_precision(visible, hidden, clamped):
    """By the same words, but for a few units in a million at their thresholds."""
    rng = np.random.default_rng(2)
    weights = 0.2 * rng.normal(size=(90, 70))
    rbm = RBM(rng.normal(size=90), rng.normal(size=70), weights, visible, hidden)
    mask = np.arange(90) < 30 if clamped else None
    start = rbm.space.random(7, np.arange(200, dtype=np.uint32)) if clamped else "random"
    beta = np.linspace(0.2, 1.5, 200)
    found = []
    for precision in ("single", "double"):
        sampler = BlockGibbs(precision, clamped=mask)
        state = sampler.init(rbm, 200, 3, start)
        found.append(sampler.advance(rbm, state, beta, 1)[0].x)
    assert found[0].dtype == np.int8
    assert (found[0] != found[1]).mean() < 1e-4
    if clamped:
        np.testing.assert_array_equal(found[0][:, :30], start[:, :30])


def test_threads_and_stops_change_no_bit(monkeypatch):
    rng = np.random.default_rng(2)
    rbm = RBM(rng.normal(size=90), rng.normal(size=70), 0.2 * rng.normal(size=(90, 70)))
    sampler, beta = BlockGibbs(), np.ones(1000)
    state = sampler.init(rbm, 1000, 3)
    found = []
    for n in (1, 3):
        monkeypatch.setattr(base, "thread_count", lambda n=n: n)
        found.append(sampler.advance(rbm, state, beta, 3)[0].x)
    stopped = sampler.advance(rbm, state, beta, 1)[0]
    found.append(sampler.advance(rbm, stopped, beta, 2)[0].x)
    for x in found[1:]:
        np.testing.assert_array_equal(x, found[0])
