"""The traps against their formulas: energies, log Z by quadrature, draws, and what is refused."""

import numpy as np
import pytest

from statmech_ml.errors import InvalidInput
from statmech_ml.exact import quadrature
from statmech_ml.models import DraggedTrap, HarmonicTrap

X = np.random.default_rng(0).normal(size=(20, 3))
STIFFENED = HarmonicTrap(stiffness=(0.8, 4.0), dim=3)
DRAGGED = DraggedTrap(stiffness=2.5, distance=-1.5, dim=3)


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_energies_from_the_formulas(lam):
    stiffness = 0.8 + lam * 3.2
    square = (X**2).sum(axis=1)
    assert STIFFENED.reduced_energy(X, lam) == pytest.approx(0.5 * stiffness * square, rel=1e-14)
    moved = X - lam * np.array([-1.5, 0.0, 0.0])
    expected = 1.25 * (moved**2).sum(axis=1)
    assert DRAGGED.reduced_energy(X, lam) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("trap", [STIFFENED, DRAGGED], ids=repr)
def test_the_energy_is_that_of_the_end(trap):
    assert trap.energy(X).tolist() == trap.reduced_energy(X, 1.0).tolist()


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("trap", [HarmonicTrap((0.8, 4.0)), DraggedTrap(2.5, -1.5)], ids=repr)
def test_log_z_by_quadrature(trap, lam):
    found = quadrature.log_z(lambda x: float(trap.reduced_energy([x], lam)))
    assert trap.log_z(lam) == pytest.approx(getattr(found, "value", found), abs=1e-9)


def test_dimensions_are_independent():
    assert STIFFENED.log_z(0.5) == pytest.approx(3 * HarmonicTrap((0.8, 4.0)).log_z(0.5))
    assert DRAGGED.log_z(0.0) == pytest.approx(3 * DraggedTrap(2.5, 1.0).log_z(1.0))


def squares(trap, stiffness):
    """z of the mean, and of the mean square, of every coordinate of draws at lambda = 0."""

    def run(seed, scale):
        n = 20_000 * scale
        x = trap.draws(seed, np.arange(n, dtype=np.uint32)) * np.sqrt(stiffness)
        return np.stack([x.sum(axis=0) / np.sqrt(n), (x**2 - 1).sum(axis=0) / np.sqrt(2 * n)])

    return run


@pytest.mark.parametrize(("trap", "stiffness"), [(STIFFENED, 0.8), (DRAGGED, 2.5)])
def test_draws_are_those_of_the_start(trap, stiffness, seed, assert_unbiased, assert_rejected):
    assert_unbiased(squares(trap, stiffness), seed)
    assert_rejected(squares(trap, 1.1 * stiffness), seed)


@pytest.mark.parametrize(
    "arguments",
    [
        ((1.0,),),
        ((1.0, 2.0, 3.0),),
        (1.0,),
        ((0.0, 1.0),),
        ((1.0, -1.0),),
        ((1.0, np.nan),),
        ((1.0, np.inf),),
        ("ab",),
        (None,),
        ((1.0, 2.0), 0),
    ],
)
def test_stiffened_traps_that_cannot_be(arguments):
    with pytest.raises(InvalidInput):
        HarmonicTrap(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (0.0, 1.0),
        (-1.0, 1.0),
        (np.nan, 1.0),
        (1.0, np.inf),
        ("a", 1.0),
        (1.0, [1.0, 2.0]),
        (1.0, 1.0, 0),
    ],
)
def test_dragged_traps_that_cannot_be(arguments):
    with pytest.raises(InvalidInput):
        DraggedTrap(*arguments)


def test_one_stiffness_is_no_protocol():
    with pytest.raises(InvalidInput, match=r"stiffness=0 must be two positive numbers"):
        HarmonicTrap(0)


@pytest.mark.parametrize("lam", [-0.1, 1.1, np.nan, "a", None])
@pytest.mark.parametrize("trap", [STIFFENED, DRAGGED], ids=repr)
def test_log_z_outside_the_protocol_is_refused(trap, lam):
    with pytest.raises(InvalidInput, match="lam"):
        trap.log_z(lam)
