"""BAOAB: exact in position on a harmonic well at every stable step, and colder in momentum."""

import numpy as np
import pytest
from langevin_laws import BETA, WELL, K, in_batches, normal_law
from statistical import assert_distribution, assert_refuted, wrong_stride

from statmech_ml import _rng
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import langevin
from statmech_ml.models import DoubleWell
from statmech_ml.samplers import BAOAB, baoab

STEP = 1.2  # h^2 k = 2: half of what is stable


@pytest.mark.parametrize("friction", [0.4, 3.0])
def test_positions_are_exact_at_a_long_step(friction, seed):
    assert_distribution(normal_law(BAOAB(STEP, friction=friction), 1 / K), seed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("p -= half * force[i]", "p -= 2.0 * half * force[i]"),
        ("carried[i] = p", "carried[i] = -p"),
        ("self.widths[c] * noise[i]", "self.widths[c] * self.widths[c] * noise[i]"),
    ],
    ids=["kick doubled", "momenta reversed", "noise 1 - c^2"],
)
def test_wrong_moves_are_refuted(right, wrong, seed, monkeypatch):
    monkeypatch.setattr(baoab, "KickDriftRub", wrong_stride(baoab.KickDriftRub, right, wrong))
    assert_refuted(normal_law(BAOAB(STEP, friction=0.4), 1 / K, model=in_batches(WELL)), seed)


def test_noise_sqrt_1_minus_c_is_refuted(seed, monkeypatch):
    def mistaken(self):
        return -np.expm1(-self.friction * np.asarray(self.step_size))

    monkeypatch.setattr(BAOAB, "_variance", mistaken)
    assert_refuted(normal_law(BAOAB(STEP, friction=0.4), 1 / K), seed)


def test_the_kinetic_temperature_is_that_of_the_step(seed, assert_unbiased, assert_rejected):
    def against(exact):
        def run(seed, scale):
            sampler, n = BAOAB(STEP, friction=0.8), 20_000 * scale
            state = sampler.init(WELL, n, seed)
            state, _ = sampler.advance(WELL, state, np.full(n, BETA), 60)
            _, info = sampler.advance(WELL, state, np.full(n, BETA), 1)
            found = info["kinetic_temperature"]
            return (found.mean() - exact) / (found.std() / np.sqrt(n))

        return run

    assert_unbiased(against(langevin.baoab_kinetic_temperature(STEP, K)), seed)
    assert_rejected(against(1.0), seed)


def test_positions_are_those_of_the_textbook():
    """B A O A B with two gradients a move, from momenta after the half kick that was left out."""
    model, h, friction, beta = DoubleWell(tilt=0.3, dim=3), 0.2, 1.5, 0.8
    sampler = BAOAB(h, friction=friction)
    state = sampler.init(model, 5, seed=6)
    after, info = sampler.advance(model, state, np.full(5, beta), 10)
    c = np.exp(-friction * h)
    x = state.x
    p = _rng.normals(6, state.chains, 0, _rng.MOMENTUM, 0, 3)
    p = p - h / 2 * model.reduced_gradient(x, beta)
    squares = 0.0
    for t in range(10):
        squares = squares + (p**2).mean(axis=1) / 10
        w = _rng.normals(6, state.chains, t, _rng.LANGEVIN, 0, 3)
        p = p - h / 2 * model.reduced_gradient(x, beta)
        x = x + h / 2 * p
        p = c * p + np.sqrt(1 - c**2) * w
        x = x + h / 2 * p
        p = p - h / 2 * model.reduced_gradient(x, beta)
    assert after.x == pytest.approx(x, rel=1e-10)
    assert info["kinetic_temperature"] == pytest.approx(squares, rel=1e-10)


@pytest.mark.parametrize("friction", [0.0, -1.0, np.nan, np.inf])
def test_frictions_that_cannot_be(friction):
    with pytest.raises(InvalidInput, match=r"friction=.*HMC does without friction"):
        BAOAB(friction=friction)
