"""Replica exchange: detailed balance, exact laws at every rung, swap rates, streams, refusals.

`Still` moves nothing, so with exact draws at every rung all that a check sees are the swaps.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betainc, expit
from scipy.stats import gamma
from statistical import assert_distribution, assert_refuted, chi_square, exact

from statmech_ml import Chain, lattices, sample
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import BernoulliRBM, DoubleWell, Gaussian, Ising
from statmech_ml.samplers import (
    MALA,
    BlockGibbs,
    HeatBath,
    Metropolis,
    ReplicaExchange,
    Sampler,
    State,
    SwendsenWang,
    Wolff,
    base,
    replica_exchange,
)
from statmech_ml.samplers.base import advanced
from statmech_ml.spaces import Bits
from statmech_ml.systems import Model


@dataclass(frozen=True)
class Still(Sampler):
    """No moves at all."""

    stream: ClassVar[str] = "still"

    def check(self, model):
        pass

    def advance(self, model, state, beta, n_sweeps, device="cpu"):
        return advanced(state, state.x, n_sweeps), {}


class Biased(Still):
    invariant = False


def normal(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


RING = Ising(lattices.chain(5), 0.9)
GLASS = Ising(lattices.chain(6), normal(6, seed=4), normal(6, seed=5))
WELL = DoubleWell(barrier=1.0, minimum=0.9, tilt=0.4, dim=2)
# Here the wrong rule, swaps on beta F_1(v), has a cold marginal at a distance of 0.038.
RBM = BernoulliRBM(
    [-1.1, -0.7, -0.8, 0.3],
    [-0.2, 0.1, 0.8],
    [[1.8, 1.0, -1.0], [-1.6, -1.8, -0.7], [-0.1, -2.1, -2.4], [0.7, -4.0, -0.4]],
)
HOT, COLD = 0.285, 1.0


class WrongRBM(BernoulliRBM):
    """Swaps on beta F_1(v), a law that block Gibbs at beta does not leave invariant."""

    def reduced_energy(self, v, beta):
        return np.asarray(beta) * super().reduced_energy(v, 1.0)


WRONG = WrongRBM(RBM.visible_bias, RBM.hidden_bias, RBM.weights)


class Hard(NamedTuple):
    """Independent bits, of which neighbours may not both be 1 at any temperature."""

    size: int

    def energy(self, x):
        total = 0.0
        for i in range(self.size):
            total += x[i]
            if i and x[i] and x[i - 1]:
                return np.inf
        return total

    def reduced_energy(self, x, beta):
        u = self.energy(x)
        return u if u == np.inf else beta * u

    def delta_reduced_energy(self, x, site, value, beta):
        if value and ((site and x[site - 1]) or (site + 1 < self.size and x[site + 1])):
            return np.inf
        return beta * (value - x[site])


HARD = Model(Bits(4), Hard(4))


# --- detailed balance -----------------------------------------------------------------------------


def pairs_of_states(model, n=40):
    """Two slots for every ordered pair of states, or of random points: (2 pairs, size)."""
    if hasattr(model.space, "n_states"):
        states = model.space.from_index(np.arange(model.space.n_states))
        states = states[np.isfinite(model.energy(states))]
    else:
        states = 1.5 * normal(n, model.space.size, seed=9)
    i, j = np.meshgrid(np.arange(len(states)), np.arange(len(states)), indexing="ij")
    return states[np.stack([i.ravel(), j.ravel()], axis=1)].reshape(-1, states.shape[1])


def imbalance(model, low, high, acceptance=None):
    """Largest |log flow(x, y -> y, x) - log flow back| over all pairs of states."""
    x = pairs_of_states(model)
    beta = np.tile([low, high], len(x) // 2)
    lower = np.arange(0, len(x), 2)
    back = x.reshape(-1, 2, x.shape[1])[:, ::-1].reshape(x.shape)
    acceptance = acceptance or replica_exchange._acceptance

    def log_flow(states):
        u = model.reduced_energy(states, beta).reshape(-1, 2).sum(axis=1)
        return np.log(acceptance(model, states, beta, lower)) - u

    return np.abs(log_flow(x) - log_flow(back)).max()


@pytest.mark.parametrize("model", [RING, GLASS, WELL, RBM, RBM.joint(), HARD], ids=repr)
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.7), (0.4, 0.9), (1.3, 0.2)])
def test_swaps_are_in_detailed_balance(model, low, high):
    if model is WELL and low == 0.0:
        low = 0.1
    assert imbalance(model, low, high) < 1e-11


def test_detailed_balance_of_wrong_rules_is_broken():
    right = replica_exchange._acceptance
    rules = {
        "sign": lambda m, x, b, k: right(m, x, b.reshape(-1, 2)[:, ::-1].reshape(-1), k),
        "always": lambda m, x, b, k: np.ones(len(k)),
        "another pair's beta": lambda m, x, b, k: right(m, x, np.where(b == b[1], 1.1 * b, b), k),
        "beta F_1": lambda m, x, b, k: right(WRONG, x, b, k),
    }
    for name, rule in rules.items():
        assert imbalance(RBM, 0.4, 0.9, rule) > 0.01, name


def test_an_rbm_swaps_on_its_free_energy_at_beta():
    x = pairs_of_states(RBM)
    beta = np.tile([HOT, COLD], len(x) // 2)
    found = replica_exchange._acceptance(RBM, x, beta, np.arange(0, len(x), 2))
    i, j = x[::2], x[1::2]

    def weight(v, b):
        h = np.array(list(product([0, 1], repeat=3)))
        e = RBM.joint_energy(np.repeat(v[:, None], 8, axis=1), np.broadcast_to(h, (len(v), 8, 3)))
        return np.exp(-b * e).sum(axis=1)

    ratio = weight(j, HOT) * weight(i, COLD) / (weight(i, HOT) * weight(j, COLD))
    assert np.allclose(found, np.minimum(1.0, ratio), rtol=1e-12)


def test_energies_are_asked_for_once_a_swap():
    class Counting:
        def __init__(self):
            self.calls = 0

        def reduced_energy(self, x, beta):
            self.calls += 1
            return RING.reduced_energy(x, beta)

    model = Counting()
    x = RING.space.random(1, np.arange(8, dtype=np.uint32))
    state = State(x, 1, np.arange(8, dtype=np.uint32), 0)
    ReplicaExchange(Still()).advance(model, state, np.tile([0.1, 0.2, 0.3, 0.4], 2), 6)
    assert model.calls == 6


# --- infinite energies ----------------------------------------------------------------------------


@pytest.mark.parametrize("forbidden", [(True, True), (True, False), (False, True)])
def test_forbidden_states_never_swap_by_accident(forbidden):
    """inf - inf says nothing, and must not accept."""
    x = np.array([[1, 1, 0, 0] if bad else [1, 0, 0, 1] for bad in forbidden], np.int8)
    p = replica_exchange._acceptance(HARD, x, np.array([0.5, 1.0]), np.array([0]))
    assert p.tolist() == [0.0]


def test_a_swap_into_what_one_beta_forbids_is_rejected_and_out_of_it_accepted():
    class Wall:
        def reduced_energy(self, x, beta):
            return np.where((x[..., 0] > 0) & (np.asarray(beta) > 0.5), np.inf, 0.0)

    for x, p in (([[1], [0]], 0.0), ([[0], [1]], 1.0)):
        found = replica_exchange._acceptance(
            Wall(), np.array(x), np.array([0.2, 0.8]), np.array([0])
        )
        assert found.tolist() == [p]


def test_energies_that_are_not_numbers_never_swap():
    class Broken:
        def reduced_energy(self, x, beta):
            return np.full(np.shape(beta), np.nan)

    x = np.zeros((2, 1))
    found = replica_exchange._acceptance(Broken(), x, np.array([0.2, 0.8]), np.array([0]))
    assert found.tolist() == [0.0]


def test_a_model_with_a_hard_core_runs():
    chain = sample(
        HARD, ReplicaExchange(HeatBath()), beta=[0.0, 0.5, 1.0], n_draws=200, rng=1, start=[0] * 4
    )
    assert np.isfinite(chain.energy).all()


# --- the laws of all rungs ------------------------------------------------------------------------

# Case -> model, inner sampler, ladder, sweeps from a random start.
CASES = {
    "ring": (RING, HeatBath(), (0.2, 0.5, 0.9), 24),
    "descending": (RING, Wolff(), (0.9, 0.5, 0.2), 24),
    "glass": (GLASS, Metropolis(), (0.3, 0.6, 0.8, 1.1), 40),
    "rbm": (RBM, BlockGibbs(), (HOT, COLD), 24),
    "double well": (WELL, MALA(0.15, adapt=False), (0.7, 1.2, 1.8), 200),
    "hard core": (HARD, HeatBath(), (0.0, 0.7, 1.5), 30),
}


def p_values(model, ladder, x):
    """Chi-square of the states at every rung, x (ladder, level, size)."""
    found = {}
    for k, beta in enumerate(ladder):
        states = x[:, k]
        if hasattr(model.space, "n_states"):
            counts = np.bincount(model.space.index(states), minlength=model.space.n_states)
            found[f"beta {beta}"] = chi_square(counts, exact(model, beta).probability)
            continue
        grid = np.linspace(-8, 8, 100_001)
        for i in range(states.shape[1]):
            points = np.zeros((len(grid), model.space.size))
            points[:, i] = grid
            density = np.exp(-model.reduced_energy(points, beta))
            cumulative = np.cumsum(density) / density.sum()
            cells = np.minimum((np.interp(states[:, i], grid, cumulative) * 40).astype(int), 39)
            found[f"beta {beta}, x{i}"] = chi_square(
                np.bincount(cells, minlength=40), np.full(40, 1 / 40)
            )
    return found


def check(case, swap_every=1, swaps_with=None, n_ladders=10_000):
    model, inner, ladder, n_sweeps = CASES[case]

    def run(seed, scale):
        exchange = ReplicaExchange(inner, swap_every)
        n = n_ladders * scale
        state = exchange.init(model, n * len(ladder), seed)
        if model is WELL:
            state = state._replace(x=0.3 * state.x)
        if model is HARD:
            state = state._replace(x=np.zeros_like(state.x))
        state, _ = exchange.advance(swaps_with or model, state, np.tile(ladder, n), n_sweeps)
        return p_values(model, ladder, state.x.reshape(n, len(ladder), -1))

    return run


@pytest.mark.parametrize("case", CASES)
def test_final_states_have_the_exact_law_at_every_rung(case, seed):
    assert_distribution(check(case, swap_every=1 if case != "glass" else 3), seed)


def still(model, ladder, n_swaps=5, n_ladders=10_000):
    """Exact draws at every rung, then swaps alone."""

    def run(seed, scale):
        rng = np.random.default_rng(seed)
        n = n_ladders * scale
        at_rung = [
            model.space.from_index(
                rng.choice(model.space.n_states, n, p=exact(model, beta).probability)
            )
            for beta in ladder
        ]
        x = np.stack(at_rung, axis=1).reshape(n * len(ladder), -1)
        state = State(x, seed, np.arange(len(x), dtype=np.uint32), 0)
        state, _ = ReplicaExchange(Still()).advance(model, state, np.tile(ladder, n), n_swaps)
        return p_values(model, ladder, state.x.reshape(n, len(ladder), -1))

    return run


@pytest.mark.parametrize("model", [RING, GLASS, RBM], ids=repr)
def test_swaps_alone_keep_exact_draws_exact(model, seed):
    assert_distribution(still(model, (0.3, 0.6, 0.9, 1.1)), seed)


MUTANTS = {
    "wrong sign": lambda right: (
        lambda m, x, b, k: right(m, x, np.ascontiguousarray((b.max() + b.min()) - b), k)
    ),
    "always accept": lambda right: lambda m, x, b, k: np.ones(len(k)),
    "energies at the wrong rung": lambda right: lambda m, x, b, k: right(m, x, b[::-1].copy(), k),
    "half of the log ratio": lambda right: lambda m, x, b, k: np.sqrt(right(m, x, b, k)),
}


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("model", [RING, GLASS, RBM], ids=repr)
def test_wrong_swaps_are_refuted(name, model, seed, monkeypatch):
    wrong = MUTANTS[name](replica_exchange._acceptance)
    monkeypatch.setattr(replica_exchange, "_acceptance", wrong)
    assert_refuted(still(model, (0.3, 0.6, 0.9, 1.1)), seed)


@pytest.mark.parametrize("name", ["wrong sign", "always accept"])
@pytest.mark.parametrize("case", ["ring", "rbm", "double well"])
def test_wrong_swaps_between_moves_are_refuted(name, case, seed, monkeypatch):
    wrong = MUTANTS[name](replica_exchange._acceptance)
    monkeypatch.setattr(replica_exchange, "_acceptance", wrong)
    assert_refuted(check(case), seed)


# --- the RBM --------------------------------------------------------------------------------------


def block_gibbs_matrix(beta):
    """P(v -> v'), (16, 16), by summing over the hidden states."""
    v = RBM.space.from_index(np.arange(16))
    h = np.array(list(product([0, 1], repeat=3)))
    up = expit(RBM.hidden_logits(v, np.full(16, beta)))[:, None]
    down = expit(RBM.visible_logits(h, np.full(8, beta)))[:, None]
    return np.where(h == 1, up, 1 - up).prod(axis=-1) @ np.where(v == 1, down, 1 - down).prod(-1)


def stationary_cold_marginal(model):
    """The law of the cold slot, from the transition matrix of both slots: sweep, then swap."""
    hot, cold = np.divmod(np.arange(256), 16)
    v = RBM.space.from_index(np.stack([hot, cold], axis=1).ravel())
    beta = np.tile([HOT, COLD], 256)
    accept = replica_exchange._acceptance(model, v, beta, np.arange(0, 512, 2))
    swap = np.diag(1.0 - accept)
    swap[np.arange(256), 16 * cold + hot] += accept
    matrix = np.kron(block_gibbs_matrix(HOT), block_gibbs_matrix(COLD)) @ swap
    equations = np.vstack([(matrix.T - np.eye(256))[1:], np.ones(256)])
    return np.linalg.solve(equations, np.eye(256)[-1]).reshape(16, 16).sum(axis=0)


def test_the_cold_marginal_of_an_rbm_is_stationary_and_the_wrong_rule_is_0038_off():
    right = exact(RBM, COLD).probability
    assert np.abs(stationary_cold_marginal(RBM) - right).max() < 1e-13
    assert 0.5 * np.abs(stationary_cold_marginal(WRONG) - right).sum() == pytest.approx(
        0.038, abs=0.0005
    )


def test_the_wrong_rule_of_an_rbm_is_refuted(seed):
    """The same chi-square that `test_final_states...[rbm]` passes."""
    assert_refuted(check("rbm", swaps_with=WRONG), seed)


# --- how often harmonic wells swap ----------------------------------------------------------------


def harmonic_acceptance(dim, low, high):
    """Harmonic wells in d dimensions, where beta E is Gamma(d/2) distributed at every beta.

    D = (high - low)(E_cold - E_hot) accepts E_hot < E_cold, and detailed balance makes the rest as
    frequent: a = 2 P(E_hot < E_cold) = 2 I_p(d/2, d/2), p = low / (low + high), I the regularised
    incomplete beta function. Kofke (2002), doi:10.1063/1.1507776; Predescu, Predescu and Ciobanu
    (2004), doi:10.1063/1.1644093.
    """
    return 2.0 * float(betainc(dim / 2, dim / 2, low / (low + high)))


@pytest.mark.parametrize("dim", [1, 2, 3, 10])
@pytest.mark.parametrize(("low", "high"), [(0.5, 0.6), (1.0, 2.5)])
def test_the_closed_form_is_the_integral_of_the_acceptance(dim, low, high):
    hot, cold = gamma(dim / 2, scale=1.0 / low), gamma(dim / 2, scale=1.0 / high)

    def density(law, root):  # of the square root, which has no pole at zero for dim = 1
        return 2.0 * root * law.pdf(root * root) if root > 0.0 else 0.0

    def of_hot(root):
        e_hot = root * root
        uphill, _ = quad(
            lambda s: density(cold, s) * np.exp((high - low) * (s * s - e_hot)), 0.0, root
        )
        return density(hot, root) * (cold.sf(e_hot) + uphill)

    integral, _ = quad(of_hot, 0.0, np.sqrt(hot.ppf(1.0 - 1e-15)), epsabs=1e-11)
    assert integral == pytest.approx(harmonic_acceptance(dim, low, high), abs=1e-8)


def wells(seed, scale, dims=(1, 2, 5, 20), rungs=((0.5, 0.7), (1.0, 2.5))):
    """z of the measured acceptance of each pair against the closed form."""
    z = []
    for dim, (low, high) in product(dims, rungs):
        model = Gaussian(mean=normal(dim, seed=1), stddev=np.exp(normal(dim, seed=2)))
        n = 4000 * scale
        chains = np.arange(2 * n, dtype=np.uint32)
        beta = np.tile([low, high], n)
        x = model.mean + (model.draws(seed, chains) - model.mean) / np.sqrt(beta)[:, None]
        _, info = ReplicaExchange(Still()).advance(model, State(x, seed, chains, 0), beta, 1)
        rates = info["swap_acceptance"][::2]
        error = rates.std(ddof=1) / np.sqrt(n)
        z.append((rates.mean() - harmonic_acceptance(dim, low, high)) / error)
    return np.array(z)


def test_harmonic_wells_swap_as_often_as_the_closed_form_says(assert_unbiased, seed):
    assert_unbiased(wells, seed)


@pytest.mark.parametrize("name", ["energies at the wrong rung", "half of the log ratio"])
def test_wrong_acceptances_of_harmonic_wells_are_rejected(name, assert_rejected, seed, monkeypatch):
    wrong = MUTANTS[name](replica_exchange._acceptance)
    monkeypatch.setattr(replica_exchange, "_acceptance", wrong)
    assert_rejected(wells, seed)


def test_swaps_are_decided_with_the_probability_that_is_reported(assert_unbiased, seed):
    def run(seed, scale):
        n = 20_000 * scale
        x = RING.space.random(seed, np.arange(2 * n, dtype=np.uint32))
        state = State(x, seed, np.arange(2 * n, dtype=np.uint32), 0)
        _, info = ReplicaExchange(Still()).advance(RING, state, np.tile([0.3, 0.9], n), 1)
        p = info["swap_acceptance"][::2]
        happened = info["replica"][::2] != np.arange(0, 2 * n, 2)
        return np.array([(happened - p).sum() / np.sqrt((p * (1 - p)).sum())])

    assert_unbiased(run, seed)


# --- what is watched ------------------------------------------------------------------------------


def test_replica_says_where_each_configuration_was():
    n = 12
    x = np.arange(n, dtype=np.float64)[:, None]
    state = State(x, 3, np.arange(n, dtype=np.uint32), 0)
    beta = np.tile([0.1, 0.11, 0.12, 0.13], 3)
    for n_sweeps in (1, 2, 7):
        new, info = ReplicaExchange(Still()).advance(Gaussian(), state, beta, n_sweeps)
        assert info["replica"].dtype == np.int64
        assert np.array_equal(new.x[:, 0], state.x[info["replica"], 0])
        assert np.array_equal(info["replica"] // 4, np.arange(n) // 4), "ladders do not mix"
        state = new
    assert not np.array_equal(state.x[:, 0], np.arange(n))


def test_even_and_odd_pairs_take_turns():
    state = ReplicaExchange(Still()).init(RING, 5, 1)
    beta = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    tried = []
    for _ in range(4):
        state, info = ReplicaExchange(Still()).advance(RING, state, beta, 1)
        tried.append(np.flatnonzero(np.isfinite(info["swap_acceptance"])).tolist())
    assert tried == [[1, 3], [0, 2], [1, 3], [0, 2]]


def test_two_rungs_meet_every_time():
    state = ReplicaExchange(Still()).init(RING, 4, 1)
    for _ in range(3):
        state, info = ReplicaExchange(Still()).advance(RING, state, np.tile([0.1, 0.2], 2), 1)
        assert np.isfinite(info["swap_acceptance"]).tolist() == [True, False, True, False]


def test_swaps_happen_when_the_sweep_number_is_a_multiple():
    exchange, beta = ReplicaExchange(Still(), swap_every=3), np.array([0.1, 0.2])
    state = exchange.init(RING, 2, 1)
    swapped = []
    for _ in range(9):
        state, info = exchange.advance(RING, state, beta, 1)
        swapped.append(bool(np.isfinite(info["swap_acceptance"][0])))
    assert swapped == [False, False, True] * 3


def test_no_sweeps_change_nothing():
    exchange, beta = ReplicaExchange(Metropolis()), np.array([0.1, 0.2])
    state = exchange.init(RING, 2, 1)
    state = exchange.advance(RING, state, beta, 4)[0]
    new, info = exchange.advance(RING, state, beta, 0)
    assert np.array_equal(new.x, state.x)
    assert new.sweep == 4
    assert info["replica"].tolist() == [0, 1]
    assert np.isnan(info["swap_acceptance"]).all()


def test_the_inner_samplers_info_is_the_mean_over_sweeps():
    beta = np.array([0.1, 0.11, 0.12])
    one = ReplicaExchange(Metropolis())
    state = one.init(RING, 3, 1)
    _, whole = one.advance(RING, state, beta, 8)
    parts = []
    for _ in range(8):
        state, info = one.advance(RING, state, beta, 1)
        parts.append(info["acceptance"])
    assert np.allclose(whole["acceptance"], np.mean(parts, axis=0), rtol=1e-14)
    assert 0.0 < whole["acceptance"].min() < whole["acceptance"].max() <= 1.0


# --- streams --------------------------------------------------------------------------------------

RUNS = {
    "heat bath": (ReplicaExchange(HeatBath()), Ising(lattices.square(4, 6), 0.8, 0.1)),
    "metropolis": (ReplicaExchange(Metropolis(), 3), GLASS),
    "clusters": (ReplicaExchange(SwendsenWang(), 2), RING),
    "block": (ReplicaExchange(BlockGibbs()), RBM),
    "mala": (ReplicaExchange(MALA((0.1, 0.09, 0.08, 0.07, 0.06, 0.05)), 4), WELL),
}
BETA = np.tile([0.3, 0.6, 0.9], 2)
NAMES = pytest.mark.parametrize("name", RUNS)


@NAMES
def test_a_run_stopped_at_any_sweep_continues_bit_for_bit(name):
    sampler, model = RUNS[name]
    start = sampler.init(model, 6, seed=77)
    kept = start.x.copy()
    whole, info = sampler.advance(model, start, BETA, 13)
    for stop in range(14):
        part, first = sampler.advance(model, start, BETA, stop)
        rest, second = sampler.advance(model, part, BETA, 13 - stop)
        assert rest.x.tobytes() == whole.x.tobytes()
        assert rest.sweep == 13
        assert np.array_equal(first["replica"][second["replica"]], info["replica"])
    assert np.array_equal(start.x, kept)


@NAMES
def test_threads_change_nothing(name, monkeypatch):
    sampler, model = RUNS[name]
    start = sampler.init(model, 6, seed=5)
    alone, _ = sampler.advance(model, start, BETA, 10)
    monkeypatch.setattr(base, "_WORTH_THREADS", 0)
    monkeypatch.setattr(base, "thread_count", lambda: 2)
    together, _ = sampler.advance(model, start, BETA, 10)
    assert alone.x.tobytes() == together.x.tobytes()


@NAMES
def test_a_ladder_does_not_depend_on_its_company(name):
    sampler, model = RUNS[name]
    if name == "block":
        pytest.skip("matrix products promise bits for a fixed batch only")
    start = sampler.init(model, 6, seed=9)
    together, _ = sampler.advance(model, start, BETA, 8)
    second = np.arange(3, 6)
    half = start._replace(x=start.x[second], chains=start.chains[second])
    alone, _ = sampler.of_chains(second).advance(model, half, BETA[second], 8)
    assert alone.x.tobytes() == together.x[second].tobytes()


SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:]
from test_replica_exchange import digests
print(digests())
"""


def digests():
    """Name -> digest of the configurations and of all that is watched."""
    found = {}
    for name, (sampler, model) in RUNS.items():
        state, info = sampler.advance(model, sampler.init(model, 6, seed=2**63 + 1), BETA, 9)
        data = state.x.tobytes() + b"".join(values.tobytes() for values in info.values())
        found[name] = hashlib.sha256(data).hexdigest()
    return json.dumps(found)


def test_the_plain_python_run_in_another_process_is_the_compiled_one_bit_for_bit():
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here), str(here.parent)],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digests()


def test_the_stream_names_the_inner_stream():
    names = {ReplicaExchange(inner).stream for inner in (HeatBath(), Metropolis(), MALA())}
    assert len(names) == 3
    assert all(name.startswith("replica-exchange/") for name in names)


# --- chains ---------------------------------------------------------------------------------------


def same(a, b):
    return (
        np.array_equal(a.energy, b.energy)
        and np.array_equal(a.final.x, b.final.x)
        and a.final.sweep == b.final.sweep
        and a.sampler == b.sampler
        and a.info.keys() == b.info.keys()
        and all(
            np.array_equal(a.info[k], b.info[k], equal_nan=True)
            and a.info[k].dtype == b.info[k].dtype
            for k in a.info
        )
    )


@pytest.mark.parametrize(
    ("model", "sampler"),
    [
        (RING, ReplicaExchange(HeatBath())),
        (WELL, ReplicaExchange(MALA(), 2)),
        (RBM, ReplicaExchange(BlockGibbs())),
    ],
    ids=["heat bath", "mala", "block"],
)
def test_a_chain_saves_loads_and_goes_on(model, sampler, tmp_path):
    run = {"beta": BETA, "thin": 3}
    whole = sample(model, sampler, n_draws=9, burn_in=41, rng=4, **run)
    part = sample(model, sampler, n_draws=4, burn_in=41, rng=4, **run)
    part.save(tmp_path / "part.zarr")
    loaded = Chain.load(tmp_path / "part.zarr")
    assert same(loaded, part)
    assert loaded.info["replica"].dtype == np.int64
    rest = sample(model, loaded.sampler, n_draws=5, start=loaded.final, **run)
    assert np.array_equal(np.hstack([part.energy, rest.energy]), whole.energy)
    assert np.array_equal(rest.final.x, whole.final.x)


def test_samplers_of_ones_own_inside_are_asked_for(tmp_path):
    chain = sample(RING, ReplicaExchange(Still()), beta=[0.1, 0.2], n_draws=3, burn_in=0, rng=1)
    chain.save(tmp_path / "mine.zarr")
    with pytest.raises(Exception, match="Still"):
        Chain.load(tmp_path / "mine.zarr")
    loaded = Chain.load(tmp_path / "mine.zarr", samplers={"Still": Still})
    assert loaded.sampler == ReplicaExchange(Still())


def test_each_beta_has_its_estimates(assert_unbiased, seed):
    """One long ladder and two more: the errors of a slot's series hold though replicas travel."""
    ladder = [0.2, 0.5, 0.9]

    def run(seed, scale):
        chain = sample(
            RING, ReplicaExchange(HeatBath()), beta=np.tile(ladder, 3), n_draws=3000 * scale,
            rng=seed, keep_states=False,
        )  # fmt: skip
        z = []
        for beta in ladder:
            law = exact(RING, beta)
            found = chain.at(beta).estimate("energy")
            z.append((found.value - law.probability @ law.energy) / found.stderr)
        return np.array(z)

    assert_unbiased(run, seed)


def test_the_warm_up_tunes_every_slot_and_then_stands():
    chain = sample(
        WELL, ReplicaExchange(MALA(), 2), beta=np.tile([0.1, 1.0, 8.0], 4), n_draws=20,
        burn_in=400, rng=1,
    )  # fmt: skip
    inner = chain.sampler.sampler
    steps = np.reshape(inner.step_size, (4, 3)).mean(axis=0)
    assert chain.sampler.swap_every == 2
    assert not inner.adapt
    assert steps[0] > steps[1] > steps[2]
    assert chain.final.sweep == 420
    one = chain.at(8.0)
    assert one.sampler.sampler.step_size == inner.step_size[2::3]


def test_one_rung_goes_on_with_the_inner_sampler():
    chain = sample(RING, ReplicaExchange(HeatBath()), beta=BETA, n_draws=5, rng=1)
    rung = chain.at(0.6)
    with pytest.raises(InvalidInput, match="use the inner sampler"):
        sample(RING, rung.sampler, beta=0.6, n_draws=2, start=rung.final)
    more = sample(RING, rung.sampler.sampler, beta=0.6, n_draws=2, start=rung.final)
    assert more.n_chains == 2


def test_the_burn_in_exchanges_where_nothing_adapts():
    exchange = ReplicaExchange(Still())
    state = exchange.init(GLASS, 6, 1)
    sampler, warm = exchange.warm_up(GLASS, state, BETA, 9)
    assert sampler == exchange
    assert np.array_equal(warm.x, exchange.advance(GLASS, state, BETA, 9)[0].x)
    assert not np.array_equal(warm.x, state.x)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beta", "advice"),
    [
        ([0.5, 0.5, 0.5], "nothing to exchange"),
        ([0.5], "nothing to exchange"),
        ([0.1, 0.2, 0.1], "np.tile"),
        ([0.1, 0.1, 0.2, 0.2], "np.tile"),
        ([0.1, 0.2, 0.2, 0.1], "np.tile"),
        ([0.1, 0.2, 0.3, 0.1, 0.3, 0.2], "np.tile"),
        ([0.1, 0.3, 0.2], "Sort it"),
        ([0.3, 0.1, 0.2, 0.3, 0.1, 0.2], "Sort it"),
    ],
)
def test_betas_that_are_no_ladder_are_refused(beta, advice):
    for burn_in in (0, 5):
        with pytest.raises(InvalidInput, match=advice):
            sample(
                RING, ReplicaExchange(HeatBath()), beta=beta, n_draws=1000, burn_in=burn_in,
                rng=1, keep_states=False,
            )  # fmt: skip


