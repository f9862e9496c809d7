"""Strips by transfer matrix: against enumeration and Kaufman; samples against the exact law."""

from types import SimpleNamespace

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square, mutant

from statmech_ml import lattices
from statmech_ml.errors import InvalidInput
from statmech_ml.exact import _transfer, enumeration, kaufman, ring, transfer_matrix
from statmech_ml.models import BernoulliRBM, Ising

BOUNDARIES = [(a, b) for a in ("open", "periodic") for b in ("open", "periodic")]
SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (2, 4), (4, 2), (3, 4), (4, 3)]
CASES = [
    (shape, boundary)
    for shape in SHAPES
    for boundary in BOUNDARIES
    if not any(side == 1 and b == "periodic" for side, b in zip(shape, boundary, strict=True))
]


def disordered(shape, boundary, seed=1, field=True):
    """Gaussian couplings, one of them zero, and Gaussian fields."""
    rng = np.random.default_rng(seed)
    lattice = lattices.square(*shape, boundary=boundary)
    J = rng.normal(size=lattice.n_bonds)
    J[: lattice.n_bonds // 8] = 0.0
    return Ising(lattice, J, rng.normal(size=lattice.n_sites) if field else 0.0)


@pytest.mark.parametrize(("shape", "boundary"), CASES)
def test_equals_enumeration(shape, boundary):
    model = disordered(shape, boundary)
    n, M = model.lattice.n_sites, enumeration.states(model.space).sum(axis=1, dtype=np.int64)
    for beta in (0.0, 0.7, 3.0):
        exact = enumeration.log_z(model, beta)
        assert transfer_matrix.log_z(model, beta) == pytest.approx(exact, rel=1e-13, abs=1e-13)
        mean = n * enumeration.energy_per_site(model, beta)
        assert transfer_matrix.energy(model, beta) == pytest.approx(mean, rel=1e-12, abs=1e-12)
        heat = beta**2 * transfer_matrix.energy_variance(model, beta) / n
        assert heat == pytest.approx(enumeration.specific_heat(model, beta), rel=1e-10, abs=1e-13)
        law = enumeration.distribution(model, beta)
        values, p = transfer_matrix.magnetization_distribution(model, beta)
        np.testing.assert_allclose(p, [law[value == M].sum() for value in values], atol=1e-13)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
@pytest.mark.parametrize(("J", "h"), [(-0.8, 0.0), (-0.8, 0.4), (1.0, -0.3), (0.0, 0.5)])
def test_uniform_couplings(boundary, J, h):
    model = Ising(lattices.square(3, 5, boundary=boundary), J, h)
    assert transfer_matrix.log_z(model, 0.6) == pytest.approx(
        enumeration.log_z(model, 0.6), rel=1e-13
    )


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (9, 4), (2, 30), (30, 3), (12, 7)])
def test_equals_kaufman(rows, columns):
    model = Ising(lattices.square(rows, columns))
    betas = np.array([[0.0, 0.2], [0.4406867935097715, 2.0]])
    n = rows * columns
    np.testing.assert_allclose(
        transfer_matrix.log_z(model, betas), kaufman.log_z(rows, columns, betas), rtol=1e-13
    )
    np.testing.assert_allclose(
        transfer_matrix.energy(model, betas),
        n * kaufman.energy_per_site(rows, columns, betas),
        rtol=1e-12,
        atol=1e-11,
    )
    np.testing.assert_allclose(
        betas**2 * transfer_matrix.energy_variance(model, betas),
        n * kaufman.specific_heat(rows, columns, betas),
        rtol=1e-9,
    )


def test_layout_does_not_matter():
    """A strip and its transpose, the couplings carried over bond by bond."""
    model = disordered((3, 8), ("periodic", "open"))
    lattice = lattices.square(8, 3, boundary=("open", "periodic"))
    where = np.arange(24).reshape(3, 8).T.ravel()  # the site of model at each site of the transpose
    pairs = np.sort(model.lattice.bonds, axis=1).tolist()
    bonds = {tuple(pair): J for pair, J in zip(pairs, model.coupling, strict=True)}
    J = [bonds[tuple(sorted(where[b].tolist()))] for b in lattice.bonds]
    turned = Ising(lattice, J, model.field[where])
    assert transfer_matrix.log_z(turned, 0.9) == pytest.approx(
        transfer_matrix.log_z(model, 0.9), rel=1e-13
    )
    x = transfer_matrix.draw(model, 0.9, 4, rng=3)
    np.testing.assert_allclose(turned.energy(x[:, where]), model.energy(x), rtol=1e-13)


def test_widest_and_longest():
    """Width 16 and a ring closed across; length 3000 without a loss of scale."""
    wide = Ising(lattices.square(3, 16, boundary=("open", "periodic")), coupling=0.0, field=0.7)
    assert transfer_matrix.log_z(wide, 1.3) == pytest.approx(48 * np.log(2 * np.cosh(0.91)))
    long = Ising(lattices.square(3000, 1, boundary="open"), coupling=-1.0)
    assert transfer_matrix.log_z(long, 2.0) == pytest.approx(ring.open_log_z(3000, 2.0), rel=1e-13)


def test_cold():
    """At low temperature log Z is that of the ground states, and the variance keeps its digits."""
    model = Ising(lattices.square(4, 4))
    assert transfer_matrix.log_z(model, 40.0) == pytest.approx(1280 + np.log(2), rel=1e-14)
    first = 32 * 8**2 * np.exp(-8 * 8.0) / 2  # 2 ground states, 32 states 8 above them
    assert transfer_matrix.energy_variance(model, 8.0) == pytest.approx(first, rel=1e-9)
    with pytest.raises(InvalidInput, match="weights underflow"):
        transfer_matrix.log_z(model, 100.0)


