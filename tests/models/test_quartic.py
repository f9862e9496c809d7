"""The quartic against its formula, and what it refuses."""

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.models import Gaussian, Quartic


def test_energy_from_the_formula():
    x = np.random.default_rng(0).normal(size=(50, 3))
    expected = (-0.7 * x**2 + 0.4 * x**4 + 0.3 * x).sum(axis=1)
    model = Quartic(dim=3, stiffness=-1.4, anharmonicity=0.4, tilt=0.3)
    assert model.energy(x) == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_without_anharmonicity_it_is_a_gaussian():
    x = np.random.default_rng(1).normal(size=(50, 2))
    harmonic = Quartic(dim=2, stiffness=4.0, anharmonicity=0.0)
    assert harmonic.energy(x) == pytest.approx(Gaussian(stddev=0.5, dim=2).energy(x), rel=1e-13)


@pytest.mark.parametrize(
    "arguments",
    [
        {"anharmonicity": -1.0},
        {"anharmonicity": 0.0, "stiffness": 0.0},
        {"anharmonicity": 0.0, "stiffness": -1.0},
        {"anharmonicity": np.nan},
        {"stiffness": np.inf},
        {"tilt": "a"},
        {"tilt": [0.1, 0.2]},
        {"dim": 0},
        {"dim": 1.5},
    ],
)
def test_energies_without_a_floor_are_refused(arguments):
    with pytest.raises(InvalidInput):
        Quartic(**arguments)
