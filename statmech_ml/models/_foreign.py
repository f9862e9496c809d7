"""Parameters of RBMs that other packages trained, as arrays.

Nothing of what is read is executed: attributes are copied, and HDF5 files hold arrays only.
"""

from importlib import import_module
from os import PathLike
from typing import Any

import numpy as np

from ..errors import InvalidInput, MissingCapability


def from_sklearn(estimator: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(visible_bias, hidden_bias, weights) of a fitted scikit-learn BernoulliRBM."""
    try:
        found = (
            np.asarray(estimator.intercept_visible_),
            np.asarray(estimator.intercept_hidden_),
            np.asarray(estimator.components_).T,
        )
    except AttributeError as error:
        raise InvalidInput(
            f"{estimator!r} has no {error.name}; a fitted sklearn.neural_network.BernoulliRBM has "
            "components_, intercept_visible_ and intercept_hidden_. Call its fit(X) first."
        ) from error
    return found


def from_rbms(source: Any, update: int | None, kind: str) -> tuple[Any, Any, Any]:
    """(visible_bias, hidden_bias, weights) of a machine of the package rbms.

    source: a file that rbms wrote, or its object; `kind` as rbms calls it, "BBRBM" or "PBRBM".
    """
    if isinstance(source, str | PathLike):
        found, named = _from_file(source, update)
    elif update is not None:
        raise InvalidInput(f"update={update!r} picks one of a file's checkpoints; give the file.")
    else:
        named = getattr(source, "name", None)
        found = {key: _array(getattr(source, key, None)) for key in _KEYS}
    if named != kind or any(value is None for value in found.values()):
        raise InvalidInput(
            f"{source!r} is no {kind} of rbms: it calls itself {named!r}, and has "
            f"{', '.join(k for k, v in found.items() if v is not None) or 'no parameters'}. "
            "BernoulliRBM reads BBRBM, PottsRBM reads PBRBM."
        )
    return tuple(found[key] for key in _KEYS)  # type: ignore[return-value]


_KEYS = ("vbias", "hbias", "weight_matrix")
_UPDATE = "update_"


def _array(value: Any) -> np.ndarray | None:
    """A copy of an array, or of a tensor on any device."""
    if value is None:
        return None
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.array(value)


def _from_file(path: Any, update: int | None) -> tuple[dict[str, np.ndarray | None], Any]:
    """The parameters of one checkpoint, the last by default, and the kind of the machine."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise MissingCapability(
            f"Files of rbms are HDF5, and reading {path} needs h5py, which is not installed: pip "
            "install h5py. Or give the object that rbms.io.load_params returns."
        ) from error
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InvalidInput(f"{path} is no HDF5 file that can be read: {error}.") from error
    with file:
        named = file["model_type"][()] if "model_type" in file else b""
        named = named.decode() if isinstance(named, bytes) else named
        numbers = [k.removeprefix(_UPDATE) for k in file if k.startswith(_UPDATE)]
        saved = sorted(int(n) for n in numbers if n.isdecimal())
        if not saved or (update is not None and update not in saved):
            raise InvalidInput(
                f"{path} has no checkpoint {'' if update is None else update}: it holds "
                f"{', '.join(map(str, saved)) or 'none'}. Give update= one of these."
            )
        checkpoint = file[f"{_UPDATE}{saved[-1] if update is None else update}"]
        read = {key: checkpoint.get(f"params/{key}") for key in _KEYS}
        found = {k: _array(d[()]) if isinstance(d, h5py.Dataset) else None for k, d in read.items()}
    return found, named
