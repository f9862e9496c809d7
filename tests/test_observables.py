"""Observables against sums written out; derived quantities against exact values and mutants."""

import functools
import itertools
import math

import numpy as np
import pytest

from statmech_ml import observables
from statmech_ml.errors import InvalidInput, ShortChain
from statmech_ml.observables import (
    DERIVED,
    correlation_function,
    estimate,
    magnetization,
    staggered_magnetization,
)


def spins(seed, *shape):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), size=shape)


def test_magnetization_does_not_overflow():
    """130 aligned int8 spins: their own type would say -126, and it would say so silently."""
    states = np.ones((2, 3, 130), dtype=np.int8)
    total = magnetization(states)
    assert total.dtype == np.float64
    np.testing.assert_array_equal(total, np.full((2, 3), 130.0))
    assert np.sum(states, axis=-1, dtype=np.int8)[0, 0] == -126


def test_magnetization_of_reals_and_of_one_state():
    np.testing.assert_allclose(magnetization(np.array([0.25, -1.5], dtype=np.float32)), -1.25)
    assert magnetization([1, -1, 1]).shape == ()


def test_staggered_magnetization(seed):
    shape = (4, 3, 2)
    states = spins(seed, 5, 24)
    expected = np.zeros(5)
    for x, y, z in itertools.product(*map(range, shape)):
        expected += (-1) ** (x + y + z) * states.reshape(5, *shape)[:, x, y, z]
    np.testing.assert_array_equal(staggered_magnetization(states, shape), expected)


@pytest.mark.parametrize("shape", [(7,), (4, 6), (3, 5), (2, 3, 4), (1, 5)])
def test_correlation_function_is_its_definition(seed, shape):
    states = spins(seed, 2, 3, math.prod(shape))
    grid = states.reshape(2, 3, *shape).astype(float)
    axes = tuple(range(2, 2 + len(shape)))
    expected = np.empty((2, 3, *shape))
    for r in itertools.product(*map(range, shape)):
        moved = np.roll(grid, [-step for step in r], axis=axes)
        expected[(..., *r)] = np.mean(grid * moved, axis=axes)
    each = correlation_function(states, shape, average=False)
    np.testing.assert_allclose(each, expected, rtol=0, atol=1e-14)
    g = correlation_function(states, shape)
    assert g.shape == shape
    np.testing.assert_allclose(g, expected.mean(axis=(0, 1)), rtol=0, atol=1e-14)
    np.testing.assert_allclose(g.ravel()[0], 1.0)
    sum_rule = magnetization(states) ** 2 / states.shape[-1]
    np.testing.assert_allclose(each.sum(axis=axes), sum_rule, rtol=0, atol=1e-12)


def test_connected_correlation_vanishes_for_independent_spins(seed):
    """Spins up with probability 0.8: G(r != 0) is <s>^2 = 0.36, connected zero."""
    rng = np.random.default_rng(seed)
    states = np.where(rng.random((4000, 64)) < 0.8, 1, -1).astype(np.int8)
    g = correlation_function(states, (8, 8), connected=True)
    error = math.sqrt(1.0 / states.size)  # of G at one r, before anything is subtracted
    assert np.abs(g.ravel()[1:]).max() < 6 * error  # 63 displacements: 63 * 2e-9
    assert correlation_function(states, (8, 8)).ravel()[1] > 0.3


