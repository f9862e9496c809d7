"""The warm-up of MALA hands over a chain in equilibrium, with a step that depends on it no more."""

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square

from statmech_ml.models import DoubleWell
from statmech_ml.samplers import MALA

WELL = DoubleWell(barrier=1.0, minimum=0.5, tilt=1.0)


def first_draws(step_size, burn_in):
    """p-value of the first states after the warm-up, of chains that start in equilibrium."""
    grid, bins = np.linspace(-4, 4, 100_001), 40
    law = np.cumsum(np.exp(-WELL.energy(grid[:, None])))
    law /= law[-1]

    def run(seed, scale):
        n = 40_000 * scale
        x = np.interp(np.random.default_rng(seed).random(n), law, grid)[:, None]
        state = MALA().init(WELL, n, seed, x)
        fixed, state = MALA(step_size).warm_up(WELL, state, np.ones(n), burn_in)
        assert not fixed.adapt
        assert state.sweep == burn_in
        cells = (np.interp(state.x[:, 0], grid, law) * bins).astype(int)
        counts = np.bincount(np.minimum(cells, bins - 1), minlength=bins)
        return {"first draws": chi_square(counts, np.full(bins, 1 / bins))}

    return run


def test_the_first_draw_after_the_warm_up_has_the_exact_distribution(seed):
    assert_distribution(first_draws(0.1, 400), seed)


def test_what_adaptation_does_to_the_first_draw_of_a_short_warm_up_is_seen(seed):
    assert_refuted(first_draws(1.0, 40), seed)


@pytest.mark.parametrize("burn_in", [20, 21, 37, 100])
def test_the_last_quarter_runs_with_the_final_step(burn_in):
    state = MALA().init(WELL, 3, 1)
    steps = []

    class Watched(MALA):
        def advance(self, model, state, beta, n_sweeps, device="cpu"):
            steps.extend([self.step_size] * n_sweeps)
            return super().advance(model, state, beta, n_sweeps, device)

    fixed, _ = Watched().warm_up(WELL, state, np.ones(3), burn_in)
    assert len(steps) == burn_in
    last = steps[-(burn_in // 4) :]
    assert set(last) == {fixed.step_size}
    assert steps[0] != last[0]


def test_too_short_a_warm_up_adapts_nothing():
    state = MALA().init(WELL, 3, 1)
    assert MALA().warm_up(WELL, state, np.ones(3), 19)[0] == MALA()
