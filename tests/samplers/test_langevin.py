"""Langevin moves on models that answer in batches: the twin repeats the compiled kernel."""

import numpy as np
import pytest

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.models import DoubleWell, Gaussian, LogDensity
from statmech_ml.samplers import MALA, ULA

MODELS = [
    Gaussian([0.5, -1.0, 0.2], [0.8, 1.2, 0.5]),
    Gaussian([0.5, -1.0], covariance=[[1.0, 0.6], [0.6, 2.0]]),
    DoubleWell(tilt=0.3),
]


def in_batches(model):
    """The same energy and gradient, without compiled arrays."""
    return LogDensity(
        lambda x: -model.energy(x), model.space.size, lambda x: -model.reduced_gradient(x, 1.0)
    )


@pytest.mark.parametrize("sampler", [MALA(0.05, adapt=False), ULA(0.05)], ids=repr)
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_twin_makes_the_moves_of_the_kernel(sampler, model):
    n = 50
    beta = np.linspace(0.3, 1.5, n)
    state = sampler.init(model, n, seed=2**63 + 5)
    state = state._replace(x=0.3 * state.x, sweep=2**33)
    compiled, info = sampler.advance(model, state, beta, 20)
    batched, other = sampler.advance(in_batches(model), state, beta, 20)
    assert batched.x == pytest.approx(compiled.x, rel=1e-10, abs=1e-10)
    for name in info:
        assert other[name] == pytest.approx(info[name], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("sampler", [MALA(0.3, adapt=False), ULA(0.05)], ids=repr)
def test_stopped_and_resumed_it_is_the_same_run(sampler):
    model = in_batches(MODELS[0])
    state = sampler.init(model, 5, seed=3)
    beta = np.ones(5)
    through = sampler.advance(model, state, beta, 9)[0]
    halted = sampler.advance(model, state, beta, 4)[0]
    assert sampler.advance(model, halted, beta, 5)[0].x.tolist() == through.x.tolist()


def test_batches_of_normals_are_those_of_the_kernel():
    """Block i of a stream gives normals 2 i and 2 i + 1, and streams differ by chain."""
    chains = np.array([0, 7, 2**31], np.uint32)
    found = _rng.normals(5, chains, 3, _rng.LANGEVIN, 0, 5)
    assert found.shape == (3, 5)
    for c, chain in enumerate(chains):
        for i in range(3):
            words = _rng.block(np.uint64(5), chain, 3, _rng.LANGEVIN, 0, i)
            pair = _rng.normal_pair(*words)
            assert found[c, 2 * i : 2 * i + 2].tolist() == list(pair)[: 5 - 2 * i]
    assert found[:, :3].tolist() == _rng.normals(5, chains, 3, _rng.LANGEVIN, 0, 3).tolist()


@pytest.mark.parametrize("kind", [MALA, ULA])
@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf, (), [[0.1]], (0.1, 0.0)])
def test_steps_that_cannot_be(kind, step):
    with pytest.raises(InvalidInput, match="positive and finite"):
        kind(step)


@pytest.mark.parametrize("kind", [MALA, ULA])
def test_a_step_per_chain(kind):
    sampler = kind((0.1, 0.2, 0.3))
    model = MODELS[0]
    state = sampler.init(model, 3, seed=1)
    moved = sampler.advance(model, state, np.ones(3), 4)[0].x
    for c, step in enumerate((0.1, 0.2, 0.3)):
        alone = kind(step).advance(model, state, np.ones(3), 4)[0].x
        assert moved[c].tolist() == alone[c].tolist()
    assert sampler.of_chains(np.array([2, 0])).step_size == (0.3, 0.1)
    with pytest.raises(InvalidInput, match="3 entries for 2 chains"):
        sampler.advance(model, sampler.init(model, 2, seed=1), np.ones(2), 4)
