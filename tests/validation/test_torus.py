"""The transfer matrix with phases against enumeration, and pooled frequencies against their law."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration
from statmech_ml.models import Ising
from validation import torus
from validation.check import judge
from validation.frequencies import frequencies


@pytest.mark.parametrize(("rows", "columns", "J"), [(3, 4, 1.0), (4, 3, 0.7), (4, 4, -0.6)])
def test_distribution_of_the_magnetization(rows, columns, J):
    model = Ising(lattices.square(rows, columns), coupling=J)
    states = enumeration.states(model.space)
    M = states.sum(axis=1, dtype=np.int64)
    law = enumeration.distribution(model, 0.4)
    values, p = torus.magnetization_distribution(rows, columns, 0.4, J)
    expected = [law[value == M].sum() for value in values]
    np.testing.assert_allclose(p, expected, atol=1e-13)


def test_right_and_wrong_frequencies(seed):
    law = np.array([0.5, 0.3, 0.15, 0.0499, 0.0001])
    rng = np.random.default_rng(seed)
    right = rng.choice(5, size=20_000, p=law)
    assert judge([frequencies("right", right, law)]).accepted
    wrong = rng.choice(5, size=20_000, p=[0.45, 0.35, 0.15, 0.0499, 0.0001])
    assert not judge([frequencies("wrong", wrong, law)]).accepted


def test_impossible_state_is_rejected():
    law = np.array([0.5, 0.5, 0.0])
    cells = np.array([0, 1] * 500 + [2])
    assert not judge([frequencies("impossible", cells, law)]).accepted


def test_too_few_draws_are_refused():
    with pytest.raises(InvalidInput, match="Draw more"):
        frequencies("few", np.array([0, 1, 0]), np.array([0.5, 0.5]))
