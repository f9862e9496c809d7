"""How a dataset lies on disk: a Zarr v3 group with the dimension names that xarray reads.

    spins          uint8    (temperature, chain, draw, byte)   one bit a site; see `unpack`
    energy         float64  (temperature, chain, draw)         total, in units of the coupling
    magnetization  float64  (temperature, chain, draw)         total
    clusters | cluster_size | acceptance                       what the sampler watched, likewise
    temperature, beta, phase, tau_int, r_hat, ...              (temperature,)
    chain, start                                               (chain,)
    sweep                                                      (draw,)

The first four have one chunk per temperature; the rest are one chunk each. Bytes come from zarr
itself, encoded into a store in memory and written to disk by `_files`: Zstd at a fixed level with
one thread, so equal content has equal bytes. The root's zarr.json is written last and holds, as
JSON text, the spec, the provenance and a manifest with size and SHA-256 of every other file.
"""

import hashlib
import json
import warnings
from typing import Any

import numpy as np

from .phases import PHASES, phase_codes
from .spec import Spec

FORMAT = "ising-data 1"
STARTS = {"ordered": 0, "random": 1}
ROOT = "zarr.json"

WATCHED = {"swendsen-wang": "clusters", "wolff": "cluster_size", "metropolis": "acceptance"}
"""What each sampler reports about its sweeps, if anything."""

_DESCRIPTIONS = {
    "spins": "spins packed to bits, 1 is up, site 0 is the lowest bit of byte 0",
    "energy": "total energy in units of the coupling",
    "magnetization": "total magnetisation, the sum of spins",
    "clusters": "clusters per sweep, mean over the sweeps since the previous draw",
    "cluster_size": "spins per cluster, mean over the sweeps since the previous draw",
    "acceptance": "fraction of proposals accepted since the previous draw",
    "temperature": "temperature in units of the coupling, k_B = 1",
    "beta": "inverse temperature",
    "phase": "phase of the infinite lattice",
    "chain": "independent Markov chains",
    "start": "what the chain started from, before burn-in",
    "sweep": "sweeps done when the draw was kept, burn-in included",
    "tau_int": "integrated autocorrelation time of the energy in draws, 0.5 for independent draws",
    "tau_int_stderr": "its standard error; infinite where tau_int is only a lower bound",
    "r_hat": "split R-hat of the energy, ordered and random starts; nan without fluctuations",
    "r_hat_abs_magnetization": "split R-hat of the absolute magnetisation, likewise",
    "mean_clusters": "clusters per sweep at each temperature",
    "mean_cluster_size": "spins per cluster at each temperature",
    "mean_acceptance": "fraction of proposals accepted at each temperature",
}
_COORDINATES = {
    "temperature": "beta phase",
    "chain": "start",
    "draw": "sweep",
}


def series(spec: Spec) -> list[str]:
    """Names of the arrays with one chunk per temperature."""
    return ["spins", "energy", "magnetization", *filter(None, [WATCHED.get(spec.sampler)])]


def pack(spins: np.ndarray) -> np.ndarray:
    """Spins (..., n_sites) in {-1, +1} as bits, uint8 (..., ceil(n_sites / 8))."""
    return np.packbits(spins > 0, axis=-1, bitorder="little")


def unpack(packed: np.ndarray, n_sites: int) -> np.ndarray:
    """Spins in {-1, +1}, int8 (..., n_sites), from the bits of `pack`.

    >>> unpack(pack(np.array([1, -1, 1])), 3)
    array([ 1, -1,  1], dtype=int8)
    """
    bits = np.unpackbits(np.asarray(packed), axis=-1, count=n_sites, bitorder="little")
    return bits.view(np.int8) * np.int8(2) - np.int8(1)


