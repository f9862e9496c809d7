"""Every example runs as a reader would run it, in an empty directory, and says what it should."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
# By itself under an hour; tests/validation/test_study.py runs a small variant.
STUDY = "generative_ising"


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem != STUDY], ids=lambda p: p.stem
)
def test_example_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
