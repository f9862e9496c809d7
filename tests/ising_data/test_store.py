"""A dataset opens lazily in numpy, xarray and torch; what is not a whole dataset does not open."""

import json
import pickle
import shutil

import numpy as np
import pytest

from ising_data import PHASES, Spec, generate, load, unpack
from ising_data._layout import pack
from statmech_ml.errors import InvalidInput, StoreError


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made.path, tmp_path / "copy.zarr")


# --- reading --------------------------------------------------------------------------------------


def test_arrays(made, spec):
    dataset = load(made.path)
    assert dataset.spec == spec
    assert dataset.energy.shape == dataset.magnetization.shape == (3, 4, 100)
    assert dataset.temperature.tolist() == [2.0, 2.5, 3.0]
    assert np.array_equal(dataset.beta, 1.0 / dataset.temperature)
    assert dataset.phase.tolist() == [PHASES["ordered"], PHASES["disordered"], PHASES["disordered"]]
    assert dataset.label("sweep")[[0, -1]].tolist() == [210, 1200]
    assert dataset.label("start").tolist() == [0, 1, 0, 1]
    assert (np.abs(dataset.label("r_hat") - 1) < 0.1).all()
    assert (dataset.label("mean_clusters") > 1).all()
    with pytest.raises(InvalidInput, match=r"There are .*tau_int"):
        dataset.label("colour")


def test_spins_carry_their_energy(made, spec):
    for i, t in enumerate(spec.temperatures):
        spins = made.spins(temperature=t)
        assert spins.shape == (4, 100, 60)
        assert spins.dtype == np.int8
        assert np.array_equal(spec.model().energy(spins), made.energy[i])
        assert np.array_equal(spins.sum(axis=-1), made.magnetization[i])
    assert made.spins(3.0, on_grid=True).shape == (4, 100, 6, 10)
    with pytest.raises(InvalidInput, match=r"2, 2\.5, 3"):
        made.spins(2.2)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64])
def test_packing_is_undone(n, seed):
    spins = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (3, 2, n))
    assert np.array_equal(unpack(pack(spins), n), spins)


def test_opening_reads_no_chunk(copy):
    """Lazy: with a spins chunk spoilt (same size), everything else still works."""
    chunk = copy / "spins" / "c" / "1" / "0" / "0" / "0"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    dataset = load(copy)
    assert dataset.spins(2.0).shape == (4, 100, 60)
    with pytest.raises(StoreError, match=r"spins of .* is damaged"):
        dataset.spins(2.5)


def test_two_sites_a_cell(tmp_path):
    spec = Spec("honeycomb", (2, 3), 1.0, samples=8, seed=1)
    dataset = generate(spec, tmp_path / "x.zarr")
    assert dataset.spins(1.0, on_grid=True).shape == (4, 2, 2, 3, 2)


# --- xarray ---------------------------------------------------------------------------------------


def test_xarray_opens_it_unaided(made):
    import xarray

    opened = xarray.open_zarr(made.path)
    assert opened.energy.dims == ("temperature", "chain", "draw")
    assert {"temperature", "beta", "phase", "chain", "start", "sweep"} <= set(opened.coords)
    assert np.array_equal(opened.energy.sel(temperature=2.5).values, made.energy[1])
    assert np.array_equal(unpack(opened.spins[0].values, 60), made.spins(2.0))
    assert opened.phase.attrs["flag_meanings"].split()[2] == "ordered"
    ordered = opened.where(opened.phase == 1, drop=True)
    assert ordered.temperature.values.tolist() == [2.0]
    assert Spec.from_json(opened.attrs["spec"]) == made.spec
    assert opened.identical(made.to_xarray())


# --- torch and splits -----------------------------------------------------------------------------


def test_torch(made):
    torch = pytest.importorskip("torch")
    everything = made.torch()
    assert len(everything) == 3 * 4 * 100
    spins, label = everything[1 * 400 + 2 * 100 + 7]
    assert spins.shape == (1, 6, 10)
    assert spins.dtype == torch.float32
    assert np.array_equal(spins.numpy().ravel(), made.spins(2.5)[2, 7])
    assert (label.item(), label.dtype) == (PHASES["disordered"], torch.int64)
    assert made.torch(label="temperature")[-1][1] == 3.0
    assert made.torch(label="energy")[7][1] == made.energy[0, 0, 7]
    loader = torch.utils.data.DataLoader(everything, batch_size=32, shuffle=True)
    batch, labels = next(iter(loader))
    assert batch.shape == (32, 1, 6, 10)
    assert labels.shape == (32,)
    assert len(pickle.loads(pickle.dumps(everything))) == 1200  # for workers of a DataLoader
    with pytest.raises(InvalidInput, match="label='colour'"):
        made.torch(label="colour")
    with pytest.raises(IndexError):
        everything[1200]


