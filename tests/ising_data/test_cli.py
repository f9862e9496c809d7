"""The command line: what it prints, where, and its exit status."""

import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from ising_data import load
from ising_data.cli import app
from ising_data.store import partial_of


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def generate(out, **changes):
    settings = {"size": 6, "temperatures": "2.0:3.0:0.5", "samples": 400, "seed": 3, "out": out}
    words = [f"--{name}={value}" for name, value in (settings | changes).items()]
    return run("generate", "--lattice", "square", *words)


def test_a_dataset_from_end_to_end(tmp_path):
    out = tmp_path / "[x].zarr"  # rich would take the brackets for markup
    made = generate(out)
    assert made.exit_code == 0, made.output
    assert "[x].zarr is complete: 3 temperatures x 400 configurations" in made.stdout
    assert made.stderr == ""
    assert "is complete already" in generate(out).stdout

    info = run("info", out)
    assert info.exit_code == 0
    for words in ("square, 6 x 6, periodic", "2.26918531", "swendsen-wang", "disordered"):
        assert words in info.stdout

    verified = run("verify", out)
    assert verified.exit_code == 0, verified.output
    for words in ("exact", "files", "SHA-256", "stripes", "Kaufman 1949", "[x].zarr: verified"):
        assert words in verified.stdout

    exported = run("export", out, "--to", "npz")
    assert exported.exit_code == 0
    assert np.load(tmp_path / "[x].npz")["energy"].shape == (3, 4, 100)


def test_all_options_reach_the_spec(tmp_path):
    changes = {
        "size": "4x6", "temperatures": "1.5", "coupling": 2.0, "field": 0.25, "chains": 2,
        "boundary": "open,periodic", "sampler": "metropolis", "spacing": 3, "burn-in": 7,
    }  # fmt: skip
    assert generate(tmp_path / "x.zarr", **changes).exit_code == 0
    spec = load(tmp_path / "x.zarr").spec
    assert (spec.size, spec.temperatures, spec.boundary) == ((4, 6), (1.5,), ("open", "periodic"))
    assert (spec.coupling, spec.field, spec.n_chains) == (2.0, 0.25, 2)
    assert (spec.sampler, spec.spacing, spec.burn_in) == ("metropolis", 3, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": "0:1:0.5"}, "positive"),
        ({"temperatures": "cold"}, "not a number or a range"),
        ({"size": "six"}, "is not 32, 24x48 or 8x8x8"),
        ({"samples": 10}, "Give a multiple"),
        ({"sampler": "wolff", "field": 1}, "field"),
        ({"lattice": "kagome"}, "kagome"),
        ({"samples": "many"}, "integer"),
    ],
)
def test_bad_input_is_one_message(tmp_path, changes, message):
    result = generate(tmp_path / "x.zarr", **changes)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_another_spec_is_one_message(tmp_path):
    generate(tmp_path / "x.zarr")
    result = generate(tmp_path / "x.zarr", seed=4)
    assert result.exit_code == 2
    assert "seed: 3 -> 4" in result.stderr


@pytest.mark.parametrize("command", ["info", "verify", "export"])
def test_no_dataset_is_one_message(tmp_path, command):
    result = run(command, tmp_path / "[nothing].zarr")
    assert result.exit_code == 2
    assert "[nothing].zarr does not exist" in result.stderr
    assert result.stdout == ""


def test_failed_verification_has_status_one(made, tmp_path):
    out = shutil.copytree(made.path, tmp_path / "x.zarr")
    chunk = out / "spins" / "c" / "0" / "0" / "0" / "0"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    result = run("verify", out)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "NOT verified" in result.stdout


def test_help_is_worth_reading():
    for command, words in {
        "generate": ["--temperatures", "start:stop:step", "same bytes", "Example"],
        "verify": ["Kaufman", "Exit status"],
        "export": ["npz", "Example"],
        "info": ["dataset"],
    }.items():
        text = " ".join(run(command, "--help").output.split())
        assert [word for word in words if word not in text] == []
    assert "Start with: ising-data generate" in " ".join(run("--help").output.split())


def test_interrupt_keeps_what_is_done(tmp_path):
    """Ctrl-C in a pipe: one message, status 130, nothing printed but that; then it continues."""
    out = tmp_path / "x.zarr"
    words = [
        sys.executable, "-c", "from ising_data.cli import app; app()", "generate", "--size", "32",
        "--temperatures", "2.0:3.0:0.1", "--samples", "2000", "--seed", "1", "--out", str(out),
    ]  # fmt: skip
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job inherits a SIGINT that is ignored; a terminal's process does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    records = partial_of(out) / "records"
    while process.poll() is None and not list(records.glob("*.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.strip() == "Interrupted. The same command continues where this one stopped."
    assert list(records.glob("*.json"))
    assert not out.exists()
