"""`load`: open a dataset lazily, as numpy, xarray or torch.

Opening reads the root's metadata, checks their signature and the presence and size of every file;
arrays are read when asked for, spins one temperature at a time. A bit that flipped inside a chunk
is found when the chunk is decoded; `verify` compares every byte.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from statmech_ml.errors import InvalidInput, StatmechError, StoreError

from . import _layout
from .phases import PHASES
from .spec import Spec
from .splits import Part, split


def partial_of(target: Path) -> Path:
    """Where a dataset lives while it is being generated."""
    return target.with_name(f".{target.name}.partial")


@dataclass(frozen=True)
class Dataset:
    """A complete dataset on disk; see `load`.

    Attributes
    ----------
    path : Path
    spec : Spec
    attributes : dict
        The root's attributes: format, spec, spec_digest, provenance, manifest, checksum.
    """

    path: Path
    spec: Spec
    attributes: Mapping[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """Format, stream id and versions of the software that sampled."""
        return dict(json.loads(self.attributes["provenance"]))

    @property
    def header(self) -> dict[str, Any]:
        """What must agree for a run to be a continuation of this one."""
        return {"spec": json.loads(self.attributes["spec"]), "provenance": self.provenance}

    @property
    def manifest(self) -> dict[str, tuple[int, str]]:
        """Size in bytes and SHA-256 of every file but the root's zarr.json."""
        return {k: (v[0], v[1]) for k, v in json.loads(self.attributes["manifest"]).items()}

    @property
    def n_sites(self) -> int:
        """Sites of the lattice."""
        return self.spec.graph().n_sites

    @property
    def grid(self) -> tuple[int, ...]:
        """Shape of one configuration on its lattice: cells, then sites of a cell where there are
        two."""
        lattice = self.spec.graph()
        return lattice.shape + ((lattice.basis,) if lattice.basis > 1 else ())

    @cached_property
    def _group(self) -> Any:
        import zarr

        return zarr.open_group(self.path, mode="r", zarr_format=3)

    def _read(self, name: str, index: Any = slice(None)) -> np.ndarray:
        try:
            return np.asarray(self._group[name][index])
        except KeyError as error:
            known = ", ".join(sorted(self._group.array_keys()))
            raise InvalidInput(f"{name!r} is not in {self.path}. There are {known}.") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreError(
                f"{name} of {self.path} is damaged and cannot be decoded: {error}. `ising-data "
                "verify` names what else is. Remove the dataset and generate it again: the same "
                "command makes the same bytes."
            ) from error

    @cached_property
    def temperature(self) -> np.ndarray:
        """Float64 (temperature,), in units of the coupling."""
        return self._read("temperature")

    @cached_property
    def beta(self) -> np.ndarray:
        """Float64 (temperature,)."""
        return self._read("beta")

    @cached_property
    def phase(self) -> np.ndarray:
        """Codes of `PHASES`, int8 (temperature,): 1 ordered, 0 disordered, 2 critical, -1
        unknown."""
        return self._read("phase")

    @cached_property
    def energy(self) -> np.ndarray:
        """Total energies, float64 (temperature, chain, draw)."""
        return self._read("energy")

    @cached_property
    def magnetization(self) -> np.ndarray:
        """Total magnetisations, float64 (temperature, chain, draw)."""
        return self._read("magnetization")

    def label(self, name: str) -> np.ndarray:
        """Any other array of the store: "tau_int", "r_hat", "mean_clusters", "sweep", "start",
        ..."""
        return self._read(name)

    def index_of(self, temperature: float) -> int:
        """Position of a temperature. Raises InvalidInput if it is not in the dataset."""
        found = np.flatnonzero(np.isclose(self.temperature, temperature, rtol=1e-9, atol=0.0))
        if not len(found):
            raise InvalidInput(
                f"temperature={temperature!r} is not in this dataset, which has "
                f"{', '.join(f'{t:g}' for t in self.temperature)}."
            )
        return int(found[0])

    def packed(self, index: int) -> np.ndarray:
        """Packed spins of one temperature by position, uint8 (chain, draw, byte); see `unpack`."""
        return self._read("spins", index)

    def spins(self, temperature: float, on_grid: bool = False) -> np.ndarray:
        """Configurations at one temperature, int8 in {-1, +1}.

        Parameters
        ----------
        temperature : float
        on_grid : bool
            Shape (chain, draw, \\*grid) instead of (chain, draw, n_sites).

        Raises
        ------
        InvalidInput
            For a temperature that is not in the dataset.
        StoreError
            When the chunk is damaged.
        """
        spins = _layout.unpack(self.packed(self.index_of(temperature)), self.n_sites)
        return spins.reshape(*spins.shape[:-1], *self.grid) if on_grid else spins

    def to_xarray(self) -> Any:
        """The store as a lazy xarray.Dataset, coordinates and labels included; spins stay
        packed."""
        import xarray

        return xarray.open_zarr(self.path, chunks=None)

    def split(self, by: str, fractions: Mapping[str, float], seed: int) -> dict[str, Part]:
        """Parts that share no chain, or no temperature; see `splits.split`."""
        return split(len(self.temperature), self.spec.n_chains, by, fractions, seed)

    def torch(self, part: Part | None = None, label: str = "phase") -> Any:
        """A torch.utils.data.Dataset of (configuration, label).

        Parameters
        ----------
        part : Part, optional
            From `split`; default: everything.
        label : "phase", "temperature", "beta", "energy" or "magnetization"
            Phases are int64 codes, the others float32.

        Returns
        -------
        torch.utils.data.Dataset
            Items are float32 spins in {-1, +1} of shape (1, \\*grid) and a scalar tensor. Chunks
            are read when first needed and kept packed, one bit per spin.
        """
        from ._torch import SpinDataset

        return SpinDataset(self, part, label)


