"""Exports hold what the store holds, and never half of it."""

import json
import os

import numpy as np
import pytest

from ising_data import Spec, export
from ising_data.export import LABELS
from statmech_ml.errors import InvalidInput, StoreError


def check(arrays, made):
    assert arrays["spins"].shape == (3, 4, 100, 6, 10)
    assert arrays["spins"].dtype == np.int8
    for i, t in enumerate(made.temperature):
        assert np.array_equal(arrays["spins"][i], made.spins(t, on_grid=True))
    for name in ("energy", "magnetization", *LABELS):
        assert np.array_equal(arrays[name], made.label(name))


def test_npz(made, tmp_path):
    path = export(made.path, "npz", tmp_path / "x.npz")
    with np.load(path) as arrays:
        check(arrays, made)
        assert Spec.from_json(json.dumps(json.loads(str(arrays["spec"]))["spec"])) == made.spec


def test_directory_of_npy(made, tmp_path):
    path = export(made.path, "npy", tmp_path / "x_npy")
    check({p.stem: np.load(p, mmap_mode="r") for p in path.glob("*.npy")}, made)
    header = json.loads((path / "spec.json").read_text())
    assert header["provenance"]["stream"] == made.provenance["stream"]


def test_refusals(made, tmp_path):
    (tmp_path / "x.npz").write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        export(made.path, "npz", tmp_path / "x.npz")
    assert (tmp_path / "x.npz").read_text() == "mine"
    with pytest.raises(InvalidInput, match="'csv' is unknown"):
        export(made.path, "csv")
    with pytest.raises(StoreError, match="does not exist"):
        export(tmp_path / "nothing.zarr")


@pytest.mark.parametrize("to", ["npz", "npy"])
def test_full_disk_leaves_nothing(made, tmp_path, monkeypatch, to):
    import errno

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StoreError, match="the disk is full"):
        export(made.path, to, tmp_path / "x")
    assert os.listdir(tmp_path) == []
