"""The same spec gives the same bytes, however the work is cut short; nothing else is touched."""

import dataclasses
import errno
import importlib
import json
import os
import shutil
import time

import numpy as np
import pytest

from ising_data import Spec, _files, generate, load
from ising_data._sampling import starts
from ising_data.store import partial_of
from statmech_ml.errors import EquilibrationWarning, InvalidInput, StoreError
from statmech_ml.samplers import base

MODULE = importlib.import_module("ising_data.generate")


@pytest.fixture
def interrupt(monkeypatch):
    """interrupt(n): the n-th temperature (from 0) is never reached."""
    real = MODULE.sample_temperature

    def at(stop):
        def sampled(spec, index, bar):
            if index == stop:
                raise KeyboardInterrupt
            return real(spec, index, bar)

        monkeypatch.setattr(MODULE, "sample_temperature", sampled)
        return lambda: monkeypatch.setattr(MODULE, "sample_temperature", real)

    return at


# --- the same bytes -------------------------------------------------------------------------------


def test_same_spec_same_bytes(spec, made, file_tree, tmp_path):
    again = generate(spec, tmp_path / "elsewhere" / "again.zarr")
    assert file_tree(again.path) == file_tree(made.path)
    other = generate(dataclasses.replace(spec, seed=4), tmp_path / "other.zarr")
    assert not np.array_equal(other.energy, made.energy)


def test_threads_change_nothing(spec, made, file_tree, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "_WORTH_THREADS", 0)
    assert file_tree(generate(spec, tmp_path / "x.zarr").path) == file_tree(made.path)
    monkeypatch.setattr(base, "thread_count", lambda: 1)
    assert file_tree(generate(spec, tmp_path / "y.zarr").path) == file_tree(made.path)


def test_temperatures_have_streams_of_their_own(spec, made, tmp_path):
    fewer = dataclasses.replace(spec, temperatures=spec.temperatures[:1])
    assert np.array_equal(generate(fewer, tmp_path / "x.zarr").energy[0], made.energy[0])
    shared = dataclasses.replace(spec, temperatures=(2.5, 2.5000001))
    twice = generate(shared, tmp_path / "y.zarr").energy
    assert abs(np.corrcoef(twice.reshape(2, -1))[0, 1]) < 0.3


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_resumed_work_gives_the_same_bytes(spec, made, file_tree, tmp_path, interrupt, stop):
    out = tmp_path / "x.zarr"
    resume = interrupt(stop)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, out)
    assert not out.exists()
    with pytest.raises(StoreError, match=f"{stop} of 3 temperatures are done"):
        load(out)
    resume()
    assert file_tree(generate(spec, out).path) == file_tree(made.path)
    assert os.listdir(tmp_path) == ["x.zarr"]


def test_unfinished_work_is_no_zarr_store(spec, tmp_path, interrupt):
    import xarray
    import zarr

    interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, tmp_path / "x.zarr")
    partial = partial_of(tmp_path / "x.zarr")
    assert len(list((partial / "store" / "spins").rglob("*"))) > 2
    for path in [tmp_path / "x.zarr", partial, partial / "store", partial / "store" / "energy"]:
        with pytest.raises(FileNotFoundError):
            zarr.open(path, mode="r")
    with pytest.raises(FileNotFoundError):
        xarray.open_zarr(tmp_path / "x.zarr", consolidated=False)


def test_left_overs_and_damage_are_repaired(spec, made, file_tree, tmp_path, interrupt):
    out = tmp_path / "x.zarr"
    resume = interrupt(2)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, out)
    partial = partial_of(out)
    (partial / "store" / "spins" / "c" / "2").mkdir()
    (partial / "store" / "spins" / "c" / "2" / f"0{_files.TEMPORARY}").write_bytes(b"half a chu")
    chunk = partial / "store" / "energy" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    (partial / "records" / "1.json").unlink()
    resume()
    assert file_tree(generate(spec, out).path) == file_tree(made.path)


def test_finished_work_is_left_alone(spec, made, tmp_path):
    out = tmp_path / "x.zarr"
    shutil.copytree(made.path, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert np.array_equal(generate(spec, out).energy, made.energy)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    chunk = out / "spins" / "c" / "0" / "0" / "0" / "0"
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreError, match="does not match its checksum"):
        generate(spec, out)


# --- refusals, before anything is touched ---------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"samples": 800}, {"coupling": 0.5}, {"spacing": 7}]
)
def test_another_spec_is_refused(spec, made, file_tree, tmp_path, interrupt, change):
    out = tmp_path / "x.zarr"
    other = dataclasses.replace(spec, **change)
    shutil.copytree(made.path, out)
    before = file_tree(tmp_path)
    with pytest.raises(InvalidInput, match=f"another spec.*{next(iter(change))}: "):
        generate(other, out)
    assert file_tree(tmp_path) == before
    shutil.rmtree(out)
    interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, out)
    (partial_of(out) / f"stray{_files.TEMPORARY}").touch()
    before = file_tree(tmp_path)
    with pytest.raises(InvalidInput, match=f"another spec.*{next(iter(change))}: "):
        generate(other, out)
    assert file_tree(tmp_path) == before


def test_another_stream_is_refused(spec, file_tree, tmp_path, interrupt, monkeypatch):
    resume = interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, tmp_path / "x.zarr")
    resume()
    before = file_tree(tmp_path)
    monkeypatch.setattr(type(spec.kernel()), "stream", "swendsen-wang/other/2")
    with pytest.raises(StoreError, match=r"stream: 'swendsen-wang/philox.*swendsen-wang/other/2"):
        generate(spec, tmp_path / "x.zarr")
    assert file_tree(tmp_path) == before


