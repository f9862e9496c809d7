"""Chains on disk: a zarr store that appears under its name only when complete."""

import hashlib
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import samplers
from ..errors import StoreError
from ..samplers import State

FORMAT = "statmech-ml chain 1"


def write(chain: Any, target: Path) -> None:
    """Write a `Chain`. Raises StoreError if the path exists or cannot be written."""
    import zarr

    if target.exists():
        raise StoreError(f"{target} exists. Choose another name, or remove it first.")
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    arrays: dict[str, np.ndarray] = {"energy": chain.energy, "beta": chain.beta}
    if chain.states is not None:
        arrays["states"] = chain.states
    arrays |= {"final/x": chain.final.x, "final/chains": chain.final.chains}
    arrays |= {f"observables/{name}": values for name, values in chain.observables.items()}
    arrays |= {f"info/{name}": values for name, values in chain.info.items()}
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    try:
        group = zarr.open_group(partial, mode="w")
        for name, values in arrays.items():
            group.create_array(name, data=values)
        group.attrs.update(
            format=FORMAT,
            checksums={name: _checksum(values) for name, values in arrays.items()},
            sampler={"name": type(chain.sampler).__name__, "settings": asdict(chain.sampler)},
            seed=str(chain.final.seed),
            sweep=chain.final.sweep,
            n_sites=chain.n_sites,
            thin=chain.thin,
            provenance=dict(chain.provenance),
            interrupted=chain.interrupted,
        )
        partial.rename(target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(path: Path) -> dict[str, Any]:
    """The fields of the `Chain` that was written. Raises StoreError for anything else."""
    import zarr

    try:
        group: Any = zarr.open_group(path, mode="r")
        about: Any = dict(group.attrs)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise StoreError(f"{path} is not a readable zarr store: {error}.") from error
    if about.get("format") != FORMAT:
        raise StoreError(
            f"{path} is no saved chain: its format is {about.get('format')!r}, not {FORMAT!r}."
        )
    try:
        kind = getattr(samplers, about["sampler"]["name"])
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in about["sampler"]["settings"].items()
        }

        arrays = {name: group[name][:] for name in about["checksums"]}
        for name, checksum in about["checksums"].items():
            # zarr reads a chunk that is missing as zeros.
            if _checksum(arrays[name]) != checksum:
                raise StoreError(f"{path} is damaged: {name} does not match its checksum.")

        def members(folder: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(f"{folder}/"): values
                for name, values in arrays.items()
                if name.startswith(f"{folder}/")
            }

        final = members("final")
        return {
            "energy": arrays["energy"],
            "states": arrays.get("states"),
            "beta": arrays["beta"],
            "final": State(final["x"], int(about["seed"]), final["chains"], about["sweep"]),
            "sampler": kind(**settings),
            "n_sites": about["n_sites"],
            "thin": about["thin"],
            "observables": members("observables"),
            "info": members("info"),
            "provenance": about["provenance"],
            "interrupted": about["interrupted"],
        }
    except (KeyError, AttributeError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}.") from error


def _checksum(values: np.ndarray) -> str:
    about = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.sha256(about + values.tobytes()).hexdigest()
