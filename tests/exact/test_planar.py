"""Planar Ising models: against enumeration, the transfer matrix and exact counts."""

import mpmath
import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput, StatmechError
from statmech_ml.exact import _boundary, enumeration, planar, ring, transfer_matrix
from statmech_ml.models import Ising

OPEN, CYLINDER, TURNED = ("open", "open"), ("open", "periodic"), ("periodic", "open")


def couplings(kind, n, rng):
    return {
        "Gaussian": rng.normal(size=n),
        "signs": rng.choice([-1.0, 1.0], n),
        "diluted": rng.choice([-1.0, 0.0, 1.0], n),
        "wide": 10 ** rng.uniform(-2.0, 1.3, n) * rng.choice([-1.0, 1.0], n),
    }[kind]


KINDS = ("Gaussian", "signs", "diluted", "wide")


def glass(shape, boundary, kind="signs", seed=1):
    lattice = lattices.square(*shape, boundary=boundary)
    return Ising(lattice, couplings(kind, lattice.n_bonds, np.random.default_rng(seed)))


def assert_equals_transfer_matrix(model, beta, relative=1e-12):
    """log Z, mean and variance of the energy; those of one temperature are small differences."""
    J = np.abs(np.broadcast_to(model.coupling, model.lattice.n_bonds))
    total, largest = J.sum(), J.max(initial=0.0)
    assert planar.log_z(model, beta) == pytest.approx(
        transfer_matrix.log_z(model, beta), rel=relative, abs=relative
    )
    assert planar.energy(model, beta) == pytest.approx(
        transfer_matrix.energy(model, beta), abs=10 * relative * total
    )
    assert planar.energy_variance(model, beta) == pytest.approx(
        transfer_matrix.energy_variance(model, beta), rel=1e-9, abs=100 * relative * total * largest
    )


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_equals_enumeration(size, kind):
    """Open random glasses, to 1e-10 and better."""
    model = glass((size, size), OPEN, kind)
    betas = np.array([0.0, 0.5, 1.0, 2.0]) if size == 4 else np.array([1.0])
    np.testing.assert_allclose(
        planar.log_z(model, betas), enumeration.log_z(model, betas), rtol=1e-12
    )


@pytest.mark.parametrize("boundary", [OPEN, CYLINDER, TURNED])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (2, 5), (5, 2), (3, 4), (6, 4)])
def test_equals_transfer_matrix(shape, boundary):
    if any(side == 1 and b == "periodic" for side, b in zip(shape, boundary, strict=True)):
        pytest.skip("a periodic side of one site is no lattice")
    for seed, kind in enumerate(KINDS):
        model = glass(shape, boundary, kind, seed)
        for beta in (0.0, 0.6, 4.0) if kind != "wide" else (0.1, 1.0):
            assert_equals_transfer_matrix(model, beta)


@pytest.mark.parametrize("boundary", [OPEN, CYLINDER])
@pytest.mark.parametrize(("kind", "beta"), [("signs", 1.0), ("signs", 2.0), ("Gaussian", 5.0)])
def test_strips(boundary, kind, beta):
    """12 x 40 and its transpose, where doubles serve and where decimals must."""
    shape, turned = ((40, 12), boundary), ((12, 40), boundary[::-1])
    for where in (shape, turned):
        model = glass(*where, kind)
        assert planar.log_z(model, beta) == pytest.approx(
            transfer_matrix.log_z(model, beta), rel=1e-12
        )


@pytest.mark.parametrize("seed_of_couplings", range(60))
def test_many_small_glasses(seed_of_couplings):
    """Sizes, signs and temperatures at random: the sum of every one is right, or refused."""
    rng = np.random.default_rng(seed_of_couplings)
    shape = tuple(int(n) for n in rng.integers(2, 7, 2))
    model = glass(
        shape, [OPEN, CYLINDER, TURNED][rng.integers(3)], rng.choice(KINDS[:3]), seed_of_couplings
    )
    beta = float(rng.exponential(3.0))
    assert planar.log_z(model, beta) == pytest.approx(transfer_matrix.log_z(model, beta), rel=1e-11)


@pytest.mark.parametrize("beta", [0.3, 5.0, 20.0, 100.0])
def test_low_temperatures_by_exact_counts(beta):
    """The number of states of each energy, in whole numbers, summed with 60 digits."""
    model = glass((4, 5), OPEN, "signs", seed=3)
    levels, counts = enumeration.density_of_states(model)
    with mpmath.workdps(60):
        terms = zip(levels.tolist(), counts.tolist(), strict=True)
        Z = [n * mpmath.exp(-mpmath.mpf(beta) * round(E)) for E, n in terms]
        exact = float(mpmath.log(mpmath.fsum(Z)))
    assert planar.log_z(model, beta) == pytest.approx(exact, rel=1e-14)


def test_doubles_do_without_decimals(monkeypatch):
    """A +-J glass at beta = 1 and any ferromagnet are summed in doubles alone."""
    monkeypatch.setattr(_boundary, "_DIGITS", (1,))
    assert np.isfinite(planar.log_z(glass((16, 16), OPEN), 1.0))
    ferromagnet = Ising(lattices.square(16, 16, boundary="open"))
    for beta in (0.4, 1.0, 5.0, 30.0):
        assert np.isfinite(planar.log_z(ferromagnet, beta))


