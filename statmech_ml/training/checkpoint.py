"""Checkpoints of training: arrays and text in one safetensors file, nothing that executes.

The file holds a tree of dictionaries, lists, numbers and arrays; its text stands in the metadata as
JSON, its arrays are tensors by number, and a digest covers both. It is written under another name
and moved, so a reader sees the old checkpoint or the new one. Reading looks no class up by name,
imports nothing and evaluates nothing: a file that is not what it should be is refused.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..errors import InvalidInput, StoreError
from .boltzmann import TrainableBoltzmann
from .history import History
from .rbm import TrainableRBM
from .shell import Shell

FORMAT = "statmech-ml training 1"


class Checkpoint(NamedTuple):
    """A checkpoint that was loaded.

    Fields: shell with the parameters, `History` so far, epochs done, settings of the run in words.
    """

    shell: Shell
    history: History
    epoch: int
    settings: dict[str, Any]


def load_checkpoint(path: Any, shell: Shell | None = None) -> Checkpoint:
    """Load what `train(..., checkpoint=path)` wrote.

    Parameters
    ----------
    path : str or Path
    shell : Trainable or generative model, optional
        Takes the parameters. Needed for those that hold a network: code is not in the file. RBMs
        and Boltzmann machines are made anew without.

    With early stopping the shell gets the best parameters so far, those of
    ``history.best_epoch``, as `train` returns them; otherwise the last ones.

    Raises
    ------
    InvalidInput
        For what is no path.
    StoreError
        For a file that is missing, damaged, no checkpoint, or of another shell.
    """
    tree = read(path_of(path, "path"))
    about = _field(path, tree, "shell", dict)
    made = _made(path, about) if shell is None else shell
    history = put_shell(path, tree, made)
    if history.best_epoch is not None:
        trained = made.moving
        try:
            best = like(tree["best"]["parameters"], trained)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path} is damaged: its best parameters: {error}.") from error
        with torch.no_grad():
            for name, value in best.items():
                trained[name].copy_(torch.from_numpy(value))
    return Checkpoint(
        made, history, _field(path, tree, "epoch", int), _field(path, tree, "settings", dict)
    )


def check_shell(path: Any, tree: dict[str, Any], shell: Shell) -> None:
    """Raise StoreError for the checkpoint of another shell."""
    about, given = _plain(shell.about), _field(path, tree, "shell", dict)
    if about != given:
        differ = [key for key in {*about, *given} if about.get(key) != given.get(key)]
        words = "; ".join(
            f"{key} is {given.get(key)!r}, here {about.get(key)!r}" for key in sorted(differ)
        )
        raise StoreError(f"{path} is the checkpoint of another shell: {words}.")


def put_shell(path: Any, tree: dict[str, Any], shell: Shell) -> History:
    """Give a shell the parameters and buffers of a checkpoint; returns its history."""
    check_shell(path, tree, shell)
    stored, own = _field(path, tree, "parameters", dict), shell.state_dict()
    for name in {*stored, *own}:
        ours, theirs = own.get(name), stored.get(name)
        fits = ours is not None and isinstance(theirs, np.ndarray)
        if not fits or tuple(ours.shape) != theirs.shape:  # type: ignore[union-attr]
            raise StoreError(f"{path} does not fit this shell: {name} has another shape, or none.")
        dtype = str(ours.dtype).removeprefix("torch.")  # type: ignore[union-attr]
        if theirs.dtype.name != dtype:
            raise StoreError(
                f"{path} holds a {name} of {theirs.dtype.name}, and this shell's is {dtype}: the "
                f"run would not go on as it was. Make the shell with dtype=torch."
                f"{theirs.dtype.name}."
            )
        if not np.isfinite(theirs).all():
            raise StoreError(f"{path} holds a {name} that is not finite.")
    past = _field(path, tree, "history", dict)
    try:
        series = {name: np.asarray(v, np.float64) for name, v in past["series"].items()}
        history = History(
            np.asarray(past["epoch"], np.int64), series, past["stopped"], past["best_epoch"],
            past["ema"],
        )  # fmt: skip
        if any(v.shape != history.epoch.shape for v in series.values()):
            raise ValueError("series of different lengths")
        epoch = _field(path, tree, "epoch", int)
        if history.epoch.tolist() != list(range(1, len(history) + 1)) or epoch != len(history):
            raise ValueError(f"{len(history)} epochs, but {epoch} are done")
        best = history.best_epoch
        if not isinstance(history.stopped, str) or not (
            best is None or (isinstance(best, int) and 1 <= best <= epoch)
        ):
            raise ValueError(f"stopped {history.stopped!r}, best epoch {best!r}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{path} is damaged: its history is none ({error}).") from error
    shell.load_state_dict({name: torch.from_numpy(value) for name, value in stored.items()})
    return history


def path_of(given: Any, name: str) -> Path:
    """A path, or InvalidInput for what is none."""
    if not isinstance(given, str | os.PathLike):
        raise InvalidInput(f"{name}={given!r} must be a path, e.g. 'run.safetensors'.")
    return Path(given)


def check_finite(tree: Any, where: str) -> None:
    """Raise ValueError for a number in a tree that is not finite."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for value in tree:
            check_finite(value, where)
    elif isinstance(tree, np.ndarray | float) and not np.isfinite(tree).all():
        raise ValueError(f"{where} holds a number that is not finite")