def test_foreign_targets_are_refused(spec, file_tree, tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "precious").write_text("data")
    (tmp_path / "file").write_text("data")
    before = file_tree(tmp_path)
    for name in ("directory", "file"):
        with pytest.raises(StoreError, match="no dataset of ising-data"):
            generate(spec, tmp_path / name)
    assert file_tree(tmp_path) == before


def test_two_writers_are_kept_apart(spec, tmp_path):
    partial = partial_of(tmp_path / "x.zarr")
    partial.mkdir()
    with _files.locked(partial), pytest.raises(StoreError, match="Another process is writing"):
        generate(spec, tmp_path / "x.zarr")
    generate(spec, tmp_path / "x.zarr")


# --- disks that do not cooperate ------------------------------------------------------------------


def test_full_disk_keeps_what_was_there(spec, made, file_tree, tmp_path, monkeypatch):
    """No space from the n-th file on, for every n, then space again."""
    real, room = os.fsync, 0

    def full(descriptor):
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    out = tmp_path / "x.zarr"
    for n_files in [0, 1, 5, 12, 20, 60]:
        room = n_files
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"the disk is full.*run the same command again"):
            generate(spec, out)
        monkeypatch.setattr(os, "fsync", real)
        assert not list(tmp_path.rglob(f"*{_files.TEMPORARY}"))
        assert not out.exists()
    assert file_tree(generate(spec, out).path) == file_tree(made.path)


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(options): a file system of its own, where one may be mounted."""
    import subprocess

    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True
        )
        if done.returncode:
            pytest.skip("file systems cannot be mounted here")
        return place

    yield mount
    subprocess.run(["umount", place], capture_output=True, check=False)


def test_small_disk(spec, small_disk, made, file_tree):
    import subprocess

    place = small_disk("size=48k")
    (place / "mine").write_text("data")
    with pytest.raises(StoreError, match="the disk is full"):
        generate(spec, place / "x.zarr")
    assert (place / "mine").read_text() == "data"
    with pytest.raises(StoreError, match="is not complete"):
        load(place / "x.zarr")
    subprocess.run(["mount", "-o", "remount,size=8m", place], check=True)
    assert file_tree(generate(spec, place / "x.zarr").path) == file_tree(made.path)


def test_read_only_disk(spec, small_disk):
    place = small_disk("size=1m,ro")
    with pytest.raises(StoreError, match=r"cannot be written to.*Nothing that was there is lost"):
        generate(spec, place / "x.zarr")


def test_read_only_directory(spec, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreError, match="the directory cannot be written to"):
        generate(spec, tmp_path / "x.zarr")
    assert os.listdir(tmp_path) == []


# --- what is sampled ------------------------------------------------------------------------------


def test_half_of_the_chains_start_ordered(spec):
    model, x = spec.model(), starts(spec, seed=1)
    assert (x[::2] == 1).all()
    assert (np.abs(x[1::2].mean(axis=1)) < 0.6).all()
    against = dataclasses.replace(spec, field=-0.1, sampler="heat-bath")
    assert (starts(against, seed=1)[::2] == -1).all()
    staggered = dataclasses.replace(spec, coupling=-1.0)
    assert (staggered.model().energy(starts(staggered, 1))[::2] == -2.0 * model.space.size).all()


@pytest.mark.parametrize("sampler", ["swendsen-wang", "wolff", "heat-bath", "metropolis"])
def test_up_and_down_are_equally_likely(tmp_path, sampler, assert_unbiased, seed):
    """Far below T_c the sign is a fair coin, with local updates too."""

    def run(seed, scale):
        spec = Spec("square", 6, 1.5, samples=400 * scale, seed=seed, sampler=sampler, burn_in=200)
        signs = np.sign(generate(spec, tmp_path / f"{seed}-{scale}.zarr").magnetization[0])
        return np.array([signs.sum() / np.sqrt(signs.size)])

    assert_unbiased(run, seed)


def test_chunks_that_equal_the_fill_value_are_written(tmp_path):
    """All spins down pack to zeros, which zarr would leave out."""
    spec = Spec("square", 4, 0.2, samples=8, seed=1, field=-5.0)
    dataset = generate(spec, tmp_path / "x.zarr")
    assert (dataset.path / "spins" / "c" / "0" / "0" / "0" / "0").exists()
    assert (dataset.spins(0.2) == -1).all()


def test_provenance_names_no_place_and_no_time(made):
    text = (made.path / "zarr.json").read_text()
    for word in (os.uname().nodename, str(made.path.parent), time.strftime("%Y-%m")):
        assert word not in text
    provenance = json.loads(made.attributes["provenance"])
    assert provenance["stream"].startswith("swendsen-wang/")
    assert set(provenance["versions"]) >= {"statmech-ml", "numpy", "numba", "zarr"}


def test_progress_counts_to_the_end(spec, tmp_path, interrupt):
    seen = []
    resume = interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        generate(spec, tmp_path / "x.zarr", progress=lambda *counts: seen.append(counts))
    assert 0 < seen[-1][0] == spec.sweeps < seen[-1][1] == 3 * spec.sweeps
    resume()
    generate(spec, tmp_path / "x.zarr", progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (3 * spec.sweeps, 3 * spec.sweeps)


def test_disagreeing_starts_are_warned_about(tmp_path):
    spec = Spec(
        "square",
        24,
        1.8,
        samples=240,
        seed=2,
        sampler="heat-bath",
        spacing=1,
        burn_in=0,
        n_chains=4,
    )
    with pytest.warns(EquilibrationWarning, match=r"Ordered and random starts disagree.*1.8"):
        generate(spec, tmp_path / "x.zarr")
