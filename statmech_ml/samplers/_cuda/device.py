"""What every CUDA twin needs: a usable card, the model on it, and kernels that can reach the model.

Nothing here runs, and numba.cuda is not imported, before somebody asks for ``device="cuda"``.
"""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba import cuda, types
from numba.core.errors import NumbaError

from ... import _jit
from ...errors import InvalidInput

# Threads of a block: few threads are spread over as many processors as there are.
_FEW, _MANY = 32, 128
_SPREAD = 2**15
# Threads take further work in strides of the grid, so any amount of it fits.
_MAX_GRID = 2**20

_with_methods: set[str] = set()


def prepare() -> None:
    """Make sure that kernels can run here; call it before the first transfer.

    Raises
    ------
    InvalidInput
        Without numba-cuda, a driver or a card (the simulator, NUMBA_ENABLE_CUDASIM=1, needs none).
    """
    if numba.config.ENABLE_CUDASIM:
        return  # simulated kernels are plain Python and find methods by themselves
    if find_spec("numba_cuda") is None:
        problem = "the package numba-cuda is not installed"
    elif not cuda.is_available():
        reason = str(cuda.cuda_error() or "no card, or an incomplete CUDA compiler")
        problem = f"numba-cuda finds no usable CUDA device ({' '.join(reason.split()).rstrip('.')})"
    else:
        register_methods()
        return
    raise InvalidInput(
        f"device='cuda' cannot run here: {problem}. It needs an NVIDIA card, a driver for CUDA 13, "
        "and `pip install \"statmech-ml[gpu]\"`; device='cpu' gives the same states without them."
    )


def register_methods() -> None:
    """Let CUDA kernels see capabilities as methods, ``self.name(...)``, of compiled models.

    numba-cuda does not take over methods that were registered for numba's own types, and named
    tuples are such a type.
    """
    from numba.cuda.extending import overload_method

    for name in _jit.resolvers.keys() - _with_methods:
        overload_method(types.BaseNamedTuple, name, strict=False)(_jit.resolvers[name])
        _with_methods.add(name)


def on_device(value: Any) -> Any:
    """A compiled model with its arrays copied to the card; scalars stay as they are."""
    if isinstance(value, np.ndarray):
        return cuda.to_device(np.asarray(value, order="C"))
    if isinstance(value, tuple):
        parts = map(on_device, value)
        return value._make(parts) if hasattr(value, "_make") else tuple(parts)
    return value


def configured(kernel: Any, n_blocks: int, n_threads: int) -> Any:
    """``kernel[n_blocks, n_threads]``, silent about lattices too small to fill a card."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size", category=Warning)
        return kernel[n_blocks, n_threads]


def device_function(compiled: Any, **helpers: Callable[..., Any]) -> Callable[..., Any]:
    """A function that the CPU compiles (`_jit.jit`), for kernels here.

    `helpers`: the functions on arrays that it calls, by name, as device functions too. Simulated
    kernels are plain Python, and what is compiled for the CPU takes no simulated arrays.
    """
    plain = getattr(compiled, "py_func", compiled)
    own = FunctionType(plain.__code__, plain.__globals__ | helpers, plain.__name__)
    return cuda.jit(device=True)(own)


def launch(kernel: Any, n: int, *args: Any) -> None:
    """Run `kernel` on some `n` threads at least, or on strides of the largest grid."""
    threads = _FEW if n < _SPREAD else _MANY
    blocks = min(max(1, -(-n // threads)), _MAX_GRID)
    try:
        configured(kernel, int(blocks), threads)(*args)
    except NumbaError as error:
        raise InvalidInput(
            "The model does not compile for CUDA, as it does for device='cpu'. There a method may "
            "not make arrays (np.empty, a[i:j].copy()) nor call numpy functions on them; numbers, "
            "loops, math.exp and its like work. Use device='cpu', or write it so."
        ) from error