def like(found: Any, own: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Finite arrays of the names and shapes of `own`, or ValueError."""
    if set(found) != set(own):
        raise ValueError(f"it has {sorted(found)} in place of {sorted(own)}")
    for name, value in found.items():
        if not isinstance(value, np.ndarray) or value.shape != tuple(own[name].shape):
            raise ValueError(f"{name} has another shape than {tuple(own[name].shape)}")
        check_finite(value, name)
    return dict(found)


def carried_like(
    found: Any, fresh: Mapping[str, np.ndarray], levels_vary: bool, shell: Any
) -> dict[str, np.ndarray]:
    """What a method carries, of the kind that it starts with: names, shapes and dtypes, finite,
    configurations of the shell's space; ValueError otherwise. Leading axes may differ, all by the
    same number, if `levels_vary`."""
    wanted_shapes = {name: np.asarray(value) for name, value in fresh.items()}
    if levels_vary:
        more = len(found["x"]) - len(fresh["x"])
        wanted_shapes = {
            name: np.empty((max(0, len(v) + more), *v.shape[1:])) if v.ndim else v
            for name, v in wanted_shapes.items()
        }
    found = like(found, wanted_shapes)
    for name, value in found.items():
        wanted = np.asarray(fresh[name]).dtype
        if value.dtype != wanted:
            raise ValueError(f"{name} is {value.dtype}, not {wanted}")
        if name == "x":
            shell.space.check(value, name)
        if name == "h":
            shell.freeze().hidden_space.check(value, name)
    return found


def target_of(checkpoint: Any, resume: bool) -> Path | None:
    """Where a run writes its checkpoint, if anywhere; refused, before any work, where none can be
    written, or one stands that is not to be continued."""
    if checkpoint is None:
        if resume:
            raise InvalidInput("resume=True needs checkpoint=, the file to go on from.")
        return None
    path = path_of(checkpoint, "checkpoint")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent} is no folder. Make it first, or choose another path.")
    if path.is_dir():
        raise StoreError(f"{path} is a folder. A checkpoint is a file, e.g. run.safetensors.")
    if path.exists() and not resume:
        raise StoreError(
            f"{path} exists. Continue it with resume=True, remove it, or choose another path."
        )
    return path


def write(path: Path, tree: dict[str, Any]) -> None:
    """Write a tree of dictionaries, lists, tuples, numbers, strings and arrays or tensors.

    Raises
    ------
    InvalidInput
        For anything else in it.
    StoreError
        When the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encoded({"format": FORMAT} | tree, arrays, "checkpoint"))
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        save_file(arrays, partial, {"tree": text, "digest": _digest(text, arrays)})
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """The tree that was written; StoreError for anything that is none."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is not a readable checkpoint: {error}.") from error
    text = metadata.get("tree")
    if text is None:
        raise StoreError(f"{path} is no checkpoint of training: it holds tensors only.")
    if metadata.get("digest") != _digest(text, arrays):
        raise StoreError(f"{path} is damaged: its contents do not match their digest.")
    try:
        tree = _decoded(json.loads(text), arrays)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise StoreError(f"{path} is no checkpoint in the format {FORMAT!r}.")
    return tree


def digest_of(x: np.ndarray) -> str:
    """What identifies an array: 16 hexadecimal digits of the SHA-256 of dtype, shape, contents."""
    about = f"{x.dtype.str} {x.shape} ".encode()
    return hashlib.sha256(about + x.tobytes()).hexdigest()[:16]


def _encoded(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """`value` as JSON; arrays are put into `arrays`, and their number stands in their place."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = np.array(value, order="C")  # ascontiguousarray would add a dimension to ()
        return {"array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise InvalidInput(f"{where} has keys that are neither strings nor whole numbers.")
        items = [[key, _encoded(v, arrays, f"{where}[{key!r}]")] for key, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        items = [_encoded(v, arrays, f"{where}[{i}]") for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    raise InvalidInput(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold: only numbers, "
        "strings, arrays and collections of these. Use another optimiser or schedule, or train "
        "without checkpoint=."
    )


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        ((kind, inner),) = value.items()
        if kind == "array":
            return arrays[inner]
        if kind == "dict":
            return {key: _decoded(v, arrays) for key, v in inner}
        if kind == "tuple":
            return tuple(_decoded(v, arrays) for v in inner)
        if kind == "list":
            return [_decoded(v, arrays) for v in inner]
        raise ValueError(f"unknown kind {kind!r}")
    if isinstance(value, list):
        raise ValueError("a list without its kind")
    return value


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    whole = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        x = arrays[name]
        whole.update(f"{name} {x.dtype.str} {x.shape} ".encode())
        whole.update(x.tobytes())
    return whole.hexdigest()


def _plain(about: dict[str, Any]) -> dict[str, Any]:
    """`about` as it is read back."""
    arrays: dict[str, np.ndarray] = {}
    plain: dict[str, Any] = _decoded(json.loads(json.dumps(_encoded(about, arrays, "about"))), {})
    return plain


def _made(path: Any, about: dict[str, Any]) -> Shell:
    """A new shell as described, of a class that this package can make."""
    makers = {"TrainableRBM": TrainableRBM.like, "TrainableBoltzmann": TrainableBoltzmann.like}
    maker = makers.get(str(about.get("class")))
    if maker is None:
        raise StoreError(
            f"{path} holds a {about.get('class')}, whose network is code and not in the file. Give "
            "a shell of that structure: load_checkpoint(path, shell=...)."
        )
    try:
        made: Shell = maker(about)
    except (KeyError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise StoreError(f"{path} describes no shell: {type(error).__name__}: {error}.") from error
    return made


def _field(path: Any, tree: dict[str, Any], name: str, kind: type) -> Any:
    value = tree.get(name)
    if not isinstance(value, kind):
        raise StoreError(f"{path} is damaged: it has no {name}.")
    return value
