"""RBMs of scikit-learn and of rbms, read in: the same free energies."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from machines import normal

from statmech_ml.errors import InvalidInput, MissingCapability
from statmech_ml.models import BernoulliRBM, PottsRBM

A, B, W = normal(6, seed=1), normal(4, seed=2), normal(6, 4, seed=3)
V = np.random.default_rng(4).integers(0, 2, (20, 6))


@pytest.fixture(scope="module")
def fitted():
    from sklearn.neural_network import BernoulliRBM as Theirs

    theirs = Theirs(n_components=4, n_iter=3, learning_rate=0.1, random_state=0)
    return theirs.fit(np.random.default_rng(5).integers(0, 2, (50, 6)).astype(float))


def test_the_free_energy_of_scikit_learn(fitted):
    ours = BernoulliRBM.from_sklearn(fitted)
    assert (ours.n_visible, ours.n_hidden) == (6, 4)
    assert np.abs(ours.free_energy(V) - fitted._free_energy(V.astype(float))).max() < 1e-10
    assert ours.hidden_mean(V) == pytest.approx(fitted.transform(V.astype(float)), abs=1e-12)


def test_what_is_read_is_a_copy(fitted):
    ours = BernoulliRBM.from_sklearn(fitted)
    before = ours.weights.copy()
    fitted.components_[0, 0] += 1.0
    assert ours.weights.tolist() == before.tolist()
    fitted.components_[0, 0] -= 1.0


def test_estimators_that_are_not_fitted():
    from sklearn.neural_network import BernoulliRBM as Theirs

    for nothing in (Theirs(), None, "rbm"):
        with pytest.raises(InvalidInput, match=r"fit\(X\) first"):
            BernoulliRBM.from_sklearn(nothing)


# --- rbms -----------------------------------------------------------------------------------------


def named(name, **parameters):
    return SimpleNamespace(name=name, **parameters)


def test_objects_of_rbms():
    ours = BernoulliRBM.from_rbms(named("BBRBM", vbias=A, hbias=B, weight_matrix=W))
    assert ours.weights.tolist() == W.tolist()
    weights, biases = normal(3, 5, 4, seed=6), normal(3, 5, seed=7)
    potts = PottsRBM.from_rbms(named("PBRBM", vbias=biases, hbias=B, weight_matrix=weights))
    assert potts.n_levels == 5
    assert potts.visible_bias.tolist() == biases.tolist()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (named("PBRBM", vbias=A, hbias=B, weight_matrix=W), "calls itself 'PBRBM'"),
        (named("BBRBM", vbias=A, hbias=B), "is no BBRBM"),
        (None, "no parameters"),
        (named("BBRBM", vbias=A, hbias=B, weight_matrix=W.T), "weights has shape"),
        (named("BBRBM", vbias=A, hbias=B * np.nan, weight_matrix=W), "NaN"),
    ],
)
def test_objects_that_are_no_machines_of_rbms(source, message):
    with pytest.raises(InvalidInput, match=message):
        BernoulliRBM.from_rbms(source)


def test_an_update_is_of_a_file():
    with pytest.raises(InvalidInput, match="give the file"):
        BernoulliRBM.from_rbms(named("BBRBM", vbias=A, hbias=B, weight_matrix=W), update=3)


def test_without_h5py_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingCapability, match="pip install h5py"):
        BernoulliRBM.from_rbms(tmp_path / "rbm.h5")


# torch.jit, which rbms uses, says on import that its days are counted.
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@OLD
@pytest.mark.peers
def test_files_and_energies_of_rbms(tmp_path):
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.io import save_model

    def theirs(scale):
        parts = (torch.tensor(scale * x) for x in (W, A, B))
        return BBRBM(*parts)

    chains = {"visible": torch.zeros(2, 6)}
    for update, scale in ((1, 0.5), (20, 1.0), (3, 0.7)):
        save_model(str(tmp_path / "rbm.h5"), theirs(scale), chains, update, 0.0)
    v = torch.tensor(V, dtype=torch.float64)
    for update, scale in ((None, 1.0), (3, 0.7), (1, 0.5)):
        ours = BernoulliRBM.from_rbms(tmp_path / "rbm.h5", update)
        expected = theirs(scale).compute_energy_visibles(v).numpy()
        # Theirs leaves log(1 + e^x) out for x >= 10, an error of at most e^-10 a unit.
        assert np.abs(ours.free_energy(V) - expected).max() < 1e-10 + 4 * np.exp(-10.0) * (
            (B + V @ W).max() > 10
        )
    assert BernoulliRBM.from_rbms(theirs(1.0)).weights.tolist() == W.tolist()
    with pytest.raises(InvalidInput, match=r"no checkpoint 7: it holds 1, 3, 20"):
        BernoulliRBM.from_rbms(tmp_path / "rbm.h5", 7)
    with pytest.raises(InvalidInput, match="is no PBRBM"):
        PottsRBM.from_rbms(tmp_path / "rbm.h5")


@OLD
@pytest.mark.peers
def test_levels_of_rbms(tmp_path):
    import torch
    from rbms.io import save_model
    from rbms.potts_bernoulli.classes import PBRBM

    biases, weights = normal(3, 5, seed=7), normal(3, 5, 4, seed=6)
    theirs = PBRBM(*(torch.tensor(x) for x in (weights, biases, B)))
    save_model(str(tmp_path / "rbm.h5"), theirs, {"visible": torch.zeros(2, 3)}, 5, 0.0)
    ours = PottsRBM.from_rbms(str(tmp_path / "rbm.h5"))
    v = np.random.default_rng(1).integers(0, 5, (30, 3))
    expected = theirs.compute_energy_visibles(torch.tensor(v, dtype=torch.float64)).numpy()
    assert (B + 3 * np.abs(weights).max() < 10).all()  # below, they sum what we sum
    assert np.abs(ours.free_energy(v) - expected).max() < 1e-10


@pytest.mark.peers
def test_files_that_rbms_did_not_write(tmp_path):
    import h5py

    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InvalidInput, match="no HDF5 file"):
        BernoulliRBM.from_rbms(tmp_path / "text.h5")
    with pytest.raises(InvalidInput, match="no HDF5 file"):
        BernoulliRBM.from_rbms(tmp_path / "missing.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(InvalidInput, match="holds none"):
        BernoulliRBM.from_rbms(tmp_path / "other.h5")
    with h5py.File(tmp_path / "half.h5", "w") as file:
        file["model_type"] = "BBRBM"
        file["update_1/params/vbias"] = A
        file["update_1/params/hbias"] = "rm -rf"
        file["update_1/params/weight_matrix"] = W
        file["update_2/params/vbias/deeper"] = A
    with pytest.raises(InvalidInput, match="no array"):
        BernoulliRBM.from_rbms(tmp_path / "half.h5", 1)
    with pytest.raises(InvalidInput, match="is no BBRBM"):
        BernoulliRBM.from_rbms(tmp_path / "half.h5")
