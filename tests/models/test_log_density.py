"""A user's function as a model: how it is called, what it may return, and what is refused."""

import numpy as np
import pytest

from statmech_ml import sample
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import DoubleWell, Gaussian, LogDensity
from statmech_ml.models.interpolated import Interpolated
from statmech_ml.samplers import MALA, HeatBath

X = np.random.default_rng(0).normal(size=(5, 4, 2))


def batch(x):
    return -0.5 * (x**2).sum(axis=-1) - x[..., 0] * x[..., 1]


def point(x):
    assert x.shape == (2,)
    return -0.5 * float(x @ x) - x[0] * x[1]


def slope(x):
    return -x - x[..., ::-1]


@pytest.mark.parametrize("f", [batch, point])
@pytest.mark.parametrize("gradient", [None, slope])
def test_functions_of_batches_and_of_points_are_one_model(f, gradient):
    model = LogDensity(f, 2, gradient)
    assert model.vectorised == (f is batch)
    assert model.energy(X) == pytest.approx(-batch(X), rel=1e-15)
    assert model.reduced_energy(X, 0.4) == pytest.approx(-0.4 * batch(X), rel=1e-15)
    exact = -0.4 * slope(X)
    assert model.reduced_gradient(X, 0.4) == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_columns_are_not_taken_for_rows(dim):
    """On a square batch, functions of columns return the shape of rows."""
    model = LogDensity(lambda x: -(x[0] ** 2), dim)
    assert not model.vectorised
    assert model.energy(np.full((7, dim), 2.0)).tolist() == [4.0] * 7


def test_rows_that_depend_on_one_another_are_refused():
    with pytest.raises(InvalidInput, match="from its own row alone"):
        LogDensity(lambda x: -np.atleast_2d(x**2).sum(axis=1) / len(x), 2)


def test_functions_that_write_to_their_argument_change_nothing():
    def f(x):
        x *= 0.0
        return x[:, 0]

    x = X.copy()
    LogDensity(f, 2).energy(x)
    assert x.tolist() == X.tolist()


def test_where_the_density_vanishes_the_energy_is_infinite_at_every_beta():
    model = LogDensity(lambda x: np.where(x[:, 0] > 0, -x[:, 0], -np.inf), 1)
    for beta in (0.0, 0.5, 2.0):
        assert model.reduced_energy([[-1.0], [1.0]], beta).tolist() == [np.inf, beta]


def test_langevin_stays_where_the_density_is(seed, assert_unbiased):
    """An exponential law with a wall at zero has <x> = 1."""
    model = LogDensity(lambda x: np.where(x[:, 0] > 0, -x[:, 0], -np.inf), 1)

    def run(seed, scale):
        n = 4000 * scale
        state = MALA().init(model, n, seed, np.full((n, 1), 0.5))
        x = MALA(0.5, adapt=False).advance(model, state, np.ones(n), 60)[0].x
        assert (x > 0).all()
        return (x.mean() - 1.0) * np.sqrt(n)

    assert_unbiased(run, seed)


def shape_of(x):
    return x


def column(x):
    return x[:, :1]


def text(x):
    return "a"


def complex_number(x):
    return 1j * np.ones(len(x))


def nothing(x):
    return None


def failing(x):
    raise RuntimeError("no density today")


@pytest.mark.parametrize("f", [shape_of, column, text, complex_number, nothing, failing])
def test_functions_of_other_shapes_are_refused(f):
    with pytest.raises(InvalidInput, match="one number per row"):
        LogDensity(f, 2)


@pytest.mark.parametrize("wrong", [None, 1.0, "f", [1.0]])
def test_what_is_no_function_is_refused(wrong):
    with pytest.raises(InvalidInput, match="no function"):
        LogDensity(wrong, 2)
    if wrong is not None:
        with pytest.raises(InvalidInput, match="no function"):
            LogDensity(batch, 2, wrong)


@pytest.mark.parametrize("dim", [0, -1, 1.5, "2", None])
def test_dimensions_that_cannot_be(dim):
    with pytest.raises(InvalidInput):
        LogDensity(batch, dim)


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (lambda x: -slope(x), "does not belong to f"),
        (lambda x: 2.0 * slope(x), "does not belong to f"),
        (lambda x: slope(x) * np.nan, "does not belong to f"),
        (lambda x: slope(x)[:, 0], "gradient returned shape"),
        (lambda x: "a", "gradient returned no array"),
    ],
)
def test_gradients_of_another_function_are_refused(gradient, message):
    with pytest.raises(InvalidInput, match=message):
        LogDensity(batch, 2, gradient)


def test_shapes_that_change_later_are_refused():
    model = LogDensity(lambda x: batch(x) if len(x) < 10 else batch(x)[:3], 2)
    with pytest.raises(InvalidInput, match=r"f returned shape \(3,\) for a batch"):
        model.energy(np.zeros((20, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_plus_infinity_are_errors_with_the_place(bad):
    model = LogDensity(lambda x: np.where(x[:, 0] > 5.0, bad, -(x[:, 0] ** 2)), 1)
    with pytest.raises(InvalidInput, match=rf"f is {bad} at x = \[7\.\]"):
        model.energy([[0.0], [7.0]])


def test_samplers_of_discrete_states_are_refused():
    with pytest.raises(MissingCapability, match="HeatBath needs the capability Local"):
        sample(LogDensity(batch, 2), HeatBath(), beta=1.0, n_draws=1, rng=1)


# --- between two models ---------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_interpolation_in_batches_is_the_compiled_one(lam):
    start, end = Gaussian(0.2, 1.5, dim=2), DoubleWell(dim=2, tilt=0.3)
    compiled = Interpolated(start, end, 0.8)
    by_function = Interpolated(start, LogDensity(lambda x: -end.energy(x), 2), 0.8)
    assert not hasattr(by_function, "arrays")
    lams = np.full((5, 4), lam)
    expected = compiled.reduced_energy(X, lams)
    assert by_function.reduced_energy(X, lams) == pytest.approx(expected, rel=1e-13)
    assert by_function.energy(X) == pytest.approx(compiled.energy(X), rel=1e-13)
    gradient = compiled.reduced_gradient(X, lams)
    assert by_function.reduced_gradient(X, lams) == pytest.approx(gradient, rel=1e-7, abs=1e-7)


def test_the_start_of_a_path_to_a_wall_is_finite():
    wall = LogDensity(lambda x: np.where(x[:, 0] > 0, 0.0, -np.inf), 1)
    between = Interpolated(Gaussian(), wall)
    x = [[-1.0], [1.0]]
    assert between.reduced_energy(x, 0.0).tolist() == [0.5, 0.5]
    assert between.reduced_energy(x, 0.5).tolist() == [np.inf, 0.25]
    assert between.reduced_energy(x, 1.0).tolist() == [np.inf, 0.0]