@pytest.mark.parametrize(("by", "axis"), [("chain", "chains"), ("temperature", "temperatures")])
def test_splits_share_nothing(made, by, axis):
    parts = made.split(by, {"train": 0.5, "validate": 0.25, "test": 0.25} if by == "chain"
                       else {"train": 2 / 3, "test": 1 / 3}, seed=1)  # fmt: skip
    chosen = [set(getattr(part, axis)) for part in parts.values()]
    assert set.union(*chosen) == set(range(4 if by == "chain" else 3))
    assert sum(map(len, chosen)) == len(set.union(*chosen))
    assert sum(len(made.torch(part)) for part in parts.values()) == 1200
    spins, _ = made.torch(parts["test"])[5]
    t, chain = parts["test"].temperatures[0], parts["test"].chains[0]
    assert np.array_equal(spins.numpy().ravel(), made.spins(made.temperature[t])[chain, 5])


def test_splits_follow_their_seed(made):
    shares = {"train": 0.75, "test": 0.25}
    assert made.split("chain", shares, seed=1) == made.split("chain", shares, seed=1)
    assert len({str(made.split("chain", shares, seed=s)) for s in range(20)}) > 1


@pytest.mark.parametrize(
    ("by", "fractions", "match"),
    [
        ("draw", {"train": 0.5, "test": 0.5}, "correlated"),
        ("chain", {"train": 0.9, "test": 0.1}, "would be empty"),
        ("temperature", {"train": 0.95, "test": 0.05}, "split by chain"),
        ("chain", {"train": 0.5, "test": 0.4}, "add up to 1"),
        ("chain", {"train": 1.5, "test": -0.5}, "positive"),
        ("chain", {}, "add up to 1"),
    ],
)
def test_bad_splits_are_refused(made, by, fractions, match):
    with pytest.raises(InvalidInput, match=match):
        made.split(by, fractions, seed=1)


# --- what does not open ---------------------------------------------------------------------------


def test_missing(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        load(tmp_path / "nothing.zarr")


def test_truncated_file(copy):
    chunk = copy / "energy" / "c" / "2" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"energy/c/2/0/0 has .* bytes instead of"):
        load(copy)


def test_altered_copy_of_array_metadata(copy):
    """The root holds a copy of all metadata, which readers use: it is signed too."""
    root = copy / "zarr.json"
    text = json.loads(root.read_text())
    assert set(text["consolidated_metadata"]["metadata"]) >= {"spins", "energy", "temperature"}
    text["consolidated_metadata"]["metadata"]["spins"]["shape"][1] = 2
    root.write_text(json.dumps(text))
    with pytest.raises(StoreError, match="altered"):
        load(copy)


@pytest.mark.parametrize("name", ["spins/c/1/0/0/0", "beta/zarr.json", "r_hat/c/0"])
def test_lost_file(copy, name):
    (copy / name).unlink()
    with pytest.raises(StoreError, match=f"{name} is missing"):
        load(copy)


def test_truncated_metadata(copy):
    root = copy / "zarr.json"
    root.write_text(root.read_text()[:-40])
    with pytest.raises(StoreError, match="truncated or foreign"):
        load(copy)


def test_altered_metadata(copy):
    root = copy / "zarr.json"
    text = json.loads(root.read_text())
    text["attributes"]["spec"] = text["attributes"]["spec"].replace('"seed": 3', '"seed": 4')
    root.write_text(json.dumps(text))
    with pytest.raises(StoreError, match="altered"):
        load(copy)


def test_foreign_store(tmp_path):
    import zarr

    group = zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(StoreError, match="foreign"):
        load(tmp_path / "other.zarr")
    group.attrs["format"] = "another 2"
    with pytest.raises(StoreError, match="'another 2', not 'ising-data 1'"):
        load(tmp_path / "other.zarr")
