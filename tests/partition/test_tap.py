"""TAP: each order removes one power of the coupling from the error; known forms; refusals."""

import math

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.models import BernoulliRBM, GaussianRBM, Ising, Potts
from statmech_ml.partition import Weights, exact_sum, mean_field, tap
from statmech_ml.partition._pairwise import pairwise
from statmech_ml.partition.tap import _Expansion

RNG = np.random.default_rng(20)
RBM = [RNG.normal(size=6), RNG.normal(size=4), RNG.normal(size=(6, 4))]
GLASS = [RNG.normal(size=15), RNG.normal(size=6)]  # 6 spins, all joined: 20 triangles
OPEN = [RNG.normal(size=12), RNG.normal(size=9)]  # 3 x 3, no triangles
GAUSSIAN = [RNG.normal(size=7), RNG.normal(size=4), RNG.normal(size=(7, 4))]
COMPLETE = lattices.from_edges([(i, j) for i in range(6) for j in range(i)])


def rbm(scale):
    a, b, W = RBM
    return BernoulliRBM(a, b, scale * W)


def glass(scale):
    return Ising(COMPLETE, coupling=scale * GLASS[0], field=GLASS[1])


def open_glass(scale):
    lattice = lattices.square(3, 3, boundary="open")
    return Ising(lattice, coupling=scale * OPEN[0], field=OPEN[1])


def slopes(make, estimate, scales):
    """d log|error| / d log(scale) between neighbours of `scales`, which halve."""
    errors = [abs(estimate(make(s)) - exact_sum(make(s)).value) for s in scales]
    return np.diff(np.log2(errors)) / np.diff(np.log2(scales))


# The error of order k is e(s) = c s^(k+1) (1 + r s + O(s^2)) in the scale s of the couplings, with
# r from the next-order term. The slope between s and s/2 is k + 1 + (r s / 2) / log 2 + O(s^2),
# and 2 slope(s/2) - slope(s) = k + 1 + O(s^2): what is left after the extrapolation must be smaller
# than what it removed, |slope(s) - slope(s/2)|, or than 0.02 where r happens to be tiny. What is
# removed is bounded itself, r s < 1/3 or so, which keeps neighbouring powers apart. The smallest
# error, 8e-12 at order 3, is a thousand times the rounding of log Z.
SCALES = [0.02, 0.01, 0.005]


def is_power(found, power):
    coarse, fine = found
    removed = abs(coarse - fine)
    return removed < 0.25 and abs(2.0 * fine - coarse - power) < max(removed, 0.02)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("make", [rbm, glass, open_glass])
def test_error_falls_as_the_next_power_of_the_coupling(make, order):
    def value(model):
        return tap(model, order=order, tol=1e-13).value

    assert is_power(slopes(make, value, SCALES), order + 1)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("make", [rbm, glass, open_glass])
def test_a_wrong_sign_is_rejected(make, order):
    """Mutant: the highest order enters with the other sign, so its own power is what remains."""

    def mutant(model):
        result = tap(model, order=order, tol=1e-13)
        return result.value - 2.0 * result.diagnostics["terms"][-1]

    assert not is_power(slopes(make, mutant, SCALES), order + 1)
    assert is_power(slopes(make, mutant, SCALES), order)


def test_triangles_matter():
    """Mutant: third order without triangles is only second order on a graph that has them."""

    def mutant(model):
        problem = pairwise(model, 1.0, "test")
        result = tap(model, order=3, tol=1e-13)
        m = result.diagnostics["magnetizations"]
        c = 1.0 - m**2
        return result.value - c @ _Expansion(problem, 3)._around(c) / 3.0

    assert not is_power(slopes(glass, mutant, SCALES), 4)
    assert is_power(slopes(glass, mutant, SCALES), 3)


def test_triangles_counted_one_by_one():
    """The matrix form, dense and sparse, against a loop."""
    rng = np.random.default_rng(5)
    for n, share in ((6, 1.0), (60, 0.05)):
        pairs = [(i, j) for i in range(n) for j in range(i) if rng.random() < share]
        model = Ising(lattices.from_edges(pairs, n), coupling=rng.normal(size=len(pairs)))
        problem, c = pairwise(model, 1.0, "test"), rng.random(n)
        J = problem.matrix.toarray()
        expected = sum(
            J[i, j] * J[j, k] * J[k, i] * c[i] * c[j] * c[k]
            for i in range(n)
            for j in range(i)
            for k in range(j)
        )
        total = float(c @ _Expansion(problem, 3)._around(c)) / 3.0
        assert total == pytest.approx(expected, rel=1e-12)
        assert expected != 0.0


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("make", [rbm, glass])
def test_the_point_is_stationary(make, order):
    """Terms are flat at the solution: their central difference vanishes."""
    model = make(0.5)
    problem = pairwise(model, 1.0, "test")
    expansion = _Expansion(problem, order)
    m = tap(model, order=order, tol=1e-14).diagnostics["magnetizations"]
    centre, ends = problem.values.mean(), np.ptp(problem.values) / 2.0

    def slope(m, i):
        # Steps of a thousandth of the distance to the end, extrapolated: an error of 1e-12 times
        # derivatives of order one in that unit, and rounding 1e-14 over the step.
        step = np.zeros_like(m)
        step[i] = 1e-3 * (ends - abs(m[i] - centre))
        once, twice = (
            (sum(expansion.terms(m + k * step)) - sum(expansion.terms(m - k * step)))
            / (2 * k * step[i])
            for k in (1, 2)
        )
        return (4.0 * once - twice) / 3.0

    for i in range(len(m)):
        assert abs(slope(m, i)) < 1e-8
        shifted = m.copy()
        shifted[i] += 0.01 * (centre - m[i])
        assert abs(slope(shifted, i)) > 1e-5  # the check has power