def test_frustration_is_noticed(monkeypatch):
    """Digits that are not there are not returned: a cold glass with too few of them is refused."""
    monkeypatch.setattr(_boundary, "_DIGITS", (2, 4))
    with pytest.raises(StatmechError, match="not resolved"):
        planar.log_z(glass((16, 16), OPEN), 5.0)


def test_glass_32():
    """Ground truth for samplers: bounds, convexity in beta, and its own derivative."""
    model = glass((32, 32), OPEN)
    beta, step = 1.0, 1e-3
    below, here, above = planar.log_z(model, [beta - step, beta, beta + step])
    slope = -planar.energy(model, beta)
    assert below + above - 2 * here > 0.0
    # The central difference is off by step^2 / 6 of the third derivative.
    assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-5)
    assert (above + below - 2 * here) / step**2 == pytest.approx(
        planar.energy_variance(model, beta), rel=1e-3
    )


@pytest.mark.parametrize("coupling", [1.0, -1.0])
def test_uniform(coupling):
    """Open lattices are bipartite: the sign of J drops out. Cold, two ground states are left."""
    lattice = lattices.square(7, 9, boundary="open")
    model = Ising(lattice, coupling)
    assert planar.log_z(model, 0.5) == pytest.approx(
        transfer_matrix.log_z(Ising(lattice), 0.5), rel=1e-13
    )
    assert planar.log_z(model, 30.0) == pytest.approx(30.0 * lattice.n_bonds + np.log(2), rel=1e-14)
    assert planar.log_z(model, 0.0) == pytest.approx(63 * np.log(2), rel=1e-15)
    assert planar.energy(model, 0.0) == 0.0


def test_chains():
    betas = np.array([[0.1, 1.0], [3.0, 40.0]])
    for shape in ((1, 9), (9, 1)):
        model = Ising(lattices.square(*shape, boundary="open"), -0.7)
        np.testing.assert_allclose(
            planar.log_z(model, betas), ring.open_log_z(9, betas, -0.7), rtol=1e-14
        )


def test_gauge():
    """Flipping spins and the couplings at them leaves log Z alone."""
    model = glass((6, 7), OPEN, "Gaussian")
    s = np.random.default_rng(5).choice([-1.0, 1.0], 42)
    i, j = model.lattice.bonds.T
    turned = Ising(model.lattice, model.coupling * s[i] * s[j])
    assert planar.log_z(turned, 1.3) == pytest.approx(planar.log_z(model, 1.3), rel=1e-13)


@pytest.mark.parametrize("mutated", ["lost sign", "no diagonal"])
def test_mutants_are_seen(mutated, monkeypatch):
    """The comparison has power against the mistakes that the recursion invites."""
    right = _boundary._add_bond

    def lost_sign(A, a, b, t, outside, arithmetic):
        return right(A, a, b, t, False, arithmetic)

    def no_diagonal(A, a, b, t, outside, arithmetic):
        old = A.copy()
        p = right(A, a, b, t, outside, arithmetic)
        A[:, a], A[:, :, a] = old[:, a], old[:, :, a]
        return p

    wrong = {"lost sign": lost_sign, "no diagonal": no_diagonal}[mutated]
    monkeypatch.setattr(_boundary, "_add_bond", wrong)
    model = glass((4, 5), CYLINDER, "Gaussian")
    with pytest.raises(AssertionError):
        assert_equals_transfer_matrix(model, 0.7)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [planar.log_z, planar.energy, planar.energy_variance])
def test_refusals(f):
    lattice = lattices.square(3, 3, boundary="open")
    with pytest.raises(InvalidInput, match=r"no planar graph.*exact\.torus"):
        f(Ising(lattices.square(3, 3)), 0.5)
    with pytest.raises(InvalidInput, match=r"field.*transfer_matrix"):
        f(Ising(lattice, field=0.1), 0.5)
    with pytest.raises(InvalidInput, match="'triangular'"):
        f(Ising(lattices.triangular(3, boundary="open")), 0.5)
    with pytest.raises(InvalidInput, match="no lattice"):
        f([1.0, 2.0], 0.5)
    with pytest.raises(InvalidInput, match="more than 512"):
        f(Ising(lattices.square(513, 520, boundary="open")), 0.5)
    for beta in (np.nan, np.inf, -0.1, [0.5, np.nan], "cold"):
        with pytest.raises(InvalidInput, match="beta"):
            f(Ising(lattice), beta)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [1.0, 2.0, 5.0])
def test_glass_32_against_its_other_half(beta):
    """A 32 x 32 glass cut by zero couplings is two strips of 12 and one of 8."""
    model = glass((32, 32), OPEN)
    columns = model.lattice.bonds % 32
    cut = ((columns[:, 0] == 11) & (columns[:, 1] == 12)) | (
        (columns[:, 0] == 23) & (columns[:, 1] == 24)
    )
    J = np.where(cut, 0.0, model.coupling)
    total = 0.0
    for first, last in ((0, 12), (12, 24), (24, 32)):
        inside = ((columns >= first) & (columns < last)).all(axis=1)
        strip = lattices.square(32, last - first, boundary="open")
        total += transfer_matrix.log_z(Ising(strip, J[inside]), beta)
    assert planar.log_z(Ising(model.lattice, J), beta) == pytest.approx(total, rel=1e-12)