class Encoder:
    """Turns arrays of a dataset into the files of its store, in memory."""

    def __init__(self, spec: Spec) -> None:
        import zarr

        self._files: dict[str, Any] = {}
        self._store = zarr.storage.MemoryStore(self._files)
        self._group = zarr.open_group(self._store, mode="w", zarr_format=3)
        self._arrays: dict[str, Any] = {}
        self._shape = (len(spec.temperatures), spec.n_chains, spec.n_draws)
        n_bytes = -(-spec.model().space.size // 8)
        for name in series(spec):
            packed = name == "spins"
            shape = (*self._shape, n_bytes) if packed else self._shape
            dtype = "uint8" if packed else "float64"
            dims = ("temperature", "chain", "draw", "byte")[: len(shape)]
            chunks = (1, *shape[1:])
            self._arrays[name] = self._create(name, shape, chunks, dtype, dims)
        self._metadata = self._take()

    def _create(
        self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any, dims: Any
    ) -> Any:
        from zarr.codecs import ZstdCodec

        about: dict[str, Any] = {"long_name": _DESCRIPTIONS[name]}
        others = [_COORDINATES[d].split() for d in dims if d in _COORDINATES]
        flat = [c for group in others for c in group]
        if name not in {*flat, *dims}:
            about["coordinates"] = " ".join(flat)
        for flagged, codes in (("phase", PHASES), ("start", STARTS)):
            if name == flagged:
                about |= {"flag_values": list(codes.values()), "flag_meanings": " ".join(codes)}
        return self._group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            dimension_names=dims,
            attributes=about,
            compressors=ZstdCodec(level=3, checksum=True),
            # A chunk that equals the fill value (all spins down) would not be written at all.
            config={"write_empty_chunks": True},
        )

    def _take(self) -> dict[str, bytes]:
        """The files that have appeared since the last call, without the root's."""
        taken = {k: v.to_bytes() for k, v in self._files.items() if k != ROOT}
        for key in taken:
            if not key.endswith(ROOT):
                del self._files[key]
        return taken

    def temperature(self, index: int, arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
        """Files of one temperature: key -> bytes; arrays are (chain, draw, ...)."""
        for name, values in arrays.items():
            self._arrays[name][index] = values
        return {k: v for k, v in self._take().items() if not k.endswith(ROOT)}

    def labels(self, arrays: dict[str, tuple[str, np.ndarray]]) -> dict[str, bytes]:
        """Files of the small arrays, name -> (dimension, values), and of all metadata but the
        root's."""
        for name, (dimension, values) in arrays.items():
            array = self._create(name, values.shape, values.shape, values.dtype, (dimension,))
            array[:] = values
        return self._metadata | self._take()

    def root(self, attributes: dict[str, Any]) -> bytes:
        """The root's zarr.json with a copy of all metadata, signed: a `checksum` of it is added."""
        import zarr

        self._group.attrs.update(attributes)
        with warnings.catch_warnings():
            # Version 3 of the format does not name consolidated metadata yet; xarray asks for them.
            warnings.filterwarnings("ignore", "Consolidated metadata", UserWarning)
            zarr.consolidate_metadata(self._store)
        root = json.loads(self._files[ROOT].to_bytes())
        root["attributes"]["checksum"] = checksum(root)
        # Sorted: zarr lists the members of a group in the order of a set, which varies by process.
        return json.dumps(root, sort_keys=True, indent=1).encode()


def checksum(root: dict[str, Any]) -> str:
    """SHA-256 of the root's zarr.json but for the checksum in it; the manifest covers the rest."""
    others = {k: v for k, v in root["attributes"].items() if k != "checksum"}
    signed = json.dumps(root | {"attributes": others}, sort_keys=True)
    return hashlib.sha256(signed.encode()).hexdigest()


def label_arrays(
    spec: Spec, diagnostics: list[dict[str, float]]
) -> dict[str, tuple[str, np.ndarray]]:
    """Coordinates and per-temperature diagnostics: name -> (dimension, values)."""
    temperatures = np.array(spec.temperatures)
    arrays = {
        "temperature": ("temperature", temperatures),
        "beta": ("temperature", 1.0 / temperatures),
        "phase": ("temperature", phase_codes(spec)),
        "chain": ("chain", np.arange(spec.n_chains)),
        "start": ("chain", (np.arange(spec.n_chains) % 2).astype(np.int8)),
        "sweep": ("draw", spec.burn_in + spec.spacing * np.arange(1, spec.n_draws + 1)),
    }
    for name in diagnostics[0]:
        arrays[name] = ("temperature", np.array([row[name] for row in diagnostics], np.float64))
    return arrays