@pytest.mark.parametrize("beta", [[0.1, 0.2], [0.2, 0.1], [0.0, 0.5, 1.0] * 4, [0.1, 0.2] * 1000])
def test_copies_of_a_monotone_ladder_are_taken(beta):
    assert replica_exchange.levels(np.array(beta)) == len(set(beta))


@pytest.mark.parametrize("inner", [HeatBath, None, "HeatBath()", 3, ReplicaExchange(HeatBath())])
def test_what_is_no_inner_sampler_is_refused(inner):
    with pytest.raises(InvalidInput, match=r"e\.g\. ReplicaExchange\(HeatBath\(\)\)"):
        ReplicaExchange(inner)


def test_unadjusted_moves_are_refused():
    with pytest.raises(InvalidInput, match="MALA"):
        ReplicaExchange(Biased())


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", True, None, np.nan, [1]])
def test_swap_every_must_count(every):
    with pytest.raises(InvalidInput, match="swap_every"):
        ReplicaExchange(HeatBath(), every)


def test_models_are_refused_by_the_inner_sampler():
    with pytest.raises(MissingCapability, match="MALA needs"):
        sample(RING, ReplicaExchange(MALA()), beta=[0.1, 0.2], n_draws=2, rng=1)


def test_devices_are_those_of_the_inner_sampler():
    assert ReplicaExchange(HeatBath()).devices == HeatBath().devices
    with pytest.raises(InvalidInput, match="does not run on 'cuda'"):
        sample(RING, ReplicaExchange(Wolff()), beta=[0.1, 0.2], n_draws=2, rng=1, device="cuda")
