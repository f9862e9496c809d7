"""Integrals over a plane against closed forms, and what is refused."""

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import plane
from statmech_ml.models import Gaussian

TILTED = Gaussian([0.5, -1.0], covariance=[[1.0, 0.6], [0.6, 0.9]])
BOX = ((-9.0, 10.0), (-10.0, 8.0))


def u(x):
    return TILTED.reduced_energy(x, 1.4)


def test_a_gaussian():
    value, error = plane.log_z(u, BOX)
    assert value == pytest.approx(TILTED.log_z(1.4), abs=1e-11)
    assert error < 1e-10
    moments = {0.5: lambda x: x[:, 0], -1.0: lambda x: x[:, 1]}
    for exact, f in moments.items():
        assert plane.mean(u, f, BOX).value == pytest.approx(exact, abs=1e-10)
    product = plane.mean(u, lambda x: (x[:, 0] - 0.5) * (x[:, 1] + 1.0), BOX)
    assert product.value == pytest.approx(0.6 / 1.4, abs=1e-10)


@pytest.mark.parametrize("offset", [-3000.0, 3000.0])
def test_neither_the_weight_nor_z_need_be_representable(offset):
    value, _ = plane.log_z(lambda x: u(x) + offset, BOX)
    assert value == pytest.approx(TILTED.log_z(1.4) - offset, abs=1e-9)


def test_a_hard_edge_converges_slowly_and_says_so():
    def disc(x):
        return np.where((x**2).sum(axis=-1) < 1.0, 0.0, np.inf)

    with pytest.raises(InvalidInput, match="does not settle"):
        plane.log_z(disc, ((-2.0, 2.0), (-2.0, 2.0)))
    value, error = plane.log_z(disc, ((-2.0, 2.0), (-2.0, 2.0)), rtol=1e-2)
    assert abs(value - np.log(np.pi)) < 1e-2
    assert error < 1e-2


def test_a_box_that_cuts_the_density():
    with pytest.raises(InvalidInput, match="cuts through the density"):
        plane.log_z(u, ((-9.0, 1.0), (-10.0, 8.0)))


@pytest.mark.parametrize("box", [((0, 1), (1, 0)), ((0, 1),), ((0, np.inf), (0, 1)), "box"])
def test_boxes_that_are_none(box):
    with pytest.raises(InvalidInput, match="no rectangle"):
        plane.log_z(u, box)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (lambda x: x, "one number per point"),
        (lambda x: np.full(len(x), np.nan), "NaN"),
        (lambda x: np.full(len(x), np.inf), "no density"),
    ],
)
def test_energies_that_are_none(wrong, match):
    with pytest.raises(InvalidInput, match=match):
        plane.log_z(wrong, BOX)
    with pytest.raises(InvalidInput, match="rtol"):
        plane.log_z(u, BOX, rtol=1e-20)