def test_second_order_is_onsagers_equation():
    """m_i = tanh(h_i + sum J m_j - m_i sum J^2 (1 - m_j^2))."""
    model = glass(0.3)
    J = pairwise(model, 1.0, "test").matrix.toarray()
    m = tap(model, order=2, tol=1e-13).diagnostics["magnetizations"]
    np.testing.assert_allclose(
        m, np.tanh(model.field + J @ m - m * (J**2 @ (1.0 - m**2))), atol=1e-12
    )


def test_third_order_of_an_rbm_as_published():
    """Gabrie, Tramel and Krzakala (2015): 2/3 W^3 (m - m^2)(1/2 - m) of both ends."""
    model = rbm(0.7)
    result = tap(model, order=3)
    m = result.diagnostics["magnetizations"]
    v, h = m[:6], m[6:]
    c, d, W = v - v**2, h - h**2, model.weights
    second, third = result.diagnostics["terms"][1:]
    assert second == pytest.approx(0.5 * c @ W**2 @ d, rel=1e-12)
    assert third == pytest.approx(2.0 / 3.0 * (c * (0.5 - v)) @ W**3 @ (d * (0.5 - h)), rel=1e-12)


def test_spins_and_bits_agree():
    """s = 2 b - 1 maps an Ising chain to bits; the expansion does not care."""
    W, a, b = 0.8, 0.3, -0.2
    bits = BernoulliRBM([a], [b], [[W]])
    spins = Ising(
        lattices.from_edges([(0, 1)]), coupling=W / 4, field=[a / 2 + W / 4, b / 2 + W / 4]
    )
    shift = W / 4 + a / 2 + b / 2
    for order in (1, 2, 3):
        expected = tap(spins, order=order).value + shift
        assert tap(bits, order=order).value == pytest.approx(expected, rel=1e-12)


def test_first_order_is_mean_field():
    model = rbm(2.0)
    result, expected = tap(model, order=1), mean_field(model)
    assert result.value == pytest.approx(expected.value, abs=1e-12)
    assert (result.status, result.lower) == ("lower bound", result.value)


def test_higher_orders_are_no_bounds():
    for order in (2, 3):
        result = tap(rbm(0.5), order=order)
        assert (result.status, result.lower, result.upper) == ("approximate", None, None)
        assert result.stderr == math.inf
        assert str(result).endswith(f"[tap order {order}, approximate]")
        assert len(result.diagnostics["terms"]) == order
        assert result.diagnostics["plefka"] < 1.0


def test_cold_ferromagnet_is_ordered():
    """The paramagnet solves the equations too, with a larger value; its plefka disowns it."""
    result = tap(Ising(lattices.square(4, 4)), beta=2.0, order=2)
    assert abs(result.diagnostics["magnetizations"]).min() > 0.99
    assert result.value == pytest.approx(64.0, abs=0.1)


def test_gaussian_rbm_through_its_hidden_units():
    """The hidden units are joined all with all, triangles included: power W^2 in the coupling."""
    a, b, W = GAUSSIAN
    errors = []
    for scale in (0.2, 0.1):
        machine = GaussianRBM(a, b, scale * W)
        problem = pairwise(machine, 1.0, "test")
        h = np.indices((2,) * 4).reshape(4, -1).T
        J = problem.matrix.toarray()
        log_w = h @ problem.fields[:, 1] + 0.5 * np.einsum("si,ij,sj->s", h, J, h)
        exact = problem.constant + np.logaddexp.reduce(log_w)
        errors.append(abs(tap(machine, tol=1e-13).value - exact))
    assert errors[1] < errors[0] / 2**6  # (W^2)^4 asks for 2^8


def test_not_converged_is_a_status(seed):
    rng = np.random.default_rng(seed)
    model = Ising(COMPLETE, coupling=rng.normal(size=15), field=GLASS[1])
    result = tap(model, max_sweeps=2)
    assert math.isfinite(result.value)
    assert result.status == "not converged"
    assert not result.diagnostics["converged"]
    assert str(result).endswith("[tap order 3, not converged]")


def test_where_the_series_means_nothing_it_says_so():
    """A paramagnet far below its transition: the iteration stands still, the series diverges."""
    model = Ising(lattices.triangular(4, 4), coupling=-1.0)
    for beta in (1.0, 3.0):
        assert tap(model, beta, order=2).status == "not converged"
    assert tap(model, 0.1, order=2).status == "approximate"


def test_paths_give_their_target():
    assert tap(Weights(rbm(1.0), beta=0.4)).value == tap(rbm(1.0), 0.4).value


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"order": 0}, "order"),
        ({"order": 4}, "order"),
        ({"order": True}, "order"),
        ({"order": "2"}, "order"),
        ({"order": None}, "order"),
        ({"order": [1, 2]}, "order"),
        ({"damping": 1.0}, "damping"),
        ({"damping": -0.1}, "damping"),
        ({"damping": math.nan}, "damping"),
        ({"damping": "much"}, "damping"),
        ({"tol": -1.0}, "tol"),
        ({"max_sweeps": 0}, "max_sweeps"),
        ({"beta": math.nan}, "beta"),
        ({"model": Potts(lattices.chain(4), q=3)}, "spins and bits"),
        ({"model": 3.0}, "pairwise"),
    ],
)
def test_refusals(arguments, match):
    settings = {"model": Ising(lattices.chain(4))} | arguments
    with pytest.raises(InvalidInput, match=match):
        tap(settings.pop("model"), **settings)
