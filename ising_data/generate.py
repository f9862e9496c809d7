"""`generate`: sample a dataset temperature by temperature and store it, resumable at any moment.

Work happens in a hidden directory beside the target, ``.NAME.partial``: a header (spec, stream,
versions), the chunks finished so far, and for each finished temperature a record with their
checksums. Every file appears by rename. Nothing in there is readable as Zarr; the metadata come
last, and then the whole directory is renamed to the target. A process that is killed therefore
leaves either no dataset or a complete one, and the same command continues after the last finished
temperature.

Each temperature has a stream of its own, spawned from the seed by its index, so what is sampled
does not depend on the order of work, on interruptions, or on the number of threads.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from statmech_ml.chains.equilibration import MAX_R_HAT
from statmech_ml.errors import EquilibrationWarning, InvalidInput, StoreError

from . import _files, _layout
from ._progress import Advance, shown
from ._sampling import sample_temperature
from .spec import Spec
from .store import Dataset, finished, load, partial_of


def generate(
    spec: Spec, out: str | Path, progress: bool | Callable[[int, int], None] | None = None
) -> Dataset:
    """Generate a dataset, or continue one that was interrupted, or return the one that is there.

    Parameters
    ----------
    spec : Spec
    out : path
        Directory of the Zarr store; it appears when the dataset is complete.
    progress : bool or function(done, total), optional
        A bar on stderr (default: on a terminal), or what to call with the sweeps done.

    Returns
    -------
    Dataset

    Raises
    ------
    InvalidInput
        The spec differs from that of the store to be continued; nothing is touched.
    StoreError
        The target is something else, was begun with another stream or other versions, is in use, or
        cannot be written (a full disk). Finished temperatures are kept.

    Warns
    -----
    EquilibrationWarning
        When ordered and random starts disagree at some temperature.

    >>> spec = Spec("square", 8, (2.0, 3.0), samples=400, seed=1)
    >>> generate(spec, "small.zarr").energy.shape
    (2, 4, 100)
    """
    target = Path(out)
    header = _header(spec)
    partial = partial_of(target)
    if os.path.lexists(target):
        done = load(target, thorough=True)
        _refuse_other_spec(done.header, header, target)
        shutil.rmtree(partial, ignore_errors=True)
        return done
    try:
        partial.mkdir(parents=True, exist_ok=True)
        with _files.locked(partial), shown(spec.sweeps * len(spec.temperatures), progress) as bar:
            work = _Work(spec, partial, header)
            for index in range(len(spec.temperatures)):
                work.temperature(index, bar)
            work.finish(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {_files.why(error)} ({error}). Nothing that was there "
            f"is lost, and {finished(partial)} of {len(spec.temperatures)} temperatures are done. "
            "Remedy that and run the same command again to continue."
        ) from error
    dataset = load(target)
    _warn_unless_equilibrated(dataset)
    return dataset


class _Work:
    """The directory of a dataset in the making: header.json, records/, store/."""

    def __init__(self, spec: Spec, directory: Path, header: dict[str, Any]) -> None:
        self.spec, self.directory, self.header = spec, directory, header
        begun = directory / "header.json"
        if begun.exists():
            before = json.loads(begun.read_text())
            _refuse_other_spec(before, header, directory)
            _refuse_other_software(before, header, directory)
        _files.sweep_temporary(directory)
        _files.write_atomically(begun, json.dumps(header, sort_keys=True).encode())
        self.encoder = _layout.Encoder(spec)
        self.records: list[dict[str, Any]] = []

    def temperature(self, index: int, bar: Advance) -> None:
        """Sample one temperature, unless it is there already and intact."""
        path = self.directory / "records" / f"{index}.json"
        record = json.loads(path.read_text()) if path.exists() else None
        if record is None or not self._intact(record["files"]):
            arrays, diagnostics = sample_temperature(self.spec, index, bar)
            files = self.encoder.temperature(index, arrays)
            record = {"files": self._write(files), "diagnostics": diagnostics}
            _files.write_atomically(path, json.dumps(record).encode())
        else:
            bar(self.spec.sweeps, skipped=True)
        self.records.append(record)

    def _write(self, files: dict[str, bytes]) -> dict[str, list[int | str]]:
        for key, data in files.items():
            _files.write_atomically(self.directory / "store" / key, data)
        return {key: _files.fingerprint(data) for key, data in files.items()}

    def _intact(self, files: dict[str, list[int | str]]) -> bool:
        def matches(key: str, expected: list[int | str]) -> bool:
            path = self.directory / "store" / key
            return path.exists() and _files.fingerprint(path.read_bytes()) == expected

        return all(matches(key, expected) for key, expected in files.items())

    def finish(self, target: Path) -> None:
        """Write labels and metadata, the root's last, and give the dataset its name."""
        labels = _layout.label_arrays(self.spec, [r["diagnostics"] for r in self.records])
        manifest = self._write(self.encoder.labels(labels))
        for record in self.records:
            manifest |= record["files"]
        root = self.encoder.root(
            {
                "format": _layout.FORMAT,
                "spec": json.dumps(self.header["spec"], sort_keys=True),
                "spec_digest": self.spec.digest,
                "provenance": json.dumps(self.header["provenance"], sort_keys=True),
                "manifest": json.dumps(manifest, sort_keys=True),
            }
        )
        _files.write_atomically(self.directory / "store" / _layout.ROOT, root)
        os.rename(self.directory / "store", target)
        _files.sync_directory(target.parent)
        shutil.rmtree(self.directory, ignore_errors=True)


def _header(spec: Spec) -> dict[str, Any]:
    packages = ("statmech-ml", "numpy", "numba", "scipy", "zarr")
    return {
        "spec": json.loads(spec.to_json()),
        "provenance": {
            "format": _layout.FORMAT,
            "stream": spec.kernel().stream,
            "versions": {name: metadata.version(name) for name in packages},
        },
    }


def _refuse_other_spec(begun: dict[str, Any], wanted: dict[str, Any], where: Path) -> None:
    before, now = (Spec.from_json(json.dumps(header["spec"])) for header in (begun, wanted))
    differences = before.differences(now)
    if differences:
        raise InvalidInput(
            f"{where} holds a dataset with another spec, which stays as it is: "
            f"{'; '.join(differences)}. Repeat the command that began it, or choose another name."
        )


def _refuse_other_software(begun: dict[str, Any], wanted: dict[str, Any], where: Path) -> None:
    before, now = begun["provenance"], wanted["provenance"]
    changed = [f"{key}: {before[key]!r} -> {now[key]!r}" for key in now if before[key] != now[key]]
    if changed:
        raise StoreError(
            f"{where} was begun by other software, so what is added now might not be what that "
            f"would have written: {'; '.join(changed)}. Go back to those versions, or remove it "
            "and start anew."
        )


def _warn_unless_equilibrated(dataset: Dataset) -> None:
    worst = np.fmax(dataset.label("r_hat"), dataset.label("r_hat_abs_magnetization"))
    bad = [float(t) for t in dataset.temperature[worst > MAX_R_HAT]]
    if bad and dataset.spec.n_draws >= 50:
        warnings.warn(
            f"Ordered and random starts disagree (R-hat above {MAX_R_HAT}) at temperature "
            f"{', '.join(f'{t:g}' for t in bad)}. Burn in longer, space draws further, or use "
            "clusters.",
            EquilibrationWarning,
            stacklevel=3,
        )
