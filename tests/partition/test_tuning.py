"""Steps found in a pilot run: one fixed sampler per lambda, and all of them in one."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.models import Gaussian, HarmonicTrap, Ising
from statmech_ml.partition import Geometric, Switching, Tempering
from statmech_ml.partition._tuning import per_chain, tuned
from statmech_ml.samplers import HMC, MALA, ULA, HeatBath, State

LAMS = np.linspace(0.0, 1.0, 31)


def test_steps_shrink_with_the_law():
    """From width 1 to width 1/10 the step that accepts 57% shrinks, about as the square of it."""
    path = Geometric(Gaussian(dim=3), Gaussian(0.0, 0.1, dim=3), sampler=MALA(step_size=7.0))
    samplers, sweeps = tuned(path, LAMS, seed=1)
    assert len(samplers) == len(LAMS)
    assert not any(sampler.adapt for sampler in samplers)
    steps = np.array([sampler.step_size for sampler in samplers])
    assert 30 < steps[0] / steps[-1] < 300
    assert sweeps > 0
    again, _ = tuned(path, LAMS, seed=1)
    assert again == samplers
    assert tuned(path, LAMS, seed=2)[0] != samplers


def test_masses_follow_the_law():
    """From equal widths to widths 100 apart in one coordinate: its mass grows, steps suit it."""
    end = Gaussian(0.0, [0.02, 2.0])
    path = Geometric(Gaussian(dim=2), end, sampler=HMC(n_steps=5))
    samplers, _ = tuned(path, LAMS, seed=1)
    masses = np.array([sampler.mass for sampler in samplers])
    assert masses.shape == (len(LAMS), 2)
    assert masses.prod(axis=1) == pytest.approx(1.0)
    ratio = masses[:, 0] / masses[:, 1]
    assert 0.3 < ratio[0] < 3.0
    assert ratio[-1] > 100.0  # 10,000 is best
    assert not any(sampler.adapt for sampler in samplers)
    mixed = per_chain(samplers[::10], 2)
    chains = np.arange(8, dtype=np.uint32)
    state = State(path.sample_reference(1, chains), 1, chains, 0)
    lams = np.tile(LAMS[::10], 2)
    together, _ = path.advance(state, lams, 3, mixed)
    for k, sampler in enumerate(samplers[::10]):
        alone, _ = path.advance(state, lams, 3, sampler)
        np.testing.assert_array_equal(together.x[k::4], alone.x[k::4])


def test_nothing_to_tune():
    for path in (
        Tempering(Ising(lattices.chain(4)), 0.5),
        Switching(HarmonicTrap((1.0, 4.0)), ULA(0.1)),
        Geometric(Gaussian(), Gaussian(0.5, 0.5), sampler=MALA(0.3, adapt=False)),
    ):
        assert tuned(path, LAMS, seed=1) == ([path.sampler] * len(LAMS), 0)


def test_one_sampler_for_chains_of_all_levels():
    """Chain r K + k moves as the sampler of level k moves it."""
    path = Geometric(Gaussian(), Gaussian(0.0, 0.5))
    samplers = [MALA(0.1, adapt=False), MALA(0.2, adapt=False), MALA(0.4, adapt=False)]
    chains = np.arange(6, dtype=np.uint32)
    state = State(path.sample_reference(1, chains), 1, chains, 0)
    lams = np.tile([0.0, 0.5, 1.0], 2)
    together, _ = path.advance(state, lams, 4, per_chain(samplers, 2))
    for k, sampler in enumerate(samplers):
        alone, _ = path.advance(state, lams, 4, sampler)
        np.testing.assert_array_equal(together.x[k::3], alone.x[k::3])
    assert per_chain([HeatBath()] * 3, 2) == HeatBath()
    assert per_chain([samplers[0]] * 3, 2) == samplers[0]