def test_batches_do_not_show(seed, monkeypatch):
    states = spins(seed, 5, 12)
    whole = correlation_function(states, (3, 4))
    each = correlation_function(states, (3, 4), average=False)
    monkeypatch.setattr(observables, "_TRANSFORM_BYTES", 2 * 8 * 12)
    np.testing.assert_allclose(correlation_function(states, (3, 4)), whole, atol=1e-15)
    np.testing.assert_array_equal(correlation_function(states, (3, 4), average=False), each)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation_function(np.ones(12), (3, 5)), "holds 15 sites"),
        (lambda: correlation_function(np.ones(12), ()), "shape"),
        (lambda: correlation_function(np.ones(15), 15), r"shape=15 is not a tuple.*\(length,\)"),
        (lambda: correlation_function(np.ones(12), (3.0, 4)), "whole numbers"),
        (lambda: staggered_magnetization(np.ones(12), "12"), "whole numbers"),
        (lambda: correlation_function(np.ones((0, 12)), (3, 4)), "no states"),
        (lambda: staggered_magnetization(np.ones(12), (13,)), "holds 13 sites"),
        (lambda: magnetization(1.0), "axis of sites"),
        (lambda: magnetization(["up", "down"]), "real numbers"),
    ],
)
def test_bad_states(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


# --- derived quantities: independent spins in a field, every mean known in closed form ------------


N, BETA, FIELD = 12, 0.7, 0.4
T = math.tanh(BETA * FIELD)


def exact_moments():
    """<M^k> and <|M|> of N independent spins, by the binomial distribution; E = -h M."""
    up = np.arange(N + 1)
    weight = np.array([math.comb(N, int(k)) for k in up]) * ((1 + T) / 2) ** up
    weight *= ((1 - T) / 2) ** (N - up)
    m = 2.0 * up - N
    return {k: float(weight @ m**k) for k in (1, 2, 4)} | {"abs": float(weight @ np.abs(m))}


def exact_values():
    moment = exact_moments()
    return {
        "energy_per_site": -FIELD * T,
        "specific_heat": BETA**2 * FIELD**2 * (1 - T**2),
        "magnetization": T,
        "abs_magnetization": moment["abs"] / N,
        "susceptibility": BETA * (moment[2] - moment["abs"] ** 2) / N,
        "binder": 1 - moment[4] / (3 * moment[2] ** 2),
    }


def paramagnet(rng, n_chains=4, n_draws=2000):
    """Each spin keeps its value with probability 1/2, else is drawn afresh: tau of M is 1.5."""
    fresh = np.where(rng.random((n_chains, n_draws, N)) < (1 + T) / 2, 1, -1)
    keep = rng.random((n_chains, n_draws, N)) < 0.5
    keep[:, 0] = False
    latest = np.maximum.accumulate(np.where(keep, 0, np.arange(n_draws)[None, :, None]), axis=1)
    total = magnetization(np.take_along_axis(fresh, latest, axis=1))
    return {"energy": -FIELD * total, "magnetization": total}


def test_every_derived_quantity_is_judged():
    assert set(exact_values()) == set(DERIVED)


def test_derived_quantities_against_exact(seed, assert_unbiased, assert_rejected):
    """Over 40 runs z has mean 0 and standard deviation 1 within 4 errors, for every quantity."""
    exact = exact_values()

    @functools.cache
    def runs(seed, scale):
        rng = np.random.default_rng(seed)
        measured = [paramagnet(rng) for _ in range(40 * scale)]
        return {
            name: [estimate(name, **given, beta=BETA, n_sites=N) for given in measured]
            for name in DERIVED
        }

    def judge(names, answer=lambda name: exact[name]):
        def run(seed, scale):
            z = np.array([[e.z(answer(name)) for e in runs(seed, scale)[name]] for name in names])
            n = z.shape[1]
            spread = (z.std(axis=1, ddof=1) - 1.0) * math.sqrt(2.0 * n)
            return np.concatenate([z.mean(axis=1) * math.sqrt(n), spread])

        return run

    assert_unbiased(judge(DERIVED), seed)
    for name in DERIVED:
        assert_rejected(judge([name], lambda name: -exact[name]), seed)
        assert_rejected(judge([name], lambda name: 2.0 * exact[name]), seed)
        assert_rejected(judge([name], lambda name: N * exact[name]), seed)
    for name in ("specific_heat", "susceptibility"):  # a power of beta lost
        assert_rejected(judge([name], lambda name: exact[name] / BETA), seed)


def test_specific_heat_of_a_huge_lattice_does_not_cancel(seed):
    """E of 2^34 sites, fluctuating by 2^17: E^2 is 3e20 and the variance below its last digit."""
    n_sites = 2**34
    z = np.random.default_rng(seed).normal(size=(4, 2500))
    small = estimate("specific_heat", energy=z, beta=0.5, n_sites=1)
    energy = -1.41 * n_sites + z * math.sqrt(n_sites)
    large = estimate("specific_heat", energy=energy, beta=0.5, n_sites=n_sites)
    assert large.value == pytest.approx(small.value, rel=1e-6)
    assert large.stderr == pytest.approx(small.stderr, rel=1e-6)
    chi = estimate("susceptibility", magnetization=-energy, beta=0.5, n_sites=n_sites)
    assert chi.value == pytest.approx(2 * small.value, rel=1e-6)


def test_binder_limits(seed):
    rng = np.random.default_rng(seed)
    ordered = 1000.0 * rng.choice([-1.0, 1.0], size=(4, 2000)) + rng.normal(size=(4, 2000))
    assert estimate("binder", magnetization=ordered, beta=1.0, n_sites=1000).value == pytest.approx(
        2 / 3, abs=1e-5
    )
    disordered = rng.normal(size=(4, 2000))
    assert abs(estimate("binder", magnetization=disordered, beta=1.0, n_sites=64).z(0.0)) < 4


def test_policy_for_short_chains_is_passed_on(seed):
    walk = np.cumsum(np.random.default_rng(seed).normal(size=200))
    for name in DERIVED:
        given = dict.fromkeys(DERIVED[name].requires, walk)
        with pytest.raises(ShortChain):
            estimate(name, **given, beta=0.5, n_sites=64)
        assert estimate(name, **given, beta=0.5, n_sites=64, on_short="accept").stderr > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "heat"}, "'heat' is not a quantity known here. Known: energy_per_site, specific"),
        ({"name": "binder"}, "'binder' is made from magnetization, but magnetization was not"),
        ({"beta": [0.4, 0.5]}, "one temperature"),
        ({"beta": math.nan}, "not a finite number"),
        ({"n_sites": 0}, "not a number of sites"),
        ({"energy": np.full((2, 50), -128.0)}, "no fluctuation"),
        ({"energy": [1.0, math.nan]}, "energy has 1 of 2 values"),
        ({"beta": 0.0}, "does not respond"),
    ],
)
def test_bad_estimates(changed, message):
    given = {
        "name": "specific_heat",
        "energy": np.random.default_rng(0).normal(size=(2, 500)),
        "beta": 0.5,
        "n_sites": 64,
    }
    with pytest.raises(InvalidInput, match=message):
        estimate(**given | changed)
