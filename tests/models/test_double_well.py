"""The tilted double well against its formula, and what it refuses."""

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.models import DoubleWell


def test_energy_from_the_formula():
    x = np.random.default_rng(0).normal(size=(50, 3))
    well = DoubleWell(barrier=1.5, minimum=0.7, tilt=-0.4, dim=3, stiffness=2.5)
    expected = 1.5 * ((x[:, 0] / 0.7) ** 2 - 1) ** 2 - 0.4 * x[:, 0]
    expected = expected + 1.25 * (x[:, 1:] ** 2).sum(axis=1)
    assert well.energy(x) == pytest.approx(expected, rel=1e-14)


def test_minima_and_barrier():
    well = DoubleWell(barrier=2.0, minimum=0.5)
    assert well.energy([[0.5], [-0.5], [0.0]]) == pytest.approx([0.0, 0.0, 2.0], abs=1e-15)


@pytest.mark.parametrize(
    "arguments",
    [
        {"barrier": 0.0},
        {"barrier": -1.0},
        {"barrier": np.nan},
        {"minimum": 0.0},
        {"stiffness": -2.0},
        {"stiffness": np.inf},
        {"tilt": np.nan},
        {"dim": 0},
        {"barrier": "a"},
        {"minimum": None},
        {"tilt": [1.0, 2.0]},
        {"stiffness": 1j},
    ],
)
def test_unbounded_wells_are_refused(arguments):
    with pytest.raises(InvalidInput):
        DoubleWell(**arguments)
