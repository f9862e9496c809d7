"""SIGKILL at any moment of `generate`, resume: byte-identical, and never half a dataset to read."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ising_data import Spec, generate, load
from ising_data.store import partial_of
from statmech_ml.errors import StoreError


@pytest.mark.parametrize("stride", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_every_step_on_the_file_system(tmp_path, stride):
    driver = Path(__file__).with_name("kill_driver.py")
    done = subprocess.run(
        [sys.executable, driver, tmp_path, str(stride)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100 // stride


def command(spec: Spec, out: Path) -> list[str]:
    return [
        sys.executable, "-c", "from ising_data.cli import app; app()", "generate",
        "--lattice", spec.lattice, "--size", "x".join(map(str, spec.size)),
        "--temperatures", ",".join(map(repr, spec.temperatures)), "--samples", str(spec.samples),
        "--seed", str(spec.seed), "--out", str(out),
    ]  # fmt: skip


@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(n_kills, tmp_path, file_tree, seed):
    """Each time the run starts where the last one died; a finished one starts from nothing."""
    step = 0.1 if n_kills > 2 else 0.3
    spec = Spec("square", 32, f"2.0:2.9:{step}", samples=400, seed=5)
    started = time.monotonic()
    whole = file_tree(generate(spec, tmp_path / "whole.zarr").path)
    duration = time.monotonic() - started
    rng, out, kills = np.random.default_rng(seed), tmp_path / "killed.zarr", 0
    while kills < n_kills:
        process = subprocess.Popen(command(spec, out), stdout=subprocess.DEVNULL)
        while process.poll() is None and not partial_of(out).exists():
            time.sleep(0.01)  # imports are not what is tested
        time.sleep(rng.uniform(0.0, 0.5 * duration))
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        kills += killed
        if out.exists():
            assert file_tree(out) == whole
            assert load(out).spec == spec
            os.rename(out, tmp_path / f"done-{kills}-{time.monotonic_ns()}")
        else:
            with pytest.raises(StoreError, match=r"is not complete|does not exist"):
                load(out)
    subprocess.run(command(spec, out), check=True, stdout=subprocess.DEVNULL)
    assert file_tree(out) == whole
