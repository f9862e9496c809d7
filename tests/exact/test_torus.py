"""The torus by four Pfaffians: against Kaufman, enumeration and the transfer matrix."""

import numpy as np
import pytest

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import enumeration, kaufman, torus, transfer_matrix
from statmech_ml.models import Ising

CRITICAL = 2.269185314213022


def glass(shape, kind, seed):
    rng = np.random.default_rng(seed)
    lattice = lattices.square(*shape)
    n = lattice.n_bonds
    J = {
        "Gaussian": rng.normal(size=n),
        "signs": rng.choice([-1.0, 1.0], n),
        "diluted": rng.choice([-1.0, 0.0, 1.0], n),
    }[kind]
    return Ising(lattice, J)


@pytest.mark.parametrize("shape", [(8, 8), (16, 16), (32, 32), (12, 7), (7, 12), (2, 9), (3, 2)])
@pytest.mark.parametrize("temperature", [1.0, CRITICAL, 5.0])
def test_uniform_equals_kaufman(shape, temperature):
    model = Ising(lattices.square(*shape), coupling=0.8)
    value = torus.log_z(model, 1.0 / temperature)
    exact = kaufman.log_z(*shape, 1.0 / temperature, coupling=0.8)
    assert value == pytest.approx(exact, rel=1e-12)
    assert abs(value - exact) < 1e-8


@pytest.mark.parametrize("kind", ["signs", "Gaussian", "diluted"])
@pytest.mark.parametrize("number", range(4))
def test_random_4x4_equals_enumeration(kind, number):
    """To 1e-10 and better; the transfer matrix takes over for many more below."""
    model = glass((4, 4), kind, number)
    betas = np.array([0.3, 1.0])
    np.testing.assert_allclose(
        torus.log_z(model, betas), enumeration.log_z(model, betas), rtol=1e-11
    )


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3), (4, 4), (5, 3), (2, 6), (6, 5)])
@pytest.mark.parametrize("kind", ["signs", "Gaussian", "diluted"])
def test_disorder_equals_transfer_matrix(shape, kind):
    """Signs of the sectors: 3 kinds x 8 shapes x 8 draws of the couplings x 3 temperatures."""
    for number in range(8):
        model = glass(shape, kind, number)
        for beta in (0.0, 0.5, 1.5):
            assert torus.log_z(model, beta) == pytest.approx(
                transfer_matrix.log_z(model, beta), rel=1e-11, abs=1e-11
            )
        assert torus.energy(model, 0.8) == pytest.approx(
            transfer_matrix.energy(model, 0.8), rel=1e-10, abs=1e-10
        )


@pytest.mark.parametrize("kind", ["signs", "Gaussian", "diluted"])
@pytest.mark.parametrize("beta", [5.0, 15.0])
def test_cold(kind, beta):
    """Where sectors cancel to e^{-beta J} of themselves, decimals take over."""
    for number in range(3):
        model = glass((5, 4), kind, number)
        assert torus.log_z(model, beta) == pytest.approx(
            transfer_matrix.log_z(model, beta), rel=1e-12
        )


def sectors(model, beta, monkeypatch):
    """Signs of the four Pfaffians, in the order (+,+) (+,-) (-,+) (-,-)."""
    seen = []
    right = torus._pfaffian

    def watch(matrix, arithmetic):
        out = right(matrix, arithmetic)
        seen.append(float(np.sign(float(out[0][0]))))
        return out

    monkeypatch.setattr(torus, "_pfaffian", watch)
    torus.log_z(model, beta)
    monkeypatch.setattr(torus, "_pfaffian", right)
    return tuple(seen[:4])


def test_every_sector_can_be_negative(monkeypatch):
    """One is below T_c, and antiperiodic sides (closing bonds of -1) move the sign around."""
    order = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    for along, across in order:
        J = np.ones((4, 4, 2))  # as lattice.bonds goes: to the right, down
        J[:, -1, 0], J[-1, :, 1] = across, along
        model = Ising(lattices.square(4), J.ravel())
        expected = [-1.0 if (e, f) == (-along, -across) else 1.0 for e, f in order]
        assert sectors(model, 1.0, monkeypatch) == tuple(expected)
        assert torus.log_z(model, 1.0) == pytest.approx(enumeration.log_z(model, 1.0), rel=1e-12)
        assert sectors(model, 0.2, monkeypatch) == (1.0, 1.0, 1.0, 1.0)


def test_determinants_would_not_do(monkeypatch):
    """The mutant that forgets the signs of the Pfaffians, as determinants do, is seen."""
    right = torus._pfaffian

    def positive(matrix, arithmetic):
        value, log_scale, log_terms = right(matrix, arithmetic)
        return abs(value), log_scale, log_terms

    monkeypatch.setattr(torus, "_pfaffian", positive)
    wrong = [glass((4, 4), "signs", n) for n in range(4)]
    errors = [torus.log_z(m, 1.0) - transfer_matrix.log_z(m, 1.0) for m in wrong]
    assert max(map(abs, errors)) > 0.1


def test_antiferromagnet_on_odd_sides():
    """Frustrated by its sides alone; Kaufman's formula does not hold there."""
    model = Ising(lattices.square(5, 7), coupling=-1.0)
    for beta in (0.4, 2.0):
        assert torus.log_z(model, beta) == pytest.approx(
            transfer_matrix.log_z(model, beta), rel=1e-12
        )


def test_energy_equals_kaufman():
    betas = np.array([0.0, 0.3, 1.0 / CRITICAL, 1.0])
    np.testing.assert_allclose(
        torus.energy(Ising(lattices.square(10, 6)), betas),
        60 * kaufman.energy_per_site(10, 6, betas),
        rtol=1e-11,
        atol=1e-10,
    )


def test_strip_equals_transfer_matrix():
    model = glass((20, 8), "signs", 7)
    assert torus.log_z(model, 1.0) == pytest.approx(transfer_matrix.log_z(model, 1.0), rel=1e-12)


@pytest.mark.parametrize("f", [torus.log_z, torus.energy])
def test_refusals(f):
    for boundary in ("open", ("open", "periodic"), ("periodic", "open")):
        with pytest.raises(InvalidInput, match=r"no torus.*exact\.planar"):
            f(Ising(lattices.square(3, 4, boundary=boundary)), 0.5)
    with pytest.raises(InvalidInput, match="field"):
        f(Ising(lattices.square(3, 3), field=[0.0] * 8 + [1.0]), 0.5)
    with pytest.raises(InvalidInput, match=r"more than 256.*kaufman"):
        f(Ising(lattices.square(129, 128)), 0.5)
    with pytest.raises(InvalidInput, match="'cubic'"):
        f(Ising(lattices.cubic(3)), 0.5)
    for beta in (np.nan, np.inf, -0.1, "cold"):
        with pytest.raises(InvalidInput, match="beta"):
            f(Ising(lattices.square(3, 3)), beta)
