"""Small datasets, and the means to look at a store byte by byte."""

import hashlib
from pathlib import Path

import pytest

from ising_data import Spec, generate


def tree(directory: Path) -> dict[str, str]:
    """Every file below a directory, with a digest of its bytes."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def spec():
    return Spec("square", (6, 10), "2.0:3.0:0.5", samples=400, seed=3)


@pytest.fixture(scope="session")
def made(spec, tmp_path_factory):
    """One finished dataset; tests that change it copy it first."""
    return generate(spec, tmp_path_factory.mktemp("dataset") / "made.zarr")


@pytest.fixture(scope="session")
def file_tree():
    return tree
