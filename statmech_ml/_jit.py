"""Compiled functions: how kernels are built, cached on disk, and reach a plain-Python model.

Two things live here.

`capability` turns a plain function into the one generic numba overload through which kernels reach
a model. A compiled model is a `NamedTuple` of arrays whose methods are plain Python; calling
``delta_energy(model, x, site, value)`` in a kernel compiles *that class's* method, on the CPU and
on CUDA alike, and simply calls it where the JIT is off.

`kernel` compiles a function once per model class. numba's disk cache does not see edits in other
files, so the cache directory is keyed by a digest of the package's sources and, for a model that a
user wrote, of the user's file as well. Models from ``__main__`` or a notebook are never cached, nor
is anything once a source has changed since it was imported: the digest would be that of the new
file, the code that of the old.
"""

import contextlib
import functools
import hashlib
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload, overload_method
from numba.np.ufunc import parallel

_PACKAGE = Path(__file__).parent
_IMPORTED = time.time()
_OPTIONS = {"nogil": True, "error_model": "numpy"}


def thread_count() -> int:
    """Over how many threads kernels may be split: numba's number (NUMBA_NUM_THREADS).

    numba itself is asked only once its own pool runs. Asking starts that pool, and where it is an
    OpenMP one it sets the number of threads of everybody in the process, torch among them.
    """
    if parallel._is_initialized:
        return int(numba.get_num_threads())
    return int(numba.config.NUMBA_NUM_THREADS)


# For helpers that only kernels call: compiled into the kernel, so never cached on their own.
jit = numba.njit(**_OPTIONS)


resolvers: dict[str, Callable[..., Any]] = {}
"""Capability name -> its overload. numba-cuda does not see method overloads of numba's own types,
so `samplers._cuda` registers these once more."""


def capability(default: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that runs the model's method of that name, or `default` where it has none.

    The first parameter of `default` is the compiled model. The result works in plain Python, in
    compiled kernels, in CUDA kernels and in the CUDA simulator; inside a model's own methods the
    same capability may be called as ``self.name(...)``.
    """
    name = default.__name__

    @functools.wraps(default)
    def stub(model: Any, *args: Any) -> Any:
        return getattr(type(model), name, default)(model, *args)

    def resolve(model: Any, *args: Any) -> Any:
        if isinstance(model, types.BaseNamedTuple):
            return getattr(model.instance_class, name, default)
        return None

    resolvers[name] = resolve
    # numba matches the arguments of a call against this signature; each capability has its own.
    resolve.__signature__ = inspect.signature(default)  # type: ignore[attr-defined]
    overload(stub, strict=False)(resolve)
    overload_method(types.BaseNamedTuple, name, strict=False)(resolve)
    return stub


class Kernel:
    """A function compiled on first use, once per set of foreign classes in its first argument."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._compiled: dict[frozenset[type], Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        if numba.config.DISABLE_JIT:
            # 64-bit generators wrap around on purpose; numpy scalars would warn.
            with np.errstate(over="ignore"):
                return self.py_func(*args)
        key = _foreign_classes(args[0])
        compiled = self._compiled.get(key)
        if compiled is None:
            with self._lock:  # chains run on threads, which meet here the first time
                if key not in self._compiled:
                    self._compiled[key] = _compile(self.py_func, _modules(key))
                compiled = self._compiled[key]
        return compiled(*args)


def kernel(function: Callable[..., Any]) -> Kernel:
    """Decorate a kernel: arrays in, arrays changed in place, the compiled model first if any."""
    return Kernel(function)


def _foreign_classes(value: Any) -> frozenset[type]:
    """NamedTuple classes in a compiled model that were not written in this package.

    Classes and not names: a module that is edited and reloaded defines new ones.
    """
    found: set[type] = set()
    if hasattr(value, "_fields"):
        for cls in type(value).__mro__:
            if cls.__module__.partition(".")[0] not in (__package__, "builtins", "typing"):
                found.add(cls)
        for field in value:
            found |= _foreign_classes(field)
    return frozenset(found)


def _modules(classes: frozenset[type]) -> frozenset[str]:
    return frozenset(cls.__module__ for cls in classes)


def _compile(function: Callable[..., Any], modules: frozenset[str]) -> Callable[..., Any]:
    directory = cache_directory(modules)
    if directory is not None:
        # A home that cannot be written to costs the cache, not the run.
        with contextlib.suppress(RuntimeError, OSError), _cache_directory_set(directory):
            return numba.njit(cache=True, **_OPTIONS)(function)
    return numba.njit(**_OPTIONS)(function)


def cache_directory(modules: frozenset[str] = frozenset()) -> Path | None:
    """Where kernels for models from these modules are cached; None where they must not be."""
    digests = [_package_digest()]
    for name in sorted(modules):
        source = getattr(sys.modules.get(name), "__file__", None)
        if name == "__main__" or source is None or not Path(source).is_file():
            return None
        # The name too: the index of the cache refers to classes by module and name.
        digests += [name, _digest([Path(source)])]
    if None in digests:
        return None
    key = hashlib.sha256("".join(map(str, digests)).encode()).hexdigest()[:20]
    home = numba.config.CACHE_DIR or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "statmech_ml"
    )
    return Path(home) / key


@functools.cache
def _package_digest() -> str | None:
    return _digest(sorted(_PACKAGE.rglob("*.py")))


def _digest(sources: list[Path]) -> str | None:
    """Digest of source files; None if one was written after this process began to import."""
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
        if path.stat().st_mtime > _IMPORTED:
            return None
    return digest.hexdigest()


_cache_lock = threading.Lock()


@contextlib.contextmanager
def _cache_directory_set(directory: Path) -> Iterator[None]:
    """numba reads its cache directory while decorating, and only then."""
    with _cache_lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(directory)
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before
