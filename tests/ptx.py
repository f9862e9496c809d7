"""CUDA kernels as PTX, on a machine without a card."""

from types import SimpleNamespace
from unittest import mock

CAPABILITIES = {"sm_80": (8, 0), "sm_90": (9, 0)}


def compile_to_ptx(kernel, signature, capability) -> str:
    """PTX of a kernel for arguments of these numba types.

    When a kernel calls another function, numba-cuda asks the current device for its compute
    capability; without a driver there is none, so this supplies one.
    """
    from numba import cuda

    from statmech_ml.samplers._cuda import device

    device.register_methods()
    current = SimpleNamespace(compute_capability=capability)
    with mock.patch("numba.cuda.dispatcher.get_current_device", return_value=current):
        return cuda.compile_ptx(kernel.py_func, signature, cc=capability)[0]
