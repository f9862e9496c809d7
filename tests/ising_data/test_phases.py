"""Phase labels follow exact critical temperatures, and say "unknown" where there are none."""

import math

import pytest

from ising_data import PHASES, Spec, critical_temperature
from ising_data.phases import phase_codes
from statmech_ml.exact import onsager


def make(lattice, **changes):
    return Spec(
        lattice,
        changes.pop("size", 6),
        **({"temperatures": 2.0, "samples": 4, "seed": 1} | changes),
    )


@pytest.mark.parametrize(
    ("lattice", "sinh_condition"),
    [
        # Each T_c solves its lattice's textbook equation; K = 1 / T_c.
        ("square", lambda K: math.sinh(2 * K) ** 2 - 1),
        ("triangular", lambda K: math.exp(4 * K) - 3),
        ("honeycomb", lambda K: math.cosh(2 * K) - 2),
    ],
)
def test_critical_temperatures(lattice, sinh_condition):
    assert abs(sinh_condition(1 / critical_temperature(make(lattice)))) < 1e-12
    assert critical_temperature(make(lattice, coupling=2.5)) == 2.5 * critical_temperature(
        make(lattice)
    )


def test_square_agrees_with_the_library():
    assert critical_temperature(make("square")) == pytest.approx(
        onsager.critical_temperature(), rel=1e-14
    )


@pytest.mark.parametrize(
    ("lattice", "changes", "expected"),
    [
        ("chain", {}, 0.0),
        ("chain", {"coupling": -1.0, "field": 1.0}, 0.0),
        ("square", {"field": 0.1}, 0.0),
        ("square", {"coupling": 0.0}, 0.0),
        ("square", {"coupling": -1.0}, 2 / math.log(1 + math.sqrt(2))),
        ("square", {"coupling": -1.0, "size": (5, 6)}, None),
        ("square", {"coupling": -1.0, "field": 0.1}, None),
        ("triangular", {"coupling": -1.0}, 0.0),
        ("honeycomb", {"coupling": -1.0, "size": 3}, 2 / math.log(2 + math.sqrt(3))),
        ("cubic", {}, None),
    ],
)
def test_domains(lattice, changes, expected):
    assert critical_temperature(make(lattice, **changes)) == (
        None if expected is None else pytest.approx(expected)
    )


def test_codes():
    spec = make("square", temperatures=(1.0, 2.269, 2.269185, 2.27, 5.0))
    assert phase_codes(spec).tolist() == [1, 1, 2, 0, 0]
    assert phase_codes(make("cubic", temperatures=(1.0, 9.0))).tolist() == [PHASES["unknown"]] * 2
