"""Chains on disk: a zarr store that appears under its name only when complete."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import samplers
from ..errors import InvalidInput, StoreError
from ..samplers import Sampler, State

FORMAT = "statmech-ml chain 1"
NUMBERS = "biufc"
"""Kinds of dtypes that series may have."""

_FORBIDDEN = ("/", "\\", "\0")
_LONGEST = 200  # bytes; file systems take 255


def check_name(name: Any) -> None:
    """Raise InvalidInput unless a series can be called and stored under `name`."""
    if (
        not isinstance(name, str)
        or not 0 < len(name.encode(errors="replace")) <= _LONGEST
        or name.startswith((".", "__"))
        or any(character in name for character in _FORBIDDEN)
        or not name.isprintable()
        or name == "zarr.json"
    ):
        raise InvalidInput(
            f"An observable cannot be called {name!r}: it names a folder when the chain is saved. "
            "Use a word without a slash that begins with a letter, e.g. 'first'."
        )


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
    arrays |= {f"carried/{name}": values for name, values in chain.final.carried.items()}
    for folder, series in (("observables", chain.observables), ("info", chain.info)):
        for name, values in series.items():
            check_name(name)
            arrays[f"{folder}/{name}"] = values
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    for name, values in arrays.items():
        if values.dtype.kind not in NUMBERS:
            raise InvalidInput(
                f"{name} has dtype {values.dtype}, which cannot be stored: only numbers can. "
                "Convert it, or leave it out."
            )
    about = _plain(
        {
            "format": FORMAT,
            "checksums": {name: _checksum(values) for name, values in arrays.items()},
            "sampler": _describe(chain.sampler),
            "seed": str(chain.final.seed),
            "sweep": int(chain.final.sweep),
            "n_sites": int(chain.n_sites),
            "thin": int(chain.thin),
            "provenance": dict(chain.provenance),
            "interrupted": bool(chain.interrupted),
            "boltzmann": bool(chain.boltzmann),
        }
    )
    try:
        group = zarr.open_group(partial, mode="w")
        for name, values in arrays.items():
            group.create_array(name, data=values)
        group.attrs.update(about, checksum=_checksum_of(about))
        partial.rename(target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(path: Path, foreign: Mapping[str, type[Sampler]]) -> dict[str, Any]:
    """The fields of the `Chain` that was written. Raises StoreError for anything else.

    `foreign`: samplers by name that are not part of this package.
    """
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
    if about.pop("checksum", None) != _checksum_of(about):
        raise StoreError(f"{path} is damaged: its attributes do not match their checksum.")
    sampler = _sampler(path, about["sampler"], foreign)
    try:
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
            "final": State(
                final["x"], int(about["seed"]), final["chains"], about["sweep"], members("carried")
            ),
            "sampler": sampler,
            "n_sites": about["n_sites"],
            "thin": about["thin"],
            "observables": members("observables"),
            "info": members("info"),
            "provenance": about["provenance"],
            "interrupted": about["interrupted"],
            "boltzmann": about["boltzmann"],
        }
    except (KeyError, AttributeError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}.") from error


def _describe(sampler: Sampler) -> dict[str, Any]:
    """Class and settings of a sampler, from which `_sampler` makes an equal one."""
    kind = type(sampler)
    given = {f.name: getattr(sampler, f.name) for f in fields(sampler) if f.init}
    inner = {name: value for name, value in given.items() if isinstance(value, Sampler)}
    about = {
        "module": kind.__module__,
        "name": kind.__name__,
        "own": getattr(samplers, kind.__name__, None) is kind,
        "settings": {name: value for name, value in given.items() if name not in inner},
        "samplers": {name: _describe(value) for name, value in inner.items()},
    }
    try:
        same = bool(_made(kind, json.loads(json.dumps(about["settings"])) | inner) == sampler)
    except (TypeError, ValueError):
        same = False
    if not same:
        raise StoreError(
            f"The chain cannot be saved: {sampler!r} is not equal to a {kind.__name__} made anew "
            "from its stored settings. Give the class settings that are numbers, strings, None, "
            "tuples of these, or samplers."
        )
    return about


def _sampler(path: Path, about: Any, foreign: Mapping[str, type[Sampler]]) -> Sampler:
    """The sampler that `_describe` described; looks classes up, and never imports any."""
    name, module = about["name"], about["module"]
    kind = getattr(samplers, name, None) if about["own"] else foreign.get(name)
    if kind is None:
        raise StoreError(
            f"{path} was made by the sampler {name} of the module {module}, which is unknown here, "
            "and loading imports no code. Give the class: "
            f"Chain.load(..., samplers={{{name!r}: {name}}})."
        )
    if not (isinstance(kind, type) and issubclass(kind, Sampler)):
        raise StoreError(f"{path} was made by {name!r}, but {kind!r} is no class of samplers.")
    inner = {
        setting: _sampler(path, described, foreign)
        for setting, described in about.get("samplers", {}).items()  # not in older files
    }
    try:
        return _made(kind, about["settings"] | inner)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{path} was made by a {name} with the settings {about['settings']}, which "
            f"{kind.__name__} does not take: {error}. Give the class as it was."
        ) from error


def _made(kind: type[Sampler], settings: dict[str, Any]) -> Sampler:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})


def _plain(about: dict[str, Any]) -> dict[str, Any]:
    """`about` as it will be read back."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(about))
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"The chain cannot be saved: its provenance is no JSON ({error}). Keep strings and "
            "numbers there."
        ) from error
    return plain


def _checksum_of(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _checksum(values: np.ndarray) -> str:
    about = f"{values.dtype.str} {values.shape} ".encode()
    return hashlib.sha256(about + values.tobytes()).hexdigest()
