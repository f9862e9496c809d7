"""`export`: a dataset as plain numpy files, for readers without Zarr.

"npz" is one file with everything in memory at once, spins as one byte each; "npy" is a directory
with one .npy per array and spec.json, written one temperature at a time and fit for memory mapping.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from statmech_ml.errors import InvalidInput, StoreError

from . import _files
from .store import Dataset, load

FORMATS = ("npz", "npy")
LABELS = ("temperature", "beta", "phase", "start", "sweep", "tau_int", "r_hat")


def export(source: str | Path, to: str = "npz", out: str | Path | None = None) -> Path:
    """Write a dataset as numpy arrays; the result appears when it is complete.

    Parameters
    ----------
    source : path of a dataset
    to : "npz" or "npy"
    out : path, optional
        Default: the dataset's name with the ending .npz, or with _npy for the directory.

    Returns
    -------
    Path
        A file or directory with spins, int8 (temperature, chain, draw, \\*grid); energy and
        magnetization, float64 (temperature, chain, draw); labels; and the spec and provenance as
        JSON.

    Raises
    ------
    InvalidInput
        An unknown format.
    StoreError
        The source is no complete dataset, or the result exists or cannot be written.

    >>> from ising_data import Spec, generate
    >>> _ = generate(Spec("square", 4, (2.0, 3.0), samples=8, seed=1), "tiny.zarr")
    >>> np.load(export("tiny.zarr"))["spins"].shape
    (2, 4, 2, 4, 4)
    """
    if to not in FORMATS:
        raise InvalidInput(f"to={to!r} is unknown. There are {', '.join(FORMATS)}.")
    dataset = load(source)
    name = dataset.path.name.removesuffix(".zarr")
    default = dataset.path.with_name(f"{name}.npz" if to == "npz" else f"{name}_npy")
    target = default if out is None else Path(out)
    if os.path.lexists(target):
        raise StoreError(f"{target} exists. Choose another name with --out, or remove it first.")
    temporary = target.with_name(f".{target.name}{_files.TEMPORARY}")
    try:
        _remove(temporary)
        target.parent.mkdir(parents=True, exist_ok=True)
        if to == "npz":
            _write_npz(dataset, temporary)
        else:
            _write_directory(dataset, temporary)
        os.rename(temporary, target)
        _files.sync_directory(target.parent)
    except OSError as error:
        _remove(temporary)
        raise StoreError(f"{target} cannot be written: {_files.why(error)} ({error}).") from error
    return target


def _labels(dataset: Dataset) -> dict[str, Any]:
    return {
        "energy": dataset.energy,
        "magnetization": dataset.magnetization,
        **{name: dataset.label(name) for name in LABELS},
    }


def _about(dataset: Dataset) -> str:
    return json.dumps(dataset.header, sort_keys=True, indent=1)


def _write_npz(dataset: Dataset, path: Path) -> None:
    spins = np.stack([dataset.spins(t, on_grid=True) for t in dataset.temperature])
    with path.open("wb") as file:
        np.savez_compressed(file, spins=spins, spec=np.array(_about(dataset)), **_labels(dataset))
        file.flush()
        os.fsync(file.fileno())


def _write_directory(dataset: Dataset, path: Path) -> None:
    path.mkdir()
    spec = dataset.spec
    shape = (len(spec.temperatures), spec.n_chains, spec.n_draws, *dataset.grid)
    header = {"descr": "|i1", "fortran_order": False, "shape": shape}
    with (path / "spins.npy").open("wb") as file:  # a memory map would crash on a full disk
        np.lib.format.write_array_header_1_0(file, header)
        for t in dataset.temperature:
            file.write(dataset.spins(t, on_grid=True).tobytes())
    for name, values in _labels(dataset).items():
        np.save(path / f"{name}.npy", values)
    (path / "spec.json").write_text(_about(dataset))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