def load(path: str | Path, thorough: bool = False) -> Dataset:
    """Open a dataset; `thorough` compares every byte with its checksum first.

    Raises
    ------
    StoreError
        When there is no dataset, an unfinished one (the message says how far it is), something
        else, or one whose files are missing, truncated or altered.

    >>> from ising_data import Spec, generate
    >>> _ = generate(Spec("square", 4, (2.0, 3.0), samples=8, seed=1), "tiny.zarr")
    >>> load("tiny.zarr").spins(temperature=3.0).shape
    (4, 2, 16)
    """
    dataset = read_root(path)
    for problem in damaged_files(dataset, thorough):
        raise StoreError(
            f"{path} is damaged: {problem}. Remove it and generate it again: the same command "
            "makes the same bytes."
        )
    return dataset


def read_root(path: str | Path) -> Dataset:
    """The dataset by its root's metadata alone; StoreError unless they are whole and signed."""
    path = Path(path)
    root = path / _layout.ROOT
    if not path.exists():
        raise StoreError(_missing(path))
    try:
        metadata = json.loads(root.read_text())
        attributes = metadata["attributes"]
        known = attributes["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is no dataset of ising-data: its {_layout.ROOT} is missing, truncated or "
            f"foreign ({type(error).__name__}). Choose another path."
        ) from error
    if known != _layout.FORMAT:
        raise StoreError(
            f"{path} is no dataset of ising-data: its format is {known!r}, not {_layout.FORMAT!r}."
        )
    if attributes.get("checksum") != _layout.checksum(metadata):
        raise StoreError(
            f"The metadata of {path} were altered: their checksum does not match. Restore "
            f"{root}, or generate the dataset again."
        )
    try:
        return Dataset(path, Spec.from_json(attributes["spec"]), attributes)
    except StatmechError as error:
        raise StoreError(f"{path} holds a spec that this version cannot read: {error}") from error


def damaged_files(dataset: Dataset, thorough: bool) -> list[str]:
    """What is wrong with the files of a dataset; `thorough` compares every byte, else sizes."""
    from ._files import fingerprint

    problems = []
    for key, (size, digest) in sorted(dataset.manifest.items()):
        path = dataset.path / key
        if not path.is_file():
            problems.append(f"{key} is missing")
        elif path.stat().st_size != size:
            problems.append(f"{key} has {path.stat().st_size} bytes instead of {size}")
        elif thorough and fingerprint(path.read_bytes())[1] != digest:
            problems.append(f"{key} does not match its checksum")
    return problems


def finished(partial: Path) -> int:
    """How many temperatures a directory in the making holds."""
    return len(list((partial / "records").glob("*.json")))


def _missing(path: Path) -> str:
    partial = partial_of(path)
    try:
        spec = Spec.from_json(json.dumps(json.loads((partial / "header.json").read_text())["spec"]))
    except (OSError, ValueError, KeyError):
        return f"{path} does not exist. Make a dataset: ising-data generate --help."
    return (
        f"{path} is not complete: {finished(partial)} of {len(spec.temperatures)} temperatures are "
        "done. Run the command that began it again; it continues where it stopped."
    )


__all__ = ["PHASES", "Dataset", "load"]
