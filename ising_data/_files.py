"""Files that appear complete or not at all, and directories that one process works in at a time."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statmech_ml.errors import StoreError

TEMPORARY = ".part"
"""Suffix of files that are being written; whatever carries it is swept before work resumes."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, flush to disk, rename. OSError leaves nothing
    behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Flush a directory's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporary(directory: Path) -> None:
    """Remove what a killed process was in the middle of writing."""
    for path in sorted(directory.rglob(f"*{TEMPORARY}")):
        path.unlink()


def fingerprint(data: bytes) -> list[int | str]:
    """Size and SHA-256 of a file's bytes, as they stand in a store's manifest."""
    return [len(data), hashlib.sha256(data).hexdigest()]


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory against other processes; the lock dies with the process, however it ends."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"Another process is writing {directory}. Wait for it, or choose another --out."
            ) from error
        yield
    finally:
        os.close(descriptor)


def why(error: OSError) -> str:
    """What an OSError means for somebody who wanted to write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "the directory cannot be written to"
    return error.strerror or str(error)
