"""Kills `generate` at its n-th step on the file system, for every n or every few, and resumes it.

A step is a flush, a rename or a removal. Run in a process of its own, because it forks: without
threads, and before zarr has started any. Prints the number of kills survived.
"""

import hashlib
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import zarr  # noqa: F401  (children inherit the import)

from ising_data import Spec, generate, load
from ising_data._sampling import sample_temperature
from statmech_ml.errors import StoreError

SPEC = Spec("square", 4, (2.0, 3.0), samples=8, seed=1, burn_in=5)
STEPS = ("fsync", "replace", "rename", "unlink", "rmdir")


def tree(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def generate_and_die(out: Path, at: int) -> bool:
    """In a child: SIGKILL just before the at-th step. Returns whether it was killed."""
    child = os.fork()
    if child == 0:
        left = at

        def bomb(real):
            def step(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return step

        for name in STEPS:
            setattr(os, name, bomb(getattr(os, name)))
        generate(SPEC, out, progress=False)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def main(place: Path, stride: int) -> None:
    out, never = place / "killed.zarr", 10**9
    sample_temperature(SPEC, 0, lambda sweeps, skipped=False: None)  # children inherit the kernels
    generate_and_die(place / "whole.zarr", never)
    whole = tree(place / "whole.zarr")
    kills, at = 0, 1
    while generate_and_die(out, at):
        kills, at = kills + 1, at + stride
        if out.exists():
            assert tree(out) == whole, f"kill {kills}: half a dataset is readable"
        else:
            with pytest.raises(StoreError, match=r"is not complete|does not exist"):
                load(out)
        # Once more, killed elsewhere on the way, and then to the end.
        generate_and_die(out, 1 + 7 * at % 40)
        generate_and_die(out, never)
        assert tree(out) == whole, f"kill {kills}: the resumed dataset differs"
        assert sorted(os.listdir(place)) == ["killed.zarr", "whole.zarr"], os.listdir(place)
        shutil.rmtree(out)
    print(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
