"""A spec says everything, refuses what cannot work, and survives a trip through JSON."""

import dataclasses
import math

import numpy as np
import pytest

from ising_data import Spec, parse_temperatures
from statmech_ml.errors import InvalidInput
from statmech_ml.samplers import HeatBath, SwendsenWang


def make(**changes):
    settings = {"lattice": "square", "size": 8, "temperatures": (2.0,), "samples": 8, "seed": 1}
    return Spec(**(settings | changes))


def test_ranges_have_no_drift():
    assert parse_temperatures("1.6:3.2:0.1") == tuple(round(1.6 + 0.1 * k, 1) for k in range(17))
    assert 1.6 + 0.1 * 7 != 2.3  # what plain floats would give
    assert repr(parse_temperatures("1.6:3.2:0.1")[7]) == "2.3"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2.269", (2.269,)),
        ("1,2,4e-1", (1.0, 2.0, 0.4)),
        (" 2.0 : 2.5 : 0.25 , 3", (2.0, 2.25, 2.5, 3.0)),
        ("3:2:-0.5", (3.0, 2.5, 2.0)),
        ("1:2:0.3", (1.0, 1.3, 1.6, 1.9)),
        ("2:2:0.1", (2.0,)),
    ],
)
def test_parse_temperatures(text, values):
    assert parse_temperatures(text) == values


@pytest.mark.parametrize(
    "text", ["", "warm", "1:2", "1:2:0", "1:2:-1", "1:2:3:4", "1:inf:1", "0:9:1e-9"]
)
def test_bad_temperatures_are_refused(text):
    with pytest.raises(InvalidInput, match="temperatures="):
        parse_temperatures(text)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"lattice": "kagome"}, "kagome"),
        ({"size": 0}, "at least 1"),
        ({"size": 1}, "whole number of at least 2"),
        ({"size": (4, 4, 4)}, "has 3 sides"),
        ({"size": 4.5}, "size=4.5"),
        ({"temperatures": ()}, "empty"),
        ({"temperatures": (2.0, -1.0)}, "-1.0"),
        ({"temperatures": 0.0}, "positive"),
        ({"temperatures": math.nan}, "nan"),
        ({"temperatures": (2.0, 3.0, 2.0)}, "twice"),
        ({"temperatures": None}, "nan"),
        ({"temperatures": (2.0, 1e-310)}, "1e-310, which is too cold"),
        ({"temperatures": 1e-300, "coupling": 1e9}, "larger than any double"),
        ({"samples": 0}, "samples=0"),
        ({"samples": 10}, "a multiple, 8 say"),
        ({"samples": True}, "samples=True"),
        ({"n_chains": 3}, "odd"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
        ({"coupling": math.nan}, "coupling=nan"),
        ({"field": "strong"}, "field='strong'"),
        ({"boundary": "twisted"}, "twisted"),
        ({"boundary": ("open",) * 3}, "2 sides"),
        ({"sampler": "gibbs"}, "swendsen-wang"),
        ({"sampler": "wolff", "field": 0.1}, "field"),
        ({"sampler": "swendsen-wang", "coupling": -1.0, "lattice": "triangular"}, "frustrated"),
        ({"spacing": 0}, "spacing=0"),
        ({"burn_in": -1}, "burn_in=-1"),
    ],
)
def test_what_cannot_work_is_refused(changes, match):
    with pytest.raises(InvalidInput, match=match):
        make(**changes)


def test_what_is_left_out_is_chosen_and_recorded():
    spec = make()
    assert (spec.sampler, spec.spacing, spec.burn_in) == ("swendsen-wang", 10, 200)
    assert isinstance(spec.kernel(), SwendsenWang)
    assert (spec.size, spec.boundary, spec.n_draws) == ((8, 8), ("periodic", "periodic"), 2)
    local = make(field=0.5, size=40)
    assert (local.sampler, local.spacing, local.burn_in) == ("heat-bath", 20, 3200)
    assert isinstance(local.kernel(), HeatBath)
    assert make(lattice="triangular", coupling=-1.0).sampler == "heat-bath"
    assert (
        make(coupling=-1.0).sampler == "swendsen-wang"
    )  # bipartite: a gauge makes it a ferromagnet


@pytest.mark.parametrize(
    ("lattice", "size", "sites"),
    [
        ("chain", 5, 5),
        ("square", (4, 6), 24),
        ("triangular", 4, 16),
        ("honeycomb", 4, 32),
        ("cubic", 3, 27),
    ],
)
def test_every_lattice(lattice, size, sites):
    assert make(lattice=lattice, size=size).model().space.size == sites


def test_json_round_trip():
    spec = make(size=np.array([4, 6]), temperatures="1.6:3.2:0.1", boundary=("open", "periodic"))
    again = Spec.from_json(spec.to_json())
    assert again == spec
    assert again.digest == spec.digest
    assert hash(again) == hash(spec)
    assert dataclasses.replace(spec, seed=2).digest != spec.digest


@pytest.mark.parametrize("text", ["", "[]", '{"size": 8}', '{"colour": "red"}'])
def test_bad_json_is_refused(text):
    with pytest.raises(InvalidInput, match="spec"):
        Spec.from_json(text)


def test_differences_name_the_fields():
    assert make().differences(make(seed=2, coupling=0.5)) == [
        "seed: 1 -> 2",
        "coupling: 1.0 -> 0.5",
    ]
