"""A model in a user's own file, examples/own_model.py, is a model like any other."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from statistical import assert_distribution, assert_refuted, chi_square, exact

from statmech_ml import lattices, sample
from statmech_ml._jit import cache_directory
from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.samplers import HeatBath, Metropolis, Wolff
from statmech_ml.spaces import Spins
from statmech_ml.systems import Model

PATH = Path(__file__).parents[2] / "examples" / "own_model.py"


@pytest.fixture(scope="module")
def own():
    spec = importlib.util.spec_from_file_location("own_model", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_model"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["own_model"]


def triangles(side):
    """The triangles of the periodic lattice, each once, two at every site."""
    cells = np.indices((side, side)).reshape(2, -1).T

    def at(a, b):
        return np.ravel_multi_index(((cells + np.array([a, b])) % side).T, (side, side))

    return np.concatenate(
        [
            np.stack([at(0, 0), at(0, 1), at(1, 0)], -1),
            np.stack([at(0, 0), at(1, 0), at(1, -1)], -1),
        ]
    )


@pytest.mark.parametrize("side", [3, 4, 5])
def test_energy_from_the_definition(own, side):
    model = own.baxter_wu(side, coupling=0.7)
    x = model.space.random(3, np.arange(30, dtype=np.uint32))
    corners = triangles(side)
    assert corners.shape == (2 * side**2, 3)
    bonded = {tuple(sorted(b)) for b in model.lattice.bonds.tolist()}
    for a, b, c in corners.tolist():
        assert {tuple(sorted(p)) for p in ((a, b), (b, c), (a, c))} <= bonded
    expected = -0.7 * x[:, corners].astype(float).prod(axis=-1).sum(axis=-1)
    assert model.energy(x) == pytest.approx(expected, abs=1e-10)
    assert [model.arrays.energy(row) for row in x] == pytest.approx(expected, abs=1e-10)


def test_change_of_one_site(own):
    model = own.baxter_wu(4)
    for x in model.space.random(5, np.arange(5, dtype=np.uint32)):
        for site in range(16):
            y = x.copy()
            y[site] = -y[site]
            change = model.arrays.delta_energy(x, site, y[site])
            assert change == pytest.approx(float(model.energy(y) - model.energy(x)))


def test_four_ground_states(own):
    """All up, and two of the three sublattices down."""
    energy = exact(own.baxter_wu(3), 0.0).energy
    assert energy.min() == -18.0
    assert (energy == -18.0).sum() == 4


@pytest.mark.parametrize("sampler", [HeatBath(), Metropolis()], ids=str)
@pytest.mark.parametrize("wrong", [False, True])
def test_final_states_have_the_exact_distribution(own, sampler, wrong, seed):
    model, beta = own.baxter_wu(3), 0.25
    used = own.baxter_wu(3, coupling=-1.0) if wrong else model

    def run(seed, scale):
        n = 20_000 * scale
        state = sampler.init(used, n, seed)
        x = sampler.advance(used, state, np.full(n, beta), 40)[0].x
        counts = np.bincount(model.space.index(x), minlength=512)
        return {"states": chi_square(counts, exact(model, beta).probability)}

    (assert_refuted if wrong else assert_distribution)(run, seed)


def test_capabilities_follow_from_its_methods(own):
    model = own.baxter_wu(3)
    assert model.capabilities == {"Local"}
    with pytest.raises(MissingCapability, match="Wolff needs the capability Clusterable"):
        sample(model, Wolff(), beta=0.3, n_draws=10, rng=1)
    assert len(model.schedule.starts) > 3  # coloured by its lattice


def test_its_kernels_are_cached_under_the_digest_of_its_file(own, tmp_path, monkeypatch):
    from statmech_ml import _jit

    monkeypatch.setattr(_jit, "_IMPORTED", np.inf)  # whatever was edited while the tests run
    _jit._package_digest.cache_clear()
    before = cache_directory(frozenset({"own_model"}))
    assert before is not None
    assert before != cache_directory()
    copy = tmp_path / "own_model.py"
    copy.write_text(PATH.read_text() + "# edited\n")
    monkeypatch.setattr(own, "__file__", str(copy))
    assert cache_directory(frozenset({"own_model"})) != before
    assert cache_directory(frozenset({"__main__"})) is None
    assert cache_directory(frozenset({"no_such_module"})) is None
    monkeypatch.setattr(_jit, "_IMPORTED", 0.0)  # every file is newer than that
    assert cache_directory(frozenset({"own_model"})) is None
    _jit._package_digest.cache_clear()


def test_what_is_no_model_is_refused(own):
    with pytest.raises(InvalidInput, match="has no method energy"):
        Model(Spins(4), (1.0, 2.0))
    with pytest.raises(InvalidInput, match="9 sites but the state space 4"):
        Model(Spins(4), own.baxter_wu(3).arrays, lattices.triangular(3))