# --- samples --------------------------------------------------------------------------------------

SAMPLED = {
    "open": disordered((3, 3), "open", seed=2),
    "ring": disordered((2, 4), ("periodic", "open"), seed=3),
    "turned": disordered((2, 5), "open", seed=4),
    "torus": disordered((3, 3), "periodic", seed=5),
    "torus of side 2": disordered((2, 4), "periodic", seed=6),
}


def p_values(model, beta, n=40_000):
    law = enumeration.distribution(model, beta)

    def run(seed, scale):
        x = transfer_matrix.draw(model, beta, n * scale, rng=seed)
        counts = np.bincount(model.space.index(x), minlength=len(law))
        return {"states": chi_square(counts, law)}

    return run


@pytest.mark.parametrize("name", SAMPLED)
def test_samples_follow_the_law(name, seed):
    assert_distribution(p_values(SAMPLED[name], 0.6), seed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("math.exp(K[c] * spin", "math.exp(-K[c] * spin"),
        ("before[c, up]", "before[c, down]"),
        ("up if is_up else down", "down if is_up else up"),
    ],
)
@pytest.mark.parametrize("name", ["open", "torus"])
def test_mutant_samples_are_rejected(name, right, wrong, seed, monkeypatch):
    monkeypatch.setattr(transfer_matrix, "backtrack", mutant(_transfer.backtrack, right, wrong))
    assert_refuted(p_values(SAMPLED[name], 0.6), seed)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_mean_energy_of_samples(boundary, seed, assert_unbiased, assert_rejected):
    model = disordered((10, 8), boundary, seed=7)
    beta = 0.7
    mean = transfer_matrix.energy(model, beta)
    spread = np.sqrt(transfer_matrix.energy_variance(model, beta))

    def run(sampled_at):
        def z(seed, scale):
            x = transfer_matrix.draw(model, sampled_at, 400 * scale, rng=seed)
            return (model.energy(x).mean() - mean) / (spread / np.sqrt(len(x)))

        return z

    assert_unbiased(run(beta), seed)
    assert_rejected(run(0.9 * beta), seed)


def test_samples_are_repeatable():
    model = SAMPLED["torus"]
    x = transfer_matrix.draw(model, 0.6, 5, rng=1)
    assert x.dtype == np.int8
    assert x.shape == (5, 9)
    assert np.array_equal(x, transfer_matrix.draw(model, 0.6, 5, rng=1))
    assert not np.array_equal(x, transfer_matrix.draw(model, 0.6, 5, rng=2))


# --- refusals -------------------------------------------------------------------------------------


def raw(**changes):
    """A model by its parts, which no constructor has checked."""
    model = Ising(lattices.square(3, 3))
    parts = {"lattice": model.lattice, "space": model.space, "coupling": 1.0, "field": 0.0}
    return SimpleNamespace(**(parts | changes))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ising(lattices.square(17, 17, boundary="open")), "too wide.*16"),
        (Ising(lattices.square(11, 11)), "too wide.*10"),
        (Ising(lattices.square(17, 11, boundary=("open", "periodic"))), None),
        (Ising(lattices.square(5000, 5000)), "25000000 sites"),
        (Ising(lattices.triangular(3)), "'triangular'.*square"),
        (Ising(lattices.chain(5)), "'chain'.*square"),
        (Ising(lattices.from_edges([(0, 1)])), "'graph'.*square"),
        (BernoulliRBM([0.0], [0.0], [[0.0]]), "no lattice"),
        (raw(coupling=np.nan), "NaN or infinite"),
        (raw(field=np.full(9, np.inf)), "NaN or infinite"),
        (raw(coupling=[1.0, 2.0]), "coupling must be"),
        (raw(coupling="strong"), "coupling must be"),
        (raw(space=None), "no Ising model"),
        (None, "no lattice"),
    ],
)
def test_models_refused(model, message):
    if message is None:
        assert np.isfinite(transfer_matrix.log_z(model, 0.1))
        return
    for f in (transfer_matrix.log_z, transfer_matrix.energy, transfer_matrix.energy_variance):
        with pytest.raises(InvalidInput, match=message):
            f(model, 0.5)


def test_arguments_refused():
    model = Ising(lattices.square(3, 3))
    for beta in (np.nan, np.inf, -1.0, "cold"):
        with pytest.raises(InvalidInput, match="beta"):
            transfer_matrix.log_z(model, beta)
    for f in (transfer_matrix.magnetization_distribution, transfer_matrix.draw):
        more = (3, 1) if f is transfer_matrix.draw else ()
        with pytest.raises(InvalidInput, match="one number"):
            f(model, [0.1, 0.2], *more)
    for n in (0, -1, 2.5, "many"):
        with pytest.raises(InvalidInput, match="n must be"):
            transfer_matrix.draw(model, 0.5, n, rng=1)
    with pytest.raises(InvalidInput, match="rng"):
        transfer_matrix.draw(model, 0.5, 3, rng=None)
    long = Ising(lattices.square(4000, 16, boundary="open"))
    with pytest.raises(InvalidInput, match="shorter"):
        transfer_matrix.draw(long, 0.1, 1, rng=1)
    with pytest.raises(InvalidInput, match="shorter"):
        transfer_matrix.magnetization_distribution(long, 0.1)
