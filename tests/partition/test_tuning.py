"""Steps found in a pilot run: one fixed sampler per lambda, and all of them in one."""

import numpy as np

from statmech_ml import lattices
from statmech_ml.models import Gaussian, HarmonicTrap, Ising
from statmech_ml.partition import Geometric, Switching, Tempering
from statmech_ml.partition._tuning import per_chain, tuned
from statmech_ml.samplers import MALA, ULA, HeatBath, State

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
